//! Drafts in the API, for staff: what authors see of their questions, with the answers.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, SimpleObject};

use super::{
    chapter::{Chapter, chapter},
    media::{Picture, picture},
    question::QuestionKind,
    quiz::{MarkingScheme, Quiz, quiz},
    subject::{Subject, subject},
    user::{User, user},
};
use crate::{
    api::payload::if_there,
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        cost::{charge, charge_load},
        guard::Needs,
        loader::{DraftChanges, DraftContents, DraftQuestionCounts, DraftQuestions, DraftQuestionsOf, Drafts},
        payload::date_time,
        scalar::{DateTime, Decimal, Markdown},
    },
    error::{Error, Result},
    id::{DraftQuestionId, QuestionId, RevisionId, SubjectId},
    page::Page,
    quiz::{
        Marking, check,
        content::{Content, Written},
        diff,
        draft::{self, Drafted},
    },
};

/// A draft: the next revision of a quiz, which staff edit. Its id is that of the revision.
#[derive(Clone)]
pub(crate) struct Draft(pub(super) Drafted);

impl From<Drafted> for Draft {
    fn from(drafted: Drafted) -> Self {
        Self(drafted)
    }
}

/// The draft with this id, for staff; a discarded one, too.
pub(crate) async fn draft(ctx: &Context<'_>, id: RevisionId) -> Result<Draft> {
    Needs::Staff.of(ctx)?;
    let found = ctx.loader::<Drafts>()?.load_one(id).await?;
    found.map(Draft).ok_or(Error::NotFound)
}

/// The most problems that a draft tells at once.
const MAX_PROBLEMS: usize = 100;

impl Draft {
    /// All questions, charged before they are loaded.
    async fn contents(&self, ctx: &Context<'_>) -> Result<Vec<Arc<Written>>> {
        charge_load(ctx, self.0.revision.size())?;
        let contents = ctx.loader::<DraftContents>()?.load_one(self.0.revision.id).await?;
        contents.ok_or(Error::NotFound)
    }
}

/// A draft: the next revision of a quiz, which staff edit until it is published. Students don't see it. For staff.
#[Object]
impl Draft {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.revision.id.encode().into()
    }

    /// The id of the quiz.
    async fn quiz_id(&self) -> ID {
        self.0.quiz.id.encode().into()
    }

    /// The quiz.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Option<Quiz>> {
        if_there(quiz(ctx, self.0.quiz.id).await)
    }

    /// The title of the quiz.
    async fn title(&self) -> &str {
        &self.0.quiz.title
    }

    /// The subject of the quiz; `null` after it was deleted.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Subject>> {
        if_there(subject(ctx, self.0.quiz.subject_id).await)
    }

    /// The number of the revision that it becomes, from 1.
    async fn number(&self) -> i32 {
        self.0.revision.number
    }

    /// The version, which grows with every change. Each change sends the version that its editor has seen; if another
    /// editor was faster, it gets `CONFLICT` and changes nothing.
    async fn version(&self) -> i32 {
        self.0.revision.version
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

    /// The number of questions.
    async fn question_count(&self) -> i32 {
        self.0.revision.question_count
    }

    /// The questions in their order, with their answers.
    async fn questions(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Whether to return the questions that were removed from the draft instead, the last one first."
        )]
        removed: Option<bool>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Connection<DraftQuestion>> {
        let page = Page::of((first, last), (after, before), |cursor| cursor.parse::<i32>().ok())?;
        let (draft, removed) = (self.0.revision.id, removed.unwrap_or(false));
        let slice = ctx
            .loader::<DraftQuestionsOf>()?
            .load_one((draft, (removed, page)))
            .await?;
        let slice = slice.ok_or(Error::NotFound)?;
        let total = Total::of(move |ctx| {
            Box::pin(async move {
                let count = ctx.loader::<DraftQuestionCounts>()?.load_one((draft, removed)).await?;
                Ok(count.unwrap_or(0))
            })
        });
        let cursor = |question: &Arc<Written>| question.place.to_string();
        Ok(connection(slice, total, cursor, DraftQuestion))
    }

    /// The reasons that it can't be published yet, at most the first 100; empty if it can. Each question counts towards the
    /// cost of the operation.
    async fn problems(&self, ctx: &Context<'_>) -> Result<Vec<DraftProblem>> {
        let questions = self.contents(ctx).await?;
        let whole = check::missing_in_all(questions.len()).map(|message| DraftProblem {
            message,
            question: None,
        });
        let of_questions = questions.iter().filter_map(|question| {
            let problem = check::missing_in(&question.content)?;
            Some(DraftProblem {
                message: format!("Question {}: {problem}.", question.position + 1),
                question: Some(DraftQuestion(question.clone())),
            })
        });
        let problems: Vec<_> = whole.into_iter().chain(of_questions).take(MAX_PROBLEMS).collect();
        charge(ctx, problems.len())?;
        Ok(problems)
    }

    /// The changes against the revision in force with the corrections of its key, question by question in the order of the
    /// draft, then what was removed. A quiz that was never published has only added questions.
    async fn changes(&self, ctx: &Context<'_>) -> Result<Vec<DraftChange>> {
        charge_load(ctx, self.0.revision.size().saturating_mul(2))?;
        let (draft, quiz) = (self.0.revision.id, self.0.quiz.id);
        let changes = ctx.loader::<DraftChanges>()?.load_one((draft, quiz)).await?;
        let changes = changes.ok_or(Error::NotFound)?;
        charge(ctx, changes.len())?;
        Ok(changes.iter().map(DraftChange::from).collect())
    }

    /// The questions as students will see them: without answers and explanations.
    async fn preview(&self, ctx: &Context<'_>) -> Result<Vec<QuestionPreview>> {
        charge(ctx, self.0.revision.size())?;
        let questions = self.contents(ctx).await?;
        let preview = |question: &Arc<Written>| QuestionPreview {
            number: question.position + 1,
            kind: question.content.kind.into(),
            text: Markdown(question.content.text.clone()),
            image: question.content.image.clone(),
            choices: question.content.choices.iter().cloned().map(Markdown).collect(),
        };
        Ok(questions.iter().map(preview).collect())
    }

    /// The time it was begun.
    async fn created_at(&self) -> DateTime {
        date_time(self.0.revision.created_at)
    }

    /// The time of the last change; `null` until there is one.
    async fn updated_at(&self) -> Option<DateTime> {
        self.0.revision.updated_at.map(date_time)
    }

    /// The account that made the last change; `null` until there is one, if it was made on the command line, and after the
    /// account was deleted.
    async fn updated_by(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.0.revision.updated_by {
            Some(id) => if_there(user(ctx, id).await),
            None => Ok(None),
        }
    }

    /// The time it was discarded; `null` unless it was. It can be restored.
    async fn discarded_at(&self) -> Option<DateTime> {
        self.0.revision.discarded_at.map(date_time)
    }
}

/// A question of a draft, with its answer.
#[derive(Clone)]
pub(crate) struct DraftQuestion(pub(super) Arc<Written>);

/// The question of a draft with this id, for staff; a removed one, too.
pub(crate) async fn draft_question(ctx: &Context<'_>, id: DraftQuestionId) -> Result<DraftQuestion> {
    Needs::Staff.of(ctx)?;
    let found = ctx.loader::<DraftQuestions>()?.load_one(QuestionId(id.0)).await?;
    found.map(DraftQuestion).ok_or(Error::NotFound)
}

impl DraftQuestion {
    fn content(&self) -> &Content {
        &self.0.content
    }
}

/// A question of a draft as staff write it, with its answer. For staff.
#[Object]
impl DraftQuestion {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        DraftQuestionId(self.0.id.0).encode().into()
    }

    /// Position in the draft, starting at 1; of a removed question the position that it had.
    async fn number(&self) -> i32 {
        self.0.position + 1
    }

    /// Whether it was removed from the draft. It can be restored until the draft is published.
    async fn removed(&self) -> bool {
        self.0.is_removed
    }

    /// The draft.
    async fn draft(&self, ctx: &Context<'_>) -> Result<Draft> {
        draft(ctx, self.0.revision).await
    }

    /// What it asks for.
    async fn kind(&self) -> QuestionKind {
        self.content().kind.into()
    }

    /// The question.
    async fn text(&self) -> Markdown {
        Markdown(self.content().text.clone())
    }

    /// The path of the question's picture.
    async fn image(&self) -> Option<&str> {
        self.content().image.as_deref()
    }

    /// The choices in their order; empty if it asks for a number.
    async fn choices(&self) -> Vec<DraftChoice> {
        let right = self.content().right_choices();
        let choice = |(at, text): (usize, &crate::text::Markdown)| DraftChoice {
            text: Markdown(text.clone()),
            is_right: right.has(at),
        };
        self.content().choices.iter().enumerate().map(choice).collect()
    }

    /// The right number; `null` if it asks for choices, or as long as none is given.
    async fn right_number(&self) -> Option<Decimal> {
        self.content()
            .right_number()
            .map(|number| Decimal(number.value.to_string()))
    }

    /// How far from the right number an answer may be; `null` as `rightNumber`.
    async fn tolerance(&self) -> Option<Decimal> {
        self.content()
            .right_number()
            .map(|number| Decimal(number.tolerance.to_string()))
    }

    /// The picture.
    async fn picture(&self, ctx: &Context<'_>) -> Result<Option<Picture>> {
        match self.content().picture {
            Some(id) => if_there(picture(ctx, id).await),
            None => Ok(None),
        }
    }

    /// The explanation, which students see in their review.
    async fn explanation(&self) -> Option<Markdown> {
        self.content().explanation.clone().map(Markdown)
    }

    /// The chapter; `null` if there is none, or after its subject was deleted.
    async fn chapter(&self, ctx: &Context<'_>) -> Result<Option<Chapter>> {
        match self.content().chapter {
            Some(id) => if_there(chapter(ctx, id).await),
            None => Ok(None),
        }
    }

    /// The reason that it keeps the draft from being published; `null` if it does not.
    async fn problem(&self) -> Option<String> {
        if self.0.is_removed {
            return None;
        }
        let problem = check::missing_in(self.content())?;
        Some(format!("Question {}: {problem}.", self.0.position + 1))
    }
}

/// A choice of a draft's question.
#[derive(SimpleObject)]
pub(crate) struct DraftChoice {
    /// The text of the choice.
    text: Markdown,
    /// Whether it is right.
    is_right: bool,
}

/// A reason that a draft can't be published yet.
#[derive(SimpleObject)]
pub(crate) struct DraftProblem {
    /// What is missing, with the number of the question.
    message: String,
    /// The question; `null` if the draft as a whole is at fault.
    question: Option<DraftQuestion>,
}

/// A question of a draft as students will see it.
#[derive(SimpleObject)]
pub(crate) struct QuestionPreview {
    /// Position in the quiz, starting at 1.
    number: i32,
    /// What it asks for.
    kind: QuestionKind,
    /// The question.
    text: Markdown,
    /// The path of the question's picture.
    image: Option<String>,
    /// The choices in their order; empty if it asks for a number.
    choices: Vec<Markdown>,
}

/// The kind of a change of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "DraftChangeKind", remote = "diff::Kind")]
pub enum DraftChangeKind {
    /// The question is new.
    Added,
    /// The question is in force, and not in the draft.
    Removed,
    /// Some fields of the question are other ones.
    Changed,
    /// The question has another place among the others, and is the same.
    Moved,
}

/// A field of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "QuestionField", remote = "diff::Field")]
pub enum QuestionField {
    /// What it asks for.
    Kind,
    /// The question.
    Text,
    /// The choices.
    Choices,
    /// The right choices, or the right number with its tolerance.
    Answer,
    /// The explanation.
    Explanation,
    /// The chapter.
    Chapter,
    /// The picture.
    Picture,
    /// The place among the others.
    Position,
}

/// A change of one question against the revision in force.
#[derive(SimpleObject)]
pub(crate) struct DraftChange {
    /// The kind of change.
    kind: DraftChangeKind,
    /// The question in the draft; `null` if it is not there any more.
    question: Option<DraftQuestion>,
    /// The number that the question has in the revision in force; `null` if it is new.
    previous_number: Option<i32>,
    /// The question; as it was, if it is not in the draft any more.
    text: Markdown,
    /// The fields that differ; empty if the question is new or not there any more.
    fields: Vec<QuestionFieldChange>,
}

impl From<&diff::Changed> for DraftChange {
    fn from(change: &diff::Changed) -> Self {
        let text = change.after.as_ref().or(change.before.as_ref());
        let field = |field: &diff::Field| QuestionFieldChange {
            field: (*field).into(),
            of: *field,
            before: change.before.clone(),
            after: change.after.clone(),
        };
        Self {
            kind: change.kind.into(),
            question: change.after.clone().map(DraftQuestion),
            previous_number: change.before.as_ref().map(|question| question.position + 1),
            text: Markdown(text.map_or_else(|| "".into(), |question| question.content.text.clone())),
            fields: change.fields.iter().map(field).collect(),
        }
    }
}

/// A field of a question that differs from the revision in force.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct QuestionFieldChange {
    /// The field.
    field: QuestionField,
    #[graphql(skip)]
    of: diff::Field,
    #[graphql(skip)]
    before: Option<Arc<Written>>,
    #[graphql(skip)]
    after: Option<Arc<Written>>,
}

#[ComplexObject]
impl QuestionFieldChange {
    /// Its value in the revision in force, as text; `null` if it has none.
    async fn before(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.value(ctx, self.before.as_ref()).await
    }

    /// Its value in the draft, as text; `null` if it has none.
    async fn after(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        self.value(ctx, self.after.as_ref()).await
    }
}

impl QuestionFieldChange {
    async fn value(&self, ctx: &Context<'_>, of: Option<&Arc<Written>>) -> Result<Option<String>> {
        let Some(question) = of else {
            return Ok(None);
        };
        if let (diff::Field::Chapter, Some(id)) = (self.of, question.content.chapter) {
            return Ok(if_there(chapter(ctx, id).await)?.map(|chapter| chapter.known_name().to_owned()));
        }
        Ok(diff::value(question, self.of))
    }
}

/// Conditions for drafts. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct DraftFilter {
    /// Matches drafts of quizzes of this subject.
    subject_id: Option<ID>,
    /// Whether to match the discarded drafts instead of the others.
    discarded: Option<bool>,
}

impl DraftFilter {
    fn decode(self) -> Result<draft::Filter> {
        Ok(draft::Filter {
            subject: self.subject_id.map(|id| SubjectId::decode(&id)).transpose()?,
            discarded: self.discarded.unwrap_or(false),
        })
    }
}

/// Drafts: queries.
#[derive(Default)]
pub(crate) struct DraftQuery;

#[Object]
impl DraftQuery {
    /// The drafts, newest first. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn drafts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the drafts. Defaults to all that were not discarded.")] filter: Option<
            DraftFilter,
        >,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Draft>>> {
        let filter = filter.map(DraftFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| RevisionId::decode(cursor).ok())?;
        let slice = draft::list(ctx.app().db.read(), filter, &page).await?;
        let total = Total::of(move |ctx| Box::pin(async move { draft::count(ctx.app().db.read(), filter).await }));
        let cursor = |drafted: &Drafted| drafted.revision.id.encode();
        Ok(Some(connection(slice, total, cursor, Draft)))
    }

    /// A draft, a discarded one, too. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the draft.")] id: ID,
    ) -> Result<Option<Draft>> {
        Box::pin(draft(ctx, RevisionId::decode(&id)?)).await.map(Some)
    }
}
