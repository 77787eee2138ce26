//! Background tasks, which run until shutdown.

mod channel;
pub mod relay;
pub mod schedule;
mod worker;

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;

pub use self::channel::keep as keep_channel;
use crate::{
    app::App,
    attempt, audit,
    calendar::day_of,
    error::{Error, Result},
    quiz::{names, title},
};

/// Polling interval for jobs of the previous release.
const CARRY_OVER_EVERY: Duration = Duration::from_secs(2);

/// Polling interval for titles of the previous release.
const FOLD_EVERY: Duration = Duration::from_secs(60);

/// Starts the background tasks of a server.
pub fn serve(app: &App, tasks: &TaskTracker) {
    tasks.spawn(keep_channel(app.clone()));
    every(app, tasks, relay::EVERY, |app| async move {
        relay::relay(&app).await.map(drop)
    });
    let sealer = Arc::<audit::seal::Sealer>::default();
    every(app, tasks, audit::seal::SEAL_EVERY, move |app| {
        let sealer = sealer.clone();
        async move { sealer.run(&app.db, &app.keys).await }
    });
    every(app, tasks, app.config.server.board_tick, |app| async move {
        notice_the_day(&app);
        Ok(())
    });
    every(app, tasks, Duration::from_secs(60), |app| async move {
        let now = app.clock.now();
        app.limiter.prune(now);
        app.revocations.prune(now);
        app.boards.prune().await;
        Ok(())
    });
}

/// Starts the background tasks that some process of the site must run, servers or workers. With several processes, each
/// piece of work is done by one of them.
pub(crate) fn work(app: &App, tasks: &TaskTracker) {
    run_jobs(app, tasks);
    every(app, tasks, Duration::from_secs(2), |app| async move {
        attempt::sweep(&app, &app.now()).await?;
        attempt::release::sweep(&app, &app.now()).await.map(drop)
    });
}

/// Runs jobs, and enqueues those on a schedule.
pub fn run_jobs(app: &App, tasks: &TaskTracker) {
    tasks.spawn(worker::work(app.clone()));
    every(app, tasks, schedule::LOOK_EVERY, |app| async move {
        schedule::fire(&app, &app.now()).await
    });
    every(app, tasks, CARRY_OVER_EVERY, carry_over);
    every(app, tasks, FOLD_EVERY, |app| async move {
        names::fold(&app.db).await?;
        title::fold(&app.db).await.map(drop)
    });
}

/// Takes over jobs of servers of the previous release, which may run beside this one during a rollout.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
async fn carry_over(app: App) -> Result<()> {
    let tx = app.db.begin().await?;
    let count = migration::carry_over_jobs(&tx).await?;
    tx.commit().await?;
    if count > 0 {
        tracing::info!(count, "jobs of the previous release were taken over");
        app.jobs.wake();
    }
    Ok(())
}

/// Notifies streams of the start of a new day.
fn notice_the_day(app: &App) {
    let today = day_of(app.clock.now(), app.zone);
    app.days.send_if_modified(|day| std::mem::replace(day, today) != today);
}

/// Runs a task periodically until shutdown.
pub(crate) fn every<W, F>(app: &App, tasks: &TaskTracker, period: Duration, work: W)
where
    W: Fn(App) -> F + Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let app = app.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(period);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = app.shutdown.cancelled() => return,
            }
            if let Err(Error::Internal(cause)) = work(app.clone()).await {
                tracing::error!(?cause, "work in the background failed and is tried again");
            }
        }
    });
}
