//! Boards straight from the tables, while their index is away: right, but at the cost of a scan. So only a few questions
//! are answered at once, the others wait.

use sea_orm::{ConnectionTrait, FromQueryResult, Statement, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    board::Board,
    index::{RankedEntry, Standing},
    question::Question,
};
use crate::{
    clock::Time,
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
    total: i64,
    rank: i64,
    position: i64,
    student_id: Option<UserId>,
    score: Option<i64>,
    reached_at: Option<Time>,
}

/// Rows of a board in its order, and its total. One statement.
pub async fn answer(conn: &impl ConnectionTrait, board: Board, question: &Question) -> Result<(Vec<RankedEntry>, u64)> {
    let mut values: Vec<Value> = vec![board.scope.key().into(), board.window.key().into()];
    let mut bind = |value: Value| {
        values.push(value);
        format!("${}", values.len())
    };
    let mut key = |standing: &Standing| {
        (
            bind(standing.score.into()),
            bind(standing.reached_at.into()),
            bind(standing.student.into()),
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
            let before = bind(i64::try_from(rank.saturating_sub(1)).unwrap_or(i64::MAX).into());
            // Within a tie that began earlier the rank is an earlier one: then the first standing after the tie.
            let start = format!("(SELECT score FROM board ORDER BY {FORWARD} LIMIT 1 OFFSET {before})");
            let condition = format!(
                "score < {start} OR (score = {start} AND (SELECT COUNT(*) FROM board WHERE score > {start}) = {before})"
            );
            rows(&condition, FORWARD, *n)
        }
        Question::Around(student, above, below) => {
            let student = bind((*student).into());
            let own = |column: &str| format!("(SELECT {column} FROM board WHERE student_id = {student})");
            let own = || (own("score"), own("reached_at"), student.clone());
            let upper = rows(&beyond(own(), false), BACKWARD, *above);
            let itself = format!("SELECT * FROM board WHERE student_id = {student}");
            let lower = rows(&beyond(own(), true), FORWARD, *below);
            format!("{upper} UNION ALL {itself} UNION ALL {lower}")
        }
    };
    let select = format!(
        "WITH board AS (SELECT s.student_id, s.score, s.reached_at FROM standings s \
           JOIN users u ON u.id = s.student_id AND u.ranked WHERE s.scope_id = $1 AND s.window_key = $2), \
         page AS ({page}), \
         first AS (SELECT * FROM page ORDER BY {FORWARD} LIMIT 1) \
         SELECT counts.total, 1 + counts.above AS rank, counts.above + counts.before AS position, page.* \
         FROM (SELECT COUNT(*) AS total, \
                 COUNT(CASE WHEN board.score > first.score THEN 1 END) AS above, \
                 COUNT(CASE WHEN board.score = first.score AND (board.reached_at, board.student_id) \
                   < (first.reached_at, first.student_id) THEN 1 END) AS before \
               FROM board LEFT JOIN first ON TRUE) AS counts \
         LEFT JOIN page ON TRUE ORDER BY {FORWARD}"
    );
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), select, values);
    let found = Row::find_by_statement(statement).all(conn).await?;
    let total = found.first().map_or(0, |row| row.total.unsigned_abs());
    let Some(Row { rank, position, .. }) = found.first() else {
        return Ok((Vec::new(), total));
    };
    let (rank, position) = (rank.unsigned_abs(), position.unsigned_abs());
    // A board without such a row still returns one, with the total.
    let standing = |row: &Row| Some(Standing::of(row.student_id?.0, (row.score?, row.reached_at?.0)));
    let standings = found.iter().map_while(standing);
    Ok((RankedEntry::in_order(rank, position, standings), total))
}
