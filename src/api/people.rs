//! What admins see of people and do about them.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

use super::{session::RevokeSessionPayload, user::User};
use crate::{
    account::people::{self, Filter},
    api::{
        connection::{Connection, connection, page_cost},
        context::RequestContext,
        guard::Needs,
        payload::UserError,
        scalar::{Reason, SearchText},
    },
    auth::role::Role,
    entity::user::{self, State},
    error::{Result, as_payload},
    id::UserId,
    page::Page,
    text,
};

/// Which accounts are wanted. What is not given does not matter.
#[derive(InputObject)]
pub struct UserFilter {
    /// With all these words in the handle or the e-mail address, whatever the case.
    text: Option<SearchText>,
    /// With this role.
    role: Option<Role>,
    /// In this state.
    state: Option<State>,
}

impl UserFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            text: self
                .text
                .map(|SearchText(words)| text::search("text", words))
                .transpose()?,
            role: self.role,
            state: self.state,
        })
    }
}

/// Beside a page of accounts.
pub struct UserTotal(pub(super) Filter);

#[Object]
impl UserTotal {
    /// How many there are in all. Counted only if asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        people::count(ctx.app().db.read(), &self.0).await
    }
}

/// A role for an account.
#[derive(InputObject)]
pub struct SetUserRoleInput {
    /// The account.
    user_id: ID,
    /// The role it is to have.
    role: Role,
}

/// An account to shut out.
#[derive(InputObject)]
pub struct SuspendUserInput {
    /// The account.
    user_id: ID,
    /// Why; for admins, kept until the account is reinstated or erased.
    reason: Reason,
}

/// An account to let in again.
#[derive(InputObject)]
pub struct ReinstateUserInput {
    /// The account.
    user_id: ID,
}

/// A deleted account to bring back.
#[derive(InputObject)]
pub struct RestoreUserInput {
    /// The account.
    user_id: ID,
}

/// Whose sessions to end.
#[derive(InputObject)]
pub struct RevokeUserSessionsInput {
    /// The account.
    user_id: ID,
}

/// The outcome of changing somebody's account.
#[derive(SimpleObject)]
pub struct UserPayload {
    /// The account as it is now.
    user: Option<User>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

impl UserPayload {
    fn of(changed: Result<user::Model>) -> Result<Option<Self>> {
        let (account, errors) = as_payload(changed)?;
        Ok(Some(Self {
            user: account.map(|account| User(account.into())),
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }
}

/// People: queries.
#[derive(Default)]
pub struct PeopleQuery;

#[Object]
impl PeopleQuery {
    /// All accounts, the newest first; suspended and deleted ones, too. For admins.
    #[graphql(guard = "Needs::Admin", complexity = "page_cost(first, last, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which accounts; all without it.")] filter: Option<UserFilter>,
        #[graphql(desc = "How many from the front, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the back, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<User, UserTotal>>> {
        let filter = filter.map(UserFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| UserId::decode(cursor).ok())?;
        let slice = people::list(ctx.app().db.read(), &filter, &page).await?;
        Ok(Some(connection(
            slice,
            UserTotal(filter),
            |account| account.id.encode(),
            |account| User(account.into()),
        )))
    }
}

/// People: mutations. Each takes effect at once, on open streams, too, and is recorded in the audit log.
#[derive(Default)]
pub struct PeopleMutation;

#[Object]
impl PeopleMutation {
    /// Gives an account another role. An admin can't give up their own, and the last admin stays one. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn set_user_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom, and the role.")] input: SetUserRoleInput,
    ) -> Result<Option<UserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        UserPayload::of(people::set_role(ctx.app(), id, input.role, &ctx.cause()).await)
    }

    /// Shuts an account out: its tokens are refused, its streams end, and it leaves every live board. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn suspend_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom, and why.")] input: SuspendUserInput,
    ) -> Result<Option<UserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        UserPayload::of(people::suspend(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }

    /// Lets a suspended account in again. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn reinstate_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom.")] input: ReinstateUserInput,
    ) -> Result<Option<UserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        UserPayload::of(people::reinstate(ctx.app(), id, &ctx.cause()).await)
    }

    /// Brings a deleted account back, within 30 days of its deletion. Its sessions stay ended. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn restore_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom.")] input: RestoreUserInput,
    ) -> Result<Option<UserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        UserPayload::of(people::restore(ctx.app(), id, &ctx.cause()).await)
    }

    /// Ends all sessions of an account, at once and with their streams. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn revoke_user_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose.")] input: RevokeUserSessionsInput,
    ) -> Result<Option<RevokeSessionPayload>> {
        let id = UserId::decode(&input.user_id)?;
        let revoked = people::revoke_sessions(ctx.app(), id, &ctx.cause()).await?;
        Ok(Some(RevokeSessionPayload::of(revoked)))
    }
}
