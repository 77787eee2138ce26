//! Sessions: opening, refreshing with rotation and reuse detection, ending, purging.
//!
//! Tokens are issued here and nowhere else, each in a transaction that holds the account: whoever sets a new password,
//! suspends the account or changes its role holds it, too. Of the two the later one sees the other: a token issued before
//! is of a version that is refused, one issued after is of the account as it is.

use std::{net::IpAddr, time::Duration};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, sea_query::Expr,
};
use serde_json::json;

use crate::{
    audit::{Action, Entry},
    auth::{
        Viewer,
        revocation::{self, Judgement, Revocations, SessionsEnded},
        token::{self, Claims, REFRESH_LIFETIME},
    },
    change::{Cause, Change},
    clock::{Moment, Time},
    db::sql,
    entity::{
        refresh_token,
        session::{self, Client},
        user,
    },
    error::{Error, Result},
    fleet::Health,
    id::{SessionId, UserId},
    page::{Order, Page, Slice},
    site::Site,
};

/// The number of active sessions of an account. One more sign-in ends the session that was not used for longest.
pub const MAX_SESSIONS: u64 = 50;
/// For so long the rows of a session are kept after its end or its expiry, longer than any of its access tokens is good on
/// any server. Presented later, its refresh tokens are unknown, and the reply is the same.
const KEPT_AFTER_END: Duration = Duration::from_secs(24 * 3600);

/// The device of a sign-in, for the list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
    /// By which it may be known from an earlier sign-in.
    pub token: Option<String>,
}

/// The tokens of a session, issued to its client.
pub struct Tokens {
    pub viewer: Viewer,
    pub client: Client,
    pub access: String,
    pub refresh: String,
    pub access_expires_at: Time,
    /// By which the device is known at its next sign-in; `None` if this was none.
    pub device: Option<String>,
}

impl Tokens {
    /// For a session of an account that is held.
    fn new(
        site: &Site,
        account: &user::Model,
        session: SessionId,
        client: Client,
        refresh: String,
        now: Time,
    ) -> Result<Self> {
        let claims = Claims {
            user: account.id,
            session,
            role: account.role,
            access_version: Some(account.access_version),
            issued_at: now,
        };
        let (viewer, access) = site.keys.issue(&claims)?;
        Ok(Self {
            viewer,
            client,
            access,
            refresh,
            access_expires_at: now + token::ACCESS_LIFETIME,
            device: None,
        })
    }
}

/// The viewer of an access token: signed by us, not expired, its session not revoked, and its account not suspended,
/// deleted or changed in role since. Needs no statement, except one while the server of a fleet is not connected to
/// Redis.
pub async fn authenticate(site: &Site, revocations: &Revocations, access_token: &str, now: Time) -> Option<Viewer> {
    let viewer = site.keys.verify(access_token, now)?;
    let is_connected = site
        .fleet
        .as_ref()
        .is_none_or(|fleet| fleet.health() == Health::Connected);
    let allowed = match revocations.judge(&viewer) {
        Judgement::Refused => false,
        Judgement::Good if is_connected => true,
        Judgement::Good | Judgement::Unclear => revocation::tables_allow(site.db.read(), &viewer).await,
    };
    allowed.then_some(viewer)
}

/// Opens a session for an account whose credentials were `checked`. `None` if they were changed since, or the account was
/// suspended or deleted: checking takes long.
pub async fn open(
    site: &Site,
    checked: &user::Model,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Option<Tokens>> {
    let (mut change, account) = Change::about(site, &cause.by_credential(), checked.id).await?;
    if !account.is_entered_as(checked) {
        return Ok(None);
    }
    end(
        &mut change,
        account.id,
        Ending::LongestUnused { keep: MAX_SESSIONS - 1 },
    )
    .await?;
    let now = &cause.now;
    let (id, refresh): (SessionId, _) = (now.id(), site.keys.refresh_token(now));
    let row = session::ActiveModel {
        id: Set(id),
        user_id: Set(account.id),
        client: Set(client),
        user_agent: Set(device.user_agent),
        address: Set(device.address.map(|address| address.to_string())),
        created_at: Set(now.at),
        used_at: Set(now.at),
        expires_at: Set(now.at + REFRESH_LIFETIME),
        revoked_at: Set(None),
    };
    session::Entity::insert(row).exec_without_returning(&change).await?;
    issue(&change, id, &refresh, now.at).await?;
    let tokens = Tokens::new(site, &account, id, client, refresh, now.at)?;
    change.commit().await?;
    Ok(Some(tokens))
}

/// Exchanges a refresh token for its successor. The first use rotates it. Until the successor is used, whoever repeats
/// the exchange gets the same one, for as long as that is good: another tab, or a client that did not receive the reply.
/// Afterwards it means that the token was stolen, and revokes the whole family.
pub(crate) async fn refresh(site: &Site, refresh_token: &str, client: Client, cause: &Cause) -> Result<Tokens> {
    let hash = token::hash(refresh_token);
    let mut change = Change::begin(site, &cause.by_credential()).await?;
    let now = &cause.now;
    let held = user::Entity::held_of_refresh_token(&hash).one(&change).await?;
    let account = held.filter(user::Model::is_active).ok_or(Error::Unauthenticated)?;
    let first_use = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::UsedAt, Expr::value(Some(now.at)))
        // As long as its successor.
        .col_expr(refresh_token::Column::ExpiresAt, Expr::value(now.at + REFRESH_LIFETIME))
        .filter(refresh_token::Column::Hash.eq(hash.clone()))
        .filter(refresh_token::Column::UsedAt.is_null())
        .filter(refresh_token::Column::ExpiresAt.gt(now.at))
        .exec(&change)
        .await?
        .rows_affected
        == 1;
    let token = refresh_token::Entity::with_hash(&hash)
        .one(&change)
        .await?
        .ok_or(Error::Unauthenticated)?;
    let session = session::Entity::of_token(token.session_id)
        .one(&change)
        .await?
        .ok_or(Error::Unauthenticated)?;
    if session.revoked_at.is_some() || token.expires_at <= now.at || session.client != client {
        return Err(Error::Unauthenticated);
    }
    let mut successors = site.keys.successors(refresh_token);
    let successor = if first_use {
        let successor = successors.next().ok_or(Error::Unauthenticated)?;
        issue(&change, session.id, &successor, now.at).await?;
        session::Entity::update_many()
            .col_expr(session::Column::UsedAt, Expr::value(now.at))
            .col_expr(session::Column::ExpiresAt, Expr::value(now.at + REFRESH_LIFETIME))
            .filter(session::Column::Id.eq(session.id))
            .exec(&change)
            .await?;
        Some(successor)
    } else {
        // It may have been issued under another secret than the first.
        let successors: Vec<_> = successors.collect();
        let hashes = successors.iter().map(|token| token::hash(token));
        let issued = refresh_token::Entity::with_hashes(hashes).all(&change).await?;
        let is_unused = |token: &String| {
            let hash = token::hash(token);
            issued.iter().any(|token| token.hash == hash && token.used_at.is_none())
        };
        successors.into_iter().find(is_unused)
    };
    let Some(successor) = successor else {
        tracing::warn!(session = %session.id.0, "a refresh token was used again: its session is revoked");
        let reused = Entry::of(Action::RefreshTokenReused, session.id.encode())
            .became(json!({"account": session.user_id.encode()}));
        change.audit(reused).await?;
        end(&mut change, session.user_id, Ending::One(session.id)).await?;
        change.commit().await?;
        return Err(Error::Unauthenticated);
    };
    let tokens = Tokens::new(site, &account, session.id, client, successor, now.at)?;
    change.commit().await?;
    Ok(tokens)
}

/// The viewer's sessions that are still good, the newest first.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    now: Time,
    page: &Page<SessionId>,
) -> Result<Slice<session::Model>> {
    let rows = page
        .select(session::Entity::of(viewer, now), session::Column::Id, Order::Descending)
        .all(conn)
        .await?;
    Ok(page.slice(rows))
}

/// The number of the viewer's active sessions.
pub(crate) async fn count(conn: &impl ConnectionTrait, viewer: &Viewer, now: Time) -> Result<u64> {
    Ok(session::Entity::of(viewer, now).count(conn).await?)
}

/// The sessions of an account to revoke.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All active ones but so many that were used last.
    LongestUnused { keep: u64 },
    /// All.
    All,
}

/// Ends sessions of the viewer: their tokens are refused from now on, and their streams end. Returns how many there
/// were.
pub(crate) async fn revoke(site: &Site, viewer: &Viewer, ending: Ending, cause: &Cause) -> Result<usize> {
    let mut change = Change::begin(site, cause).await?;
    let count = end(&mut change, viewer.user(), ending).await?;
    change.commit().await?;
    Ok(count)
}

/// Ends sessions of `owner`, and erases where they were opened. Returns how many there were.
pub(crate) async fn end(change: &mut Change<'_>, owner: UserId, ending: Ending) -> Result<usize> {
    let at = change.now().at;
    let which = match ending {
        Ending::One(session) => Some(session::Column::Id.eq(session)),
        Ending::Others(session) => Some(session::Column::Id.ne(session)),
        Ending::LongestUnused { keep } => {
            let kept = session::Entity::active_of(owner, at)
                .select_only()
                .column(session::Column::Id)
                .order_by_desc(session::Column::UsedAt)
                .order_by_desc(session::Column::Id)
                .limit(keep)
                .into_query();
            let is_active = session::Column::ExpiresAt.gt(at);
            Some(session::Column::Id.not_in_subquery(kept).and(is_active))
        }
        Ending::All => None,
    };
    let ended = session::Entity::update_many()
        .set(session::ActiveModel {
            revoked_at: Set(Some(at)),
            user_agent: Set(None),
            address: Set(None),
            ..Default::default()
        })
        .filter(session::Column::UserId.eq(owner))
        .filter(session::Column::RevokedAt.is_null())
        .filter(Condition::all().add_option(which))
        .exec_with_returning(change)
        .await?;
    if ended.is_empty() {
        return Ok(0);
    }
    let sessions: Vec<_> = ended.iter().map(|row| row.id).collect();
    let encoded: Vec<_> = sessions.iter().map(|session| session.encode()).collect();
    change.emit(SessionsEnded { sessions, at }).await?;
    let revoked = Entry::of(Action::SessionsRevoked, owner.encode()).became(json!({"revoked": encoded}));
    change.audit(revoked).await?;
    Ok(ended.len())
}

/// Deletes sessions that ended or expired a day ago, tokens that are too old for reuse to be detected, and links that
/// expired a day ago. Five hundred rows at a time, so that nobody waits for it.
pub async fn purge(site: &Site, now: &Moment) -> Result<()> {
    const AT_ONCE: u64 = 500;
    const DUE: [&str; 6] = [
        "refresh_tokens WHERE hash IN (SELECT t.hash FROM sessions s JOIN refresh_tokens t ON t.session_id = s.id \
           WHERE s.revoked_at < $1 LIMIT $2)",
        "refresh_tokens WHERE hash IN (SELECT hash FROM refresh_tokens WHERE expires_at < $1 LIMIT $2)",
        // Their tokens are gone.
        "sessions WHERE id IN (SELECT id FROM sessions WHERE revoked_at < $1 LIMIT $2)",
        "sessions WHERE id IN (SELECT s.id FROM sessions s WHERE s.expires_at < $1 \
           AND NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.session_id = s.id) LIMIT $2)",
        "links WHERE hash IN (SELECT hash FROM links WHERE expires_at < $1 LIMIT $2)",
        "registrations WHERE id IN (SELECT id FROM registrations WHERE expires_at < $1 LIMIT $2)",
    ];
    let (conn, until) = (site.db.write(), now.at - KEPT_AFTER_END);
    for due in DUE {
        let delete = format!("DELETE FROM {due}");
        let mut deleted = AT_ONCE;
        while deleted == AT_ONCE {
            let values = [until.into(), AT_ONCE.cast_signed().into()];
            deleted = conn.execute_raw(sql(conn, &delete, values)).await?.rows_affected();
        }
    }
    Ok(())
}

async fn issue(conn: &impl ConnectionTrait, session_id: SessionId, token: &str, now: Time) -> Result<()> {
    let row = refresh_token::ActiveModel {
        hash: Set(token::hash(token)),
        session_id: Set(session_id),
        issued_at: Set(now),
        expires_at: Set(now + REFRESH_LIFETIME),
        used_at: Set(None),
    };
    refresh_token::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
