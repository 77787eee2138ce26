//! The queue: apalis, with its tables in our database. What is the library's stays in this file and in `record.rs`,
//! which reads its tables.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use apalis::{
    layers::{WorkerBuilderExt, retry::RetryPolicy},
    prelude::{
        Attempt, BackendExt, BoxDynError, Data, ParallelizeExt, TaskBuilder, TaskId, TaskSink, WorkerBuilder,
        WorkerError,
    },
};
use apalis_postgres::{PgPool, PostgresStorage};
use apalis_sqlite::{SqlitePool, SqliteStorage};
use futures_util::FutureExt;
use sea_orm::DbBackend;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tower::{
    retry::backoff::{ExponentialBackoffMaker, MakeBackoff},
    util::rng::HasherRng,
};
use tracing::Instrument;
pub use ulid::Ulid;
use uuid::Uuid;

use super::{Job, record};
use crate::{
    app::App,
    clock::Time,
    db::Db,
    error::{Error, Result},
    telemetry,
};

/// How often a job is tried before it is given up.
const MOST_ATTEMPTS: usize = 10;
/// How many jobs one process does at the same time.
const AT_ONCE: usize = 16;
/// How long a job may lie in the queue before a worker looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many heartbeats must be missed until a worker's jobs are another's.
const MISSED_HEARTBEATS: usize = 3;
/// The longest pause before a job is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How long jobs under way may take when the process stops.
const DRAIN: Duration = Duration::from_secs(10);
/// The name of the queue.
pub const NAME: &str = "marmalade";

/// Where jobs wait.
#[derive(Clone)]
pub struct Queue {
    pool: Pool,
    wanted: Arc<Notify>,
}

#[derive(Clone)]
enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A job in the queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Queued {
    #[serde(flatten)]
    pub job: Job,
    pub wanted_at: Time,
}

impl Queue {
    /// The queue in this database.
    pub fn new(db: &Db) -> Self {
        let pool = match db.write().get_database_backend() {
            DbBackend::Postgres => Pool::Postgres(db.write().get_postgres_connection_pool().clone()),
            _ => Pool::Sqlite(db.write().get_sqlite_connection_pool().clone()),
        };
        Self {
            pool,
            wanted: Arc::default(),
        }
    }

    /// Makes the queue's tables, or brings them up to date. Not by the library's own `setup`: on SQLite that turns
    /// `synchronous` off, and a commit would no longer survive the loss of power.
    pub async fn set_up(&self) -> Result<()> {
        match &self.pool {
            // A newer release may have brought newer tables.
            Pool::Sqlite(pool) => {
                SqliteStorage::<()>::migrations()
                    .set_ignore_missing(true)
                    .run(pool)
                    .await
            }
            Pool::Postgres(pool) => {
                PostgresStorage::<()>::migrations()
                    .set_ignore_missing(true)
                    .run(pool)
                    .await
            }
        }
        .map_err(|error| Error::internal(format!("the job queue's tables can't be made: {error}")))
    }

    /// Tells this process that a job is wanted.
    pub fn wake(&self) {
        self.wanted.notify_one();
    }

    /// Until this process is told so.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Puts a job into the queue, once: the same id again changes nothing.
    pub async fn push(&self, id: Uuid, job: Job, wanted_at: Time) -> Result<()> {
        let task = TaskBuilder::new(Queued { job, wanted_at })
            .task_id(TaskId::from_ulid(ulid(id)))
            .idempotency_key(id.to_string())
            .max_attempts(MOST_ATTEMPTS)
            .build();
        match &self.pool {
            Pool::Sqlite(pool) => {
                let mut storage = SqliteStorage::new(pool).with_config(apalis_sqlite::Config::default().queue(NAME));
                storage.push_task(task).await.map_err(Error::internal)
            }
            Pool::Postgres(pool) => {
                let mut storage =
                    PostgresStorage::new(pool).with_config(apalis_postgres::Config::default().queue(NAME));
                match storage.push_task(task).await {
                    Err(error) if is_there_already(&error) => Ok(()),
                    pushed => pushed.map_err(Error::internal),
                }
            }
        }
    }
}

/// Whether an error says that there is a job of this id.
fn is_there_already(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // PostgreSQL's `unique_violation`, by the name of what is violated.
        let text = error.to_string();
        if text.contains("jobs_pkey") || text.contains("unique_job_id") || text.contains("idx_jobs_idempotency_key") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An id as the library has it; both are 128 bits that begin with the time.
pub fn ulid(id: Uuid) -> Ulid {
    Ulid(id.as_u128())
}

/// A worker on one of the two kinds of storage, whose types have nothing in common.
macro_rules! worker {
    ($app:expr, $name:expr, $storage:expr) => {{
        let backoff = ExponentialBackoffMaker::new($app.config.jobs.retry, LONGEST_PAUSE, 0.2, HasherRng::default());
        let backoff = backoff.map_err(Error::internal)?.make_backoff();
        let shutdown = $app.shutdown.clone();
        WorkerBuilder::new($name)
            .backend($storage.poll_with_interval(LOOK_EVERY))
            .data($app.clone())
            .retry(RetryPolicy::retries(MOST_ATTEMPTS - 1).with_backoff(backoff))
            // Inside of the retries: a job that waits to be tried again takes nobody's place.
            .concurrency(AT_ONCE)
            .catch_panic()
            .parallelize(tokio::spawn)
            .build(run)
            .run_until(async move {
                shutdown.cancelled().await;
                Ok::<_, WorkerError>(())
            })
    }};
}

/// Does jobs until shutdown. A worker whose database went away ends; another takes its place.
pub async fn work(app: App) {
    while !app.shutdown.is_cancelled() {
        match worker(&app).await {
            Ok(()) => return,
            Err(Error::Internal(cause)) => tracing::warn!(?cause, "a worker ended; another takes its place"),
            Err(_) => {}
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn worker(app: &App) -> Result<()> {
    // A worker registers under its name: each has its own.
    let name = format!("{}-{}", std::process::id(), app.now().id::<Uuid>().simple());
    let heartbeat = app.config.jobs.heartbeat;
    let work = match &app.jobs.pool {
        Pool::Sqlite(pool) => {
            let config = apalis_sqlite::Config::default()
                .queue(NAME)
                .heartbeat_interval(heartbeat);
            let storage = SqliteStorage::<Queued>::new(pool).with_config(config.missed_heartbeats(MISSED_HEARTBEATS));
            worker!(app, name.clone(), storage).boxed()
        }
        Pool::Postgres(pool) => {
            let config = apalis_postgres::Config::default()
                .queue(NAME)
                .heartbeat_interval(heartbeat);
            let storage = PostgresStorage::<Queued>::new(pool).with_config(config.missed_heartbeats(MISSED_HEARTBEATS));
            worker!(app, name.clone(), storage).boxed()
        }
    };
    // The library shows that a worker lives only while it looks for more jobs; one that has its hands full lives, too.
    let alive = async {
        loop {
            tokio::time::sleep(heartbeat).await;
            if let Err(error) = record::is_alive(app.db.write(), &name).await {
                tracing::warn!(cause = error.describe(), "a worker could not show that it lives");
            }
        }
    };
    let deadline = async {
        app.shutdown.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = work => ended.map_err(Error::internal),
        () = alive => Ok(()),
        // What was not finished is another worker's once this one's heartbeats are missed.
        () = deadline => Ok(()),
    }
}

async fn run(queued: Queued, app: Data<App>, id: TaskId, attempt: Attempt) -> Result<(), BoxDynError> {
    let kind = queued.job.kind();
    let attempt = attempt.current();
    let span = tracing::info_span!("job", kind = kind.name(), %id, attempt);
    if attempt > MOST_ATTEMPTS {
        // The attempts of which nobody heard again count, too: it may be the job that ends its process.
        return Err("its worker went away each time it was tried".into());
    }
    async {
        if attempt == 1 {
            telemetry::job_waited(kind.name(), app.clock.now().since(queued.wanted_at));
        }
        let began = Instant::now();
        let outcome = queued.job.run(&app, queued.wanted_at).await;
        telemetry::job_ended(kind.name(), outcome.is_ok(), began.elapsed());
        let Err(error) = outcome else { return Ok(()) };
        let cause = error.describe();
        tracing::warn!(cause, "a job failed");
        // The library keeps it once it gives the job up; staff are to see it before.
        if let Err(error) = record::failed(app.db.write(), &id.to_string(), attempt, &cause).await {
            tracing::warn!(cause = error.describe(), "why a job failed could not be kept");
        }
        Err(cause.into())
    }
    .instrument(span)
    .await
}
