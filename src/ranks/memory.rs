//! The index in this process's memory, for a single server. A board is built from the tables at its first query and
//! updated by every later commit.

use std::{
    collections::{BTreeSet, HashMap},
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono_tz::Tz;
use futures_util::TryStreamExt;
use tokio::{
    sync::{Semaphore, SetOnce},
    time::{Instant, timeout_at},
};

use super::{
    index::{RankIndex, RankedEntry, Update},
    question::{Answer, BUILD_WAIT, IDLE_TIMEOUT, Key, Move, Question},
    snapshot::snapshot,
};
use crate::{
    clock::{Clock, Time},
    db::{Db, SELECTS_AT_ONCE},
    error::{Error, Result},
    sync::lock,
};

/// The boards in memory.
pub(crate) struct Memory {
    clock: Arc<dyn Clock>,
    zone: Tz,
    loaded: Arc<Mutex<HashMap<Key, Arc<Loaded>>>>,
    commits: Arc<Mutex<Commits>>,
}

/// A board that is, or is about to be, in memory.
struct Loaded {
    ready: SetOnce<()>,
    state: Mutex<State>,
}

struct State {
    index: RankIndex,
    /// Updates that came while the index was being built; applied after its snapshot.
    early: Option<Vec<Update>>,
    used_at: Time,
}

/// Transactions that change standings and are between their commit and the index: a board is exact up to the first of
/// them.
#[derive(Default)]
struct Commits {
    last: u64,
    begun: BTreeSet<(Time, u64)>,
}

/// Held by a transaction from just before its commit until the boards are updated.
pub(crate) struct PendingCommit {
    commits: Arc<Mutex<Commits>>,
    key: (Time, u64),
}

impl Drop for PendingCommit {
    fn drop(&mut self) {
        lock(&self.commits).begun.remove(&self.key);
    }
}

impl Memory {
    /// No board is in memory yet.
    pub(crate) fn new(clock: Arc<dyn Clock>, zone: Tz) -> Self {
        Self {
            clock,
            zone,
            loaded: Arc::default(),
            commits: Arc::default(),
        }
    }

    /// Announces a commit that changes standings.
    pub(crate) fn committing(&self) -> PendingCommit {
        let mut commits = lock(&self.commits);
        commits.last += 1;
        let key = (self.clock.now(), commits.last);
        commits.begun.insert(key);
        PendingCommit {
            commits: self.commits.clone(),
            key,
        }
    }

    /// Queries a board, if it is built or can be within `BUILD_WAIT`. All answers are as of the same time.
    pub(crate) async fn ask(&self, db: &Db, key: Key, questions: &[Question]) -> Option<Vec<Answer>> {
        let asked = [(key, questions.to_vec())];
        self.ask_each(db, &asked).await.pop().flatten()
    }

    /// Queries boards, as far as they are built or can be within `BUILD_WAIT`. Those that are not in memory are built
    /// together.
    pub(crate) async fn ask_each(&self, db: &Db, asked: &[(Key, Vec<Question>)]) -> Vec<Option<Vec<Answer>>> {
        let now = self.clock.now();
        let (mut found, mut new) = (Vec::new(), Vec::new());
        {
            let mut boards = lock(&self.loaded);
            for (key, _) in asked {
                if boards.len() >= MAX_BOARDS && !boards.contains_key(key) {
                    evict(&mut boards);
                }
                let board = boards.entry(key.clone()).or_insert_with(|| {
                    let loaded = Arc::new(Loaded::empty(now));
                    new.push((key.clone(), loaded.clone()));
                    loaded
                });
                found.push(board.clone());
            }
        }
        self.build(db, new);
        let deadline = Instant::now() + BUILD_WAIT;
        let mut answers = Vec::new();
        for (loaded, (_, questions)) in found.iter().zip(asked) {
            let is_ready = timeout_at(deadline, loaded.ready.wait()).await.is_ok();
            answers.push(is_ready.then(|| self.answer(loaded, questions, now)));
        }
        answers
    }

    fn answer(&self, loaded: &Loaded, questions: &[Question], now: Time) -> Vec<Answer> {
        let mut state = lock(&loaded.state);
        state.used_at = now;
        let (as_of, total) = (self.exact_until(), state.index.len() as u64);
        let answer = |question: &Question| Answer {
            as_of,
            total,
            entries: question.of(&state.index),
        };
        questions.iter().map(answer).collect()
    }

    /// Builds boards in the background, however long the query waits.
    fn build(&self, db: &Db, mut boards: Vec<(Key, Arc<Loaded>)>) {
        while !boards.is_empty() {
            let boards: Vec<_> = boards.drain(..boards.len().min(SELECTS_AT_ONCE)).collect();
            let (db, loaded, zone) = (db.clone(), self.loaded.clone(), self.zone);
            tokio::spawn(async move {
                let (keys, boards): (Vec<_>, Vec<_>) = boards.into_iter().unzip();
                // Every update reaches the boards already, so nothing falls between it and the snapshot.
                if let Err(error) = build_now(&db, &keys, &boards, zone).await {
                    tracing::error!(boards = ?keys, cause = ?error.cause(), "boards could not be built");
                    // The next question tries again.
                    lock(&loaded).retain(|key, _| !keys.contains(key));
                }
            });
        }
    }

    /// The time up to which the indexes include every commit. Call it while an index is locked.
    fn exact_until(&self) -> Time {
        let now = self.clock.now();
        match lock(&self.commits).begun.first() {
            Some((begun, _)) => now.min(*begun - Duration::from_micros(1)),
            None => now,
        }
    }

    /// Applies an update to a board, if it is in memory. What that changed.
    pub(crate) fn apply(&self, key: &Key, update: Update) -> Option<Move> {
        let loaded = lock(&self.loaded).get(key).cloned()?;
        loaded.apply(key, update)
    }

    /// All that is in memory of a board.
    pub(crate) fn all_entries(&self, key: &Key) -> Option<Vec<RankedEntry>> {
        let loaded = lock(&self.loaded).get(key).cloned()?;
        loaded.ready.get()?;
        Some(lock(&loaded.state).index.after(None, usize::MAX))
    }

    /// Drops boards without queries for a while.
    pub(crate) fn prune(&self) {
        let now = self.clock.now();
        lock(&self.loaded).retain(|_, loaded| now.since(lock(&loaded.state).used_at) < IDLE_TIMEOUT);
    }
}

/// Maximum number of boards in memory: queries for the boards of all days since 1970 must not fill it.
const MAX_BOARDS: usize = if cfg!(test) { 20 } else { 10_000 };

/// Evicts a tenth of the boards that are not in use, those first that are quickest to rebuild.
fn evict(boards: &mut HashMap<Key, Arc<Loaded>>) {
    let idle = boards.iter().filter(|(_, loaded)| Arc::strong_count(loaded) == 1);
    let cost = |loaded: &Loaded| {
        let state = lock(&loaded.state);
        (state.index.len(), state.used_at)
    };
    let mut idle: Vec<_> = idle.map(|(key, loaded)| (cost(loaded), key.clone())).collect();
    idle.sort_unstable();
    for (_, key) in idle.into_iter().take(MAX_BOARDS / 10) {
        boards.remove(&key);
    }
}

/// Builds boards from one snapshot of the tables.
async fn build_now(db: &Db, keys: &[Key], boards: &[Arc<Loaded>], zone: Tz) -> Result<()> {
    /// Each takes a reader of the database, and a core.
    static ONE: Semaphore = Semaphore::const_new(1);
    let _permit = ONE.acquire().await.map_err(Error::internal)?;
    let mut rows = pin!(snapshot(db.read().pool(), keys, zone).await?);
    let mut updates: Vec<Vec<Update>> = keys.iter().map(|_| Vec::new()).collect();
    while let Some((n, update)) = rows.try_next().await? {
        updates[n].push(update);
    }
    for (loaded, updates) in boards.iter().zip(updates) {
        loaded.finish(updates);
    }
    Ok(())
}

impl Loaded {
    fn empty(now: Time) -> Self {
        Self {
            ready: SetOnce::new(),
            state: Mutex::new(State {
                index: RankIndex::new(),
                early: Some(Vec::new()),
                used_at: now,
            }),
        }
    }

    /// Puts the index together of a snapshot of the tables and what came meanwhile.
    fn finish(&self, snapshot: Vec<Update>) {
        let index = RankIndex::from_updates(snapshot);
        let mut state = lock(&self.state);
        state.index = index;
        for update in state.early.take().unwrap_or_default() {
            state.index.apply(update);
        }
        drop(state);
        _ = self.ready.set(());
    }

    fn apply(&self, key: &Key, update: Update) -> Option<Move> {
        let mut state = lock(&self.state);
        if let Some(early) = &mut state.early {
            early.push(update);
            return None;
        }
        let was = state.index.reached_by(update.student);
        state.index.apply(update).then(|| Move::of(key, &update, was))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{clock::SystemClock, db::Synchronous};

    #[tokio::test]
    async fn queries_of_all_possible_boards_do_not_fill_the_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::sqlite(&folder.path().join("empty.db"), Synchronous::Normal).await;
        let db = db.unwrap_or_else(|_| panic!("SQLite opens"));
        db.migrate().await.unwrap_or_else(|_| panic!("migrates"));
        let memory = Memory::new(Arc::new(SystemClock), Tz::UTC);
        let all = || Key::now(Uuid::nil(), "all".to_owned());
        let student = Update {
            student: Uuid::from_u128(1),
            version: 1,
            to: Some((1000, 0)),
        };
        memory.ask(&db, all(), &[]).await.expect("a board");
        memory.apply(&all(), student).expect("a move");
        for n in 0..5 * MAX_BOARDS {
            let day = Key::now(Uuid::from_u128(n as u128), "2026-11-26".to_owned());
            memory.ask(&db, day, &[]).await.expect("a board");
        }
        assert!(lock(&memory.loaded).len() <= MAX_BOARDS);
        let entries = memory
            .all_entries(&all())
            .expect("the board that has somebody on it stays");
        assert_eq!(entries.len(), 1);
    }
}
