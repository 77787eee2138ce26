//! A student's progress, from roll-ups that every submit keeps exact. What a result adds is withheld until its student
//! may see all of it; whether that is so by now is looked up when a dashboard is read.

pub mod daily;

use std::collections::{BTreeMap, HashMap};

use chrono::{Days, NaiveDate};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    auth::Viewer,
    calendar::day_of,
    clock::Moment,
    db::sql,
    entity::{
        attempt, quiz,
        result::{self, Visibility},
        reviews::{self, Reviews, Shown},
        rollup::{self, Kind},
        withheld_rollup,
    },
    error::Result,
    id::{ChapterId, QuizId, SubjectId, UserId},
    leaderboard::standings::Taken,
    quiz::{paper::Published, score::Tally},
    site::Site,
};

/// Totals over submitted attempts. Those whose results are withheld until reviews open are counted as attempts only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromQueryResult)]
pub(crate) struct Sums {
    pub attempts: i64,
    pub right_count: i64,
    pub wrong_count: i64,
    pub blank_count: i64,
    pub score: i64,
    pub max_score: i64,
    /// The number of attempts whose results are withheld.
    #[sea_orm(skip)]
    pub withheld: i64,
}

impl Sums {
    /// Adds everything but attempts, which are counted at once.
    fn add_results(&mut self, more: &Self) {
        self.right_count += more.right_count;
        self.wrong_count += more.wrong_count;
        self.blank_count += more.blank_count;
        self.score += more.score;
        self.max_score += more.max_score;
    }
}

/// What results add to a student's roll-ups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts(BTreeMap<Rollup, Sums>);

/// A roll-up of a student: its kind, what it is of, and its day, as they are stored.
type Rollup = (Kind, Uuid, i32);

impl Counts {
    /// What a result of an attempt adds; or, with no attempts, by how much one has changed.
    pub(crate) fn of(
        subject: SubjectId,
        day: NaiveDate,
        attempts: i64,
        total: &Tally,
        by_chapter: &BTreeMap<ChapterId, Tally>,
    ) -> Self {
        let sums = |tally: &Tally| Sums {
            attempts,
            right_count: tally.right,
            wrong_count: tally.wrong,
            blank_count: tally.blank,
            score: tally.score,
            max_score: tally.max_score,
            withheld: 0,
        };
        let nil = Uuid::nil();
        let mut counts = BTreeMap::from([
            ((Kind::Total, nil, 0), sums(total)),
            ((Kind::Subject, subject.0, 0), sums(total)),
            ((Kind::Day, nil, day_number(day)), sums(total)),
        ]);
        let chapters = by_chapter.iter();
        counts.extend(chapters.map(|(chapter, tally)| ((Kind::Chapter, chapter.0, 0), sums(tally))));
        Self(counts)
    }

    /// Adds what was withheld.
    pub(crate) fn add(&mut self, withheld: &Self) {
        for (rollup, sums) in &withheld.0 {
            self.0.entry(*rollup).or_default().add_results(sums);
        }
    }

    /// The attempts alone.
    fn attempts(&self) -> Self {
        let attempts = |(rollup, sums): (&Rollup, &Sums)| {
            let attempts = sums.attempts;
            (
                *rollup,
                Sums {
                    attempts,
                    ..Sums::default()
                },
            )
        };
        Self(self.0.iter().map(attempts).collect())
    }
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
    pub result: Shown,
    pub quiz: Published,
}

/// Adds to the student's roll-ups what a result of this visibility adds: its attempt at once, the rest once it is shown in
/// full. One statement, or two while it is not.
pub(crate) async fn count(
    conn: &impl ConnectionTrait,
    of: &Taken,
    counts: Counts,
    visibility: Visibility,
) -> Result<()> {
    if visibility == Visibility::Full {
        return add(conn, of.student, counts).await;
    }
    add(conn, of.student, counts.attempts()).await?;
    let row = |((kind, of_id, day), sums): (Rollup, Sums)| withheld_rollup::ActiveModel {
        student_id: Set(of.student),
        quiz_id: Set(of.quiz),
        kind: Set(kind),
        day: Set(day),
        of_id: Set(of_id),
        attempts: Set(sums.attempts),
        right_count: Set(sums.right_count),
        wrong_count: Set(sums.wrong_count),
        blank_count: Set(sums.blank_count),
        score: Set(sums.score),
        max_score: Set(sums.max_score),
    };
    withheld_rollup::Entity::add(counts.0.into_iter().map(row))
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

async fn add(conn: &impl ConnectionTrait, student: UserId, counts: Counts) -> Result<()> {
    if counts.0.is_empty() {
        return Ok(());
    }
    let row = |((kind, of_id, day), sums): (Rollup, Sums)| rollup::ActiveModel {
        student_id: Set(student),
        kind: Set(kind),
        day: Set(day),
        of_id: Set(of_id),
        attempts: Set(sums.attempts),
        right_count: Set(sums.right_count),
        wrong_count: Set(sums.wrong_count),
        blank_count: Set(sums.blank_count),
        score: Set(sums.score),
        max_score: Set(sums.max_score),
    };
    rollup::Entity::add(counts.0.into_iter().map(row))
        .exec_without_returning(conn)
        .await?;
    Ok(())
}

/// Takes what the student's results of a quiz have withheld so far. One statement.
pub(crate) async fn take_withheld(conn: &impl ConnectionTrait, of: &Taken) -> Result<Counts> {
    #[derive(FromQueryResult)]
    struct Withheld {
        kind: Kind,
        of_id: Uuid,
        day: i32,
        #[sea_orm(nested)]
        sums: Sums,
    }
    let delete = sql(
        conn,
        "DELETE FROM withheld_rollups WHERE student_id = $1 AND quiz_id = $2 \
         RETURNING kind, of_id, day, attempts, right_count, wrong_count, blank_count, score, max_score",
        [of.student.into(), of.quiz.into()],
    );
    let rows = Withheld::find_by_statement(delete).all(conn).await?;
    let rollup = |row: Withheld| ((row.kind, row.of_id, row.day), row.sums);
    Ok(Counts(rows.into_iter().map(rollup).collect()))
}

/// Counts a student's roll-ups by subject anew, from the results: quizzes belong to other subjects now. Four statements.
pub(crate) async fn recount_subjects(conn: &impl ConnectionTrait, student: UserId) -> Result<()> {
    let shown = |column: &str| {
        let full = format!("SUM(CASE WHEN r.visibility = 'FULL' THEN r.{column} ELSE 0 END)");
        format!("CAST({full} AS BIGINT)")
    };
    let all = |column: &str| format!("CAST(SUM(r.{column}) AS BIGINT)");
    let columns = ["right_count", "wrong_count", "blank_count", "score", "max_score"];
    let list = |sum: &dyn Fn(&str) -> String| columns.map(sum).join(", ");
    let statements = [
        "DELETE FROM rollups WHERE student_id = $1 AND kind = 'SUBJECT'".to_owned(),
        format!(
            "INSERT INTO rollups (student_id, {COLUMNS}) \
             SELECT r.student_id, 'SUBJECT', z.subject_id, 0, COUNT(*), {} \
             FROM results r JOIN quizzes z ON z.id = r.quiz_id WHERE r.student_id = $1 \
             GROUP BY r.student_id, z.subject_id",
            list(&shown)
        ),
        "DELETE FROM withheld_rollups WHERE student_id = $1 AND kind = 'SUBJECT'".to_owned(),
        format!(
            "INSERT INTO withheld_rollups (student_id, quiz_id, {COLUMNS}) \
             SELECT r.student_id, r.quiz_id, 'SUBJECT', z.subject_id, 0, COUNT(*), {} \
             FROM results r JOIN quizzes z ON z.id = r.quiz_id WHERE r.student_id = $1 AND r.visibility <> 'FULL' \
             GROUP BY r.student_id, r.quiz_id, z.subject_id",
            list(&all)
        ),
    ];
    for statement in statements {
        conn.execute_raw(sql(conn, statement, [student.into()])).await?;
    }
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
    /// Of what is withheld: the quiz, and whether its reviews are open.
    quiz_id: Option<QuizId>,
    #[sea_orm(nested)]
    reviews: Option<Reviews>,
    #[sea_orm(nested)]
    sums: Sums,
}

/// The columns of roll-ups, withheld or not.
const COLUMNS: &str = "kind, of_id, day, attempts, right_count, wrong_count, blank_count, score, max_score";

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
            "SELECT r.kind, COALESCE(c.id, r.of_id) AS of_id, r.day, r.attempts, r.right_count, r.wrong_count, r.blank_count, r.score, \
                r.max_score, r.quiz_id, c.subject_id, COALESCE(s.name, c.name) AS name, ({STREAK}) AS streak, {} \
         FROM (SELECT {COLUMNS}, CAST(NULL AS uuid) AS quiz_id FROM rollups WHERE student_id = $1 \
               UNION ALL SELECT {COLUMNS}, quiz_id FROM withheld_rollups WHERE student_id = $1) AS r \
         LEFT JOIN quizzes z ON z.id = r.quiz_id \
         LEFT JOIN subjects s ON r.kind = 'SUBJECT' AND s.id = r.of_id \
         LEFT JOIN chapters o ON r.kind = 'CHAPTER' AND o.id = r.of_id \
         LEFT JOIN chapters c ON c.id = COALESCE(o.merged_into, o.id) \
         WHERE r.kind IN ('TOTAL', 'SUBJECT', 'CHAPTER') OR (r.kind = 'DAY' AND r.day >= $2) \
         ORDER BY r.kind, r.day, name, COALESCE(c.id, r.of_id)",
            reviews::columns("z", "z.id", "$1")
        ),
        [viewer.user().into(), day_number(since).into(), day_number(today).into()],
    );
    let recent = recent(conn, viewer).await?;
    let rows = Row::find_by_statement(select).all(conn).await?;
    let (withheld, separate): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.quiz_id.is_some());
    // Roll-ups of chapters that were merged are one.
    let mut rows: Vec<Row> = Vec::with_capacity(separate.len());
    for row in separate {
        let same = |known: &&mut Row| (known.kind, known.of_id, known.day) == (row.kind, row.of_id, row.day);
        match rows.last_mut().filter(same) {
            Some(known) => {
                known.sums.attempts += row.sums.attempts;
                known.sums.add_results(&row.sums);
            }
            None => rows.push(row),
        }
    }
    let mut waiting: BTreeMap<Rollup, Sums> = BTreeMap::new();
    for row in &withheld {
        let sums = waiting.entry((row.kind, row.of_id, row.day)).or_default();
        match &row.reviews {
            // Roll-ups take them within seconds; until then they are added here.
            Some(reviews) if reviews.are_open(now.at) => sums.add_results(&row.sums),
            _ => sums.withheld += row.sums.attempts,
        }
    }
    let reviews: HashMap<QuizId, Reviews> = withheld
        .into_iter()
        .filter_map(|row| Some((row.quiz_id?, row.reviews?)))
        .collect();
    let recent = recent.into_iter().map(|(attempt, result, quiz)| Recent {
        result: Shown::of(result, reviews.get(&attempt.quiz_id), viewer, now.at),
        attempt,
        quiz,
    });
    let mut dashboard = Dashboard {
        total: Sums::default(),
        subjects: Vec::new(),
        chapters: Vec::new(),
        days: Vec::new(),
        streak: 0,
        recent: recent.collect(),
    };
    for Row {
        kind,
        of_id,
        day,
        subject_id,
        name,
        streak,
        mut sums,
        ..
    } in rows
    {
        if let Some(waiting) = waiting.get(&(kind, of_id, day)) {
            sums.add_results(waiting);
            sums.withheld = waiting.withheld;
        }
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
async fn recent(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
) -> Result<Vec<(attempt::Model, result::Model, Published)>> {
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
        let revision = revision?;
        Some((attempt, result?, Published { quiz, revision }))
    };
    Ok(attempts.into_iter().filter_map(recent).collect())
}
