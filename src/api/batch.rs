//! Deterministic batching. A dataloader spawns its load as a task, which could start before all resolvers of a list
//! have requested their keys. Here loads run in the task of their operation, and only once all of its resolvers wait:
//! one statement per kind of object, on any number of threads.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::dataloader::DataLoader;
use futures_util::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered, task::AtomicWaker};

use crate::sync::lock;

type Load = BoxFuture<'static, ()>;

/// Loads that were requested and have not started.
type Pending = Arc<Mutex<Vec<Load>>>;

/// Makes the loaders of one operation.
#[derive(Default)]
pub(crate) struct Batches(Pending);

/// The loads requested by the loaders of one operation.
pub(crate) struct Loads(Pending);

impl Batches {
    /// The requested loads.
    pub(crate) fn loads(&self) -> Loads {
        Loads(self.0.clone())
    }

    /// A loader that caches nothing beyond a batch.
    pub(crate) fn loader<L>(&self, loader: L) -> DataLoader<L> {
        let pending = self.0.clone();
        DataLoader::new(loader, move |load| lock(&pending).push(load)).delay(Duration::ZERO)
    }
}

impl Loads {
    /// Runs an operation and its loads.
    pub(crate) fn drive<S: Stream>(self, responses: S) -> impl Stream<Item = S::Item> {
        Operation {
            responses: Box::pin(responses),
            pending: self.0,
            running: FuturesUnordered::new(),
            alarm: Arc::default(),
        }
    }
}

struct Operation<S> {
    responses: Pin<Box<S>>,
    pending: Pending,
    running: FuturesUnordered<Load>,
    alarm: Arc<Alarm>,
}

impl<S: Stream> Stream for Operation<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.alarm.task.register(cx.waker());
        self.alarm.rang.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.alarm.clone());
        if let Poll::Ready(response) = self.responses.poll_next_unpin(&mut Context::from_waker(&waker)) {
            return Poll::Ready(response);
        }
        if self.alarm.rang.load(Ordering::SeqCst) {
            // The executor yields in the middle of a long list: more resolvers are about to request loads. The task has
            // been woken together with the alarm.
            return Poll::Pending;
        }
        // Only resolvers request loads, and those are polled here: none is requested between polls.
        loop {
            let pending = std::mem::take(&mut *lock(&self.pending));
            if pending.is_empty() && self.running.is_empty() {
                return Poll::Pending;
            }
            self.running.extend(pending);
            if self.running.poll_next_unpin(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

/// Wakes the task, and remembers that it did.
#[derive(Default)]
struct Alarm {
    rang: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rang.store(true, Ordering::SeqCst);
        self.task.wake();
    }
}
