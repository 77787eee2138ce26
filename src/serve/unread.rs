//! Responses over HTTP/2 that their client does not take.
//!
//! Over HTTP/1.1 a client that reads nothing blocks its whole connection, which a timeout of writing ends. Over HTTP/2 each
//! response has a window of its own: a client that opens none is alive, answers pings, and has us keep its responses. So
//! each response is known to its connection until the last byte of it has left, and when its client last made room.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use hyper::body::{Frame, SizeHint};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::sync::lock;

/// What a client must take at a time. Its heartbeats keep a stream that has nothing to tell from looking like one that is
/// not taken.
const PART_BYTES: usize = 64 * 1024;

/// The responses of a connection that have not left yet.
#[derive(Clone, Default)]
pub(super) struct Unread(Arc<Responses>);

#[derive(Default)]
struct Responses {
    /// When the client last made room, by the number of the response.
    made_room: Mutex<(u64, HashMap<u64, Instant>)>,
    first: Notify,
}

impl Unread {
    /// The same response, which is known here until it has left.
    pub(super) fn follow(&self, response: Response) -> Response {
        let number = {
            let (last, made_room) = &mut *lock(&self.0.made_room);
            *last += 1;
            made_room.insert(*last, Instant::now());
            *last
        };
        self.0.first.notify_one();
        let held = Arc::new(Held {
            responses: self.0.clone(),
            number,
        });
        let rest = Bytes::new();
        response.map(|body| Body::new(Followed { body, rest, held }))
    }

    /// Returns when the client has not made room for a response for so long.
    pub(super) async fn stalls(&self, timeout: Duration) {
        self.0.first.notified().await;
        loop {
            sleep(timeout / 4).await;
            let made_room = lock(&self.0.made_room);
            if made_room.1.values().any(|at| at.elapsed() >= timeout) {
                return;
            }
        }
    }
}

/// A response that has not left.
struct Held {
    responses: Arc<Responses>,
    number: u64,
}

impl Held {
    fn made_room(&self) {
        lock(&self.responses.made_room).1.insert(self.number, Instant::now());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.responses.made_room).1.remove(&self.number);
    }
}

/// A body that is asked for its next part when there is room for it.
struct Followed {
    body: Body,
    /// What was asked for and is not handed over yet.
    rest: Bytes,
    held: Arc<Held>,
}

/// A part of a body, which lives until it is written.
struct Part {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        this.held.made_room();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose()? {
                Some(frame) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                None => return Poll::Ready(None),
            }
        }
        let part = Part {
            bytes: this.rest.split_to(this.rest.len().min(PART_BYTES)),
            _held: this.held.clone(),
        };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::Request;
    use hyper::{client, server, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{io::duplex, time::timeout};

    use super::*;

    const STALL: Duration = Duration::from_millis(200);

    /// Asks for a megabyte and takes it, or does not, in spite of a window of that size; whether the server's side finds
    /// that it stalls.
    async fn stalls(window: u32, takes: bool) -> bool {
        let (ours, theirs) = duplex(4096);
        let unread = Unread::default();
        let followed = unread.clone();
        let service = service_fn(move |_| {
            let response = followed.follow(Response::new(Body::from(vec![b'x'; 1_000_000])));
            async { Ok::<_, Infallible>(response) }
        });
        let serving =
            server::conn::http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(ours), service);
        tokio::spawn(serving);
        let mut client = client::conn::http2::Builder::new(TokioExecutor::new());
        client.initial_stream_window_size(window);
        let (mut requests, connection) = client.handshake(TokioIo::new(theirs)).await.expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::get("http://a/").body(Body::empty()).expect("a request");
        let response = requests.send_request(request).await.expect("a response");
        assert_eq!(response.headers()["content-length"], "1000000");
        if takes {
            let body = axum::body::to_bytes(Body::new(response.into_body()), usize::MAX)
                .await
                .expect("a body");
            assert_eq!(body.len(), 1_000_000);
            return timeout(STALL * 3, unread.stalls(STALL)).await.is_ok();
        }
        let found = timeout(Duration::from_secs(10), unread.stalls(STALL)).await.is_ok();
        drop(response);
        found
    }

    #[tokio::test]
    async fn a_response_that_is_not_taken_is_found() {
        assert!(stalls(0, false).await, "a client without any room");
        assert!(stalls(1_000, false).await, "a client with room for the beginning");
    }

    #[tokio::test]
    async fn a_response_that_is_taken_is_forgotten() {
        assert!(!stalls(1_000, true).await, "bit by bit");
        assert!(!stalls(1_000_000, true).await);
    }
}
