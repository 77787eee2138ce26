//! Attempts in the API.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use crate::{
    api::{
        context::RequestContext,
        guard::Needs,
        payload::{UserError, date_time, points},
        quiz::{Choice, Question, Quiz, questions},
        scalar::{IdempotencyKey, Markdown},
        user::{User, user},
    },
    attempt::{
        Filter,
        answers::{self, Save, Saved},
        review::{Review, Reviewed},
    },
    dashboard::Recent,
    db::persistently,
    entity::{
        answer,
        attempt::{self, State, SubmittedBy},
        result,
    },
    error::{Error, Result, UserErrorCode, as_payload, if_there},
    id::{AttemptId, ChoiceId, QuestionId, QuizId, UserId},
    limit::Limit,
    quiz::{paper::Published, score::Outcome},
};

/// An attempt that the viewer may read; its result and quiz if they were loaded with it.
#[derive(Clone)]
pub struct Attempt {
    attempt: attempt::Model,
    result: Option<result::Model>,
    quiz: Option<Published>,
}

impl From<attempt::Model> for Attempt {
    fn from(attempt: attempt::Model) -> Self {
        Self {
            attempt,
            result: None,
            quiz: None,
        }
    }
}

impl From<Recent> for Attempt {
    fn from(recent: Recent) -> Self {
        Self {
            attempt: recent.attempt,
            result: Some(recent.result),
            quiz: Some(recent.quiz),
        }
    }
}

/// The attempt with this id, if the viewer may read it. If its time has run out unnoticed, it is submitted first.
pub async fn attempt(ctx: &Context<'_>, id: AttemptId) -> Result<Attempt> {
    let (viewer, now) = (ctx.viewer()?, ctx.now());
    let found = ctx
        .loaders()
        .attempts(viewer)
        .load_one(id)
        .await?
        .ok_or(Error::NotFound)?;
    if found.is_overdue(now.at) {
        return crate::attempt::find(ctx.app(), viewer, id, &now)
            .await
            .map(Attempt::from);
    }
    Ok(found.into())
}

/// One student taking one revision of a quiz.
#[Object]
impl Attempt {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.attempt.id.encode().into()
    }

    /// Whether it is in progress or submitted. One whose time has run out is submitted within seconds.
    async fn state(&self) -> State {
        self.attempt.state
    }

    /// Its number among the student's attempts at the quiz, from 1.
    async fn number(&self) -> i32 {
        self.attempt.number
    }

    /// Whether its result counts on boards: only if the student could not yet read a review of the quiz when it began.
    async fn ranked(&self) -> bool {
        self.attempt.ranked
    }

    /// When it began.
    async fn started_at(&self) -> DateTime<Utc> {
        date_time(self.attempt.started_at)
    }

    /// When its time is up, by the server's clock. Three seconds more are allowed for the network, and flagged.
    async fn deadline_at(&self) -> DateTime<Utc> {
        date_time(self.attempt.deadline_at)
    }

    /// The server's clock now, to count down by.
    async fn server_time(&self, ctx: &Context<'_>) -> DateTime<Utc> {
        date_time(ctx.now().at)
    }

    /// When it was submitted: the deadline, if the clock did it.
    async fn submitted_at(&self) -> Option<DateTime<Utc>> {
        self.attempt.submitted_at.map(date_time)
    }

    /// Who submitted it.
    async fn submitted_by(&self) -> Option<SubmittedBy> {
        self.attempt.submitted_by
    }

    /// Whether an answer or the submit came after the deadline, within the grace.
    async fn late(&self) -> bool {
        self.attempt.late
    }

    /// The quiz, readable here even if it was taken out of the catalogue.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Quiz> {
        if let Some(quiz) = &self.quiz {
            return Ok(quiz.clone().into());
        }
        let loader = ctx.loaders().quizzes_of_attempts(ctx.viewer()?);
        let found = loader.load_one(self.attempt.quiz_id).await?;
        found.map(Quiz::from).ok_or(Error::NotFound)
    }

    /// Whose attempt it is; `null` once the account was deleted.
    async fn student(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        if_there(user(ctx, self.attempt.student_id).await)
    }

    /// The questions in their order, without their answers.
    #[graphql(complexity = "20 * child_complexity")]
    async fn questions(&self, ctx: &Context<'_>) -> Result<Vec<Question>> {
        let app = ctx.app();
        let paper = app.papers.paper(app.db.read(), self.attempt.revision_id).await?;
        Ok(questions(&paper))
    }

    /// What is saved, one answer per question that was ever answered.
    #[graphql(complexity = "20 * child_complexity")]
    async fn answers(&self, ctx: &Context<'_>) -> Result<Vec<Answer>> {
        let answers = ctx.loaders().answers().load_one(self.attempt.id).await?;
        Ok(answers.unwrap_or_default().into_iter().map(Answer::from).collect())
    }

    /// The result, once submitted.
    async fn result(&self, ctx: &Context<'_>) -> Result<Option<AttemptResult>> {
        if self.attempt.state == State::InProgress {
            return Ok(None);
        }
        if let Some(result) = &self.result {
            return Ok(Some(result.into()));
        }
        let found = ctx.loaders().results().load_one(self.attempt.id).await?;
        Ok(found.as_ref().map(AttemptResult::from))
    }

    /// Right answers and explanations, once the attempt is submitted and the quiz opens its reviews; `null` before.
    /// A student may read ten an hour; one that is still closed costs nothing.
    #[graphql(complexity = "20 * child_complexity")]
    async fn review(&self, ctx: &Context<'_>) -> Result<Option<ReviewOfAttempt>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let limited = !viewer.role().is_staff();
        let reserved = match limited {
            true => Some(app.limiter.reserve(Limit::Review, viewer, now.at).await?),
            false => None,
        };
        let review = crate::attempt::review::review(app, &app.papers, viewer, &self.attempt, &now).await?;
        if let (None, Some(reserved)) = (&review, reserved) {
            reserved.give_back().await;
        }
        Ok(review.map(ReviewOfAttempt))
    }
}

/// A saved answer.
#[derive(Clone, SimpleObject)]
pub struct Answer {
    /// The question that it answers.
    question_id: ID,
    /// What was chosen; `null` if the answer was cleared.
    choice_id: Option<ID>,
    /// The number of the save that is stored. The next save of this question must carry a higher one.
    seq: i64,
    /// When it was saved.
    answered_at: DateTime<Utc>,
    /// Whether it came after the deadline, within the grace.
    late: bool,
}

impl From<answer::Model> for Answer {
    fn from(answer: answer::Model) -> Self {
        Self {
            question_id: answer.question_id.encode().into(),
            choice_id: answer.choice_id.map(|choice| choice.encode().into()),
            seq: answer.seq,
            answered_at: date_time(answer.answered_at),
            late: answer.late,
        }
    }
}

/// The score of a submitted attempt.
#[derive(SimpleObject)]
pub struct AttemptResult {
    /// The points.
    points: f64,
    /// What all right answers would have been worth.
    max_points: f64,
    /// How many questions were answered rightly.
    right_count: i32,
    /// How many were answered wrongly.
    wrong_count: i32,
    /// How many were not answered.
    blank_count: i32,
    /// Whether it counts on boards.
    ranked: bool,
    /// The correction of the key that it was scored by; 0 is the key as it was published.
    correction: i32,
    /// When the attempt was submitted.
    submitted_at: DateTime<Utc>,
}

impl From<&result::Model> for AttemptResult {
    fn from(result: &result::Model) -> Self {
        Self {
            points: points(result.score),
            max_points: points(result.max_score),
            right_count: result.right_count,
            wrong_count: result.wrong_count,
            blank_count: result.blank_count,
            ranked: result.ranked,
            correction: result.correction,
            submitted_at: date_time(result.submitted_at),
        }
    }
}

/// The key of a submitted attempt, beside what was answered.
pub struct ReviewOfAttempt(pub(super) Review);

/// The review of a submitted attempt.
#[Object(name = "Review")]
impl ReviewOfAttempt {
    /// The correction of the key that it was scored by; 0 is the key as it was published.
    async fn correction(&self) -> i32 {
        self.0.correction
    }

    /// The questions in their order, with what was chosen and what is right.
    async fn questions(&self) -> Vec<ReviewedQuestion<'_>> {
        self.0.questions.iter().map(ReviewedQuestion).collect()
    }
}

/// A question of a review.
pub struct ReviewedQuestion<'a>(&'a Reviewed);

/// A question with its answer.
#[Object]
impl ReviewedQuestion<'_> {
    /// The question.
    async fn question(&self) -> Question {
        Question(self.0.question.clone())
    }

    /// What was chosen; `null` if nothing.
    async fn chosen(&self) -> Option<Choice> {
        self.0.chosen.clone().map(Choice::from)
    }

    /// The right choice.
    async fn right(&self) -> Option<Choice> {
        self.0.right.clone().map(Choice::from)
    }

    /// What became of the question.
    async fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// What that was worth.
    async fn points(&self) -> f64 {
        points(self.0.worth)
    }

    /// Why the right choice is right.
    async fn explanation(&self) -> Option<Markdown> {
        self.0.explanation.clone().map(Markdown)
    }
}

/// Which attempts are wanted. What is not given does not matter.
#[derive(InputObject)]
pub struct AttemptFilter {
    /// In this state.
    state: Option<State>,
    /// At this quiz.
    quiz_id: Option<ID>,
}

impl AttemptFilter {
    /// Reads the ids.
    pub fn decode(self) -> Result<Filter> {
        Ok(Filter {
            state: self.state,
            quiz: self.quiz_id.map(|id| QuizId::decode(&id)).transpose()?,
        })
    }
}

/// Beside a page of attempts.
pub struct AttemptTotal {
    pub student: UserId,
    pub filter: Filter,
}

#[Object]
impl AttemptTotal {
    /// How many there are in all. Counted only if asked for.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        crate::attempt::count(ctx.app().db.read(), ctx.viewer()?, self.student, self.filter).await
    }
}

/// Which quiz to start.
#[derive(InputObject)]
pub struct StartAttemptInput {
    /// The quiz.
    quiz_id: ID,
}

/// The outcome of a start.
#[derive(SimpleObject)]
pub struct StartAttemptPayload {
    /// The attempt, new or taken up again.
    attempt: Option<Attempt>,
    /// Whether it was open already. Such a start costs nothing of the limit.
    resumed: bool,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// An answer to save.
#[derive(InputObject)]
pub struct SaveAnswerInput {
    /// The attempt.
    attempt_id: ID,
    /// The question.
    question_id: ID,
    /// The choice; `null` clears the answer.
    choice_id: Option<ID>,
    /// One more than the highest `seq` that the client has seen for this question; 1 for the first save.
    seq: i64,
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SaveOutcome {
    /// It is stored and will be scored.
    Saved,
    /// A save with the same or a higher `seq` was there before. Nothing has changed; the payload shows what is stored.
    Stale,
    /// The question is none of this attempt's, or the choice none of the question's. Only in a batch.
    NotFound,
}

/// The outcome of saving an answer.
#[derive(SimpleObject)]
pub struct SaveAnswerPayload {
    /// What became of it; `null` if the attempt takes no answers, see `errors`.
    outcome: Option<SaveOutcome>,
    /// What is stored for the question now.
    answer: Option<Answer>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// An answer of a batch.
#[derive(InputObject)]
pub struct AnswerInput {
    /// The question.
    question_id: ID,
    /// The choice; `null` clears the answer.
    choice_id: Option<ID>,
    /// One more than the highest `seq` that the client has seen for this question; 1 for the first save.
    seq: i64,
}

/// A batch of answers to save.
#[derive(InputObject)]
pub struct SaveAnswersInput {
    /// The attempt.
    attempt_id: ID,
    /// The answers, 1 to 200. If several are for the same question, the one with the highest `seq` counts.
    answers: Vec<AnswerInput>,
}

/// What became of one answer of a batch.
#[derive(SimpleObject)]
pub struct SavedAnswer {
    /// The question, as it was sent.
    question_id: ID,
    /// What became of it.
    outcome: SaveOutcome,
    /// What is stored for the question now.
    answer: Option<Answer>,
}

/// The outcome of saving a batch.
#[derive(SimpleObject)]
pub struct SaveAnswersPayload {
    /// One entry for each answer, in their order; `null` if the attempt takes no answers, see `errors`.
    results: Option<Vec<SavedAnswer>>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// Which attempt to submit.
#[derive(InputObject)]
pub struct SubmitAttemptInput {
    /// The attempt.
    attempt_id: ID,
    /// Made once for this attempt: the same key again gets the same result.
    idempotency_key: IdempotencyKey,
}

/// The outcome of a submit.
#[derive(SimpleObject)]
pub struct SubmitAttemptPayload {
    /// The attempt with its result. Also there if it had been submitted before.
    attempt: Option<Attempt>,
    /// Why it did not happen, for the person.
    errors: Vec<UserError>,
}

/// Attempts: queries.
#[derive(Default)]
pub struct AttemptQuery;

#[Object]
impl AttemptQuery {
    /// An attempt: the viewer's own; staff may read all.
    #[graphql(guard = "Needs::SignedIn")]
    async fn attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the attempt.")] id: ID,
    ) -> Result<Option<Attempt>> {
        attempt(ctx, AttemptId::decode(&id)?).await.map(Some)
    }
}

/// Attempts: mutations.
#[derive(Default)]
pub struct AttemptMutation;

#[Object]
impl AttemptMutation {
    /// Starts a quiz, or takes up the attempt at it that is still open.
    #[graphql(guard = "Needs::SignedIn")]
    async fn start_attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to start.")] input: StartAttemptInput,
    ) -> Result<Option<StartAttemptPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let quiz = QuizId::decode(&input.quiz_id)?;
        let reserved = app.limiter.reserve(Limit::Start, viewer, now.at).await?;
        let (started, errors) = as_payload(persistently(|| crate::attempt::start(app, viewer, quiz, &now)).await)?;
        let resumed = started.as_ref().is_some_and(|started| started.resumed);
        if resumed {
            reserved.give_back().await;
        }
        Ok(Some(StartAttemptPayload {
            attempt: started.map(|started| started.attempt.into()),
            resumed,
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }

    /// Saves an answer. An answer that was acknowledged as `SAVED` is scored, whatever happens afterwards.
    #[graphql(guard = "Needs::SignedIn")]
    async fn save_answer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answer.")] input: SaveAnswerInput,
    ) -> Result<Option<SaveAnswerPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let attempt = AttemptId::decode(&input.attempt_id)?;
        let save = save_of(&input.question_id, input.choice_id.as_ref(), input.seq)?;
        let _counted = app.limiter.reserve(Limit::Answer, viewer, now.at).await?;
        let (saved, errors) =
            as_payload(persistently(|| answers::save(app, viewer, attempt, std::slice::from_ref(&save), &now)).await)?;
        let saved = saved.and_then(|saved| saved.into_iter().next());
        let (outcome, answer) = saved.map(told).unzip();
        if outcome == Some(SaveOutcome::NotFound) {
            return Err(Error::NotFound);
        }
        Ok(Some(SaveAnswerPayload {
            outcome,
            answer: answer.flatten(),
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }

    /// Saves what was answered offline: up to 200 answers at once, each with its own outcome.
    #[graphql(guard = "Needs::SignedIn")]
    async fn save_answers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answers.")] input: SaveAnswersInput,
    ) -> Result<Option<SaveAnswersPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let attempt = AttemptId::decode(&input.attempt_id)?;
        let sent: Vec<_> = input
            .answers
            .iter()
            .map(|answer| save_of(&answer.question_id, answer.choice_id.as_ref(), answer.seq).ok())
            .collect();
        let saves: Vec<_> = sent.iter().copied().flatten().collect();
        let _counted = app.limiter.reserve(Limit::Batch, viewer, now.at).await?;
        let (saved, errors) = as_payload(persistently(|| answers::save(app, viewer, attempt, &saves, &now)).await)?;
        let results = saved.map(|saved| {
            let mut saved = saved.into_iter();
            let result = |(answer, sent): (AnswerInput, Option<Save>)| {
                let became = sent.and_then(|_| saved.next()).unwrap_or(Saved::NoSuchChoice);
                let (outcome, stored) = told(became);
                SavedAnswer {
                    question_id: answer.question_id,
                    outcome,
                    answer: stored,
                }
            };
            input.answers.into_iter().zip(sent).map(result).collect()
        });
        Ok(Some(SaveAnswersPayload {
            results,
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }

    /// Submits an attempt, exactly once. The same idempotency key again gets the same result and costs nothing of the
    /// limit; another key gets `ATTEMPT_ALREADY_SUBMITTED`. If the clock was faster, its result comes without an error.
    #[graphql(guard = "Needs::SignedIn")]
    async fn submit_attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to submit.")] input: SubmitAttemptInput,
    ) -> Result<Option<SubmitAttemptPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let id = AttemptId::decode(&input.attempt_id)?;
        let reserved = app.limiter.reserve(Limit::Submit, viewer, now.at).await?;
        let (submitted, errors) =
            as_payload(persistently(|| crate::attempt::submit(app, viewer, id, &input.idempotency_key.0, &now)).await)?;
        let attempt = match submitted {
            Some(submitted) => {
                if submitted.replayed {
                    reserved.give_back().await;
                }
                Some(submitted.attempt.into())
            }
            None if errors
                .iter()
                .any(|error| error.code == UserErrorCode::AttemptAlreadySubmitted) =>
            {
                Some(crate::attempt::find(app, viewer, id, &now).await?.into())
            }
            None => None,
        };
        Ok(Some(SubmitAttemptPayload {
            attempt,
            errors: errors.into_iter().map(UserError::from).collect(),
        }))
    }
}

fn save_of(question: &str, choice: Option<&ID>, seq: i64) -> Result<Save> {
    Ok(Save {
        question: QuestionId::decode(question)?,
        choice: choice.map(|choice| ChoiceId::decode(choice)).transpose()?,
        seq,
    })
}

fn told(saved: Saved) -> (SaveOutcome, Option<Answer>) {
    match saved {
        Saved::Saved(answer) => (SaveOutcome::Saved, Some(answer.into())),
        Saved::Stale(answer) => (SaveOutcome::Stale, Some(answer.into())),
        Saved::NoSuchChoice => (SaveOutcome::NotFound, None),
    }
}
