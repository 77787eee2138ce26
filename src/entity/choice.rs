//! Choices of a question.

use sea_orm::{ExprTrait, QueryOrder, QuerySelect, QueryTrait, entity::prelude::*};

use super::question;
use crate::{
    auth::Viewer,
    id::{ChoiceId, QuestionId, RevisionId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "choices")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChoiceId,
    pub question_id: QuestionId,
    pub position: i32,
    pub text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The choices of the questions that `viewer` may read.
    pub fn readable_by(viewer: &Viewer) -> Select<Self> {
        let question = question::Entity::readable_by(viewer)
            .filter(Expr::col((question::Entity, question::Column::Id)).equals((Self, Column::QuestionId)))
            .select_only()
            .column(question::Column::Id)
            .into_query();
        Self::find().filter(Expr::exists(question))
    }

    /// The choices of these questions, each question's in their order: for content that the viewer has been let in to
    /// already.
    pub fn of_questions(questions: impl IntoIterator<Item = QuestionId>) -> Select<Self> {
        Self::find()
            .filter(Column::QuestionId.is_in(questions))
            .order_by_asc(Column::Position)
    }

    /// The choices of all questions of a revision, each question's in their order.
    pub fn of_revision(revision: RevisionId) -> Select<Self> {
        Self::of_revisions([revision])
    }

    /// The choices of all questions of revisions, each question's in their order.
    pub fn of_revisions(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        let questions = question::Entity::of_revisions(revisions)
            .select_only()
            .column(question::Column::Id)
            .into_query();
        Self::find()
            .filter(Column::QuestionId.in_subquery(questions))
            .order_by_asc(Column::Position)
    }
}
