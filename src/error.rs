//! One error type, one mapping to the API.
//!
//! [`Error`] has no `Display` on purpose: nothing can print a library's or the database's message into a response by
//! accident. What a person can act on is a [`UserError`], data in a payload; everything else becomes an entry of
//! `errors` with `extensions.code`, a cause is logged once, and the client sees its request's id.

use std::time::Duration;

use async_graphql::{ErrorExtensionValues, Response, ServerError};
use sea_orm::DbErr;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation did not happen.
#[derive(Clone)]
pub enum Error {
    /// An outcome its user can act on; mutations return it as data.
    User(UserError),
    /// Not there, or not for this viewer to know of.
    NotFound,
    /// Nobody is signed in.
    Unauthenticated,
    /// The viewer's role does not reach this far.
    Forbidden,
    /// An argument of a query that no value of the data makes sense of.
    BadInput(String),
    /// An operation that costs more than one may.
    TooComplex(String),
    /// An operation that goes by a hash nobody has taught this server, or that the site's manifest does not list.
    NotPersisted,
    /// Too often; the same again is allowed after this long.
    RateLimited(Duration),
    /// A request that comes, or could come, from a page that may not send it.
    CsrfRefused,
    /// A fault of ours. The cause is for the log alone.
    Internal(Cause),
}

/// What is behind an internal error: for the log, never for a client.
pub type Cause = std::sync::Arc<dyn std::error::Error + Send + Sync>;

/// An outcome a person can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    pub code: UserErrorCode,
    pub message: String,
    /// Where in the mutation's arguments the mistake is, e.g. `["input", "email"]`; empty if nowhere in particular.
    pub path: Vec<String>,
}

/// The kinds of outcomes that a person can act on. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
pub enum UserErrorCode {
    /// A value is missing, too long, or has the wrong format.
    BadUserInput,
    /// The value is taken, or the object was changed meanwhile.
    Conflict,
    /// The attempt was submitted before, with another idempotency key.
    AttemptAlreadySubmitted,
    /// The deadline has passed; the attempt was submitted with the saved answers.
    AttemptExpired,
    /// The quiz is not open yet, or has closed.
    QuizNotOpen,
    /// The student has used all attempts that the quiz allows.
    AttemptsExhausted,
    /// The quiz requires a pause between two attempts.
    Cooldown,
}

impl Error {
    /// An outcome about one argument, e.g. `Error::input("email", "…")`.
    pub fn input(argument: &str, message: impl Into<String>) -> Self {
        Self::refused(UserErrorCode::BadUserInput, message).at(argument)
    }

    /// An outcome that is nobody's typing mistake.
    pub fn refused(code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::User(UserError {
            code,
            message: message.into(),
            path: Vec::new(),
        })
    }

    /// Names the argument of the mutation's input that an outcome is about.
    pub fn at(self, argument: &str) -> Self {
        match self {
            Self::User(error) => Self::User(UserError {
                path: vec!["input".into(), argument.into()],
                ..error
            }),
            other => other,
        }
    }

    /// What is behind it, for the log.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }

    /// What went wrong, in words for whoever runs the site.
    pub fn describe(&self) -> String {
        match self {
            Self::User(error) => error.message.clone(),
            Self::Internal(cause) => cause.to_string(),
            Self::BadInput(message) | Self::TooComplex(message) => message.clone(),
            Self::NotFound => "There is no such object.".into(),
            Self::Unauthenticated | Self::Forbidden | Self::CsrfRefused | Self::NotPersisted | Self::RateLimited(_) => {
                "Refused.".into()
            }
        }
    }

    /// A fault of ours, for the log.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(Cause::from(cause.into()))
    }
}

impl From<DbErr> for Error {
    fn from(cause: DbErr) -> Self {
        Self::internal(cause)
    }
}

/// A loader's error is shared by all that waited for the batch.
impl From<std::sync::Arc<DbErr>> for Error {
    fn from(cause: std::sync::Arc<DbErr>) -> Self {
        Self::internal(cause)
    }
}

/// For a field that is `null` once what it leads to is gone.
pub fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Splits a mutation's result into what its payload carries: the value, or the outcomes its user can act on.
pub fn as_payload<T>(result: Result<T>) -> Result<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::User(error)) => Ok((None, vec![error])),
        Err(error) => Err(error),
    }
}

/// What travels through the executor inside an error, for [`finish`] to log.
struct Hidden(Cause);

impl From<Error> for async_graphql::Error {
    fn from(error: Error) -> Self {
        let (code, message): (&str, String) = match &error {
            Error::User(error) => ("BAD_USER_INPUT", error.message.clone()),
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

/// Seconds to wait, rounded up so that a client that waits them is not refused again.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// An error about a request as a whole, not about a place in its text.
pub fn of_request(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(async_graphql::Pos::default());
    error.locations.clear();
    error
}

/// The last touch on every response: each error gets a code from the closed list, causes are logged once, and the
/// client gets the request's id with what it cannot act on.
pub fn finish(mut response: Response, request_id: &str) -> Response {
    for error in &mut response.errors {
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
    response
}
