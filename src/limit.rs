//! Rate limits.
//!
//! Limits that promise a count are exact sliding windows, one per limit and student (or address). A use is reserved
//! before the work and may be released (a resumed start, a replayed submit); refused uses don't count. A smooth rate
//! allows more than the promised count inside some window or less than it in a burst; a log of the last uses does
//! neither. Requests as such have a smooth rate, by the crate governor.
//!
//! A single server counts in memory. A fleet counts in Redis, and each of its servers in memory while Redis is
//! unavailable.

pub(crate) mod shared;
pub(crate) mod slots;

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

use confique::Config;
use governor::{Quota, RateLimiter, middleware::StateInformationMiddleware, state::keyed::HashMapStateStore};
use sha2::{Digest, Sha256};

use crate::{
    auth::Viewer,
    clock::{Clock, Time},
    error::{Error, Result},
    fleet::Fleet,
    id::UserId,
    setting::{self, parsed},
    sync::lock,
    telemetry, text,
};

/// The table of limits: what each counts, its variant, its name (in the API, in metrics, in [`Limits`]), its key, and its
/// rate as shipped. The API shows the limits of accounts. Whatever needs all of them is a macro that is handed the table.
macro_rules! limits {
    ($for_each:ident) => {
        $for_each! {
            of_accounts {
                /// Requests of any kind, including this one; counted per account, or per address without a session.
                Request requests "MARMALADE_LIMIT_REQUESTS" "600/60s";
                /// Saving answers, per student.
                Answer answers "MARMALADE_LIMIT_ANSWERS" "30/60s";
                /// Saving batches of answers (`saveAnswers`), per student.
                Batch batches "MARMALADE_LIMIT_BATCHES" "6/60s";
                /// Submitting attempts, per student.
                Submit submits "MARMALADE_LIMIT_SUBMITS" "2/60s";
                /// Starting attempts, per student; resumed attempts do not count.
                Start starts "MARMALADE_LIMIT_STARTS" "10/1h";
                /// Reading reviews (`Attempt.review`), per student.
                Review reviews "MARMALADE_LIMIT_REVIEWS" "10/1h";
                /// Exporting one's own data, per account.
                Export exports "MARMALADE_LIMIT_EXPORTS" "5/1h";
                /// Importing question banks through the API, per account.
                Import imports "MARMALADE_LIMIT_IMPORTS" "6/1h";
            }
            of_strangers {
                /// Failing to sign in, per account and address.
                SignInFailure sign_in_failures "MARMALADE_LIMIT_SIGN_IN_FAILURES" "5/15m";
                /// Failing to sign in, per address (IPv6: per /64), whatever the account.
                SignInFailureOfAddress sign_in_failures_of_address "MARMALADE_LIMIT_SIGN_IN_FAILURES_OF_ADDRESS" "50/15m";
                /// Registering, per address.
                Register registers "MARMALADE_LIMIT_REGISTERS" "60/1h";
                /// Requesting emails with a link, per account.
                Email letters "MARMALADE_LIMIT_LETTERS" "5/1h";
                /// Requesting emails with a link, per address.
                EmailOfAddress letters_of_address "MARMALADE_LIMIT_LETTERS_OF_ADDRESS" "50/1h";
            }
        }
    };
}
pub(crate) use limits;

macro_rules! define {
    (of_accounts { $($accounts:tt)* } of_strangers { $($strangers:tt)* }) => {
        define! { $($accounts)* $($strangers)* }
    };
    ($($(#[$doc:meta])* $limit:ident $name:ident $key:literal $rate:literal;)*) => {
        /// An action that is limited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit {
            $($(#[$doc])* $limit,)*
        }

        /// The rate of each limit.
        #[derive(Clone, Copy, Debug, Config)]
        pub struct Limits {
            $($(#[$doc])* #[config(env = $key, default = $rate, deserialize_with = parsed)] pub $name: Rate,)*
        }

        impl Limit {
            /// Every limit.
            pub const ALL: &[Self] = &[$(Self::$limit),*];

            /// Its name in metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$limit => stringify!($name),)*
                }
            }

            /// Its key in the configuration.
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$limit => $key,)*
                }
            }

            /// Its rate among those that are configured.
            pub fn rate(self, limits: &Limits) -> Rate {
                match self {
                    $(Self::$limit => limits.$name,)*
                }
            }
        }
    };
}
limits!(define);

impl Default for Limits {
    fn default() -> Self {
        setting::defaults()
    }
}

/// The subject of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// An account.
    User(UserId),
    /// A client's address: of IPv6 the first 64 bits, which one subscriber has to themselves.
    Address(IpAddr),
    /// An email address, given from a client's address; whether it has an account is irrelevant.
    Login([u8; 32], IpAddr),
    /// An email address.
    Email([u8; 32]),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{}", user.0),
            Self::Address(address) => write!(f, "address:{address}"),
            Self::Login(email, address) => write!(f, "login:{}:{address}", hex::encode(email)),
            Self::Email(email) => write!(f, "email:{}", hex::encode(email)),
        }
    }
}

impl From<&Viewer> for Who {
    fn from(viewer: &Viewer) -> Self {
        Self::User(viewer.user())
    }
}

impl Who {
    /// The sender of a request: the account, or the client's address without a session.
    pub fn of(viewer: Option<&Viewer>, address: Option<IpAddr>) -> Self {
        viewer.map_or_else(|| Self::address(address), Self::from)
    }

    /// A client's address; clients without one are counted together.
    pub fn address(address: Option<IpAddr>) -> Self {
        Self::Address(subscriber(address))
    }

    /// A claimed email address, from a client's address.
    pub fn login(email: &str, address: Option<IpAddr>) -> Self {
        Self::Login(digest(email), subscriber(address))
    }

    /// The owner of an email address.
    pub fn email(email: &str) -> Self {
        Self::Email(digest(email))
    }
}

fn digest(email: &str) -> [u8; 32] {
    Sha256::digest(text::email_key(email)).into()
}

fn subscriber(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let prefix = address.to_bits() & !u128::from(u64::MAX);
            Ipv6Addr::from_bits(prefix).into()
        }
        Some(address) => address,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}

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
    fn quota(self) -> Quota {
        let uses = u32::try_from(self.uses)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MAX);
        let period = (self.per / uses.get()).max(Duration::from_nanos(1));
        Quota::with_period(period).map_or_else(|| Quota::per_second(uses), |quota| quota.allow_burst(uses))
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

/// The site's clock, for the smooth rate.
struct Ticking(Arc<dyn Clock>);

impl governor::clock::Clock for Ticking {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.now().since(Time(0))
    }
}

type Requests = RateLimiter<Who, HashMapStateStore<Who>, Ticking, StateInformationMiddleware>;

/// A limit and the subject it is counted for.
type Key = (Limit, Who);

/// Counts the uses of one server, or of a fleet.
pub struct Limiter {
    limits: Limits,
    uses: Mutex<HashMap<Key, VecDeque<Time>>>,
    requests: Requests,
    fleet: Option<Fleet>,
}

/// A use that was counted. Dropping it keeps it counted.
#[must_use = "give it back if the work turns out to cost nothing"]
pub struct Reservation<'a> {
    limiter: &'a Limiter,
    key: Key,
    counted: Counted,
}

/// The place where a use was counted.
enum Counted {
    /// In memory, at this time.
    Here(Time),
    /// In Redis, by this name.
    Shared(String),
}

impl Limiter {
    /// A limiter that has counted nothing yet.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>, fleet: Option<Fleet>) -> Self {
        let (quota, store) = (limits.requests.quota(), HashMapStateStore::default());
        Self {
            limits,
            uses: Mutex::default(),
            requests: Requests::new(quota, store, Ticking(clock)),
            fleet,
        }
    }

    /// Counts one request of any kind, or returns the time to wait.
    pub async fn request(&self, who: Who) -> Result<Budget> {
        let counted = self.count_request(who).await;
        counted.inspect_err(|_| telemetry::refused(Limit::Request.name()))
    }

    async fn count_request(&self, who: Who) -> Result<Budget> {
        let rate = self.limits.requests;
        let now = self.requests.clock().0.now();
        if let Some(fleet) = &self.fleet
            && let Ok(counted) = shared::request(fleet, who, rate, now).await
        {
            return counted;
        }
        match self.requests.check_key(&who) {
            Ok(snapshot) => {
                let remaining = usize::try_from(snapshot.remaining_burst_capacity()).unwrap_or(0);
                let used = rate.uses.saturating_sub(remaining) as f64 / rate.uses as f64;
                Ok(Budget {
                    rate,
                    remaining,
                    reset_at: now + rate.per.mul_f64(used),
                })
            }
            Err(refused) => Err(Error::RateLimited(refused.wait_time_from(now.since(Time(0))))),
        }
    }

    /// The remaining budget; counts nothing.
    pub async fn budget(&self, limit: Limit, who: impl Into<Who>, now: Time) -> Budget {
        let rate = limit.rate(&self.limits);
        let key = (limit, who.into());
        if let Some(fleet) = &self.fleet
            && let Ok(budget) = shared::budget(fleet, key, rate, now).await
        {
            return budget;
        }
        let all = lock(&self.uses);
        let uses = all.get(&key).into_iter().flatten();
        let within = uses.filter(|at| now.since(**at) < rate.per);
        let (used, newest) = within.fold((0, None), |(used, _), at| (used + 1, Some(*at)));
        Budget {
            rate,
            remaining: rate.uses.saturating_sub(used),
            reset_at: newest.map_or(now, |newest| newest + rate.per),
        }
    }

    /// Counts one use, or says how long to wait.
    pub async fn reserve(&self, limit: Limit, who: impl Into<Who>, now: Time) -> Result<Reservation<'_>> {
        let counted = self.count(limit, who.into(), now).await;
        counted.inspect_err(|_| telemetry::refused(limit.name()))
    }

    async fn count(&self, limit: Limit, who: Who, now: Time) -> Result<Reservation<'_>> {
        let rate = limit.rate(&self.limits);
        let key = (limit, who);
        let reservation = |counted| Reservation {
            limiter: self,
            key,
            counted,
        };
        if let Some(fleet) = &self.fleet
            && let Ok(counted) = shared::reserve(fleet, key, rate, now).await
        {
            let counted = counted.map_err(Error::RateLimited)?;
            return Ok(reservation(Counted::Shared(counted)));
        }
        let mut all = lock(&self.uses);
        let uses = all.entry(key).or_default();
        while uses.front().is_some_and(|oldest| now.since(*oldest) >= rate.per) {
            uses.pop_front();
        }
        if uses.len() >= rate.uses {
            let free_at = uses[uses.len() - rate.uses] + rate.per;
            return Err(Error::RateLimited(free_at.since(now)));
        }
        uses.push_back(now);
        Ok(reservation(Counted::Here(now)))
    }

    /// Removes subjects without uses in any current window.
    pub fn prune(&self, now: Time) {
        let mut all = lock(&self.uses);
        all.retain(|(limit, _), uses| {
            let per = limit.rate(&self.limits).per;
            uses.back().is_some_and(|newest| now.since(*newest) < per)
        });
        self.requests.retain_recent();
    }
}

impl Reservation<'_> {
    /// The use cost nothing: it is as if it had not been.
    pub async fn release(self) {
        match (&self.counted, &self.limiter.fleet) {
            (Counted::Shared(this), Some(fleet)) => _ = shared::release(fleet, self.key, this).await,
            (Counted::Here(here), _) => {
                let mut all = lock(&self.limiter.uses);
                if let Some(uses) = all.get_mut(&self.key)
                    && let Some(index) = uses.iter().rposition(|at| at == here)
                {
                    uses.remove(index);
                }
            }
            (Counted::Shared(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_of_metrics_names_every_limit() {
        let manual = include_str!("../docs/metrics.md");
        let refusals = manual
            .lines()
            .find(|line| line.contains("limiter_refusals"))
            .expect("a row");
        for limit in Limit::ALL {
            assert!(refusals.contains(&format!("`{}`", limit.name())), "{}", limit.name());
        }
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let who = |text: &str| Who::address(text.parse().ok());
        assert_eq!(who("2001:db8:1:2:3::4"), who("2001:db8:1:2:ffff::"));
        assert_ne!(who("2001:db8:1:2::"), who("2001:db8:1:3::"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
    }

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
}
