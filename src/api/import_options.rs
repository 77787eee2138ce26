//! How an import reads a file, in the API.

use async_graphql::{Enum, InputObject};

use crate::{
    error::{Error, Result},
    import::{self, Encoding, Mapped, Numbers, Several},
    text,
};

/// The most columns that are mapped.
const MAX_COLUMNS: usize = 100;

/// How to read a file.
#[derive(InputObject)]
pub(crate) struct ImportOptionsInput {
    /// What numbers among the answers are. By default they are refused if the column leaves it open.
    numbers: Option<ImportNumbers>,
    /// What an answer asks for that names several choices. By default it is refused unless the row names its kind.
    several: Option<ImportSeveral>,
    /// Whether to read hidden rows and sheets.
    hidden: Option<bool>,
    /// The encoding of a text file. By default UTF-8, or UTF-16 with its mark.
    encoding: Option<ImportEncoding>,
    /// What columns hold whose headings are not known, or are to be read otherwise; at most 100.
    columns: Option<Vec<ImportColumnInput>>,
}

/// A column, and what it holds.
#[derive(InputObject)]
pub(crate) struct ImportColumnInput {
    /// The heading of the column, or its letters, e.g. `C`.
    column: String,
    /// What it holds.
    role: ImportColumnRole,
}

/// What a column of a question bank holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ImportColumnRole", remote = "import::ColumnRole")]
pub(crate) enum ImportColumnRole {
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
    /// The path of a picture inside the image folder.
    Image,
    /// The explanation.
    Explanation,
    /// The chapter.
    Chapter,
    /// The kind of question: `SINGLE_CHOICE`, `ALL_CHOICES`, `ANY_CHOICE`, `TRUE_FALSE` or `NUMBER`.
    Kind,
    /// How far from the right number an answer may be.
    Tolerance,
    /// Whether the texts of the row are `plain` or `markdown`.
    Format,
    /// Keeps the bank in order and is no part of a question: its number, its year.
    Record,
    /// Nothing that is read.
    NotUsed,
}

/// What numbers among the answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportNumbers {
    /// The text of a choice.
    Text,
    /// The place of a choice, from 1.
    Place,
    /// The place of a choice, from 0.
    Zero,
}

/// What an answer asks for that names several choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportSeveral {
    /// All of them and no other.
    All,
    /// Any one of them.
    Any,
}

/// The encoding of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportEncoding {
    /// Windows-1252, which Excel in Western Europe writes as plain "CSV".
    #[graphql(name = "WINDOWS_1252")]
    Windows1252,
}

impl ImportOptionsInput {
    /// The settings of the import.
    pub(super) fn read(self) -> Result<import::Settings> {
        let columns = self.columns.unwrap_or_default();
        if columns.len() > MAX_COLUMNS {
            let message = format!("At most {MAX_COLUMNS} columns are mapped.");
            return Err(Error::input("options", message));
        }
        let mapped = |column: ImportColumnInput| {
            Ok(Mapped {
                column: text::name("options", &column.column, 200)?,
                role: column.role.into(),
            })
        };
        Ok(import::Settings {
            numbers: self.numbers.map_or(Numbers::Unsaid, |numbers| match numbers {
                ImportNumbers::Text => Numbers::Text,
                ImportNumbers::Place => Numbers::Place,
                ImportNumbers::Zero => Numbers::Zero,
            }),
            several: self.several.map_or(Several::Unsaid, |several| match several {
                ImportSeveral::All => Several::All,
                ImportSeveral::Any => Several::Any,
            }),
            hidden: self.hidden.unwrap_or(false),
            encoding: self.encoding.map_or(Encoding::Unsaid, |_| Encoding::Windows1252),
            columns: columns.into_iter().map(mapped).collect::<Result<_>>()?,
        })
    }
}
