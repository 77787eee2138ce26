//! Revisions: the questions of a quiz. Published ones never change.

use std::time::Duration;

use sea_orm::{JoinType, QuerySelect, QueryTrait, SelectTwo, entity::prelude::*, sea_query::SelectStatement};

use super::{quiz, unfinished_quiz};
use crate::{
    clock::Time,
    id::{QuizId, RevisionId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "revisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: RevisionId,
    pub quiz_id: QuizId,
    pub number: i32,
    pub state: State,
    pub duration_ms: i64,
    pub right_score: i64,
    pub wrong_score: i64,
    pub blank_score: i64,
    pub question_count: i32,
    /// The number of the newest correction of the key; 0 if there is none.
    pub correction: i32,
    pub created_at: Time,
    pub published_at: Option<Time>,
    pub superseded_at: Option<Time>,
    /// Of a draft: grows with every write to it.
    pub version: i32,
    /// The last write to it as a draft, if there was one after it was made.
    pub updated_at: Option<Time>,
    pub updated_by: Option<UserId>,
    /// Whether each attempt has its questions in an order of its own.
    pub shuffle_questions: bool,
    /// Whether each attempt has the choices of each question in an order of its own.
    pub shuffle_choices: bool,
    /// Of a draft that was discarded.
    pub discarded_at: Option<Time>,
}

/// Whether a revision is still edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    Draft,
    Published,
}

impl Model {
    /// The time limit of an attempt.
    pub fn duration(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.duration_ms).unwrap_or(0))
    }

    /// The number of its questions.
    pub fn size(&self) -> usize {
        usize::try_from(self.question_count).unwrap_or(0)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "quiz::Entity", from = "Column::QuizId", to = "quiz::Column::Id")]
    Quiz,
}

impl Related<quiz::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Quiz.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Revisions that will never change.
    pub fn published() -> Select<Self> {
        Self::find().filter(Column::State.eq(State::Published))
    }

    /// Drafts that are whole, discarded ones too, of quizzes that are not deleted, each with its quiz; for authoring only.
    pub fn drafts() -> SelectTwo<Self, quiz::Entity> {
        Self::of_present_quizzes().select_also(quiz::Entity)
    }

    /// The ids of these drafts, for a subquery.
    pub(super) fn ids_of_drafts() -> SelectStatement {
        Self::of_present_quizzes().select_only().column(Column::Id).into_query()
    }

    fn of_present_quizzes() -> Select<Self> {
        Self::find()
            .join(JoinType::InnerJoin, Relation::Quiz.def())
            .filter(Column::State.eq(State::Draft))
            .filter(Column::QuizId.not_in_subquery(unfinished_quiz::Entity::ids()))
            .filter(quiz::Column::DeletedAt.is_null())
    }

    /// The draft of a quiz, once it is whole; for authoring only.
    pub fn draft_of(quiz: QuizId) -> Select<Self> {
        Self::find()
            .filter(Column::QuizId.eq(quiz))
            .filter(Column::QuizId.not_in_subquery(unfinished_quiz::Entity::ids()))
            .filter(Column::State.eq(State::Draft))
            .filter(Column::DiscardedAt.is_null())
    }

    /// The revisions of quizzes that are in force.
    pub fn current_of(quizzes: impl IntoIterator<Item = QuizId>) -> Select<Self> {
        Self::find()
            .filter(Column::QuizId.is_in(quizzes))
            .filter(quiz::current())
    }

    /// The revisions of a quiz, whatever became of them; for authoring only.
    pub fn all_of(quiz: QuizId) -> Select<Self> {
        Self::find().filter(Column::QuizId.eq(quiz))
    }
}
