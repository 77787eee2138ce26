//! Metrics of operations, by their first root field.

use std::time::Instant;

use async_graphql::parser::types::OperationType;
use futures_util::{Stream, StreamExt};
use metrics::{counter, histogram};

use crate::{
    operation::Answer,
    telemetry::{OPERATION, OPERATION_ERRORS, Open, STREAM_EVENTS, STREAMS},
};

/// Measures the answers to one operation.
pub(super) fn measured(
    kind: OperationType,
    field: String,
    answers: impl Stream<Item = Answer>,
) -> impl Stream<Item = Answer> {
    let began = Instant::now();
    let stream = (kind == OperationType::Subscription).then(|| Open::new(STREAMS));
    answers.map(move |answer| {
        let _open = &stream;
        // Names that are not in the schema are arbitrary: they must not become labels.
        let valid = answer.errors.iter().all(|error| !error.path.is_empty());
        let field = if valid { field.clone() } else { "invalid".to_owned() };
        for error in &answer.errors {
            let code = error
                .extensions
                .as_ref()
                .and_then(|extensions| match extensions.get("code") {
                    Some(async_graphql::Value::String(code)) => Some(code.clone()),
                    _ => None,
                });
            let code = code.unwrap_or_else(|| "BAD_USER_INPUT".to_owned());
            counter!(OPERATION_ERRORS, "field" => field.clone(), "code" => code).increment(1);
        }
        match kind {
            OperationType::Subscription => counter!(STREAM_EVENTS, "field" => field).increment(1),
            OperationType::Query => histogram!(OPERATION, "kind" => "query", "field" => field).record(began.elapsed()),
            OperationType::Mutation => {
                histogram!(OPERATION, "kind" => "mutation", "field" => field).record(began.elapsed());
            }
        }
        answer
    })
}
