//! Jobs that run in the background, their leases and their outcomes.

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
    /// Counted when a worker claims the job.
    pub attempts: i32,
    pub max_attempts: i32,
    pub wanted_at: Time,
    /// The time from which a worker may claim the job: when it is wanted, after the pause between two attempts, or when the
    /// lease of its worker expires.
    pub run_at: Time,
    /// The holder of the lease.
    pub worker_id: Option<Uuid>,
    /// The start of the last attempt.
    pub started_at: Option<Time>,
    pub finished_at: Option<Time>,
    pub last_error: Option<String>,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// No worker has claimed it yet.
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

    /// Jobs that are not finished, or finished at `since` or later: queued ones last, newer ones first.
    pub fn recent(since: Time) -> Select<Self> {
        Self::find()
            .filter(Column::FinishedAt.is_null().or(Column::FinishedAt.gte(since)))
            .order_by_asc(Column::State.eq(State::Queued))
            .order_by_desc(Column::Id)
    }
}
