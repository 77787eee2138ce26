//! Questions and choices in the API. Nothing here knows a right answer.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, Object};

use super::quiz::{Chapter, chapter};
use crate::{
    api::{
        context::RequestContext,
        loader::{ReadableChoices, ReadableQuestions},
        scalar::Markdown,
    },
    error::{Error, Result},
    id::{ChoiceId, QuestionId},
    quiz::paper::{self, Paper},
};

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "QuestionKind", remote = "crate::entity::question::Kind")]
pub enum QuestionKind {
    /// One choice; exactly one is right.
    SingleChoice,
    /// All right choices and no other.
    AllChoices,
    /// One choice; several are right.
    AnyChoice,
    /// One of the two choices true and false.
    TrueFalse,
    /// A number, right within a tolerance; there are no choices.
    Number,
}

/// A question without its answer.
#[derive(Clone)]
pub(crate) struct Question(pub Arc<paper::Question>);

/// The questions of a paper.
pub(crate) fn questions(paper: &Paper) -> Vec<Question> {
    paper.questions.iter().cloned().map(Question).collect()
}

/// A question. It does not reveal the right answer, which is only in the review of a submitted attempt.
#[Object]
impl Question {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// Position in the quiz, starting at 1.
    async fn number(&self) -> i32 {
        self.0.position + 1
    }

    /// The question.
    async fn text(&self) -> Markdown {
        Markdown(self.0.text.clone())
    }

    /// The path of the question's picture.
    async fn image(&self) -> Option<&str> {
        self.0.image.as_deref()
    }

    /// The chapter.
    async fn chapter(&self, ctx: &Context<'_>) -> Result<Option<Chapter>> {
        match self.0.chapter {
            Some(id) => chapter(ctx, id).await.map(Some),
            None => Ok(None),
        }
    }

    /// The choices, 2 to 6. Exactly one is right.
    async fn choices(&self) -> Vec<Choice> {
        self.0.choices.iter().cloned().map(Choice::from).collect()
    }
}

/// The question with this id, if the viewer may read it.
pub(crate) async fn question(ctx: &Context<'_>, id: QuestionId) -> Result<Question> {
    ctx.viewer()?;
    let found = ctx.loader::<ReadableQuestions>()?.load_one(id).await?;
    found.map(Question).ok_or(Error::NotFound)
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
