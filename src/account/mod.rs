//! Accounts: who there is, and how they come in.

pub mod graphql;
pub mod loader;

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect, SqlErr,
};

use crate::{
    app::App,
    auth::{
        Viewer, password,
        session::{self, Device, Tokens},
    },
    clock::Moment,
    db::sql,
    entity::{
        UserId,
        session::Client,
        user::{self, Role},
    },
    error::{Error, Result, UserErrorCode},
    outbox::{self, Event},
};

/// What anyone may see of an account.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Profile {
    pub id: UserId,
    pub handle: String,
    pub avatar: Option<String>,
}

impl From<user::Model> for Profile {
    fn from(account: user::Model) -> Self {
        Self {
            id: account.id,
            handle: account.handle,
            avatar: account.avatar,
        }
    }
}

/// What somebody who registers gives.
pub struct Registration {
    pub email: String,
    pub handle: String,
    pub password: String,
}

/// Creates a student's account and signs in.
pub async fn register(
    app: &App,
    registration: Registration,
    client: Client,
    device: Device,
    now: &Moment,
) -> Result<Tokens> {
    let account = create(app, registration, Role::Student, now).await?;
    session::open(app, app.db.write(), &account, client, device, now).await
}

/// Creates an account of any role; for the command line and, as a student, for registration.
pub async fn create(app: &App, registration: Registration, role: Role, now: &Moment) -> Result<user::Model> {
    let email = email(&registration.email)?;
    let handle = handle(&registration.handle)?;
    let password_hash = hash_of(registration.password, now).await?;
    let account = user::ActiveModel {
        id: Set(now.id()),
        email: Set(email),
        handle: Set(handle),
        avatar: Set(None),
        password_hash: Set(password_hash),
        role: Set(role),
        opted_out: Set(false),
        demo: Set(false),
        version: Set(0),
        created_at: Set(now.at),
        access_changed_at: Set(None),
        suspended_at: Set(None),
        deleted_at: Set(None),
        ranked: NotSet,
    };
    match user::Entity::insert(account).exec_with_returning(app.db.write()).await {
        Ok(account) => Ok(account),
        Err(error) => Err(match error.sql_err() {
            Some(SqlErr::UniqueConstraintViolation(constraint)) if constraint.contains("email") => Error::refused(
                UserErrorCode::Conflict,
                "This e-mail address has an account already. Sign in instead.",
            )
            .at("email"),
            Some(SqlErr::UniqueConstraintViolation(_)) => {
                Error::refused(UserErrorCode::Conflict, "This handle is taken. Choose another one.").at("handle")
            }
            _ => error.into(),
        }),
    }
}

/// Signs in with e-mail address and password. A wrong password and an address without an account look the same and
/// take the same time.
pub async fn sign_in(
    app: &App,
    email: &str,
    password: String,
    client: Client,
    device: Device,
    now: &Moment,
) -> Result<Tokens> {
    let email = email.trim().to_lowercase();
    let account = user::Entity::active()
        .filter(user::Column::Email.eq(email))
        .one(app.db.read())
        .await?;
    let hash = account.as_ref().map(|account| account.password_hash.clone());
    let matches = password::verify(password, hash).await?;
    match account {
        Some(account) if matches => session::open(app, app.db.write(), &account, client, device, now).await,
        _ => Err(Error::refused(
            UserErrorCode::BadUserInput,
            "The e-mail address or the password is wrong.",
        )),
    }
}

/// The viewer's own account.
pub async fn own(conn: &impl ConnectionTrait, viewer: &Viewer) -> Result<user::Model> {
    user::Entity::active()
        .filter(user::Column::Id.eq(viewer.user()))
        .one(conn)
        .await?
        .ok_or(Error::Unauthenticated)
}

/// What anyone may see of these accounts. One statement, none if there are no ids.
pub async fn profiles(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = UserId>,
) -> Result<HashMap<UserId, Profile>> {
    let ids: std::collections::BTreeSet<_> = ids.into_iter().collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let profiles = user::Entity::present()
        .select_only()
        .columns([user::Column::Id, user::Column::Handle, user::Column::Avatar])
        .filter(user::Column::Id.is_in(ids))
        .into_model::<Profile>()
        .all(conn)
        .await?;
    Ok(profiles.into_iter().map(|profile| (profile.id, profile)).collect())
}

/// Gives the account with this address another role.
pub async fn set_role(app: &App, email: &str, role: Role, now: &Moment) -> Result<()> {
    let tx = app.db.begin().await?;
    let update = sql(
        &tx,
        "UPDATE users SET role = $2, access_changed_at = $3, version = version + 1 WHERE email = $1 AND deleted_at IS NULL \
         RETURNING id, handle, avatar",
        [email.trim().to_lowercase().into(), role.into(), now.at.into()],
    );
    let account = Profile::find_by_statement(update)
        .one(&tx)
        .await?
        .ok_or(Error::NotFound)?;
    let event = Event::AccountChanged {
        user: account.id,
        at: now.at,
    };
    outbox::record(&tx, &event, now).await?;
    tx.commit().await?;
    outbox::deliver(app, event).await;
    Ok(())
}

/// An e-mail address as it is stored. Whether it is real only a message to it can tell.
fn email(text: &str) -> Result<String> {
    let text = text.trim().to_lowercase();
    let valid = text.len() <= 254
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && text.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && name.len() <= 64
                && !host.contains('@')
                && host.split('.').all(|label| !label.is_empty())
        });
    if valid {
        Ok(text)
    } else {
        Err(Error::input(
            "email",
            "This is not an e-mail address. Expected e.g. ada@example.com.",
        ))
    }
}

/// A handle: 3 to 24 letters of ASCII, digits and underscores.
fn handle(text: &str) -> Result<String> {
    let valid = (3..=24).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if valid {
        Ok(text.to_owned())
    } else {
        Err(Error::input(
            "handle",
            "A handle has 3 to 24 letters (a to z), digits or underscores.",
        ))
    }
}

async fn hash_of(password: String, now: &Moment) -> Result<String> {
    // Long enough to resist guessing, short enough that hashing it is no attack.
    if !(10..=200).contains(&password.chars().count()) {
        return Err(Error::input("password", "A password has 10 to 200 characters."));
    }
    password::hash(password, now.random()).await
}
