//! Boards: who stands where. A rank is derived from standings by an index, never stored.

pub mod board;
pub mod graphql;
pub mod index;
pub mod live;
pub mod query;
pub mod standings;
pub mod tables;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ConnectionTrait, FromQueryResult};
use tokio::sync::{Notify, SetOnce};
use uuid::Uuid;

use self::{
    board::Board,
    index::{RankIndex, Update},
    live::Listeners,
};
use crate::{
    clock::{Clock, Time},
    db::{Db, sql},
    entity::UserId,
    error::Result,
    outbox::Changed,
};

/// The boards that somebody looks at, each with its index. A board is built from the tables when it is first asked for
/// and follows every commit from then on. Until it is built, questions go to the [`tables`] themselves.
pub struct Boards {
    clock: Arc<dyn Clock>,
    loaded: Arc<Mutex<HashMap<Key, Arc<Loaded>>>>,
    commits: Arc<Mutex<Commits>>,
}

/// What the tables call a board: its scope and its window.
type Key = (Uuid, String);

/// A board that is, or is about to be, in memory.
pub struct Loaded {
    pub board: Board,
    ready: SetOnce<()>,
    state: Mutex<State>,
    /// Told at every change.
    changed: Notify,
}

struct State {
    index: RankIndex,
    /// Updates that came while the index was being built; applied after its snapshot.
    early: Option<Vec<Update>>,
    listeners: Listeners,
    used_at: Time,
}

/// Transactions that change standings and are between their commit and the index: a board is exact up to the first of
/// them.
#[derive(Default)]
struct Commits {
    last: u64,
    begun: BTreeSet<(Time, u64)>,
}

/// Held by a transaction from just before its commit until the boards have heard of it.
pub struct Committing {
    commits: Arc<Mutex<Commits>>,
    key: (Time, u64),
}

impl Drop for Committing {
    fn drop(&mut self) {
        lock(&self.commits).begun.remove(&self.key);
    }
}

/// A board at a time.
pub struct View<'a> {
    /// Every commit before this time is in it.
    pub as_of: Time,
    pub index: &'a RankIndex,
}

/// A board is dropped from memory when nobody has asked for it that long.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How long a question waits for a board that is being built. Most are there by then, and cheaper to ask than the tables.
const MOMENT: Duration = Duration::from_millis(200);

impl Boards {
    /// No board is in memory yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            loaded: Arc::default(),
            commits: Arc::default(),
        }
    }

    /// Announces a commit that changes standings, so that no board claims to be newer than what it shows.
    pub fn committing(&self) -> Committing {
        let mut commits = lock(&self.commits);
        commits.last += 1;
        let key = (self.clock.now(), commits.last);
        commits.begun.insert(key);
        Committing {
            commits: self.commits.clone(),
            key,
        }
    }

    /// The board in memory. Nothing comes back if it can't be had in a moment: then it is being built, or could not be.
    pub async fn get(&self, db: &Db, board: Board) -> Option<Arc<Loaded>> {
        let now = self.clock.now();
        let key = (board.scope.key(), board.window.key());
        let loaded = lock(&self.loaded)
            .entry(key)
            .or_insert_with_key(|key| {
                let loaded = Arc::new(Loaded::empty(board, now));
                self.build(db.clone(), key.clone(), loaded.clone());
                loaded
            })
            .clone();
        tokio::time::timeout(MOMENT, loaded.ready.wait()).await.ok()?;
        lock(&loaded.state).used_at = now;
        Some(loaded)
    }

    /// Has a board built, whether or not whoever asked for it waits so long.
    fn build(&self, db: Db, key: Key, loaded: Arc<Loaded>) {
        let boards = self.loaded.clone();
        tokio::spawn(async move {
            // Every update reaches the board already, so nothing falls between it and the snapshot.
            match loaded.build(db.read()).await {
                Ok(()) => _ = loaded.ready.set(()),
                Err(error) => {
                    tracing::error!(board = ?loaded.board, cause = ?error.cause(), "a board could not be built");
                    // The next question tries again.
                    lock(&boards).remove(&key);
                }
            }
        });
    }

    /// Lets `look` see a board at one time.
    pub fn view<T>(&self, loaded: &Loaded, look: impl FnOnce(View<'_>) -> T) -> T {
        let state = lock(&loaded.state);
        look(View {
            as_of: self.exact_until(),
            index: &state.index,
        })
    }

    /// The time up to which every commit is in the indexes. To be asked for while an index is locked.
    fn exact_until(&self) -> Time {
        let now = self.clock.now();
        match lock(&self.commits).begun.first() {
            Some((begun, _)) => now.min(*begun - Duration::from_micros(1)),
            None => now,
        }
    }

    /// Applies what a transaction did to a student's standings to the boards in memory.
    pub fn apply(&self, student: UserId, version: i64, ranked: bool, standings: &[Changed]) {
        for changed in standings {
            let key = (changed.scope_id, changed.window_key.clone());
            let loaded = lock(&self.loaded).get(&key).cloned();
            if let Some(loaded) = loaded {
                loaded.apply(Update {
                    student: student.0,
                    version,
                    to: ranked.then_some((changed.score, changed.reached_at.0)),
                });
            }
        }
    }

    /// An account has begun or ceased to be ranked: it comes to, or leaves, every board in memory.
    pub async fn account_changed(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<()> {
        let select = sql(
            conn,
            "SELECT s.scope_id, s.window_key, s.score, s.reached_at, u.version, u.ranked \
             FROM users u JOIN standings s ON s.student_id = u.id WHERE u.id = $1",
            [user.into()],
        );
        for row in Standings::find_by_statement(select).all(conn).await? {
            self.apply(user, row.version, row.ranked, &[row.changed]);
        }
        Ok(())
    }

    /// Drops boards that nobody has asked for in a while.
    pub fn prune(&self) {
        let now = self.clock.now();
        lock(&self.loaded).retain(|_, loaded| {
            let state = lock(&loaded.state);
            !state.listeners.is_empty() || now.since(state.used_at) < IDLE
        });
    }
}

#[derive(FromQueryResult)]
struct Standings {
    #[sea_orm(nested)]
    changed: Changed,
    version: i64,
    ranked: bool,
}

#[derive(FromQueryResult)]
struct Member {
    student_id: UserId,
    score: i64,
    reached_at: Time,
    version: i64,
    ranked: bool,
}

impl Loaded {
    fn empty(board: Board, now: Time) -> Self {
        Self {
            board,
            ready: SetOnce::new(),
            state: Mutex::new(State {
                index: RankIndex::new(),
                early: Some(Vec::new()),
                listeners: Listeners::default(),
                used_at: now,
            }),
            changed: Notify::new(),
        }
    }

    /// Builds the index from one snapshot of the tables, then applies what came meanwhile.
    async fn build(&self, conn: &impl ConnectionTrait) -> Result<()> {
        // Whoever is not ranked is read, too: an older update that comes late must not bring them back.
        let select = sql(
            conn,
            "SELECT s.student_id, s.score, s.reached_at, u.version, u.ranked \
             FROM standings s JOIN users u ON u.id = s.student_id \
             WHERE s.scope_id = $1 AND s.window_key = $2",
            [self.board.scope.key().into(), self.board.window.key().into()],
        );
        let rows = Member::find_by_statement(select).all(conn).await?;
        let index = RankIndex::from_updates(rows.into_iter().map(|row| Update {
            student: row.student_id.0,
            version: row.version,
            to: row.ranked.then_some((row.score, row.reached_at.0)),
        }));
        let mut state = lock(&self.state);
        state.index = index;
        for update in state.early.take().unwrap_or_default() {
            state.index.apply(update);
        }
        Ok(())
    }

    fn apply(&self, update: Update) {
        let mut state = lock(&self.state);
        match &mut state.early {
            Some(early) => early.push(update),
            None => {
                if state.index.apply(update) {
                    self.changed.notify_one();
                }
            }
        }
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
