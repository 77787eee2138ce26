//! Errors as responses carry them: each gets a code from the closed list, and a cause is for the log alone.

use async_graphql::{ErrorExtensionValues, ServerError};

use super::answer::Answer;
use crate::error::{Cause, Error, whole_seconds};

/// Carries the cause through the executor inside an error, for [`finish`] to log.
struct Hidden(Cause);

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let (code, message): (&str, String) = match &error {
            Error::User(error) => ("BAD_USER_INPUT", error.message.clone()),
            Error::Users(_) => ("BAD_USER_INPUT", error.describe()),
            Error::NotFound => ("NOT_FOUND", "There is no such object.".into()),
            Error::Unauthenticated => ("UNAUTHENTICATED", "Sign in first.".into()),
            Error::Forbidden => ("FORBIDDEN", "Your role does not allow this.".into()),
            Error::BadInput(message) => ("BAD_USER_INPUT", message.clone()),
            Error::TooComplex(message) => ("QUERY_TOO_COMPLEX", message.clone()),
            // Old clients know it by these very words.
            Error::NotPersisted => ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound".into()),
            Error::RateLimited(wait) => (
                "RATE_LIMITED",
                format!("Too many requests. Try again in {} s.", whole_seconds(*wait)),
            ),
            Error::CsrfRefused => (
                "CSRF_REFUSED",
                "This request may come from a page that may not send it. Send it from an allowed origin; a GET needs the \
                 content type application/json or the header apollo-require-preflight."
                    .into(),
            ),
            Error::Internal(_) => ("INTERNAL", INTERNAL_MESSAGE.into()),
        };
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", code);
        if let Error::RateLimited(wait) = &error {
            extensions.set("retryAfter", whole_seconds(*wait));
        }
        Self {
            message,
            source: match error {
                Error::Internal(cause) => Some(std::sync::Arc::new(Hidden(cause))),
                _ => None,
            },
            extensions: Some(extensions),
        }
    }
}

const INTERNAL_MESSAGE: &str = "Something went wrong on our side. Quote the request id if it happens again.";

/// An error about the request as a whole, without a location in its text.
pub(crate) fn of_request(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default());
    error.locations.clear();
    error
}

/// The last touch on every answer: each error gets a code from the closed list, causes are logged once, and the
/// client gets the request's id with what it cannot act on.
pub(crate) fn finish(mut answer: Answer, request_id: &str) -> Answer {
    for error in &mut answer.errors {
        if let Some(Hidden(cause)) = error.source::<Hidden>() {
            tracing::error!(request_id, cause = ?cause, path = ?error.path, "internal error");
        }
        if error.extensions.as_ref().is_none_or(|e| e.get("code").is_none()) {
            // The GraphQL library's own: the request's text or variables are at fault.
            error.extensions.get_or_insert_default().set("code", "BAD_USER_INPUT");
        }
        if let Some(extensions) = &mut error.extensions
            && extensions.get("code") == Some(&"INTERNAL".into())
        {
            extensions.set("requestId", request_id);
        }
    }
    answer
}
