//! Questions about boards. Each costs one statement beside the index, none if the profiles are known.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    Boards,
    row::{Row, rows, student_of},
};
use crate::{
    account::Profile,
    auth::Viewer,
    clock::{Moment, Time},
    db::sql,
    error::{Error, Result},
    id::UserId,
    page::{Page, Slice},
    ranks::{
        board::{Board, Scope, Span, Window},
        index::{RankedEntry, Standing},
        question::{Answer, Question},
        tables,
    },
};

/// Rows of a board at one time.
pub(crate) struct Standings {
    pub as_of: Time,
    pub total: u64,
    pub slice: Slice<Row>,
}

/// The viewer's own row. Without a rank if the account is not ranked.
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
    if board
        .window
        .starts_at(boards.parts.zone)
        .is_some_and(|start| now.at < start)
    {
        return Err(Error::NotFound);
    }
    match board.scope {
        Scope::Everything => {}
        Scope::Subject(id) => boards
            .parts
            .papers
            .subject(boards.parts.db.read(), id)
            .await
            .map(drop)?,
        Scope::Quiz(id) => boards.parts.papers.quiz(boards.parts.db.read(), id).await.map(drop)?,
    }
    Ok(board)
}

/// The start of a page of a board.
pub(crate) enum From {
    /// At keys: after one, before one.
    Page(Page<Standing>),
    /// At the first standing with this rank or a later one.
    Rank { rank: u64, first: usize },
}

async fn ask(boards: &Boards, board: Board, question: &Question) -> Result<Answer> {
    let by_index = async || {
        let answers = boards
            .ranks
            .ask(&boards.parts.db, board, std::slice::from_ref(question))
            .await;
        answers.and_then(|mut answers| answers.pop())
    };
    if let Some(answer) = by_index().await {
        return Ok(answer);
    }
    let _permit = tables::permit().await?;
    // It may be there by now.
    if let Some(answer) = by_index().await {
        return Ok(answer);
    }
    let as_of = boards.parts.clock.now();
    let (entries, total) = tables::answer(boards.parts.db.read(), board, question).await?;
    Ok(Answer { as_of, total, entries })
}

/// A page of a board.
pub(crate) async fn page(boards: &Boards, board: Board, from: From) -> Result<Standings> {
    let question = match &from {
        From::Rank { rank, first } => Question::FromRank(*rank, first + 1),
        From::Page(page) if page.backward => Question::Before(page.before, page.limit + 1),
        From::Page(page) => Question::After(page.after, page.limit + 1),
    };
    let mut answer = ask(boards, board, &question).await?;
    let slice = match &from {
        From::Rank { first, .. } => {
            answer.entries.truncate(*first);
            all_of(&answer)
        }
        From::Page(page) => page_of(&answer.entries, page),
    };
    with_profiles(boards, answer, slice).await
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

/// The standings that share the first rank of a closed board; empty while it is open.
pub(crate) async fn winners(boards: &Boards, board: Board, now: &Moment) -> Result<Standings> {
    const MAX_WINNERS: usize = 100;
    let is_over = board.window.ends_at(boards.parts.zone).is_some_and(|end| now.at >= end);
    let mut answer = match is_over {
        true => ask(boards, board, &Question::After(None, MAX_WINNERS)).await?,
        false => Answer {
            as_of: now.at,
            total: 0,
            entries: Vec::new(),
        },
    };
    answer.entries.retain(|entry| entry.rank == 1);
    let slice = all_of(&answer);
    with_profiles(boards, answer, slice).await
}

/// The standings around the viewer's; empty if the viewer has none.
pub(crate) async fn around(
    boards: &Boards,
    viewer: &Viewer,
    board: Board,
    above: usize,
    below: usize,
) -> Result<Standings> {
    let answer = ask(boards, board, &Question::Around(viewer.user().0, above, below)).await?;
    let slice = all_of(&answer);
    with_profiles(boards, answer, slice).await
}

/// The viewer's standing, if there is one.
pub(crate) async fn own(boards: &Boards, viewer: &Viewer, board: Board) -> Result<Option<OwnStanding>> {
    let conn = boards.parts.db.read();
    let Answer { total, entries, .. } = ask(boards, board, &Question::Around(viewer.user().0, 0, 0)).await?;
    let Some(entry) = entries.first() else {
        return unranked(conn, viewer.user(), board, total).await;
    };
    let (mut profiles, _) = boards.parts.profiles.of(conn, [viewer.user()]).await?;
    Ok(profiles.remove(&viewer.user()).map(|profile| OwnStanding {
        rank: Some(entry.rank),
        score: entry.standing.score,
        reached_at: Time(entry.standing.reached_at),
        profile,
        total,
    }))
}

#[derive(FromQueryResult)]
struct Unranked {
    score: i64,
    reached_at: Time,
    #[sea_orm(nested)]
    profile: Profile,
}

/// The own points of an account that is not ranked.
async fn unranked(conn: &impl ConnectionTrait, user: UserId, board: Board, total: u64) -> Result<Option<OwnStanding>> {
    let select = sql(
        conn,
        "SELECT s.score, s.reached_at, u.id, u.handle, u.avatar \
         FROM standings s JOIN users u ON u.id = s.student_id AND NOT u.ranked \
         WHERE s.scope_id = $1 AND s.window_key = $2 AND s.student_id = $3",
        [board.scope.key().into(), board.window.key().into(), user.into()],
    );
    let row = Unranked::find_by_statement(select).one(conn).await?;
    Ok(row.map(|row| OwnStanding {
        rank: None,
        score: row.score,
        reached_at: row.reached_at,
        profile: row.profile,
        total,
    }))
}

async fn with_profiles(boards: &Boards, answer: Answer, slice: Slice<RankedEntry>) -> Result<Standings> {
    let (profiles, _) = boards
        .parts
        .profiles
        .of(boards.parts.db.read(), slice.rows.iter().map(student_of))
        .await?;
    Ok(Standings {
        as_of: answer.as_of,
        total: answer.total,
        slice: Slice {
            rows: rows(&slice.rows, &profiles),
            has_previous: slice.has_previous,
            has_next: slice.has_next,
        },
    })
}
