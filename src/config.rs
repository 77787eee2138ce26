//! Configuration: from the environment and an optional file, read once at the start.
//!
//! [`KEYS`] documents every key; `marmalade config` prints it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use chrono_tz::Tz;
use figment::{
    Figment,
    providers::{Env, Format, Toml},
};
use ipnet::IpNet;
use lettre::{Address, message::Mailbox};
use serde::{Deserialize, Deserializer, de};
use tokio::sync::Semaphore;

use crate::{db::Synchronous, limit::Rate, operation::cost::Bounds, secret::Secret, text::url};

/// Every key: its name in the environment, its default, what it does. In the file (`marmalade.toml`, or the one that
/// `MARMALADE_CONFIG` names) a key is the same name in lower case without `MARMALADE_`.
pub const KEYS: &[(&str, &str, &str)] = &[
    (
        "DATABASE_URL",
        "",
        "postgres://user:password@host/database; without it an embedded SQLite database is used",
    ),
    (
        "DATABASE_REPLICA_URL",
        "",
        "postgres://… of a replica of DATABASE_URL: staff's analytics are read there, and nothing else",
    ),
    (
        "MARMALADE_REPLICA_LAG_MS",
        "30000",
        "how far the replica may lag, in milliseconds; behind that DATABASE_URL is read",
    ),
    (
        "REDIS_URL",
        "",
        "redis://user:password@host/0, for several servers on one PostgreSQL; Valkey serves as well",
    ),
    (
        "MARMALADE_REDIS_PREFIX",
        "marmalade",
        "what the names of all keys in Redis begin with: one per site",
    ),
    (
        "MARMALADE_MODE",
        "by the next lines",
        "development or production; production when DATABASE_URL is set or LISTEN is not a loopback address",
    ),
    (
        "MARMALADE_LISTEN",
        "127.0.0.1:8080",
        "address and port to serve on; port 0 takes a free one",
    ),
    (
        "MARMALADE_DATA_DIR",
        "data",
        "folder of the embedded database and of the generated secret",
    ),
    (
        "MARMALADE_SECRETS",
        "a generated file in DATA_DIR",
        "comma-separated secrets of at least 32 characters that sign tokens; the first one signs, all verify, so put a new one in front to rotate",
    ),
    (
        "MARMALADE_ALLOWED_ORIGINS",
        "the server's own",
        "comma-separated origins of the single-page app, e.g. https://exam.example",
    ),
    (
        "MARMALADE_TRUSTED_PROXIES",
        "",
        "comma-separated addresses or networks of the proxies in front, e.g. 10.0.0.0/8; only theirs is X-Forwarded-For believed",
    ),
    (
        "MARMALADE_MAX_CONNECTIONS",
        "20000",
        "connections that are open at once; more wait until one ends",
    ),
    (
        "MARMALADE_SITE_URL",
        "http://LISTEN",
        "where the site's pages are, for links in letters, e.g. https://exam.example",
    ),
    (
        "MARMALADE_SMTP_URL",
        "",
        "smtps://user:password@host or smtp://host?tls=required; without it letters go to the folder mail in DATA_DIR",
    ),
    (
        "MARMALADE_MAIL_FROM",
        "Marmalade <no-reply@localhost>",
        "the sender of letters",
    ),
    (
        "MARMALADE_TIME_ZONE",
        "UTC",
        "IANA name of the zone whose days, weeks and months the boards follow; stored at the first start",
    ),
    (
        "MARMALADE_DEMO",
        "true in development",
        "whether an empty database is filled with demo content at the start",
    ),
    (
        "MARMALADE_DATABASE_CONNECTIONS",
        "10",
        "size of the PostgreSQL connection pool",
    ),
    (
        "MARMALADE_STATEMENT_TIMEOUT_MS",
        "30000",
        "PostgreSQL ends a statement of a server or worker that takes longer, in milliseconds; 0: never",
    ),
    (
        "MARMALADE_SLOW_STATEMENT_MS",
        "500",
        "statements that take longer are logged, in milliseconds",
    ),
    (
        "MARMALADE_SQLITE_SYNCHRONOUS",
        "full",
        "full: a commit survives the loss of power; normal: only the death of the process",
    ),
    (
        "MARMALADE_BOARD_TICK_MS",
        "250",
        "how long changes of a board are collected before its streams are told, in milliseconds",
    ),
    (
        "MARMALADE_LIMIT_REQUESTS",
        "600/60s",
        "requests of any kind per account, or per address of those who are not signed in; a smooth rate",
    ),
    ("MARMALADE_LIMIT_ANSWERS", "30/60s", "saved answers per student"),
    ("MARMALADE_LIMIT_BATCHES", "6/60s", "saveAnswers batches per student"),
    ("MARMALADE_LIMIT_SUBMITS", "2/60s", "submits per student"),
    ("MARMALADE_LIMIT_STARTS", "10/1h", "started attempts per student"),
    (
        "MARMALADE_LIMIT_SIGN_IN_FAILURES",
        "5/15m",
        "failures to sign in per account and address",
    ),
    (
        "MARMALADE_LIMIT_SIGN_IN_FAILURES_OF_ADDRESS",
        "50/15m",
        "failures to sign in per address (IPv6: per /64)",
    ),
    ("MARMALADE_LIMIT_REGISTERS", "60/1h", "new accounts per address"),
    ("MARMALADE_LIMIT_LETTERS", "5/1h", "letters with a link per account"),
    (
        "MARMALADE_LIMIT_LETTERS_OF_ADDRESS",
        "50/1h",
        "letters with a link that are asked for from one address",
    ),
    (
        "MARMALADE_LIMIT_EXPORTS",
        "5/1h",
        "exports of one's own data per account",
    ),
    (
        "MARMALADE_LIMIT_IMPORTS",
        "6/1h",
        "question banks sent through the API per account",
    ),
    ("MARMALADE_MAX_TOKENS", "10000", "words and signs of one document"),
    ("MARMALADE_MAX_DEPTH", "16", "fields below each other in one operation"),
    (
        "MARMALADE_MAX_COMPLEXITY",
        "20000",
        "fields of one operation, those of lists by what a page may hold",
    ),
    ("MARMALADE_MAX_ALIASES", "100", "aliases of one operation"),
    ("MARMALADE_MAX_ROOT_FIELDS", "50", "root fields of one operation"),
    ("MARMALADE_MAX_DIRECTIVES", "50", "directives of one operation"),
    (
        "MARMALADE_STOP_DELAY_MS",
        "0",
        "how long a server that is told to stop says so at /readyz and goes on serving, in milliseconds: until the proxy in front has noticed",
    ),
    (
        "MARMALADE_WORKER_LISTEN",
        "",
        "address and port at which a `marmalade worker` answers /healthz, /readyz and /metrics; without one it does not listen",
    ),
    (
        "MARMALADE_WORK",
        "true",
        "whether a server does jobs, too; with false `marmalade worker` processes must",
    ),
    (
        "MARMALADE_JOB_RETRY_MS",
        "1000",
        "the pause before a job that failed is tried again, in milliseconds; doubled each time",
    ),
    (
        "MARMALADE_JOB_HEARTBEAT_MS",
        "5000",
        "how often a worker shows that it lives, in milliseconds; after three it missed its jobs are another's",
    ),
    (
        "MARMALADE_OPERATIONS",
        "",
        "a manifest (apollo-persisted-query-manifest, JSON): only the operations in it run, staff's excepted",
    ),
    (
        "MARMALADE_LIMIT_REVIEWS",
        "10/1h",
        "requests for explanations (uses of Attempt.review) per student",
    ),
    (
        "MARMALADE_METRICS_TOKEN",
        "",
        "who asks for /metrics must have it as a bearer token; without one nobody is told in production, everybody in development",
    ),
    (
        "MARMALADE_LOG",
        "info,sea_orm_migration=warn,sqlx::postgres::notice=warn",
        "what is logged, e.g. warn,marmalade=debug",
    ),
    ("MARMALADE_LOG_FORMAT", "text", "text or json"),
];

/// The configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub database_url: Option<Secret<String>>,
    pub database_replica_url: Option<Secret<String>>,
    /// How far the replica may lag.
    pub replica_lag: Duration,
    pub redis_url: Option<Secret<String>>,
    pub redis_prefix: String,
    pub mode: Mode,
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    /// Empty: a secret is generated and kept in the data folder.
    pub secrets: Vec<Secret<String>>,
    pub allowed_origins: Vec<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    /// Without a slash at its end.
    pub site_url: String,
    pub smtp_url: Option<Secret<String>>,
    pub mail_from: Mailbox,
    pub time_zone: Option<Tz>,
    pub demo: bool,
    pub database_connections: u32,
    /// `None`: a statement may take as long as it does.
    pub statement_timeout: Option<Duration>,
    pub slow_statement: Duration,
    pub sqlite_synchronous: Synchronous,
    pub board_tick: Duration,
    pub stop_delay: Duration,
    pub worker_listen: Option<SocketAddr>,
    /// Whether a server does jobs, too.
    pub work: bool,
    pub job_retry: Duration,
    pub job_heartbeat: Duration,
    pub limits: Limits,
    pub bounds: Bounds,
    /// The manifest of the operations that may run; without it all may.
    pub operations: Option<PathBuf>,
    pub metrics_token: Option<Secret<String>>,
    pub log: String,
    pub log_format: LogFormat,
}

/// How often what is limited may be done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub requests: Rate,
    pub answers: Rate,
    pub batches: Rate,
    pub submits: Rate,
    pub starts: Rate,
    pub sign_in_failures: Rate,
    pub sign_in_failures_of_address: Rate,
    pub registers: Rate,
    pub letters: Rate,
    pub letters_of_address: Rate,
    pub exports: Rate,
    pub imports: Rate,
    pub reviews: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Rate::new(600, Duration::from_secs(60)),
            answers: Rate::new(30, Duration::from_secs(60)),
            batches: Rate::new(6, Duration::from_secs(60)),
            submits: Rate::new(2, Duration::from_secs(60)),
            starts: Rate::new(10, Duration::from_secs(3600)),
            sign_in_failures: Rate::new(5, Duration::from_secs(900)),
            sign_in_failures_of_address: Rate::new(50, Duration::from_secs(900)),
            registers: Rate::new(60, Duration::from_secs(3600)),
            letters: Rate::new(5, Duration::from_secs(3600)),
            letters_of_address: Rate::new(50, Duration::from_secs(3600)),
            exports: Rate::new(5, Duration::from_secs(3600)),
            imports: Rate::new(6, Duration::from_secs(3600)),
            reviews: Rate::new(10, Duration::from_secs(3600)),
        }
    }
}

/// How careful the server is with whom it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// On the own machine, over plain HTTP, with demo content.
    Development,
    /// For real students.
    Production,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Reads the environment and the file. The error names the key, what it holds and what is expected.
    pub fn load() -> Result<Self, String> {
        let file = std::env::var_os("MARMALADE_CONFIG").map(PathBuf::from);
        if let Some(file) = file.as_ref().filter(|file| !file.is_file()) {
            return Err(format!(
                "MARMALADE_CONFIG names {}, which is not a file",
                file.display()
            ));
        }
        let figment = Figment::new()
            .merge(Toml::file(file.unwrap_or_else(|| "marmalade.toml".into())))
            .merge(Env::raw().only(&["DATABASE_URL", "DATABASE_REPLICA_URL", "REDIS_URL"]))
            .merge(Env::prefixed("MARMALADE_").ignore(&["config"]));
        Self::extract(&figment)
    }

    fn extract(figment: &Figment) -> Result<Self, String> {
        let given: Given = figment.extract().map_err(|errors| {
            errors
                .into_iter()
                .map(|error| explain(&error))
                .collect::<Vec<_>>()
                .join("\n")
        })?;
        given.checked()
    }
}

impl Config {
    /// Whether browsers speak to this server without TLS: only those on this very machine, and only to try things out.
    pub fn speaks_plainly(&self) -> bool {
        self.mode == Mode::Development && self.listen.ip().is_loopback()
    }
}

impl Default for Config {
    /// The configuration of a machine that has none.
    fn default() -> Self {
        Self::extract(&Figment::new()).unwrap_or_else(|error| unreachable!("the defaults are valid: {error}"))
    }
}

/// What the environment and the file hold, before the parts are checked against each other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default)]
    database_url: Option<Secret<String>>,
    #[serde(default)]
    database_replica_url: Option<Secret<String>>,
    #[serde(default)]
    replica_lag_ms: Option<u64>,
    #[serde(default)]
    redis_url: Option<Secret<String>>,
    #[serde(default)]
    redis_prefix: Option<String>,
    #[serde(default)]
    mode: Option<Mode>,
    #[serde(default)]
    listen: Option<SocketAddr>,
    #[serde(default)]
    data_dir: Option<PathBuf>,
    #[serde(default)]
    secrets: Option<List>,
    #[serde(default)]
    allowed_origins: Option<List>,
    #[serde(default)]
    trusted_proxies: Option<List>,
    #[serde(default)]
    max_connections: Option<usize>,
    #[serde(default)]
    site_url: Option<String>,
    #[serde(default)]
    smtp_url: Option<Secret<String>>,
    #[serde(default)]
    mail_from: Option<Parsed<Mailbox>>,
    #[serde(default)]
    time_zone: Option<Parsed<Tz>>,
    #[serde(default)]
    demo: Option<bool>,
    #[serde(default)]
    database_connections: Option<u32>,
    #[serde(default)]
    statement_timeout_ms: Option<u64>,
    #[serde(default)]
    slow_statement_ms: Option<u64>,
    #[serde(default)]
    sqlite_synchronous: Option<Synchronous>,
    #[serde(default)]
    board_tick_ms: Option<u64>,
    #[serde(default)]
    stop_delay_ms: Option<u64>,
    #[serde(default)]
    worker_listen: Option<SocketAddr>,
    #[serde(default)]
    work: Option<bool>,
    #[serde(default)]
    job_retry_ms: Option<u64>,
    #[serde(default)]
    job_heartbeat_ms: Option<u64>,
    #[serde(default)]
    limit_requests: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_answers: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_batches: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_submits: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_starts: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_sign_in_failures: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_sign_in_failures_of_address: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_registers: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_letters: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_letters_of_address: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_exports: Option<Parsed<Rate>>,
    #[serde(default)]
    limit_imports: Option<Parsed<Rate>>,
    #[serde(default)]
    max_tokens: Option<usize>,
    #[serde(default)]
    max_depth: Option<usize>,
    #[serde(default)]
    max_complexity: Option<usize>,
    #[serde(default)]
    max_aliases: Option<usize>,
    #[serde(default)]
    max_root_fields: Option<usize>,
    #[serde(default)]
    max_directives: Option<usize>,
    #[serde(default)]
    operations: Option<PathBuf>,
    #[serde(default)]
    limit_reviews: Option<Parsed<Rate>>,
    #[serde(default)]
    metrics_token: Option<Secret<String>>,
    #[serde(default)]
    log: Option<String>,
    #[serde(default)]
    log_format: Option<LogFormat>,
}

impl Given {
    fn checked(self) -> Result<Config, String> {
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let exposed = self.database_url.is_some() || !listen.ip().is_loopback();
        let mode = self
            .mode
            .unwrap_or(if exposed { Mode::Production } else { Mode::Development });
        for (name, given, schemes) in [
            ("DATABASE_URL", &self.database_url, &url::POSTGRES[..]),
            ("DATABASE_REPLICA_URL", &self.database_replica_url, &url::POSTGRES),
            ("REDIS_URL", &self.redis_url, &url::REDIS),
            ("MARMALADE_SMTP_URL", &self.smtp_url, &url::SMTP),
        ] {
            if let Some(Secret(text)) = given {
                url::server_url(text, schemes).map_err(|error| format!("{name}: {error}"))?;
            }
        }
        if let Some(Secret(url)) = &self.redis_url {
            redis::Client::open(url.as_str())
                .map_err(|error| format!("REDIS_URL: {error}; expected redis://host:6379/0"))?;
            if self.database_url.is_none() {
                return Err("REDIS_URL is for several servers on one PostgreSQL: set DATABASE_URL, too".into());
            }
        }
        if self.database_replica_url.is_some() && self.database_url.is_none() {
            return Err("DATABASE_REPLICA_URL is a replica of DATABASE_URL: set that, too".into());
        }
        if self
            .metrics_token
            .as_ref()
            .is_some_and(|Secret(token)| token.len() < 16)
        {
            return Err("MARMALADE_METRICS_TOKEN must have at least 16 characters".into());
        }
        if self.job_retry_ms.is_some_and(|pause| !(1..=300_000).contains(&pause)) {
            return Err("MARMALADE_JOB_RETRY_MS: 1 to 300000, five minutes".into());
        }
        if self
            .job_heartbeat_ms
            .is_some_and(|pause| !(1000..=60_000).contains(&pause))
        {
            return Err("MARMALADE_JOB_HEARTBEAT_MS: 1000 to 60000, a minute".into());
        }
        let redis_prefix = self.redis_prefix.unwrap_or_else(|| "marmalade".to_owned());
        if redis_prefix.is_empty() || redis_prefix.contains(['{', '}']) {
            return Err("MARMALADE_REDIS_PREFIX: at least one character, and no braces".into());
        }
        let secrets: Vec<_> = self.secrets.map(|List(secrets)| secrets).unwrap_or_default();
        if secrets.iter().any(|secret| secret.len() < 32) {
            return Err("MARMALADE_SECRETS: each secret must have at least 32 characters".into());
        }
        let origins = self.allowed_origins.map(|List(origins)| origins).unwrap_or_default();
        let origin = |text: &String| {
            let origin = url::origin(text).ok_or_else(|| {
                format!(
                    "MARMALADE_ALLOWED_ORIGINS: {text} is not an origin; expected e.g. https://exam.example, without a path"
                )
            })?;
            Ok(origin.ascii_serialization())
        };
        let allowed_origins = origins.iter().map(origin).collect::<Result<_, String>>()?;
        let networks = self.trusted_proxies.map(|List(networks)| networks).unwrap_or_default();
        let trusted_proxies = networks.iter().map(|text| network(text)).collect::<Result<_, _>>()?;
        let site_url = self.site_url.unwrap_or_else(|| format!("http://{listen}"));
        let site_url = url::site_url(&site_url)
            .ok_or_else(|| {
                format!("MARMALADE_SITE_URL: {site_url} is not an address; expected e.g. https://exam.example")
            })?
            .as_str()
            .trim_end_matches('/')
            .to_owned();
        let limits = Limits::default();
        let bounds = Bounds::default();
        let rate = |given: Option<Parsed<Rate>>, shipped| given.map_or(shipped, |Parsed(rate)| rate);
        Ok(Config {
            mode,
            listen,
            data_dir: self.data_dir.unwrap_or_else(|| "data".into()),
            secrets: secrets.into_iter().map(Secret).collect(),
            allowed_origins,
            trusted_proxies,
            max_connections: self.max_connections.unwrap_or(20_000).clamp(1, Semaphore::MAX_PERMITS),
            site_url,
            smtp_url: self.smtp_url,
            mail_from: match self.mail_from {
                Some(Parsed(from)) => from,
                None => Mailbox::new(
                    Some("Marmalade".into()),
                    Address::new("no-reply", "localhost").map_err(|error| error.to_string())?,
                ),
            },
            time_zone: self.time_zone.map(|Parsed(zone)| zone),
            demo: self.demo.unwrap_or(mode == Mode::Development),
            database_connections: self.database_connections.unwrap_or(10).max(1),
            sqlite_synchronous: self.sqlite_synchronous.unwrap_or(Synchronous::Full),
            board_tick: Duration::from_millis(self.board_tick_ms.unwrap_or(250).max(1)),
            stop_delay: Duration::from_millis(self.stop_delay_ms.unwrap_or(0)),
            worker_listen: self.worker_listen,
            work: self.work.unwrap_or(true),
            job_retry: Duration::from_millis(self.job_retry_ms.unwrap_or(1000)),
            job_heartbeat: Duration::from_millis(self.job_heartbeat_ms.unwrap_or(5000)),
            limits: Limits {
                requests: rate(self.limit_requests, limits.requests),
                answers: rate(self.limit_answers, limits.answers),
                batches: rate(self.limit_batches, limits.batches),
                submits: rate(self.limit_submits, limits.submits),
                starts: rate(self.limit_starts, limits.starts),
                sign_in_failures: rate(self.limit_sign_in_failures, limits.sign_in_failures),
                sign_in_failures_of_address: rate(
                    self.limit_sign_in_failures_of_address,
                    limits.sign_in_failures_of_address,
                ),
                registers: rate(self.limit_registers, limits.registers),
                letters: rate(self.limit_letters, limits.letters),
                letters_of_address: rate(self.limit_letters_of_address, limits.letters_of_address),
                exports: rate(self.limit_exports, limits.exports),
                imports: rate(self.limit_imports, limits.imports),
                reviews: rate(self.limit_reviews, limits.reviews),
            },
            bounds: Bounds {
                tokens: self.max_tokens.unwrap_or(bounds.tokens),
                depth: self.max_depth.unwrap_or(bounds.depth),
                complexity: self.max_complexity.unwrap_or(bounds.complexity),
                aliases: self.max_aliases.unwrap_or(bounds.aliases),
                root_fields: self.max_root_fields.unwrap_or(bounds.root_fields),
                directives: self.max_directives.unwrap_or(bounds.directives),
            },
            operations: self.operations,
            metrics_token: self.metrics_token,
            log: self
                .log
                .unwrap_or_else(|| "info,sea_orm_migration=warn,sqlx::postgres::notice=warn".into()),
            log_format: self.log_format.unwrap_or(LogFormat::Text),
            database_url: self.database_url,
            database_replica_url: self.database_replica_url,
            replica_lag: Duration::from_millis(self.replica_lag_ms.unwrap_or(30_000)),
            statement_timeout: match self.statement_timeout_ms.unwrap_or(30_000) {
                0 => None,
                timeout => Some(Duration::from_millis(timeout)),
            },
            slow_statement: Duration::from_millis(self.slow_statement_ms.unwrap_or(500)),
            redis_url: self.redis_url,
            redis_prefix,
        })
    }
}

/// An address alone is the network of just that address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("MARMALADE_TRUSTED_PROXIES: {text} is neither an address nor a network; expected e.g. 10.0.0.7 or 10.0.0.0/8")
    })
}

/// A value that is written as text, here and in the file.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map(Parsed)
            .map_err(|error| de::Error::custom(format!("{text:?}: {error}")))
    }
}

/// Comma-separated in the environment, an array in the file.
struct List(Vec<String>);

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Text(String),
            Array(Vec<String>),
        }
        let parts = match Form::deserialize(deserializer)? {
            Form::Text(text) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            Form::Array(parts) => parts,
        };
        Ok(Self(
            parts.into_iter().filter(|part: &String| !part.is_empty()).collect(),
        ))
    }
}

/// One line about a value that can't be used: the key, the trouble, what is expected. Values of secret keys are typed
/// as text and accepted by their reader, so none is ever quoted here.
fn explain(error: &figment::Error) -> String {
    let key = error.path.join(".");
    match (&error.kind, KEYS.iter().find(|(name, ..)| matches_key(name, &key))) {
        (figment::error::Kind::UnknownField(field, _), _) => {
            format!("{field} is not a key of the configuration; `marmalade config` lists them all")
        }
        (kind, Some((name, default, meaning))) => format!("{name}: {kind}. Expected: {meaning} (default: {default})"),
        (kind, None) => format!("{key}: {kind}"),
    }
}

fn matches_key(name: &str, key: &str) -> bool {
    name.trim_start_matches("MARMALADE_").eq_ignore_ascii_case(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Config, String> {
        Config::extract(&Figment::new().merge(Toml::string(toml)))
    }

    #[test]
    fn nothing_configured_is_a_development_server_on_loopback() {
        let config = read("").expect("valid");
        assert_eq!(config.mode, Mode::Development);
        assert!(config.listen.ip().is_loopback() && config.demo);
    }

    #[test]
    fn a_database_url_or_an_open_address_means_production() {
        for toml in ["database_url = 'postgres://db/x'", "listen = '0.0.0.0:80'"] {
            let config = read(toml).expect("valid");
            assert_eq!(config.mode, Mode::Production, "{toml}");
            assert!(!config.demo);
        }
        let toml = "database_url = 'postgres://db/x'\nmode = 'development'";
        assert_eq!(read(toml).expect("valid").mode, Mode::Development);
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_expected() {
        for (toml, words) in [
            ("listen = 'everywhere'", ["MARMALADE_LISTEN", "address and port"]),
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
        ] {
            let error = read(toml).expect_err(toml);
            assert!(words.iter().all(|word| error.contains(word)), "{toml} gave: {error}");
        }
    }

    #[test]
    fn addresses_are_kept_as_browsers_send_them() {
        let config = read(
            "allowed_origins = 'https://Exam.Example:443,http://[::1]:80'\nsite_url = 'HTTPS://Exam.Example/app/'",
        );
        let config = config.expect("valid");
        assert_eq!(config.allowed_origins, ["https://exam.example", "http://[::1]"]);
        assert_eq!(config.site_url, "https://exam.example/app");
    }

    #[test]
    fn secrets_are_not_printed() {
        let toml = "database_url = 'postgres://u:hush@db/x'\nsecrets = 'hush-hush-hush-hush-hush-hush-hush'";
        let printed = format!("{:?}", read(toml).expect("valid"));
        assert!(!printed.contains("hush"), "{printed}");
    }

    #[test]
    fn every_key_is_documented() {
        for field in Given::FIELDS {
            assert!(
                KEYS.iter().any(|(name, ..)| matches_key(name, field)),
                "{field} is missing in KEYS"
            );
        }
        assert_eq!(Given::FIELDS.len(), KEYS.len());
    }

    impl Given {
        const FIELDS: &[&str] = &[
            "database_url",
            "database_replica_url",
            "replica_lag_ms",
            "redis_url",
            "redis_prefix",
            "mode",
            "listen",
            "data_dir",
            "secrets",
            "allowed_origins",
            "trusted_proxies",
            "max_connections",
            "site_url",
            "smtp_url",
            "mail_from",
            "time_zone",
            "demo",
            "database_connections",
            "statement_timeout_ms",
            "slow_statement_ms",
            "sqlite_synchronous",
            "board_tick_ms",
            "stop_delay_ms",
            "worker_listen",
            "work",
            "job_retry_ms",
            "job_heartbeat_ms",
            "limit_requests",
            "limit_answers",
            "limit_batches",
            "limit_submits",
            "limit_starts",
            "limit_sign_in_failures",
            "limit_sign_in_failures_of_address",
            "limit_registers",
            "limit_letters",
            "limit_letters_of_address",
            "limit_exports",
            "limit_imports",
            "max_tokens",
            "max_depth",
            "max_complexity",
            "max_aliases",
            "max_root_fields",
            "max_directives",
            "operations",
            "limit_reviews",
            "metrics_token",
            "log",
            "log_format",
        ];
    }
}
