//! Sums over a student's submitted attempts, as a dashboard shows them.

use sea_orm::{
    ExprTrait, InsertMany, Iterable,
    entity::prelude::*,
    sea_query::{Alias, IntoIden, OnConflict},
};

use crate::id::UserId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rollups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub student_id: UserId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    /// The day in the site's zone, in days since 1970-01-01; 0 for the other kinds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub day: i32,
    /// The subject or the chapter; the nil UUID for the other kinds.
    #[sea_orm(primary_key, auto_increment = false)]
    pub of_id: Uuid,
    pub attempts: i64,
    pub right_count: i64,
    pub wrong_count: i64,
    pub blank_count: i64,
    pub score: i64,
    pub max_score: i64,
}

/// The grouping of a roll-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    Total,
    Subject,
    Chapter,
    Day,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What an upsert makes of a sum: the stored one and the new one.
pub(super) fn sum<T: IntoIden + 'static, C: IntoIden + Copy + 'static>(table: T, column: C) -> Expr {
    let more = Expr::col((Alias::new("excluded"), column));
    Expr::col((table, column)).add(more)
}

impl Entity {
    /// Adds to roll-ups; makes those that are not there.
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
            .values(sums.map(|column| (column, sum(Entity, column))))
            .to_owned();
        Self::insert_many(rows).on_conflict(add)
    }

    /// All roll-ups, to verify them.
    pub fn all() -> Select<Self> {
        Self::find()
    }
}
