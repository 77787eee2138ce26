//! A transaction with its events, jobs and audit entries.
//!
//! Only a [`Change`] records events and jobs, and only [`Change::commit`] commits its transaction: it announces the
//! events, commits, delivers them, and wakes the workers. No rule can forget any of it.
//!
//! What an account may do is judged where it commits: a change for a viewer begins by holding the viewer's account, and
//! goes no further if the account or the session is no longer what the access token was issued for. Whoever takes that
//! away holds the same row, so one of the two comes second and sees the other.

use sea_orm::{
    ActiveValue::Set, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, ExecResult, QueryResult,
    Statement,
};

use crate::{
    audit::{self, Entry, Source},
    auth::Viewer,
    clock::Moment,
    entity::{self, session, user},
    error::{Error, Result},
    id::UserId,
    jobs::{self, Job},
    outbox::{Event, Topic},
    site::Site,
};

/// The cause of a change: actor, request and time.
#[derive(Clone, Debug)]
pub struct Cause {
    pub source: Source,
    /// The viewer in whose name it is made; `None`: the command line, the clock, a job, or whoever holds a credential.
    pub viewer: Option<Viewer>,
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
            viewer: None,
            now: now.clone(),
        }
    }

    /// The same request, where a credential in its input decides (a password, a refresh token, a link) and not who sends
    /// it.
    pub(crate) fn by_credential(&self) -> Self {
        Self {
            viewer: None,
            ..self.clone()
        }
    }

    /// Records what happened outside of a transaction.
    pub async fn audit(&self, site: &Site, entry: Entry) -> Result<()> {
        audit::record(site.db.write(), &site.keys, &self.source, entry, &self.now).await
    }
}

impl<'s> Change<'s> {
    /// Begins a transaction. One in the name of a viewer holds the viewer's account.
    pub async fn begin(site: &'s Site, cause: &Cause) -> Result<Self> {
        Ok(Self::holding(site, cause, None).await?.0)
    }

    /// Begins a transaction about an account, which it holds: nobody else changes the account until it ends.
    pub(crate) async fn about(site: &'s Site, cause: &Cause, id: UserId) -> Result<(Self, user::Model)> {
        let (change, held) = Self::holding(site, cause, Some(id)).await?;
        let account = held.into_iter().find(|account| account.id == id);
        Ok((change, account.ok_or(Error::NotFound)?))
    }

    async fn holding(site: &'s Site, cause: &Cause, about: Option<UserId>) -> Result<(Self, Vec<user::Model>)> {
        let change = Self {
            site,
            tx: begin(site).await?,
            cause: cause.clone(),
            events: Vec::new(),
            enqueued: false,
        };
        let viewer = cause.viewer.as_ref();
        let ids: Vec<_> = viewer.map(Viewer::user).into_iter().chain(about).collect();
        if ids.is_empty() {
            return Ok((change, Vec::new()));
        }
        // Both at once, in the order of their ids.
        let held = user::Entity::held(ids).all(&change.tx).await?;
        if let Some(viewer) = viewer {
            let account = held.iter().find(|account| account.id == viewer.user());
            let is_good = |account: &user::Model| {
                account.is_active() && viewer.is_issued_for(account.role, account.access_version)
            };
            // In a statement of its own: it sees what was committed while the account was waited for.
            let session = session::Entity::of_access_token(viewer).one(&change.tx).await?;
            if !account.is_some_and(is_good) || session.is_none() {
                return Err(Error::Unauthenticated);
            }
        }
        Ok((change, held))
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
