//! A board as the tables have it, to build an index from.

use chrono::NaiveDate;
use chrono_tz::Tz;
use futures_util::{Stream, TryStreamExt};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use uuid::Uuid;

use super::{board::Window, index::Update, question::Key};
use crate::{
    calendar::midnight,
    clock::Time,
    db::{Pool, sql},
    error::{Error, Result},
    id::UserId,
};

#[derive(FromQueryResult)]
struct Member {
    student_id: UserId,
    score: i64,
    reached_at: Time,
    version: i64,
    ranked: bool,
}

/// The stored standings of a board, to build an index from. Includes unranked students, so that a delayed older update
/// does not bring them back.
pub(crate) async fn snapshot<'c>(
    conn: &'c Pool,
    board: &Key,
    zone: Tz,
) -> Result<impl Stream<Item = Result<Update>> + Send + use<'c>> {
    let select = match board.as_of {
        Some(day) => as_of_day(conn, board, day, zone)?,
        None => sql(
            conn,
            "SELECT s.student_id, s.score, s.reached_at, u.version, u.ranked \
             FROM standings s JOIN users u ON u.id = s.student_id \
             WHERE s.scope_id = $1 AND s.window_key = $2",
            [board.scope.into(), board.window.as_str().into()],
        ),
    };
    // One by one: all of them as rows of the database would take ten times the memory.
    let rows = Member::find_by_statement(select).stream(conn).await?;
    let update = |row: Member| Update {
        student: row.student_id.0,
        version: row.version,
        to: row.ranked.then_some((row.score, row.reached_at.0)),
    };
    Ok(rows.map_ok(update).map_err(Error::from))
}

/// The board as of the start of a day. Unchanged standings are taken as stored; the others are summed from the earlier
/// results.
fn as_of_day(conn: &impl ConnectionTrait, board: &Key, day: NaiveDate, zone: Tz) -> Result<Statement> {
    let morning = midnight(day, zone);
    let window = Window::of_key(&board.window).ok_or_else(|| Error::internal("a board of no window"))?;
    let since = window.starts_at(zone).unwrap_or(Time(0));
    Ok(sql(
        conn,
        "SELECT s.student_id, CASE WHEN s.reached_at < $3 THEN s.score ELSE before.score END AS score, \
                s.reached_at, u.version, u.ranked \
         FROM standings s JOIN users u ON u.id = s.student_id LEFT JOIN ( \
           SELECT best.student_id, CAST(SUM(best.score) AS BIGINT) AS score FROM ( \
             SELECT r.student_id, r.quiz_id, MAX(r.score) AS score FROM results r JOIN quizzes q ON q.id = r.quiz_id \
             WHERE r.ranked AND r.submitted_at >= $4 AND r.submitted_at < $3 \
               AND ($1 = $5 OR q.subject_id = $1 OR r.quiz_id = $1) \
               AND r.student_id IN (SELECT student_id FROM standings \
                 WHERE scope_id = $1 AND window_key = $2 AND reached_at >= $3) \
             GROUP BY r.student_id, r.quiz_id) AS best GROUP BY best.student_id \
         ) AS before ON before.student_id = s.student_id \
         WHERE s.scope_id = $1 AND s.window_key = $2 AND (s.reached_at < $3 OR before.score IS NOT NULL)",
        [
            board.scope.into(),
            board.window.as_str().into(),
            morning.into(),
            since.into(),
            Uuid::nil().into(),
        ],
    ))
}
