//! Question banks: turns the rows of a sheet into checked questions, and reports the rest by cell.
//!
//! The rules are those of a careful editor. A row is imported whole or not at all, every cell that prevents it is
//! named, and an ambiguous row is refused, not guessed.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use super::sheet::{self, Grid, Row, Unreadable};
use crate::text::Markdown;

mod columns;
mod report;
mod row;

use columns::Columns;
use row::Reading;

pub(crate) use report::{Code, MAX_KEPT, Problem, SheetReport};

/// A question as a row gives it, with every rule of the import already kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// 1 to 4,000 characters; lines are parted by LF.
    pub text: Markdown,
    /// A relative path inside the image folder.
    pub image: Option<String>,
    /// Two to six, all different, of 1 to 500 characters each, on one line.
    pub choices: Vec<Markdown>,
    /// The right choice, counted from 0.
    pub right: usize,
    /// Up to 8,000 characters; lines are parted by LF.
    pub explanation: Option<Markdown>,
    /// Up to 120 characters on one line.
    pub chapter: Option<String>,
}

/// The result of one sheet: its valid questions in the order of their rows, and its report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sheet {
    pub report: SheetReport,
    pub questions: Vec<Question>,
}

/// Reads an uploaded XLSX workbook or CSV file into questions, sheet by sheet.
///
/// `file_name` is the name of the upload: it determines the format and names a CSV file's only sheet. With `only_sheet`
/// just that sheet is read. A bad row or sheet is reported; the error is for files that cannot be read at all.
pub(crate) fn read(file_name: &str, bytes: &[u8], only_sheet: Option<&str>) -> Result<Vec<Sheet>, Unreadable> {
    let grids = sheet::open(file_name, bytes, only_sheet)?;
    let mut room = MAX_KEPT;
    Ok(grids.into_iter().map(|grid| Sheet::of(&grid, &mut room)).collect())
}

impl Sheet {
    /// Reads a sheet. Of its findings as many are kept as there is room for.
    fn of(grid: &Grid, room: &mut usize) -> Sheet {
        let mut sheet = Sheet {
            report: SheetReport::of(grid.name.clone()),
            questions: Vec::new(),
        };
        let Some((header, rows)) = grid.rows.split_first() else {
            sheet.warn_empty("A1".to_owned(), room);
            return sheet;
        };
        match Columns::of(header) {
            Ok(columns) => sheet.take(header, rows, &columns, room),
            Err(problems) => problems
                .into_iter()
                .for_each(|problem| sheet.report.note(problem, room)),
        }
        sheet
    }

    fn take(&mut self, header: &Row, rows: &[Row], columns: &Columns, room: &mut usize) {
        let rows: Vec<&Row> = rows.iter().filter(|row| columns.any_filled(row)).collect();
        let Some(last) = rows.last() else {
            self.warn_empty(header.address(columns.question), room);
            return;
        };
        self.report.blank = (last.number - header.number) as usize - rows.len();
        let mut seen = Seen::default();
        for row in rows {
            self.take_row(row, columns, &mut seen, room);
        }
        self.report.imported = self.questions.len();
    }

    fn take_row(&mut self, row: &Row, columns: &Columns, seen: &mut Seen, room: &mut usize) {
        let cell = row.address(columns.question);
        let reading = Reading::of(row, columns);
        match seen.compare(&cell, &reading) {
            Likeness::None => self.keep(reading, None, room),
            Likeness::SameText { first } => {
                let message = format!(
                    "This asks the same as {first} with other choices; check that both are meant, for both are imported."
                );
                self.keep(reading, Some(Problem::new(cell, Code::SameText, message)), room);
            }
            Likeness::Repetition { first, agrees } => {
                let message = if agrees {
                    format!("This repeats the question at {first} and was left out; delete the row.")
                } else {
                    format!(
                        "This repeats the question at {first} with another answer and was left out; check the answer there and delete this row."
                    )
                };
                let warning = Problem::new(cell, Code::DuplicateQuestion, message);
                self.report.note(warning, room);
            }
        }
    }

    /// Takes a sound question in, with a warning if it has one; reports an unsound one.
    fn keep(&mut self, reading: Reading, warning: Option<Problem>, room: &mut usize) {
        match reading.question() {
            Ok(question) => {
                self.questions.push(question);
                warning.into_iter().for_each(|warning| self.report.note(warning, room));
            }
            Err(problems) => problems.into_iter().for_each(|problem| self.report.note(problem, room)),
        }
    }

    fn warn_empty(&mut self, cell: String, room: &mut usize) {
        let message = "This sheet holds no questions; nothing was read from it.";
        self.report.note(Problem::new(cell, Code::EmptySheet, message), room);
    }
}

/// The questions of the rows above, including refused ones, which are to be fixed there.
#[derive(Default)]
struct Seen {
    /// The first cell of each text. Texts are kept as digests: a file may have 64 MiB of them.
    texts: HashMap<Digest, String>,
    /// The first cell of each text with its set of choices.
    questions: HashMap<Digest, First>,
}

struct First {
    cell: String,
    right: Option<Digest>,
}

type Digest = [u8; 32];

fn digest<'t>(texts: impl IntoIterator<Item = &'t str>) -> Digest {
    let mut digest = Sha256::new();
    for text in texts {
        digest.update(text.len().to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

enum Likeness {
    None,
    /// Common in honest banks: "Which of these is correct?"
    SameText {
        first: String,
    },
    /// Also with the choices in another order. It agrees unless both give an answer and not the
    /// same.
    Repetition {
        first: String,
        agrees: bool,
    },
}

impl Seen {
    /// Compares a row with the rows above it, and adds it to them.
    fn compare(&mut self, cell: &str, reading: &Reading) -> Likeness {
        let Some(text) = reading.text() else {
            return Likeness::None;
        };
        let text = folded(text).to_lowercase();
        if let Some(choices) = reading.choices() {
            let mut choices: Vec<String> = choices.iter().map(|c| folded(c)).collect();
            choices.sort_unstable();
            let key = digest([text.as_str()].into_iter().chain(choices.iter().map(String::as_str)));
            let right = reading.right_choice().map(|right| digest([folded(right).as_str()]));
            if let Some(first) = self.questions.get(&key) {
                return Likeness::Repetition {
                    first: first.cell.clone(),
                    agrees: first.right.is_none() || right.is_none() || first.right == right,
                };
            }
            let cell = cell.to_owned();
            self.questions.insert(key, First { cell, right });
        }
        let text = digest([text.as_str()]);
        match self.texts.get(&text) {
            Some(first) => Likeness::SameText { first: first.clone() },
            None => {
                self.texts.insert(text, cell.to_owned());
                Likeness::None
            }
        }
    }
}

/// Text as it is compared: every run of blanks and line breaks is one blank.
fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
