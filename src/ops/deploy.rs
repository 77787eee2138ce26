//! `marmalade check --deploy`: what is unsafe about a configuration and its database, before students find out. In
//! production mode the server refuses to start with an [`Severity::Error`] and logs each [`Severity::Warning`].

use std::{fmt, net::IpAddr, path::Path};

use ipnet::IpNet;
use url::Url;

use crate::{
    config::{Config, Mode},
    db::{Db, Synchronous},
    demo,
    error::Result,
    fleet::Fleet,
    limit::{Limit, Limits},
    operation::cost::Bounds,
    secret::Secret,
    telemetry::LogFormat,
    text::url::{POSTGRES, REDIS, SMTP, is_local, is_local_host, password, server_url},
};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The server starts, with a logged warning.
    Warning,
    /// Not to be served in production.
    Error,
}

/// Something that is unsafe, and what to do about it.
#[derive(Debug)]
pub struct Finding {
    pub severity: Severity,
    /// The configuration key, or the command, that fixes it.
    pub about: &'static str,
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}: {}", self.about, self.message)
    }
}

/// Everything found, in the configuration and in the database.
pub async fn check(config: &Config, db: &Db) -> Result<Vec<Finding>> {
    let mut findings = of_config(config);
    findings.extend(of_services(config, db).await?);
    Ok(findings)
}

/// Unsafe settings of the database and Redis. An embedded database may not be there yet.
pub async fn of_services(config: &Config, db: impl Into<Option<&Db>>) -> Result<Vec<Finding>> {
    let db = db.into();
    let mut findings = Vec::new();
    if let Some(Secret(url)) = &config.redis.url {
        findings.extend(of_redis(&Fleet::new(url, &config.redis.prefix, Vec::new())?).await);
    }
    let pending = match db {
        Some(db) => db.missing_migrations().await?,
        None => Db::all_migrations(),
    };
    if pending > 0 {
        let message = format!("{pending} migrations are not applied yet; `serve` will apply them");
        findings.push(warning("marmalade migrate up", message));
    } else if let Some(db) = db
        && demo::is_present(db.read()).await?
    {
        let message = "the database holds demo accounts, whose passwords are public; use another database";
        findings.push(error("DATABASE_URL or MARMALADE_DATA_DIR", message));
    }
    Ok(findings)
}

/// Unsafe settings of Redis.
async fn of_redis(fleet: &Fleet) -> Option<Finding> {
    match fleet.eviction().await {
        Ok(policy) if policy == "noeviction" => None,
        Ok(policy) => Some(error(
            "REDIS_URL",
            format!(
                "Redis drops keys when its memory is full ({policy}), so ranks would be wrong and limits forgotten; set maxmemory-policy to noeviction"
            ),
        )),
        Err(_) => Some(warning(
            "REDIS_URL",
            "Redis can't be asked for its maxmemory-policy, which must be noeviction; without Redis every server is on its own",
        )),
    }
}

/// Unsafe settings of the configuration.
pub fn of_config(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    addresses(config, &mut findings);
    secrets(config, &mut findings);
    mail(config, &mut findings);
    storage(config, &mut findings);
    limits(&config.limits, &mut findings);
    bounds(&config.operations.bounds, &mut findings);
    if config.site.demo {
        let message = "an empty database would be filled with accounts whose passwords are public; set it to false";
        findings.push(error("MARMALADE_DEMO", message));
    }
    if config.telemetry.metrics_token.is_none() {
        let message = "/metrics is closed, so no alert can fire; set a token";
        findings.push(warning("MARMALADE_METRICS_TOKEN", message));
    }
    let shipped = Config::default().database.statement_timeout;
    if config.database.statement_timeout.is_zero() || config.database.statement_timeout > LIFTED * shipped {
        let message = "a statement may hold its connection for ever, or nearly; 30000 is enough";
        findings.push(warning("MARMALADE_STATEMENT_TIMEOUT_MS", message));
    }
    if config.telemetry.log_format == LogFormat::Text {
        findings.push(warning(
            "MARMALADE_LOG_FORMAT",
            "log lines are text; json can be searched",
        ));
    }
    if ["debug", "trace"]
        .iter()
        .any(|level| config.telemetry.log.contains(level))
    {
        let message = "debug and trace log the content of requests; info is enough for production";
        findings.push(warning("MARMALADE_LOG", message));
    }
    findings
}

fn addresses(config: &Config, findings: &mut Vec<Finding>) {
    let open = !config.server.listen.ip().is_loopback();
    if let Some(exposed) = exposed_development(config) {
        findings.push(exposed);
    } else if config.site.mode == Mode::Development {
        let message = "development mode is for the own machine: cookies are not Secure, demo content loads";
        findings.push(error("MARMALADE_MODE", message));
    }
    let is_plain = |url: &str| Url::parse(url).is_ok_and(|url| url.scheme() == "http");
    if leads_here(&config.site.url) {
        let url = &config.site.url;
        let message =
            format!("links in emails would lead to {url}, which is this machine; name the address of the site's pages");
        findings.push(error("MARMALADE_SITE_URL", message));
    } else if is_plain(&config.site.url) {
        let message = "links in emails, which are as good as passwords, lead to plain HTTP; begin it with https://";
        findings.push(error("MARMALADE_SITE_URL", message));
    }
    if let Some(origin) = config.server.allowed_origins.iter().find(|origin| is_plain(origin)) {
        let message = format!("anyone on the network path can change the pages of {origin}; use https://");
        findings.push(error("MARMALADE_ALLOWED_ORIGINS", message));
    } else if config.server.allowed_origins.is_empty() {
        let message = "only pages of the server's own origin can sign in; name the origin of the site";
        findings.push(warning("MARMALADE_ALLOWED_ORIGINS", message));
    }
    if are_too_many(&config.server.trusted_proxies) {
        let message = "so much of the internet is trusted to state the address of a request that limits per address are \
                       void; name the proxies";
        findings.push(error("MARMALADE_TRUSTED_PROXIES", message));
    } else if config.server.trusted_proxies.is_empty() && !is_public(config.server.listen.ip()) {
        let message = "behind a proxy all clients seem to have its address and share the limits of one; name the proxy";
        findings.push(warning("MARMALADE_TRUSTED_PROXIES", message));
    }
    if open && is_public(config.server.listen.ip()) {
        let message = "the server speaks plain HTTP to any network; listen on loopback or a private address behind a proxy \
                       that speaks HTTPS";
        findings.push(warning("MARMALADE_LISTEN", message));
    }
}

/// Development mode where others reach it: at an address that is not this machine's alone, or behind a proxy.
pub fn exposed_development(config: &Config) -> Option<Finding> {
    if config.site.mode != Mode::Development {
        return None;
    }
    let listen = config.server.listen;
    let is_elsewhere = |url: &&String| {
        let host = Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        host.is_some_and(|host| !is_local_host(&host))
    };
    let mut urls = [&config.site.url].into_iter().chain(&config.server.allowed_origins);
    let open_at = match listen.ip().to_canonical().is_loopback() {
        true => urls.find(is_elsewhere)?.clone(),
        false => listen.to_string(),
    };
    let message = format!(
        "development mode at {open_at}, where others reach it: cookies may go unencrypted, /metrics and the schema are open, \
         and anyone can sign in to the demo accounts; set it to production"
    );
    Some(error("MARMALADE_MODE", message))
}

/// Whether the networks together hold more public addresses than any proxies have: as many as a /8 of IPv4, or a /24 of IPv6.
/// (The largest networks of proxies for hire have a /12 and a /29.)
fn are_too_many(networks: &[IpNet]) -> bool {
    let private: [IpNet; 9] = [
        net([10, 0, 0, 0], 8),
        net([100, 64, 0, 0], 10),
        net([127, 0, 0, 0], 8),
        net([169, 254, 0, 0], 16),
        net([172, 16, 0, 0], 12),
        net([192, 168, 0, 0], 16),
        net([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
        net([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
        net([0, 0, 0, 0, 0, 0, 0, 1], 128),
    ];
    let (mut of_ipv4, mut of_ipv6) = (0_u128, 0_u128);
    for network in IpNet::aggregate(&networks.to_vec()) {
        if private.iter().any(|private| private.contains(&network)) {
            continue;
        }
        let size = 1_u128.checked_shl(u32::from(network.max_prefix_len() - network.prefix_len()));
        let sum = match network {
            IpNet::V4(_) => &mut of_ipv4,
            IpNet::V6(_) => &mut of_ipv6,
        };
        *sum = sum.saturating_add(size.unwrap_or(u128::MAX));
    }
    of_ipv4 >= 1 << 24 || of_ipv6 >= 1 << 104
}

fn net(address: impl Into<IpAddr>, prefix: u8) -> IpNet {
    IpNet::new_assert(address.into(), prefix)
}

/// Whether a page's address is that of the machine itself, as it is without MARMALADE_SITE_URL.
pub(crate) fn leads_here(url: &str) -> bool {
    let is_any = |host: &str| {
        host.trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|ip: IpAddr| ip.is_unspecified())
    };
    Url::parse(url).is_ok_and(|url| is_local(&url) || url.host_str().is_some_and(is_any))
}

/// Whether the address is public.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_private() && !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unique_local() && !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

fn secrets(config: &Config, findings: &mut Vec<Finding>) {
    if config.site.secrets.is_empty() && config.database.url.is_some() && config.redis.url.is_none() {
        let message = "the secret is generated into DATA_DIR: a second server, or a container without that folder, would \
                       sign everybody out; configure one";
        findings.push(warning("MARMALADE_SECRETS", message));
    }
    if config.site.secrets.iter().any(|Secret(secret)| is_guessable(secret)) {
        let message = "a secret is guessable, so anyone can sign tokens; make one with `openssl rand -base64 48`";
        findings.push(error("MARMALADE_SECRETS", message));
    }
}

/// Copied from an example, or a repeated character.
fn is_guessable(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let different = secret.chars().collect::<std::collections::BTreeSet<_>>().len();
    different < 12
        || ["change", "secret", "example", "password", "marmalade", "0123456789"]
            .iter()
            .any(|word| lower.contains(word))
}

/// A URL's parts; where there are none, that is what is found.
fn read(
    about: &'static str,
    url: Option<&Secret<String>>,
    schemes: &[&str],
    findings: &mut Vec<Finding>,
) -> Option<Url> {
    let read = |Secret(url): &Secret<String>| server_url(url, schemes);
    let unreadable = |message| findings.push(error(about, message));
    url.and_then(|url| read(url).map_err(unreadable).ok())
}

fn mail(config: &Config, findings: &mut Vec<Finding>) {
    if config.mail.smtp_url.is_none() {
        let message = "emails go to a folder, so password resets are not delivered";
        findings.push(warning("MARMALADE_SMTP_URL", message));
    }
    let smtp = read("MARMALADE_SMTP_URL", config.mail.smtp_url.as_ref(), &SMTP, findings);
    if smtp.is_some_and(|url| url.scheme() == "smtp" && !says(&url, "tls", &["required"]) && !is_local(&url)) {
        let message = "emails and the password may be sent unencrypted; use smtps:// or add ?tls=required";
        findings.push(error("MARMALADE_SMTP_URL", message));
    }
    if config.mail.from.email.domain() == "localhost" {
        let message = "no mail server accepts emails from localhost; name a sender of the site";
        findings.push(warning("MARMALADE_MAIL_FROM", message));
    }
}

fn storage(config: &Config, findings: &mut Vec<Finding>) {
    let urls = [
        ("DATABASE_URL", &config.database.url),
        ("DATABASE_REPLICA_URL", &config.database.replica_url),
    ];
    for (about, url) in urls {
        let Some(url) = read(about, url.as_ref(), &POSTGRES, findings) else {
            continue;
        };
        let encrypted = says(&url, "sslmode", &["require", "verify-ca", "verify-full"]);
        if !is_local(&url) && !encrypted {
            let message = "the connection to another machine may be unencrypted; add ?sslmode=verify-full";
            findings.push(warning(about, message));
        }
        let guessable = ["postgres", "password", "changeme", "marmalade"];
        if password(&url).is_some_and(|password| guessable.contains(&password.as_str())) {
            findings.push(error(about, "the database's password is guessable; choose another"));
        }
    }
    if config.database.url.is_none() && config.database.sqlite_synchronous == Synchronous::Normal {
        let message = "acknowledged answers may be lost in a power failure; full keeps them";
        findings.push(warning("MARMALADE_SQLITE_SYNCHRONOUS", message));
    }
    if let Some(url) = read("REDIS_URL", config.redis.url.as_ref(), &REDIS, findings) {
        if !is_local(&url) && password(&url).is_none() {
            let message = "anyone who reaches Redis can change ranks and limits; set a password";
            findings.push(error("REDIS_URL", message));
        }
        if !is_local(&url) && !matches!(url.scheme(), "rediss" | "valkeys") {
            let message = "the connection to another machine is unencrypted; use rediss://";
            findings.push(warning("REDIS_URL", message));
        }
        if config.site.secrets.is_empty() {
            let message = "each server of a fleet would sign with a secret of its own and refuse the others' tokens; \
                           configure one for all";
            findings.push(error("MARMALADE_SECRETS", message));
        }
    }
    if config.site.time_zone.is_none() {
        let message = "boards follow the days of UTC, for good once the database is made; name the site's zone";
        findings.push(warning("MARMALADE_TIME_ZONE", message));
    }
    for (name, severity) in [("secret", Severity::Error), ("", Severity::Warning)] {
        let file = config.site.data_dir.join(name);
        if others_may_read(&file) {
            findings.push(Finding {
                severity,
                about: "MARMALADE_DATA_DIR",
                message: format!(
                    "every account of this machine may read {0}; chmod go-rwx {0}",
                    file.display()
                ),
            });
        }
    }
}

#[cfg(unix)]
fn others_may_read(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn others_may_read(_: &Path) -> bool {
    false
}

/// Whether a parameter of a URL has one of these values.
fn says(url: &Url, name: &str, values: &[&str]) -> bool {
    url.query_pairs()
        .any(|(key, value)| key == name && values.contains(&&*value))
}

/// Bounds of one operation.
fn bounds(bounds: &Bounds, findings: &mut Vec<Finding>) {
    let shipped = Bounds::default();
    for (about, now, then) in [
        ("MARMALADE_MAX_TOKENS", bounds.tokens, shipped.tokens),
        ("MARMALADE_MAX_DEPTH", bounds.depth, shipped.depth),
        ("MARMALADE_MAX_COMPLEXITY", bounds.complexity, shipped.complexity),
        ("MARMALADE_MAX_ALIASES", bounds.aliases, shipped.aliases),
        ("MARMALADE_MAX_ROOT_FIELDS", bounds.root_fields, shipped.root_fields),
        ("MARMALADE_MAX_DIRECTIVES", bounds.directives, shipped.directives),
    ] {
        if now > then.saturating_mul(LIFTED as usize) {
            let message =
                format!("{now} is over ten times the {then} that is shipped: one operation can occupy the server");
            findings.push(warning(about, message));
        }
    }
}

/// More than this many times a default is no longer tuning.
const LIFTED: u32 = 10;

/// For limits that stop password guessing a lifted one is an error.
fn limits(limits: &Limits, findings: &mut Vec<Finding>) {
    let shipped = Limits::default();
    for limit in Limit::ALL {
        let (now, then) = (limit.rate(limits), limit.rate(&shipped));
        if now.per_hour() <= f64::from(LIFTED) * then.per_hour() {
            continue;
        }
        findings.push(match limit {
            Limit::SignInFailure
            | Limit::SignInFailureOfAddress
            | Limit::SignInFailureOfAccount
            | Limit::SlowedSignInOfAddress
            | Limit::SlowedSignInOfAccount => {
                let message = format!("{now} lets passwords be guessed; {then} is shipped");
                error(limit.key(), message)
            }
            _ => {
                let message = format!("{now} is over ten times the {then} that is shipped: it is no limit");
                warning(limit.key(), message)
            }
        });
    }
}

fn error(about: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Error,
        about,
        message: message.into(),
    }
}

fn warning(about: &'static str, message: impl Into<String>) -> Finding {
    Finding {
        severity: Severity::Warning,
        ..error(about, message)
    }
}
