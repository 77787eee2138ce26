//! What must be done, but not while somebody waits for it: emails, imports, what is due every hour or every day.
//!
//! The transaction that causes a job writes one row ([`want`]): both are there, or neither. A worker takes the row
//! ([`lease`]), runs it as its domain says ([`Run::run`]) and writes how it ended. A job is run at least once; so
//! each may be run twice without harm. See docs/jobs.md.

pub mod lease;
mod record;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

pub use self::record::{Backlog, Filter, backlog, count, forget, list, recent, retry, workers};
use crate::{
    clock::{Moment, Time},
    entity::job,
    error::{Error, Result},
};

/// How often a job is tried before it is given up.
const MAX_ATTEMPTS: i32 = 10;

/// A kind of job, and the payload of one: what a transaction may want.
pub trait Job: Serialize + DeserializeOwned + Send {
    /// The name in the table, in logs and in metrics; the API has it in capitals.
    const KIND: &'static str;
    /// The description in the API.
    const ABOUT: &'static str;
    /// Whether the payload holds personal data, such as an address.
    const PERSONAL: bool = false;
    /// Jobs of a higher priority are run first.
    const PRIORITY: i32 = 0;
}

/// How a job is run, by the domain that runs it.
pub trait Run: Job {
    /// What running it takes.
    type Context: Sync;

    /// Runs the job, which was wanted at `wanted_at`. A failure is tried again; a success may be repeated, too.
    fn run(self, on: &Self::Context, wanted_at: Time, now: &Moment) -> impl Future<Output = Result<()>> + Send;
}

/// A kind of job, for whoever can't know its type.
pub struct Kind<C: 'static> {
    pub name: &'static str,
    pub about: &'static str,
    run: for<'a> fn(&'a C, &'a job::Model, &'a Moment) -> BoxFuture<'a, Result<()>>,
}

impl<C: Sync> Kind<C> {
    /// The kind of the jobs of this type.
    pub const fn of<J: Run<Context = C>>() -> Self {
        Self {
            name: J::KIND,
            about: J::ABOUT,
            run: |on, row, now| {
                Box::pin(async move {
                    let job: J = serde_json::from_str(&row.payload).map_err(Error::internal)?;
                    job.run(on, row.wanted_at, now).await
                })
            },
        }
    }

    /// Runs a job of this kind.
    pub async fn run(&self, on: &C, row: &job::Model, now: &Moment) -> Result<()> {
        (self.run)(on, row, now).await
    }
}

/// The way to the workers of this process.
#[derive(Clone, Default)]
pub struct Queue(Arc<Notify>);

impl Queue {
    /// Tells this process that a job is wanted; others notice within a quarter of a second.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits until this process is told so.
    pub async fn wanted(&self) {
        self.0.notified().await;
    }
}

/// Wants a job done, in the transaction that causes it. [`Queue::wake`] after the commit has it done at once.
pub async fn want<J: Job>(conn: &impl ConnectionTrait, job: &J, now: &Moment) -> Result<()> {
    let row = job::ActiveModel {
        id: Set(now.id()),
        kind: Set(J::KIND.into()),
        payload: Set(serde_json::to_string(job).map_err(Error::internal)?),
        personal: Set(J::PERSONAL),
        priority: Set(J::PRIORITY),
        state: Set(job::State::Queued),
        attempts: Set(0),
        max_attempts: Set(MAX_ATTEMPTS),
        wanted_at: Set(now.at),
        run_at: Set(now.at),
        ..Default::default()
    };
    job::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
