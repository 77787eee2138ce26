//! Copies of content: the next draft of a quiz, and a quiz that begins as another.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, IntoActiveModel};

use crate::{
    change::Change,
    clock::Moment,
    db::{self, Values},
    entity::revision,
    error::Result,
    id::{QuizId, RevisionId},
    quiz::paper::{corrected, right_columns},
};

/// A draft that is a copy of a revision, without its questions.
pub(super) fn draft_like(from: &revision::Model, quiz: QuizId, number: i32, now: &Moment) -> revision::ActiveModel {
    let mut row = from.clone().into_active_model().reset_all();
    row.id = Set(now.id());
    row.quiz_id = Set(quiz);
    row.number = Set(number);
    row.state = Set(revision::State::Draft);
    row.correction = Set(0);
    row.created_at = Set(now.at);
    row.published_at = Set(None);
    row.superseded_at = Set(None);
    row.version = Set(1);
    row.updated_at = Set(None);
    row.updated_by = Set(None);
    row.discarded_at = Set(None);
    row
}

/// Copies the questions of a revision into an empty draft, as its newest correction has them, without what was removed. Two
/// statements.
pub(super) async fn questions(change: &Change<'_>, from: RevisionId, to: RevisionId) -> Result<()> {
    let mut values = Values::default();
    let id = db::new_id(change, change.now().id(), &mut values);
    let (source, target) = (values.bind(from), values.bind(to));
    let copy = format!(
        "INSERT INTO questions (id, revision_id, position, chapter_id, text, image, explanation, picture_id, kind, \
           right_set, right_position, right_number, tolerance, origin_id) \
         SELECT {id}, t.id, q.position, q.chapter_id, q.text, q.image, q.explanation, q.picture_id, q.kind, {}, \
           COALESCE(q.origin_id, q.id) \
         FROM questions q JOIN revisions t ON t.id = {target} {} \
         WHERE q.revision_id = {source} AND q.removed_from IS NULL",
        right_columns(),
        corrected(&i32::MAX.to_string()),
    );
    change.execute_raw(values.sql(change, copy)).await?;
    let mut values = Values::default();
    let id = db::new_id(change, change.now().id(), &mut values);
    let (source, target) = (values.bind(from), values.bind(to));
    let copy = format!(
        "INSERT INTO choices (id, question_id, position, text) SELECT {id}, n.id, c.position, c.text \
         FROM questions n JOIN questions q ON q.revision_id = {source} AND q.position = n.position \
         JOIN choices c ON c.question_id = q.id WHERE n.revision_id = {target}"
    );
    change.execute_raw(values.sql(change, copy)).await?;
    Ok(())
}
