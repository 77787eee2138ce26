//! PostgreSQL behind a pooler. One that lends a connection for a transaction gives the next one another session: nothing
//! may be left in a session, neither settings nor prepared statements.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectOptions, DbErr, RuntimeErr, SqlxError};

use crate::error::Error;

/// What lends out PostgreSQL's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooler {
    /// Nothing, or a pooler for sessions: a connection is one session of PostgreSQL.
    None,
    /// A pooler for transactions: the next transaction may run in another session. A session keeps no settings, and
    /// whatever statements it has prepared are another client's.
    Transaction,
}

/// How to connect, and what each transaction begins with.
pub(super) fn options(
    url: &str,
    pooler: Pooler,
    connections: u32,
    statement_timeout: Option<Duration>,
) -> (ConnectOptions, Option<Arc<str>>) {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(10))
        .set_application_name("marmalade")
        .sqlx_logging(false);
    let timeout = statement_timeout.map(|timeout| timeout.as_millis().to_string());
    match pooler {
        Pooler::None => {
            options.map_sqlx_postgres_opts(move |postgres| match &timeout {
                Some(timeout) => postgres.options([("statement_timeout", timeout)]),
                None => postgres,
            });
            (options, None)
        }
        Pooler::Transaction => {
            // No parameter that a pooler may refuse, and no statement is kept for later.
            options.map_sqlx_postgres_opts(|postgres| postgres.extra_float_digits(None).statement_cache_capacity(0));
            // The driver names statements by a number that each of its connections counts for itself: in a session that
            // another one had, the names may be taken.
            let mut prelude = "DEALLOCATE ALL".to_owned();
            if let Some(timeout) = timeout {
                prelude += &format!("; SET LOCAL statement_timeout = {timeout}");
            }
            (options, Some(prelude.into()))
        }
    }
}

/// What to do about a pooler that nobody spoke of.
pub(crate) const ADVICE: &str = "A pooler such as PgBouncer stands before the database of DATABASE_URL. Set \
                                 MARMALADE_DATABASE_POOLER=transaction, or let DATABASE_URL name PostgreSQL itself.";

/// What to do about an error that only a pooler in front of PostgreSQL explains.
pub fn about_pooler(error: &Error) -> Option<&'static str> {
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = error.cause()?.downcast_ref()?
    else {
        return None;
    };
    let SqlxError::Database(error) = &**error else {
        return None;
    };
    // A prepared statement that is there already, or not any more.
    let is_of_pooler = error.code().is_some_and(|code| ["42P05", "26000"].contains(&&*code))
        || error.message().contains("unsupported startup parameter");
    is_of_pooler.then_some(ADVICE)
}
