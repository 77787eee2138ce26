//! Who is asking. Only this module can make a [`Viewer`], and whoever holds one has been authenticated.

pub mod guard;
pub mod password;
pub mod revocation;
pub mod session;
pub mod token;

use crate::{
    app::App,
    clock::Time,
    entity::{
        SessionId, UserId,
        user::{self, Role},
    },
    fleet::Health,
};

/// Whoever is asking, signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    user: UserId,
    session: SessionId,
    role: Role,
    /// When the access token was.
    issued_at: Time,
}

impl Viewer {
    /// A demo account, to write its history.
    pub(crate) fn of_demo_account(account: &user::Model) -> Self {
        Self {
            user: account.id,
            session: SessionId(uuid::Uuid::nil()),
            role: account.role,
            issued_at: account.created_at,
        }
    }

    /// The account.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The sign-in that the request belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// What the account may do.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this is the viewer's own, or the viewer is staff.
    pub fn is_owner_or_staff(&self, owner: UserId) -> bool {
        self.user == owner || self.role.is_staff()
    }
}

/// The viewer that an access token names: signed by us, not expired, and its session neither revoked nor its account
/// suspended, deleted or changed in role since. Costs no statement, but one while a server of a fleet does not hear of
/// the others.
pub async fn authenticate(app: &App, access_token: &str, now: Time) -> Option<Viewer> {
    let claims = app.keys.verify(access_token, now)?;
    let viewer = Viewer {
        user: claims.user,
        session: claims.session,
        role: claims.role,
        issued_at: claims.issued_at,
    };
    let hears = app.fleet.as_ref().is_none_or(|fleet| fleet.health() == Health::Well);
    let allowed = app.revocations.allow(&viewer) && (hears || revocation::tables_allow(app.db.read(), &viewer).await);
    allowed.then_some(viewer)
}
