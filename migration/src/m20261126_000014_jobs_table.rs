//! One table of jobs, written in the transaction that wants them. Named `background_jobs`: the library of the release
//! before calls its own `Jobs`, and to SQLite that is the same name.
//!
//! The tables of the previous release stay for one release more, so that its servers can still run: `job_outbox` and the
//! library's. Whatever waits in them is carried over here, and again and again while servers of this release work.

use sea_orm_migration::{
    prelude::*,
    sea_orm::{
        DatabaseBackend::Postgres,
        FromQueryResult, Statement,
        prelude::{Json, Uuid},
    },
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await?;
        carry_over(manager.get_connection()).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        carry_back(manager.get_connection()).await?;
        crate::execute(manager, "DROP TABLE background_workers; DROP TABLE background_jobs;").await
    }

    /// No job may be in neither table, whenever the process dies.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}

const UP: &str = r#"
CREATE TABLE background_jobs (
    id {uuid} NOT NULL PRIMARY KEY,
    kind {text} NOT NULL,
    -- JSON; its shape follows from the kind.
    payload {text} NOT NULL,
    -- Whether the payload holds personal data, such as an address.
    personal {bool} NOT NULL,
    -- Higher ones first.
    priority {int} NOT NULL,
    state {text} NOT NULL CHECK (state IN ('QUEUED', 'RUNNING', 'DONE', 'DEAD')),
    -- Counted when a worker takes it.
    attempts {int} NOT NULL,
    max_attempts {int} NOT NULL,
    wanted_at {time} NOT NULL,
    -- When a worker may take it: at once, after a pause between two attempts, or when the lease of the worker that has
    -- it ends.
    run_at {time} NOT NULL,
    -- The worker that has it.
    worker_id {uuid},
    -- When a worker last took it.
    started_at {time},
    finished_at {time},
    last_error {text},
    CHECK ((state IN ('DONE', 'DEAD')) = (finished_at IS NOT NULL)),
    CHECK (worker_id IS NULL OR state = 'RUNNING')
) {strict};
CREATE INDEX background_jobs_due ON background_jobs (priority DESC, run_at, id) WHERE finished_at IS NULL;
CREATE INDEX background_jobs_state ON background_jobs (state, id);
CREATE INDEX background_jobs_finished_at ON background_jobs (finished_at);

-- The processes that run jobs.
CREATE TABLE background_workers (
    id {uuid} NOT NULL PRIMARY KEY,
    -- When it last showed that it lives.
    seen_at {time} NOT NULL
) {strict};
"#;

/// A job of the previous release.
#[derive(FromQueryResult)]
struct Wanted {
    id: Uuid,
    job: String,
    created_at: i64,
}

/// A job that the library of the previous release has.
#[derive(FromQueryResult)]
struct Held {
    /// A ULID.
    id: String,
    job: String,
    status: String,
    attempts: i32,
    max_attempts: i32,
    done_at: Option<i64>,
    last_result: Option<String>,
}

#[derive(FromQueryResult)]
struct Unfinished {
    id: Uuid,
    kind: String,
    payload: String,
    wanted_at: i64,
}

/// Kinds by their names of the previous release, and by those of this one.
const RENAMED: [(&str, &str); 2] = [
    ("password_reset_letter", "password_reset_email"),
    ("email_confirmation_letter", "email_confirmation_email"),
];

/// Moves jobs from the tables of the previous release into this one's, except those that a worker is just
/// running. To be called in a transaction. Returns how many there were.
pub async fn carry_over(conn: &impl ConnectionTrait) -> Result<usize, DbErr> {
    let backend = conn.get_database_backend();
    let statement = |text: &str| Statement::from_string(backend, text);
    let wanted = statement("DELETE FROM job_outbox RETURNING id, job, created_at");
    let wanted = Wanted::find_by_statement(wanted).all(conn).await?;
    let mut count = wanted.len();
    for Wanted { id, job, created_at } in wanted {
        Carried::of(id, &job, created_at).insert(conn).await?;
    }
    let (there, [jobs, workers, text, micros, seen]) = if backend == Postgres {
        let micros = "CAST(EXTRACT(EPOCH FROM done_at) * 1000000 AS BIGINT)";
        let tables = ["apalis.jobs", "apalis.workers"];
        let there = "SELECT 1 WHERE to_regclass('apalis.jobs') IS NOT NULL";
        (
            there,
            [
                tables[0],
                tables[1],
                "convert_from(job, 'UTF8')",
                micros,
                "now() - interval '1 minute'",
            ],
        )
    } else {
        let there = "SELECT 1 FROM sqlite_schema WHERE name = 'Jobs'";
        let tables = ["Jobs", "Workers"];
        (
            there,
            [
                tables[0],
                tables[1],
                "CAST(job AS TEXT)",
                "done_at * 1000000",
                "strftime('%s', 'now') - 60",
            ],
        )
    };
    if conn.query_one_raw(statement(there)).await?.is_none() {
        return Ok(count);
    }
    let held = format!(
        "DELETE FROM {jobs} WHERE status NOT IN ('Queued', 'Running') OR lock_by IS NULL \
           OR lock_by IN (SELECT id FROM {workers} WHERE last_seen < {seen}) \
         RETURNING id, {text} AS job, status, attempts, max_attempts, {micros} AS done_at, \
           CAST(last_result AS TEXT) AS last_result"
    );
    let held = Held::find_by_statement(statement(&held)).all(conn).await?;
    count += held.len();
    for job in held {
        job.carried()?.insert(conn).await?;
    }
    Ok(count)
}

/// A row of `background_jobs`.
struct Carried {
    id: Uuid,
    kind: String,
    payload: Json,
    attempts: i32,
    max_attempts: i32,
    wanted_at: i64,
    state: &'static str,
    finished_at: Option<i64>,
    last_error: Option<String>,
}

impl Carried {
    /// One that waits. `job` is JSON, with the kind beside what belongs to it.
    fn of(id: Uuid, job: &str, wanted_at: i64) -> Self {
        let mut payload: Json = job.parse().unwrap_or_default();
        let kind = payload.as_object_mut().and_then(|fields| fields.remove("kind"));
        let kind = kind.as_ref().and_then(Json::as_str).unwrap_or_default();
        let renamed = RENAMED.iter().find(|(before, _)| *before == kind);
        Self {
            id,
            kind: renamed.map_or(kind, |(_, now)| now).to_owned(),
            payload,
            attempts: 0,
            max_attempts: 10,
            wanted_at,
            state: "QUEUED",
            finished_at: None,
            last_error: None,
        }
    }

    async fn insert(self, conn: &impl ConnectionTrait) -> Result<(), DbErr> {
        let personal = self.payload.get("email").is_some();
        let insert = Statement::from_sql_and_values(
            conn.get_database_backend(),
            "INSERT INTO background_jobs (id, kind, payload, personal, priority, state, attempts, max_attempts, wanted_at, \
               run_at, finished_at, last_error) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $11) ON CONFLICT (id) DO NOTHING",
            [
                self.id.into(),
                self.kind.into(),
                self.payload.to_string().into(),
                personal.into(),
                i32::from(personal).into(),
                self.state.into(),
                self.attempts.into(),
                self.max_attempts.into(),
                self.wanted_at.into(),
                self.finished_at.into(),
                self.last_error.into(),
            ],
        );
        conn.execute_raw(insert).await.map(drop)
    }
}

impl Held {
    fn carried(self) -> Result<Carried, DbErr> {
        let id = of_ulid(&self.id).ok_or_else(|| DbErr::Migration(format!("{} is no job's id", self.id)))?;
        let mut job = Carried::of(id, &self.job, 0);
        let wanted_at = job
            .payload
            .as_object_mut()
            .and_then(|fields| fields.remove("wanted_at"));
        job.wanted_at = wanted_at.as_ref().and_then(Json::as_i64).unwrap_or_default();
        (job.attempts, job.max_attempts) = (self.attempts, self.max_attempts);
        job.state = match self.status.as_str() {
            "Done" => "DONE",
            "Killed" => "DEAD",
            "Failed" if self.attempts >= self.max_attempts => "DEAD",
            _ => job.state,
        };
        job.finished_at = (job.state != "QUEUED").then(|| self.done_at.unwrap_or(job.wanted_at));
        // The library keeps a failure as `{"Err": "…"}`.
        let result: Option<Json> = self.last_result.and_then(|result| result.parse().ok());
        job.last_error = result.and_then(|result| Some(result.get("Err")?.as_str()?.to_owned()));
        Ok(job)
    }
}

/// The 128 bits of a ULID: 26 digits of Crockford's base 32.
fn of_ulid(text: &str) -> Option<Uuid> {
    let digit = |byte: u8| {
        b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
            .iter()
            .position(|digit| *digit == byte)
    };
    let bits = text
        .bytes()
        .try_fold(0_u128, |bits, byte| Some(bits << 5 | digit(byte)? as u128))?;
    (text.len() == 26).then(|| Uuid::from_u128(bits))
}

/// Moves jobs that are not done to where a server of the previous release takes them from. One that was given up is tried
/// again: that table does not know such.
async fn carry_back(conn: &impl ConnectionTrait) -> Result<(), DbErr> {
    let backend = conn.get_database_backend();
    let unfinished = "SELECT id, kind, payload, wanted_at FROM background_jobs WHERE state <> 'DONE'";
    let unfinished = Unfinished::find_by_statement(Statement::from_string(backend, unfinished));
    for Unfinished {
        id,
        kind,
        payload,
        wanted_at,
    } in unfinished.all(conn).await?
    {
        let renamed = RENAMED.iter().find(|(_, now)| *now == kind);
        let kind = renamed.map_or(&*kind, |(before, _)| before);
        let mut job: Json = payload.parse().unwrap_or_default();
        if let Some(fields) = job.as_object_mut() {
            fields.insert("kind".into(), kind.into());
        }
        let insert = "INSERT INTO job_outbox (id, job, created_at) VALUES ($1, $2, $3)";
        let values = [id.into(), job.to_string().into(), wanted_at.into()];
        conn.execute_raw(Statement::from_sql_and_values(backend, insert, values))
            .await?;
    }
    Ok(())
}
