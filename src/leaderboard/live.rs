//! Live ranks. Changes of a board are collected for one tick; then one computation serves all of its listeners on this
//! server: one query of the index, and one statement for the profiles that are not cached. While the index is
//! unavailable listeners are notified once. A slow reader receives the latest state and never a queue. While most
//! listeners have not taken the last message, the next tick is delayed, up to four times its length: load reduces the
//! number of messages, not their timeliness.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_stream::try_stream;
use futures_util::Stream;

pub use super::audience::{Snapshot, Watched};
use super::{
    Boards,
    audience::{Audience, Moved, Sent, Shown, Subscription},
    row::{rows, student_of},
};
use crate::{
    clock::Time,
    error::Result,
    ranks::{
        board::{Board, Scope, Span, Window},
        question::Answer,
    },
};

/// The board that a stream follows.
#[derive(Clone, Copy, Debug)]
pub enum Followed {
    /// The current board; the stream continues with the next one at the end of its window.
    Present(Scope, Span),
    /// One concrete board, over or not.
    Concrete(Board),
}

impl Followed {
    fn board(self, boards: &Boards) -> Board {
        match self {
            Self::Concrete(board) => board,
            Self::Present(scope, span) => Board {
                scope,
                window: Window::at(span, boards.parts.clock.now(), boards.parts.zone),
            },
        }
    }
}

/// The present state, then the new state whenever it changes. When the followed window is over, the next one's state.
pub fn follow(boards: Arc<Boards>, followed: Followed, watched: Watched) -> impl Stream<Item = Result<Snapshot>> {
    try_stream! {
        let mut days = boards.parts.days.subscribe();
        loop {
            let board = followed.board(&boards);
            let subscription = listen(&boards, board, watched);
            // Boxed, so that the state of the query is not kept for the life of the stream.
            let snapshot = Box::pin(present(&boards, &subscription)).await?;
            let mut last = Yielded::of(watched, &snapshot);
            yield snapshot;
            loop {
                tokio::select! {
                    snapshot = subscription.slot.take() => {
                        if last.precedes(&snapshot) {
                            last = Yielded::of(watched, &snapshot);
                            yield snapshot;
                        } else if last.is_ahead_of(&snapshot) {
                            subscription.resend();
                        }
                    }
                    day = days.changed() => {
                        if day.is_err() {
                            return;
                        }
                        if followed.board(&boards) != board {
                            break;
                        }
                    }
                }
            }
        }
    }
}

/// The last snapshot that a stream has yielded.
struct Yielded {
    watched: Watched,
    as_of: Time,
    stale: bool,
    shown: Shown,
}

impl Yielded {
    fn of(watched: Watched, snapshot: &Snapshot) -> Self {
        Self {
            watched,
            as_of: snapshot.as_of,
            stale: snapshot.stale,
            shown: shown(watched, snapshot),
        }
    }

    /// The first tick may repeat what the listener has just read itself, or be older.
    fn precedes(&self, next: &Snapshot) -> bool {
        next.stale || self.stale || (next.as_of >= self.as_of && self.differs_from(next))
    }

    /// A tick may be exact up to an earlier time than the listener's own read, and still contain changes that the read
    /// did not.
    fn is_ahead_of(&self, next: &Snapshot) -> bool {
        next.as_of < self.as_of && self.differs_from(next)
    }

    fn differs_from(&self, next: &Snapshot) -> bool {
        shown(self.watched, next) != self.shown
    }
}

fn shown(watched: Watched, snapshot: &Snapshot) -> Shown {
    watched.shown(snapshot.total, snapshot.rows.iter().map(|row| row.entry).collect())
}

/// The state that a new listener finds.
async fn present(boards: &Boards, subscription: &Subscription) -> Result<Snapshot> {
    let audience = &subscription.audience;
    let question = [subscription.watched.question()];
    let parts = &boards.parts;
    let answer = boards.ranks.ask(&parts.db, audience.board, &question).await;
    let Some(Answer { as_of, total, entries }) = answer.and_then(|mut answers| answers.pop()) else {
        subscription.record_sent(Sent::Stale);
        // The ticker looks until the index is back.
        audience.changed.notify_one();
        return Ok(Snapshot::stale(audience.board, parts.clock.now()));
    };
    let (profiles, _) = parts
        .profiles
        .of(parts.db.read(), entries.iter().map(student_of))
        .await?;
    let rows = rows(&entries, &profiles);
    subscription.record_sent(Sent::State(subscription.watched.shown(total, entries)));
    Ok(Snapshot {
        board: audience.board,
        as_of,
        total,
        rows,
        overtaken_by: Vec::new(),
        stale: false,
    })
}

/// Joins the audience of a board, and sees to it that it is served.
fn listen(boards: &Arc<Boards>, board: Board, watched: Watched) -> Subscription {
    let audience = boards.audience(board);
    let (subscription, first) = audience.clone().join(watched);
    if first {
        tokio::spawn(tick(boards.clone(), audience));
    }
    subscription
}

/// Maximum factor by which a tick is stretched under load.
const STRETCH: usize = 4;

/// Serves an audience until there is none.
async fn tick(boards: Arc<Boards>, audience: Arc<Audience>) {
    let parts = &boards.parts;
    let (mut sent, mut pending) = (0, Arc::<AtomicUsize>::default());
    loop {
        tokio::select! {
            () = audience.changed.notified() => {}
            () = parts.shutdown.cancelled() => return,
        }
        for _ in 0..STRETCH {
            tokio::time::sleep(parts.tick).await;
            if pending.load(Ordering::Relaxed) <= sent / 10 {
                break;
            }
        }
        let Some((ids, questions)) = audience.questions() else {
            return;
        };
        let Some(answers) = boards.ranks.ask(&parts.db, audience.board, &questions).await else {
            audience.send_stale(parts.clock.now());
            audience.changed.notify_one();
            continue;
        };
        let moved = audience.moved(ids, answers);
        match send(&boards, &audience, &moved).await {
            Ok((unread, statements)) => {
                (sent, pending) = (moved.len(), unread);
                tracing::debug!(board = ?audience.board, sent, statements, "a tick");
            }
            Err(error) => {
                tracing::error!(board = ?audience.board, cause = ?error.cause(), "a tick could not read profiles and is tried again");
                audience.take_back(&moved);
            }
        }
    }
}

/// Sends those who moved their new state. Returns the count of those who have not taken it yet, and the number of
/// statements it took.
async fn send(boards: &Boards, audience: &Audience, moved: &[Moved]) -> Result<(Arc<AtomicUsize>, usize)> {
    let ranked = moved.iter().flat_map(|moved| &moved.answer.entries).map(student_of);
    let overtaking = moved.iter().flat_map(|moved| &moved.overtaken_by).copied();
    let parts = &boards.parts;
    let (profiles, statements) = parts.profiles.of(parts.db.read(), ranked.chain(overtaking)).await?;
    Ok((audience.send(moved, &profiles), statements))
}
