//! Boards: who stands where, and the streams that follow it.

pub mod live;
pub mod query;
pub mod standings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};

use self::live::Audience;
use crate::{
    clock::Clock,
    db::{Db, sql},
    error::Result,
    fleet::Fleet,
    id::UserId,
    ranks::{
        Ranks,
        board::Board,
        question::{Changed, Key, Move},
    },
    sync::lock,
};

/// The boards that somebody looks at, each with its index and its audience on this server.
pub struct Boards {
    pub ranks: Ranks,
    audiences: Mutex<HashMap<Key, Arc<Audience>>>,
}

impl Boards {
    /// The boards of one server, or those of a fleet.
    pub fn new(clock: Arc<dyn Clock>, fleet: Option<Fleet>, zone: Tz) -> Self {
        Self {
            ranks: Ranks::new(clock, fleet, zone),
            audiences: Mutex::default(),
        }
    }

    /// Applies what a transaction did to a student's standings, and lets this server's audiences know. What it changed.
    pub async fn apply(&self, student: UserId, version: i64, ranked: bool, standings: &[Changed]) -> Result<Vec<Move>> {
        let moves = self.ranks.apply(student, version, ranked, standings).await?;
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
            if let Some(audience) = lock(&self.audiences).get(&moved.key()) {
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
            self.ranks.ask(db, board, &[]).await;
        }
        self.ranks.prune().await;
    }
}

#[derive(FromQueryResult)]
struct Standings {
    #[sea_orm(nested)]
    changed: Changed,
    version: i64,
    ranked: bool,
}
