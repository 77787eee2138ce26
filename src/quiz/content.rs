//! Questions as staff write them: with their answers.

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, QueryFilter};

use super::right::{Choices, Number, Right};
use crate::{
    db,
    entity::{
        choice, correction,
        question::{self, Kind},
    },
    id::{ChapterId, PictureId, QuestionId, RevisionId},
    page::{Order, Page, Slice},
    text::Markdown,
};

/// The longest question, in characters.
pub(crate) const MAX_QUESTION: usize = 4_000;
/// The longest choice, in characters.
pub(crate) const MAX_CHOICE: usize = 500;
/// The longest explanation, in characters.
pub(crate) const MAX_EXPLANATION: usize = 8_000;
/// The most questions of a quiz.
pub(crate) const MAX_QUESTIONS: usize = 5_000;

/// A question as staff write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub id: QuestionId,
    pub revision: RevisionId,
    /// The same in all revisions that have the question.
    pub origin: QuestionId,
    /// From 0; of one that was removed, the position that it had.
    pub position: i32,
    /// Its place in the list that has it, which is what pages begin after.
    pub place: i32,
    pub is_removed: bool,
    pub content: Content,
}

/// What a question says, asks for and explains. A draft's may still be incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub kind: Kind,
    pub text: Markdown,
    pub image: Option<String>,
    pub picture: Option<PictureId>,
    pub choices: Vec<Markdown>,
    pub right: Option<Right>,
    pub explanation: Option<Markdown>,
    pub chapter: Option<ChapterId>,
}

impl Content {
    /// The right choices.
    pub fn right_choices(&self) -> Choices {
        self.right.and_then(|right| right.choices()).unwrap_or_default()
    }

    /// The right number.
    pub fn right_number(&self) -> Option<Number> {
        self.right.and_then(|right| right.number())
    }
}

/// The questions of revisions in their order, without what was removed. Two statements.
pub(crate) async fn of_revisions(
    conn: &impl ConnectionTrait,
    revisions: &[RevisionId],
) -> Result<HashMap<RevisionId, Vec<Arc<Written>>>, DbErr> {
    let questions = question::Entity::of_revisions(revisions.iter().copied())
        .all(conn)
        .await?;
    let choices = choice::Entity::of_revisions(revisions.iter().copied())
        .all(conn)
        .await?;
    let mut contents: HashMap<_, Vec<_>> = revisions.iter().map(|revision| (*revision, Vec::new())).collect();
    for question in put_together(questions, choices) {
        contents.entry(question.revision).or_default().push(Arc::new(question));
    }
    Ok(contents)
}

/// The questions of a published revision by its newest correction. Three statements for any number of revisions.
pub(crate) async fn in_force(
    conn: &impl ConnectionTrait,
    revisions: &[RevisionId],
) -> Result<HashMap<RevisionId, Vec<Arc<Written>>>, DbErr> {
    let mut contents = of_revisions(conn, revisions).await?;
    let corrections = correction::Entity::of_revisions(revisions.iter().copied())
        .all(conn)
        .await?;
    let corrected: HashMap<_, _> = corrections
        .into_iter()
        .map(|correction| (correction.question_id, correction))
        .collect();
    for question in contents.values_mut().flatten() {
        if let Some(k) = corrected.get(&question.id) {
            let (number, tolerance) = (k.right_number.as_deref(), k.tolerance.as_deref());
            let right = Right::stored(k.right_set, Some(k.right_position), number, tolerance);
            Arc::make_mut(question).content.right = right;
        }
    }
    Ok(contents)
}

/// Questions with their choices, which are read. One statement, none without questions.
pub(crate) async fn with_choices(
    conn: &impl ConnectionTrait,
    questions: Vec<question::Model>,
) -> Result<Vec<Arc<Written>>, DbErr> {
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let ids = questions.iter().map(|question| question.id);
    let choices = choice::Entity::of_questions(ids).all(conn).await?;
    Ok(put_together(questions, choices).into_iter().map(Arc::new).collect())
}

/// The same page of the questions of each of these revisions, or of those that were removed from them. Two statements.
pub(crate) async fn pages(
    conn: &impl ConnectionTrait,
    revisions: &[RevisionId],
    removed: bool,
    page: &Page<i32>,
) -> Result<HashMap<RevisionId, Slice<Arc<Written>>>, DbErr> {
    let lists = revisions.iter().map(|revision| {
        let list = match removed {
            false => question::Entity::present_in([*revision]),
            true => question::Entity::removed_from([*revision]),
        };
        (*revision, list)
    });
    let place = |question: &question::Model| (question.revision_id, question.position);
    let found = page
        .of_each(conn, lists, (question::Column::Position, Order::Ascending), place)
        .await?;
    let (mut frames, mut questions) = (Vec::new(), Vec::new());
    for (revision, slice) in found {
        frames.push((revision, slice.rows.len(), slice.has_previous, slice.has_next));
        questions.extend(slice.rows);
    }
    let mut written = with_choices(conn, questions).await?.into_iter();
    let slice = |(revision, count, has_previous, has_next)| {
        let rows = written.by_ref().take(count).collect();
        let slice = Slice {
            rows,
            has_previous,
            has_next,
        };
        (revision, slice)
    };
    Ok(frames.into_iter().map(slice).collect())
}

/// The numbers of questions of revisions, or of those that were removed from them. One statement.
pub(crate) async fn counts(
    conn: &impl ConnectionTrait,
    revisions: &[RevisionId],
    removed: bool,
) -> Result<HashMap<RevisionId, u64>, DbErr> {
    let column = question::Column::RevisionId;
    let questions = match removed {
        false => question::Entity::present_in(revisions.iter().copied()),
        true => question::Entity::removed_from(revisions.iter().copied()),
    };
    db::counts(conn, questions, column, question::Column::Id).await
}

/// The questions of drafts with these ids, removed ones too. Two statements.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    ids: &[QuestionId],
) -> Result<HashMap<QuestionId, Arc<Written>>, DbErr> {
    let questions = question::Entity::of_drafts().filter(question::Column::Id.is_in(ids.iter().copied()));
    let found = with_choices(conn, questions.all(conn).await?).await?;
    Ok(found.into_iter().map(|question| (question.id, question)).collect())
}

fn put_together(questions: Vec<question::Model>, choices: Vec<choice::Model>) -> Vec<Written> {
    let mut of_question: HashMap<QuestionId, Vec<Markdown>> = HashMap::new();
    for choice in choices {
        of_question
            .entry(choice.question_id)
            .or_default()
            .push(choice.text.into());
    }
    let written = |question: question::Model| Written {
        id: question.id,
        revision: question.revision_id,
        origin: question.origin_id.unwrap_or(question.id),
        position: question.removed_from.unwrap_or(question.position),
        place: question.position,
        is_removed: question.removed_from.is_some(),
        content: Content {
            right: right_of(&question),
            kind: question.kind,
            text: question.text.into(),
            image: question.image,
            picture: question.picture_id,
            choices: of_question.remove(&question.id).unwrap_or_default(),
            explanation: question.explanation.map(Markdown::from),
            chapter: question.chapter_id,
        },
    };
    questions.into_iter().map(written).collect()
}

/// What is right, as it is stored; `None` as long as nobody has said.
fn right_of(question: &question::Model) -> Option<Right> {
    let (number, tolerance) = (question.right_number.as_deref(), question.tolerance.as_deref());
    let right = Right::stored(question.right_set, question.right_position, number, tolerance)?;
    let is_of_the_kind = (question.kind == Kind::Number) == right.number().is_some();
    (is_of_the_kind && right.choices().is_none_or(|choices| !choices.is_empty())).then_some(right)
}
