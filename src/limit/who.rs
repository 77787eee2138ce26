//! Whose uses are counted together.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use sha2::{Digest, Sha256};

use crate::{
    auth::Viewer,
    id::{SessionId, UserId},
    text,
};

/// The subject of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// An account.
    User(UserId),
    /// A client's address: of IPv6 the first 64 bits, which one subscriber has to themselves.
    Address(IpAddr),
    /// An email address, given from a client's address; whether it has an account is irrelevant.
    Login([u8; 32], IpAddr),
    /// An email address.
    Email([u8; 32]),
    /// A device on which this account has signed in before.
    Device([u8; 16]),
    /// A refresh token that this site has issued.
    Token([u8; 32]),
    /// A session: one of several people who are signed in to the same account, of whom one may be a thief.
    Session(SessionId),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{}", user.0),
            Self::Address(address) => write!(f, "address:{address}"),
            Self::Login(email, address) => write!(f, "login:{}:{address}", hex::encode(email)),
            Self::Email(email) => write!(f, "email:{}", hex::encode(email)),
            Self::Device(device) => write!(f, "device:{}", hex::encode(device)),
            Self::Token(token) => write!(f, "token:{}", hex::encode(token)),
            Self::Session(session) => write!(f, "session:{}", session.0),
        }
    }
}

impl From<&Viewer> for Who {
    fn from(viewer: &Viewer) -> Self {
        Self::User(viewer.user())
    }
}

impl Who {
    /// The sender of a request: the account, or the client's address without a session.
    pub fn of(viewer: Option<&Viewer>, address: Option<IpAddr>) -> Self {
        viewer.map_or_else(|| Self::address(address), Self::from)
    }

    /// The session of whoever is signed in.
    pub fn session(viewer: &Viewer) -> Self {
        Self::Session(viewer.session())
    }

    /// A client's address; clients without one are counted together.
    pub fn address(address: Option<IpAddr>) -> Self {
        Self::Address(subscriber(address))
    }

    /// A claimed email address, from a client's address.
    pub fn login(email: &str, address: Option<IpAddr>) -> Self {
        Self::Login(digest_of_email(email), subscriber(address))
    }

    /// The owner of an email address.
    pub fn email(email: &str) -> Self {
        Self::Email(digest_of_email(email))
    }

    /// Whoever has this refresh token.
    pub fn token(token: &str) -> Self {
        Self::Token(digest(token))
    }
}

fn digest_of_email(email: &str) -> [u8; 32] {
    digest(&text::email_key(email))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn subscriber(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).into()
        }
        Some(address) => address,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let who = |text: &str| Who::address(text.parse().ok());
        assert_eq!(who("2001:db8:1:2:3::4"), who("2001:db8:1:2:ffff::"));
        assert_ne!(who("2001:db8:1:2::"), who("2001:db8:1:3::"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
    }
}
