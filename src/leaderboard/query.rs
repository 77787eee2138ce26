//! Questions about boards. Each costs one statement beside the index, none if the profiles are known.

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{
    board::{Board, Scope, Span, Window},
    index::{Place, RankIndex, Standing},
    live::{Row, rows, student_of},
};
use crate::{
    account::Profile,
    app::App,
    auth::Viewer,
    clock::{Moment, Time},
    db::sql,
    entity::UserId,
    error::{Error, Result},
    page::{Page, Slice},
};

/// Rows of a board at one time.
pub struct Standings {
    pub as_of: Time,
    pub total: u64,
    pub slice: Slice<Row>,
}

/// The viewer's own row. Without a rank if the account is not ranked.
pub struct OwnStanding {
    pub rank: Option<u64>,
    pub score: i64,
    pub reached_at: Time,
    pub profile: Profile,
    pub as_of: Time,
}

/// The board of a scope whose window holds now.
pub async fn present(app: &App, scope: Scope, span: Span, now: &Moment) -> Result<Board> {
    let window = Window::at(span, now.at, app.zone);
    existing(app, Board { scope, window }, now).await
}

/// The board, if there is one: its scope is in the catalogue, and its window has begun. No statement once the scope is
/// known.
pub async fn existing(app: &App, board: Board, now: &Moment) -> Result<Board> {
    if board.window.starts_at(app.zone).is_some_and(|start| now.at < start) {
        return Err(Error::NotFound);
    }
    match board.scope {
        Scope::Everything => {}
        Scope::Subject(id) => app.papers.subject(app.db.read(), id).await.map(drop)?,
        Scope::Quiz(id) => app.papers.quiz(app.db.read(), id).await.map(drop)?,
    }
    Ok(board)
}

/// Where a page of a board begins.
pub enum From {
    /// At keys: after one, before one.
    Page(Page<Standing>),
    /// At the first standing with this rank or a later one.
    Rank { rank: u64, first: usize },
}

/// A page of a board.
pub async fn page(app: &App, board: Board, from: From) -> Result<Standings> {
    look(app, board, |index| match &from {
        From::Rank { rank, first } => {
            let mut places = index.from_rank(*rank, first + 1);
            let has_next = places.len() > *first;
            places.truncate(*first);
            Slice {
                has_previous: places.first().is_some_and(|place| place.position > 0),
                has_next,
                rows: places,
            }
        }
        From::Page(page) => page_of(index, page),
    })
    .await
}

fn page_of(index: &RankIndex, page: &Page<Standing>) -> Slice<Place> {
    let within = |place: &Place| match (page.backward, &page.after, &page.before) {
        (false, _, Some(before)) => place.standing < *before,
        (true, Some(after), _) => place.standing > *after,
        _ => true,
    };
    let limit = page.limit + 1;
    let mut places = if page.backward {
        index.before(page.before.as_ref(), limit)
    } else {
        index.after(page.after.as_ref(), limit)
    };
    places.retain(within);
    if page.backward {
        places.reverse();
    }
    page.slice(places)
}

/// The places around the viewer; none if the viewer has none.
pub async fn around(app: &App, viewer: &Viewer, board: Board, above: usize, below: usize) -> Result<Standings> {
    look(app, board, |index| {
        let places = index.around(viewer.user().0, above, below).unwrap_or_default();
        Slice {
            has_previous: places.first().is_some_and(|place| place.position > 0),
            has_next: places
                .last()
                .is_some_and(|place| place.position + 1 < index.len() as u64),
            rows: places,
        }
    })
    .await
}

/// The viewer's standing, if there is one.
pub async fn own(app: &App, viewer: &Viewer, board: Board) -> Result<Option<OwnStanding>> {
    let conn = app.db.read();
    let loaded = app.boards.get(conn, board).await?;
    let (as_of, place) = app
        .boards
        .view(&loaded, |view| (view.as_of, view.index.place_of(viewer.user().0)));
    let Some(place) = place else {
        return unranked(conn, viewer.user(), board, as_of).await;
    };
    let (mut profiles, _) = app.profiles.of(conn, [viewer.user()]).await?;
    Ok(profiles.remove(&viewer.user()).map(|profile| OwnStanding {
        rank: Some(place.rank),
        score: place.standing.score,
        reached_at: Time(place.standing.reached_at),
        profile,
        as_of,
    }))
}

#[derive(FromQueryResult)]
struct Unranked {
    score: i64,
    reached_at: Time,
    #[sea_orm(nested)]
    profile: Profile,
}

/// Whoever is not ranked still sees the own points.
async fn unranked(conn: &impl ConnectionTrait, user: UserId, board: Board, as_of: Time) -> Result<Option<OwnStanding>> {
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
        as_of,
    }))
}

async fn look(app: &App, board: Board, choose: impl FnOnce(&RankIndex) -> Slice<Place>) -> Result<Standings> {
    let conn = app.db.read();
    let loaded = app.boards.get(conn, board).await?;
    let (as_of, total, slice) = app.boards.view(&loaded, |view| {
        (view.as_of, view.index.len() as u64, choose(view.index))
    });
    let (profiles, _) = app.profiles.of(conn, slice.rows.iter().map(student_of)).await?;
    Ok(Standings {
        as_of,
        total,
        slice: Slice {
            rows: rows(&slice.rows, &profiles),
            has_previous: slice.has_previous,
            has_next: slice.has_next,
        },
    })
}
