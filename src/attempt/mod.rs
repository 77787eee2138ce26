//! Attempts: a student takes a quiz against the clock.

pub mod answers;
pub mod regrade;
pub(crate) mod review;
pub mod submit;
pub(crate) mod terms;

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::OnConflict,
};

pub use self::submit::{submit, sweep};
use self::terms::History;
use crate::{
    auth::Viewer,
    clock::Moment,
    db,
    entity::{attempt, quiz},
    error::{Error, Result},
    id::{AttemptId, QuizId, UserId},
    limit::Allowance,
    page::{Order, Page, Slice},
    site::Site,
};

/// An attempt in progress, new or resumed.
pub struct Started {
    pub attempt: attempt::Model,
    /// Whether it was open already. Such a start costs nothing.
    pub resumed: bool,
}

/// Starts a quiz, or returns the attempt at it that is still open. Only a new attempt takes from the allowance.
pub async fn start(
    site: &Site,
    viewer: &Viewer,
    quiz: QuizId,
    allowance: Allowance<'_>,
    now: &Moment,
) -> Result<Started> {
    // The loser of the race for the one open attempt finds the winner's in the next iteration.
    for _ in 0..3 {
        if let Some(open) = open_attempt(site.db.read(), viewer, quiz).await? {
            if !open.is_overdue(now.at) {
                return Ok(Started {
                    attempt: open,
                    resumed: true,
                });
            }
            submit::by_clock(site, &open, now).await?;
        }
        if let Some(attempt) = begin(site, viewer, quiz, allowance, now).await? {
            return Ok(Started {
                attempt,
                resumed: false,
            });
        }
    }
    Err(Error::internal("an attempt could neither be started nor found"))
}

async fn open_attempt(conn: &impl ConnectionTrait, viewer: &Viewer, quiz: QuizId) -> Result<Option<attempt::Model>> {
    let open = attempt::Entity::of(viewer)
        .filter(attempt::Column::QuizId.eq(quiz))
        .filter(attempt::Column::State.eq(attempt::State::InProgress));
    Ok(open.one(conn).await?)
}

/// A new attempt, or nothing if another one was begun meanwhile.
async fn begin(
    site: &Site,
    viewer: &Viewer,
    quiz: QuizId,
    allowance: Allowance<'_>,
    now: &Moment,
) -> Result<Option<attempt::Model>> {
    let (quiz, revision) = quiz::Entity::catalogue()
        .filter(quiz::Column::Id.eq(quiz))
        .one(site.db.read())
        .await?
        .ok_or(Error::NotFound)?;
    let revision = revision.ok_or(Error::NotFound)?;
    let history = history(site.db.read(), viewer.user(), quiz.id).await?;
    // One was begun after the look: it is to be resumed, whatever the terms and the limit say about another one.
    if history.taken > history.submitted {
        return Ok(None);
    }
    let start = terms::start(&quiz, &revision, &history, now.at)?;
    // Whoever starts this very attempt at the same time shares the use: there can be only one.
    let this = format!("{}:{}", quiz.id.0, start.number);
    let _counted = allowance.reserve_for(this, now.at).await?;
    let row = attempt::ActiveModel {
        id: Set(now.id()),
        student_id: Set(viewer.user()),
        quiz_id: Set(quiz.id),
        revision_id: Set(start.revision),
        number: Set(start.number),
        ranked: Set(start.ranked),
        state: Set(attempt::State::InProgress),
        started_at: Set(now.at),
        deadline_at: Set(start.deadline),
        submitted_at: Set(None),
        submitted_by: Set(None),
        late: Set(false),
        idempotency_key: Set(None),
        result_id: Set(None),
    };
    // Either unique index may object: one open attempt per student and quiz, and one attempt of each number.
    let begun = attempt::Entity::insert_many([row])
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_with_returning(site.db.write())
        .await?;
    Ok(begun.into_iter().next())
}

/// The student's history with a quiz. One statement.
pub(crate) async fn history(conn: &impl ConnectionTrait, student: UserId, quiz: QuizId) -> Result<History> {
    let history = attempt::Entity::of_student(student)
        .filter(attempt::Column::QuizId.eq(quiz))
        .select_only()
        .column_as(attempt::Column::Id.count(), "taken")
        .column_as(attempt::Column::SubmittedAt.count(), "submitted")
        .column_as(attempt::Column::SubmittedAt.max(), "last_submitted_at")
        .into_model::<History>();
    Ok(history.one(conn).await?.unwrap_or_default())
}

/// One attempt that the viewer may read. If its time has run out unnoticed, it is submitted first.
pub async fn find(site: &Site, viewer: &Viewer, id: AttemptId, now: &Moment) -> Result<attempt::Model> {
    let found = load(site.db.read(), viewer, id).await?;
    if !found.is_overdue(now.at) {
        return Ok(found);
    }
    submit::by_clock(site, &found, now).await?;
    load(site.db.read(), viewer, id).await
}

async fn load(conn: &impl ConnectionTrait, viewer: &Viewer, id: AttemptId) -> Result<attempt::Model> {
    attempt::Entity::readable_by(viewer)
        .filter(attempt::Column::Id.eq(id))
        .one(conn)
        .await?
        .ok_or(Error::NotFound)
}

/// Conditions for attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Filter {
    pub state: Option<attempt::State>,
    pub quiz: Option<QuizId>,
}

impl Filter {
    fn of(self, viewer: &Viewer) -> sea_orm::Select<attempt::Entity> {
        let conditions = Condition::all()
            .add_option(self.state.map(|state| attempt::Column::State.eq(state)))
            .add_option(self.quiz.map(|quiz| attempt::Column::QuizId.eq(quiz)));
        attempt::Entity::readable_by(viewer).filter(conditions)
    }
}

/// The same page of the attempts of each of these students, the newest first, as far as the viewer may read them. One
/// statement.
pub async fn lists(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    students: &[UserId],
    filter: Filter,
    page: &Page<AttemptId>,
) -> Result<HashMap<UserId, Slice<attempt::Model>>> {
    let lists = students.iter().map(|student| {
        let list = filter.of(viewer).filter(attempt::Column::StudentId.eq(*student));
        (*student, list)
    });
    let order = (attempt::Column::Id, Order::Descending);
    let place = |attempt: &attempt::Model| (attempt.student_id, attempt.id);
    Ok(page.of_each(conn, lists, order, place).await?)
}

/// The number of attempts of each of these students that match the filter, as far as the viewer may read them; a
/// student without any has no entry. One statement.
pub async fn counts(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    students: &[UserId],
    filter: Filter,
) -> Result<HashMap<UserId, u64>> {
    let column = attempt::Column::StudentId;
    let attempts = filter.of(viewer).filter(column.is_in(students.iter().copied()));
    Ok(db::counts(conn, attempts, column, attempt::Column::Id).await?)
}
