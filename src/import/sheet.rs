//! Uploaded files as grids of typed cells.
//!
//! A spreadsheet is read as values only. Nothing is evaluated and nothing is written back, so a
//! cell is either text a person typed or one of the kinds that cannot be trusted as text: a
//! formula, a date, an error. What these mean for a question is decided in [`super::bank`].

use std::fmt;

use crate::text::{composed, is_unsafe};

mod aiken;
mod delimited;
mod encoding;
mod gift;
mod html;
mod json;
mod moodle;
mod xlsx;

pub use encoding::Encoding;

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
    /// What there is to say of the sheet itself.
    pub remarks: Vec<Remark>,
}

/// A remark on a sheet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Remark {
    /// The sheet is hidden, and was not read.
    HiddenSheet,
    /// The numbers of hidden rows, which were not read.
    HiddenRows(Vec<u32>),
    /// A part of the file that is no question and was passed over.
    PassedOver { cell: String, message: String },
}

/// A row that holds at least one filled cell, or a flaw.
#[derive(Debug)]
pub(super) struct Row {
    /// The row's number as the spreadsheet shows it, from 1.
    pub number: u32,
    /// The filled cells by column, from 0 for column A, in ascending order.
    cells: Vec<(u32, Cell)>,
    /// What the file says about cells beside their content.
    flaws: Vec<(u32, Flaw)>,
    kind: Kind,
}

/// Where the cells of a row stand.
#[derive(Debug)]
enum Kind {
    /// In a sheet, each in its place.
    Sheet,
    /// One after the other, so that one too many moves the others.
    Delimited,
    /// On lines of a text: the line of each column.
    Lines(Vec<u32>),
    /// In a list, all in one place.
    Listed,
}

/// What a file says about a cell beside its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Text of it is struck out, and was left out.
    Struck,
    /// A picture lies on it.
    Picture,
    /// The question breaks the rules of its format.
    Malformed(String),
    /// The question is of a kind that there is not here.
    Unsupported(String),
    /// A part of the question that was left out.
    NotUsed(String),
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
    /// Text or a number whose formatting carries meaning and can't be kept.
    Formatted,
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
    /// The text is in UTF-16, and breaks off or has half a character on this line.
    BrokenUtf16 {
        line: u32,
    },
    UnclosedQuote {
        row: u32,
    },
    /// A text breaks the rules of its format as a whole.
    Broken {
        place: String,
        what: String,
    },
    /// A workbook with macros, whatever its name.
    Macros,
    NoSuchSheet {
        requested: String,
        there: Vec<String>,
    },
    /// The workbook breaks off or contradicts itself; the text says where, in technical words.
    Damaged(String),
}

/// Reads the sheets of an XLSX workbook, or the one sheet of a text: values in columns, Aiken or GIFT.
///
/// The content decides what a file is; the name only settles that plain text is meant as one of these, and gives its sheet a
/// name. With `only`, no other sheet is read. Hidden rows and sheets are read if `hidden` says so, and a hidden sheet if it
/// is asked for by its name.
pub(super) fn open(
    file_name: &str,
    bytes: &[u8],
    only: Option<&str>,
    hidden: bool,
    encoding: Encoding,
) -> Result<Vec<Grid>, Unreadable> {
    let Some(name) = text_file(file_name, bytes)? else {
        return xlsx::grids(bytes, only, hidden);
    };
    choose(vec![name.to_owned()], only)?;
    let text = encoding::decoded(bytes, encoding)?;
    let grid = match delimited::ending(file_name) {
        Some(ending) if ending.eq_ignore_ascii_case("gift") => gift::grid(name, &text)?,
        Some(ending) if ending.eq_ignore_ascii_case("json") => json::grid(name, &text)?,
        Some(ending) if ending.eq_ignore_ascii_case("xml") => moodle::grid(name, &text)?,
        Some(ending) if ending.eq_ignore_ascii_case("txt") && aiken::looks_like(&text) => aiken::grid(name, &text)?,
        Some(ending) if ending.eq_ignore_ascii_case("txt") && gift::looks_like(&text) => gift::grid(name, &text)?,
        _ => delimited::grid(name, &text)?,
    };
    Ok(vec![grid])
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
    fn new(name: &str, rows: Vec<Row>, remarks: Vec<Remark>) -> Result<Grid, Unreadable> {
        let name = shown(name);
        if rows.len() > MAX_ROWS + 1 {
            return Err(Unreadable::TooManyRows { sheet: name });
        }
        Ok(Grid { name, rows, remarks })
    }

    /// Questions of a text as rows, under the headings that they would have in a sheet.
    fn of_questions(name: &str, questions: Vec<Row>, remarks: Vec<Remark>) -> Result<Grid, Unreadable> {
        const HEADINGS: [&str; column::ALL] = [
            "Question",
            "A",
            "B",
            "C",
            "D",
            "E",
            "F",
            "G",
            "Answer",
            "Explanation",
            "Chapter",
            "Kind",
            "Tolerance",
            "Text format",
            "Image",
        ];
        let headings = (0..).zip(HEADINGS.map(|heading| Cell::Text(heading.to_owned())));
        let header = Row {
            number: 0,
            cells: headings.collect(),
            flaws: Vec::new(),
            kind: Kind::Lines(Vec::new()),
        };
        let rows = std::iter::once(header).chain(questions).collect();
        Grid::new(name, rows, remarks)
    }

    /// Whether the sheet was not read.
    pub(super) fn is_left_out(&self) -> bool {
        self.remarks.contains(&Remark::HiddenSheet)
    }
}

/// The columns of [`Grid::of_questions`].
mod column {
    pub(super) const QUESTION: u32 = 0;
    pub(super) const CHOICES: std::ops::Range<u32> = 1..8;
    pub(super) const ANSWER: u32 = 8;
    pub(super) const EXPLANATION: u32 = 9;
    pub(super) const CHAPTER: u32 = 10;
    pub(super) const KIND: u32 = 11;
    pub(super) const TOLERANCE: u32 = 12;
    pub(super) const FORMAT: u32 = 13;
    pub(super) const IMAGE: u32 = 14;
    pub(super) const ALL: usize = 15;
}

/// A row that is being built.
struct Building {
    row: Row,
    lines: Vec<u32>,
}

impl Building {
    fn at(number: u32) -> Self {
        let mut lines = vec![0; column::ALL];
        lines[0] = number;
        let row = Row {
            number,
            cells: Vec::new(),
            flaws: Vec::new(),
            kind: Kind::Sheet,
        };
        Self { row, lines }
    }

    fn cell(&mut self, column: u32, line: u32, text: &str) {
        self.typed(column, line, Cell::text(text));
    }

    fn typed(&mut self, column: u32, line: u32, cell: Cell) {
        self.lines[column as usize] = line;
        if cell != Cell::Blank {
            self.row.cells.push((column, cell));
        }
    }

    fn flaw(&mut self, column: u32, line: u32, flaw: Flaw) {
        self.lines[column as usize] = line;
        self.row.flaws.push((column, flaw));
    }

    fn closed(mut self) -> Row {
        self.row.cells.sort_by_key(|(column, _)| *column);
        self.row.kind = Kind::Lines(self.lines);
        self.row
    }
}

impl Row {
    /// What the file says about cells beside their content, with the columns.
    pub(super) fn flaws(&self) -> &[(u32, Flaw)] {
        &self.flaws
    }

    /// Whether one cell too many has moved others.
    pub(super) fn is_delimited(&self) -> bool {
        matches!(self.kind, Kind::Delimited)
    }

    /// Whether its cells are lines of a text.
    pub(super) fn is_of_lines(&self) -> bool {
        matches!(self.kind, Kind::Lines(_) | Kind::Listed)
    }

    /// The number of rows without a question under this header, down to the last of so many that have one.
    pub(super) fn blanks_until(&self, last: &Row, filled: usize) -> usize {
        match last.kind {
            Kind::Lines(_) | Kind::Listed => 0,
            Kind::Sheet | Kind::Delimited => (last.number.saturating_sub(self.number) as usize).saturating_sub(filled),
        }
    }

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

    /// A column of this row as a person names the cell, for example `B9`; in a text its line.
    pub(super) fn address(&self, column: u32) -> String {
        match &self.kind {
            Kind::Sheet | Kind::Delimited => format!("{}{}", column_letters(column), self.number),
            Kind::Listed => format!("question {}", self.number),
            Kind::Lines(lines) => {
                let line = lines.get(column as usize).filter(|line| **line > 0);
                format!("line {}", line.unwrap_or(&self.number))
            }
        }
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
pub(super) fn column_letters(column: u32) -> String {
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
                write!(
                    f,
                    "This is not a question bank that can be read; upload an .xlsx, .csv, .tsv, .txt (Aiken) or .gift file."
                )
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
                "The file's letters are not in UTF-8; save it as \u{201C}CSV UTF-8\u{201D} or as .xlsx, or say that they are in Windows-1252."
            ),
            Unreadable::BrokenUtf16 { line } => write!(
                f,
                "The file is in UTF-16 and broken on line {line}; save it again as \u{201C}CSV UTF-8\u{201D} or as .xlsx."
            ),
            Unreadable::UnclosedQuote { row } => write!(
                f,
                "A quotation mark opened in row {row} is never closed; close it, or write it twice if it belongs to the text."
            ),
            Unreadable::Broken { place, what } => write!(f, "The file can\u{2019}t be read at {place}: {what}."),
            Unreadable::Macros => write!(
                f,
                "The workbook has macros, which are not read; save it as .xlsx, without them."
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

    fn open(name: &str, bytes: &[u8], only: Option<&str>, hidden: bool) -> Result<Vec<Grid>, Unreadable> {
        super::open(name, bytes, only, hidden, Encoding::Unsaid)
    }

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
        let refused = |name, bytes: &[u8]| open(name, bytes, None, false).unwrap_err();
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
        let grids = open("bank.csv", rows(MAX_ROWS).as_bytes(), None, false).unwrap();
        assert_eq!(grids[0].rows.len(), MAX_ROWS + 1);
        let refused = open("bank.csv", rows(MAX_ROWS + 1).as_bytes(), None, false).unwrap_err();
        assert_eq!(
            refused,
            Unreadable::TooManyRows {
                sheet: "bank".to_owned()
            }
        );
    }

    #[test]
    fn a_missing_sheet_is_answered_with_those_there() {
        assert!(open("bank.csv", b"Question", Some("bank"), false).is_ok());
        assert!(open("e\u{301}lan.csv", b"Question", Some("\u{E9}lan"), false).is_ok());
        let refused = open("bank.csv", b"Question", Some("Biology"), false).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "There is no sheet \u{201C}Biology\u{201D}; the file has: bank."
        );
    }
}
