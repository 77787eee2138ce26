//! Uploaded files as grids of typed cells.
//!
//! A spreadsheet is read as values only. Nothing is evaluated and nothing is written back, so a
//! cell is either text a person typed or one of the kinds that cannot be trusted as text: a
//! formula, a date, an error. What these mean for a question is decided in [`super::bank`].

use std::fmt;

use crate::text::{composed, is_unsafe};

mod delimited;
mod xlsx;

/// The largest upload, in bytes as they arrive.
pub(super) const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;
/// The most worksheets in one workbook.
pub(super) const MAX_SHEETS: usize = 50;
/// The most filled rows under a sheet's header.
pub(super) const MAX_ROWS: usize = 5_000;

/// The most characters of a sheet's name that are shown.
const MAX_NAME: usize = 100;

/// One sheet: its name and its filled rows from top to bottom.
#[derive(Debug)]
pub(super) struct Grid {
    pub name: String,
    pub rows: Vec<Row>,
}

/// A row that holds at least one filled cell.
#[derive(Debug)]
pub(super) struct Row {
    /// The row's number as the spreadsheet shows it, from 1.
    pub number: u32,
    /// The filled cells by column, from 0 for column A, in ascending order.
    cells: Vec<(u32, Cell)>,
}

/// The content of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Blank,
    /// Typed text, or a number or truth value as the spreadsheet shows it. Trimmed, never empty,
    /// lines parted by LF alone, in normalization form C.
    Text(String),
    Formula,
    /// A date, a time or a duration, by its number format.
    Date,
    /// An error such as `#REF!`.
    Error,
}

/// The reason a file could not be read at all. `Display` is written for the person who uploaded it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    NotASpreadsheet,
    OldExcel,
    Encrypted,
    FileTooLarge,
    /// The file is small, but unpacks to more than an honest question bank needs.
    UnpacksTooLarge,
    TooManySheets,
    TooManyRows {
        sheet: String,
    },
    NotUtf8,
    UnclosedQuote {
        row: u32,
    },
    NoSuchSheet {
        requested: String,
        there: Vec<String>,
    },
    /// The workbook breaks off or contradicts itself; the text says where, in technical words.
    Damaged(String),
}

/// Reads the sheets of an XLSX workbook or the one sheet of a CSV file.
///
/// The content decides what a file is; the name only settles that plain text is meant as CSV, and
/// gives a CSV sheet its name. With `only`, no other sheet is read.
pub(super) fn open(file_name: &str, bytes: &[u8], only: Option<&str>) -> Result<Vec<Grid>, Unreadable> {
    let Some(name) = text_file(file_name, bytes)? else {
        return xlsx::grids(bytes, only);
    };
    choose(vec![name.to_owned()], only)?;
    Ok(vec![delimited::grid(name, bytes)?])
}

/// Refuses what is no file of a kind that [`open`] reads.
pub(super) fn check(file_name: &str, bytes: &[u8]) -> Result<(), Unreadable> {
    text_file(file_name, bytes).map(drop)
}

/// The name of a text file's only sheet; nothing for a workbook.
fn text_file<'a>(file_name: &'a str, bytes: &[u8]) -> Result<Option<&'a str>, Unreadable> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Unreadable::FileTooLarge);
    }
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(None);
    }
    if bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") {
        return Err(locked_or_old(bytes));
    }
    delimited::sheet_name(file_name)
        .map(Some)
        .ok_or(Unreadable::NotASpreadsheet)
}

/// A password turns a workbook into the container that Excel used before 2007, with the name of the encrypted package
/// in UTF-16.
fn locked_or_old(bytes: &[u8]) -> Unreadable {
    let package: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    if bytes.windows(package.len()).any(|part| part == package) {
        Unreadable::Encrypted
    } else {
        Unreadable::OldExcel
    }
}

/// The names of the sheets to read: all, or the requested one.
fn choose(there: Vec<String>, only: Option<&str>) -> Result<Vec<String>, Unreadable> {
    match only {
        None => Ok(there),
        Some(requested) => {
            let is_requested = |name: &&String| composed(name.to_string()) == requested;
            let found = there.iter().find(is_requested).cloned();
            found.map(|name| vec![name]).ok_or_else(|| Unreadable::NoSuchSheet {
                requested: requested.to_owned(),
                there: there.iter().map(|name| shown(name)).collect(),
            })
        }
    }
}

/// The name of a sheet as reports and titles show it. A spreadsheet program allows 31 characters; a file may claim more.
fn shown(name: &str) -> String {
    let typed = |c: &char| !is_unsafe(*c) && !c.is_control();
    composed(name.chars().filter(typed).take(MAX_NAME).collect())
}

impl Grid {
    fn new(name: &str, rows: Vec<Row>) -> Result<Grid, Unreadable> {
        let name = shown(name);
        if rows.len() > MAX_ROWS + 1 {
            return Err(Unreadable::TooManyRows { sheet: name });
        }
        Ok(Grid { name, rows })
    }
}

impl Row {
    pub(super) fn cell(&self, column: u32) -> &Cell {
        match self.cells.binary_search_by_key(&column, |(at, _)| *at) {
            Ok(found) => &self.cells[found].1,
            Err(_) => &Cell::Blank,
        }
    }

    /// The filled cells with their columns, from left to right.
    pub(super) fn filled(&self) -> impl Iterator<Item = (u32, &Cell)> {
        self.cells.iter().map(|(column, cell)| (*column, cell))
    }

    /// A column of this row as a person names the cell, for example `B9`.
    pub(super) fn address(&self, column: u32) -> String {
        format!("{}{}", column_letters(column), self.number)
    }
}

impl Cell {
    fn text(raw: &str) -> Cell {
        let text = raw.replace("\r\n", "\n").replace('\r', "\n");
        match text.trim_matches(is_invisible_edge) {
            "" => Cell::Blank,
            text => Cell::Text(composed(text.to_owned())),
        }
    }
}

/// Blanks, and the two marks that pasted text carries at its ends without anyone seeing them.
fn is_invisible_edge(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}' | '\u{FEFF}')
}

/// A, B, ... Z, AA, AB, ...: counting in 26 letters without a zero.
fn column_letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = u64::from(column) + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::NotASpreadsheet => {
                write!(f, "This is not a spreadsheet; upload an .xlsx or a .csv file.")
            }
            Unreadable::OldExcel => write!(f, "This is a file of an old Excel; open it there and save it as .xlsx."),
            Unreadable::Encrypted => write!(
                f,
                "The workbook is locked with a password; save it without one and upload it again."
            ),
            Unreadable::FileTooLarge => write!(
                f,
                "The file is larger than {} MB; split it into several files.",
                MAX_FILE_BYTES / (1024 * 1024)
            ),
            Unreadable::UnpacksTooLarge => write!(
                f,
                "The workbook holds far more than questions need; copy the questions into a new workbook and leave pictures and formatted empty cells behind."
            ),
            Unreadable::TooManySheets => write!(
                f,
                "The workbook has more than {MAX_SHEETS} sheets; split it into several files."
            ),
            Unreadable::TooManyRows { sheet } => write!(
                f,
                "The sheet \u{201C}{sheet}\u{201D} has more than {MAX_ROWS} rows; split it into several sheets."
            ),
            Unreadable::NotUtf8 => write!(
                f,
                "The file's letters are not in UTF-8; save it as \u{201C}CSV UTF-8\u{201D} or as .xlsx."
            ),
            Unreadable::UnclosedQuote { row } => write!(
                f,
                "A quotation mark opened in row {row} is never closed; close it, or write it twice if it belongs to the text."
            ),
            Unreadable::NoSuchSheet { requested, there } => write!(
                f,
                "There is no sheet \u{201C}{requested}\u{201D}; the file has: {}.",
                there.join(", ")
            ),
            Unreadable::Damaged(detail) => write!(
                f,
                "The workbook is damaged ({detail}); open it in a spreadsheet program and save it again as .xlsx."
            ),
        }
    }
}

impl std::error::Error for Unreadable {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_in_letters() {
        for (column, name) in [(0, "A"), (25, "Z"), (26, "AA"), (701, "ZZ"), (702, "AAA")] {
            assert_eq!(column_letters(column), name);
        }
        assert_eq!(column_letters(16_383), "XFD");
        assert_eq!(column_letters(u32::MAX), "MWLQKWV");
    }

    #[test]
    fn text_is_trimmed_and_its_lines_are_kept() {
        let text = |raw| Cell::text(raw);
        assert_eq!(text(" a\r\nb\rc\u{A0}\n"), Cell::Text("a\nb\nc".to_owned()));
        assert_eq!(text("\u{FEFF}\u{200B} "), Cell::Blank);
        assert_eq!(text("e\u{301}lan"), Cell::Text("\u{E9}lan".to_owned()));
    }

    #[test]
    fn what_is_no_spreadsheet_is_rejected() {
        let refused = |name, bytes: &[u8]| open(name, bytes, None).unwrap_err();
        let ole = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1";
        let locked = [ole.as_slice(), b"E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e\0"].concat();
        assert_eq!(refused("a.pdf", b"%PDF-1.7"), Unreadable::NotASpreadsheet);
        assert_eq!(refused("a.xlsx", b"Question,A,B"), Unreadable::NotASpreadsheet);
        assert_eq!(refused("a.xls", ole), Unreadable::OldExcel);
        assert_eq!(refused("a.xlsx", &locked), Unreadable::Encrypted);
        let large = vec![b' '; MAX_FILE_BYTES + 1];
        assert_eq!(refused("a.csv", &large), Unreadable::FileTooLarge);
    }

    #[test]
    fn a_sheet_has_an_end() {
        let rows = |count: usize| format!("Question\n{}", "q\n".repeat(count));
        let grids = open("bank.csv", rows(MAX_ROWS).as_bytes(), None).unwrap();
        assert_eq!(grids[0].rows.len(), MAX_ROWS + 1);
        let refused = open("bank.csv", rows(MAX_ROWS + 1).as_bytes(), None).unwrap_err();
        assert_eq!(
            refused,
            Unreadable::TooManyRows {
                sheet: "bank".to_owned()
            }
        );
    }

    #[test]
    fn a_missing_sheet_is_answered_with_those_there() {
        assert!(open("bank.csv", b"Question", Some("bank")).is_ok());
        assert!(open("e\u{301}lan.csv", b"Question", Some("\u{E9}lan")).is_ok());
        let refused = open("bank.csv", b"Question", Some("Biology")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "There is no sheet \u{201C}Biology\u{201D}; the file has: bank."
        );
    }
}
