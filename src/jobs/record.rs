//! Jobs as staff and machines see them.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, PaginatorTrait, QueryFilter,
    QuerySelect,
};

use crate::{
    clock::{Moment, Time},
    entity::{
        job::{self, State},
        worker,
    },
    error::{Error, Result, UserErrorCode},
    id::JobId,
    page::{Order, Page, Slice},
};

/// The retention of jobs that are done.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// The time a worker counts after its last heartbeat.
const LIVES: Duration = Duration::from_secs(60);

/// A filter on jobs.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub state: Option<State>,
}

impl Filter {
    fn select(&self) -> sea_orm::Select<job::Entity> {
        let all = job::Entity::log();
        match self.state {
            Some(state) => all.filter(job::Column::State.eq(state)),
            None => all,
        }
    }
}

/// A page of jobs, the newest first.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    page: &Page<JobId>,
) -> Result<Slice<job::Model>> {
    let rows = page.select(filter.select(), job::Column::Id, Order::Descending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of jobs.
pub async fn count(conn: &impl ConnectionTrait, filter: &Filter) -> Result<u64> {
    Ok(filter.select().count(conn).await?)
}

/// The number of jobs that are not done, by state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    pub queued: i64,
    pub running: i64,
    pub dead: i64,
    /// The time at which the oldest queued job was due.
    pub oldest: Option<Time>,
}

/// Counts the jobs that are not done.
pub async fn backlog(conn: &impl ConnectionTrait) -> Result<Backlog> {
    #[derive(FromQueryResult)]
    struct Row {
        state: State,
        count: i64,
        oldest: Option<Time>,
    }
    let rows = job::Entity::log()
        .select_only()
        .column(job::Column::State)
        .column_as(job::Column::Id.count(), "count")
        .column_as(job::Column::RunAt.min(), "oldest")
        .filter(job::Column::State.is_in([State::Queued, State::Running, State::Dead]))
        .group_by(job::Column::State)
        .into_model::<Row>();
    let mut backlog = Backlog::default();
    for row in rows.all(conn).await? {
        match row.state {
            State::Queued => (backlog.queued, backlog.oldest) = (row.count, row.oldest),
            State::Running => backlog.running = row.count,
            State::Dead => backlog.dead = row.count,
            State::Done => {}
        }
    }
    Ok(backlog)
}

/// The number of processes that run jobs: those with a heartbeat in the last minute.
pub(crate) async fn workers(conn: &impl ConnectionTrait, now: Time) -> Result<u64> {
    Ok(worker::Entity::seen_since(now - LIVES).count(conn).await?)
}

/// Jobs that are not finished, or finished at `since` or later, at most 200. Queued ones come last.
pub(crate) async fn recent(conn: &impl ConnectionTrait, since: Time) -> Result<Vec<job::Model>> {
    const MAX_JOBS: u64 = 200;
    Ok(job::Entity::recent(since).limit(MAX_JOBS).all(conn).await?)
}

/// Enqueues a dead job again.
pub(crate) async fn retry(conn: &impl ConnectionTrait, id: JobId, now: &Moment) -> Result<job::Model> {
    let row = job::ActiveModel {
        state: Set(State::Queued),
        attempts: Set(0),
        run_at: Set(now.at),
        started_at: Set(None),
        finished_at: Set(None),
        last_error: Set(None),
        ..Default::default()
    };
    let update = job::Entity::update_many()
        .set(row)
        .filter(job::Column::Id.eq(id))
        .filter(job::Column::State.eq(State::Dead));
    let Some(job) = update.exec_with_returning(conn).await?.pop() else {
        let known = job::Entity::log().filter(job::Column::Id.eq(id)).count(conn).await?;
        let message = "Only a job that was given up can be run again.";
        return Err(match known {
            0 => Error::NotFound,
            _ => Error::refused(UserErrorCode::Conflict, message),
        });
    };
    Ok(job)
}

/// Deletes jobs that were done a week ago, and workers without a heartbeat since. Dead jobs stay, but those with personal
/// data no longer than `personal_kept`.
pub async fn forget(conn: &impl ConnectionTrait, now: Time, personal_kept: Duration) -> Result<()> {
    job::Entity::delete_many()
        .filter(job::Column::State.eq(State::Done))
        .filter(job::Column::FinishedAt.lt(now - KEPT))
        .exec(conn)
        .await?;
    job::Entity::delete_many()
        .filter(job::Column::State.eq(State::Dead))
        .filter(job::Column::Personal.eq(true))
        .filter(job::Column::FinishedAt.lt(now - personal_kept))
        .exec(conn)
        .await?;
    worker::Entity::delete_many()
        .filter(worker::Column::SeenAt.lt(now - KEPT))
        .exec(conn)
        .await?;
    Ok(())
}
