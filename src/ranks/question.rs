//! Queries and updates of a board's index.

use std::fmt;

use chrono::NaiveDate;
use std::time::Duration;

use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::index::{RankIndex, RankedEntry, Standing, Update};
use crate::clock::Time;

/// Time without a query after which a board is dropped.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Time that a query waits for a board being built. Most are ready by then, and cheaper to query than the tables.
pub(crate) const BUILD_WAIT: Duration = Duration::from_millis(200);

/// A board as the tables name it, or as a day found it, which no table has.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub scope: Uuid,
    pub window: String,
    /// The day at whose start the board is shown; `None` for now.
    pub as_of: Option<NaiveDate>,
}

impl Key {
    /// The board as it is now.
    pub fn now(scope: Uuid, window: String) -> Self {
        Self {
            scope,
            window,
            as_of: None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scope, self.window)?;
        self.as_of.map_or(Ok(()), |day| write!(f, "@{day}"))
    }
}

/// The effect of an update on a board.
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
    pub fn of(board: &Key, update: &Update, was: Option<(i64, i64)>) -> Self {
        Self {
            scope: board.scope,
            window: board.window.clone(),
            student: update.student,
            was,
            now: update.to,
        }
    }

    /// Its board.
    pub fn key(&self) -> Key {
        Key::now(self.scope, self.window.clone())
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
    /// Its board.
    pub fn key(&self) -> Key {
        Key::now(self.scope_id, self.window_key.clone())
    }
}

/// A query of a board, answered by the index or, while that is unavailable, by the tables.
#[derive(Clone, Debug)]
pub enum Question {
    /// The first `n` standings after a key, or from the start.
    After(Option<Standing>, usize),
    /// The last `n` standings before a key, or from the end; the nearest to it, in the board's order.
    Before(Option<Standing>, usize),
    /// The first `n` standings with this rank or the next one that exists.
    FromRank(u64, usize),
    /// A student's standing, with so many above and below.
    Around(Uuid, usize, usize),
}

/// Rows in the board's order, and its total.
pub struct Answer {
    pub as_of: Time,
    pub total: u64,
    pub entries: Vec<RankedEntry>,
}

impl Question {
    /// The answer of an index.
    pub fn of(&self, index: &RankIndex) -> Vec<RankedEntry> {
        match self {
            Self::After(key, n) => index.after(key.as_ref(), *n),
            Self::Before(key, n) => index.before(key.as_ref(), *n),
            Self::FromRank(rank, n) => index.from_rank(*rank, *n),
            Self::Around(student, above, below) => index.around(*student, *above, *below).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_as_of_a_day_is_another_than_that_of_now() {
        let now = Key::now(Uuid::nil(), "all".into());
        let as_of = Key {
            as_of: NaiveDate::from_ymd_opt(2026, 11, 26),
            ..now.clone()
        };
        assert_eq!(now.to_string(), "00000000-0000-0000-0000-000000000000:all");
        assert_eq!(as_of.to_string(), "00000000-0000-0000-0000-000000000000:all@2026-11-26");
    }
}
