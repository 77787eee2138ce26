//! Imports that staff send through the API: the file waits in the database until a worker reads it.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DerivePartialModel, EntityTrait, QueryFilter, sea_query::Expr,
};
use serde::{Deserialize, Serialize};

use tokio::sync::Semaphore;

use super::{Imported, Order, Settings, import, read_in_child, sheet, writing::Run as Writing};
use crate::{
    audit::Source,
    auth::Viewer,
    change::{Cause, Change},
    clock::{Moment, Time},
    entity::{bank_import, user},
    error::{Error, Result},
    id::{BankImportId, UserId},
    jobs::{Job, Run},
    limit::Limit,
    site::Site,
    text,
};

/// The largest file, in bytes. The command line takes larger ones.
pub(crate) const MAX_BYTES: usize = 5 * 1024 * 1024;

/// One import at a time in each process: what a file unpacks to has a bound, and this bounds the sum.
static TURN: Semaphore = Semaphore::const_new(1);

/// An import and its outcome.
#[derive(Clone, Debug, DerivePartialModel)]
#[sea_orm(entity = "bank_import::Entity")]
pub(crate) struct BankImport {
    pub id: BankImportId,
    pub wanted_by: UserId,
    pub file_name: String,
    pub created_at: Time,
    pub finished_at: Option<Time>,
    /// JSON: [`Imported`] by sheet.
    pub report: Option<String>,
    pub error: Option<String>,
}

impl BankImport {
    /// The report of each sheet, once the file was read.
    pub(crate) fn sheets(&self) -> Option<Vec<Imported>> {
        serde_json::from_str(self.report.as_deref()?).ok()
    }
}

/// Imports the quizzes of a question bank.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReadBank {
    pub import: BankImportId,
}

impl Job for ReadBank {
    const KIND: &'static str = "bank_import";
    const ABOUT: &'static str = "Imports the quizzes of a question bank.";
}

impl Run for ReadBank {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        run_import(site, self.import, now).await
    }
}

/// Accepts a file. Name, size, kind and options are checked at once, and a refusal costs no use of the limit; the content
/// is checked by the job.
pub(crate) async fn request(
    site: &Site,
    viewer: &Viewer,
    file_name: &str,
    content: Vec<u8>,
    order: &Order,
    cause: &Cause,
) -> Result<BankImport> {
    if content.is_empty() || content.len() > MAX_BYTES {
        let message = format!("A file has 1 to {MAX_BYTES} bytes. Import a larger one by the command line.");
        return Err(Error::input("content", message));
    }
    let file_name = text::name("fileName", file_name, 200)?;
    let order = order.read()?;
    sheet::check(&file_name, &content).map_err(|unreadable| Error::input("content", unreadable.to_string()))?;
    let _counted = site.limiter.reserve(Limit::Import, viewer, cause.now.at).await?;
    let (mut change, now) = (Change::begin(site, cause).await?, &cause.now);
    let import = BankImport {
        id: now.id(),
        wanted_by: viewer.user(),
        file_name,
        created_at: now.at,
        finished_at: None,
        report: None,
        error: None,
    };
    let row = bank_import::ActiveModel {
        id: Set(import.id),
        wanted_by: Set(import.wanted_by),
        file_name: Set(import.file_name.clone()),
        content: Set(Some(content)),
        quiz_title: Set(order.quiz),
        subject: Set(order.subject),
        sheet: Set(order.sheet),
        publish: Set(order.publish),
        created_at: Set(import.created_at),
        request_id: Set(cause.source.request_id.clone()),
        ..Default::default()
    };
    bank_import::Entity::insert(row).exec_without_returning(&change).await?;
    change.enqueue(&ReadBank { import: import.id }).await?;
    change.commit().await?;
    Ok(import)
}

/// The import with this id.
pub(crate) async fn find(conn: &impl ConnectionTrait, ids: &[BankImportId]) -> Result<Vec<BankImport>> {
    let these = bank_import::Column::Id.is_in(ids.iter().copied());
    Ok(bank_import::Entity::all()
        .filter(these)
        .into_partial_model()
        .all(conn)
        .await?)
}

/// Imports a waiting file as quizzes that one transaction shows, so that it happens once however often the job runs.
/// Mistakes in the file do not fail the job.
pub async fn run_import(site: &Site, id: BankImportId, now: &Moment) -> Result<()> {
    let _turn = TURN.acquire().await.map_err(Error::internal)?;
    let Some(waiting) = bank_import::Entity::waiting(id).one(site.db.read()).await? else {
        return Ok(());
    };
    let order = Order {
        quiz: waiting.quiz_title,
        subject: waiting.subject,
        sheet: waiting.sheet,
        publish: waiting.publish,
    };
    let cause = Cause {
        source: Source {
            actor: Some(waiting.wanted_by),
            request_id: waiting.request_id,
        },
        viewer: None,
        now: now.clone(),
    };
    let sheets = match read_in_child(
        waiting.file_name,
        waiting.content.unwrap_or_default(),
        order.sheet.clone(),
        Settings::default(),
    )
    .await?
    {
        Ok(sheets) => sheets,
        Err(unreadable) => return give_up(site, id, unreadable.to_string(), now).await,
    };
    let Some(mut run) = Writing::begin(site, &cause, Some(id)).await? else {
        return Ok(());
    };
    let imported = match import(&mut run, sheets, &order).await {
        Ok(Some(imported)) => imported,
        Ok(None) => return Ok(()),
        Err(Error::User(error)) => {
            run.undo().await?;
            return give_up(site, id, error.message, now).await;
        }
        // The job is run again, and begins anew.
        Err(error) => return Err(error),
    };
    let report = serde_json::to_string(&imported).map_err(Error::internal)?;
    // Another worker that has taken over waits for this transaction, and then finds the import finished.
    let Some(mut change) = run.change().await? else {
        return Ok(());
    };
    finish(&change, id, None, now).await?;
    run.show(&mut change, order.publish).await?;
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::Report, Expr::value(report))
        .filter(bank_import::Column::Id.eq(id))
        .exec(&change)
        .await?;
    // What an account may do is judged where it commits, and held no longer than that.
    let sender = user::Entity::held([waiting.wanted_by]).one(&change).await?;
    if !sender.is_some_and(|account| account.is_active() && account.role.is_staff()) {
        change.rollback().await?;
        run.undo().await?;
        let reason = "The account that sent the file is not staff's any more. Another member can send it.";
        return give_up(site, id, reason.to_owned(), now).await;
    }
    change.commit().await
}

async fn give_up(site: &Site, id: BankImportId, error: String, now: &Moment) -> Result<()> {
    finish(site.db.write(), id, Some(error), now).await.map(drop)
}

/// Whether it was not finished yet.
async fn finish(conn: &impl ConnectionTrait, id: BankImportId, error: Option<String>, now: &Moment) -> Result<bool> {
    let finished = bank_import::ActiveModel {
        content: Set(None),
        finished_at: Set(Some(now.at)),
        error: Set(error),
        ..Default::default()
    };
    let update = bank_import::Entity::update_many()
        .set(finished)
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::FinishedAt.is_null());
    Ok(update.exec(conn).await?.rows_affected > 0)
}
