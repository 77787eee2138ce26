//! Schedules: the next due time of each recurring job.

use sea_orm::{ExprTrait, Insert, Set, entity::prelude::*, sea_query::OnConflict};

use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "schedules")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub due_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All schedules.
    pub fn all() -> Select<Self> {
        Self::find()
    }

    /// Moves a schedule on to `next`, if it is due at `now` or was never due before.
    pub fn move_on(name: &str, now: Time, next: Time) -> Insert<ActiveModel> {
        let row = ActiveModel {
            name: Set(name.to_owned()),
            due_at: Set(next),
        };
        let if_due = OnConflict::column(Column::Name)
            .update_column(Column::DueAt)
            .action_and_where(Expr::col((Entity, Column::DueAt)).lte(now))
            .to_owned();
        Self::insert(row).on_conflict(if_due)
    }
}
