//! The head of the audit log's chain: one row, signed.

use sea_orm::entity::prelude::*;

/// The id of the only row.
pub const ID: i32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_head")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The place of the last entry; 0 before the first.
    pub seq: i64,
    /// The hash of the last entry.
    pub hash: Option<Vec<u8>>,
    /// The key that signed this row.
    pub key_id: String,
    pub mac: Vec<u8>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The row.
    pub fn this() -> Select<Self> {
        Self::find()
    }
}
