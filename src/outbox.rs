//! What must follow a commit. Whatever changes standings, sessions, roles or published content records an event in its
//! own transaction and delivers it right after the commit: to this server and, if there is a fleet, to the shared boards
//! and to the other servers. If the process dies in between, Redis is away, or the change was made by another process
//! (the command line), the relay delivers it. Delivery twice, or out of order, changes nothing.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    app::App,
    clock::{Moment, Time},
    db::{self, sql},
    error::{Error, Result},
    fleet::Health,
    id::{QuizId, SessionId, UserId},
    ranks::question::{Changed, Move},
    telemetry,
};

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A student's standings have new values; absolute, not differences.
    StandingsChanged {
        student: UserId,
        /// Of the transaction: an older one changes nothing.
        version: i64,
        ranked: bool,
        standings: Vec<Changed>,
    },
    /// Sessions were signed out or revoked.
    SessionsEnded { sessions: Vec<SessionId>, at: Time },
    /// What an account may do changed at this time (its role; it was suspended, deleted or restored); without a time,
    /// only its profile or whether it is ranked did.
    AccountChanged { user: UserId, at: Option<Time> },
    /// A quiz was published, changed, deleted or restored.
    QuizChanged { quiz: QuizId },
}

/// Records an event in the transaction that causes it.
pub async fn record(conn: &impl ConnectionTrait, event: &Event, now: &Moment) -> Result<()> {
    let id: Uuid = now.id();
    let text = serde_json::to_string(event).map_err(Error::internal)?;
    let insert = sql(
        conn,
        "INSERT INTO outbox (id, event, created_at) VALUES ($1, $2, $3)",
        [id.into(), text.into(), now.at.into()],
    );
    conn.execute_raw(insert).await?;
    Ok(())
}

/// Delivers an event right after its commit. If that fails the relay will: the event is recorded.
pub async fn deliver(app: &App, event: Event) {
    let committed = app.clock.now();
    if let Err(Error::Internal(cause)) = try_deliver(app, &event, committed).await {
        tracing::debug!(?cause, "what follows a commit is delivered later");
    }
}

async fn try_deliver(app: &App, event: &Event, committed: Time) -> Result<()> {
    note(app, event).await;
    let moves = match event {
        Event::StandingsChanged {
            student,
            version,
            ranked,
            standings,
        } => app.boards.apply(*student, *version, *ranked, standings).await?,
        Event::AccountChanged { user, .. } => app.boards.account_changed(app.db.read(), *user).await?,
        Event::SessionsEnded { .. } | Event::QuizChanged { .. } => Vec::new(),
    };
    if matches!(event, Event::StandingsChanged { .. }) {
        telemetry::ranked(app.clock.now().since(committed));
    }
    match &app.fleet {
        Some(fleet) => fleet.publish(Some((event, &moves))).await,
        None => Ok(()),
    }
}

/// What this server must do about an event, whoever delivers it.
async fn note(app: &App, event: &Event) {
    match event {
        Event::StandingsChanged { .. } => {}
        Event::SessionsEnded { sessions, at } => {
            for session in sessions {
                app.revocations.session_ended(*session, *at);
            }
        }
        Event::AccountChanged { user, at } => {
            if let Some(at) = at {
                app.revocations.user_changed(*user, *at);
            }
            app.profiles.forget(*user);
        }
        Event::QuizChanged { quiz } => app.papers.forget(*quiz).await,
    }
}

/// Another server of the fleet has delivered an event, which moved somebody on the shared boards.
pub async fn hear(app: &App, event: &Event, moves: &[Move]) {
    note(app, event).await;
    match event {
        Event::StandingsChanged { standings, .. } => app.boards.moved(standings, moves),
        // Whatever board it was on.
        Event::AccountChanged { .. } => app.boards.wake(),
        Event::SessionsEnded { .. } | Event::QuizChanged { .. } => {}
    }
}

#[derive(FromQueryResult)]
struct Row {
    event: String,
    created_at: Time,
}

/// Claims recorded events by deleting them, and delivers them; what can't be delivered stays. Returns how many there
/// were.
pub async fn relay(app: &App) -> Result<usize> {
    const AT_ONCE: usize = 500;
    if app.fleet.as_ref().is_some_and(|fleet| fleet.health() == Health::Away) {
        return Ok(0);
    }
    let tx = app.db.begin().await?;
    let conn = &tx;
    let claim = sql(
        conn,
        format!(
            "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT {AT_ONCE} {}) RETURNING event, created_at",
            db::for_update_skip_locked(conn)
        ),
        [],
    );
    let rows = Row::find_by_statement(claim).all(conn).await?;
    let count = rows.len();
    for row in rows {
        match serde_json::from_str(&row.event) {
            Ok(event) => try_deliver(app, &event, row.created_at).await?,
            // Written by a newer release; what it tells is in the tables, too.
            Err(error) => tracing::warn!(%error, "an event of an unknown kind was passed over"),
        }
    }
    tx.commit().await?;
    Ok(count)
}

/// How long an event of another process may wait to be noticed.
pub const RELAY_EVERY: Duration = Duration::from_millis(500);
