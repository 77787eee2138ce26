//! Authentication. Only this module can create a [`Viewer`], which proves that a request was authenticated.

pub(crate) mod cookie;
pub mod password;
pub mod revocation;
pub mod role;
pub mod token;

use self::role::Role;
use crate::{
    clock::Time,
    id::{SessionId, UserId},
};

/// The signed-in account of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    user: UserId,
    session: SessionId,
    role: Role,
    /// The time the access token was issued.
    issued_at: Time,
}

impl Viewer {
    /// The account.
    pub fn user(&self) -> UserId {
        self.user
    }

    /// The sign-in that the request belongs to.
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The role, which determines the permissions.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Whether this is the viewer's own, or the viewer is staff.
    pub fn is_owner_or_staff(&self, owner: UserId) -> bool {
        self.user == owner || self.role.is_staff()
    }
}
