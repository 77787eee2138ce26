//! Accounts: who there is, and how they come in.

pub(crate) mod admission;
pub mod link;
pub mod own;
pub mod people;
pub(crate) mod profile;
pub(crate) mod registration;
pub mod session;

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, SqlErr};
use serde_json::json;

pub use self::profile::Profile;
use self::{
    admission::Guess,
    session::{Device, Tokens},
};
use crate::{
    audit::{self, Action, Entry},
    auth::{Viewer, password, revocation::AccountChanged, role::Role},
    change::{Cause, Change},
    clock::Moment,
    entity::{session::Client, user},
    error::{Error, Result, UserErrorCode},
    limit::{Limit, Who},
    site::Site,
    text,
};

/// Period in which a deleted account can be restored, before its personal data is erased.
pub const RESTORABLE: Duration = Duration::from_secs(30 * 24 * 3600);

impl From<user::Model> for Profile {
    fn from(account: user::Model) -> Self {
        Self {
            id: account.id,
            handle: account.handle,
            avatar: account.avatar,
        }
    }
}

/// The input of a registration.
pub struct Registration {
    pub email: String,
    pub handle: String,
    pub password: String,
}

impl Registration {
    /// Whether it can be used, as far as that shows without a database.
    pub fn check(&self) -> Result<()> {
        text::email("email", &self.email)?;
        text::handle("handle", &self.handle)?;
        text::password("password", &self.password).map(drop)
    }
}

/// Creates an account of any role, for staff.
pub async fn create(site: &Site, registration: Registration, role: Role, cause: &Cause) -> Result<user::Model> {
    let now = &cause.now;
    let (email, handle) = (
        text::email("email", &registration.email)?,
        text::handle("handle", &registration.handle)?,
    );
    // Hashing takes long: not in a transaction.
    let password_hash = hash_of("password", &registration.password, now).await?;
    let change = Change::begin(site, cause).await?;
    let account = user::ActiveModel {
        role: Set(role),
        ..user::ActiveModel::student(now.id(), email, handle, password_hash, now.at)
    };
    let account = insert(&change, account).await?;
    let created = Entry::of(Action::UserCreated, account.id.encode()).became(json!({"role": role}));
    change.audit(created).await?;
    change.commit().await?;
    Ok(account)
}

async fn insert(conn: &impl ConnectionTrait, account: user::ActiveModel) -> Result<user::Model> {
    let inserted = user::Entity::insert(account).exec_with_returning(conn).await;
    inserted.map_err(taken)
}

/// Signs in with email address and password. A wrong password and an address without an account get the same reply in
/// the same time.
pub(crate) async fn sign_in(
    site: &Site,
    email: &str,
    password: String,
    staff_only: bool,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Tokens> {
    let email = text::email_key(email);
    let known = user::Entity::with_email(&email).one(site.db.read()).await?;
    let account = known.as_ref().filter(|account| account.is_active());
    let guess = Guess::at(site, &email, account, &device, cause.now.at).await?;
    let hash = account.map(|account| account.password_hash.clone());
    let matches = password::verify(password, hash).await?;
    if let Some(account) = account.filter(|account| matches && staff_only && !account.role.is_staff()) {
        // The password was right: it is no guess.
        guess.was_right(site, account, &cause.now).await;
        let message = "This account is not a staff account. Sign in with one that is.";
        return Err(Error::refused(UserErrorCode::BadUserInput, message));
    }
    // Hashing took long: the session is opened only if the account is still what was checked.
    let opened = match account {
        Some(account) if matches => {
            let opened = session::open(site, account, client, device, cause).await?;
            opened.map(|tokens| (tokens, account))
        }
        _ => None,
    };
    match opened {
        Some((tokens, account)) => {
            let device = Some(guess.was_right(site, account, &cause.now).await);
            Ok(Tokens { device, ..tokens })
        }
        None => {
            // An address without an account is recorded as a keyed digest, which a known address can be matched
            // against.
            let object = known.map_or_else(|| audit::digest(&site.keys, &email), |account| account.id.encode());
            cause.audit(site, Entry::of(Action::SignInFailed, object)).await?;
            let message = "The email address or the password is wrong.";
            Err(Error::refused(UserErrorCode::BadUserInput, message))
        }
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

/// The viewer's account, if the password is right. Required for irreversible changes. Counts against the sign-in limit,
/// so a stolen session allows no more guesses than a sign-in; for that session alone, so that its guesses don't keep the
/// owner from changing the password. Followed by [`hold`]: this takes long.
async fn with_password(site: &Site, viewer: &Viewer, password: String, cause: &Cause) -> Result<user::Model> {
    let account = own(site.db.read(), viewer).await?;
    let who = Who::session(viewer);
    let guess = site.limiter.reserve(Limit::SignInFailure, who, cause.now.at).await?;
    if password::verify(password, Some(account.password_hash.clone())).await? {
        guess.release().await;
        return Ok(account);
    }
    let failed = Entry::of(Action::SignInFailed, account.id.encode());
    cause.audit(site, failed).await?;
    Err(not_the_password())
}

/// Begins a change of an account whose password was `checked`, if it is still the password.
async fn hold<'s>(site: &'s Site, checked: &user::Model, cause: &Cause) -> Result<(Change<'s>, user::Model)> {
    let (change, account) = Change::about(site, cause, checked.id).await?;
    if !account.is_entered_as(checked) {
        return Err(not_the_password());
    }
    Ok((change, account))
}

fn not_the_password() -> Error {
    Error::input("password", "This is not your password.")
}

/// Changes an account that the change holds, and counts it: whatever was begun with the old credentials is good for nothing
/// from now on, and after a change of role, suspension or deletion no token either. Returns the account as it is then.
async fn store(
    change: &mut Change<'_>,
    before: &user::Model,
    become_of: impl FnOnce(&mut user::Model),
) -> Result<user::Model> {
    let (at, mut after) = (change.now().at, before.clone());
    become_of(&mut after);
    let access = |account: &user::Model| (account.role, account.suspended_at, account.deleted_at);
    let is_access_changed = access(&after) != access(before);
    let are_credentials_changed = (&after.email, &after.password_hash) != (&before.email, &before.password_hash);
    if is_access_changed {
        after.access_version += 1;
        after.access_changed_at = Some(at);
    }
    if are_credentials_changed {
        after.credentials_changed_at = Some(at);
    }
    if is_access_changed || are_credentials_changed {
        after.credentials_version += 1;
    }
    let row = user::ActiveModel {
        email: Set(after.email.clone()),
        password_hash: Set(after.password_hash.clone()),
        role: Set(after.role),
        suspended_at: Set(after.suspended_at),
        suspension_reason: Set(after.suspension_reason.clone()),
        deleted_at: Set(after.deleted_at),
        access_changed_at: Set(after.access_changed_at),
        access_version: Set(after.access_version),
        credentials_changed_at: Set(after.credentials_changed_at),
        credentials_version: Set(after.credentials_version),
        email_confirmed_at: Set(after.email_confirmed_at),
        ..Default::default()
    };
    user::Entity::grow(after.id)
        .set(row)
        .exec(change)
        .await
        .map_err(taken)?;
    if is_access_changed {
        let changed = AccountChanged {
            user: after.id,
            at: Some(at),
            access_version: Some(after.access_version),
        };
        change.emit(changed).await?;
    }
    Ok(after)
}

async fn hash_of(argument: &str, password: &str, now: &Moment) -> Result<String> {
    password::hash(text::password(argument, password)?, now.random()).await
}

/// Maps a unique violation to a user error about the address or the handle.
fn taken(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(constraint)) if constraint.contains("email") => Error::refused(
            UserErrorCode::Conflict,
            "This email address already has an account. Sign in instead.",
        )
        .at("email"),
        Some(SqlErr::UniqueConstraintViolation(_)) => taken_handle(),
        _ => error.into(),
    }
}

fn taken_handle() -> Error {
    let message = "This handle is taken, or can't be told from one that is. Choose another one.";
    Error::refused(UserErrorCode::Conflict, message).at("handle")
}
