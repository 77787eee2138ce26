//! The codes and reasons that a socket is closed with.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// The longest close reason, in bytes: RFC 6455, section 5.5, allows 125 for a control frame, the code takes two.
const MAX_REASON_BYTES: usize = 123;

/// A code and a reason to close a socket with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close(pub(super) u16, pub(super) Cow<'static, str>);

impl Close {
    /// A bad or expired credential: clients fetch a new one and come back. The reference client takes 4401 for the end.
    pub(crate) const FORBIDDEN: Self = Self::new(4403, "Forbidden");
    /// The account has as many streams open as it may; clients try again.
    pub(crate) const TOO_MANY_STREAMS: Self = Self::new(1013, "Too many open streams");

    /// The account's or the address's requests are used up; clients try again.
    pub(crate) const TOO_MANY_REQUESTS: Self = Self::new(1013, "Try again later");

    pub(super) const GOING_AWAY: Self = Self::new(1001, "Going away");
    pub(super) const UNREADABLE: Self = Self::new(1002, "Unreadable frame");
    pub(super) const TOO_BIG: Self = Self::new(1009, "Message too big");
    /// The protocol's own: an operation before the acknowledgement.
    pub(super) const UNAUTHORIZED: Self = Self::new(4401, "Unauthorized");
    /// After a change of role a new credential is all that is missing; a session that is over shows when it is refreshed.
    pub(super) const SESSION_ENDED: Self = Self::new(4403, "Session ended");
    pub(super) const SUBPROTOCOL: Self = Self::new(4406, "Subprotocol not acceptable");
    pub(super) const INIT_TIMEOUT: Self = Self::new(4408, "Connection initialisation timeout");
    pub(super) const TOO_MANY_INITS: Self = Self::new(4429, "Too many initialisation requests");
    pub(super) const TERMINATED: Self = Self::new(4499, "Terminated");
    pub(super) const MESSAGE_TIMEOUT: Self = Self::new(4499, "Message took too long");
    pub(super) const INTERNAL: Self = Self::new(4500, "Internal server error");

    /// A code that RFC 6455, section 7.4, lets a server send: 1000, 1001, 1011 to 1013, or of one's own 4000 to 4999.
    pub(crate) const fn new(code: u16, reason: &'static str) -> Self {
        Self(code, Cow::Borrowed(reason))
    }

    pub(super) fn bad_message(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(4400, reason.into())
    }

    pub(super) fn duplicate(id: &str) -> Self {
        Self(4409, format!("Subscriber for {id} already exists").into())
    }
}

impl From<Close> for CloseFrame {
    fn from(Close(code, reason): Close) -> Self {
        let reason = reason[..reason.floor_char_boundary(MAX_REASON_BYTES)].into();
        Self {
            code: code.into(),
            reason,
        }
    }
}

/// The reason a socket ends.
pub(super) enum End {
    /// The client closed it, or it broke.
    Left,
    Close(Close),
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}
