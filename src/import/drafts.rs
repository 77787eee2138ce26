//! Questions of an import that go into the draft of a quiz: written beside it first, and moved into it by the last
//! transaction.

use std::collections::{HashMap, HashSet};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, sea_query::Expr};

use crate::{
    change::Change,
    db::sql,
    entity::{choice, question, revision, unfinished_quiz},
    error::{Error, Result, UserErrorCode},
    id::{QuestionId, QuizId, SubjectId},
    quiz::{
        author::{Draft, NewQuestion},
        draft,
    },
};

/// Above every position of a question.
const ASIDE: i32 = 1_000_000;

/// The subject and the title of a quiz that is not deleted, if it has a draft.
pub(super) async fn of_quiz(conn: &impl ConnectionTrait, quiz: QuizId) -> Result<(SubjectId, String)> {
    #[derive(FromQueryResult)]
    struct Row {
        subject_id: SubjectId,
        title: String,
        has_draft: bool,
    }
    let select = "SELECT q.subject_id, q.title, EXISTS (SELECT 1 FROM revisions r WHERE r.quiz_id = q.id AND r.state = \
                  'DRAFT' AND r.discarded_at IS NULL) AS has_draft FROM quizzes q WHERE q.id = $1 AND q.deleted_at IS NULL \
                  AND NOT EXISTS (SELECT 1 FROM unfinished_quizzes u WHERE u.quiz_id = q.id)";
    let row = Row::find_by_statement(sql(conn, select, [quiz.into()]))
        .one(conn)
        .await?;
    let row = row.ok_or(Error::NotFound)?;
    if !row.has_draft {
        let message = format!(
            "The quiz \u{201C}{}\u{201D} has no draft. Begin one, and import into it.",
            row.title
        );
        return Err(Error::refused(UserErrorCode::Conflict, message));
    }
    Ok((row.subject_id, row.title))
}

/// Takes out what the draft has already: questions with the same text, choices and answer.
pub(super) async fn leave_out(
    conn: &impl ConnectionTrait,
    quiz: QuizId,
    questions: &mut Vec<NewQuestion>,
) -> Result<()> {
    let Some(draft) = revision::Entity::draft_of(quiz).one(conn).await? else {
        return Ok(());
    };
    let mut choices: HashMap<QuestionId, Vec<String>> = HashMap::new();
    let mut rows = choice::Entity::of_revision(draft.id).all(conn).await?;
    rows.sort_by_key(|choice| choice.position);
    for row in rows {
        choices.entry(row.question_id).or_default().push(row.text);
    }
    let there: HashSet<_> = question::Entity::of_revision(draft.id)
        .all(conn)
        .await?
        .into_iter()
        .map(|row| {
            let right = (
                row.right_set,
                row.right_position.filter(|_| row.right_set.is_none()),
                row.right_number,
            );
            (row.text, choices.remove(&row.id).unwrap_or_default(), right)
        })
        .collect();
    questions.retain(|new| {
        let texts: Vec<String> = new.choices.iter().map(|choice| choice.as_str().to_owned()).collect();
        let set = new.right.choices().map(|right| right.bits());
        let number = new.right.number().map(|number| number.value.to_string());
        let one = new.right.only_choice().map(|place| place as i32);
        let text = new.text.as_str().to_owned();
        let by_set = (text.clone(), texts.clone(), (set, None, number.clone()));
        let by_position = (text, texts, (None, one, number));
        let is_there = there.contains(&by_set) || (one.is_some() && there.contains(&by_position));
        !is_there
    });
    Ok(())
}

/// Moves questions that were written aside into the draft of a quiz, whose version grows. Those that are replaced are in
/// the hidden quiz afterwards. Returns how many the draft had before, and its version now.
pub(super) async fn take_in(
    change: &Change<'_>,
    aside: &Draft,
    quiz: QuizId,
    version: Option<i32>,
    replace: bool,
) -> Result<(usize, i32)> {
    #[derive(FromQueryResult)]
    struct Before {
        questions: i64,
        next: i32,
    }
    let version = match version {
        Some(version) => version,
        None => {
            let draft = revision::Entity::draft_of(quiz).one(change).await?;
            draft.ok_or(Error::NotFound)?.version
        }
    };
    let held = draft::hold(change, quiz, version).await?;
    let count = "SELECT COUNT(*) AS questions, COALESCE(MAX(position), -1) + 1 AS next FROM questions \
         WHERE revision_id = $1 AND removed_from IS NULL";
    let before = Before::find_by_statement(sql(change, count, [held.id.into()]))
        .one(change)
        .await?;
    let before = before.ok_or_else(|| Error::internal("a count without a row"))?;
    let move_ = async |from, to, by: i32, below: i32| {
        let moved = question::Entity::update_many()
            .col_expr(question::Column::RevisionId, Expr::value(to))
            .col_expr(
                question::Column::Position,
                Expr::col(question::Column::Position).add(by),
            )
            .col_expr(question::Column::ChangedIn, Expr::value(Some(held.version)))
            .filter(question::Column::RevisionId.eq(from))
            .filter(question::Column::RemovedFrom.is_null())
            .filter(question::Column::Position.lt(below));
        moved.exec(change).await
    };
    let offset = if replace {
        move_(held.id, aside.revision, ASIDE, ASIDE).await?;
        0
    } else {
        before.next
    };
    move_(aside.revision, held.id, offset, ASIDE).await?;
    let kept = if replace { 0 } else { before.questions };
    let count = i32::try_from(kept).unwrap_or(i32::MAX) + aside.questions as i32;
    revision::Entity::update_many()
        .col_expr(revision::Column::QuestionCount, Expr::value(count))
        .filter(revision::Column::Id.eq(held.id))
        .exec(change)
        .await?;
    // From here on nobody's: whichever run comes by discards it.
    unfinished_quiz::Entity::update_many()
        .col_expr(unfinished_quiz::Column::ImportId, Expr::value(None::<uuid::Uuid>))
        .filter(unfinished_quiz::Column::QuizId.eq(aside.quiz))
        .exec(change)
        .await?;
    Ok((usize::try_from(before.questions).unwrap_or(0), held.version))
}
