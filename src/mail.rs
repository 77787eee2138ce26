//! Email: over SMTP, or into a folder if none is configured. An email may contain a link that is as good as a password,
//! so none is ever logged.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use confique::Config;
use lettre::{
    Address, AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::{
    error::{Error, Result},
    secret::Secret,
    setting::parsed,
    text::url::{self, server_url},
};

/// The keys of mail.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// smtps://user:password@host or smtp://host?tls=required; without it emails go to the folder mail in DATA_DIR.
    #[config(env = "MARMALADE_SMTP_URL", validate = is_smtp)]
    pub smtp_url: Option<Secret<String>>,
    /// Sender of emails.
    #[config(
        env = "MARMALADE_MAIL_FROM",
        default = "Marmalade <no-reply@localhost>",
        deserialize_with = parsed
    )]
    pub from: Mailbox,
}

fn is_smtp(Secret(text): &Secret<String>) -> std::result::Result<(), String> {
    server_url(text, &url::SMTP).map(drop)
}

/// Sends emails.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    transport: Transport,
    from: Mailbox,
    site: String,
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf, AsyncFileTransport<Tokio1Executor>),
}

/// An email.
pub struct Email {
    pub to: String,
    pub subject: &'static str,
    pub text: String,
}

impl Mail {
    /// Mail as it is configured. Without a mail server it goes into `data_dir`; links lead to pages below `site_url`.
    pub fn new(settings: &Settings, data_dir: &Path, site_url: &str) -> Result<Self> {
        let transport = match smtp(settings)? {
            Some(smtp) => Transport::Smtp(smtp),
            None => folder(data_dir)?,
        };
        Ok(Self(Arc::new(Inner {
            transport,
            from: settings.from.clone(),
            site: site_url.to_owned(),
        })))
    }

    /// A page of the site.
    pub fn page(&self, page: &str) -> String {
        format!("{}/{page}", self.0.site)
    }

    /// Whether the settings can be used. Writes nothing.
    pub(crate) fn check(settings: &Settings) -> Result<()> {
        smtp(settings).map(drop)
    }

    /// A page of the site, with a token that only the page's script gets to see: browsers keep what follows `#`.
    pub fn link(&self, page: &str, token: &str) -> String {
        format!("{}/{page}#token={token}", self.0.site)
    }

    /// Sends an email. For jobs only: no request waits for a mail server, and its timing reveals nothing.
    pub async fn send(&self, email: Email) -> Result<()> {
        let Ok(to) = email.to.parse::<Address>() else {
            // Registered before addresses were held to the grammar; no number of attempts makes it one.
            tracing::warn!(
                subject = email.subject,
                "an email was dropped: its address can't be sent to"
            );
            return Ok(());
        };
        let message = Message::builder()
            .from(self.0.from.clone())
            .to(to.into())
            .subject(email.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(email.text)
            .map_err(Error::internal)?;
        match &self.0.transport {
            Transport::Smtp(smtp) => drop(smtp.send(message).await.map_err(Error::internal)?),
            Transport::Folder(folder, transport) => {
                let name = transport.send(message).await.map_err(Error::internal)?;
                make_private(&folder.join(name).with_extension("eml"))?;
            }
        }
        Ok(())
    }
}

fn smtp(settings: &Settings) -> Result<Option<AsyncSmtpTransport<Tokio1Executor>>> {
    let Some(Secret(url)) = &settings.smtp_url else {
        return Ok(None);
    };
    let smtp = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
        .map_err(|error| Error::internal(format!("MARMALADE_SMTP_URL: {error}")))?;
    Ok(Some(smtp.build()))
}

/// A folder that only this account of the machine can enter, as whoever reads an email has what its link opens.
fn folder(data_dir: &Path) -> Result<Transport> {
    let folder = data_dir.join("mail");
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&folder).map_err(Error::internal)?;
    let transport = AsyncFileTransport::new(&folder);
    Ok(Transport::Folder(folder, transport))
}

#[cfg(unix)]
fn make_private(file: &Path) -> Result<()> {
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(file, owner_only).map_err(Error::internal)
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> Result<()> {
    Ok(())
}
