//! Revocations, suspensions and role changes of the last 15 minutes; older access tokens have expired. Loaded at the
//! start; extended by this process and by the outbox. Open streams of a session hold a token that is cancelled with it.
//!
//! No clock decides whether a token is good. Every change of an account's access counts one up in its row
//! (`users.access_version`), a token names the version that it was issued for, and here is the lowest that is still good.
//! Times only say when an entry can be forgotten, with a margin for servers whose clocks differ.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock, Weak},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbErr, FromQueryResult};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{Viewer, role::Role, token::ACCESS_LIFETIME};
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

/// An account changed: its profile, whether it is ranked, or what it may do.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountChanged {
    pub user: UserId,
    /// The time of a change of role, suspension or deletion; `None` if only something else changed.
    pub at: Option<Time>,
    /// The version of the account's access since that change. The previous release names none.
    #[serde(default)]
    pub access_version: Option<i64>,
}

impl AccountChanged {
    /// A change that leaves the account's access as it was.
    pub fn profile(user: UserId) -> Self {
        Self {
            user,
            at: None,
            access_version: None,
        }
    }
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
    users: HashMap<UserId, Access>,
    open: HashMap<SessionId, (UserId, Weak<CancellationToken>)>,
}

/// What is known of an account whose access has changed.
struct Access {
    /// The lowest version that is still good.
    version: i64,
    /// A server of the previous release has changed it, too, and did not say to which version.
    is_unclear: bool,
    at: Time,
}

/// The judgement of a token that we signed and that has not expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    Refused,
    /// The previous release has issued the token or changed the account: the tables decide.
    Unclear,
}

impl State {
    fn judge(&self, viewer: &Viewer) -> Judgement {
        if self.sessions.contains_key(&viewer.session) {
            return Judgement::Refused;
        }
        match (viewer.access_version, self.users.get(&viewer.user)) {
            (Some(held), Some(access)) if held < access.version => Judgement::Refused,
            (Some(_), access) if access.is_none_or(|access| !access.is_unclear) => Judgement::Good,
            _ => Judgement::Unclear,
        }
    }
}

/// By so much the clocks of two servers may differ. An entry is kept for as long as some server takes a token for valid
/// that was issued before it.
const CLOCK_MARGIN: Duration = Duration::from_secs(5 * 60);
/// How long an entry can affect a token.
const RETENTION: Duration = ACCESS_LIFETIME.saturating_add(CLOCK_MARGIN);

#[derive(FromQueryResult)]
struct Ended {
    id: SessionId,
    at: Time,
}

#[derive(FromQueryResult)]
struct Changed {
    id: UserId,
    at: Time,
    access_version: i64,
}

impl Revocations {
    /// Loads the changes made while this server was not connected.
    pub async fn load(&self, conn: &impl ConnectionTrait, now: Time) -> Result<(), DbErr> {
        let since = now - RETENTION;
        let sessions = sql(
            conn,
            "SELECT id, revoked_at AS at FROM sessions WHERE revoked_at > $1",
            [since.into()],
        );
        for row in Ended::find_by_statement(sessions).all(conn).await? {
            self.session_ended(row.id, row.at);
        }
        let users = sql(
            conn,
            "SELECT id, access_changed_at AS at, access_version FROM users WHERE access_changed_at > $1",
            [since.into()],
        );
        for row in Changed::find_by_statement(users).all(conn).await? {
            self.user_changed(row.id, Some(row.access_version), row.at);
        }
        Ok(())
    }

    /// Whether the viewer's token is still good.
    pub(crate) fn judge(&self, viewer: &Viewer) -> Judgement {
        read(&self.state).judge(viewer)
    }

    /// A session was revoked: its tokens are refused and its streams end.
    pub fn session_ended(&self, session: SessionId, at: Time) {
        let mut state = write(&self.state);
        state.sessions.insert(session, at);
        if let Some((_, ended)) = state.open.remove(&session) {
            end(&ended);
        }
    }

    /// An account was suspended, deleted or given another role: tokens issued for a lower version are refused, and its
    /// streams end.
    pub fn user_changed(&self, user: UserId, version: Option<i64>, at: Time) {
        let mut state = write(&self.state);
        let access = state.users.entry(user).or_insert(Access {
            version: 0,
            is_unclear: false,
            at,
        });
        access.version = access.version.max(version.unwrap_or(0));
        access.is_unclear |= version.is_none();
        access.at = access.at.max(at);
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
        if state.judge(viewer) == Judgement::Refused {
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
        state.sessions.retain(|_, at| now.since(*at) <= RETENTION);
        state.users.retain(|_, access| now.since(access.at) <= RETENTION);
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
            self.user_changed(changed.user, changed.access_version, at);
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
    #[derive(FromQueryResult)]
    struct Account {
        role: Role,
        access_version: i64,
    }
    let select = sql(
        conn,
        "SELECT u.role, u.access_version FROM sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND s.user_id = $2 AND s.revoked_at IS NULL AND u.suspended_at IS NULL AND u.deleted_at IS NULL",
        [viewer.session.into(), viewer.user.into()],
    );
    let found = Account::find_by_statement(select).one(conn).await;
    matches!(found, Ok(Some(account)) if viewer.is_issued_for(account.role, account.access_version))
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

    fn viewer() -> Viewer {
        Viewer {
            user: UserId(Uuid::from_u128(1)),
            session: SessionId(Uuid::from_u128(2)),
            role: Role::Student,
            access_version: Some(5),
        }
    }

    #[test]
    fn a_session_whose_streams_are_closed_is_forgotten() {
        let (viewer, revocations) = (viewer(), Revocations::default());
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
        revocations.user_changed(viewer.user, Some(6), Time(0));
        assert!(revocations.end_of(&viewer).is_cancelled());
        let back = Viewer {
            access_version: Some(6),
            ..viewer
        };
        assert!(!revocations.end_of(&back).is_cancelled());
    }

    #[test]
    fn the_version_decides_and_no_clock() {
        let (viewer, revocations) = (viewer(), Revocations::default());
        assert_eq!(revocations.judge(&viewer), Judgement::Good);
        // By a server whose clock is behind, and then one whose clock is ahead; the second event comes first.
        revocations.user_changed(viewer.user, Some(7), Time(60_000_000));
        revocations.user_changed(viewer.user, Some(6), Time(-60_000_000));
        for (version, judgement) in [(5, Judgement::Refused), (6, Judgement::Refused), (7, Judgement::Good)] {
            let access_version = Some(version);
            let viewer = Viewer {
                access_version,
                ..viewer.clone()
            };
            assert_eq!(revocations.judge(&viewer), judgement, "{version}");
        }
        // A token is refused for as long as a server takes it for valid whose clock is minutes behind.
        revocations.prune(Time(60_000_000) + RETENTION);
        assert_eq!(revocations.judge(&viewer), Judgement::Refused);
        revocations.prune(Time(60_000_001) + RETENTION);
        assert_eq!(revocations.judge(&viewer), Judgement::Good);
    }

    #[test]
    fn what_the_previous_release_says_is_left_to_the_tables() {
        let (viewer, revocations) = (viewer(), Revocations::default());
        let of_previous_release = Viewer {
            access_version: None,
            ..viewer.clone()
        };
        assert_eq!(revocations.judge(&of_previous_release), Judgement::Unclear);
        revocations.user_changed(viewer.user, None, Time(0));
        assert_eq!(revocations.judge(&viewer), Judgement::Unclear);
        revocations.user_changed(viewer.user, Some(6), Time(0));
        assert_eq!(revocations.judge(&viewer), Judgement::Refused);
        revocations.session_ended(viewer.session, Time(0));
        assert_eq!(revocations.judge(&of_previous_release), Judgement::Refused);
    }
}
