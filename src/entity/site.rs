//! Settings of the site that must not change with the configuration: one row.

use sea_orm::entity::prelude::*;

use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "site")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// The zone that calendar windows are cut in, by its name in the IANA database.
    pub time_zone: String,
    pub created_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The id of the one row.
pub const ID: i32 = 1;

impl Entity {
    /// The one row.
    pub fn this() -> Select<Self> {
        Self::find_by_id(ID)
    }
}
