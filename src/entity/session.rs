//! A sign-in and everything refreshed from it: the family of its tokens.

use sea_orm::entity::prelude::*;

use crate::{
    auth::Viewer,
    clock::Time,
    id::{SessionId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub user_id: UserId,
    pub client: Client,
    pub user_agent: Option<String>,
    pub address: Option<String>,
    pub created_at: Time,
    pub used_at: Time,
    pub expires_at: Time,
    pub revoked_at: Option<Time>,
}

/// The transport of a session's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Client {
    /// In HttpOnly cookies, which no script can read.
    Browser,
    /// In the payload, to be sent as `Authorization: Bearer`.
    Native,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The viewer's sessions that are still good at `now`.
    pub fn of(viewer: &Viewer, now: Time) -> Select<Self> {
        Self::active_of(viewer.user(), now)
    }

    /// The sessions of an account that are still good at `now`; for those who manage its sessions.
    pub fn active_of(user: UserId, now: Time) -> Select<Self> {
        Self::find()
            .filter(Column::UserId.eq(user))
            .filter(Column::RevokedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
    }

    /// The session of the viewer's access token, unless it was ended.
    pub fn of_access_token(viewer: &Viewer) -> Select<Self> {
        Self::find_by_id(viewer.session())
            .filter(Column::UserId.eq(viewer.user()))
            .filter(Column::RevokedAt.is_null())
    }

    /// The session that a refresh token names; for signing in only.
    pub fn of_token(session: SessionId) -> Select<Self> {
        Self::find_by_id(session)
    }
}
