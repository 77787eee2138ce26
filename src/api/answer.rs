//! Answers in the API, and what saves of them take and return.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};

use super::attempt::{Attempt, attempt};
use crate::{
    api::{
        context::RequestContext,
        loader::ReadableAnswers,
        payload::{UserError, date_time},
        scalar::DateTime,
    },
    attempt::answers::{Save, Saved},
    entity::answer,
    error::{Error, Result},
    id::{AnswerId, AttemptId, ChoiceId, QuestionId},
};

/// A saved answer.
#[derive(Clone)]
pub(crate) struct Answer(answer::Model);

impl From<answer::Model> for Answer {
    fn from(answer: answer::Model) -> Self {
        Self(answer)
    }
}

/// The answer with this id, if the viewer may read its attempt.
pub(crate) async fn answer(ctx: &Context<'_>, id: AnswerId) -> Result<Answer> {
    ctx.viewer()?;
    let found = ctx.loader::<ReadableAnswers>()?.load_one(id).await?;
    found.map(Answer).ok_or(Error::NotFound)
}

/// A saved answer. An attempt has one for each question that was ever answered.
#[Object]
impl Answer {
    /// The opaque id: the same for every save of this question in this attempt.
    pub async fn id(&self) -> ID {
        self.0.id().encode().into()
    }

    /// The question it answers.
    async fn question_id(&self) -> ID {
        self.0.question_id.encode().into()
    }

    /// The chosen choice; `null` if the answer was cleared.
    async fn choice_id(&self) -> Option<ID> {
        self.0.choice_id.map(|choice| choice.encode().into())
    }

    /// The sequence number of the stored save. The next save of this question must have a higher one.
    async fn seq(&self) -> i64 {
        self.0.seq
    }

    /// The time of the save.
    async fn answered_at(&self) -> DateTime {
        date_time(self.0.answered_at)
    }

    /// Whether it was saved after the deadline, within the grace period.
    async fn late(&self) -> bool {
        self.0.late
    }
}

/// Input of `saveAnswer`.
#[derive(InputObject)]
pub(crate) struct SaveAnswerInput {
    /// The attempt.
    pub(super) attempt_id: ID,
    /// The question.
    pub(super) question_id: ID,
    /// The choice; `null` clears the answer.
    pub(super) choice_id: Option<ID>,
    /// The sequence number: one more than the highest `seq` the client has received for this question; 1 for the first
    /// save.
    pub(super) seq: i64,
}

/// The outcome of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum SaveOutcome {
    /// The answer is stored and will be scored.
    Saved,
    /// A save with the same or a higher `seq` is stored already. Nothing was changed; the payload has the stored
    /// answer.
    Stale,
    /// The question is not part of this attempt, or the choice not part of the question. Only in a batch.
    NotFound,
}

/// The outcome of `saveAnswer`.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct SaveAnswerPayload {
    #[graphql(skip)]
    pub(super) of: AttemptId,
    /// The outcome of the save; `null` if the attempt accepts no answers, see `errors`.
    pub(super) outcome: Option<SaveOutcome>,
    /// The stored answer to the question.
    pub(super) answer: Option<Answer>,
    /// Errors that the person can act on; empty on success.
    pub(super) errors: Vec<UserError>,
}

#[ComplexObject]
impl SaveAnswerPayload {
    /// The attempt, with the answers that are stored now.
    async fn attempt(&self, ctx: &Context<'_>) -> Result<Option<Attempt>> {
        attempt(ctx, self.of).await.map(Some)
    }
}

/// One answer of a batch.
#[derive(InputObject)]
pub(crate) struct AnswerInput {
    /// The question.
    pub(super) question_id: ID,
    /// The choice; `null` clears the answer.
    pub(super) choice_id: Option<ID>,
    /// The sequence number: one more than the highest `seq` the client has received for this question; 1 for the first
    /// save.
    pub(super) seq: i64,
}

/// Input of `saveAnswers`.
#[derive(InputObject)]
pub(crate) struct SaveAnswersInput {
    /// The attempt.
    pub(super) attempt_id: ID,
    /// The answers, 1 to 200. Of several answers to one question, the one with the highest `seq` is saved.
    pub(super) answers: Vec<AnswerInput>,
}

/// The outcome of one answer of a batch.
#[derive(SimpleObject)]
pub(crate) struct SavedAnswer {
    /// The question, as it was sent.
    pub(super) question_id: ID,
    /// The outcome of the save.
    pub(super) outcome: SaveOutcome,
    /// The stored answer to the question.
    pub(super) answer: Option<Answer>,
}

/// The outcome of `saveAnswers`.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct SaveAnswersPayload {
    #[graphql(skip)]
    pub(super) of: AttemptId,
    /// One entry per answer, in the same order; empty if the attempt accepts no answers, see `errors`.
    pub(super) results: Vec<SavedAnswer>,
    /// Errors that the person can act on; empty on success.
    pub(super) errors: Vec<UserError>,
}

#[ComplexObject]
impl SaveAnswersPayload {
    /// The attempt, with the answers that are stored now.
    async fn attempt(&self, ctx: &Context<'_>) -> Result<Option<Attempt>> {
        attempt(ctx, self.of).await.map(Some)
    }
}

pub(super) fn save_of(question: &str, choice: Option<&ID>, seq: i64) -> Result<Save> {
    Ok(Save {
        question: QuestionId::decode(question)?,
        choice: choice.map(|choice| ChoiceId::decode(choice)).transpose()?,
        seq,
    })
}

pub(super) fn outcome_of(saved: Saved) -> (SaveOutcome, Option<Answer>) {
    match saved {
        Saved::Saved(answer) => (SaveOutcome::Saved, Some(answer.into())),
        Saved::Stale(answer) => (SaveOutcome::Stale, Some(answer.into())),
        Saved::NoSuchChoice => (SaveOutcome::NotFound, None),
    }
}
