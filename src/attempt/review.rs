//! The review of a submitted attempt: the only way for a student to the right answers and explanations.

use std::{collections::HashMap, sync::Arc};

use sea_orm::FromQueryResult;

use super::terms::ReviewPolicy;
use crate::{
    auth::Viewer,
    clock::{Moment, Time},
    db::sql,
    entity::attempt,
    error::Result,
    id::{ChoiceId, QuestionId},
    quiz::{
        Marking,
        paper::{Choice, Papers, Question},
        score::{self, Outcome},
    },
    site::Site,
    text::Markdown,
};

/// A submitted attempt with the key.
pub(crate) struct Review {
    /// The number of the answer key's correction used for scoring; 0 is the key as published.
    pub correction: i32,
    pub questions: Vec<Reviewed>,
}

/// A question with what was chosen and what was right.
pub(crate) struct Reviewed {
    pub question: Arc<Question>,
    pub chosen: Option<Choice>,
    pub right: Option<Choice>,
    pub outcome: Outcome,
    /// The points of the outcome, in thousandths.
    pub worth: i64,
    pub explanation: Option<Markdown>,
}

#[derive(FromQueryResult)]
struct Row {
    review_opens: crate::entity::quiz::ReviewOpens,
    max_attempts: Option<i32>,
    closes_at: Option<Time>,
    submitted: i64,
    open_ranked: i64,
    correction: i32,
    question_id: Option<QuestionId>,
    choice_id: Option<ChoiceId>,
}

/// The review of an attempt that the viewer may read; nothing while the quiz keeps it closed. One statement beside the
/// cached revision.
pub(crate) async fn review(
    site: &Site,
    papers: &Papers,
    viewer: &Viewer,
    attempt: &attempt::Model,
    now: &Moment,
) -> Result<Option<Review>> {
    if attempt.state == attempt::State::InProgress {
        return Ok(None);
    }
    let conn = site.db.read();
    let select = sql(
        conn,
        "SELECT z.review_opens, z.max_attempts, z.closes_at, r.correction, a.question_id, a.choice_id, \
                (SELECT COUNT(*) FROM attempts b \
                 WHERE b.student_id = r.student_id AND b.quiz_id = r.quiz_id AND b.state = 'SUBMITTED') AS submitted, \
                (SELECT COUNT(*) FROM attempts b \
                 WHERE b.student_id = r.student_id AND b.quiz_id = r.quiz_id AND b.state = 'IN_PROGRESS' AND b.ranked) \
                AS open_ranked \
         FROM results r \
         JOIN quizzes z ON z.id = r.quiz_id \
         LEFT JOIN answers a ON a.attempt_id = r.attempt_id \
         WHERE r.attempt_id = $1",
        [attempt.id.into()],
    );
    let rows = Row::find_by_statement(select).all(conn).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let policy = ReviewPolicy {
        review_opens: first.review_opens,
        max_attempts: first.max_attempts,
        closes_at: first.closes_at,
    };
    // Staff may have opened reviews while a ranked attempt was under way: it ends first.
    let open = policy.is_open(first.submitted, now.at) && first.open_ranked == 0;
    if !open && !viewer.role().is_staff() {
        return Ok(None);
    }
    let chosen: HashMap<QuestionId, ChoiceId> = rows
        .iter()
        .filter_map(|row| Some((row.question_id?, row.choice_id?)))
        .collect();
    let paper = papers.paper(conn, attempt.revision_id).await?;
    let key = papers.key(conn, attempt.revision_id, first.correction).await?;
    let marking = Marking {
        right: paper.revision.right_score,
        wrong: paper.revision.wrong_score,
        blank: paper.revision.blank_score,
    };
    let reviewed = |question: &Arc<Question>| {
        let choice = |id: &ChoiceId| question.choices.iter().find(|choice| choice.id == *id).cloned();
        let right = key.right.get(&question.id);
        let chosen = chosen.get(&question.id);
        let outcome = match right {
            Some(right) => score::outcome(*right, chosen.copied()),
            None => Outcome::Blank,
        };
        Reviewed {
            question: question.clone(),
            chosen: chosen.and_then(choice),
            right: right.and_then(choice),
            outcome,
            worth: score::worth(marking, outcome),
            explanation: key.explanations.get(&question.id).cloned(),
        }
    };
    Ok(Some(Review {
        correction: first.correction,
        questions: paper.questions.iter().map(reviewed).collect(),
    }))
}
