//! Guards for the schema. A guard on a field *replaces* its object's, and one on a subscription runs once.

use async_graphql::{Context, Guard};

use crate::{
    auth::{Viewer, role::Role},
    error::{Error, Result},
};

/// The permission required by a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Needs {
    /// Anyone who is signed in.
    SignedIn,
    /// An editor or an admin.
    Staff,
    /// An admin.
    Admin,
}

impl Needs {
    /// Refuses who may not: also for what is reached by an id alone.
    pub(super) fn of(self, ctx: &Context<'_>) -> Result<()> {
        let viewer = ctx.data_opt::<Viewer>().ok_or(Error::Unauthenticated)?;
        let allowed = match self {
            Self::SignedIn => true,
            Self::Staff => viewer.role().is_staff(),
            Self::Admin => viewer.role() == Role::Admin,
        };
        if allowed { Ok(()) } else { Err(Error::Forbidden) }
    }
}

impl Guard for Needs {
    async fn check(&self, ctx: &Context<'_>) -> async_graphql::Result<()> {
        Ok(self.of(ctx)?)
    }
}
