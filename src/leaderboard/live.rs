//! Live ranks. Changes of a board are collected for one tick; then one computation serves all who listen to it on this
//! server: one look at the index, one statement for those profiles that are not at hand. While the index is away they
//! are told so once. A reader who is slow finds the latest
//! state and never a queue. While most of those who were told have not yet taken it, the next tick waits, up to four
//! times its length: under load there are fewer messages, not later ones.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_stream::try_stream;
use futures_util::Stream;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    account::Profile,
    app::App,
    clock::Time,
    error::Result,
    id::UserId,
    ranks::{
        board::{Board, Scope, Span, Window},
        index::{Place, Standing},
        question::Move,
        question::{Answer, Question},
    },
    sync::lock,
};

/// What a listener wants to know of a board.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
    /// Where one student stands.
    Student(UserId),
    /// The first so many places.
    Top(usize),
}

/// Which board a stream follows.
#[derive(Clone, Copy, Debug)]
pub enum Followed {
    /// The board whose window holds at present; the stream goes on with the next one when that is over.
    Present(Scope, Span),
    /// One concrete board, over or not.
    Concrete(Board),
}

/// What a listener is told: always the present state, never a difference.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub board: Board,
    /// Every commit before this time is in it.
    pub as_of: Time,
    /// How many students the board ranks.
    pub total: u64,
    pub rows: Vec<Row>,
    /// Who has passed the student that is watched, since the snapshot before; a few, the nearest first.
    pub overtaken_by: Vec<Profile>,
    /// The board is being built: this says nothing yet, the next one will.
    pub stale: bool,
}

/// A place and who has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub profile: Profile,
}

/// Those who listen to a board on this server.
pub(super) struct Audience {
    pub(super) board: Board,
    /// Told when the board may have changed.
    pub(super) changed: Notify,
    listeners: Mutex<Listeners>,
    /// Who has moved since the last tick.
    moves: Mutex<VecDeque<Move>>,
}

#[derive(Default)]
struct Listeners {
    last: u64,
    all: HashMap<u64, Listener>,
    ticking: bool,
}

struct Listener {
    watched: Watched,
    told: Told,
    letterbox: Arc<Letterbox>,
}

/// What a listener was told last.
#[derive(PartialEq, Eq)]
enum Told {
    /// Nothing, or it did not arrive.
    Nothing,
    /// That the index is away.
    Stale,
    Places(Vec<Place>),
}

/// What a tick has found out for a listener.
struct News {
    listener: u64,
    answer: Answer,
    overtaken_by: Vec<UserId>,
}

/// What a tick tells a listener.
struct Letter {
    snapshot: Snapshot,
    /// Counts those of the same tick who have not taken theirs.
    left: Arc<AtomicUsize>,
}

/// Where a listener finds its letter: the latest, for whoever comes too late for one finds the next in its place.
#[derive(Default)]
struct Letterbox {
    letter: Mutex<Option<Letter>>,
    arrived: Notify,
}

impl Letterbox {
    fn put(&self, letter: Letter) {
        *lock(&self.letter) = Some(letter);
        self.arrived.notify_one();
    }

    async fn take(&self) -> Snapshot {
        loop {
            if let Some(Letter { snapshot, left }) = lock(&self.letter).take() {
                left.fetch_sub(1, Ordering::Relaxed);
                return snapshot;
            }
            self.arrived.notified().await;
        }
    }
}

impl Watched {
    fn question(self) -> Question {
        match self {
            Self::Student(student) => Question::Around(student.0, 0, 0),
            Self::Top(n) => Question::After(None, n),
        }
    }
}

impl Followed {
    fn board(self, app: &App) -> Board {
        match self {
            Self::Concrete(board) => board,
            Self::Present(scope, span) => Board {
                scope,
                window: Window::at(span, app.clock.now(), app.zone),
            },
        }
    }
}

/// The present state, then the new state whenever it changes. When the followed window is over, the next one's state.
pub fn follow(app: App, followed: Followed, watched: Watched) -> impl Stream<Item = Result<Snapshot>> {
    try_stream! {
        let mut days = app.days.subscribe();
        loop {
            let board = followed.board(&app);
            let listening = app.boards.audience(board).listen(&app, watched);
            // Boxed, so that what it takes to ask is not kept for as long as the stream lives.
            let snapshot = Box::pin(present(&app, &listening)).await?;
            let mut last = Said::of(&snapshot);
            yield snapshot;
            loop {
                tokio::select! {
                    snapshot = listening.letterbox.take() => {
                        if last.is_less_than(&snapshot) {
                            last = Said::of(&snapshot);
                            yield snapshot;
                        } else if last.is_more_than(&snapshot) {
                            listening.tell_again();
                        }
                    }
                    day = days.changed() => {
                        if day.is_err() {
                            return;
                        }
                        if followed.board(&app) != board {
                            break;
                        }
                    }
                }
            }
        }
    }
}

impl Snapshot {
    fn stale(board: Board, as_of: Time) -> Self {
        Self {
            board,
            as_of,
            total: 0,
            rows: Vec::new(),
            overtaken_by: Vec::new(),
            stale: true,
        }
    }
}

/// What a stream has said last.
struct Said {
    as_of: Time,
    stale: bool,
    places: Vec<Place>,
}

impl Said {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            as_of: snapshot.as_of,
            stale: snapshot.stale,
            places: snapshot.rows.iter().map(|row| row.place).collect(),
        }
    }

    /// The first tick may tell what a listener has just found out by itself, or less.
    fn is_less_than(&self, next: &Snapshot) -> bool {
        let moved = || !next.rows.iter().map(|row| &row.place).eq(&self.places);
        next.stale || self.stale || (next.as_of >= self.as_of && moved())
    }

    /// What a tick tells may be certain of less than a listener has found out by itself, and yet hold what that did not.
    fn is_more_than(&self, next: &Snapshot) -> bool {
        next.as_of < self.as_of && !next.rows.iter().map(|row| &row.place).eq(&self.places)
    }
}

/// The state that a new listener finds.
async fn present(app: &App, listening: &Listening) -> Result<Snapshot> {
    let audience = &listening.audience;
    let question = [listening.watched.question()];
    let answer = app.boards.ranks.ask(&app.db, audience.board, &question).await;
    let Some(Answer { as_of, total, places }) = answer.and_then(|mut answers| answers.pop()) else {
        listening.is_told(Told::Stale);
        // The ticker looks until the index is back.
        audience.changed.notify_one();
        return Ok(Snapshot::stale(audience.board, app.clock.now()));
    };
    let (profiles, _) = app.profiles.of(app.db.read(), places.iter().map(student_of)).await?;
    let rows = rows(&places, &profiles);
    listening.is_told(Told::Places(places));
    Ok(Snapshot {
        board: audience.board,
        as_of,
        total,
        rows,
        overtaken_by: Vec::new(),
        stale: false,
    })
}

/// One listener's end of the line; dropping it hangs up.
struct Listening {
    audience: Arc<Audience>,
    id: u64,
    watched: Watched,
    letterbox: Arc<Letterbox>,
}

impl Listening {
    /// What it was told last did not go on: the next tick is to tell it again.
    fn tell_again(&self) {
        if let Some(listener) = lock(&self.audience.listeners).all.get_mut(&self.id) {
            listener.told = Told::Nothing;
        }
        self.audience.changed.notify_one();
    }

    /// The listener has found something out by itself; what a tick has told meanwhile is newer.
    fn is_told(&self, told: Told) {
        if let Some(listener) = lock(&self.audience.listeners).all.get_mut(&self.id)
            && listener.told == Told::Nothing
        {
            listener.told = told;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut listeners = lock(&self.audience.listeners);
        listeners.all.remove(&self.id);
        if listeners.all.is_empty() {
            // The ticker is to notice that nobody is left.
            self.audience.changed.notify_one();
        }
    }
}

/// How many times longer than usual a tick may last under load.
const STRETCH: usize = 4;

/// Serves an audience until there is none.
async fn tick(app: App, audience: Arc<Audience>) {
    let (mut told, mut left) = (0, Arc::<AtomicUsize>::default());
    loop {
        tokio::select! {
            () = audience.changed.notified() => {}
            () = app.shutdown.cancelled() => return,
        }
        for _ in 0..STRETCH {
            tokio::time::sleep(app.config.board_tick).await;
            if left.load(Ordering::Relaxed) <= told / 10 {
                break;
            }
        }
        let Some((ids, questions)) = audience.questions() else {
            return;
        };
        let Some(answers) = app.boards.ranks.ask(&app.db, audience.board, &questions).await else {
            audience.tell_stale(app.clock.now());
            audience.changed.notify_one();
            continue;
        };
        let moved = audience.moved(ids, answers);
        match tell(&app, &audience, &moved).await {
            Ok((pending, statements)) => {
                (told, left) = (moved.len(), pending);
                tracing::debug!(board = ?audience.board, told, statements, "a tick");
            }
            Err(error) => {
                tracing::error!(board = ?audience.board, cause = ?error.cause(), "a tick could not read profiles and is tried again");
                let mut listeners = lock(&audience.listeners);
                for News { listener, .. } in moved {
                    if let Some(listener) = listeners.all.get_mut(&listener) {
                        listener.told = Told::Nothing;
                    }
                }
                audience.changed.notify_one();
            }
        }
    }
}

/// Tells those who moved. Returns the count of those who have not taken it yet, and the number of statements it took.
async fn tell(app: &App, audience: &Audience, moved: &[News]) -> Result<(Arc<AtomicUsize>, usize)> {
    let placed = moved.iter().flat_map(|news| &news.answer.places).map(student_of);
    let overtaking = moved.iter().flat_map(|news| &news.overtaken_by).copied();
    let (profiles, statements) = app.profiles.of(app.db.read(), placed.chain(overtaking)).await?;
    let left = Arc::new(AtomicUsize::new(moved.len()));
    let listeners = lock(&audience.listeners);
    for News {
        listener,
        answer,
        overtaken_by,
    } in moved
    {
        let Some(listener) = listeners.all.get(listener) else {
            left.fetch_sub(1, Ordering::Relaxed);
            continue;
        };
        let snapshot = Snapshot {
            board: audience.board,
            as_of: answer.as_of,
            total: answer.total,
            rows: rows(&answer.places, &profiles),
            overtaken_by: overtaken_by.iter().filter_map(|id| profiles.get(id).cloned()).collect(),
            stale: false,
        };
        listener.letterbox.put(Letter {
            snapshot,
            left: left.clone(),
        });
    }
    Ok((left, statements))
}

impl Audience {
    pub(super) fn new(board: Board) -> Self {
        Self {
            board,
            changed: Notify::new(),
            listeners: Mutex::default(),
            moves: Mutex::default(),
        }
    }

    /// Somebody has moved.
    pub(super) fn note(&self, moved: &Move) {
        let mut moves = lock(&self.moves);
        if moves.len() == MOVES {
            moves.pop_front();
        }
        moves.push_back(moved.clone());
        self.changed.notify_one();
    }

    /// Joins. Who asks for the board's state only after that misses nothing.
    fn listen(self: Arc<Self>, app: &App, watched: Watched) -> Listening {
        let letterbox = Arc::<Letterbox>::default();
        let mut listeners = lock(&self.listeners);
        listeners.last += 1;
        let id = listeners.last;
        let listener = Listener {
            watched,
            told: Told::Nothing,
            letterbox: letterbox.clone(),
        };
        listeners.all.insert(id, listener);
        if !std::mem::replace(&mut listeners.ticking, true) {
            tokio::spawn(tick(app.clone(), self.clone()));
        }
        drop(listeners);
        Listening {
            audience: self,
            id,
            watched,
            letterbox,
        }
    }

    /// What the listeners want to know; nothing if there are none, and then nobody ticks any more.
    fn questions(&self) -> Option<(Vec<u64>, Vec<Question>)> {
        let mut listeners = lock(&self.listeners);
        if listeners.all.is_empty() {
            listeners.ticking = false;
            return None;
        }
        let question = |(id, listener): (&u64, &Listener)| (*id, listener.watched.question());
        Some(listeners.all.iter().map(question).unzip())
    }

    /// Those whose places are others than they were told.
    fn moved(&self, ids: Vec<u64>, answers: Vec<Answer>) -> Vec<News> {
        let moves = std::mem::take(&mut *lock(&self.moves));
        let mut listeners = lock(&self.listeners);
        let mut moved = Vec::new();
        for (id, answer) in ids.into_iter().zip(answers) {
            let Some(listener) = listeners.all.get_mut(&id) else {
                continue;
            };
            let overtaken_by = match (&listener.told, listener.watched, &answer.places[..]) {
                (Told::Places(told), ..) if *told == answer.places => continue,
                (Told::Places(told), Watched::Student(_), [place]) => told
                    .first()
                    .map_or_else(Vec::new, |told| overtaking(&moves, &told.standing, &place.standing)),
                _ => Vec::new(),
            };
            listener.told = Told::Places(answer.places.clone());
            moved.push(News {
                listener: id,
                answer,
                overtaken_by,
            });
        }
        moved
    }

    /// Tells all that the index is away, once.
    fn tell_stale(&self, now: Time) {
        for listener in lock(&self.listeners).all.values_mut() {
            if std::mem::replace(&mut listener.told, Told::Stale) != Told::Stale {
                listener.letterbox.put(Letter {
                    snapshot: Snapshot::stale(self.board, now),
                    left: Arc::new(AtomicUsize::new(1)),
                });
            }
        }
    }
}

/// How many moves are remembered for a tick.
const MOVES: usize = 200;
/// How many of those who have passed somebody are told.
const OVERTAKING: usize = 3;

/// Who was behind somebody's standing, and is before what it has become.
fn overtaking(moves: &VecDeque<Move>, before: &Standing, now: &Standing) -> Vec<UserId> {
    // Whoever has moved twice has come from where the first move began.
    let mut by: BTreeMap<Uuid, (Option<Standing>, Option<Standing>)> = BTreeMap::new();
    for moved in moves.iter().filter(|moved| moved.student != now.student) {
        let standing = |reached: Option<_>| reached.map(|reached| Standing::of(moved.student, reached));
        let (_, to) = by.entry(moved.student).or_insert((standing(moved.was), None));
        *to = standing(moved.now);
    }
    let was_behind = |from: &Option<Standing>| from.is_none_or(|from| from > *before);
    let passed = by
        .into_values()
        .filter(|(from, _)| was_behind(from))
        .filter_map(|(_, to)| to);
    let mut passed: Vec<_> = passed.filter(|to| to < now).collect();
    passed.sort_unstable_by(|a, b| b.cmp(a));
    passed.iter().take(OVERTAKING).map(|to| UserId(to.student)).collect()
}

/// Places with the profiles of those who have them.
pub fn rows(places: &[Place], profiles: &HashMap<UserId, Profile>) -> Vec<Row> {
    let row = |place: &Place| {
        let profile = profiles.get(&student_of(place))?.clone();
        Some(Row { place: *place, profile })
    };
    places.iter().filter_map(row).collect()
}

/// Who has a place.
pub fn student_of(place: &Place) -> UserId {
    UserId(place.standing.student)
}
