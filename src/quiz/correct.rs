//! Correcting the answer key of a published question.

use rust_decimal::Decimal;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult};
use serde_json::json;

use super::{
    author::Regrade,
    paper::{QuizChanged, RightColumns, corrected, right_columns},
    right::{Choices, Number, Right},
};
use crate::{
    audit::{Action, Entry},
    auth::Viewer,
    change::{Cause, Change},
    db::sql,
    entity::{correction, question::Kind},
    error::{Error, Result},
    id::{ChoiceId, QuestionId, QuizId, RevisionId},
    site::Site,
    text,
};

/// What is to be right, and as which argument it was sent.
#[derive(Clone, Debug)]
pub(crate) enum NowRight {
    /// `choiceId`
    Choice(ChoiceId),
    /// `choiceIds`
    Choices(Vec<ChoiceId>),
    /// `number` and `tolerance`
    Number(Number),
}

impl NowRight {
    fn argument(&self) -> &'static str {
        match self {
            Self::Choice(_) => "choiceId",
            Self::Choices(_) => "choiceIds",
            Self::Number(_) => "number",
        }
    }
}

#[derive(FromQueryResult)]
struct Corrected {
    id: RevisionId,
    quiz_id: QuizId,
    correction: i32,
}

#[derive(FromQueryResult)]
struct Asked {
    kind: Kind,
    #[sea_orm(nested)]
    right: RightColumns,
}

#[derive(FromQueryResult)]
struct Choice {
    id: ChoiceId,
    position: i32,
}

/// Corrects the answer key of a published question: another answer becomes the right one, and all results are rescored.
/// Several choices of a question with one right choice are accepted each. Returns the number of the correction.
pub(crate) async fn correct(
    site: &Site,
    viewer: &Viewer,
    question: QuestionId,
    now_right: &NowRight,
    reason: &str,
    cause: &Cause,
) -> Result<i32> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let (tx, now) = (&change, &cause.now);
    // Submits that are under way hold the revision until their result is stored; later ones find the new key.
    let revision = sql(
        tx,
        "UPDATE revisions SET correction = correction + 1 \
         WHERE id = (SELECT revision_id FROM questions WHERE id = $1) AND state = 'PUBLISHED' \
         RETURNING id, quiz_id, correction",
        [question.into()],
    );
    let revision = Corrected::find_by_statement(revision).one(tx).await?;
    let revision = revision.ok_or(Error::NotFound)?;
    let asked = format!(
        "SELECT q.kind, {} FROM questions q {} WHERE q.id = $1",
        right_columns(),
        corrected("$2")
    );
    let asked = Asked::find_by_statement(sql(tx, asked, [question.into(), i32::MAX.into()]));
    let asked = asked.one(tx).await?.ok_or(Error::NotFound)?;
    let choices = choices(tx, question).await?;
    let right = read(asked.kind, now_right, &choices)?;
    let before = asked.right.read();
    if before == Some(right) {
        return Err(Error::input(now_right.argument(), "This is right already."));
    }
    let row = correction::ActiveModel {
        id: Set(now.id()),
        revision_id: Set(revision.id),
        number: Set(revision.correction),
        question_id: Set(question),
        right_position: Set(right.only_choice().map_or(0, |position| position as i32)),
        reason: Set(reason.clone()),
        made_by: Set(viewer.user()),
        created_at: Set(now.at),
        right_set: Set(right.choices().map(Choices::bits)),
        right_number: Set(right.number().map(|number| number.value.to_string())),
        tolerance: Set(right.number().map(|number| number.tolerance.to_string())),
    };
    correction::Entity::insert(row).exec_without_returning(tx).await?;
    let shown = |right: Option<Right>| right.map(|right| shown(right, &choices));
    let changed = Entry::of(Action::ScoreChanged, question.encode())
        .was(json!({"correction": revision.correction - 1, "right": shown(before)}))
        .became(json!({"correction": revision.correction, "right": shown(Some(right))}))
        .reason(reason.as_str());
    tx.audit(changed).await?;
    change.enqueue(&Regrade { revision: revision.id }).await?;
    change.emit(QuizChanged { quiz: revision.quiz_id }).await?;
    change.commit().await?;
    Ok(revision.correction)
}

/// The choices of a question, in their order.
async fn choices(conn: &impl ConnectionTrait, question: QuestionId) -> Result<Vec<Choice>> {
    let select = "SELECT id, position FROM choices WHERE question_id = $1 ORDER BY position";
    Ok(Choice::find_by_statement(sql(conn, select, [question.into()]))
        .all(conn)
        .await?)
}

/// What is to be right, if a question of this kind and with these choices can have it.
fn read(kind: Kind, now_right: &NowRight, choices: &[Choice]) -> Result<Right> {
    let refused = |message| Err(Error::input(now_right.argument(), message));
    let wanted = match now_right {
        NowRight::Number(number) if kind == Kind::Number && number.tolerance >= Decimal::ZERO => {
            return Ok(Right::Number(*number));
        }
        NowRight::Number(_) if kind == Kind::Number => {
            return Err(Error::input("tolerance", "A tolerance is 0 or more."));
        }
        NowRight::Number(_) => return refused("This question has choices. Send the right ones as `choiceIds`."),
        _ if kind == Kind::Number => return refused("The answer to this question is a number. Send it as `number`."),
        NowRight::Choice(choice) => std::slice::from_ref(choice),
        NowRight::Choices(choices) => choices,
    };
    let position = |wanted: &ChoiceId| {
        let choice = choices.iter().find(|choice| choice.id == *wanted)?;
        usize::try_from(choice.position).ok()
    };
    let positions: Option<Vec<_>> = wanted.iter().map(position).collect();
    match positions.map(Choices::of) {
        None => refused("This is no choice of the question."),
        Some(right) if right.is_empty() => refused("Name at least one right choice."),
        Some(right) => Ok(Right::Choices(right)),
    }
}

/// What was right, for the audit log: the id of the choice, those of several, or the number.
fn shown(right: Right, choices: &[Choice]) -> serde_json::Value {
    let ids = |set: Choices| {
        let right = choices.iter().filter(move |choice| set.has(choice.position as usize));
        right.map(|choice| choice.id.encode()).collect::<Vec<_>>()
    };
    match right {
        Right::Choices(set) => match &ids(set)[..] {
            [one] => json!(one),
            several => json!(several),
        },
        Right::Number(Number { value, tolerance }) => {
            json!({"number": value.to_string(), "tolerance": tolerance.to_string()})
        }
    }
}
