//! GraphiQL for staff, from assets embedded in the binary; nothing is loaded from other sites.

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use rust_embed::RustEmbed;

use super::identity::{Identity, Server};

pub mod saved;

#[derive(RustEmbed)]
#[folder = "src/http/graphiql/assets"]
struct Assets;

/// Everything from here, nothing from elsewhere, no script in the page. Monaco sets styles from scripts.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self' blob:; \
    style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The pages and what they load.
pub(super) fn routes() -> Router<Server> {
    Router::new()
        .route("/graphiql", get(workbench))
        .route(
            "/graphiql/sign-in",
            get(|| async { page(include_str!("graphiql/sign-in.html")) }),
        )
        .route("/graphiql/assets/{name}", get(asset))
}

/// The workbench, or the way to it.
async fn workbench(State(server): State<Server>, headers: HeaderMap) -> Response {
    match Identity::of(&server.app, &headers).await.viewer() {
        Some(viewer) if viewer.role().is_staff() => page(include_str!("graphiql/graphiql.html")),
        _ => Redirect::to("/graphiql/sign-in").into_response(),
    }
}

fn page(html: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    (headers, html).into_response()
}

/// Scripts, styles and workers, compressed when they were built.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name == "operations.json" {
        let content_type = [(header::CONTENT_TYPE, "application/json")];
        return (content_type, saved::JSON.as_str()).into_response();
    }
    let Some(file) = Assets::get(&format!("{name}.gz")) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == etag.as_bytes())
    {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let content_type = if name.ends_with(".css") {
        "text/css; charset=utf-8"
    } else {
        "text/javascript; charset=utf-8"
    };
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_ENCODING, "gzip"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, etag.as_str()),
    ];
    (headers, file.data).into_response()
}
