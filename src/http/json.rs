//! Responses as JSON.

use async_graphql::{Response as GraphQLResponse, ServerError, Value};
use serde::Serialize;

/// The specification requires `data` to be absent if nothing was executed.
#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    extensions: &'a std::collections::BTreeMap<String, Value>,
}

/// A response as the specification has it, its fields in the order of the query.
pub(super) fn json(response: &GraphQLResponse) -> Vec<u8> {
    let nothing_ran = response.data == Value::Null && response.errors.iter().any(|error| error.path.is_empty());
    let envelope = Envelope {
        data: (!nothing_ran).then_some(&response.data),
        errors: &response.errors,
        extensions: &response.extensions,
    };
    serde_json::to_vec(&envelope).unwrap_or_else(|error| {
        tracing::error!(%error, "a response can't be written as JSON");
        br#"{"errors":[{"message":"Internal server error","extensions":{"code":"INTERNAL"}}]}"#.to_vec()
    })
}
