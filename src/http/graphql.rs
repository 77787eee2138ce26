//! GraphQL over HTTP, by the specification of the GraphQL Foundation (<https://graphql.github.io/graphql-over-http/draft/>).
//!
//! | request | answer |
//! |---|---|
//! | `POST` with `application/json` | 200 with the response |
//! | `GET` with `query` or `documentId`, `variables`, `operationName` | the same, but 405 for a mutation; what is the same for everybody may be kept, see `api/caching.rs` |
//! | a `GET` that a link or a form of any page could send | 403 |
//! | a client that accepts neither media type of responses, see `accept.rs` | 406 |
//! | `POST` with `multipart/form-data`: files, see `request.rs` | the same, but 403 without a header that no form sends |
//! | a body of another type, as forms send them | 415 |
//! | a body that is compressed | 415 |
//! | a body that is too large, or takes too long to come | 413, 408 |
//! | a request that can't be parsed, is not valid or costs too much | 400 with `application/graphql-response+json`, else 200 |
//! | a bearer token that is bad or expired | 401, but for signing in and the like |
//! | nothing but refusals by a limiter, or a stream too many | 429 with `Retry-After`; a bad bearer token is told so (401) all the same |
//! | a subscription, or a client that accepts nothing else | 200 with results one after the other, see `stream.rs` |

use std::pin::pin;

use async_graphql::parser::types::OperationType;
use axum::{
    body::HttpBody,
    extract::{Extension, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use futures_util::StreamExt;
use tracing::Span;

use super::{
    accept::{Accepted, GRAPHQL_RESPONSE, JSON},
    identity::{Identity, Server, asks_cost, cookies_are_lost, device, end_of, origin_is_allowed},
    kept::keep,
    peer::{Peer, in_span},
    reply::{Reply, plain, request_error, status_of},
    request::{self, PREFLIGHTED, Sender},
    stream,
};
use crate::{
    api::{caching, context::Caller},
    app::App,
    error::Error,
    limit::{Budget, Refused, Who},
    operation::{self, Admitted, Answer},
};

/// Answers `/graphql`.
pub(super) async fn handle(
    State(server): State<Server>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    match answer(&server, &peer, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(server: &Server, peer: &Peer, request: Request) -> Result<Response, Response> {
    let app = &server.app;
    let accepted = Accepted::by(request.headers()).ok_or_else(|| {
        let message =
            "Accept application/graphql-response+json, application/json, text/event-stream or multipart/mixed.";
        plain(StatusCode::NOT_ACCEPTABLE, message)
    })?;
    let reply = Reply {
        media_type: accepted.single.unwrap_or(GRAPHQL_RESPONSE),
        request_id: &peer.request_id,
    };
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let identity = Identity::of(app, &headers).await;
    let is_short = method == Method::POST
        && request
            .body()
            .size_hint()
            .upper()
            .is_some_and(|most| most <= SHORT_BYTES);
    let counted = count(app, &identity, peer, is_short).await;
    let challenge = || {
        let mut response = reply.with(StatusCode::UNAUTHORIZED, &reply.refusal(Error::Unauthenticated));
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    };
    // Told before anything is read, but for what may be the way to a new token.
    let is_bad = matches!(identity, Identity::BadBearer);
    if is_bad && (!is_short || matches!(counted, Counted::Exceeded(_))) {
        return Err(challenge());
    }
    let refuse = |refused: Error| {
        let answer = reply.refusal(refused);
        reply.with(status_of(&answer, reply.media_type), &answer)
    };
    let requests = match counted {
        Counted::Within(budget) => Ok(budget),
        Counted::Exceeded(refused) => return Err(refuse(refused.into())),
        Counted::Otherwise(refused, mutations) => Err((refused, mutations)),
    };
    let admitted = read(server, &identity, &method, &headers, request, &reply).await;
    let is_of = |admitted: &Admitted, fields: &[&str]| {
        admitted.kind() == OperationType::Mutation && admitted.fields().all(|field| fields.contains(&field))
    };
    if is_bad && !admitted.as_ref().is_ok_and(|admitted| is_of(admitted, &ENTRIES)) {
        return Err(challenge());
    }
    let admitted = match requests {
        Ok(_) => admitted?,
        Err((refused, mutations)) => admitted
            .ok()
            .filter(|admitted| is_of(admitted, mutations))
            .ok_or_else(|| refuse(refused.into()))?,
    };
    let kind = admitted.kind();
    if kind == OperationType::Mutation && method == Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "A mutation needs POST.");
        let allow = HeaderValue::from_static("POST");
        response.headers_mut().insert(header::ALLOW, allow);
        return Err(response);
    }
    if !page_may(app, &identity, &method, &headers, kind) {
        return Err(reply.with(StatusCode::FORBIDDEN, &reply.refusal(Error::CsrfRefused)));
    }
    let form = match kind {
        OperationType::Subscription => accepted.stream,
        _ => accepted.stream.filter(|_| accepted.single.is_none()),
    };
    if kind == OperationType::Subscription && form.is_none() {
        let message = "Follow a subscription over the WebSocket at /graphql/ws, or accept text/event-stream or \
                       multipart/mixed.";
        return Err(reply.bad(request_error(reply.media_type), message.into()));
    }
    let who = Who::of(identity.as_viewer(), peer.address);
    let slot = form.map(|_| app.streams.take(who)).transpose().map_err(refuse)?;
    let stale_cookie = matches!(identity, Identity::Anonymous { stale_cookie: true });
    let caller = Caller {
        request_id: peer.request_id.clone(),
        device: device(app, &headers, peer),
        loses_cookies: match form {
            Some(_) => Some(STREAM_COOKIES.to_owned()),
            None => cookies_are_lost(app, &headers),
        },
        asks_cost: asks_cost(&headers),
        requests: requests.ok(),
    };
    let kept = match method {
        Method::GET if form.is_none() && !stale_cookie && !caller.asks_cost => caching::of(&admitted, app),
        _ => None,
    };
    let viewer = identity.viewer();
    let ended = form.map(|form| (form, end_of(app, viewer.as_ref())));
    let request_id = peer.request_id.clone();
    let answers = server.schema.run(admitted, app, viewer, caller);
    let answers = answers.map(move |answer| operation::error::finish(answer, &request_id));
    if let Some((form, ended)) = ended {
        let answers = in_span(Span::current(), answers);
        return Ok(stream::respond(form, answers, ended, app.shutdown.clone(), slot));
    }
    let answer = pin!(answers).next().await.unwrap_or_default();
    let mut http = reply.with(status_of(&answer, reply.media_type), &answer);
    for (name, value) in &answer.headers {
        http.headers_mut().append(name, value.clone());
    }
    if stale_cookie && !answer.headers.contains_key(header::SET_COOKIE) {
        // The access cookie only: the refresh cookie may still be good.
        let [access, _] = app.config.cookies().cleared();
        if let Ok(access) = HeaderValue::from_str(&access) {
            http.headers_mut().append(header::SET_COOKIE, access);
        }
    }
    match kept {
        Some(kept) if answer.errors.is_empty() => Ok(keep(http, kept, &headers).await),
        _ => Ok(http),
    }
}

/// The reason that a stream signs no browser in.
const STREAM_COOKIES: &str = "Cookies can't be set by a stream: sign in by a request with one response.";

/// The mutations that exchange a credential for a session. Each is counted by what it brings, see
/// `account/admission.rs`.
const EXCHANGES: [&str; 2] = ["signIn", "refreshSession"];

/// The mutations by which the owner of an account throws out whoever has come in.
const DEFENCES: [&str; 2] = ["changePassword", "revokeOtherSessions"];

/// The mutations of those who have no credential yet, or none that is good any more: a bad one is not held against them.
/// Clients send what they have with everything.
const ENTRIES: [&str; 7] = [
    "signIn",
    "register",
    "confirmRegistration",
    "refreshSession",
    "requestPasswordReset",
    "resetPassword",
    "__typename",
];

/// Longer than any of [`EXCHANGES`], [`DEFENCES`] and [`ENTRIES`] is.
const SHORT_BYTES: u64 = 16 * 1024;

/// What the limit of requests says.
enum Counted {
    Within(Budget),
    Exceeded(Refused),
    /// There are none left, but others may have used them up; so one of these mutations, alone, counts for something else.
    Otherwise(Refused, &'static [&'static str]),
}

/// Counts a request for its account, or for the address that it comes from. An exchange of a credential is not refused
/// for what others at the address do, nor a defence for what another session of the account does.
async fn count(app: &App, identity: &Identity, peer: &Peer, is_short: bool) -> Counted {
    let viewer = identity.as_viewer();
    let refused = match app.limiter.request(Who::of(viewer, peer.address)).await {
        Ok(budget) => return Counted::Within(budget),
        Err(refused) => refused,
    };
    if !is_short {
        return Counted::Exceeded(refused);
    }
    match viewer {
        None => Counted::Otherwise(refused, &EXCHANGES),
        Some(viewer) => match app.limiter.request(Who::session(viewer)).await {
            Ok(_) => Counted::Otherwise(refused, &DEFENCES),
            Err(_) => Counted::Exceeded(refused),
        },
    }
}

/// Reads the operation of a request, and checks it.
async fn read(
    server: &Server,
    identity: &Identity,
    method: &Method,
    headers: &HeaderMap,
    request: Request,
    reply: &Reply<'_>,
) -> Result<Admitted, Response> {
    let sender = Sender {
        is_deliberate: is_deliberate(identity, headers),
        is_staff: identity.as_viewer().is_some_and(|viewer| viewer.role().is_staff()),
    };
    let graphql = request::read(method, headers, &sender, request)
        .await
        .map_err(|unread| reply.unread(unread))?;
    let admitted = server.schema.admit(&server.app, identity.as_viewer(), graphql).await;
    admitted.map_err(|errors| {
        let answer = operation::error::finish(Answer::refusal(errors), reply.request_id);
        reply.with(status_of(&answer, reply.media_type), &answer)
    })
}

/// Whether the page that sends the request may run an operation of this kind.
fn page_may(app: &App, identity: &Identity, method: &Method, headers: &HeaderMap, kind: OperationType) -> bool {
    let posted = method == Method::POST;
    let by_cookie = matches!(
        identity,
        Identity::Cookie(_) | Identity::Anonymous { stale_cookie: true }
    );
    match (origin_is_allowed(app, headers), kind) {
        // A foreign page needs a CORS preflight to post JSON, and only allowed origins can read the response.
        (_, OperationType::Query) if posted => true,
        (Some(allowed), _) => allowed,
        // Browsers send the origin with every POST: with a cookie it is required; without one the client is not a
        // browser.
        (None, OperationType::Mutation) => !by_cookie,
        (None, _) => posted || is_deliberate(identity, headers),
    }
}

/// Whether a request is more than a link, an image or a form of any page could send: it comes from one of our pages, or has
/// a header that browsers send only after a preflight, such as a bearer token
/// (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>).
fn is_deliberate(identity: &Identity, headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    matches!(identity, Identity::Bearer(_))
        || is(HeaderName::from_static("sec-fetch-site"), "same-origin")
        || is(header::CONTENT_TYPE, JSON)
        || PREFLIGHTED.iter().any(|name| headers.contains_key(*name))
}
