//! Rate limits. docs/limits.md is their manual.
//!
//! Limits that promise a count are exact sliding windows, one per limit and student (or address). A rule looks first
//! whether something is a use at all, and reserves it right before it takes effect; a use that came to nothing is
//! released. A smooth rate allows more than the promised count inside some window or less than it in a burst; a log of
//! the last uses does neither. Requests as such have a smooth rate, by the crate governor.
//!
//! An address may be a whole school's. What exceeds the limit of an address (or of all addresses that guess at one
//! account) is not refused but waits its turn, at the smooth rate of [`Limit::pace`]; only when the wait would be longer
//! than [`LONGEST_WAIT`] it is refused.
//!
//! A single server counts in memory. A fleet counts in Redis, and each of its servers in memory while Redis is
//! unavailable.

mod rate;
pub(crate) mod shared;
pub(crate) mod slots;
mod who;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use confique::Config;
use governor::{RateLimiter, middleware::StateInformationMiddleware, state::keyed::HashMapStateStore};

pub use self::{
    rate::{Budget, Rate},
    who::Who,
};
use crate::{
    clock::{Clock, Time},
    error::{Error, Result},
    fleet::Fleet,
    setting::{self, parsed},
    sync::lock,
    telemetry,
};

/// The longest time that a use waits for its turn: less than a request may take.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// The table of limits: what each counts, its variant, its name (in the API, in metrics, in [`Limits`]), its key, and its
/// rate as shipped. The API shows the limits of accounts. Whatever needs all of them is a macro that is handed the table.
macro_rules! limits {
    ($for_each:ident) => {
        $for_each! {
            of_accounts {
                /// Requests of any kind, including this one; counted per account, or per address without a session.
                Request requests "MARMALADE_LIMIT_REQUESTS" "600/60s";
                /// Saving answers, per student; what is stale or refused does not count.
                Answer answers "MARMALADE_LIMIT_ANSWERS" "30/60s";
                /// Saving batches of answers (`saveAnswers`), per student; a batch that saves nothing does not count.
                Batch batches "MARMALADE_LIMIT_BATCHES" "6/60s";
                /// Submitting attempts, per student; what is repeated or refused does not count.
                Submit submits "MARMALADE_LIMIT_SUBMITS" "2/60s";
                /// Starting attempts, per student; what is resumed or refused does not count.
                Start starts "MARMALADE_LIMIT_STARTS" "10/1h";
                /// Exporting one's own data, per account.
                Export exports "MARMALADE_LIMIT_EXPORTS" "5/1h";
                /// Importing question banks through the API, per account; refused files do not count.
                Import imports "MARMALADE_LIMIT_IMPORTS" "6/1h";
                /// Uploading pictures, per account; refused files do not count.
                Picture pictures "MARMALADE_LIMIT_PICTURES" "120/1h";
            }
            of_strangers {
                /// Failing to sign in, per account and address, or per known device of an account.
                SignInFailure sign_in_failures "MARMALADE_LIMIT_SIGN_IN_FAILURES" "5/15m";
                /// Failing to sign in on unknown devices, per address (IPv6: per /64), whatever the account; more are slowed.
                SignInFailureOfAddress sign_in_failures_of_address "MARMALADE_LIMIT_SIGN_IN_FAILURES_OF_ADDRESS" "50/15m";
                /// Failing to sign in on unknown devices, per account, whatever the address; more are slowed.
                SignInFailureOfAccount sign_in_failures_of_account "MARMALADE_LIMIT_SIGN_IN_FAILURES_OF_ACCOUNT" "50/15m";
                /// The pace of sign-ins of an address beyond its failures.
                SlowedSignInOfAddress slowed_sign_ins_of_address "MARMALADE_LIMIT_SLOWED_SIGN_INS_OF_ADDRESS" "30/60s";
                /// The pace of sign-ins to an account beyond its failures.
                SlowedSignInOfAccount slowed_sign_ins_of_account "MARMALADE_LIMIT_SLOWED_SIGN_INS_OF_ACCOUNT" "6/60s";
                /// Registering, per address; more are slowed.
                Register registers "MARMALADE_LIMIT_REGISTERS" "60/1h";
                /// The pace of registrations of an address beyond its limit.
                SlowedRegister slowed_registers "MARMALADE_LIMIT_SLOWED_REGISTERS" "3/60s";
                /// Requesting emails with a link, per account.
                Email letters "MARMALADE_LIMIT_LETTERS" "5/1h";
                /// Requesting emails with a link, per address; more are slowed.
                EmailOfAddress letters_of_address "MARMALADE_LIMIT_LETTERS_OF_ADDRESS" "50/1h";
                /// The pace of emails with a link that an address requests beyond its limit.
                SlowedEmailOfAddress slowed_letters_of_address "MARMALADE_LIMIT_SLOWED_LETTERS_OF_ADDRESS" "3/60s";
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

impl Limit {
    /// The smooth rate at which uses go on beyond this limit; without one they are refused.
    pub fn pace(self) -> Option<Self> {
        match self {
            Self::SignInFailureOfAddress => Some(Self::SlowedSignInOfAddress),
            Self::SignInFailureOfAccount => Some(Self::SlowedSignInOfAccount),
            Self::Register => Some(Self::SlowedRegister),
            Self::EmailOfAddress => Some(Self::SlowedEmailOfAddress),
            _ => None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        setting::defaults()
    }
}

/// The site's clock, for the smooth rates.
struct Ticking(Arc<dyn Clock>);

impl governor::clock::Clock for Ticking {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.now().since(Time(0))
    }
}

type Smooth = RateLimiter<Who, HashMapStateStore<Who>, Ticking, StateInformationMiddleware>;

fn smooth(rate: Rate, clock: &Arc<dyn Clock>) -> Smooth {
    Smooth::new(rate.quota(), HashMapStateStore::default(), Ticking(clock.clone()))
}

/// A limit and the subject it is counted for.
type Key = (Limit, Who);

/// Counts the uses of one server, or of a fleet.
pub struct Limiter {
    limits: Limits,
    clock: Arc<dyn Clock>,
    uses: Mutex<HashMap<Key, VecDeque<Use>>>,
    requests: Smooth,
    paces: HashMap<Limit, Smooth>,
    fleet: Option<Fleet>,
}

/// A use in memory.
struct Use {
    at: Time,
    name: Option<String>,
}

/// A use that was refused, for the time being. It is counted among the refusals once it becomes an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub limit: Limit,
    /// The same is allowed after this long.
    pub wait: Duration,
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        telemetry::refused(refused.limit.name());
        Self::RateLimited(refused.wait)
    }
}

/// A use that was counted. Dropping it keeps it counted.
#[must_use = "give it back if the work turns out to cost nothing"]
pub struct Reservation<'a> {
    counted: Option<(&'a Limiter, Key, Counted)>,
    wait: Duration,
}

/// The place where a use was counted.
enum Counted {
    /// In memory, at this time, by this name.
    Here(Time, Option<String>),
    /// In Redis, by this name.
    Shared(String),
}

/// Uses of several limits, all counted. Dropping them keeps them counted.
#[must_use = "give them back if the work turns out to cost nothing"]
#[derive(Default)]
pub struct Reservations<'a>(Vec<Reservation<'a>>);

/// What a rule takes a use from, once it knows that there is one: a limit of the viewer's, or none at all for what the
/// site does itself.
#[derive(Clone, Copy)]
pub struct Allowance<'a>(Option<(&'a Limiter, Key)>);

impl<'a> Allowance<'a> {
    /// For demo content and tests of rules.
    pub const UNLIMITED: Self = Self(None);

    /// Counts one use, or says how long to wait.
    pub async fn reserve(self, now: Time) -> Result<Reservation<'a>, Refused> {
        self.reserve_as(None, now).await
    }

    /// Counts one use, or says how long to wait. By its name the same use is counted once, however often and from
    /// wherever it is tried: release it only if it can't take effect any more.
    pub async fn reserve_for(self, name: String, now: Time) -> Result<Reservation<'a>, Refused> {
        self.reserve_as(Some(name), now).await
    }

    async fn reserve_as(self, name: Option<String>, now: Time) -> Result<Reservation<'a>, Refused> {
        match self.0 {
            Some((limiter, (limit, who))) => limiter.reserve_as(limit, who, name, now).await,
            None => Ok(Reservation {
                counted: None,
                wait: Duration::ZERO,
            }),
        }
    }
}

impl Limiter {
    /// A limiter that has counted nothing yet.
    pub fn new(limits: Limits, clock: Arc<dyn Clock>, fleet: Option<Fleet>) -> Self {
        let paces = Limit::ALL.iter().filter_map(|limit| limit.pace());
        Self {
            uses: Mutex::default(),
            requests: smooth(limits.requests, &clock),
            paces: paces
                .map(|pace| (pace, smooth(pace_of(pace, &limits), &clock)))
                .collect(),
            limits,
            clock,
            fleet,
        }
    }

    /// Counts one request of any kind, or says how long to wait.
    pub async fn request(&self, who: Who) -> Result<Budget, Refused> {
        self.flow(Limit::Request, who, self.limits.requests, &self.requests)
            .await
    }

    /// Counts one use at a smooth rate.
    async fn flow(&self, limit: Limit, who: Who, rate: Rate, here: &Smooth) -> Result<Budget, Refused> {
        let now = self.clock.now();
        let refused = |wait| Refused { limit, wait };
        if let Some(fleet) = &self.fleet
            && let Ok(counted) = shared::flow(fleet, (limit, who), rate, now).await
        {
            return counted.map_err(refused);
        }
        match here.check_key(&who) {
            Ok(snapshot) => {
                let remaining = usize::try_from(snapshot.remaining_burst_capacity()).unwrap_or(0);
                let used = rate.uses.saturating_sub(remaining) as f64 / rate.uses as f64;
                Ok(Budget {
                    rate,
                    remaining,
                    reset_at: now + rate.per.mul_f64(used),
                })
            }
            Err(negative) => Err(refused(negative.wait_time_from(now.since(Time(0))))),
        }
    }

    /// Takes a place in the queue of those beyond a limit, and says how long until its turn comes.
    async fn queue(&self, pace: Limit, who: Who) -> Result<Duration, Refused> {
        let rate = pace_of(pace, &self.limits);
        let budget = self.flow(pace, who, rate, &self.paces[&pace]).await?;
        let before = rate.uses.saturating_sub(budget.remaining + 1);
        Ok(rate.each() * u32::try_from(before).unwrap_or(u32::MAX))
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
        let within = uses.filter(|a_use| now.since(a_use.at) < rate.per);
        let (used, newest) = within.fold((0, None), |(used, _), a_use| (used + 1, Some(a_use.at)));
        Budget {
            rate,
            remaining: rate.uses.saturating_sub(used),
            reset_at: newest.map_or(now, |newest| newest + rate.per),
        }
    }

    /// What a rule takes a use of this limit from.
    pub fn allowance(&self, limit: Limit, who: impl Into<Who>) -> Allowance<'_> {
        Allowance(Some((self, (limit, who.into()))))
    }

    /// Counts one use, or says how long to wait.
    pub async fn reserve(&self, limit: Limit, who: impl Into<Who>, now: Time) -> Result<Reservation<'_>, Refused> {
        self.reserve_as(limit, who.into(), None, now).await
    }

    /// Counts one use of each limit, or of none.
    pub async fn reserve_all(
        &self,
        keys: impl IntoIterator<Item = (Limit, Who)>,
        now: Time,
    ) -> Result<Reservations<'_>, Refused> {
        let mut reserved = Reservations::default();
        for (limit, who) in keys {
            match self.reserve(limit, who, now).await {
                Ok(reservation) => reserved.0.push(reservation),
                Err(refused) => {
                    reserved.release().await;
                    return Err(refused);
                }
            }
        }
        Ok(reserved)
    }

    async fn reserve_as(
        &self,
        limit: Limit,
        who: Who,
        name: Option<String>,
        now: Time,
    ) -> Result<Reservation<'_>, Refused> {
        match self.count((limit, who), name, now).await {
            Ok(counted) => Ok(Reservation {
                counted: Some((self, (limit, who), counted)),
                wait: Duration::ZERO,
            }),
            Err(wait) => match limit.pace() {
                Some(pace) => Ok(Reservation {
                    counted: None,
                    wait: self.queue(pace, who).await?,
                }),
                None => Err(Refused { limit, wait }),
            },
        }
    }

    async fn count(&self, key: Key, name: Option<String>, now: Time) -> Result<Counted, Duration> {
        let rate = key.0.rate(&self.limits);
        if let Some(fleet) = &self.fleet
            && let Ok(counted) = shared::reserve(fleet, key, name.as_deref(), rate, now).await
        {
            return counted.map(Counted::Shared);
        }
        let mut all = lock(&self.uses);
        let uses = all.entry(key).or_default();
        while uses.front().is_some_and(|oldest| now.since(oldest.at) >= rate.per) {
            uses.pop_front();
        }
        let again = name.is_some() && uses.iter().any(|a_use| a_use.name == name);
        if !again {
            if uses.len() >= rate.uses {
                let free_at = uses[uses.len() - rate.uses].at + rate.per;
                return Err(free_at.since(now));
            }
            uses.push_back(Use {
                at: now,
                name: name.clone(),
            });
        }
        Ok(Counted::Here(now, name))
    }

    /// Removes subjects without uses in any current window.
    pub fn prune(&self, now: Time) {
        let mut all = lock(&self.uses);
        all.retain(|(limit, _), uses| {
            let per = limit.rate(&self.limits).per;
            uses.back().is_some_and(|newest| now.since(newest.at) < per)
        });
        self.requests.retain_recent();
        self.paces.values().for_each(RateLimiter::retain_recent);
    }
}

/// A pace, with as many in the queue as may wait.
fn pace_of(pace: Limit, limits: &Limits) -> Rate {
    pace.rate(limits).spanning(LONGEST_WAIT)
}

impl Reservation<'_> {
    /// The use cost nothing: it is as if it had not been.
    pub async fn release(self) {
        let Some((limiter, key, counted)) = self.counted else {
            return;
        };
        match (counted, &limiter.fleet) {
            (Counted::Shared(this), Some(fleet)) => _ = shared::release(fleet, key, &this).await,
            (Counted::Here(at, name), _) => {
                let is_this = |a_use: &Use| a_use.name == name && (name.is_some() || a_use.at == at);
                let mut all = lock(&limiter.uses);
                if let Some(uses) = all.get_mut(&key)
                    && let Some(index) = uses.iter().rposition(is_this)
                {
                    uses.remove(index);
                }
            }
            (Counted::Shared(_), None) => {}
        }
    }

    /// Waits for the turn of a use that is beyond the limit; one within it goes on at once.
    pub async fn turn(&self) {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
    }
}

impl Reservations<'_> {
    /// The uses cost nothing: it is as if they had not been.
    pub async fn release(self) {
        for reservation in self.0 {
            reservation.release().await;
        }
    }

    /// Waits until it is the turn of all.
    pub async fn turn(&self) {
        let last = self.0.iter().max_by_key(|reservation| reservation.wait);
        if let Some(last) = last {
            last.turn().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a table whose first cell is a name.
    fn rows<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let cell = format!("| `{name}` |");
        page.lines().filter(|line| line.starts_with(&cell)).collect()
    }

    #[test]
    fn the_manual_has_every_limit_with_its_key_and_its_rate() {
        let manual = include_str!("../../docs/limits.md");
        let shipped = Limits::default();
        for limit in Limit::ALL {
            let [row] = rows(manual, limit.name())[..] else {
                panic!("docs/limits.md needs one row about `{}`", limit.name());
            };
            let cells: Vec<_> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
            assert!(cells.contains(&limit.key()), "{row}");
            let rate = cells.iter().find_map(|cell| cell.parse::<Rate>().ok());
            assert_eq!(rate, Some(limit.rate(&shipped)), "{row}");
            if let Some(pace) = limit.pace() {
                assert!(row.contains(pace.name()), "{row}");
            }
        }
        let keys = manual.matches("| `MARMALADE_LIMIT_").count();
        assert_eq!(
            keys,
            Limit::ALL.len(),
            "docs/limits.md has a row about a limit that is gone"
        );
    }

    #[test]
    fn the_manual_of_metrics_names_every_limit() {
        let manual = include_str!("../../docs/metrics.md");
        let refusals = manual
            .lines()
            .find(|line| line.contains("limiter_refusals"))
            .expect("a row");
        for limit in Limit::ALL.iter().filter(|limit| limit.pace().is_none()) {
            assert!(refusals.contains(&format!("`{}`", limit.name())), "{}", limit.name());
        }
    }
}
