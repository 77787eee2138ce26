//! Answers in the API, and what saves of them take and return.

use std::collections::BTreeSet;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};

use super::attempt::{Attempt, attempt};
use crate::{
    api::{
        context::RequestContext,
        loader::{ReadableAnswers, ReadableQuestions},
        payload::{UserError, date_time},
        scalar::{DateTime, Decimal},
    },
    attempt::answers::{Reply, Save, Saved},
    entity::{answer, question::Kind},
    error::{Error, Result},
    id::{AnswerId, AttemptId, ChoiceId, QuestionId},
    quiz::right::{self, Choices, MAX_CHOICES},
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

    /// The chosen choice; `null` if the answer was cleared, and if it is several choices or a number.
    async fn choice_id(&self) -> Option<ID> {
        self.0.choice_id.map(|choice| choice.encode().into())
    }

    /// The chosen choices: one, or those of a question that takes several; empty if the answer was cleared or is a number.
    async fn choice_ids(&self, ctx: &Context<'_>) -> Result<Vec<ID>> {
        if let Some(one) = self.0.choice_id {
            return Ok(vec![one.encode().into()]);
        }
        let Some(set) = self.0.choice_set.map(Choices::from_bits) else {
            return Ok(Vec::new());
        };
        let question = ctx.loader::<ReadableQuestions>()?.load_one(self.0.question_id).await?;
        let question = question.ok_or(Error::NotFound)?;
        let chosen = set.positions().filter_map(|position| question.choices.get(position));
        Ok(chosen.map(|choice| choice.id.encode().into()).collect())
    }

    /// The number; `null` if the answer was cleared or is a choice.
    async fn number(&self) -> Option<Decimal> {
        self.0.number.clone().map(Decimal)
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
    /// The choice, of a question that takes one. An answer without a choice, choices and a number is cleared.
    pub(super) choice_id: Option<ID>,
    /// The choices, of a question of kind `ALL_CHOICES`; an empty list clears the answer.
    pub(super) choice_ids: Option<Vec<ID>>,
    /// The number, of a question of kind `NUMBER`.
    pub(super) number: Option<Decimal>,
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
    /// The question does not take such an answer; `errors` says why. Only in a batch.
    Refused,
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
    /// The choice, of a question that takes one. An answer without a choice, choices and a number is cleared.
    pub(super) choice_id: Option<ID>,
    /// The choices, of a question of kind `ALL_CHOICES`; an empty list clears the answer.
    pub(super) choice_ids: Option<Vec<ID>>,
    /// The number, of a question of kind `NUMBER`.
    pub(super) number: Option<Decimal>,
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

/// What is to be saved. Errors are about the form; an id that can't be read is one that nothing has.
pub(super) fn save_of(
    question: &ID,
    (choice, choices, number): (Option<&ID>, Option<&[ID]>, Option<&Decimal>),
    seq: i64,
) -> Result<Save> {
    let question = QuestionId::decode(question)?;
    if usize::from(choice.is_some()) + usize::from(choices.is_some()) + usize::from(number.is_some()) > 1 {
        let argument = if number.is_some() { "number" } else { "choiceIds" };
        let message =
            "Send one of `choiceId`, `choiceIds` and `number`: the one that the kind of the question asks for.";
        return Err(Error::input(argument, message));
    }
    let answer = match (choice, choices, number) {
        (Some(choice), ..) => Some(Reply::Choice(ChoiceId::decode(choice)?)),
        (_, Some(choices), _) => {
            if choices.len() > MAX_CHOICES {
                let message = format!("A question has at most {MAX_CHOICES} choices. Send each once.");
                return Err(Error::input("choiceIds", message));
            }
            let choices: BTreeSet<_> = choices.iter().map(|id| ChoiceId::decode(id)).collect::<Result<_>>()?;
            (!choices.is_empty()).then(|| Reply::Choices(choices.into_iter().collect()))
        }
        (.., Some(Decimal(number))) => {
            let number = right::decimal(number).map_err(|message| Error::input("number", message))?;
            Some(Reply::Number(number))
        }
        _ => None,
    };
    Ok(Save { question, answer, seq })
}

/// The outcome for a client, or what is wrong with the answer.
pub(super) fn outcome_of(save: &Save, saved: Saved) -> Result<(SaveOutcome, Option<Answer>)> {
    match saved {
        Saved::Saved(answer) => Ok((SaveOutcome::Saved, Some(answer.into()))),
        Saved::Stale(answer) => Ok((SaveOutcome::Stale, Some(answer.into()))),
        Saved::NoSuchChoice => Ok((SaveOutcome::NotFound, None)),
        Saved::WrongForm(kind) => {
            let message = match kind {
                Kind::AllChoices => "This question takes several choices. Send them as `choiceIds`.",
                Kind::Number => "The answer to this question is a number. Send it as `number`.",
                Kind::SingleChoice | Kind::AnyChoice | Kind::TrueFalse => {
                    "This question takes one choice. Send it as `choiceId`."
                }
            };
            let argument = match save.answer {
                Some(Reply::Choices(_)) => "choiceIds",
                Some(Reply::Number(_)) => "number",
                Some(Reply::Choice(_)) | None => "choiceId",
            };
            Err(Error::input(argument, message))
        }
    }
}

/// The outcome of the answer at this place of a batch; what is wrong with it goes to `errors`.
pub(super) fn outcome_in_batch(
    place: usize,
    outcome: Result<(SaveOutcome, Option<Answer>)>,
    errors: &mut Vec<UserError>,
) -> (SaveOutcome, Option<Answer>) {
    match outcome {
        Ok(outcome) => outcome,
        Err(Error::User(mut error)) => {
            let at = error.path.len().min(1);
            error.path.splice(at..at, ["answers".to_owned(), place.to_string()]);
            errors.push(error.into());
            (SaveOutcome::Refused, None)
        }
        Err(_) => (SaveOutcome::NotFound, None),
    }
}
