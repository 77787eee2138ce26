//! The audit log in the API.

use async_graphql::{Context, ID, InputObject, Json, Object};
use chrono::{DateTime, Utc};

use crate::{
    api::{
        connection::{Connection, connection, page_cost},
        context::RequestContext,
        guard::Needs,
        payload::date_time,
        user::{User, user},
    },
    audit::{Action, Filter},
    entity::audit_entry::Model,
    error::{Result, if_there},
    id::{AuditEntryId, UserId},
    page::Page,
};

/// Which entries are wanted. What is not given does not matter.
#[derive(InputObject)]
pub struct AuditFilter {
    /// What this account did.
    actor_id: Option<ID>,
    /// Of this kind.
    action: Option<Action>,
    /// What was done to the object with this id.
    object_id: Option<ID>,
    /// From this time on.
    from: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
}

impl AuditFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            actor: self.actor_id.map(|id| UserId::decode(&id)).transpose()?,
            action: self.action,
            object: self.object_id.map(|ID(id)| id),
            from: self.from.map(Into::into),
            until: self.until.map(Into::into),
        })
    }
}

/// That somebody did something. Entries are never changed or removed; `marmalade verify` proves it.
pub struct AuditEntry(pub(super) Model);

/// That somebody did something. Entries are never changed or removed; `marmalade verify` proves it.
#[Object]
impl AuditEntry {
    /// The opaque id.
    async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// Who did it; `null` if it was the command line, the clock, or somebody who was not signed in.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.0.actor_id {
            Some(id) => if_there(user(ctx, id).await),
            None => Ok(None),
        }
    }

    /// What was done.
    async fn action(&self) -> Action {
        self.0.action
    }

    /// To what: the id of the object. Of a sign-in to no account, a keyed digest of the address.
    async fn object_id(&self) -> ID {
        self.0.object_id.as_str().into()
    }

    /// What was changed, as it was before.
    async fn before(&self) -> Option<Json<serde_json::Value>> {
        json(self.0.was.as_deref())
    }

    /// What was changed, as it was afterwards.
    async fn after(&self) -> Option<Json<serde_json::Value>> {
        json(self.0.became.as_deref())
    }

    /// When.
    async fn at(&self) -> DateTime<Utc> {
        date_time(self.0.at)
    }

    /// In which request; `null` if it was none.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Its place in the log, from 1; `null` until it is sealed, which takes a second at most.
    async fn sequence(&self) -> Option<i64> {
        self.0.seq
    }
}

fn json(text: Option<&str>) -> Option<Json<serde_json::Value>> {
    text.and_then(|text| serde_json::from_str(text).ok()).map(Json)
}

/// Beside a page of entries.
pub struct AuditTotal(pub(super) Filter);

#[Object]
impl AuditTotal {
    /// How many there are in all. Counted only if asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        crate::audit::count(ctx.app().db.read(), &self.0).await
    }
}

/// The audit log: queries.
#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Who did what, the newest first. For admins.
    #[graphql(guard = "Needs::Admin", complexity = "page_cost(first, last, child_complexity)")]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries; all without it.")] filter: Option<AuditFilter>,
        #[graphql(desc = "How many from the front, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the back, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<AuditEntry, AuditTotal>>> {
        let filter = filter.map(AuditFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| {
            AuditEntryId::decode(cursor).ok()
        })?;
        let slice = crate::audit::list(ctx.app().db.read(), &filter, &page).await?;
        Ok(Some(connection(
            slice,
            AuditTotal(filter),
            |entry| entry.id.encode(),
            AuditEntry,
        )))
    }
}
