//! Sessions: opening, refreshing with rotation and reuse detection, ending.

use std::{net::IpAddr, time::Duration};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter,
    sea_query::Expr,
};
use serde_json::json;

use crate::{
    audit::{Action, Entry},
    auth::{
        Viewer,
        revocation::{self, Revocations, SessionsEnded},
        token::{self, Claims, REFRESH_LIFETIME},
    },
    change::{Cause, Change},
    clock::{Moment, Time},
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

/// Two tabs that refresh within this time of each other get the same successor.
const SHARED_REFRESH: Duration = Duration::from_secs(30);

/// The device of a sign-in, for the list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
}

/// The tokens of a session, issued to its client.
pub struct Tokens {
    pub viewer: Viewer,
    pub client: Client,
    pub access: String,
    pub refresh: String,
    pub access_expires_at: Time,
}

impl Tokens {
    fn new(site: &Site, claims: &Claims, client: Client, refresh: String) -> Result<Self> {
        let (viewer, access) = site.keys.issue(claims)?;
        Ok(Self {
            viewer,
            client,
            access,
            refresh,
            access_expires_at: claims.issued_at + token::ACCESS_LIFETIME,
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
    let allowed =
        revocations.allow(&viewer) && (is_connected || revocation::tables_allow(site.db.read(), &viewer).await);
    allowed.then_some(viewer)
}

/// Opens a session for an authenticated account.
pub async fn open(
    site: &Site,
    conn: &impl ConnectionTrait,
    account: &user::Model,
    client: Client,
    device: Device,
    now: &Moment,
) -> Result<Tokens> {
    let id: SessionId = now.id();
    let refresh = token::random(now);
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
    session::Entity::insert(row).exec_without_returning(conn).await?;
    issue(conn, id, &refresh, now.at).await?;
    let claims = Claims {
        user: account.id,
        session: id,
        role: account.role,
        issued_at: now.at,
    };
    Tokens::new(site, &claims, client, refresh)
}

/// Exchanges a refresh token for its successor. The first use rotates it; a second use within 30 s returns the same
/// successor; a later one means that the token was stolen, and revokes the whole family.
pub(crate) async fn refresh(site: &Site, refresh_token: &str, client: Client, cause: &Cause) -> Result<Tokens> {
    let hash = token::hash(refresh_token);
    let mut change = Change::begin(site, cause).await?;
    let now = &cause.now;
    let first_use = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::UsedAt, Expr::value(Some(now.at)))
        .filter(refresh_token::Column::Hash.eq(hash.clone()))
        .filter(refresh_token::Column::UsedAt.is_null())
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
    let account = user::Entity::active()
        .filter(user::Column::Id.eq(session.user_id))
        .one(&change)
        .await?
        .ok_or(Error::Unauthenticated)?;
    let mut successors: Vec<_> = site.keys.successors(refresh_token).collect();
    if first_use {
        issue(&change, session.id, &successors[0], now.at).await?;
        session::Entity::update_many()
            .col_expr(session::Column::UsedAt, Expr::value(now.at))
            .col_expr(session::Column::ExpiresAt, Expr::value(now.at + REFRESH_LIFETIME))
            .filter(session::Column::Id.eq(session.id))
            .exec(&change)
            .await?;
    } else if token.used_at.is_none_or(|used| now.at.since(used) > SHARED_REFRESH) {
        tracing::warn!(session = %session.id.0, "a refresh token was used again: its session is revoked");
        let reused = Entry::of(Action::RefreshTokenReused, session.id.encode())
            .became(json!({"account": session.user_id.encode()}));
        change.audit(reused).await?;
        end(&mut change, session.user_id, Ending::One(session.id)).await?;
        change.commit().await?;
        return Err(Error::Unauthenticated);
    } else if successors.len() > 1 {
        // The first tab may have refreshed under another secret.
        let issued = refresh_token::Entity::with_hashes(successors.iter().map(|token| token::hash(token)));
        let issued: Vec<_> = issued.all(&change).await?.into_iter().map(|token| token.hash).collect();
        successors.retain(|token| issued.contains(&token::hash(token)));
    }
    let successor = successors.into_iter().next().ok_or(Error::Unauthenticated)?;
    change.commit().await?;
    let claims = Claims {
        user: account.id,
        session: session.id,
        role: account.role,
        issued_at: now.at,
    };
    Tokens::new(site, &claims, client, successor)
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

/// Ends sessions of `owner`. Returns how many there were.
pub(crate) async fn end(change: &mut Change<'_>, owner: UserId, ending: Ending) -> Result<usize> {
    let at = change.now().at;
    let which = match ending {
        Ending::One(session) => Some(session::Column::Id.eq(session)),
        Ending::Others(session) => Some(session::Column::Id.ne(session)),
        Ending::All => None,
    };
    let ended = session::Entity::update_many()
        .col_expr(session::Column::RevokedAt, Expr::value(Some(at)))
        .filter(session::Column::UserId.eq(owner))
        .filter(session::Column::RevokedAt.is_null())
        .filter(Condition::all().add_option(which))
        .exec_with_returning(change)
        .await?;
    let sessions = ended.iter().map(|row| row.id).collect();
    change.emit(SessionsEnded { sessions, at }).await?;
    if !ended.is_empty() {
        let sessions: Vec<_> = ended.iter().map(|row| row.id.encode()).collect();
        let revoked = Entry::of(Action::SessionsRevoked, owner.encode()).became(json!({"revoked": sessions}));
        change.audit(revoked).await?;
    }
    Ok(ended.len())
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
