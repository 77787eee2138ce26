//! The connection of a site's servers over Redis: the channel on which each receives the events of the others, and
//! whether Redis can be relied on at present.
//!
//! Redis holds nothing that is not in the tables: all of it may be lost at any time. A server whose command fails, or
//! whose channel is silent, runs without Redis: boards are answered from the tables, limits count per server, and each
//! request looks its session up, until the server has caught up (see [`Health`]).
//!
//! Every key begins with the site's prefix. The keys of one board, and those of one limit of one client, share a hash
//! tag; no command touches the keys of two, so a cluster may place them anywhere.

use std::{sync::Arc, time::Duration};

use confique::Config;
use futures_util::{Stream, StreamExt};
use redis::{
    Client, ErrorKind, FromRedisValue, Msg, Pipeline, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    secret::Secret,
    text::url::{self, server_url},
};

/// The keys of Redis.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// redis://user:password@host:6379/0, for several servers on one PostgreSQL; Valkey serves as well.
    #[config(env = "REDIS_URL", validate = can_be_opened)]
    pub url: Option<Secret<String>>,
    /// Beginning of the names of all keys in Redis, one per site; at least one character, and no braces.
    #[config(env = "MARMALADE_REDIS_PREFIX", default = "marmalade", deserialize_with = prefix)]
    pub prefix: String,
}

fn can_be_opened(Secret(text): &Secret<String>) -> std::result::Result<(), String> {
    server_url(text, &url::REDIS)?;
    Client::open(text.as_str()).map(drop).map_err(|error| error.to_string())
}

fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
    let prefix = String::deserialize(deserializer)?;
    if prefix.is_empty() || prefix.contains(['{', '}']) {
        return Err(D::Error::custom(format!("{prefix:?} is empty or has braces")));
    }
    Ok(prefix)
}

/// The state of the connection to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is on its own.
    Disconnected,
    /// Connected again, and reloading what was missed.
    CatchingUp,
    /// Redis can be relied on.
    Connected,
}

/// The connection to Redis, cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    client: Client,
    manager: ConnectionManager,
    prefix: String,
    /// Distinguishes own messages from those of other servers.
    server: Uuid,
    health: watch::Sender<Health>,
    /// Notified when a command failed.
    failed: Notify,
    scripts: Vec<&'static str>,
}

/// A message of the channel. Without an event it only says that the channel is alive.
#[derive(Serialize, Deserialize)]
struct Message {
    from: Uuid,
    event: Option<Box<RawValue>>,
}

/// A command waits no longer: the tables are faster then.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(3);
impl Fleet {
    /// Over the Redis at `url`, which is to know these scripts. Whether it is there shows later: a server starts without
    /// it, too. To be called within a runtime.
    pub fn new(url: &str, prefix: &str, scripts: Vec<&'static str>) -> Result<Self> {
        let client = Client::open(url).map_err(Error::internal)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_response_timeout(Some(COMMAND_TIMEOUT))
            .set_connection_timeout(Some(COMMAND_TIMEOUT))
            .set_pipeline_buffer_size(10_000);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(Error::internal)?;
        Ok(Self(Arc::new(Inner {
            client,
            manager,
            prefix: prefix.to_owned(),
            server: Uuid::new_v4(),
            health: watch::Sender::new(Health::Disconnected),
            failed: Notify::new(),
            scripts,
        })))
    }

    /// The state of the connection to Redis.
    pub fn health(&self) -> Health {
        *self.0.health.borrow()
    }

    /// Waits for a health.
    pub async fn until(&self, health: Health) {
        // The sender lives as long as this does.
        _ = self.0.health.subscribe().wait_for(|now| *now == health).await;
    }

    /// The name of a key.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0.prefix)
    }

    /// A key with a hash tag: keys with the same `place` can be used in one command.
    pub fn tagged_key(&self, hash_tag: &str, name: &str) -> String {
        format!("{{{}:{hash_tag}}}:{name}", self.0.prefix)
    }

    /// Runs commands, all in one go. If that fails this server is on its own from now on.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        if self.health() == Health::Disconnected {
            return Err(Error::internal("Redis is away"));
        }
        self.try_run(commands).await.map_err(|error| {
            self.0.health.send_replace(Health::Disconnected);
            self.0.failed.notify_one();
            Error::internal(error)
        })
    }

    async fn try_run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, RedisError> {
        commands.query_async(&mut self.0.manager.clone()).await
    }

    /// Sends an event to the other servers; without one, a sign of life.
    pub async fn publish(&self, event: Option<&str>) -> Result<()> {
        let event = event.map(|json| RawValue::from_string(json.to_owned())).transpose();
        let message = Message {
            from: self.0.server,
            event: event.map_err(Error::internal)?,
        };
        let text = serde_json::to_string(&message).map_err(Error::internal)?;
        let mut commands = Pipeline::new();
        commands.cmd("PUBLISH").arg(self.key("events")).arg(text).ignore();
        self.run(&commands).await
    }

    /// A new connection to the channel: the events of other servers, and `None` for each sign of life.
    pub async fn subscribe(&self) -> Result<impl Stream<Item = Option<String>> + use<>> {
        let connect = async {
            let mut channel = self.0.client.get_async_pubsub().await?;
            channel.subscribe(self.key("events")).await?;
            Ok::<_, RedisError>(channel)
        };
        let channel = timeout(COMMAND_TIMEOUT, connect).await.map_err(Error::internal)?;
        let own = self.0.server;
        let messages = channel.map_err(Error::internal)?.into_on_message();
        Ok(messages.map(move |message| event_of(&message, own)))
    }

    /// Ends when a command fails.
    pub async fn failed(&self) {
        self.0.failed.notified().await;
    }

    /// Says how far Redis can be relied on from now on.
    pub fn set_health(&self, health: Health) {
        self.0.health.send_replace(health);
    }

    /// For a command that does its work beside the servers: relies on Redis as it is now.
    pub async fn join(&self) -> Result<()> {
        self.load_scripts().await.map_err(|error| {
            let cause = error.cause().map(ToString::to_string).unwrap_or_default();
            Error::internal(format!("REDIS_URL: {cause}"))
        })?;
        self.0.health.send_replace(Health::Connected);
        Ok(())
    }

    /// The `maxmemory-policy` of Redis.
    pub async fn eviction(&self) -> Result<String> {
        let mut commands = Pipeline::new();
        commands.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        let answer = timeout(COMMAND_TIMEOUT, self.try_run::<(Vec<String>,)>(&commands)).await;
        let (mut answer,) = answer.map_err(Error::internal)?.map_err(Error::internal)?;
        answer.pop().ok_or_else(unexpected)
    }

    /// Loads the scripts into Redis.
    pub async fn load_scripts(&self) -> Result<()> {
        let mut scripts = Pipeline::new();
        for script in &self.0.scripts {
            scripts.cmd("SCRIPT").arg("LOAD").arg(*script).ignore();
        }
        self.try_run(&scripts).await.map_err(Error::internal)
    }
}

/// The event of a message, unless this server has sent it itself.
fn event_of(message: &Msg, own: Uuid) -> Option<String> {
    match serde_json::from_slice(message.get_payload_bytes()) {
        Ok(Message { from, event }) if from != own => Some(event?.get().to_owned()),
        Ok(_) => None,
        // Written by a newer release; its content is in the tables, too.
        Err(error) => {
            tracing::warn!(%error, "a message of an unknown kind was passed over");
            None
        }
    }
}

/// The error for an unexpected reply of Redis.
pub(crate) fn unexpected() -> Error {
    Error::internal(RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "an unexpected answer",
    )))
}
