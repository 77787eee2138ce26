//! Days of the site's time zone.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::clock::Time;

/// The first moment of a day. Where the clocks go forward at midnight the day begins at the first hour there is.
pub(crate) fn midnight(day: NaiveDate, zone: Tz) -> Time {
    let from = day.and_time(NaiveTime::MIN);
    (0..4)
        .find_map(|hours| {
            zone.from_local_datetime(&(from + chrono::Duration::hours(hours)))
                .earliest()
        })
        .map_or(Time::from(from.and_utc()), |at| Time::from(at.with_timezone(&Utc)))
}

/// The day of `at` in `zone`, as 2026-11-23.
pub(crate) fn day_of(at: Time, zone: Tz) -> NaiveDate {
    let at: DateTime<Utc> = at.to_utc();
    zone.from_utc_datetime(&at.naive_utc()).date_naive()
}
