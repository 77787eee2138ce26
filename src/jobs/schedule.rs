//! What is due again and again. Whoever moves a schedule on, by one conditional statement, wants its job in the same
//! transaction: of a fleet exactly one does.

use std::time::Duration;

use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Job, want};
use crate::{
    app::App,
    calendar::{day_of, midnight},
    clock::{Moment, Time},
    db::sql,
    error::Result,
};

/// How often a process looks whether something is due.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A job that is due again and again.
pub struct Schedule {
    /// As the table has it.
    pub name: &'static str,
    /// What is due.
    pub job: Job,
    /// When it is due after a time, in the site's zone.
    pub next: fn(Time, Tz) -> Time,
}

/// All of them.
pub const SCHEDULES: [Schedule; 2] = [
    Schedule {
        name: "daily_metrics",
        job: Job::DailyMetrics,
        next: after_midnight,
    },
    Schedule {
        name: "purge",
        job: Job::Purge,
        next: next_hour,
    },
];

/// Once the sweep has submitted the last attempts of the day.
fn after_midnight(now: Time, zone: Tz) -> Time {
    let tomorrow = day_of(now, zone).succ_opt().unwrap_or_default();
    midnight(tomorrow, zone) + Duration::from_secs(60)
}

fn next_hour(now: Time, _: Tz) -> Time {
    const HOUR: i64 = 3_600_000_000;
    Time((now.0 / HOUR + 1) * HOUR)
}

#[derive(FromQueryResult)]
struct Due {
    name: String,
    due_at: Time,
}

/// Wants the jobs that are due. One that was never due before is due now.
pub async fn fire(app: &App, now: &Moment) -> Result<()> {
    let known = Due::find_by_statement(sql(app.db.read(), "SELECT name, due_at FROM schedules LIMIT 100", []));
    let known = known.all(app.db.read()).await?;
    for schedule in &SCHEDULES {
        let due = known.iter().find(|due| due.name == schedule.name);
        if due.is_some_and(|due| due.due_at > now.at) {
            continue;
        }
        let tx = app.db.begin().await?;
        let next = (schedule.next)(now.at, app.zone);
        let claim = sql(
            &tx,
            "INSERT INTO schedules (name, due_at) VALUES ($1, $2) \
             ON CONFLICT (name) DO UPDATE SET due_at = $2 WHERE schedules.due_at <= $3",
            [schedule.name.into(), next.into(), now.at.into()],
        );
        if tx.execute_raw(claim).await?.rows_affected() == 0 {
            // Another process was first.
            continue;
        }
        want(&tx, &schedule.job, now).await?;
        tx.commit().await?;
        app.jobs.wake();
    }
    Ok(())
}
