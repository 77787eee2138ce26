//! Verifies the audit log, and that derived data agrees with its source: results are recomputed from the answers,
//! standings and roll-ups from results and answers, by other code than a submit's, and compared.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};
use uuid::Uuid;

use super::indexes;
use crate::{
    app::App,
    audit,
    calendar::day_of,
    clock::Time,
    db::sql,
    entity::{
        result::Visibility,
        rollup::{self, Kind},
        standing, withheld_rollup,
    },
    error::Result,
    id::{AttemptId, QuizId, SubjectId, UserId},
    quiz::{
        paper::{RightColumns, corrected, right_columns},
        right::Right,
        title,
    },
    ranks::board::Window,
};

#[derive(FromQueryResult)]
struct Taken {
    attempt_id: AttemptId,
    student_id: UserId,
    quiz_id: QuizId,
    subject_id: SubjectId,
    score: i64,
    max_score: i64,
    right_count: i32,
    wrong_count: i32,
    blank_count: i32,
    ranked: bool,
    submitted_at: Time,
    visibility: Visibility,
}

/// Attempts, right, wrong, blank, score and highest possible score.
type Sums = [i64; 6];

impl Taken {
    fn sums(&self) -> Sums {
        let (right, wrong, blank) = (self.right_count, self.wrong_count, self.blank_count);
        [1, right.into(), wrong.into(), blank.into(), self.score, self.max_score]
    }

    /// The quiz, if the roll-ups wait for its reviews.
    fn withheld_of(&self) -> Option<QuizId> {
        (self.visibility != Visibility::Full).then_some(self.quiz_id)
    }
}

#[derive(FromQueryResult)]
struct Marked {
    of_id: Uuid,
    withheld_of: Option<QuizId>,
    student_id: UserId,
    attempts: i64,
    right_count: i64,
    wrong_count: i64,
    blank_count: i64,
    score: i64,
    max_score: i64,
}

impl Marked {
    fn sums(&self) -> Sums {
        let (right, wrong, blank) = (self.right_count, self.wrong_count, self.blank_count);
        [self.attempts, right, wrong, blank, self.score, self.max_score]
    }
}

type StandingKey = (UserId, Uuid, String);
type RollupKey = (UserId, Kind, Uuid, i32);

/// Roll-ups, and by quiz what they lack until its reviews open.
#[derive(Default)]
struct Rollups {
    shown: BTreeMap<RollupKey, Sums>,
    withheld: BTreeMap<(QuizId, RollupKey), Sums>,
}

impl Rollups {
    /// Adds a result: its attempt at once, the rest where it belongs.
    fn add(&mut self, key: RollupKey, counts: Sums, withheld_of: Option<QuizId>) {
        let add = |sums: &mut Sums, counts: Sums| sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        let shown = match withheld_of {
            None => counts,
            Some(quiz) => {
                add(self.withheld.entry((quiz, key)).or_default(), counts);
                [counts[0], 0, 0, 0, 0, 0]
            }
        };
        add(self.shown.entry(key).or_default(), shown);
    }
}

/// Every difference found, one line each; none if all agrees.
pub async fn verify(app: &App) -> Result<Vec<String>> {
    let conn = app.db.write();
    let select = sql(
        conn,
        "SELECT r.attempt_id, r.student_id, r.quiz_id, q.subject_id, r.score, r.max_score, r.right_count, r.wrong_count, \
                r.blank_count, r.ranked, r.submitted_at, r.visibility \
         FROM results r JOIN quizzes q ON q.id = r.quiz_id \
         ORDER BY r.student_id, r.submitted_at, r.attempt_id",
        [],
    );
    let taken = Taken::find_by_statement(select).all(conn).await?;
    let mut findings = Vec::new();
    let stored = taken.iter().map(|result| (result.attempt_id, result.sums())).collect();
    compare("result", &marked(conn).await?, &stored, &mut findings);
    compare(
        "standing",
        &standings(app, &taken),
        &stored_standings(conn).await?,
        &mut findings,
    );
    let (mut expected, stored) = (rollups(app, &taken), stored_rollups(conn).await?);
    for row in answers(conn, "q.chapter_id").await? {
        expected.add(
            (row.student_id, Kind::Chapter, row.of_id, 0),
            row.sums(),
            row.withheld_of,
        );
    }
    compare("roll-up", &expected.shown, &stored.shown, &mut findings);
    compare("withheld roll-up", &expected.withheld, &stored.withheld, &mut findings);
    findings.extend(app.boards.ranks.differences(conn).await?);
    findings.extend(title::differences(conn).await?);
    findings.extend(indexes::differences(&app.db).await?);
    findings.extend(unused_indexes(app).await?);
    findings.extend(audit::check(&app.db, &app.keys).await?);
    Ok(findings)
}

/// The queries that must never scan, and the index (or one of them) that each has to use: on SQLite and on PostgreSQL.
const HOT: [(&str, &str, &str); 6] = [
    (
        "SELECT id FROM attempts WHERE student_id = (SELECT id FROM users LIMIT 1) ORDER BY id DESC LIMIT 20",
        "attempts_student",
        "attempts_student",
    ),
    (
        "SELECT id FROM attempts WHERE state = 'IN_PROGRESS' AND deadline_at < 1 ORDER BY deadline_at LIMIT 20",
        "attempts_state",
        "attempts_state",
    ),
    (
        "SELECT id FROM attempts WHERE student_id = (SELECT id FROM users LIMIT 1) AND state = 'SUBMITTED' \
         ORDER BY id DESC LIMIT 20",
        "attempts_student_state",
        // With few open attempts the shorter index is as good.
        "attempts_student_state|attempts_student",
    ),
    (
        "SELECT score FROM results WHERE student_id = (SELECT id FROM users LIMIT 1) ORDER BY submitted_at DESC LIMIT 20",
        "results_student_time",
        "results_student_time",
    ),
    (
        "SELECT seq FROM answers WHERE attempt_id = (SELECT id FROM attempts LIMIT 1)",
        "sqlite_autoindex_answers_1",
        "answers_pkey",
    ),
    (
        "SELECT score FROM standings WHERE scope_id = (SELECT id FROM users LIMIT 1) AND window_key = 'all' \
         ORDER BY score DESC, reached_at, student_id LIMIT 20",
        "standings_order",
        "standings_order",
    ),
];

#[derive(FromQueryResult)]
struct SqlitePlan {
    detail: String,
}

#[derive(FromQueryResult)]
struct PostgresPlan {
    #[sea_orm(from_alias = "QUERY PLAN")]
    line: String,
}

/// The hot queries that the database would not answer from their index.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
async fn unused_indexes(app: &App) -> Result<Vec<String>> {
    let tx = app.db.begin().await?;
    let postgres = tx.get_database_backend() == DbBackend::Postgres;
    if postgres {
        // Small tables are rightly scanned; what matters is what happens when they are not small.
        tx.execute_unprepared("SET LOCAL enable_seqscan = off").await?;
        tx.execute_unprepared("SET LOCAL enable_bitmapscan = off").await?;
        // Nor is sorting a handful of rows to be held against an index that has them in order.
        tx.execute_unprepared("SET LOCAL enable_sort = off").await?;
    }
    let mut findings = Vec::new();
    for (query, on_sqlite, on_postgres) in HOT {
        let (index, plan) = if postgres {
            let explained = PostgresPlan::find_by_statement(sql(&tx, format!("EXPLAIN {query}"), []));
            let lines = explained.all(&tx).await?.into_iter().map(|plan| plan.line);
            (on_postgres, lines.collect::<Vec<_>>())
        } else {
            let explained = SqlitePlan::find_by_statement(sql(&tx, format!("EXPLAIN QUERY PLAN {query}"), []));
            let lines = explained.all(&tx).await?.into_iter().map(|plan| plan.detail);
            (on_sqlite, lines.collect())
        };
        let uses = |line: &String| {
            line.split([' ', '('])
                .any(|word| index.split('|').any(|index| word == index))
        };
        if !plan.iter().any(uses) {
            findings.push(format!(
                "index {index} is not used by: {query}\n  {}",
                plan.join("\n  ")
            ));
        }
    }
    tx.rollback().await?;
    Ok(findings)
}

fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    expected: &BTreeMap<K, V>,
    stored: &BTreeMap<K, V>,
    findings: &mut Vec<String>,
) {
    for (key, expected) in expected {
        match stored.get(key) {
            Some(stored) if stored == expected => {}
            Some(stored) => findings.push(format!("{what} {key:?}: stored {stored:?}, expected {expected:?}")),
            None => findings.push(format!("{what} {key:?}: missing, expected {expected:?}")),
        }
    }
    let surplus = stored.iter().filter(|(key, _)| !expected.contains_key(key));
    findings.extend(surplus.map(|(key, stored)| format!("{what} {key:?}: stored {stored:?}, expected nothing")));
}

/// Replays the ranked results in order, board by board: the score and when it was reached.
fn standings(app: &App, taken: &[Taken]) -> BTreeMap<StandingKey, (i64, Time)> {
    let mut bests: HashMap<(UserId, Uuid, String, QuizId), i64> = HashMap::new();
    let mut standings: BTreeMap<StandingKey, (i64, Time)> = BTreeMap::new();
    let mut moved: HashMap<StandingKey, bool> = HashMap::new();
    let on_boards = |result: &&Taken| result.ranked && result.visibility != Visibility::Hidden;
    for result in taken.iter().filter(on_boards) {
        for window in Window::all_at(result.submitted_at, app.zone).map(Window::key) {
            for scope in [Uuid::nil(), result.subject_id.0, result.quiz_id.0] {
                let key = (result.student_id, scope, window.clone());
                let best = bests
                    .get(&(result.student_id, scope, window.clone(), result.quiz_id))
                    .copied();
                if best.is_some_and(|best| best >= result.score) {
                    continue;
                }
                bests.insert((result.student_id, scope, window.clone(), result.quiz_id), result.score);
                let gain = result.score - best.unwrap_or(0);
                let standing = standings.entry(key.clone()).or_insert((0, result.submitted_at));
                standing.0 += gain;
                // A first result of zero moves nothing; the first result that does sets the time, later ones renew it.
                if gain != 0 {
                    let has_moved = moved.entry(key).or_insert(false);
                    standing.1 = if *has_moved {
                        standing.1.max(result.submitted_at)
                    } else {
                        result.submitted_at
                    };
                    *has_moved = true;
                }
            }
        }
    }
    standings
}

/// Recomputes the sums of results.
fn rollups(app: &App, taken: &[Taken]) -> Rollups {
    let mut rollups = Rollups::default();
    for result in taken {
        let counts = result.sums();
        let day = day_of(result.submitted_at, app.zone).to_epoch_days();
        for (kind, of, day) in [
            (Kind::Total, Uuid::nil(), 0),
            (Kind::Subject, result.subject_id.0, 0),
            (Kind::Day, Uuid::nil(), day),
        ] {
            rollups.add((result.student_id, kind, of, day), counts, result.withheld_of());
        }
    }
    rollups
}

/// The points of the answers, summed by student and `of`.
async fn answers(conn: &impl ConnectionTrait, of: &str) -> Result<Vec<Marked>> {
    let withheld_of = "CASE WHEN r.visibility <> 'FULL' THEN r.quiz_id END";
    let corrected = corrected("r.correction");
    // The sets of choices that were answered and that are right.
    let given = "COALESCE(a.choice_set, 1 << c.position)";
    let of_key = |key: &str| format!("COALESCE({key}.right_set, 1 << {key}.right_position)");
    let (corrected_to, published) = (of_key("k"), of_key("q"));
    let right = format!("CASE WHEN k.id IS NULL THEN {published} ELSE {corrected_to} END");
    let is_blank = "a.choice_id IS NULL AND a.choice_set IS NULL AND a.number IS NULL";
    // Numbers are compared below; until then they count as wrong.
    let is_right = format!(
        "q.kind <> 'NUMBER' AND CASE WHEN q.kind = 'ALL_CHOICES' THEN {given} = {right} ELSE ({given} & {right}) <> 0 END"
    );
    let sum = |sum: String| format!("CAST(SUM(CASE {sum} END) AS BIGINT)");
    let joins = format!(
        "FROM results r \
         JOIN attempts t ON t.id = r.attempt_id \
         JOIN revisions v ON v.id = t.revision_id \
         JOIN questions q ON q.revision_id = v.id \
         {corrected} \
         LEFT JOIN answers a ON a.attempt_id = t.id AND a.question_id = q.id \
         LEFT JOIN choices c ON c.id = a.choice_id \
         WHERE {of} IS NOT NULL"
    );
    let select = format!(
        "SELECT {of} AS of_id, r.student_id, {withheld_of} AS withheld_of, \
           CAST(COUNT(DISTINCT r.attempt_id) AS BIGINT) AS attempts, \
           {} AS right_count, {} AS wrong_count, {} AS blank_count, {} AS score, \
           CAST(SUM(v.right_score) AS BIGINT) AS max_score \
         {joins} GROUP BY {of}, r.student_id, {withheld_of}",
        sum(format!("WHEN {is_right} THEN 1 ELSE 0")),
        sum(format!("WHEN {is_blank} THEN 0 WHEN {is_right} THEN 0 ELSE 1")),
        sum(format!("WHEN {is_blank} THEN 1 ELSE 0")),
        sum(format!(
            "WHEN {is_blank} THEN v.blank_score WHEN {is_right} THEN v.right_score ELSE v.wrong_score"
        )),
    );
    let mut marked = Marked::find_by_statement(sql(conn, select, [])).all(conn).await?;
    let numbers = format!(
        "SELECT {of} AS of_id, r.student_id, {withheld_of} AS withheld_of, a.number, {}, v.right_score, v.wrong_score \
         {joins} AND q.kind = 'NUMBER' AND a.number IS NOT NULL",
        right_columns()
    );
    let mut gained: HashMap<(Uuid, UserId, Option<QuizId>), (i64, i64)> = HashMap::new();
    for answer in NumberAnswer::find_by_statement(sql(conn, numbers, []))
        .all(conn)
        .await?
    {
        if answer.is_right() {
            let of = (answer.of_id, answer.student_id, answer.withheld_of);
            let (count, score) = gained.entry(of).or_default();
            *count += 1;
            *score += answer.right_score - answer.wrong_score;
        }
    }
    for row in &mut marked {
        if let Some((count, score)) = gained.get(&(row.of_id, row.student_id, row.withheld_of)) {
            row.right_count += count;
            row.wrong_count -= count;
            row.score += score;
        }
    }
    Ok(marked)
}

/// An answer that is a number; neither database compares those exactly.
#[derive(FromQueryResult)]
struct NumberAnswer {
    of_id: Uuid,
    withheld_of: Option<QuizId>,
    student_id: UserId,
    number: String,
    #[sea_orm(nested)]
    right: RightColumns,
    right_score: i64,
    wrong_score: i64,
}

impl NumberAnswer {
    fn is_right(&self) -> bool {
        let given = self.number.parse::<Decimal>();
        match (self.right.read(), given) {
            (Some(Right::Number(right)), Ok(given)) => {
                given >= right.value - right.tolerance && given <= right.value + right.tolerance
            }
            _ => false,
        }
    }
}

/// Recomputes the score of every attempt.
async fn marked(conn: &impl ConnectionTrait) -> Result<BTreeMap<AttemptId, Sums>> {
    let rows = answers(conn, "r.attempt_id").await?;
    Ok(rows.iter().map(|row| (AttemptId(row.of_id), row.sums())).collect())
}

async fn stored_standings(conn: &impl ConnectionTrait) -> Result<BTreeMap<StandingKey, (i64, Time)>> {
    let rows = standing::Entity::all().all(conn).await?;
    let keyed = |row: standing::Model| {
        (
            (row.student_id, row.scope_id, row.window_key),
            (row.score, row.reached_at),
        )
    };
    Ok(rows.into_iter().map(keyed).collect())
}

async fn stored_rollups(conn: &impl ConnectionTrait) -> Result<Rollups> {
    let shown = rollup::Entity::all().all(conn).await?.into_iter().map(|row| {
        let sums = [
            row.attempts,
            row.right_count,
            row.wrong_count,
            row.blank_count,
            row.score,
            row.max_score,
        ];
        ((row.student_id, row.kind, row.of_id, row.day), sums)
    });
    let withheld = withheld_rollup::Entity::all().all(conn).await?.into_iter().map(|row| {
        let sums = [
            row.attempts,
            row.right_count,
            row.wrong_count,
            row.blank_count,
            row.score,
            row.max_score,
        ];
        ((row.quiz_id, (row.student_id, row.kind, row.of_id, row.day)), sums)
    });
    Ok(Rollups {
        shown: shown.collect(),
        withheld: withheld.collect(),
    })
}
