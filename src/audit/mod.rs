//! The audit log. An entry is written in the transaction of the change it records, so neither exists without the other;
//! the sealer ([`seal`]) chains entries afterwards, so that no two transactions wait for each other.
//!
//! Entries are kept for ever and hold no personal data: only ids, roles, times and quiz titles; no address, no name. The one
//! free text, the reason for an action, is erased with the account that it is about ([`forget_reasons`]). See docs/audit.md.

mod check;
mod proof;
pub mod seal;

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter, Select,
};
use serde_json::Value;

pub(crate) use self::check::check;
pub use crate::entity::audit_entry::Action;
use crate::{
    auth::token::{Keys, Purpose},
    clock::{Moment, Time},
    entity::audit_entry,
    error::{Error, Result},
    id::{self, AuditEntryId, UserId},
    page::{Order, Page, Slice},
};

/// The origin of a change. Defaults to the process itself: the command line, or the clock.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The account; `None` without a session.
    pub actor: Option<UserId>,
    /// The request, as its response and the log name it.
    pub request_id: Option<String>,
}

/// An entry to record.
#[derive(Clone, Debug)]
pub struct Entry {
    action: Action,
    object: String,
    was: Option<Value>,
    became: Option<Value>,
    reason: Option<String>,
}

impl Entry {
    /// That `action` was done to the object with this id of the API.
    pub fn of(action: Action, object: impl Into<String>) -> Self {
        Self {
            action,
            object: object.into(),
            was: None,
            became: None,
            reason: None,
        }
    }

    /// The changed values before the action.
    pub fn was(mut self, value: impl Into<Option<Value>>) -> Self {
        self.was = value.into();
        self
    }

    /// The changed values after the action.
    pub fn became(mut self, value: impl Into<Option<Value>>) -> Self {
        self.became = value.into();
        self
    }

    /// The reason for the action, in the words of who acted; `None` for an action that asks for none.
    pub fn reason<'a>(mut self, reason: impl Into<Option<&'a str>>) -> Self {
        self.reason = reason.into().map(str::to_owned);
        self
    }
}

/// A keyed digest for an email address without an account: equal for equal addresses, and not reversible.
pub(crate) fn digest(keys: &Keys, email: &str) -> String {
    let digest = keys.audit_mac(keys.id(), Purpose::Seal, email.as_bytes());
    let digest = digest.unwrap_or_default();
    id::encode("email", &digest[..16])
}

/// Conditions for audit log entries. Omitted fields match everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub actor: Option<UserId>,
    pub action: Option<Action>,
    pub object: Option<String>,
    pub from: Option<Time>,
    pub until: Option<Time>,
}

impl Filter {
    fn apply(&self) -> Select<audit_entry::Entity> {
        use audit_entry::Column;

        let all = Condition::all()
            .add_option(self.actor.map(|actor| Column::ActorId.eq(actor)))
            .add_option(self.action.map(|action| Column::Action.eq(action)))
            .add_option(self.object.as_ref().map(|object| Column::ObjectId.eq(object)))
            .add_option(self.from.map(|from| Column::At.gte(from)))
            .add_option(self.until.map(|until| Column::At.lt(until)));
        audit_entry::Entity::log().filter(all)
    }
}

/// A page of the log, the newest entry first.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    page: &Page<AuditEntryId>,
) -> Result<Slice<audit_entry::Model>> {
    let rows = page.select(filter.apply(), audit_entry::Column::Id, Order::Descending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of entries that match the filter.
pub(crate) async fn count(conn: &impl ConnectionTrait, filter: &Filter) -> Result<u64> {
    Ok(filter.apply().count(conn).await?)
}

/// Records an entry in the transaction that causes it.
pub async fn record(
    conn: &impl ConnectionTrait,
    keys: &Keys,
    source: &Source,
    entry: Entry,
    now: &Moment,
) -> Result<()> {
    let row = row(keys, source, entry, now)?.into_active_model().reset_all();
    match audit_entry::Entity::insert(row).exec_without_returning(conn).await? {
        1 => Ok(()),
        // A trigger of somebody else: without its entry a change does not happen.
        _ => Err(Error::internal("the database has not stored an entry of the audit log")),
    }
}

/// An entry as it is stored, signed.
fn row(keys: &Keys, source: &Source, entry: Entry, now: &Moment) -> Result<audit_entry::Model> {
    let id = now.id();
    let digest = entry
        .reason
        .as_deref()
        .map(|reason| proof::sign_reason(keys, id, reason));
    let mut row = audit_entry::Model {
        id,
        actor_id: source.actor,
        action: entry.action,
        object_id: entry.object,
        was: entry.was.map(|value| value.to_string()),
        became: entry.became.map(|value| value.to_string()),
        at: now.at,
        request_id: source.request_id.clone(),
        reason_digest: digest.transpose()?,
        reason: entry.reason,
        signature: None,
        seq: None,
        hash: None,
        key_id: None,
        mac: None,
    };
    row.signature = Some(proof::sign_entry(keys, &row)?);
    Ok(row)
}

/// Erases the reasons in entries about an object. What proves the entries stays good.
pub(crate) async fn forget_reasons(conn: &impl ConnectionTrait, object: &str) -> Result<()> {
    let nothing = audit_entry::ActiveModel {
        reason: Set(None),
        ..Default::default()
    };
    audit_entry::Entity::reasoned(object).set(nothing).exec(conn).await?;
    Ok(())
}
