//! A transaction with its events, jobs and audit entries.
//!
//! Only a [`Change`] records events and jobs, and only [`Change::commit`] commits its transaction: it announces the
//! events, commits, delivers them, and wakes the workers. No rule can forget any of it.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExecResult, QueryResult,
    Statement,
};

use crate::{
    audit::{self, Entry, Source},
    clock::Moment,
    entity,
    error::{Error, Result},
    jobs::{self, Job},
    outbox::{Event, Topic},
    site::Site,
};

/// The cause of a change: actor, request and time.
#[derive(Clone, Debug)]
pub struct Cause {
    pub source: Source,
    pub now: Moment,
}

/// A transaction in progress. Dropping it rolls back.
pub struct Change<'s> {
    site: &'s Site,
    tx: DatabaseTransaction,
    cause: Cause,
    events: Vec<Event>,
    enqueued: bool,
}

impl Cause {
    /// The cause of changes by the command line or the clock.
    pub fn clock(now: &Moment) -> Self {
        Self {
            source: Source::default(),
            now: now.clone(),
        }
    }

    /// Records what happened outside of a transaction.
    pub async fn audit(&self, site: &Site, entry: Entry) -> Result<()> {
        audit::record(site.db.write(), &site.keys, &self.source, entry, &self.now).await
    }
}

impl<'s> Change<'s> {
    /// Begins a transaction.
    pub async fn begin(site: &'s Site, cause: &Cause) -> Result<Self> {
        Ok(Self {
            site,
            tx: begin(site).await?,
            cause: cause.clone(),
            events: Vec::new(),
            enqueued: false,
        })
    }

    /// The time of the change.
    pub fn now(&self) -> &Moment {
        &self.cause.now
    }

    /// The actor and the request.
    pub fn source(&self) -> &Source {
        &self.cause.source
    }

    /// Records an event, delivered to its followers after the commit.
    pub async fn emit<T: Topic>(&mut self, topic: T) -> Result<()> {
        let event = Event::of(topic)?;
        let row = entity::outbox::ActiveModel {
            id: Set(self.now().id()),
            event: Set(event.json().to_owned()),
            created_at: Set(self.now().at),
        };
        entity::outbox::Entity::insert(row)
            .exec_without_returning(&self.tx)
            .await?;
        self.events.push(event);
        Ok(())
    }

    /// Enqueues a job, run after the commit.
    pub async fn enqueue(&mut self, job: &impl Job) -> Result<()> {
        let row = jobs::row(job, self.now())?;
        entity::job::Entity::insert(row)
            .exec_without_returning(&self.tx)
            .await?;
        self.enqueued = true;
        Ok(())
    }

    /// Records an entry in the audit log.
    pub async fn audit(&self, entry: Entry) -> Result<()> {
        audit::record(&self.tx, &self.site.keys, self.source(), entry, self.now()).await
    }

    /// Commits, then delivers the events and wakes the workers of this process. If the process dies in between, the
    /// relay and the workers of other processes find them in the tables.
    pub async fn commit(self) -> Result<()> {
        let announced = self.site.outbox.announce(&self.events).await;
        self.tx.commit().await?;
        let committed = self.site.clock.now();
        for event in &self.events {
            if let Err(Error::Internal(cause)) = self.site.outbox.deliver(event, committed).await {
                tracing::debug!(?cause, "an event is delivered later, by the relay");
            }
        }
        drop(announced);
        if self.enqueued {
            self.site.jobs.wake();
        }
        Ok(())
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where rules get their transactions")]
async fn begin(site: &Site) -> Result<DatabaseTransaction> {
    site.db.begin().await
}

/// Statements of the transaction.
#[async_trait::async_trait]
impl ConnectionTrait for Change<'_> {
    fn get_database_backend(&self) -> DbBackend {
        self.tx.get_database_backend()
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.tx.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.tx.query_all_raw(statement).await
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.tx.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, statements: &str) -> Result<ExecResult, DbErr> {
        self.tx.execute_unprepared(statements).await
    }
}
