//! Activity of each day, for staff: counted once, after the day is over.

use chrono::NaiveDate;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};

use crate::{
    calendar::{day_of, midnight},
    clock::{Moment, Time},
    db::sql,
    entity::daily_metric,
    error::Result,
    jobs::{Job, Run},
    site::Site,
};

/// The days that are counted at once; more are counted the next time.
const MOST_DAYS: usize = 400;

#[derive(FromQueryResult)]
struct Extent {
    last: Option<String>,
    first: Option<Time>,
}

/// Computes the metrics of completed days.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CountDays {}

impl Job for CountDays {
    const KIND: &'static str = "daily_metrics";
    const ABOUT: &'static str = "Computes the metrics of completed days.";
}

impl Run for CountDays {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        count_days(site, now).await
    }
}

/// Counts the days that are over and not counted yet.
pub async fn count_days(site: &Site, now: &Moment) -> Result<()> {
    let conn = site.db.write();
    let extent = sql(
        conn,
        "SELECT (SELECT max(day) FROM daily_metrics) AS last, (SELECT min(created_at) FROM users) AS first",
        [],
    );
    let Some(extent) = Extent::find_by_statement(extent).one(conn).await? else {
        return Ok(());
    };
    let after_last = extent.last.and_then(|day| day.parse::<NaiveDate>().ok()?.succ_opt());
    let first = extent.first.map(|at| day_of(at, site.zone));
    let Some(from) = after_last.or(first) else {
        return Ok(());
    };
    let today = day_of(now.at, site.zone);
    for day in from.iter_days().take_while(|day| *day < today).take(MOST_DAYS) {
        let next = day.succ_opt().unwrap_or(day);
        let (begins, ends) = (midnight(day, site.zone), midnight(next, site.zone));
        let insert = sql(
            conn,
            "INSERT INTO daily_metrics \
               (day, new_accounts, active_students, attempts_started, attempts_submitted, counted_at) \
             SELECT CAST($1 AS TEXT), \
               (SELECT count(*) FROM users WHERE created_at >= $2 AND created_at < $3), \
               (SELECT count(DISTINCT student_id) FROM attempts WHERE started_at >= $2 AND started_at < $3), \
               (SELECT count(*) FROM attempts WHERE started_at >= $2 AND started_at < $3), \
               (SELECT count(*) FROM attempts WHERE submitted_at >= $2 AND submitted_at < $3), \
               CAST($4 AS BIGINT) \
             ON CONFLICT (day) DO NOTHING",
            [day.to_string().into(), begins.into(), ends.into(), now.at.into()],
        );
        conn.execute_raw(insert).await?;
    }
    Ok(())
}

/// The days from `from` to `until`, both included, as far as they are counted; the oldest first.
pub async fn days(conn: &impl ConnectionTrait, from: NaiveDate, until: NaiveDate) -> Result<Vec<daily_metric::Model>> {
    Ok(daily_metric::Entity::of_days(from, until).all(conn).await?)
}
