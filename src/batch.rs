//! Loads in batches that don't depend on luck. A dataloader hands its load over to a spawner; were that another task, it
//! could set off while half of a list's resolvers have not yet asked. Here loads run in the task of their operation, and
//! only when all of its resolvers wait: one statement per kind of object, on however many threads.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::dataloader::DataLoader;
use futures_util::{Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered, task::AtomicWaker};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

type Load = BoxFuture<'static, ()>;

/// Makes the loaders of one operation.
pub struct Loaders(UnboundedSender<Load>);

/// The loads that the loaders of one operation have asked for.
pub struct Loads(UnboundedReceiver<Load>);

impl Loaders {
    pub fn new() -> (Self, Loads) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), Loads(receiver))
    }

    /// A loader that caches nothing beyond a batch.
    pub fn loader<L>(&self, loader: L) -> DataLoader<L> {
        let loads = self.0.clone();
        // An operation that is dropped takes its loads along.
        DataLoader::new(loader, move |load| drop(loads.send(load))).delay(Duration::ZERO)
    }
}

impl Loads {
    /// Runs an operation and its loads.
    pub fn drive<S: Stream>(self, responses: S) -> impl Stream<Item = S::Item> {
        Operation {
            responses: Box::pin(responses),
            loads: self.0,
            running: FuturesUnordered::new(),
            alarm: Arc::default(),
        }
    }
}

struct Operation<S> {
    responses: Pin<Box<S>>,
    loads: UnboundedReceiver<Load>,
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
            // The execution yields while it walks down a long list: more resolvers are about to ask. The task has been
            // woken together with the alarm.
            return Poll::Pending;
        }
        while let Poll::Ready(Some(load)) = self.loads.poll_recv(cx) {
            self.running.push(load);
        }
        while let Poll::Ready(Some(())) = self.running.poll_next_unpin(cx) {}
        Poll::Pending
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
