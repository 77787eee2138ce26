//! Imports in the API, for staff.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};

use crate::{
    api::{
        context::RequestContext,
        guard::Needs,
        payload::{UserError, date_time},
        quiz::{Quiz, quiz},
        user::{User, user},
    },
    error::{Error, Result, as_payload, if_there},
    id::{BankImportId, QuizId},
    import::{
        Imported, Order, Problem,
        background::{self, BankImport as Model},
    },
    limit::Limit,
};

/// A question bank that was sent, and what became of it.
pub struct BankImport(pub(super) Model);

/// A question bank that was sent, and what became of it.
#[Object]
impl BankImport {
    /// The opaque id.
    async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The file's name.
    async fn file_name(&self) -> &str {
        &self.0.file_name
    }

    /// Who sent it; `null` once the account is gone.
    async fn wanted_by(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        if_there(user(ctx, self.0.wanted_by).await)
    }

    /// When it was sent.
    async fn created_at(&self) -> DateTime<Utc> {
        date_time(self.0.created_at)
    }

    /// When it had been read; `null` until then.
    async fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.0.finished_at.map(date_time)
    }

    /// What became of each sheet; `null` until the file has been read, and if nothing of it could be imported.
    async fn sheets(&self) -> Option<Vec<ImportedSheet>> {
        let sheets = self.0.sheets()?;
        Some(sheets.into_iter().map(ImportedSheet::from).collect())
    }

    /// Why nothing of the file was imported, and what to do about it.
    async fn error(&self) -> Option<&str> {
        self.0.error.as_deref()
    }
}

/// What became of a sheet.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ImportedSheet {
    /// The sheet's name; of a CSV file the file's.
    name: String,
    /// How many questions were imported.
    question_count: i32,
    /// How many rows between the others were blank.
    blank_count: i32,
    /// Cells that kept their row, or the whole sheet, from being imported.
    errors: Vec<ImportProblem>,
    /// What was left out or let in on purpose.
    warnings: Vec<ImportProblem>,
    #[graphql(skip)]
    quiz: Option<QuizId>,
}

#[async_graphql::ComplexObject]
impl ImportedSheet {
    /// The quiz made of its questions, once it is published; until then `null`, as drafts are.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Option<Quiz>> {
        match self.quiz {
            Some(id) => if_there(quiz(ctx, id).await),
            None => Ok(None),
        }
    }
}

/// One thing that is wrong with one cell.
#[derive(SimpleObject)]
pub struct ImportProblem {
    /// The cell, as the spreadsheet names it.
    cell: String,
    /// What kind of problem it is, e.g. `FORMULA`.
    code: String,
    /// What is wrong, and what to do about it.
    message: String,
}

impl From<Imported> for ImportedSheet {
    fn from(imported: Imported) -> Self {
        let problems = |problems: Vec<Problem>| {
            let problem = |problem: Problem| ImportProblem {
                cell: problem.cell,
                code: problem.code.to_string(),
                message: problem.message,
            };
            problems.into_iter().map(problem).collect()
        };
        let report = imported.report;
        Self {
            name: report.name,
            question_count: i32::try_from(report.imported).unwrap_or(i32::MAX),
            blank_count: i32::try_from(report.blank).unwrap_or(i32::MAX),
            errors: problems(report.errors),
            warnings: problems(report.warnings),
            quiz: imported.quiz,
        }
    }
}

/// A question bank, and what it is to become.
#[derive(InputObject)]
pub struct ImportBankInput {
    /// The file's name, which tells what it is: it ends in `.xlsx` or `.csv`.
    file_name: String,
    /// The file in base64 (RFC 4648, section 4), at most 700 KiB of it before that. Larger ones go by the command line.
    content: String,
    /// The title of the quiz; where several sheets have questions each sheet's name is added to it.
    quiz_title: String,
    /// The name of the subject; made if there is none of this name.
    subject: String,
    /// Only this sheet; without it every sheet that has questions becomes a quiz.
    sheet: Option<String>,
    /// Whether to publish what was imported.
    publish: Option<bool>,
}

/// What became of it so far.
#[derive(SimpleObject)]
pub struct ImportBankPayload {
    /// The import, which a worker takes up; ask for it again by its id.
    bank_import: Option<BankImport>,
    /// Why it was not taken.
    errors: Vec<UserError>,
}

/// Imports: queries.
#[derive(Default)]
pub struct ImportQuery;

#[Object]
impl ImportQuery {
    /// An import of a question bank. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn bank_import(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the import.")] id: ID,
    ) -> Result<Option<BankImport>> {
        let id = BankImportId::decode(&id)?;
        background::find(ctx.app().db.read(), id)
            .await
            .map(|found| Some(BankImport(found)))
    }
}

/// Imports: mutations.
#[derive(Default)]
pub struct ImportMutation;

#[Object]
impl ImportMutation {
    /// Sends a question bank, which is imported in the background: values only, checked cell by cell. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn import_bank(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and what it is to become.")] input: ImportBankInput,
    ) -> Result<Option<ImportBankPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let reserved = app.limiter.reserve(Limit::Import, viewer, now.at).await?;
        let order = Order {
            quiz: input.quiz_title,
            subject: input.subject,
            sheet: input.sheet,
            publish: input.publish.unwrap_or(false),
        };
        let wanted = match STANDARD.decode(input.content.as_bytes()) {
            Ok(content) => {
                let cause = ctx.cause();
                background::want(app, viewer, &input.file_name, content, &order, &cause).await
            }
            Err(_) => Err(Error::input(
                "content",
                "This is not base64. Send the file's bytes in base64.",
            )),
        };
        let (wanted, errors) = as_payload(wanted)?;
        if wanted.is_none() {
            reserved.give_back().await;
        }
        Ok(Some(ImportBankPayload {
            bank_import: wanted.map(BankImport),
            errors: errors.into_iter().map(Into::into).collect(),
        }))
    }
}
