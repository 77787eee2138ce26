//! What an import says about a sheet: how much came in, and which cells kept the rest out.

use serde::{Deserialize, Serialize};

/// The outcome for one sheet, for the person who can open it and mend the cells named here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SheetReport {
    /// The sheet's name; for a CSV file, the file's.
    pub name: String,
    /// Questions that are sound and not repetitions.
    pub imported: usize,
    /// Rows without a question between the header and the last row that has one.
    pub blank: usize,
    /// Each cell that keeps its row, or the whole sheet, from being imported.
    pub errors: Vec<Problem>,
    /// What was left out or let in on purpose, and deserves a look.
    pub warnings: Vec<Problem>,
}

/// One thing wrong with one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The cell as the spreadsheet names it, for example `B9`.
    pub cell: String,
    pub code: Code,
    /// What is wrong and what to do about it, in one sentence.
    pub message: String,
}

/// The kinds of problem; written `SCREAMING_SNAKE_CASE` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    // The header: nothing of the sheet is imported.
    NoQuestionColumn,
    NoChoiceColumns,
    NoAnswerColumn,
    DuplicateColumn,
    // What a cell holds: its row is refused.
    Formula,
    DateCell,
    ErrorCell,
    UnsafeText,
    UnsafeImage,
    TooLong,
    // What a question lacks: its row is refused.
    NoQuestion,
    MissingChoice,
    TooFewChoices,
    TooManyChoices,
    DuplicateChoice,
    NoAnswer,
    AnswerNotAChoice,
    AmbiguousAnswer,
    // Warnings.
    EmptySheet,
    DuplicateQuestion,
    SameText,
}

impl Problem {
    pub(super) fn new(cell: String, code: Code, message: impl Into<String>) -> Problem {
        let message = message.into();
        Problem { cell, code, message }
    }
}

/// As the code stands in JSON.
impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
