//! URLs, read by the [standard of browsers](https://url.spec.whatwg.org/). No error repeats a URL, which may hold a
//! password.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use url::{Host, Origin, Position, Url, form_urlencoded};

/// The schemes of PostgreSQL.
pub(crate) const POSTGRES: [&str; 2] = ["postgres", "postgresql"];
/// The schemes of mail servers.
pub(crate) const SMTP: [&str; 2] = ["smtps", "smtp"];
/// The schemes of Redis and of what speaks its protocol.
pub(crate) const REDIS: [&str; 7] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "redis+unix",
    "valkey+unix",
    "unix",
];

const NO_USER: &str =
    "what stands before its @ can't be separated from the host; write / ? # and @ in a password as %2F %3F %23 and %40";

/// Reads the URL of a server to connect to, in one of these schemes.
pub(crate) fn server_url(text: &str, schemes: &[&str]) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| match text.contains('@') {
        true => NO_USER.to_owned(),
        false => error.to_string(),
    })?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("must begin with {}://", schemes.join(":// or ")));
    }
    // The beginning of a password passes for a port, or an empty one.
    if url.username().is_empty() && url.password().is_none() && url[Position::BeforePath..].contains('@') {
        return Err(NO_USER.to_owned());
    }
    Ok(url)
}

/// Whether the server runs on this machine. PostgreSQL's parameters `host` and `hostaddr` come before the URL's own host.
pub(crate) fn is_local(url: &Url) -> bool {
    let own = percent_decode_str(url.host_str().unwrap_or_default()).decode_utf8_lossy();
    let named = url.query_pairs().filter(|(key, _)| key == "host" || key == "hostaddr");
    let host = named.last().map_or(own, |(_, host)| host);
    host.is_empty() || host.starts_with('/') || is_local_host(&host)
}

/// Whether a name or an address, as a whole, is that of this machine.
pub(crate) fn is_local_host(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let name = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The password, from the user info or the query.
pub(crate) fn password(url: &Url) -> Option<String> {
    let named = url.query_pairs().find(|(key, _)| key == "password");
    let own = || {
        percent_decode_str(url.password()?)
            .decode_utf8_lossy()
            .into_owned()
            .into()
    };
    named.map(|(_, password)| password.into_owned()).or_else(own)
}

/// The same URL without its password.
pub(crate) fn without_password(mut url: Url) -> Url {
    // Refused only where there is no host, and so no password.
    _ = url.set_password(None);
    // The rest of the query stays as it is: PostgreSQL's tools don't take + for a space.
    let others = |query: &str| {
        let is_password = |part: &&str| form_urlencoded::parse(part.as_bytes()).any(|(key, _)| key == "password");
        let others: Vec<_> = query.split('&').filter(|part| !is_password(part)).collect();
        others.join("&")
    };
    let query = url.query().map(others).filter(|query| !query.is_empty());
    url.set_query(query.as_deref());
    url
}

/// Reads the address of a site: HTTP or HTTPS, perhaps with a path.
pub(crate) fn site_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url[Position::AfterPath..].is_empty();
    (plain && matches!(url.scheme(), "http" | "https")).then_some(url)
}

/// Reads the address of a picture, over TLS at the usual port.
pub(crate) fn picture(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    (url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none())
        .then_some(url)
}

/// Reads a host name, in the form of the DNS: lower case, other scripts in Punycode.
pub(crate) fn host_name(text: &str) -> Option<String> {
    // A URL's parser reads %41 as A and drops what can't be seen.
    let plain = !text.contains(|c: char| c == '%' || (c.is_ascii() && !c.is_ascii_graphic()));
    match Host::parse(text).ok().filter(|_| plain)? {
        Host::Domain(name) => name.split('.').all(|label| !label.is_empty()).then_some(name),
        Host::Ipv4(_) | Host::Ipv6(_) => None,
    }
}

/// Reads an origin: scheme, host, perhaps a port. Two that differ in how they are written are equal.
pub(crate) fn origin(text: &str) -> Option<Origin> {
    site_url(text).filter(|url| url.path() == "/").map(|url| url.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn postgres(text: &str) -> Result<Url, String> {
        server_url(text, &POSTGRES)
    }

    #[test]
    fn a_password_that_breaks_its_url_is_not_repeated() {
        for text in [
            "postgres://ada:hu/sh@db/site",
            "postgres://ada:hu#sh@db/site",
            "postgres://ada:hu?sh@db/site",
            "postgres://ada:12/hush@db/site",
            "postgres://ada:12#hush@db/site",
            "postgres://ada:12?x=hush@db/site",
            "postgres://ada:/hush@db/site",
            "hush://ada:hush@db/site",
            "ada:hush@db/site",
        ] {
            let error = postgres(text).expect_err(text);
            assert!(!error.contains("hu"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_found_and_taken_away() {
        for (text, password_of_it, without) in [
            (
                "postgres://ada:p%40ss@db:5432/site?sslmode=require",
                Some("p@ss"),
                "postgres://ada@db:5432/site?sslmode=require",
            ),
            (
                "postgres://ada:%2F%23%3F@db/site",
                Some("/#?"),
                "postgres://ada@db/site",
            ),
            ("postgres://ada:a@b@db/site", Some("a@b"), "postgres://ada@db/site"),
            (
                "postgres://ada@db/site?password=p%26q&options=-c%20x",
                Some("p&q"),
                "postgres://ada@db/site?options=-c%20x",
            ),
            ("postgres:///site?password=hush", Some("hush"), "postgres:///site"),
            ("postgres://ada@db/site", None, "postgres://ada@db/site"),
        ] {
            let url = postgres(text).expect(text);
            assert_eq!(password(&url).as_deref(), password_of_it, "{text}");
            assert_eq!(without_password(url).as_str(), without);
        }
    }

    #[test]
    fn a_host_is_local_by_its_whole_name() {
        for (text, expected) in [
            ("redis://localhost:6379/0", true),
            ("redis://LOCALHOST", true),
            ("redis://127.0.0.1:6379", true),
            ("redis://127.1.2.3", true),
            ("redis://localhost.:6379", true),
            ("redis://[::ffff:127.0.0.1]:6379", true),
            ("redis://[::1]:6379", true),
            ("unix:///run/redis.sock", true),
            ("postgres:///site", true),
            ("postgres://%2Frun%2Fpostgresql/site", true),
            ("postgres:///site?host=/run/postgresql", true),
            ("redis://localhost.example.com:6379/0", false),
            ("redis://127.0.0.1.example.com", false),
            ("redis://localhost@db.example", false),
            ("redis://[::1:2]", false),
            ("redis://localhost.example.com.", false),
            ("redis://127.0.0.1.", false),
            ("redis://.localhost", false),
            ("redis://localhost,db.example", false),
            ("redis://0.0.0.0", false),
            ("postgres://localhost/site?host=db.example", false),
        ] {
            assert_eq!(is_local(&Url::parse(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn an_origin_is_the_same_however_it_is_written() {
        let expected = origin("https://exam.example");
        assert!(expected.is_some());
        for text in [
            "https://Exam.Example",
            "https://exam.example:443",
            "https://exam.example/",
        ] {
            assert_eq!(origin(text), expected, "{text}");
        }
        for text in [
            "http://exam.example",
            "https://exam.example:8443",
            "https://www.exam.example",
        ] {
            assert!(origin(text).is_some_and(|other| Some(other) != expected), "{text}");
        }
        for text in [
            "null",
            "exam.example",
            "https://",
            "https://exam.example/app",
            "https://exam.example?",
            "https://exam.example#",
            "https://ada@exam.example",
            "https://exam example",
            "ftp://exam.example",
        ] {
            assert_eq!(origin(text), None, "{text}");
        }
    }
}
