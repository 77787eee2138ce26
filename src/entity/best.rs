//! The best ranked result of a student in a quiz, per window.

use sea_orm::{
    ExprTrait, InsertMany, Iterable,
    entity::prelude::*,
    sea_query::{Alias, OnConflict},
};

use crate::{
    clock::Time,
    id::{QuizId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bests")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub student_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub window_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub quiz_id: QuizId,
    pub score: i64,
    pub achieved_at: Time,
    /// The time this quiz last changed the student's sum; `None` if it never did (a first result of zero).
    pub moved_at: Option<Time>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Stores results where there is none, or a lower one. A higher result moves the sum when it was achieved.
    pub fn improve(rows: impl IntoIterator<Item = ActiveModel>) -> InsertMany<ActiveModel> {
        let new = |column: Column| Expr::col((Alias::new("excluded"), column));
        let higher = OnConflict::columns(PrimaryKey::iter())
            .update_columns([Column::Score, Column::AchievedAt])
            .value(Column::MovedAt, new(Column::AchievedAt))
            .action_and_where(new(Column::Score).gt(Expr::col((Entity, Column::Score))))
            .to_owned();
        Self::insert_many(rows).on_conflict(higher)
    }
}
