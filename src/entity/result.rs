//! Results of submitted attempts.

use sea_orm::{UpdateMany, entity::prelude::*};

use crate::{
    clock::Time,
    id::{AttemptId, QuizId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "results")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt_id: AttemptId,
    pub student_id: UserId,
    pub quiz_id: QuizId,
    /// The correction of the key that it was scored by.
    pub correction: i32,
    pub score: i64,
    pub max_score: i64,
    pub right_count: i32,
    pub wrong_count: i32,
    pub blank_count: i32,
    pub ranked: bool,
    pub submitted_at: Time,
    pub visibility: Visibility,
}

/// How much of a result its student sees; everything once the reviews of the quiz are open, whatever is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Visibility {
    /// Nothing. No board has it.
    Hidden,
    /// The points.
    Points,
    /// Everything.
    Full,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The results of attempts that a scoped finder has loaded.
    pub fn of_attempts(attempts: impl IntoIterator<Item = AttemptId>) -> Select<Self> {
        Self::find().filter(Column::AttemptId.is_in(attempts))
    }

    /// An update of the student's results of a quiz that are not shown in full yet.
    pub fn withheld(student: UserId, quiz: QuizId) -> UpdateMany<Self> {
        Self::update_many()
            .filter(Column::StudentId.eq(student))
            .filter(Column::QuizId.eq(quiz))
            .filter(Column::Visibility.ne(Visibility::Full))
    }
}
