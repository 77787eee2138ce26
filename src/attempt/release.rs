//! Releases withheld results once the reviews of their quiz are open: boards and roll-ups take them. What their students
//! see does not wait for it: reviews, results and dashboards look whether reviews are open.

use chrono_tz::Tz;
use sea_orm::{ActiveValue::Set, ConnectionTrait, FromQueryResult};

use super::student::lock_student;
use crate::{
    change::{Cause, Change},
    clock::{Moment, Time},
    dashboard::{self, Counts},
    db::sql,
    entity::{
        attempt::GRACE,
        result::{self, Visibility},
        reviews::{self, Reviews},
    },
    error::Result,
    id::{QuizId, SubjectId, UserId},
    leaderboard::{
        StandingsChanged,
        standings::{self, Taken},
    },
    ranks::{board::Window, question::Changed},
    site::Site,
};

/// Shows the student's withheld results of the quiz in full, in a transaction that holds the student's row: moves what
/// they add to the roll-ups there, with `counts`, and counts the ranked ones, with `own` one, on boards. Five statements.
pub(super) async fn open(
    conn: &impl ConnectionTrait,
    zone: Tz,
    of: &Taken,
    own: Option<Time>,
    mut counts: Counts,
    version: i64,
) -> Result<Vec<Changed>> {
    let shown = result::ActiveModel {
        visibility: Set(Visibility::Full),
        ..Default::default()
    };
    let opened = result::Entity::withheld(of.student, of.quiz)
        .set(shown)
        .exec_with_returning(conn)
        .await?;
    let ranked = opened.iter().filter(|result| result.ranked);
    let mut windows: Vec<_> = own
        .into_iter()
        .chain(ranked.map(|result| result.submitted_at))
        .flat_map(|at| Window::all_at(at, zone))
        .collect();
    windows.sort_unstable();
    windows.dedup();
    let standings = match windows.is_empty() {
        true => Vec::new(),
        false => standings::recount(conn, of, &windows, zone, version).await?,
    };
    counts.add(&dashboard::take_withheld(conn, of).await?);
    dashboard::count(conn, of, counts, Visibility::Full).await?;
    Ok(standings)
}

/// Students of one statement.
const AT_ONCE: usize = 200;

/// Releases the results of all quizzes whose reviews have opened to everybody. Returns the number of students.
pub async fn sweep(site: &Site, now: &Moment) -> Result<usize> {
    #[derive(FromQueryResult)]
    struct Due {
        id: QuizId,
    }
    let conn = site.db.read();
    let due = sql(
        conn,
        "SELECT z.id FROM quizzes z \
         WHERE (z.closes_at < $1 OR z.review_opens = 'AFTER_SUBMIT' OR z.results_at IS NOT NULL) \
           AND (z.results_at IS NULL OR z.results_at <= $2) \
           AND z.id IN (SELECT r.quiz_id FROM results r WHERE r.visibility <> 'FULL')",
        [(now.at - GRACE).into(), now.at.into()],
    );
    let mut released = 0;
    for Due { id } in Due::find_by_statement(due).all(conn).await? {
        released += of_quiz(site, id, now).await?;
    }
    Ok(released)
}

#[derive(FromQueryResult)]
struct Waiting {
    student_id: UserId,
    subject_id: SubjectId,
    #[sea_orm(nested)]
    reviews: Reviews,
}

pub(super) async fn of_quiz(site: &Site, quiz: QuizId, now: &Moment) -> Result<usize> {
    let conn = site.db.read();
    let (mut released, mut after) = (0, UserId(uuid::Uuid::nil()));
    loop {
        let waiting = sql(
            conn,
            format!(
                "SELECT w.student_id, z.subject_id, {} \
                 FROM (SELECT DISTINCT r.student_id FROM results r \
                       WHERE r.quiz_id = $1 AND r.visibility <> 'FULL' AND r.student_id > $2 \
                       ORDER BY r.student_id LIMIT {AT_ONCE}) AS w \
                 JOIN quizzes z ON z.id = $1 ORDER BY w.student_id",
                reviews::columns("z", "$1", "w.student_id")
            ),
            [quiz.into(), after.into()],
        );
        let waiting = Waiting::find_by_statement(waiting).all(conn).await?;
        for student in waiting.iter().filter(|student| student.reviews.are_open(now.at)) {
            let of = Taken {
                student: student.student_id,
                quiz,
                subject: student.subject_id,
            };
            one(site, &of, now).await?;
            released += 1;
        }
        match waiting.last() {
            Some(last) if waiting.len() == AT_ONCE => after = last.student_id,
            _ => return Ok(released),
        }
    }
}

/// One student's results of a quiz, in a transaction. Nothing is left for a second one.
async fn one(site: &Site, of: &Taken, now: &Moment) -> Result<()> {
    let mut change = Change::begin(site, &Cause::clock(now)).await?;
    let student = lock_student(&change, of.student).await?;
    let standings = open(&change, site.zone, of, None, Counts::default(), student.version).await?;
    let changed = StandingsChanged {
        student: of.student,
        version: student.version,
        ranked: student.ranked,
        standings,
    };
    change.emit(changed).await?;
    change.commit().await
}
