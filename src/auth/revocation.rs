//! What was revoked, suspended or changed in role in the last quarter of an hour: after that no access token issued
//! before is good anyway. Loaded at the start, added to by this process and by the outbox. Open streams of a session
//! hang on a token that ends with it.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use tokio_util::sync::CancellationToken;

use super::{Viewer, token::ACCESS_LIFETIME};
use crate::{
    clock::Time,
    db::sql,
    entity::{SessionId, UserId},
};

/// The revocations that matter still, and the sessions that have streams open.
#[derive(Default)]
pub struct Revocations {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    sessions: HashMap<SessionId, Time>,
    users: HashMap<UserId, Time>,
    open: HashMap<SessionId, (UserId, CancellationToken)>,
}

#[derive(FromQueryResult)]
struct Changed<I: sea_orm::TryGetable> {
    id: I,
    at: Time,
}

impl Revocations {
    /// Reads what changed while this server was not there to hear of it.
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

    /// Whether a token issued at `issued_at` still speaks for the viewer.
    pub fn allows(&self, viewer: &Viewer, issued_at: Time) -> bool {
        let state = self.read();
        !state.sessions.contains_key(&viewer.session)
            && state.users.get(&viewer.user).is_none_or(|changed| issued_at > *changed)
    }

    /// A session was revoked: its tokens are refused and its streams end.
    pub fn session_ended(&self, session: SessionId, at: Time) {
        let mut state = self.write();
        state.sessions.insert(session, at);
        if let Some((_, ended)) = state.open.remove(&session) {
            ended.cancel();
        }
    }

    /// An account was suspended, deleted or given another role: its tokens are to be refreshed and its streams end.
    pub fn user_changed(&self, user: UserId, at: Time) {
        let mut state = self.write();
        let newest = state.users.entry(user).or_insert(at);
        *newest = at.max(*newest);
        state.open.retain(|_, (owner, ended)| {
            if *owner == user {
                ended.cancel();
            }
            *owner != user
        });
    }

    /// What a stream of the viewer's session must watch: it is cancelled when the session ends.
    pub fn end_of(&self, viewer: &Viewer) -> CancellationToken {
        let mut state = self.write();
        if state.sessions.contains_key(&viewer.session) {
            let ended = CancellationToken::new();
            ended.cancel();
            return ended;
        }
        let (_, ended) = state
            .open
            .entry(viewer.session)
            .or_insert_with(|| (viewer.user, CancellationToken::new()));
        ended.child_token()
    }

    /// Forgets what no token can be affected by any more.
    pub fn prune(&self, now: Time) {
        let mut state = self.write();
        state.sessions.retain(|_, at| now.since(*at) <= ACCESS_LIFETIME);
        state.users.retain(|_, at| now.since(*at) <= ACCESS_LIFETIME);
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
