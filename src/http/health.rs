//! Endpoints for machines: liveness, readiness, metrics.

use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use migration::{Migrator, MigratorTrait};
use sea_orm::FromQueryResult;
use sha2::{Digest, Sha256};

use super::{
    identity::{Server, bearer},
    scrape::scrape,
};
use crate::{config::Mode, db::sql, secret::Secret};

/// A database that takes longer is not there for a student either.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

/// The process answers; whether it can do anything is for [`ready`] to say.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// Metrics for Prometheus. In production `MARMALADE_METRICS_TOKEN` is required as a bearer token (RFC 6750); otherwise
/// the answer is 404.
pub(super) async fn metrics(State(server): State<Server>, headers: HeaderMap) -> Response {
    let app = &server.app;
    let is_authorized = match &app.config.telemetry.metrics_token {
        Some(Secret(token)) => {
            let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            authorization
                .and_then(bearer)
                .is_some_and(|given| equal_tokens(given, token))
        }
        None => app.config.site.mode == Mode::Development,
    };
    let text = if is_authorized { scrape(app).await } else { None };
    match text {
        Some(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Compares hashes, so that the timing reveals nothing about the token.
fn equal_tokens(given: &str, token: &str) -> bool {
    Sha256::digest(given) == Sha256::digest(token)
}

/// Whether requests should come here: the database answers, its schema is as new as this program, and the server is not
/// about to stop.
pub(super) async fn ready(State(server): State<Server>) -> (StatusCode, &'static str) {
    #[derive(FromQueryResult)]
    struct Applied {
        count: i64,
    }
    if server.app.stopping.is_cancelled() || server.app.shutdown.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    let conn = server.app.db.write();
    let applied = Applied::find_by_statement(sql(conn, "SELECT count(*) AS count FROM seaql_migrations", []));
    match tokio::time::timeout(READY_TIMEOUT, applied.one(conn)).await {
        // More than we know of are a newer release's, which keeps what this one needs.
        Ok(Ok(Some(applied))) if applied.count >= Migrator::migrations().len() as i64 => (StatusCode::OK, "ready\n"),
        Ok(Ok(_)) => (StatusCode::SERVICE_UNAVAILABLE, "migrations are not applied\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready: the database can't be reached");
            (StatusCode::SERVICE_UNAVAILABLE, "the database can't be reached\n")
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n"),
    }
}
