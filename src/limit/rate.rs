//! So many uses in so much time.

use std::{fmt, num::NonZeroU32, str::FromStr, time::Duration};

use governor::Quota;

use crate::clock::Time;

/// So many uses in any stretch of time this long. Written as `30/60s`, `10/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub uses: usize,
    pub per: Duration,
}

impl Rate {
    /// `uses` in any stretch of `per`.
    pub const fn new(uses: usize, per: Duration) -> Self {
        Self { uses, per }
    }

    /// The same as a smooth rate: all uses may come at once, and come back one by one.
    pub(super) fn quota(self) -> Quota {
        let uses = u32::try_from(self.uses)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MAX);
        Quota::with_period(self.each()).map_or_else(|| Quota::per_second(uses), |quota| quota.allow_burst(uses))
    }

    /// The time in which one use comes back, by the smooth rate.
    pub(super) fn each(self) -> Duration {
        let uses = u32::try_from(self.uses).unwrap_or(u32::MAX).max(1);
        (self.per / uses).max(Duration::from_nanos(1))
    }

    /// The same smooth rate with fewer uses at once: the last of them is `longest` behind the first.
    pub(super) fn spanning(self, longest: Duration) -> Self {
        let each = self.each();
        let span = usize::try_from(longest.as_nanos() / each.as_nanos()).unwrap_or(usize::MAX);
        let uses = self.uses.min(span.saturating_add(1));
        Self {
            uses,
            per: each * u32::try_from(uses).unwrap_or(u32::MAX),
        }
    }

    /// The number of uses per hour in the long run.
    pub fn per_hour(self) -> f64 {
        self.uses as f64 * 3600.0 / self.per.as_secs_f64()
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected uses per time, e.g. 30/60s, 10/5m or 10/1h";
        let (uses, per) = text.split_once('/').ok_or(EXPECTED)?;
        let units = [('s', 1), ('m', 60), ('h', 3600)];
        let (number, seconds) = units
            .iter()
            .find_map(|(unit, seconds)| Some((per.strip_suffix(*unit)?, seconds)))
            .ok_or(EXPECTED)?;
        let number: u32 = number.parse().map_err(|_| EXPECTED)?;
        match uses.parse() {
            Ok(uses) if uses > 0 && number > 0 => Ok(Self::new(uses, Duration::from_secs(u64::from(number) * seconds))),
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}s", self.uses, self.per.as_secs())
    }
}

/// The budget of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The whole of it.
    pub rate: Rate,
    pub remaining: usize,
    /// The time at which the full budget is available again, without further uses.
    pub reset_at: Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        assert_eq!("30/60s".parse(), Ok(Rate::new(30, Duration::from_secs(60))));
        assert_eq!("10/1h".parse(), Ok(Rate::new(10, Duration::from_secs(3600))));
        for nonsense in [
            "", "30", "30/", "/60s", "30/60", "0/60s", "30/0s", "-1/1s", "30/1d", "3/é",
        ] {
            assert!(nonsense.parse::<Rate>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_shorter_queue_moves_at_the_same_pace() {
        let seconds = Duration::from_secs;
        let spanning = |uses, per| Rate::new(uses, seconds(per)).spanning(seconds(20));
        assert_eq!(spanning(30, 60), Rate::new(11, seconds(22)));
        assert_eq!(spanning(6, 60), Rate::new(3, seconds(30)));
        assert_eq!(spanning(1, 60), Rate::new(1, seconds(60)));
        assert_eq!(spanning(1000, 1), Rate::new(1000, seconds(1)));
    }
}
