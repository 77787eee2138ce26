//! The boards' part of a submit: the student's best ranked results and the standings summed from them.
//!
//! A standing is the sum, over quizzes, of the student's best ranked result in the window. It was reached when that sum
//! last changed: at the newest `moved_at` of its bests, or, while every result was worth nothing, at the first of them.

use chrono_tz::Tz;
use sea_orm::{ActiveValue::Set, ConnectionTrait, FromQueryResult, Value};
use uuid::Uuid;

use crate::{
    clock::Time,
    db::sql,
    entity::best,
    error::Result,
    id::{QuizId, SubjectId, UserId},
    ranks::board::Window,
    ranks::question::Changed,
};

/// A ranked result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked {
    pub student: UserId,
    pub quiz: QuizId,
    pub subject: SubjectId,
    pub score: i64,
    pub at: Time,
}

/// Counts a result: improves the student's best of the quiz in the four windows, and the twelve standings that follow
/// from them. Two statements. Returns the standings that have changed.
pub(crate) async fn count(
    conn: &impl ConnectionTrait,
    result: &Ranked,
    windows: [Window; 4],
    version: i64,
) -> Result<Vec<Changed>> {
    let windows = windows.map(Window::key);
    improve_bests(conn, result, &windows).await?;
    sum_up(conn, result, &windows, version).await
}

/// Recounts a changed result: the student's best of the quiz in the result's four windows, and the standings derived
/// from them. Returns the changed standings.
pub(crate) async fn recount(
    conn: &impl ConnectionTrait,
    result: &Ranked,
    windows: [Window; 4],
    zone: Tz,
    version: i64,
) -> Result<Vec<Changed>> {
    for window in windows {
        // As if the results had come one after the other: the best is the first of those that are worth the most, and
        // it moved nothing only if it was the very first and worth nothing.
        let update = sql(
            conn,
            "UPDATE bests SET score = best.score, achieved_at = best.submitted_at, \
               moved_at = CASE WHEN best.score = 0 AND best.is_first THEN NULL ELSE best.submitted_at END \
             FROM (SELECT score, submitted_at, submitted_at = MIN(submitted_at) OVER () AS is_first FROM results \
                   WHERE student_id = $1 AND quiz_id = $2 AND ranked AND submitted_at >= $4 AND submitted_at < $5 \
                   ORDER BY score DESC, submitted_at LIMIT 1) AS best \
             WHERE student_id = $1 AND quiz_id = $2 AND window_key = $3",
            [
                result.student.into(),
                result.quiz.into(),
                window.key().into(),
                window.starts_at(zone).unwrap_or(Time(i64::MIN)).into(),
                window.ends_at(zone).unwrap_or(Time(i64::MAX)).into(),
            ],
        );
        conn.execute_raw(update).await?;
    }
    sum_up(conn, result, &windows.map(Window::key), version).await
}

async fn improve_bests(conn: &impl ConnectionTrait, result: &Ranked, windows: &[String; 4]) -> Result<()> {
    let row = |window: &String| best::ActiveModel {
        student_id: Set(result.student),
        window_key: Set(window.clone()),
        quiz_id: Set(result.quiz),
        score: Set(result.score),
        achieved_at: Set(result.at),
        moved_at: Set((result.score != 0).then_some(result.at)),
    };
    best::Entity::improve(windows.iter().map(row))
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

async fn sum_up(
    conn: &impl ConnectionTrait,
    result: &Ranked,
    windows: &[String; 4],
    version: i64,
) -> Result<Vec<Changed>> {
    let [all, month, week, day] = windows.each_ref().map(|key| Value::from(key.clone()));
    let insert = sql(
        conn,
        "INSERT INTO standings (scope_id, window_key, student_id, score, reached_at, version) \
         SELECT scope.id, b.window_key, b.student_id, CAST(SUM(b.score) AS BIGINT), \
                COALESCE(MAX(b.moved_at), MIN(b.achieved_at)), $2 \
         FROM bests b \
         JOIN quizzes q ON q.id = b.quiz_id \
         JOIN (SELECT $3 AS id UNION ALL SELECT $4 UNION ALL SELECT $5) AS scope \
           ON scope.id = $3 OR scope.id = q.subject_id OR scope.id = b.quiz_id \
         WHERE b.student_id = $1 AND b.window_key IN ($6, $7, $8, $9) \
         GROUP BY scope.id, b.window_key, b.student_id \
         ON CONFLICT (scope_id, window_key, student_id) DO UPDATE \
         SET score = excluded.score, reached_at = excluded.reached_at, version = excluded.version \
         WHERE standings.score <> excluded.score OR standings.reached_at <> excluded.reached_at \
         RETURNING scope_id, window_key, score, reached_at",
        [
            result.student.into(),
            version.into(),
            Uuid::nil().into(),
            result.subject.into(),
            result.quiz.into(),
            all,
            month,
            week,
            day,
        ],
    );
    Ok(Changed::find_by_statement(insert).all(conn).await?)
}
