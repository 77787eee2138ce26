//! Runs jobs: a process takes as many as it has room for, and keeps them by showing that it lives.

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
    db::persistently,
    entity::job,
    error::{Error, Result},
    id::JobId,
    jobs::lease::{self, End},
    telemetry,
};

/// How many jobs one process runs at the same time.
const AT_ONCE: usize = 16;
/// How long a job of another process may wait until a worker looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// So many heartbeats must be missed until a worker's jobs are another's.
const MISSED_HEARTBEATS: u32 = 3;
/// How long jobs under way may take when the process stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs jobs until shutdown.
pub async fn work(app: App) {
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
    /// The name under which it takes jobs.
    id: Uuid,
    running: JoinSet<()>,
    /// What each task runs.
    held: HashMap<task::Id, JobId>,
}

impl Worker {
    async fn work(mut self) {
        let app = self.app.clone();
        let mut heartbeats = ticks(app.config.job_heartbeat);
        let mut looks = ticks(LOOK_EVERY);
        let mut may_be_more = false;
        loop {
            tokio::select! {
                // A lease that is about to end comes before more jobs.
                biased;
                () = app.shutdown.cancelled() => break,
                _ = heartbeats.tick() => self.show_life().await,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                () = app.jobs.wanted() => may_be_more = true,
                _ = looks.tick() => may_be_more = true,
            }
            let room = AT_ONCE - self.running.len();
            if may_be_more && room > 0 {
                may_be_more = self.take(room).await == room;
            }
        }
        self.drain(heartbeats).await;
    }

    /// Takes jobs and begins them. Returns how many there were.
    async fn take(&mut self, room: usize) -> usize {
        let (now, kinds) = (self.app.clock.now(), KINDS.iter().map(|kind| kind.name));
        let taken = lease::take(self.app.db.write(), kinds, room, self.lease(now), now).await;
        let jobs = taken.unwrap_or_else(|error| {
            tracing::warn!(cause = error.describe(), "a worker could not take jobs");
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

    /// The worker, and when the lease ends that it takes or prolongs now.
    fn lease(&self, now: Time) -> (Uuid, Time) {
        (self.id, now + MISSED_HEARTBEATS * self.app.config.job_heartbeat)
    }

    async fn show_life(&self) {
        let (conn, now) = (self.app.db.write(), self.app.clock.now());
        let shown = async {
            lease::keep(conn, self.held.values().copied(), self.lease(now), now).await?;
            lease::give_up_lost(conn, now).await
        };
        if let Err(error) = shown.await {
            tracing::warn!(cause = error.describe(), "a worker could not show that it lives");
        }
    }

    fn ended(&mut self, ended: Result<(task::Id, ()), JoinError>) {
        let task = ended.map_or_else(|error| error.id(), |(task, ())| task);
        self.held.remove(&task);
    }

    /// Finishes what is under way; what takes too long is another worker's.
    async fn drain(mut self, mut heartbeats: Interval) {
        let deadline = sleep(DRAIN);
        tokio::pin!(deadline);
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                () = &mut deadline => break,
                _ = heartbeats.tick() => self.show_life().await,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
            }
        }
        self.running.shutdown().await;
        if let Err(error) = lease::leave(self.app.db.write(), self.id, self.app.clock.now()).await {
            tracing::warn!(cause = error.describe(), "a worker could not say that it stops");
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Runs a job, and writes how that ended.
async fn run(app: App, job: job::Model) {
    let span = tracing::info_span!("job", kind = job.kind, id = job.id.encode(), attempt = job.attempts);
    async {
        let end = match attempt(&app, &job).await {
            Ok(()) => End::Success,
            Err(error) => {
                let cause = error.describe();
                tracing::warn!(cause, "a job failed");
                End::Failure(cause, app.config.job_retry)
            }
        };
        let finish = || async { lease::finish(app.db.write(), &job, &end, &app.now()).await };
        match persistently(finish).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("a job took longer than its worker could keep it; another worker has it"),
            Err(error) => tracing::warn!(cause = error.describe(), "how a job ended could not be written"),
        }
    }
    .instrument(span)
    .await;
}

async fn attempt(app: &App, job: &job::Model) -> Result<()> {
    let kind = kind(&job.kind).ok_or(Error::NotFound)?;
    let (began, now) = (Instant::now(), app.now());
    if job.attempts == 1 {
        telemetry::job_waited(kind.name, now.at.since(job.wanted_at));
    }
    let outcome = caught(kind.run(app, job, &now)).await;
    telemetry::job_ended(kind.name, outcome.is_ok(), began.elapsed());
    outcome
}

/// A panic is a failure as any other.
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
