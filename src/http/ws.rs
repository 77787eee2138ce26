//! GraphQL over a WebSocket: the server side of the sub-protocol `graphql-transport-ws`.
//!
//! The protocol is [`PROTOCOL.md` of graphql-ws][protocol]; section names below are its own. async-graphql's own loop
//! is not used because it answers validation errors with `next`, replaces an operation whose id comes twice, never
//! pings, and closes with codes that clients don't know.
//!
//! One task owns the socket; each operation runs in a task of its own and sends its frames through a channel with a
//! capacity of one. So a stream is polled for its next result only after the previous one was taken, a socket holds at
//! most [`Settings::max_operations`] + 2 responses, and a client that stops reading blocks its own frames but no
//! transaction of a running mutation. While a frame is being written nothing is read: the client receives the same
//! back-pressure it exerts, until [`Settings::write_timeout`] ends the socket. A stream that must not fall behind has
//! to drop or merge its own events.
//!
//! Closing the socket, `Complete` from the client and the end of the session drop the operation, at its next await.
//!
//! | code | reason | when | section |
//! |---|---|---|---|
//! | 1001 | Going away | the server shuts down | |
//! | 1002 | Unreadable frame | a frame breaks RFC 6455, or is over four times the size allowed | |
//! | 1009 | Message too big | a message is over [`Settings::max_message_bytes`] | |
//! | 4400 | what was wrong | binary frame, bad JSON, unknown type, missing member, bad id | Invalid message |
//! | 4401 | Unauthorized | `Subscribe` before `ConnectionAck` | Subscribe |
//! | 4401 | Session ended | [`Accepted::ended`] was cancelled | |
//! | 4403, or another | Forbidden | the init function refuses | |
//! | 4406 | Subprotocol not acceptable | the client didn't offer [`SUBPROTOCOL`] | |
//! | 4408 | Connection initialisation timeout | no acknowledgement within [`Settings::init_timeout`] | ConnectionInit |
//! | 4409 | Subscriber for … already exists | an id that is still active | Subscribe |
//! | 4429 | Too many initialisation requests | a second `ConnectionInit` | ConnectionInit |
//! | 4499 | Terminated | silent for [`Settings::pong_timeout`], or not reading for [`Settings::write_timeout`] | |
//! | 4500 | Internal server error | a response can't be written as JSON | |
//!
//! The reference client reconnects by itself after 1001, 4403, 4408, 4499 and a broken socket; the other codes reach
//! the application as errors. 4499 is this server's choice among the private codes.
//!
//! ```text
//! async fn subscribe(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
//!     let settings = Settings::default();
//!     ws::prepare(upgrade, &settings).on_upgrade(move |socket| async move {
//!         let shutdown = app.shutdown.clone();
//!         ws::serve(socket, settings, shutdown, async |payload| {
//!             let viewer = app.viewer(&payload).await.ok_or(Close::FORBIDDEN)?;
//!             let ended = viewer.ended();
//!             Ok(Accepted { execute: move |request: Request| app.schema.execute_stream(request.data(viewer.clone())), ended })
//!         })
//!         .await;
//!     })
//! }
//! ```
//!
//! [protocol]: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md

use std::{borrow::Cow, collections::HashMap, convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use async_graphql::{ErrorExtensionValues, Request, Response, ServerError, Value};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures_util::{FutureExt as _, Stream, StreamExt as _, future::OptionFuture};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, error::Category};
use tokio::{
    select,
    sync::mpsc,
    task::consume_budget,
    time::{Duration, Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

/// The payload of `ConnectionInit` or `Ping`.
pub(crate) type Payload = Map<String, serde_json::Value>;

/// The name of the sub-protocol in `Sec-WebSocket-Protocol`.
pub(crate) const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Time for the client to complete the closing handshake.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The longest operation id, in characters; clients use counters and UUIDs.
const MAX_ID_CHARS: usize = 256;

/// The longest close reason, in bytes: RFC 6455, section 5.5, allows 125 for a control frame, the code takes two.
const MAX_REASON_BYTES: usize = 123;

/// Limits and timeouts of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// From the upgrade to `ConnectionAck`, the time of the init function included.
    pub init_timeout: Duration,
    /// Between two `Ping` messages of the server, from a millisecond to a day.
    pub ping_interval: Duration,
    /// Silence after which the client counts as gone. It is looked at once every `ping_interval`.
    pub pong_timeout: Duration,
    /// For one frame to reach the kernel's buffer.
    pub write_timeout: Duration,
    /// Active operations of one socket; one more is answered with an `Error` of code `RATE_LIMITED`.
    pub max_operations: usize,
    /// Size of one message of the client, in bytes.
    pub max_message_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            max_operations: 32,
            max_message_bytes: 256 * 1024,
        }
    }
}

/// The reply of the init function that accepts a client.
pub(crate) struct Accepted<X> {
    /// Starts one operation. It returns at once; the work is in the stream, which ends when the operation does.
    pub execute: X,
    /// Cancelled when the session that opened the socket ends.
    pub ended: Arc<CancellationToken>,
}

/// A code and a reason to close a socket with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close(u16, Cow<'static, str>);

impl Close {
    /// No credential, or an expired one: clients refresh it and reconnect.
    pub const UNAUTHORIZED: Self = Self::new(4401, "Unauthorized");
    /// This client may not come in; the reference client tries again a few times.
    pub const FORBIDDEN: Self = Self::new(4403, "Forbidden");
    /// A fault that may pass, say of the database while `init` was at work; clients try again.
    pub const TRY_AGAIN: Self = Self::new(1013, "Try again later");

    const GOING_AWAY: Self = Self::new(1001, "Going away");
    const UNREADABLE: Self = Self::new(1002, "Unreadable frame");
    const TOO_BIG: Self = Self::new(1009, "Message too big");
    const SESSION_ENDED: Self = Self::new(4401, "Session ended");
    const SUBPROTOCOL: Self = Self::new(4406, "Subprotocol not acceptable");
    const INIT_TIMEOUT: Self = Self::new(4408, "Connection initialisation timeout");
    const TOO_MANY_INITS: Self = Self::new(4429, "Too many initialisation requests");
    const TERMINATED: Self = Self::new(4499, "Terminated");
    const INTERNAL: Self = Self::new(4500, "Internal server error");

    /// A code that RFC 6455, section 7.4, lets a server send: 1000, 1001, 1011 to 1013, or of one's own 4000 to 4999.
    pub const fn new(code: u16, reason: &'static str) -> Self {
        Self(code, Cow::Borrowed(reason))
    }

    fn bad_message(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(4400, reason.into())
    }

    fn duplicate(id: &str) -> Self {
        Self(4409, format!("Subscriber for {id} already exists").into())
    }
}

impl From<Close> for CloseFrame {
    fn from(Close(code, reason): Close) -> Self {
        let reason = reason[..reason.floor_char_boundary(MAX_REASON_BYTES)].into();
        Self { code, reason }
    }
}

/// The reason a socket ends.
enum End {
    /// The client closed it, or it broke.
    Left,
    Close(Close),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// A message of the client.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClientMessage {
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

/// Section "Invalid message": whatever doesn't fit closes the socket. The text is the client's own, or serde's.
fn parse(text: &str) -> Result<ClientMessage, Close> {
    // serde also reads such an enum from an array.
    if text.trim_ascii_start().starts_with('[') {
        return Err(Close::bad_message("Invalid message: not an object"));
    }
    let message = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Close::bad_message(format!("Invalid message: {error}")),
        Category::Io | Category::Syntax | Category::Eof => Close::bad_message("Invalid JSON"),
    })?;
    match message {
        // A persisted operation goes by the hash in its extensions.
        ClientMessage::Subscribe { payload, .. } if payload.query.is_empty() && payload.extensions.is_empty() => {
            Err(Close::bad_message("Invalid message: no query"))
        }
        message => Ok(message),
    }
}

/// A message of the server. Responses are borrowed and serialized as they are, with fields in the order of the query.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ServerMessage<'a> {
    ConnectionAck,
    Ping,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Payload>,
    },
    Next {
        id: &'a str,
        payload: &'a Response,
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
    fn frame(&self) -> Result<Message, Close> {
        serde_json::to_string(self).map(Message::from).map_err(|error| {
            tracing::error!(%error, "a frame can't be written as JSON");
            Close::INTERNAL
        })
    }
}

fn error(message: &str, code: &str) -> ServerError {
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code);
    ServerError {
        extensions: Some(extensions),
        ..ServerError::new(message, None)
    }
}

/// Bounds what a client can make the server hold, and offers the sub-protocol; then call `on_upgrade` with [`serve`].
pub(crate) fn prepare(upgrade: WebSocketUpgrade, settings: &Settings) -> WebSocketUpgrade {
    // Over the limit proper a message is still read to its end, so that the client gets to see why it is closed.
    let unreadable = settings.max_message_bytes.saturating_mul(4);
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(unreadable)
        .max_frame_size(unreadable)
        .read_buffer_size(1024)
}

/// Speaks the protocol with one client until it leaves, its session ends or the server shuts down.
///
/// `init` gets the payload of `ConnectionInit`, empty when there was none, and decides who the client is. It is dropped
/// when the client gives up or breaks a rule meanwhile.
pub(crate) async fn serve<I, R, X, S>(socket: WebSocket, settings: Settings, shutdown: CancellationToken, init: I)
where
    I: FnOnce(Payload) -> R,
    R: Future<Output = Result<Accepted<X>, Close>>,
    X: FnMut(Request) -> S,
    S: Stream<Item = Response> + Send + 'static,
{
    let mut wire = Wire {
        socket,
        settings,
        last_received: Instant::now(),
    };
    let talk = async {
        // Boxed, so that the state of the handshake is not kept for the life of the socket.
        let accepted = Box::pin(connect(&mut wire, &shutdown, init)).await?;
        operate(&mut wire, &shutdown, accepted).await
    };
    let Err(end) = talk.await;
    wire.finish(end).await;
}

/// Section "Successful connection initialisation". Messages of the client are received while `init` runs.
async fn connect<I, R, X>(wire: &mut Wire, shutdown: &CancellationToken, init: I) -> Result<Accepted<X>, End>
where
    I: FnOnce(Payload) -> R,
    R: Future<Output = Result<Accepted<X>, Close>>,
{
    if wire.socket.protocol().is_none_or(|protocol| protocol != SUBPROTOCOL) {
        return Err(Close::SUBPROTOCOL.into());
    }
    let mut stop = pin!(shutdown.cancelled().map(|()| Close::GOING_AWAY));
    let mut late = pin!(sleep(wire.settings.init_timeout));
    let mut init = Some(init);
    let mut decision = pin!(OptionFuture::default());
    loop {
        consume_budget().await;
        select! {
            biased;
            close = &mut stop => return Err(close.into()),
            () = &mut late => return Err(Close::INIT_TIMEOUT.into()),
            message = wire.receive() => match message? {
                Some(ClientMessage::ConnectionInit { payload }) => {
                    let init = init.take().ok_or(Close::TOO_MANY_INITS)?;
                    decision.set(Some(init(payload.unwrap_or_default())).into());
                }
                Some(ClientMessage::Subscribe { .. }) => return Err(Close::UNAUTHORIZED.into()),
                Some(ClientMessage::Ping { payload }) => wire.send(&mut stop, &ServerMessage::Pong { payload }).await?,
                Some(ClientMessage::Pong | ClientMessage::Complete { .. }) | None => {}
            },
            Some(accepted) = &mut decision => {
                let accepted = accepted?;
                wire.send(&mut stop, &ServerMessage::ConnectionAck).await?;
                return Ok(accepted);
            }
        }
    }
}

/// Sections "Subscribe" to "Complete", and "Ping".
///
/// The client is listened to before its operations are: one that floods the socket delays only its own results.
async fn operate<X, S>(wire: &mut Wire, shutdown: &CancellationToken, accepted: Accepted<X>) -> Result<Infallible, End>
where
    X: FnMut(Request) -> S,
    S: Stream<Item = Response> + Send + 'static,
{
    let settings = wire.settings;
    let Accepted { mut execute, ended } = accepted;
    let mut stop = pin!(async {
        select! {
            () = shutdown.cancelled() => Close::GOING_AWAY,
            () = ended.cancelled() => Close::SESSION_ENDED,
        }
    });
    let period = settings
        .ping_interval
        .clamp(Duration::from_millis(1), Duration::from_hours(24));
    let mut ping = interval_at(Instant::now() + period, period);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (outbox, mut outputs) = mpsc::channel::<Box<Output>>(1);
    let mut operations = HashMap::<Arc<str>, AbortOnDropHandle<()>>::new();
    loop {
        consume_budget().await;
        select! {
            biased;
            close = &mut stop => return Err(close.into()),
            message = wire.receive() => match message? {
                Some(ClientMessage::ConnectionInit { .. }) => return Err(Close::TOO_MANY_INITS.into()),
                Some(ClientMessage::Subscribe { id, .. }) if operations.contains_key(&id) => {
                    return Err(Close::duplicate(&id).into());
                }
                Some(ClientMessage::Subscribe { id, .. }) if operations.len() >= settings.max_operations => {
                    let refusal = error("Too many operations on this connection", "RATE_LIMITED");
                    wire.send(&mut stop, &ServerMessage::Error { id: &id, payload: &[refusal] }).await?;
                }
                Some(ClientMessage::Subscribe { id, payload }) => {
                    let operation = run(id.clone(), execute(*payload), outbox.clone()).in_current_span();
                    operations.insert(id, AbortOnDropHandle::new(tokio::spawn(operation)));
                }
                Some(ClientMessage::Complete { id }) => drop(operations.remove(&id)),
                Some(ClientMessage::Ping { payload }) => wire.send(&mut stop, &ServerMessage::Pong { payload }).await?,
                Some(ClientMessage::Pong) | None => {}
            },
            _ = ping.tick() => {
                if wire.last_received.elapsed() >= settings.pong_timeout {
                    return Err(Close::TERMINATED.into());
                }
                wire.send(&mut stop, &ServerMessage::Ping).await?;
            }
            Some(output) = outputs.recv() => {
                // The operation may have been cancelled while its frame waited, and its id be in use by another.
                if operations.get_key_value(&output.id).is_none_or(|(active, _)| !Arc::ptr_eq(active, &output.id)) {
                    continue;
                }
                if output.last {
                    operations.remove(&output.id);
                }
                wire.write(&mut stop, output.frame?).await?;
            }
        }
    }
}

/// A frame of an operation. `id` is the very allocation the operation was registered under. It travels boxed: a channel
/// makes room for 32 of what it carries, however few may be under way.
struct Output {
    id: Arc<str>,
    frame: Result<Message, Close>,
    last: bool,
}

/// Runs one operation: sections "Next", "Error" and "Complete". A panic in a resolver ends this operation alone.
async fn run(id: Arc<str>, responses: impl Stream<Item = Response>, outbox: mpsc::Sender<Box<Output>>) {
    let mut responses = pin!(AssertUnwindSafe(responses).catch_unwind());
    let mut first = true;
    loop {
        let response = responses.next().await;
        let bug;
        let message = match &response {
            Some(Ok(refusal)) if first && is_refusal(refusal) => {
                let payload = &refusal.errors;
                ServerMessage::Error { id: &id, payload }
            }
            Some(Ok(payload)) => ServerMessage::Next { id: &id, payload },
            Some(Err(_)) => {
                tracing::error!("an operation panicked");
                bug = [error("Internal server error", "INTERNAL")];
                ServerMessage::Error { id: &id, payload: &bug }
            }
            None => ServerMessage::Complete { id: &id },
        };
        first = false;
        let last = !matches!(message, ServerMessage::Next { .. });
        let (frame, id) = (message.frame(), id.clone());
        if outbox.send(Box::new(Output { id, frame, last })).await.is_err() || last {
            return;
        }
    }
}

/// Whether a request failed before its execution began: errors of resolvers have a path.
fn is_refusal(response: &Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty() && response.errors.iter().all(|e| e.path.is_empty())
}

/// The socket, and the time of the last message received.
struct Wire {
    socket: WebSocket,
    settings: Settings,
    last_received: Instant,
}

impl Wire {
    /// The next message; `None` for a frame that carries none. Can be dropped and called again without loss.
    async fn receive(&mut self) -> Result<Option<ClientMessage>, End> {
        let frame = match self.socket.recv().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::debug!(%error, "reading a WebSocket failed");
                return Err(Close::UNREADABLE.into());
            }
            None => return Err(End::Left),
        };
        self.last_received = Instant::now();
        match frame {
            Message::Text(text) if text.len() > self.settings.max_message_bytes => Err(Close::TOO_BIG.into()),
            Message::Text(text) => Ok(Some(parse(&text)?)),
            Message::Binary(_) => Err(Close::bad_message("Binary frames are not accepted").into()),
            // axum answers it.
            Message::Ping(_) | Message::Pong(_) => Ok(None),
            Message::Close(_) => Err(End::Left),
        }
    }

    async fn send(
        &mut self,
        stop: &mut (impl Future<Output = Close> + Unpin),
        message: &ServerMessage<'_>,
    ) -> Result<(), End> {
        self.write(stop, message.frame()?).await
    }

    /// Hands a frame to the kernel, or gives up because the client doesn't read or `stop` is ready.
    async fn write(&mut self, stop: &mut (impl Future<Output = Close> + Unpin), frame: Message) -> Result<(), End> {
        select! {
            biased;
            close = stop => Err(close.into()),
            sent = timeout(self.settings.write_timeout, self.socket.send(frame)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Left),
                Err(_) => Err(Close::TERMINATED.into()),
            },
        }
    }

    /// Closes the socket. What the client still sends is read and dropped: to let go with unread bytes resets the
    /// connection, and the close frame would be lost on its way.
    async fn finish(mut self, end: End) {
        let farewell = async {
            if let End::Close(close) = end {
                tracing::debug!(code = close.0, reason = %close.1, "closing a WebSocket");
                self.socket.send(Message::Close(Some(close.into()))).await.ok();
            }
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        timeout(CLOSE_GRACE, farewell).await.ok();
    }
}

#[cfg(test)]
mod tests;
