//! Answers of an attempt: the newest per question.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Time,
    id::{AttemptId, ChoiceId, QuestionId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "answers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt_id: AttemptId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub question_id: QuestionId,
    /// `None`: the student cleared the answer.
    pub choice_id: Option<ChoiceId>,
    pub seq: i64,
    pub answered_at: Time,
    pub late: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The answers of attempts that a scoped finder has loaded.
    pub fn of_attempts(attempts: impl IntoIterator<Item = AttemptId>) -> Select<Self> {
        Self::find().filter(Column::AttemptId.is_in(attempts))
    }
}
