//! Boards straight from the tables, while their index is away: right, but at the cost of a scan. So only a few questions
//! are answered at once, the others wait.

use sea_orm::{ConnectionTrait, FromQueryResult};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    board::Board,
    index::{RankedEntry, Standing},
    question::Question,
};
use crate::{
    clock::Time,
    db::{SELECTS_AT_ONCE, Values, sql_of_each},
    error::{Error, Result},
    id::UserId,
};

/// Number of concurrent queries of the tables: half of SQLite's readers, as other requests need the rest.
static PERMITS: Semaphore = Semaphore::const_new(2);

/// Waits for a permit to query the tables.
pub(crate) async fn permit() -> Result<SemaphorePermit<'static>> {
    PERMITS.acquire().await.map_err(Error::internal)
}

#[derive(FromQueryResult)]
struct Row {
    n: i32,
    total: i64,
    rank: i64,
    position: i64,
    student_id: Option<UserId>,
    score: Option<i64>,
    reached_at: Option<Time>,
}

impl Row {
    /// A board without such a row still returns one, with the total.
    fn standing(&self) -> Option<Standing> {
        Some(Standing::of(self.student_id?.0, (self.score?, self.reached_at?.0)))
    }
}

/// Of each board rows in its order, and its total. One statement.
pub async fn answers(conn: &impl ConnectionTrait, asked: &[(Board, Question)]) -> Result<Vec<(Vec<RankedEntry>, u64)>> {
    let mut answers = Vec::new();
    for asked in asked.chunks(SELECTS_AT_ONCE) {
        let statement = sql_of_each(conn, asked, |(board, question), values| {
            select(*board, question, values)
        });
        let mut found: Vec<Vec<Row>> = asked.iter().map(|_| Vec::new()).collect();
        for row in Row::find_by_statement(statement).all(conn).await? {
            if let Some(rows) = usize::try_from(row.n).ok().and_then(|n| found.get_mut(n)) {
                rows.push(row);
            }
        }
        answers.extend(found.into_iter().map(|rows| {
            let Some(Row {
                total, rank, position, ..
            }) = rows.first()
            else {
                return (Vec::new(), 0);
            };
            let mut standings: Vec<_> = rows.iter().filter_map(Row::standing).collect();
            standings.sort_unstable();
            let entries = RankedEntry::in_order(rank.unsigned_abs(), position.unsigned_abs(), standings);
            (entries, total.unsigned_abs())
        }));
    }
    Ok(answers)
}

/// The rows of one board, each with the total of the board, and the rank and position of the first.
fn select(board: Board, question: &Question, values: &mut Values) -> String {
    let (scope, window) = (values.bind(board.scope.key()), values.bind(board.window.key()));
    let mut key = |standing: &Standing| {
        (
            values.bind(standing.score),
            values.bind(standing.reached_at),
            values.bind(standing.student),
        )
    };
    let beyond = |(score, reached, student): (String, String, String), after: bool| {
        let (lower, later) = if after { ("<", ">") } else { (">", "<") };
        format!(
            "score {lower}= {score} AND (score {lower} {score} OR (reached_at, student_id) {later} ({reached}, {student}))"
        )
    };
    const FORWARD: &str = "score DESC, reached_at, student_id";
    const BACKWARD: &str = "score, reached_at DESC, student_id DESC";
    let rows = |condition: &str, order: &str, n: usize| {
        format!("SELECT * FROM (SELECT * FROM board WHERE {condition} ORDER BY {order} LIMIT {n}) AS part")
    };
    let page = match question {
        Question::After(from, n) => {
            let condition = from.as_ref().map_or("TRUE".into(), |from| beyond(key(from), true));
            rows(&condition, FORWARD, *n)
        }
        Question::Before(to, n) => {
            let condition = to.as_ref().map_or("TRUE".into(), |to| beyond(key(to), false));
            rows(&condition, BACKWARD, *n)
        }
        Question::FromRank(rank, n) => {
            let before = values.bind(i64::try_from(rank.saturating_sub(1)).unwrap_or(i64::MAX));
            // Within a tie that began earlier the rank is an earlier one: then the first standing after the tie.
            let start = format!("(SELECT score FROM board ORDER BY {FORWARD} LIMIT 1 OFFSET {before})");
            let condition = format!(
                "score < {start} OR (score = {start} AND (SELECT COUNT(*) FROM board WHERE score > {start}) = {before})"
            );
            rows(&condition, FORWARD, *n)
        }
        Question::Around(student, above, below) => {
            let student = values.bind(*student);
            let own = |column: &str| format!("(SELECT {column} FROM board WHERE student_id = {student})");
            let own = || (own("score"), own("reached_at"), student.clone());
            let upper = rows(&beyond(own(), false), BACKWARD, *above);
            let itself = format!("SELECT * FROM board WHERE student_id = {student}");
            let lower = rows(&beyond(own(), true), FORWARD, *below);
            format!("{upper} UNION ALL {itself} UNION ALL {lower}")
        }
    };
    format!(
        "WITH board AS (SELECT s.student_id, s.score, s.reached_at FROM standings s \
           JOIN users u ON u.id = s.student_id AND u.ranked WHERE s.scope_id = {scope} AND s.window_key = {window}), \
         page AS ({page}), \
         first AS (SELECT * FROM page ORDER BY {FORWARD} LIMIT 1) \
         SELECT counts.total, 1 + counts.above AS rank, counts.above + counts.before AS position, page.* \
         FROM (SELECT COUNT(*) AS total, \
                 COUNT(CASE WHEN board.score > first.score THEN 1 END) AS above, \
                 COUNT(CASE WHEN board.score = first.score AND (board.reached_at, board.student_id) \
                   < (first.reached_at, first.student_id) THEN 1 END) AS before \
               FROM board LEFT JOIN first ON TRUE) AS counts \
         LEFT JOIN page ON TRUE"
    )
}
