//! The processes that run jobs.

use sea_orm::entity::prelude::*;

use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "background_workers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The time of the last heartbeat.
    pub seen_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Workers with a heartbeat at `since` or later.
    pub fn seen_since(since: Time) -> Select<Self> {
        Self::find().filter(Column::SeenAt.gte(since))
    }
}
