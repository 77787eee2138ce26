//! Links by mail, each good for one use: a forgotten password, a new e-mail address.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Profile, hash_of, taken};
use crate::{
    app::App,
    audit::{self, Action, Entry, Source},
    auth::{
        Viewer,
        session::{self, Ending},
        token,
    },
    clock::Moment,
    db::sql,
    entity::{UserId, link::Purpose},
    error::{Error, Result},
    mail::Letter,
    outbox, text,
};

/// How long a link to a new password is good for.
const RESET_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How long a link to a new e-mail address is good for.
const EMAIL_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Sends a link to a new password, if the address has an account. Whether it has one shows neither in the answer nor in
/// the time: the same single statement runs, and nobody waits for the letter.
pub async fn request_password_reset(app: &App, email: &str, now: &Moment) -> Result<()> {
    let email = text::email("email", email)?;
    let token = token::random(now);
    let insert = sql(
        app.db.write(),
        "INSERT INTO links (hash, user_id, purpose, created_at, expires_at) \
         SELECT CAST($1 AS {bytes}), id, 'PASSWORD_RESET', CAST($2 AS BIGINT), CAST($3 AS BIGINT) FROM users \
         WHERE email = $4 AND deleted_at IS NULL AND suspended_at IS NULL RETURNING user_id"
            .replace("{bytes}", crate::db::bytes(app.db.write())),
        [
            token::hash(&token).into(),
            now.at.into(),
            (now.at + RESET_LIFETIME).into(),
            email.clone().into(),
        ],
    );
    if Owner::find_by_statement(insert).one(app.db.write()).await?.is_some() {
        let link = app.mail.link("reset-password", &token);
        app.mail.post(Letter {
            to: email,
            subject: "A new password",
            text: format!(
                "Somebody, most likely you, asked for a new password.\n\n{link}\n\nThe link works once, within 30 minutes. \
                 If it was not you, do nothing: your password stays.\n"
            ),
        });
    }
    Ok(())
}

/// Sets a new password by a link, and signs everybody out.
pub async fn reset_password(app: &App, token: &str, password: String, source: &Source, now: &Moment) -> Result<()> {
    let hash = hash_of("newPassword", password, now).await?;
    let tx = app.db.begin().await?;
    let (owner, _) = redeem(&tx, token, Purpose::PasswordReset, now).await?;
    let others = sql(
        &tx,
        "UPDATE links SET used_at = $2 WHERE user_id = $1 AND purpose = 'PASSWORD_RESET' AND used_at IS NULL",
        [owner.into(), now.at.into()],
    );
    tx.execute_raw(others).await?;
    let update = sql(
        &tx,
        "UPDATE users SET password_hash = $2 WHERE id = $1",
        [owner.into(), hash.into()],
    );
    tx.execute_raw(update).await?;
    audit::record(&tx, source, Entry::of(Action::PasswordReset, owner.encode()), now).await?;
    let (_, ended) = session::end(&tx, owner, Ending::All, source, now).await?;
    tx.commit().await?;
    outbox::deliver(app, ended).await;
    Ok(())
}

/// Sends a link to the address that the viewer's account is to have, and a word of warning to the one it has.
pub async fn request_email_change(
    app: &App,
    viewer: &Viewer,
    password: String,
    email: &str,
    now: &Moment,
) -> Result<()> {
    let email = text::email("email", email)?;
    let account = super::with_password(app, viewer, password).await?;
    let token = token::random(now);
    let insert = sql(
        app.db.write(),
        "INSERT INTO links (hash, user_id, purpose, email, created_at, expires_at) \
         VALUES ($1, $2, 'EMAIL_CHANGE', $3, $4, $5)",
        [
            token::hash(&token).into(),
            account.id.into(),
            email.clone().into(),
            now.at.into(),
            (now.at + EMAIL_LIFETIME).into(),
        ],
    );
    app.db.write().execute_raw(insert).await?;
    let link = app.mail.link("confirm-email", &token);
    app.mail.post(Letter {
        to: email,
        subject: "Confirm your e-mail address",
        text: format!(
            "{} asked to use this address from now on.\n\n{link}\n\nThe link works once, within 24 hours. If it was not \
             you, do nothing.\n",
            account.handle
        ),
    });
    app.mail.post(Letter {
        to: account.email,
        subject: "Your e-mail address is about to change",
        text:
            "Somebody who knows your password asked to change the e-mail address of your account. If it was not you, \
               change your password now.\n"
                .to_owned(),
    });
    Ok(())
}

/// Gives an account the address that its owner has just proved to read.
pub async fn confirm_email_change(app: &App, token: &str, source: &Source, now: &Moment) -> Result<()> {
    let tx = app.db.begin().await?;
    let (owner, email) = redeem(&tx, token, Purpose::EmailChange, now).await?;
    let update = sql(
        &tx,
        "UPDATE users SET email = $2 WHERE id = $1 RETURNING id, handle, avatar",
        [owner.into(), email.into()],
    );
    Profile::find_by_statement(update).one(&tx).await.map_err(taken)?;
    // Neither address: the log outlives the account's personal data.
    audit::record(&tx, source, Entry::of(Action::EmailChanged, owner.encode()), now).await?;
    tx.commit().await?;
    Ok(())
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

/// Uses a link up. Only one of two that come at once gets through.
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
           AND user_id IN (SELECT id FROM users WHERE deleted_at IS NULL AND suspended_at IS NULL) \
         RETURNING user_id, email",
        [token::hash(token).into(), purpose.into(), now.at.into()],
    );
    let redeemed = Redeemed::find_by_statement(update).one(conn).await?;
    let redeemed = redeemed.ok_or_else(|| {
        let message = "This link has been used or is too old. Ask for a new one.";
        Error::input("token", message)
    })?;
    Ok((redeemed.user_id, redeemed.email))
}
