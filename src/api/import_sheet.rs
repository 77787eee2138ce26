//! The report of a sheet of an import: its findings, its columns, and the questions as they would become.

use async_graphql::{Context, Enum, SimpleObject};

use super::import_options::ImportColumnRole;
use crate::{
    api::payload::if_there,
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        loader::ImportQuestions,
        question::QuestionKind,
        quiz::{Quiz, quiz},
        scalar::Markdown,
    },
    entity::question::Kind,
    error::Result,
    id::{BankImportId, QuizId},
    import::{Code, Column, Imported, MAX_KEPT, Problem, own::WrittenChoice, preview::Previewed},
    page::{Page, Slice},
    text,
};

/// The import report of one sheet.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct ImportedSheet {
    /// The name of the sheet; for a CSV file the name of the file.
    name: String,
    /// The number of questions imported.
    question_count: i32,
    /// The number of blank rows between the others.
    blank_count: i32,
    /// Problems that kept a row, or the whole sheet, from being imported; at most the first 1,000 of the file.
    #[graphql(deprecation = "Use `findings`, which has pages, and `findingCounts`.")]
    errors: Vec<ImportProblem>,
    /// Notices about content that was skipped or accepted as is; at most the first 1,000 of the file.
    #[graphql(deprecation = "Use `findings`, which has pages, and `findingCounts`.")]
    warnings: Vec<ImportProblem>,
    #[graphql(skip)]
    findings: Vec<ImportFinding>,
    /// The number of findings of each kind, also of those that `findings` does not have.
    finding_counts: Vec<ImportFindingCount>,
    /// The number of questions that were left out because the draft had them already.
    skipped_count: i32,
    /// The columns of a sheet or of values in columns, as they were read; empty for other formats.
    columns: Vec<ImportColumn>,
    #[graphql(skip)]
    quiz: Option<QuizId>,
    /// The import, and the place of the sheet in it.
    #[graphql(skip)]
    place: (BankImportId, i32),
    #[graphql(skip)]
    waits: bool,
}

#[async_graphql::ComplexObject]
impl ImportedSheet {
    /// The findings by cell: errors in the order of their rows, then warnings. Of one file the first 1,000 are kept;
    /// `findingCounts` counts the others, too.
    async fn findings(
        &self,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<ImportFinding>> {
        let page = Page::of((first, last), (after, before), |cursor| cursor.parse::<usize>().ok())?;
        let total = self.findings.len() as u64;
        let within =
            |at: &usize| page.after.is_none_or(|after| *at > after) && page.before.is_none_or(|before| *at < before);
        let mut places: Vec<usize> = (0..self.findings.len()).filter(within).collect();
        if page.backward {
            places.reverse();
        }
        places.truncate(page.limit + 1);
        let total = Total::of(move |_| Box::pin(async move { Ok(total) }));
        let finding = |at: usize| self.findings[at].clone();
        Ok(connection(page.slice(places), total, usize::to_string, finding))
    }

    /// The questions as they would become, while the import is not confirmed yet; then there are none: see `quiz`.
    async fn questions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<ImportQuestion>> {
        let page = Page::of((first, last), (after, before), |cursor| cursor.parse::<i32>().ok())?;
        let total = if self.waits {
            self.question_count.max(0).unsigned_abs().into()
        } else {
            0
        };
        let slice = match self.waits {
            true => ctx.loader::<ImportQuestions>()?.load_one((self.place, page)).await?,
            false => None,
        };
        let slice = slice.unwrap_or_else(|| Slice {
            rows: Vec::new(),
            has_previous: false,
            has_next: false,
        });
        let total = Total::of(move |_| Box::pin(async move { Ok(total) }));
        Ok(connection(
            slice,
            total,
            |row| row.position.to_string(),
            ImportQuestion::from,
        ))
    }

    /// The quiz created from the sheet; `null` until it is published.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Option<Quiz>> {
        match self.quiz {
            Some(id) => if_there(quiz(ctx, id).await),
            None => Ok(None),
        }
    }
}

/// A problem in one cell.
#[derive(SimpleObject)]
pub(crate) struct ImportProblem {
    /// The cell in spreadsheet notation, e.g. `B7`; of Aiken and GIFT the line, e.g. `line 7`.
    cell: String,
    /// The kind of problem.
    code: ImportFindingCode,
    /// The problem, and how to fix it.
    message: String,
}

/// The kind of a finding. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ImportFindingCode", remote = "Code")]
pub(crate) enum ImportFindingCode {
    /// An error: no column has the questions. Nothing of the sheet was imported.
    NoQuestionColumn,
    /// An error: fewer than two columns have choices. Nothing of the sheet was imported.
    NoChoiceColumns,
    /// An error: no column has the answers. Nothing of the sheet was imported.
    NoAnswerColumn,
    /// An error: two columns have the same meaning. Nothing of the sheet was imported.
    DuplicateColumn,
    /// An error: the cell holds a formula; only values are read.
    Formula,
    /// An error: the spreadsheet has turned the text into a date.
    DateCell,
    /// An error: the cell holds an error of the spreadsheet.
    ErrorCell,
    /// An error: the text holds characters that no one types.
    UnsafeText,
    /// An error: the path of the picture leads outside of the pictures' folder.
    UnsafeImage,
    /// An error: the text is too long.
    TooLong,
    /// An error: the row has no question.
    NoQuestion,
    /// An error: a choice is missing between two others.
    MissingChoice,
    /// An error: the question has fewer than two choices.
    TooFewChoices,
    /// An error: the question has more choices than are allowed.
    TooManyChoices,
    /// An error: two choices of the question are the same.
    DuplicateChoice,
    /// An error: the row names no right answer.
    NoAnswer,
    /// An error: the answer is none of the choices.
    AnswerNotAChoice,
    /// An error: the answer may mean two of the choices, or is a number in a column whose numbers may be places or texts.
    AmbiguousAnswer,
    /// An error: the answer names several choices, and the question has one right choice.
    SeveralAnswers,
    /// An error: the row has more values than there are headings, so that some may have shifted.
    RowTooLong,
    /// An error: the formatting of the cell carries meaning and can't be kept.
    Formatting,
    /// An error: a picture lies on the cell; pictures in a sheet are not imported.
    Picture,
    /// An error: the question breaks the rules of its format.
    Malformed,
    /// An error: the question is of a kind that can't be imported.
    Unsupported,
    /// An error: the answer to a question for a number, or its tolerance, is no number.
    NotANumber,
    /// A warning: the sheet is empty.
    EmptySheet,
    /// A warning: the question repeats an earlier one, and was skipped.
    DuplicateQuestion,
    /// A warning: the text is that of an earlier question with other choices.
    SameText,
    /// A warning: a part of the file that holds no question, such as a title above the headings, was passed over.
    PassedOver,
    /// A warning: nothing of the column was imported, for its heading means nothing here.
    UnusedColumn,
    /// A warning: hidden rows were left out.
    HiddenRow,
    /// A warning: the sheet is hidden and was left out.
    HiddenSheet,
    /// A warning: text that is struck out was left out.
    StruckOut,
    /// A warning: the text may have been read in a wrong encoding before it came here.
    Mojibake,
    /// A warning: the question shares nearly all of its words with another of the file.
    NearDuplicate,
    /// A warning: the question shares nearly all of its words with one of a quiz of the site.
    InBank,
}

/// The weight of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportFindingSeverity {
    /// The row, or the whole sheet, was not imported.
    Error,
    /// Content was skipped or accepted as is.
    Warning,
}

impl From<Code> for ImportFindingSeverity {
    fn from(code: Code) -> Self {
        if code.is_warning() { Self::Warning } else { Self::Error }
    }
}

/// A finding in one cell.
#[derive(Clone, SimpleObject)]
pub(crate) struct ImportFinding {
    /// The cell in spreadsheet notation, e.g. `B7`; of Aiken and GIFT the line, e.g. `line 7`.
    cell: String,
    /// The kind of finding.
    code: ImportFindingCode,
    /// Whether it kept content from being imported.
    severity: ImportFindingSeverity,
    /// What was found, and how to fix it.
    message: String,
}

impl From<&Problem> for ImportFinding {
    fn from(problem: &Problem) -> Self {
        Self {
            cell: problem.cell.clone(),
            code: problem.code.into(),
            severity: problem.code.into(),
            message: problem.message.to_string(),
        }
    }
}

/// The number of findings of one kind.
#[derive(SimpleObject)]
pub(crate) struct ImportFindingCount {
    /// The kind of finding.
    code: ImportFindingCode,
    /// Whether they kept content from being imported.
    severity: ImportFindingSeverity,
    /// The number of cells it was found in.
    count: i32,
}

/// A column of a sheet, and how it was read.
#[derive(SimpleObject)]
pub(crate) struct ImportColumn {
    /// The letters of the column, e.g. `B`.
    letters: String,
    /// Its heading; `null` if that is no text.
    heading: Option<String>,
    /// What was read from it; `null` if nothing was, for the heading means nothing here.
    role: Option<ImportColumnRole>,
}

impl From<Column> for ImportColumn {
    fn from(column: Column) -> Self {
        Self {
            letters: column.letters,
            heading: column.heading,
            role: column.role.map(Into::into),
        }
    }
}

/// A question of an import that is not confirmed yet.
#[derive(SimpleObject)]
pub(crate) struct ImportQuestion {
    /// The cell it comes from, e.g. `A7`; of texts the line, e.g. `line 7`.
    cell: String,
    /// Position among the questions of the sheet, starting at 1.
    number: i32,
    /// What it asks for.
    kind: QuestionKind,
    /// The question.
    text: Markdown,
    /// Its choices; none if it asks for a number.
    choices: Vec<ImportChoice>,
    /// The right number, in decimal notation, if it asks for one.
    right_number: Option<String>,
    /// How far from the right number an answer may be, in decimal notation, if it asks for a number.
    tolerance: Option<String>,
    /// The explanation.
    explanation: Option<Markdown>,
    /// The name of the chapter.
    chapter: Option<String>,
    /// The path of its picture inside the image folder.
    image: Option<String>,
}

/// A choice of a question of an import.
#[derive(SimpleObject)]
pub(crate) struct ImportChoice {
    /// The choice.
    text: Markdown,
    /// Whether it is right.
    is_right: bool,
}

impl From<Previewed> for ImportQuestion {
    fn from(row: Previewed) -> Self {
        let question = row.question;
        let markdown = |text: &str| Markdown(text::Markdown::of(text));
        let choice = |choice: &WrittenChoice| ImportChoice {
            text: markdown(&choice.text),
            is_right: choice.is_right,
        };
        Self {
            cell: row.cell,
            number: row.position + 1,
            kind: question.kind().unwrap_or(Kind::SingleChoice).into(),
            text: markdown(&question.text),
            choices: question.choices.iter().map(choice).collect(),
            right_number: question.number,
            tolerance: question.tolerance,
            explanation: question.explanation.as_deref().map(markdown),
            chapter: question.chapter,
            image: question.image,
        }
    }
}

impl ImportedSheet {
    /// The report of a sheet by its place in an import, which may still wait to be confirmed.
    pub(super) fn of(import: BankImportId, place: i32, waits: bool, imported: Imported) -> Self {
        let problem = |problem: &Problem| ImportProblem {
            cell: problem.cell.clone(),
            code: problem.code.into(),
            message: problem.message.to_string(),
        };
        let report = imported.report;
        let count = |(code, count): (Code, usize)| ImportFindingCount {
            code: code.into(),
            severity: code.into(),
            count: i32::try_from(count).unwrap_or(i32::MAX),
        };
        Self {
            question_count: i32::try_from(report.imported).unwrap_or(i32::MAX),
            blank_count: i32::try_from(report.blank).unwrap_or(i32::MAX),
            // Older releases kept all findings of a file.
            errors: report.errors.iter().take(MAX_KEPT).map(problem).collect(),
            warnings: report.warnings.iter().take(MAX_KEPT).map(problem).collect(),
            findings: report.kept().map(ImportFinding::from).collect(),
            finding_counts: report.counts().into_iter().map(count).collect(),
            skipped_count: i32::try_from(imported.skipped).unwrap_or(i32::MAX),
            columns: report.columns.into_iter().map(ImportColumn::from).collect(),
            name: report.name,
            quiz: imported.quiz,
            place: (import, place),
            waits,
        }
    }
}
