//! Files that browsers, robots and generators look for at fixed places.

use std::sync::LazyLock;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::{
    identity::{Identity, Server},
    kept::revalidated,
};
use crate::{api::schema, config::Mode};

/// What there is for robots: nothing. Students' pages are elsewhere, and staff's are nobody's to find.
const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

static SCHEMA: LazyLock<String> = LazyLock::new(schema::sdl);

pub(super) fn routes() -> Router<Server> {
    const DAY: &str = "public, max-age=86400";
    let icon = [(header::CONTENT_TYPE, "image/x-icon"), (header::CACHE_CONTROL, DAY)];
    let text = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, DAY),
    ];
    Router::new()
        .route(
            "/favicon.ico",
            get(move || async move { (icon, include_bytes!("favicon.ico")) }),
        )
        .route("/robots.txt", get(move || async move { (text, ROBOTS) }))
        .route("/schema.graphql", get(schema_text))
}

/// The schema as text, to those who may also ask for it by introspection: in production to staff.
async fn schema_text(State(server): State<Server>, headers: HeaderMap) -> Response {
    let identity = Identity::of(&server.app, &headers).await;
    if matches!(identity, Identity::BadBearer) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let is_staff = identity.as_viewer().is_some_and(|viewer| viewer.role().is_staff());
    if server.app.config.site.mode == Mode::Production && !is_staff {
        let message = "The schema is for staff. Sign in at /graphiql, or send a bearer token.\n";
        return (StatusCode::FORBIDDEN, message).into_response();
    }
    let headers_of_text = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "private, no-cache"),
    ];
    revalidated((headers_of_text, SCHEMA.as_str()).into_response(), &headers).await
}
