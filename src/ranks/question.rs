//! What is asked of a board's index, and what an index is told.

use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::index::{Place, RankIndex, Standing, Update};
use crate::clock::Time;

/// What the tables call a board: its scope and its window. `all@2026-11-26` is the board of all time as that day found
/// it, which no table has.
pub type Key = (Uuid, String);

/// What an update has changed on a board.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Move {
    pub scope: Uuid,
    pub window: String,
    pub student: Uuid,
    /// The score and when it was reached; `None`: not ranked.
    pub was: Option<(i64, i64)>,
    pub now: Option<(i64, i64)>,
}

impl Move {
    pub fn of((scope, window): &Key, update: &Update, was: Option<(i64, i64)>) -> Self {
        Self {
            scope: *scope,
            window: window.clone(),
            student: update.student,
            was,
            now: update.to,
        }
    }
}

/// One standing's new value.
#[derive(Clone, Debug, Serialize, Deserialize, FromQueryResult)]
pub struct Changed {
    pub scope_id: Uuid,
    pub window_key: String,
    pub score: i64,
    pub reached_at: Time,
}

impl Changed {
    /// Its board, as the tables call it.
    pub fn key(&self) -> (Uuid, String) {
        (self.scope_id, self.window_key.clone())
    }
}

/// What is asked of a board. The index answers it, or while that is away the tables.
#[derive(Clone, Debug)]
pub enum Question {
    /// So many places after a key, or the first ones.
    After(Option<Standing>, usize),
    /// So many places before a key, or the last ones; the nearest are meant, in the board's order.
    Before(Option<Standing>, usize),
    /// So many places from the first one on whose rank is this or a later one.
    FromRank(u64, usize),
    /// A student's place, with so many above and below.
    Around(Uuid, usize, usize),
}

/// Places in the board's order, and how many it has in all.
pub struct Answer {
    pub as_of: Time,
    pub total: u64,
    pub places: Vec<Place>,
}

impl Question {
    /// What the index says.
    pub fn of(&self, index: &RankIndex) -> Vec<Place> {
        match self {
            Self::After(key, n) => index.after(key.as_ref(), *n),
            Self::Before(key, n) => index.before(key.as_ref(), *n),
            Self::FromRank(rank, n) => index.from_rank(*rank, *n),
            Self::Around(student, above, below) => index.around(*student, *above, *below).unwrap_or_default(),
        }
    }
}
