//! Writing content: a draft, filled from an import, and its publication.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType},
};
use serde::{Deserialize, Serialize};

use super::{
    Marking, check, content, names,
    paper::QuizChanged,
    right::{Choices, Right},
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    clock::Moment,
    db::sql,
    entity::{
        choice,
        question::{self, Kind},
        quiz::{self, ResultOpens, ReviewOpens},
        revision,
    },
    error::{Error, Result, UserErrorCode},
    id::{ChapterId, ChoiceId, PictureId, QuestionId, QuizId, RevisionId, SubjectId},
    jobs::Job,
    site::Site,
    text::{self, Markdown},
};

/// A new quiz.
#[derive(Clone, Debug)]
pub struct NewQuiz {
    pub title: String,
    pub description: Option<String>,
    pub duration: Duration,
    pub marking: Marking,
    pub max_attempts: Option<i32>,
    pub cooldown: Duration,
    pub opens_at: Option<crate::clock::Time>,
    pub closes_at: Option<crate::clock::Time>,
    /// Neither results nor reviews are shown before.
    pub results_at: Option<crate::clock::Time>,
    pub review_opens: ReviewOpens,
    /// By default, with the review if several ranked attempts are allowed before: their points would give the key away.
    pub result_opens: Option<ResultOpens>,
    /// Whether each attempt has its questions in an order of its own.
    pub shuffle_questions: bool,
    /// Whether each attempt has the choices of each question in an order of its own.
    pub shuffle_choices: bool,
}

impl NewQuiz {
    /// A quiz with defaults: one point for a right answer, a minute per question.
    pub fn titled(title: impl Into<String>, questions: usize) -> Self {
        Self {
            title: title.into(),
            description: None,
            duration: Duration::from_secs(60 * questions.max(1) as u64),
            marking: Marking::default(),
            max_attempts: None,
            cooldown: Duration::ZERO,
            opens_at: None,
            closes_at: None,
            results_at: None,
            review_opens: ReviewOpens::AfterSubmit,
            result_opens: None,
            shuffle_questions: false,
            shuffle_choices: false,
        }
    }

    /// A quiz with the settings of a row, whose text was checked.
    pub(crate) fn with_settings(quiz: quiz::Model, duration: Duration) -> Self {
        Self {
            cooldown: quiz.cooldown(),
            title: quiz.title,
            description: quiz.description,
            duration,
            marking: Marking::default(),
            max_attempts: quiz.max_attempts,
            opens_at: quiz.opens_at,
            closes_at: quiz.closes_at,
            results_at: quiz.results_at,
            review_opens: quiz.review_opens,
            result_opens: None,
            shuffle_questions: false,
            shuffle_choices: false,
        }
    }

    /// The row of a quiz with these settings that nobody has stored.
    pub(crate) fn unsaved(self) -> quiz::Model {
        quiz::Model {
            id: QuizId(uuid::Uuid::nil()),
            subject_id: SubjectId(uuid::Uuid::nil()),
            result_opens: self.result_opens(),
            title_folded: None,
            title: self.title,
            description: self.description,
            max_attempts: self.max_attempts,
            cooldown_ms: 0,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            review_opens: self.review_opens,
            created_at: crate::clock::Time(0),
            deleted_at: None,
            withdrawn_at: None,
            archived_at: None,
            results_at: self.results_at,
            version: 1,
        }
    }

    fn result_opens(&self) -> ResultOpens {
        let several = self.review_opens != ReviewOpens::AfterSubmit && self.max_attempts != Some(1);
        let default = if several {
            ResultOpens::WithReview
        } else {
            ResultOpens::AfterSubmit
        };
        self.result_opens.unwrap_or(default)
    }
}

/// A new question.
#[derive(Clone, Debug)]
pub struct NewQuestion {
    pub chapter: Option<String>,
    pub text: Markdown,
    pub image: Option<String>,
    pub picture: Option<PictureId>,
    pub choices: Vec<Markdown>,
    pub kind: Kind,
    pub right: Right,
    pub explanation: Option<Markdown>,
}

/// The subject with this name; created if it does not exist.
pub async fn subject(conn: &impl ConnectionTrait, name: &str, now: &Moment) -> Result<SubjectId> {
    names::subject(conn, name, now).await
}

/// A draft that is being written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub subject: SubjectId,
    pub quiz: QuizId,
    pub revision: RevisionId,
    pub number: i32,
    /// The number of questions, written or not.
    pub questions: usize,
}

/// Creates a quiz with a draft of these questions, in one transaction.
pub async fn draft(
    conn: &impl ConnectionTrait,
    subject: SubjectId,
    quiz: NewQuiz,
    questions: &[NewQuestion],
    now: &Moment,
) -> Result<QuizId> {
    let draft = begin_draft(conn, subject, quiz, questions.len(), now).await?;
    write_questions(conn, &draft, 0, questions, now).await?;
    Ok(draft.quiz)
}

/// Creates a quiz with a draft that has no questions yet.
pub(crate) async fn begin_draft(
    conn: &impl ConnectionTrait,
    subject: SubjectId,
    quiz: NewQuiz,
    questions: usize,
    now: &Moment,
) -> Result<Draft> {
    let id: QuizId = now.id();
    let result_opens = quiz.result_opens();
    let title = text::composed(quiz.title);
    let millis = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    let row = quiz::ActiveModel {
        id: Set(id),
        subject_id: Set(subject),
        title_folded: Set(Some(text::folded(&title))),
        title: Set(title),
        description: Set(quiz.description.map(text::composed)),
        max_attempts: Set(quiz.max_attempts),
        cooldown_ms: Set(millis(quiz.cooldown)),
        opens_at: Set(quiz.opens_at),
        closes_at: Set(quiz.closes_at),
        review_opens: Set(quiz.review_opens),
        result_opens: Set(result_opens),
        created_at: Set(now.at),
        deleted_at: Set(None),
        withdrawn_at: Set(None),
        archived_at: Set(None),
        results_at: Set(quiz.results_at),
        version: Set(1),
    };
    quiz::Entity::insert(row).exec_without_returning(conn).await?;
    let revision: RevisionId = now.id();
    let row = revision::ActiveModel {
        id: Set(revision),
        quiz_id: Set(id),
        number: Set(FIRST),
        state: Set(revision::State::Draft),
        duration_ms: Set(millis(quiz.duration)),
        right_score: Set(quiz.marking.right),
        wrong_score: Set(quiz.marking.wrong),
        blank_score: Set(quiz.marking.blank),
        question_count: Set(i32::try_from(questions).unwrap_or(i32::MAX)),
        correction: Set(0),
        created_at: Set(now.at),
        published_at: Set(None),
        superseded_at: Set(None),
        version: Set(1),
        updated_at: Set(None),
        updated_by: Set(None),
        shuffle_questions: Set(quiz.shuffle_questions),
        shuffle_choices: Set(quiz.shuffle_choices),
        discarded_at: Set(None),
    };
    revision::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(Draft {
        subject,
        quiz: id,
        revision,
        number: FIRST,
        questions,
    })
}

/// The number of a quiz's first revision.
const FIRST: i32 = 1;

/// Rows of one INSERT: both databases bound the number of values.
const ROWS_AT_ONCE: usize = 500;

/// Adds questions to a draft that has `before` already.
pub(crate) async fn write_questions(
    conn: &impl ConnectionTrait,
    draft: &Draft,
    before: usize,
    questions: &[NewQuestion],
    now: &Moment,
) -> Result<()> {
    let chapters = chapters(conn, draft.subject, questions, now).await?;
    let mut question_rows = Vec::new();
    let mut choice_rows = Vec::new();
    for (position, new) in (before..).zip(questions) {
        let id: QuestionId = now.id();
        question_rows.push(question::ActiveModel {
            id: Set(id),
            revision_id: Set(draft.revision),
            position: Set(position as i32),
            chapter_id: Set(new.chapter.as_ref().and_then(|name| chapters.get(name).copied())),
            text: Set(new.text.as_str().to_owned()),
            image: Set(new.image.clone()),
            picture_id: Set(new.picture),
            explanation: Set(new.explanation.clone().map(Markdown::into_string)),
            right_position: Set(new.right.only_choice().map(|position| position as i32)),
            kind: Set(new.kind),
            right_set: Set(new.right.choices().map(Choices::bits)),
            right_number: Set(new.right.number().map(|number| number.value.to_string())),
            tolerance: Set(new.right.number().map(|number| number.tolerance.to_string())),
            origin_id: Set(None),
            changed_in: Set(None),
            removed_from: Set(None),
        });
        choice_rows.extend(
            new.choices
                .iter()
                .enumerate()
                .map(|(position, text)| choice::ActiveModel {
                    id: Set(now.id::<ChoiceId>()),
                    question_id: Set(id),
                    position: Set(position as i32),
                    text: Set(text.as_str().to_owned()),
                }),
        );
    }
    for rows in question_rows.chunks(ROWS_AT_ONCE) {
        question::Entity::insert_many(rows.to_vec())
            .exec_without_returning(conn)
            .await?;
    }
    for rows in choice_rows.chunks(ROWS_AT_ONCE) {
        choice::Entity::insert_many(rows.to_vec())
            .exec_without_returning(conn)
            .await?;
    }
    Ok(())
}

/// The chapters that the questions name; created if they do not exist.
async fn chapters(
    conn: &impl ConnectionTrait,
    subject: SubjectId,
    questions: &[NewQuestion],
    now: &Moment,
) -> Result<HashMap<String, ChapterId>> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for name in questions.iter().filter_map(|question| question.chapter.as_ref()) {
        if seen.insert(name) {
            names.push(name.clone());
        }
    }
    names::chapters(conn, subject, &names, now).await
}

/// Checks the draft of a quiz and freezes it. From here on its questions never change.
pub async fn publish(site: &Site, quiz: QuizId, cause: &Cause) -> Result<()> {
    let mut change = Change::begin(site, cause).await?;
    publish_in(&mut change, quiz).await?;
    change.commit().await
}

/// Publishes the draft of a quiz as a part of a change.
pub async fn publish_in(change: &mut Change<'_>, quiz: QuizId) -> Result<()> {
    publish_because(change, quiz, None).await
}

/// The same, with the reason of who publishes it.
pub(crate) async fn publish_because(change: &mut Change<'_>, quiz: QuizId, reason: Option<&str>) -> Result<()> {
    let tx = &*change;
    // Held: what is checked is what is frozen.
    let draft = revision::Entity::draft_of(quiz)
        .lock(LockType::NoKeyUpdate)
        .one(tx)
        .await?;
    let draft = draft.ok_or(Error::NotFound)?;
    let contents = content::of_revisions(tx, &[draft.id]).await?;
    let questions = contents.get(&draft.id).map_or(&[][..], Vec::as_slice);
    check::all(questions.iter().map(|question| check::missing_in(&question.content)))?;
    let settings = quiz::Entity::of_draft(&draft).one(tx).await?.ok_or(Error::NotFound)?;
    if !settings.opens_reviews() {
        let message = "The reviews of this quiz would never open. Set the time at which it closes, or open them after \
                       the submit.";
        return Err(Error::refused(UserErrorCode::BadUserInput, message));
    }
    freeze(change, quiz, draft.id, draft.number, questions.len(), reason).await
}

/// Publishes a draft whose questions have passed [`check_new`], and that only this change can reach.
pub(crate) async fn publish_new(change: &mut Change<'_>, draft: &Draft) -> Result<()> {
    freeze(change, draft.quiz, draft.revision, draft.number, draft.questions, None).await
}

async fn freeze(
    change: &mut Change<'_>,
    quiz: QuizId,
    draft: RevisionId,
    number: i32,
    questions: usize,
    reason: Option<&str>,
) -> Result<()> {
    let (tx, now) = (&*change, change.now().clone());
    // What was removed stays restorable until here, and is no part of what can't change any more: servers of the previous
    // release would show it.
    let removed = "SELECT id FROM questions WHERE revision_id = $1 AND removed_from IS NOT NULL";
    for delete in [
        format!("DELETE FROM choices WHERE question_id IN ({removed})"),
        format!("DELETE FROM questions WHERE id IN ({removed})"),
    ] {
        tx.execute_raw(sql(tx, delete, [draft.into()])).await?;
    }
    let superseded = revision::Entity::update_many()
        .col_expr(revision::Column::SupersededAt, Expr::value(Some(now.at)))
        .filter(revision::Column::QuizId.eq(quiz))
        .filter(quiz::current())
        .exec_with_returning(tx)
        .await?;
    revision::Entity::update_many()
        .col_expr(revision::Column::State, Expr::value(revision::State::Published))
        .col_expr(revision::Column::PublishedAt, Expr::value(Some(now.at)))
        .col_expr(revision::Column::QuestionCount, Expr::value(questions as i32))
        .filter(revision::Column::Id.eq(draft))
        .exec(tx)
        .await?;
    let published = Entry::of(Action::QuizPublished, quiz.encode())
        .was(serde_json::json!({"revision": superseded.first().map(|revision| revision.number)}))
        .became(serde_json::json!({"revision": number, "questions": questions}));
    tx.audit(published.reason(reason)).await?;
    change.emit(QuizChanged { quiz }).await
}

/// Checks new questions as publishing does, but before there is a transaction.
pub(crate) fn check_new(questions: &[NewQuestion]) -> Result<()> {
    check::all(questions.iter().map(|question| {
        let choices: Vec<_> = question.choices.iter().map(Markdown::as_str).collect();
        check::missing(question.kind, question.text.as_str(), &choices, Some(question.right))
    }))
}

/// Rescores the results of a revision after a correction of its answer key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Regrade {
    pub revision: RevisionId,
}

impl Job for Regrade {
    const KIND: &'static str = "regrade";
    const ABOUT: &'static str = "Rescores the results of a revision after a correction of its answer key.";
}
