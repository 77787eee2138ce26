//! The index in Redis, for a fleet: all servers query and update the same board.
//!
//! | key of a board | type | holds |
//! |---|---|---|
//! | `order` | sorted set | score: the points, negated; member: when they were reached (8 bytes) and whose they are (16) |
//! | `held` | hash | per student the version and when the points were reached; nothing of the latter for those who left |
//! | `state` | string | `ready`, or who is building it |
//!
//! The set's own order, by score and then by the bytes of the member, is the board's. Scores beyond 2^53 thousandths
//! would not be exact. Each script touches the keys of one board alone and runs as one; `EVALSHA` finds it by its hash.
//!
//! A board is built from the tables by the server of its first query. Updates are applied from the start of the build
//! and carry versions, so the rows of the snapshot and later commits may arrive in any order. It expires without
//! queries, and may be lost with Redis' memory at any time.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use chrono_tz::Tz;
use futures_util::{TryStreamExt, stream::TryChunksError};
use redis::{Pipeline, Script, Value, from_redis_value};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    index::{RankedEntry, Standing, Update},
    question::{Answer, BUILD_WAIT, IDLE_TIMEOUT, Key, Move, Question},
    snapshot::snapshot,
};
use crate::{
    clock::{Clock, Time},
    db::{Db, SELECTS_AT_ONCE},
    error::{Error, Result},
    fleet::{Fleet, Health, unexpected},
    sync::lock,
};

const APPLY: &str = include_str!("shared/apply.lua");
const ASK: &str = include_str!("shared/ask.lua");
const BEGIN: &str = include_str!("shared/begin.lua");
const FINISH: &str = include_str!("shared/finish.lua");

static HASHES: LazyLock<[String; 4]> =
    LazyLock::new(|| [APPLY, ASK, BEGIN, FINISH].map(|script| Script::new(script).get_hash().to_owned()));

/// The scripts that Redis must have loaded before a board is queried.
pub(crate) fn scripts() -> impl Iterator<Item = &'static str> {
    [APPLY, ASK, BEGIN, FINISH].into_iter()
}

/// Time after which another server takes over building a board.
const BUILD_TIMEOUT: Duration = Duration::from_secs(120);
/// Standings of one call: others wait for it some milliseconds.
const ROWS_AT_ONCE: usize = 1_000;
/// Boards of one trip.
const BOARDS_AT_ONCE: usize = 100;
/// Questions of one call.
const QUESTIONS_AT_ONCE: usize = 500;
/// Time after which an announced commit that was never completed no longer holds back `as_of`.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(30);
/// No board has so many standings, and Lua counts that far.
const MAX_STANDINGS: u64 = 1 << 40;

/// The boards of a fleet.
pub(crate) struct Shared {
    fleet: Fleet,
    clock: Arc<dyn Clock>,
    zone: Tz,
    /// The boards that this server is building.
    building: Arc<Mutex<HashSet<Key>>>,
}

impl Shared {
    /// The boards in the fleet's Redis.
    pub(crate) fn new(fleet: Fleet, clock: Arc<dyn Clock>, zone: Tz) -> Self {
        Self {
            fleet,
            clock,
            zone,
            building: Arc::default(),
        }
    }

    /// Announces a commit that changes a student's standings. A server that ends before it says more is waited for half a
    /// minute.
    pub(crate) async fn committing(&self, student: Uuid, version: i64) {
        let now = self.clock.now();
        let mut commands = Pipeline::new();
        commands
            .cmd("ZADD")
            .arg(self.commits())
            .arg(now.0)
            .arg(commit(student, version))
            .ignore();
        // If Redis is unavailable no board depends on it.
        _ = self.fleet.run::<()>(&commands).await;
    }

    /// Applies the updates of a student's commit, each to its board. Boards that are not there stay away. What that changed.
    pub(crate) async fn apply(&self, student: Uuid, version: i64, updates: &[(Key, Update)]) -> Result<Vec<Move>> {
        let mut commands = Pipeline::new();
        for (key, update) in updates {
            self.call(&mut commands, 0, key);
            write_update(&mut commands, update);
        }
        let commit = commit(student, version);
        commands.cmd("ZREM").arg(self.commits()).arg(commit).ignore();
        let changed: Vec<Value> = self.fleet.run(&commands).await?;
        let mut moves = Vec::new();
        for ((key, update), changed) in updates.iter().zip(&changed) {
            moves.extend(read_was(changed)?.map(|was| Move::of(key, update, was)));
        }
        Ok(moves)
    }

    /// Queries a board, if it is built or can be within `BUILD_WAIT`. All answers are as of the same time.
    pub(crate) async fn ask(&self, db: &Db, key: Key, questions: &[Question]) -> Option<Vec<Answer>> {
        let asked = [(key, questions.to_vec())];
        self.ask_each(db, &asked).await.pop().flatten()
    }

    /// Queries boards, as far as they are built or can be within `BUILD_WAIT`. Those that are not there are built
    /// together.
    pub(crate) async fn ask_each(&self, db: &Db, asked: &[(Key, Vec<Question>)]) -> Vec<Option<Vec<Answer>>> {
        let mut answers: Vec<Option<Vec<Answer>>> = asked.iter().map(|_| None).collect();
        if self.fleet.health() != Health::Connected {
            return answers;
        }
        let patience = Instant::now() + BUILD_WAIT;
        loop {
            let open: Vec<usize> = (0..asked.len()).filter(|n| answers[*n].is_none()).collect();
            let Ok(found) = self.look_each(open.iter().map(|n| &asked[*n])).await else {
                return answers;
            };
            for (n, found) in open.iter().zip(found) {
                answers[*n] = found;
            }
            let missing = open.into_iter().filter(|n| answers[*n].is_none());
            let missing: Vec<_> = missing.map(|n| asked[n].0.clone()).collect();
            if missing.is_empty() {
                return answers;
            }
            self.build(db, missing);
            if Instant::now() > patience {
                return answers;
            }
            sleep(BUILD_WAIT / 10).await;
        }
    }

    /// Queries boards that are there, in one trip for each hundred of them.
    async fn look_each(&self, asked: impl Iterator<Item = &(Key, Vec<Question>)>) -> Result<Vec<Option<Vec<Answer>>>> {
        let mut asked: Vec<_> = asked.collect();
        if let [(key, questions)] = &asked[..] {
            return Ok(vec![self.look(key, questions).await?]);
        }
        let mut answers = Vec::new();
        while !asked.is_empty() {
            let now = self.clock.now();
            let mut commands = self.begun(now);
            for (key, questions) in asked.drain(..asked.len().min(BOARDS_AT_ONCE)) {
                self.query(&mut commands, key, questions);
            }
            let mut replies: Vec<Value> = self.fleet.run(&commands).await?;
            let begun = from_redis_value(replies.remove(0)).map_err(Error::internal)?;
            let as_of = exact_until(begun, now);
            for reply in replies {
                answers.push(read_answers(reply, as_of)?);
            }
        }
        Ok(answers)
    }

    async fn look(&self, key: &Key, questions: &[Question]) -> Result<Option<Vec<Answer>>> {
        // Also without a query, because being queried keeps a board.
        let (first, others) = questions.split_at(questions.len().min(QUESTIONS_AT_ONCE));
        let Some(mut answers) = self.look_once(key, first).await? else {
            return Ok(None);
        };
        for questions in others.chunks(QUESTIONS_AT_ONCE) {
            match self.look_once(key, questions).await? {
                Some(some) => answers.extend(some),
                None => return Ok(None),
            }
        }
        Ok(Some(answers))
    }

    async fn look_once(&self, key: &Key, questions: &[Question]) -> Result<Option<Vec<Answer>>> {
        let now = self.clock.now();
        let mut commands = self.begun(now);
        self.query(&mut commands, key, questions);
        let (begun, answers): (Vec<(Vec<u8>, i64)>, Value) = self.fleet.run(&commands).await?;
        read_answers(answers, exact_until(begun, now))
    }

    /// Asks for the first commit that has been announced and not completed. Before the boards: a commit that is
    /// announced later is not promised.
    fn begun(&self, now: Time) -> Pipeline {
        let mut commands = Pipeline::new();
        let since = (now - COMMIT_TIMEOUT).0;
        commands
            .cmd("ZRANGEBYSCORE")
            .arg(self.commits())
            .arg(since)
            .arg("+inf")
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(0)
            .arg(1);
        commands
    }

    fn query(&self, commands: &mut Pipeline, key: &Key, questions: &[Question]) {
        self.call(commands, 1, key);
        commands.arg(IDLE_TIMEOUT.as_millis() as u64);
        for question in questions {
            write_question(commands, question);
        }
    }

    /// All standings of a board in Redis, read in pages so that other commands do not wait.
    pub(crate) async fn all_entries(&self, key: &Key) -> Result<Option<Vec<RankedEntry>>> {
        let mut all: Vec<RankedEntry> = Vec::new();
        loop {
            let last = all.last().map(|entry| entry.standing);
            let page = self.look(key, &[Question::After(last, ROWS_AT_ONCE)]).await?;
            let Some(Answer { entries, .. }) = page.and_then(|mut page| page.pop()) else {
                return Ok(None);
            };
            let is_last = entries.len() < ROWS_AT_ONCE;
            all.extend(entries);
            if is_last {
                return Ok(Some(all));
            }
        }
    }

    /// Has boards built, as far as this server is not at it.
    fn build(&self, db: &Db, mut keys: Vec<Key>) {
        {
            let mut building = lock(&self.building);
            keys.retain(|key| building.insert(key.clone()));
        }
        while !keys.is_empty() {
            let keys: Vec<_> = keys.drain(..keys.len().min(SELECTS_AT_ONCE)).collect();
            let (building, db) = (self.building.clone(), db.clone());
            let builder = Self::new(self.fleet.clone(), self.clock.clone(), self.zone);
            tokio::spawn(async move {
                if let Err(Error::Internal(cause)) = builder.build_now(&db, &keys).await {
                    // The next question tries again.
                    tracing::warn!(boards = ?keys, ?cause, "boards could not be built");
                }
                lock(&building).retain(|key| !keys.contains(key));
            });
        }
    }

    async fn build_now(&self, db: &Db, keys: &[Key]) -> Result<()> {
        let builder = Uuid::new_v4().to_string();
        let mut commands = Pipeline::new();
        for key in keys {
            self.call(&mut commands, 2, key);
            commands.arg(&builder).arg(BUILD_TIMEOUT.as_millis() as u64);
        }
        let begun: Vec<i64> = self.fleet.run(&commands).await?;
        let keys = keys.iter().zip(begun).filter(|(_, begun)| *begun != 0);
        let keys: Vec<_> = keys.map(|(key, _)| key.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        // Every update reaches the boards already, so nothing falls between it and the snapshot.
        let updates = snapshot(db.read().pool(), &keys, self.zone).await?;
        let write = |updates: Vec<(usize, Update)>| {
            let mut commands = Pipeline::new();
            for updates in updates.chunk_by(|(one, _), (other, _)| one == other) {
                self.call(&mut commands, 0, &keys[updates[0].0]);
                for (_, update) in updates {
                    write_update(&mut commands, update);
                }
                commands.ignore();
            }
            async move { self.fleet.run::<()>(&commands).await }
        };
        // Rows are read while others are written.
        let chunks = updates
            .try_chunks(ROWS_AT_ONCE)
            .map_err(|TryChunksError(_, error)| error);
        chunks.try_for_each_concurrent(2, write).await?;
        let mut commands = Pipeline::new();
        for key in &keys {
            self.call(&mut commands, 3, key);
            commands.arg(&builder).arg(IDLE_TIMEOUT.as_millis() as u64).ignore();
        }
        self.fleet.run(&commands).await
    }

    /// Removes commits that were never completed.
    pub(crate) async fn prune(&self) {
        let mut commands = Pipeline::new();
        let until = (self.clock.now() - COMMIT_TIMEOUT).0;
        commands
            .cmd("ZREMRANGEBYSCORE")
            .arg(self.commits())
            .arg("-inf")
            .arg(until)
            .ignore();
        // If Redis is away there is time.
        _ = self.fleet.run::<()>(&commands).await;
    }

    fn commits(&self) -> String {
        self.fleet.key("commits")
    }

    fn call(&self, commands: &mut Pipeline, script: usize, board: &Key) {
        let hash_tag = format!("board:{board}");
        commands.cmd("EVALSHA").arg(&HASHES[script]).arg(3);
        for name in ["order", "held", "state"] {
            commands.arg(self.fleet.tagged_key(&hash_tag, name));
        }
    }
}

/// The name of a student's pending commit.
fn commit(student: Uuid, version: i64) -> String {
    format!("{student}:{version}")
}

/// The time up to which boards include every commit, while this is the first that is not completed.
fn exact_until(begun: Vec<(Vec<u8>, i64)>, now: Time) -> Time {
    begun.first().map_or(now, |(_, begun)| now.min(Time(begun - 1)))
}

/// A score as it sorts: the highest first.
fn sorting(score: i64) -> i64 {
    score.saturating_neg()
}

/// A time as bytes that sort as it does.
fn bytes_of(time: i64) -> [u8; 8] {
    (time as u64 ^ (1 << 63)).to_be_bytes()
}

fn member(standing: &Standing) -> [u8; 24] {
    let mut member = [0; 24];
    member[..8].copy_from_slice(&bytes_of(standing.reached_at));
    member[8..].copy_from_slice(standing.student.as_bytes());
    member
}

fn write_update(commands: &mut Pipeline, update: &Update) {
    commands.arg(update.student.as_bytes()).arg(update.version);
    match update.to {
        Some((score, reached_at)) => commands.arg(sorting(score)).arg(&bytes_of(reached_at)[..]),
        None => commands.arg(0).arg(""),
    };
}

fn write_question(commands: &mut Pipeline, question: &Question) {
    let number = |n: usize| (n as u64).min(MAX_STANDINGS);
    let mut keyed = |kind: &str, key: &Option<Standing>, n: usize| {
        commands.arg(kind);
        match key {
            Some(key) => commands.arg(sorting(key.score)).arg(&member(key)[..]),
            None => commands.arg("").arg(""),
        };
        commands.arg(number(n));
    };
    match question {
        Question::After(key, n) => keyed("after", key, *n),
        Question::Before(key, n) => keyed("before", key, *n),
        Question::FromRank(rank, n) => {
            commands
                .arg("rank")
                .arg((*rank).min(MAX_STANDINGS))
                .arg("")
                .arg(number(*n));
        }
        Question::Around(student, above, below) => {
            commands
                .arg("around")
                .arg(student.as_bytes())
                .arg(number(*above))
                .arg(number(*below));
        }
    }
}

/// Reads the effect of an update on its student: `None` if it changed nothing, else the former standing.
fn read_was(changed: &Value) -> Result<Option<Option<(i64, i64)>>> {
    let Value::Array(changed) = changed else {
        return if *changed == Value::Nil {
            Ok(None)
        } else {
            Err(unexpected())
        };
    };
    match &changed[..] {
        [] => Ok(None),
        [_, Value::BulkString(score), Value::BulkString(reached)] if score.is_empty() && reached.is_empty() => {
            Ok(Some(None))
        }
        [_, Value::BulkString(score), Value::BulkString(reached)] => {
            let was = || Some((read_score(score)?, read_time(reached.first_chunk()?)));
            was().map(|was| Some(Some(was))).ok_or_else(unexpected)
        }
        _ => Err(unexpected()),
    }
}

fn read_answers(value: Value, as_of: Time) -> Result<Option<Vec<Answer>>> {
    let Value::Array(answers) = value else {
        return if value == Value::Nil {
            Ok(None)
        } else {
            Err(unexpected())
        };
    };
    let mut answers = answers.into_iter();
    let Some(Value::Int(total)) = answers.next() else {
        return Err(unexpected());
    };
    let total = total.unsigned_abs();
    let answer = |value| {
        let entries = read_entries(value)?;
        Ok(Answer { as_of, total, entries })
    };
    answers.map(answer).collect::<Result<_>>().map(Some)
}

fn read_entries(value: Value) -> Result<Vec<RankedEntry>> {
    let Value::Array(values) = value else {
        return Err(unexpected());
    };
    let [Value::Int(start), Value::Int(rank), rows @ ..] = &values[..] else {
        return Err(unexpected());
    };
    let standings = rows
        .chunks_exact(2)
        .map(|row| read_standing(row).ok_or_else(unexpected));
    let standings: Vec<_> = standings.collect::<Result<_>>()?;
    Ok(RankedEntry::in_order(
        rank.unsigned_abs(),
        start.unsigned_abs(),
        standings,
    ))
}

fn read_standing(row: &[Value]) -> Option<Standing> {
    let [Value::BulkString(member), Value::BulkString(score)] = row else {
        return None;
    };
    let (reached, student) = member.split_first_chunk::<8>()?;
    let reached = (read_score(score)?, read_time(reached));
    Some(Standing::of(Uuid::from_slice(student).ok()?, reached))
}

fn read_score(sorting_score: &[u8]) -> Option<i64> {
    let score: f64 = std::str::from_utf8(sorting_score).ok()?.parse().ok()?;
    Some(sorting(score as i64))
}

fn read_time(bytes: &[u8; 8]) -> i64 {
    (u64::from_be_bytes(*bytes) ^ (1 << 63)) as i64
}
