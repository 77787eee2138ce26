//! The two cookies of a browser's session, and the one by which it is known the next time. No script can read them, no
//! other site sends them, and the refresh token travels to one path only.

use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use cookie::time::Duration;

use super::token::{ACCESS_LIFETIME, REFRESH_LIFETIME};

/// The path at which a browser refreshes its session.
pub(crate) const REFRESH_PATH: &str = "/auth/refresh";

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";
const DEVICE: &str = "device_token";

/// How long a browser keeps the token by which it is known; each sign-in renews it.
const DEVICE_LIFETIME: u64 = 365 * 24 * 3600;

/// `Set-Cookie` values that hold a session's access and refresh token; `secure` where browsers come over TLS.
pub(crate) fn of(access: &str, refresh: &str, secure: bool) -> [String; 2] {
    [
        cookie(ACCESS, "/", access.to_owned(), ACCESS_LIFETIME.as_secs(), secure),
        cookie(
            REFRESH,
            REFRESH_PATH,
            refresh.to_owned(),
            REFRESH_LIFETIME.as_secs(),
            secure,
        ),
    ]
}

/// `Set-Cookie` values that remove it.
pub(crate) fn cleared(secure: bool) -> [String; 2] {
    [
        cookie(ACCESS, "/", String::new(), 0, secure),
        cookie(REFRESH, REFRESH_PATH, String::new(), 0, secure),
    ]
}

/// The `Set-Cookie` value that holds a device token. It outlives the session.
pub(crate) fn of_device(device: &str, secure: bool) -> String {
    cookie(DEVICE, "/", device.to_owned(), DEVICE_LIFETIME, secure)
}

/// The device token that a browser sends.
pub(crate) fn device_token(headers: &HeaderMap) -> Option<String> {
    value(headers, DEVICE)
}

/// The access token that a browser sends.
pub(crate) fn access_token(headers: &HeaderMap) -> Option<String> {
    value(headers, ACCESS)
}

/// The refresh token that a browser sends.
pub(crate) fn refresh_token(headers: &HeaderMap) -> Option<String> {
    value(headers, REFRESH)
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    jar.get(name)
        .map(|cookie| cookie.value().to_owned())
        .filter(|value| !value.is_empty())
}

fn cookie(name: &'static str, path: &'static str, value: String, seconds: u64, secure: bool) -> String {
    Cookie::build((name, value))
        .path(path)
        .http_only(true)
        .secure(secure)
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(i64::try_from(seconds).unwrap_or(0)))
        .build()
        .to_string()
}
