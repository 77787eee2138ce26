//! Answers of an attempt: the newest per question.

use sea_orm::{Condition, ExprTrait, QuerySelect, QueryTrait, entity::prelude::*};

use super::attempt;
use crate::{
    auth::Viewer,
    clock::Time,
    id::{AnswerId, AttemptId, ChoiceId, QuestionId},
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
    /// The choices, as `quiz::right::Choices`, of a question that takes several.
    pub choice_set: Option<i32>,
    /// The number, as text.
    pub number: Option<String>,
}

impl Model {
    /// Its id in the API.
    pub fn id(&self) -> AnswerId {
        AnswerId {
            attempt: self.attempt_id,
            question: self.question_id,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Those of these answers that are of attempts which `viewer` may read.
    pub fn readable_by(viewer: &Viewer, ids: impl IntoIterator<Item = AnswerId>) -> Select<Self> {
        let attempt = attempt::Entity::readable_by(viewer)
            .filter(Expr::col((attempt::Entity, attempt::Column::Id)).equals((Self, Column::AttemptId)))
            .select_only()
            .column(attempt::Column::Id)
            .into_query();
        let one = |id: AnswerId| Column::AttemptId.eq(id.attempt).and(Column::QuestionId.eq(id.question));
        let these = ids.into_iter().map(one).fold(Condition::any(), Condition::add);
        Self::find().filter(these).filter(Expr::exists(attempt))
    }

    /// The answers of attempts that a scoped finder has loaded.
    pub fn of_attempts(attempts: impl IntoIterator<Item = AttemptId>) -> Select<Self> {
        Self::find().filter(Column::AttemptId.is_in(attempts))
    }
}
