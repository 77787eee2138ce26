//! Responses that may be kept, and those that a client has already: [RFC 9111][caching], and
//! [RFC 9110, section 13][conditional].
//!
//! [caching]: https://www.rfc-editor.org/rfc/rfc9111
//! [conditional]: https://www.rfc-editor.org/rfc/rfc9110#section-13

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::api::caching::Kept;

/// Says how long a response may be kept and by whom, and sends it only if the client has not got it.
pub(super) async fn keep(mut response: Response, kept: Kept, request: &HeaderMap) -> Response {
    let (lifetime, depends_on) = match kept {
        Kept::ByAnyone => ("public, max-age=60", "accept"),
        Kept::ByClient => ("private, max-age=60", "accept, authorization, cookie"),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lifetime));
    headers.append(header::VARY, HeaderValue::from_static(depends_on));
    revalidated(response, request).await
}

/// Gives a response that is whole in memory its tag; without its body if the client names that tag. Weak, as the bytes
/// depend on the compression.
pub(super) async fn revalidated(response: Response, request: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(body) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
    let known = request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let is_known = known
        .flat_map(|tags| tags.split(','))
        .map(|known| known.trim())
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag);
    if let Ok(tag) = HeaderValue::from_str(&format!("W/{tag}")) {
        parts.headers.insert(header::ETAG, tag);
    }
    if is_known {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, body.into())
}
