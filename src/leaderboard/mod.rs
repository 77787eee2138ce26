//! Boards: who stands where. A rank is derived from standings by an index, never stored.

pub mod board;
#[cfg(test)]
mod contract;
pub mod graphql;
pub mod index;
pub mod live;
pub mod loader;
pub mod memory;
pub mod query;
pub mod shared;
pub mod standings;
pub mod tables;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::{Stream, TryStreamExt};
use sea_orm::{ConnectionTrait, DatabaseConnection, FromQueryResult, Statement};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::{
    board::Board,
    index::Update,
    live::Audience,
    memory::Memory,
    query::{Answer, Question},
    shared::Shared,
};
use crate::{
    clock::{Clock, Time},
    db::{Db, sql},
    entity::UserId,
    error::{Error, Result},
    fleet::Fleet,
    outbox::Changed,
};

/// The boards that somebody looks at, each with its index and its audience on this server. While an index is away,
/// questions go to the [`tables`] themselves.
pub struct Boards {
    zone: Tz,
    index: Index,
    audiences: Mutex<HashMap<Key, Arc<Audience>>>,
}

/// Where the indexes are. Both answer the same [`Question`]s and take the same [`Update`]s.
enum Index {
    /// In this process, for one server.
    Memory(Memory),
    /// In Redis, for a fleet.
    Shared(Shared),
}

/// What the tables call a board: its scope and its window. `all@2026-11-26` is the board of all time as that day found
/// it, which no table has.
type Key = (Uuid, String);

/// What an update has changed on a board.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Move {
    scope: Uuid,
    window: String,
    student: Uuid,
    /// The score and when it was reached; `None`: not ranked.
    was: Option<(i64, i64)>,
    now: Option<(i64, i64)>,
}

impl Move {
    fn of((scope, window): &Key, update: &Update, was: Option<(i64, i64)>) -> Self {
        Self {
            scope: *scope,
            window: window.clone(),
            student: update.student,
            was,
            now: update.to,
        }
    }
}

/// Held by a transaction from just before its commit until the boards have heard of it.
pub struct Committing(#[expect(dead_code, reason = "kept until dropped")] Option<memory::Committing>);

/// A board is dropped when nobody has asked for it that long.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// How long a question waits for a board that is being built. Most are there by then, and cheaper to ask than the tables.
const MOMENT: Duration = Duration::from_millis(200);

impl Boards {
    /// The boards of one server, or those of a fleet.
    pub fn new(clock: Arc<dyn Clock>, fleet: Option<Fleet>, zone: Tz) -> Self {
        let index = match fleet {
            Some(fleet) => Index::Shared(Shared::new(fleet, clock, zone)),
            None => Index::Memory(Memory::new(clock, zone)),
        };
        Self {
            zone,
            index,
            audiences: Mutex::default(),
        }
    }

    /// Announces a commit that changes a student's standings, so that no board claims to be newer than what it shows.
    pub async fn committing(&self, student: UserId, version: i64) -> Committing {
        Committing(match &self.index {
            Index::Memory(memory) => Some(memory.committing()),
            Index::Shared(shared) => {
                shared.committing(student.0, version).await;
                None
            }
        })
    }

    /// What a board's index says, if it is there or can be had in a moment.
    pub async fn ask(&self, db: &Db, board: Board, questions: &[Question]) -> Option<Vec<Answer>> {
        self.ask_by(db, board.key(), questions).await
    }

    /// The same of the board as `day` found it. Whoever has left since is still on it.
    pub async fn ask_as_of(
        &self,
        db: &Db,
        board: Board,
        day: NaiveDate,
        questions: &[Question],
    ) -> Option<Vec<Answer>> {
        let (scope, window) = board.key();
        self.ask_by(db, (scope, format!("{window}@{day}")), questions).await
    }

    async fn ask_by(&self, db: &Db, key: Key, questions: &[Question]) -> Option<Vec<Answer>> {
        match &self.index {
            Index::Memory(memory) => memory.ask(db, key, questions).await,
            Index::Shared(shared) => shared.ask(db, key, questions).await,
        }
    }

    /// Applies what a transaction did to a student's standings, and lets this server's audiences know. What it changed.
    pub async fn apply(&self, student: UserId, version: i64, ranked: bool, standings: &[Changed]) -> Result<Vec<Move>> {
        let update = |changed: &Changed| {
            let to = ranked.then_some((changed.score, changed.reached_at.0));
            let update = Update {
                student: student.0,
                version,
                to,
            };
            (changed.key(), update)
        };
        let updates: Vec<_> = standings.iter().map(update).collect();
        let moves = match &self.index {
            Index::Memory(memory) => {
                let apply = |(key, update): (Key, Update)| memory.apply(&key, update);
                updates.into_iter().filter_map(apply).collect()
            }
            Index::Shared(shared) => shared.apply(student.0, version, &updates).await?,
        };
        self.moved(standings, &moves);
        Ok(moves)
    }

    /// Lets this server's audiences know who has moved. A board may also have moved unseen, or be gone.
    pub fn moved(&self, standings: &[Changed], moves: &[Move]) {
        for changed in standings {
            if let Some(audience) = lock(&self.audiences).get(&changed.key()) {
                audience.changed.notify_one();
            }
        }
        for moved in moves {
            if let Some(audience) = lock(&self.audiences).get(&(moved.scope, moved.window.clone())) {
                audience.note(moved);
            }
        }
    }

    /// Anything may have changed: every audience is to look again.
    pub fn wake(&self) {
        for audience in lock(&self.audiences).values() {
            audience.changed.notify_one();
        }
    }

    /// An account has begun or ceased to be ranked: it comes to, or leaves, every board.
    pub async fn account_changed(&self, conn: &impl ConnectionTrait, user: UserId) -> Result<Vec<Move>> {
        let select = sql(
            conn,
            "SELECT s.scope_id, s.window_key, s.score, s.reached_at, u.version, u.ranked \
             FROM users u JOIN standings s ON s.student_id = u.id WHERE u.id = $1",
            [user.into()],
        );
        let rows = Standings::find_by_statement(select).all(conn).await?;
        let Some(Standings { version, ranked, .. }) = rows.first() else {
            return Ok(Vec::new());
        };
        let (version, ranked) = (*version, *ranked);
        let standings: Vec<_> = rows.into_iter().map(|row| row.changed).collect();
        self.apply(user, version, ranked, &standings).await
    }

    /// The boards that an index has otherwise than the tables, one line each. A difference that a commit under way
    /// explains is gone when it is looked for again.
    pub async fn differences(&self, conn: &DatabaseConnection) -> Result<Vec<String>> {
        const PATIENCE: usize = 25;
        let select = sql(conn, "SELECT DISTINCT scope_id, window_key FROM standings", []);
        let mut differences = Vec::new();
        for board in Named::find_by_statement(select).all(conn).await? {
            let key = (board.scope_id, board.window_key);
            for round in 1.. {
                let held = match &self.index {
                    Index::Memory(memory) => memory.held(&key),
                    Index::Shared(shared) => shared.held(&key).await?,
                };
                let Some(held) = held else { break };
                let expected: Vec<_> = snapshot(conn, &key, self.zone).await?.try_collect().await?;
                let expected = index::RankIndex::from_updates(expected).after(None, usize::MAX);
                if held == expected {
                    break;
                }
                if round == PATIENCE {
                    let different = held.iter().zip(&expected).find(|(held, expected)| held != expected);
                    differences.push(format!(
                        "the index of board {}, {} has {} standings, the tables have {}; the first difference is {different:?}",
                        key.0,
                        key.1,
                        held.len(),
                        expected.len(),
                    ));
                    break;
                }
                tokio::time::sleep(MOMENT).await;
            }
        }
        Ok(differences)
    }

    /// Those who listen to a board on this server.
    fn audience(&self, board: Board) -> Arc<Audience> {
        let mut audiences = lock(&self.audiences);
        audiences
            .entry(board.key())
            .or_insert_with(|| Arc::new(Audience::new(board)))
            .clone()
    }

    /// Drops what nobody has asked for in a while; what somebody listens to is asked for.
    pub async fn prune(&self, db: &Db) {
        let listened: Vec<_> = {
            let mut audiences = lock(&self.audiences);
            // A listener holds its audience, and so does whoever is about to join.
            audiences.retain(|_, audience| Arc::strong_count(audience) > 1);
            audiences.values().map(|audience| audience.board).collect()
        };
        for board in listened {
            self.ask(db, board, &[]).await;
        }
        match &self.index {
            Index::Memory(memory) => memory.prune(),
            Index::Shared(shared) => shared.prune().await,
        }
    }
}

#[derive(FromQueryResult)]
struct Named {
    scope_id: Uuid,
    window_key: String,
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

/// A board as the tables have it, to build an index from. Whoever is not ranked is there, too: an older update that
/// comes late must not bring them back.
async fn snapshot<'c>(
    conn: &'c DatabaseConnection,
    (scope, window): &Key,
    zone: Tz,
) -> Result<impl Stream<Item = Result<Update>> + Send + use<'c>> {
    let select = match window.split_once('@') {
        Some((window, day)) => as_of_day(conn, *scope, window, day, zone)?,
        None => sql(
            conn,
            "SELECT s.student_id, s.score, s.reached_at, u.version, u.ranked \
             FROM standings s JOIN users u ON u.id = s.student_id \
             WHERE s.scope_id = $1 AND s.window_key = $2",
            [(*scope).into(), window.clone().into()],
        ),
    };
    // One by one: all of them as rows of the database would take ten times the memory.
    let rows = Member::find_by_statement(select).stream(conn).await?;
    let update = |row: Member| Update {
        student: row.student_id.0,
        version: row.version,
        to: row.ranked.then_some((row.score, row.reached_at.0)),
    };
    Ok(rows.map_ok(update).map_err(Error::from))
}

/// A board as a day found it. A standing that has not changed since is what it was; the others are summed anew from the
/// results before.
fn as_of_day(conn: &impl ConnectionTrait, scope: Uuid, window: &str, day: &str, zone: Tz) -> Result<Statement> {
    let unknown = || Error::internal("a board of no day");
    let morning = board::midnight(day.parse().map_err(Error::internal)?, zone);
    let window = board::Window::of_key(window).ok_or_else(unknown)?;
    let since = window.starts_at(zone).unwrap_or(Time(0));
    Ok(sql(
        conn,
        "SELECT s.student_id, CASE WHEN s.reached_at < $3 THEN s.score ELSE before.score END AS score, \
                s.reached_at, u.version, u.ranked \
         FROM standings s JOIN users u ON u.id = s.student_id LEFT JOIN ( \
           SELECT best.student_id, CAST(SUM(best.score) AS BIGINT) AS score FROM ( \
             SELECT r.student_id, r.quiz_id, MAX(r.score) AS score FROM results r JOIN quizzes q ON q.id = r.quiz_id \
             WHERE r.ranked AND r.submitted_at >= $4 AND r.submitted_at < $3 \
               AND ($1 = $5 OR q.subject_id = $1 OR r.quiz_id = $1) \
               AND r.student_id IN (SELECT student_id FROM standings \
                 WHERE scope_id = $1 AND window_key = $2 AND reached_at >= $3) \
             GROUP BY r.student_id, r.quiz_id) AS best GROUP BY best.student_id \
         ) AS before ON before.student_id = s.student_id \
         WHERE s.scope_id = $1 AND s.window_key = $2 AND (s.reached_at < $3 OR before.score IS NOT NULL)",
        [
            scope.into(),
            window.key().into(),
            morning.into(),
            since.into(),
            Uuid::nil().into(),
        ],
    ))
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
