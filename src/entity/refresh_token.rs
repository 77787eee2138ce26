//! Hashes of the refresh tokens that were issued.

use sea_orm::entity::prelude::*;

use crate::{clock::Time, id::SessionId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refresh_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: Vec<u8>,
    pub session_id: SessionId,
    pub issued_at: Time,
    pub expires_at: Time,
    pub used_at: Option<Time>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The token of which this is the hash.
    pub fn with_hash(hash: &[u8]) -> Select<Self> {
        Self::find_by_id(hash)
    }

    /// The tokens of which these are the hashes.
    pub fn with_hashes(hashes: impl IntoIterator<Item = Vec<u8>>) -> Select<Self> {
        Self::find().filter(Column::Hash.is_in(hashes))
    }
}
