//! Questions and choices in the API. Nothing here knows a right answer.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};

use super::chapter::{Chapter, chapter_of_content};
use crate::{
    api::{
        context::RequestContext,
        loader::{ReadableChoices, ReadableQuestions},
        media::Picture,
        scalar::Markdown,
    },
    entity::question,
    error::{Error, Result},
    id::{ChoiceId, QuestionId},
    quiz::{
        paper::{self, Paper},
        right::Choices,
        shuffle::Order,
    },
};

/// A question without its answer, as it stands in its revision or in an attempt.
#[derive(Clone)]
pub(crate) struct Question {
    question: Arc<paper::Question>,
    /// From 1.
    number: i32,
    /// The places of its choices, if they have another order than in the revision.
    order: Option<Vec<usize>>,
}

impl From<Arc<paper::Question>> for Question {
    fn from(question: Arc<paper::Question>) -> Self {
        Self {
            number: question.position + 1,
            question,
            order: None,
        }
    }
}

impl Question {
    /// The question at this place of an attempt.
    pub(super) fn in_attempt(question: Arc<paper::Question>, place: usize, order: &Order) -> Self {
        Self {
            number: i32::try_from(place + 1).unwrap_or(i32::MAX),
            order: order.choices(&question),
            question,
        }
    }

    /// Its choices, in their order.
    fn ordered(&self) -> impl Iterator<Item = (usize, &paper::Choice)> {
        let count = self.question.choices.len();
        let place = move |n: usize| self.order.as_ref().and_then(|order| order.get(n).copied()).unwrap_or(n);
        (0..count)
            .map(place)
            .filter_map(|place| Some((place, self.question.choices.get(place)?)))
    }

    /// Those of its choices that are in a set, in their order.
    pub(super) fn those_in(&self, set: Choices) -> Vec<Choice> {
        let chosen = self.ordered().filter(|(place, _)| set.has(*place));
        chosen.map(|(_, choice)| Choice::from(choice.clone())).collect()
    }
}

/// The questions of a paper.
pub(crate) fn questions(paper: &Paper) -> Vec<Question> {
    paper.questions.iter().cloned().map(Question::from).collect()
}

/// The questions of a paper in the order of an attempt.
pub(super) fn questions_in(paper: &Paper, order: &Order) -> Vec<Question> {
    let places = order.questions(paper).into_iter().enumerate();
    places
        .filter_map(|(n, place)| Some(Question::in_attempt(paper.questions.get(place)?.clone(), n, order)))
        .collect()
}

/// The kind of answer that a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "QuestionKind", remote = "question::Kind")]
pub(crate) enum QuestionKind {
    /// One choice. Exactly one is right.
    SingleChoice,
    /// All right choices and no other. Save it as `choiceIds`.
    AllChoices,
    /// One choice. Several are right, and each of them is accepted.
    AnyChoice,
    /// One of the two choices true and false.
    TrueFalse,
    /// A number; the question has no choices. Save it as `number`.
    Number,
}

/// A question. It does not reveal the right answer, which is only in the review of a submitted attempt.
#[Object]
impl Question {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.question.id.encode().into()
    }

    /// Position, starting at 1: in the quiz, or, for a question of an attempt, in the order of that attempt.
    async fn number(&self) -> i32 {
        self.number
    }

    /// The kind of answer it asks for.
    async fn kind(&self) -> QuestionKind {
        self.question.kind.into()
    }

    /// The question.
    async fn text(&self) -> Markdown {
        Markdown(self.question.text.clone())
    }

    /// The path of the question's picture.
    async fn image(&self) -> Option<&str> {
        self.question.image.as_deref()
    }

    /// The picture.
    async fn picture(&self) -> Option<Picture> {
        self.question.picture.as_deref().cloned().map(Picture::from)
    }

    /// The chapter.
    async fn chapter(&self, ctx: &Context<'_>) -> Result<Option<Chapter>> {
        match self.question.chapter {
            Some(id) => chapter_of_content(ctx, id).await.map(Some),
            None => Ok(None),
        }
    }

    /// The choices, 2 to 6; none if `kind` is `NUMBER`. For a question of an attempt they are in the order of that
    /// attempt: a quiz may shuffle them.
    async fn choices(&self) -> Vec<Choice> {
        self.ordered().map(|(_, choice)| Choice::from(choice.clone())).collect()
    }
}

/// The question with this id, if the viewer may read it.
pub(crate) async fn question(ctx: &Context<'_>, id: QuestionId) -> Result<Question> {
    ctx.viewer()?;
    let found = ctx.loader::<ReadableQuestions>()?.load_one(id).await?;
    found.map(Question::from).ok_or(Error::NotFound)
}

/// A choice, without whether it is right.
#[derive(Clone)]
pub(crate) struct Choice(paper::Choice);

/// The choice with this id, if the viewer may read its question.
pub(crate) async fn choice(ctx: &Context<'_>, id: ChoiceId) -> Result<Choice> {
    ctx.viewer()?;
    let found = ctx.loader::<ReadableChoices>()?.load_one(id).await?;
    let found = found.ok_or(Error::NotFound)?;
    Ok(Choice(paper::Choice {
        id: found.id,
        text: found.text.into(),
    }))
}

/// A choice of a question. It does not reveal whether it is right.
#[Object]
impl Choice {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The text of the choice.
    async fn text(&self) -> Markdown {
        Markdown(self.0.text.clone())
    }
}

impl From<paper::Choice> for Choice {
    fn from(choice: paper::Choice) -> Self {
        Self(choice)
    }
}
