//! The report of a sheet's import: how many questions were imported, and which cells prevented the others.

use serde::{Deserialize, Serialize};

/// The outcome of one sheet, for the person who can open it and fix the cells named here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SheetReport {
    /// The sheet's name; for a CSV file, the file's.
    pub name: String,
    /// Questions that are sound and not repetitions.
    pub imported: usize,
    /// Rows without a question between the header and the last row that has one.
    pub blank: usize,
    /// Each cell that keeps its row, or the whole sheet, from being imported.
    pub errors: Vec<Problem>,
    /// Notices about content that was skipped or accepted as is.
    pub warnings: Vec<Problem>,
}

/// One thing wrong with one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// The cell as the spreadsheet names it, for example `B9`.
    pub cell: String,
    pub code: Code,
    /// The problem and how to fix it, in one sentence.
    pub message: String,
}

/// The kinds of problem; written `SCREAMING_SNAKE_CASE` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    // The header: nothing of the sheet is imported.
    NoQuestionColumn,
    NoChoiceColumns,
    NoAnswerColumn,
    DuplicateColumn,
    // Contents of a cell that refuse its row.
    Formula,
    DateCell,
    ErrorCell,
    UnsafeText,
    UnsafeImage,
    TooLong,
    // Missing parts of a question that refuse its row.
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

/// The code as in JSON.
impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
