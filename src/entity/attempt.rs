//! Attempts: one student taking one revision.

use std::time::Duration;

use sea_orm::{JoinType, QueryOrder, QuerySelect, SelectTwo, entity::prelude::*};

use super::result;
use crate::{
    auth::Viewer,
    clock::Time,
    id::{AttemptId, QuizId, RevisionId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "attempts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AttemptId,
    pub student_id: UserId,
    pub quiz_id: QuizId,
    pub revision_id: RevisionId,
    pub number: i32,
    pub ranked: bool,
    pub state: State,
    pub started_at: Time,
    pub deadline_at: Time,
    pub submitted_at: Option<Time>,
    pub submitted_by: Option<SubmittedBy>,
    pub late: bool,
    pub idempotency_key: Option<String>,
    pub result_id: Option<AttemptId>,
    /// What its order of questions and choices is drawn from, if its revision shuffles them. `None`: begun by a server of
    /// an earlier release; it has the revision's order.
    pub seed: Option<i64>,
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The student can answer questions.
    InProgress,
    /// The attempt has a result and accepts no changes.
    Submitted,
}

/// The submitter of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubmittedBy {
    /// The student, in time.
    Student,
    /// The server's clock, with the answers saved by the deadline.
    Clock,
}

/// Grace period for the network: answers and submits that arrive this long after the deadline are accepted, and flagged
/// as late.
pub const GRACE: Duration = Duration::from_secs(3);

impl Model {
    /// Whether the deadline and the grace period have passed without a submit.
    pub fn is_overdue(&self, now: Time) -> bool {
        self.state == State::InProgress && now > self.deadline_at + GRACE
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(belongs_to = "result::Entity", from = "Column::Id", to = "result::Column::AttemptId")]
    Result,
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The viewer's own attempts.
    pub fn of(viewer: &Viewer) -> Select<Self> {
        Self::of_student(viewer.user())
    }

    /// A student's attempts, for the rules about them; who is asking is up to the caller.
    pub fn of_student(student: UserId) -> Select<Self> {
        Self::find().filter(Column::StudentId.eq(student))
    }

    /// The viewer's own submitted attempts, each with its result.
    pub fn of_with_results(viewer: &Viewer) -> SelectTwo<Self, result::Entity> {
        Self::of(viewer)
            .join(JoinType::InnerJoin, Relation::Result.def())
            .select_also(result::Entity)
    }

    /// Submitted attempts, joined with their results; for rescoring.
    pub fn scored() -> Select<Self> {
        Self::find().join(JoinType::InnerJoin, Relation::Result.def())
    }

    /// The attempts that `viewer` may read: the own ones; staff may read all.
    pub fn readable_by(viewer: &Viewer) -> Select<Self> {
        if viewer.role().is_staff() {
            Self::find()
        } else {
            Self::of(viewer)
        }
    }

    /// Overdue attempts, the longest overdue first; for the sweep only.
    pub fn overdue(now: Time) -> Select<Self> {
        Self::find()
            .filter(Column::State.eq(State::InProgress))
            .filter(Column::DeadlineAt.lt(now - GRACE))
            .order_by_asc(Column::DeadlineAt)
    }
}
