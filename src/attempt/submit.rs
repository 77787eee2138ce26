//! Submitting: exactly one transaction turns an attempt into a result, however many requests submit it.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};

use super::{release, student::lock_student};
use crate::{
    auth::Viewer,
    calendar::day_of,
    change::{Cause, Change},
    clock::{Moment, Time},
    dashboard::{self, Counts},
    db::{for_share_of, sql},
    entity::{
        attempt::{self, GRACE, SubmittedBy},
        question::Kind,
        quiz::ResultOpens,
        result::{self, Visibility},
        reviews::{self, Reviews},
    },
    error::{Error, Result, UserErrorCode},
    id::{AttemptId, ChapterId, SubjectId},
    leaderboard::{
        StandingsChanged,
        standings::{self, Taken},
    },
    limit::Allowance,
    quiz::{
        Marking,
        paper::{RightColumns, corrected, right_columns},
        right::Given,
        score::{self, Marked, Score, Tally},
    },
    ranks::board::Window,
    site::Site,
    text,
};

/// Submits the viewer's attempt. The same key again gets the same result; another key is refused; a submit that comes
/// after the clock's gets the clock's result. Only a submit of an attempt in progress takes from the allowance.
pub async fn submit(
    site: &Site,
    viewer: &Viewer,
    id: AttemptId,
    key: &str,
    allowance: Allowance<'_>,
    now: &Moment,
) -> Result<attempt::Model> {
    let key = text::idempotency_key("idempotencyKey", key)?;
    let own = attempt::Entity::of(viewer).filter(attempt::Column::Id.eq(id));
    let found = own.clone().one(site.db.write()).await?.ok_or(Error::NotFound)?;
    let mut counted = None;
    if found.state == attempt::State::InProgress {
        if !found.is_overdue(now.at) {
            // The same submit again, on its way at the same time, shares the use.
            counted = Some(allowance.reserve_for(id.0.to_string(), now.at).await?);
        }
        if let Some(attempt) = settle(site, &found, Some(key), now).await? {
            return Ok(attempt);
        }
    }
    let attempt = if found.state == attempt::State::Submitted {
        found
    } else {
        own.one(site.db.write()).await?.ok_or(Error::NotFound)?
    };
    if attempt.submitted_by == Some(SubmittedBy::Clock)
        && let Some(counted) = counted
    {
        counted.release().await;
    }
    if attempt.submitted_by == Some(SubmittedBy::Student) && attempt.idempotency_key.as_deref() != Some(key) {
        let message = "This attempt was already submitted. Its result is final.";
        return Err(Error::refused(UserErrorCode::AttemptAlreadySubmitted, message));
    }
    Ok(attempt)
}

/// Submits an overdue attempt with the saved answers.
pub(super) async fn by_clock(site: &Site, overdue: &attempt::Model, now: &Moment) -> Result<()> {
    settle(site, overdue, None, now).await?;
    Ok(())
}

/// Submits all overdue attempts. Returns their number. Correctness does not depend on it: any access to an overdue
/// attempt submits it.
pub async fn sweep(site: &Site, now: &Moment) -> Result<usize> {
    const AT_ONCE: u64 = 200;
    let overdue = attempt::Entity::overdue(now.at)
        .limit(AT_ONCE)
        .all(site.db.read())
        .await?;
    for attempt in &overdue {
        by_clock(site, attempt, now).await?;
    }
    Ok(overdue.len())
}

/// The transaction: locks the student, closes the attempt, scores the answers, and updates everything derived. Returns
/// `None` if another transaction has closed the attempt, or if it is not overdue and the submitter is the clock.
async fn settle(
    site: &Site,
    found: &attempt::Model,
    key: Option<&str>,
    now: &Moment,
) -> Result<Option<attempt::Model>> {
    let mut change = Change::begin(site, &Cause::clock(now)).await?;
    let tx = &change;
    let student = lock_student(tx, found.student_id).await?;
    let Some(closed) = close(tx, found.id, key, now.at).await? else {
        return Ok(None);
    };
    let submitted_at = closed.submitted_at.unwrap_or(now.at);
    let answered = answered(tx, &closed, i32::MAX).await?;
    let visibility = answered.visibility(&closed, now.at);
    let of = Taken {
        student: closed.student_id,
        quiz: closed.quiz_id,
        subject: answered.subject,
    };
    let Score { total, by_chapter } = score::score(answered.marking, answered.questions);
    store_result(tx, &closed, answered.correction, &total, submitted_at, visibility).await?;

    let day = day_of(submitted_at, site.zone);
    let counts = Counts::of(of.subject, day, 1, &total, &by_chapter);
    let own = closed.ranked.then_some(submitted_at);
    let standings = if visibility == Visibility::Full && answered.withheld > 0 {
        release::open(tx, site.zone, &of, own, counts, student.version).await?
    } else {
        dashboard::count(tx, &of, counts, visibility).await?;
        match own {
            Some(at) if visibility != Visibility::Hidden => {
                let windows = Window::all_at(at, site.zone);
                standings::count(tx, &of, total.score, at, windows, student.version).await?
            }
            _ => Vec::new(),
        }
    };

    let changed = StandingsChanged {
        student: closed.student_id,
        version: student.version,
        ranked: student.ranked,
        standings,
    };
    change.emit(changed).await?;
    change.commit().await?;
    Ok(Some(closed))
}

/// The conditional update that only one transaction wins. With a key it is the student's submit, which becomes the
/// clock's if it is too late; without one it is the clock's, which must not be too early. The revision is locked until
/// the commit: a concurrent correction of its key commits first, so that the next statement sees it, or finds the
/// result.
async fn close(
    conn: &impl ConnectionTrait,
    id: AttemptId,
    key: Option<&str>,
    now: Time,
) -> Result<Option<attempt::Model>> {
    let update = sql(
        conn,
        format!(
            "UPDATE attempts SET state = 'SUBMITTED', result_id = id, \
           submitted_by = CASE WHEN deadline_at < $3 THEN 'CLOCK' ELSE 'STUDENT' END, \
           submitted_at = CASE WHEN deadline_at < $3 THEN deadline_at ELSE $2 END, \
           late = (deadline_at < $2 AND deadline_at >= $3) \
               OR EXISTS (SELECT 1 FROM answers WHERE answers.attempt_id = attempts.id AND answers.late), \
           idempotency_key = CASE WHEN deadline_at < $3 THEN NULL ELSE $4 END \
         WHERE id = $1 AND state = 'IN_PROGRESS' AND ($4 IS NOT NULL OR deadline_at < $3) \
           AND EXISTS (SELECT 1 FROM revisions r WHERE r.id = attempts.revision_id {}) \
         RETURNING *",
            for_share_of(conn, "r")
        ),
        [
            id.into(),
            now.into(),
            (now - GRACE).into(),
            key.map(str::to_owned).into(),
        ],
    );
    Ok(attempt::Model::find_by_statement(update).one(conn).await?)
}

/// The questions of an attempt, each with what is right and what was answered.
pub(super) struct Answered {
    pub subject: SubjectId,
    /// The newest correction of the key.
    pub correction: i32,
    pub marking: Marking,
    pub questions: Vec<Marked>,
    reviews: Reviews,
    result_opens: ResultOpens,
    /// The student's results of the quiz that are not shown in full yet.
    withheld: i64,
}

impl Answered {
    /// How much of the result of this attempt its student sees from now on. Until the reviews open that is one number at
    /// most, that of the first attempt: the points of several give the key away.
    fn visibility(&self, attempt: &attempt::Model, now: Time) -> Visibility {
        match self.result_opens {
            _ if self.reviews.are_open(now) => Visibility::Full,
            ResultOpens::AfterSubmit if attempt.number == 1 && self.reviews.may_show(now) => Visibility::Points,
            ResultOpens::AfterSubmit | ResultOpens::WithReview => Visibility::Hidden,
        }
    }
}

#[derive(FromQueryResult)]
struct AnsweredRow {
    subject_id: SubjectId,
    correction: i32,
    right_score: i64,
    wrong_score: i64,
    blank_score: i64,
    chapter_id: Option<ChapterId>,
    kind: Kind,
    #[sea_orm(nested)]
    right: RightColumns,
    choice_set: Option<i32>,
    choice_position: Option<i32>,
    number: Option<String>,
    result_opens: ResultOpens,
    withheld: i64,
    #[sea_orm(nested)]
    reviews: Reviews,
}

impl AnsweredRow {
    fn marked(&self) -> Result<Marked> {
        let no_key = || Error::internal("a published question without a right answer");
        Ok(Marked {
            chapter: self.chapter_id,
            kind: self.kind,
            right: self.right.read().ok_or_else(no_key)?,
            given: Given::stored(self.choice_set, self.choice_position, self.number.as_deref()),
        })
    }
}

/// The questions with the answers and the key by its corrections up to number `up_to`. A statement of its own, after the
/// attempt is closed: on PostgreSQL only a later statement sees every save that was acknowledged before.
pub(super) async fn answered(conn: &impl ConnectionTrait, attempt: &attempt::Model, up_to: i32) -> Result<Answered> {
    let select = sql(
        conn,
        format!(
            "SELECT z.subject_id, r.correction, r.right_score, r.wrong_score, r.blank_score, \
                    q.chapter_id, q.kind, {}, \
                    a.choice_set, c.position AS choice_position, a.number, z.result_opens, {}, \
                    (SELECT COUNT(*) FROM results w \
                     WHERE w.student_id = $5 AND w.quiz_id = $4 AND w.visibility <> 'FULL') AS withheld \
             FROM revisions r \
             JOIN quizzes z ON z.id = r.quiz_id \
             JOIN questions q ON q.revision_id = r.id \
             {} \
             LEFT JOIN answers a ON a.attempt_id = $2 AND a.question_id = q.id \
             LEFT JOIN choices c ON c.id = a.choice_id \
             WHERE r.id = $1",
            right_columns(),
            reviews::columns("z", "$4", "$5"),
            corrected("$3")
        ),
        [
            attempt.revision_id.into(),
            attempt.id.into(),
            up_to.into(),
            attempt.quiz_id.into(),
            attempt.student_id.into(),
        ],
    );
    let rows = AnsweredRow::find_by_statement(select).all(conn).await?;
    let first = rows
        .first()
        .ok_or_else(|| Error::internal("a published revision without questions"))?;
    Ok(Answered {
        subject: first.subject_id,
        correction: first.correction,
        marking: Marking {
            right: first.right_score,
            wrong: first.wrong_score,
            blank: first.blank_score,
        },
        reviews: first.reviews.clone(),
        result_opens: first.result_opens,
        withheld: first.withheld,
        questions: rows.iter().map(AnsweredRow::marked).collect::<Result<_>>()?,
    })
}

async fn store_result(
    conn: &impl ConnectionTrait,
    attempt: &attempt::Model,
    correction: i32,
    total: &Tally,
    submitted_at: Time,
    visibility: Visibility,
) -> Result<()> {
    let row = result::ActiveModel {
        attempt_id: Set(attempt.id),
        student_id: Set(attempt.student_id),
        quiz_id: Set(attempt.quiz_id),
        correction: Set(correction),
        score: Set(total.score),
        max_score: Set(total.max_score),
        right_count: Set(total.right as i32),
        wrong_count: Set(total.wrong as i32),
        blank_count: Set(total.blank as i32),
        ranked: Set(attempt.ranked),
        submitted_at: Set(submitted_at),
        visibility: Set(visibility),
    };
    result::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
