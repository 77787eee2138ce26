//! Background jobs: emails, imports, hourly and daily work.
//!
//! The transaction that causes a job inserts its row ([`row`]): both are there, or neither. A worker claims the row
//! ([`lease`]), runs it as its domain says ([`Run::run`]) and records the outcome. A job runs at least once, so running it
//! twice must do no harm. See docs/jobs.md.

pub mod lease;
mod record;

use std::{sync::Arc, time::Duration};

use confique::Config;
use futures_util::future::BoxFuture;
use sea_orm::ActiveValue::Set;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Notify;

pub use self::record::{Filter, backlog, count, forget};
pub(crate) use self::record::{list, recent, retry, workers};
use crate::{
    clock::{Moment, Time},
    entity::job,
    error::{Error, Result},
    setting::milliseconds,
};

/// The keys of jobs.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// Whether a server does jobs, too; with false `marmalade worker` processes must.
    #[config(env = "MARMALADE_WORK", default = true)]
    pub work: bool,
    /// Pause in milliseconds before a job that failed is tried again, 1 to 300000 (five minutes); doubled each time.
    #[config(
        env = "MARMALADE_JOB_RETRY_MS",
        default = 1000,
        deserialize_with = milliseconds,
        validate((1..=300_000).contains(&retry.as_millis()), "1 to 300000")
    )]
    pub retry: Duration,
    /// Period in milliseconds in which a worker shows that it lives, 1000 to 60000 (a minute); after three it missed its
    /// jobs are another's.
    #[config(
        env = "MARMALADE_JOB_HEARTBEAT_MS",
        default = 5000,
        deserialize_with = milliseconds,
        validate((1000..=60_000).contains(&heartbeat.as_millis()), "1000 to 60000")
    )]
    pub heartbeat: Duration,
}

/// The number of attempts after which a job is given up.
const MAX_ATTEMPTS: i32 = 10;

/// The payload of a kind of job.
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

/// A job that can be run, implemented by the domain that runs it.
pub trait Run: Job {
    /// The state that running it needs.
    type Context: Sync;

    /// Runs the job, enqueued at `enqueued_at`. A failure is retried; a success may be repeated, too.
    fn run(self, on: &Self::Context, enqueued_at: Time, now: &Moment) -> impl Future<Output = Result<()>> + Send;
}

/// A kind of job, with its type erased.
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

/// Wakes the workers of this process.
#[derive(Clone, Default)]
pub struct Queue(Arc<Notify>);

impl Queue {
    /// Wakes the worker of this process; other processes poll every 250 ms.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Waits for [`Self::wake`].
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}

/// The row of a job that is enqueued now. Only a `Change` inserts it: its commit wakes the worker.
pub(crate) fn row<J: Job>(job: &J, now: &Moment) -> Result<job::ActiveModel> {
    Ok(job::ActiveModel {
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
    })
}
