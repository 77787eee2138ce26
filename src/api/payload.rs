//! Shared parts of payloads and fields: user errors, times, points.

use async_graphql::{Enum, SimpleObject};

use super::scalar::DateTime;
use crate::{
    clock::Time,
    error::{self, Error, Result},
};

/// The kinds of outcomes that a person can act on. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "UserErrorCode", remote = "error::UserErrorCode")]
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

/// The time as the API shows it.
pub(crate) fn date_time(at: Time) -> DateTime {
    DateTime(at.to_utc())
}

/// Points from thousandths of a point.
pub(crate) fn points(score: i64) -> f64 {
    score as f64 / 1000.0
}

/// An outcome that a person can act on.
#[derive(SimpleObject)]
pub(crate) struct UserError {
    /// The kind of outcome.
    pub(super) code: UserErrorCode,
    /// A message to show to the person.
    message: String,
    /// The path of the argument at fault, e.g. `["input", "email"]`; empty if no argument is.
    path: Vec<String>,
}

impl From<error::UserError> for UserError {
    fn from(error: error::UserError) -> Self {
        Self {
            code: error.code.into(),
            message: error.message,
            path: error.path,
        }
    }
}

/// For a field that is `null` once what it leads to is gone.
pub(crate) fn if_there<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Splits a mutation's result into what its payload carries: the value, or the outcomes its user can act on.
pub(crate) fn as_payload<T>(result: Result<T>) -> Result<(Option<T>, Vec<UserError>)> {
    match result {
        Ok(value) => Ok((Some(value), Vec::new())),
        Err(Error::User(error)) => Ok((None, vec![error.into()])),
        Err(Error::Users(errors)) => Ok((None, errors.into_iter().map(UserError::from).collect())),
        Err(error) => Err(error),
    }
}
