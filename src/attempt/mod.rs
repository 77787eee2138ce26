//! Attempts: a student takes a quiz against the clock.

pub mod answers;
pub(crate) mod integrity;
mod recount;
pub mod regrade;
pub mod release;
pub(crate) mod review;
mod student;
pub mod submit;
pub(crate) mod terms;

use std::{cmp::Reverse, collections::HashMap};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter,
    Statement, Value, sea_query::OnConflict,
};

pub use self::submit::{submit, sweep};
use self::terms::{History, Outlook};
use crate::{
    auth::Viewer,
    clock::Moment,
    db,
    entity::{
        attempt, quiz, result,
        reviews::{self, Reviews, Shown},
    },
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
    let history = histories(site.db.read(), viewer, [quiz.id]).await?.remove(&quiz.id);
    let (_, history) = history.ok_or(Error::Unauthenticated)?;
    // One was begun after the look: it is to be resumed, whatever the terms and the limit say about another one.
    if history.taken > history.reviews.submitted {
        return Ok(None);
    }
    let start = terms::start(
        &quiz,
        &revision,
        &history,
        site.config.site.ranks_confirmed_only,
        now.at,
    )?;
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
        seed: Set(Some(i64::from_be_bytes(now.random()))),
    };
    // Either unique index may object: one open attempt per student and quiz, and one attempt of each number.
    let begun = attempt::Entity::insert_many([row])
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_with_returning(site.db.write())
        .await?;
    Ok(begun.into_iter().next())
}

#[derive(FromQueryResult)]
struct HistoryRow {
    #[sea_orm(nested)]
    quiz: quiz::Model,
    #[sea_orm(nested)]
    history: History,
}

/// These quizzes, deleted ones too, each with the viewer's history with it. One statement.
async fn histories(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    quizzes: impl IntoIterator<Item = QuizId>,
) -> Result<HashMap<QuizId, (quiz::Model, History)>, DbErr> {
    let (ids, values) = placeholders([viewer.user().into()], quizzes);
    let own = "FROM attempts b WHERE b.student_id = u.id AND b.quiz_id = z.id";
    let text = format!(
        "SELECT z.id, z.subject_id, z.title, z.description, z.cooldown_ms, z.opens_at, z.result_opens, z.created_at, \
           z.deleted_at, z.withdrawn_at, z.archived_at, z.version, {}, u.email_confirmed_at, \
           (SELECT COUNT(*) {own}) AS taken, \
           (SELECT MAX(b.submitted_at) {own}) AS last_submitted_at, \
           (SELECT MAX(b.deadline_at) {own} AND b.state = 'IN_PROGRESS') AS open_deadline, \
           EXISTS (SELECT 1 FROM revisions v WHERE v.quiz_id = z.id AND v.state = 'PUBLISHED') AS is_published, \
           (SELECT COUNT(*) FROM results r \
            WHERE r.student_id = u.id AND r.quiz_id = z.id AND r.visibility <> 'HIDDEN') AS seen \
         FROM quizzes z JOIN users u ON u.id = $1 WHERE z.id IN ({ids})",
        reviews::columns("z", "z.id", "u.id")
    );
    let select = Statement::from_sql_and_values(conn.get_database_backend(), text, values);
    let rows = HistoryRow::find_by_statement(select).all(conn).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.quiz.id, (row.quiz, row.history)))
        .collect())
}

/// What attempts of the viewer at these quizzes that start now would come to. One statement.
pub(crate) async fn outlooks(
    site: &Site,
    viewer: &Viewer,
    quizzes: impl IntoIterator<Item = QuizId>,
    now: &Moment,
) -> Result<HashMap<QuizId, Outlook>, DbErr> {
    let confirmed_only = site.config.site.ranks_confirmed_only;
    let histories = histories(site.db.read(), viewer, quizzes).await?.into_iter();
    let outlook = |(id, (quiz, history)): (QuizId, (quiz::Model, History))| {
        (id, terms::outlook(&quiz, &history, confirmed_only, now.at))
    };
    Ok(histories.map(outlook).collect())
}

#[derive(FromQueryResult)]
struct ResultRow {
    #[sea_orm(nested)]
    result: result::Model,
    #[sea_orm(nested)]
    reviews: Option<Reviews>,
}

/// The results of attempts that a scoped finder has loaded for the viewer, as far as the viewer may see them. One
/// statement.
pub(crate) async fn results(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    attempts: impl IntoIterator<Item = AttemptId>,
    now: &Moment,
) -> Result<HashMap<AttemptId, Shown>, DbErr> {
    let (ids, values) = placeholders([], attempts);
    let text = format!(
        "SELECT r.*, {} FROM results r LEFT JOIN quizzes z ON z.id = r.quiz_id AND r.visibility <> 'FULL' \
         WHERE r.attempt_id IN ({ids})",
        reviews::columns("z", "z.id", "r.student_id")
    );
    let select = Statement::from_sql_and_values(conn.get_database_backend(), text, values);
    let rows = ResultRow::find_by_statement(select).all(conn).await?;
    let shown = |ResultRow { result, reviews }| {
        let id = result.attempt_id;
        (id, Shown::of(result, reviews.as_ref(), viewer, now.at))
    };
    Ok(rows.into_iter().map(shown).collect())
}

/// The placeholders of ids in a statement, after `first`, and all values.
fn placeholders<const N: usize>(
    first: [Value; N],
    ids: impl IntoIterator<Item = impl Into<Value>>,
) -> (String, Vec<Value>) {
    let mut values = Vec::from(first);
    values.extend(ids.into_iter().map(Into::into));
    let ids: Vec<_> = (N + 1..=values.len()).map(|n| format!("${n}")).collect();
    (ids.join(", "), values)
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

/// The same page of the viewer's own attempts at each of these quizzes, the newest first. One statement.
pub(crate) async fn own_at(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    quizzes: &[QuizId],
    page: &Page<AttemptId>,
) -> Result<HashMap<QuizId, Slice<attempt::Model>>> {
    let lists = quizzes.iter().map(|quiz| {
        let list = attempt::Entity::of(viewer).filter(attempt::Column::QuizId.eq(*quiz));
        (*quiz, list)
    });
    let order = (attempt::Column::Id, Order::Descending);
    let place = |attempt: &attempt::Model| (attempt.quiz_id, attempt.id);
    Ok(page.of_each(conn, lists, order, place).await?)
}

/// The number of the viewer's own attempts at each of these quizzes; a quiz without any has no entry. One statement.
pub(crate) async fn own_counts(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    quizzes: &[QuizId],
) -> Result<HashMap<QuizId, u64>> {
    let column = attempt::Column::QuizId;
    let attempts = attempt::Entity::of(viewer).filter(column.is_in(quizzes.iter().copied()));
    Ok(db::counts(conn, attempts, column, attempt::Column::Id).await?)
}

#[derive(FromQueryResult)]
struct BestRow {
    #[sea_orm(nested)]
    attempt: attempt::Model,
    #[sea_orm(nested)]
    result: result::Model,
    #[sea_orm(nested)]
    reviews: Reviews,
}

/// The viewer's own attempts with the most points at each of these quizzes, the first of equals, among those whose points
/// the viewer may see; a quiz without any has no entry. One statement.
pub(crate) async fn own_bests(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    quizzes: impl IntoIterator<Item = QuizId>,
    now: &Moment,
) -> Result<HashMap<QuizId, (attempt::Model, Shown)>, DbErr> {
    let (ids, values) = placeholders([viewer.user().into()], quizzes);
    // Which one is the best of the hidden ones would tell something of them: they are put in an order of their own.
    let text = format!(
        "SELECT a.*, best.*, {} \
         FROM (SELECT r.*, ROW_NUMBER() OVER (PARTITION BY r.quiz_id, CASE WHEN r.visibility = 'HIDDEN' THEN 1 ELSE 0 END \
                 ORDER BY r.score DESC, r.submitted_at, r.attempt_id) AS place \
               FROM results r WHERE r.student_id = $1 AND r.quiz_id IN ({ids})) AS best \
         JOIN attempts a ON a.id = best.attempt_id \
         JOIN quizzes z ON z.id = best.quiz_id \
         WHERE best.place = 1",
        reviews::columns("z", "z.id", "best.student_id")
    );
    let select = Statement::from_sql_and_values(conn.get_database_backend(), text, values);
    let mut bests: HashMap<QuizId, (attempt::Model, Shown)> = HashMap::new();
    for row in BestRow::find_by_statement(select).all(conn).await? {
        let shown = Shown::of(row.result, Some(&row.reviews), viewer, now.at);
        let order = |result: &result::Model| (Reverse(result.score), result.submitted_at);
        let Some(points) = shown.points().map(order) else {
            continue;
        };
        let known = bests.get(&row.attempt.quiz_id).and_then(|(_, known)| known.points());
        if known.is_none_or(|known| points < order(known)) {
            bests.insert(row.attempt.quiz_id, (row.attempt, shown));
        }
    }
    Ok(bests)
}
