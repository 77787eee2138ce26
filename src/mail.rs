//! Mail: over SMTP, or into a folder where none is configured. A letter may hold a link that is as good as a password,
//! so none is ever logged.

use std::{path::Path, sync::Arc, time::Duration};

use lettre::{
    AsyncFileTransport, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::{
    config::{Config, Secret},
    error::{Error, Result},
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

/// A server that is busy gets another chance.
const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_secs(5), Duration::from_secs(60)];

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

    /// Sends a letter in the background: nobody waits for a mail server, or learns from the time whether one was asked.
    pub fn post(&self, letter: Letter) {
        let mail = self.clone();
        tokio::spawn(async move {
            for pause in PAUSES {
                tokio::time::sleep(pause).await;
                match mail.send(&letter).await {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, subject = letter.subject, "a letter could not be sent"),
                }
            }
            tracing::error!(subject = letter.subject, "a letter was given up");
        });
    }

    async fn send(&self, letter: &Letter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let message = Message::builder()
            .from(self.0.from.clone())
            .to(letter.to.parse()?)
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.clone())?;
        match &self.0.transport {
            Transport::Smtp(smtp) => drop(smtp.send(message).await?),
            Transport::Folder(folder) => drop(folder.send(message).await?),
        }
        Ok(())
    }
}

fn folder(data_dir: &Path) -> Result<AsyncFileTransport<Tokio1Executor>> {
    let folder = data_dir.join("mail");
    std::fs::create_dir_all(&folder).map_err(Error::internal)?;
    Ok(AsyncFileTransport::new(folder))
}
