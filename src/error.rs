//! One error type; its face in the API is `api/error.rs`.
//!
//! [`Error`] has no `Display` on purpose: no message of a library or the database can reach a response by accident.
//! Outcomes that a person can act on are [`UserError`]s, data in a payload; everything else becomes an entry of
//! `errors` with `extensions.code`. A cause is logged once, and the client receives the request's id.

use std::time::Duration;

use sea_orm::DbErr;

use crate::secret::redacted;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason an operation failed.
#[derive(Clone)]
pub enum Error {
    /// An outcome its user can act on; mutations return it as data.
    User(UserError),
    /// Several of them, all of one input.
    Users(Vec<UserError>),
    /// Not there, or not for this viewer to know of.
    NotFound,
    /// The request has no valid session.
    Unauthenticated,
    /// The viewer's role does not reach this far.
    Forbidden,
    /// An argument of a query that no value of the data makes sense of.
    BadInput(String),
    /// An operation that costs more than one may.
    TooComplex(String),
    /// A persisted-query hash that is unknown to this server or not in the site's manifest.
    NotPersisted,
    /// Too often; the same again is allowed after this long.
    RateLimited(Duration),
    /// A request that comes, or could come, from a page that may not send it.
    CsrfRefused,
    /// A fault of ours. The cause is for the log alone.
    Internal(Cause),
}

/// The cause of an internal error: for the log, never for a client.
pub(crate) type Cause = std::sync::Arc<dyn std::error::Error + Send + Sync>;

/// An outcome a person can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserError {
    pub code: UserErrorCode,
    pub message: String,
    /// The path of the argument at fault, e.g. `["input", "email"]`; empty if no argument is.
    pub path: Vec<String>,
}

/// The kinds of outcomes that a person can act on. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// An outcome that is not caused by an invalid value.
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

    /// The cause, for the log.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }

    /// A description for operators. A cause that repeats a URL does so without its password.
    pub fn describe(&self) -> String {
        match self {
            Self::User(error) => error.message.clone(),
            Self::Users(errors) => {
                let messages: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
                messages.join("\n")
            }
            Self::Internal(cause) => redacted(&cause.to_string()),
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

/// The errors of one input, found one after the other and told all at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<UserError>);

impl Faults {
    /// Notes what is wrong with the argument at this path of the input, e.g. `["choices", "2", "text"]`.
    pub fn note(&mut self, path: &[&str], message: impl Into<String>) {
        let path = std::iter::once("input").chain(path.iter().copied());
        self.0.push(UserError {
            code: UserErrorCode::BadUserInput,
            message: message.into(),
            path: path.map(str::to_owned).collect(),
        });
    }

    /// Notes the outcome of a check, if it is one that a person can act on.
    pub fn catch<T>(&mut self, checked: Result<T>) -> Result<Option<T>> {
        match checked {
            Ok(value) => return Ok(Some(value)),
            Err(Error::User(error)) => self.0.push(error),
            Err(Error::Users(errors)) => self.0.extend(errors),
            Err(other) => return Err(other),
        }
        Ok(None)
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The refusal, if anything is wrong.
    pub fn refuse(self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Error::Users(self.0)),
        }
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

/// Seconds to wait, rounded up so that a client that waits them is not refused again.
pub(crate) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
