//! What a load balancer asks: is the process alive, and should it get requests?

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use migration::{Migrator, MigratorTrait};
use sea_orm::FromQueryResult;

use super::Server;
use crate::db::sql;

/// A database that takes longer is not there for a student either.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process answers; whether it can do anything is for [`ready`] to say.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Whether requests should come here: the database answers, its schema is as new as this program, and the server is not
/// about to stop.
pub async fn ready(State(server): State<Server>) -> (StatusCode, &'static str) {
    #[derive(FromQueryResult)]
    struct Applied {
        count: i64,
    }
    if server.app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let conn = server.app.db.write();
    let applied = Applied::find_by_statement(sql(conn, "SELECT count(*) AS count FROM seaql_migrations", []));
    match tokio::time::timeout(PATIENCE, applied.one(conn)).await {
        // More than we know of are a newer release's, which keeps what this one needs.
        Ok(Ok(Some(applied))) if applied.count >= Migrator::migrations().len() as i64 => (StatusCode::OK, "ready\n"),
        Ok(Ok(_)) => (StatusCode::SERVICE_UNAVAILABLE, "migrations are not applied\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database can't be asked");
            (StatusCode::SERVICE_UNAVAILABLE, "the database can't be reached\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
