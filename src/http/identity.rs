//! The credential of a request.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::FromRef,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::peer::Peer;
use crate::{
    account::session::{Device, authenticate},
    api::execution::Schema,
    app::App,
    auth::Viewer,
    error::whole_seconds,
    text::url::origin,
};

/// The state of the handlers.
#[derive(Clone, FromRef)]
pub struct Server {
    pub app: App,
    pub schema: Schema,
}

/// The credential of a request.
pub(super) enum Identity {
    /// It carries no credential, or a cookie that is no longer good.
    Anonymous { stale_cookie: bool },
    /// By cookie, so perhaps from a page of another site.
    Cookie(Viewer),
    /// A bearer token, which no browser sends by itself.
    Bearer(Viewer),
    /// By a bearer token that is not good (any more).
    BadBearer,
}

impl Identity {
    /// The credential of a request, checked.
    pub(super) async fn of(app: &App, headers: &HeaderMap) -> Self {
        let now = app.clock.now();
        if let Some(authorization) = headers.get(header::AUTHORIZATION) {
            let token = authorization.to_str().ok().and_then(bearer);
            let viewer = match token {
                Some(token) => authenticate(app, &app.revocations, token, now).await,
                None => None,
            };
            return viewer.map_or(Self::BadBearer, Self::Bearer);
        }
        let tokens = app.config.cookies().access_tokens(headers);
        for token in &tokens {
            if let Some(viewer) = authenticate(app, &app.revocations, token, now).await {
                return Self::Cookie(viewer);
            }
        }
        Self::Anonymous {
            stale_cookie: !tokens.is_empty(),
        }
    }

    /// The viewer, if the credential is good.
    pub(super) fn as_viewer(&self) -> Option<&Viewer> {
        match self {
            Self::Cookie(viewer) | Self::Bearer(viewer) => Some(viewer),
            Self::Anonymous { .. } | Self::BadBearer => None,
        }
    }

    /// The viewer, if the credential is good.
    pub(super) fn viewer(self) -> Option<Viewer> {
        match self {
            Self::Cookie(viewer) | Self::Bearer(viewer) => Some(viewer),
            Self::Anonymous { .. } | Self::BadBearer => None,
        }
    }
}

/// The token of an `Authorization` header (RFC 6750, section 2.1).
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether the page that sends a request may do so in the name of its visitor: one of our own origin, or of an allowed
/// one. Without an `Origin` there is no telling.
pub(super) fn origin_is_allowed(app: &App, headers: &HeaderMap) -> Option<bool> {
    let page = headers.get(header::ORIGIN)?.to_str().ok()?;
    let Some(page) = origin(page) else { return Some(false) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = |scheme: &str| host.and_then(|host| origin(&format!("{scheme}://{host}"))).as_ref() == Some(&page);
    let plainly = app.config.speaks_plainly() && own("http");
    let mut allowed = app
        .config
        .server
        .allowed_origins
        .iter()
        .filter_map(|allowed| origin(allowed));
    Some(own("https") || plainly || allowed.any(|allowed| allowed == page))
}

/// The header by which a client asks for `extensions.cost`.
pub(super) const COST: &str = "x-marmalade-cost";

/// Whether a client asks for the cost of its operation.
pub(super) fn asks_cost(headers: &HeaderMap) -> bool {
    headers.get(COST).is_some_and(|value| value == "true" || value == "1")
}

/// The reason that the browser would drop the cookies of a response, without a word: it keeps none that another site
/// sets. `localhost` and `127.0.0.1` are two sites, whatever the ports.
pub(super) fn cookies_are_lost(app: &App, headers: &HeaderMap) -> Option<String> {
    if headers.get("sec-fetch-site").is_none_or(|site| site != "cross-site") {
        return None;
    }
    let said = |name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let (page, host) = (said(header::ORIGIN), said(header::HOST));
    let advice = match app.config.speaks_plainly() {
        true => "use one name for both in the browser, localhost",
        false => "serve both under one domain",
    };
    Some(format!(
        "A browser keeps no cookies for a page of another site: the page is at {page}, the API at {host}. To sign \
         in, {advice}."
    ))
}

/// The token that a stream must watch: it is cancelled when the session that opened it ends.
pub(super) fn end_of(app: &App, viewer: Option<&Viewer>) -> Arc<CancellationToken> {
    viewer.map_or_else(Arc::default, |viewer| app.revocations.end_of(viewer))
}

/// The limiter's refusal of a request without an operation.
pub(super) fn too_many_requests(wait: Duration) -> Response {
    let wait = [(header::RETRY_AFTER, whole_seconds(wait))];
    let code = Json(json!({"code": "RATE_LIMITED"}));
    (StatusCode::TOO_MANY_REQUESTS, wait, code).into_response()
}

/// The device of a sign-in, for the list of sessions.
pub(super) fn device(app: &App, headers: &HeaderMap, peer: &Peer) -> Device {
    let user_agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    Device {
        user_agent: user_agent.map(|agent| agent.chars().take(200).collect()),
        address: peer.address,
        token: app.config.cookies().device_token(headers),
    }
}
