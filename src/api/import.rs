//! Imports in the API, for staff.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    api::payload::{as_payload, if_there},
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        cost::charge,
        guard::Needs,
        loader::BankImports,
        payload::{UserError, date_time},
        quiz::{Quiz, quiz},
        scalar::{DateTime, Upload},
        user::{User, user},
    },
    error::{Error, Result},
    id::{BankImportId, QuizId},
    import::{
        Code, Imported, MAX_KEPT, Order, Problem,
        background::{self, BankImport as Model},
    },
    page::Page,
};

/// The import of a question bank, and its report.
pub(crate) struct BankImport(pub(super) Model);

/// The import of a question bank, and its report.
#[Object]
impl BankImport {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The name of the file.
    async fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// The account that sent the file; `null` after it was deleted.
    async fn wanted_by(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        if_there(user(ctx, self.0.wanted_by).await)
    }

    /// The time of the upload.
    async fn created_at(&self) -> DateTime {
        date_time(self.0.created_at)
    }

    /// The time the import finished; `null` until then.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(date_time)
    }

    /// The report of each sheet; empty until the import has finished, and if nothing could be imported: see `error`.
    async fn sheets(&self, ctx: &Context<'_>) -> Result<Vec<ImportedSheet>> {
        let sheets = self.0.sheets().unwrap_or_default();
        charge(ctx, sheets.len())?;
        Ok(sheets.into_iter().map(ImportedSheet::from).collect())
    }

    /// The reason nothing was imported from the file, and how to fix it.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }
}

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
    #[graphql(skip)]
    quiz: Option<QuizId>,
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

impl From<Imported> for ImportedSheet {
    fn from(imported: Imported) -> Self {
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
            name: report.name,
            quiz: imported.quiz,
        }
    }
}

/// Input of `importBank`.
#[derive(InputObject)]
pub(crate) struct ImportBankInput {
    /// The name of the file. Its extension determines the format: `.xlsx`, `.csv`, `.tsv`, `.txt` or `.gift`. Defaults to the
    /// name of the uploaded `file`.
    file_name: Option<String>,
    /// The file, at most 5 MiB. Import larger ones with the command line. Exactly one of `file` and `content` is required.
    file: Option<Upload>,
    /// The content of the file in base64 (RFC 4648, section 4), at most 700 KiB before encoding.
    content: Option<String>,
    /// The title of the quiz. If several sheets have questions, the name of the sheet is appended.
    quiz_title: String,
    /// The name of the subject; created if it does not exist.
    subject: String,
    /// The sheet to import. By default every sheet with questions becomes a quiz.
    sheet: Option<String>,
    /// Whether to publish the imported quizzes.
    publish: Option<bool>,
}

/// The outcome of `importBank`.
#[derive(SimpleObject)]
pub(crate) struct ImportBankPayload {
    /// The import, run in the background. Query it by its id for progress.
    bank_import: Option<BankImport>,
    /// Errors that the person can act on; empty if the file was accepted.
    errors: Vec<UserError>,
}

/// The import with this id, for staff.
pub(crate) async fn bank_import(ctx: &Context<'_>, id: BankImportId) -> Result<BankImport> {
    Needs::Staff.of(ctx)?;
    let found = ctx.loader::<BankImports>()?.load_one(id).await?;
    found.map(BankImport).ok_or(Error::NotFound)
}

/// Imports: queries.
#[derive(Default)]
pub(crate) struct ImportQuery;

#[Object]
impl ImportQuery {
    /// The import of a question bank. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn bank_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the import.")] id: ID,
    ) -> Result<Option<BankImport>> {
        Box::pin(bank_import(ctx, BankImportId::decode(&id)?)).await.map(Some)
    }
}

/// Imports: mutations.
#[derive(Default)]
pub(crate) struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Uploads a question bank to be imported in the background. Reads values only, and validates each cell. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn import_bank(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and how to import it.")] input: ImportBankInput,
    ) -> Result<Option<ImportBankPayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        let order = Order {
            quiz: input.quiz_title,
            subject: input.subject,
            sheet: input.sheet,
            publish: input.publish.unwrap_or(false),
        };
        let requested = match sent(input.file_name, input.file, input.content) {
            Ok((name, content)) => background::request(app, viewer, &name, content, &order, &ctx.cause()).await,
            Err(error) => Err(error),
        };
        let (import, errors) = as_payload(requested)?;
        Ok(Some(ImportBankPayload {
            bank_import: import.map(BankImport),
            errors,
        }))
    }
}

/// The largest file in base64, in bytes before encoding, which fits into a request.
const ENCODED_BYTES: usize = 700 * 1024;

/// The name and the content of a file, in whichever way it was sent.
fn sent(name: Option<String>, file: Option<Upload>, content: Option<String>) -> Result<(String, Vec<u8>)> {
    let (own_name, content) = match (file, content) {
        (Some(file), None) => (file.file_name, file.content.into()),
        (None, Some(content)) => {
            let message = "This is not base64. Send the file's bytes in base64.";
            let content = STANDARD.decode(content).map_err(|_| Error::input("content", message))?;
            if content.len() > ENCODED_BYTES {
                let message = format!("At most {ENCODED_BYTES} bytes go in base64. Send the file as `file`.");
                return Err(Error::input("content", message));
            }
            (None, content)
        }
        _ => return Err(Error::input("file", "Send the file as `file` or as `content`.")),
    };
    let name = name
        .or(own_name)
        .ok_or_else(|| Error::input("fileName", "Send the name of the file."))?;
    Ok((name, content))
}
