//! HTTP: routes, and who a request comes from.

pub mod cookie;
mod graphiql;
mod graphql;
mod health;
mod peer;
mod refresh;
mod socket;
mod stream;
pub mod ws;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRef, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
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

use self::peer::Peer;
use crate::{
    app::App,
    auth::{self, Viewer, session::Device},
    config::Config,
    error::whole_seconds,
    schema::{self, Schema},
};

/// What handlers reach for.
#[derive(Clone, FromRef)]
pub struct Server {
    pub app: App,
    pub schema: Schema,
}

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
        .route(cookie::REFRESH_PATH, post(refresh::handle))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIME,
        ))
        .merge(machine_routes())
        .route("/graphql/ws", get(socket::handle))
        .route("/", get(|| async { axum::response::Redirect::temporary("/graphiql") }))
        .merge(graphiql::routes())
        .with_state(server)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(CompressionLayer::new().gzip(true).compress_when(compression))
        .layer(cross_origin)
        .layer(axum::middleware::from_fn(harden))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(peers)
}

/// What a process that only works answers to machines that look after it.
pub fn machines(app: App) -> Router {
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

/// What scripts of pages of the allowed origins may send and read; nothing is said without one ([CORS protocol][cors]).
///
/// [cors]: https://fetch.spec.whatwg.org/#http-cors-protocol
fn cross_origin(config: &Config) -> Option<CorsLayer> {
    let origins = config.allowed_origins.iter();
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

/// Who a request comes from.
enum Identity {
    /// It carries no credential, or a cookie that is no longer good.
    Nobody { stale_cookie: bool },
    /// By cookie, so perhaps from a page of another site.
    Cookie(Viewer),
    /// By bearer token, which no browser sends by itself.
    Bearer(Viewer),
    /// By a bearer token that is not good (any more).
    BadBearer,
}

impl Identity {
    async fn of(app: &App, headers: &HeaderMap) -> Self {
        let now = app.clock.now();
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(bearer);
            let viewer = match token {
                Some(token) => auth::authenticate(app, token, now).await,
                None => None,
            };
            return viewer.map_or(Self::BadBearer, Self::Bearer);
        }
        let Some(token) = cookie::access_token(headers) else {
            return Self::Nobody { stale_cookie: false };
        };
        let viewer = auth::authenticate(app, &token, now).await;
        viewer.map_or(Self::Nobody { stale_cookie: true }, Self::Cookie)
    }

    fn as_viewer(&self) -> Option<&Viewer> {
        match self {
            Self::Cookie(viewer) | Self::Bearer(viewer) => Some(viewer),
            Self::Nobody { .. } | Self::BadBearer => None,
        }
    }

    fn viewer(self) -> Option<Viewer> {
        match self {
            Self::Cookie(viewer) | Self::Bearer(viewer) => Some(viewer),
            Self::Nobody { .. } | Self::BadBearer => None,
        }
    }
}

/// The token of an `Authorization` header (RFC 6750, section 2.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the page that sends a request may do so in the name of its visitor: one of our own origin, or of an allowed
/// one. Without an `Origin` there is no telling.
fn origin_is_allowed(app: &App, headers: &HeaderMap) -> Option<bool> {
    let origin = headers.get(header::ORIGIN)?.to_str().ok()?;
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = own.is_some_and(|host| {
        let secure = origin.strip_prefix("https://");
        let plain = origin.strip_prefix("http://").filter(|_| app.config.speaks_plainly());
        secure.or(plain) == Some(host)
    });
    Some(own || app.config.allowed_origins.iter().any(|allowed| allowed == origin))
}

/// What a stream must watch: it is cancelled when the session that opens it ends.
fn end_of(app: &App, viewer: Option<&Viewer>) -> Arc<CancellationToken> {
    viewer.map_or_else(Arc::default, |viewer| app.revocations.end_of(viewer))
}

/// A refusal by the limiter where no operation was asked for.
fn too_many_requests(wait: Duration) -> Response {
    let wait = [(header::RETRY_AFTER, whole_seconds(wait))];
    let code = Json(json!({"code": "RATE_LIMITED"}));
    (StatusCode::TOO_MANY_REQUESTS, wait, code).into_response()
}

/// What is kept of the device that a session is opened from.
fn device(headers: &HeaderMap, peer: &Peer) -> Device {
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Device {
        user_agent: user_agent.map(|agent| agent.chars().take(200).collect()),
        address: peer.address,
    }
}
