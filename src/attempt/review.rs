//! The review of a submitted attempt: the only way for a student to the right answers and explanations.

use std::{collections::HashMap, sync::Arc};

use sea_orm::FromQueryResult;

use crate::{
    auth::Viewer,
    clock::Moment,
    db::Values,
    entity::{
        attempt,
        reviews::{self, Reviews},
    },
    error::Result,
    id::{AttemptId, ChoiceId, QuestionId},
    quiz::{
        Marking,
        paper::{Choice, Key, Paper, Papers, Question},
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
    attempt_id: AttemptId,
    #[sea_orm(nested)]
    reviews: Reviews,
    correction: i32,
    question_id: Option<QuestionId>,
    choice_id: Option<ChoiceId>,
}

/// The reviews of attempts that the viewer may read, without those that their quizzes keep closed. One statement beside
/// the cached revisions.
pub(crate) async fn reviews(
    site: &Site,
    papers: &Papers,
    viewer: &Viewer,
    attempts: &[attempt::Model],
    now: &Moment,
) -> Result<HashMap<AttemptId, Review>> {
    let submitted = attempts
        .iter()
        .filter(|attempt| attempt.state == attempt::State::Submitted);
    let submitted: HashMap<_, _> = submitted.map(|attempt| (attempt.id, attempt)).collect();
    if submitted.is_empty() {
        return Ok(HashMap::new());
    }
    let conn = site.db.read();
    let mut values = Values::default();
    let ids: Vec<_> = submitted.keys().map(|id| values.bind(*id)).collect();
    let select = values.sql(
        conn,
        format!(
            "SELECT r.attempt_id, {}, r.correction, a.question_id, a.choice_id \
             FROM results r \
             JOIN quizzes z ON z.id = r.quiz_id \
             LEFT JOIN answers a ON a.attempt_id = r.attempt_id \
             WHERE r.attempt_id IN ({})",
            reviews::columns("z", "r.quiz_id", "r.student_id"),
            ids.join(", ")
        ),
    );
    let mut rows: HashMap<AttemptId, Vec<Row>> = HashMap::new();
    for row in Row::find_by_statement(select).all(conn).await? {
        rows.entry(row.attempt_id).or_default().push(row);
    }
    let is_open = |first: &Row| first.reviews.are_open(now.at) || viewer.role().is_staff();
    rows.retain(|_, rows| rows.first().is_some_and(is_open));
    let revision = |id: &AttemptId| submitted.get(id).map(|attempt| attempt.revision_id);
    let revisions: Vec<_> = rows
        .keys()
        .filter_map(revision)
        .map(|revision| (revision, None))
        .collect();
    let corrections = rows
        .iter()
        .filter_map(|(id, rows)| Some((revision(id)?, rows.first()?.correction)));
    let corrections: Vec<_> = corrections.collect();
    let (papers_of, keys) = (
        papers.papers(conn, revisions).await?,
        papers.keys(conn, corrections).await?,
    );
    let review = |(id, rows): (AttemptId, Vec<Row>)| {
        let correction = rows.first()?.correction;
        let revision = revision(&id)?;
        let (paper, key) = (papers_of.get(&revision)?, keys.get(&(revision, correction))?);
        Some((id, review(&rows, paper, key, correction)))
    };
    Ok(rows.into_iter().filter_map(review).collect())
}

/// The review of an attempt with these answers.
fn review(rows: &[Row], paper: &Paper, key: &Key, correction: i32) -> Review {
    let chosen: HashMap<QuestionId, ChoiceId> = rows
        .iter()
        .filter_map(|row| Some((row.question_id?, row.choice_id?)))
        .collect();
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
    Review {
        correction,
        questions: paper.questions.iter().map(reviewed).collect(),
    }
}
