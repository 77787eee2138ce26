//! Boards and their streams.

mod audience;
pub mod live;
pub(crate) mod query;
pub(crate) mod row;
pub(crate) mod standings;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use chrono::NaiveDate;
use chrono_tz::Tz;
use sea_orm::FromQueryResult;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::audience::Audience;
use crate::{
    account::profile::Profiles,
    auth::revocation::AccountChanged,
    clock::{Clock, Time},
    db::{Db, sql},
    error::Result,
    fleet::{Fleet, Health},
    id::UserId,
    outbox::{Event, Follower, Topic},
    quiz::paper::Papers,
    ranks::{
        Ranks,
        board::Board,
        question::{Changed, Key, Move},
    },
    sync::lock,
    telemetry,
};

/// A student's standings have new values; absolute, not differences.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StandingsChanged {
    pub student: UserId,
    /// Of the transaction: an older one changes nothing.
    pub version: i64,
    pub ranked: bool,
    pub standings: Vec<Changed>,
}

impl Topic for StandingsChanged {
    const KIND: &'static str = "standings_changed";
}

/// An event for the audiences of other servers: shared boards have moved.
#[derive(Debug, Serialize, Deserialize)]
struct BoardsMoved {
    standings: Vec<Changed>,
    moves: Vec<Move>,
}

impl Topic for BoardsMoved {
    const KIND: &'static str = "boards_moved";
}

/// The boards in use, each with its index and its audience on this server.
pub struct Boards {
    pub ranks: Ranks,
    parts: Parts,
    audiences: Mutex<HashMap<Key, Arc<Audience>>>,
}

/// The dependencies of [`Boards`].
pub struct Parts {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    /// The site's time zone.
    pub zone: Tz,
    pub fleet: Option<Fleet>,
    pub papers: Arc<Papers>,
    pub profiles: Arc<Profiles>,
    /// Time that changes of a board are collected before its streams are notified.
    pub tick: Duration,
    /// The present day; streams wait for the next.
    pub days: watch::Sender<NaiveDate>,
    pub shutdown: CancellationToken,
}

impl Boards {
    /// The boards of one server, or those of a fleet.
    pub fn new(parts: Parts) -> Self {
        Self {
            ranks: Ranks::new(parts.clock.clone(), parts.fleet.clone(), parts.zone),
            parts,
            audiences: Mutex::default(),
        }
    }

    /// Applies the changes of a student's standings, and notifies the audiences here and on other servers.
    async fn apply(&self, changed: &StandingsChanged) -> Result<()> {
        let StandingsChanged {
            student,
            version,
            ranked,
            standings,
        } = changed;
        let moves = self.ranks.apply(*student, *version, *ranked, standings).await?;
        self.moved(standings, &moves);
        match &self.parts.fleet {
            Some(fleet) => {
                let moved = BoardsMoved {
                    standings: standings.clone(),
                    moves,
                };
                fleet.publish(Some(Event::of(moved)?.json())).await
            }
            None => Ok(()),
        }
    }

    /// Notifies this server's audiences of moves. A board may also have moved without one, or be dropped.
    fn moved(&self, standings: &[Changed], moves: &[Move]) {
        for changed in standings {
            if let Some(audience) = lock(&self.audiences).get(&changed.key()) {
                audience.changed.notify_one();
            }
        }
        for moved in moves {
            if let Some(audience) = lock(&self.audiences).get(&moved.key()) {
                audience.record_move(moved);
            }
        }
    }

    /// Wakes every audience, as anything may have changed.
    fn wake(&self) {
        for audience in lock(&self.audiences).values() {
            audience.changed.notify_one();
        }
    }

    /// Applies a change of whether an account is ranked: it joins or leaves every board.
    async fn account_changed(&self, user: UserId) -> Result<()> {
        let conn = self.parts.db.read();
        let select = sql(
            conn,
            "SELECT s.scope_id, s.window_key, s.score, s.reached_at, u.version, u.ranked \
             FROM users u JOIN standings s ON s.student_id = u.id WHERE u.id = $1",
            [user.into()],
        );
        let rows = Standings::find_by_statement(select).all(conn).await?;
        let Some(Standings { version, ranked, .. }) = rows.first() else {
            return Ok(());
        };
        let (version, ranked) = (*version, *ranked);
        let changed = StandingsChanged {
            student: user,
            version,
            ranked,
            standings: rows.into_iter().map(|row| row.changed).collect(),
        };
        self.apply(&changed).await
    }

    /// Those who listen to a board on this server.
    fn audience(&self, board: Board) -> Arc<Audience> {
        let mut audiences = lock(&self.audiences);
        audiences
            .entry(board.key())
            .or_insert_with(|| Arc::new(Audience::new(board)))
            .clone()
    }

    /// Drops boards without queries for a while; boards with listeners are queried.
    pub async fn prune(&self) {
        let listened: Vec<_> = {
            let mut audiences = lock(&self.audiences);
            // A listener holds its audience, as does one that is about to subscribe.
            audiences.retain(|_, audience| Arc::strong_count(audience) > 1);
            audiences.values().map(|audience| audience.board).collect()
        };
        for board in listened {
            self.ranks.ask(&self.parts.db, board, &[]).await;
        }
        self.ranks.prune().await;
    }
}

#[async_trait::async_trait]
impl Follower for Boards {
    async fn announce(&self, event: &Event) -> Option<Box<dyn Send + Sync>> {
        let changed = event.read::<StandingsChanged>()?;
        Some(Box::new(self.ranks.committing(changed.student, changed.version).await))
    }

    async fn follow(&self, event: &Event, committed: Time) -> Result<()> {
        if let Some(changed) = event.read::<StandingsChanged>() {
            self.apply(&changed).await?;
            telemetry::ranked(self.parts.clock.now().since(committed));
        }
        if let Some(changed) = event.read::<AccountChanged>() {
            self.account_changed(changed.user).await?;
        }
        Ok(())
    }

    async fn receive(&self, event: &Event) {
        if let Some(moved) = event.read::<BoardsMoved>() {
            self.moved(&moved.standings, &moved.moves);
        }
        // Whatever board it was on.
        if event.is::<AccountChanged>() {
            self.wake();
        }
    }

    fn publishes(&self, event: &Event) -> bool {
        event.is::<StandingsChanged>()
    }

    async fn channel(&self, health: Health, _: &Db, _: Time) -> Result<()> {
        if health != Health::CatchingUp {
            self.wake();
        }
        Ok(())
    }
}

#[derive(FromQueryResult)]
struct Standings {
    #[sea_orm(nested)]
    changed: Changed,
    version: i64,
    ranked: bool,
}
