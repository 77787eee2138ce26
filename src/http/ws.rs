//! GraphQL over a WebSocket: the server side of the sub-protocol `graphql-transport-ws`.
//!
//! The protocol is [`PROTOCOL.md` of graphql-ws][protocol]; section names below are its own. async-graphql's own loop
//! is not used because it answers validation errors with `next`, replaces an operation whose id comes twice, never
//! pings, and closes with codes that clients don't know.
//!
//! One task owns the socket; each operation runs in a task of its own and hands its frames over through a channel
//! with room for one. So a stream is asked for its next result only when the one before was taken, a socket holds at
//! most [`Settings::max_operations`] + 2 responses, and a client that stops reading holds up its own frames but no
//! transaction of a mutation that is under way. While a frame is being written nothing is read: the client
//! feels the same back-pressure it exerts, until [`Settings::write_timeout`] ends the socket. A stream that must not
//! fall behind has to drop or merge its own events.
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
//! The reference client connects again by itself after 1001, 4403, 4408, 4499 and a socket that just breaks; the others
//! reach the application as errors. 4499 is this server's choice among the private codes.
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

/// What a client brings along with `ConnectionInit` or `Ping`.
pub type Payload = Map<String, serde_json::Value>;

/// The name of the sub-protocol, as it stands in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";

/// How long a closing socket waits for the client's half of the farewell.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The longest operation id, in characters; clients use counters and UUIDs.
const MAX_ID_CHARS: usize = 256;

/// The longest close reason, in bytes: RFC 6455, section 5.5, allows 125 for a control frame, the code takes two.
const MAX_REASON_BYTES: usize = 123;

/// What a socket may cost, and how long it may keep the server waiting.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
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

/// What the init function answers to let a client in.
pub struct Accepted<X> {
    /// Starts one operation. It returns at once; the work is in the stream, which ends when the operation does.
    pub execute: X,
    /// Cancelled when the session that opened the socket ends.
    pub ended: CancellationToken,
}

/// A code and a reason to close a socket with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close(u16, Cow<'static, str>);

impl Close {
    /// No credential, or one that has expired: whoever can refresh it does so and connects again.
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

/// Why a socket is done.
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

/// What a client says.
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

/// What the server says. Responses are borrowed and written as they are, their fields in the order of the query.
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
pub fn prepare(upgrade: WebSocketUpgrade, settings: &Settings) -> WebSocketUpgrade {
    // Over the limit proper a message is still read to its end, so that the client gets to see why it is closed.
    let unreadable = settings.max_message_bytes.saturating_mul(4);
    upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(unreadable)
        .max_frame_size(unreadable)
        .read_buffer_size(4 * 1024)
}

/// Speaks the protocol with one client until it leaves, its session ends or the server shuts down.
///
/// `init` gets the payload of `ConnectionInit`, empty when there was none, and decides who the client is. It is dropped
/// when the client gives up or breaks a rule meanwhile.
pub async fn serve<I, R, X, S>(socket: WebSocket, settings: Settings, shutdown: CancellationToken, init: I)
where
    I: FnOnce(Payload) -> R,
    R: Future<Output = Result<Accepted<X>, Close>>,
    X: FnMut(Request) -> S,
    S: Stream<Item = Response> + Send + 'static,
{
    let mut wire = Wire {
        socket,
        settings,
        heard: Instant::now(),
    };
    let talk = async {
        let accepted = connect(&mut wire, &shutdown, init).await?;
        operate(&mut wire, &shutdown, accepted).await
    };
    let Err(end) = talk.await;
    wire.finish(end).await;
}

/// Section "Successful connection initialisation". The client is heard while `init` is at work.
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
    let (outbox, mut outputs) = mpsc::channel::<Output>(1);
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
                if wire.heard.elapsed() >= settings.pong_timeout {
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

/// A frame of an operation. `id` is the very allocation the operation was registered under.
struct Output {
    id: Arc<str>,
    frame: Result<Message, Close>,
    last: bool,
}

/// Runs one operation: sections "Next", "Error" and "Complete". A panic in a resolver ends this operation alone.
async fn run(id: Arc<str>, responses: impl Stream<Item = Response>, outbox: mpsc::Sender<Output>) {
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
        if outbox.send(Output { id, frame, last }).await.is_err() || last {
            return;
        }
    }
}

/// Whether a request failed before its execution began: errors of resolvers have a path.
fn is_refusal(response: &Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty() && response.errors.iter().all(|e| e.path.is_empty())
}

/// The socket, and when something was last heard from its other end.
struct Wire {
    socket: WebSocket,
    settings: Settings,
    heard: Instant,
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
        self.heard = Instant::now();
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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_graphql::{Context, EmptyMutation, Object, Schema, Subscription};
    use axum::{Router, routing::any};
    use futures_util::{SinkExt as _, future, stream};
    use serde_json::{Value as Json, json};
    use tokio::{net::TcpListener, sync::watch};
    use tokio_tungstenite::{
        MaybeTlsStream, WebSocketStream, connect_async,
        tungstenite::{Message as Frame, client::IntoClientRequest as _},
    };

    use super::*;

    fn refusal(text: &str) -> String {
        parse(text)
            .map(|message| format!("{message:?}"))
            .unwrap_err()
            .1
            .into_owned()
    }

    fn text(message: &ServerMessage<'_>) -> String {
        message.frame().unwrap().into_text().unwrap().to_string()
    }

    #[test]
    fn a_message_is_read_whatever_optional_members_it_brings() {
        let ClientMessage::Subscribe { id, payload } = parse(
            r#" {"id":"1","payload":{"query":"{a}","operationName":null,"variables":null,"extensions":null},"type":"subscribe"}"#,
        )
        .unwrap() else {
            panic!("subscribe")
        };
        assert_eq!((&*id, &*payload.query, payload.operation_name), ("1", "{a}", None));
        for init in [
            r#"{"type":"connection_init"}"#,
            r#"{"type":"connection_init","payload":null,"id":"unused"}"#,
        ] {
            assert!(matches!(
                parse(init),
                Ok(ClientMessage::ConnectionInit { payload: None })
            ));
        }
        let hash = r#"{"id":"1","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1}}}}"#;
        assert!(matches!(parse(hash), Ok(ClientMessage::Subscribe { .. })));
        let longest = json!({"type": "complete", "id": "é".repeat(256)}).to_string();
        assert!(matches!(parse(&longest), Ok(ClientMessage::Complete { .. })));
    }

    #[test]
    fn a_message_that_fits_no_type_is_refused_with_a_reason() {
        let nested = format!(r#"{{"type":"ping","payload":{{"a":{}"#, "[".repeat(100_000));
        let surrogate = r#"{"type":"complete","id":"\ud800"}"#;
        for syntax in [
            "",
            "{",
            "nonsense",
            "{\"type\":\"ping\"}}",
            "{\"type\":1e999}",
            &nested,
            surrogate,
        ] {
            assert_eq!(refusal(syntax), "Invalid JSON", "{syntax:.40}");
        }
        for array in [r#"["ping",{}]"#, "[]", "\n []"] {
            assert_eq!(refusal(array), "Invalid message: not an object");
        }
        let long = json!({"type": "complete", "id": "é".repeat(257)}).to_string();
        for (message, reason) in [
            ("null", "invalid type: null"),
            ("{}", "missing field `type`"),
            (r#"{"type":"start"}"#, "unknown variant `start`"),
            (r#"{"type":["ping"]}"#, "invalid type"),
            (
                r#"{"type":"ping","payload":[]}"#,
                "invalid type: sequence, expected a map",
            ),
            (
                r#"{"type":"connection_init","payload":"token"}"#,
                "invalid type: string",
            ),
            (r#"{"type":"complete"}"#, "missing field `id`"),
            (r#"{"type":"complete","id":7}"#, "invalid type: integer"),
            (r#"{"type":"complete","id":""}"#, "an id has 1 to 256 characters"),
            (&long, "an id has 1 to 256 characters"),
            (r#"{"type":"complete","id":"1","id":"2"}"#, "duplicate field `id`"),
            (r#"{"type":"subscribe","id":"1"}"#, "missing field `payload`"),
            (
                r#"{"type":"subscribe","id":"1","payload":"{a}"}"#,
                "invalid type: string",
            ),
            (r#"{"type":"subscribe","id":"1","payload":{}}"#, "no query"),
            (
                r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
                "invalid type: integer",
            ),
            (
                r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[1]}}"#,
                "invalid type: sequence",
            ),
        ] {
            let given = refusal(message);
            assert!(
                given.starts_with("Invalid message: ") && given.contains(reason),
                "{message}: {given}"
            );
        }
    }

    #[test]
    fn a_frame_has_its_type_first_and_no_member_too_many() {
        let response = Response::new(Value::from_json(json!({"a": 1})).unwrap());
        let errors = [error("No", "INTERNAL")];
        assert_eq!(text(&ServerMessage::ConnectionAck), r#"{"type":"connection_ack"}"#);
        assert_eq!(text(&ServerMessage::Pong { payload: None }), r#"{"type":"pong"}"#);
        assert_eq!(
            text(&ServerMessage::Complete { id: "\"\n" }),
            r#"{"type":"complete","id":"\"\n"}"#
        );
        assert_eq!(
            text(&ServerMessage::Next {
                id: "1",
                payload: &response
            }),
            r#"{"type":"next","id":"1","payload":{"data":{"a":1}}}"#
        );
        assert_eq!(
            text(&ServerMessage::Error {
                id: "1",
                payload: &errors
            }),
            r#"{"type":"error","id":"1","payload":[{"message":"No","extensions":{"code":"INTERNAL"}}]}"#
        );
    }

    #[test]
    fn a_close_reason_fits_a_control_frame() {
        let frame = CloseFrame::from(Close::duplicate(&"é".repeat(256)));
        assert_eq!(frame.code, 4409);
        assert!(frame.reason.len() <= 123 && frame.reason.starts_with("Subscriber for éé"));
    }

    /// Counts what lives, so that a test sees a stream dropped.
    struct Alive(watch::Sender<usize>);

    impl Alive {
        fn new(count: &watch::Sender<usize>) -> Self {
            count.send_modify(|alive| *alive += 1);
            Self(count.clone())
        }
    }

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.send_modify(|alive| *alive -= 1);
        }
    }

    #[derive(Clone, Default)]
    struct Counts {
        alive: watch::Sender<usize>,
        produced: Arc<AtomicUsize>,
    }

    struct Query;

    #[Object]
    impl Query {
        async fn z(&self) -> i32 {
            26
        }
        async fn a(&self) -> i32 {
            1
        }
        async fn fails(&self) -> async_graphql::Result<i32> {
            Err("no".into())
        }
        async fn nth(&self, n: usize) -> i32 {
            [1, 2, 3][n]
        }
        async fn never(&self, ctx: &Context<'_>) -> i32 {
            let _alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
            future::pending().await
        }
        async fn later(&self, ctx: &Context<'_>) -> i32 {
            let _alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
            sleep(Duration::from_millis(200)).await;
            7
        }
    }

    struct Ticks;

    #[Subscription]
    impl Ticks {
        async fn count(&self, to: i32) -> impl Stream<Item = i32> {
            stream::iter(1..=to)
        }
        /// One text after the other, as fast as they are taken.
        async fn flood(&self, ctx: &Context<'_>, bytes: usize) -> impl Stream<Item = String> {
            let Counts { alive, produced } = ctx.data_unchecked::<Counts>().clone();
            let alive = Alive::new(&alive);
            stream::repeat_with(move || {
                let _ = &alive;
                produced.fetch_add(1, Ordering::Relaxed);
                "x".repeat(bytes)
            })
        }
        async fn once_then_never(&self, ctx: &Context<'_>) -> impl Stream<Item = i32> {
            let alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
            stream::iter([1]).chain(stream::pending()).inspect(move |_| {
                let _ = &alive;
            })
        }
    }

    /// A server on a free port, and what a test may do to it.
    struct Toy {
        url: String,
        counts: Counts,
        ended: CancellationToken,
        shutdown: CancellationToken,
        /// Sockets being served.
        sockets: watch::Sender<usize>,
    }

    impl Toy {
        async fn new(settings: Settings) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let toy = Self {
                url: format!("ws://{}", listener.local_addr().unwrap()),
                counts: Counts::default(),
                ended: CancellationToken::new(),
                shutdown: CancellationToken::new(),
                sockets: watch::Sender::default(),
            };
            let schema = Schema::build(Query, EmptyMutation, Ticks)
                .data(toy.counts.clone())
                .finish();
            let (ended, shutdown, sockets) = (toy.ended.clone(), toy.shutdown.clone(), toy.sockets.clone());
            let handler = async move |upgrade: WebSocketUpgrade| {
                prepare(upgrade, &settings).on_upgrade(move |socket| async move {
                    let _served = Alive::new(&sockets);
                    serve(socket, settings, shutdown, async |payload| {
                        match payload.get("token").and_then(Json::as_str) {
                            Some("bad") => return Err(Close::FORBIDDEN),
                            Some("expired") => return Err(Close::UNAUTHORIZED),
                            Some("slow") => {
                                let _alive = Alive::new(&sockets);
                                future::pending().await
                            }
                            _ => {}
                        }
                        Ok(Accepted {
                            execute: move |request: Request| schema.execute_stream(request),
                            ended,
                        })
                    })
                    .await;
                })
            };
            tokio::spawn(axum::serve(listener, Router::new().route("/", any(handler))).into_future());
            toy
        }

        async fn open(&self, protocol: Option<&str>) -> Client {
            let mut request = self.url.as_str().into_client_request().unwrap();
            if let Some(protocol) = protocol {
                request
                    .headers_mut()
                    .insert("sec-websocket-protocol", protocol.parse().unwrap());
            }
            Client(connect_async(request).await.unwrap().0)
        }

        async fn connect(&self) -> Client {
            let mut client = self.open(Some(SUBPROTOCOL)).await;
            client.say(json!({"type": "connection_init"})).await;
            assert_eq!(client.hear().await, json!({"type": "connection_ack"}));
            client
        }

        async fn until_alive(&self, count: usize) {
            soon(self.counts.alive.subscribe().wait_for(|alive| *alive == count))
                .await
                .unwrap();
        }
    }

    async fn soon<F: Future>(future: F) -> F::Output {
        timeout(Duration::from_secs(5), future)
            .await
            .expect("within five seconds")
    }

    struct Client(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

    impl Client {
        async fn send(&mut self, frame: Frame) {
            soon(self.0.send(frame)).await.unwrap();
        }

        async fn say(&mut self, message: Json) {
            self.send(Frame::text(message.to_string())).await;
        }

        async fn subscribe(&mut self, id: &str, query: &str) {
            self.say(json!({"type": "subscribe", "id": id, "payload": {"query": query}}))
                .await;
        }

        async fn hear_text(&mut self) -> String {
            match soon(self.0.next()).await.unwrap().unwrap() {
                Frame::Text(text) => text.to_string(),
                frame => panic!("{frame:?}"),
            }
        }

        async fn hear(&mut self) -> Json {
            serde_json::from_str(&self.hear_text().await).unwrap()
        }

        /// Skips what comes before the close frame.
        async fn closed(&mut self) -> (u16, String) {
            loop {
                if let Frame::Close(frame) = soon(self.0.next()).await.unwrap().unwrap() {
                    // The answer to the farewell goes out while the end is awaited.
                    while let Some(Ok(_)) = soon(self.0.next()).await {}
                    let frame = frame.unwrap();
                    return (frame.code.into(), frame.reason.to_string());
                }
            }
        }
    }

    fn is(close: Close) -> (u16, String) {
        (close.0, close.1.into_owned())
    }

    fn bad(reason: &str) -> (u16, String) {
        (4400, reason.to_owned())
    }

    #[tokio::test]
    async fn a_query_gets_its_result_and_complete_with_fields_in_their_order() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        ada.subscribe("1", "{ z a }").await;
        assert_eq!(
            ada.hear_text().await,
            r#"{"type":"next","id":"1","payload":{"data":{"z":26,"a":1}}}"#
        );
        assert_eq!(ada.hear_text().await, r#"{"type":"complete","id":"1"}"#);
        ada.subscribe("1", "subscription { count(to: 2) }").await;
        assert_eq!(ada.hear().await["payload"]["data"]["count"], 1);
        assert_eq!(ada.hear().await["payload"]["data"]["count"], 2);
        assert_eq!(ada.hear().await, json!({"type": "complete", "id": "1"}));
    }

    #[tokio::test]
    async fn a_request_that_is_never_executed_gets_error_and_no_complete() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        for query in [
            "{",
            "{ missing }",
            "subscription { missing }",
            "query A { a } query B { a }",
            "",
        ] {
            ada.say(json!({"type": "subscribe", "id": "1", "payload": {"query": query, "extensions": {"a": 1}}}))
                .await;
            let error = ada.hear().await;
            assert_eq!(
                (&error["type"], &error["id"]),
                (&json!("error"), &json!("1")),
                "{query}"
            );
            assert!(error["payload"][0]["message"].is_string(), "{query}");
        }
        ada.subscribe("2", "{ fails }").await;
        let next = ada.hear().await;
        assert_eq!((&next["type"], &next["payload"]["data"]), (&json!("next"), &Json::Null));
        assert_eq!(next["payload"]["errors"][0]["path"], json!(["fails"]));
        assert_eq!(ada.hear().await["type"], "complete");
    }

    #[tokio::test]
    async fn a_panic_ends_its_operation_alone() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        ada.subscribe("1", "{ nth(n: 3) }").await;
        assert_eq!(ada.hear().await["payload"][0]["extensions"]["code"], "INTERNAL");
        ada.subscribe("1", "{ a }").await;
        assert_eq!(ada.hear().await["payload"]["data"]["a"], 1);
    }

    #[tokio::test]
    async fn the_handshake_keeps_its_order() {
        let toy = Toy::new(Settings::default()).await;
        let init = |token| json!({"type": "connection_init", "payload": {"token": token}});

        let mut early = toy.open(Some(SUBPROTOCOL)).await;
        early.subscribe("1", "{ a }").await;
        assert_eq!(early.closed().await, is(Close::UNAUTHORIZED));

        let mut impatient = toy.open(Some(SUBPROTOCOL)).await;
        impatient.say(init("slow")).await;
        impatient.say(json!({"type": "ping"})).await;
        assert_eq!(impatient.hear().await["type"], "pong");
        impatient.subscribe("1", "{ a }").await;
        assert_eq!(impatient.closed().await, is(Close::UNAUTHORIZED));

        let mut eager = toy.open(Some(SUBPROTOCOL)).await;
        eager.say(init("slow")).await;
        eager.say(init("good")).await;
        assert_eq!(eager.closed().await, is(Close::TOO_MANY_INITS));

        let mut twice = toy.connect().await;
        twice.say(init("good")).await;
        assert_eq!(twice.closed().await, is(Close::TOO_MANY_INITS));

        for (token, close) in [("bad", Close::FORBIDDEN), ("expired", Close::UNAUTHORIZED)] {
            let mut refused = toy.open(Some(SUBPROTOCOL)).await;
            refused.say(init(token)).await;
            assert_eq!(refused.closed().await, is(close));
        }
        soon(toy.sockets.subscribe().wait_for(|sockets| *sockets == 0))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_init_that_is_late_or_slow_times_out() {
        let toy = Toy::new(Settings {
            init_timeout: Duration::from_millis(60),
            ..Settings::default()
        })
        .await;
        let mut silent = toy.open(Some(SUBPROTOCOL)).await;
        assert_eq!(silent.closed().await, is(Close::INIT_TIMEOUT));
        let mut slow = toy.open(Some(SUBPROTOCOL)).await;
        slow.say(json!({"type": "connection_init", "payload": {"token": "slow"}}))
            .await;
        assert_eq!(slow.closed().await, is(Close::INIT_TIMEOUT));
    }

    #[tokio::test]
    async fn another_sub_protocol_is_not_spoken() {
        let toy = Toy::new(Settings::default()).await;
        assert_eq!(toy.open(None).await.closed().await, is(Close::SUBPROTOCOL));
        let mut both = toy.open(Some("graphql-ws, graphql-transport-ws")).await;
        both.say(json!({"type": "connection_init"})).await;
        assert_eq!(both.hear().await["type"], "connection_ack");
    }

    #[tokio::test]
    async fn what_is_not_a_message_closes_the_socket() {
        let toy = Toy::new(Settings {
            max_message_bytes: 1000,
            ..Settings::default()
        })
        .await;
        for (frame, close) in [
            (Frame::binary(b"{}".to_vec()), bad("Binary frames are not accepted")),
            (Frame::text("{"), bad("Invalid JSON")),
            (
                Frame::text(r#"{"type":"complete"}"#),
                bad("Invalid message: missing field `id`"),
            ),
            (Frame::text("x".repeat(1001)), is(Close::TOO_BIG)),
            (Frame::text("x".repeat(4001)), is(Close::UNREADABLE)),
        ] {
            let mut before = toy.open(Some(SUBPROTOCOL)).await;
            before.send(frame.clone()).await;
            assert_eq!(before.closed().await, close);
            let mut after = toy.connect().await;
            after.send(frame).await;
            assert_eq!(after.closed().await, close);
        }
    }

    #[tokio::test]
    async fn a_client_that_talks_on_learns_why_it_was_closed() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        for message in ["{", "{}", "{}", "{}"] {
            ada.send(Frame::text(message)).await;
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(ada.closed().await, bad("Invalid JSON"));
    }

    #[tokio::test]
    async fn an_active_id_is_not_given_twice() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        ada.subscribe("x", "{ never }").await;
        ada.subscribe("x", "{ a }").await;
        assert_eq!(ada.closed().await, (4409, "Subscriber for x already exists".to_owned()));
        toy.until_alive(0).await;
    }

    #[tokio::test]
    async fn complete_drops_the_stream_and_silences_it() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        ada.subscribe("1", "{ never }").await;
        ada.subscribe("2", "subscription { onceThenNever }").await;
        assert_eq!(ada.hear().await["id"], "2");
        toy.until_alive(2).await;
        for id in ["1", "2", "unknown"] {
            ada.say(json!({"type": "complete", "id": id})).await;
        }
        toy.until_alive(0).await;

        // What follows the pong can't be of the operation that was completed before the ping, whoever has its id now.
        for _ in 0..20 {
            ada.subscribe("3", "subscription { flood(bytes: 1) }").await;
            assert_eq!(ada.hear().await["id"], "3");
            ada.say(json!({"type": "complete", "id": "3"})).await;
            ada.say(json!({"type": "ping"})).await;
            ada.subscribe("3", "{ a }").await;
            while ada.hear().await["type"] != "pong" {}
            assert_eq!(ada.hear().await["payload"], json!({"data": {"a": 1}}));
            assert_eq!(ada.hear().await, json!({"type": "complete", "id": "3"}));
        }
        toy.until_alive(0).await;
    }

    #[tokio::test]
    async fn one_operation_too_many_is_refused_and_the_others_go_on() {
        let toy = Toy::new(Settings {
            max_operations: 2,
            ..Settings::default()
        })
        .await;
        let mut ada = toy.connect().await;
        ada.subscribe("1", "{ never }").await;
        ada.subscribe("2", "{ never }").await;
        ada.subscribe("3", "{ a }").await;
        let error = ada.hear().await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("3")));
        assert_eq!(error["payload"][0]["extensions"]["code"], "RATE_LIMITED");
        ada.say(json!({"type": "complete", "id": "1"})).await;
        ada.subscribe("3", "{ a }").await;
        assert_eq!(ada.hear().await["payload"]["data"]["a"], 1);
        toy.until_alive(1).await;
    }

    #[tokio::test]
    async fn a_ping_is_answered_with_its_payload() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.open(Some(SUBPROTOCOL)).await;
        ada.say(json!({"type": "ping", "payload": {"at": 1.5, "list": [null]}}))
            .await;
        assert_eq!(
            ada.hear().await,
            json!({"type": "pong", "payload": {"at": 1.5, "list": [null]}})
        );
        ada.send(Frame::Ping("x".into())).await;
        assert_eq!(soon(ada.0.next()).await.unwrap().unwrap(), Frame::Pong("x".into()));
        let mut bob = toy.connect().await;
        bob.say(json!({"type": "pong"})).await;
        bob.say(json!({"type": "ping", "payload": null})).await;
        assert_eq!(bob.hear().await, json!({"type": "pong"}));
    }

    #[tokio::test]
    async fn the_server_pings_and_leaves_a_silent_client_only() {
        let (ping_interval, pong_timeout) = (Duration::from_millis(50), Duration::from_millis(300));
        let toy = Toy::new(Settings {
            ping_interval,
            pong_timeout,
            ..Settings::default()
        })
        .await;
        let mut silent = toy.connect().await;
        assert_eq!(silent.hear().await, json!({"type": "ping"}));
        let mut lively = toy.connect().await;
        let start = Instant::now();
        while start.elapsed() < pong_timeout * 2 {
            assert_eq!(lively.hear().await, json!({"type": "ping"}));
            lively.say(json!({"type": "pong"})).await;
        }
        assert_eq!(silent.closed().await, is(Close::TERMINATED));
    }

    #[tokio::test]
    async fn a_busy_stream_leaves_room_for_messages_and_other_operations() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        ada.subscribe("busy", "subscription { flood(bytes: 1000) }").await;
        ada.subscribe("busy too", "subscription { flood(bytes: 1000) }").await;
        ada.hear().await;
        ada.subscribe("once", "{ a }").await;
        ada.say(json!({"type": "ping"})).await;
        let (mut pong, mut complete) = (false, false);
        while !(pong && complete) {
            let message = ada.hear().await;
            pong |= message["type"] == "pong";
            complete |= message == json!({"type": "complete", "id": "once"});
        }
    }

    /// Fills the buffers between server and client, and waits until the stream stands still.
    async fn clog(toy: &Toy, client: &mut Client) {
        client
            .subscribe("flood", "subscription { flood(bytes: 1000000) }")
            .await;
        let mut before = 0;
        soon(async {
            loop {
                sleep(Duration::from_millis(100)).await;
                let now = toy.counts.produced.load(Ordering::Relaxed);
                if now == before && now > 0 {
                    break;
                }
                before = now;
            }
        })
        .await;
        assert!(before < 100, "{before} MB produced for a client that doesn't read");
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_holds_up_nothing_and_is_left() {
        let toy = Toy::new(Settings {
            write_timeout: Duration::from_millis(700),
            ..Settings::default()
        })
        .await;
        let mut ada = toy.connect().await;
        ada.subscribe("later", "{ later }").await;
        toy.until_alive(1).await;
        clog(&toy, &mut ada).await;
        // What had begun has come to its end although nothing can be written; the flood goes with the socket.
        toy.until_alive(1).await;
        toy.until_alive(0).await;
    }

    #[tokio::test]
    async fn the_end_of_the_session_ends_operations_and_socket() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        let mut clogged = toy.connect().await;
        ada.subscribe("1", "{ never }").await;
        clog(&toy, &mut clogged).await;
        toy.until_alive(2).await;
        toy.ended.cancel();
        toy.until_alive(0).await;
        assert_eq!(ada.closed().await, is(Close::SESSION_ENDED));
        assert_eq!(clogged.closed().await, is(Close::SESSION_ENDED));
    }

    #[tokio::test]
    async fn a_shutdown_sends_everybody_away() {
        let toy = Toy::new(Settings::default()).await;
        let mut ada = toy.connect().await;
        let mut waiting = toy.open(Some(SUBPROTOCOL)).await;
        ada.subscribe("1", "{ never }").await;
        toy.until_alive(1).await;
        toy.shutdown.cancel();
        assert_eq!(ada.closed().await, is(Close::GOING_AWAY));
        assert_eq!(waiting.closed().await, is(Close::GOING_AWAY));
        toy.until_alive(0).await;
    }

    #[tokio::test]
    async fn a_client_that_leaves_takes_its_operations_along() {
        let toy = Toy::new(Settings::default()).await;
        let mut polite = toy.connect().await;
        let mut rude = toy.connect().await;
        polite.subscribe("1", "{ never }").await;
        rude.subscribe("1", "{ never }").await;
        toy.until_alive(2).await;
        drop(rude);
        toy.until_alive(1).await;
        polite.0.close(None).await.unwrap();
        soon(toy.sockets.subscribe().wait_for(|sockets| *sockets == 0))
            .await
            .unwrap();
        toy.until_alive(0).await;
    }
}
