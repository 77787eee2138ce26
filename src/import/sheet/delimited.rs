//! CSV files: values parted by comma, semicolon or tab.

use super::{Cell, Grid, Row, Unreadable};

/// The name a text file's only sheet goes by: the file's own, without folder and ending. `None`
/// when the ending does not promise values in columns.
pub(super) fn sheet_name(file_name: &str) -> Option<&str> {
    let base = file_name.rsplit(['/', '\\']).next()?;
    let (stem, ending) = base.rsplit_once('.')?;
    ["csv", "tsv", "txt"]
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
        .then_some(stem)
}

pub(super) fn grid(name: &str, bytes: &[u8]) -> Result<Grid, Unreadable> {
    let text = str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)?;
    // One kind of line end lets blank lines be counted below, and cells need no other.
    let text = text
        .trim_start_matches('\u{FEFF}')
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    Grid::new(name, rows(&text)?)
}

fn rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(text))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut rows = Vec::new();
    let (mut number, mut end) = (0, 0);
    loop {
        let start = end;
        match reader.read_record(&mut record) {
            Ok(true) => end = reader.position().byte() as usize,
            Ok(false) => return Ok(rows),
            Err(error) => return Err(Unreadable::Damaged(error.to_string())),
        }
        // The reader skips blank lines, but a spreadsheet numbers them.
        let source = &text[start..end];
        let lines = source.trim_start_matches('\n');
        number += 1 + (source.len() - lines.len()) as u32;
        if breaks_off(lines, &record) {
            return Err(Unreadable::UnclosedQuote { row: number });
        }
        let cells = filled(&record);
        if !cells.is_empty() {
            rows.push(Row { number, cells });
        }
    }
}

/// Only a quoted cell holds a line break, so a last one that does must end in its quotation mark.
fn breaks_off(source: &str, record: &csv::StringRecord) -> bool {
    let last = record.iter().next_back().unwrap_or_default();
    last.contains('\n') && !source.trim_end().ends_with('"')
}

fn filled(record: &csv::StringRecord) -> Vec<(u32, Cell)> {
    (0..)
        .zip(record.iter().map(typed))
        .filter(|(_, cell)| *cell != Cell::Blank)
        .collect()
}

/// `=` is refused because the author saw a formula's result, which this file does not hold.
/// `+`, `-` and `@` begin honest choices ("-cos(x)", "+5 V") and are dangerous only to programs
/// that evaluate cells: we never do, and we never write a spreadsheet that another might.
fn typed(raw: &str) -> Cell {
    match Cell::text(raw) {
        Cell::Text(text) if text.starts_with('=') => Cell::Formula,
        cell => cell,
    }
}

/// The candidate that parts the header line most often, outside quotation marks; a comma when
/// none does.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().find(|line| !line.trim().is_empty());
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in header.unwrap_or_default().bytes() {
        if byte == b'"' {
            quoted = !quoted;
        }
        for (candidate, count) in &mut counts {
            if byte == *candidate && !quoted {
                *count += 1;
            }
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max();
    counts
        .iter()
        .find(|(_, count)| Some(*count) == most)
        .map_or(b',', |(candidate, _)| *candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Grid {
        grid("bank", text.as_bytes()).unwrap()
    }

    fn texts(row: &Row) -> Vec<(String, &str)> {
        row.filled()
            .map(|(column, cell)| match cell {
                Cell::Text(text) => (row.address(column), text.as_str()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_text_file_is_named_like_its_sheet() {
        assert_eq!(sheet_name("Biology.v2.CSV"), Some("Biology.v2"));
        assert_eq!(sheet_name("C:\\bank/ray.tsv"), Some("ray"));
        for name in ["bank.xlsx", "csv", "", "a.csv/b"] {
            assert_eq!(sheet_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_header_line_determines_the_delimiter() {
        for (text, expected) in [
            ("Question,A,B\n1;2;3;4;5", b','),
            ("\n \nQuestion;A;B", b';'),
            ("Question\tA\tB", b'\t'),
            ("\"Question, or; its; text\",A,B", b','),
            ("Question", b','),
            ("", b','),
        ] {
            assert_eq!(delimiter(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_are_numbered_as_a_spreadsheet_numbers_them() {
        for line_end in ["\n", "\r\n", "\r"] {
            let text = "\n\u{A0}Question ,A\n\n\n\"two\n\nlines\",x\n , \n\nlast,y\n\n";
            let grid = read(&text.replace('\n', line_end));
            let numbers: Vec<u32> = grid.rows.iter().map(|row| row.number).collect();
            assert_eq!(numbers, [2, 5, 8]);
            assert_eq!(texts(&grid.rows[0])[0], ("A2".to_owned(), "Question"));
            assert_eq!(texts(&grid.rows[1])[0].1, "two\n\nlines");
            assert_eq!(texts(&grid.rows[2])[1], ("B8".to_owned(), "y"));
        }
    }

    #[test]
    fn only_an_equals_sign_makes_a_formula() {
        let grid = read("=cmd|' /C calc'!A0, =1+1,-cos(x),+5 V,@home,-5,a=b");
        let row = &grid.rows[0];
        assert_eq!(*row.cell(0), Cell::Formula);
        assert_eq!(*row.cell(1), Cell::Formula);
        for column in 2..7 {
            assert!(matches!(row.cell(column), Cell::Text(_)), "{column}");
        }
    }

    #[test]
    fn utf8_is_needed_and_its_mark_is_not() {
        assert_eq!(texts(&read("\u{FEFF}Question,A").rows[0])[0].1, "Question");
        assert_eq!(
            texts(&read("\u{6A9}\u{6CC}\u{627}").rows[0])[0].1,
            "\u{6A9}\u{6CC}\u{627}"
        );
        let latin1 = grid("bank", b"Caf\xE9,A").unwrap_err();
        assert_eq!(latin1, Unreadable::NotUtf8);
        let utf16 = grid("bank", b"\xFF\xFEQ\0").unwrap_err();
        assert_eq!(utf16, Unreadable::NotUtf8);
    }

    #[test]
    fn an_unclosed_quotation_mark_does_not_swallow_the_rest() {
        let text = "Question,Explanation\nQ1,\"open\nQ2,b\nQ3,c\n";
        let refused = grid("bank", text.as_bytes()).unwrap_err();
        assert_eq!(refused, Unreadable::UnclosedQuote { row: 2 });
        assert_eq!(read("Q1,\"two\nlines\"\nQ2,5\" pipe").rows.len(), 2);
    }
}
