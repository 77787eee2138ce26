//! The catalogue in the API. Nothing here knows a right answer.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};

use crate::{
    api::{
        attempt::Attempt,
        board::{Board, BoardWindow, present_board},
        connection::{Connection, Total, connection},
        context::RequestContext,
        cost::charge,
        draft::Draft,
        guard::Needs,
        loader::{
            Catalogue, DraftsOfQuizzes, Outlooks, OwnAttemptCounts, OwnAttemptsAt, OwnBests, PaperOf, PapersOf,
            QuizzesOfBoards, QuizzesOfStaff,
        },
        payload::{UserError, as_payload, date_time, if_there, points},
        question::{Question, questions},
        scalar::{DateTime, Decimal, Reason, SearchText},
        subject::{Subject, subject_of_content},
    },
    attempt::terms::Outlook,
    auth::Viewer,
    entity::{
        attempt,
        revision::{Model as Revision, State},
    },
    error::{Error, Result},
    id::{AttemptId, ChapterId, ChoiceId, QuestionId, QuizId, SubjectId},
    page::Page,
    quiz::{
        Filter, Marking,
        correct::{self, NowRight},
        paper::Published,
        right::{self, Number},
    },
    ranks::board::Scope,
    text,
};

/// The point at which the reviews of a quiz become readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ReviewOpens", remote = "crate::entity::quiz::ReviewOpens")]
#[expect(clippy::enum_variant_names, reason = "as the API names them")]
pub enum ReviewOpens {
    /// Immediately after the submit.
    AfterSubmit,
    /// After the student has submitted the last attempt that the quiz allows, or as `AFTER_CLOSE`.
    AfterLastAttempt,
    /// After the quiz has closed and the last answers to it were accepted: 3 seconds later.
    AfterClose,
}

/// The point at which students see points of a quiz whose reviews are still closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "ResultOpens", remote = "crate::entity::quiz::ResultOpens")]
pub enum ResultOpens {
    /// Immediately after the submit, for the first attempt. Later attempts are practice, and show theirs with the review.
    AfterSubmit,
    /// With the review.
    WithReview,
}

/// The state of a quiz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "QuizState", remote = "crate::quiz::life::State")]
pub enum QuizState {
    /// The quiz was never published. Only staff find it.
    Draft,
    /// The quiz is in the catalogue, and opens later.
    Scheduled,
    /// The quiz is in the catalogue, and students can start it.
    Open,
    /// The quiz is in the catalogue, and has closed.
    Closed,
    /// The quiz was taken out of the catalogue. Attempts that were open run to their end.
    Withdrawn,
    /// The quiz was put away.
    Archived,
    /// The quiz was deleted. Students who took it keep their results and reviews.
    Deleted,
}

/// The reason that an attempt is practice: it has a result, but counts on no board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "UnrankedReason", remote = "crate::attempt::terms::UnrankedReason")]
pub enum UnrankedReason {
    /// The student can read a review of the quiz.
    ReviewOpen,
    /// The student has seen the points of an earlier attempt at the quiz.
    ResultSeen,
    /// The site ranks only students who have confirmed their email address; see `requestEmailConfirmation`.
    EmailUnconfirmed,
}

/// The reason that the viewer can't start a quiz now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "StartObstacle", remote = "crate::attempt::terms::Obstacle")]
pub enum StartObstacle {
    /// The quiz was deleted.
    Deleted,
    /// The quiz was withdrawn or archived, or was never published.
    Withdrawn,
    /// The quiz is not open yet.
    NotOpenYet,
    /// The quiz has closed.
    Closed,
    /// The viewer has used all attempts that the quiz allows.
    AttemptsExhausted,
    /// The quiz requires a pause after the last submit.
    Cooldown,
}

/// A quiz with its current revision.
#[derive(Clone)]
pub(crate) struct Quiz(pub(super) Published);

impl From<Published> for Quiz {
    fn from(published: Published) -> Self {
        Self(published)
    }
}

/// The quiz with this id, if the viewer may find it: it is in the catalogue, or the viewer is of the staff.
pub(crate) async fn quiz(ctx: &Context<'_>, id: QuizId) -> Result<Quiz> {
    let is_staff = ctx.data_opt::<Viewer>().is_some_and(|viewer| viewer.role().is_staff());
    let found = match is_staff {
        true => ctx.loader::<QuizzesOfStaff>()?.load_one(id).await?,
        false => ctx.loader::<Catalogue>()?.load_one(id).await?,
    };
    found.map(Quiz).ok_or(Error::NotFound)
}

/// The quiz of a board: also one that was withdrawn or archived.
pub(super) async fn quiz_of_board(ctx: &Context<'_>, id: QuizId) -> Result<Quiz> {
    let found = ctx.loader::<QuizzesOfBoards>()?.load_one(id).await?;
    found.map(Quiz).ok_or(Error::NotFound)
}

impl Quiz {
    /// What an attempt of the viewer that starts now would come to.
    async fn outlook(&self, ctx: &Context<'_>) -> Result<Outlook> {
        let outlook = ctx.loader::<Outlooks>()?.load_one(self.0.quiz.id).await?;
        outlook.ok_or(Error::NotFound)
    }
}

/// A quiz with a time limit. Students can read the questions after they have started an attempt.
#[Object]
impl Quiz {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.quiz.id.encode().into()
    }

    /// The title.
    async fn title(&self) -> &str {
        &self.0.quiz.title
    }

    /// The description.
    async fn description(&self) -> Option<&str> {
        self.0.quiz.description.as_deref()
    }

    /// The subject.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Subject> {
        subject_of_content(ctx, self.0.quiz.subject_id).await
    }

    /// The number of questions.
    async fn question_count(&self) -> i32 {
        self.0.revision.question_count
    }

    /// The time limit of an attempt, in seconds.
    async fn duration_seconds(&self) -> u64 {
        self.0.revision.duration().as_secs()
    }

    /// The points for each kind of answer.
    async fn marking(&self) -> MarkingScheme {
        MarkingScheme::from(Marking {
            right: self.0.revision.right_score,
            wrong: self.0.revision.wrong_score,
            blank: self.0.revision.blank_score,
        })
    }

    /// The maximum number of attempts per student; `null` if unlimited.
    async fn max_attempts(&self) -> Option<i32> {
        self.0.quiz.max_attempts
    }

    /// The minimum time between a submit and the next start, in seconds.
    async fn cooldown_seconds(&self) -> u64 {
        self.0.quiz.cooldown().as_secs()
    }

    /// The time from which it can be started; `null` if it has been open since it was published.
    async fn opens_at(&self) -> Option<DateTime> {
        self.0.quiz.opens_at.map(date_time)
    }

    /// The time until which it can be started and answered; `null` if it stays open.
    async fn closes_at(&self) -> Option<DateTime> {
        self.0.quiz.closes_at.map(date_time)
    }

    /// The point at which reviews become readable.
    async fn review_opens(&self) -> ReviewOpens {
        self.0.quiz.review_opens.into()
    }

    /// The point at which points become visible while reviews are still closed. Boards and dashboards have no results
    /// before it.
    async fn result_opens(&self) -> ResultOpens {
        self.0.quiz.result_opens.into()
    }

    /// The reason that an attempt which the viewer starts now would not count on boards; `null` if it would.
    #[graphql(guard = "Needs::SignedIn")]
    async fn unranked_reason(&self, ctx: &Context<'_>) -> Result<Option<UnrankedReason>> {
        Ok(self.outlook(ctx).await?.unranked.map(Into::into))
    }

    /// Whether the viewer can start an attempt now, or resume the open one. The limit of starts an hour is apart from it:
    /// see `Query.rateLimit`.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer_can_start(&self, ctx: &Context<'_>) -> Result<Option<bool>> {
        Ok(Some(self.outlook(ctx).await?.obstacle.is_none()))
    }

    /// The reason that the viewer can't start an attempt now; `null` if the viewer can.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer_start_obstacle(&self, ctx: &Context<'_>) -> Result<Option<StartObstacle>> {
        let obstacle = self.outlook(ctx).await?.obstacle;
        Ok(obstacle.map(|(obstacle, _)| obstacle.into()))
    }

    /// The time from which the viewer can start an attempt; `null` if the viewer can already, or never will by the present
    /// rules of the quiz.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer_can_start_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime>> {
        let obstacle = self.outlook(ctx).await?.obstacle;
        Ok(obstacle.and_then(|(_, until)| until).map(date_time))
    }

    /// The viewer's attempts at the quiz, newest first.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer_attempts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Attempt>>> {
        let page = Page::of((first, last), (after, before), |cursor| AttemptId::decode(cursor).ok())?;
        let quiz = self.0.quiz.id;
        let slice = ctx.loader::<OwnAttemptsAt>()?.load_one((quiz, page)).await?;
        let slice = slice.ok_or(Error::NotFound)?;
        let total = Total::of(move |ctx| {
            Box::pin(async move { Ok(ctx.loader::<OwnAttemptCounts>()?.load_one(quiz).await?.unwrap_or(0)) })
        });
        let cursor = |attempt: &attempt::Model| attempt.id.encode();
        Ok(Some(connection(slice, total, cursor, Attempt::from)))
    }

    /// The viewer's attempt with the most points, the first of equals, among those whose points the viewer can see at
    /// present; `null` if there is none.
    #[graphql(guard = "Needs::SignedIn")]
    async fn viewer_best_attempt(&self, ctx: &Context<'_>) -> Result<Option<Attempt>> {
        let best = ctx.loader::<OwnBests>()?.load_one(self.0.quiz.id).await?;
        Ok(best.map(|(attempt, result)| Attempt::with_result(attempt, result)))
    }

    /// The time the current revision was published; while there is none, the time the draft was made. See `state`.
    async fn published_at(&self) -> DateTime {
        let Revision {
            published_at,
            created_at,
            ..
        } = &self.0.revision;
        date_time(published_at.unwrap_or(*created_at))
    }

    /// The questions of the current revision, without their answers; `null` while there is none. For staff only: students read the questions of
    /// their own attempts, so that no time limit can be bypassed. Each counts towards the cost of the operation.
    #[graphql(guard = "Needs::Staff")]
    async fn questions(&self, ctx: &Context<'_>) -> Result<Option<Vec<Question>>> {
        let revision = &self.0.revision;
        if revision.state == State::Draft {
            return Ok(None);
        }
        charge(ctx, revision.size())?;
        let paper = PaperOf {
            id: revision.id,
            revision: Some(revision.clone()),
        };
        let paper = ctx.loader::<PapersOf>()?.load_one(paper).await?;
        let paper = paper.ok_or(Error::NotFound)?;
        Ok(Some(questions(&paper)))
    }

    /// The draft of its next revision; `null` if there is none. For staff only.
    #[graphql(guard = "Needs::Staff")]
    async fn draft(&self, ctx: &Context<'_>) -> Result<Option<Draft>> {
        let draft = ctx.loader::<DraftsOfQuizzes>()?.load_one(self.0.quiz.id).await?;
        Ok(draft.map(Draft::from))
    }

    /// The state: it follows from what staff did and from the time.
    async fn state(&self, ctx: &Context<'_>) -> QuizState {
        self.0.state(ctx.now().at).into()
    }

    /// The time from which results and reviews can be shown at all, by `resultOpens` and `reviewOpens`; `null` if those
    /// alone decide.
    async fn results_at(&self) -> Option<DateTime> {
        self.0.quiz.results_at.map(date_time)
    }

    /// The version of the settings, which grows with every change of them: `updateQuiz` names the one that its editor has
    /// seen. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn version(&self) -> Option<i32> {
        Some(self.0.quiz.version)
    }

    /// The quiz's current board; `null` if the quiz is a draft or deleted.
    async fn board(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The kind of window. Defaults to all time.")] window: Option<BoardWindow>,
    ) -> Result<Option<Board>> {
        if_there(present_board(ctx, Scope::Quiz(self.0.quiz.id), window).await)
    }
}

/// The points for each kind of answer.
#[derive(SimpleObject)]
pub(crate) struct MarkingScheme {
    /// Points for the right choice.
    right: f64,
    /// Points for a wrong choice; may be negative.
    wrong: f64,
    /// Points for no choice.
    blank: f64,
}

impl From<Marking> for MarkingScheme {
    fn from(marking: Marking) -> Self {
        Self {
            right: points(marking.right),
            wrong: points(marking.wrong),
            blank: points(marking.blank),
        }
    }
}

/// Conditions for quizzes. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct QuizFilter {
    /// Matches quizzes of this subject.
    subject_id: Option<ID>,
    /// Matches quizzes with a question of this chapter.
    chapter_id: Option<ID>,
    /// Matches quizzes with all of these words in the title, ignoring case and accents.
    text: Option<SearchText>,
    /// Matches quizzes with at least this many questions.
    min_questions: Option<i32>,
    /// Matches quizzes with at most this many questions.
    max_questions: Option<i32>,
    /// Matches quizzes with a time limit of at least this many minutes.
    min_minutes: Option<i32>,
    /// Matches quizzes with a time limit of at most this many minutes.
    max_minutes: Option<i32>,
}

impl QuizFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            subject: self.subject_id.map(|id| SubjectId::decode(&id)).transpose()?,
            chapter: self.chapter_id.map(|id| ChapterId::decode(&id)).transpose()?,
            words: self
                .text
                .map(|SearchText(words)| text::search("text", &words))
                .transpose()?
                .unwrap_or_default(),
            questions: (self.min_questions, self.max_questions),
            minutes: (self.min_minutes, self.max_minutes),
        })
    }
}

/// The catalogue: queries. Open to everyone.
#[derive(Default)]
pub(crate) struct CatalogueQuery;

#[Object]
impl CatalogueQuery {
    /// The published quizzes, newest first.
    async fn quizzes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the quizzes. Defaults to all.")] filter: Option<QuizFilter>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<Quiz>> {
        let filter = filter.map(QuizFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| QuizId::decode(cursor).ok())?;
        let slice = crate::quiz::catalogue(ctx.app().db.read(), &filter, &page).await?;
        let total = Total::of(move |ctx| {
            let filter = filter.clone();
            Box::pin(async move { crate::quiz::catalogue_count(ctx.app().db.read(), &filter).await })
        });
        Ok(connection(slice, total, |published| published.quiz.id.encode(), Quiz))
    }

    /// A quiz of the catalogue. Staff find the others in `staffQuizzes`, and by `node`.
    async fn quiz(&self, ctx: &Context<'_>, #[graphql(desc = "The id of the quiz.")] id: ID) -> Result<Option<Quiz>> {
        let app = ctx.app();
        // The same for everybody, staff too: it may be kept by caches on the way.
        let published = app.papers.quiz(app.db.read(), QuizId::decode(&id)?).await?;
        Ok(Some(Quiz((*published).clone())))
    }
}

/// Input of `correctQuestion`.
#[derive(InputObject)]
pub(crate) struct CorrectQuestionInput {
    /// A question of a published quiz.
    question_id: ID,
    /// The right choice. Exactly one of `choiceId`, `choiceIds` and `number` is required.
    choice_id: Option<ID>,
    /// The right choices: of a question of kind `ALL_CHOICES` all of them make the answer, of any other each is accepted.
    choice_ids: Option<Vec<ID>>,
    /// The right number.
    number: Option<Decimal>,
    /// How far from `number` an answer may be and still be right. Defaults to 0.
    tolerance: Option<Decimal>,
    /// The reason, for the audit log.
    reason: Reason,
}

impl CorrectQuestionInput {
    /// What is to be right.
    fn now_right(&self) -> Result<NowRight> {
        let choice = |argument: &str, id: &ID| {
            ChoiceId::decode(id).map_err(|_| Error::input(argument, "This is no choice of the question."))
        };
        let number = |argument: &str, Decimal(typed): &Decimal| {
            right::decimal(typed).map_err(|message| Error::input(argument, message))
        };
        if self.tolerance.is_some() && self.number.is_none() {
            return Err(Error::input("tolerance", "A tolerance goes with a `number`."));
        }
        match (&self.choice_id, &self.choice_ids, &self.number) {
            (Some(id), None, None) => Ok(NowRight::Choice(choice("choiceId", id)?)),
            (None, Some(ids), None) => {
                let ids = ids.iter().map(|id| choice("choiceIds", id)).collect::<Result<_>>()?;
                Ok(NowRight::Choices(ids))
            }
            (None, None, Some(value)) => Ok(NowRight::Number(Number {
                value: number("number", value)?,
                tolerance: match &self.tolerance {
                    Some(tolerance) => number("tolerance", tolerance)?,
                    None => rust_decimal::Decimal::ZERO,
                },
            })),
            _ => {
                let message = "Send exactly one of `choiceId`, `choiceIds` and `number`.";
                Err(Error::input("choiceId", message))
            }
        }
    }
}

/// The outcome of `correctQuestion`.
#[derive(SimpleObject)]
pub(crate) struct CorrectQuestionPayload {
    /// The number of the correction. Results name the correction they were scored by; they are rescored within seconds.
    correction: Option<i32>,
    /// Errors that the person can act on; empty if the key was corrected.
    errors: Vec<UserError>,
}

/// Quizzes: mutations.
#[derive(Default)]
pub(crate) struct QuizMutation;

#[Object]
impl QuizMutation {
    /// Corrects the answer key of a question. The questions stay as published; all results are rescored. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn correct_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question and what is right.")] input: CorrectQuestionInput,
    ) -> Result<Option<CorrectQuestionPayload>> {
        let (question, viewer) = (QuestionId::decode(&input.question_id)?, ctx.viewer()?);
        let corrected = async {
            let (app, reason, now_right) = (ctx.app(), &input.reason.0, input.now_right()?);
            correct::correct(app, viewer, question, &now_right, reason, &ctx.cause()).await
        };
        let corrected = corrected.await;
        let (correction, errors) = as_payload(corrected)?;
        Ok(Some(CorrectQuestionPayload { correction, errors }))
    }
}
