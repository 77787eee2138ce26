//! Changes of one's own account.

use async_graphql::{Context, InputObject, MaybeUndefined, Object, SimpleObject};

use super::user::User;
use crate::{
    account::{
        link,
        own::{self, Changes},
    },
    api::payload::as_payload,
    api::{
        context::RequestContext,
        guard::Needs,
        payload::UserError,
        scalar::{EmailAddress, Handle, Json, Password, PictureUrl},
    },
    error::Result,
    limit::Limit,
};

/// Input of `updateAccount`. Omitted fields keep their values.
#[derive(InputObject)]
pub(crate) struct UpdateAccountInput {
    /// The name shown on boards.
    handle: Option<Handle>,
    /// The URL of a picture; `null` removes it.
    avatar: MaybeUndefined<PictureUrl>,
    /// Whether to leave all open boards. Points are still counted.
    hidden_from_boards: Option<bool>,
}

/// The outcome of `updateAccount`.
#[derive(SimpleObject)]
pub(crate) struct UpdateAccountPayload {
    /// The updated account.
    user: Option<User>,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Input of `changePassword`.
#[derive(InputObject)]
pub(crate) struct ChangePasswordInput {
    /// The current password.
    password: Password,
    /// The new password.
    new_password: Password,
}

/// The outcome of `changePassword`.
#[derive(SimpleObject)]
pub(crate) struct ChangePasswordPayload {
    /// The number of other sessions that were revoked.
    revoked_count: Option<i32>,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Input of `requestPasswordReset`.
#[derive(InputObject)]
pub(crate) struct RequestPasswordResetInput {
    /// The email address of the account.
    email: EmailAddress,
}

/// Input of `resetPassword`.
#[derive(InputObject)]
pub(crate) struct ResetPasswordInput {
    /// The token of the link in the email.
    token: String,
    /// The new password.
    new_password: Password,
}

/// Input of `requestEmailChange`.
#[derive(InputObject)]
pub(crate) struct RequestEmailChangeInput {
    /// The account's password.
    password: Password,
    /// The new address, which receives a link.
    email: EmailAddress,
}

/// Input of `confirmEmailChange`.
#[derive(InputObject)]
pub(crate) struct ConfirmEmailChangeInput {
    /// The token of the link in the email.
    token: String,
}

/// Input of `deleteAccount`.
#[derive(InputObject)]
pub(crate) struct DeleteAccountInput {
    /// The account's password.
    password: Password,
}

/// The payloads of mutations on the viewer's account that return no object.
macro_rules! payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(result: Result<()>) -> Result<Option<Self>> {
                let (_, errors) = as_payload(result)?;
                Ok(Some(Self { errors }))
            }
        }
    )*};
}

payloads! {
    /// The outcome of `requestPasswordReset`.
    RequestPasswordResetPayload
    /// The outcome of `resetPassword`.
    ResetPasswordPayload
    /// The outcome of `requestEmailConfirmation`.
    RequestEmailConfirmationPayload
    /// The outcome of `requestEmailChange`.
    RequestEmailChangePayload
    /// The outcome of `confirmEmailChange`.
    ConfirmEmailChangePayload
    /// The outcome of `deleteAccount`.
    DeleteAccountPayload
}

/// One's own account: queries.
#[derive(Default)]
pub(crate) struct OwnAccountQuery;

#[Object]
impl OwnAccountQuery {
    /// All stored data of the viewer, as JSON: the account, its sessions, attempts with answers and results, and
    /// standings. At most 5 times an hour.
    #[graphql(guard = "Needs::SignedIn")]
    async fn account_export(&self, ctx: &Context<'_>) -> Result<Option<Json>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let reserved = app.limiter.reserve(Limit::Export, viewer, now.at).await?;
        let exported = own::export(app, viewer, &now).await;
        if exported.is_err() {
            reserved.release().await;
        }
        exported.map(|export| Some(Json(export)))
    }
}

/// One's own account: mutations.
#[derive(Default)]
pub(crate) struct OwnAccountMutation;

#[Object]
impl OwnAccountMutation {
    /// Changes the handle, the picture, or the visibility on boards.
    #[graphql(guard = "Needs::SignedIn")]
    async fn update_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes.")] input: UpdateAccountInput,
    ) -> Result<Option<UpdateAccountPayload>> {
        let changes = Changes {
            handle: input.handle.map(|Handle(handle)| handle),
            avatar: input.avatar.map_value(|PictureUrl(avatar)| avatar).into(),
            opted_out: input.hidden_from_boards,
        };
        let (account, errors) = as_payload(own::update(ctx.app(), ctx.viewer()?, changes, &ctx.cause()).await)?;
        Ok(Some(UpdateAccountPayload {
            user: account.map(User::from),
            errors,
        }))
    }

    /// Sets a new password and revokes all other sessions.
    #[graphql(guard = "Needs::SignedIn")]
    async fn change_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The current and the new password.")] input: ChangePasswordInput,
    ) -> Result<Option<ChangePasswordPayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        let changed = own::change_password(app, viewer, input.password.0, input.new_password.0, &ctx.cause()).await;
        let (revoked, errors) = as_payload(changed)?;
        Ok(Some(ChangePasswordPayload {
            revoked_count: revoked.and_then(|revoked| i32::try_from(revoked).ok()),
            errors,
        }))
    }

    /// Emails a link to set a new password, valid once and for 30 minutes. The reply is the same whether or not the
    /// address has an account.
    async fn request_password_reset(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The email address of the account.")] input: RequestPasswordResetInput,
    ) -> Result<Option<RequestPasswordResetPayload>> {
        let address = ctx.caller().device.address;
        RequestPasswordResetPayload::of(
            link::request_password_reset(ctx.app(), &input.email.0, address, &ctx.cause()).await,
        )
    }

    /// Sets a new password with the token of a link, and revokes all sessions.
    async fn reset_password(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link and the new password.")] input: ResetPasswordInput,
    ) -> Result<Option<ResetPasswordPayload>> {
        ResetPasswordPayload::of(
            link::reset_password(ctx.app(), &input.token, input.new_password.0, &ctx.cause()).await,
        )
    }

    /// Emails a link that confirms the account's present address, valid once and for a day; `confirmEmailChange` takes its
    /// token.
    #[graphql(guard = "Needs::SignedIn")]
    async fn request_email_confirmation(&self, ctx: &Context<'_>) -> Result<Option<RequestEmailConfirmationPayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        let address = ctx.caller().device.address;
        let requested = link::request_email_confirmation(app, viewer, address, &ctx.cause()).await;
        RequestEmailConfirmationPayload::of(requested)
    }

    /// Emails a confirmation link to a new address, valid once and for a day, and a warning to the current address.
    #[graphql(guard = "Needs::SignedIn")]
    async fn request_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new address and the account's password.")] input: RequestEmailChangeInput,
    ) -> Result<Option<RequestEmailChangePayload>> {
        let (app, viewer, address) = (ctx.app(), ctx.viewer()?, ctx.caller().device.address);
        let (password, email, cause) = (input.password.0, &input.email.0, &ctx.cause());
        let requested = link::request_email_change(app, viewer, password, email, address, cause).await;
        RequestEmailChangePayload::of(requested)
    }

    /// Confirms an email address with the token of a confirmation link: the account's present one, or a new one, which
    /// it then has.
    async fn confirm_email_change(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link in the email.")] input: ConfirmEmailChangeInput,
    ) -> Result<Option<ConfirmEmailChangePayload>> {
        ConfirmEmailChangePayload::of(link::confirm_email_change(ctx.app(), &input.token, &ctx.cause()).await)
    }

    /// Deletes the viewer's account and revokes all its sessions. Staff can restore it for 30 days; then its personal
    /// data is erased. Results are kept without a name.
    #[graphql(guard = "Needs::SignedIn")]
    async fn delete_account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The password.")] input: DeleteAccountInput,
    ) -> Result<Option<DeleteAccountPayload>> {
        let deleted = own::delete(ctx.app(), ctx.viewer()?, input.password.0, &ctx.cause()).await;
        DeleteAccountPayload::of(deleted)
    }
}
