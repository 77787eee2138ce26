//! Signing up, in and out; the list of sessions.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use axum::http::header::SET_COOKIE;

use crate::{
    account::{
        self, Registration, admission,
        registration::{self, Registered},
        session::{self, Ending, Tokens},
    },
    api::payload::as_payload,
    api::{
        context::RequestContext,
        guard::Needs,
        loader::{Accounts, OwnSessionsById},
        payload::{UserError, date_time},
        scalar::{DateTime, EmailAddress, Handle, Password},
        user::User,
    },
    auth::Viewer,
    entity::session::{Client, Model},
    error::{Error, Result},
    id::SessionId,
};

/// The role of an account, which determines its permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "Role", remote = "crate::auth::role::Role")]
pub enum Role {
    /// Takes quizzes and is ranked on boards.
    Student,
    /// Staff. Writes, imports and publishes content.
    Editor,
    /// Staff. Also manages accounts and reads the audit log.
    Admin,
}

/// The transport of a session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Client")]
pub enum SessionClient {
    /// A browser: tokens are set as HttpOnly cookies that no script can read. Refresh with `POST /auth/refresh`.
    Browser,
    /// A native app: tokens are returned in the payload and sent as `Authorization: Bearer`. Refresh with
    /// `refreshSession`.
    Native,
}

/// Input of `register`.
#[derive(InputObject)]
pub(crate) struct RegisterInput {
    /// The email address, used for signing in and never shown to others.
    email: EmailAddress,
    /// The name shown on boards.
    handle: Handle,
    /// The password for signing in.
    password: Password,
    /// The transport of the session's tokens. Defaults to cookies.
    client: Option<SessionClient>,
}

/// The outcome of `register`.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct RegisterPayload {
    #[graphql(skip)]
    viewer: Option<Viewer>,
    /// The tokens, for native clients only. Browsers receive cookies.
    tokens: Option<SessionTokens>,
    /// Whether an email was sent instead, because this site creates accounts only once their address is confirmed. Its
    /// link carries the token for `confirmRegistration`; if the address has an account already, the email says so, and
    /// nothing else does.
    confirmation_sent: bool,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

#[ComplexObject]
impl RegisterPayload {
    /// The new account, signed in; `null` if an email was sent instead. Its lists need a request of the new session.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        account_of(ctx, self.viewer.as_ref()).await
    }
}

/// Input of `confirmRegistration`.
#[derive(InputObject)]
pub(crate) struct ConfirmRegistrationInput {
    /// The token of the link in the email.
    token: String,
    /// Another name to show on boards, if the first was taken in the meantime.
    handle: Option<Handle>,
    /// The transport of the session's tokens. Defaults to cookies.
    client: Option<SessionClient>,
}

/// Input of `signIn`.
#[derive(InputObject)]
pub(crate) struct SignInInput {
    /// The email address.
    email: EmailAddress,
    /// The password.
    password: Password,
    /// The transport of the session's tokens. Defaults to cookies.
    client: Option<SessionClient>,
    /// The device token of an earlier sign-in to this account, for native clients. Attempts on a known device are not
    /// limited by the failures of others. Browsers send it as a cookie.
    device_token: Option<String>,
    /// Whether to refuse accounts that are not staff's: no session is created for them. Defaults to false.
    staff_only: Option<bool>,
}

/// Input of `refreshSession`.
#[derive(InputObject)]
pub(crate) struct RefreshSessionInput {
    /// The most recent refresh token.
    refresh_token: String,
}

/// The tokens of a native app's session.
#[derive(SimpleObject)]
pub(crate) struct SessionTokens {
    /// The token to send as `Authorization: Bearer`; valid for 15 minutes.
    access_token: String,
    /// The token for one use of `refreshSession`; valid for 30 days.
    refresh_token: String,
    /// The expiry time of the access token.
    access_token_expires_at: DateTime,
    /// The token to keep after signing out and to send with the next `signIn` to this account. Valid until the password
    /// changes. `null` when refreshing a session.
    device_token: Option<String>,
}

/// What came of beginning or refreshing a session.
struct Begun {
    viewer: Option<Viewer>,
    tokens: Option<SessionTokens>,
    errors: Vec<UserError>,
}

/// The payloads of mutations that begin or refresh a session.
macro_rules! session_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        #[graphql(complex)]
        pub(crate) struct $Name {
            #[graphql(skip)]
            viewer: Option<Viewer>,
            /// The tokens, for native clients only. Browsers receive cookies.
            tokens: Option<SessionTokens>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        #[ComplexObject]
        impl $Name {
            /// The signed-in account. Its lists need a request of the new session.
            async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<User>> {
                account_of(ctx, self.viewer.as_ref()).await
            }
        }

        impl From<Begun> for $Name {
            fn from(Begun { viewer, tokens, errors }: Begun) -> Self {
                Self { viewer, tokens, errors }
            }
        }
    )*};
}

session_payloads! {
    /// The outcome of `signIn`.
    SignInPayload
    /// The outcome of `confirmRegistration`.
    ConfirmRegistrationPayload
    /// The outcome of `refreshSession`.
    RefreshSessionPayload
}

/// The outcome of `signOut`.
#[derive(SimpleObject)]
pub(crate) struct SignOutPayload {
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Input of `revokeSession`.
#[derive(InputObject)]
pub(crate) struct RevokeSessionInput {
    /// The session, one of `viewer.sessions`.
    session_id: ID,
}

/// The payloads of mutations that revoke sessions.
macro_rules! revocation_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The number of revoked sessions.
            revoked_count: i32,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            pub(super) fn of(revoked: usize) -> Self {
                Self {
                    revoked_count: i32::try_from(revoked).unwrap_or(i32::MAX),
                    errors: Vec::new(),
                }
            }
        }
    )*};
}

revocation_payloads! {
    /// The outcome of `revokeSession`.
    RevokeSessionPayload
    /// The outcome of `revokeOtherSessions`.
    RevokeOtherSessionsPayload
    /// The outcome of `revokeUserSessions`.
    RevokeUserSessionsPayload
}

/// An active session: a sign-in of a browser or an app.
pub(crate) struct Session(pub Model);

/// An active session: a sign-in of a browser or an app.
#[Object]
impl Session {
    /// The opaque id, for use with `revokeSession`.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// Whether it is the session of this request.
    async fn current(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(ctx.viewer()?.session() == self.0.id)
    }

    /// The transport of the session's tokens.
    async fn client(&self) -> SessionClient {
        self.0.client.into()
    }

    /// The user agent of the browser or app.
    async fn user_agent(&self) -> Option<&str> {
        self.0.user_agent.as_deref()
    }

    /// The network address of the sign-in.
    async fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The time of the sign-in.
    async fn created_at(&self) -> DateTime {
        date_time(self.0.created_at)
    }

    /// The time of the last refresh. A client in use refreshes every 15 minutes.
    async fn used_at(&self) -> DateTime {
        date_time(self.0.used_at)
    }

    /// The expiry time, unless the session is refreshed before.
    async fn expires_at(&self) -> DateTime {
        date_time(self.0.expires_at)
    }
}

/// Sessions: mutations.
#[derive(Default)]
pub(crate) struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Creates a student's account and signs in. On a site that demands a confirmed address it sends an email first, see
    /// `RegisterPayload.confirmationSent`.
    async fn register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new account.")] input: RegisterInput,
    ) -> Result<Option<RegisterPayload>> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let registration = Registration {
            email: input.email.0,
            handle: input.handle.0,
            password: input.password.0,
        };
        let device = ctx.caller().device.clone();
        let registered = registration::register(app, registration, client, device, &ctx.cause()).await;
        let (registered, errors) = as_payload(registered)?;
        let confirmation_sent = matches!(registered, Some(Registered::Emailed));
        let tokens = registered.and_then(|registered| match registered {
            Registered::SignedIn(tokens) => Some(tokens),
            Registered::Emailed => None,
        });
        Ok(Some(RegisterPayload {
            viewer: tokens.as_ref().map(|tokens| tokens.viewer.clone()),
            tokens: tokens.and_then(|tokens| hand_over(ctx, tokens)),
            confirmation_sent,
            errors,
        }))
    }

    /// Completes a registration with the token of the link in its email: creates the account and signs in.
    async fn confirm_registration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The token of the link in the email.")] input: ConfirmRegistrationInput,
    ) -> Result<Option<ConfirmRegistrationPayload>> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let (handle, device) = (input.handle.map(|Handle(handle)| handle), ctx.caller().device.clone());
        let confirmed = registration::confirm(app, &input.token, handle, client, device, &ctx.cause()).await;
        signed_in(ctx, confirmed).map(Some)
    }

    /// Signs in with email address and password.
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The credentials.")] input: SignInInput,
    ) -> Result<Option<SignInPayload>> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let mut device = ctx.caller().device.clone();
        device.token = input.device_token.or(device.token);
        let (password, staff_only) = (input.password.0, input.staff_only.unwrap_or(false));
        let tokens = account::sign_in(app, &input.email.0, password, staff_only, client, device, &ctx.cause()).await;
        signed_in(ctx, tokens).map(Some)
    }

    /// Exchanges a native app's refresh token for new tokens. A token works once; reuse of an old one revokes the
    /// session. Browsers use `POST /auth/refresh`.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The refresh token.")] input: RefreshSessionInput,
    ) -> Result<Option<RefreshSessionPayload>> {
        let (address, now) = (ctx.caller().device.address, ctx.now().at);
        admission::refresh(ctx.app(), Some(&input.refresh_token), address, now).await?;
        let refreshed = session::refresh(ctx.app(), &input.refresh_token, Client::Native, &ctx.cause()).await;
        signed_in(ctx, refreshed).map(Some)
    }

    /// Revokes the viewer's session: its tokens are refused from now on, and its streams end.
    #[graphql(guard = "Needs::SignedIn")]
    async fn sign_out(&self, ctx: &Context<'_>) -> Result<Option<SignOutPayload>> {
        let viewer = ctx.viewer()?;
        session::revoke(ctx.app(), viewer, Ending::One(viewer.session()), &ctx.cause()).await?;
        for cookie in ctx.app().config.cookies().cleared() {
            ctx.append_http_header(SET_COOKIE, cookie);
        }
        Ok(Some(SignOutPayload { errors: Vec::new() }))
    }

    /// Revokes one of the viewer's sessions, at once and with its streams.
    #[graphql(guard = "Needs::SignedIn")]
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session.")] input: RevokeSessionInput,
    ) -> Result<Option<RevokeSessionPayload>> {
        let id = SessionId::decode(&input.session_id)?;
        match session::revoke(ctx.app(), ctx.viewer()?, Ending::One(id), &ctx.cause()).await? {
            0 => Err(Error::NotFound),
            revoked => Ok(Some(RevokeSessionPayload::of(revoked))),
        }
    }

    /// Revokes all of the viewer's sessions except the current one, at once and with their streams.
    #[graphql(guard = "Needs::SignedIn")]
    async fn revoke_other_sessions(&self, ctx: &Context<'_>) -> Result<Option<RevokeOtherSessionsPayload>> {
        let viewer = ctx.viewer()?;
        let ending = Ending::Others(viewer.session());
        let revoked = session::revoke(ctx.app(), viewer, ending, &ctx.cause()).await?;
        Ok(Some(RevokeOtherSessionsPayload::of(revoked)))
    }
}

/// The transport of the session's tokens. Cookies that would be lost are not set.
fn client_of(ctx: &Context<'_>, client: Option<SessionClient>) -> Result<Client> {
    match (
        client.map_or(Client::Browser, Client::from),
        &ctx.caller().loses_cookies,
    ) {
        (Client::Browser, Some(reason)) => Err(Error::BadInput(reason.clone())),
        (client, _) => Ok(client),
    }
}

fn signed_in<P: From<Begun>>(ctx: &Context<'_>, tokens: Result<Tokens>) -> Result<P> {
    let (tokens, errors) = as_payload(tokens)?;
    let begun = Begun {
        viewer: tokens.as_ref().map(|tokens| tokens.viewer.clone()),
        tokens: tokens.and_then(|tokens| hand_over(ctx, tokens)),
        errors,
    };
    Ok(begun.into())
}

/// A browser gets its tokens as cookies and nowhere else; a native client in the payload.
fn hand_over(ctx: &Context<'_>, tokens: Tokens) -> Option<SessionTokens> {
    match tokens.client {
        Client::Native => Some(SessionTokens {
            access_token_expires_at: date_time(tokens.access_expires_at),
            access_token: tokens.access,
            refresh_token: tokens.refresh,
            device_token: tokens.device,
        }),
        Client::Browser => {
            let cookies = ctx.app().config.cookies();
            for cookie in cookies.of(&tokens.access, &tokens.refresh) {
                ctx.append_http_header(SET_COOKIE, cookie);
            }
            if let Some(device) = &tokens.device {
                ctx.append_http_header(SET_COOKIE, cookies.of_device(device));
            }
            None
        }
    }
}

/// The account that this very operation has signed in.
async fn account_of(ctx: &Context<'_>, viewer: Option<&Viewer>) -> Result<Option<User>> {
    let Some(viewer) = viewer else { return Ok(None) };
    let found = ctx.loader::<Accounts>()?.load_one(viewer.user()).await?;
    Ok(found.map(|account| User::signed_in(account, viewer.clone())))
}

/// The viewer's session with this id.
pub(crate) async fn own_session(ctx: &Context<'_>, id: SessionId) -> Result<Session> {
    ctx.viewer()?;
    let found = ctx.loader::<OwnSessionsById>()?.load_one(id).await?;
    found.map(Session).ok_or(Error::NotFound)
}
