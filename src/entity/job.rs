//! Jobs: what is to be done in the background, which worker has it, and how it ended.

use sea_orm::{ExprTrait, QueryOrder, entity::prelude::*};

use crate::{clock::Time, id::JobId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "background_jobs")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: JobId,
    pub kind: String,
    /// JSON; its shape follows from the kind.
    pub payload: String,
    /// Whether the payload holds personal data, such as an address.
    pub personal: bool,
    /// Higher ones are run first.
    pub priority: i32,
    pub state: State,
    /// Counted when a worker takes the job.
    pub attempts: i32,
    pub max_attempts: i32,
    pub wanted_at: Time,
    /// When a worker may take the job: at once, after a pause between two attempts, or when the present worker's lease
    /// ends.
    pub run_at: Time,
    pub worker_id: Option<Uuid>,
    /// When a worker last took the job.
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub last_error: Option<String>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// No worker has taken it yet.
    Queued,
    /// A worker has it, or it waits for its next attempt.
    Running,
    /// It succeeded.
    Done,
    /// It failed at every attempt.
    Dead,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All jobs; for staff.
    pub fn log() -> Select<Self> {
        Self::find()
    }

    /// Jobs that have not ended, or ended at `since` or later. Those that only wait come last, newer ones first.
    pub fn recent(since: Time) -> Select<Self> {
        Self::find()
            .filter(Column::FinishedAt.is_null().or(Column::FinishedAt.gte(since)))
            .order_by_asc(Column::State.eq(State::Queued))
            .order_by_desc(Column::Id)
    }
}
