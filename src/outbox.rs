//! Events of commits. A change of standings, sessions, roles or published content records an event in its own
//! transaction ([`crate::change::Change::emit`]) and delivers it right after the commit: to the followers in this
//! process and, in a fleet, to the other servers. If the process dies in between, Redis is unavailable, or another
//! process (the command line) made the change, the relay delivers it. Delivering twice, or out of order, changes
//! nothing.
//!
//! An event is a [`Topic`] of the domain it happens in; a [`Follower`] reads the topics it knows. This module carries
//! JSON, whatever its content.

use std::{any::Any, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    clock::Time,
    db::Db,
    error::{Error, Result},
    fleet::{Fleet, Health},
};

/// A kind of event, defined by the domain that it happens in.
pub trait Topic: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in the outbox and on the channel between servers.
    const KIND: &'static str;
}

/// One event, of any topic.
#[derive(Clone)]
pub struct Event {
    kind: String,
    json: String,
    /// The topic itself, if this process created it.
    topic: Option<Arc<dyn Any + Send + Sync>>,
}

#[derive(Serialize)]
struct Tagged<'t, T> {
    kind: &'static str,
    #[serde(flatten)]
    topic: &'t T,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
}

impl Event {
    /// The event of a topic.
    pub fn of<T: Topic>(topic: T) -> Result<Self> {
        let tagged = Tagged {
            kind: T::KIND,
            topic: &topic,
        };
        Ok(Self {
            kind: T::KIND.to_owned(),
            json: serde_json::to_string(&tagged).map_err(Error::internal)?,
            topic: Some(Arc::new(topic)),
        })
    }

    /// The event that was recorded as `json`.
    pub fn parse(json: String) -> Result<Self, serde_json::Error> {
        let Kind { kind } = serde_json::from_str(&json)?;
        Ok(Self {
            kind,
            json,
            topic: None,
        })
    }

    /// JSON, as the outbox and the channel carry it.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Whether this is an event of the topic.
    pub fn is<T: Topic>(&self) -> bool {
        self.kind == T::KIND
    }

    /// The event as the topic, if it is one of it.
    pub fn read<T: Topic>(&self) -> Option<Arc<T>> {
        if !self.is::<T>() {
            return None;
        }
        if let Some(topic) = &self.topic {
            return topic.clone().downcast().ok();
        }
        // Written by a newer release; its content is in the tables, too.
        let read = serde_json::from_str(&self.json)
            .inspect_err(|error| tracing::warn!(%error, kind = self.kind, "an unreadable event was passed over"));
        read.ok().map(Arc::new)
    }
}

/// Keeps some state up to date with events. An event may arrive twice, and in any order.
#[async_trait::async_trait]
pub trait Follower: Send + Sync {
    /// Called before the commit of an event. The returned value is dropped after its delivery.
    async fn announce(&self, _event: &Event) -> Option<Box<dyn Send + Sync>> {
        None
    }

    /// Applies an event that this server delivers, with the time of its commit.
    async fn follow(&self, event: &Event, committed: Time) -> Result<()>;

    /// Applies an event that another server has delivered.
    async fn receive(&self, event: &Event);

    /// Whether the follower itself publishes such an event to the other servers.
    fn publishes(&self, _event: &Event) -> bool {
        false
    }

    /// Called when the health of the channel changes, to catch up with events missed while it was away.
    async fn channel(&self, _health: Health, _db: &Db, _now: Time) -> Result<()> {
        Ok(())
    }
}

/// Delivers events to the followers in this process and to the other servers.
pub struct Outbox {
    followers: Vec<Arc<dyn Follower>>,
    fleet: Option<Fleet>,
}

impl Outbox {
    /// An outbox with these followers, called in this order.
    pub fn new(followers: Vec<Arc<dyn Follower>>, fleet: Option<Fleet>) -> Self {
        Self { followers, fleet }
    }

    /// Announces events before their commit, until the returned values are dropped.
    pub async fn announce(&self, events: &[Event]) -> Vec<Box<dyn Send + Sync>> {
        let mut announced = Vec::new();
        for event in events {
            for follower in &self.followers {
                announced.extend(follower.announce(event).await);
            }
        }
        announced
    }

    /// Delivers an event that was committed at that time.
    pub async fn deliver(&self, event: &Event, committed: Time) -> Result<()> {
        for follower in &self.followers {
            follower.follow(event, committed).await?;
        }
        match &self.fleet {
            Some(fleet) if !self.followers.iter().any(|follower| follower.publishes(event)) => {
                fleet.publish(Some(event.json())).await
            }
            _ => Ok(()),
        }
    }

    /// Applies an event that another server has delivered.
    pub async fn receive(&self, event: &Event) {
        for follower in &self.followers {
            follower.receive(event).await;
        }
    }

    /// Notifies the followers of the channel's health.
    pub async fn channel(&self, health: Health, db: &Db, now: Time) -> Result<()> {
        for follower in &self.followers {
            follower.channel(health, db, now).await?;
        }
        Ok(())
    }
}
