//! Mail: over SMTP, or into a folder where none is configured. A letter may hold a link that is as good as a password,
//! so none is ever logged.

use std::{path::Path, sync::Arc};

use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::{
    config::Config,
    error::{Error, Result},
    secret::Secret,
};

/// Sends letters.
#[derive(Clone)]
pub struct Mail(Arc<Inner>);

struct Inner {
    transport: Transport,
    from: Mailbox,
    site: String,
}

enum Transport {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(AsyncFileTransport<Tokio1Executor>),
}

/// Something to tell somebody.
pub struct Letter {
    pub to: String,
    pub subject: &'static str,
    pub text: String,
}

impl Mail {
    /// Mail as it is configured.
    pub fn new(config: &Config) -> Result<Self> {
        let transport = match &config.smtp_url {
            Some(Secret(url)) => Transport::Smtp(
                AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
                    .map_err(|error| Error::internal(format!("MARMALADE_SMTP_URL: {error}")))?
                    .build(),
            ),
            None => Transport::Folder(folder(&config.data_dir)?),
        };
        Ok(Self(Arc::new(Inner {
            transport,
            from: config.mail_from.clone(),
            site: config.site_url.clone(),
        })))
    }

    /// A page of the site, with a token that only the page's script gets to see: browsers keep what follows `#`.
    pub fn link(&self, page: &str, token: &str) -> String {
        format!("{}/{page}#token={token}", self.0.site)
    }

    /// Sends a letter. For a job to do: nobody waits for a mail server, or learns from the time whether one was asked.
    pub async fn send(&self, letter: Letter) -> Result<()> {
        let to = letter.to.parse().map_err(Error::internal)?;
        let message = Message::builder()
            .from(self.0.from.clone())
            .to(to)
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)
            .map_err(Error::internal)?;
        match &self.0.transport {
            Transport::Smtp(smtp) => drop(smtp.send(message).await.map_err(Error::internal)?),
            Transport::Folder(folder) => drop(folder.send(message).await.map_err(Error::internal)?),
        }
        Ok(())
    }
}

fn folder(data_dir: &Path) -> Result<AsyncFileTransport<Tokio1Executor>> {
    let folder = data_dir.join("mail");
    std::fs::create_dir_all(&folder).map_err(Error::internal)?;
    Ok(AsyncFileTransport::new(folder))
}
