//! Boards as the tables have them, to build indexes from.

use chrono_tz::Tz;
use futures_util::{Stream, TryStreamExt};
use sea_orm::FromQueryResult;
use uuid::Uuid;

use super::{board::Window, index::Update, question::Key};
use crate::{
    calendar::midnight,
    clock::Time,
    db::{Pool, Values, sql_of_each},
    error::{Error, Result},
    id::UserId,
};

#[derive(FromQueryResult)]
struct Member {
    n: i32,
    student_id: UserId,
    score: i64,
    reached_at: Time,
    version: i64,
    ranked: bool,
}

/// The stored standings of boards, to build their indexes from, each with the index of its board. Includes unranked
/// students, so that a delayed older update does not bring them back. One statement.
pub(crate) async fn snapshot<'c>(
    conn: &'c Pool,
    boards: &[Key],
    zone: Tz,
) -> Result<impl Stream<Item = Result<(usize, Update)>> + Send + use<'c>> {
    let window = |board: &Key| {
        let Some(day) = board.as_of else { return Ok(None) };
        let window = Window::of_key(&board.window).ok_or_else(|| Error::internal("a board of no window"))?;
        Ok(Some((window.starts_at(zone).unwrap_or(Time(0)), midnight(day, zone))))
    };
    let windows: Vec<_> = boards.iter().map(window).collect::<Result<_>>()?;
    let statement = sql_of_each(conn, boards.iter().zip(windows), |(board, window), values| {
        select(board, window, values)
    });
    // One by one: all of them as rows of the database would take ten times the memory.
    let rows = Member::find_by_statement(statement).stream(conn).await?;
    let update = |row: Member| {
        let update = Update {
            student: row.student_id.0,
            version: row.version,
            to: row.ranked.then_some((row.score, row.reached_at.0)),
        };
        (usize::try_from(row.n).unwrap_or(0), update)
    };
    Ok(rows.map_ok(update).map_err(Error::from))
}

/// The standings of one board.
fn select(board: &Key, window: Option<(Time, Time)>, values: &mut Values) -> String {
    let (scope, key) = (values.bind(board.scope), values.bind(board.window.as_str()));
    let Some((since, morning)) = window else {
        return format!(
            "SELECT s.student_id, s.score, s.reached_at, u.version, u.ranked \
             FROM standings s JOIN users u ON u.id = s.student_id \
             WHERE s.scope_id = {scope} AND s.window_key = {key}"
        );
    };
    // Unchanged standings are taken as stored; the others are summed from the earlier results.
    let (since, morning, everything) = (values.bind(since), values.bind(morning), values.bind(Uuid::nil()));
    format!(
        "SELECT s.student_id, CASE WHEN s.reached_at < {morning} THEN s.score ELSE before.score END AS score, \
                s.reached_at, u.version, u.ranked \
         FROM standings s JOIN users u ON u.id = s.student_id LEFT JOIN ( \
           SELECT best.student_id, CAST(SUM(best.score) AS BIGINT) AS score FROM ( \
             SELECT r.student_id, r.quiz_id, MAX(r.score) AS score FROM results r JOIN quizzes q ON q.id = r.quiz_id \
             WHERE r.ranked AND r.submitted_at >= {since} AND r.submitted_at < {morning} \
               AND ({scope} = {everything} OR q.subject_id = {scope} OR r.quiz_id = {scope}) \
               AND r.student_id IN (SELECT student_id FROM standings \
                 WHERE scope_id = {scope} AND window_key = {key} AND reached_at >= {morning}) \
             GROUP BY r.student_id, r.quiz_id) AS best GROUP BY best.student_id \
         ) AS before ON before.student_id = s.student_id \
         WHERE s.scope_id = {scope} AND s.window_key = {key} AND (s.reached_at < {morning} OR before.score IS NOT NULL)"
    )
}
