//! Bounds on what is open at once, counted by each server for itself.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex},
    time::Duration,
};

use super::Who;
use crate::{
    error::{Error, Result},
    sync::lock,
    telemetry,
};

/// What a refused client is told to wait: things close when they do.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// So many of a kind may be open for each subject.
pub(crate) struct Slots {
    /// Its name in metrics.
    name: &'static str,
    most: usize,
    /// The count of each subject that has any.
    taken: Mutex<HashMap<Who, usize>>,
}

/// One that is open, until it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    who: Who,
}

impl Slots {
    pub(crate) fn new(name: &'static str, most: u32) -> Arc<Self> {
        Arc::new(Self {
            name,
            most: most as usize,
            taken: Mutex::default(),
        })
    }

    /// A slot, or the time after which to try again.
    pub(crate) fn take(self: &Arc<Self>, who: Who) -> Result<Slot> {
        let mut taken = lock(&self.taken);
        let count = taken.entry(who).or_default();
        if *count >= self.most {
            telemetry::refused(self.name);
            return Err(Error::RateLimited(RETRY_AFTER));
        }
        *count += 1;
        let slots = self.clone();
        Ok(Slot { slots, who })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = lock(&self.slots.taken).entry(self.who) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The slots of streams: WebSockets, server-sent events and multipart bodies, which stay open for as long as their
/// client likes.
pub struct Streams {
    of_account: Arc<Slots>,
    of_address: Arc<Slots>,
}

impl Streams {
    /// So many of each account, and so many without an account of each address.
    pub fn new(of_account: u32, of_address: u32) -> Self {
        Self {
            of_account: Slots::new("streams_of_account", of_account),
            of_address: Slots::new("streams_of_address", of_address),
        }
    }

    /// A slot, or the time after which to try again.
    pub(crate) fn take(&self, who: Who) -> Result<Slot> {
        match who {
            Who::User(_) => self.of_account.take(who),
            _ => self.of_address.take(who),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_free_again_and_nobody_is_remembered() {
        let (slots, ada, bob) = (
            Slots::new("tests", 2),
            Who::address("192.0.2.1".parse().ok()),
            Who::address("192.0.2.2".parse().ok()),
        );
        let taken: Vec<_> = (0..2).map(|_| slots.take(ada).ok().expect("a slot")).collect();
        assert!(matches!(slots.take(ada), Err(Error::RateLimited(wait)) if !wait.is_zero()));
        let other = slots.take(bob).ok().expect("a slot of its own");
        drop(taken);
        drop((slots.take(ada).ok().expect("free again"), other));
        assert!(lock(&slots.taken).is_empty());
    }
}
