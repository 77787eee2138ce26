//! What people do about their own account.

use std::time::Duration;

use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::json;

use super::{hash_of, people, taken, with_password};
use crate::{
    account::session::{self, Ending},
    audit::{Action, Entry},
    auth::{Viewer, revocation::AccountChanged, role::Role},
    change::{Cause, Change},
    clock::Moment,
    db::sql,
    entity::user,
    error::{Error, Result},
    id::UserId,
    site::Site,
    text,
};

/// How long a deleted account can be restored before its personal data is removed.
pub const RESTORABLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is to be changed; `None` leaves it as it is.
#[derive(Default)]
pub struct Changes {
    pub handle: Option<String>,
    /// `Some(None)` takes the picture away.
    pub avatar: Option<Option<String>>,
    pub opted_out: Option<bool>,
}

/// Changes the viewer's account.
pub async fn update(site: &Site, viewer: &Viewer, changes: Changes, cause: &Cause) -> Result<user::Model> {
    let handle = changes
        .handle
        .map(|handle| text::handle("handle", &handle))
        .transpose()?;
    let avatar = match &changes.avatar {
        Some(Some(avatar)) => Some(text::picture("avatar", avatar)?),
        _ => None,
    };
    let mut change = Change::begin(site, cause).await?;
    // The row is what transactions on a student's standings lock first, and the version tells boards which is newer.
    let update = sql(
        &change,
        "UPDATE users SET handle = COALESCE($2, handle), \
           avatar = CASE WHEN $3 THEN $4 ELSE avatar END, \
           opted_out = COALESCE($5, opted_out), version = version + 1 \
         WHERE id = $1 AND deleted_at IS NULL RETURNING *",
        [
            viewer.user().into(),
            handle.into(),
            changes.avatar.is_some().into(),
            avatar.into(),
            changes.opted_out.into(),
        ],
    );
    let account = user::Model::find_by_statement(update)
        .one(&change)
        .await
        .map_err(taken)?;
    let account = account.ok_or(Error::Unauthenticated)?;
    let changed = AccountChanged {
        user: account.id,
        at: None,
    };
    change.tell(changed).await?;
    change.commit().await?;
    Ok(account)
}

/// Sets a new password and ends all other sessions. Returns how many there were.
pub async fn change_password(site: &Site, viewer: &Viewer, old: String, new: String, cause: &Cause) -> Result<usize> {
    let account = with_password(site, viewer, old, cause).await?;
    let hash = hash_of("newPassword", new, &cause.now).await?;
    let mut change = Change::begin(site, cause).await?;
    let update = sql(
        &change,
        "UPDATE users SET password_hash = $2, credentials_changed_at = $3 WHERE id = $1",
        [account.id.into(), hash.into(), cause.now.at.into()],
    );
    change.execute_raw(update).await?;
    let changed = Entry::of(Action::PasswordChanged, account.id.encode());
    change.audit(changed).await?;
    let count = session::end(&mut change, account.id, Ending::Others(viewer.session())).await?;
    change.commit().await?;
    Ok(count)
}

/// Deletes the viewer's account: it leaves every live board and all its sessions end. Staff can restore it for 30 days;
/// then [`erase`] removes what is personal. Its results stay, without a name.
pub async fn delete(site: &Site, viewer: &Viewer, password: String, cause: &Cause) -> Result<()> {
    let account = with_password(site, viewer, password, cause).await?;
    let mut change = Change::begin(site, cause).await?;
    let update = sql(
        &change,
        "UPDATE users SET deleted_at = $2, access_changed_at = $2, version = version + 1 WHERE id = $1",
        [account.id.into(), cause.now.at.into()],
    );
    change.execute_raw(update).await?;
    if account.role == Role::Admin {
        people::an_admin_stays(&change, account.id).await?;
    }
    let deleted = Entry::of(Action::UserDeleted, account.id.encode())
        .was(json!({"deletedAt": null}))
        .became(json!({"deletedAt": cause.now.at.to_utc()}));
    change.audit(deleted).await?;
    session::end(&mut change, account.id, Ending::All).await?;
    let changed = AccountChanged {
        user: account.id,
        at: Some(cause.now.at),
    };
    change.tell(changed).await?;
    change.commit().await
}

#[derive(FromQueryResult)]
struct Due {
    id: UserId,
}

/// Removes the personal data of accounts that were deleted 30 days ago. Returns how many there were.
pub async fn erase(site: &Site, now: &Moment) -> Result<usize> {
    const AT_ONCE: usize = 100;
    let due = sql(
        site.db.read(),
        format!("SELECT id FROM users WHERE deleted_at <= $1 AND erased_at IS NULL LIMIT {AT_ONCE}"),
        [(now.at - RESTORABLE).into()],
    );
    let due = Due::find_by_statement(due).all(site.db.read()).await?;
    for Due { id } in &due {
        let change = Change::begin(site, &Cause::clock(now)).await?;
        // Nobody can register such a handle or address: neither has the form of one.
        let nobody = format!("erased-{}", id.0.simple());
        let account = sql(
            &change,
            "UPDATE users SET email = $2, handle = $2, avatar = NULL, suspension_reason = NULL, password_hash = '', \
               erased_at = $3 WHERE id = $1 AND erased_at IS NULL",
            [(*id).into(), nobody.into(), now.at.into()],
        );
        if change.execute_raw(account).await?.rows_affected() == 0 {
            // By another server.
            continue;
        }
        for statement in [
            "UPDATE sessions SET user_agent = NULL, address = NULL WHERE user_id = $1",
            "DELETE FROM links WHERE user_id = $1",
        ] {
            change.execute_raw(sql(&change, statement, [(*id).into()])).await?;
        }
        change.audit(Entry::of(Action::UserErased, id.encode())).await?;
        change.commit().await?;
    }
    Ok(due.len())
}

/// Everything that is kept about the viewer. Five statements.
pub async fn export(site: &Site, viewer: &Viewer, now: &Moment) -> Result<serde_json::Value> {
    let conn = site.db.read();
    let account = super::own(conn, viewer).await?;
    let sessions = rows(
        conn,
        viewer,
        "SELECT client, user_agent, address, created_at, used_at, revoked_at FROM sessions WHERE user_id = $1 ORDER BY id",
    );
    let attempts = rows(
        conn,
        viewer,
        "SELECT v.title AS quiz, a.number, a.state, a.started_at, a.deadline_at, a.submitted_at, a.submitted_by, a.late, \
                a.ranked, r.score AS score_thousandths, r.right_count, r.wrong_count, r.blank_count \
         FROM attempts a JOIN quizzes v ON v.id = a.quiz_id LEFT JOIN results r ON r.attempt_id = a.id \
         WHERE a.student_id = $1 ORDER BY a.id",
    );
    let answers = rows(
        conn,
        viewer,
        "SELECT v.title AS quiz, a.number AS attempt, q.position AS question, c.text AS choice, s.answered_at \
         FROM attempts a JOIN quizzes v ON v.id = a.quiz_id JOIN answers s ON s.attempt_id = a.id \
         JOIN questions q ON q.id = s.question_id LEFT JOIN choices c ON c.id = s.choice_id \
         WHERE a.student_id = $1 ORDER BY a.id, q.position",
    );
    let standings = rows(
        conn,
        viewer,
        "SELECT window_key, score AS score_thousandths, reached_at FROM standings WHERE student_id = $1 \
         ORDER BY window_key, scope_id",
    );
    Ok(json!({
        "exported_at": now.at.to_utc(),
        "times": "microseconds since 1970-01-01 UTC",
        "account": {
            "id": account.id.encode(),
            "email": account.email,
            "handle": account.handle,
            "avatar": account.avatar,
            "role": account.role,
            "hidden_from_boards": account.opted_out,
            "created_at": account.created_at,
        },
        "sessions": sessions.await?,
        "attempts": attempts.await?,
        "answers": answers.await?,
        "standings": standings.await?,
    }))
}

/// The viewer's rows as JSON objects.
async fn rows(conn: &impl ConnectionTrait, viewer: &Viewer, select: &str) -> Result<Vec<serde_json::Value>> {
    let select = sql(conn, select, [viewer.user().into()]);
    Ok(sea_orm::JsonValue::find_by_statement(select).all(conn).await?)
}
