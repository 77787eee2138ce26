//! Authentication. Only this module can create a [`Viewer`], which proves that a request was authenticated.

pub(crate) mod cookie;
pub mod password;
pub mod revocation;
pub mod role;
pub mod token;

use self::role::Role;
use crate::id::{SessionId, UserId};

/// The signed-in account of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    user: UserId,
    session: SessionId,
    role: Role,
    /// The version of the account's access that the token was issued for; `None` in tokens of the previous release.
    access_version: Option<i64>,
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

    /// The version of the account's access that the token was issued for.
    pub fn access_version(&self) -> Option<i64> {
        self.access_version
    }

    /// Whether the token was issued for an account with this role and access.
    pub(crate) fn is_issued_for(&self, role: Role, access_version: i64) -> bool {
        self.role == role && self.access_version.is_none_or(|version| version == access_version)
    }

    /// Whether this is the viewer's own, or the viewer is staff.
    pub fn is_owner_or_staff(&self, owner: UserId) -> bool {
        self.user == owner || self.role.is_staff()
    }
}
