//! GraphQL over a WebSocket: the server side of the sub-protocol `graphql-transport-ws`.
//!
//! The protocol is [`PROTOCOL.md` of graphql-ws][protocol]; section names below are its own. async-graphql's own loop
//! is not used because it answers validation errors with `next`, replaces an operation whose id comes twice, never
//! pings, and closes with codes that clients don't know.
//!
//! One task owns the socket; each operation runs in a task of its own and sends its messages through a channel with a
//! capacity of one. So a stream is polled for its next result only after the previous one was taken, a socket holds at
//! most [`Settings::max_operations`] + 2 responses, and a client that stops reading blocks its own messages but no
//! transaction of a running mutation. While a message is being written nothing is read: the client receives the same
//! back-pressure it exerts, until [`Settings::write_timeout`] ends the socket. A stream that must not fall behind has
//! to drop or merge its own events.
//!
//! A client is a stranger until `ConnectionAck`, and its messages are small. What it has begun to send is bounded in size
//! and time by `bounded.rs`, however it is sliced and whatever else it sends meanwhile.
//!
//! Closing the socket, `Complete` from the client and the end of the session drop the operation, at its next await.
//!
//! | code | reason | when | section |
//! |---|---|---|---|
//! | 1001 | Going away | the server shuts down | |
//! | 1002 | Unreadable frame | a frame breaks RFC 6455 | |
//! | 1009 | Message too big | a message is over [`Settings::max_init_bytes`], or [`Settings::max_message_bytes`] | |
//! | 1013 | Too many open streams | the init function refuses | |
//! | 4400 | what was wrong | binary frame, bad JSON, unknown type, missing member, bad id | Invalid message |
//! | 4401 | Unauthorized | `Subscribe` before `ConnectionAck` | Subscribe |
//! | 4403 | Session ended | [`Accepted::ended`] was cancelled | |
//! | 4403, or another | Forbidden | the init function refuses | ConnectionInit |
//! | 4406 | Subprotocol not acceptable | the client didn't offer `graphql-transport-ws` | |
//! | 4408 | Connection initialisation timeout | no acknowledgement within [`Settings::init_timeout`] | ConnectionInit |
//! | 4409 | Subscriber for … already exists | an id that is still active | Subscribe |
//! | 4429 | Too many initialisation requests | a second `ConnectionInit` | ConnectionInit |
//! | 4499 | Message took too long | a message is not whole within [`Settings::message_time`] | |
//! | 4499 | Terminated | silent for [`Settings::pong_timeout`], or not reading for [`Settings::write_timeout`] | |
//! | 4500 | Internal server error | a response can't be written as JSON | |
//!
//! The reference client reconnects by itself after 1001, 1013, 4403, 4408, 4499 and a broken socket, and asks for its
//! `connectionParams` anew; the other codes reach the application as errors (`shouldRetryConnectOrThrow` in its
//! [`client.ts`][client]: 1002 to 1999 but for 1005, 1006 and 1012 to 1014, and 4004, 4005, 4400, 4401, 4406, 4409, 4429, 4500).
//! So a credential that has expired is 4403, not 4401. 4499 is this server's choice among the private codes.
//!
//! ```text
//! async fn subscribe(State(app): State<App>, upgrade: Upgrade) -> Response {
//!     upgrade.respond(Settings::default(), move |wire| async move {
//!         let shutdown = app.shutdown.clone();
//!         ws::serve(wire, shutdown, async |payload| {
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
//! [client]: https://github.com/enisdenjo/graphql-ws/blob/master/src/client.ts

mod bounded;
mod close;
mod message;
mod wire;

use std::{collections::HashMap, convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc};

use async_graphql::Request;
use futures_util::{FutureExt as _, Stream, StreamExt as _, future::OptionFuture};
use tokio::{
    select,
    sync::mpsc,
    task::consume_budget,
    time::{Duration, Instant, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

pub(crate) use self::{
    close::Close,
    message::Payload,
    wire::{Settings, Upgrade, Wire},
};
use self::{
    close::End,
    message::{ClientMessage, ServerMessage, error},
};
use crate::operation::Answer;

/// The reply of the init function that accepts a client.
pub(crate) struct Accepted<X> {
    /// Starts one operation. It returns at once; the work is in the stream, which ends when the operation does.
    pub execute: X,
    /// Cancelled when the session that opened the socket ends.
    pub ended: Arc<CancellationToken>,
}

/// Speaks the protocol with one client until it leaves, its session ends or the server shuts down.
///
/// `init` gets the payload of `ConnectionInit`, empty when there was none, and decides who the client is. It is dropped
/// when the client gives up or breaks a rule meanwhile.
pub(crate) async fn serve<I, R, X, S>(mut wire: Wire, shutdown: CancellationToken, init: I)
where
    I: FnOnce(Payload) -> R,
    R: Future<Output = Result<Accepted<X>, Close>>,
    X: FnMut(Request) -> S,
    S: Stream<Item = Answer> + Send + 'static,
{
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
    if !wire.is_agreed {
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
                wire.accept();
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
    S: Stream<Item = Answer> + Send + 'static,
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
                // The operation may have been cancelled while its message waited, and its id be in use by another.
                if operations.get_key_value(&output.id).is_none_or(|(active, _)| !Arc::ptr_eq(active, &output.id)) {
                    continue;
                }
                if output.last {
                    operations.remove(&output.id);
                }
                wire.write(&mut stop, output.text?).await?;
            }
        }
    }
}

/// A message of an operation. `id` is the very allocation the operation was registered under. It travels boxed: a channel
/// makes room for 32 of what it carries, however few may be under way.
struct Output {
    id: Arc<str>,
    text: Result<String, Close>,
    last: bool,
}

/// Runs one operation: sections "Next", "Error" and "Complete". A panic in a resolver ends this operation alone.
async fn run(id: Arc<str>, answers: impl Stream<Item = Answer>, outbox: mpsc::Sender<Box<Output>>) {
    let mut answers = pin!(AssertUnwindSafe(answers).catch_unwind());
    let mut first = true;
    loop {
        let answer = answers.next().await;
        let bug;
        let message = match &answer {
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
        let (text, id) = (message.text(), id.clone());
        if outbox.send(Box::new(Output { id, text, last })).await.is_err() || last {
            return;
        }
    }
}

/// Whether a request failed before its execution began.
fn is_refusal(answer: &Answer) -> bool {
    answer.data.is_none() && !answer.errors.is_empty()
}

#[cfg(test)]
mod tests;
