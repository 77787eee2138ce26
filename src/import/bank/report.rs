//! The report of a sheet's import: how many questions were imported, and which cells prevented the others.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

use super::role::Column;

/// The most findings of one file that are kept, over all its sheets; the others are counted.
pub(crate) const MAX_KEPT: usize = 1_000;

/// The outcome of one sheet, for the person who can open it and fix the cells named here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SheetReport {
    /// The sheet's name; for a CSV file, the file's.
    pub name: String,
    /// Questions that are sound and not repetitions.
    pub imported: usize,
    /// Rows without a question between the header and the last row that has one.
    pub blank: usize,
    /// The columns of its headings.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// Cells that keep their row, or the whole sheet, from being imported.
    pub errors: Vec<Problem>,
    /// Notices about content that was skipped or accepted as is.
    pub warnings: Vec<Problem>,
    /// How many findings there are of each kind, kept or not. Empty in reports of older releases, which kept all.
    #[serde(default)]
    counts: BTreeMap<Code, usize>,
}

impl SheetReport {
    pub(super) fn of(name: String) -> Self {
        Self {
            name,
            imported: 0,
            blank: 0,
            columns: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Counts a finding, and keeps it if there is room: an error in the place of the last warning.
    pub(super) fn note(&mut self, problem: Problem, room: &mut usize) {
        *self.counts.entry(problem.code).or_default() += 1;
        if *room == 0 && !problem.code.is_warning() && self.warnings.pop().is_some() {
            *room = 1;
        }
        if let Some(left) = room.checked_sub(1) {
            *room = left;
            if problem.code.is_warning() {
                self.warnings.push(problem);
            } else {
                self.errors.push(problem);
            }
        }
    }

    /// The findings that were kept: the errors in the order of their rows, then the warnings.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &Problem> {
        self.errors.iter().chain(&self.warnings)
    }

    /// How many findings there are of each kind.
    pub(crate) fn counts(&self) -> BTreeMap<Code, usize> {
        if !self.counts.is_empty() {
            return self.counts.clone();
        }
        let mut counts = BTreeMap::new();
        for problem in self.kept() {
            *counts.entry(problem.code).or_default() += 1;
        }
        counts
    }

    /// How many findings there are.
    pub(crate) fn findings(&self) -> usize {
        self.counts().values().sum()
    }

    /// Whether a row, or the whole sheet, was not imported.
    pub(crate) fn has_errors(&self) -> bool {
        self.counts().keys().any(|code| !code.is_warning())
    }
}

/// One thing wrong with one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Problem {
    /// The cell as the spreadsheet names it, for example `B9`.
    pub cell: String,
    pub code: Code,
    /// The problem and how to fix it, in one sentence.
    pub message: Cow<'static, str>,
}

/// The kinds of problem; written `SCREAMING_SNAKE_CASE` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    SeveralAnswers,
    // Contents of a file that refuse their row.
    RowTooLong,
    Formatting,
    Picture,
    Malformed,
    Unsupported,
    NotANumber,
    // Warnings.
    EmptySheet,
    DuplicateQuestion,
    SameText,
    PassedOver,
    UnusedColumn,
    HiddenRow,
    HiddenSheet,
    StruckOut,
    Mojibake,
    NearDuplicate,
    InBank,
}

impl Problem {
    pub(super) fn new(cell: String, code: Code, message: impl Into<Cow<'static, str>>) -> Problem {
        let message = message.into();
        Problem { cell, code, message }
    }
}

impl Code {
    /// Whether nothing was refused for it.
    pub(crate) fn is_warning(self) -> bool {
        matches!(
            self,
            Code::EmptySheet
                | Code::DuplicateQuestion
                | Code::SameText
                | Code::PassedOver
                | Code::UnusedColumn
                | Code::HiddenRow
                | Code::HiddenSheet
                | Code::StruckOut
                | Code::Mojibake
                | Code::NearDuplicate
                | Code::InBank
        )
    }
}

/// The code as in JSON.
impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
