//! Time and randomness, passed in, so that tests control both.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Utc};
use rand::RngCore;
use sea_orm::DeriveValueType;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A point in time: microseconds since the Unix epoch, UTC. The same in Rust, SQLite and PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, DeriveValueType)]
pub struct Time(pub i64);

impl Time {
    /// The time as chrono has it, for calendars and for the API.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// The duration since `earlier`; zero if that is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.timestamp_micros())
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

impl std::ops::Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)),
        )
    }
}

/// The source of time and randomness: the system, or a test.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Time;

    /// Fills `bytes` with random ones, fit for secrets.
    fn fill(&self, bytes: &mut [u8]);
}

/// The system's clock and its source of randomness.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> Time {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(0) + since_epoch
    }

    fn fill(&self, bytes: &mut [u8]) {
        rand::rng().fill_bytes(bytes);
    }
}

/// The time and the chance of one operation: everything in it happens `at` one time.
#[derive(Clone)]
pub struct Moment {
    /// The time of the operation.
    pub at: Time,
    clock: Arc<dyn Clock>,
    ids: Arc<AtomicU16>,
}

impl Moment {
    /// The present moment of `clock`.
    pub fn of(clock: &Arc<dyn Clock>) -> Self {
        Self {
            at: clock.now(),
            clock: clock.clone(),
            ids: Arc::default(),
        }
    }

    /// The same chance at another time.
    pub fn at(&self, at: Time) -> Self {
        Self {
            at,
            clock: self.clock.clone(),
            ids: self.ids.clone(),
        }
    }

    /// A new id: a version 7 UUID (RFC 9562, section 5.7), ordered by time to the millisecond and then by a counter of
    /// the moment, with 62 bits at random.
    pub fn id<I: From<Uuid>>(&self) -> I {
        let millis = u64::try_from(self.at.0 / 1000).unwrap_or(0);
        let mut rest = self.random::<10>();
        rest[..2].copy_from_slice(&self.ids.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        uuid::Builder::from_unix_timestamp_millis(millis, &rest)
            .into_uuid()
            .into()
    }

    /// Random bytes, fit for secrets.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.clock.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at.fmt(f)
    }
}
