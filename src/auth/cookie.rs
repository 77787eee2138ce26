//! The two cookies of a browser's session, and the one by which it is known the next time. No script can read them, no
//! other site sends them, and the refresh token travels to one path only.
//!
//! Where browsers come over TLS, their names have the prefixes of
//! [RFC 6265bis, section 4.1.3](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3):
//! a browser takes such a cookie only over TLS, and `__Host-` only from this very host, so that neither a page of a
//! neighbouring subdomain nor somebody on the wire can plant one.

use axum::http::{HeaderMap, header};
use axum_extra::extract::cookie::{Cookie, SameSite};
use cookie::time::Duration;

use super::token::{ACCESS_LIFETIME, REFRESH_LIFETIME};

/// The path at which a browser refreshes its session.
pub(crate) const REFRESH_PATH: &str = "/auth/refresh";

/// The most cookies of one name that are tried.
const MOST: usize = 4;

/// How long a browser keeps the token by which it is known; each sign-in renews it.
const DEVICE_LIFETIME: u64 = 365 * 24 * 3600;

/// The cookies of a site, by whether browsers come over TLS.
#[derive(Clone, Copy)]
pub(crate) struct Cookies {
    pub secure: bool,
}

impl Cookies {
    /// `__Host-` demands the path `/`.
    fn access(self) -> &'static str {
        if self.secure {
            "__Host-access_token"
        } else {
            "access_token"
        }
    }

    fn refresh(self) -> &'static str {
        if self.secure {
            "__Secure-refresh_token"
        } else {
            "refresh_token"
        }
    }

    fn device(self) -> &'static str {
        if self.secure {
            "__Host-device_token"
        } else {
            "device_token"
        }
    }

    /// `Set-Cookie` values that hold a session's access and refresh token.
    pub(crate) fn of(self, access: &str, refresh: &str) -> [String; 2] {
        [
            self.cookie(self.access(), "/", access, ACCESS_LIFETIME.as_secs()),
            self.cookie(self.refresh(), REFRESH_PATH, refresh, REFRESH_LIFETIME.as_secs()),
        ]
    }

    /// The `Set-Cookie` value that holds a device token. It outlives the session.
    pub(crate) fn of_device(self, device: &str) -> String {
        self.cookie(self.device(), "/", device, DEVICE_LIFETIME)
    }

    /// `Set-Cookie` values that remove a session.
    pub(crate) fn cleared(self) -> [String; 2] {
        [
            self.cookie(self.access(), "/", "", 0),
            self.cookie(self.refresh(), REFRESH_PATH, "", 0),
        ]
    }

    /// The access tokens that a browser sends. A second one was planted: whoever can do that must not sign its owner
    /// out, so each is tried.
    pub(crate) fn access_tokens(self, headers: &HeaderMap) -> Vec<String> {
        values(headers, self.access())
    }

    /// The refresh tokens that a browser sends.
    pub(crate) fn refresh_tokens(self, headers: &HeaderMap) -> Vec<String> {
        values(headers, self.refresh())
    }

    /// The device token that a browser sends.
    pub(crate) fn device_token(self, headers: &HeaderMap) -> Option<String> {
        values(headers, self.device()).into_iter().next()
    }

    fn cookie(self, name: &'static str, path: &'static str, value: &str, seconds: u64) -> String {
        Cookie::build((name, value))
            .path(path)
            .http_only(true)
            .secure(self.secure)
            .same_site(SameSite::Strict)
            .max_age(Duration::seconds(i64::try_from(seconds).unwrap_or(0)))
            .build()
            .to_string()
    }
}

fn values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let sent = headers.get_all(header::COOKIE).into_iter();
    sent.filter_map(|header| header.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(|cookie| cookie.ok())
        .filter(|cookie| cookie.name() == name && !cookie.value().is_empty())
        .map(|cookie| cookie.value().to_owned())
        .take(MOST)
        .collect()
}
