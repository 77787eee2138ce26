//! Registration of students: at once, or where the site demands it once they have proved to receive email at the address.
//!
//! Where it does, `register` does not tell whether an address has an account: the reply is the same, its work is the same,
//! and an email to the address says which it is. No account and no handle is taken until the link is redeemed, so a second
//! registration with the same handle reveals nothing either.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};

use super::{Registration, hash_of, insert, session, taken_handle};
use crate::{
    account::{
        link::EmailConfirmationEmail,
        session::{Device, Tokens},
    },
    auth::token,
    change::{Cause, Change},
    clock::{Moment, Time},
    entity::{
        registration::{self, ActiveModel},
        session::Client,
        user,
    },
    error::{Error, Result},
    id::RegistrationId,
    jobs::{Job, Run},
    limit::{Limit, Who},
    mail::Email,
    site::Site,
    text,
};

/// Lifetime of a link that completes a registration.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What a registration led to.
pub(crate) enum Registered {
    /// A session.
    SignedIn(Tokens),
    /// An email to the address.
    Emailed,
}

/// An email with a link that completes a registration, or, if the address has an account, with a word about that.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RegistrationEmail {
    pub registration: RegistrationId,
}

impl Job for RegistrationEmail {
    const KIND: &'static str = "registration_email";
    const ABOUT: &'static str = "Sends an email with a link that completes a registration.";
    const PRIORITY: i32 = 1;
}

impl Run for RegistrationEmail {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        send(site, self.registration, now).await
    }
}

/// Creates a student's account and signs in; where the site demands a proof of the address, asks for that first.
pub(crate) async fn register(
    site: &Site,
    registration: Registration,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Registered> {
    let now = &cause.now;
    let (email, handle) = (
        text::email("email", &registration.email)?,
        text::own_handle("handle", &registration.handle)?,
    );
    let password = text::password("password", &registration.password)?;
    // Handles are public: that one is taken costs nothing to hear. That an email address has an account does.
    if user::Entity::alike(&handle).one(site.db.read()).await?.is_some() {
        return Err(taken_handle());
    }
    let confirm = site.config.site.confirm_registrations;
    let keys = [
        Some((Limit::Register, Who::address(device.address))),
        confirm.then(|| (Limit::Email, Who::email(&email))),
    ];
    let counted = site.limiter.reserve_all(keys.into_iter().flatten(), now.at).await?;
    counted.turn().await;
    let password_hash = hash_of("password", &password, now).await?;
    if !confirm {
        let account = user::ActiveModel::student(now.id(), email, handle, password_hash, now.at);
        let mut change = Change::begin(site, &cause.by_credential()).await?;
        let account = insert(&change, account).await?;
        if site.config.site.ranks_confirmed_only {
            change.enqueue(&EmailConfirmationEmail::of_present(&account)).await?;
        }
        change.commit().await?;
        let tokens = first_session(site, &account, client, device, cause).await?;
        return Ok(Registered::SignedIn(tokens));
    }
    let mut change = Change::begin(site, &cause.by_credential()).await?;
    let registration: RegistrationId = now.id();
    let row = ActiveModel {
        id: Set(registration),
        email: Set(email),
        handle: Set(handle),
        password_hash: Set(password_hash),
        token_hash: Set(None),
        created_at: Set(now.at),
        expires_at: Set(now.at + LIFETIME),
    };
    registration::Entity::insert(row)
        .exec_without_returning(&change)
        .await?;
    change.enqueue(&RegistrationEmail { registration }).await?;
    change.commit().await?;
    Ok(Registered::Emailed)
}

/// Each email has a new link: only its hash is stored, so none can be sent twice.
async fn send(site: &Site, id: RegistrationId, now: &Moment) -> Result<()> {
    let pending = registration::Entity::pending(id, now.at).one(site.db.read()).await?;
    let Some(registration) = pending else { return Ok(()) };
    let known = user::Entity::with_email(&registration.email)
        .one(site.db.read())
        .await?;
    let (subject, text) = if known.is_some() {
        let link = site.mail.page("forgot-password");
        let text = format!(
            "Somebody, perhaps you, tried to register with this address. It has an account already: sign in, or ask \
             for a new password at\n\n{link}\n\nIf it was not you, do nothing.\n"
        );
        ("You have an account already", text)
    } else {
        let token = token::random(now);
        let hash = ActiveModel {
            token_hash: Set(Some(token::hash(&token))),
            ..Default::default()
        };
        let row = registration::Entity::update_many().filter(registration::Column::Id.eq(id));
        row.set(hash).exec(site.db.write()).await?;
        let (link, handle) = (site.mail.link("confirm-registration", &token), &registration.handle);
        let text = format!(
            "Somebody, perhaps you, registered as {handle} with this address. To complete it:\n\n{link}\n\nThe link \
             works once, within 24 hours. If it was not you, do nothing.\n"
        );
        ("Complete your registration", text)
    };
    let to = registration.email;
    site.mail.send(Email { to, subject, text }).await
}

/// Completes a registration with the token of its link: creates the account, its address confirmed, and signs in. Another
/// handle may be given, in case the first is taken by now.
pub(crate) async fn confirm(
    site: &Site,
    token: &str,
    handle: Option<String>,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Tokens> {
    let handle = handle.map(|handle| text::own_handle("handle", &handle)).transpose()?;
    let change = Change::begin(site, &cause.by_credential()).await?;
    let now = &cause.now;
    let redeemed = registration::Entity::redemption(token::hash(token), now.at);
    let redeemed = redeemed.exec_with_returning(&change).await?.into_iter().next();
    let registration = redeemed.ok_or_else(|| {
        let message = "This link was used already or has expired. Sign in, or register again.";
        Error::input("token", message)
    })?;
    let handle = handle.unwrap_or(registration.handle);
    let (email, password_hash) = (registration.email, registration.password_hash);
    let account = user::ActiveModel {
        email_confirmed_at: Set(Some(now.at)),
        ..user::ActiveModel::student(now.id(), email, handle, password_hash, now.at)
    };
    // A refusal rolls back, and the link stays good.
    let account = insert(&change, account).await?;
    change.commit().await?;
    first_session(site, &account, client, device, cause).await
}

/// The new account is known on the device from now on.
async fn first_session(
    site: &Site,
    account: &user::Model,
    client: Client,
    device: Device,
    cause: &Cause,
) -> Result<Tokens> {
    let opened = session::open(site, account, client, device, cause).await?;
    let tokens = opened.ok_or(Error::Unauthenticated)?;
    let known_by = site
        .keys
        .device_token(cause.now.random(), account.id, &account.password_hash);
    Ok(Tokens {
        device: Some(known_by),
        ..tokens
    })
}
