//! GraphQL over HTTP, by the specification of the GraphQL Foundation (<https://graphql.github.io/graphql-over-http/draft/>).
//!
//! | request | answer |
//! |---|---|
//! | `POST` with `application/json` | 200 with the response |
//! | `GET` with `query`, `variables`, `operationName` | the same, but 405 for a mutation |
//! | a `GET` that a link or a form of any page could send | 403 |
//! | a client that accepts neither media type of responses, see `accept.rs` | 406 |
//! | a body of another type, as forms send them | 415 |
//! | a body that is compressed | 415 |
//! | a body that is too large, or takes too long to come | 413, 408 |
//! | a request that can't be parsed, is not valid or costs too much | 400 with `application/graphql-response+json`, else 200 |
//! | a bearer token that is bad or expired | 401 |
//! | nothing but refusals by a limiter, or a stream too many | 429 with `Retry-After`; a bad bearer token is told so (401) all the same |
//! | a subscription, or a client that accepts nothing else | 200 with results one after the other, see `stream.rs` |

use std::pin::pin;

use async_graphql::{Response as GraphQLResponse, ServerError, Value, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{Extension, FromRequest, Query, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::timeout;
use tracing::Span;

use super::{
    BODY_BYTES, BODY_TIME,
    accept::{Accepted, GRAPHQL_RESPONSE, JSON},
    identity::{Identity, Server, device, end_of, origin_is_allowed},
    json::json,
    peer::{Peer, in_span},
    stream,
};
use crate::{
    api::{context::Caller, schema},
    app::App,
    error::Error,
    limit::{Budget, Refused, Who},
    operation::{self, Admitted},
};

/// Headers that clients of the field send with a GET, to show that no form did.
pub(super) const PREFLIGHTED: [&str; 2] = ["apollo-require-preflight", "x-apollo-operation-name"];

/// The parameters of a request, in a body or in the URL.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Value>,
    #[serde(default)]
    extensions: Option<serde_json::Value>,
}

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
    let counted = count(app, &identity, peer, &method, &headers).await;
    if matches!(identity, Identity::BadBearer) {
        let mut response = reply.with(StatusCode::UNAUTHORIZED, &reply.refusal(Error::Unauthenticated));
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Err(response);
    }
    let refuse = |refused: Error| {
        let response = reply.refusal(refused);
        reply.with(status_of(&response, reply.media_type), &response)
    };
    let requests = match counted {
        Counted::Within(budget) => Ok(budget),
        Counted::Exceeded(refused) => return Err(refuse(refused.into())),
        Counted::Otherwise(refused, mutations) => Err((refused, mutations)),
    };
    let admitted = read(app, &identity, &method, &headers, request, &reply).await;
    let admitted = match requests {
        Ok(_) => admitted?,
        Err((refused, mutations)) => admitted
            .ok()
            .filter(|admitted| admitted.kind() == OperationType::Mutation && admitted.has_only(mutations))
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
        takes_cookies: form.is_none(),
        requests: requests.ok(),
    };
    let viewer = identity.viewer();
    let ended = form.map(|form| (form, end_of(app, viewer.as_ref())));
    let request_id = peer.request_id.clone();
    let responses = schema::run(&server.schema, admitted, app, viewer, caller)
        .map(move |response| operation::error::finish(response, &request_id));
    if let Some((form, ended)) = ended {
        let responses = in_span(Span::current(), responses);
        return Ok(stream::respond(form, responses, ended, app.shutdown.clone(), slot));
    }
    let response = pin!(responses).next().await.unwrap_or_default();
    let mut http = reply.with(status_of(&response, reply.media_type), &response);
    for (name, value) in &response.http_headers {
        http.headers_mut().append(name, value.clone());
    }
    if stale_cookie && !response.http_headers.contains_key(header::SET_COOKIE) {
        // The access cookie only: the refresh cookie may still be good.
        let [access, _] = app.config.cookies().cleared();
        if let Ok(access) = HeaderValue::from_str(&access) {
            http.headers_mut().append(header::SET_COOKIE, access);
        }
    }
    Ok(http)
}

/// The mutations that exchange a credential for a session. Each is counted by what it brings, see
/// `account/admission.rs`.
const EXCHANGES: [&str; 2] = ["signIn", "refreshSession"];

/// The mutations by which the owner of an account throws out whoever has come in.
const DEFENCES: [&str; 2] = ["changePassword", "revokeOtherSessions"];

/// Longer than any of [`EXCHANGES`] and [`DEFENCES`] is.
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
async fn count(app: &App, identity: &Identity, peer: &Peer, method: &Method, headers: &HeaderMap) -> Counted {
    let viewer = identity.as_viewer();
    let refused = match app.limiter.request(Who::of(viewer, peer.address)).await {
        Ok(budget) => return Counted::Within(budget),
        Err(refused) => refused,
    };
    let length = headers.get(header::CONTENT_LENGTH);
    let length: Option<u64> = length.and_then(|length| length.to_str().ok()?.parse().ok());
    if *method != Method::POST || length.is_none_or(|length| length > SHORT_BYTES) {
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
    app: &App,
    identity: &Identity,
    method: &Method,
    headers: &HeaderMap,
    request: Request,
    reply: &Reply<'_>,
) -> Result<Admitted, Response> {
    let parameters = parameters(method, headers, request)
        .await
        .map_err(|refused| refused.into_response(reply))?;
    let graphql = graphql_request(parameters).map_err(|message| reply.bad(StatusCode::BAD_REQUEST, message))?;
    operation::admit(&app.operations, identity.as_viewer(), graphql)
        .await
        .map_err(|error| {
            let response = operation::error::finish(GraphQLResponse::from_errors(vec![error]), reply.request_id);
            reply.with(request_error(reply.media_type), &response)
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
        (None, _) => posted || is_deliberate(headers),
    }
}

/// Whether a GET is more than a link, an image or a form of any page could send: it comes from one of our pages, or has
/// a header that browsers send only after a preflight
/// (<https://fetch.spec.whatwg.org/#cors-safelisted-request-header>).
fn is_deliberate(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, expected: &str| headers.get(name).is_some_and(|value| value == expected);
    is(HeaderName::from_static("sec-fetch-site"), "same-origin")
        || is(header::CONTENT_TYPE, JSON)
        || PREFLIGHTED.iter().any(|name| headers.contains_key(*name))
}

/// The serialized form of a single result.
struct Reply<'a> {
    media_type: &'static str,
    request_id: &'a str,
}

impl Reply<'_> {
    fn with(&self, status: StatusCode, response: &GraphQLResponse) -> Response {
        let mut http = (status, [(header::CONTENT_TYPE, self.media_type)], json(response)).into_response();
        if let Some(seconds) = retry_after(response) {
            http.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        http
    }

    fn bad(&self, status: StatusCode, message: String) -> Response {
        let response = GraphQLResponse::from_errors(vec![ServerError::new(message, None)]);
        self.with(status, &operation::error::finish(response, self.request_id))
    }

    fn refusal(&self, error: Error) -> GraphQLResponse {
        operation::error::finish(
            GraphQLResponse::from_errors(vec![operation::error::of_request(error)]),
            self.request_id,
        )
    }
}

async fn parameters(method: &Method, headers: &HeaderMap, request: Request) -> Result<Parameters, Unread> {
    match *method {
        Method::POST => {
            let content_type = headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default();
            // Nothing that a form could send: that is half of what keeps other sites' pages out.
            if !content_type
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
            {
                return Err(Unread::Foreign(plain(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "Send the request as application/json.",
                )));
            }
            // Nothing is unpacked, so that nothing small can grow.
            if headers
                .get(header::CONTENT_ENCODING)
                .is_some_and(|coding| coding != "identity")
            {
                let message = "Send the request without compression.".to_owned();
                return Err(Unread::Bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
            let body = match timeout(BODY_TIME, Bytes::from_request(request, &())).await {
                Ok(Ok(body)) => body,
                Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                    let message = format!("A request has at most {BODY_BYTES} bytes. Send less at once.");
                    return Err(Unread::Bad(StatusCode::PAYLOAD_TOO_LARGE, message));
                }
                Ok(Err(_)) => return Err(Unread::bad("The body broke off.")),
                Err(_) => {
                    let message = "The body took too long to come.".to_owned();
                    return Err(Unread::Bad(StatusCode::REQUEST_TIMEOUT, message));
                }
            };
            if body.trim_ascii_start().starts_with(b"[") {
                return Err(Unread::bad("Batches are not accepted: send one operation per request."));
            }
            serde_json::from_slice(&body)
                .map_err(|error| Unread::bad(&format!("The body is not a GraphQL request in JSON: {error}.")))
        }
        Method::GET => {
            let Query(parameters) = Query::<TextParameters>::try_from_uri(request.uri())
                .map_err(|_| Unread::bad("The URL's parameters can't be read."))?;
            let bad = |_| Unread::bad("`variables` and `extensions` must be JSON.");
            parameters.parse().map_err(bad)
        }
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Use POST, or GET for queries.");
            response
                .headers_mut()
                .insert(header::ALLOW, HeaderValue::from_static("GET, POST"));
            Err(Unread::Foreign(response))
        }
    }
}

/// In a URL, variables and extensions are JSON as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TextParameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

impl TextParameters {
    fn parse(self) -> serde_json::Result<Parameters> {
        let json = |text: Option<String>| {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| serde_json::from_str(&text)).transpose()
        };
        Ok(Parameters {
            query: self.query,
            operation_name: self.operation_name,
            variables: json(self.variables)?,
            extensions: json(self.extensions)?,
        })
    }
}

fn graphql_request(parameters: Parameters) -> Result<async_graphql::Request, String> {
    let object = |value: Option<serde_json::Value>, name: &str| match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(value @ serde_json::Value::Object(_)) => Ok(Some(value)),
        Some(_) => Err(format!("`{name}` must be an object.")),
    };
    let mut request = async_graphql::Request::new(parameters.query.unwrap_or_default());
    if let Some(serde_json::Value::Object(extensions)) = object(parameters.extensions, "extensions")? {
        for (name, value) in extensions {
            let value = Value::from_json(value).map_err(|_| "`extensions` can't be read.")?;
            request.extensions.insert(name, value);
        }
    }
    if let Some(variables) = object(parameters.variables, "variables")? {
        request = request.variables(async_graphql::Variables::from_json(variables));
    }
    if let Some(name) = parameters.operation_name.filter(|name| !name.is_empty()) {
        request = request.operation_name(name);
    }
    Ok(request)
}

/// Without data an error is the request's: a status of its own for clients that know the new media type.
fn status_of(response: &GraphQLResponse, media_type: &str) -> StatusCode {
    if retry_after(response).is_some() {
        StatusCode::TOO_MANY_REQUESTS
    } else if response.errors.iter().any(|error| error.path.is_empty()) && response.data == Value::Null {
        request_error(media_type)
    } else {
        StatusCode::OK
    }
}

fn request_error(media_type: &str) -> StatusCode {
    if media_type == GRAPHQL_RESPONSE {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    }
}

/// If a response is nothing but refusals by limiters: how long to wait until all would be let through.
fn retry_after(response: &GraphQLResponse) -> Option<u64> {
    let nothing = match &response.data {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(|value| *value == Value::Null),
        _ => false,
    };
    let waits: Option<Vec<u64>> = response
        .errors
        .iter()
        .map(|error| match error.extensions.as_ref()?.get("retryAfter")? {
            Value::Number(seconds) => seconds.as_u64(),
            _ => None,
        })
        .collect();
    waits.filter(|_| nothing)?.into_iter().max()
}

/// The reason a request's parameters could not be read.
enum Unread {
    /// It is not GraphQL over HTTP at all.
    Foreign(Response),
    /// It is, but for this.
    Bad(StatusCode, String),
}

impl Unread {
    fn bad(message: &str) -> Self {
        Self::Bad(StatusCode::BAD_REQUEST, message.to_owned())
    }

    fn into_response(self, reply: &Reply<'_>) -> Response {
        match self {
            Self::Foreign(response) => response,
            Self::Bad(status, message) => reply.bad(status, message),
        }
    }
}

/// A refusal before there is anything to do with GraphQL.
fn plain(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
