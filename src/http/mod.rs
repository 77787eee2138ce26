//! HTTP: routes, and who a request comes from.

mod accept;
mod files;
pub mod graphiql;
mod graphql;
mod health;
mod identity;
mod kept;
mod name;
mod peer;
mod pictures;
mod refresh;
mod reply;
mod request;
pub mod scrape;
mod socket;
mod stream;
mod web;
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
    api::{execution::Schema, scalar::SPECIFICATION},
    app::App,
    config::Config,
    error::Result,
};

/// Longer than any operation takes; streams are not bound by it.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// The routes of the server.
pub fn router(app: App) -> Result<Router> {
    let peers = axum::middleware::from_fn_with_state(app.clone(), peer::meet);
    let cross_origin = option_layer(cross_origin(&app.config));
    let compression = DefaultPredicate::new().and(NotForContentType::new("multipart/mixed"));
    let server = Server {
        schema: Schema::new()?,
        app,
    };
    let routes = Router::new()
        .route("/graphql", any(graphql::handle))
        .route(crate::auth::cookie::REFRESH_PATH, post(refresh::handle))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIME,
        ))
        .merge(machine_routes())
        // Over HTTP/2 a WebSocket begins with CONNECT.
        .route("/graphql/ws", any(socket::handle))
        .merge(
            graphiql::routes()
                .merge(web::routes()?)
                .layer(axum::middleware::from_fn_with_state(server.clone(), name::redirect)),
        )
        .merge(files::routes())
        .merge(pictures::routes())
        .route(SPECIFICATION, get(scalars))
        .with_state(server)
        .layer(DefaultBodyLimit::max(request::BODY_BYTES))
        .layer(CompressionLayer::new().gzip(true).compress_when(compression))
        .layer(cross_origin)
        .layer(axum::middleware::from_fn(harden))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(peers);
    Ok(routes)
}

/// The specification of the scalars: `@specifiedBy` of those that are ours leads here.
async fn scalars() -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "text/markdown; charset=utf-8")];
    (kind, include_str!("../../docs/scalars.md"))
}

/// Routes of a worker: health and metrics.
pub(crate) fn machines(app: App) -> Result<Router> {
    let server = Server {
        schema: Schema::new()?,
        app,
    };
    Ok(machine_routes().with_state(server))
}

fn machine_routes() -> Router<Server> {
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
}

/// Headers that scripts of allowed origins may send: what clients of the field, their tracing and their caches add.
const ASKED_WITH: [&str; 16] = [
    "accept",
    "apollographql-client-name",
    "apollographql-client-version",
    "authorization",
    "baggage",
    "cache-control",
    "content-type",
    "graphql-client-name",
    "graphql-client-version",
    identity::COST,
    "if-none-match",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-apollo-operation-id",
    peer::REQUEST_ID,
];

/// The CORS headers for scripts of the allowed origins; absent without such an origin ([CORS protocol][cors]).
///
/// [cors]: https://fetch.spec.whatwg.org/#http-cors-protocol
fn cross_origin(config: &Config) -> Option<CorsLayer> {
    let origins = config.server.allowed_origins.iter();
    let origins: Vec<_> = origins
        .filter_map(|origin| HeaderValue::from_str(origin).ok())
        .collect();
    let headers = [ASKED_WITH.as_slice(), &request::PREFLIGHTED].concat();
    let headers: Vec<_> = headers.into_iter().map(HeaderName::from_static).collect();
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
