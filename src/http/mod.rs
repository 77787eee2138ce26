//! HTTP: routes, and who a request comes from.

mod accept;
mod graphiql;
mod graphql;
mod health;
mod identity;
mod json;
mod peer;
mod refresh;
pub mod scrape;
mod socket;
mod stream;
pub(crate) mod ws;

use std::time::Duration;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, NotForContentType, Predicate},
    },
    cors::CorsLayer,
    timeout::TimeoutLayer,
};

use self::identity::Server;
use crate::{
    api::{
        scalar::SPECIFICATION,
        schema::{self},
    },
    app::App,
    config::Config,
};

/// A request with 200 answers takes 30 KiB.
const BODY_BYTES: usize = 1024 * 1024;
/// For the whole body of a request to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// Longer than any operation takes; streams are not bound by it.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// The routes of the server.
pub fn router(app: App) -> Router {
    let peers = axum::middleware::from_fn_with_state(app.clone(), peer::meet);
    let cross_origin = option_layer(cross_origin(&app.config));
    let compression = DefaultPredicate::new().and(NotForContentType::new("multipart/mixed"));
    let server = Server {
        schema: schema::build(),
        app,
    };
    Router::new()
        .route("/graphql", any(graphql::handle))
        .route(crate::auth::cookie::REFRESH_PATH, post(refresh::handle))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIME,
        ))
        .merge(machine_routes())
        // Over HTTP/2 a WebSocket begins with CONNECT.
        .route("/graphql/ws", any(socket::handle))
        .route("/", get(|| async { axum::response::Redirect::temporary("/graphiql") }))
        .route(SPECIFICATION, get(scalars))
        .merge(graphiql::routes())
        .with_state(server)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CompressionLayer::new().gzip(true).compress_when(compression))
        .layer(cross_origin)
        .layer(axum::middleware::from_fn(harden))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(peers)
}

/// The specification of the scalars: `@specifiedBy` of those that are ours leads here.
async fn scalars() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    (kind, include_str!("../../docs/scalars.md"))
}

/// Routes of a worker: health and metrics.
pub(crate) fn machines(app: App) -> Router {
    let server = Server {
        schema: schema::build(),
        app,
    };
    machine_routes().with_state(server)
}

fn machine_routes() -> Router<Server> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// The CORS headers for scripts of the allowed origins; absent without such an origin ([CORS protocol][cors]).
///
/// [cors]: https://fetch.spec.whatwg.org/#http-cors-protocol
fn cross_origin(config: &Config) -> Option<CorsLayer> {
    let origins = config.server.allowed_origins.iter();
    let origins: Vec<_> = origins
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let mut headers = vec![header::CONTENT_TYPE, header::ACCEPT, header::AUTHORIZATION];
    headers.extend(graphql::PREFLIGHTED.map(HeaderName::from_static));
    (!origins.is_empty()).then(|| {
        CorsLayer::new()
            .allow_origin(origins)
            .allow_credentials(true)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers(headers)
            .expose_headers([HeaderName::from_static(peer::REQUEST_ID), header::RETRY_AFTER])
            .max_age(Duration::from_secs(3600))
    })
}

/// Headers that every response carries.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(message, "a handler panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}
