//! Boards in the API.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, OneofObject, SimpleObject, Subscription};
use futures_util::{Stream, StreamExt};
use uuid::Uuid;

use crate::{
    account::Profile,
    api::{
        connection::{Connection, connection},
        context::RequestContext,
        cost::charge,
        guard::Needs,
        loader::{OwnStandings, Places, RanksThisMorning, ScopesOfBoards, StandingsOf},
        payload::{date_time, points},
        quiz::{Quiz, quiz_of_board},
        scalar::DateTime,
        subject::{Subject, subject},
        user::User,
    },
    clock::Time,
    error::{Error, Result},
    id::{self, QuizId, SubjectId},
    leaderboard::{
        live::{self, Followed, Snapshot, Watched},
        query::{self, OwnStanding, Part, Place, Standings},
        row::Row,
    },
    page::Page,
    ranks::{
        board::{self, Scope, Span, Window},
        index::Standing as Key,
    },
};

/// The kind of window of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "BoardWindow", remote = "Span")]
pub enum BoardWindow {
    /// All time.
    AllTime,
    /// A calendar month.
    Month,
    /// A calendar week, Monday to Sunday.
    Week,
    /// A calendar day.
    Day,
}

/// A board of the API: one concrete window.
#[derive(Clone, Copy)]
pub(crate) struct Board(pub board::Board);

/// The board with this id.
pub(crate) async fn board_by_id(ctx: &Context<'_>, id: &str) -> Result<Board> {
    ctx.viewer()?;
    let board = board::Board::decode(id).ok_or(Error::NotFound)?;
    existing(ctx, board).await
}

/// The current board of a scope.
pub(crate) async fn present_board(ctx: &Context<'_>, scope: Scope, window: Option<BoardWindow>) -> Result<Board> {
    let (app, span) = (ctx.app(), window.map_or(Span::AllTime, Span::from));
    let window = Window::at(span, ctx.now().at, app.zone);
    existing(ctx, board::Board { scope, window }).await
}

/// The board, if there is one.
async fn existing(ctx: &Context<'_>, board: board::Board) -> Result<Board> {
    query::has_begun(&ctx.app().boards, board, &ctx.now())?;
    let found = ctx.loader::<ScopesOfBoards>()?.load_one(board.scope).await?;
    found.map(|()| Board(board)).ok_or(Error::NotFound)
}

/// A part of a board.
async fn part(ctx: &Context<'_>, board: board::Board, part: Part) -> Result<Standings> {
    let found = ctx.loader::<StandingsOf>()?.load_one((board, part)).await?;
    found.ok_or(Error::NotFound)
}

/// A ranking of students by points over a scope (everything, a subject, a quiz) and a window (all time, a month, a
/// week, a day). A student's points are the sum, over quizzes, of the best ranked result in the window. Results that
/// are withheld until the reviews of their quiz open are added then, also to windows that have ended.
#[Object(guard = "Needs::SignedIn")]
impl Board {
    /// The opaque id. It identifies this window, also after its end.
    pub async fn id(&self) -> ID {
        self.0.encode().into()
    }

    /// The kind of window.
    async fn window(&self) -> BoardWindow {
        self.0.window.span().into()
    }

    /// The start of the window; `null` for all time.
    async fn starts_at(&self, ctx: &Context<'_>) -> Option<DateTime> {
        self.0.window.starts_at(ctx.app().zone).map(date_time)
    }

    /// The end of the window, exclusive; `null` for all time.
    async fn ends_at(&self, ctx: &Context<'_>) -> Option<DateTime> {
        self.0.window.ends_at(ctx.app().zone).map(date_time)
    }

    /// Whether the window has ended: later submits don't count here.
    async fn closed(&self, ctx: &Context<'_>) -> bool {
        let now = ctx.now().at;
        self.0.window.ends_at(ctx.app().zone).is_some_and(|end| now >= end)
    }

    /// The board of the previous window; `null` for all time.
    async fn previous(&self) -> Option<Board> {
        self.0.previous().map(Board)
    }

    /// The standings that share the first rank of a closed board; empty while the board is open. Each counts towards the
    /// cost of the operation.
    async fn winners(&self, ctx: &Context<'_>) -> Result<Vec<Standing>> {
        let winners = part(ctx, self.0, Part::Winners).await?;
        charge(ctx, winners.slice.rows.len())?;
        let total = winners.total;
        Ok(winners
            .slice
            .rows
            .into_iter()
            .map(|row| Standing::of(self.0, total, row))
            .collect())
    }

    /// The subject, for the board of a subject.
    async fn subject(&self, ctx: &Context<'_>) -> Result<Option<Subject>> {
        match self.0.scope {
            Scope::Subject(id) => subject(ctx, id).await.map(Some),
            _ => Ok(None),
        }
    }

    /// The quiz, for the board of a quiz.
    async fn quiz(&self, ctx: &Context<'_>) -> Result<Option<Quiz>> {
        match self.0.scope {
            Scope::Quiz(id) => quiz_of_board(ctx, id).await.map(Some),
            _ => Ok(None),
        }
    }

    /// The standings, best first. A student whose standing moves between two pages may appear on both or on neither,
    /// but never twice on one.
    async fn standings(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "Starts at the first standing with this rank or the next one that exists; only with `first`."
        )]
        from_rank: Option<i32>,
    ) -> Result<Connection<Standing, AsOf>> {
        let page = Page::of((first, last), (after, before), key_of_cursor)?;
        let start = match from_rank {
            None => Part::Page(page),
            Some(_) if page.backward || page.after.is_some() || page.before.is_some() => {
                return Err(Error::BadInput("`fromRank` goes with `first` alone.".into()));
            }
            Some(rank) => Part::FromRank {
                rank: u64::try_from(rank)
                    .ok()
                    .filter(|rank| *rank > 0)
                    .ok_or_else(|| Error::BadInput("`fromRank` begins at 1.".into()))?,
                first: page.limit,
            },
        };
        Ok(rows(self.0, part(ctx, self.0, start).await?))
    }

    /// The viewer's standing; `null` without a ranked result in the window. Its `rank` is `null` if the account is not
    /// ranked.
    async fn viewer_standing(&self, ctx: &Context<'_>) -> Result<Option<Standing>> {
        let own = ctx.loader::<OwnStandings>()?.load_one(self.0).await?;
        Ok(own.map(|own| Standing::own(self.0, own)))
    }

    /// The standings around the viewer's own.
    async fn around_viewer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of standings above the viewer's, 0 to 50. Defaults to 5.")] above: Option<i32>,
        #[graphql(desc = "The number of standings below the viewer's, 0 to 50. Defaults to 5.")] below: Option<i32>,
    ) -> Result<StandingsAroundViewer> {
        let count = |given: Option<i32>| {
            let bad = || Error::BadInput("`above` and `below` are 0 to 50.".into());
            usize::try_from(given.unwrap_or(5))
                .ok()
                .filter(|count| *count <= 50)
                .ok_or_else(bad)
        };
        let (above, below) = (count(above)?, count(below)?);
        let around = part(ctx, self.0, Part::Around { above, below }).await?;
        Ok(StandingsAroundViewer::of(self.0, around))
    }
}

/// The standings around the viewer's own, at one time.
#[derive(SimpleObject)]
pub(crate) struct StandingsAroundViewer {
    /// Includes every submit committed before this time.
    as_of: DateTime,
    /// The number of students ranked by the board.
    total_count: u64,
    /// The standings, best first, with the viewer's own among them; empty if the viewer is not on the board.
    standings: Vec<Standing>,
    /// The cursor of the first: `Board.standings(last: …, before: …)` continues above it. `null` if there is none.
    start_cursor: Option<String>,
    /// The cursor of the last: `Board.standings(first: …, after: …)` continues below it. `null` if there is none.
    end_cursor: Option<String>,
}

impl StandingsAroundViewer {
    fn of(board: board::Board, around: Standings) -> Self {
        let rows = around.slice.rows;
        let cursor = |row: &Row| cursor(&row.entry.standing);
        let total = around.total;
        Self {
            as_of: date_time(around.as_of),
            total_count: total,
            start_cursor: rows.first().map(cursor),
            end_cursor: rows.last().map(cursor),
            standings: rows.into_iter().map(|row| Standing::of(board, total, row)).collect(),
        }
    }
}

/// Beside standings: how current they are.
#[derive(SimpleObject)]
pub(crate) struct AsOf {
    /// Includes every submit committed before this time.
    as_of: DateTime,
    /// The number of students ranked by the board.
    total_count: u64,
}

fn rows(board: board::Board, standings: Standings) -> Connection<Standing, AsOf> {
    let total = standings.total;
    let beside = AsOf {
        as_of: date_time(standings.as_of),
        total_count: standings.total,
    };
    connection(
        standings.slice,
        beside,
        |row: &Row| cursor(&row.entry.standing),
        |row| Standing::of(board, total, row),
    )
}

/// A cursor is the key of a standing, never its position.
fn cursor(key: &Key) -> String {
    let mut bytes = Vec::with_capacity(32);
    bytes.extend(key.score.to_be_bytes());
    bytes.extend(key.reached_at.to_be_bytes());
    bytes.extend(key.student.as_bytes());
    id::encode(CURSOR, &bytes)
}

fn key_of_cursor(cursor: &str) -> Option<Key> {
    let bytes = id::decode(CURSOR, cursor)?;
    Some(Key {
        score: i64::from_be_bytes(bytes.get(..8)?.try_into().ok()?),
        reached_at: i64::from_be_bytes(bytes.get(8..16)?.try_into().ok()?),
        student: Uuid::from_slice(bytes.get(16..)?).ok()?,
    })
}

const CURSOR: &str = "standing";

/// The standing of a student on a board.
pub(crate) struct Standing {
    board: board::Board,
    total: u64,
    rank: Option<u64>,
    score: i64,
    reached_at: Time,
    profile: Profile,
}

impl Standing {
    /// A row of a board that ranks so many students.
    fn of(board: board::Board, total: u64, row: Row) -> Self {
        Self {
            board,
            total,
            rank: Some(row.entry.rank),
            score: row.entry.standing.score,
            reached_at: Time(row.entry.standing.reached_at),
            profile: row.profile,
        }
    }

    fn own(board: board::Board, own: OwnStanding) -> Self {
        Self {
            board,
            total: own.total,
            rank: own.rank,
            score: own.score,
            reached_at: own.reached_at,
            profile: own.profile,
        }
    }

    /// Where the points stand on the board, if they do.
    async fn place(&self, ctx: &Context<'_>) -> Result<Option<Place>> {
        match self.rank {
            Some(_) => ctx.loader::<Places>()?.load_one((self.board, self.score)).await,
            None => Ok(None),
        }
    }
}

/// The standing of a student on a board.
#[Object]
impl Standing {
    /// 1 + the number of students with more points: 1, 2, 2, 4. `null` if the account is not ranked.
    async fn rank(&self) -> Option<u64> {
        self.rank
    }

    /// The points.
    async fn points(&self) -> f64 {
        points(self.score)
    }

    /// The time the points were reached. Within a tie, earlier ones are listed first.
    async fn reached_at(&self) -> DateTime {
        date_time(self.reached_at)
    }

    /// The percentage of the board's students with no more points, including this one: 100 at the top (the weak
    /// percentile rank). `null` if the account is not ranked.
    async fn percentile(&self) -> Option<f64> {
        let not_above = (self.total + 1).checked_sub(self.rank?)?;
        (self.total > 0).then(|| 100.0 * not_above as f64 / self.total as f64)
    }

    /// The points that the student lacks to the next higher rank. `null` at the top, if the account is not ranked, and while
    /// the board's index is unavailable. A change of it alone sends no event to a stream.
    async fn points_to_next_rank(&self, ctx: &Context<'_>) -> Result<Option<f64>> {
        let next = self.place(ctx).await?.and_then(|place| place.next);
        Ok(next.map(|next| points(next - self.score)))
    }

    /// The number of students who share the rank, with this one: 1 if nobody else has as many points. `null` if the
    /// account is not ranked, and while the board's index is unavailable. A change of it alone sends no event to a stream.
    async fn shared_by(&self, ctx: &Context<'_>) -> Result<Option<u64>> {
        Ok(self.place(ctx).await?.map(|place| place.shared_by))
    }

    /// The number of ranks gained since the start of the day; negative if lost. `null` for students who had no rank
    /// then, on closed boards, and for a short time after midnight.
    async fn movement(&self, ctx: &Context<'_>) -> Option<i64> {
        let is_over = self
            .board
            .window
            .ends_at(ctx.app().zone)
            .is_some_and(|end| ctx.now().at >= end);
        let rank = self.rank.filter(|_| !is_over)?;
        let ranks = ctx.loader::<RanksThisMorning>().ok()?;
        let this_morning = ranks.load_one((self.board, self.profile.id)).await.ok()??;
        Some(i64::try_from(this_morning).ok()? - i64::try_from(rank).ok()?)
    }

    /// The student.
    async fn user(&self) -> User {
        self.profile.clone().into()
    }
}

/// A board: a concrete one, or the current one of a scope and kind of window. A stream on a current board continues with
/// the next one at the end of the window.
#[derive(OneofObject)]
pub(crate) enum BoardInput {
    /// The id of a concrete board. Its stream does not continue into the next window.
    Id(ID),
    /// The board over everything, with this kind of window.
    Everything(BoardWindow),
    /// The board of a subject.
    Subject(BoardOfSubjectInput),
    /// The board of a quiz.
    Quiz(BoardOfQuizInput),
}

/// The current board of a subject.
#[derive(InputObject)]
pub(crate) struct BoardOfSubjectInput {
    /// The id of the subject.
    id: ID,
    /// The kind of window. Defaults to all time.
    window: Option<BoardWindow>,
}

/// The current board of a quiz.
#[derive(InputObject)]
pub(crate) struct BoardOfQuizInput {
    /// The id of the quiz.
    id: ID,
    /// The kind of window. Defaults to all time.
    window: Option<BoardWindow>,
}

impl BoardInput {
    /// As the arguments of a field name it.
    fn of(id: Option<ID>, window: Option<BoardWindow>, subject_id: Option<ID>, quiz_id: Option<ID>) -> Result<Self> {
        match (id, subject_id, quiz_id) {
            (Some(id), None, None) if window.is_none() => Ok(Self::Id(id)),
            (Some(_), ..) => Err(Error::BadInput("`id` names a board; it goes with nothing else.".into())),
            (None, None, None) => Ok(Self::Everything(window.unwrap_or(BoardWindow::AllTime))),
            (None, Some(id), None) => Ok(Self::Subject(BoardOfSubjectInput { id, window })),
            (None, None, Some(id)) => Ok(Self::Quiz(BoardOfQuizInput { id, window })),
            (None, Some(_), Some(_)) => Err(Error::BadInput("Give `subjectId` or `quizId`, not both.".into())),
        }
    }
}

/// The board that an input names, still to be followed or already concrete.
async fn choose(ctx: &Context<'_>, input: BoardInput) -> Result<Followed> {
    let (app, now) = (ctx.app(), ctx.now());
    let (scope, window) = match input {
        BoardInput::Id(id) => {
            let board = board::Board::decode(&id).ok_or(Error::NotFound)?;
            return query::existing(&app.boards, board, &now).await.map(Followed::Concrete);
        }
        BoardInput::Everything(window) => (Scope::Everything, Some(window)),
        BoardInput::Subject(BoardOfSubjectInput { id, window }) => (Scope::Subject(SubjectId::decode(&id)?), window),
        BoardInput::Quiz(BoardOfQuizInput { id, window }) => (Scope::Quiz(QuizId::decode(&id)?), window),
    };
    let span = window.map_or(Span::AllTime, Span::from);
    query::present(&app.boards, scope, span, &now).await?;
    Ok(Followed::Present(scope, span))
}

/// Boards: queries.
#[derive(Default)]
pub(crate) struct BoardQuery;

#[Object]
impl BoardQuery {
    /// A board: by its id, or the current one of a scope and kind of window.
    #[graphql(guard = "Needs::SignedIn")]
    async fn board(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of a concrete board; excludes all other arguments.")] id: Option<ID>,
        #[graphql(desc = "The kind of window. Defaults to all time.")] window: Option<BoardWindow>,
        #[graphql(desc = "The id of the subject, for its board. Without it and `quizId`, the board over everything.")]
        subject_id: Option<ID>,
        #[graphql(desc = "The id of the quiz, for its board.")] quiz_id: Option<ID>,
    ) -> Result<Option<Board>> {
        let input = BoardInput::of(id, window, subject_id, quiz_id)?;
        let board = match choose(ctx, input).await? {
            Followed::Concrete(board) => board,
            Followed::Present(scope, span) => query::present(&ctx.app().boards, scope, span, &ctx.now()).await?,
        };
        Ok(Some(Board(board)))
    }
}

/// The viewer's standing at one point in time.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct StandingChanged {
    /// The board. It changes when the followed window ends.
    board: Board,
    /// Includes every submit committed before this time.
    as_of: DateTime,
    /// The viewer's standing; `null` if there is none.
    standing: Option<Standing>,
    #[graphql(skip)]
    overtaken_by: Vec<Profile>,
    /// The number of students ranked by the board. A change of it alone sends no event.
    total_count: u64,
    /// Whether the board is unavailable at present: this event carries no standings, a later one will.
    stale: bool,
}

#[ComplexObject]
impl StandingChanged {
    /// The students who have overtaken the viewer since the previous event: the nearest first, at most 3.
    async fn overtaken_by(&self, ctx: &Context<'_>) -> Result<Vec<User>> {
        charge(ctx, self.overtaken_by.len())?;
        Ok(self.overtaken_by.iter().cloned().map(User::from).collect())
    }
}

impl From<Snapshot> for StandingChanged {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            board: Board(snapshot.board),
            as_of: date_time(snapshot.as_of),
            standing: snapshot
                .rows
                .into_iter()
                .next()
                .map(|row| Standing::of(snapshot.board, snapshot.total, row)),
            overtaken_by: snapshot.overtaken_by,
            total_count: snapshot.total,
            stale: snapshot.stale,
        }
    }
}

/// The top of a board at one point in time.
#[derive(SimpleObject)]
#[graphql(complex)]
pub(crate) struct BoardChanged {
    /// The board. It changes when the followed window ends.
    board: Board,
    /// Includes every submit committed before this time.
    as_of: DateTime,
    #[graphql(skip)]
    rows: Vec<Row>,
    /// The number of students ranked by the board.
    total_count: u64,
    /// Whether the board is unavailable at present: this event carries no standings, a later one will.
    stale: bool,
}

#[ComplexObject]
impl BoardChanged {
    /// The first standings, best first. Each counts towards the cost of the event.
    async fn standings(&self, ctx: &Context<'_>) -> Result<Vec<Standing>> {
        charge(ctx, self.rows.len())?;
        let standing = |row| Standing::of(self.board.0, self.total_count, row);
        Ok(self.rows.iter().cloned().map(standing).collect())
    }
}

impl From<Snapshot> for BoardChanged {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            board: Board(snapshot.board),
            as_of: date_time(snapshot.as_of),
            rows: snapshot.rows,
            total_count: snapshot.total,
            stale: snapshot.stale,
        }
    }
}

/// Boards: streams.
#[derive(Default)]
pub(crate) struct BoardSubscription;

#[Subscription]
impl BoardSubscription {
    /// Streams the viewer's standing: the current state, then every change caused by any student's submit.
    #[graphql(guard = "Needs::SignedIn")]
    async fn standing_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The board to follow.")] board: BoardInput,
    ) -> Result<impl Stream<Item = Result<StandingChanged>> + use<>> {
        // Boxed, as is the stream: the state of a subscription is kept for as long as its socket lives.
        let followed = Box::pin(choose(ctx, board)).await?;
        let watched = Watched::Student(ctx.viewer()?.user());
        let snapshots = Box::pin(live::follow(ctx.app().boards.clone(), followed, watched));
        Ok(snapshots.map(|snapshot| snapshot.map(StandingChanged::from)))
    }

    /// Streams the top of a board: the current state, then every change of it, and of the number of students.
    #[graphql(guard = "Needs::SignedIn")]
    async fn board_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The board to follow.")] board: BoardInput,
        #[graphql(desc = "The number of standings, 1 to 100. Defaults to 10.")] first: Option<i32>,
    ) -> Result<impl Stream<Item = Result<BoardChanged>> + use<>> {
        let first = first.unwrap_or(10);
        if !(1..=100).contains(&first) {
            return Err(Error::BadInput("`first` is 1 to 100.".into()));
        }
        // Boxed, as is the stream: the state of a subscription is kept for as long as its socket lives.
        let followed = Box::pin(choose(ctx, board)).await?;
        let watched = Watched::Top(usize::try_from(first).unwrap_or(1));
        let snapshots = Box::pin(live::follow(ctx.app().boards.clone(), followed, watched));
        Ok(snapshots.map(|snapshot| snapshot.map(BoardChanged::from)))
    }
}
