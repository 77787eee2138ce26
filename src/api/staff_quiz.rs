//! Quizzes as staff make and keep them: every quiz in every state, and the steps of its life.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use crate::{
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        payload::{UserError, as_payload},
        quiz::{Quiz, QuizState, ResultOpens, ReviewOpens},
        scalar::{DateTime, Reason, SearchText},
    },
    clock::Time,
    entity::quiz::Model,
    error::{Error, Result, UserError as Refusal},
    id::{QuizId, SubjectId},
    page::Page,
    quiz::{
        author::NewQuiz,
        life::{self, Filter, Step, SubjectOf},
        paper::Published,
        settings::{self, Settings},
    },
    text,
};

/// Conditions for quizzes of staff. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct StaffQuizFilter {
    /// Matches quizzes in this state.
    state: Option<QuizState>,
    /// Matches quizzes of this subject.
    subject_id: Option<ID>,
    /// Matches quizzes with all of these words in the title, ignoring case and accents.
    text: Option<SearchText>,
}

impl StaffQuizFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            state: self.state.map(Into::into),
            subject: self.subject_id.map(|id| SubjectId::decode(&id)).transpose()?,
            words: self
                .text
                .map(|SearchText(words)| text::search("text", &words))
                .transpose()?
                .unwrap_or_default(),
        })
    }
}

/// Quizzes of staff: queries.
#[derive(Default)]
pub(crate) struct StaffQuizQuery;

#[Object]
impl StaffQuizQuery {
    /// All quizzes in every state, newest first: drafts, withdrawn, archived and deleted ones, too. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn staff_quizzes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the quizzes. Defaults to all.")] filter: Option<StaffQuizFilter>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Quiz>>> {
        let filter = filter.map(StaffQuizFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| QuizId::decode(cursor).ok())?;
        let now = ctx.now().at;
        let slice = life::list(ctx.app().db.read(), &filter, &page, now).await?;
        let total = Total::of(move |ctx| {
            let filter = filter.clone();
            Box::pin(async move { life::count(ctx.app().db.read(), &filter, now).await })
        });
        let cursor = |published: &Published| published.quiz.id.encode();
        Ok(Some(connection(slice, total, cursor, Quiz::from)))
    }
}

/// Input of `createQuiz`. What is omitted has its usual value, and `updateQuiz` changes all of it.
#[derive(InputObject)]
pub(crate) struct CreateQuizInput {
    /// The title, 1 to 120 characters.
    title: String,
    /// The subject. Give this or `subject`.
    subject_id: Option<ID>,
    /// The name of the subject, which is created if there is none. Give this or `subjectId`.
    subject: Option<String>,
    /// The description, at most 2,000 characters.
    description: Option<String>,
    /// The time limit of an attempt in seconds, 1 to 86400. Defaults to an hour.
    duration_seconds: Option<i32>,
    /// The maximum number of attempts per student, 1 to 1000. Defaults to no limit.
    max_attempts: Option<i32>,
    /// The minimum time between a submit and the next start, in seconds. Defaults to none.
    cooldown_seconds: Option<i32>,
    /// The time from which it can be started. Defaults to its publication.
    opens_at: Option<DateTime>,
    /// The time until which it can be started and answered. Defaults to no end.
    closes_at: Option<DateTime>,
    /// The time before which neither results nor reviews are shown. Defaults to none.
    results_at: Option<DateTime>,
    /// The point at which reviews become readable. Defaults to `AFTER_SUBMIT`.
    review_opens: Option<ReviewOpens>,
    /// The point at which points become visible while reviews are still closed. Defaults to `WITH_REVIEW` if several
    /// attempts are allowed before reviews open, and to `AFTER_SUBMIT` otherwise.
    result_opens: Option<ResultOpens>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `updateQuiz`. Omitted fields stay as they are; `null` clears.
#[derive(InputObject)]
pub(crate) struct UpdateQuizInput {
    /// The quiz.
    quiz_id: ID,
    /// The `Quiz.version` that you have seen. If somebody else has changed the settings since, nothing is written.
    version: i32,
    /// The title, 1 to 120 characters.
    title: Option<String>,
    /// The subject. Results of the quiz count there within seconds; its questions keep their chapters.
    subject_id: Option<ID>,
    /// The description, at most 2,000 characters.
    description: MaybeUndefined<String>,
    /// The maximum number of attempts per student, 1 to 1000.
    max_attempts: MaybeUndefined<i32>,
    /// The minimum time between a submit and the next start, in seconds.
    cooldown_seconds: MaybeUndefined<i32>,
    /// The time from which it can be started.
    opens_at: MaybeUndefined<DateTime>,
    /// The time until which it can be started. Attempts that are open keep their deadlines.
    closes_at: MaybeUndefined<DateTime>,
    /// The time before which neither results nor reviews are shown. Results that students have seen already stay visible.
    results_at: MaybeUndefined<DateTime>,
    /// The point at which reviews become readable. Reviews that it closes are closed at once.
    review_opens: Option<ReviewOpens>,
    /// The point at which points become visible while reviews are still closed; of later submits.
    result_opens: Option<ResultOpens>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `publishQuiz`.
#[derive(InputObject)]
pub(crate) struct PublishQuizInput {
    /// The quiz.
    quiz_id: ID,
    /// The version of the draft that you have seen. If somebody else has changed the draft since, nothing is published.
    draft_version: i32,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The inputs of the steps of a quiz's life.
macro_rules! steps {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(InputObject)]
        pub(crate) struct $Name {
            /// The quiz.
            quiz_id: ID,
            /// The reason, for the audit log.
            reason: Reason,
        }
    )*};
}

steps! {
    /// Input of `withdrawQuiz`.
    WithdrawQuizInput
    /// Input of `reinstateQuiz`.
    ReinstateQuizInput
    /// Input of `archiveQuiz`.
    ArchiveQuizInput
    /// Input of `unarchiveQuiz`.
    UnarchiveQuizInput
    /// Input of `deleteQuiz`.
    DeleteQuizInput
    /// Input of `restoreQuiz`.
    RestoreQuizInput
}

/// The payloads of mutations on a quiz.
macro_rules! quiz_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The quiz as it is now.
            quiz: Option<Quiz>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(changed: Result<Published>) -> Result<Option<Self>> {
                let (quiz, errors) = as_payload(changed)?;
                let quiz = quiz.map(Quiz::from);
                Ok(Some(Self { quiz, errors }))
            }
        }
    )*};
}

quiz_payloads! {
    /// The outcome of `createQuiz`.
    CreateQuizPayload
    /// The outcome of `updateQuiz`.
    UpdateQuizPayload
    /// The outcome of `publishQuiz`.
    PublishQuizPayload
    /// The outcome of `withdrawQuiz`.
    WithdrawQuizPayload
    /// The outcome of `reinstateQuiz`.
    ReinstateQuizPayload
    /// The outcome of `archiveQuiz`.
    ArchiveQuizPayload
    /// The outcome of `unarchiveQuiz`.
    UnarchiveQuizPayload
    /// The outcome of `deleteQuiz`.
    DeleteQuizPayload
    /// The outcome of `restoreQuiz`.
    RestoreQuizPayload
}

/// A field of an input that can be omitted, or cleared by `null`.
fn cleared<T>(field: MaybeUndefined<T>) -> Option<Option<T>> {
    match field {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

/// What a person can act on, of several arguments at once.
fn told(errors: Vec<Refusal>) -> Vec<UserError> {
    errors.into_iter().map(UserError::from).collect()
}

impl CreateQuizInput {
    /// The new quiz, or all that is wrong with it: judged as `updateQuiz` does.
    fn decode(self) -> Result<(SubjectOf, NewQuiz), Vec<Refusal>> {
        let mut errors = Vec::new();
        let mut wrong = |argument: &str, message: &str| {
            if let Error::User(error) = Error::input(argument, message) {
                errors.push(error);
            }
        };
        let subject = match (self.subject_id, self.subject) {
            (Some(id), None) => SubjectId::decode(&id).ok().map(SubjectOf::Id),
            (None, Some(name)) => Some(SubjectOf::Named(name)),
            _ => {
                wrong("subjectId", "Give `subjectId` or `subject`, one of them.");
                None
            }
        };
        let duration = u64::try_from(self.duration_seconds.unwrap_or(3600)).unwrap_or(0);
        if !(1..=86_400).contains(&duration) {
            wrong("durationSeconds", "A time limit is 1 second to a day.");
        }
        let title = self.title.clone();
        let settings = Settings {
            title: Some(self.title),
            subject: None,
            description: Some(self.description),
            max_attempts: Some(self.max_attempts),
            cooldown_seconds: Some(self.cooldown_seconds.unwrap_or(0)),
            opens_at: Some(self.opens_at.map(Time::from)),
            closes_at: Some(self.closes_at.map(Time::from)),
            results_at: Some(self.results_at.map(Time::from)),
            review_opens: self.review_opens.map(Into::into),
            result_opens: None,
        };
        let quiz: Option<Model> = match settings.apply(&NewQuiz::titled(title, 1).unsaved(), false) {
            Ok(quiz) => Some(quiz),
            Err(more) => {
                errors.extend(more);
                None
            }
        };
        match (subject, quiz) {
            (Some(subject), Some(quiz)) if errors.is_empty() => {
                let mut new = NewQuiz::with_settings(quiz, std::time::Duration::from_secs(duration));
                new.result_opens = self.result_opens.map(Into::into);
                Ok((subject, new))
            }
            (None, _) if errors.is_empty() => match Error::input("subjectId", "There is no such subject.") {
                Error::User(error) => Err(vec![error]),
                _ => Err(errors),
            },
            _ => Err(errors),
        }
    }
}

impl UpdateQuizInput {
    fn decode(self) -> Settings {
        let time = |field| cleared(field).map(|at: Option<DateTime>| at.map(Time::from));
        Settings {
            title: self.title,
            // One that can't be read is one that there is not.
            subject: self
                .subject_id
                .map(|id| SubjectId::decode(&id).unwrap_or(SubjectId(uuid::Uuid::nil()))),
            description: cleared(self.description),
            max_attempts: cleared(self.max_attempts),
            cooldown_seconds: cleared(self.cooldown_seconds).map(Option::unwrap_or_default),
            opens_at: time(self.opens_at),
            closes_at: time(self.closes_at),
            results_at: time(self.results_at),
            review_opens: self.review_opens.map(Into::into),
            result_opens: self.result_opens.map(Into::into),
        }
    }
}

/// Takes a step in the life of a quiz.
async fn step(ctx: &Context<'_>, quiz: &ID, step: Step, reason: &Reason) -> Result<Published> {
    let id = QuizId::decode(quiz)?;
    life::step(ctx.app(), id, step, &reason.0, &ctx.cause()).await
}

/// Quizzes of staff: mutations. Each is recorded in the audit log, and other servers know of it within a second.
#[derive(Default)]
pub(crate) struct StaffQuizMutation;

#[Object]
impl StaffQuizMutation {
    /// Creates a quiz with an empty draft, which only staff see until it is published. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn create_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The title, the subject and the settings.")] input: CreateQuizInput,
    ) -> Result<Option<CreateQuizPayload>> {
        let reason = input.reason.clone();
        match input.decode() {
            Ok((subject, quiz)) => {
                CreateQuizPayload::of(life::create(ctx.app(), subject, quiz, &reason.0, &ctx.cause()).await)
            }
            Err(errors) => Ok(Some(CreateQuizPayload {
                quiz: None,
                errors: told(errors),
            })),
        }
    }

    /// Changes the settings of a quiz, published or not. Deadlines of open attempts don't move. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn update_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and its new settings.")] input: UpdateQuizInput,
    ) -> Result<Option<UpdateQuizPayload>> {
        let (id, version, reason) = (QuizId::decode(&input.quiz_id)?, input.version, input.reason.clone());
        let settings = input.decode();
        let updated = settings::update(ctx.app(), id, version, settings, &reason.0, &ctx.cause()).await;
        match updated {
            Ok(Err(errors)) => Ok(Some(UpdateQuizPayload {
                quiz: None,
                errors: told(errors),
            })),
            Ok(Ok(quiz)) => UpdateQuizPayload::of(Ok(quiz)),
            Err(error) => UpdateQuizPayload::of(Err(error)),
        }
    }

    /// Publishes the draft of a quiz: it is checked, and becomes the revision in force. Attempts at the one before go on.
    /// For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn publish_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the version of its draft.")] input: PublishQuizInput,
    ) -> Result<Option<PublishQuizPayload>> {
        let id = QuizId::decode(&input.quiz_id)?;
        PublishQuizPayload::of(life::publish(ctx.app(), id, input.draft_version, &input.reason.0, &ctx.cause()).await)
    }

    /// Takes a published quiz out of the catalogue: nobody can start it, open attempts run to their end, and results and
    /// boards stay. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn withdraw_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: WithdrawQuizInput,
    ) -> Result<Option<WithdrawQuizPayload>> {
        WithdrawQuizPayload::of(step(ctx, &input.quiz_id, Step::Withdraw, &input.reason).await)
    }

    /// Brings a withdrawn quiz back into the catalogue. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn reinstate_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: ReinstateQuizInput,
    ) -> Result<Option<ReinstateQuizPayload>> {
        ReinstateQuizPayload::of(step(ctx, &input.quiz_id, Step::Reinstate, &input.reason).await)
    }

    /// Puts a quiz away: it is out of the catalogue, and nothing of it can be published. Results and boards stay. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn archive_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: ArchiveQuizInput,
    ) -> Result<Option<ArchiveQuizPayload>> {
        ArchiveQuizPayload::of(step(ctx, &input.quiz_id, Step::Archive, &input.reason).await)
    }

    /// Takes a quiz out of the archive. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn unarchive_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: UnarchiveQuizInput,
    ) -> Result<Option<UnarchiveQuizPayload>> {
        UnarchiveQuizPayload::of(step(ctx, &input.quiz_id, Step::Unarchive, &input.reason).await)
    }

    /// Deletes a quiz. Students who took it keep their attempts, results and reviews, and standings stay. `restoreQuiz`
    /// brings it back. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn delete_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: DeleteQuizInput,
    ) -> Result<Option<DeleteQuizPayload>> {
        DeleteQuizPayload::of(step(ctx, &input.quiz_id, Step::Delete, &input.reason).await)
    }

    /// Restores a deleted quiz, as it was. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn restore_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the reason.")] input: RestoreQuizInput,
    ) -> Result<Option<RestoreQuizPayload>> {
        RestoreQuizPayload::of(step(ctx, &input.quiz_id, Step::Restore, &input.reason).await)
    }
}
