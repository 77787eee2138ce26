//! Administration of accounts. Every change goes through `alter`: the account is held together with the admin's, a closure
//! changes it or refuses, the change is recorded, and it takes effect at once on tokens and streams.

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, PaginatorTrait, QueryFilter, Select,
    sea_query::{Expr, Func},
};
use serde_json::{Value, json};

use super::{RESTORABLE, store};
use crate::{
    account::session::{self, Ending},
    audit::{Action, Entry},
    auth::role::Role,
    change::{Cause, Change},
    db::{self, AdvisoryLock},
    entity::user::{self, State},
    error::{Error, Result, UserErrorCode},
    id::UserId,
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// Conditions for accounts. Omitted fields match everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Words, each in the handle or the email address.
    pub words: Vec<String>,
    pub role: Option<Role>,
    pub state: Option<State>,
}

impl Filter {
    fn apply(&self) -> Select<user::Entity> {
        let mut all = Condition::all().add_option(self.role.map(|role| user::Column::Role.eq(role)));
        for word in &self.words {
            // Both are ASCII, and so folded once they are in lower case; but for addresses of the first release.
            let lower = |column: user::Column| Expr::expr(Func::lower(Expr::col(column.as_column_ref())));
            let (handle, email) = (lower(user::Column::Handle), lower(user::Column::Email));
            let folded = text::folded(word);
            all = all.add(
                Condition::any()
                    .add(db::contains(handle, &folded))
                    .add(db::contains(email.clone(), &folded))
                    .add(db::contains(email, &text::email_key(word))),
            );
        }
        match self.state {
            Some(state) => user::Entity::in_state(state),
            None => user::Entity::all(),
        }
        .filter(all)
    }
}

/// A page of all accounts, the newest first; suspended and deleted ones, too.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    page: &Page<UserId>,
) -> Result<Slice<user::Model>> {
    let rows = page.select(filter.apply(), user::Column::Id, Order::Descending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of accounts that match the filter.
pub(crate) async fn count(conn: &impl ConnectionTrait, filter: &Filter) -> Result<u64> {
    Ok(filter.apply().count(conn).await?)
}

/// The account with this email address.
pub async fn with_email(conn: &impl ConnectionTrait, email: &str) -> Result<UserId> {
    let found = user::Entity::with_email(&text::email_key(email)).one(conn).await?;
    found.map(|account| account.id).ok_or(Error::NotFound)
}

/// Gives an account another role.
pub async fn set_role(site: &Site, id: UserId, role: Role, cause: &Cause) -> Result<user::Model> {
    alter(site, id, Action::RoleChanged, None, cause, |account| {
        must_be_there(account)?;
        account.role = role;
        Ok(())
    })
    .await
}

/// Shuts an account out: its sessions end, it leaves the boards and can't sign in until it is reinstated.
pub async fn suspend(site: &Site, id: UserId, reason: &str, cause: &Cause) -> Result<user::Model> {
    let reason = text::reason("reason", reason)?;
    alter(site, id, Action::UserSuspended, Some(&reason), cause, |account| {
        must_be_there(account)?;
        account.suspended_at.get_or_insert(cause.now.at);
        account.suspension_reason = Some(reason.clone());
        Ok(())
    })
    .await
}

/// Lets a suspended account in again. Its sessions stay ended.
pub async fn reinstate(site: &Site, id: UserId, cause: &Cause) -> Result<user::Model> {
    alter(site, id, Action::UserReinstated, None, cause, |account| {
        must_be_there(account)?;
        account.suspended_at = None;
        account.suspension_reason = None;
        Ok(())
    })
    .await
}

/// Brings a deleted account back, within 30 days. Its sessions stay ended.
pub(crate) async fn restore(site: &Site, id: UserId, cause: &Cause) -> Result<user::Model> {
    alter(site, id, Action::UserRestored, None, cause, |account| {
        if account
            .deleted_at
            .is_some_and(|deleted| cause.now.at.since(deleted) >= RESTORABLE)
        {
            return Err(conflict(
                "This account was deleted 30 days ago or earlier: its personal data is gone for good.",
            ));
        }
        account.deleted_at = None;
        Ok(())
    })
    .await
}

/// Ends all sessions of an account. Returns how many there were.
pub(crate) async fn revoke_sessions(site: &Site, id: UserId, cause: &Cause) -> Result<usize> {
    let (mut change, _) = Change::about(site, cause, id).await?;
    let count = session::end(&mut change, id, Ending::All).await?;
    change.commit().await?;
    Ok(count)
}

/// Changes what an account may do. What `become_of` leaves as it was is neither recorded nor made known.
async fn alter(
    site: &Site,
    id: UserId,
    action: Action,
    reason: Option<&str>,
    cause: &Cause,
    become_of: impl FnOnce(&mut user::Model) -> Result<()>,
) -> Result<user::Model> {
    let (mut change, before) = Change::about(site, cause, id).await?;
    let mut after = before.clone();
    become_of(&mut after)?;
    if after == before {
        return Ok(after);
    }
    if before.is_admin() && !after.is_admin() {
        if cause.source.actor == Some(id) {
            return Err(conflict("You can't take this away from yourself. Ask another admin."));
        }
        an_admin_stays(&change, id).await?;
    }
    let after = store(&mut change, &before, |account| *account = after).await?;
    if before.is_active() && !after.is_active() {
        session::end(&mut change, id, Ending::All).await?;
    }
    let entry = Entry::of(action, id.encode())
        .was(access(&before))
        .became(access(&after));
    change.audit(entry.reason(reason)).await?;
    change.commit().await?;
    Ok(after)
}

/// Refuses to leave the site without an admin. Two admins that take each other's role at the same time come here one
/// after the other.
pub(super) async fn an_admin_stays(tx: &impl ConnectionTrait, leaving: UserId) -> Result<()> {
    db::advisory_lock(tx, AdvisoryLock::Admins).await?;
    let others = user::Entity::active()
        .filter(user::Column::Role.eq(Role::Admin))
        .filter(user::Column::Id.ne(leaving));
    match others.one(tx).await? {
        Some(_) => Ok(()),
        None => Err(conflict("This is the last admin. Make another account an admin first.")),
    }
}

fn must_be_there(account: &user::Model) -> Result<()> {
    match account.deleted_at {
        None => Ok(()),
        Some(_) => Err(conflict("This account is deleted. Restore it first.")),
    }
}

fn conflict(message: &str) -> Error {
    Error::refused(UserErrorCode::Conflict, message)
}

/// The fields of an account that the audit log records. Excludes personal data; the reason for a suspension is recorded as the
/// entry's, which can be erased.
fn access(account: &user::Model) -> Value {
    json!({
        "role": account.role,
        "suspendedAt": account.suspended_at.map(|at| at.to_utc()),
        "deletedAt": account.deleted_at.map(|at| at.to_utc()),
    })
}
