//! Sessions: opening, refreshing with rotation and reuse detection, ending.

use std::{net::IpAddr, time::Duration};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    sea_query::Expr,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Action, Entry, Source},
    auth::{
        Viewer, revocation,
        token::{self, Claims, REFRESH_LIFETIME},
    },
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
    outbox::{self, Event},
    page::{Order, Page, Slice},
};

/// Two tabs that refresh within this time of each other get the same successor.
const SHARED_REFRESH: Duration = Duration::from_secs(30);

/// From where somebody signs in; kept for the list of sessions.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub user_agent: Option<String>,
    pub address: Option<IpAddr>,
}

/// What a session's client holds from now on.
pub struct Tokens {
    pub viewer: Viewer,
    pub client: Client,
    pub access: String,
    pub refresh: String,
    pub access_expires_at: Time,
}

impl Tokens {
    fn new(app: &App, claims: &Claims, client: Client, refresh: String) -> Result<Self> {
        let (viewer, access) = app.keys.issue(claims)?;
        Ok(Self {
            viewer,
            client,
            access,
            refresh,
            access_expires_at: claims.issued_at + token::ACCESS_LIFETIME,
        })
    }
}

/// The viewer that an access token names: signed by us, not expired, and its session neither revoked nor its account
/// suspended, deleted or changed in role since. Costs no statement, but one while a server of a fleet does not hear of
/// the others.
pub async fn authenticate(app: &App, access_token: &str, now: Time) -> Option<Viewer> {
    let viewer = app.keys.verify(access_token, now)?;
    let hears = app.fleet.as_ref().is_none_or(|fleet| fleet.health() == Health::Well);
    let allowed = app.revocations.allow(&viewer) && (hears || revocation::tables_allow(app.db.read(), &viewer).await);
    allowed.then_some(viewer)
}

/// Opens a session for an account whose owner has just proved to be who they say.
pub async fn open(
    app: &App,
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
    Tokens::new(app, &claims, client, refresh)
}

/// Exchanges a refresh token for its successor. The first use rotates it; a second one within half a minute gets the
/// same successor; a later one means that somebody else has it, and ends the whole family.
pub async fn refresh(app: &App, refresh_token: &str, client: Client, source: &Source, now: &Moment) -> Result<Tokens> {
    let hash = token::hash(refresh_token);
    let tx = app.db.begin().await?;
    let first_use = refresh_token::Entity::update_many()
        .col_expr(refresh_token::Column::UsedAt, Expr::value(Some(now.at)))
        .filter(refresh_token::Column::Hash.eq(hash.clone()))
        .filter(refresh_token::Column::UsedAt.is_null())
        .exec(&tx)
        .await?
        .rows_affected
        == 1;
    let token = refresh_token::Entity::with_hash(&hash)
        .one(&tx)
        .await?
        .ok_or(Error::Unauthenticated)?;
    let session = session::Entity::of_token(token.session_id)
        .one(&tx)
        .await?
        .ok_or(Error::Unauthenticated)?;
    if session.revoked_at.is_some() || token.expires_at <= now.at || session.client != client {
        return Err(Error::Unauthenticated);
    }
    let account = user::Entity::active()
        .filter(user::Column::Id.eq(session.user_id))
        .one(&tx)
        .await?
        .ok_or(Error::Unauthenticated)?;
    let mut successors: Vec<_> = app.keys.successors(refresh_token).collect();
    if first_use {
        issue(&tx, session.id, &successors[0], now.at).await?;
        session::Entity::update_many()
            .col_expr(session::Column::UsedAt, Expr::value(now.at))
            .col_expr(session::Column::ExpiresAt, Expr::value(now.at + REFRESH_LIFETIME))
            .filter(session::Column::Id.eq(session.id))
            .exec(&tx)
            .await?;
    } else if token.used_at.is_none_or(|used| now.at.since(used) > SHARED_REFRESH) {
        tracing::warn!(session = %session.id.0, "a refresh token was used again: its session is revoked");
        let reused = Entry::of(Action::RefreshTokenReused, session.id.encode());
        audit::record(&tx, source, reused, now).await?;
        let (_, ended) = end(&tx, session.user_id, Ending::One(session.id), source, now).await?;
        tx.commit().await?;
        outbox::deliver(app, ended).await;
        return Err(Error::Unauthenticated);
    } else if successors.len() > 1 {
        // The first tab may have refreshed under another secret.
        let issued = refresh_token::Entity::with_hashes(successors.iter().map(|token| token::hash(token)));
        let issued: Vec<_> = issued.all(&tx).await?.into_iter().map(|token| token.hash).collect();
        successors.retain(|token| issued.contains(&token::hash(token)));
    }
    let successor = successors.into_iter().next().ok_or(Error::Unauthenticated)?;
    tx.commit().await?;
    let claims = Claims {
        user: account.id,
        session: session.id,
        role: account.role,
        issued_at: now.at,
    };
    Tokens::new(app, &claims, client, successor)
}

/// The viewer's sessions that are still good, the newest first.
pub async fn list(
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

/// How many sessions of the viewer are still good.
pub async fn count(conn: &impl ConnectionTrait, viewer: &Viewer, now: Time) -> Result<u64> {
    Ok(session::Entity::of(viewer, now).count(conn).await?)
}

/// Which sessions of an account are to end.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// All.
    All,
}

/// Ends sessions of the viewer: their tokens are refused from now on, and their streams end. Returns how many there
/// were.
pub async fn revoke(app: &App, viewer: &Viewer, ending: Ending, source: &Source, now: &Moment) -> Result<usize> {
    let tx = app.db.begin().await?;
    let (count, ended) = end(&tx, viewer.user(), ending, source, now).await?;
    tx.commit().await?;
    outbox::deliver(app, ended).await;
    Ok(count)
}

/// Ends sessions of `owner`. How many, and the event that is to be delivered once this is committed.
pub async fn end(
    conn: &impl ConnectionTrait,
    owner: UserId,
    ending: Ending,
    source: &Source,
    now: &Moment,
) -> Result<(usize, Event)> {
    let (which, session) = match ending {
        Ending::One(session) => ("id = $3", session),
        Ending::Others(session) => ("id <> $3", session),
        Ending::All => ("id <> $3", SessionId(Uuid::nil())),
    };
    let update = sql(
        conn,
        format!(
            "UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL AND {which} RETURNING id"
        ),
        [owner.into(), now.at.into(), session.into()],
    );
    let ended = Ended::find_by_statement(update).all(conn).await?;
    let event = Event::SessionsEnded {
        sessions: ended.iter().map(|row| row.id).collect(),
        at: now.at,
    };
    outbox::record(conn, &event, now).await?;
    if !ended.is_empty() {
        let sessions: Vec<_> = ended.iter().map(|row| row.id.encode()).collect();
        let revoked = Entry::of(Action::SessionsRevoked, owner.encode()).became(json!({"revoked": sessions}));
        audit::record(conn, source, revoked, now).await?;
    }
    Ok((ended.len(), event))
}

#[derive(FromQueryResult)]
struct Ended {
    id: SessionId,
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
