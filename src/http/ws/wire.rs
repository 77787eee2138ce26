//! The socket under the protocol: the upgrade, and messages that keep their bounds in both directions.

use std::mem;

use axum::{
    body::Bytes,
    extract::{
        FromRequestParts,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{Request, request::Parts},
    response::Response,
};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::{
    select,
    time::{Duration, Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{
            Role, WebSocketConfig,
            frame::{
                Frame,
                coding::{Data, OpCode},
            },
        },
    },
};

use super::{
    bounded::{Bounded, Refusal},
    close::{Close, End},
    message::{ClientMessage, ServerMessage, parse},
};

/// The name of the sub-protocol in `Sec-WebSocket-Protocol`.
pub(crate) const SUBPROTOCOL: &str = "graphql-transport-ws";

/// Limits and timeouts of a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// From the upgrade to `ConnectionAck`, the time of the init function included.
    pub init_timeout: Duration,
    /// Between two `Ping` messages of the server, from a millisecond to a day.
    pub ping_interval: Duration,
    /// Silence after which the client counts as gone. It is looked at once every `ping_interval`.
    pub pong_timeout: Duration,
    /// For one message to reach the kernel's buffer.
    pub write_timeout: Duration,
    /// For one message of the client to come whole, from its first byte.
    pub message_time: Duration,
    /// Active operations of one socket; one more is answered with an `Error` of code `RATE_LIMITED`.
    pub max_operations: usize,
    /// Size of one message before `ConnectionAck`, in bytes: a `ConnectionInit` with its credential.
    pub max_init_bytes: usize,
    /// Size of one message of the client after that, in bytes: twice what 200 answers take. Files go over HTTP.
    pub max_message_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            message_time: Duration::from_secs(10),
            max_operations: 32,
            max_init_bytes: 8 * 1024,
            max_message_bytes: 64 * 1024,
        }
    }
}

/// Time for the client to complete the closing handshake.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// The largest frame that is sent; a message over it goes in several. What is sent is copied into a buffer that keeps the
/// size of the largest frame for as long as the socket lives.
const FRAME_BYTES: usize = 64 * 1024;

/// What is read at once. Kept for as long as the socket lives.
const READ_BYTES: usize = 1024;

/// A request to upgrade to a WebSocket.
pub(crate) struct Upgrade {
    handshake: WebSocketUpgrade,
    stream: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = WebSocketUpgradeRejection;

    /// axum judges the request and answers it; but it keeps the stream behind a type without access to what is being
    /// read, so it is handed one that never comes.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let none = || hyper::upgrade::on(Request::new(()));
        let stream = parts.extensions.get_mut::<OnUpgrade>();
        let stream = stream.map(|stream| mem::replace(stream, none()));
        let handshake = WebSocketUpgrade::from_request_parts(parts, state).await?;
        Ok(Self {
            handshake: handshake.protocols([SUBPROTOCOL]),
            stream: stream.unwrap_or_else(none),
        })
    }
}

impl Upgrade {
    /// The response that agrees to the upgrade. `serve` runs once the client has it.
    pub(crate) fn respond<F>(self, settings: Settings, serve: impl FnOnce(Wire) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { handshake, stream } = self;
        let is_agreed = handshake.selected_protocol().is_some();
        tokio::spawn(async move {
            // Without it the client left before it had the response.
            if let Ok(stream) = stream.await {
                serve(Wire::new(stream, is_agreed, settings).await).await;
            }
        });
        handshake.on_upgrade(async |_| {})
    }
}

/// The socket, and the time of the last message received.
pub(crate) struct Wire {
    socket: WebSocketStream<Bounded<TokioIo<Upgraded>>>,
    /// Whether the client offered the sub-protocol.
    pub(super) is_agreed: bool,
    pub(super) settings: Settings,
    pub(super) last_received: Instant,
    /// Nothing can be read any more.
    is_broken: bool,
}

impl Wire {
    async fn new(stream: Upgraded, is_agreed: bool, settings: Settings) -> Self {
        let first = settings.max_init_bytes.min(settings.max_message_bytes);
        let stream = Bounded::new(TokioIo::new(stream), first, settings.message_time);
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(2 * FRAME_BYTES)
            .max_frame_size(Some(settings.max_message_bytes))
            .max_message_size(Some(settings.max_message_bytes));
        Self {
            socket: WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await,
            is_agreed,
            settings,
            last_received: Instant::now(),
            is_broken: false,
        }
    }

    /// From now on messages may have their full size.
    pub(super) fn accept(&mut self) {
        self.socket.get_mut().max_message_bytes = self.settings.max_message_bytes;
    }

    /// The next message; `None` for a frame that carries none. Can be dropped and called again without loss.
    pub(super) async fn receive(&mut self) -> Result<Option<ClientMessage>, End> {
        let frame = match self.socket.next().await {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                tracing::debug!(%error, "reading a WebSocket failed");
                self.is_broken = true;
                return Err(match self.socket.get_ref().refusal() {
                    Some(Refusal::TooBig) => Close::TOO_BIG.into(),
                    Some(Refusal::Late) => Close::MESSAGE_TIMEOUT.into(),
                    None => Close::UNREADABLE.into(),
                });
            }
            None => return Err(End::Left),
        };
        self.last_received = Instant::now();
        match frame {
            Message::Text(text) => Ok(Some(parse(&text)?)),
            Message::Binary(_) => Err(Close::bad_message("Binary frames are not accepted").into()),
            // tungstenite answers a ping, and never gives out a frame.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Ok(None),
            Message::Close(_) => Err(End::Left),
        }
    }

    pub(super) async fn send(
        &mut self,
        stop: &mut (impl Future<Output = Close> + Unpin),
        message: &ServerMessage<'_>,
    ) -> Result<(), End> {
        self.write(stop, message.text()?).await
    }

    /// Hands a message to the kernel, or gives up because the client doesn't read or `stop` is ready.
    pub(super) async fn write(
        &mut self,
        stop: &mut (impl Future<Output = Close> + Unpin),
        text: String,
    ) -> Result<(), End> {
        let sent = async {
            let mut left = Bytes::from(text);
            let mut kind = Data::Text;
            loop {
                let payload = left.split_to(left.len().min(FRAME_BYTES));
                let frame = Frame::message(payload, OpCode::Data(kind), left.is_empty());
                self.socket.send(Message::Frame(frame)).await?;
                if left.is_empty() {
                    return Ok::<_, tokio_tungstenite::tungstenite::Error>(());
                }
                kind = Data::Continue;
            }
        };
        select! {
            biased;
            close = stop => Err(close.into()),
            sent = timeout(self.settings.write_timeout, sent) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Left),
                Err(_) => Err(Close::TERMINATED.into()),
            },
        }
    }

    /// Closes the socket. What the client still sends is read and dropped: to let go with unread bytes resets the
    /// connection, and the close frame would be lost on its way.
    pub(super) async fn finish(mut self, end: End) {
        let farewell = async {
            if let End::Close(close) = end {
                tracing::debug!(code = close.0, reason = %close.1, "closing a WebSocket");
                self.socket.send(Message::Close(Some(close.into()))).await.ok();
            }
            while !self.is_broken {
                match self.socket.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => self.is_broken = true,
                    None => return,
                }
            }
            self.socket.get_mut().drain().await;
        };
        timeout(CLOSE_GRACE, farewell).await.ok();
    }
}
