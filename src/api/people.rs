//! GraphQL of account administration, for admins.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use super::{session::RevokeUserSessionsPayload, user::User};
use crate::{
    account::people::{self, Filter},
    api::payload::as_payload,
    api::session::Role,
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        payload::UserError,
        scalar::{Reason, SearchText},
    },
    entity::user,
    error::Result,
    id::UserId,
    page::Page,
    text,
};

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "UserState", remote = "user::State")]
pub enum UserState {
    /// The account can sign in.
    Active,
    /// The account was suspended by an admin.
    Suspended,
    /// The account was deleted by its owner.
    Deleted,
}

/// Conditions for accounts. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct UserFilter {
    /// Matches accounts with all of these words in the handle or the email address, ignoring case and accents.
    text: Option<SearchText>,
    /// Matches accounts with this role.
    role: Option<Role>,
    /// Matches accounts in this state.
    state: Option<UserState>,
}

impl UserFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            words: self
                .text
                .map(|SearchText(words)| text::search("text", &words))
                .transpose()?
                .unwrap_or_default(),
            role: self.role.map(Into::into),
            state: self.state.map(Into::into),
        })
    }
}

/// Input of `setUserRole`.
#[derive(InputObject)]
pub(crate) struct SetUserRoleInput {
    /// The account.
    user_id: ID,
    /// The new role.
    role: Role,
}

/// Input of `suspendUser`.
#[derive(InputObject)]
pub(crate) struct SuspendUserInput {
    /// The account.
    user_id: ID,
    /// The reason, visible to admins until the account is reinstated, and in the audit log until it is erased.
    reason: Reason,
}

/// Input of `reinstateUser`.
#[derive(InputObject)]
pub(crate) struct ReinstateUserInput {
    /// The account.
    user_id: ID,
}

/// Input of `restoreUser`.
#[derive(InputObject)]
pub(crate) struct RestoreUserInput {
    /// The account.
    user_id: ID,
}

/// Input of `revokeUserSessions`.
#[derive(InputObject)]
pub(crate) struct RevokeUserSessionsInput {
    /// The account.
    user_id: ID,
}

/// The payloads of mutations on an account.
macro_rules! account_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The updated account.
            user: Option<User>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(changed: Result<user::Model>) -> Result<Option<Self>> {
                let (account, errors) = as_payload(changed)?;
                let user = account.map(User::from);
                Ok(Some(Self { user, errors }))
            }
        }
    )*};
}

account_payloads! {
    /// The outcome of `setUserRole`.
    SetUserRolePayload
    /// The outcome of `suspendUser`.
    SuspendUserPayload
    /// The outcome of `reinstateUser`.
    ReinstateUserPayload
    /// The outcome of `restoreUser`.
    RestoreUserPayload
}

/// People: queries.
#[derive(Default)]
pub(crate) struct PeopleQuery;

#[Object]
impl PeopleQuery {
    /// All accounts, newest first, including suspended and deleted ones. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the accounts. Defaults to all.")] filter: Option<UserFilter>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<User>>> {
        let filter = filter.map(UserFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| UserId::decode(cursor).ok())?;
        let slice = people::list(ctx.app().db.read(), &filter, &page).await?;
        let total = Total::of(move |ctx| {
            let filter = filter.clone();
            Box::pin(async move { people::count(ctx.app().db.read(), &filter).await })
        });
        Ok(Some(connection(
            slice,
            total,
            |account| account.id.encode(),
            User::from,
        )))
    }
}

/// People: mutations. Each takes effect at once, on open streams, too, and is recorded in the audit log.
#[derive(Default)]
pub(crate) struct PeopleMutation;

#[Object]
impl PeopleMutation {
    /// Changes the role of an account. Admins can't change their own, and the last admin keeps the role. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn set_user_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account and its new role.")] input: SetUserRoleInput,
    ) -> Result<Option<SetUserRolePayload>> {
        let id = UserId::decode(&input.user_id)?;
        SetUserRolePayload::of(people::set_role(ctx.app(), id, input.role.into(), &ctx.cause()).await)
    }

    /// Suspends an account: its sessions are revoked, its streams end, and it leaves every live board. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn suspend_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account and the reason.")] input: SuspendUserInput,
    ) -> Result<Option<SuspendUserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        SuspendUserPayload::of(people::suspend(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }

    /// Reinstates a suspended account. Its sessions stay revoked. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn reinstate_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: ReinstateUserInput,
    ) -> Result<Option<ReinstateUserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        ReinstateUserPayload::of(people::reinstate(ctx.app(), id, &ctx.cause()).await)
    }

    /// Restores a deleted account within 30 days of its deletion. Its sessions stay revoked. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn restore_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: RestoreUserInput,
    ) -> Result<Option<RestoreUserPayload>> {
        let id = UserId::decode(&input.user_id)?;
        RestoreUserPayload::of(people::restore(ctx.app(), id, &ctx.cause()).await)
    }

    /// Revokes all sessions of an account, at once and with their streams. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn revoke_user_sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The account.")] input: RevokeUserSessionsInput,
    ) -> Result<Option<RevokeUserSessionsPayload>> {
        let id = UserId::decode(&input.user_id)?;
        let revoked = people::revoke_sessions(ctx.app(), id, &ctx.cause()).await?;
        Ok(Some(RevokeUserSessionsPayload::of(revoked)))
    }
}
