//! What servers of one site share over Redis: the channel on which each hears what the others did, and whether Redis
//! can be trusted at present.
//!
//! Redis holds nothing that the tables do not: all of it may be lost at any time. A server that a command of fails, or
//! whose channel is silent, is on its own: boards are answered by the tables, limits count per server, and a request's
//! session is looked up, until it has caught up with what it missed (see [`Health`]).
//!
//! Every key begins with the site's prefix. The keys of one board, and those of one limit of one client, share a hash
//! tag; no command touches two of them, so a cluster may lay them where it likes.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use redis::{
    Client, ErrorKind, FromRedisValue, Msg, Pipeline, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use serde::{Deserialize, Serialize};
use tokio::{
    select,
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    limit,
    outbox::{self, Event},
    ranks::question::Move,
};

/// How far this server can rely on Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is on its own.
    Away,
    /// It hears the others again, and makes up for what it missed.
    CatchingUp,
    /// What Redis says holds.
    Well,
}

/// The connection to Redis, cheap to clone.
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    client: Client,
    manager: ConnectionManager,
    prefix: String,
    /// Tells the own messages from those of others.
    server: Uuid,
    health: watch::Sender<Health>,
    /// Told when a command failed.
    failed: Notify,
    /// Whether the log has the present trouble already.
    said: AtomicBool,
}

/// What goes over the channel. Without an event it only says that the channel is alive.
#[derive(Serialize, Deserialize)]
struct Message {
    from: Uuid,
    event: Option<Event>,
    #[serde(default)]
    moves: Vec<Move>,
}

/// A command waits no longer: the tables are faster then.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a server says something on the channel, if only to hear itself.
const BEAT: Duration = Duration::from_secs(1);
/// A channel on which nothing was heard that long is dead, whatever the operating system thinks of its connection.
const SILENCE: Duration = Duration::from_secs(6);
/// How long to wait before Redis is tried again.
const AGAIN: Duration = Duration::from_millis(500);

impl Fleet {
    /// Over the Redis at `url`. Whether it is there shows later: a server starts without it, too. To be called within a
    /// runtime.
    pub fn new(url: &str, prefix: &str) -> Result<Self> {
        let client = Client::open(url).map_err(Error::internal)?;
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_response_timeout(Some(PATIENCE))
            .set_connection_timeout(Some(PATIENCE))
            .set_pipeline_buffer_size(10_000);
        let manager = ConnectionManager::new_lazy_with_config(client.clone(), config).map_err(Error::internal)?;
        Ok(Self(Arc::new(Inner {
            client,
            manager,
            prefix: prefix.to_owned(),
            server: Uuid::new_v4(),
            health: watch::Sender::new(Health::Away),
            failed: Notify::new(),
            said: AtomicBool::new(false),
        })))
    }

    /// How far Redis can be relied on.
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

    /// The name of a key beside others of the same `place`, with which commands may take it together.
    pub fn key_at(&self, place: &str, name: &str) -> String {
        format!("{{{}:{place}}}:{name}", self.0.prefix)
    }

    /// Runs commands, all in one go. If that fails this server is on its own from now on.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        if self.health() == Health::Away {
            return Err(Error::internal("Redis is away"));
        }
        self.try_run(commands).await.map_err(|error| {
            self.0.health.send_replace(Health::Away);
            self.0.failed.notify_one();
            Error::internal(error)
        })
    }

    async fn try_run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, RedisError> {
        commands.query_async(&mut self.0.manager.clone()).await
    }

    /// Tells the other servers what has happened, and whom it moved on the boards.
    pub async fn publish(&self, news: Option<(&Event, &[Move])>) -> Result<()> {
        let (event, moves) = news.unzip();
        let message = Message {
            from: self.0.server,
            event: event.cloned(),
            moves: moves.unwrap_or_default().to_vec(),
        };
        let text = serde_json::to_string(&message).map_err(Error::internal)?;
        let mut commands = Pipeline::new();
        commands.cmd("PUBLISH").arg(self.key("events")).arg(text).ignore();
        self.run(&commands).await
    }

    /// For a command that does its work beside the servers: relies on Redis as it is now.
    pub async fn join(&self) -> Result<()> {
        self.teach().await.map_err(|error| {
            let cause = error.cause().map(ToString::to_string).unwrap_or_default();
            Error::internal(format!("REDIS_URL: {cause}"))
        })?;
        self.0.health.send_replace(Health::Well);
        Ok(())
    }

    /// What Redis does when its memory is full.
    pub async fn eviction(&self) -> Result<String> {
        let mut commands = Pipeline::new();
        commands.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        let answer = timeout(PATIENCE, self.try_run::<(Vec<String>,)>(&commands)).await;
        let (mut answer,) = answer.map_err(Error::internal)?.map_err(Error::internal)?;
        answer.pop().ok_or_else(unexpected)
    }

    /// Hears what other servers do and answers for [`Health`], until the server stops.
    pub async fn keep(self, app: App) {
        loop {
            let ended = select! {
                Err(error) = self.follow(&app) => error,
                () = app.shutdown.cancelled() => return,
            };
            self.0.health.send_replace(Health::Away);
            if !self.0.said.swap(true, Ordering::Relaxed) {
                tracing::warn!(cause = ?ended.cause(), "Redis is away: boards come from the tables, limits count per server");
            }
            // Whoever was let in while others were not heard of is still let in for 15 minutes at most.
            if let Err(cause) = app.revocations.load(app.db.read(), app.clock.now()).await {
                tracing::warn!(?cause, "what was revoked could not be read and is tried again");
            }
            app.boards.wake();
            sleep(AGAIN).await;
        }
    }

    /// From a new connection to its end.
    async fn follow(&self, app: &App) -> Result<Infallible> {
        let connect = async {
            let mut channel = self.0.client.get_async_pubsub().await?;
            channel.subscribe(self.key("events")).await?;
            Ok::<_, RedisError>(channel)
        };
        let channel = timeout(PATIENCE, connect).await.map_err(Error::internal)?;
        let channel = channel.map_err(Error::internal)?;
        self.teach().await?;
        // From here on everything is heard. What was missed before is in the tables and in the outbox.
        self.0.health.send_replace(Health::CatchingUp);
        catch_up(app).await?;
        self.0.health.send_replace(Health::Well);
        self.0.said.store(false, Ordering::Relaxed);
        tracing::info!("Redis is there");
        app.boards.wake();

        let (mut messages, mut heard) = (channel.into_on_message(), Instant::now());
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            select! {
                message = messages.next() => {
                    let message = message.ok_or_else(|| Error::internal("the channel was closed"))?;
                    heard = Instant::now();
                    self.hear(app, &message).await;
                }
                _ = beats.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Err(Error::internal("nothing is heard on the channel"));
                    }
                    self.publish(None).await?;
                }
                () = self.0.failed.notified() => return Err(Error::internal("a command failed")),
            }
        }
    }

    /// Gives Redis the scripts.
    async fn teach(&self) -> Result<()> {
        let mut scripts = Pipeline::new();
        for script in crate::ranks::shared::scripts().chain(limit::shared::scripts()) {
            scripts.cmd("SCRIPT").arg("LOAD").arg(script).ignore();
        }
        self.try_run(&scripts).await.map_err(Error::internal)
    }

    async fn hear(&self, app: &App, message: &Msg) {
        match serde_json::from_slice(message.get_payload_bytes()) {
            Ok(Message {
                from,
                event: Some(event),
                moves,
            }) if from != self.0.server => outbox::hear(app, &event, &moves).await,
            Ok(_) => {}
            // Written by a newer release; what it tells is in the tables, too.
            Err(error) => tracing::warn!(%error, "a message of an unknown kind was passed over"),
        }
    }
}

/// Makes up for what was not heard: what was revoked is read, what was kept is read anew, and what could not be
/// delivered is.
async fn catch_up(app: &App) -> Result<()> {
    app.revocations.load(app.db.read(), app.clock.now()).await?;
    app.profiles.forget_all();
    app.papers.forget_all();
    while outbox::relay(app).await? > 0 {}
    Ok(())
}

/// What Redis answered is not what it should be.
pub fn unexpected() -> Error {
    Error::internal(RedisError::from((
        ErrorKind::UnexpectedReturnType,
        "an unexpected answer",
    )))
}
