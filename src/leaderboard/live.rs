//! Live ranks. Changes of a board are collected for one tick; then one computation serves all who listen to it: one
//! look at the index, one statement for those profiles that are not at hand. A reader who is slow finds the latest
//! state and never a queue. While most of those who were told have not yet taken it, the next tick waits, up to four
//! times its length: under load there are fewer messages, not later ones.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_stream::try_stream;
use futures_util::Stream;
use tokio::sync::watch;

use super::{
    Loaded,
    board::{Board, Scope, Span, Window},
    index::{Place, RankIndex},
    lock,
};
use crate::{account::Profile, app::App, clock::Time, entity::UserId, error::Result};

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
    /// The board is being built: this says nothing yet, the next one will.
    pub stale: bool,
}

/// A place and who has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub profile: Profile,
}

/// Who listens to a board on this server.
#[derive(Default)]
pub(super) struct Listeners {
    last: u64,
    all: HashMap<u64, Listener>,
    ticking: bool,
}

struct Listener {
    watched: Watched,
    /// What it was told last; `None` if that failed.
    told: Option<Vec<Place>>,
    sender: watch::Sender<Option<News>>,
}

/// What a tick tells a listener.
#[derive(Clone)]
struct News {
    snapshot: Snapshot,
    /// Counts those of the same tick who have not taken theirs.
    left: Arc<AtomicUsize>,
}

impl Listeners {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl Watched {
    fn places(self, index: &RankIndex) -> Vec<Place> {
        match self {
            Self::Student(student) => index.place_of(student.0).into_iter().collect(),
            Self::Top(n) => index.after(None, n),
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
            let mut said = false;
            let loaded = loop {
                if let Some(loaded) = app.boards.get(&app.db, board).await {
                    break loaded;
                }
                if !std::mem::replace(&mut said, true) {
                    yield Snapshot { board, as_of: app.clock.now(), total: 0, rows: Vec::new(), stale: true };
                }
            };
            let (mut listening, places) = listen(&app, &loaded, watched);
            yield snapshot_of(&app, board, places).await?;
            loop {
                tokio::select! {
                    told = listening.receiver.changed() => {
                        if told.is_err() {
                            return;
                        }
                        let news = listening.receiver.borrow_and_update().clone();
                        if let Some(News { snapshot, left }) = news {
                            left.fetch_sub(1, Ordering::Relaxed);
                            yield snapshot;
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

/// Places as they were at one time, before the profiles are known.
struct Places {
    as_of: Time,
    total: u64,
    places: Vec<Place>,
}

/// One listener's end of the line; dropping it hangs up.
struct Listening {
    loaded: Arc<Loaded>,
    id: u64,
    receiver: watch::Receiver<Option<News>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = lock(&self.loaded.state);
        state.listeners.all.remove(&self.id);
        if state.listeners.is_empty() {
            // The ticker is to notice that nobody is left.
            self.loaded.changed.notify_one();
        }
    }
}

/// Joins the listeners of a board. What it returns and what comes down the line leave no gap.
fn listen(app: &App, loaded: &Arc<Loaded>, watched: Watched) -> (Listening, Places) {
    let (sender, receiver) = watch::channel(None);
    let mut state = lock(&loaded.state);
    let places = Places {
        as_of: app.boards.exact_until(),
        total: state.index.len() as u64,
        places: watched.places(&state.index),
    };
    let listeners = &mut state.listeners;
    listeners.last += 1;
    let id = listeners.last;
    let listener = Listener {
        watched,
        told: Some(places.places.clone()),
        sender,
    };
    listeners.all.insert(id, listener);
    if !std::mem::replace(&mut listeners.ticking, true) {
        tokio::spawn(tick(app.clone(), loaded.clone()));
    }
    let listening = Listening {
        loaded: loaded.clone(),
        id,
        receiver,
    };
    (listening, places)
}

/// How many times longer than usual a tick may last under load.
const STRETCH: usize = 4;

/// Serves the listeners of one board until there are none.
async fn tick(app: App, loaded: Arc<Loaded>) {
    let (mut told, mut left) = (0, Arc::<AtomicUsize>::default());
    loop {
        tokio::select! {
            () = loaded.changed.notified() => {}
            () = app.shutdown.cancelled() => return,
        }
        for _ in 0..STRETCH {
            tokio::time::sleep(app.config.board_tick).await;
            if left.load(Ordering::Relaxed) <= told / 10 {
                break;
            }
        }
        let Some(moved) = who_moved(&app, &loaded) else {
            return;
        };
        let listeners = moved.listeners.len();
        match tell(&app, &loaded, &moved).await {
            Ok((pending, statements)) => {
                (told, left) = (listeners, pending);
                tracing::debug!(board = ?loaded.board, told, statements, "a tick");
            }
            Err(error) => {
                tracing::error!(board = ?loaded.board, cause = ?error.cause(), "a tick could not read profiles and is tried again");
                let mut state = lock(&loaded.state);
                for (id, _) in moved.listeners {
                    if let Some(listener) = state.listeners.all.get_mut(&id) {
                        listener.told = None;
                    }
                }
                loaded.changed.notify_one();
            }
        }
    }
}

/// Tells those who moved. Returns the count of those who have not taken it yet, and the number of statements it took.
async fn tell(app: &App, loaded: &Loaded, moved: &Moved) -> Result<(Arc<AtomicUsize>, usize)> {
    let students = moved.listeners.iter().flat_map(|(_, places)| places).map(student_of);
    let (profiles, statements) = app.profiles.of(app.db.read(), students).await?;
    let left = Arc::new(AtomicUsize::new(moved.listeners.len()));
    let state = lock(&loaded.state);
    for (id, places) in &moved.listeners {
        let Some(listener) = state.listeners.all.get(id) else {
            left.fetch_sub(1, Ordering::Relaxed);
            continue;
        };
        let snapshot = Snapshot {
            board: loaded.board,
            as_of: moved.as_of,
            total: moved.total,
            rows: rows(places, &profiles),
            stale: false,
        };
        listener.sender.send_replace(Some(News {
            snapshot,
            left: left.clone(),
        }));
    }
    Ok((left, statements))
}

/// What a tick has to tell, by listener.
struct Moved {
    as_of: Time,
    total: u64,
    listeners: Vec<(u64, Vec<Place>)>,
}

/// The listeners whose places have changed since they were told; nothing at all if there are no listeners.
fn who_moved(app: &App, loaded: &Loaded) -> Option<Moved> {
    let mut state = lock(&loaded.state);
    let super::State { index, listeners, .. } = &mut *state;
    if listeners.is_empty() {
        listeners.ticking = false;
        return None;
    }
    let mut moved = Vec::new();
    for (id, listener) in &mut listeners.all {
        let places = listener.watched.places(index);
        if listener.told.as_ref() != Some(&places) {
            listener.told = Some(places.clone());
            moved.push((*id, places));
        }
    }
    Some(Moved {
        as_of: app.boards.exact_until(),
        total: index.len() as u64,
        listeners: moved,
    })
}

async fn snapshot_of(app: &App, board: Board, places: Places) -> Result<Snapshot> {
    let (profiles, _) = app
        .profiles
        .of(app.db.read(), places.places.iter().map(student_of))
        .await?;
    Ok(Snapshot {
        board,
        as_of: places.as_of,
        total: places.total,
        rows: rows(&places.places, &profiles),
        stale: false,
    })
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
