//! Quizzes: the mutable part. Questions are in revisions.

use std::time::Duration;

use sea_orm::{
    Condition, JoinType, QuerySelect, QueryTrait, SelectTwo,
    entity::prelude::*,
    sea_query::{LockType, Query},
};

use super::{attempt, revision, unfinished_quiz};
use crate::{
    auth::Viewer,
    clock::Time,
    id::{QuizId, SubjectId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "quizzes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: QuizId,
    pub subject_id: SubjectId,
    pub title: String,
    /// The title as it is looked for (`text::folded`); without it, by a server of the previous release.
    pub title_folded: Option<String>,
    pub description: Option<String>,
    pub max_attempts: Option<i32>,
    pub cooldown_ms: i64,
    pub opens_at: Option<Time>,
    pub closes_at: Option<Time>,
    pub review_opens: ReviewOpens,
    pub result_opens: ResultOpens,
    pub created_at: Time,
    pub deleted_at: Option<Time>,
    /// Out of the catalogue until it is reinstated; attempts that were open run to their end.
    pub withdrawn_at: Option<Time>,
    /// Put away: out of the catalogue for good.
    pub archived_at: Option<Time>,
    /// The time before which neither results nor reviews are shown.
    pub results_at: Option<Time>,
    /// Grows with every change of this row by staff.
    pub version: i32,
}

/// The point at which the reviews of a quiz become readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewOpens {
    /// Immediately after the submit.
    AfterSubmit,
    /// After the student has submitted the last attempt that the quiz allows, or as `AfterClose`.
    AfterLastAttempt,
    /// After the quiz has closed and the last answers to it were accepted.
    AfterClose,
}

/// The point at which a student sees points of a quiz whose reviews are still closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ResultOpens {
    /// Those of the first attempt immediately after its submit; later attempts are practice, and show theirs with the
    /// review.
    AfterSubmit,
    /// With the review.
    WithReview,
}

impl Model {
    /// The required pause between two attempts.
    pub fn cooldown(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.cooldown_ms).unwrap_or(0))
    }

    /// Whether the catalogue has it, once it is published.
    pub fn is_listed(&self) -> bool {
        self.deleted_at.is_none() && self.withdrawn_at.is_none() && self.archived_at.is_none()
    }

    /// Whether its reviews open to everybody in the end.
    pub fn opens_reviews(&self) -> bool {
        match self.review_opens {
            ReviewOpens::AfterSubmit => true,
            ReviewOpens::AfterLastAttempt => self.closes_at.is_some() || self.max_attempts.is_some(),
            ReviewOpens::AfterClose => self.closes_at.is_some(),
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_many = "revision::Entity")]
    Revision,
}

impl Related<revision::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Revision.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The catalogue: quizzes that are published, and neither withdrawn, archived nor deleted, each with its current
    /// revision.
    pub fn catalogue() -> SelectTwo<Self, revision::Entity> {
        Self::there()
            .filter(Column::WithdrawnAt.is_null())
            .filter(Column::ArchivedAt.is_null())
    }

    /// Quizzes that are published and not deleted: those that have boards.
    pub fn there() -> SelectTwo<Self, revision::Entity> {
        Self::published().filter(Column::DeletedAt.is_null())
    }

    /// All quizzes, each with its current revision, or its draft if it was never published; for staff only. Those that an
    /// import is still writing are left out.
    pub fn of_staff() -> SelectTwo<Self, revision::Entity> {
        let published = Query::select()
            .column(revision::Column::QuizId)
            .from(revision::Entity)
            .and_where(revision::Column::State.eq(revision::State::Published))
            .to_owned();
        let draft = Condition::all()
            .add(revision::Column::State.eq(revision::State::Draft))
            .add(Column::Id.not_in_subquery(published));
        Self::find()
            .join(JoinType::InnerJoin, Relation::Revision.def())
            .select_also(revision::Entity)
            .filter(Condition::any().add(current()).add(draft))
            .filter(Column::Id.not_in_subquery(unfinished_quiz::Entity::ids()))
    }

    /// A quiz, held for a change of it by staff.
    pub fn held(id: QuizId) -> Select<Self> {
        Self::find_by_id(id)
            .filter(Column::Id.not_in_subquery(unfinished_quiz::Entity::ids()))
            .lock(LockType::NoKeyUpdate)
    }

    /// Quizzes of a subject, deleted or not; for authoring only.
    pub fn of_subject(subject: SubjectId) -> Select<Self> {
        Self::find().filter(Column::SubjectId.eq(subject))
    }

    /// The quizzes of attempts that `viewer` may read: the taken ones, deleted or not; staff may read all.
    pub fn of_attempts_of(viewer: &Viewer) -> SelectTwo<Self, revision::Entity> {
        let taken = attempt::Entity::readable_by(viewer)
            .select_only()
            .column(attempt::Column::QuizId)
            .into_query();
        Self::published().filter(Column::Id.in_subquery(taken))
    }

    /// The quiz of a draft; for authoring only.
    pub fn of_draft(draft: &revision::Model) -> Select<Self> {
        Self::find_by_id(draft.quiz_id)
    }

    fn published() -> SelectTwo<Self, revision::Entity> {
        Self::find()
            .join(JoinType::InnerJoin, Relation::Revision.def())
            .select_also(revision::Entity)
            .filter(current())
    }
}

/// Of a quiz's revisions, the one that is in force.
pub fn current() -> Condition {
    Condition::all()
        .add(revision::Column::State.eq(revision::State::Published))
        .add(revision::Column::SupersededAt.is_null())
}
