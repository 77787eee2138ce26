//! Ranks: derived from standings by an index, in memory or in Redis, never stored.

pub mod board;
#[cfg(test)]
mod contract;
pub mod index;
pub(crate) mod memory;
pub mod question;
pub(crate) mod shared;
pub(crate) mod snapshot;
pub mod tables;

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::TryStreamExt;
use uuid::Uuid;

use self::{
    board::Board,
    index::Update,
    memory::Memory,
    question::{Answer, BUILD_WAIT, Changed, Key, Move, Question},
    shared::Shared,
    snapshot::snapshot,
};
use crate::{
    clock::Clock,
    db::{Db, Pool},
    entity::standing,
    error::Result,
    fleet::Fleet,
    id::UserId,
};

/// The indexes of the boards in use. While one is unavailable, queries go to the [`tables`].
pub struct Ranks {
    zone: Tz,
    index: Index,
}

/// The location of the indexes. Both answer the same [`Question`]s and apply the same [`Update`]s.
enum Index {
    /// In this process, for one server.
    Memory(Memory),
    /// In Redis, for a fleet.
    Shared(Shared),
}

/// Held by a transaction from just before its commit until the boards are updated.
pub struct PendingCommit(#[expect(dead_code, reason = "kept until dropped")] Option<memory::PendingCommit>);

impl Ranks {
    /// The indexes of one server, or those of a fleet.
    pub fn new(clock: Arc<dyn Clock>, fleet: Option<Fleet>, zone: Tz) -> Self {
        let index = match fleet {
            Some(fleet) => Index::Shared(Shared::new(fleet, clock, zone)),
            None => Index::Memory(Memory::new(clock, zone)),
        };
        Self { zone, index }
    }

    /// Announces a commit that changes a student's standings, so that no board claims to be newer than what it shows.
    pub async fn committing(&self, student: UserId, version: i64) -> PendingCommit {
        PendingCommit(match &self.index {
            Index::Memory(memory) => Some(memory.committing()),
            Index::Shared(shared) => {
                shared.committing(student.0, version).await;
                None
            }
        })
    }

    /// Queries a board's index, if it is built or can be within `BUILD_WAIT`.
    pub async fn ask(&self, db: &Db, board: Board, questions: &[Question]) -> Option<Vec<Answer>> {
        match &self.index {
            Index::Memory(memory) => memory.ask(db, board.key(), questions).await,
            Index::Shared(shared) => shared.ask(db, board.key(), questions).await,
        }
    }

    /// Queries several boards at once, as of now or as of the start of a day. Those that are not built yet are built
    /// together. Students who have left since that day are still on its board.
    pub(crate) async fn ask_each(
        &self,
        db: &Db,
        day: Option<NaiveDate>,
        asked: Vec<(Board, Vec<Question>)>,
    ) -> Vec<Option<Vec<Answer>>> {
        let key = |(board, questions): (Board, _)| {
            (
                Key {
                    as_of: day,
                    ..board.key()
                },
                questions,
            )
        };
        let asked: Vec<_> = asked.into_iter().map(key).collect();
        match &self.index {
            Index::Memory(memory) => memory.ask_each(db, &asked).await,
            Index::Shared(shared) => shared.ask_each(db, &asked).await,
        }
    }

    /// Applies what a transaction did to a student's standings, and returns what it changed.
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
        match &self.index {
            Index::Memory(memory) => {
                let apply = |(key, update): (Key, Update)| memory.apply(&key, update);
                Ok(updates.into_iter().filter_map(apply).collect())
            }
            Index::Shared(shared) => shared.apply(student.0, version, &updates).await,
        }
    }

    /// The boards that an index has otherwise than the tables, one line each. A difference that a commit under way
    /// explains is gone when it is looked for again.
    pub async fn differences(&self, conn: &Pool) -> Result<Vec<String>> {
        const MAX_ROUNDS: usize = 25;
        let boards: Vec<(Uuid, String)> = standing::Entity::boards().into_tuple().all(conn).await?;
        let mut differences = Vec::new();
        for (scope, window) in boards {
            let key = Key::now(scope, window);
            for round in 1.. {
                let indexed = match &self.index {
                    Index::Memory(memory) => memory.all_entries(&key),
                    Index::Shared(shared) => shared.all_entries(&key).await?,
                };
                let Some(indexed) = indexed else { break };
                let expected = snapshot(conn, std::slice::from_ref(&key), self.zone).await?;
                let expected: Vec<_> = expected.map_ok(|(_, update)| update).try_collect().await?;
                let expected = index::RankIndex::from_updates(expected).after(None, usize::MAX);
                if indexed == expected {
                    break;
                }
                if round == MAX_ROUNDS {
                    let different = indexed
                        .iter()
                        .zip(&expected)
                        .find(|(indexed, expected)| indexed != expected);
                    differences.push(format!(
                        "the index of board {key} has {} standings, the tables have {}; the first difference is {different:?}",
                        indexed.len(),
                        expected.len(),
                    ));
                    break;
                }
                tokio::time::sleep(BUILD_WAIT).await;
            }
        }
        Ok(differences)
    }

    /// Drops the indexes without queries for a while.
    pub async fn prune(&self) {
        match &self.index {
            Index::Memory(memory) => memory.prune(),
            Index::Shared(shared) => shared.prune().await,
        }
    }
}
