//! Single-use links sent by email: password reset, new email address.
//!
//! A link belongs to the credentials that the account had when it was requested (`users.credentials_version`): the job
//! carries their version to the link, and it is redeemed only by an account that has them still.

use std::{net::IpAddr, time::Duration};

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde::{Deserialize, Serialize};

use super::{hash_of, hold, store};
use crate::{
    account::session::{self, Ending},
    audit::{Action, Entry},
    auth::{Viewer, token},
    change::{Cause, Change},
    clock::{Moment, Time},
    entity::{
        link::{self, Purpose},
        user,
    },
    error::{Error, Result},
    id::UserId,
    jobs::{Job, Run},
    limit::{Limit, Who},
    mail::Email,
    site::Site,
    text,
};

/// Lifetime of a password-reset link.
const RESET_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// Lifetime of a link that confirms a new email address.
const EMAIL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// An email with a link to set a new password, if the address has an account.
#[derive(Debug, Serialize, Deserialize)]
pub struct PasswordResetEmail {
    pub email: String,
    /// Of the account's credentials, if it has one. The previous release names none.
    #[serde(default)]
    pub credentials_version: i64,
}

impl Job for PasswordResetEmail {
    const KIND: &'static str = "password_reset_email";
    const ABOUT: &'static str = "Sends an email with a link to set a new password.";
    const PERSONAL: bool = true;
    const PRIORITY: i32 = 1;
}

impl Run for PasswordResetEmail {
    type Context = Site;

    async fn run(self, site: &Site, enqueued_at: Time, now: &Moment) -> Result<()> {
        send_password_reset(site, self, enqueued_at, now).await
    }
}

/// An email with a link that confirms the new address of an account.
#[derive(Debug, Serialize, Deserialize)]
pub struct EmailConfirmationEmail {
    pub user: UserId,
    pub email: String,
    /// Of the account's credentials. The previous release names none.
    #[serde(default)]
    pub credentials_version: i64,
}

impl EmailConfirmationEmail {
    /// To the address that the account has.
    pub(super) fn of_present(account: &user::Model) -> Self {
        Self {
            user: account.id,
            email: account.email.clone(),
            credentials_version: account.credentials_version,
        }
    }
}

impl Job for EmailConfirmationEmail {
    const KIND: &'static str = "email_confirmation_email";
    const ABOUT: &'static str = "Sends an email with a link that confirms a new email address.";
    const PERSONAL: bool = true;
    const PRIORITY: i32 = 1;
}

impl Run for EmailConfirmationEmail {
    type Context = Site;

    async fn run(self, site: &Site, enqueued_at: Time, now: &Moment) -> Result<()> {
        send_email_confirmation(site, self, enqueued_at, now).await
    }
}

/// An email to the current address of an account, before it changes.
#[derive(Debug, Serialize, Deserialize)]
pub struct EmailChangeWarning {
    pub email: String,
}

impl Job for EmailChangeWarning {
    const KIND: &'static str = "email_change_warning";
    const ABOUT: &'static str = "Sends a warning about a new email address to the current one.";
    const PERSONAL: bool = true;
    const PRIORITY: i32 = 1;
}

impl Run for EmailChangeWarning {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, _: &Moment) -> Result<()> {
        send_email_change_warning(site, self.email).await
    }
}

/// Enqueues a password-reset email, if the address has an account. Neither the reply nor its timing reveals whether it
/// has one: the email is a job, and here the same statement is run for both.
pub(crate) async fn request_password_reset(
    site: &Site,
    email: &str,
    address: Option<IpAddr>,
    cause: &Cause,
) -> Result<()> {
    let email = text::email("email", email)?;
    reserve_email(site, Who::email(&email), address, cause).await?;
    let mut change = Change::begin(site, &cause.by_credential()).await?;
    let account = user::Entity::with_email(&email).one(&change).await?;
    let credentials_version = account.map_or(0, |account| account.credentials_version);
    let job = PasswordResetEmail {
        email,
        credentials_version,
    };
    change.enqueue(&job).await?;
    change.commit().await
}

/// Counts an email for its account and for the address of whoever requests it.
async fn reserve_email(site: &Site, who: Who, address: Option<IpAddr>, cause: &Cause) -> Result<()> {
    let keys = [(Limit::Email, who), (Limit::EmailOfAddress, Who::address(address))];
    site.limiter.reserve_all(keys, cause.now.at).await?.turn().await;
    Ok(())
}

/// Sends a link to set a new password. Each email has a new link: only its hash is stored, so none can be sent twice.
pub async fn send_password_reset(
    site: &Site,
    requested: PasswordResetEmail,
    requested_at: Time,
    now: &Moment,
) -> Result<()> {
    let account = user::Entity::active()
        .filter(user::Column::Email.eq(&requested.email))
        .one(site.db.read())
        .await?;
    let is_good = |account: &user::Model| account.credentials_version == requested.credentials_version;
    let Some(account) = account.filter(is_good) else {
        return Ok(());
    };
    let expires_at = requested_at + RESET_LIFETIME;
    let Some(token) = make(
        site,
        &account,
        Purpose::PasswordReset,
        None,
        (requested_at, expires_at),
        now,
    )
    .await?
    else {
        return Ok(());
    };
    let link = site.mail.link("reset-password", &token);
    let text = format!(
        "A new password was requested for your account.\n\n{link}\n\nThe link works once, within 30 minutes. \
         If it was not you, do nothing: your password stays.\n"
    );
    site.mail
        .send(Email {
            to: requested.email,
            subject: "A new password",
            text,
        })
        .await
}

/// Sets a new password with the token of a link, and revokes all sessions.
pub(crate) async fn reset_password(site: &Site, token: &str, password: String, cause: &Cause) -> Result<()> {
    // An invented token is refused before a hash is computed for it.
    must_be_good(site.db.read(), token, Purpose::PasswordReset, &cause.now).await?;
    let password_hash = hash_of("newPassword", &password, &cause.now).await?;
    let mut change = Change::begin(site, &cause.by_credential()).await?;
    let (account, _) = redeem(&change, token, Purpose::PasswordReset).await?;
    store(&mut change, &account, |account| {
        account.password_hash = password_hash;
        // The link came by an email to it.
        account.email_confirmed_at = Some(cause.now.at);
    })
    .await?;
    let owner = account.id;
    change.audit(Entry::of(Action::PasswordReset, owner.encode())).await?;
    session::end(&mut change, owner, Ending::All).await?;
    change.commit().await
}

/// Enqueues a confirmation link to the new address of the viewer's account, and a warning to the current one.
pub(crate) async fn request_email_change(
    site: &Site,
    viewer: &Viewer,
    password: String,
    email: &str,
    address: Option<IpAddr>,
    cause: &Cause,
) -> Result<()> {
    let email = text::email("email", email)?;
    let checked = super::with_password(site, viewer, password, cause).await?;
    reserve_email(site, viewer.into(), address, cause).await?;
    let (mut change, account) = hold(site, &checked, cause).await?;
    let confirmation = EmailConfirmationEmail {
        user: account.id,
        email,
        credentials_version: account.credentials_version,
    };
    change.enqueue(&confirmation).await?;
    change.enqueue(&EmailChangeWarning { email: account.email }).await?;
    change.commit().await
}

/// Enqueues a confirmation link to the present address of the viewer's account.
pub(crate) async fn request_email_confirmation(
    site: &Site,
    viewer: &Viewer,
    address: Option<IpAddr>,
    cause: &Cause,
) -> Result<()> {
    reserve_email(site, viewer.into(), address, cause).await?;
    let account = super::own(site.db.read(), viewer).await?;
    let mut change = Change::begin(site, cause).await?;
    change.enqueue(&EmailConfirmationEmail::of_present(&account)).await?;
    change.commit().await
}

/// Sends a link that confirms an address of an account: its new one, or the one that it has.
pub async fn send_email_confirmation(
    site: &Site,
    requested: EmailConfirmationEmail,
    requested_at: Time,
    now: &Moment,
) -> Result<()> {
    let account = user::Entity::active()
        .filter(user::Column::Id.eq(requested.user))
        .one(site.db.read())
        .await?;
    let is_good = |account: &user::Model| account.credentials_version == requested.credentials_version;
    let Some(account) = account.filter(is_good) else {
        return Ok(());
    };
    let (email, expires_at) = (requested.email, requested_at + EMAIL_LIFETIME);
    let new = Some(email.clone());
    let Some(token) = make(
        site,
        &account,
        Purpose::EmailChange,
        new,
        (requested_at, expires_at),
        now,
    )
    .await?
    else {
        return Ok(());
    };
    let link = site.mail.link("confirm-email", &token);
    let (handle, has_it) = (&account.handle, account.email == email);
    let wish = if has_it {
        "confirm that this is your address"
    } else {
        "use this address from now on"
    };
    let text = format!(
        "{handle} asked to {wish}.\n\n{link}\n\nThe link works once, within 24 hours. If it was not you, do nothing.\n"
    );
    site.mail
        .send(Email {
            to: email,
            subject: "Confirm your email address",
            text,
        })
        .await
}

/// Sends a warning to the current address of an account.
pub(crate) async fn send_email_change_warning(site: &Site, email: String) -> Result<()> {
    site.mail
        .send(Email {
            to: email,
            subject: "Your email address is about to change",
            text: "A change of your account's email address was requested with your password. If it was not \
                   you, change your password now.\n"
                .to_owned(),
        })
        .await
}

/// Changes the address of an account to the confirmed one, if it is another.
pub(crate) async fn confirm_email_change(site: &Site, token: &str, cause: &Cause) -> Result<()> {
    let mut change = Change::begin(site, &cause.by_credential()).await?;
    let (account, email) = redeem(&change, token, Purpose::EmailChange).await?;
    let email = email.ok_or_else(|| Error::internal("a link to no address"))?;
    let is_another = email != account.email;
    store(&mut change, &account, |account| {
        account.email = email;
        account.email_confirmed_at = Some(cause.now.at);
    })
    .await?;
    if !is_another {
        return change.commit().await;
    }
    // Neither address: the log outlives the account's personal data.
    change
        .audit(Entry::of(Action::EmailChanged, account.id.encode()))
        .await?;
    change.commit().await
}

const NO_GOOD_LINK: &str = "This link was used already or has expired. Request a new one.";

/// Refuses a link that was never sent, was used or has expired; [`redeem`] decides.
async fn must_be_good(conn: &impl ConnectionTrait, token: &str, purpose: Purpose, now: &Moment) -> Result<()> {
    let link = link::Entity::unused(&token::hash(token), purpose, now.at)
        .one(conn)
        .await?;
    link.map(drop).ok_or_else(|| Error::input("token", NO_GOOD_LINK))
}

/// Makes a link for an account with the credentials that it has, and returns its token; `None` if it has expired.
async fn make(
    site: &Site,
    account: &user::Model,
    purpose: Purpose,
    email: Option<String>,
    (requested_at, expires_at): (Time, Time),
    now: &Moment,
) -> Result<Option<String>> {
    if expires_at <= now.at {
        return Ok(None);
    }
    let token = token::random(now);
    let row = link::ActiveModel {
        hash: Set(token::hash(&token)),
        user_id: Set(account.id),
        purpose: Set(purpose),
        email: Set(email),
        created_at: Set(requested_at),
        expires_at: Set(expires_at),
        used_at: Set(None),
        credentials_version: Set(account.credentials_version),
    };
    link::Entity::insert(row)
        .exec_without_returning(site.db.write())
        .await?;
    Ok(Some(token))
}

/// Redeems a link, and holds its account. Of two concurrent uses one succeeds. A link that was requested before the
/// password or the address was changed is refused: it may have been requested with the old password.
async fn redeem(change: &Change<'_>, token: &str, purpose: Purpose) -> Result<(user::Model, Option<String>)> {
    let refused = || Error::input("token", NO_GOOD_LINK);
    let (hash, now) = (token::hash(token), change.now().at);
    let held = user::Entity::held_of_link(&hash).one(change).await?;
    let account = held.filter(user::Model::is_active).ok_or_else(refused)?;
    let redeemed = link::Entity::update_many()
        .col_expr(link::Column::UsedAt, Expr::value(Some(now)))
        .filter(link::Column::Hash.eq(hash))
        .filter(link::Column::Purpose.eq(purpose))
        .filter(link::Column::UsedAt.is_null())
        .filter(link::Column::ExpiresAt.gt(now))
        .filter(link::Column::CredentialsVersion.eq(account.credentials_version))
        .exec_with_returning(change)
        .await?;
    let link = redeemed.into_iter().next().ok_or_else(refused)?;
    Ok((account, link.email))
}
