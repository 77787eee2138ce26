//! A student's progress, from roll-ups that every submit keeps exact.

pub mod daily;

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    auth::Viewer,
    calendar::day_of,
    clock::Moment,
    db::sql,
    entity::{
        attempt, quiz, result,
        rollup::{self, Kind},
    },
    error::Result,
    id::{ChapterId, SubjectId, UserId},
    quiz::{paper::Published, score::Tally},
    site::Site,
};

/// Totals over submitted attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Sums {
    pub attempts: i64,
    pub right_count: i64,
    pub wrong_count: i64,
    pub blank_count: i64,
    pub score: i64,
    pub max_score: i64,
}

/// Everything a dashboard shows.
pub(crate) struct Dashboard {
    pub total: Sums,
    pub subjects: Vec<OfSubject>,
    pub chapters: Vec<OfChapter>,
    /// Only days with a submit, the oldest first.
    pub days: Vec<OfDay>,
    /// Days in a row with a submit, up to today or yesterday.
    pub streak: i64,
    pub recent: Vec<Recent>,
}

pub(crate) struct OfSubject {
    pub id: SubjectId,
    pub name: String,
    pub sums: Sums,
}

pub(crate) struct OfChapter {
    pub id: ChapterId,
    pub subject: SubjectId,
    pub name: String,
    pub sums: Sums,
}

pub(crate) struct OfDay {
    pub day: NaiveDate,
    pub sums: Sums,
}

/// A submitted attempt with its result and quiz.
#[derive(Clone)]
pub(crate) struct Recent {
    pub attempt: attempt::Model,
    pub result: result::Model,
    pub quiz: Published,
}

/// Adds a result to the student's roll-ups; or, with no attempts, by how much one has changed. One statement.
pub(crate) async fn count(
    conn: &impl ConnectionTrait,
    student: UserId,
    subject: SubjectId,
    day: NaiveDate,
    attempts: i64,
    total: &Tally,
    by_chapter: &BTreeMap<ChapterId, Tally>,
) -> Result<()> {
    let nil = Uuid::nil();
    let mut rows = vec![
        (Kind::Total, nil, 0, total),
        (Kind::Subject, subject.0, 0, total),
        (Kind::Day, nil, day_number(day), total),
    ];
    rows.extend(
        by_chapter
            .iter()
            .map(|(chapter, tally)| (Kind::Chapter, chapter.0, 0, tally)),
    );
    let row = |(kind, of, day, tally): (Kind, Uuid, i32, &Tally)| rollup::ActiveModel {
        student_id: Set(student),
        kind: Set(kind),
        day: Set(day),
        of_id: Set(of),
        attempts: Set(attempts),
        right_count: Set(tally.right),
        wrong_count: Set(tally.wrong),
        blank_count: Set(tally.blank),
        score: Set(tally.score),
        max_score: Set(tally.max_score),
    };
    rollup::Entity::add(rows.into_iter().map(row))
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// The stored form of a day: days since 1970-01-01.
pub(crate) fn day_number(day: NaiveDate) -> i32 {
    day.to_epoch_days()
}

#[derive(FromQueryResult)]
struct Row {
    kind: Kind,
    of_id: Uuid,
    day: i32,
    subject_id: Option<SubjectId>,
    name: Option<String>,
    streak: i64,
    #[sea_orm(nested)]
    sums: Sums,
}

/// Counts the days in a row: from the newest one, which is today or yesterday, back until a day is missing.
const STREAK: &str = "WITH RECURSIVE run(day) AS ( \
       SELECT MAX(day) FROM rollups WHERE student_id = $1 AND kind = 'DAY' AND day BETWEEN $3 - 1 AND $3 \
       UNION ALL \
       SELECT d.day FROM run JOIN rollups d ON d.student_id = $1 AND d.kind = 'DAY' AND d.day = run.day - 1 \
     ) SELECT COUNT(day) FROM run";

/// The viewer's dashboard, with the days of the last `days` days. Three statements.
pub(crate) async fn of_viewer(site: &Site, viewer: &Viewer, days: u32, now: &Moment) -> Result<Dashboard> {
    let conn = site.db.read();
    let today = day_of(now.at, site.zone);
    let since = today
        .checked_sub_days(Days::new(u64::from(days.saturating_sub(1))))
        .unwrap_or(today);
    let select = sql(
        conn,
        format!(
            "SELECT r.kind, r.of_id, r.day, r.attempts, r.right_count, r.wrong_count, r.blank_count, r.score, \
                r.max_score, c.subject_id, COALESCE(s.name, c.name) AS name, ({STREAK}) AS streak \
         FROM rollups r \
         LEFT JOIN subjects s ON r.kind = 'SUBJECT' AND s.id = r.of_id \
         LEFT JOIN chapters c ON r.kind = 'CHAPTER' AND c.id = r.of_id \
         WHERE r.student_id = $1 \
           AND (r.kind IN ('TOTAL', 'SUBJECT', 'CHAPTER') OR (r.kind = 'DAY' AND r.day >= $2)) \
         ORDER BY r.kind, r.day, name"
        ),
        [viewer.user().into(), day_number(since).into(), day_number(today).into()],
    );
    let mut dashboard = Dashboard {
        total: Sums::default(),
        subjects: Vec::new(),
        chapters: Vec::new(),
        days: Vec::new(),
        streak: 0,
        recent: recent(conn, viewer).await?,
    };
    for Row {
        kind,
        of_id,
        day,
        subject_id,
        name,
        streak,
        sums,
    } in Row::find_by_statement(select).all(conn).await?
    {
        let name = name.unwrap_or_default();
        dashboard.streak = streak;
        match kind {
            Kind::Total => dashboard.total = sums,
            Kind::Subject => dashboard.subjects.push(OfSubject {
                id: SubjectId(of_id),
                name,
                sums,
            }),
            Kind::Chapter => dashboard.chapters.push(OfChapter {
                id: ChapterId(of_id),
                subject: subject_id.unwrap_or(SubjectId(Uuid::nil())),
                name,
                sums,
            }),
            Kind::Day => dashboard.days.push(OfDay {
                day: NaiveDate::from_epoch_days(day).unwrap_or_default(),
                sums,
            }),
        }
    }
    Ok(dashboard)
}

/// The newest submitted attempts. Two statements.
async fn recent(conn: &impl ConnectionTrait, viewer: &Viewer) -> Result<Vec<Recent>> {
    const HOW_MANY: u64 = 10;
    let attempts = attempt::Entity::of_with_results(viewer)
        .order_by_desc(result::Column::SubmittedAt)
        .order_by_desc(result::Column::AttemptId)
        .limit(HOW_MANY)
        .all(conn)
        .await?;
    let ids = attempts.iter().map(|(attempt, _)| attempt.quiz_id);
    let quizzes = quiz::Entity::of_attempts_of(viewer)
        .filter(quiz::Column::Id.is_in(ids))
        .all(conn)
        .await?;
    let recent = |(attempt, result): (attempt::Model, Option<_>)| {
        let (quiz, revision) = quizzes.iter().find(|(quiz, _)| quiz.id == attempt.quiz_id)?.clone();
        Some(Recent {
            attempt,
            result: result?,
            quiz: Published {
                quiz,
                revision: revision?,
            },
        })
    };
    Ok(attempts.into_iter().filter_map(recent).collect())
}
