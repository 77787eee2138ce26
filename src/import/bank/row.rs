//! One row: a whole question, or every cell that prevents it.

use std::borrow::Cow;

use super::{
    Question,
    alike::as_seen,
    answer::{Convention, Meaning, meaning},
    columns::{Choices, Columns},
    directions::unpaired,
    headings::MAX_CHOICES,
    image::is_safe_image,
    mojibake::looks_misread,
    one_cell,
    report::{Code, Problem},
};
use crate::{
    import::sheet::{Cell, Flaw, Row},
    text::{Markdown, REPLACEMENT, is_unsafe},
};

// Lengths in characters.
const MAX_QUESTION: usize = 4_000;
const MAX_CHOICE: usize = 500;
const MAX_EXPLANATION: usize = 8_000;
const MAX_CHAPTER: usize = 120;
/// A letter with the text of its choice.
const MAX_ANSWER: usize = MAX_CHOICE + 100;
/// All choices in one cell.
const MAX_LIST: usize = MAX_CHOICES * MAX_CHOICE;

const TOO_MANY: &str = "A question has at most six choices, A to F; take one away.";

/// The content of a row, as far as it could be read.
pub(super) struct Reading {
    text: Option<String>,
    /// The choices, if they form a list that an answer can be looked up in.
    choices: Option<Vec<String>>,
    right: Option<usize>,
    image: Option<String>,
    explanation: Option<String>,
    chapter: Option<String>,
    /// Every bad cell of the row; the row is sound when there is none.
    problems: Vec<Problem>,
    /// What to look at, though the row is sound.
    pub(super) warnings: Vec<Problem>,
}

impl Reading {
    pub(super) fn of(row: &Row, columns: &Columns, convention: Convention) -> Reading {
        let mut cells = Cells {
            row,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        cells.flaws();
        // Of a question that could not be read there is no more to say, nor of a row that holds nothing else.
        if !cells.problems.is_empty() && cells.row.is_of_lines() || !columns.any_filled(row) {
            return cells.nothing();
        }
        cells.surplus(columns.last);
        let text = cells.question(columns.question);
        let image = columns.image.and_then(|column| cells.image(column));
        let (choices, right) = match &columns.choices {
            Choices::Wrong(wrong) => cells.right_and_wrong(columns.answer, wrong),
            choices => {
                let choices = cells.choices(choices);
                let right = cells.answer(columns.answer, choices.as_deref(), convention);
                (choices, right)
            }
        };
        let explanation = columns
            .explanation
            .and_then(|column| cells.text(column, MAX_EXPLANATION));
        let chapter = columns.chapter.and_then(|column| cells.line(column, MAX_CHAPTER));
        Reading {
            text,
            choices,
            right,
            image,
            explanation,
            chapter,
            problems: cells.problems,
            warnings: cells.warnings,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn choices(&self) -> Option<&[String]> {
        self.choices.as_deref()
    }

    /// The text of the right choice.
    pub(super) fn right_choice(&self) -> Option<&str> {
        let right = self.right?;
        self.choices()?.get(right).map(String::as_str)
    }

    /// The question, or all that is wrong with it: never half a question.
    pub(super) fn question(self) -> Result<Question, Vec<Problem>> {
        match (self.text, self.choices, self.right) {
            (Some(text), Some(choices), Some(right)) if self.problems.is_empty() => Ok(Question {
                text: Markdown::plain(&text),
                image: self.image,
                choices: choices.iter().map(|choice| Markdown::plain(choice)).collect(),
                right,
                explanation: self.explanation.as_deref().map(Markdown::plain),
                chapter: self.chapter,
            }),
            _ => Err(self.problems),
        }
    }
}

/// A row being read: each method takes what it can and notes what is wrong.
struct Cells<'a> {
    row: &'a Row,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Cells<'a> {
    fn note(&mut self, column: u32, code: Code, message: impl Into<Cow<'static, str>>) {
        let cell = self.row.address(column);
        self.problems.push(Problem::new(cell, code, message));
    }

    /// The row without a question.
    fn nothing(self) -> Reading {
        Reading {
            text: None,
            choices: None,
            right: None,
            image: None,
            explanation: None,
            chapter: None,
            problems: self.problems,
            warnings: self.warnings,
        }
    }

    fn warn(&mut self, column: u32, code: Code, message: impl Into<Cow<'static, str>>) {
        let cell = self.row.address(column);
        self.warnings.push(Problem::new(cell, code, message));
    }

    /// What the file itself says about the row's cells.
    fn flaws(&mut self) {
        for (column, flaw) in self.row.flaws() {
            match flaw {
                Flaw::Struck => self.warn(
                    *column,
                    Code::StruckOut,
                    "Text that is struck out here was left out; delete it, or take the line through it away.",
                ),
                Flaw::Picture => self.note(
                    *column,
                    Code::Picture,
                    "A picture lies on this cell, and pictures in a sheet can\u{2019}t be imported; take it away, and name its file in a column \u{201C}Image\u{201D}.",
                ),
                Flaw::Malformed(message) => self.note(*column, Code::Malformed, message.clone()),
                Flaw::Unsupported(message) => self.note(*column, Code::Unsupported, message.clone()),
                Flaw::NotUsed(message) => self.warn(*column, Code::UnusedColumn, message.clone()),
            }
        }
    }

    /// Values in columns have shifted if there are more of them than headings.
    fn surplus(&mut self, last: u32) {
        if self.row.is_delimited()
            && let Some((column, _)) = self.row.filled().find(|(column, _)| *column > last)
        {
            let message = "This cell is under no heading, so the cells before it may have shifted; a comma inside a text wants quotation marks around the text.";
            self.note(column, Code::RowTooLong, message);
        }
    }

    fn is_blank(&self, column: u32) -> bool {
        *self.row.cell(column) == Cell::Blank
    }

    /// The typed text of a cell; what was not typed cannot be trusted to be what was meant.
    fn typed(&mut self, column: u32) -> Option<&'a str> {
        let (code, message) = match self.row.cell(column) {
            Cell::Blank => return None,
            Cell::Text(text) => return Some(text),
            Cell::Formula => (
                Code::Formula,
                "This cell holds a formula; replace it by the value it should show.",
            ),
            Cell::Date => (
                Code::DateCell,
                "The spreadsheet has made this a date or time; format the cell as text and type the value again.",
            ),
            Cell::Error => (
                Code::ErrorCell,
                "This cell shows an error of the spreadsheet; type the value itself.",
            ),
            Cell::Formatted => (
                Code::Formatting,
                "This cell is formatted in a way that can\u{2019}t be kept and may carry meaning; type what it shows as text, a formula as $x^{n+1}$.",
            ),
        };
        self.note(column, code, message);
        None
    }

    /// Text of at most `limit` characters, its line breaks kept.
    fn text(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = unpaired(self.typed(column)?);
        let length = text.chars().count();
        if text.contains(is_unsafe) {
            self.note(
                column,
                Code::UnsafeText,
                "This cell holds an invisible character that can garble what is shown; delete the text and type it again.",
            );
            return None;
        }
        if text.contains(REPLACEMENT) {
            let message = "This cell holds U+FFFD (\u{FFFD}) for letters that could not be read; type them again.";
            self.note(column, Code::UnsafeText, message);
            return None;
        }
        if length > limit {
            self.note(
                column,
                Code::TooLong,
                format!("This text has {length} characters; shorten it to {limit}."),
            );
            return None;
        }
        if let Some(meant) = looks_misread(&text) {
            let message = format!(
                "This text may have been read in the wrong encoding before it came here (\u{201C}{meant}\u{201D}?); it was imported as it is."
            );
            self.warn(column, Code::Mojibake, message);
        }
        Some(text)
    }

    /// Text that is shown on one line.
    fn line(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = self.text(column, limit)?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(lines.join(" "))
    }

    fn question(&mut self, column: u32) -> Option<String> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::NoQuestion,
                "The question is missing; type it here or empty the whole row.",
            );
        }
        self.text(column, MAX_QUESTION)
    }

    fn image(&mut self, column: u32) -> Option<String> {
        let path = self.typed(column)?;
        if !is_safe_image(path) {
            self.note(
                column,
                Code::UnsafeImage,
                "This is not a picture inside the image folder; give a path such as \u{201C}cells/frog.png\u{201D} to a png, jpg, gif or webp file.",
            );
            return None;
        }
        Some(path.to_owned())
    }

    /// The choices from A on, if they are two to six without a gap and all of them can be read.
    fn choices(&mut self, choices_of: &Choices) -> Option<Vec<String>> {
        let before = self.problems.len();
        let choices: Vec<(u32, String)> = match choices_of {
            Choices::OneCell(column) => self.choices_of_one_cell(*column)?,
            Choices::Columns { columns, .. } | Choices::Wrong(columns) => {
                let filled = self.filled_choices(columns);
                let choice = |column: &u32| Some((*column, self.line(*column, MAX_CHOICE)?));
                filled.iter().filter_map(choice).collect()
            }
        };
        if let Choices::Columns {
            surplus: Some(surplus), ..
        } = choices_of
            && !self.is_blank(*surplus)
        {
            self.note(*surplus, Code::TooManyChoices, TOO_MANY);
        }
        let complete = self.problems.len() == before;
        self.refuse_repeated(&choices);
        complete.then(|| choices.into_iter().map(|(_, text)| text).collect())
    }

    /// The choices that one cell holds.
    fn choices_of_one_cell(&mut self, column: u32) -> Option<Vec<(u32, String)>> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::TooFewChoices,
                "The choices are missing; type at least two.",
            );
        }
        let text = self.text(column, MAX_LIST)?;
        let choices = one_cell::parted(&text);
        if choices.len() < 2 {
            let message = "These choices can\u{2019}t be told apart; write each on a line of its own, or as \u{201C}A) \u{2026} B) \u{2026}\u{201D}.";
            self.note(column, Code::TooFewChoices, message);
        } else if choices.len() > MAX_CHOICES {
            self.note(column, Code::TooManyChoices, TOO_MANY);
        } else if let Some(long) = choices
            .iter()
            .map(|c| c.chars().count())
            .find(|length| *length > MAX_CHOICE)
        {
            let message = format!("A choice in this cell has {long} characters; shorten it to {MAX_CHOICE}.");
            self.note(column, Code::TooLong, message);
        }
        Some(choices.into_iter().map(|choice| (column, choice)).collect())
    }

    /// Choices of which one column has the right one. They are listed in the order of their texts: the right one first would
    /// give it away.
    fn right_and_wrong(&mut self, right: u32, wrong: &[u32]) -> (Option<Vec<String>>, Option<usize>) {
        let before = self.problems.len();
        if self.is_blank(right) {
            self.note(right, Code::NoAnswer, "The right choice is missing; type it here.");
        }
        let filled: Vec<u32> = wrong.iter().copied().filter(|column| !self.is_blank(*column)).collect();
        if filled.is_empty() {
            self.note(
                wrong[0],
                Code::TooFewChoices,
                "A question needs at least one wrong choice; add one here.",
            );
        }
        if let Some(surplus) = filled.get(MAX_CHOICES - 1) {
            self.note(*surplus, Code::TooManyChoices, TOO_MANY);
        }
        let all = std::iter::once(right).chain(filled);
        let mut choices: Vec<(u32, String)> = all
            .filter_map(|column| Some((column, self.line(column, MAX_CHOICE)?)))
            .collect();
        self.refuse_repeated(&choices);
        if self.problems.len() > before {
            return (None, None);
        }
        choices.sort_by_cached_key(|(_, text)| as_seen(text).to_lowercase());
        let place = choices.iter().position(|(column, _)| *column == right);
        (Some(choices.into_iter().map(|(_, text)| text).collect()), place)
    }

    /// The columns of the choices that a row fills; notes gaps, and too few.
    fn filled_choices(&mut self, columns: &[u32]) -> Vec<u32> {
        let (filled, empty): (Vec<u32>, Vec<u32>) = columns.iter().partition(|column| !self.is_blank(**column));
        let letters_used = columns.iter().rposition(|column| !self.is_blank(*column));
        let gaps = &columns[..letters_used.unwrap_or(0)];
        let gaps: Vec<u32> = gaps.iter().copied().filter(|c| empty.contains(c)).collect();
        for gap in &gaps {
            self.note(
                *gap,
                Code::MissingChoice,
                "This choice is empty though a later one is not; fill it or move the later ones up.",
            );
        }
        if gaps.is_empty()
            && filled.len() < 2
            && let Some(next) = empty.first()
        {
            self.note(
                *next,
                Code::TooFewChoices,
                "A question needs at least two choices; add one here.",
            );
        }
        filled
    }

    /// They are compared as a reader sees them.
    fn refuse_repeated(&mut self, choices: &[(u32, String)]) {
        let shown = |text: &String| as_seen(text);
        for (index, (column, text)) in choices.iter().enumerate() {
            let earlier = &choices[..index];
            if let Some((first, _)) = earlier.iter().find(|(_, e)| shown(e) == shown(text)) {
                let message = if first == column {
                    format!("Two choices in this cell look the same (\u{201C}{text}\u{201D}); change one of the two.")
                } else {
                    let first = self.row.address(*first);
                    format!("This choice repeats {first}, or looks the same; change one of the two.")
                };
                self.note(*column, Code::DuplicateChoice, message);
            }
        }
    }

    /// The index of the right choice. If choices are incomplete themselves, only an empty or unreadable answer is
    /// reported: whether it names one of them is not known yet.
    fn answer(&mut self, column: u32, choices: Option<&[String]>, convention: Convention) -> Option<usize> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::NoAnswer,
                "The answer is missing; give the letter of the right choice.",
            );
        }
        let answer = self.line(column, MAX_ANSWER)?;
        let (code, message) = match meaning(&answer, choices?, convention) {
            Meaning::One(right) => return Some(right),
            Meaning::None => (
                Code::AnswerNotAChoice,
                "This names none of the choices; give the letter of the right one.",
            ),
            Meaning::Ambiguous => (
                Code::AmbiguousAnswer,
                "This can mean more than one choice, by letter, position or text; give an answer that fits only one.",
            ),
            Meaning::Several => (
                Code::SeveralAnswers,
                "This names more than one choice, and a question has one right choice; give its letter.",
            ),
            Meaning::Unclear(Convention::SomeZero) => (
                Code::AmbiguousAnswer,
                "An answer of this column is 0, so its numbers may count from 0 or from 1; give letters, or say how they count.",
            ),
            Meaning::Unclear(_) => (
                Code::AmbiguousAnswer,
                "The numbers of this column may be texts of choices or their places; give letters, or say which they are.",
            ),
        };
        self.note(column, code, message);
        None
    }
}
