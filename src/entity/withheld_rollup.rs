//! Sums over a student's submitted attempts at one quiz whose results are not shown in full yet: what the roll-ups lack.

use sea_orm::{InsertMany, Iterable, entity::prelude::*, sea_query::OnConflict};

use super::rollup::{self, Kind};
use crate::id::{QuizId, UserId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "withheld_rollups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub student_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub quiz_id: QuizId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub of_id: Uuid,
    /// The number of results that wait.
    pub attempts: i64,
    pub right_count: i64,
    pub wrong_count: i64,
    pub blank_count: i64,
    pub score: i64,
    pub max_score: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Adds to withheld roll-ups; makes those that are not there.
    pub fn add(rows: impl IntoIterator<Item = ActiveModel>) -> InsertMany<ActiveModel> {
        let sums = [
            Column::Attempts,
            Column::RightCount,
            Column::WrongCount,
            Column::BlankCount,
            Column::Score,
            Column::MaxScore,
        ];
        let add = OnConflict::columns(PrimaryKey::iter())
            .values(sums.map(|column| (column, rollup::sum(Entity, column))))
            .to_owned();
        Self::insert_many(rows).on_conflict(add)
    }

    /// All of them, to verify them.
    pub fn all() -> Select<Self> {
        Self::find()
    }
}
