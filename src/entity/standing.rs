//! Standings: what a student has on a board. Boards are public, so are these.

use sea_orm::{QuerySelect, entity::prelude::*};

use crate::{clock::Time, id::UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "standings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub scope_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub student_id: UserId,
    pub score: i64,
    pub reached_at: Time,
    pub version: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All standings, to verify them.
    pub fn all() -> Select<Self> {
        Self::find()
    }

    /// The boards that have standings: each scope and window once.
    pub fn boards() -> Select<Self> {
        Self::find()
            .select_only()
            .columns([Column::ScopeId, Column::WindowKey])
            .distinct()
    }
}
