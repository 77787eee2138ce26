//! Signing up, in and out; the list of sessions.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};
use axum::http::header::SET_COOKIE;
use chrono::{DateTime, Utc};

use crate::{
    account::{
        self, Registration,
        session::{self, Ending, Tokens},
    },
    api::{
        context::RequestContext,
        guard::Needs,
        payload::{UserError, date_time},
        scalar::{EmailAddress, Handle, Password},
    },
    auth::{cookie, role::Role},
    entity::{
        session::{Client, Model},
        user,
    },
    error::{Error, Result, as_payload},
    id::{SessionId, UserId},
};

/// How a client wants to hold its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "Client")]
pub enum SessionClient {
    /// A browser: in HttpOnly cookies that no script can read. Refresh by `POST /auth/refresh`.
    Browser,
    /// A native app: in the payload, to be sent as `Authorization: Bearer`. Refresh by `refreshSession`.
    Native,
}

/// What a new account needs.
#[derive(InputObject)]
pub struct RegisterInput {
    /// The e-mail address; used for signing in, never shown to others.
    email: EmailAddress,
    /// The name that boards show.
    handle: Handle,
    /// The password to sign in with.
    password: Password,
    /// How the session is held; in cookies without it.
    client: Option<SessionClient>,
}

/// Who signs in.
#[derive(InputObject)]
pub struct SignInInput {
    /// The e-mail address.
    email: EmailAddress,
    /// The password.
    password: Password,
    /// How the session is held; in cookies without it.
    client: Option<SessionClient>,
}

/// What a native app refreshes its session with.
#[derive(InputObject)]
pub struct RefreshSessionInput {
    /// The refresh token that the app was given last.
    refresh_token: String,
}

/// Tokens of a native app's session.
#[derive(SimpleObject)]
pub struct SessionTokens {
    /// To be sent as `Authorization: Bearer`; good for 15 minutes.
    access_token: String,
    /// For one use of `refreshSession`; good for 30 days.
    refresh_token: String,
    /// When the access token expires.
    access_token_expires_at: DateTime<Utc>,
}

/// The outcome of registering, signing in or refreshing.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct SessionPayload {
    #[graphql(skip)]
    user: Option<UserId>,
    /// The tokens; only for a native client. A browser has got cookies.
    tokens: Option<SessionTokens>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

#[ComplexObject]
impl SessionPayload {
    /// Whoever is signed in now.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<Viewer>> {
        let Some(id) = self.user else { return Ok(None) };
        let found = ctx.loaders().accounts(ctx.viewer().ok()).load_one(id).await?;
        Ok(found.map(Viewer::from))
    }
}

/// The signed-in account itself, as it is returned to it when it signs in.
#[derive(SimpleObject)]
pub struct Viewer {
    /// The opaque id of the account.
    id: ID,
    /// The name that boards show.
    handle: Handle,
    /// What the account may do.
    role: Role,
}

impl From<user::Model> for Viewer {
    fn from(account: user::Model) -> Self {
        Self {
            id: account.id.encode().into(),
            handle: Handle(account.handle),
            role: account.role,
        }
    }
}

/// The outcome of signing out.
#[derive(SimpleObject)]
pub struct SignOutPayload {
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// Which session to end.
#[derive(InputObject)]
pub struct RevokeSessionInput {
    /// The session, one of `viewer.sessions`.
    session_id: ID,
}

/// The outcome of ending sessions.
#[derive(SimpleObject)]
pub struct RevokeSessionPayload {
    /// How many sessions were ended.
    revoked_count: i32,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

impl RevokeSessionPayload {
    pub(super) fn of(revoked: usize) -> Self {
        Self {
            revoked_count: i32::try_from(revoked).unwrap_or(i32::MAX),
            errors: Vec::new(),
        }
    }
}

/// A sign-in that is still good: a browser or an app.
pub struct Session(pub Model);

/// A sign-in that is still good: a browser or an app.
#[Object]
impl Session {
    /// The opaque id, for `revokeSession`.
    async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// Whether it is the session that asks.
    async fn current(&self, ctx: &Context<'_>) -> Result<bool> {
        Ok(ctx.viewer()?.session() == self.0.id)
    }

    /// How it is held.
    async fn client(&self) -> SessionClient {
        self.0.client.into()
    }

    /// What the browser or app calls itself.
    async fn user_agent(&self) -> Option<&str> {
        self.0.user_agent.as_deref()
    }

    /// The network address of the sign-in.
    async fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// When it began.
    async fn created_at(&self) -> DateTime<Utc> {
        date_time(self.0.created_at)
    }

    /// When it was last refreshed; a client that is in use does so every 15 minutes.
    async fn used_at(&self) -> DateTime<Utc> {
        date_time(self.0.used_at)
    }

    /// When it ends if it is not refreshed.
    async fn expires_at(&self) -> DateTime<Utc> {
        date_time(self.0.expires_at)
    }
}

/// Sessions: mutations.
#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Makes a student's account and signs in.
    async fn register(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs up.")] input: RegisterInput,
    ) -> Result<SessionPayload> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let registration = Registration {
            email: input.email.0,
            handle: input.handle.0,
            password: input.password.0,
        };
        let device = ctx.caller().device.clone();
        signed_in(
            ctx,
            account::register(app, registration, client, device, &ctx.now()).await,
        )
    }

    /// Signs in.
    async fn sign_in(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Who signs in.")] input: SignInInput,
    ) -> Result<SessionPayload> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let device = ctx.caller().device.clone();
        signed_in(
            ctx,
            account::sign_in(app, &input.email.0, input.password.0, client, device, &ctx.cause()).await,
        )
    }

    /// Exchanges a native app's refresh token for new tokens. A token works once; when an old one comes back, the
    /// whole session ends. Browsers use `POST /auth/refresh`.
    async fn refresh_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to refresh with.")] input: RefreshSessionInput,
    ) -> Result<SessionPayload> {
        let refreshed = session::refresh(ctx.app(), &input.refresh_token, Client::Native, &ctx.cause()).await;
        signed_in(ctx, refreshed)
    }

    /// Ends the viewer's session: its tokens are refused from now on, and its streams end.
    #[graphql(guard = "Needs::SignedIn")]
    async fn sign_out(&self, ctx: &Context<'_>) -> Result<SignOutPayload> {
        let viewer = ctx.viewer()?;
        session::revoke(ctx.app(), viewer, Ending::One(viewer.session()), &ctx.cause()).await?;
        for cookie in cookie::cleared(&ctx.app().config) {
            ctx.append_http_header(SET_COOKIE, cookie);
        }
        Ok(SignOutPayload { errors: Vec::new() })
    }

    /// Ends one of the viewer's sessions, at once and with its streams.
    #[graphql(guard = "Needs::SignedIn")]
    async fn revoke_session(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which session.")] input: RevokeSessionInput,
    ) -> Result<Option<RevokeSessionPayload>> {
        let id = SessionId::decode(&input.session_id)?;
        match session::revoke(ctx.app(), ctx.viewer()?, Ending::One(id), &ctx.cause()).await? {
            0 => Err(Error::NotFound),
            revoked => Ok(Some(RevokeSessionPayload::of(revoked))),
        }
    }

    /// Ends all of the viewer's sessions but the one that asks, at once and with their streams.
    #[graphql(guard = "Needs::SignedIn")]
    async fn revoke_other_sessions(&self, ctx: &Context<'_>) -> Result<Option<RevokeSessionPayload>> {
        let viewer = ctx.viewer()?;
        let ending = Ending::Others(viewer.session());
        let revoked = session::revoke(ctx.app(), viewer, ending, &ctx.cause()).await?;
        Ok(Some(RevokeSessionPayload::of(revoked)))
    }
}

/// How the client will hold its session. Cookies can't be set over a WebSocket.
fn client_of(ctx: &Context<'_>, wanted: Option<SessionClient>) -> Result<Client> {
    let client = wanted.map_or(Client::Browser, Client::from);
    if client == Client::Browser && !ctx.caller().takes_cookies {
        return Err(Error::BadInput(
            "Cookies can't be set over a WebSocket: sign in over HTTP.".into(),
        ));
    }
    Ok(client)
}

/// A browser gets its tokens as cookies and nowhere else; a native client in the payload.
fn signed_in(ctx: &Context<'_>, tokens: Result<Tokens>) -> Result<SessionPayload> {
    let (tokens, errors) = as_payload(tokens)?;
    let user = tokens.as_ref().map(|tokens| tokens.viewer.user());
    let shown = tokens.and_then(|tokens| match tokens.client {
        Client::Native => Some(SessionTokens {
            access_token_expires_at: date_time(tokens.access_expires_at),
            access_token: tokens.access,
            refresh_token: tokens.refresh,
        }),
        Client::Browser => {
            for cookie in cookie::of(&ctx.app().config, &tokens) {
                ctx.append_http_header(SET_COOKIE, cookie);
            }
            None
        }
    });
    Ok(SessionPayload {
        user,
        tokens: shown,
        errors: errors.into_iter().map(UserError::from).collect(),
    })
}
