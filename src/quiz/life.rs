//! The life of a quiz: a draft, in the catalogue, withdrawn, archived, deleted, and back. Only its state changes: its
//! revisions, attempts and results stay, and attempts that are open run to their end.

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel,
    PaginatorTrait, QueryFilter,
};
use serde_json::{Value, json};

use super::{
    author::{self, NewQuiz},
    draft,
    paper::{Published, QuizChanged},
    title,
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    clock::Time,
    db,
    entity::{quiz, revision, subject},
    error::{Error, Result, UserErrorCode},
    id::{QuizId, SubjectId},
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// The state of a quiz, which follows from what is stored and from the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It was never published.
    Draft,
    /// In the catalogue; it opens later.
    Scheduled,
    /// In the catalogue; students can start it.
    Open,
    /// In the catalogue; nobody can start it any more.
    Closed,
    /// Out of the catalogue until it is reinstated.
    Withdrawn,
    /// Put away.
    Archived,
    /// Gone, but for those who took it.
    Deleted,
}

impl Published {
    /// The state at a time.
    pub fn state(&self, now: Time) -> State {
        let quiz = &self.quiz;
        if quiz.deleted_at.is_some() {
            State::Deleted
        } else if quiz.archived_at.is_some() {
            State::Archived
        } else if quiz.withdrawn_at.is_some() {
            State::Withdrawn
        } else if self.revision.state == revision::State::Draft {
            State::Draft
        } else if quiz.closes_at.is_some_and(|closes| now >= closes) {
            State::Closed
        } else if quiz.opens_at.is_some_and(|opens| now < opens) {
            State::Scheduled
        } else {
            State::Open
        }
    }
}

/// Conditions for quizzes as staff look for them. Omitted fields match everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub state: Option<State>,
    pub subject: Option<SubjectId>,
    /// Words, each in the title.
    pub words: Vec<String>,
}

impl Filter {
    fn apply(&self, now: Time) -> sea_orm::SelectTwo<quiz::Entity, revision::Entity> {
        use quiz::Column::{ArchivedAt, ClosesAt, DeletedAt, OpensAt, WithdrawnAt};

        let mut all = Condition::all().add_option(self.subject.map(|subject| quiz::Column::SubjectId.eq(subject)));
        for word in &self.words {
            all = all.add(db::contains(title::looked_for(), &text::folded(word)));
        }
        let there = || Condition::all().add(DeletedAt.is_null());
        let kept = || there().add(ArchivedAt.is_null());
        let listed = || kept().add(WithdrawnAt.is_null());
        let published = || listed().add(revision::Column::State.eq(revision::State::Published));
        let has_closed = || Condition::all().add(ClosesAt.is_not_null()).add(ClosesAt.lte(now));
        let opens_later = || Condition::all().add(OpensAt.is_not_null()).add(OpensAt.gt(now));
        let of_state = self.state.map(|state| match state {
            State::Deleted => Condition::all().add(DeletedAt.is_not_null()),
            State::Archived => there().add(ArchivedAt.is_not_null()),
            State::Withdrawn => kept().add(WithdrawnAt.is_not_null()),
            State::Draft => listed().add(revision::Column::State.eq(revision::State::Draft)),
            State::Closed => published().add(has_closed()),
            State::Scheduled => published().add(has_closed().not()).add(opens_later()),
            State::Open => published().add(has_closed().not()).add(opens_later().not()),
        });
        quiz::Entity::of_staff().filter(all.add_option(of_state))
    }
}

/// A page of all quizzes, whatever their state, the newest first.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    page: &Page<QuizId>,
    now: Time,
) -> Result<Slice<Published>> {
    let rows = page.select(filter.apply(now), quiz::Column::Id, Order::Descending);
    let slice = page.slice(rows.all(conn).await?);
    Ok(Slice {
        rows: slice.rows.into_iter().filter_map(published).collect(),
        has_previous: slice.has_previous,
        has_next: slice.has_next,
    })
}

/// The number of quizzes that match the filter.
pub(crate) async fn count(conn: &impl ConnectionTrait, filter: &Filter, now: Time) -> Result<u64> {
    Ok(filter.apply(now).count(conn).await?)
}

fn published((quiz, revision): (quiz::Model, Option<revision::Model>)) -> Option<Published> {
    revision.map(|revision| Published { quiz, revision })
}

/// A quiz as staff see it, in whatever state.
pub async fn find(conn: &impl ConnectionTrait, id: QuizId) -> Result<Published> {
    let found = quiz::Entity::of_staff()
        .filter(quiz::Column::Id.eq(id))
        .one(conn)
        .await?;
    found.and_then(published).ok_or(Error::NotFound)
}

/// Creates a quiz with an empty draft.
pub async fn create(site: &Site, subject: SubjectOf, quiz: NewQuiz, reason: &str, cause: &Cause) -> Result<Published> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let subject = match subject {
        SubjectOf::Id(id) => present_subject(&change, id, "subjectId").await?,
        SubjectOf::Named(name) => author::subject(&change, &name, &cause.now)
            .await
            .map_err(|error| error.at("subject"))?,
    };
    let draft = author::begin_draft(&change, subject, quiz, 0, &cause.now).await?;
    let created = find(&change, draft.quiz).await?;
    let became = json!({"title": created.quiz.title, "subject": subject.encode()});
    let entry = Entry::of(Action::QuizCreated, draft.quiz.encode()).became(became);
    change.audit(entry.reason(reason.as_str())).await?;
    change.emit(QuizChanged { quiz: draft.quiz }).await?;
    change.commit().await?;
    Ok(created)
}

/// The subject of a new quiz.
#[derive(Clone, Debug)]
pub enum SubjectOf {
    Id(SubjectId),
    /// Created if there is none of this name.
    Named(String),
}

/// Holds a subject that a quiz is to belong to, so that nobody deletes or merges it meanwhile.
pub(super) async fn present_subject(tx: &impl ConnectionTrait, id: SubjectId, argument: &str) -> Result<SubjectId> {
    let held = subject::Entity::held([id]).one(tx).await?;
    match held {
        None => Err(Error::input(argument, "There is no such subject.")),
        Some(subject) if subject.deleted_at.is_some() => {
            let message = format!("The subject {} is deleted. Restore it first.", subject.name);
            Err(Error::refused(UserErrorCode::Conflict, message).at(argument))
        }
        Some(subject) => Ok(subject.id),
    }
}

/// Publishes the draft of a quiz by an editor who has seen its `version`.
pub async fn publish(site: &Site, id: QuizId, version: i32, reason: &str, cause: &Cause) -> Result<Published> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let quiz = quiz::Entity::held(id).one(&change).await?.ok_or(Error::NotFound)?;
    must_be_there(&quiz)?;
    if quiz.archived_at.is_some() {
        return Err(conflict("This quiz is archived. Unarchive it first."));
    }
    draft::hold(&change, id, version).await.map_err(|error| match error {
        Error::NotFound => conflict("This quiz has no draft. Make one first."),
        other => other,
    })?;
    author::publish_because(&mut change, id, Some(&reason)).await?;
    let published = find(&change, id).await?;
    change.commit().await?;
    Ok(published)
}

/// A step in the life of a quiz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Withdraw,
    Reinstate,
    Archive,
    Unarchive,
    Delete,
    Restore,
}

impl Step {
    fn action(self) -> Action {
        match self {
            Self::Withdraw => Action::QuizWithdrawn,
            Self::Reinstate => Action::QuizReinstated,
            Self::Archive => Action::QuizArchived,
            Self::Unarchive => Action::QuizUnarchived,
            Self::Delete => Action::QuizDeleted,
            Self::Restore => Action::QuizRestored,
        }
    }

    /// What becomes of the quiz.
    fn take(self, found: &Published, now: Time) -> Result<quiz::Model> {
        let mut quiz = found.quiz.clone();
        if self != Self::Restore && self != Self::Delete {
            must_be_there(&quiz)?;
        }
        match self {
            Self::Withdraw if found.revision.state == revision::State::Draft => {
                return Err(conflict("This quiz was never published. Archive or delete it instead."));
            }
            Self::Withdraw => drop(quiz.withdrawn_at.get_or_insert(now)),
            Self::Reinstate => quiz.withdrawn_at = None,
            Self::Archive => drop(quiz.archived_at.get_or_insert(now)),
            Self::Unarchive => quiz.archived_at = None,
            Self::Delete => drop(quiz.deleted_at.get_or_insert(now)),
            Self::Restore => quiz.deleted_at = None,
        }
        Ok(quiz)
    }
}

/// Takes a step in the life of a quiz. One that changes nothing is not recorded.
pub async fn step(site: &Site, id: QuizId, step: Step, reason: &str, cause: &Cause) -> Result<Published> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    quiz::Entity::held(id).one(&change).await?.ok_or(Error::NotFound)?;
    let before = find(&change, id).await?;
    let mut after = step.take(&before, cause.now.at)?;
    if after == before.quiz {
        return Ok(before);
    }
    if step == Step::Restore {
        present_subject(&change, after.subject_id, "quizId").await?;
    }
    after.version += 1;
    store(&mut change, &after).await?;
    let entry = Entry::of(step.action(), id.encode())
        .was(life(&before.quiz))
        .became(life(&after));
    change.audit(entry.reason(reason.as_str())).await?;
    change.commit().await?;
    Ok(Published {
        quiz: after,
        revision: before.revision,
    })
}

/// Stores a quiz that is held, and makes it known.
pub(super) async fn store(change: &mut Change<'_>, quiz: &quiz::Model) -> Result<()> {
    let id = quiz.id;
    let mut row = quiz.clone().into_active_model().reset_all();
    row.id = NotSet;
    quiz::Entity::update_many()
        .set(row)
        .filter(quiz::Column::Id.eq(id))
        .exec(&*change)
        .await?;
    change.emit(QuizChanged { quiz: id }).await
}

fn life(quiz: &quiz::Model) -> Value {
    let time = |at: Option<Time>| at.map(|at| at.to_utc());
    json!({
        "withdrawnAt": time(quiz.withdrawn_at),
        "archivedAt": time(quiz.archived_at),
        "deletedAt": time(quiz.deleted_at),
    })
}

pub(super) fn must_be_there(quiz: &quiz::Model) -> Result<()> {
    match quiz.deleted_at {
        None => Ok(()),
        Some(_) => Err(conflict("This quiz is deleted. Restore it first.")),
    }
}

pub(super) fn conflict(message: impl Into<String>) -> Error {
    Error::refused(UserErrorCode::Conflict, message)
}
