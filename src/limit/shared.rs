//! Limits of a fleet: counted in Redis, by the clock of the server that is furthest ahead.

use std::{sync::LazyLock, time::Duration};

use redis::{Pipeline, Script};
use uuid::Uuid;

use super::{Budget, Key, Rate};
use crate::{clock::Time, error::Result, fleet::Fleet};

const RESERVE: &str = include_str!("shared/reserve.lua");
const FLOW: &str = include_str!("shared/flow.lua");

static HASHES: LazyLock<[String; 2]> =
    LazyLock::new(|| [RESERVE, FLOW].map(|script| Script::new(script).get_hash().to_owned()));

/// The scripts that Redis must have loaded before anything is counted.
pub(crate) fn scripts() -> impl Iterator<Item = &'static str> {
    [RESERVE, FLOW].into_iter()
}

/// Counts one use, once by its name, and returns what it is called, or how long to wait.
pub(crate) async fn reserve(
    fleet: &Fleet,
    key: Key,
    this: Option<&str>,
    rate: Rate,
    now: Time,
) -> Result<Result<String, Duration>> {
    let this = this.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let mut commands = Pipeline::new();
    let call = commands.cmd("EVALSHA").arg(&HASHES[0]).arg(1).arg(name(fleet, key));
    call.arg(now.0).arg(micros(rate.per)).arg(rate.uses).arg(&this);
    let (wait,): (i64,) = fleet.run(&commands).await?;
    Ok(u64::try_from(wait).map_or(Ok(this), |wait| Err(Duration::from_micros(wait))))
}

/// A use cost nothing.
pub(crate) async fn release(fleet: &Fleet, key: Key, this: &str) -> Result<()> {
    let mut commands = Pipeline::new();
    commands.cmd("ZREM").arg(name(fleet, key)).arg(this).ignore();
    fleet.run(&commands).await
}

/// The budget of one limit.
pub(crate) async fn budget(fleet: &Fleet, key: Key, rate: Rate, now: Time) -> Result<Budget> {
    let name = name(fleet, key);
    let since = (now - rate.per).0;
    let mut commands = Pipeline::new();
    commands.cmd("ZCOUNT").arg(&name).arg(format!("({since}")).arg("+inf");
    commands.cmd("ZRANGE").arg(&name).arg(-1).arg(-1).arg("WITHSCORES");
    let (used, newest): (usize, Vec<(String, i64)>) = fleet.run(&commands).await?;
    let newest = newest.first().map(|(_, at)| Time(*at)).filter(|_| used > 0);
    Ok(Budget {
        rate,
        remaining: rate.uses.saturating_sub(used),
        reset_at: newest.map_or(now, |newest| newest + rate.per),
    })
}

/// Counts one use at a smooth rate, or says how long to wait.
pub(crate) async fn flow(fleet: &Fleet, (limit, who): Key, rate: Rate, now: Time) -> Result<Result<Budget, Duration>> {
    let mut commands = Pipeline::new();
    let name = fleet.key(&format!("{}:{who}", limit.name()));
    let call = commands.cmd("EVALSHA").arg(&HASHES[1]).arg(1).arg(name);
    let all = micros(rate.per);
    call.arg(now.0).arg((all / rate.uses as u64).max(1)).arg(all);
    let ((left, time),): ((i64, u64),) = fleet.run(&commands).await?;
    let time = Duration::from_micros(time);
    Ok(usize::try_from(left).map_err(|_| time).map(|remaining| Budget {
        rate,
        remaining,
        reset_at: now + time,
    }))
}

fn name(fleet: &Fleet, (limit, who): Key) -> String {
    fleet.key(&format!("{limit:?}:{who}").to_lowercase())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
