//! Jobs as staff see them, read from the queue's tables.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Value};
use uuid::Uuid;

use super::queue::{self, Queued, ulid};
use crate::{
    account::own,
    app::App,
    audit::{self, Action, Entry, Source},
    clock::{Moment, Time},
    db::sql,
    error::{Error, Result, UserErrorCode},
    id::JobId,
    page::{Page, Slice},
};

/// How long jobs that are done are kept.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a letter that was given up is kept: its address is personal, and goes when that of a deleted account does.
const LETTERS_KEPT: Duration = own::RESTORABLE;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "JobState")]
pub enum State {
    /// The job waits for a worker.
    Queued,
    /// The job is running, or waiting for its next attempt.
    Running,
    /// The job succeeded. Kept for 7 days.
    Done,
    /// All attempts failed. Staff can retry it with `retryJob`.
    Dead,
}

/// A job, and where it stands.
#[derive(Clone, Debug)]
pub struct JobRecord {
    pub id: JobId,
    /// `None` for a job of a newer release.
    pub job: Option<Queued>,
    pub state: State,
    pub attempts: i32,
    /// The maximum number of attempts, after which the job is dead.
    pub max_attempts: i32,
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub error: Option<String>,
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
}

#[derive(FromQueryResult)]
struct Row {
    id: String,
    job: String,
    status: String,
    attempts: i32,
    max_attempts: i32,
    lock_at: Option<i64>,
    done_at: Option<i64>,
    last_result: Option<String>,
}

/// Where the queue's jobs are, with times in microseconds.
fn table(conn: &impl ConnectionTrait) -> &'static str {
    match conn.get_database_backend() {
        DbBackend::Postgres => {
            "(SELECT id, convert_from(job, 'UTF8') AS job, status, attempts, max_attempts, \
                     CAST(EXTRACT(EPOCH FROM lock_at) * 1000000 AS BIGINT) AS lock_at, \
                     CAST(EXTRACT(EPOCH FROM done_at) * 1000000 AS BIGINT) AS done_at, \
                     CAST(last_result AS TEXT) AS last_result FROM apalis.jobs) AS queue"
        }
        _ => {
            "(SELECT id, CAST(job AS TEXT) AS job, status, attempts, max_attempts, lock_at * 1000000 AS lock_at, \
                     done_at * 1000000 AS done_at, last_result FROM Jobs) AS queue"
        }
    }
}

impl State {
    /// The rows in this state.
    fn condition(self) -> &'static str {
        match self {
            Self::Queued => "status = 'Pending'",
            Self::Running => "(status IN ('Queued', 'Running') OR status = 'Failed' AND attempts < max_attempts)",
            Self::Done => "status = 'Done'",
            Self::Dead => "(status = 'Killed' OR status = 'Failed' AND attempts >= max_attempts)",
        }
    }
}

fn condition(filter: &Filter) -> &'static str {
    filter.state.map_or("status <> ''", State::condition)
}

/// A page of jobs, the newest first.
pub async fn list(conn: &impl ConnectionTrait, filter: &Filter, page: &Page<JobId>) -> Result<Slice<JobRecord>> {
    let text = |id: Option<JobId>| Value::from(id.map(|id| ulid(id.0).to_string()));
    let select = format!(
        "SELECT * FROM {} WHERE {} AND ($1 IS NULL OR id < $1) AND ($2 IS NULL OR id > $2) ORDER BY id {} LIMIT {}",
        table(conn),
        condition(filter),
        if page.backward { "ASC" } else { "DESC" },
        page.limit + 1,
    )
    .replace("$1", "CAST($1 AS TEXT)")
    .replace("$2", "CAST($2 AS TEXT)");
    let rows = Row::find_by_statement(sql(conn, select, [text(page.after), text(page.before)]));
    let rows = rows.all(conn).await?;
    Ok(page.slice(rows.into_iter().map(Row::read).collect::<Result<_>>()?))
}

/// How many there are.
pub async fn count(conn: &impl ConnectionTrait, filter: &Filter) -> Result<u64> {
    #[derive(FromQueryResult)]
    struct Count {
        count: i64,
    }
    let select = format!(
        "SELECT count(*) AS count FROM {} WHERE {}",
        table(conn),
        condition(filter)
    );
    let count = Count::find_by_statement(sql(conn, select, [])).one(conn).await?;
    Ok(count.map_or(0, |count| count.count.unsigned_abs()))
}

/// How many jobs there are in each state that somebody must do something about.
pub async fn backlog(conn: &impl ConnectionTrait) -> Result<[(&'static str, u64); 3]> {
    let of = async |state| count(conn, &Filter { state: Some(state) }).await;
    Ok([
        ("queued", of(State::Queued).await?),
        ("running", of(State::Running).await?),
        ("dead", of(State::Dead).await?),
    ])
}

/// How many processes do jobs: those that have shown within a minute that they live.
pub async fn workers(conn: &impl ConnectionTrait, now: Time) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Count {
        count: i64,
    }
    let since = (now - Duration::from_secs(60)).0 / 1_000_000;
    let select = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT count(*) AS count FROM apalis.workers WHERE last_seen > to_timestamp(CAST($1 AS BIGINT))"
        }
        _ => "SELECT count(*) AS count FROM Workers WHERE last_seen > $1",
    };
    let count = Count::find_by_statement(sql(conn, select, [since.into()]))
        .one(conn)
        .await?;
    Ok(count.map_or(0, |count| count.count))
}

/// Keeps why an attempt at a job failed that will be tried again.
pub async fn failed(conn: &impl ConnectionTrait, id: &str, attempt: usize, cause: &str) -> Result<()> {
    let update = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "UPDATE apalis.jobs SET attempts = $2, last_result = CAST($3 AS JSONB) WHERE id = $1 AND status = 'Running'"
        }
        _ => "UPDATE Jobs SET attempts = $2, last_result = $3 WHERE id = $1 AND status = 'Running'",
    };
    let result = serde_json::json!({"Err": cause}).to_string();
    let values = [
        id.into(),
        i32::try_from(attempt).unwrap_or(i32::MAX).into(),
        result.into(),
    ];
    conn.execute_raw(sql(conn, update, values)).await?;
    Ok(())
}

/// Shows that a worker lives, so that its jobs stay its own.
pub async fn is_alive(conn: &impl ConnectionTrait, worker: &str) -> Result<()> {
    let update = match conn.get_database_backend() {
        DbBackend::Postgres => "UPDATE apalis.workers SET last_seen = now() WHERE id = $1",
        _ => "UPDATE Workers SET last_seen = strftime('%s', 'now') WHERE id = $1",
    };
    conn.execute_raw(sql(conn, update, [worker.into()])).await?;
    Ok(())
}

/// Jobs that are not done, and those that were done since: what a stream of changes looks at. If there are too many, those
/// that only wait are left out.
pub async fn recent(conn: &impl ConnectionTrait, since: Time) -> Result<Vec<JobRecord>> {
    const MOST: usize = 200;
    let select = format!(
        "SELECT * FROM {} WHERE done_at IS NULL OR done_at >= $1 \
         ORDER BY CASE WHEN status = 'Pending' THEN 1 ELSE 0 END, id DESC LIMIT {MOST}",
        table(conn)
    );
    let rows = Row::find_by_statement(sql(conn, select, [since.into()]))
        .all(conn)
        .await?;
    rows.into_iter().map(Row::read).collect()
}

/// Has a job that was given up run again.
pub async fn retry(app: &App, id: JobId, source: &Source, now: &Moment) -> Result<JobRecord> {
    let tx = app.db.begin().await?;
    let (jobs, at) = match tx.get_database_backend() {
        DbBackend::Postgres => ("apalis.jobs", "to_timestamp(CAST($2 AS BIGINT))"),
        _ => ("Jobs", "$2"),
    };
    let key = ulid(id.0).to_string();
    let update = format!(
        "UPDATE {jobs} SET status = 'Pending', attempts = 0, run_at = {at}, lock_by = NULL, lock_at = NULL, \
           done_at = NULL, last_result = NULL WHERE id = $1 AND {}",
        State::Dead.condition()
    );
    let update = sql(&tx, update, [key.clone().into(), (now.at.0 / 1_000_000).into()]);
    let changed = tx.execute_raw(update).await?.rows_affected();
    let select = sql(&tx, format!("SELECT * FROM {} WHERE id = $1", table(&tx)), [key.into()]);
    let job = Row::find_by_statement(select).one(&tx).await?.ok_or(Error::NotFound)?;
    if changed == 0 {
        let message = "Only a job that was given up can be run again.";
        return Err(Error::refused(UserErrorCode::Conflict, message));
    }
    audit::record(&tx, source, Entry::of(Action::JobRetried, id.encode()), now).await?;
    tx.commit().await?;
    job.read()
}

/// Forgets jobs that have been done for a week. Those that were given up stay until somebody sees to them, but letters no
/// longer than personal data may.
pub async fn forget_done(conn: &impl ConnectionTrait, now: Time) -> Result<()> {
    let before = (now - KEPT).0 / 1_000_000;
    let delete = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "DELETE FROM apalis.jobs WHERE status = 'Done' AND done_at < to_timestamp(CAST($1 AS BIGINT))"
        }
        _ => "DELETE FROM Jobs WHERE status = 'Done' AND done_at < $1",
    };
    conn.execute_raw(sql(conn, delete, [before.into()])).await?;
    let letters = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "DELETE FROM apalis.jobs WHERE status IN ('Failed', 'Killed') \
               AND done_at < to_timestamp(CAST($1 AS BIGINT)) AND convert_from(job, 'UTF8') LIKE '%\"email\":%'"
        }
        _ => {
            "DELETE FROM Jobs WHERE status IN ('Failed', 'Killed') AND done_at < $1 \
               AND CAST(job AS TEXT) LIKE '%\"email\":%'"
        }
    };
    let long_ago = (now - LETTERS_KEPT).0 / 1_000_000;
    conn.execute_raw(sql(conn, letters, [long_ago.into()])).await?;
    // Workers that are long gone; those whose jobs are kept are kept with them.
    let gone = match conn.get_database_backend() {
        DbBackend::Postgres => {
            "DELETE FROM apalis.workers WHERE last_seen < to_timestamp(CAST($1 AS BIGINT)) \
               AND id NOT IN (SELECT lock_by FROM apalis.jobs WHERE lock_by IS NOT NULL)"
        }
        _ => {
            "DELETE FROM Workers WHERE last_seen < $1 AND id NOT IN (SELECT lock_by FROM Jobs WHERE lock_by IS NOT NULL)"
        }
    };
    conn.execute_raw(sql(conn, gone, [before.into()])).await?;
    Ok(())
}

impl Row {
    fn read(self) -> Result<JobRecord> {
        let id = self.id.parse::<queue::Ulid>().map_err(Error::internal)?;
        let state = match self.status.as_str() {
            "Pending" => State::Queued,
            "Done" => State::Done,
            "Killed" => State::Dead,
            "Failed" if self.attempts >= self.max_attempts => State::Dead,
            _ => State::Running,
        };
        let failed = state != State::Done && self.last_result.is_some();
        Ok(JobRecord {
            id: JobId(Uuid::from_u128(id.0)),
            job: serde_json::from_str(&self.job).ok(),
            state,
            attempts: self.attempts,
            max_attempts: self.max_attempts,
            started_at: self.lock_at.map(Time),
            finished_at: self
                .done_at
                .filter(|_| matches!(state, State::Done | State::Dead))
                .map(Time),
            error: failed.then(|| said(self.last_result.as_deref().unwrap_or_default())),
        })
    }
}

/// The library keeps what a job returned as `{"Err": "…"}`.
fn said(result: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(result).unwrap_or_default();
    json["Err"].as_str().unwrap_or(result).to_owned()
}
