//! What payloads and fields share: user errors, times, points.

use async_graphql::SimpleObject;

use crate::clock::Time;

/// The time as the API shows it.
pub fn date_time(at: Time) -> chrono::DateTime<chrono::Utc> {
    at.to_utc()
}

/// Points from thousandths of a point.
pub fn points(score: i64) -> f64 {
    score as f64 / 1000.0
}

/// An outcome that a person can act on.
#[derive(SimpleObject)]
pub struct UserError {
    /// The kind of outcome.
    code: crate::error::UserErrorCode,
    /// A message to show to the person.
    message: String,
    /// The path of the argument at fault, e.g. `["input", "email"]`; empty if no argument is.
    path: Vec<String>,
}

impl From<crate::error::UserError> for UserError {
    fn from(error: crate::error::UserError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            path: error.path,
        }
    }
}
