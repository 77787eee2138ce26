//! Configuration: from the environment and an optional file, read once at the start.
//!
//! A key belongs to the section of the module that uses it, with its default, its check and its documentation; this is
//! their sum. `marmalade config` prints every key.

pub(crate) mod server;
pub(crate) mod site;

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use confique::{
    Config as _, Layer as _,
    meta::{Expr, FieldKind, LeafKind, Meta},
};
use serde::Deserialize;
use toml::{Table, Value, de::ValueDeserializer};

pub use self::site::Mode;
use crate::{auth::cookie::Cookies, db, fleet, jobs, limit::Limits, mail, operation, secret::redacted, telemetry};

/// The configuration, checked.
#[derive(Clone, Debug, confique::Config)]
#[config(validate = Config::check)]
pub struct Config {
    #[config(nested)]
    pub database: db::Settings,
    #[config(nested)]
    pub redis: fleet::Settings,
    #[config(nested)]
    pub site: site::Settings,
    #[config(nested)]
    pub server: server::Settings,
    #[config(nested)]
    pub mail: mail::Settings,
    #[config(nested)]
    pub jobs: jobs::Settings,
    #[config(nested)]
    pub limits: Limits,
    #[config(nested)]
    pub operations: operation::Settings,
    #[config(nested)]
    pub telemetry: telemetry::Settings,
}

impl Default for Config {
    /// The configuration of a machine that has none.
    fn default() -> Self {
        crate::setting::defaults()
    }
}

impl Config {
    /// Reads the environment and the file. The error names each key that can't be used, what it holds and what is
    /// expected.
    pub fn load() -> Result<Self, String> {
        let named = std::env::var_os("MARMALADE_CONFIG").map(PathBuf::from);
        let file = named.clone().unwrap_or_else(|| "marmalade.toml".into());
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(format!("{} can't be read: {error}", file.display())),
        };
        let table = toml::from_str(&text).map_err(|error| syntax(&file.display().to_string(), &text, &error))?;
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.to_str()?.to_ascii_uppercase();
            (name != "MARMALADE_CONFIG").then(|| (name, value.to_string_lossy().into_owned()))
        });
        Self::read(table, environment)
    }

    /// The environment overrides the file.
    fn read(file: Table, environment: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let keys = keys();
        let (given, mut errors) = given(&keys, file, environment);
        let mut layer = <Self as confique::Config>::Layer::empty();
        for key in &keys {
            match given.get(key.name).map(|readings| key.layer(readings)) {
                Some(Ok(value)) => layer = layer.with_fallback(value),
                Some(Err(error)) => errors.push(error),
                None => {}
            }
        }
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        let defaults = <Self as confique::Config>::Layer::default_values();
        let config = Self::from_layer(layer.with_fallback(defaults)).map_err(|error| reason(&error.to_string()))?;
        Ok(config.with_derived_defaults(|key| given.contains_key(key)))
    }

    /// Fills in the defaults that depend on other keys.
    fn with_derived_defaults(mut self, is_given: impl Fn(&str) -> bool) -> Self {
        let listen = self.server.listen;
        if !is_given("MARMALADE_MODE") && (self.database.url.is_some() || !listen.ip().is_loopback()) {
            self.site.mode = Mode::Production;
        }
        if !is_given("MARMALADE_DEMO") {
            self.site.demo = self.site.mode == Mode::Development;
        }
        if !is_given("MARMALADE_SITE_URL") {
            self.site.url = url_of(listen);
        }
        self
    }

    /// Checks what concerns several sections; each checks its own keys.
    fn check(&self) -> Result<(), &'static str> {
        if self.redis.url.is_some() && self.database.url.is_none() {
            return Err("REDIS_URL is for several servers on one PostgreSQL: set DATABASE_URL, too");
        }
        Ok(())
    }

    /// Whether browsers speak to this server without TLS: only those on this very machine, and only to try things out.
    pub fn speaks_plainly(&self) -> bool {
        self.site.mode == Mode::Development && self.server.listen.ip().is_loopback()
    }

    /// The cookies of browsers.
    pub(crate) fn cookies(&self) -> Cookies {
        Cookies {
            secure: !self.speaks_plainly(),
        }
    }
}

/// The URL at which this machine's browsers reach a server on that address. There is one name for it: to a browser
/// `localhost` and `127.0.0.1` are two sites, and neither sees the other's cookies.
pub fn url_of(listen: SocketAddr) -> String {
    match has_name(listen) {
        true => format!("http://localhost:{}", listen.port()),
        false => format!("http://{listen}"),
    }
}

/// Whether an address has the name `localhost`.
pub(crate) fn has_name(listen: SocketAddr) -> bool {
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&listen.ip())
}

/// A key of the configuration.
pub struct Key {
    /// Name in the environment.
    pub name: &'static str,
    /// Purpose and valid values.
    pub doc: String,
    /// The value without configuration, as it would be written.
    pub default: Option<String>,
    /// The fields that lead to it, from the outside.
    path: Vec<&'static str>,
}

/// Every key of every section.
pub fn keys() -> Vec<Key> {
    keys_of(&Config::META, &[])
}

fn keys_of(meta: &'static Meta, outside: &[&'static str]) -> Vec<Key> {
    let keys = meta.fields.iter().flat_map(|field| {
        let path = [outside, &[field.name]].concat();
        match field.kind {
            FieldKind::Nested { meta } => keys_of(meta, &path),
            FieldKind::Leaf { env, kind } => vec![Key {
                name: env.unwrap_or(field.name),
                doc: field.doc.join("").trim().to_owned(),
                default: default_of(kind),
                path,
            }],
        }
    });
    keys.collect()
}

fn default_of(kind: LeafKind) -> Option<String> {
    match kind {
        LeafKind::Required {
            default: Some(Expr::Str(text)),
        } => Some(text.to_owned()),
        LeafKind::Required { default: Some(value) } => serde_json::to_string(&value).ok().filter(|text| text != "[]"),
        LeafKind::Required { default: None } | LeafKind::Optional => None,
    }
}

impl Key {
    /// Its name in the file.
    fn in_file(&self) -> String {
        self.name.trim_start_matches("MARMALADE_").to_lowercase()
    }

    /// A configuration with this key alone, by the first reading that it understands.
    fn layer(&self, readings: &[Value]) -> Result<<Config as confique::Config>::Layer, String> {
        let mut errors = Vec::new();
        for reading in readings {
            let nested = self.path.iter().rev().fold(reading.clone(), |inner, field| {
                Value::Table(Table::from_iter([((*field).to_owned(), inner)]))
            });
            match nested.try_into() {
                Ok(layer) => return Ok(layer),
                Err(cause) => errors.push(reason(cause.message())),
            }
        }
        // The error of the expected type is more helpful than one of another type.
        let typed = errors.iter().find(|error| !error.starts_with("invalid type"));
        // What was meant for another key may be a URL with a password.
        let error = redacted(typed.or(errors.first()).map_or("unreadable", String::as_str));
        let Self { name, doc, .. } = self;
        let default = self.default.as_deref().unwrap_or("none");
        Err(format!("{name}: {error}. Expected: {doc} (default: {default})"))
    }
}

/// The readings of each key that is set, and the names that no key has.
fn given(
    keys: &[Key],
    file: Table,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (BTreeMap<&'static str, Vec<Value>>, Vec<String>) {
    let (mut given, mut errors) = (BTreeMap::new(), Vec::new());
    for (name, value) in file {
        match keys.iter().find(|key| key.in_file() == name) {
            Some(key) => _ = given.insert(key.name, vec![value]),
            None => errors.push(unknown(&name, keys.iter().map(Key::in_file))),
        }
    }
    for (name, text) in environment {
        match keys.iter().find(|key| key.name == name) {
            Some(key) => _ = given.insert(key.name, readings(text)),
            None if name.starts_with("MARMALADE_") => {
                errors.push(unknown(&name, keys.iter().map(|key| key.name.to_owned())));
            }
            None => {}
        }
    }
    (given, errors)
}

/// The values that a text of the environment can represent: itself, a number or a boolean.
fn readings(text: String) -> Vec<Value> {
    let literal = Value::deserialize(ValueDeserializer::new(&text)).ok();
    let literal = literal.filter(|value| !value.is_str());
    [Value::String(text)].into_iter().chain(literal).collect()
}

/// The message of a check, without the library's prefix.
fn reason(message: &str) -> String {
    let words = message
        .split_once(" failed: ")
        .filter(|(front, _)| front.contains("validation"));
    words.map_or(message, |(_, words)| words).to_owned()
}

/// Keys of earlier releases, as in the file, and why they are gone.
const REMOVED: [(&str, &str); 1] = [("limit_reviews", "Reading reviews uses up no limit any more. Delete it.")];

fn unknown(name: &str, known: impl Iterator<Item = String>) -> String {
    let in_file = name.trim_start_matches("MARMALADE_").to_lowercase();
    if let Some((_, why)) = REMOVED.iter().find(|(key, _)| *key == in_file) {
        return format!("{name} is not a key of the configuration any more. {why}");
    }
    let near = known.map(|key| (strsim::jaro(name, &key), key));
    let nearest = near
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(near, _)| *near > 0.8);
    let nearest = nearest.map_or_else(String::new, |(_, key)| format!(" Did you mean {key}?"));
    format!("{name} is not a key of the configuration; `marmalade config` lists them all.{nearest}")
}

/// Without the line itself, which may hold a secret.
fn syntax(file: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    format!(
        "{file}, line {}: {}",
        before.matches('\n').count() + 1,
        redacted(error.message())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Config, String> {
        read_with(toml, &[])
    }

    fn read_with(toml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::read(toml.parse().expect("TOML"), environment.iter().map(owned))
    }

    #[test]
    fn nothing_configured_is_a_development_server_on_loopback() {
        let config = read("").expect("valid");
        assert_eq!(config.site.mode, Mode::Development);
        assert!(config.server.listen.ip().is_loopback() && config.site.demo);
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn a_database_url_or_an_open_address_means_production() {
        for toml in ["database_url = 'postgres://db/x'", "listen = '0.0.0.0:80'"] {
            let config = read(toml).expect("valid");
            assert_eq!(config.site.mode, Mode::Production, "{toml}");
            assert!(!config.site.demo);
        }
        let toml = "database_url = 'postgres://db/x'\nmode = 'development'";
        assert_eq!(read(toml).expect("valid").site.mode, Mode::Development);
        let elsewhere = read("listen = '127.0.0.1:9090'").expect("valid");
        assert_eq!(elsewhere.site.url, "http://localhost:9090");
        let own = read("listen = '127.0.0.2:9090'").expect("valid");
        assert_eq!(own.site.url, "http://127.0.0.2:9090", "not localhost's address");
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_expected() {
        for (toml, words) in [
            ("listen = 'everywhere'", ["MARMALADE_LISTEN", "address and port"]),
            ("listen = 'everywhere'", ["MARMALADE_LISTEN: ", "\"everywhere\""]),
            ("mode = 'test'", ["MARMALADE_MODE", "development or production"]),
            ("limit_answers = 'many'", ["MARMALADE_LIMIT_ANSWERS", "30/60s"]),
            ("time_zone = 'Mars/Olympus'", ["MARMALADE_TIME_ZONE", "IANA"]),
            ("secrets = 'short'", ["MARMALADE_SECRETS", "32"]),
            (
                "allowed_origins = 'exam.example'",
                ["exam.example", "https://exam.example"],
            ),
            ("trusted_proxies = '10.0.0.0/40'", ["10.0.0.0/40", "10.0.0.0/8"]),
            ("database_url = 'mysql://db/x'", ["DATABASE_URL", "postgres://"]),
            ("database_url = 'postgres://u:p/w@db/x'", ["DATABASE_URL", "%2F"]),
            ("smtp_url = 'mail.example'", ["MARMALADE_SMTP_URL", "URL"]),
            (
                "site_url = 'https://exam.example/?page=1'",
                ["MARMALADE_SITE_URL", "https://exam.example"],
            ),
            ("databse_url = 'x'", ["databse_url", "marmalade config"]),
            ("databse_url = 'x'", ["databse_url", "Did you mean database_url?"]),
            ("limit_reviews = '10/1h'", ["limit_reviews", "Delete it."]),
            ("max_depth = 'deep'", ["MARMALADE_MAX_DEPTH: ", "\"deep\""]),
            ("demo = 'maybe'", ["MARMALADE_DEMO: ", "\"maybe\""]),
            (
                "max_connections = 0",
                ["MARMALADE_MAX_CONNECTIONS: at least 1.", "20000"],
            ),
            (
                "job_retry_ms = 300001",
                ["MARMALADE_JOB_RETRY_MS: 1 to 300000.", "1000"],
            ),
            ("log_format = 'xml'", ["MARMALADE_LOG_FORMAT", "`xml`"]),
            ("mail_from = 'nobody'", ["MARMALADE_MAIL_FROM", "\"nobody\""]),
            ("redis_prefix = '{x}'", ["MARMALADE_REDIS_PREFIX", "no braces"]),
            ("data_dir = 5", ["MARMALADE_DATA_DIR", "`5`"]),
            ("secrets = 5", ["MARMALADE_SECRETS", "array of texts"]),
            (
                "site_url = 'exam.example'",
                ["MARMALADE_SITE_URL", "exam.example is not"],
            ),
            ("redis_url = 'http://x'", ["REDIS_URL: ", "redis://"]),
            ("redis_url = 'redis://x'", ["REDIS_URL", "set DATABASE_URL"]),
            (
                "database_replica_url = 'postgres://x'",
                ["DATABASE_REPLICA_URL", "set that"],
            ),
        ] {
            let error = read(toml).expect_err(toml);
            assert!(words.iter().all(|word| error.contains(word)), "{toml} gave: {error}");
        }
        let both = read("mode = 'test'\nlisten = 5").expect_err("two errors");
        assert_eq!(both.lines().count(), 2, "{both}");
    }

    #[test]
    fn every_key_refuses_what_it_cannot_read() {
        for key in keys() {
            let error = read(&format!("{} = [[]]", key.in_file())).expect_err(key.name);
            assert!(error.starts_with(&format!("{}: ", key.name)), "{error}");
            assert!(key.doc.ends_with('.') && error.contains(&key.doc), "{error}");
        }
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        let file = "max_depth = 20\nwork = true\nlimit_answers = '1/1s'";
        let environment = [
            ("MARMALADE_MAX_DEPTH", "30"),
            ("MARMALADE_WORK", "false"),
            ("MARMALADE_STATEMENT_TIMEOUT_MS", "0"),
            ("MARMALADE_METRICS_TOKEN", "12345678901234567890"),
            ("MARMALADE_TRUSTED_PROXIES", "10.0.0.7, 10.1.0.0/16"),
            ("PATH", "/bin"),
        ];
        let config = read_with(file, &environment).expect("valid");
        assert_eq!(config.operations.bounds.depth, 30);
        assert!(!config.jobs.work && config.database.statement_timeout.is_zero());
        assert_eq!(config.limits.answers.to_string(), "1/1s");
        assert!(config.telemetry.metrics_token.is_some());
        assert_eq!(config.server.trusted_proxies.len(), 2);

        let error = read_with("", &[("MARMALADE_LISTN", "127.0.0.1:80")]).expect_err("unknown");
        assert!(error.contains("MARMALADE_LISTN is not a key") && error.contains("mean MARMALADE_LISTEN?"));
        for (name, value, expected) in [
            ("MARMALADE_BOARD_TICK_MS", "soon", "invalid type: string \"soon\""),
            ("MARMALADE_BOARD_TICK_MS", "0", "at least 1"),
            ("MARMALADE_MAX_DEPTH", "-1", "invalid value: integer `-1`"),
            ("MARMALADE_METRICS_TOKEN", "42", "less than 16 characters"),
        ] {
            let error = read_with("", &[(name, value)]).expect_err(name);
            assert!(error.starts_with(&format!("{name}: {expected}")), "{error}");
        }
    }

    #[test]
    fn addresses_are_kept_as_browsers_send_them() {
        let config = read(
            "allowed_origins = 'https://Exam.Example:443,http://[::1]:80'\nsite_url = 'HTTPS://Exam.Example/app/'",
        );
        let config = config.expect("valid");
        assert_eq!(config.server.allowed_origins, ["https://exam.example", "http://[::1]"]);
        assert_eq!(config.site.url, "https://exam.example/app");
    }

    #[test]
    fn secrets_are_not_printed() {
        let toml = "database_url = 'postgres://u:hush@db/x'\nsecrets = 'hush-hush-hush-hush-hush-hush-hush'";
        let printed = format!("{:?}", read(toml).expect("valid"));
        assert!(!printed.contains("hush"), "{printed}");
        for toml in [
            "metrics_token = 4242424242424242",
            "metrics_token = '42'",
            "database_url = 'mysql://u:42@db/x'",
            "redis_url = 'http://:42@redis'",
            "secrets = ['4242', '42']",
            "secrets = [42]",
            "retired_secrets = ['42']",
        ] {
            let error = read(toml).expect_err(toml);
            assert!(!error.contains("42"), "{error}");
        }
        // Under a key that quotes what it can't read, whether or not it is a URL that can be read.
        for key in keys() {
            for value in [
                "x://ada:hush@db",
                "x://ada:hu/sh@db",
                "x://ada:hu#sh@db",
                "x://ada:hu?sh@db",
                "x://ada:s@hush@db",
            ] {
                if let Err(error) = read_with("", &[(key.name, value)]) {
                    assert!(!error.contains("hu"), "{}: {error}", key.name);
                }
            }
        }
        let broken = "mode = 'production'\nsecrets = 'hush";
        let error = toml::from_str::<Table>(broken).expect_err("no TOML");
        let error = syntax("marmalade.toml", broken, &error);
        assert!(
            error.starts_with("marmalade.toml, line 2: ") && !error.contains("hush"),
            "{error}"
        );
    }
}
