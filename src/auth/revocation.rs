//! Revocations, suspensions and role changes of the last 15 minutes; older access tokens have expired. Loaded at the
//! start; extended by this process and by the outbox. Open streams of a session hold a token that is cancelled with it.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, Weak},
};

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Viewer, token::ACCESS_LIFETIME};
use crate::{
    clock::Time,
    db::{Db, sql},
    error::Result,
    fleet::Health,
    id::{SessionId, UserId},
    outbox::{Event, Follower, Topic},
    sync::{read, write},
};

/// Sessions were signed out or revoked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionsEnded {
    pub sessions: Vec<SessionId>,
    pub at: Time,
}

impl Topic for SessionsEnded {
    const KIND: &'static str = "sessions_ended";
}

/// The permissions of an account changed at this time (role, suspension, deletion, restoration); without a time, only
/// its profile or whether it is ranked.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountChanged {
    pub user: UserId,
    pub at: Option<Time>,
}

impl Topic for AccountChanged {
    const KIND: &'static str = "account_changed";
}

/// The revocations that matter still, and the sessions that have streams open.
#[derive(Default)]
pub struct Revocations {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Time>,
    users: HashMap<UserId, Time>,
    open: HashMap<SessionId, (UserId, Weak<CancellationToken>)>,
}

impl State {
    fn allows(&self, viewer: &Viewer) -> bool {
        !self.sessions.contains_key(&viewer.session)
            && self
                .users
                .get(&viewer.user)
                .is_none_or(|changed| viewer.issued_at > *changed)
    }
}

#[derive(FromQueryResult)]
struct Changed<I: sea_orm::TryGetable> {
    id: I,
    at: Time,
}

impl Revocations {
    /// Loads the changes made while this server was not connected.
    pub async fn load(&self, conn: &impl ConnectionTrait, now: Time) -> Result<(), DbErr> {
        let since = now - ACCESS_LIFETIME;
        let sessions = sql(
            conn,
            "SELECT id, revoked_at AS at FROM sessions WHERE revoked_at > $1",
            [since.into()],
        );
        for row in Changed::<SessionId>::find_by_statement(sessions).all(conn).await? {
            self.session_ended(row.id, row.at);
        }
        let users = sql(
            conn,
            "SELECT id, access_changed_at AS at FROM users WHERE access_changed_at > $1",
            [since.into()],
        );
        for row in Changed::<UserId>::find_by_statement(users).all(conn).await? {
            self.user_changed(row.id, row.at);
        }
        Ok(())
    }

    /// Whether the viewer's token is still good.
    pub fn allow(&self, viewer: &Viewer) -> bool {
        read(&self.state).allows(viewer)
    }

    /// A session was revoked: its tokens are refused and its streams end.
    pub fn session_ended(&self, session: SessionId, at: Time) {
        let mut state = write(&self.state);
        state.sessions.insert(session, at);
        if let Some((_, ended)) = state.open.remove(&session) {
            end(&ended);
        }
    }

    /// An account was suspended, deleted or given another role: its tokens are to be refreshed and its streams end.
    pub fn user_changed(&self, user: UserId, at: Time) {
        let mut state = write(&self.state);
        let newest = state.users.entry(user).or_insert(at);
        *newest = at.max(*newest);
        state.open.retain(|_, (owner, ended)| {
            if *owner == user {
                end(ended);
            }
            *owner != user
        });
    }

    /// The token that a stream of the viewer's session must watch and hold: it is cancelled when the session ends, at
    /// once if it has ended already.
    pub fn end_of(&self, viewer: &Viewer) -> Arc<CancellationToken> {
        let mut state = write(&self.state);
        if !state.allows(viewer) {
            let ended = CancellationToken::new();
            ended.cancel();
            return ended.into();
        }
        let open = state.open.get(&viewer.session);
        open.and_then(|(_, ended)| ended.upgrade()).unwrap_or_else(|| {
            let ended = Arc::<CancellationToken>::default();
            let watched = (viewer.user, Arc::downgrade(&ended));
            state.open.insert(viewer.session, watched);
            ended
        })
    }

    /// Removes entries that can't affect any valid token, and sessions without open streams.
    pub fn prune(&self, now: Time) {
        let mut state = write(&self.state);
        state.sessions.retain(|_, at| now.since(*at) <= ACCESS_LIFETIME);
        state.users.retain(|_, at| now.since(*at) <= ACCESS_LIFETIME);
        state.open.retain(|_, (_, ended)| ended.strong_count() > 0);
    }
}

#[async_trait::async_trait]
impl Follower for Revocations {
    async fn follow(&self, event: &Event, _: Time) -> Result<()> {
        self.receive(event).await;
        Ok(())
    }

    async fn receive(&self, event: &Event) {
        if let Some(ended) = event.read::<SessionsEnded>() {
            for session in &ended.sessions {
                self.session_ended(*session, ended.at);
            }
        }
        if let Some(changed) = event.read::<AccountChanged>()
            && let Some(at) = changed.at
        {
            self.user_changed(changed.user, at);
        }
    }

    async fn channel(&self, health: Health, db: &Db, now: Time) -> Result<()> {
        match health {
            Health::Disconnected | Health::CatchingUp => Ok(self.load(db.read(), now).await?),
            Health::Connected => Ok(()),
        }
    }
}

/// Whether the tables allow the viewer's token. `false` if they can't be read.
pub async fn tables_allow(conn: &impl ConnectionTrait, viewer: &Viewer) -> bool {
    let select = sql(
        conn,
        "SELECT s.id, s.used_at AS at FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND u.suspended_at IS NULL AND u.deleted_at IS NULL \
           AND (u.access_changed_at IS NULL OR u.access_changed_at < $3)",
        [viewer.session.into(), viewer.user.into(), viewer.issued_at.into()],
    );
    matches!(
        Changed::<SessionId>::find_by_statement(select).one(conn).await,
        Ok(Some(_))
    )
}

/// Ends the streams that are still open, if any.
fn end(streams: &Weak<CancellationToken>) {
    if let Some(ended) = streams.upgrade() {
        ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::auth::role::Role;

    #[test]
    fn a_session_whose_streams_are_closed_is_forgotten() {
        let viewer = Viewer {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            role: Role::Student,
            issued_at: Time(5),
        };
        let revocations = Revocations::default();
        let (one, other) = (revocations.end_of(&viewer), revocations.end_of(&viewer));
        drop(one);
        revocations.prune(Time(0));
        assert_eq!(read(&revocations.state).open.len(), 1, "one stream is open still");
        revocations.session_ended(viewer.session, Time(0));
        assert!(other.is_cancelled());
        let late = revocations.end_of(&viewer);
        assert!(late.is_cancelled());
        revocations.prune(Time(0) + 2 * ACCESS_LIFETIME);
        drop(revocations.end_of(&viewer));
        revocations.prune(Time(0));
        assert!(read(&revocations.state).open.is_empty());

        // Suspended, or given another role, between the request and its stream.
        revocations.user_changed(viewer.user, Time(6));
        assert!(revocations.end_of(&viewer).is_cancelled());
        let back = Viewer {
            issued_at: Time(7),
            ..viewer
        };
        assert!(!revocations.end_of(&back).is_cancelled());
    }
}
