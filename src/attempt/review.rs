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
    id::{AttemptId, QuestionId},
    quiz::{
        Marking,
        paper::{Key, Paper, Papers, Question},
        right::{Given, Right},
        score::{self, Outcome},
        shuffle::Order,
    },
    site::Site,
    text::Markdown,
};

/// A submitted attempt with the key.
pub(crate) struct Review {
    /// The number of the answer key's correction used for scoring; 0 is the key as published.
    pub correction: i32,
    /// In the order in which the attempt was taken, as are their choices.
    pub questions: Vec<Reviewed>,
    pub order: Order,
}

/// A question with what was answered and what was right.
pub(crate) struct Reviewed {
    pub question: Arc<Question>,
    pub given: Option<Given>,
    pub right: Option<Right>,
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
    choice_set: Option<i32>,
    choice_position: Option<i32>,
    number: Option<String>,
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
            "SELECT r.attempt_id, {}, r.correction, a.question_id, a.choice_set, \
               c.position AS choice_position, a.number \
             FROM results r \
             JOIN quizzes z ON z.id = r.quiz_id \
             LEFT JOIN answers a ON a.attempt_id = r.attempt_id \
             LEFT JOIN choices c ON c.id = a.choice_id \
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
    let seed = |id: &AttemptId| submitted.get(id).and_then(|attempt| attempt.seed);
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
        let order = Order::of(&paper.revision, seed(&id));
        Some((id, review(&rows, paper, key, correction, order)))
    };
    Ok(rows.into_iter().filter_map(review).collect())
}

/// The review of an attempt with these answers.
fn review(rows: &[Row], paper: &Paper, key: &Key, correction: i32, order: Order) -> Review {
    let given = |row: &Row| Given::stored(row.choice_set, row.choice_position, row.number.as_deref());
    let given: HashMap<QuestionId, Given> = rows
        .iter()
        .filter_map(|row| Some((row.question_id?, given(row)?)))
        .collect();
    let marking = Marking {
        right: paper.revision.right_score,
        wrong: paper.revision.wrong_score,
        blank: paper.revision.blank_score,
    };
    let reviewed = |question: &Arc<Question>| {
        let right = key.right.get(&question.id).copied();
        let given = given.get(&question.id).copied();
        let outcome = match right {
            Some(right) => score::outcome(question.kind, right, given),
            None => Outcome::Blank,
        };
        Reviewed {
            question: question.clone(),
            given,
            right,
            outcome,
            worth: score::worth(marking, outcome),
            explanation: key.explanations.get(&question.id).cloned(),
        }
    };
    Review {
        correction,
        questions: order
            .questions(paper)
            .into_iter()
            .filter_map(|place| paper.questions.get(place).map(reviewed))
            .collect(),
        order,
    }
}
