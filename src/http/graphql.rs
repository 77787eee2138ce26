//! GraphQL over HTTP, by the specification of the GraphQL Foundation (<https://graphql.github.io/graphql-over-http/draft/>).
//!
//! | request | answer |
//! |---|---|
//! | `POST` with `application/json` | 200 with the response |
//! | `GET` with `query`, `variables`, `operationName` | the same, queries only: 405 for a mutation |
//! | a client that accepts neither media type of responses | 406 |
//! | a body of another type, as forms send them | 415 |
//! | a body that is compressed | 415 |
//! | a body that is too large, or takes too long to come | 413, 408 |
//! | a request that can't be parsed, is not valid or costs too much | 400 with `application/graphql-response+json`, else 200 |
//! | a bearer token that is bad or expired | 401 |
//! | nothing but refusals by a limiter | 429 with `Retry-After` |

use std::{net::SocketAddr, pin::pin};

use async_graphql::{Response as GraphQLResponse, ServerError, Value, parser::types::OperationType};
use axum::{
    body::Bytes,
    extract::{ConnectInfo, FromRequest, Query, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{BODY_BYTES, BODY_TIME, Identity, Server, cookie, device, origin_is_allowed, request_id, request_span};
use crate::{
    error::{self, Error},
    graphql::Caller,
    operation, schema,
};

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

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
pub async fn handle(State(server): State<Server>, request: Request) -> Response {
    let request_id = request_id();
    let span = request_span(&request_id);
    let mut response = match answer(&server, request, &request_id).instrument(span).await {
        Ok(response) | Err(response) => response,
    };
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

async fn answer(server: &Server, request: Request, request_id: &str) -> Result<Response, Response> {
    let media_type = accepted(request.headers()).ok_or_else(|| {
        plain(
            StatusCode::NOT_ACCEPTABLE,
            "Accept application/graphql-response+json or application/json.",
        )
    })?;
    let method = request.method().clone();
    let headers = request.headers().clone();
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().copied();
    let identity = Identity::of(&server.app, &headers);
    if matches!(identity, Identity::BadBearer) {
        let mut response = respond(
            media_type,
            StatusCode::UNAUTHORIZED,
            &refusal(Error::Unauthenticated, request_id),
        );
        let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Err(response);
    }
    let parameters = parameters(&method, &headers, request)
        .await
        .map_err(|refused| refused.into_response(media_type, request_id))?;
    let graphql = graphql_request(parameters)
        .map_err(|message| respond(media_type, StatusCode::BAD_REQUEST, &bad_request(message, request_id)))?;
    let viewer = identity.as_viewer();
    let admitted = operation::admit(&server.app, viewer, graphql).await.map_err(|error| {
        let response = error::finish(GraphQLResponse::from_errors(vec![error]), request_id);
        respond(media_type, request_error(media_type), &response)
    })?;
    let changes = match admitted.kind() {
        OperationType::Subscription => {
            let message = "Subscriptions run over the WebSocket at /graphql/ws.";
            return Err(respond(
                media_type,
                request_error(media_type),
                &bad_request(message.into(), request_id),
            ));
        }
        kind => kind == OperationType::Mutation,
    };
    if changes && method == Method::GET {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "A mutation needs POST.");
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static("POST"));
        return Err(response);
    }
    // A mutation from a page that may not send it; by cookie the page must be known.
    let by_cookie = matches!(identity, Identity::Cookie(_) | Identity::Nobody { stale_cookie: true });
    if changes && !origin_is_allowed(&server.app, &headers).unwrap_or(!by_cookie) {
        return Err(respond(
            media_type,
            StatusCode::FORBIDDEN,
            &refusal(Error::CsrfRefused, request_id),
        ));
    }
    let stale_cookie = matches!(identity, Identity::Nobody { stale_cookie: true });
    let caller = Caller {
        request_id: request_id.to_owned(),
        device: device(&headers, address.as_ref()),
        takes_cookies: true,
    };
    let mut responses = pin!(schema::run(
        &server.schema,
        admitted,
        &server.app,
        identity.viewer(),
        caller
    ));
    let response = error::finish(responses.next().await.unwrap_or_default(), request_id);
    let status = status_of(&response, media_type);
    let mut http = respond(media_type, status, &response);
    if let Some(seconds) = retry_after(&response) {
        http.headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    for (name, value) in &response.http_headers {
        http.headers_mut().append(name, value.clone());
    }
    if stale_cookie && !response.http_headers.contains_key(header::SET_COOKIE) {
        // The access cookie only: the refresh cookie may still be good.
        let [access, _] = cookie::cleared(&server.app.config);
        if let Ok(access) = HeaderValue::from_str(&access) {
            http.headers_mut().append(header::SET_COOKIE, access);
        }
    }
    Ok(http)
}

/// The media type to answer with: what the client prefers of the two. Without an `Accept` it is taken for an old client.
fn accepted(headers: &HeaderMap) -> Option<&'static str> {
    let Some(accept) = headers.get(header::ACCEPT) else {
        return Some(JSON);
    };
    let accept = accept.to_str().ok()?.to_ascii_lowercase();
    let wanted = |name: &str| {
        accept
            .split(',')
            .any(|range| range.split(';').next().is_some_and(|range| range.trim() == name))
    };
    if wanted(GRAPHQL_RESPONSE) || wanted("*/*") || wanted("application/*") {
        Some(GRAPHQL_RESPONSE)
    } else {
        wanted(JSON).then_some(JSON)
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

fn refusal(error: Error, request_id: &str) -> GraphQLResponse {
    error::finish(GraphQLResponse::from_errors(vec![error::of_request(error)]), request_id)
}

fn bad_request(message: String, request_id: &str) -> GraphQLResponse {
    error::finish(
        GraphQLResponse::from_errors(vec![ServerError::new(message, None)]),
        request_id,
    )
}

/// The response as the specification has it: no `data` at all if there was nothing to run.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    extensions: &'a std::collections::BTreeMap<String, Value>,
}

fn respond(media_type: &'static str, status: StatusCode, response: &GraphQLResponse) -> Response {
    let nothing_ran = response.data == Value::Null && response.errors.iter().any(|error| error.path.is_empty());
    let envelope = Envelope {
        data: (!nothing_ran).then_some(&response.data),
        errors: &response.errors,
        extensions: &response.extensions,
    };
    match serde_json::to_vec(&envelope) {
        Ok(body) => (status, [(header::CONTENT_TYPE, media_type)], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Why a request's parameters were not read.
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

    fn into_response(self, media_type: &'static str, request_id: &str) -> Response {
        match self {
            Self::Foreign(response) => response,
            Self::Bad(status, message) => respond(media_type, status, &bad_request(message, request_id)),
        }
    }
}

/// A refusal before there is anything to do with GraphQL.
fn plain(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
