//! Signals for staff that results of a quiz may not be what they look like. A signal is no verdict: docs/integrity.md.
//!
//! Computed when asked for, over the best ranked results of a quiz: whoever is far down has gained nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{ConnectionTrait, FromQueryResult};
use tokio::task::spawn_blocking;

use crate::{
    clock::Time,
    db::sql,
    entity::question::Kind,
    error::{Error, Result},
    id::{AttemptId, QuestionId, QuizId, RevisionId, UserId},
    quiz::{
        paper::{RightColumns, corrected, right_columns},
        right::{Given, Right},
        score::{self, Outcome},
    },
};

/// The best ranked results of a quiz that are looked at.
const MOST_ATTEMPTS: usize = 500;
/// Accounts at one address and device from which on it is taken for a school's, or a provider's.
const SHARED_BY_TOO_MANY: usize = 6;
/// Common wrong answers below which they may well be chance.
const FEWEST_COMMON_ERRORS: usize = 6;
/// Seconds below which nobody reads a question.
const FEWEST_SECONDS: f64 = 4.0;

/// The kind of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignalKind {
    /// The same wrong answers.
    SameAnswers,
    /// Different accounts on the same device.
    SameDevice,
    /// Too little time to read the questions.
    FastAnswers,
}

/// Something that staff may want to look at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Signal {
    pub kind: SignalKind,
    /// The best first.
    pub attempts: Vec<AttemptId>,
    /// How strong it is among those of its kind.
    weight: f64,
    pub summary: String,
}

/// The signals of a quiz, those of each kind together, the strongest first. Four statements.
pub(crate) async fn signals(conn: &impl ConnectionTrait, quiz: QuizId, most: usize) -> Result<Vec<Signal>> {
    let select = |columns: &str, joins: &str| {
        sql(
            conn,
            format!(
                "WITH best AS (SELECT r.attempt_id, r.student_id, a.revision_id, a.started_at, r.submitted_at, \
                                      r.right_count \
                               FROM results r JOIN attempts a ON a.id = r.attempt_id \
                               WHERE r.quiz_id = $1 AND r.ranked \
                               ORDER BY r.score DESC, r.submitted_at, r.attempt_id LIMIT {MOST_ATTEMPTS}) \
                 SELECT {columns} FROM {joins}"
            ),
            [quiz.into()],
        )
    };
    let taken = Taken::find_by_statement(select("*", "best")).all(conn).await?;
    let answers = select(
        "s.attempt_id, s.question_id, s.choice_set, c.position AS choice_position, s.number, s.answered_at",
        "best JOIN answers s ON s.attempt_id = best.attempt_id LEFT JOIN choices c ON c.id = s.choice_id",
    );
    let answers = Answer::find_by_statement(answers).all(conn).await?;
    let key = select(
        &format!("q.id AS question_id, q.kind, {}", right_columns()),
        &format!(
            "questions q {} WHERE q.revision_id IN (SELECT revision_id FROM best)",
            corrected(&i32::MAX.to_string())
        ),
    );
    let key = KeyRow::find_by_statement(key).all(conn).await?;
    let devices = select(
        "DISTINCT best.attempt_id, best.student_id, s.address, s.user_agent",
        "best JOIN sessions s ON s.user_id = best.student_id \
         WHERE s.address IS NOT NULL AND s.created_at <= best.submitted_at \
           AND (s.revoked_at IS NULL OR s.revoked_at >= best.started_at)",
    );
    let devices = Device::find_by_statement(devices).all(conn).await?;
    // Pairs of hundreds of papers: not on a thread that serves.
    let compare = move || {
        let papers = papers(&taken, answers);
        let right = |row: KeyRow| Some((row.question_id, (row.kind, row.right.read()?)));
        let key = key.into_iter().filter_map(right).collect();
        let order = taken.iter().enumerate().map(|(place, taken)| (taken.attempt_id, place));
        let order: HashMap<_, _> = order.collect();
        let mut signals = same_answers(&papers, &key);
        signals.extend(same_device(devices, &order));
        signals.extend(fast_answers(&papers));
        signals.sort_by(|a, b| a.kind.cmp(&b.kind).then(b.weight.total_cmp(&a.weight)));
        signals.truncate(most);
        signals
    };
    spawn_blocking(compare).await.map_err(Error::internal)
}

#[derive(FromQueryResult)]
struct Taken {
    attempt_id: AttemptId,
    student_id: UserId,
    revision_id: RevisionId,
    started_at: Time,
    right_count: i32,
}

#[derive(FromQueryResult)]
struct Answer {
    attempt_id: AttemptId,
    question_id: QuestionId,
    choice_set: Option<i32>,
    choice_position: Option<i32>,
    number: Option<String>,
    answered_at: Time,
}

#[derive(FromQueryResult)]
struct KeyRow {
    question_id: QuestionId,
    kind: Kind,
    #[sea_orm(nested)]
    right: RightColumns,
}

#[derive(FromQueryResult)]
struct Device {
    attempt_id: AttemptId,
    student_id: UserId,
    address: String,
    user_agent: Option<String>,
}

/// The key of the questions.
type Key = HashMap<QuestionId, (Kind, Right)>;

/// An attempt with its answers.
struct Paper {
    attempt: AttemptId,
    student: UserId,
    revision: RevisionId,
    right_count: i32,
    answers: BTreeMap<QuestionId, Given>,
    /// From the start to the last answer.
    seconds: f64,
}

/// The papers, the best first.
fn papers(taken: &[Taken], answers: Vec<Answer>) -> Vec<Paper> {
    let mut of_attempt: HashMap<AttemptId, Vec<Answer>> = HashMap::new();
    for answer in answers {
        of_attempt.entry(answer.attempt_id).or_default().push(answer);
    }
    let paper = |taken: &Taken| {
        let answers = of_attempt.remove(&taken.attempt_id).unwrap_or_default();
        let last = answers.iter().map(|answer| answer.answered_at).max();
        Paper {
            attempt: taken.attempt_id,
            student: taken.student_id,
            revision: taken.revision_id,
            right_count: taken.right_count,
            seconds: last.unwrap_or(taken.started_at).since(taken.started_at).as_secs_f64(),
            answers: answers
                .into_iter()
                .filter_map(|answer| {
                    let number = answer.number.as_deref();
                    let given = Given::stored(answer.choice_set, answer.choice_position, number)?;
                    Some((answer.question_id, given))
                })
                .collect(),
        }
    };
    taken.iter().map(paper).collect()
}

/// Pairs of students with the same wrong answers, by the measure of Harpp and Hogan ("Crime in the classroom", J. Chem.
/// Educ. 70, 1993, p. 306): the exact errors in common are at least as many as all differences, and most errors on
/// common questions are the same.
fn same_answers(papers: &[Paper], key: &Key) -> Vec<Signal> {
    let questions: BTreeSet<QuestionId> = papers.iter().flat_map(|paper| paper.answers.keys().copied()).collect();
    // Rows of equal length, which are compared at once: the answer, by a number, and whether it is wrong.
    let mut numbers: HashMap<(QuestionId, Given), u32> = HashMap::new();
    let mut row = |paper: &Paper| -> Vec<(u32, bool)> {
        let answer = |question: &QuestionId| match paper.answers.get(question) {
            Some(given) => {
                let next = numbers.len() as u32 + 1;
                let number = *numbers.entry((*question, *given)).or_insert(next);
                let right = key.get(question);
                let is_wrong =
                    right.is_none_or(|(kind, right)| score::outcome(*kind, *right, Some(*given)) != Outcome::Right);
                (number, is_wrong)
            }
            None => (0, false),
        };
        questions.iter().map(answer).collect()
    };
    let rows: Vec<_> = papers.iter().map(&mut row).collect();
    let mut signals = Vec::new();
    for (n, (paper, answers)) in papers.iter().zip(&rows).enumerate() {
        for (other, theirs) in papers.iter().zip(&rows).take(n) {
            if other.student == paper.student || other.revision != paper.revision {
                continue;
            }
            let (mut same_errors, mut errors, mut differences) = (0_usize, 0_usize, 0_usize);
            for ((a, a_wrong), (b, b_wrong)) in answers.iter().zip(theirs) {
                differences += usize::from(a != b);
                errors += usize::from(*a_wrong && *b_wrong);
                same_errors += usize::from(*a_wrong && a == b);
            }
            if same_errors >= FEWEST_COMMON_ERRORS && same_errors >= differences && same_errors * 4 >= errors * 3 {
                signals.push(Signal {
                    kind: SignalKind::SameAnswers,
                    attempts: vec![other.attempt, paper.attempt],
                    weight: same_errors as f64 / differences.max(1) as f64,
                    summary: format!(
                        "{same_errors} wrong answers are the same; {differences} answers of {} differ.",
                        questions.len()
                    ),
                });
            }
        }
    }
    signals
}

/// Different accounts that were signed in at one address with one program when they took the quiz.
fn same_device(devices: Vec<Device>, order: &HashMap<AttemptId, usize>) -> Vec<Signal> {
    type Users = BTreeMap<UserId, BTreeSet<AttemptId>>;
    let mut users: BTreeMap<(String, Option<String>), Users> = BTreeMap::new();
    for device in devices {
        let here = users.entry((device.address, device.user_agent)).or_default();
        here.entry(device.student_id).or_default().insert(device.attempt_id);
    }
    let mut seen = BTreeSet::new();
    let signal = |here: Users| {
        let accounts = here.len();
        let mut attempts: Vec<_> = here.into_values().flatten().collect();
        attempts.sort_by_key(|attempt| order.get(attempt));
        let new = (2..SHARED_BY_TOO_MANY).contains(&accounts) && seen.insert(attempts.clone());
        new.then(|| Signal {
            kind: SignalKind::SameDevice,
            attempts,
            weight: 1.0 / accounts as f64,
            summary: format!("{accounts} accounts were signed in at one address with the same program."),
        })
    };
    users.into_values().filter_map(signal).collect()
}

/// Attempts with mostly right answers in less time than reading takes, or than a quarter of what is usual in this quiz.
fn fast_answers(papers: &[Paper]) -> Vec<Signal> {
    let each = |paper: &Paper| (!paper.answers.is_empty()).then(|| paper.seconds / paper.answers.len() as f64);
    let mut usual: Vec<f64> = papers.iter().filter_map(each).collect();
    usual.sort_by(f64::total_cmp);
    let usual = usual.get(usual.len() / 2).copied().unwrap_or_default();
    let signal = |paper: &Paper| {
        let seconds = each(paper)?;
        let mostly_right = paper.right_count * 2 > paper.answers.len() as i32;
        (mostly_right && seconds < FEWEST_SECONDS.max(usual / 4.0)).then(|| Signal {
            kind: SignalKind::FastAnswers,
            attempts: vec![paper.attempt],
            weight: 1.0 / seconds.max(0.001),
            summary: format!("{seconds:.1} seconds a question; usual are {usual:.1}."),
        })
    };
    papers.iter().filter_map(signal).collect()
}
