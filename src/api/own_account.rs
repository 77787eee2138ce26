//! What people do about their own account.

use async_graphql::{Context, InputObject, Json, MaybeUndefined, Object, SimpleObject};

use super::user::User;
use crate::{
    account::{
        link,
        own::{self, Changes},
    },
    api::{
        context::RequestContext,
        guard::Needs,
        payload::UserError,
        scalar::{EmailAddress, Handle, Password, PictureUrl},
    },
    error::{Result, as_payload},
    limit::{Limit, Who},
};

/// What to change of one's own account; what is left out stays.
#[derive(InputObject)]
pub struct UpdateAccountInput {
    /// The name that boards show.
    handle: Option<Handle>,
    /// A picture; `null` takes it away.
    avatar: MaybeUndefined<PictureUrl>,
    /// Whether to stay off all boards that are still open. Points are counted all the same.
    hidden_from_boards: Option<bool>,
}

/// The outcome of changing one's account.
#[derive(SimpleObject)]
pub struct UpdateAccountPayload {
    /// The account as it is now.
    user: Option<User>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// A new password.
#[derive(InputObject)]
pub struct ChangePasswordInput {
    /// The password so far.
    password: Password,
    /// The new one.
    new_password: Password,
}

/// The outcome of changing the password.
#[derive(SimpleObject)]
pub struct ChangePasswordPayload {
    /// How many other sessions were ended by it.
    revoked_count: Option<i32>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// Whose password was forgotten.
#[derive(InputObject)]
pub struct RequestPasswordResetInput {
    /// The e-mail address of the account.
    email: EmailAddress,
}

/// A new password, by a link.
#[derive(InputObject)]
pub struct ResetPasswordInput {
    /// The token of the link.
    token: String,
    /// The new password.
    new_password: Password,
}

/// A new e-mail address.
#[derive(InputObject)]
pub struct RequestEmailChangeInput {
    /// The account's password.
    password: Password,
    /// The new address; a link is sent to it.
    email: EmailAddress,
}

/// The proof that a new e-mail address is read.
#[derive(InputObject)]
pub struct ConfirmEmailChangeInput {
    /// The token of the link.
    token: String,
}

/// The wish to delete one's account.
#[derive(InputObject)]
pub struct DeleteAccountInput {
    /// The account's password.
    password: Password,
}

/// The outcome of what leaves nothing to show.
#[derive(SimpleObject)]
pub struct AccountPayload {
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

impl AccountPayload {
    fn of(result: Result<()>) -> Result<Self> {
        let (_, errors) = as_payload(result)?;
        Ok(Self {
            errors: errors.into_iter().map(UserError::from).collect(),
        })
    }
}

/// One's own account: queries.
#[derive(Default)]
pub struct OwnAccountQuery;

#[Object]
impl OwnAccountQuery {
    /// Everything that is kept about the viewer, as JSON: the account, its sessions, attempts with answers and results,
    /// and standings. Five times an hour.
    #[graphql(guard = "Needs::SignedIn", complexity = 5000)]
    async fn account_export(&self, ctx: &Context<'_>) -> Result<Option<Json<serde_json::Value>>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let _counted = app.limiter.reserve(Limit::Export, viewer, now.at).await?;
        Ok(Some(Json(own::export(app, viewer, &now).await?)))
    }
}

/// One's own account: mutations.
#[derive(Default)]
pub struct OwnAccountMutation;

#[Object]
impl OwnAccountMutation {
    /// Changes handle, picture, or whether boards show the viewer.
    #[graphql(guard = "Needs::SignedIn")]
    async fn update_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateAccountInput,
    ) -> Result<Option<UpdateAccountPayload>> {
        let changes = Changes {
            handle: input.handle.map(|Handle(handle)| handle),
            avatar: input.avatar.map_value(|PictureUrl(avatar)| avatar).into(),
            opted_out: input.hidden_from_boards,
        };
        let (account, errors) = as_payload(own::update(ctx.app(), ctx.viewer()?, changes, &ctx.cause()).await)?;
        Ok(Some(UpdateAccountPayload {
            user: account.map(|account| User(account.into())),
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }

    /// Sets a new password and ends all other sessions.
    #[graphql(guard = "Needs::SignedIn")]
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The passwords.")] input: ChangePasswordInput,
    ) -> Result<Option<ChangePasswordPayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        let changed = own::change_password(app, viewer, input.password.0, input.new_password.0, &ctx.cause()).await;
        let (revoked, errors) = as_payload(changed)?;
        Ok(Some(ChangePasswordPayload {
            revoked_count: revoked.and_then(|revoked| i32::try_from(revoked).ok()),
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }

    /// Sends a link to a new password, good once and for 30 minutes. The answer is the same whether or not the address
    /// has an account.
    async fn request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whose password was forgotten.")] input: RequestPasswordResetInput,
    ) -> Result<AccountPayload> {
        let app = ctx.app();
        may_ask_for_a_letter(ctx, Who::email(&input.email.0)).await?;
        AccountPayload::of(link::request_password_reset(app, &input.email.0, &ctx.cause()).await)
    }

    /// Sets a new password by a link, and ends all sessions.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link's token and the password.")] input: ResetPasswordInput,
    ) -> Result<AccountPayload> {
        let (app, now) = (ctx.app(), ctx.now());
        // Guessing a token is hopeless; this keeps somebody who tries from keeping the processors busy.
        let address = Who::address(ctx.caller().device.address);
        let _counted = app
            .limiter
            .reserve(Limit::SignInFailureOfAddress, address, now.at)
            .await?;
        AccountPayload::of(link::reset_password(app, &input.token, input.new_password.0, &ctx.cause()).await)
    }

    /// Sends a link to a new e-mail address, good once and for a day, and a warning to the present one.
    #[graphql(guard = "Needs::SignedIn")]
    async fn request_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new address and the password.")] input: RequestEmailChangeInput,
    ) -> Result<Option<AccountPayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        may_ask_for_a_letter(ctx, viewer.into()).await?;
        let asked = link::request_email_change(app, viewer, input.password.0, &input.email.0, &ctx.cause()).await;
        AccountPayload::of(asked).map(Some)
    }

    /// Gives the account the address that a link was sent to.
    async fn confirm_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The link's token.")] input: ConfirmEmailChangeInput,
    ) -> Result<AccountPayload> {
        AccountPayload::of(link::confirm_email_change(ctx.app(), &input.token, &ctx.cause()).await)
    }

    /// Deletes the viewer's account and ends all its sessions. Staff can restore it for 30 days; then what is personal
    /// is removed. Results stay, without a name.
    #[graphql(guard = "Needs::SignedIn")]
    async fn delete_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password.")] input: DeleteAccountInput,
    ) -> Result<Option<AccountPayload>> {
        let deleted = own::delete(ctx.app(), ctx.viewer()?, input.password.0, &ctx.cause()).await;
        AccountPayload::of(deleted).map(Some)
    }
}

async fn may_ask_for_a_letter(ctx: &Context<'_>, who: Who) -> Result<()> {
    let (app, now) = (ctx.app(), ctx.now());
    let address = Who::address(ctx.caller().device.address);
    let of_address = app.limiter.reserve(Limit::LetterOfAddress, address, now.at).await?;
    if let Err(refused) = app.limiter.reserve(Limit::Letter, who, now.at).await {
        of_address.give_back().await;
        return Err(refused);
    }
    Ok(())
}
