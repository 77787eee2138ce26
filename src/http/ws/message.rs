//! The messages of the protocol, as JSON.

use std::sync::Arc;

use async_graphql::{ErrorExtensionValues, Request, ServerError};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, error::Category};

use super::close::Close;
use crate::operation::{Answer, persisted};

/// The payload of `ConnectionInit` or `Ping`.
pub(crate) type Payload = Map<String, serde_json::Value>;

/// The longest operation id, in characters; clients use counters and UUIDs.
const MAX_ID_CHARS: usize = 256;

/// A message of the client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit {
        payload: Option<Payload>,
    },
    Ping {
        payload: Option<Payload>,
    },
    Pong,
    Subscribe {
        #[serde(deserialize_with = "operation_id")]
        id: Arc<str>,
        #[serde(deserialize_with = "operation")]
        payload: Box<Request>,
    },
    Complete {
        #[serde(deserialize_with = "operation_id")]
        id: Arc<str>,
    },
}

fn operation_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() || id.chars().nth(MAX_ID_CHARS).is_some() {
        return Err(de::Error::custom("an id has 1 to 256 characters"));
    }
    Ok(id.into())
}

/// A request, with the id of its document that the library does not know.
fn operation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Request>, D::Error> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "documentId", alias = "doc_id")]
        document_id: Option<String>,
        #[serde(flatten)]
        request: Request,
    }
    let Named {
        document_id,
        mut request,
    } = Named::deserialize(deserializer)?;
    if let Some(id) = document_id {
        persisted::name(&mut request, id);
    }
    Ok(Box::new(request))
}

/// Section "Invalid message": whatever doesn't fit closes the socket. The text is the client's own, or serde's.
pub(super) fn parse(text: &str) -> Result<ClientMessage, Close> {
    // serde also reads such an enum from an array.
    if text.trim_ascii_start().starts_with('[') {
        return Err(Close::bad_message("Invalid message: not an object"));
    }
    let message = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Close::bad_message(format!("Invalid message: {error}")),
        Category::Io | Category::Syntax | Category::Eof => Close::bad_message("Invalid JSON"),
    })?;
    match message {
        // A persisted operation goes by an id in its extensions.
        ClientMessage::Subscribe { payload, .. } if payload.query.is_empty() && payload.extensions.is_empty() => {
            Err(Close::bad_message("Invalid message: no query"))
        }
        message => Ok(message),
    }
}

/// A message of the server.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Ping,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    Next {
        id: &'a str,
        #[serde(skip)]
        payload: &'a Answer,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl ServerMessage<'_> {
    pub(super) fn text(&self) -> Result<String, Close> {
        let mut text = serde_json::to_string(self).map_err(unwritable)?;
        if let ServerMessage::Next { payload, .. } = self {
            // The answer is JSON already, and goes in as it is.
            let answer = String::from_utf8(payload.json()).map_err(unwritable)?;
            text.truncate(text.len() - 1);
            text.extend([",\"payload\":", &answer, "}"]);
        }
        Ok(text)
    }
}

fn unwritable(error: impl std::fmt::Display) -> Close {
    tracing::error!(%error, "a message can't be written as JSON");
    Close::INTERNAL
}

pub(super) fn error(message: &str, code: &str) -> ServerError {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    ServerError {
        extensions: Some(extensions),
        ..ServerError::new(message, None)
    }
}
