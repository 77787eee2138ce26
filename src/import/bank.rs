//! Question banks: turns the rows of a sheet into checked questions, and reports the rest by cell.
//!
//! The rules are those of a careful editor. A row is imported whole or not at all, every cell that prevents it is
//! named, and an ambiguous row is refused, not guessed.

use std::{borrow::Cow, collections::HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::sheet::{self, Cell, Encoding, Grid, Remark, Row, Unreadable};
use crate::{entity::question::Kind, quiz::right::Right, text::Markdown};

mod alike;
mod answer;
mod columns;
mod directions;
mod headings;
mod image;
mod kind;
mod mojibake;
pub(crate) mod near;
mod one_cell;
mod report;
mod role;
mod row;

use alike::{as_named, as_seen};
use answer::Convention;
use columns::{Choices, Columns};
use row::Reading;

pub use answer::Numbers;
pub use kind::Several;
pub(crate) use report::{Code, MAX_KEPT, Problem, SheetReport};
pub(crate) use role::Column;
pub use role::{ColumnRole, Mapped};

/// What a file leaves open and the person who sends it may say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// What the numbers among the answers are.
    pub numbers: Numbers,
    /// Whether hidden rows and sheets are read, too.
    pub hidden: bool,
    /// What an answer asks for that names several choices.
    pub several: Several,
    /// The letters of a text file.
    pub encoding: Encoding,
    /// What columns hold whose headings are not known, or are not to be read as they are.
    pub columns: Vec<Mapped>,
}

/// A question as a row gives it, with every rule of the import already kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// 1 to 4,000 characters; lines are parted by LF.
    pub text: Markdown,
    /// A relative path inside the image folder.
    pub image: Option<String>,
    /// Two to six, all different, of 1 to 500 characters each, on one line; none of a question for a number.
    pub choices: Vec<Markdown>,
    /// What is asked for.
    pub kind: Kind,
    /// What is right.
    pub right: Right,
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
    /// The cell or line of each question.
    pub cells: Vec<String>,
}

/// Reads an uploaded file into questions, sheet by sheet: a workbook, values in columns, Aiken or GIFT.
///
/// `file_name` is the name of the upload: it determines the format and names a CSV file's only sheet. With `only_sheet`
/// just that sheet is read. A bad row or sheet is reported; the error is for files that cannot be read at all.
pub(crate) fn read(
    file_name: &str,
    bytes: &[u8],
    only_sheet: Option<&str>,
    settings: &Settings,
) -> Result<Vec<Sheet>, Unreadable> {
    let grids = sheet::open(file_name, bytes, only_sheet, settings.hidden, settings.encoding)?;
    let mut room = MAX_KEPT;
    let mut sheets: Vec<Sheet> = grids
        .into_iter()
        .map(|grid| Sheet::of(&grid, settings, &mut room))
        .collect();
    near::warn(&mut sheets, &mut room);
    one_name_a_chapter(&mut sheets);
    Ok(sheets)
}

/// Chapters whose names differ by case and blanks only are one, by the name that comes first.
fn one_name_a_chapter(sheets: &mut [Sheet]) {
    one_name_of_chapters(sheets.iter_mut().flat_map(|sheet| &mut sheet.questions));
}

pub(crate) fn one_name_of_chapters<'q>(questions: impl IntoIterator<Item = &'q mut Question>) {
    let mut names: HashMap<String, String> = HashMap::new();
    for chapter in questions.into_iter().filter_map(|question| question.chapter.as_mut()) {
        let first = names.entry(as_named(chapter)).or_insert_with(|| chapter.clone());
        chapter.clone_from(first);
    }
}

impl Sheet {
    /// Reads a sheet. Of its findings as many are kept as there is room for.
    fn of(grid: &Grid, settings: &Settings, room: &mut usize) -> Sheet {
        let mut sheet = Sheet {
            report: SheetReport::of(grid.name.clone()),
            questions: Vec::new(),
            cells: Vec::new(),
        };
        for remark in &grid.remarks {
            sheet.report.note(remarked(remark), room);
        }
        if grid.rows.is_empty() {
            if !grid.is_left_out() {
                sheet.warn_empty("A1".to_owned(), room);
            }
            return sheet;
        }
        let (titles, rows) = grid.rows.split_at(columns::header(&grid.rows, &settings.columns));
        let Some((header, rows)) = rows.split_first() else {
            return sheet;
        };
        let columns = Columns::of(header, &settings.columns);
        if !header.is_of_lines() {
            sheet.report.columns = columns::listed(header, &settings.columns, columns.as_ref().ok());
        }
        match columns {
            Ok(columns) => {
                titles.iter().for_each(|title| sheet.pass_over(title, room));
                let unused = columns::unused(header, rows, &columns);
                unused.into_iter().for_each(|problem| sheet.report.note(problem, room));
                sheet.take(header, rows, &columns, settings, room);
            }
            Err(problems) => problems
                .into_iter()
                .for_each(|problem| sheet.report.note(problem, room)),
        }
        sheet
    }

    /// Says that a row above the header is no question.
    fn pass_over(&mut self, title: &Row, room: &mut usize) {
        let start = title.filled().next().map_or(0, |(column, _)| column);
        let message = "This row stands above the headings and was passed over, with any picture on it.";
        let warning = Problem::new(title.address(start), Code::PassedOver, message);
        self.report.note(warning, room);
    }

    fn take(&mut self, header: &Row, rows: &[Row], columns: &Columns, settings: &Settings, room: &mut usize) {
        let is_taken = |row: &&Row| columns.any_filled(row) || !row.flaws().is_empty();
        let rows: Vec<&Row> = rows.iter().filter(is_taken).collect();
        let Some(last) = rows.last() else {
            self.warn_empty(header.address(columns.question), room);
            return;
        };
        self.report.blank = header.blanks_until(last, rows.len());
        let answers = rows.iter().filter_map(|row| answer_of(row, columns));
        let convention = Convention::of(settings.numbers, answers);
        let mut seen = Seen::default();
        for row in rows {
            let reading = Reading::of(row, columns, convention, settings.several);
            self.take_row(row.address(columns.question), reading, &mut seen, room);
        }
        self.report.imported = self.questions.len();
    }

    fn take_row(&mut self, cell: String, reading: Reading, seen: &mut Seen, room: &mut usize) {
        match seen.compare(&cell, &reading) {
            Likeness::None => self.keep(cell, reading, None, room),
            Likeness::SameText { first } => {
                let message = format!(
                    "This asks the same as {first} with other choices; check that both are meant, for both are imported."
                );
                let warning = Problem::new(cell.clone(), Code::SameText, message);
                self.keep(cell, reading, Some(warning), room);
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
    fn keep(&mut self, cell: String, mut reading: Reading, warning: Option<Problem>, room: &mut usize) {
        let warnings = std::mem::take(&mut reading.warnings);
        warnings.into_iter().for_each(|warning| self.report.note(warning, room));
        match reading.question() {
            Ok(question) => {
                self.questions.push(question);
                self.cells.push(cell);
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
        let text = as_seen(text).to_lowercase();
        if let Some(choices) = reading.choices() {
            let mut choices: Vec<String> = choices.iter().map(|c| as_seen(c)).collect();
            choices.sort_unstable();
            let key = digest([text.as_str()].into_iter().chain(choices.iter().map(String::as_str)));
            let right = reading
                .right_texts()
                .map(|right| digest(right.iter().map(String::as_str)));
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

/// The answer of a row with the texts of its choices, as far as they are text.
fn answer_of<'r>(row: &'r Row, columns: &Columns) -> Option<(&'r str, Vec<Cow<'r, str>>)> {
    let text = |column: u32| match row.cell(column) {
        Cell::Text(text) => Some(text.as_str()),
        _ => None,
    };
    // A number that is asked for is no choice.
    if columns.kind.and_then(text).is_some_and(kind::is_number) {
        return None;
    }
    let choices = match &columns.choices {
        Choices::Columns { columns, .. } => columns
            .iter()
            .filter_map(|column| Some(text(*column)?.into()))
            .collect(),
        Choices::OneCell(column) => one_cell::parted(text(*column)?).into_iter().map(Cow::from).collect(),
        // The answer is the right choice itself.
        Choices::Wrong(_) => return None,
    };
    Some((text(columns.answer)?, choices))
}

fn remarked(remark: &Remark) -> Problem {
    match remark {
        Remark::HiddenSheet => Problem::new(
            "A1".to_owned(),
            Code::HiddenSheet,
            "This sheet is hidden and was left out; show it, or ask for it by its name.",
        ),
        Remark::HiddenRows(rows) => {
            let named: Vec<String> = rows.iter().take(10).map(u32::to_string).collect();
            let more = if rows.len() > named.len() { ", \u{2026}" } else { "" };
            let message = format!(
                "Hidden rows were left out ({}: {}{more}); show them if they are meant.",
                rows.len(),
                named.join(", ")
            );
            let first = rows.first().copied().unwrap_or(1);
            Problem::new(format!("A{first}"), Code::HiddenRow, message)
        }
        Remark::PassedOver { cell, message } => Problem::new(cell.clone(), Code::PassedOver, message.clone()),
    }
}

#[cfg(test)]
mod tests;
