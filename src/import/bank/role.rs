//! What a column holds: as its heading says, or as staff say.

use serde::{Deserialize, Serialize};

use super::headings::Role;

/// What a column holds, as staff say it where its heading does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ColumnRole {
    /// The question.
    Question,
    /// The first choice.
    ChoiceA,
    /// The second choice.
    ChoiceB,
    /// The third choice.
    ChoiceC,
    /// The fourth choice.
    ChoiceD,
    /// The fifth choice.
    ChoiceE,
    /// The sixth choice.
    ChoiceF,
    /// All choices in one cell.
    Choices,
    /// A wrong choice, beside the column of the right one.
    Wrong,
    /// The answer.
    Answer,
    /// The path of a picture.
    Image,
    /// The explanation.
    Explanation,
    /// The chapter.
    Chapter,
    /// The kind of question.
    Kind,
    /// The tolerance of a number.
    Tolerance,
    /// Whether the texts are Markdown.
    Format,
    /// Keeps the bank in order and is no part of a question.
    Record,
    /// Nothing: the column is not read.
    NotUsed,
}

/// A column by its heading or its letters, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapped {
    pub column: String,
    pub role: ColumnRole,
}

/// A column of a sheet, and how it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    /// Its letters, as the spreadsheet shows them.
    pub letters: String,
    pub heading: Option<String>,
    /// `None`: nothing of it was read.
    pub role: Option<ColumnRole>,
}

impl ColumnRole {
    /// The role of a column, with its preference; a column that is not read has none.
    pub(super) fn meant(self) -> Option<(Role, usize)> {
        let role = match self {
            Self::Question => Role::Question,
            Self::ChoiceA => Role::Choice(0),
            Self::ChoiceB => Role::Choice(1),
            Self::ChoiceC => Role::Choice(2),
            Self::ChoiceD => Role::Choice(3),
            Self::ChoiceE => Role::Choice(4),
            Self::ChoiceF => Role::Choice(5),
            Self::Choices => Role::Choices,
            Self::Wrong => Role::Wrong,
            Self::Answer => Role::Answer,
            Self::Image => Role::Image,
            Self::Explanation => Role::Explanation,
            Self::Chapter => Role::Chapter,
            Self::Kind => Role::Kind,
            Self::Tolerance => Role::Tolerance,
            Self::Format => Role::Format,
            Self::Record => Role::Record,
            Self::NotUsed => return None,
        };
        Some((role, 0))
    }

    pub(super) fn of(role: Role) -> Option<Self> {
        Some(match role {
            Role::Question => Self::Question,
            Role::Choice(index) => {
                let letters = [
                    Self::ChoiceA,
                    Self::ChoiceB,
                    Self::ChoiceC,
                    Self::ChoiceD,
                    Self::ChoiceE,
                    Self::ChoiceF,
                ];
                *letters.get(index)?
            }
            Role::Choices => Self::Choices,
            Role::Wrong => Self::Wrong,
            Role::Answer => Self::Answer,
            Role::Image => Self::Image,
            Role::Explanation => Self::Explanation,
            Role::Chapter => Self::Chapter,
            Role::Kind => Self::Kind,
            Role::Tolerance => Self::Tolerance,
            Role::Format => Self::Format,
            Role::Record => Self::Record,
        })
    }
}
