//! Attempts in the API.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::{
    api::payload::{as_payload, if_there},
    api::{
        answer::{
            Answer, AnswerInput, SaveAnswerInput, SaveAnswerPayload, SaveAnswersInput, SaveAnswersPayload, SaveOutcome,
            SavedAnswer, outcome_in_batch, outcome_of, save_of,
        },
        context::RequestContext,
        cost::{charge, charge_below},
        guard::Needs,
        loader::{Answers, Attempts, PaperOf, PapersOf, QuizzesOfAttempts, Results, ReviewOf, Reviews, Sizes},
        payload::{UserError, UserErrorCode, date_time, points},
        question::{Choice, Question, questions_in},
        quiz::Quiz,
        scalar::{DateTime, Decimal, IdempotencyKey, Markdown},
        user::{User, user},
    },
    attempt::{
        Filter,
        answers::{self, Save, Saved},
        review::{Review, Reviewed},
    },
    dashboard::Recent,
    db::with_retries,
    entity::{
        attempt::{self, State},
        result,
        reviews::Shown,
    },
    error::{Error, Result},
    id::{AttemptId, QuizId},
    limit::Limit,
    quiz::{
        paper::Published,
        right::{Given, Right},
        shuffle::Order,
    },
};

/// The outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "Outcome", remote = "crate::quiz::score::Outcome")]
pub enum Outcome {
    /// The answer was right.
    Right,
    /// The answer was wrong.
    Wrong,
    /// There was no answer.
    Blank,
}

/// The submitter of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "SubmittedBy", remote = "attempt::SubmittedBy")]
pub enum SubmittedBy {
    /// The student, in time.
    Student,
    /// The server's clock, with the answers saved by the deadline.
    Clock,
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "AttemptState", remote = "State")]
pub enum AttemptState {
    /// The student can answer questions.
    InProgress,
    /// The attempt has a result and accepts no changes.
    Submitted,
}

/// How much of a result its student can see. Staff see everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ResultVisibility", remote = "result::Visibility")]
pub enum ResultVisibility {
    /// Nothing until reviews open.
    Hidden,
    /// The points; the counts of right, wrong and blank answers follow when reviews open.
    Points,
    /// Everything.
    Full,
}

/// An attempt that the viewer may read; its result and quiz if they were loaded with it.
#[derive(Clone)]
pub(crate) struct Attempt {
    attempt: attempt::Model,
    result: Option<Shown>,
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

impl Attempt {
    /// An attempt whose result was loaded with it.
    pub(super) fn with_result(attempt: attempt::Model, result: Shown) -> Self {
        Self {
            result: Some(result),
            ..attempt.into()
        }
    }

    /// The number of questions.
    async fn size(&self, ctx: &Context<'_>) -> Result<usize> {
        let size = ctx.loader::<Sizes>()?.load_one(self.attempt.revision_id).await?;
        size.ok_or(Error::NotFound)
    }
}

/// The attempt with this id, if the viewer may read it. If its time has run out unnoticed, it is submitted first.
pub(crate) async fn attempt(ctx: &Context<'_>, id: AttemptId) -> Result<Attempt> {
    let (viewer, now) = (ctx.viewer()?, ctx.now());
    let found = ctx.loader::<Attempts>()?.load_one(id).await?.ok_or(Error::NotFound)?;
    if found.is_overdue(now.at) {
        return crate::attempt::find(ctx.app(), viewer, id, &now)
            .await
            .map(Attempt::from);
    }
    Ok(found.into())
}

impl Attempt {
    /// The result, as far as the viewer may see it.
    async fn shown(&self, ctx: &Context<'_>) -> Result<Option<Shown>> {
        if self.attempt.state == State::InProgress {
            return Ok(None);
        }
        match &self.result {
            Some(known) => Ok(Some(known.clone())),
            None => Ok(ctx.loader::<Results>()?.load_one(self.attempt.id).await?),
        }
    }
}

/// An attempt of one student at one revision of a quiz.
#[Object]
impl Attempt {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.attempt.id.encode().into()
    }

    /// The state of the attempt. An overdue attempt is submitted within seconds.
    async fn state(&self) -> AttemptState {
        self.attempt.state.into()
    }

    /// Number among the student's attempts at the quiz, starting at 1.
    async fn number(&self) -> i32 {
        self.attempt.number
    }

    /// Whether the result counts on boards. It does only if, at the start of the attempt, the student could not yet read
    /// a review of the quiz and had seen no points of an earlier attempt; see `Quiz.unrankedReason`.
    async fn ranked(&self) -> bool {
        self.attempt.ranked
    }

    /// The time of the start.
    async fn started_at(&self) -> DateTime {
        date_time(self.attempt.started_at)
    }

    /// The deadline, by the server's clock. Saves and submits up to 3 seconds later are accepted and flagged as late.
    async fn deadline_at(&self) -> DateTime {
        date_time(self.attempt.deadline_at)
    }

    /// The current time of the server's clock, as the base of a countdown.
    async fn server_time(&self, ctx: &Context<'_>) -> DateTime {
        date_time(ctx.now().at)
    }

    /// The time of the submit; the deadline if the clock submitted it.
    async fn submitted_at(&self) -> Option<DateTime> {
        self.attempt.submitted_at.map(date_time)
    }

    /// The submitter: the student or the clock.
    async fn submitted_by(&self) -> Option<SubmittedBy> {
        self.attempt.submitted_by.map(Into::into)
    }

    /// Whether an answer or the submit arrived after the deadline, within the grace period.
    async fn late(&self) -> bool {
        self.attempt.late
    }

    /// The quiz; readable here even after it was removed from the catalogue.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Quiz> {
        if let Some(quiz) = &self.quiz {
            return Ok(quiz.clone().into());
        }
        let found = ctx
            .loader::<QuizzesOfAttempts>()?
            .load_one(self.attempt.quiz_id)
            .await?;
        found.map(Quiz::from).ok_or(Error::NotFound)
    }

    /// The student; `null` after the account was deleted.
    async fn student(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        if_there(user(ctx, self.attempt.student_id).await)
    }

    /// The questions, without their answers, in the order of this attempt: the same at every read, and in the review. Each
    /// counts towards the cost of the operation.
    async fn questions(&self, ctx: &Context<'_>) -> Result<Vec<Question>> {
        charge(ctx, self.size(ctx).await?)?;
        let (id, revision) = (self.attempt.revision_id, None);
        let paper = ctx.loader::<PapersOf>()?.load_one(PaperOf { id, revision }).await?;
        let paper = paper.ok_or(Error::NotFound)?;
        Ok(questions_in(&paper, &Order::of(&paper.revision, self.attempt.seed)))
    }

    /// The saved answers, one for each question that was ever answered. They cost as much as if all questions were.
    async fn answers(&self, ctx: &Context<'_>) -> Result<Vec<Answer>> {
        charge(ctx, self.size(ctx).await?)?;
        let answers = ctx.loader::<Answers>()?.load_one(self.attempt.id).await?;
        Ok(answers.unwrap_or_default().into_iter().map(Answer::from).collect())
    }

    /// The result; `null` until submitted, and while `resultVisibility` is `HIDDEN`.
    async fn result(&self, ctx: &Context<'_>) -> Result<Option<AttemptResult>> {
        Ok(self.shown(ctx).await?.as_ref().and_then(AttemptResult::of))
    }

    /// How much of the result the viewer can see at present; `null` until submitted.
    async fn result_visibility(&self, ctx: &Context<'_>) -> Result<Option<ResultVisibility>> {
        Ok(self.shown(ctx).await?.map(|shown| shown.visibility().into()))
    }

    /// The right answers and explanations; `null` until the attempt is submitted and the quiz opens its reviews. Reading
    /// it uses up no limit but that of requests. Each question counts towards the cost of the operation.
    async fn review(&self, ctx: &Context<'_>) -> Result<Option<ReviewOfAttempt>> {
        if self.attempt.state == State::InProgress {
            return Ok(None);
        }
        charge_below(ctx, "questions", self.size(ctx).await?)?;
        let review = ctx
            .loader::<Reviews>()?
            .load_one(ReviewOf(self.attempt.clone()))
            .await?;
        Ok(review.map(ReviewOfAttempt))
    }
}

/// The score of a submitted attempt.
#[derive(SimpleObject)]
pub(crate) struct AttemptResult {
    /// The points.
    points: f64,
    /// The points if all answers were right.
    max_points: f64,
    /// The number of right answers; `null` while the reviews of the quiz are closed.
    right_count: Option<i32>,
    /// The number of wrong answers; `null` while the reviews of the quiz are closed.
    wrong_count: Option<i32>,
    /// The number of questions without an answer; `null` while the reviews of the quiz are closed.
    blank_count: Option<i32>,
    /// Whether the result counts on boards.
    ranked: bool,
    /// The number of the answer key's correction used for scoring; 0 is the key as published.
    correction: i32,
    /// The time of the submit.
    submitted_at: DateTime,
}

impl AttemptResult {
    /// What the viewer may see of a result, if it is anything.
    fn of(shown: &Shown) -> Option<Self> {
        let (result, counts) = (shown.points()?, shown.counts());
        Some(Self {
            points: points(result.score),
            max_points: points(result.max_score),
            right_count: counts.map(|result| result.right_count),
            wrong_count: counts.map(|result| result.wrong_count),
            blank_count: counts.map(|result| result.blank_count),
            ranked: result.ranked,
            correction: result.correction,
            submitted_at: date_time(result.submitted_at),
        })
    }
}

/// The key of a submitted attempt, beside what was answered.
pub(crate) struct ReviewOfAttempt(pub(super) Arc<Review>);

/// The review of a submitted attempt.
#[Object(name = "Review")]
impl ReviewOfAttempt {
    /// The number of the answer key's correction used for scoring; 0 is the key as published.
    async fn correction(&self) -> i32 {
        self.0.correction
    }

    /// The questions in the order in which the attempt was taken, with what was answered and what was right.
    async fn questions(&self) -> Vec<ReviewedQuestion<'_>> {
        let questions = self.0.questions.iter().enumerate();
        questions
            .map(|(place, reviewed)| ReviewedQuestion {
                question: Question::in_attempt(reviewed.question.clone(), place, &self.0.order),
                reviewed,
            })
            .collect()
    }
}

/// A question of a review.
pub(crate) struct ReviewedQuestion<'a> {
    question: Question,
    reviewed: &'a Reviewed,
}

/// A question of a review, with its answer.
#[Object]
impl ReviewedQuestion<'_> {
    /// The question.
    async fn question(&self) -> Question {
        self.question.clone()
    }

    /// The chosen choice; `null` without an answer, and if it is several choices or a number.
    async fn chosen(&self) -> Option<Choice> {
        the_only(self.those_chosen())
    }

    /// The right choice; `null` if several choices or a number are right.
    async fn right(&self) -> Option<Choice> {
        the_only(self.those_right())
    }

    /// The chosen choices, in the order of the attempt; empty without an answer, and if it is a number.
    async fn chosen_choices(&self) -> Vec<Choice> {
        self.those_chosen()
    }

    /// The right choices, in the order of the attempt; empty if a number is right.
    async fn right_choices(&self) -> Vec<Choice> {
        self.those_right()
    }

    /// The number that was answered; `null` without an answer, and if it is a choice.
    async fn chosen_number(&self) -> Option<Decimal> {
        let number = self.reviewed.given.as_ref().and_then(Given::number)?;
        Some(Decimal(number.to_string()))
    }

    /// The right number; `null` if choices are right.
    async fn right_number(&self) -> Option<Decimal> {
        let number = self.reviewed.right.as_ref().and_then(Right::number)?;
        Some(Decimal(number.value.to_string()))
    }

    /// How far from the right number an answer may be and still be right; `null` if choices are right.
    async fn tolerance(&self) -> Option<Decimal> {
        let number = self.reviewed.right.as_ref().and_then(Right::number)?;
        Some(Decimal(number.tolerance.to_string()))
    }

    /// The outcome of the question.
    async fn outcome(&self) -> Outcome {
        self.reviewed.outcome.into()
    }

    /// The points for the question.
    async fn points(&self) -> f64 {
        points(self.reviewed.worth)
    }

    /// The explanation of the right answer.
    async fn explanation(&self) -> Option<Markdown> {
        self.reviewed.explanation.clone().map(Markdown)
    }
}

impl ReviewedQuestion<'_> {
    fn those_chosen(&self) -> Vec<Choice> {
        let chosen = self.reviewed.given.as_ref().and_then(Given::choices);
        self.question.those_in(chosen.unwrap_or_default())
    }

    fn those_right(&self) -> Vec<Choice> {
        let right = self.reviewed.right.as_ref().and_then(Right::choices);
        self.question.those_in(right.unwrap_or_default())
    }
}

/// The choice, if it is the only one.
fn the_only(choices: Vec<Choice>) -> Option<Choice> {
    <[Choice; 1]>::try_from(choices).ok().map(|[choice]| choice)
}

/// Conditions for attempts. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct AttemptFilter {
    /// Matches attempts in this state.
    state: Option<AttemptState>,
    /// Matches attempts at this quiz.
    quiz_id: Option<ID>,
}

impl AttemptFilter {
    /// Reads the ids.
    pub(crate) fn decode(self) -> Result<Filter> {
        Ok(Filter {
            state: self.state.map(Into::into),
            quiz: self.quiz_id.map(|id| QuizId::decode(&id)).transpose()?,
        })
    }
}

/// Input of `startAttempt`.
#[derive(InputObject)]
pub(crate) struct StartAttemptInput {
    /// The quiz.
    quiz_id: ID,
}

/// The outcome of `startAttempt`.
#[derive(SimpleObject)]
pub(crate) struct StartAttemptPayload {
    /// The attempt, new or resumed.
    attempt: Option<Attempt>,
    /// Whether the attempt was open already. Resuming does not count against the limit.
    resumed: bool,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Input of `submitAttempt`.
#[derive(InputObject)]
pub(crate) struct SubmitAttemptInput {
    /// The attempt.
    attempt_id: ID,
    /// A key generated once for this attempt. Repeating it returns the same result.
    idempotency_key: IdempotencyKey,
}

/// The outcome of `submitAttempt`.
#[derive(SimpleObject)]
pub(crate) struct SubmitAttemptPayload {
    /// The attempt with its result, also if it was submitted before.
    attempt: Option<Attempt>,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Attempts: queries.
#[derive(Default)]
pub(crate) struct AttemptQuery;

#[Object]
impl AttemptQuery {
    /// An attempt of the viewer; staff may read all.
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
pub(crate) struct AttemptMutation;

#[Object]
impl AttemptMutation {
    /// Starts an attempt at a quiz, or resumes the open one.
    #[graphql(guard = "Needs::SignedIn")]
    async fn start_attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz.")] input: StartAttemptInput,
    ) -> Result<Option<StartAttemptPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let quiz = QuizId::decode(&input.quiz_id)?;
        let allowance = app.limiter.allowance(Limit::Start, viewer);
        let started = with_retries(|| crate::attempt::start(app, viewer, quiz, allowance, &now)).await;
        let (started, errors) = as_payload(started)?;
        let resumed = started.as_ref().is_some_and(|started| started.resumed);
        Ok(Some(StartAttemptPayload {
            attempt: started.map(|started| started.attempt.into()),
            resumed,
            errors,
        }))
    }

    /// Saves an answer. Every answer acknowledged as `SAVED` is scored.
    #[graphql(guard = "Needs::SignedIn")]
    async fn save_answer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answer.")] input: SaveAnswerInput,
    ) -> Result<Option<SaveAnswerPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let attempt = AttemptId::decode(&input.attempt_id)?;
        let form = (
            input.choice_id.as_ref(),
            input.choice_ids.as_deref(),
            input.number.as_ref(),
        );
        let allowance = app.limiter.allowance(Limit::Answer, viewer);
        let saved = async {
            let save = [save_of(&input.question_id, form, input.seq)?];
            let saved = answers::save(app, viewer, attempt, &save, allowance, &now).await?;
            let [save] = save;
            let saved = saved.into_iter().next();
            saved.map(|saved| outcome_of(&save, saved)).transpose()
        };
        let (saved, errors) = as_payload(saved.await)?;
        let (outcome, answer) = saved.flatten().unzip();
        if outcome == Some(SaveOutcome::NotFound) {
            return Err(Error::NotFound);
        }
        Ok(Some(SaveAnswerPayload {
            of: attempt,
            outcome,
            answer: answer.flatten(),
            errors,
        }))
    }

    /// Saves a batch of up to 200 answers, e.g. those given offline, each with its own outcome.
    #[graphql(guard = "Needs::SignedIn")]
    async fn save_answers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The answers.")] input: SaveAnswersInput,
    ) -> Result<Option<SaveAnswersPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let attempt = AttemptId::decode(&input.attempt_id)?;
        let form = |answer: &AnswerInput| {
            let form = (
                answer.choice_id.as_ref(),
                answer.choice_ids.as_deref(),
                answer.number.as_ref(),
            );
            save_of(&answer.question_id, form, answer.seq)
        };
        let sent: Vec<_> = input.answers.iter().map(form).collect();
        let saves: Vec<_> = sent.iter().flatten().cloned().collect();
        let allowance = app.limiter.allowance(Limit::Batch, viewer);
        let (saved, mut errors) = match sent.iter().any(|sent| matches!(sent, Err(Error::User(_)))) && saves.is_empty()
        {
            // Each has its own error.
            true => (Some(Vec::new()), Vec::new()),
            false => as_payload(answers::save(app, viewer, attempt, &saves, allowance, &now).await)?,
        };
        let results = saved.map(|saved| {
            let mut saved = saved.into_iter();
            let result = |(place, (answer, sent)): (usize, (AnswerInput, Result<Save>))| {
                let became = sent.and_then(|sent| outcome_of(&sent, saved.next().unwrap_or(Saved::NoSuchChoice)));
                let (outcome, stored) = outcome_in_batch(place, became, &mut errors);
                SavedAnswer {
                    question_id: answer.question_id,
                    outcome,
                    answer: stored,
                }
            };
            let answers = input.answers.into_iter().zip(sent).enumerate();
            answers.map(result).collect()
        });
        Ok(Some(SaveAnswersPayload {
            of: attempt,
            results: results.unwrap_or_default(),
            errors,
        }))
    }

    /// Submits an attempt, exactly once. Repeating the idempotency key returns the same result and does not count
    /// against the limit; another key gets `ATTEMPT_ALREADY_SUBMITTED`. If the clock submitted first, the result is
    /// returned without an error.
    #[graphql(guard = "Needs::SignedIn")]
    async fn submit_attempt(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The attempt and the idempotency key.")] input: SubmitAttemptInput,
    ) -> Result<Option<SubmitAttemptPayload>> {
        let (app, viewer, now) = (ctx.app(), ctx.viewer()?, ctx.now());
        let id = AttemptId::decode(&input.attempt_id)?;
        let (key, allowance) = (&input.idempotency_key.0, app.limiter.allowance(Limit::Submit, viewer));
        let submitted = with_retries(|| crate::attempt::submit(app, viewer, id, key, allowance, &now)).await;
        let (submitted, errors) = as_payload(submitted)?;
        let attempt = match submitted {
            Some(submitted) => Some(submitted.into()),
            None if errors
                .iter()
                .any(|error| error.code == UserErrorCode::AttemptAlreadySubmitted) =>
            {
                Some(crate::attempt::find(app, viewer, id, &now).await?.into())
            }
            None => None,
        };
        Ok(Some(SubmitAttemptPayload { attempt, errors }))
    }
}
