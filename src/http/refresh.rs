//! `POST /auth/refresh`: refreshes a browser's session. The only path that the refresh cookie is sent to.

use axum::{
    Json,
    extract::{Extension, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    identity::{Server, origin_is_allowed, too_many_requests},
    peer::Peer,
};
use crate::{
    account::{admission, session},
    audit::Source,
    auth::role::Role,
    change::Cause,
    entity::session::Client,
    error::{Error, Result},
};

/// 200 with `{"role": …}` and new cookies; 401 and cleared cookies if there is no valid session; 403 if the origin is
/// not allowed, or the request could have come from a form; 429 with `Retry-After` if the limit is exceeded: of the account whose token
/// it is, else of the address.
pub(super) async fn handle(
    State(server): State<Server>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let app = &server.app;
    let simple = headers
        .get(header::CONTENT_TYPE)
        .is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json"));
    if simple || origin_is_allowed(app, &headers) != Some(true) {
        return (StatusCode::FORBIDDEN, Json(json!({"code": "CSRF_REFUSED"}))).into_response();
    }
    match refresh(&server, &peer, &headers).await {
        Ok((cookies, role)) => with_cookies((Json(json!({"role": role}))).into_response(), cookies),
        Err(Error::Internal(cause)) => {
            tracing::error!(?cause, "a session could not be refreshed");
            (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"code": "INTERNAL"}))).into_response()
        }
        Err(Error::RateLimited(wait)) => too_many_requests(wait),
        Err(_) => {
            let refused = (StatusCode::UNAUTHORIZED, Json(json!({"code": "UNAUTHENTICATED"}))).into_response();
            with_cookies(refused, app.config.cookies().cleared())
        }
    }
}

async fn refresh(server: &Server, peer: &Peer, headers: &HeaderMap) -> Result<([String; 2], Role)> {
    let app = &server.app;
    let cookies = app.config.cookies();
    let sent = cookies.refresh_tokens(headers);
    let first = sent.first().map(String::as_str);
    admission::refresh(app, first, peer.address, app.clock.now()).await?;
    let cause = Cause {
        source: Source {
            actor: None,
            request_id: Some(peer.request_id.clone()),
        },
        viewer: None,
        now: app.now(),
    };
    for token in sent {
        match session::refresh(app, &token, Client::Browser, &cause).await {
            Ok(tokens) => return Ok((cookies.of(&tokens.access, &tokens.refresh), tokens.viewer.role())),
            Err(Error::Unauthenticated) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Unauthenticated)
}

fn with_cookies(mut response: Response, cookies: [String; 2]) -> Response {
    for cookie in cookies {
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}
