//! Accounts in the API.

use async_graphql::{
    ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject, connection::Connection, dataloader::DataLoader,
};
use axum::http::header::SET_COOKIE;
use chrono::{DateTime, Utc};

use super::{Profile, Registration, loader::Accounts};
use crate::{
    attempt::{
        self,
        graphql::{Attempt, AttemptFilter, AttemptTotal},
    },
    auth::{
        guard::Needs,
        session::{self, Tokens},
    },
    entity::{
        AttemptId, UserId,
        session::Client,
        user::{self, Role},
    },
    error::{Error, Result, as_payload},
    http::cookie,
    page::Page,
    schema::{RequestContext, UserError, connection, date_time},
};

/// An account, as others see it. What is only its owner's and staff's is `null` with an error for others.
#[derive(Clone)]
pub struct User(Profile);

impl From<Profile> for User {
    fn from(profile: Profile) -> Self {
        Self(profile)
    }
}

/// An account of which only the id is known so far.
pub async fn user(ctx: &Context<'_>, id: UserId) -> Result<User> {
    ctx.viewer()?;
    let found = ctx.data_unchecked::<DataLoader<Accounts>>().load_one(id).await?;
    found.map(|account| User(account.into())).ok_or(Error::NotFound)
}

impl User {
    /// The whole account, for its owner and for staff.
    async fn private(&self, ctx: &Context<'_>) -> Result<user::Model> {
        self.must_be_readable(ctx)?;
        let found = ctx.data_unchecked::<DataLoader<Accounts>>().load_one(self.0.id).await?;
        found.ok_or(Error::NotFound)
    }

    fn must_be_readable(&self, ctx: &Context<'_>) -> Result<()> {
        let allowed = ctx.viewer()?.is_owner_or_staff(self.0.id);
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }
}

/// An account: a student's or a staff member's.
#[Object]
impl User {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The name that boards show; unique whatever the case.
    async fn handle(&self) -> &str {
        &self.0.handle
    }

    /// The address of a picture.
    async fn avatar(&self) -> Option<&str> {
        self.0.avatar.as_deref()
    }

    /// The e-mail address. Only for the account's owner and staff.
    async fn email(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.private(ctx).await.map(|account| Some(account.email))
    }

    /// What the account may do. Only for the account's owner and staff.
    async fn role(&self, ctx: &Context<'_>) -> Result<Option<Role>> {
        self.private(ctx).await.map(|account| Some(account.role))
    }

    /// When the account was made. Only for the account's owner and staff.
    async fn created_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        self.private(ctx)
            .await
            .map(|account| Some(date_time(account.created_at)))
    }

    /// The attempts, the newest first. Only for the account's owner and staff.
    #[graphql(complexity = "attempt::graphql::page_cost(first, last, child_complexity)")]
    async fn attempts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which attempts; all without it.")] filter: Option<AttemptFilter>,
        #[graphql(desc = "How many from the front, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Only after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the back, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Only before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<String, Attempt, AttemptTotal>>> {
        self.must_be_readable(ctx)?;
        let filter = filter.map(AttemptFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| AttemptId::decode(cursor).ok())?;
        let slice = attempt::list(ctx.app().db.read(), ctx.viewer()?, self.0.id, filter, &page).await?;
        let total = AttemptTotal {
            student: self.0.id,
            filter,
        };
        Ok(Some(connection(
            slice,
            total,
            |attempt| attempt.id.encode(),
            Attempt::from,
        )))
    }
}

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
    email: String,
    /// The name that boards show: 3 to 24 letters (a to z), digits or underscores.
    handle: String,
    /// 10 to 200 characters.
    password: String,
    /// How the session is held; in cookies without it.
    client: Option<SessionClient>,
}

/// Who signs in.
#[derive(InputObject)]
pub struct SignInInput {
    /// The e-mail address.
    email: String,
    /// The password.
    password: String,
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
        let found = ctx.data_unchecked::<DataLoader<Accounts>>().load_one(id).await?;
        Ok(found.map(Viewer::from))
    }
}

/// The signed-in account itself, as it is returned to it when it signs in.
#[derive(SimpleObject)]
pub struct Viewer {
    /// The opaque id of the account.
    id: ID,
    /// The name that boards show.
    handle: String,
    /// What the account may do.
    role: Role,
}

impl From<user::Model> for Viewer {
    fn from(account: user::Model) -> Self {
        Self {
            id: account.id.encode().into(),
            handle: account.handle,
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

/// Accounts: queries.
#[derive(Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// Whoever is asking.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        user(ctx, ctx.viewer()?.user()).await.map(Some)
    }
}

/// Accounts: mutations.
#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Makes a student's account and signs in.
    async fn register(&self, ctx: &Context<'_>, input: RegisterInput) -> Result<SessionPayload> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let registration = Registration {
            email: input.email,
            handle: input.handle,
            password: input.password,
        };
        let device = ctx.caller().device.clone();
        signed_in(
            ctx,
            super::register(app, registration, client, device, &ctx.now()).await,
        )
    }

    /// Signs in.
    async fn sign_in(&self, ctx: &Context<'_>, input: SignInInput) -> Result<SessionPayload> {
        let (client, app) = (client_of(ctx, input.client)?, ctx.app());
        let device = ctx.caller().device.clone();
        signed_in(
            ctx,
            super::sign_in(app, &input.email, input.password, client, device, &ctx.now()).await,
        )
    }

    /// Exchanges a native app's refresh token for new tokens. A token works once; when an old one comes back, the
    /// whole session ends. Browsers use `POST /auth/refresh`.
    async fn refresh_session(&self, ctx: &Context<'_>, input: RefreshSessionInput) -> Result<SessionPayload> {
        let refreshed = session::refresh(ctx.app(), &input.refresh_token, Client::Native, &ctx.now()).await;
        signed_in(ctx, refreshed)
    }

    /// Ends the viewer's session: its tokens are refused from now on, and its streams end.
    #[graphql(guard = "Needs::SignedIn")]
    async fn sign_out(&self, ctx: &Context<'_>) -> Result<SignOutPayload> {
        session::sign_out(ctx.app(), ctx.viewer()?, &ctx.now()).await?;
        for cookie in cookie::cleared(&ctx.app().config) {
            ctx.append_http_header(SET_COOKIE, cookie);
        }
        Ok(SignOutPayload { errors: Vec::new() })
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
