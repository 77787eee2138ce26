//! A single result as a response.

use async_graphql::{ServerError, Value};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{accept::GRAPHQL_RESPONSE, request::Unread};
use crate::{
    error::Error,
    operation::{self, Answer},
};

/// The serialized form of a single result.
pub(super) struct Reply<'a> {
    pub media_type: &'static str,
    pub request_id: &'a str,
}

impl Reply<'_> {
    pub(super) fn with(&self, status: StatusCode, answer: &Answer) -> Response {
        let mut http = (status, [(header::CONTENT_TYPE, self.media_type)], answer.json()).into_response();
        if let Some(seconds) = retry_after(answer) {
            http.headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        http
    }

    pub(super) fn bad(&self, status: StatusCode, message: String) -> Response {
        let answer = Answer::refusal(vec![ServerError::new(message, None)]);
        self.with(status, &operation::error::finish(answer, self.request_id))
    }

    pub(super) fn unread(&self, unread: Unread) -> Response {
        match unread {
            Unread::Foreign(status, message) => {
                let mut response = plain(status, message);
                if status == StatusCode::METHOD_NOT_ALLOWED {
                    let allow = HeaderValue::from_static("GET, POST");
                    response.headers_mut().insert(header::ALLOW, allow);
                }
                response
            }
            Unread::Bad(status, message) => self.bad(status, message),
            Unread::Refused(error) => self.with(StatusCode::FORBIDDEN, &self.refusal(error)),
        }
    }

    pub(super) fn refusal(&self, error: Error) -> Answer {
        let answer = Answer::refusal(vec![operation::error::of_request(error)]);
        operation::error::finish(answer, self.request_id)
    }
}

/// Without data an error is the request's: a status of its own for clients that know the new media type.
pub(super) fn status_of(answer: &Answer, media_type: &str) -> StatusCode {
    if retry_after(answer).is_some() {
        StatusCode::TOO_MANY_REQUESTS
    } else if answer.data.is_none() {
        request_error(media_type)
    } else {
        StatusCode::OK
    }
}

pub(super) fn request_error(media_type: &str) -> StatusCode {
    if media_type == GRAPHQL_RESPONSE {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    }
}

/// If an answer is nothing but refusals by limiters: how long to wait until all would be let through.
fn retry_after(answer: &Answer) -> Option<u64> {
    let wait = |error: &ServerError| match error.extensions.as_ref()?.get("retryAfter")? {
        Value::Number(seconds) => seconds.as_u64(),
        _ => None,
    };
    let waits: Option<Vec<u64>> = answer.errors.iter().map(wait).collect();
    waits.filter(|_| answer.is_nothing)?.into_iter().max()
}

/// A refusal before there is anything to do with GraphQL.
pub(super) fn plain(status: StatusCode, message: &str) -> Response {
    (status, format!("{message}\n")).into_response()
}
