//! Accounts in the API.

use async_graphql::{Context, ID, Object};

use crate::{
    account::Profile,
    api::{
        attempt::{Attempt, AttemptFilter},
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        loader::{Accounts, AttemptCounts, AttemptsOf, OwnSessionCount, OwnSessions},
        payload::date_time,
        scalar::{DateTime, EmailAddress, Handle, PictureUrl},
        session::{Role, Session},
    },
    auth::Viewer,
    entity::user,
    error::{Error, Result},
    id::{AttemptId, SessionId, UserId},
    page::Page,
    text,
};

/// An account, as others see it. What is only its owner's and staff's is `null` with an error for others.
#[derive(Clone)]
pub(crate) struct User {
    profile: Profile,
    /// Who reads it, if the operation itself has signed the account in: its request may have come without a session, or
    /// with another's.
    signed_in: Option<Viewer>,
}

impl From<Profile> for User {
    fn from(profile: Profile) -> Self {
        Self {
            profile,
            signed_in: None,
        }
    }
}

impl From<user::Model> for User {
    fn from(account: user::Model) -> Self {
        Profile::from(account).into()
    }
}

/// An account of which only the id is known so far.
pub(crate) async fn user(ctx: &Context<'_>, id: UserId) -> Result<User> {
    ctx.viewer()?;
    let found = ctx.loader::<Accounts>()?.load_one(id).await?;
    found.map(User::from).ok_or(Error::NotFound)
}

impl User {
    /// An account that this operation has just signed in.
    pub(super) fn signed_in(account: user::Model, viewer: Viewer) -> Self {
        Self {
            signed_in: Some(viewer),
            ..account.into()
        }
    }

    /// The whole account, for its owner and for staff.
    async fn private(&self, ctx: &Context<'_>) -> Result<user::Model> {
        match &self.signed_in {
            Some(viewer) => self.must_be_readable(viewer)?,
            None => self.must_be_readable(ctx.viewer()?)?,
        }
        let found = ctx.loader::<Accounts>()?.load_one(self.profile.id).await?;
        found.ok_or(Error::NotFound)
    }

    fn must_be_readable(&self, viewer: &Viewer) -> Result<()> {
        let allowed = viewer.is_owner_or_staff(self.profile.id);
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// An account of a student or a staff member.
#[Object]
impl User {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.profile.id.encode().into()
    }

    /// The name shown on boards.
    async fn handle(&self) -> Handle {
        Handle(self.profile.handle.clone())
    }

    /// The URL of a picture, on a host that the site allows.
    async fn avatar(&self, ctx: &Context<'_>) -> Option<PictureUrl> {
        let hosts = &ctx.app().config.site.avatar_hosts;
        let avatar = self
            .profile
            .avatar
            .as_ref()
            .filter(|url| text::is_picture_of(url, hosts));
        avatar.cloned().map(PictureUrl)
    }

    /// The email address. Only for the account's owner and staff.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<EmailAddress>> {
        self.private(ctx).await.map(|account| Some(EmailAddress(account.email)))
    }

    /// The time the email address was confirmed; `null` if it never was. A site may rank only accounts with a confirmed
    /// address. Only for the account's owner and staff.
    async fn email_confirmed_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        self.private(ctx)
            .await
            .map(|account| account.email_confirmed_at.map(date_time))
    }

    /// The role, which determines the permissions. Only for the account's owner and staff.
    async fn role(&self, ctx: &Context<'_>) -> Result<Option<Role>> {
        self.private(ctx).await.map(|account| Some(account.role.into()))
    }

    /// The creation time. Only for the account's owner and staff.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        self.private(ctx)
            .await
            .map(|account| Some(date_time(account.created_at)))
    }

    /// Whether the account is hidden from open boards. Only for the account's owner and staff.
    async fn hidden_from_boards(&self, ctx: &Context<'_>) -> Result<Option<bool>> {
        self.private(ctx).await.map(|account| Some(account.opted_out))
    }

    /// The time of the suspension; `null` if it is not suspended. Only for admins.
    #[graphql(guard = "Needs::Admin")]
    async fn suspended_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        self.private(ctx)
            .await
            .map(|account| account.suspended_at.map(date_time))
    }

    /// The reason for the suspension. Only for admins.
    #[graphql(guard = "Needs::Admin")]
    async fn suspension_reason(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.private(ctx).await.map(|account| account.suspension_reason)
    }

    /// The deletion time; `null` if it is not deleted. It can be restored for 30 days. Only for admins.
    #[graphql(guard = "Needs::Admin")]
    async fn deleted_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        self.private(ctx).await.map(|account| account.deleted_at.map(date_time))
    }

    /// The active sessions, newest first. Only for the account's owner.
    async fn sessions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Session>>> {
        let viewer = ctx.viewer()?;
        if viewer.user() != self.profile.id {
            return Err(Error::Forbidden);
        }
        let page = Page::of((first, last), (after, before), |cursor| SessionId::decode(cursor).ok())?;
        let slice = ctx
            .loader::<OwnSessions>()?
            .load_one(page)
            .await?
            .ok_or(Error::NotFound)?;
        let total =
            Total::of(|ctx| Box::pin(async { Ok(ctx.loader::<OwnSessionCount>()?.load_one(()).await?.unwrap_or(0)) }));
        Ok(Some(connection(slice, total, |session| session.id.encode(), Session)))
    }

    /// The attempts, newest first. Only for the account's owner and staff.
    async fn attempts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the attempts. Defaults to all.")] filter: Option<AttemptFilter>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Attempt>>> {
        self.must_be_readable(ctx.viewer()?)?;
        let filter = filter.map(AttemptFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| AttemptId::decode(cursor).ok())?;
        let student = self.profile.id;
        let slice = ctx.loader::<AttemptsOf>()?.load_one((student, (filter, page))).await?;
        let slice = slice.ok_or(Error::NotFound)?;
        let total = Total::of(move |ctx| {
            Box::pin(async move {
                let count = ctx.loader::<AttemptCounts>()?.load_one((student, filter)).await?;
                Ok(count.unwrap_or(0))
            })
        });
        Ok(Some(connection(
            slice,
            total,
            |attempt| attempt.id.encode(),
            Attempt::from,
        )))
    }
}

/// Queries for the signed-in account.
#[derive(Default)]
pub(crate) struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The signed-in account.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        user(ctx, ctx.viewer()?.user()).await.map(Some)
    }
}
