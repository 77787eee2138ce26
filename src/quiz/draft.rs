//! Drafts as editors change them: one write at a time, each by somebody who has seen the one before.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, QueryOrder, QuerySelect, SelectTwo, SqlErr,
    sea_query::{Expr, LockType},
};
use serde_json::{Value, json};

use super::{
    Marking,
    content::{self, MAX_QUESTIONS},
    copy,
    diff::{self, Changed},
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    db::sql,
    entity::{question, quiz, revision, user},
    error::{Error, Faults, Result, UserErrorCode},
    id::{QuizId, RevisionId, SubjectId},
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// A draft with its quiz.
#[derive(Clone, Debug)]
pub struct Drafted {
    pub revision: revision::Model,
    pub quiz: quiz::Model,
}

/// Conditions for drafts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub subject: Option<SubjectId>,
    /// Those that were discarded instead of the others.
    pub discarded: bool,
}

impl Filter {
    fn apply(self) -> SelectTwo<revision::Entity, quiz::Entity> {
        let discarded_at = revision::Column::DiscardedAt;
        let all = Condition::all()
            .add_option(self.subject.map(|subject| quiz::Column::SubjectId.eq(subject)))
            .add(match self.discarded {
                true => discarded_at.is_not_null(),
                false => discarded_at.is_null(),
            });
        revision::Entity::drafts().filter(all)
    }
}

fn drafted((revision, quiz): (revision::Model, Option<quiz::Model>)) -> Option<Drafted> {
    let quiz = quiz?;
    Some(Drafted { revision, quiz })
}

/// A page of the drafts, the newest first.
pub(crate) async fn list(
    conn: &impl ConnectionTrait,
    filter: Filter,
    page: &Page<RevisionId>,
) -> Result<Slice<Drafted>> {
    let rows = page.select(filter.apply(), revision::Column::Id, Order::Descending);
    let slice = page.slice(rows.all(conn).await?);
    Ok(Slice {
        rows: slice.rows.into_iter().filter_map(drafted).collect(),
        has_previous: slice.has_previous,
        has_next: slice.has_next,
    })
}

/// The number of drafts that match the filter.
pub(crate) async fn count(conn: &impl ConnectionTrait, filter: Filter) -> Result<u64> {
    Ok(filter.apply().count(conn).await?)
}

/// Drafts by their ids, discarded ones too. One statement.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = RevisionId>,
) -> Result<HashMap<RevisionId, Drafted>, DbErr> {
    let found = revision::Entity::drafts().filter(revision::Column::Id.is_in(ids));
    let found = found.all(conn).await?.into_iter().filter_map(drafted);
    Ok(found.map(|draft| (draft.revision.id, draft)).collect())
}

/// The drafts of quizzes. One statement.
pub(crate) async fn of_quizzes(
    conn: &impl ConnectionTrait,
    quizzes: &[QuizId],
) -> Result<HashMap<QuizId, Drafted>, DbErr> {
    let found = revision::Entity::drafts()
        .filter(revision::Column::QuizId.is_in(quizzes.iter().copied()))
        .filter(revision::Column::DiscardedAt.is_null());
    let found = found.all(conn).await?.into_iter().filter_map(drafted);
    Ok(found.map(|draft| (draft.quiz.id, draft)).collect())
}

/// What drafts change in the revisions of their quizzes that are in force. Six statements for any number of drafts.
pub(crate) async fn changes(
    conn: &impl ConnectionTrait,
    drafts: &[(RevisionId, QuizId)],
) -> Result<HashMap<(RevisionId, QuizId), Arc<Vec<Changed>>>, DbErr> {
    let quizzes = drafts.iter().map(|(_, quiz)| *quiz);
    let current = revision::Entity::current_of(quizzes).all(conn).await?;
    let current: HashMap<_, _> = current
        .into_iter()
        .map(|revision| (revision.quiz_id, revision.id))
        .collect();
    let in_force = content::in_force(conn, &current.values().copied().collect::<Vec<_>>()).await?;
    let ids: Vec<_> = drafts.iter().map(|(draft, _)| *draft).collect();
    let written = content::of_revisions(conn, &ids).await?;
    let changes = drafts.iter().map(|(draft, quiz)| {
        let before = current.get(quiz).and_then(|revision| in_force.get(revision));
        let before = before.map_or(&[][..], Vec::as_slice);
        let after = written.get(draft).map_or(&[][..], Vec::as_slice);
        ((*draft, *quiz), Arc::new(diff::changes(before, after)))
    });
    Ok(changes.collect())
}

/// Holds the draft of a quiz for a write by an editor who has seen its `version`, which grows by one. An editor whose copy
/// is stale gets `CONFLICT`, which says who has changed what meanwhile, and nothing is written.
pub(crate) async fn hold(change: &Change<'_>, quiz: QuizId, version: i32) -> Result<revision::Model> {
    let draft = revision::Entity::draft_of(quiz)
        .one(change)
        .await?
        .ok_or(Error::NotFound)?;
    let held = revision::Entity::update_many()
        .col_expr(revision::Column::Version, Expr::col(revision::Column::Version).add(1))
        .col_expr(revision::Column::UpdatedAt, Expr::value(Some(change.now().at)))
        .col_expr(revision::Column::UpdatedBy, Expr::value(change.source().actor))
        .filter(revision::Column::Id.eq(draft.id))
        .filter(revision::Column::State.eq(revision::State::Draft))
        .filter(revision::Column::DiscardedAt.is_null())
        .filter(revision::Column::Version.eq(version))
        .exec_with_returning(change)
        .await?;
    match held.into_iter().next() {
        Some(held) => Ok(held),
        None => Err(stale(change, quiz, version).await?),
    }
}

/// What somebody is told whose copy of a draft is not the newest.
async fn stale(change: &Change<'_>, quiz: QuizId, version: i32) -> Result<Error> {
    let conflict = |message: String| Error::refused(UserErrorCode::Conflict, message).at("version");
    let Some(draft) = revision::Entity::draft_of(quiz).one(change).await? else {
        let message = "This draft was published or discarded meanwhile. Load the quiz again.";
        return Ok(conflict(message.into()));
    };
    if version > draft.version {
        let message = format!(
            "This draft has had {} versions so far. Send the `version` that it has.",
            draft.version
        );
        return Ok(conflict(message));
    }
    let who = match draft.updated_by {
        Some(editor) => {
            let account = user::Entity::known_to(None).filter(user::Column::Id.eq(editor));
            let account = account.one(change).await?;
            account.map_or_else(|| "Somebody".to_owned(), |account| account.handle)
        }
        None => "The command line".to_owned(),
    };
    let changed = question::Entity::written_after(draft.id, version).all(change).await?;
    let (removed, present): (Vec<_>, Vec<_>) = changed
        .into_iter()
        .partition(|question| question.removed_from.is_some());
    let mut what = Vec::new();
    if !present.is_empty() {
        what.push(named("question", present.iter().map(|question| question.position + 1)));
    }
    if !removed.is_empty() {
        let places = removed.iter().filter_map(|question| question.removed_from);
        what.push(named("removed question", places.map(|position| position + 1)));
    }
    let what = match what.is_empty() {
        true => "its settings".to_owned(),
        false => what.join(", "),
    };
    let when = draft.updated_at.unwrap_or(draft.created_at).to_utc();
    Ok(conflict(format!(
        "{who} has changed this draft at {} UTC: {what}. Load it again, and repeat your change.",
        when.format("%Y-%m-%d %H:%M:%S")
    )))
}

/// A few things by their numbers: "questions 3, 7 and 9".
fn named(what: &str, numbers: impl Iterator<Item = i32>) -> String {
    const FEW: usize = 10;
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    let more = numbers.len().saturating_sub(FEW);
    let listed: Vec<_> = numbers.iter().take(FEW).map(i32::to_string).collect();
    let plural = if numbers.len() == 1 { "" } else { "s" };
    let listed = match (listed.split_last(), more) {
        (Some((last, [])), _) => last.clone(),
        (Some((last, others)), 0) => format!("{} and {last}", others.join(", ")),
        (_, more) => format!("{} and {more} more", listed.join(", ")),
    };
    format!("{what}{plural} {listed}")
}

/// A write to a draft that is under way.
pub(super) struct Edit<'s> {
    pub change: Change<'s>,
    pub draft: revision::Model,
    pub quiz: quiz::Model,
    /// What is wrong with the input, to be told all at once.
    pub faults: Faults,
    reason: Option<String>,
}

impl<'s> Edit<'s> {
    /// Begins a write by somebody who has seen this version of the draft.
    pub(super) async fn begin(
        site: &'s Site,
        draft: RevisionId,
        version: i32,
        reason: &str,
        cause: &Cause,
    ) -> Result<Self> {
        let mut faults = Faults::default();
        let reason = faults.catch(text::reason("reason", reason))?;
        let change = Change::begin(site, cause).await?;
        let Drafted { revision, quiz } = one(&change, draft).await?;
        if revision.discarded_at.is_some() {
            let message = "This draft was discarded. Restore it first.";
            return Err(Error::refused(UserErrorCode::Conflict, message));
        }
        let draft = hold(&change, revision.quiz_id, version).await?;
        if draft.id != revision.id {
            return Err(Error::NotFound);
        }
        Ok(Self {
            change,
            draft,
            quiz,
            faults,
            reason,
        })
    }

    /// Refuses the write, if anything is wrong with its input.
    pub(super) fn check(&mut self) -> Result<()> {
        std::mem::take(&mut self.faults).refuse()
    }

    /// Records what was done, and commits.
    pub(super) async fn finish(self, action: Action, was: Option<Value>, mut became: Value) -> Result<Drafted> {
        let Self {
            change,
            draft,
            faults,
            reason,
            ..
        } = self;
        faults.refuse()?;
        let count = "UPDATE revisions SET question_count = (SELECT COUNT(*) FROM questions \
                     WHERE revision_id = $1 AND removed_from IS NULL) WHERE id = $1";
        change.execute_raw(sql(&change, count, [draft.id.into()])).await?;
        let drafted = one(&change, draft.id).await?;
        became["version"] = json!(draft.version);
        let mut entry = Entry::of(action, draft.id.encode()).became(became);
        if let Some(was) = was {
            entry = entry.was(was);
        }
        change.audit(entry.reason(reason.as_deref())).await?;
        change.commit().await?;
        Ok(drafted)
    }

    /// Whether the draft can take so many more questions.
    pub(super) async fn has_room(&self, more: usize) -> Result<bool> {
        let questions = question::Entity::present_in([self.draft.id])
            .count(&self.change)
            .await?;
        let questions = usize::try_from(questions).unwrap_or(usize::MAX);
        Ok(questions.saturating_add(more) <= MAX_QUESTIONS)
    }
}

async fn one(conn: &impl ConnectionTrait, draft: RevisionId) -> Result<Drafted> {
    find(conn, [draft]).await?.remove(&draft).ok_or(Error::NotFound)
}

/// Begins the next draft of a quiz: a copy of the revision in force, with the corrections of its key. If there is one, that
/// one is returned, and `false`.
pub(crate) async fn create(site: &Site, quiz: QuizId, reason: &str, cause: &Cause) -> Result<(Drafted, bool)> {
    let reason = text::reason("reason", reason);
    let change = Change::begin(site, cause).await?;
    let current = revision::Entity::current_of([quiz]);
    // Held: of two that begin a draft at once, the second finds the first one's.
    let current = current.lock(LockType::NoKeyUpdate).one(&change).await?;
    if let Some(there) = of_quizzes(&change, &[quiz]).await?.remove(&quiz) {
        return Ok((there, false));
    }
    let Some(current) = current else {
        let discarded = revision::Entity::drafts().filter(revision::Column::QuizId.eq(quiz));
        return Err(match discarded.one(&change).await? {
            Some(_) => {
                let message = "The draft of this quiz was discarded. Restore it.";
                Error::refused(UserErrorCode::Conflict, message).at("quizId")
            }
            None => Error::NotFound,
        });
    };
    let of = quiz::Entity::of_draft(&current).one(&change).await?;
    if of.is_none_or(|quiz| quiz.deleted_at.is_some()) {
        return Err(Error::NotFound);
    }
    let reason = reason?;
    let number = next_number(&change, quiz).await?;
    let draft = revision::Entity::insert(copy::draft_like(&current, quiz, number, change.now()))
        .exec_with_returning(&change)
        .await?;
    copy::questions(&change, current.id, draft.id).await?;
    let drafted = one(&change, draft.id).await?;
    let became = json!({"quiz": quiz.encode(), "revision": number, "from": current.number});
    let entry = Entry::of(Action::DraftCreated, draft.id.encode()).became(became);
    change.audit(entry.reason(reason.as_str())).await?;
    change.commit().await?;
    Ok((drafted, true))
}

/// Makes a new quiz whose draft is a copy of another's content: of the revision in force, or of the draft of one that was
/// never published. Its settings are the same; when it opens and closes is not. Returns the draft.
pub(crate) async fn duplicate(site: &Site, quiz: QuizId, title: &str, reason: &str, cause: &Cause) -> Result<Drafted> {
    let mut faults = Faults::default();
    let title = faults.catch(text::name("title", title, MAX_TITLE))?;
    let reason = faults.catch(text::reason("reason", reason))?;
    let change = Change::begin(site, cause).await?;
    let in_force = revision::Entity::current_of([quiz]).one(&change).await?;
    let from = match in_force {
        Some(revision) => revision,
        None => revision::Entity::draft_of(quiz)
            .one(&change)
            .await?
            .ok_or(Error::NotFound)?,
    };
    let source = quiz::Entity::of_draft(&from).one(&change).await?;
    let source = source.filter(|quiz| quiz.deleted_at.is_none()).ok_or(Error::NotFound)?;
    faults.refuse()?;
    let (Some(title), Some(reason)) = (title, reason) else {
        return Err(Error::NotFound);
    };
    let now = change.now().clone();
    let new: QuizId = now.id();
    let mut row = source.into_active_model().reset_all();
    row.id = Set(new);
    row.title_folded = Set(Some(text::folded(&title)));
    row.title = Set(title.clone());
    row.opens_at = Set(None);
    row.closes_at = Set(None);
    row.results_at = Set(None);
    row.withdrawn_at = Set(None);
    row.archived_at = Set(None);
    row.version = Set(1);
    row.created_at = Set(now.at);
    quiz::Entity::insert(row).exec_without_returning(&change).await?;
    let draft = revision::Entity::insert(copy::draft_like(&from, new, 1, &now))
        .exec_with_returning(&change)
        .await?;
    copy::questions(&change, from.id, draft.id).await?;
    let became = json!({"from": quiz.encode(), "title": title, "questions": from.question_count});
    let entry = Entry::of(Action::QuizDuplicated, new.encode()).became(became);
    change.audit(entry.reason(reason.as_str())).await?;
    let drafted = one(&change, draft.id).await?;
    change.commit().await?;
    Ok(drafted)
}

async fn next_number(change: &Change<'_>, quiz: QuizId) -> Result<i32> {
    let last = revision::Entity::all_of(quiz).order_by_desc(revision::Column::Number);
    Ok(last.one(change).await?.map_or(1, |last| last.number + 1))
}

/// Discards a draft. It stays, and can be restored.
pub(crate) async fn discard(
    site: &Site,
    draft: RevisionId,
    version: i32,
    reason: &str,
    cause: &Cause,
) -> Result<Drafted> {
    let mut edit = Edit::begin(site, draft, version, reason, cause).await?;
    edit.check()?;
    revision::Entity::update_many()
        .col_expr(revision::Column::DiscardedAt, Expr::value(Some(cause.now.at)))
        .filter(revision::Column::Id.eq(draft))
        .exec(&edit.change)
        .await?;
    let became = json!({"discarded": true});
    edit.finish(Action::DraftDiscarded, None, became).await
}

/// Restores a draft that was discarded, unless its quiz has another one. It becomes the next revision.
pub(crate) async fn restore(site: &Site, draft: RevisionId, reason: &str, cause: &Cause) -> Result<Drafted> {
    let reason = text::reason("reason", reason)?;
    let change = Change::begin(site, cause).await?;
    let revision = one(&change, draft).await?.revision;
    let conflict = |message: &str| Error::refused(UserErrorCode::Conflict, message).at("draftId");
    if revision.discarded_at.is_none() {
        return Err(conflict("This draft was not discarded."));
    }
    let another = "The quiz has another draft. Discard or publish that one first.";
    if !of_quizzes(&change, &[revision.quiz_id]).await?.is_empty() {
        return Err(conflict(another));
    }
    let last = next_number(&change, revision.quiz_id).await? - 1;
    let number = if revision.number == last { last } else { last + 1 };
    let restored = revision::Entity::update_many()
        .col_expr(revision::Column::DiscardedAt, Expr::value(None::<crate::clock::Time>))
        .col_expr(revision::Column::Number, Expr::value(number))
        .col_expr(revision::Column::Version, Expr::col(revision::Column::Version).add(1))
        .col_expr(revision::Column::UpdatedAt, Expr::value(Some(change.now().at)))
        .col_expr(revision::Column::UpdatedBy, Expr::value(change.source().actor))
        .filter(revision::Column::Id.eq(draft))
        .filter(revision::Column::DiscardedAt.is_not_null())
        .exec(&change)
        .await;
    match restored {
        Ok(restored) if restored.rows_affected == 0 => return Err(conflict("This draft was not discarded.")),
        Ok(_) => {}
        // Somebody has begun another, or restored one, at the same time.
        Err(error) if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) => {
            return Err(conflict(another));
        }
        Err(error) => return Err(error.into()),
    }
    let drafted = one(&change, draft).await?;
    let became = json!({"revision": number, "version": drafted.revision.version});
    let entry = Entry::of(Action::DraftRestored, draft.encode())
        .was(json!({"revision": revision.number}))
        .became(became);
    change.audit(entry.reason(reason.as_str())).await?;
    change.commit().await?;
    Ok(drafted)
}

/// New settings of a draft. Omitted ones stay.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    /// In seconds.
    pub duration: Option<i32>,
    /// Points for a right, a wrong and a blank answer.
    pub marking: Option<[f64; 3]>,
    pub shuffle_questions: Option<bool>,
    pub shuffle_choices: Option<bool>,
}

/// The longest title of a quiz, in characters.
const MAX_TITLE: usize = 120;
/// The longest time limit, in seconds.
const MAX_DURATION: i32 = 86_400;
/// The most points of an answer, and the most that one may cost.
const MAX_POINTS: f64 = 1_000.0;

/// Changes the settings of a draft.
pub(crate) async fn update(
    site: &Site,
    draft: RevisionId,
    version: i32,
    settings: Settings,
    reason: &str,
    cause: &Cause,
) -> Result<Drafted> {
    let mut edit = Edit::begin(site, draft, version, reason, cause).await?;
    let duration = settings.duration.map(|seconds| {
        if !(1..=MAX_DURATION).contains(&seconds) {
            let message = format!("Give a time limit of 1 to {MAX_DURATION} seconds.");
            edit.faults.note(&["durationSeconds"], message);
        }
        Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
    });
    let marking = settings.marking.map(|points| marking(points, &mut edit.faults));
    edit.check()?;
    let was = values(&edit.draft);
    let mut update = revision::Entity::update_many().filter(revision::Column::Id.eq(draft));
    let millis = duration.unwrap_or(edit.draft.duration()).as_millis();
    update = update.col_expr(
        revision::Column::DurationMs,
        Expr::value(i64::try_from(millis).unwrap_or(i64::MAX)),
    );
    if let Some(marking) = marking {
        update = update
            .col_expr(revision::Column::RightScore, Expr::value(marking.right))
            .col_expr(revision::Column::WrongScore, Expr::value(marking.wrong))
            .col_expr(revision::Column::BlankScore, Expr::value(marking.blank));
    }
    let shuffles = [
        (revision::Column::ShuffleQuestions, settings.shuffle_questions),
        (revision::Column::ShuffleChoices, settings.shuffle_choices),
    ];
    for (column, shuffle) in shuffles {
        if let Some(shuffle) = shuffle {
            update = update.col_expr(column, Expr::value(shuffle));
        }
    }
    let updated = update.exec_with_returning(&edit.change).await?;
    let became = updated.first().map_or(json!({}), values);
    edit.finish(Action::DraftChanged, Some(was), became).await
}

fn values(draft: &revision::Model) -> Value {
    json!({
        "durationSeconds": draft.duration().as_secs(),
        "right": draft.right_score,
        "wrong": draft.wrong_score,
        "blank": draft.blank_score,
        "shuffleQuestions": draft.shuffle_questions,
        "shuffleChoices": draft.shuffle_choices,
    })
}

/// Points as they are kept, in thousandths.
fn marking([right, wrong, blank]: [f64; 3], faults: &mut Faults) -> Marking {
    let mut thousandths = |name: &str, points: f64| {
        let exact = points * 1000.0;
        if !points.is_finite() || points.abs() > MAX_POINTS || (exact - exact.round()).abs() > 1e-6 {
            let message = format!("Give points from -{MAX_POINTS} to {MAX_POINTS} with at most three decimals.");
            faults.note(&["marking", name], message);
            return 0;
        }
        exact.round() as i64
    };
    let marking = Marking {
        right: thousandths("right", right),
        wrong: thousandths("wrong", wrong),
        blank: thousandths("blank", blank),
    };
    if faults.is_empty() && (marking.right <= marking.wrong || marking.right <= marking.blank) {
        faults.note(
            &["marking", "right"],
            "A right answer earns more than a wrong or a blank one.",
        );
    }
    marking
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_numbers_are_named_and_the_others_counted() {
        assert_eq!(named("question", [3].into_iter()), "question 3");
        assert_eq!(named("question", [7, 3].into_iter()), "questions 3 and 7");
        assert_eq!(named("question", [9, 7, 3].into_iter()), "questions 3, 7 and 9");
        assert_eq!(
            named("question", 1..=12),
            "questions 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more"
        );
    }

    #[test]
    fn points_are_thousandths_and_right_is_best() {
        let of = |points| {
            let mut faults = Faults::default();
            let marking = marking(points, &mut faults);
            faults
                .is_empty()
                .then_some((marking.right, marking.wrong, marking.blank))
        };
        assert_eq!(of([1.0, -0.25, 0.0]), Some((1000, -250, 0)));
        assert_eq!(of([4.0, -1.001, 0.333]), Some((4000, -1001, 333)));
        for wrong in [
            [1.0, 1.0, 0.0],
            [0.0, 0.0, 0.0],
            [1.0001, 0.0, 0.0],
            [f64::NAN, 0.0, 0.0],
            [2000.0, 0.0, 0.0],
        ] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
    }
}
