//! Statements that are tried again: a reader does so by itself.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, SqlxError, Statement};

use super::pool::Pool;
use crate::{error::Result, telemetry};

/// A pool for read-only statements. Retries transient failures as [`with_retries`] does, so readers do not notice a
/// lost connection.
#[derive(Clone, Debug)]
pub struct Reader(pub(super) Pool);

impl Reader {
    /// The underlying pool, for streamed rows, which can't be retried once some were received.
    pub fn pool(&self) -> &Pool {
        &self.0
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.0.get_database_backend()
    }

    async fn query_one_raw(&self, statement: Statement) -> std::result::Result<Option<QueryResult>, DbErr> {
        retry(database_error, || self.0.query_one_raw(statement.clone())).await
    }

    async fn query_all_raw(&self, statement: Statement) -> std::result::Result<Vec<QueryResult>, DbErr> {
        retry(database_error, || self.0.query_all_raw(statement.clone())).await
    }

    async fn execute_raw(&self, statement: Statement) -> std::result::Result<ExecResult, DbErr> {
        self.0.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, statements: &str) -> std::result::Result<ExecResult, DbErr> {
        self.0.execute_unprepared(statements).await
    }
}

/// Pauses before retries.
const RETRY_PAUSES: [Duration; 3] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(800),
];

/// Runs an idempotent operation with up to three retries on transient database failures, with growing pauses. For
/// operations that clients would retry anyway; a [`Reader`] retries by itself.
pub(crate) async fn with_retries<T, F: Future<Output = Result<T>>>(work: impl Fn() -> F) -> Result<T> {
    retry(|error| error.cause()?.downcast_ref(), work).await
}

fn database_error(error: &DbErr) -> Option<&DbErr> {
    Some(error)
}

async fn retry<T, E, F: Future<Output = std::result::Result<T, E>>>(
    cause: impl Fn(&E) -> Option<&DbErr>,
    work: impl Fn() -> F,
) -> std::result::Result<T, E> {
    for pause in RETRY_PAUSES {
        let outcome = work().await;
        match outcome.as_ref().err().and_then(&cause) {
            Some(cause) if is_transient(cause) => {
                tracing::info!(?cause, "the database could not finish; retrying");
                telemetry::retried();
                tokio::time::sleep(pause).await;
            }
            _ => return outcome,
        }
    }
    work().await
}

/// Whether the same again may succeed: the connection was lost, the server is just starting or stopping, or it chose this
/// transaction to end a deadlock or a conflict. By PostgreSQL's
/// [codes](https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn is_transient(cause: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = cause
    else {
        return false;
    };
    match &**error {
        SqlxError::Io(_) => true,
        SqlxError::Database(error) => error.code().is_some_and(|code| {
            code.starts_with("08") || ["40001", "40P01", "57P01", "57P02", "57P03"].contains(&&*code)
        }),
        _ => false,
    }
}
