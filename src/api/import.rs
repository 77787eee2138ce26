//! Imports in the API, for staff.

use std::time::Duration;

use async_graphql::{Context, Enum, ID, InputObject, Object, OneofObject, SimpleObject, Subscription};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::Stream;

use crate::{
    api::payload::{as_payload, if_there},
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        cost::charge,
        export::BankFile,
        guard::Needs,
        import_options::ImportOptionsInput,
        import_sheet::ImportedSheet,
        loader::{BankImports, ImportsOfFile},
        payload::{UserError, date_time},
        scalar::{DateTime, Reason, Upload},
        user::{User, user},
    },
    entity::bank_import::Step,
    error::{Error, Result},
    id::{BankImportId, QuizId},
    import::{
        Order, Target,
        background::{self, BankImport as Model},
        confirm::{self, Confirmation},
        options::Options,
        preview,
    },
    page::Page,
    text,
};

/// The import of a question bank, and its report.
#[derive(Clone)]
pub(crate) struct BankImport(pub(super) Model);

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum BankImportState {
    /// The file waits to be read, or is being read.
    Reading,
    /// The file was read: look through it, and confirm it with `confirmImport`. After a week it is let go.
    Ready,
    /// Its questions are being written.
    Writing,
    /// It is finished.
    Done,
    /// Nothing was imported: see `error`.
    Failed,
}

/// How much of its step an import has done.
#[derive(SimpleObject)]
pub(crate) struct ImportProgress {
    /// The number of questions that were read or written.
    done: i32,
    /// The number of questions of the file, or of the chosen sheets; 0 until it is known.
    total: i32,
}

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

    /// How far the import has come.
    async fn state(&self) -> BankImportState {
        match (self.0.finished_at, &self.0.error, self.0.step) {
            (Some(_), Some(_), _) => BankImportState::Failed,
            (Some(_), None, _) => BankImportState::Done,
            (None, _, Some(Step::Reading)) => BankImportState::Reading,
            (None, _, Some(Step::Ready)) => BankImportState::Ready,
            (None, _, Some(Step::Writing) | None) => BankImportState::Writing,
        }
    }

    /// How much of its step is done; of an import that was not previewed nothing is told.
    async fn progress(&self) -> ImportProgress {
        ImportProgress {
            done: self.0.progress_done.unwrap_or(0),
            total: self.0.progress_total.unwrap_or(0),
        }
    }

    /// The latest import of the same file before this one that came to something; `null` if there is none.
    async fn same_file(&self, ctx: &Context<'_>) -> Result<Option<BankImport>> {
        let Some(digest) = &self.0.content_digest else {
            return Ok(None);
        };
        let key = (self.0.id, digest.clone());
        Ok(ctx.loader::<ImportsOfFile>()?.load_one(key).await?.map(BankImport))
    }

    /// The report of each sheet; empty until the file was read, and if it could not be: see `error`.
    async fn sheets(&self, ctx: &Context<'_>) -> Result<Vec<ImportedSheet>> {
        let sheets = self.0.sheets().unwrap_or_default();
        charge(ctx, sheets.len())?;
        let waits = self.0.finished_at.is_none();
        let sheet = |(place, sheet)| ImportedSheet::of(self.0.id, place, waits, sheet);
        Ok((0..).zip(sheets).map(sheet).collect())
    }

    /// The reason nothing was imported from the file, and how to fix it. An import that is `READY` can be confirmed again.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }
}

/// Input of `importBank`.
#[derive(InputObject)]
pub(crate) struct ImportBankInput {
    /// The name of the file. Its extension determines the format: `.xlsx`, `.csv`, `.tsv`, `.txt`, `.gift`,
    /// `.json` or `.xml`. Defaults to the name of the uploaded `file`.
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
    /// How to read the file.
    options: Option<ImportOptionsInput>,
    /// The reason, for the audit log.
    reason: Option<Reason>,
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

    /// The imports of question banks, newest first. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn bank_imports(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<BankImport>>> {
        let page = Page::of((first, last), (after, before), |cursor| {
            BankImportId::decode(cursor).ok()
        })?;
        let slice = background::list(ctx.app().db.read(), &page).await?;
        let total = Total::of(|ctx| Box::pin(async move { background::count(ctx.app().db.read()).await }));
        Ok(Some(connection(slice, total, |import| import.id.encode(), BankImport)))
    }

    /// A file to begin a question bank with: the headings, and a question of each kind. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn import_template(
        &self,
        #[graphql(desc = "The format of the file.")] format: ImportTemplateFormat,
    ) -> Result<Option<BankFile>> {
        crate::export::template(format.into()).map(|file| Some(file.into()))
    }
}

/// The format of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportTemplateFormat {
    /// A workbook for a spreadsheet program.
    Xlsx,
    /// Values separated by commas, in UTF-8.
    Csv,
}

impl From<ImportTemplateFormat> for crate::export::Format {
    fn from(format: ImportTemplateFormat) -> Self {
        match format {
            ImportTemplateFormat::Xlsx => Self::Xlsx,
            ImportTemplateFormat::Csv => Self::Csv,
        }
    }
}

/// Input of `uploadBank`.
#[derive(InputObject)]
pub(crate) struct UploadBankInput {
    /// The name of the file. Its extension determines the format, as in `importBank`. Defaults to the name of the uploaded
    /// `file`.
    file_name: Option<String>,
    /// The file, at most 5 MiB and 5,000 rows a sheet. Exactly one of `file` and `content` is required.
    file: Option<Upload>,
    /// The content of the file in base64 (RFC 4648, section 4), at most 700 KiB before encoding.
    content: Option<String>,
    /// The only sheet to read. By default all are.
    sheet: Option<String>,
    /// How to read the file.
    options: Option<ImportOptionsInput>,
    /// The reason, for the audit log.
    reason: Option<Reason>,
}

/// The outcome of `uploadBank`.
#[derive(SimpleObject)]
pub(crate) struct UploadBankPayload {
    /// The import, to be confirmed once its state is `READY`. Follow it with `importProgress`.
    bank_import: Option<BankImport>,
    /// Errors that the person can act on; empty if the file was accepted.
    errors: Vec<UserError>,
}

/// Which rows of the chosen sheets are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum ImportRows {
    /// All of them; if one was refused, nothing is imported.
    AllOrNothing,
    /// Those that are valid.
    ValidOnly,
}

/// A sheet to import, and where it goes.
#[derive(InputObject)]
pub(crate) struct ImportSheetInput {
    /// The name of the sheet; of a file without sheets the name of the file without its extension.
    sheet: String,
    /// Where its questions go.
    into: ImportTargetInput,
}

/// Where the questions of a sheet go.
#[derive(OneofObject)]
pub(crate) enum ImportTargetInput {
    /// Into a new quiz.
    NewQuiz(ImportNewQuizInput),
    /// Into the draft of a quiz, behind its questions. What the draft has already is left out.
    AddToDraft(ImportDraftInput),
    /// Into the draft of a quiz, in place of its questions.
    ReplaceDraft(ImportDraftInput),
}

/// A new quiz of an import.
#[derive(InputObject)]
pub(crate) struct ImportNewQuizInput {
    /// The title of the quiz, at most 120 characters.
    title: String,
    /// The name of the subject, at most 80 characters; created if it does not exist.
    subject: String,
}

/// The draft that questions are imported into.
#[derive(InputObject)]
pub(crate) struct ImportDraftInput {
    /// The quiz, which has a draft.
    quiz_id: ID,
    /// The version of the draft that you have seen. If somebody has changed it since, nothing is imported.
    version: i32,
}

impl ImportTargetInput {
    fn decode(self) -> Result<Target> {
        let draft = |input: ImportDraftInput, replace| {
            Ok(Target::Draft {
                quiz: QuizId::decode(&input.quiz_id)?,
                version: Some(input.version),
                replace,
            })
        };
        match self {
            Self::NewQuiz(ImportNewQuizInput { title, subject }) => Ok(Target::New { title, subject }),
            Self::AddToDraft(input) => draft(input, false),
            Self::ReplaceDraft(input) => draft(input, true),
        }
    }
}

/// Input of `confirmImport`.
#[derive(InputObject)]
pub(crate) struct ConfirmImportInput {
    /// An import in the state `READY`.
    import_id: ID,
    /// The sheets to import, 1 to 50; the others are left out.
    sheets: Vec<ImportSheetInput>,
    /// Which rows are imported. Defaults to `ALL_OR_NOTHING`.
    rows: Option<ImportRows>,
    /// Whether to publish what was imported; only if no row of the sheets was refused.
    publish: Option<bool>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The outcome of `confirmImport`.
#[derive(SimpleObject)]
pub(crate) struct ConfirmImportPayload {
    /// The import, which is written in the background: follow it with `importProgress`. If the same file went to the same
    /// place before, that earlier import, and nothing is written.
    bank_import: Option<BankImport>,
    /// Errors that the person can act on; empty if the import was confirmed.
    errors: Vec<UserError>,
}

/// Input of `cancelImport`.
#[derive(InputObject)]
pub(crate) struct CancelImportInput {
    /// An import that is not confirmed.
    import_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The outcome of `cancelImport`.
#[derive(SimpleObject)]
pub(crate) struct CancelImportPayload {
    /// The import, of which nothing was written.
    bank_import: Option<BankImport>,
    /// Errors that the person can act on; empty if the import was given up.
    errors: Vec<UserError>,
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
            Ok((name, content)) => {
                let settings = input.options.map(ImportOptionsInput::read).transpose();
                let reason = input.reason.as_ref().map(|reason| reason.0.as_str());
                let cause = ctx.cause();
                match settings {
                    Ok(settings) => {
                        let settings = settings.unwrap_or_default();
                        background::request(app, viewer, (&name, content), &order, settings, reason, &cause).await
                    }
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        };
        let (import, errors) = as_payload(requested)?;
        Ok(Some(ImportBankPayload {
            bank_import: import.map(BankImport),
            errors,
        }))
    }

    /// Uploads a question bank to be looked through: every finding, and the questions as they would become. Nothing is
    /// imported before `confirmImport`. The same file, read in the same way, is read once. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn upload_bank(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and how to read it.")] input: UploadBankInput,
    ) -> Result<Option<UploadBankPayload>> {
        let uploaded = Box::pin(upload(ctx, input)).await;
        let (import, errors) = as_payload(uploaded)?;
        Ok(Some(UploadBankPayload {
            bank_import: import.map(BankImport),
            errors,
        }))
    }

    /// Confirms an import that was looked through, and says where each sheet goes. It is written in the background, whole or
    /// not at all. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn confirm_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The import, and what becomes of it.")] input: ConfirmImportInput,
    ) -> Result<Option<ConfirmImportPayload>> {
        let id = BankImportId::decode(&input.import_id)?;
        let sheets: Result<Vec<_>> = input
            .sheets
            .into_iter()
            .take(MAX_CHOSEN)
            .map(|chosen| Ok((chosen.sheet, chosen.into.decode()?)))
            .collect();
        let confirmation = Confirmation {
            sheets: sheets?,
            all_or_nothing: input.rows != Some(ImportRows::ValidOnly),
            publish: input.publish.unwrap_or(false),
            reason: input.reason.0,
        };
        let cause = ctx.cause();
        let confirmed = Box::pin(confirm::confirm(ctx.app(), ctx.viewer()?, id, &confirmation, &cause)).await;
        let (outcome, mut errors) = as_payload(confirmed)?;
        let import = match outcome {
            Some(Ok(import)) => Some(BankImport(import)),
            Some(Err(wrong)) => {
                errors.extend(wrong.into_iter().map(UserError::from));
                None
            }
            None => None,
        };
        Ok(Some(ConfirmImportPayload {
            bank_import: import,
            errors,
        }))
    }

    /// Gives up an import that is not confirmed. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn cancel_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The import.")] input: CancelImportInput,
    ) -> Result<Option<CancelImportPayload>> {
        let id = BankImportId::decode(&input.import_id)?;
        let cause = ctx.cause();
        let cancelled = Box::pin(preview::cancel(ctx.app(), id, &input.reason.0, &cause)).await;
        let (import, errors) = as_payload(cancelled)?;
        Ok(Some(CancelImportPayload {
            bank_import: import.map(BankImport),
            errors,
        }))
    }
}

/// The most sheets of a workbook.
const MAX_CHOSEN: usize = 51;

async fn upload(ctx: &Context<'_>, input: UploadBankInput) -> Result<Model> {
    let (name, content) = sent(input.file_name, input.file, input.content)?;
    let sheet = input.sheet.as_deref().map(|sheet| text::name("sheet", sheet, 200));
    let options = Options {
        sheet: sheet.transpose()?,
        settings: input
            .options
            .map(ImportOptionsInput::read)
            .transpose()?
            .unwrap_or_default(),
    };
    let reason = input.reason.as_ref().map(|reason| reason.0.as_str());
    preview::upload(ctx.app(), ctx.viewer()?, &name, content, &options, reason, &ctx.cause()).await
}

/// Polling interval of a stream: the job may run in another process.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Imports: streams.
#[derive(Default)]
pub(crate) struct ImportSubscription;

#[Subscription]
impl ImportSubscription {
    /// Streams an import: its present state, then every change of state and progress, until it is finished. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn import_progress(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the import.")] import_id: ID,
    ) -> Result<impl Stream<Item = BankImport> + use<>> {
        let id = BankImportId::decode(&import_id)?;
        let app = ctx.app().clone();
        background::find(app.db.read(), &[id])
            .await?
            .pop()
            .ok_or(Error::NotFound)?;
        Ok(async_stream::stream! {
            let mut before = None;
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let Ok(mut found) = background::find(app.db.read(), &[id]).await else {
                    continue;
                };
                let Some(import) = found.pop() else { break };
                let seen = (import.step, import.progress_done, import.progress_total, import.finished_at, import.error.clone());
                let is_finished = import.finished_at.is_some();
                if before.as_ref() != Some(&seen) {
                    before = Some(seen);
                    yield BankImport(import);
                }
                if is_finished {
                    break;
                }
            }
        })
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
