//! Imports that are looked at before they are written: what a file would become, and everything there is to say of it.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QuerySelect, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Imported, MAX_KEPT, Sheet,
    background::{self, BankImport, check, digest, finish, give_up, turn},
    bank::near,
    options::Options,
    own::Written,
    read_in_child,
    writing::{Run as Writing, progress},
};
use crate::{
    audit::{Action, Entry, Source},
    auth::Viewer,
    change::{Cause, Change},
    clock::{Moment, Time},
    db::sql,
    entity::{
        bank_import::{self, Step},
        import_question,
    },
    error::{Error, Result, UserErrorCode},
    id::{BankImportId, QuestionId},
    jobs::{Job, Run},
    limit::Limit,
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// How long an import waits to be confirmed.
const WAITS: Duration = Duration::from_secs(7 * 24 * 3600);
/// Questions that one transaction stores.
const AT_ONCE: usize = 250;
/// The questions of the bank that a file is compared with: the newest ones.
const COMPARED: usize = 50_000;
/// Questions of the bank that one statement reads.
const READ_AT_ONCE: i32 = 1_000;

/// Reads a question bank to be previewed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PreviewBank {
    pub import: BankImportId,
}

impl Job for PreviewBank {
    const KIND: &'static str = "bank_preview";
    const ABOUT: &'static str = "Reads a question bank, to be confirmed before anything of it is imported.";
}

impl Run for PreviewBank {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        run_preview(site, self.import, now).await
    }
}

/// Accepts a file to be previewed. One that waits already, read in the same way, is returned and costs no use of the limit.
pub(crate) async fn upload(
    site: &Site,
    viewer: &Viewer,
    file_name: &str,
    content: Vec<u8>,
    options: &Options,
    reason: Option<&str>,
    cause: &Cause,
) -> Result<BankImport> {
    let file_name = check(file_name, &content)?;
    let reason = reason.map(|reason| text::reason("reason", reason)).transpose()?;
    let (content_digest, json) = (digest(&content), options.json()?);
    let waiting: Option<BankImport> = bank_import::Entity::of_content(&content_digest)
        .filter(bank_import::Column::FinishedAt.is_null())
        .filter(bank_import::Column::Step.is_in([Step::Reading, Step::Ready]))
        .filter(bank_import::Column::Options.eq(&json))
        .into_partial_model()
        .one(site.db.write())
        .await?;
    if let Some(waiting) = waiting {
        return Ok(waiting);
    }
    let _counted = site.limiter.reserve(Limit::Import, viewer, cause.now.at).await?;
    let (mut change, now) = (Change::begin(site, cause).await?, &cause.now);
    forget(&change, now).await?;
    let import = BankImport {
        id: now.id(),
        wanted_by: viewer.user(),
        file_name,
        created_at: now.at,
        finished_at: None,
        report: None,
        error: None,
        step: Some(Step::Reading),
        options: Some(json),
        content_digest: Some(content_digest.clone()),
        progress_done: Some(0),
        progress_total: Some(0),
    };
    let sent = serde_json::json!({"sha256": content_digest, "bytes": content.len()});
    let row = bank_import::ActiveModel {
        id: Set(import.id),
        wanted_by: Set(import.wanted_by),
        file_name: Set(import.file_name.clone()),
        content: Set(Some(content)),
        // Where it goes is said when it is confirmed.
        quiz_title: Set(String::new()),
        subject: Set(String::new()),
        sheet: Set(options.sheet.clone()),
        publish: Set(false),
        created_at: Set(import.created_at),
        request_id: Set(cause.source.request_id.clone()),
        step: Set(import.step),
        options: Set(import.options.clone()),
        content_digest: Set(import.content_digest.clone()),
        progress_done: Set(import.progress_done),
        progress_total: Set(import.progress_total),
        ..Default::default()
    };
    bank_import::Entity::insert(row).exec_without_returning(&change).await?;
    let uploaded = Entry::of(Action::BankUploaded, import.id.encode()).became(sent);
    change.audit(uploaded.reason(reason.as_deref())).await?;
    change.enqueue(&PreviewBank { import: import.id }).await?;
    change.commit().await?;
    Ok(import)
}

/// Gives up an import that is not confirmed yet.
pub(crate) async fn cancel(site: &Site, id: BankImportId, reason: &str, cause: &Cause) -> Result<BankImport> {
    let reason = text::reason("reason", reason)?;
    let change = Change::begin(site, cause).await?;
    let cancelled = bank_import::Entity::update_many()
        .col_expr(bank_import::Column::Step, Expr::value(None::<String>))
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::FinishedAt.is_null())
        .filter(bank_import::Column::Step.is_in([Step::Reading, Step::Ready]))
        .exec(&change)
        .await?;
    if cancelled.rows_affected == 0 {
        background::find(&change, &[id]).await?.pop().ok_or(Error::NotFound)?;
        let message =
            "This import is confirmed or finished already. Delete the quiz that it has made, if it is not wanted.";
        return Err(Error::refused(UserErrorCode::Conflict, message).at("importId"));
    }
    let message = "It was given up before it was confirmed.".to_owned();
    finish(&change, id, Some(message), &cause.now).await?;
    import_question::Entity::forget([id]).exec(&change).await?;
    let given_up = Entry::of(Action::ImportCancelled, id.encode()).became(serde_json::json!({"state": "FAILED"}));
    change.audit(given_up.reason(reason.as_str())).await?;
    let import = background::find(&change, &[id]).await?.pop().ok_or(Error::NotFound)?;
    change.commit().await?;
    Ok(import)
}

/// Lets go of imports that nobody has confirmed in a week.
async fn forget(conn: &impl ConnectionTrait, now: &Moment) -> Result<()> {
    let old: Vec<BankImportId> = bank_import::Entity::unconfirmed_since(now.at - WAITS)
        .select_only()
        .column(bank_import::Column::Id)
        .limit(20)
        .into_tuple()
        .all(conn)
        .await?;
    for id in &old {
        let message = "It was not confirmed within a week. Send the file again.".to_owned();
        finish(conn, *id, Some(message), now).await?;
    }
    if !old.is_empty() {
        import_question::Entity::forget(old).exec(conn).await?;
    }
    Ok(())
}

/// Reads a waiting file, and keeps its questions until they are confirmed. Run twice, it stores the same once.
pub async fn run_preview(site: &Site, id: BankImportId, now: &Moment) -> Result<()> {
    let _turn = turn().await?;
    let waiting = bank_import::Entity::waiting(id).one(site.db.read()).await?;
    let Some(waiting) = waiting.filter(|import| import.step == Some(Step::Reading)) else {
        return Ok(());
    };
    let options = Options::read(waiting.options.as_deref());
    let content = waiting.content.unwrap_or_default();
    let read = read_in_child(waiting.file_name, content, options.sheet, options.settings).await?;
    let mut sheets = match read {
        Ok(sheets) => sheets,
        Err(unreadable) => return give_up(site, id, unreadable.to_string(), now).await,
    };
    compare(site.db.read(), &mut sheets).await?;
    let cause = Cause {
        source: Source {
            actor: Some(waiting.wanted_by),
            request_id: waiting.request_id,
        },
        viewer: None,
        now: now.clone(),
    };
    let Some(run) = Writing::begin(site, &cause, Some(id)).await? else {
        return Ok(());
    };
    let questions: usize = sheets.iter().map(|sheet| sheet.questions.len()).sum();
    let Some(change) = run.change().await? else {
        return Ok(());
    };
    import_question::Entity::forget([id]).exec(&change).await?;
    begin_progress(&change, id, questions).await?;
    change.commit().await?;
    for (number, sheet) in (0..).zip(&sheets) {
        let rows = (0..).zip(sheet.questions.iter().zip(&sheet.cells));
        let rows: Vec<_> = rows
            .map(|(position, (question, cell))| {
                let content = serde_json::to_string(&Written::from(question)).map_err(Error::internal)?;
                Ok(import_question::ActiveModel {
                    import_id: Set(id),
                    sheet: Set(number),
                    position: Set(position),
                    cell: Set(cell.clone()),
                    content: Set(content),
                })
            })
            .collect::<Result<_>>()?;
        for some in rows.chunks(AT_ONCE) {
            let Some(change) = run.change().await? else {
                return Ok(());
            };
            import_question::Entity::insert_many(some.to_vec())
                .exec_without_returning(&change)
                .await?;
            progress(&change, id, some.len()).await?;
            change.commit().await?;
        }
    }
    let reports: Vec<_> = sheets
        .into_iter()
        .map(|sheet| Imported::of(sheet.report, None))
        .collect();
    let report = serde_json::to_string(&reports).map_err(Error::internal)?;
    let Some(change) = run.change().await? else {
        return Ok(());
    };
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::Report, Expr::value(report))
        .col_expr(bank_import::Column::Step, Expr::value(Step::Ready))
        .filter(bank_import::Column::Id.eq(id))
        .filter(bank_import::Column::Step.eq(Step::Reading))
        .exec(&change)
        .await?;
    change.commit().await
}

/// Begins to count the questions of a step.
pub(super) async fn begin_progress(conn: &impl ConnectionTrait, id: BankImportId, total: usize) -> Result<()> {
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::ProgressDone, Expr::value(0))
        .col_expr(
            bank_import::Column::ProgressTotal,
            Expr::value(i32::try_from(total).unwrap_or(i32::MAX)),
        )
        .filter(bank_import::Column::Id.eq(id))
        .exec(conn)
        .await?;
    Ok(())
}

/// Warns of questions that a quiz of the site has already, in its draft or the revision in force: the newest 50,000 are
/// looked through, and only what the file could be like is compared.
pub(super) async fn compare(conn: &impl ConnectionTrait, sheets: &mut [Sheet]) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Row {
        id: QuestionId,
        text: String,
        title: String,
        choices: Option<String>,
    }
    let index = near::Index::of(&near::texts(sheets));
    let count = sheets.iter().map(|sheet| sheet.questions.len()).sum();
    if count == 0 {
        return Ok(());
    }
    let mut found: Vec<Option<String>> = vec![None; count];
    let choices = match conn.get_database_backend() {
        sea_orm::DbBackend::Postgres => "string_agg(c.text, ' ')",
        _ => "group_concat(c.text, ' ')",
    };
    let select = format!(
        "SELECT q.id, q.text, z.title, (SELECT {choices} FROM choices c WHERE c.question_id = q.id) AS choices \
         FROM questions q JOIN revisions r ON r.id = q.revision_id JOIN quizzes z ON z.id = r.quiz_id \
         WHERE q.id < $1 AND z.deleted_at IS NULL AND r.superseded_at IS NULL \
         AND NOT EXISTS (SELECT 1 FROM unfinished_quizzes u WHERE u.quiz_id = z.id) ORDER BY q.id DESC LIMIT $2"
    );
    let (mut before, mut read) = (QuestionId(Uuid::max()), 0);
    while read < COMPARED {
        let values = [before.into(), READ_AT_ONCE.into()];
        let rows = Row::find_by_statement(sql(conn, select.as_str(), values))
            .all(conn)
            .await?;
        let Some(last) = rows.last() else { break };
        (before, read) = (last.id, read + rows.len());
        for row in &rows {
            let text = near::compared(&row.text, row.choices.as_deref());
            for place in index.all_like(&text) {
                found[place].get_or_insert_with(|| row.title.clone());
            }
        }
    }
    let kept: usize = sheets.iter().map(|sheet| sheet.report.kept().count()).sum();
    let (mut room, mut place) = (MAX_KEPT.saturating_sub(kept), 0);
    for sheet in sheets {
        for at in 0..sheet.questions.len() {
            if let Some(quiz) = &found[place] {
                near::warn_of_bank(sheet, at, quiz, &mut room);
            }
            place += 1;
        }
    }
    Ok(())
}

/// A question as it would become.
#[derive(Clone, Debug)]
pub(crate) struct Previewed {
    pub position: i32,
    /// Where in the file it comes from.
    pub cell: String,
    pub question: Written,
}

/// Pages of the questions of sheets that are not confirmed yet.
pub(crate) async fn questions(
    conn: &impl ConnectionTrait,
    sheets: &[(BankImportId, i32)],
    page: &Page<i32>,
) -> Result<std::collections::HashMap<(BankImportId, i32), Slice<Previewed>>> {
    let lists = sheets
        .iter()
        .map(|(import, sheet)| ((*import, *sheet), import_question::Entity::of_sheet(*import, *sheet)));
    let column = (import_question::Column::Position, Order::Ascending);
    let slices = page
        .of_each(conn, lists, column, |row| ((row.import_id, row.sheet), row.position))
        .await?;
    let slice = |(list, slice): (_, Slice<import_question::Model>)| {
        let rows = slice.rows.into_iter().filter_map(|row| {
            Some(Previewed {
                position: row.position,
                cell: row.cell,
                question: serde_json::from_str(&row.content).ok()?,
            })
        });
        let slice = Slice {
            rows: rows.collect(),
            has_previous: slice.has_previous,
            has_next: slice.has_next,
        };
        (list, slice)
    };
    Ok(slices.into_iter().map(slice).collect())
}

/// The number of questions of a sheet that are kept.
pub(super) async fn count_of(conn: &impl ConnectionTrait, import: BankImportId, sheet: i32) -> Result<u64> {
    Ok(import_question::Entity::of_sheet(import, sheet).count(conn).await?)
}
