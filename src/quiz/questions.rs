//! Writes to the questions of a draft. Each names the version of the draft that its editor has seen.

use std::sync::Arc;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, sea_query::Expr};
use serde_json::json;

use super::{
    check,
    content::{self, Content, MAX_QUESTIONS, Written},
    diff,
    draft::{Drafted, Edit},
    right::{self, Choices, Number, Right},
};
use crate::{
    audit::Action,
    change::Cause,
    db::Values,
    entity::{
        chapter, choice, picture,
        question::{self, Kind},
    },
    error::{Error, Faults, Result, UserErrorCode},
    id::{ChapterId, PictureId, QuestionId, RevisionId},
    site::Site,
    text::Markdown,
};

/// The most questions that one write names.
const MAX_AT_ONCE: usize = 200;

/// What of a question is written. `None` leaves it as it is.
#[derive(Clone, Default)]
pub(crate) struct Fields {
    pub kind: Option<Kind>,
    pub text: Option<Markdown>,
    /// Each with whether it is right.
    pub choices: Option<Vec<(Markdown, bool)>>,
    /// A decimal number; `Some(None)` takes it away.
    pub right_number: Option<Option<String>>,
    pub tolerance: Option<Option<String>>,
    pub explanation: Option<Option<Markdown>>,
    /// `Some(Err(_))`: an id that no chapter has.
    pub chapter: Option<Option<Result<ChapterId>>>,
    /// `Some(Err(_))`: an id that no picture has.
    pub picture: Option<Option<Result<PictureId>>>,
}

impl Fields {
    /// The content with these fields written, as far as nothing is wrong with them.
    fn apply(self, mut content: Content, faults: &mut Faults) -> Content {
        let before = content.kind;
        content.kind = self.kind.unwrap_or(before);
        content.text = self.text.unwrap_or(content.text);
        content.explanation = match self.explanation {
            Some(explanation) => explanation.filter(|text| !text.as_str().trim().is_empty()),
            None => content.explanation,
        };
        if let Some(choices) = self.choices {
            let right = choices.iter().enumerate().filter(|(_, (_, is_right))| *is_right);
            let right = Choices::of(right.map(|(at, _)| at));
            content.choices = choices.into_iter().map(|(text, _)| text).collect();
            content.right = (!right.is_empty()).then_some(Right::Choices(right));
        } else if content.kind == Kind::Number && before != Kind::Number {
            content.choices = Vec::new();
        }
        let number = |given: Option<Option<String>>, name: &str, faults: &mut Faults| {
            let typed = given.flatten()?;
            if content.kind != Kind::Number {
                faults.note(&[name], "Only a question of the kind NUMBER has this.");
                return None;
            }
            let number = right::decimal(&typed);
            number.map_err(|trouble| faults.note(&[name], trouble)).ok()
        };
        let (has_number, has_tolerance) = (self.right_number.is_some(), self.tolerance.is_some());
        let value = number(self.right_number, "rightNumber", faults);
        let tolerance = number(self.tolerance, "tolerance", faults);
        if tolerance.is_some_and(|tolerance| tolerance.is_sign_negative() && !tolerance.is_zero()) {
            faults.note(&["tolerance"], "A tolerance is 0 or more.");
        }
        if content.kind == Kind::Number {
            let known = content.right_number();
            let value = if has_number {
                value
            } else {
                known.map(|known| known.value)
            };
            let kept = known.map(|known| known.tolerance);
            let tolerance = if has_tolerance { tolerance } else { kept }.unwrap_or_default();
            if value.is_none() && !tolerance.is_zero() && !has_number {
                faults.note(&["rightNumber"], "A tolerance belongs to a number. Give that, too.");
            }
            content.right = value.map(|value| Right::Number(Number { value, tolerance }));
        } else if content.right_number().is_some() {
            content.right = None;
        }
        content
    }
}

/// A question without anything in it.
fn blank() -> Content {
    Content {
        kind: Kind::SingleChoice,
        text: Markdown::of(""),
        image: None,
        picture: None,
        choices: Vec::new(),
        right: None,
        explanation: None,
        chapter: None,
    }
}

/// Where a question goes among the others: `at` counts from 1, as it does for editors.
fn place(at: i32, most: usize, faults: &mut Faults) -> usize {
    let place = usize::try_from(at).unwrap_or(0);
    if !(1..=most).contains(&place) {
        faults.note(&["number"], format!("Give a number from 1 to {most}."));
    }
    place.saturating_sub(1)
}

/// Adds a question to a draft: at its end, or so that it gets this number.
pub(crate) async fn add(
    site: &Site,
    draft: RevisionId,
    version: i32,
    (fields, number): (Fields, Option<i32>),
    reason: &str,
    cause: &Cause,
) -> Result<(Drafted, Arc<Written>)> {
    let mut edit = Edit::begin(site, draft, version, reason, cause).await?;
    if !edit.has_room(1).await? {
        return Err(full());
    }
    let content = edit.written(blank(), fields).await?;
    let count = edit.count().await?;
    let at = number.map_or(count, |number| place(number, count + 1, &mut edit.faults));
    edit.check()?;
    let id: QuestionId = cause.now.id();
    let row = question::ActiveModel {
        id: Set(id),
        revision_id: Set(draft),
        position: Set(PARKED),
        chapter_id: Set(content.chapter),
        text: Set(content.text.as_str().to_owned()),
        image: Set(None),
        picture_id: Set(content.picture),
        explanation: Set(content.explanation.clone().map(Markdown::into_string)),
        right_position: Set(right_position(&content)),
        kind: Set(content.kind),
        right_set: Set(right_set(&content)),
        right_number: Set(content.right_number().map(|number| number.value.to_string())),
        tolerance: Set(content.right_number().map(|number| number.tolerance.to_string())),
        origin_id: Set(None),
        changed_in: Set(Some(edit.draft.version)),
        removed_from: Set(None),
    };
    question::Entity::insert(row)
        .exec_without_returning(&edit.change)
        .await?;
    edit.write_choices(id, &content.choices).await?;
    edit.arrange(Some((id, Side::Before, at))).await?;
    edit.done(id, json!({"added": id.encode(), "number": at + 1})).await
}

/// Changes a question of a draft.
pub(crate) async fn update(
    site: &Site,
    question: QuestionId,
    version: i32,
    fields: Fields,
    reason: &str,
    cause: &Cause,
) -> Result<(Drafted, Arc<Written>)> {
    let (mut edit, before) = begin(site, question, version, reason, cause).await?;
    if before.is_removed {
        return Err(removed());
    }
    let content = edit.written(before.content.clone(), fields).await?;
    edit.check()?;
    let changed = diff::fields(&before.content, &content);
    let update = question::ActiveModel {
        chapter_id: Set(content.chapter),
        text: Set(content.text.as_str().to_owned()),
        picture_id: Set(content.picture),
        explanation: Set(content.explanation.clone().map(Markdown::into_string)),
        right_position: Set(right_position(&content)),
        kind: Set(content.kind),
        right_set: Set(right_set(&content)),
        right_number: Set(content.right_number().map(|number| number.value.to_string())),
        tolerance: Set(content.right_number().map(|number| number.tolerance.to_string())),
        changed_in: Set(Some(edit.draft.version)),
        ..Default::default()
    };
    question::Entity::update_many()
        .set(update)
        .filter(question::Column::Id.eq(question))
        .exec(&edit.change)
        .await?;
    if before.content.choices != content.choices {
        choice::Entity::delete_many()
            .filter(choice::Column::QuestionId.eq(question))
            .exec(&edit.change)
            .await?;
        edit.write_choices(question, &content.choices).await?;
    }
    let fields: Vec<_> = changed
        .iter()
        .map(|field| format!("{field:?}").to_lowercase())
        .collect();
    edit.done(question, json!({"changed": question.encode(), "fields": fields}))
        .await
}

/// Moves a question of a draft so that it gets this number; those in between move up or down.
pub(crate) async fn move_to(
    site: &Site,
    question: QuestionId,
    version: i32,
    number: i32,
    reason: &str,
    cause: &Cause,
) -> Result<(Drafted, Arc<Written>)> {
    let (mut edit, before) = begin(site, question, version, reason, cause).await?;
    if before.is_removed {
        return Err(removed());
    }
    let count = edit.count().await?;
    let to = place(number, count, &mut edit.faults);
    edit.check()?;
    let from = usize::try_from(before.position).unwrap_or(0);
    let side = if to > from { Side::After } else { Side::Before };
    edit.mark(&[question]).await?;
    edit.arrange(Some((question, side, to))).await?;
    edit.done(
        question,
        json!({"moved": question.encode(), "from": from + 1, "to": to + 1}),
    )
    .await
}

/// Takes a question out of a draft. Until the draft is published it can be put back.
pub(crate) async fn remove(
    site: &Site,
    question: QuestionId,
    version: i32,
    reason: &str,
    cause: &Cause,
) -> Result<(Drafted, Arc<Written>)> {
    let (mut edit, before) = begin(site, question, version, reason, cause).await?;
    if before.is_removed {
        return Err(Error::refused(UserErrorCode::Conflict, "This question was removed already.").at("questionId"));
    }
    edit.check()?;
    edit.take_out(&[question]).await?;
    edit.arrange(None).await?;
    let became = json!({"removed": [question.encode()], "number": before.position + 1});
    edit.done(question, became).await
}

/// Puts a question back that was removed from a draft: where it was, or at the end if there are not so many any more.
pub(crate) async fn restore(
    site: &Site,
    question: QuestionId,
    version: i32,
    reason: &str,
    cause: &Cause,
) -> Result<(Drafted, Arc<Written>)> {
    let (mut edit, before) = begin(site, question, version, reason, cause).await?;
    if !before.is_removed {
        return Err(Error::refused(UserErrorCode::Conflict, "This question was not removed.").at("questionId"));
    }
    if !edit.has_room(1).await? {
        return Err(full());
    }
    edit.check()?;
    let at = usize::try_from(before.position).unwrap_or(0).min(edit.count().await?);
    question::Entity::update_many()
        .col_expr(question::Column::RemovedFrom, Expr::value(None::<i32>))
        .col_expr(question::Column::Position, Expr::value(PARKED))
        .filter(question::Column::Id.eq(question))
        .exec(&edit.change)
        .await?;
    edit.mark(&[question]).await?;
    edit.arrange(Some((question, Side::Before, at))).await?;
    edit.done(question, json!({"restored": question.encode(), "number": at + 1}))
        .await
}

/// What is done to several questions at once.
#[derive(Clone, Default)]
pub(crate) struct Bulk {
    pub chapter: Option<Option<Result<ChapterId>>>,
    /// Takes them out of the draft.
    pub remove: bool,
}

/// Changes several questions of a draft in the same way, all or none of them.
pub(crate) async fn update_many(
    site: &Site,
    draft: RevisionId,
    version: i32,
    (questions, bulk): (Vec<Result<QuestionId>>, Bulk),
    reason: &str,
    cause: &Cause,
) -> Result<Drafted> {
    let mut edit = Edit::begin(site, draft, version, reason, cause).await?;
    if !(1..=MAX_AT_ONCE).contains(&questions.len()) {
        edit.faults
            .note(&["questionIds"], format!("Name 1 to {MAX_AT_ONCE} questions."));
        edit.check()?;
    }
    let ids: Vec<_> = questions.iter().flatten().copied().collect();
    let there = question::Entity::present_in([draft]).filter(question::Column::Id.is_in(ids.iter().copied()));
    let there: Vec<QuestionId> = there.all(&edit.change).await?.into_iter().map(|row| row.id).collect();
    for (at, question) in questions.iter().enumerate() {
        if !question.as_ref().is_ok_and(|question| there.contains(question)) {
            let message = "This is no question of the draft. Leave it out, or restore it first.";
            edit.faults.note(&["questionIds", &at.to_string()], message);
        }
    }
    let chapter = match bulk.chapter.clone() {
        Some(chapter) => Some(edit.chapter(chapter).await?),
        None => None,
    };
    if bulk.chapter.is_none() && !bulk.remove {
        edit.faults.note(
            &["chapterId"],
            "Say what is to change: the chapter, or that they are removed.",
        );
    }
    edit.check()?;
    if let Some(chapter) = chapter {
        question::Entity::update_many()
            .col_expr(question::Column::ChapterId, Expr::value(chapter))
            .filter(question::Column::Id.is_in(there.iter().copied()))
            .exec(&edit.change)
            .await?;
        edit.mark(&there).await?;
    }
    if bulk.remove {
        edit.take_out(&there).await?;
        edit.arrange(None).await?;
    }
    let encoded: Vec<_> = there.iter().map(|question| question.encode()).collect();
    let mut became = json!({});
    if let Some(chapter) = chapter {
        became["changed"] = json!(encoded);
        became["chapter"] = json!(chapter.map(ChapterId::encode));
    }
    if bulk.remove {
        became["removed"] = json!(encoded);
    }
    edit.finish(Action::DraftChanged, None, became).await
}

fn full() -> Error {
    let message = format!("A quiz has at most {MAX_QUESTIONS} questions.");
    Error::refused(UserErrorCode::Conflict, message)
}

fn removed() -> Error {
    let message = "This question was removed. Restore it first.";
    Error::refused(UserErrorCode::Conflict, message).at("questionId")
}

fn right_position(content: &Content) -> Option<i32> {
    content.right?.only_choice().and_then(|at| i32::try_from(at).ok())
}

fn right_set(content: &Content) -> Option<i32> {
    (content.kind != Kind::Number).then(|| content.right_choices().bits())
}

/// Begins a write to a question of a draft.
async fn begin<'s>(
    site: &'s Site,
    question: QuestionId,
    version: i32,
    reason: &str,
    cause: &Cause,
) -> Result<(Edit<'s>, Arc<Written>)> {
    let of = question::Entity::of_drafts().filter(question::Column::Id.eq(question));
    let of = of.one(site.db.read()).await?.ok_or(Error::NotFound)?;
    let edit = Edit::begin(site, of.revision_id, version, reason, cause).await?;
    let before = content::find(&edit.change, &[question]).await?.remove(&question);
    Ok((edit, before.ok_or(Error::NotFound)?))
}

/// Where a question is while the others make room for it.
const PARKED: i32 = -2_000_000_000;
/// Above the positions of all that were removed.
const REMOVED: i32 = -1_000_000;

/// On which side of the question that has its new place a question is put.
#[derive(Clone, Copy)]
enum Side {
    Before,
    After,
}

impl Edit<'_> {
    /// The content with these fields written; what is wrong is noted.
    async fn written(&mut self, content: Content, mut fields: Fields) -> Result<Content> {
        let (chapter, picture) = (fields.chapter.take(), fields.picture.take());
        let mut content = fields.apply(content, &mut self.faults);
        check::wrong(&content, &mut self.faults);
        if let Some(chapter) = chapter {
            content.chapter = self.chapter(chapter).await?;
        }
        if let Some(picture) = picture {
            content.picture = self.picture(picture).await?;
        }
        Ok(content)
    }

    /// A chapter of the quiz's subject.
    async fn chapter(&mut self, chapter: Option<Result<ChapterId>>) -> Result<Option<ChapterId>> {
        let Some(chapter) = chapter else {
            return Ok(None);
        };
        if let Ok(id) = chapter {
            let there = chapter::Entity::present()
                .filter(chapter::Column::Id.eq(id))
                .filter(chapter::Column::SubjectId.eq(self.quiz.subject_id));
            if there.one(&self.change).await?.is_some() {
                return Ok(Some(id));
            }
        }
        self.faults
            .note(&["chapterId"], "Choose a chapter of the quiz's subject.");
        Ok(None)
    }

    async fn picture(&mut self, picture: Option<Result<PictureId>>) -> Result<Option<PictureId>> {
        let Some(picture) = picture else {
            return Ok(None);
        };
        if let Ok(id) = picture {
            let there = picture::Entity::present().filter(picture::Column::Id.eq(id));
            if there.one(&self.change).await?.is_some() {
                return Ok(Some(id));
            }
        }
        self.faults
            .note(&["pictureId"], "Choose one of the pictures, or upload it first.");
        Ok(None)
    }

    async fn count(&self) -> Result<usize> {
        let counts = content::counts(&self.change, &[self.draft.id], false).await?;
        let count = counts.get(&self.draft.id).copied().unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    async fn write_choices(&self, question: QuestionId, choices: &[Markdown]) -> Result<()> {
        if choices.is_empty() {
            return Ok(());
        }
        let row = |(position, text): (i32, &Markdown)| choice::ActiveModel {
            id: Set(self.change.now().id()),
            question_id: Set(question),
            position: Set(position),
            text: Set(text.as_str().to_owned()),
        };
        choice::Entity::insert_many((0..).zip(choices).map(row))
            .exec_without_returning(&self.change)
            .await?;
        Ok(())
    }

    /// Notes that this version of the draft has written these questions.
    async fn mark(&self, questions: &[QuestionId]) -> Result<()> {
        question::Entity::update_many()
            .col_expr(question::Column::ChangedIn, Expr::value(self.draft.version))
            .filter(question::Column::Id.is_in(questions.iter().copied()))
            .exec(&self.change)
            .await?;
        Ok(())
    }

    /// Takes questions out, to places below all that were taken out before.
    async fn take_out(&self, questions: &[QuestionId]) -> Result<()> {
        let mut values = Values::default();
        let (draft, version) = (values.bind(self.draft.id), values.bind(self.draft.version));
        let ids: Vec<_> = questions.iter().map(|question| values.bind(*question)).collect();
        let lowest = format!(
            "(SELECT COALESCE(MIN(o.position), {REMOVED}) FROM questions o \
              WHERE o.revision_id = {draft} AND o.removed_from IS NOT NULL)"
        );
        // Read before the first row is written.
        let update = format!(
            "UPDATE questions SET removed_from = position, changed_in = {version}, position = l.lowest - 1 - position \
             FROM (SELECT {lowest} AS lowest) AS l WHERE id IN ({})",
            ids.join(", ")
        );
        self.change.execute_raw(values.sql(&self.change, update)).await?;
        Ok(())
    }

    /// Numbers the questions anew, without gaps; one of them goes beside the one that has the position now. Those that keep
    /// their position are not written. No two questions share a position meanwhile: each goes by a negative one.
    async fn arrange(&self, moved: Option<(QuestionId, Side, usize)>) -> Result<()> {
        let mut values = Values::default();
        let draft = values.bind(self.draft.id);
        let key = match moved {
            Some((question, side, at)) => {
                let at = i64::try_from(at).unwrap_or(0) * 2;
                let at = match side {
                    Side::Before => at - 1,
                    Side::After => at + 1,
                };
                let question = values.bind(question);
                format!("CASE WHEN id = {question} THEN {at} ELSE position * 2 END")
            }
            None => "position".to_owned(),
        };
        let number = format!(
            "UPDATE questions SET position = -1 - o.place FROM (SELECT id, ROW_NUMBER() OVER (ORDER BY {key}) - 1 AS place \
             FROM questions WHERE revision_id = {draft} AND removed_from IS NULL) AS o \
             WHERE questions.id = o.id AND questions.position <> o.place"
        );
        self.change.execute_raw(values.sql(&self.change, number)).await?;
        let mut values = Values::default();
        let draft = values.bind(self.draft.id);
        let turn = format!(
            "UPDATE questions SET position = -1 - position \
             WHERE revision_id = {draft} AND removed_from IS NULL AND position < 0"
        );
        self.change.execute_raw(values.sql(&self.change, turn)).await?;
        Ok(())
    }

    /// Commits; returns the draft and the question as they are now.
    async fn done(self, question: QuestionId, became: serde_json::Value) -> Result<(Drafted, Arc<Written>)> {
        let written = content::find(&self.change, &[question]).await?.remove(&question);
        let drafted = self.finish(Action::DraftChanged, None, became).await?;
        Ok((drafted, written.ok_or(Error::NotFound)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_kind_takes_away_what_the_other_kind_has() {
        let choices = vec![(Markdown::of("a"), true), (Markdown::of("b"), true)];
        let apply = |content: Content, fields: Fields| {
            let mut faults = Faults::default();
            let content = fields.apply(content, &mut faults);
            check::wrong(&content, &mut faults);
            (content, faults)
        };
        let text = Some(Markdown::of("A question?"));
        let all = Fields {
            kind: Some(Kind::AllChoices),
            text,
            choices: Some(choices),
            ..Fields::default()
        };
        let (all, faults) = apply(blank(), all);
        assert!(faults.is_empty() && check::missing_in(&all).is_none());
        let single = Fields {
            kind: Some(Kind::SingleChoice),
            ..Fields::default()
        };
        assert!(!apply(all.clone(), single).1.is_empty(), "two are right");
        let number = Fields {
            kind: Some(Kind::Number),
            right_number: Some(Some("9.81".into())),
            ..Fields::default()
        };
        let (number, faults) = apply(all, number);
        assert!(faults.is_empty() && check::missing_in(&number).is_none() && number.choices.is_empty());
        let tolerance = |text: &str| Fields {
            tolerance: Some(Some(text.into())),
            ..Fields::default()
        };
        let (near, faults) = apply(number.clone(), tolerance("0.01"));
        assert!(
            faults.is_empty()
                && near
                    .right_number()
                    .is_some_and(|right| right.tolerance == rust_decimal::Decimal::new(1, 2))
        );
        assert!(!apply(number.clone(), tolerance("-1")).1.is_empty());
        let back = Fields {
            kind: Some(Kind::TrueFalse),
            choices: Some(vec![(Markdown::of("True"), false), (Markdown::of("False"), true)]),
            ..Fields::default()
        };
        let (back, faults) = apply(near, back);
        assert!(faults.is_empty() && back.right == Some(Right::one(1)));
    }
}
