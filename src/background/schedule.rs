//! Scheduled jobs. The process that advances a schedule, by one conditional statement, enqueues its job in the same
//! transaction: in a fleet exactly one does.

use std::time::Duration;

use chrono_tz::Tz;

use crate::{
    account::own::Purge,
    calendar::{day_of, midnight},
    change::{Cause, Change},
    clock::{Moment, Time},
    dashboard::daily::CountDays,
    entity::schedule,
    error::Result,
    site::Site,
};

/// Polling interval of the schedules.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A schedule.
#[derive(Clone, Copy, Debug)]
pub enum Schedule {
    DailyMetrics,
    Purge,
}

impl Schedule {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::DailyMetrics, Self::Purge];

    /// The name in the table.
    fn name(self) -> &'static str {
        match self {
            Self::DailyMetrics => "daily_metrics",
            Self::Purge => "purge",
        }
    }

    /// The next due time after `now`, in the site's time zone.
    fn next(self, now: Time, zone: Tz) -> Time {
        const HOUR: i64 = 3_600_000_000;
        match self {
            // Once the sweep has submitted the last attempts of the day.
            Self::DailyMetrics => {
                let tomorrow = day_of(now, zone).succ_opt().unwrap_or_default();
                midnight(tomorrow, zone) + Duration::from_secs(60)
            }
            Self::Purge => Time((now.0 / HOUR + 1) * HOUR),
        }
    }

    async fn enqueue(self, change: &mut Change<'_>) -> Result<()> {
        match self {
            Self::DailyMetrics => change.enqueue(&CountDays {}).await,
            Self::Purge => change.enqueue(&Purge {}).await,
        }
    }
}

/// Enqueues the jobs that are due. A new schedule is due at once.
pub async fn fire(site: &Site, now: &Moment) -> Result<()> {
    let known = schedule::Entity::all().all(site.db.read()).await?;
    for schedule in Schedule::ALL {
        let due = known.iter().find(|due| due.name == schedule.name());
        if due.is_some_and(|due| due.due_at > now.at) {
            continue;
        }
        let mut change = Change::begin(site, &Cause::clock(now)).await?;
        let next = schedule.next(now.at, site.zone);
        let claim = schedule::Entity::move_on(schedule.name(), now.at, next);
        if claim.exec_without_returning(&change).await? == 0 {
            // Another process was first.
            continue;
        }
        schedule.enqueue(&mut change).await?;
        change.commit().await?;
    }
    Ok(())
}
