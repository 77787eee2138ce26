//! Imports that staff send through the API: the file waits in the database until a worker reads it.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Imported, Order, import, read_apart};
use crate::{
    audit::Source,
    auth::Viewer,
    change::{Cause, Change},
    clock::{Moment, Time},
    db::sql,
    error::{Error, Result},
    id::{BankImportId, UserId},
    jobs::Job,
    site::Site,
    text,
};

/// The largest file, in bytes; as base64 it fits into a request. The command line takes larger ones.
pub const MOST_BYTES: usize = 700 * 1024;

/// An import, and what became of it.
#[derive(Clone, Debug, FromQueryResult)]
pub struct BankImport {
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
    /// What became of each sheet, once the file was read.
    pub fn sheets(&self) -> Option<Vec<Imported>> {
        serde_json::from_str(self.report.as_deref()?).ok()
    }
}

const COLUMNS: &str = "id, wanted_by, file_name, created_at, finished_at, report, error";

/// Takes a file. What is wrong with its name, its size and what it is to become is told at once; what is in it, later.
pub async fn want(
    site: &Site,
    viewer: &Viewer,
    file_name: &str,
    content: Vec<u8>,
    order: &Order,
    cause: &Cause,
) -> Result<BankImport> {
    if content.is_empty() || content.len() > MOST_BYTES {
        let message = format!("A file has 1 to {MOST_BYTES} bytes. Import a larger one by the command line.");
        return Err(Error::input("content", message));
    }
    let file_name = text::name("fileName", file_name, 200)?;
    let title = text::name("quizTitle", &order.quiz, 120)?;
    let subject = text::name("subject", &order.subject, 80)?;
    let sheet = order
        .sheet
        .as_deref()
        .map(|sheet| text::name("sheet", sheet, 200))
        .transpose()?;
    let mut change = Change::begin(site, cause).await?;
    let (tx, now) = (&change, &cause.now);
    let id: BankImportId = now.id();
    let insert = sql(
        tx,
        format!(
            "INSERT INTO bank_imports \
               (id, wanted_by, file_name, content, quiz_title, subject, sheet, publish, created_at, request_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {COLUMNS}"
        ),
        [
            id.into(),
            viewer.user().into(),
            file_name.into(),
            content.into(),
            title.into(),
            subject.into(),
            sheet.into(),
            order.publish.into(),
            now.at.into(),
            cause.source.request_id.clone().into(),
        ],
    );
    let wanted = BankImport::find_by_statement(insert).one(tx).await?;
    change.want(&Job::BankImport { import: id }).await?;
    change.commit().await?;
    wanted.ok_or_else(|| Error::internal("an import that was not stored"))
}

/// The import with this id.
pub async fn find(conn: &impl ConnectionTrait, id: BankImportId) -> Result<BankImport> {
    let select = sql(
        conn,
        format!("SELECT {COLUMNS} FROM bank_imports WHERE id = $1"),
        [id.into()],
    );
    BankImport::find_by_statement(select)
        .one(conn)
        .await?
        .ok_or(Error::NotFound)
}

#[derive(FromQueryResult)]
struct Wanted {
    wanted_by: UserId,
    file_name: String,
    content: Vec<u8>,
    quiz_title: String,
    subject: String,
    sheet: Option<String>,
    publish: bool,
    request_id: Option<String>,
}

/// Reads a file that waits, and makes quizzes of it: all in one transaction, so that it happens once however often it is
/// begun. What a person must mend is no failure of the job.
pub async fn carry_out(site: &Site, id: BankImportId, now: &Moment) -> Result<()> {
    let select = "SELECT wanted_by, file_name, content, quiz_title, subject, sheet, publish, request_id \
                  FROM bank_imports WHERE id = $1 AND finished_at IS NULL";
    let wanted = Wanted::find_by_statement(sql(site.db.read(), select, [id.into()]));
    let Some(wanted) = wanted.one(site.db.read()).await? else {
        return Ok(());
    };
    let order = Order {
        quiz: wanted.quiz_title,
        subject: wanted.subject,
        sheet: wanted.sheet,
        publish: wanted.publish,
    };
    let cause = Cause {
        source: Source {
            actor: Some(wanted.wanted_by),
            request_id: wanted.request_id,
        },
        now: now.clone(),
    };
    let sheets = match read_apart(wanted.file_name, wanted.content, order.sheet.clone()).await? {
        Ok(sheets) => sheets,
        Err(unreadable) => return give_up(site, id, unreadable.to_string(), now).await,
    };
    let mut change = Change::begin(site, &cause).await?;
    // The row is this transaction's until it ends: another worker waits, and then finds it finished.
    if !finish(&change, id, None, None, now).await? {
        return Ok(());
    }
    let sheets = match import(&mut change, sheets, &order).await {
        Ok(imported) => imported,
        Err(Error::User(error)) => {
            change.rollback().await?;
            return give_up(site, id, error.message, now).await;
        }
        Err(error) => return Err(error),
    };
    let report = serde_json::to_string(&sheets).map_err(Error::internal)?;
    let update = sql(
        &change,
        "UPDATE bank_imports SET report = $2 WHERE id = $1",
        [id.into(), report.into()],
    );
    change.execute_raw(update).await?;
    change.commit().await
}

async fn give_up(site: &Site, id: BankImportId, error: String, now: &Moment) -> Result<()> {
    finish(site.db.write(), id, None, Some(error), now).await.map(drop)
}

/// Whether it was not finished yet.
async fn finish(
    conn: &impl ConnectionTrait,
    id: BankImportId,
    report: Option<String>,
    error: Option<String>,
    now: &Moment,
) -> Result<bool> {
    let update = sql(
        conn,
        "UPDATE bank_imports SET content = NULL, finished_at = $2, report = $3, error = $4 \
         WHERE id = $1 AND finished_at IS NULL",
        [id.into(), now.at.into(), report.into(), error.into()],
    );
    Ok(conn.execute_raw(update).await?.rows_affected() > 0)
}
