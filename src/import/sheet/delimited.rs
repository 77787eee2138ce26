//! CSV files: values parted by comma, semicolon or tab.

use super::{Cell, Grid, Kind, Row, Unreadable};

/// The lines in which the headings are looked for.
const TITLES: usize = 10;

/// The endings of texts that are read: values in columns, Aiken, GIFT, our own JSON and Moodle's XML.
const ENDINGS: [&str; 6] = ["csv", "tsv", "txt", "gift", "json", "xml"];

/// The name a text file's only sheet goes by: the file's own, without folder and ending. `None`
/// when the ending does not promise questions.
pub(super) fn sheet_name(file_name: &str) -> Option<&str> {
    let base = file_name.rsplit(['/', '\\']).next()?;
    let (stem, ending) = base.rsplit_once('.')?;
    ENDINGS
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
        .then_some(stem)
}

/// The ending of a file's name.
pub(super) fn ending(file_name: &str) -> Option<&str> {
    file_name.rsplit_once('.').map(|(_, ending)| ending)
}

/// Reads values in columns. Lines end in LF.
pub(super) fn grid(name: &str, text: &str) -> Result<Grid, Unreadable> {
    Grid::new(name, rows(text)?, Vec::new())
}

fn rows(text: &str) -> Result<Vec<Row>, Unreadable> {
    let (said, text) = said_delimiter(text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(said.unwrap_or_else(|| delimiter(text)))
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let mut rows = Vec::new();
    let (mut number, mut end) = (u32::from(said.is_some()), 0);
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
            rows.push(Row {
                number,
                cells,
                flaws: Vec::new(),
                kind: Kind::Delimited,
            });
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

/// The delimiter that a first line `sep=;` names for Excel, and the text below it.
fn said_delimiter(text: &str) -> (Option<u8>, &str) {
    let (first, below) = text.split_once('\n').unwrap_or((text, ""));
    let first = first.trim_matches('"').to_ascii_lowercase();
    match first.strip_prefix("sep=").map(str::as_bytes) {
        Some([delimiter @ (b',' | b';' | b'\t' | b'|'), ..]) => (Some(*delimiter), below),
        _ => (None, text),
    }
}

/// The candidate that parts the first line of several values most often, outside quotation marks: a title above the
/// headings has none. A comma when none does.
fn delimiter(text: &str) -> u8 {
    let lines = text.lines().filter(|line| !line.trim().is_empty()).take(TITLES);
    let parted = lines.map(most).collect::<Vec<_>>();
    let first = parted.iter().find(|(_, count)| *count > 1).or(parted.first());
    first
        .filter(|(_, count)| *count > 0)
        .map_or(b',', |(candidate, _)| *candidate)
}

/// The most frequent candidate of a line, and how often it is there.
fn most(line: &str) -> (u8, usize) {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in line.bytes() {
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
    let first = counts.iter().find(|(_, count)| Some(*count) == most);
    first.copied().unwrap_or((b',', 0))
}

#[cfg(test)]
mod tests {
    use super::{super::encoding, *};

    fn open(name: &str, text: &str) -> Result<Grid, Unreadable> {
        grid(name, &encoding::decoded(text.as_bytes(), encoding::Encoding::Unsaid)?)
    }

    fn read(text: &str) -> Grid {
        open("bank.csv", text).unwrap()
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
            ("Biology, paper 1\nQuestion;A;B", b';'),
            ("Biology\n\nQuestion\tA\tB", b'\t'),
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
    fn the_mark_of_utf8_is_not_needed() {
        assert_eq!(texts(&read("\u{FEFF}Question,A").rows[0])[0].1, "Question");
        assert_eq!(
            texts(&read("\u{6A9}\u{6CC}\u{627}").rows[0])[0].1,
            "\u{6A9}\u{6CC}\u{627}"
        );
    }

    #[test]
    fn an_unclosed_quotation_mark_does_not_swallow_the_rest() {
        let text = "Question,Explanation\nQ1,\"open\nQ2,b\nQ3,c\n";
        let refused = open("bank", text).unwrap_err();
        assert_eq!(refused, Unreadable::UnclosedQuote { row: 2 });
        assert_eq!(read("Q1,\"two\nlines\"\nQ2,5\" pipe").rows.len(), 2);
    }

    #[test]
    fn a_first_line_may_name_the_delimiter() {
        for (text, numbers) in [
            ("sep=;\nA;B,C\n", vec![2]),
            ("\"sep=;\"\n\nA;B,C", vec![3]),
            ("SEP=;\nA;B,C", vec![2]),
        ] {
            let grid = read(text);
            assert_eq!(grid.rows.iter().map(|row| row.number).collect::<Vec<_>>(), numbers);
            assert_eq!(texts(&grid.rows[0])[1].1, "B,C");
        }
    }
}
