//! Counts results by subject anew after quizzes were moved to another one: standings and roll-ups of everybody who took
//! them. One transaction for each student; however often it runs, the counts are the same.

use sea_orm::FromQueryResult;

use super::student::lock_student;
use crate::{
    change::{Cause, Change},
    clock::{Moment, Time},
    dashboard,
    db::Values,
    error::Result,
    id::{QuizId, UserId},
    jobs::Run,
    leaderboard::{StandingsChanged, standings},
    quiz::{settings::Release, subjects::Recount},
    site::Site,
};

impl Run for Recount {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        let mut after = UserId(uuid::Uuid::nil());
        loop {
            let students = students(site, &self.quizzes, after).await?;
            let Some(last) = students.last() else { return Ok(()) };
            after = *last;
            for student in students {
                one(site, student, now).await?;
            }
        }
    }
}

impl Run for Release {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        super::release::of_quiz(site, self.quiz, now).await.map(drop)
    }
}

/// The next students, by their ids, who have results of these quizzes.
async fn students(site: &Site, quizzes: &[QuizId], after: UserId) -> Result<Vec<UserId>> {
    #[derive(FromQueryResult)]
    struct Row {
        student_id: UserId,
    }
    let conn = site.db.write();
    let mut values = Values::default();
    let after = values.bind(after);
    let ids: Vec<_> = quizzes.iter().map(|quiz| values.bind(*quiz)).collect();
    let select = format!(
        "SELECT DISTINCT student_id FROM results WHERE student_id > {after} AND quiz_id IN ({}) \
         ORDER BY student_id LIMIT 200",
        ids.join(", ")
    );
    let rows = Row::find_by_statement(values.sql(conn, select)).all(conn).await?;
    Ok(rows.into_iter().map(|row| row.student_id).collect())
}

async fn one(site: &Site, student: UserId, now: &Moment) -> Result<()> {
    let mut change = Change::begin(site, &Cause::clock(now)).await?;
    let held = lock_student(&change, student).await?;
    dashboard::recount_subjects(&change, student).await?;
    let (gone, standings) = standings::recount_subjects(&change, student, held.version).await?;
    let changed = |ranked, standings| StandingsChanged {
        student,
        version: held.version,
        ranked,
        standings,
    };
    // Off the boards on which nothing of the student's is left.
    if !gone.is_empty() {
        change.emit(changed(false, gone)).await?;
    }
    change.emit(changed(held.ranked, standings)).await?;
    change.commit().await
}
