//! Registrations that wait for a proof of the address.

use sea_orm::{DeleteMany, entity::prelude::*};

use crate::{clock::Time, id::RegistrationId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "registrations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RegistrationId,
    pub email: String,
    pub handle: String,
    pub password_hash: String,
    /// The hash of the token, once it is sent; the token itself is only in the email.
    pub token_hash: Option<Vec<u8>>,
    pub created_at: Time,
    pub expires_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The registration that is to be sent a link.
    pub fn pending(id: RegistrationId, now: Time) -> Select<Self> {
        Self::find_by_id(id).filter(Column::ExpiresAt.gt(now))
    }

    /// A redemption of the link with this token: of two at once one succeeds.
    pub fn redemption(token_hash: Vec<u8>, now: Time) -> DeleteMany<Self> {
        Self::delete_many()
            .filter(Column::TokenHash.eq(token_hash))
            .filter(Column::ExpiresAt.gt(now))
    }
}
