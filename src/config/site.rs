//! The keys of the site as a whole.

use std::path::PathBuf;

use chrono_tz::Tz;
use confique::Config;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{
    secret::Secret,
    setting::{list, parsed},
    text::url,
};

/// Identity of the site, and its data folder.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// development or production; without it, production when DATABASE_URL is set or LISTEN is not a loopback address.
    #[config(env = "MARMALADE_MODE", default = "development")]
    pub mode: Mode,
    /// Folder of the embedded database and of the generated secret.
    #[config(env = "MARMALADE_DATA_DIR", default = "data")]
    pub data_dir: PathBuf,
    /// Folder of the files of uploaded pictures; the servers of a site share one. Defaults to `media` in DATA_DIR.
    #[config(env = "MARMALADE_MEDIA_DIR")]
    pub media_dir: Option<PathBuf>,
    /// Secrets of at least 32 characters that sign tokens, separated by commas; the first one signs, all verify, so put
    /// a new one in front to rotate. Without any, one is generated into a file in DATA_DIR.
    #[config(env = "MARMALADE_SECRETS", default = [], deserialize_with = secrets)]
    pub secrets: Vec<Secret<String>>,
    /// Former secrets, separated by commas, that verify what they have sealed in the audit log and nothing else: a secret
    /// that was taken out of SECRETS belongs here.
    #[config(env = "MARMALADE_RETIRED_SECRETS", default = [], deserialize_with = secrets)]
    pub retired_secrets: Vec<Secret<String>>,
    /// IANA name of the time zone of the boards' days, weeks and months, stored at the first start. Defaults to UTC.
    #[config(env = "MARMALADE_TIME_ZONE", deserialize_with = parsed)]
    pub time_zone: Option<Tz>,
    /// Address of the site's pages, for links in emails, e.g. `https://exam.example`; without one, http:// and LISTEN, or localhost with its port.
    #[config(env = "MARMALADE_SITE_URL", default = "http://localhost:8080", deserialize_with = site_url)]
    pub url: String,
    /// Hosts of the pictures that accounts may show, separated by commas, e.g. `www.gravatar.com`. Whoever runs such a host
    /// learns the network address of everybody who sees a board; without any, accounts show no picture.
    #[config(env = "MARMALADE_AVATAR_HOSTS", default = [], deserialize_with = host_names)]
    pub avatar_hosts: Vec<String>,
    /// Whether `register` sends a link to the address and creates the account only once it is redeemed. Then it does not tell
    /// whether an address has an account.
    #[config(env = "MARMALADE_CONFIRM_REGISTRATIONS", default = false)]
    pub confirm_registrations: bool,
    /// Whether only attempts of students who have confirmed their email address count on boards; those of others are
    /// practice. Emails must be sent for it (MAIL keys).
    #[config(env = "MARMALADE_RANKS_CONFIRMED_ONLY", default = false)]
    pub ranks_confirmed_only: bool,
    /// Whether an empty database is filled with demo content at the start; without it, true in development.
    #[config(env = "MARMALADE_DEMO", default = true)]
    pub demo: bool,
}

/// The safety mode of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// On the own machine, over plain HTTP, with demo content.
    Development,
    /// For real students.
    Production,
}

fn secrets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret<String>>, D::Error> {
    let secrets = list(deserializer)?;
    if secrets.iter().any(|secret| secret.len() < 32) {
        return Err(D::Error::custom("a secret has less than 32 characters"));
    }
    Ok(secrets.into_iter().map(Secret).collect())
}

fn host_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let host =
        |text: String| url::host_name(&text).ok_or_else(|| D::Error::custom(format!("{text} is not a host name")));
    list(deserializer)?.into_iter().map(host).collect()
}

/// Without a slash at its end.
fn site_url<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url = url::site_url(&text).ok_or_else(|| D::Error::custom(format!("{text} is not an address of pages")))?;
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
