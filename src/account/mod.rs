//! Accounts: who there is, and how they come in.

pub mod link;
pub mod own;
pub mod people;
pub(crate) mod profile;
pub mod session;

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, SqlErr};
use serde_json::json;

pub use self::profile::Profile;
use self::session::{Device, Tokens};
use crate::{
    audit::{self, Action, Entry},
    auth::{Viewer, password, role::Role},
    change::{Cause, Change},
    clock::Moment,
    entity::{session::Client, user},
    error::{Error, Result, UserErrorCode},
    id::UserId,
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

/// A validated registration, as it is stored.
struct Checked {
    email: String,
    handle: String,
    password_hash: String,
}

impl Registration {
    /// Whether it can be used, as far as that shows without a database.
    pub fn check(&self) -> Result<()> {
        text::email("email", &self.email)?;
        text::handle("handle", &self.handle)?;
        text::password("password", self.password.clone()).map(drop)
    }

    /// Hashing takes long: not in a transaction.
    async fn checked(self, now: &Moment) -> Result<Checked> {
        Ok(Checked {
            email: text::email("email", &self.email)?,
            handle: text::handle("handle", &self.handle)?,
            password_hash: hash_of("password", self.password, now).await?,
        })
    }
}

/// Creates a student's account and signs in.
pub(crate) async fn register(
    site: &Site,
    registration: Registration,
    client: Client,
    device: Device,
    now: &Moment,
) -> Result<Tokens> {
    let _counted = site
        .limiter
        .reserve(Limit::Register, Who::address(device.address), now.at)
        .await?;
    let account = insert(site.db.write(), registration.checked(now).await?, Role::Student, now).await?;
    session::open(site, site.db.write(), &account, client, device, now).await
}

/// Creates an account of any role, for staff.
pub async fn create(site: &Site, registration: Registration, role: Role, cause: &Cause) -> Result<user::Model> {
    let registration = registration.checked(&cause.now).await?;
    let change = Change::begin(site, cause).await?;
    let account = insert(&change, registration, role, &cause.now).await?;
    let created = Entry::of(Action::UserCreated, account.id.encode()).became(json!({"role": role}));
    change.audit(created).await?;
    change.commit().await?;
    Ok(account)
}

async fn insert(
    conn: &impl ConnectionTrait,
    Checked {
        email,
        handle,
        password_hash,
    }: Checked,
    role: Role,
    now: &Moment,
) -> Result<user::Model> {
    let account = user::ActiveModel {
        role: Set(role),
        ..user::ActiveModel::student(now.id(), email, handle, password_hash, now.at)
    };
    let inserted = user::Entity::insert(account).exec_with_returning(conn).await;
    inserted.map_err(taken)
}

/// Signs in with email address and password. A wrong password and an address without an account get the same reply in
/// the same time.
pub(crate) async fn sign_in(
    site: &Site,
    email: &str,
    password: String,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Tokens> {
    let email = email.trim().to_lowercase();
    // Reserved before the work, so that a thousand guesses at once are no more than five; given back if it was right.
    let guess = Who::login(&email, device.address);
    let address = Who::address(device.address);
    let of_address = site
        .limiter
        .reserve(Limit::SignInFailureOfAddress, address, cause.now.at)
        .await?;
    let of_account = match site.limiter.reserve(Limit::SignInFailure, guess, cause.now.at).await {
        Ok(reserved) => reserved,
        Err(refused) => {
            of_address.release().await;
            return Err(refused);
        }
    };
    let known = user::Entity::with_email(&email).one(site.db.read()).await?;
    let account = known.as_ref().filter(|account| account.is_active());
    let hash = account.map(|account| account.password_hash.clone());
    let matches = password::verify(password, hash).await?;
    match account {
        Some(account) if matches => {
            of_account.release().await;
            of_address.release().await;
            session::open(site, site.db.write(), account, client, device, &cause.now).await
        }
        _ => {
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
/// so a stolen session allows no more guesses than a sign-in.
async fn with_password(site: &Site, viewer: &Viewer, password: String, cause: &Cause) -> Result<user::Model> {
    let guess = site.limiter.reserve(Limit::SignInFailure, viewer, cause.now.at).await?;
    let account = own(site.db.read(), viewer).await?;
    if password::verify(password, Some(account.password_hash.clone())).await? {
        guess.release().await;
        return Ok(account);
    }
    let failed = Entry::of(Action::SignInFailed, account.id.encode());
    cause.audit(site, failed).await?;
    Err(Error::input("password", "This is not your password."))
}

async fn hash_of(argument: &str, password: String, now: &Moment) -> Result<String> {
    password::hash(text::password(argument, password)?, now.random()).await
}

/// Sets an account's password. Links that were sent before are good for nothing from now on.
async fn set_password(conn: &impl ConnectionTrait, id: UserId, hash: String, now: &Moment) -> Result<()> {
    let credentials = user::ActiveModel {
        password_hash: Set(hash),
        credentials_changed_at: Set(Some(now.at)),
        ..Default::default()
    };
    let account = user::Entity::update_many().filter(user::Column::Id.eq(id));
    account.set(credentials).exec(conn).await?;
    Ok(())
}

/// Maps a unique violation to a user error about the address or the handle.
fn taken(error: DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(constraint)) if constraint.contains("email") => Error::refused(
            UserErrorCode::Conflict,
            "This email address already has an account. Sign in instead.",
        )
        .at("email"),
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            Error::refused(UserErrorCode::Conflict, "This handle is taken. Choose another one.").at("handle")
        }
        _ => error.into(),
    }
}
