//! The two cookies of a browser's session. No script can read them, no other site sends them, and the refresh token
//! travels to one path only.

use axum::http::HeaderMap;
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use cookie::time::Duration;

use crate::{
    account::session::Tokens,
    auth::token::{ACCESS_LIFETIME, REFRESH_LIFETIME},
    config::Config,
};

/// Where a browser refreshes its session.
pub const REFRESH_PATH: &str = "/auth/refresh";

const ACCESS: &str = "access_token";
const REFRESH: &str = "refresh_token";

/// `Set-Cookie` values that hold a session.
pub fn of(config: &Config, tokens: &Tokens) -> [String; 2] {
    [
        cookie(config, ACCESS, "/", tokens.access.clone(), ACCESS_LIFETIME.as_secs()),
        cookie(
            config,
            REFRESH,
            REFRESH_PATH,
            tokens.refresh.clone(),
            REFRESH_LIFETIME.as_secs(),
        ),
    ]
}

/// `Set-Cookie` values that remove it.
pub fn cleared(config: &Config) -> [String; 2] {
    [
        cookie(config, ACCESS, "/", String::new(), 0),
        cookie(config, REFRESH, REFRESH_PATH, String::new(), 0),
    ]
}

/// The access token that a browser sends.
pub fn access_token(headers: &HeaderMap) -> Option<String> {
    value(headers, ACCESS)
}

/// The refresh token that a browser sends.
pub fn refresh_token(headers: &HeaderMap) -> Option<String> {
    value(headers, REFRESH)
}

fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let jar = CookieJar::from_headers(headers);
    jar.get(name)
        .map(|cookie| cookie.value().to_owned())
        .filter(|value| !value.is_empty())
}

fn cookie(config: &Config, name: &'static str, path: &'static str, value: String, seconds: u64) -> String {
    Cookie::build((name, value))
        .path(path)
        .http_only(true)
        .secure(!config.speaks_plainly())
        .same_site(SameSite::Strict)
        .max_age(Duration::seconds(i64::try_from(seconds).unwrap_or(0)))
        .build()
        .to_string()
}
