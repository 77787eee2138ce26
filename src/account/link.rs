//! Single-use links sent by email: password reset, new email address.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter};
use serde::{Deserialize, Serialize};

use super::{hash_of, set_password, taken};
use crate::{
    account::session::{self, Ending},
    audit::{Action, Entry},
    auth::{Viewer, token},
    change::{Cause, Change},
    clock::{Moment, Time},
    db::sql,
    entity::{
        link::{self, Purpose},
        user,
    },
    error::{Error, Result},
    id::UserId,
    jobs::{Job, Run},
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
pub(crate) struct PasswordResetEmail {
    pub email: String,
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
        send_password_reset(site, self.email, enqueued_at, now).await
    }
}

/// An email with a link that confirms the new address of an account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EmailConfirmationEmail {
    pub user: UserId,
    pub email: String,
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
        send_email_confirmation(site, self.user, self.email, enqueued_at, now).await
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
/// has one: the email is a job, and only the job looks the account up.
pub(crate) async fn request_password_reset(site: &Site, email: &str, cause: &Cause) -> Result<()> {
    let email = text::email("email", email)?;
    let mut change = Change::begin(site, cause).await?;
    change.enqueue(&PasswordResetEmail { email }).await?;
    change.commit().await
}

/// Sends a link to set a new password. Each email has a new link: only its hash is stored, so none can be sent twice.
pub async fn send_password_reset(site: &Site, email: String, requested_at: Time, now: &Moment) -> Result<()> {
    let expires_at = requested_at + RESET_LIFETIME;
    if expires_at <= now.at {
        return Ok(());
    }
    let token = token::random(now);
    let insert = sql(
        site.db.write(),
        "INSERT INTO links (hash, user_id, purpose, created_at, expires_at) \
         SELECT CAST($1 AS {bytes}), id, 'PASSWORD_RESET', CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM users \
         WHERE email = $4 AND deleted_at IS NULL AND suspended_at IS NULL RETURNING user_id"
            .replace("{bytes}", crate::db::bytes(site.db.write())),
        [
            token::hash(&token).into(),
            requested_at.into(),
            expires_at.into(),
            email.clone().into(),
        ],
    );
    let owner = Owner::find_by_statement(insert).one(site.db.write()).await?;
    if owner.is_none() {
        return Ok(());
    }
    let link = site.mail.link("reset-password", &token);
    let text = format!(
        "A new password was requested for your account.\n\n{link}\n\nThe link works once, within 30 minutes. \
         If it was not you, do nothing: your password stays.\n"
    );
    site.mail
        .send(Email {
            to: email,
            subject: "A new password",
            text,
        })
        .await
}

/// Sets a new password with the token of a link, and revokes all sessions.
pub(crate) async fn reset_password(site: &Site, token: &str, password: String, cause: &Cause) -> Result<()> {
    let hash = hash_of("newPassword", password, &cause.now).await?;
    let mut change = Change::begin(site, cause).await?;
    let now = &cause.now;
    let (owner, _) = redeem(&change, token, Purpose::PasswordReset, now).await?;
    set_password(&change, owner, hash, now).await?;
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
    cause: &Cause,
) -> Result<()> {
    let email = text::email("email", email)?;
    let account = super::with_password(site, viewer, password, cause).await?;
    let (user, old) = (account.id, account.email);
    let mut change = Change::begin(site, cause).await?;
    change.enqueue(&EmailConfirmationEmail { user, email }).await?;
    change.enqueue(&EmailChangeWarning { email: old }).await?;
    change.commit().await
}

/// Enqueues a confirmation link to the present address of the viewer's account.
pub(crate) async fn request_email_confirmation(site: &Site, viewer: &Viewer, cause: &Cause) -> Result<()> {
    let account = super::own(site.db.read(), viewer).await?;
    let (user, email) = (account.id, account.email);
    let mut change = Change::begin(site, cause).await?;
    change.enqueue(&EmailConfirmationEmail { user, email }).await?;
    change.commit().await
}

/// Sends a link that confirms an address of an account: its new one, or the one that it has.
pub async fn send_email_confirmation(
    site: &Site,
    user: UserId,
    email: String,
    requested_at: Time,
    now: &Moment,
) -> Result<()> {
    let expires_at = requested_at + EMAIL_LIFETIME;
    let account = user::Entity::active()
        .filter(user::Column::Id.eq(user))
        .one(site.db.read())
        .await?;
    let Some(account) = account.filter(|_| expires_at > now.at) else {
        return Ok(());
    };
    let token = token::random(now);
    let row = link::ActiveModel {
        hash: Set(token::hash(&token)),
        user_id: Set(user),
        purpose: Set(Purpose::EmailChange),
        email: Set(Some(email.clone())),
        created_at: Set(requested_at),
        expires_at: Set(expires_at),
        used_at: Set(None),
    };
    link::Entity::insert(row)
        .exec_without_returning(site.db.write())
        .await?;
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
    let change = Change::begin(site, cause).await?;
    let now = &cause.now;
    let (owner, email) = redeem(&change, token, Purpose::EmailChange, now).await?;
    let email = email.ok_or_else(|| Error::internal("a link to no address"))?;
    let account = user::Entity::update_many().filter(user::Column::Id.eq(owner));
    let confirmed = user::ActiveModel {
        email_confirmed_at: Set(Some(now.at)),
        ..Default::default()
    };
    let same = account.clone().filter(user::Column::Email.eq(&*email));
    if same.set(confirmed.clone()).exec(&change).await?.rows_affected > 0 {
        return change.commit().await;
    }
    let address = user::ActiveModel {
        email: Set(email),
        credentials_changed_at: Set(Some(now.at)),
        ..confirmed
    };
    account.set(address).exec(&change).await.map_err(taken)?;
    // Neither address: the log outlives the account's personal data.
    change.audit(Entry::of(Action::EmailChanged, owner.encode())).await?;
    change.commit().await
}

#[derive(FromQueryResult)]
struct Owner {
    #[expect(dead_code, reason = "that there is one is what matters")]
    user_id: UserId,
}

#[derive(FromQueryResult)]
struct Redeemed {
    user_id: UserId,
    email: Option<String>,
}

/// Redeems a link. Of two concurrent uses one succeeds. A link requested before the password or the address was changed
/// is refused: it may have been requested with the old password.
async fn redeem(
    conn: &impl ConnectionTrait,
    token: &str,
    purpose: Purpose,
    now: &Moment,
) -> Result<(UserId, Option<String>)> {
    let update = sql(
        conn,
        "UPDATE links SET used_at = $3 \
         WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3 \
           AND user_id IN (SELECT id FROM users WHERE deleted_at IS NULL AND suspended_at IS NULL \
             AND (credentials_changed_at IS NULL OR credentials_changed_at < links.created_at)) \
         RETURNING user_id, email",
        [token::hash(token).into(), purpose.into(), now.at.into()],
    );
    let redeemed = Redeemed::find_by_statement(update).one(conn).await?;
    let redeemed = redeemed.ok_or_else(|| {
        let message = "This link was used already or has expired. Request a new one.";
        Error::input("token", message)
    })?;
    Ok((redeemed.user_id, redeemed.email))
}
