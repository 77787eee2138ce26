//! Questions about boards, one or many. They cost one statement beside the index, none if the profiles are known.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, FromQueryResult};
use uuid::Uuid;

use super::{
    Boards,
    row::{Row, rows, student_of},
};
use crate::{
    account::Profile,
    auth::Viewer,
    clock::{Moment, Time},
    db::Values,
    error::{Error, Result},
    id::UserId,
    page::{Page, Slice},
    ranks::{
        board::{Board, Scope, Span, Window},
        index::{RankedEntry, Standing},
        question::{Answer, Key, Question},
        tables,
    },
};

/// Rows of a board at one time.
#[derive(Clone)]
pub(crate) struct Standings {
    pub as_of: Time,
    pub total: u64,
    pub slice: Slice<Row>,
}

/// The viewer's own row. Without a rank if the account is not ranked.
#[derive(Clone)]
pub(crate) struct OwnStanding {
    pub rank: Option<u64>,
    pub score: i64,
    pub reached_at: Time,
    pub profile: Profile,
    /// The number of students ranked by the board.
    pub total: u64,
}

/// The current board of a scope.
pub(crate) async fn present(boards: &Boards, scope: Scope, span: Span, now: &Moment) -> Result<Board> {
    let window = Window::at(span, now.at, boards.parts.zone);
    existing(boards, Board { scope, window }, now).await
}

/// The board, if there is one: its scope is in the catalogue, and its window has begun. No statement once the scope is
/// known.
pub(crate) async fn existing(boards: &Boards, board: Board, now: &Moment) -> Result<Board> {
    has_begun(boards, board, now)?;
    match scopes(boards, &[board.scope]).await?.is_empty() {
        false => Ok(board),
        true => Err(Error::NotFound),
    }
}

/// A board whose window has begun.
pub(crate) fn has_begun(boards: &Boards, board: Board, now: &Moment) -> Result<()> {
    match board.window.starts_at(boards.parts.zone) {
        Some(start) if now.at < start => Err(Error::NotFound),
        _ => Ok(()),
    }
}

/// Those of these scopes that have boards: they are in the catalogue. One statement for quizzes and one for subjects,
/// none once they are known.
pub(crate) async fn scopes(boards: &Boards, scopes: &[Scope]) -> Result<Vec<Scope>> {
    let (conn, papers) = (boards.parts.db.read(), &boards.parts.papers);
    let (mut subjects, mut quizzes) = (Vec::new(), Vec::new());
    for scope in scopes {
        match scope {
            Scope::Everything => {}
            Scope::Subject(id) => subjects.push(*id),
            Scope::Quiz(id) => quizzes.push(*id),
        }
    }
    let (subjects, quizzes) = (
        papers.subjects(conn, subjects).await?,
        papers.quizzes(conn, quizzes).await?,
    );
    let is_there = |scope: &&Scope| match scope {
        Scope::Everything => true,
        Scope::Subject(id) => subjects.contains_key(id),
        Scope::Quiz(id) => quizzes.contains_key(id),
    };
    Ok(scopes.iter().filter(is_there).copied().collect())
}

/// The part of a board that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A page, which starts at a key: after one, before one.
    Page(Page<Standing>),
    /// From the first standing with this rank or a later one.
    FromRank { rank: u64, first: usize },
    /// Around the viewer's standing; empty if there is none.
    Around { above: usize, below: usize },
    /// The standings that share the first rank of a closed board; empty while it is open.
    Winners,
}

impl Part {
    /// What the index is asked; nothing if it need not be.
    fn question(&self, boards: &Boards, viewer: &Viewer, board: Board, now: &Moment) -> Option<Question> {
        const MAX_WINNERS: usize = 100;
        Some(match self {
            Self::Page(page) if page.backward => Question::Before(page.before, page.limit + 1),
            Self::Page(page) => Question::After(page.after, page.limit + 1),
            Self::FromRank { rank, first } => Question::FromRank(*rank, first + 1),
            Self::Around { above, below } => Question::Around(viewer.user().0, *above, *below),
            Self::Winners => {
                let end = board.window.ends_at(boards.parts.zone)?;
                return (now.at >= end).then_some(Question::After(None, MAX_WINNERS));
            }
        })
    }

    fn of(&self, answer: &mut Answer) -> Slice<RankedEntry> {
        match self {
            Self::Page(page) => return page_of(&answer.entries, page),
            Self::FromRank { first, .. } => answer.entries.truncate(*first),
            Self::Around { .. } => {}
            Self::Winners => answer.entries.retain(|entry| entry.rank == 1),
        }
        all_of(answer)
    }
}

/// Parts of boards, in the same order. Whatever their number, they cost one statement beside the indexes, none if the
/// profiles are known.
pub(crate) async fn standings(
    boards: &Boards,
    viewer: &Viewer,
    asked: &[(Board, Part)],
    now: &Moment,
) -> Result<Vec<Standings>> {
    let questions = asked
        .iter()
        .map(|(board, part)| part.question(boards, viewer, *board, now));
    let questions: Vec<_> = questions.collect();
    let put = asked.iter().zip(&questions);
    let put: Vec<_> = put
        .filter_map(|((board, _), question)| Some((*board, question.clone()?)))
        .collect();
    let mut answers = ask(boards, &put).await?.into_iter();
    let mut found = Vec::new();
    for ((_, part), question) in asked.iter().zip(questions) {
        let nothing = || Answer {
            as_of: now.at,
            total: 0,
            entries: Vec::new(),
        };
        let mut answer = question.and_then(|_| answers.next()).unwrap_or_else(nothing);
        let slice = part.of(&mut answer);
        found.push((answer, slice));
    }
    let students = found.iter().flat_map(|(_, slice)| &slice.rows).map(student_of);
    let (profiles, _) = boards.parts.profiles.of(boards.parts.db.read(), students).await?;
    let standings = |(answer, slice): (Answer, Slice<RankedEntry>)| Standings {
        as_of: answer.as_of,
        total: answer.total,
        slice: Slice {
            rows: rows(&slice.rows, &profiles),
            has_previous: slice.has_previous,
            has_next: slice.has_next,
        },
    };
    Ok(found.into_iter().map(standings).collect())
}

/// Asks boards: their indexes, and the tables where an index is away.
async fn ask(boards: &Boards, asked: &[(Board, Question)]) -> Result<Vec<Answer>> {
    let mut answers: Vec<Option<Answer>> = asked.iter().map(|_| None).collect();
    ask_indexes(boards, asked, &mut answers).await;
    if answers.iter().any(Option::is_none) {
        let _permit = tables::permit().await?;
        // They may be there by now.
        ask_indexes(boards, asked, &mut answers).await;
        let missing: Vec<usize> = (0..asked.len()).filter(|n| answers[*n].is_none()).collect();
        let of_tables: Vec<_> = missing.iter().map(|n| asked[*n].clone()).collect();
        let as_of = boards.parts.clock.now();
        let found = tables::answers(boards.parts.db.read(), &of_tables).await?;
        for (n, (entries, total)) in missing.into_iter().zip(found) {
            answers[n] = Some(Answer { as_of, total, entries });
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Fills in what the indexes know of the missing answers.
async fn ask_indexes(boards: &Boards, asked: &[(Board, Question)], answers: &mut [Option<Answer>]) {
    let mut by_board: HashMap<Board, Vec<usize>> = HashMap::new();
    for (n, (board, _)) in asked.iter().enumerate().filter(|(n, _)| answers[*n].is_none()) {
        by_board.entry(*board).or_default().push(n);
    }
    let (asks, places): (Vec<_>, Vec<_>) = by_board
        .into_iter()
        .map(|(board, places)| {
            let questions = places.iter().map(|n| asked[*n].1.clone()).collect();
            ((board, questions), places)
        })
        .unzip();
    let found = boards.ranks.ask_each(&boards.parts.db, None, asks).await;
    for (places, found) in places.into_iter().zip(found) {
        for (n, answer) in places.into_iter().zip(found.into_iter().flatten()) {
            answers[n] = Some(answer);
        }
    }
}

fn page_of(entries: &[RankedEntry], page: &Page<Standing>) -> Slice<RankedEntry> {
    let within = |entry: &&RankedEntry| match (page.backward, &page.after, &page.before) {
        (false, _, Some(before)) => entry.standing < *before,
        (true, Some(after), _) => entry.standing > *after,
        _ => true,
    };
    let mut entries: Vec<RankedEntry> = entries.iter().filter(within).copied().collect();
    if page.backward {
        entries.reverse();
    }
    page.slice(entries)
}

fn all_of(answer: &Answer) -> Slice<RankedEntry> {
    let last = answer.entries.last();
    Slice {
        has_previous: answer.entries.first().is_some_and(|entry| entry.position > 0),
        has_next: last.is_some_and(|entry| entry.position + 1 < answer.total),
        rows: answer.entries.clone(),
    }
}

/// The place of a score on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of students with this score.
    pub shared_by: u64,
    /// The next higher score that somebody has.
    pub next: Option<i64>,
}

/// The places of scores on boards. While an index is away its scores have no entry, as the tables would take too long.
pub(crate) async fn places(boards: &Boards, asked: &[(Board, i64)]) -> Result<HashMap<(Board, i64), Place>> {
    let mut scores: HashMap<Board, Vec<i64>> = HashMap::new();
    for (board, score) in asked {
        scores.entry(*board).or_default().push(*score);
    }
    let (on, scores): (Vec<_>, Vec<_>) = scores.into_iter().unzip();
    // Keys before and after everybody with that score, whoever that is.
    let questions = |score: &i64| {
        let first = Standing::of(Uuid::nil(), (*score, i64::MIN));
        let last = Standing::of(Uuid::max(), (*score, i64::MAX));
        [Question::Before(Some(first), 1), Question::After(Some(last), 1)]
    };
    let asks = on.iter().zip(&scores);
    let asks = asks.map(|(board, scores)| (*board, scores.iter().flat_map(questions).collect()));
    let answers = boards.ranks.ask_each(&boards.parts.db, None, asks.collect()).await;
    let mut places = HashMap::new();
    for ((board, scores), answers) in on.into_iter().zip(scores).zip(answers) {
        for (score, around) in scores.iter().zip(answers.unwrap_or_default().chunks_exact(2)) {
            let (above, below) = (around[0].entries.first(), around[1].entries.first());
            let begins = above.map_or(0, |above| above.position + 1);
            let ends = below.map_or(around[1].total, |below| below.position);
            let place = Place {
                // Who was asked about may have moved on meanwhile.
                shared_by: ends.saturating_sub(begins).max(1),
                next: above.map(|above| above.standing.score),
            };
            places.insert((board, *score), place);
        }
    }
    Ok(places)
}

/// The viewer's standings on boards, as far as there are any. Whatever the number of boards, two statements at most
/// beside the indexes.
pub(crate) async fn own(boards: &Boards, viewer: &Viewer, asked: &[Board]) -> Result<HashMap<Board, OwnStanding>> {
    let conn = boards.parts.db.read();
    let question = |board: &Board| (*board, Question::Around(viewer.user().0, 0, 0));
    let questions: Vec<_> = asked.iter().map(question).collect();
    let answers = ask(boards, &questions).await?;
    let ranked = asked
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| !answer.entries.is_empty());
    let (mut profile, mut own) = (None, HashMap::new());
    if ranked.clone().next().is_some() {
        let (mut profiles, _) = boards.parts.profiles.of(conn, [viewer.user()]).await?;
        profile = profiles.remove(&viewer.user());
    }
    for (board, answer) in ranked {
        if let (Some(entry), Some(profile)) = (answer.entries.first(), &profile) {
            let standing = OwnStanding {
                rank: Some(entry.rank),
                score: entry.standing.score,
                reached_at: Time(entry.standing.reached_at),
                profile: profile.clone(),
                total: answer.total,
            };
            own.insert(*board, standing);
        }
    }
    let others = asked
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| answer.entries.is_empty());
    let others: HashMap<_, _> = others
        .map(|(board, answer)| (board.key(), (*board, answer.total)))
        .collect();
    if !others.is_empty() {
        own.extend(unranked(conn, viewer.user(), &others).await?);
    }
    Ok(own)
}

#[derive(FromQueryResult)]
struct Unranked {
    scope_id: Uuid,
    window_key: String,
    score: i64,
    reached_at: Time,
    #[sea_orm(nested)]
    profile: Profile,
}

/// The own points of an account that is not ranked, on boards with these totals. One statement.
async fn unranked(
    conn: &impl ConnectionTrait,
    user: UserId,
    boards: &HashMap<Key, (Board, u64)>,
) -> Result<Vec<(Board, OwnStanding)>> {
    let mut values = Values::default();
    let user = values.bind(user);
    let of_board = |key: &Key| {
        let (scope, window) = (values.bind(key.scope), values.bind(key.window.as_str()));
        format!("(s.scope_id = {scope} AND s.window_key = {window})")
    };
    let of_boards: Vec<_> = boards.keys().map(of_board).collect();
    let select = values.sql(
        conn,
        format!(
            "SELECT s.scope_id, s.window_key, s.score, s.reached_at, u.id, u.handle, u.avatar \
             FROM standings s JOIN users u ON u.id = s.student_id AND NOT u.ranked \
             WHERE s.student_id = {user} AND ({})",
            of_boards.join(" OR ")
        ),
    );
    let rows = Unranked::find_by_statement(select).all(conn).await?;
    let own = |row: Unranked| {
        let (board, total) = boards.get(&Key::now(row.scope_id, row.window_key))?;
        let standing = OwnStanding {
            rank: None,
            score: row.score,
            reached_at: row.reached_at,
            profile: row.profile,
            total: *total,
        };
        Some((*board, standing))
    };
    Ok(rows.into_iter().filter_map(own).collect())
}
