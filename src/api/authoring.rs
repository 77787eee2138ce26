//! What staff do to drafts, in the API.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};

use super::{
    draft::{Draft, DraftQuestion},
    question::QuestionKind,
};
use crate::{
    api::payload::as_payload,
    api::{
        context::RequestContext,
        guard::Needs,
        payload::UserError,
        scalar::{Decimal, Markdown, Reason},
    },
    error::Result,
    id::{ChapterId, DraftQuestionId, PictureId, QuestionId, QuizId, RevisionId},
    quiz::{
        content::Written,
        draft::{self, Drafted, Settings},
        questions::{self, Bulk, Fields},
    },
};

/// Input of `createDraft`.
#[derive(InputObject)]
pub(crate) struct CreateDraftInput {
    /// A published quiz.
    quiz_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The outcome of `createDraft`.
#[derive(SimpleObject)]
pub(crate) struct CreateDraftPayload {
    /// The draft, new or not.
    draft: Option<Draft>,
    /// Whether it is new. If the quiz had a draft already, that one is returned, and nothing has changed.
    created: bool,
    /// Errors that the person can act on; empty on success.
    errors: Vec<UserError>,
}

/// Input of `discardDraft`.
#[derive(InputObject)]
pub(crate) struct DiscardDraftInput {
    /// The draft.
    draft_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `restoreDraft`.
#[derive(InputObject)]
pub(crate) struct RestoreDraftInput {
    /// A discarded draft.
    draft_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Points for each kind of answer.
#[derive(InputObject)]
pub(crate) struct DraftMarkingInput {
    /// Points for a right answer, from -1000 to 1000 with at most three decimals; more than for the other two.
    right: f64,
    /// Points for a wrong answer, likewise; may be negative.
    wrong: f64,
    /// Points for no answer, likewise.
    blank: f64,
}

/// Input of `updateDraft`. Omitted fields keep their values.
#[derive(InputObject)]
pub(crate) struct UpdateDraftInput {
    /// The draft.
    draft_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The time limit of an attempt, in seconds: 1 to 86,400.
    duration_seconds: Option<i32>,
    /// The points for each kind of answer.
    marking: Option<DraftMarkingInput>,
    /// Whether each attempt has the questions in an order of its own.
    shuffle_questions: Option<bool>,
    /// Whether each attempt has the choices of each question in an order of its own; true and false keep theirs.
    shuffle_choices: Option<bool>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// A choice of a question.
#[derive(InputObject)]
pub(crate) struct DraftChoiceInput {
    /// The text of the choice, at most 500 characters.
    text: Markdown,
    /// Whether it is right. Defaults to false.
    is_right: Option<bool>,
}

/// Input of `addQuestion`. The question may be incomplete; `Draft.problems` says what keeps the draft from being published.
#[derive(InputObject)]
pub(crate) struct AddQuestionInput {
    /// The draft.
    draft_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The position that the question gets, starting at 1. Defaults to the end.
    number: Option<i32>,
    /// What it asks for. Defaults to one choice.
    kind: Option<QuestionKind>,
    /// The question, at most 4,000 characters.
    text: Markdown,
    /// The choices in their order, at most 6; none if it asks for a number.
    choices: Option<Vec<DraftChoiceInput>>,
    /// The right number.
    right_number: Option<Decimal>,
    /// How far from the right number an answer may be. Defaults to 0.
    tolerance: Option<Decimal>,
    /// The explanation, at most 8,000 characters.
    explanation: Option<Markdown>,
    /// A chapter of the quiz's subject.
    chapter_id: Option<ID>,
    /// The picture; see `uploadPicture`.
    picture_id: Option<ID>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `updateQuestion`. Omitted fields keep their values, as far as the kind of the question has them.
#[derive(InputObject)]
pub(crate) struct UpdateQuestionInput {
    /// A question of a draft.
    question_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// What it asks for. A question that asks for a number loses its choices, any other its number.
    kind: Option<QuestionKind>,
    /// The question, at most 4,000 characters.
    text: Option<Markdown>,
    /// All choices in their order, at most 6. They replace the present ones.
    choices: Option<Vec<DraftChoiceInput>>,
    /// The right number; `null` removes it.
    right_number: MaybeUndefined<Decimal>,
    /// How far from the right number an answer may be; `null` is 0.
    tolerance: MaybeUndefined<Decimal>,
    /// The explanation, at most 8,000 characters; `null` removes it.
    explanation: MaybeUndefined<Markdown>,
    /// A chapter of the quiz's subject; `null` removes it.
    chapter_id: MaybeUndefined<ID>,
    /// The picture; `null` removes it.
    picture_id: MaybeUndefined<ID>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `moveQuestion`.
#[derive(InputObject)]
pub(crate) struct MoveQuestionInput {
    /// A question of a draft.
    question_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The position that the question gets, starting at 1. Those in between move up or down.
    number: i32,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `removeQuestion`.
#[derive(InputObject)]
pub(crate) struct RemoveQuestionInput {
    /// A question of a draft.
    question_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `restoreQuestion`.
#[derive(InputObject)]
pub(crate) struct RestoreQuestionInput {
    /// A question that was removed from a draft.
    question_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `updateQuestions`.
#[derive(InputObject)]
pub(crate) struct UpdateQuestionsInput {
    /// The draft.
    draft_id: ID,
    /// The version of the draft that the editor has seen.
    version: i32,
    /// Questions of the draft, at most 200.
    question_ids: Vec<ID>,
    /// The chapter of the quiz's subject that all of them get; `null` removes it.
    chapter_id: MaybeUndefined<ID>,
    /// Whether to remove all of them from the draft. Defaults to false.
    remove: Option<bool>,
    /// The reason, for the audit log.
    reason: Reason,
}

/// Input of `duplicateQuiz`.
#[derive(InputObject)]
pub(crate) struct DuplicateQuizInput {
    /// The quiz to copy: its revision in force, or the draft of one that was never published.
    quiz_id: ID,
    /// The title of the new quiz, 1 to 120 characters.
    title: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The payloads of mutations on a draft.
macro_rules! draft_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The draft as it is now.
            draft: Option<Draft>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(written: Result<Drafted>) -> Result<Option<Self>> {
                let (draft, errors) = as_payload(written)?;
                let draft = draft.map(Draft::from);
                Ok(Some(Self { draft, errors }))
            }
        }
    )*};
}

draft_payloads! {
    /// The outcome of `discardDraft`.
    DiscardDraftPayload
    /// The outcome of `restoreDraft`.
    RestoreDraftPayload
    /// The outcome of `updateDraft`.
    UpdateDraftPayload
    /// The outcome of `updateQuestions`.
    UpdateQuestionsPayload
    /// The outcome of `duplicateQuiz`: the draft of the new quiz.
    DuplicateQuizPayload
}

/// The payloads of mutations on a question of a draft.
macro_rules! question_payloads {
    ($($(#[doc = $doc:literal])* $Name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        pub(crate) struct $Name {
            /// The question as it is now.
            question: Option<DraftQuestion>,
            /// The draft as it is now, with its new version.
            draft: Option<Draft>,
            /// Errors that the person can act on; empty on success.
            errors: Vec<UserError>,
        }

        impl $Name {
            fn of(written: Result<(Drafted, Arc<Written>)>) -> Result<Option<Self>> {
                let (written, errors) = as_payload(written)?;
                let (draft, question) = written.unzip();
                Ok(Some(Self {
                    question: question.map(DraftQuestion),
                    draft: draft.map(Draft::from),
                    errors,
                }))
            }
        }
    )*};
}

question_payloads! {
    /// The outcome of `addQuestion`.
    AddQuestionPayload
    /// The outcome of `updateQuestion`.
    UpdateQuestionPayload
    /// The outcome of `moveQuestion`.
    MoveQuestionPayload
    /// The outcome of `removeQuestion`.
    RemoveQuestionPayload
    /// The outcome of `restoreQuestion`.
    RestoreQuestionPayload
}

fn question_id(id: &str) -> Result<QuestionId> {
    Ok(QuestionId(DraftQuestionId::decode(id)?.0))
}

/// What is to be written, where `null` takes away and an omitted field stays.
fn given<T>(value: MaybeUndefined<T>) -> Option<Option<T>> {
    match value {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(None),
        MaybeUndefined::Value(value) => Some(Some(value)),
    }
}

fn chapter_of(id: MaybeUndefined<ID>) -> Option<Option<Result<ChapterId>>> {
    given(id).map(|id| id.map(|id| ChapterId::decode(&id)))
}

fn choices_of(choices: Vec<DraftChoiceInput>) -> Vec<(crate::text::Markdown, bool)> {
    let choice = |choice: DraftChoiceInput| (choice.text.0, choice.is_right.unwrap_or(false));
    choices.into_iter().map(choice).collect()
}

/// Authoring: mutations. Each is recorded in the audit log with its reason.
#[derive(Default)]
pub(crate) struct AuthoringMutation;

#[Object]
impl AuthoringMutation {
    /// Begins the next draft of a published quiz: a copy of the revision in force, with the corrections of its key. If there
    /// is a draft already, it is returned. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn create_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz.")] input: CreateDraftInput,
    ) -> Result<Option<CreateDraftPayload>> {
        let quiz = QuizId::decode(&input.quiz_id)?;
        let created = draft::create(ctx.app(), quiz, &input.reason.0, &ctx.cause()).await;
        let (created, errors) = as_payload(created)?;
        let (draft, created) = created.unzip();
        Ok(Some(CreateDraftPayload {
            draft: draft.map(Draft::from),
            created: created.unwrap_or(false),
            errors,
        }))
    }

    /// Discards a draft; the revision in force stays. The draft can be restored. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn discard_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft.")] input: DiscardDraftInput,
    ) -> Result<Option<DiscardDraftPayload>> {
        let id = RevisionId::decode(&input.draft_id)?;
        let (app, reason) = (ctx.app(), &input.reason.0);
        DiscardDraftPayload::of(draft::discard(app, id, input.version, reason, &ctx.cause()).await)
    }

    /// Restores a discarded draft, unless its quiz has another draft: that gets `CONFLICT`. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn restore_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft.")] input: RestoreDraftInput,
    ) -> Result<Option<RestoreDraftPayload>> {
        let id = RevisionId::decode(&input.draft_id)?;
        RestoreDraftPayload::of(draft::restore(ctx.app(), id, &input.reason.0, &ctx.cause()).await)
    }

    /// Changes the settings of a draft that belong to its revision: time limit and points. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn update_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft and its new settings.")] input: UpdateDraftInput,
    ) -> Result<Option<UpdateDraftPayload>> {
        let id = RevisionId::decode(&input.draft_id)?;
        let settings = Settings {
            duration: input.duration_seconds,
            marking: input.marking.map(|points| [points.right, points.wrong, points.blank]),
            shuffle_questions: input.shuffle_questions,
            shuffle_choices: input.shuffle_choices,
        };
        let (app, reason) = (ctx.app(), &input.reason.0);
        UpdateDraftPayload::of(draft::update(app, id, input.version, settings, reason, &ctx.cause()).await)
    }

    /// Adds a question to a draft. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn add_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The draft and the question.")] input: AddQuestionInput,
    ) -> Result<Option<AddQuestionPayload>> {
        let id = RevisionId::decode(&input.draft_id)?;
        let fields = Fields {
            kind: input.kind.map(Into::into),
            text: Some(input.text.0),
            choices: input.choices.map(choices_of),
            right_number: input.right_number.map(|number| Some(number.0)),
            tolerance: input.tolerance.map(|number| Some(number.0)),
            explanation: input.explanation.map(|text| Some(text.0)),
            chapter: input.chapter_id.map(|id| Some(ChapterId::decode(&id))),
            picture: input.picture_id.map(|id| Some(PictureId::decode(&id))),
        };
        let (app, reason, question) = (ctx.app(), &input.reason.0, (fields, input.number));
        AddQuestionPayload::of(questions::add(app, id, input.version, question, reason, &ctx.cause()).await)
    }

    /// Changes a question of a draft, with its choices. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn update_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question and its new values.")] input: UpdateQuestionInput,
    ) -> Result<Option<UpdateQuestionPayload>> {
        let id = question_id(&input.question_id)?;
        let fields = Fields {
            kind: input.kind.map(Into::into),
            text: input.text.map(|text| text.0),
            choices: input.choices.map(choices_of),
            right_number: given(input.right_number).map(|number| number.map(|number| number.0)),
            tolerance: given(input.tolerance).map(|number| number.map(|number| number.0)),
            explanation: given(input.explanation).map(|text| text.map(|text| text.0)),
            chapter: chapter_of(input.chapter_id),
            picture: given(input.picture_id).map(|id| id.map(|id| PictureId::decode(&id))),
        };
        let (app, reason) = (ctx.app(), &input.reason.0);
        UpdateQuestionPayload::of(questions::update(app, id, input.version, fields, reason, &ctx.cause()).await)
    }

    /// Moves a question of a draft to another position. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn move_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question and its new position.")] input: MoveQuestionInput,
    ) -> Result<Option<MoveQuestionPayload>> {
        let id = question_id(&input.question_id)?;
        let (app, reason, number) = (ctx.app(), &input.reason.0, input.number);
        MoveQuestionPayload::of(questions::move_to(app, id, input.version, number, reason, &ctx.cause()).await)
    }

    /// Removes a question from a draft. It can be restored until the draft is published. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn remove_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question.")] input: RemoveQuestionInput,
    ) -> Result<Option<RemoveQuestionPayload>> {
        let id = question_id(&input.question_id)?;
        let (app, reason) = (ctx.app(), &input.reason.0);
        RemoveQuestionPayload::of(questions::remove(app, id, input.version, reason, &ctx.cause()).await)
    }

    /// Puts a question back that was removed from a draft: where it was, or at the end. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn restore_question(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The question.")] input: RestoreQuestionInput,
    ) -> Result<Option<RestoreQuestionPayload>> {
        let id = question_id(&input.question_id)?;
        let (app, reason) = (ctx.app(), &input.reason.0);
        RestoreQuestionPayload::of(questions::restore(app, id, input.version, reason, &ctx.cause()).await)
    }

    /// Changes several questions of a draft in the same way, all or none of them. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn update_questions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The questions, and what is to change.")] input: UpdateQuestionsInput,
    ) -> Result<Option<UpdateQuestionsPayload>> {
        let id = RevisionId::decode(&input.draft_id)?;
        let named = input.question_ids.iter().map(|id| question_id(id)).collect();
        let bulk = Bulk {
            chapter: chapter_of(input.chapter_id),
            remove: input.remove.unwrap_or(false),
        };
        let (app, reason) = (ctx.app(), &input.reason.0);
        let written = questions::update_many(app, id, input.version, (named, bulk), reason, &ctx.cause()).await;
        UpdateQuestionsPayload::of(written)
    }

    /// Makes a new quiz whose draft is a copy of another quiz's content and settings. When it opens and closes is not copied.
    /// For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn duplicate_quiz(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz and the title of the copy.")] input: DuplicateQuizInput,
    ) -> Result<Option<DuplicateQuizPayload>> {
        let quiz = QuizId::decode(&input.quiz_id)?;
        let (app, reason) = (ctx.app(), &input.reason.0);
        DuplicateQuizPayload::of(draft::duplicate(app, quiz, &input.title, reason, &ctx.cause()).await)
    }
}
