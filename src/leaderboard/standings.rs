//! The boards' part of a submit: the student's best ranked results and the standings summed from them.
//!
//! A standing is the sum, over quizzes, of the student's best ranked result in the window; results whose points are
//! still hidden from their student are on no board. It was reached when that sum last changed: at the newest `moved_at`
//! of its bests, or, while every result was worth nothing, at the first of them.

use chrono_tz::Tz;
use sea_orm::{ActiveValue::Set, ConnectionTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use crate::{
    clock::Time,
    db::sql,
    entity::best,
    error::Result,
    id::{QuizId, SubjectId, UserId},
    ranks::{board::Window, question::Changed},
};

/// Whose results of which quiz.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub student: UserId,
    pub quiz: QuizId,
    pub subject: SubjectId,
}

/// Counts a ranked result: improves the student's best of the quiz in the four windows, and the twelve standings that
/// follow from them. Two statements. Returns the standings that have changed.
pub(crate) async fn count(
    conn: &impl ConnectionTrait,
    of: &Taken,
    score: i64,
    at: Time,
    windows: [Window; 4],
    version: i64,
) -> Result<Vec<Changed>> {
    let row = |window: &Window| best::ActiveModel {
        student_id: Set(of.student),
        window_key: Set(window.key()),
        quiz_id: Set(of.quiz),
        score: Set(score),
        achieved_at: Set(at),
        moved_at: Set((score != 0).then_some(at)),
    };
    best::Entity::improve(windows.iter().map(row))
        .exec_without_returning(conn)
        .await?;
    sum_up(conn, of, &windows, version).await
}

/// Recounts results that have changed, or that boards did not have: the student's best of the quiz in each window, and
/// the standings derived from them. Two statements. Returns the changed standings.
pub(crate) async fn recount(
    conn: &impl ConnectionTrait,
    of: &Taken,
    windows: &[Window],
    zone: Tz,
    version: i64,
) -> Result<Vec<Changed>> {
    let mut values: Vec<Value> = vec![of.student.into(), of.quiz.into()];
    let mut rows = Vec::with_capacity(windows.len());
    for window in windows {
        let n = values.len();
        rows.push(format!(
            "SELECT ${} AS window_key, ${} AS starts_at, ${} AS ends_at",
            n + 1,
            n + 2,
            n + 3
        ));
        values.extend([
            window.key().into(),
            window.starts_at(zone).unwrap_or(Time(i64::MIN)).into(),
            window.ends_at(zone).unwrap_or(Time(i64::MAX)).into(),
        ]);
    }
    // As if the results had come one after the other: the best is the first of those that are worth the most, and it
    // moved nothing only if it was the very first and worth nothing.
    let insert = format!(
        "INSERT INTO bests (student_id, window_key, quiz_id, score, achieved_at, moved_at) \
         SELECT best.student_id, best.window_key, best.quiz_id, best.score, best.submitted_at, \
                CASE WHEN best.score = 0 AND best.submitted_at = best.first_at THEN NULL ELSE best.submitted_at END \
         FROM (SELECT r.student_id, r.quiz_id, w.window_key, r.score, r.submitted_at, \
                      MIN(r.submitted_at) OVER (PARTITION BY w.window_key) AS first_at, \
                      ROW_NUMBER() OVER (PARTITION BY w.window_key ORDER BY r.score DESC, r.submitted_at) AS place \
               FROM results r \
               JOIN ({}) AS w ON r.submitted_at >= w.starts_at AND r.submitted_at < w.ends_at \
               WHERE r.student_id = $1 AND r.quiz_id = $2 AND r.ranked AND r.visibility <> 'HIDDEN') AS best \
         WHERE best.place = 1 \
         ON CONFLICT (student_id, window_key, quiz_id) DO UPDATE \
         SET score = excluded.score, achieved_at = excluded.achieved_at, moved_at = excluded.moved_at",
        rows.join(" UNION ALL ")
    );
    conn.execute_raw(Statement::from_sql_and_values(
        conn.get_database_backend(),
        insert,
        values,
    ))
    .await?;
    sum_up(conn, of, windows, version).await
}

/// Sums a student's standings on the boards of subjects up anew: quizzes belong to other ones now. Two statements. Returns
/// those that are gone, and those that have changed.
pub(crate) async fn recount_subjects(
    conn: &impl ConnectionTrait,
    student: UserId,
    version: i64,
) -> Result<(Vec<Changed>, Vec<Changed>)> {
    let delete = sql(
        conn,
        "DELETE FROM standings WHERE student_id = $1 AND scope_id IN (SELECT s.id FROM subjects s) \
         AND NOT EXISTS (SELECT 1 FROM bests b JOIN quizzes q ON q.id = b.quiz_id \
           WHERE b.student_id = $1 AND b.window_key = standings.window_key AND q.subject_id = standings.scope_id) \
         RETURNING scope_id, window_key, score, reached_at",
        [student.into()],
    );
    let gone = Changed::find_by_statement(delete).all(conn).await?;
    let insert = sql(
        conn,
        "INSERT INTO standings (scope_id, window_key, student_id, score, reached_at, version) \
         SELECT q.subject_id, b.window_key, b.student_id, CAST(SUM(b.score) AS BIGINT), \
                COALESCE(MAX(b.moved_at), MIN(b.achieved_at)), $2 \
         FROM bests b JOIN quizzes q ON q.id = b.quiz_id \
         WHERE b.student_id = $1 GROUP BY q.subject_id, b.window_key, b.student_id \
         ON CONFLICT (scope_id, window_key, student_id) DO UPDATE \
         SET score = excluded.score, reached_at = excluded.reached_at, version = excluded.version \
         WHERE standings.score <> excluded.score OR standings.reached_at <> excluded.reached_at \
         RETURNING scope_id, window_key, score, reached_at",
        [student.into(), version.into()],
    );
    Ok((gone, Changed::find_by_statement(insert).all(conn).await?))
}

async fn sum_up(conn: &impl ConnectionTrait, of: &Taken, windows: &[Window], version: i64) -> Result<Vec<Changed>> {
    let mut values: Vec<Value> = vec![
        of.student.into(),
        version.into(),
        Uuid::nil().into(),
        of.subject.into(),
        of.quiz.into(),
    ];
    let first = values.len() + 1;
    values.extend(windows.iter().map(|window| Value::from(window.key())));
    let keys: Vec<_> = (first..=values.len()).map(|n| format!("${n}")).collect();
    let insert = format!(
        "INSERT INTO standings (scope_id, window_key, student_id, score, reached_at, version) \
         SELECT scope.id, b.window_key, b.student_id, CAST(SUM(b.score) AS BIGINT), \
                COALESCE(MAX(b.moved_at), MIN(b.achieved_at)), $2 \
         FROM bests b \
         JOIN quizzes q ON q.id = b.quiz_id \
         JOIN (SELECT $3 AS id UNION ALL SELECT $4 UNION ALL SELECT $5) AS scope \
           ON scope.id = $3 OR scope.id = q.subject_id OR scope.id = b.quiz_id \
         WHERE b.student_id = $1 AND b.window_key IN ({}) \
         GROUP BY scope.id, b.window_key, b.student_id \
         ON CONFLICT (scope_id, window_key, student_id) DO UPDATE \
         SET score = excluded.score, reached_at = excluded.reached_at, version = excluded.version \
         WHERE standings.score <> excluded.score OR standings.reached_at <> excluded.reached_at \
         RETURNING scope_id, window_key, score, reached_at",
        keys.join(", ")
    );
    let insert = Statement::from_sql_and_values(conn.get_database_backend(), insert, values);
    Ok(Changed::find_by_statement(insert).all(conn).await?)
}
