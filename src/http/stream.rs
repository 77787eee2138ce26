//! Streams in the body of one response, for clients that can't open a WebSocket.
//!
//! | form | asked for with `Accept` | protocol |
//! |---|---|---|
//! | server-sent events | `text/event-stream` | [GraphQL over SSE][sse], distinct connections |
//! | multipart | `multipart/mixed;subscriptionSpec=1.0` | [Apollo's multipart subscriptions][multipart] |
//!
//! A body without the protocol's final message was cut off, by the end of the session or of the server: a client that
//! reconnects with its credential learns which.
//!
//! [sse]: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md
//! [multipart]: https://www.apollographql.com/docs/graphos/routing/operations/subscriptions/multipart-protocol

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt};
use tokio::{
    select,
    time::{Instant, MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

use crate::{limit::slots::Slot, operation::Answer};

/// Well below the time after which proxies give up on a silent connection.
const HEARTBEAT: Duration = Duration::from_secs(12);

/// The framing of results within a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    EventStream,
    Multipart,
}

impl Form {
    /// The form that a range of an `Accept` header names.
    pub(super) fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "text/event-stream" => Some(Self::EventStream),
            "multipart/mixed" => Some(Self::Multipart),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::EventStream => "text/event-stream",
            Self::Multipart => "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0",
        }
    }

    fn first(self) -> &'static str {
        match self {
            Self::EventStream => ":\n\n",
            Self::Multipart => "--graphql",
        }
    }

    /// Every part of a multipart body brings the boundary after it along, so that its client need not wait for more.
    fn next(self, answer: &Answer) -> Bytes {
        let json = answer.json();
        match self {
            Self::EventStream => [b"event: next\ndata: ", &json[..], b"\n\n"].concat().into(),
            Self::Multipart => {
                let head = b"\r\ncontent-type: application/json\r\n\r\n{\"payload\":";
                [head, &json[..], b"}\r\n--graphql"].concat().into()
            }
        }
    }

    fn heartbeat(self) -> &'static str {
        match self {
            Self::EventStream => ":\n\n",
            Self::Multipart => "\r\ncontent-type: application/json\r\n\r\n{}\r\n--graphql",
        }
    }

    fn complete(self) -> &'static str {
        match self {
            Self::EventStream => "event: complete\ndata:\n\n",
            Self::Multipart => "--\r\n",
        }
    }
}

/// A response whose body ends with the results, the session or the server, and takes its slot along.
pub(super) fn respond(
    form: Form,
    results: impl Stream<Item = Answer> + Send + 'static,
    ended: Arc<CancellationToken>,
    shutdown: CancellationToken,
    slot: Option<Slot>,
) -> Response {
    let body = async_stream::stream! {
        let _slot = slot;
        yield Ok::<_, Infallible>(Bytes::from_static(form.first().as_bytes()));
        let mut results = pin!(results);
        let mut heartbeats = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                biased;
                () = ended.cancelled() => return,
                () = shutdown.cancelled() => return,
                result = results.next() => match result {
                    Some(result) => yield Ok(form.next(&result)),
                    None => break,
                },
                _ = heartbeats.tick() => yield Ok(Bytes::from_static(form.heartbeat().as_bytes())),
            }
        }
        yield Ok(Bytes::from_static(form.complete().as_bytes()));
    };
    let headers = [
        (header::CONTENT_TYPE, form.media_type()),
        // Proxies that know it hand each part on at once.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(body)).into_response()
}
