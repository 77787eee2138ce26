//! Links that were sent by mail, each good for one use.

use sea_orm::entity::prelude::*;

use crate::{clock::Time, id::UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "links")]
pub struct Model {
    /// The hash of the token; the token itself is only in the email.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    pub user_id: UserId,
    pub purpose: Purpose,
    /// The address that an account is to have.
    pub email: Option<String>,
    pub created_at: Time,
    pub expires_at: Time,
    pub used_at: Option<Time>,
    /// The version of the account's credentials when the link was requested: it is good for no other.
    pub credentials_version: i64,
}

/// The purpose of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Purpose {
    PasswordReset,
    EmailChange,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The link with this token, if it may still be redeemed.
    pub fn unused(token_hash: &[u8], purpose: Purpose, now: Time) -> Select<Self> {
        Self::find()
            .filter(Column::Hash.eq(token_hash))
            .filter(Column::Purpose.eq(purpose))
            .filter(Column::UsedAt.is_null())
            .filter(Column::ExpiresAt.gt(now))
    }
}
