//! Imports that staff send through the API: the file waits in the database until a worker reads it.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DerivePartialModel, EntityTrait, PaginatorTrait, QueryFilter,
    sea_query::Expr,
};
use serde::{Deserialize, Serialize};

use tokio::sync::Semaphore;

use sha2::{Digest as _, Sha256};

use super::{
    Imported, Order, Settings, import,
    options::Options,
    read_in_child, sheet,
    writing::{self, Run as Writing, Target},
};
use crate::{
    audit::Source,
    auth::Viewer,
    change::{Cause, Change},
    clock::{Moment, Time},
    db::Values,
    entity::{
        bank_import::{self, Step},
        user,
    },
    error::{Error, Result},
    id::{BankImportId, QuizId, UserId},
    jobs::{Job, Run},
    limit::Limit,
    page::{Order as PageOrder, Page, Slice},
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
    pub step: Option<Step>,
    /// JSON: [`super::options::Options`].
    pub options: Option<String>,
    pub content_digest: Option<String>,
    pub progress_done: Option<i32>,
    pub progress_total: Option<i32>,
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
    /// Why, in the words of who sent it.
    #[serde(default)]
    pub reason: Option<String>,
}

impl Job for ReadBank {
    const KIND: &'static str = "bank_import";
    const ABOUT: &'static str = "Imports the quizzes of a question bank.";
}

impl Run for ReadBank {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        read(site, self.import, self.reason.as_deref(), now).await
    }
}

/// Accepts a file. Name, size, kind and options are checked at once, and a refusal costs no use of the limit; the content
/// is checked by the job.
pub(crate) async fn request(
    site: &Site,
    viewer: &Viewer,
    (file_name, content): (&str, Vec<u8>),
    order: &Order,
    settings: Settings,
    reason: Option<&str>,
    cause: &Cause,
) -> Result<BankImport> {
    let file_name = check(file_name, &content)?;
    let order = order.read()?;
    let reason = reason.map(|reason| text::reason("reason", reason)).transpose()?;
    let options = Options {
        sheet: order.sheet.clone(),
        settings,
    };
    let content_digest = digest(&content);
    let order_digest = order_digest(&content_digest, &options, &(&order.quiz, &order.subject, order.publish))?;
    if let Some(earlier) = earlier(site.db.write(), &order_digest).await? {
        return Ok(earlier);
    }
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
        step: None,
        options: Some(options.json()?),
        content_digest: Some(content_digest.clone()),
        progress_done: None,
        progress_total: None,
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
        options: Set(import.options.clone()),
        content_digest: Set(Some(content_digest)),
        order_digest: Set(Some(order_digest.clone())),
        request_id: Set(cause.source.request_id.clone()),
        ..Default::default()
    };
    if let Err(error) = bank_import::Entity::insert(row).exec_without_returning(&change).await {
        // The same file at the same moment.
        change.rollback().await?;
        return earlier(site.db.write(), &order_digest)
            .await?
            .ok_or_else(|| error.into());
    }
    let job = ReadBank {
        import: import.id,
        reason,
    };
    change.enqueue(&job).await?;
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
    read(site, id, None, now).await
}

/// One import at a time in this process.
pub(super) async fn turn() -> Result<impl Drop> {
    TURN.acquire().await.map_err(Error::internal)
}

async fn read(site: &Site, id: BankImportId, reason: Option<&str>, now: &Moment) -> Result<()> {
    let _turn = turn().await?;
    let Some(waiting) = bank_import::Entity::waiting(id).one(site.db.read()).await? else {
        return Ok(());
    };
    if waiting.step.is_some() {
        return Ok(());
    }
    let options = Options::read(waiting.options.as_deref());
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
    let mut sheets = match read_in_child(
        waiting.file_name,
        waiting.content.unwrap_or_default(),
        order.sheet.clone(),
        options.settings,
    )
    .await?
    {
        Ok(sheets) => sheets,
        Err(unreadable) => return give_up(site, id, unreadable.to_string(), now).await,
    };
    let Some(mut run) = Writing::begin(site, &cause, Some(id)).await? else {
        return Ok(());
    };
    let target = Target::New {
        title: order.quiz,
        subject: order.subject,
    };
    let plans = writing::plan(&mut sheets, &target, order.publish);
    let written = match plans {
        Ok(plans) => import(&mut run, sheets, plans).await,
        Err(error) => Err(error),
    };
    let imported = match written {
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
    run.show(&mut change, order.publish, reason).await?;
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::Report, Expr::value(report))
        .filter(bank_import::Column::Id.eq(id))
        .exec(&change)
        .await?;
    // What an account may do is judged where it commits, and held no longer than that.
    if !is_of_staff(&change, waiting.wanted_by).await? {
        change.rollback().await?;
        run.undo().await?;
        return give_up(site, id, NOT_STAFF.to_owned(), now).await;
    }
    change.commit().await
}

/// The reason nothing was imported of somebody who is not staff's any more.
pub(super) const NOT_STAFF: &str =
    "The account that sent the file is not staff's any more. Another member can send it.";

/// Whether an account is staff's, held until the end of the transaction.
pub(super) async fn is_of_staff(change: &Change<'_>, id: UserId) -> Result<bool> {
    let account = user::Entity::held([id]).one(change).await?;
    Ok(account.is_some_and(|account| account.is_active() && account.role.is_staff()))
}

/// A page of imports, the newest first.
pub(crate) async fn list(conn: &impl ConnectionTrait, page: &Page<BankImportId>) -> Result<Slice<BankImport>> {
    let rows = page.select(
        bank_import::Entity::all(),
        bank_import::Column::Id,
        PageOrder::Descending,
    );
    Ok(page.slice(rows.into_partial_model().all(conn).await?))
}

/// The number of imports.
pub(crate) async fn count(conn: &impl ConnectionTrait) -> Result<u64> {
    Ok(bank_import::Entity::all().count(conn).await?)
}

/// The latest import of the same file before each of these that came to something.
pub(crate) async fn earlier_of_file(
    conn: &impl ConnectionTrait,
    keys: &[(BankImportId, String)],
) -> Result<HashMap<(BankImportId, String), BankImport>> {
    let of_files = bank_import::Entity::all()
        .filter(bank_import::Column::ContentDigest.is_in(keys.iter().map(|(_, digest)| digest)))
        .filter(bank_import::Column::FinishedAt.is_not_null())
        .filter(bank_import::Column::Error.is_null());
    let found: Vec<BankImport> = of_files.into_partial_model().all(conn).await?;
    // Ids of one millisecond are in no order.
    let millisecond = |id: BankImportId| id.0.as_u128() >> 80;
    let before = |(id, digest): &(BankImportId, String)| {
        let same = found
            .iter()
            .filter(|other| other.content_digest.as_ref() == Some(digest) && other.id != *id)
            .filter(|other| millisecond(other.id) <= millisecond(*id));
        let latest = same.max_by_key(|other| other.id)?;
        Some(((*id, digest.clone()), latest.clone()))
    };
    Ok(keys.iter().filter_map(before).collect())
}

/// Checks the name and the size of a file, and what it is.
pub(super) fn check(file_name: &str, content: &[u8]) -> Result<String> {
    if content.is_empty() || content.len() > MAX_BYTES {
        let message = format!("A file has 1 to {MAX_BYTES} bytes. Import a larger one by the command line.");
        return Err(Error::input("content", message));
    }
    let file_name = text::name("fileName", file_name, 200)?;
    sheet::check(&file_name, content).map_err(|unreadable| Error::input("content", unreadable.to_string()))?;
    Ok(file_name)
}

pub(super) fn digest(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// The digest of a file, of how it is read, and of where it goes.
pub(super) fn order_digest(content_digest: &str, options: &Options, target: &impl Serialize) -> Result<String> {
    let all = serde_json::to_vec(&(content_digest, options, target)).map_err(Error::internal)?;
    Ok(digest(&all))
}

/// The import that has done, or is doing, the same; not one whose quizzes were all deleted since.
pub(super) async fn earlier(conn: &impl ConnectionTrait, order_digest: &str) -> Result<Option<BankImport>> {
    let found: Option<BankImport> = bank_import::Entity::of_order(order_digest)
        .into_partial_model()
        .one(conn)
        .await?;
    let Some(found) = found else { return Ok(None) };
    if found.finished_at.is_none() {
        return Ok(Some(found));
    }
    let quizzes: Vec<QuizId> = found
        .sheets()
        .into_iter()
        .flatten()
        .filter_map(|sheet| sheet.quiz)
        .collect();
    let mut values = Values::default();
    let ids: Vec<String> = quizzes.into_iter().map(|quiz| values.bind(quiz)).collect();
    if !ids.is_empty() {
        let present = format!(
            "SELECT id FROM quizzes WHERE deleted_at IS NULL AND id IN ({}) LIMIT 1",
            ids.join(", ")
        );
        if conn.query_one_raw(values.sql(conn, present)).await?.is_some() {
            return Ok(Some(found));
        }
    }
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::OrderDigest, Expr::value(None::<String>))
        .filter(bank_import::Column::Id.eq(found.id))
        .exec(conn)
        .await?;
    Ok(None)
}

pub(super) async fn give_up(site: &Site, id: BankImportId, error: String, now: &Moment) -> Result<()> {
    finish(site.db.write(), id, Some(error), now).await.map(drop)
}

/// Whether it was not finished yet.
pub(super) async fn finish(
    conn: &impl ConnectionTrait,
    id: BankImportId,
    error: Option<String>,
    now: &Moment,
) -> Result<bool> {
    let finished = bank_import::ActiveModel {
        content: Set(None),
        finished_at: Set(Some(now.at)),
        // What came to nothing may be sent again.
        order_digest: if error.is_some() { Set(None) } else { NotSet },
        error: Set(error),
        ..Default::default()
    };
    let update = bank_import::Entity::update_many()
        .set(finished)
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::FinishedAt.is_null());
    Ok(update.exec(conn).await?.rows_affected > 0)
}
