//! The listeners of a board on this server, with the last message sent to each.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;
use uuid::Uuid;

use super::row::{Row, rows};
use crate::{
    account::Profile,
    clock::Time,
    id::UserId,
    ranks::{
        board::Board,
        index::{RankedEntry, Standing},
        question::{Answer, Move, Question},
    },
    sync::lock,
};

/// The part of a board that a listener watches.
#[derive(Clone, Copy, Debug)]
pub enum Watched {
    /// The standing of one student.
    Student(UserId),
    /// The first `n` standings.
    Top(usize),
}

/// A message to a listener: always the current state, never a difference.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub board: Board,
    /// Every commit before this time is in it.
    pub as_of: Time,
    /// The number of students ranked by the board.
    pub total: u64,
    pub rows: Vec<Row>,
    /// Students who have overtaken the watched one since the previous snapshot; a few, the nearest first.
    pub overtaken_by: Vec<Profile>,
    /// The board is being built: this says nothing yet, the next one will.
    pub stale: bool,
}

/// Those who listen to a board on this server.
pub(super) struct Audience {
    pub(super) board: Board,
    /// Notified when the board may have changed.
    pub(super) changed: Notify,
    listeners: Mutex<Listeners>,
    /// Moves since the last tick.
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
    sent: Sent,
    slot: Arc<Slot>,
}

/// What a listener is shown of a board.
#[derive(PartialEq, Eq)]
pub(super) struct Shown {
    total: Option<u64>,
    entries: Vec<RankedEntry>,
}

/// The last state sent to a listener.
#[derive(PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing, or it did not arrive.
    Nothing,
    /// That the index is away.
    Stale,
    State(Shown),
}

/// The new state of a listener, as a tick has found it.
pub(super) struct Moved {
    listener: u64,
    pub(super) answer: Answer,
    pub(super) overtaken_by: Vec<UserId>,
}

/// A snapshot that a tick sends to a listener.
struct Delivery {
    snapshot: Snapshot,
    /// Counts those of the same tick who have not taken theirs.
    pending: Arc<AtomicUsize>,
}

/// A slot for a listener's latest message: one that was not taken is replaced by the next.
#[derive(Default)]
pub(super) struct Slot {
    delivery: Mutex<Option<Delivery>>,
    arrived: Notify,
}

impl Slot {
    fn put(&self, delivery: Delivery) {
        *lock(&self.delivery) = Some(delivery);
        self.arrived.notify_one();
    }

    /// The next snapshot.
    pub(super) async fn take(&self) -> Snapshot {
        loop {
            if let Some(Delivery { snapshot, pending }) = lock(&self.delivery).take() {
                pending.fetch_sub(1, Ordering::Relaxed);
                return snapshot;
            }
            self.arrived.notified().await;
        }
    }
}

impl Watched {
    /// The query for this part of the board.
    pub(super) fn question(self) -> Question {
        match self {
            Self::Student(student) => Question::Around(student.0, 0, 0),
            Self::Top(n) => Question::After(None, n),
        }
    }

    /// What a listener is shown of an answer, and told of when it changes. The number of students is a part of the top of
    /// the board; of one student's standing it is not, or each newcomer would wake every listener.
    pub(super) fn shown(self, total: u64, entries: Vec<RankedEntry>) -> Shown {
        let total = matches!(self, Self::Top(_)).then_some(total);
        Shown { total, entries }
    }
}

impl Snapshot {
    /// The state while the index is away.
    pub(super) fn stale(board: Board, as_of: Time) -> Self {
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

/// One listener's end of the line; dropping it hangs up.
pub(super) struct Subscription {
    pub(super) audience: Arc<Audience>,
    id: u64,
    pub(super) watched: Watched,
    pub(super) slot: Arc<Slot>,
}

impl Subscription {
    /// The last delivery was not shown: the next tick sends the state again.
    pub(super) fn resend(&self) {
        if let Some(listener) = lock(&self.audience.listeners).all.get_mut(&self.id) {
            listener.sent = Sent::Nothing;
        }
        self.audience.changed.notify_one();
    }

    /// Records what the listener has read itself, unless a tick has sent something newer meanwhile.
    pub(super) fn record_sent(&self, sent: Sent) {
        if let Some(listener) = lock(&self.audience.listeners).all.get_mut(&self.id)
            && listener.sent == Sent::Nothing
        {
            listener.sent = sent;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut listeners = lock(&self.audience.listeners);
        listeners.all.remove(&self.id);
        if listeners.all.is_empty() {
            // The ticker notices that no listener is left.
            self.audience.changed.notify_one();
        }
    }
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

    /// Records a move.
    pub(super) fn record_move(&self, moved: &Move) {
        let mut moves = lock(&self.moves);
        if moves.len() == MOVES {
            moves.pop_front();
        }
        moves.push_back(moved.clone());
        self.changed.notify_one();
    }

    /// Subscribes; returns whether the ticker must be started. A state queried after this call misses no change.
    pub(super) fn join(self: Arc<Self>, watched: Watched) -> (Subscription, bool) {
        let slot = Arc::<Slot>::default();
        let mut listeners = lock(&self.listeners);
        listeners.last += 1;
        let id = listeners.last;
        let listener = Listener {
            watched,
            sent: Sent::Nothing,
            slot: slot.clone(),
        };
        listeners.all.insert(id, listener);
        let first = !std::mem::replace(&mut listeners.ticking, true);
        drop(listeners);
        let subscription = Subscription {
            audience: self,
            id,
            watched,
            slot,
        };
        (subscription, first)
    }

    /// Sends those who moved their new state. Returns the count of those who have not taken it yet.
    pub(super) fn send(&self, moved: &[Moved], profiles: &HashMap<UserId, Profile>) -> Arc<AtomicUsize> {
        let pending = Arc::new(AtomicUsize::new(moved.len()));
        let listeners = lock(&self.listeners);
        for Moved {
            listener,
            answer,
            overtaken_by,
        } in moved
        {
            let Some(listener) = listeners.all.get(listener) else {
                pending.fetch_sub(1, Ordering::Relaxed);
                continue;
            };
            let snapshot = Snapshot {
                board: self.board,
                as_of: answer.as_of,
                total: answer.total,
                rows: rows(&answer.entries, profiles),
                overtaken_by: overtaken_by.iter().filter_map(|id| profiles.get(id).cloned()).collect(),
                stale: false,
            };
            listener.slot.put(Delivery {
                snapshot,
                pending: pending.clone(),
            });
        }
        pending
    }

    /// Those who moved could not be sent their state: the next tick does.
    pub(super) fn take_back(&self, moved: &[Moved]) {
        let mut listeners = lock(&self.listeners);
        for Moved { listener, .. } in moved {
            if let Some(listener) = listeners.all.get_mut(listener) {
                listener.sent = Sent::Nothing;
            }
        }
        drop(listeners);
        self.changed.notify_one();
    }

    /// The queries of all listeners; `None` if there are none, and then the ticker ends.
    pub(super) fn questions(&self) -> Option<(Vec<u64>, Vec<Question>)> {
        let mut listeners = lock(&self.listeners);
        if listeners.all.is_empty() {
            listeners.ticking = false;
            return None;
        }
        let question = |(id, listener): (&u64, &Listener)| (*id, listener.watched.question());
        Some(listeners.all.iter().map(question).unzip())
    }

    /// The listeners whose state differs from the one last sent.
    pub(super) fn moved(&self, ids: Vec<u64>, answers: Vec<Answer>) -> Vec<Moved> {
        let moves = std::mem::take(&mut *lock(&self.moves));
        let mut listeners = lock(&self.listeners);
        let mut moved = Vec::new();
        for (id, answer) in ids.into_iter().zip(answers) {
            let Some(listener) = listeners.all.get_mut(&id) else {
                continue;
            };
            let shown = listener.watched.shown(answer.total, answer.entries.clone());
            let overtaken_by = match (&listener.sent, listener.watched, &answer.entries[..]) {
                (Sent::State(sent), ..) if *sent == shown => continue,
                (Sent::State(sent), Watched::Student(_), [entry]) => sent
                    .entries
                    .first()
                    .map_or_else(Vec::new, |sent| overtaking(&moves, &sent.standing, &entry.standing)),
                _ => Vec::new(),
            };
            listener.sent = Sent::State(shown);
            moved.push(Moved {
                listener: id,
                answer,
                overtaken_by,
            });
        }
        moved
    }

    /// Notifies all listeners, once, that the index is unavailable.
    pub(super) fn send_stale(&self, now: Time) {
        for listener in lock(&self.listeners).all.values_mut() {
            if std::mem::replace(&mut listener.sent, Sent::Stale) != Sent::Stale {
                listener.slot.put(Delivery {
                    snapshot: Snapshot::stale(self.board, now),
                    pending: Arc::new(AtomicUsize::new(1)),
                });
            }
        }
    }
}

/// Maximum number of moves kept for a tick.
const MOVES: usize = 200;
/// Maximum number of overtaking students in a message.
const OVERTAKING: usize = 3;

/// The students who were behind the former standing and are ahead of the new one.
fn overtaking(moves: &VecDeque<Move>, before: &Standing, now: &Standing) -> Vec<UserId> {
    // Of several moves of a student, the first has the origin.
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
