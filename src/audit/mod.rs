//! The audit log. An entry is written in the transaction of the change it records, so neither exists without the other;
//! the sealer ([`seal`]) chains entries afterwards, so that no two transactions wait for each other.
//!
//! Entries are kept for ever and hold no personal data: only ids, roles, times and quiz titles; no address, no name, no
//! free text about a person. See docs/audit.md.

pub mod seal;

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Select,
};
use serde_json::Value;

pub use crate::entity::audit_entry::Action;
use crate::{
    auth::token::Keys,
    clock::{Moment, Time},
    entity::audit_entry,
    error::Result,
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
}

impl Entry {
    /// That `action` was done to the object with this id of the API.
    pub fn of(action: Action, object: impl Into<String>) -> Self {
        Self {
            action,
            object: object.into(),
            was: None,
            became: None,
        }
    }

    /// The changed values before the action.
    pub fn was(mut self, value: Value) -> Self {
        self.was = Some(value);
        self
    }

    /// The changed values after the action.
    pub fn became(mut self, value: Value) -> Self {
        self.became = Some(value);
        self
    }
}

/// A keyed digest for an email address without an account: equal for equal addresses, and not reversible.
pub(crate) fn digest(keys: &Keys, email: &str) -> String {
    let digest = keys.seal(keys.id(), email.as_bytes()).unwrap_or_default();
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
pub async fn record(conn: &impl ConnectionTrait, source: &Source, entry: Entry, now: &Moment) -> Result<()> {
    let row = audit_entry::ActiveModel {
        id: Set(now.id()),
        actor_id: Set(source.actor),
        action: Set(entry.action),
        object_id: Set(entry.object),
        was: Set(entry.was.map(|value| value.to_string())),
        became: Set(entry.became.map(|value| value.to_string())),
        at: Set(now.at),
        request_id: Set(source.request_id.clone()),
        seq: NotSet,
        hash: NotSet,
        key_id: NotSet,
        mac: NotSet,
    };
    audit_entry::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
