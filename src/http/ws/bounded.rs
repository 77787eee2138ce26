//! The bytes of a client, read only as long as its message keeps its bounds.
//!
//! tungstenite shows a message once it is whole. A client that never finishes one would be heard of by nobody, while
//! its bytes are kept. So the frames are followed here as they pass ([RFC 6455, section 5.2][frames]): a message is
//! refused by the head of the frame that makes it too big, before there is room for it, and one that is not whole in
//! time, however it is sliced. Control frames between the slices change nothing.
//!
//! [frames]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Duration, Sleep, sleep},
};

/// A stream that ends when a message breaks its bounds.
pub(super) struct Bounded<S> {
    stream: S,
    /// Size of one message; may be changed between two.
    pub(super) max_message_bytes: usize,
    /// From the first byte of a message to its last one.
    message_time: Duration,
    frames: Frames,
    /// When the unfinished message must be whole.
    deadline: Option<Pin<Box<Sleep>>>,
    refusal: Option<Refusal>,
}

/// The bound that a message broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    TooBig,
    Late,
}

impl<S: AsyncRead + Unpin> Bounded<S> {
    pub(super) fn new(stream: S, max_message_bytes: usize, message_time: Duration) -> Self {
        Self {
            stream,
            max_message_bytes,
            message_time,
            frames: Frames::default(),
            deadline: None,
            refusal: None,
        }
    }

    /// The reason that reading has failed, if it is one of these.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Reads and drops what still comes, until the client has nothing more to say.
    pub(super) async fn drain(&mut self) {
        let mut dropped = [0; 1024];
        while self.stream.read(&mut dropped).await.is_ok_and(|count| count > 0) {}
    }

    fn refuse(&mut self, refusal: Refusal) -> Poll<io::Result<()>> {
        self.refusal = Some(refusal);
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(refusal) = this.refusal {
            return this.refuse(refusal);
        }
        let before = buffer.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.stream).poll_read(cx, buffer) else {
            // Only now: what has come while nobody looked was in time.
            let deadline = this.deadline.as_mut();
            return match deadline.map(|deadline| deadline.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => this.refuse(Refusal::Late),
                _ => Poll::Pending,
            };
        };
        read?;
        let whole = this.frames.whole;
        if let Err(good) = this.frames.follow(&buffer.filled()[before..], this.max_message_bytes) {
            buffer.set_filled(before + good);
            if good == 0 {
                return this.refuse(Refusal::TooBig);
            }
            // What came before it is read first.
            this.refusal = Some(Refusal::TooBig);
        }
        if !this.frames.is_unfinished() || this.frames.whole != whole {
            this.deadline = None;
        }
        if this.frames.is_unfinished() {
            let message_time = this.message_time;
            this.deadline.get_or_insert_with(|| Box::pin(sleep(message_time)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The longest head of a frame: two bytes, eight of a length, four of a mask.
const HEAD_BYTES: usize = 14;

const LAST: u8 = 0x80;
const CONTROL: u8 = 0x08;
const MASKED: u8 = 0x80;

/// Where in its frames a client is.
#[derive(Default)]
struct Frames {
    /// The head of the present frame, as far as it has come.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is missing of the present frame's payload.
    payload_left: u64,
    /// A message in several frames waits for its last one.
    is_open: bool,
    /// The size of the unfinished message, as far as its frames have announced it.
    message_bytes: u64,
    /// Messages and control frames that have come whole.
    whole: u64,
}

impl Frames {
    fn is_unfinished(&self) -> bool {
        self.is_open || self.head_bytes > 0 || self.payload_left > 0
    }

    /// Follows what has come. If it makes a message too big, the error is the count of bytes before the frame that does.
    fn follow(&mut self, bytes: &[u8], max_message_bytes: usize) -> Result<(), usize> {
        let (mut at, mut frame_at) = (0, 0);
        while at < bytes.len() {
            if self.payload_left > 0 {
                let part =
                    usize::try_from(self.payload_left).map_or(bytes.len() - at, |left| left.min(bytes.len() - at));
                at += part;
                self.payload_left -= part as u64;
                if self.payload_left == 0 {
                    self.end_frame();
                }
                continue;
            }
            if self.head_bytes == 0 {
                frame_at = at;
            }
            self.head[self.head_bytes] = bytes[at];
            self.head_bytes += 1;
            at += 1;
            let Some(length) = self.length() else { continue };
            // A control frame is a message of its own, which tungstenite bounds further.
            let is_data = self.head[0] & CONTROL == 0;
            let before = if is_data { self.message_bytes } else { 0 };
            if length > (max_message_bytes as u64).saturating_sub(before) {
                return Err(frame_at);
            }
            if is_data {
                self.message_bytes += length;
            }
            self.head_bytes = 0;
            self.payload_left = length;
            if length == 0 {
                self.end_frame();
            }
        }
        Ok(())
    }

    /// The length of the present frame's payload, once its head is whole.
    fn length(&self) -> Option<u64> {
        let [_, second, extended @ ..] = self.head;
        let short = second & !MASKED;
        let length_bytes = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if second & MASKED == 0 { 0 } else { 4 };
        if self.head_bytes < 2 + length_bytes + mask_bytes {
            return None;
        }
        let long = extended[..length_bytes]
            .iter()
            .fold(0, |long, byte| long << 8 | u64::from(*byte));
        Some(if length_bytes == 0 { u64::from(short) } else { long })
    }

    fn end_frame(&mut self) {
        if self.head[0] & CONTROL == 0 {
            self.is_open = self.head[0] & LAST == 0;
            if !self.is_open {
                self.message_bytes = 0;
            }
        }
        self.whole += u64::from(!self.is_open);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame as clients send it; the mask changes nothing.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..126 => frame.push(MASKED | payload as u8),
            126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend((payload as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(vec![b'x'; payload]);
        frame
    }

    const TEXT: u8 = 0x01;
    const MORE: u8 = 0x00;
    const PING: u8 = 0x89;

    #[test]
    fn a_message_is_followed_however_it_is_sliced() {
        let bytes = [
            frame(LAST | TEXT, 0),
            frame(LAST | TEXT, 125),
            frame(TEXT, 300),
            frame(PING, 5),
            frame(MORE, 0),
            frame(LAST | MORE, 700),
            frame(PING, 0),
            frame(LAST | TEXT, 70_000),
        ];
        for slice in [1, 2, 3, 7, 14, 1_000, usize::MAX] {
            let mut frames = Frames::default();
            let all = bytes.concat();
            for part in all.chunks(slice.min(all.len())) {
                assert_eq!(frames.follow(part, 70_000), Ok(()));
            }
            assert!(!frames.is_unfinished(), "slices of {slice}");
            assert_eq!(frames.whole, 5, "a ping within a message ends nothing");
        }
    }

    #[test]
    fn a_message_is_unfinished_from_its_first_byte_to_its_last() {
        let mut frames = Frames::default();
        let bytes = [frame(TEXT, 3), frame(PING, 2), frame(LAST | MORE, 300)].concat();
        for (at, byte) in bytes.iter().enumerate() {
            assert_eq!(frames.is_unfinished(), at > 0, "before byte {at}");
            assert_eq!(frames.follow(&[*byte], 1_000), Ok(()));
        }
        assert!(!frames.is_unfinished());
    }

    #[test]
    fn the_head_that_makes_a_message_too_big_is_refused() {
        let good = frame(LAST | TEXT, 100);
        for bad in [
            frame(LAST | TEXT, 101),
            frame(TEXT, 70_000),
            frame(PING, 101),
            vec![
                LAST | TEXT,
                0xff,
                0xff,
                0xff,
                0xff,
                0xff,
                0xff,
                0xff,
                0xff,
                0xff,
                0,
                0,
                0,
                0,
            ],
        ] {
            let bytes = [&good[..], &bad].concat();
            assert_eq!(Frames::default().follow(&bytes, 100), Err(good.len()));
        }
        // In parts: each is small.
        let parts = [frame(TEXT, 60), frame(PING, 60), frame(MORE, 40), frame(MORE, 1)].concat();
        assert_eq!(Frames::default().follow(&parts, 100), Err(parts.len() - 7));
        // Over two reads: nothing of the second one is good.
        let mut frames = Frames::default();
        let bad = frame(LAST | TEXT, 101);
        assert_eq!(frames.follow(&bad[..3], 100), Ok(()));
        assert_eq!(frames.follow(&bad[3..], 100), Err(0));
    }
}
