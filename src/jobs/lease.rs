//! Leases: a worker claims a job for a while, and keeps it by its heartbeat.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use crate::{
    clock::{Moment, Time},
    db::{for_update_skip_locked, sql},
    entity::{job, worker},
    error::Result,
    id::JobId,
};

/// The longest pause between two attempts at a job.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Claims up to `most` jobs of these kinds that are due, for `worker` until `until`: those that wait, and those whose
/// lease expired. Concurrent claims get different jobs.
pub async fn claim(
    conn: &impl ConnectionTrait,
    kinds: impl Iterator<Item = &'static str>,
    most: usize,
    (worker, until): (Uuid, Time),
    now: Time,
) -> Result<Vec<job::Model>> {
    let kinds: Vec<_> = kinds.map(|kind| format!("'{kind}'")).collect();
    // A CTE, because PostgreSQL may run a subquery several times, and would then claim more than `most`.
    let update = format!(
        "WITH due AS (SELECT id FROM background_jobs \
           WHERE finished_at IS NULL AND run_at <= $1 AND attempts < max_attempts AND kind IN ({}) \
           ORDER BY priority DESC, run_at, id LIMIT {most} {}) \
         UPDATE background_jobs \
         SET state = 'RUNNING', attempts = attempts + 1, worker_id = $2, started_at = $1, run_at = $3 \
         WHERE id IN (SELECT id FROM due) RETURNING *",
        kinds.join(", "),
        for_update_skip_locked(conn),
    );
    let update = sql(conn, update, [now.into(), worker.into(), until.into()]);
    Ok(job::Model::find_by_statement(update).all(conn).await?)
}

/// Records the heartbeat of a worker, and extends its leases on `jobs` until `until`.
pub async fn extend(
    conn: &impl ConnectionTrait,
    jobs: impl Iterator<Item = JobId>,
    (worker, until): (Uuid, Time),
    now: Time,
) -> Result<()> {
    let row = worker::ActiveModel {
        id: Set(worker),
        seen_at: Set(now),
    };
    let again = OnConflict::column(worker::Column::Id)
        .update_column(worker::Column::SeenAt)
        .to_owned();
    worker::Entity::insert(row)
        .on_conflict(again)
        .exec_without_returning(conn)
        .await?;
    job::Entity::update_many()
        .col_expr(job::Column::RunAt, Expr::value(until))
        .filter(job::Column::WorkerId.eq(worker))
        .filter(job::Column::Id.is_in(jobs))
        .exec(conn)
        .await?;
    Ok(())
}

/// The outcome of an attempt at a job.
pub enum End {
    Success,
    /// The cause, and the pause after the first attempt; each further pause is twice as long.
    Failure(String, Duration),
}

/// Records the outcome of an attempt, unless its lease was lost. Returns whether it was recorded.
pub async fn finish(conn: &impl ConnectionTrait, job: &job::Model, end: &End, now: &Moment) -> Result<bool> {
    let mut row = job::ActiveModel {
        worker_id: Set(None),
        ..Default::default()
    };
    match end {
        End::Success => {
            row.state = Set(job::State::Done);
            row.finished_at = Set(Some(now.at));
            row.last_error = Set(None);
        }
        End::Failure(cause, first_pause) => {
            row.last_error = Set(Some(cause.clone()));
            if job.attempts < job.max_attempts {
                row.run_at = Set(now.at + pause(job.attempts, *first_pause, now));
            } else {
                row.state = Set(job::State::Dead);
                row.finished_at = Set(Some(now.at));
            }
        }
    }
    let update = job::Entity::update_many()
        .set(row)
        .filter(job::Column::Id.eq(job.id))
        .filter(job::Column::WorkerId.eq(job.worker_id))
        .filter(job::Column::Attempts.eq(job.attempts));
    Ok(update.exec(conn).await?.rows_affected > 0)
}

/// The pause after so many attempts: exponential, with a jitter of up to 20 %.
fn pause(attempts: i32, first: Duration, now: &Moment) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 30)).unwrap_or(1) - 1;
    let pause = first.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let [chance] = now.random();
    pause.mul_f64(1.0 + 0.2 * f64::from(chance) / 256.0).min(LONGEST_PAUSE)
}

/// Gives up jobs that lost the lease of their last attempt: such a job may be what ends its process.
pub(crate) async fn give_up_lost(conn: &impl ConnectionTrait, now: Time) -> Result<()> {
    let row = job::ActiveModel {
        state: Set(job::State::Dead),
        finished_at: Set(Some(now)),
        worker_id: Set(None),
        last_error: Set(Some("its worker went away each time it was tried".into())),
        ..Default::default()
    };
    job::Entity::update_many()
        .set(row)
        .filter(job::Column::FinishedAt.is_null())
        .filter(job::Column::RunAt.lte(now))
        .filter(Expr::col(job::Column::Attempts).gte(Expr::col(job::Column::MaxAttempts)))
        .exec(conn)
        .await?;
    Ok(())
}

/// Releases the leases of a worker that stops: other workers may claim its jobs at once.
pub async fn release(conn: &impl ConnectionTrait, worker: Uuid, now: Time) -> Result<()> {
    job::Entity::update_many()
        .col_expr(job::Column::WorkerId, Expr::value(None::<Uuid>))
        .col_expr(job::Column::RunAt, Expr::value(now))
        .filter(job::Column::WorkerId.eq(worker))
        .exec(conn)
        .await?;
    worker::Entity::delete_by_id(worker).exec(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn pauses_double_up_to_the_longest() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = Moment::of(&clock);
        let second = Duration::from_secs(1);
        for (attempts, at_least) in [(1, 1), (2, 2), (3, 4), (9, 256)] {
            let pause = pause(attempts, second, &now).as_secs_f64();
            let at_least = f64::from(at_least);
            assert!((at_least..at_least * 1.2).contains(&pause), "{attempts}: {pause}");
        }
        assert_eq!(pause(10, second, &now), LONGEST_PAUSE);
        assert_eq!(pause(i32::MAX, Duration::MAX, &now), LONGEST_PAUSE);
    }
}
