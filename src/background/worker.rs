//! Runs jobs: a process claims as many as it has room for, and extends its leases by a heartbeat.

use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::{
    task::{self, JoinError, JoinSet},
    time::{Interval, MissedTickBehavior, interval, sleep},
};
use tracing::Instrument;
use uuid::Uuid;

use crate::{
    app::{
        App,
        jobs::{KINDS, kind},
    },
    clock::Time,
    db::with_retries,
    entity::job,
    error::{Error, Result},
    id::JobId,
    jobs::lease::{self, End},
    telemetry,
};

/// Maximum number of jobs that one process runs at a time.
const AT_ONCE: usize = 16;
/// Polling interval for jobs enqueued by other processes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A lease expires after so many missed heartbeats.
const MISSED_HEARTBEATS: u32 = 3;
/// The time jobs in progress have when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs jobs until shutdown.
pub(super) async fn work(app: App) {
    let worker = Worker {
        id: app.now().id(),
        running: JoinSet::new(),
        held: HashMap::new(),
        app,
    };
    worker.work().await;
}

struct Worker {
    app: App,
    /// The holder of its leases.
    id: Uuid,
    running: JoinSet<()>,
    /// The job of each task.
    held: HashMap<task::Id, JobId>,
}

impl Worker {
    async fn work(mut self) {
        let app = self.app.clone();
        let mut heartbeats = ticks(app.config.jobs.heartbeat);
        let mut looks = ticks(LOOK_EVERY);
        let mut may_be_more = false;
        loop {
            tokio::select! {
                // Extending leases goes before claiming more jobs.
                biased;
                () = app.shutdown.cancelled() => break,
                _ = heartbeats.tick() => self.heartbeat().await,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                () = app.jobs.woken() => may_be_more = true,
                _ = looks.tick() => may_be_more = true,
            }
            let room = AT_ONCE - self.running.len();
            if may_be_more && room > 0 {
                may_be_more = self.claim(room).await == room;
            }
        }
        self.drain(heartbeats).await;
    }

    /// Claims jobs and begins them. Returns how many there were.
    async fn claim(&mut self, room: usize) -> usize {
        let (now, kinds) = (self.app.clock.now(), KINDS.iter().map(|kind| kind.name));
        let claimed = lease::claim(self.app.db.write(), kinds, room, self.lease(now), now).await;
        let jobs = claimed.unwrap_or_else(|error| {
            tracing::warn!(cause = error.describe(), "a worker could not claim jobs");
            Vec::new()
        });
        let count = jobs.len();
        for job in jobs {
            let id = job.id;
            let task = self.running.spawn(run(self.app.clone(), job));
            self.held.insert(task.id(), id);
        }
        count
    }

    /// The holder and the end of a lease that begins at `now`.
    fn lease(&self, now: Time) -> (Uuid, Time) {
        (self.id, now + MISSED_HEARTBEATS * self.app.config.jobs.heartbeat)
    }

    async fn heartbeat(&self) {
        let (conn, now) = (self.app.db.write(), self.app.clock.now());
        let beat = async {
            lease::extend(conn, self.held.values().copied(), self.lease(now), now).await?;
            lease::give_up_lost(conn, now).await
        };
        if let Err(error) = beat.await {
            tracing::warn!(cause = error.describe(), "the heartbeat of a worker failed");
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
        self.held.remove(&task);
    }

    /// Finishes the jobs in progress; those that take too long are released.
    async fn drain(mut self, mut heartbeats: Interval) {
        let deadline = sleep(DRAIN);
        tokio::pin!(deadline);
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                () = &mut deadline => break,
                _ = heartbeats.tick() => self.heartbeat().await,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
            }
        }
        self.running.shutdown().await;
        if let Err(error) = lease::release(self.app.db.write(), self.id, self.app.clock.now()).await {
            tracing::warn!(cause = error.describe(), "the leases of a worker could not be released");
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Runs a job, and records the outcome.
async fn run(app: App, job: job::Model) {
    let span = tracing::info_span!("job", kind = job.kind, id = job.id.encode(), attempt = job.attempts);
    async {
        let end = match attempt(&app, &job).await {
            Ok(()) => End::Success,
            Err(error) => {
                let cause = error.describe();
                tracing::warn!(cause, "a job failed");
                End::Failure(cause, app.config.jobs.retry)
            }
        };
        let finish = || async { lease::finish(app.db.write(), &job, &end, &app.now()).await };
        match with_retries(finish).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the lease of a job was lost; another worker may run it"),
            Err(error) => tracing::warn!(cause = error.describe(), "the outcome of a job could not be recorded"),
        }
    }
    .instrument(span)
    .await;
}

async fn attempt(app: &App, job: &job::Model) -> Result<()> {
    let kind = kind(&job.kind).ok_or(Error::NotFound)?;
    let (began, now) = (Instant::now(), app.now());
    if job.attempts == 1 {
        telemetry::job_started(kind.name, now.at.since(job.wanted_at));
    }
    let outcome = caught(kind.run(app, job, &now)).await;
    telemetry::job_finished(kind.name, outcome.is_ok(), began.elapsed());
    outcome
}

/// Turns a panic into a failure.
async fn caught(run: impl Future<Output = Result<()>>) -> Result<()> {
    AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Err(Error::internal(format!(
            "it panicked: {}",
            text.unwrap_or("without a message")
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let panics = async { panic!("there is no {}", "spoon") };
        let failure = caught(panics).await.map_err(|error| error.describe());
        assert_eq!(failure, Err("it panicked: there is no spoon".to_owned()));
    }
}
