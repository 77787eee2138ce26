//! Exports in the API, for staff.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    api::payload::as_payload,
    api::{context::RequestContext, guard::Needs, payload::UserError, scalar::Reason},
    error::Result,
    export::{self, File, Format, Which},
    id::QuizId,
};

/// A file to be saved.
#[derive(SimpleObject)]
pub(crate) struct BankFile {
    /// The name to save it by.
    file_name: String,
    /// Its media type.
    media_type: String,
    /// Its content in base64 (RFC 4648, section 4).
    content: String,
}

impl From<File> for BankFile {
    fn from(file: File) -> Self {
        Self {
            file_name: file.name,
            media_type: file.media_type.to_owned(),
            content: STANDARD.encode(file.content),
        }
    }
}

/// The format of an exported quiz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Format")]
pub(crate) enum ExportFormat {
    /// A workbook for a spreadsheet program. All cells are text: none runs as a formula.
    Xlsx,
    /// Values separated by commas, in UTF-8. A cell that could begin a formula begins with an apostrophe, which an import
    /// takes away again.
    Csv,
    /// GIFT, as Moodle reads it. Pictures, and kinds that it lacks, are in comments.
    Gift,
    /// JSON with all there is.
    Json,
}

/// The revision that is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Which")]
pub(crate) enum ExportRevision {
    /// The revision in force, with its corrections.
    Published,
    /// The draft.
    Draft,
}

/// Input of `exportQuiz`.
#[derive(InputObject)]
pub(crate) struct ExportQuizInput {
    /// The quiz.
    quiz_id: ID,
    /// The format of the file.
    format: ExportFormat,
    /// The revision to export. Defaults to the one in force, or to the draft of a quiz that was never published.
    revision: Option<ExportRevision>,
    /// The reason, for the audit log.
    reason: Option<Reason>,
}

/// The outcome of `exportQuiz`.
#[derive(SimpleObject)]
pub(crate) struct ExportQuizPayload {
    /// The file.
    file: Option<BankFile>,
    /// Errors that the person can act on; empty if the quiz was exported.
    errors: Vec<UserError>,
}

/// Exports: mutations.
#[derive(Default)]
pub(crate) struct ExportMutation;

#[Object]
impl ExportMutation {
    /// Exports a quiz with its answer key as a file, which `importBank` and `uploadBank` read as the same questions. It
    /// changes nothing, but is recorded in the audit log. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn export_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz, and the format of the file.")] input: ExportQuizInput,
    ) -> Result<Option<ExportQuizPayload>> {
        let quiz = QuizId::decode(&input.quiz_id)?;
        let reason = input.reason.as_ref().map(|reason| reason.0.as_str());
        let cause = ctx.cause();
        let revision = input.revision.map(Into::into);
        let exported = export::export(ctx.app(), quiz, input.format.into(), revision, reason, &cause);
        let (file, errors) = as_payload(Box::pin(exported).await)?;
        Ok(Some(ExportQuizPayload {
            file: file.map(BankFile::from),
            errors,
        }))
    }
}
