//! Events that were recorded and not delivered yet.

use sea_orm::{
    DeleteMany, QueryOrder, QuerySelect, QueryTrait,
    entity::prelude::*,
    sea_query::{LockBehavior, LockType},
};

use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// JSON.
    pub event: String,
    pub created_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Claims the oldest events, `most` at most, by deleting them. Those that another transaction is just claiming are
    /// skipped; SQLite has one writer and needs no such lock.
    pub fn claim(most: u64) -> DeleteMany<Self> {
        let oldest = Self::find()
            .select_only()
            .column(Column::Id)
            .order_by_asc(Column::Id)
            .limit(most)
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        Self::delete_many().filter(Column::Id.in_subquery(oldest.into_query()))
    }
}
