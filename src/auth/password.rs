//! Passwords: argon2id, off the async threads, so many at once.

use std::sync::{
    Arc, LazyLock,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{
    sync::Semaphore,
    time::{Duration, timeout},
};

use crate::{
    error::{Error, Result},
    telemetry,
    text::forms_of_password,
};

/// A hash takes tens of milliseconds of a core and 19 MiB.
static QUEUE: LazyLock<Arc<Queue>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    Queue::new(cores, 200 * cores)
});

/// The longest wait. Whoever is refused is told to come back after as long again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Work that takes a core, in turn.
struct Queue {
    at_once: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// One that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Queue {
    fn new(at_once: usize, most_waiting: usize) -> Arc<Self> {
        Arc::new(Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            waiting: AtomicUsize::new(0),
            most_waiting,
        })
    }

    /// The result of the work, or a refusal if too many wait, or for too long.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Waiting(&self.waiting);
        let permit = match before < self.most_waiting {
            true => timeout(PATIENCE, self.at_once.clone().acquire_owned()).await.ok(),
            false => None,
        };
        drop(waiting);
        let Some(permit) = permit else {
            telemetry::refused("password_hashes");
            return Err(Error::RateLimited(PATIENCE));
        };
        let permit = permit.map_err(Error::internal)?;
        // The work continues when its request is dropped, and keeps its permit.
        let work = move || {
            let _permit = permit;
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)
    }
}

/// The PHC string to store for a password that [`text::password`](crate::text) has read.
pub async fn hash(password: String, salt: [u8; 16]) -> Result<String> {
    let hashed = QUEUE.run(move || {
        Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
    });
    hashed.await?.map_err(|error| Error::internal(error.to_string()))
}

/// Whether the password, in any of its forms, is the one of the hash. Without a hash (there is no such account) it takes
/// the same time.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    let verified = QUEUE.run(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.to_owned());
        let is_of =
            |hash: &PasswordHash, form: &String| Argon2::default().verify_password(form.as_bytes(), hash).is_ok();
        let forms = forms_of_password(password);
        let matches = PasswordHash::new(&hash).is_ok_and(|hash| forms.iter().any(|form| is_of(&hash, form)));
        matches && known
    });
    verified.await
}

/// A hash with the same parameters as all others, of an unknown password.
const DUMMY_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUh$mSq9Rvn0xgqK1RLVb2u0Qw6tIhE0Qj0gVfJz8mYyFqE";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_verifies() {
        let hash = hash("correct horse".into(), [7; 16]).await.unwrap_or_default();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(
            verify("correct horse".into(), Some(hash.clone()))
                .await
                .is_ok_and(|ok| ok)
        );
        assert!(verify("wrong horse".into(), Some(hash)).await.is_ok_and(|ok| !ok));
    }

    #[tokio::test]
    async fn who_comes_to_a_full_queue_is_told_when_to_try_again() {
        let queue = Queue::new(1, 2);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let queued = queue.clone();
        let first = tokio::spawn(async move {
            let work = move || {
                begin.send(()).ok();
                held.recv().ok();
            };
            queued.run(work).await.is_ok()
        });
        begun.await.expect("the work begins");
        let wait = || {
            let queue = queue.clone();
            tokio::spawn(async move { queue.run(|| ()).await.is_ok() })
        };
        let waiting = [wait(), wait()];
        while queue.waiting.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(queue.run(|| ()).await, Err(Error::RateLimited(wait)) if !wait.is_zero()));
        // Whoever leaves makes room.
        let [stays, leaves] = waiting;
        leaves.abort();
        assert!(leaves.await.is_err());
        let next = wait();
        let_go.send(()).expect("the work goes on");
        for done in [first, stays, next] {
            assert!(done.await.is_ok_and(|ok| ok));
        }
        assert_eq!(queue.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_dummy_hash_costs_as_much_as_any() {
        let parsed = PasswordHash::new(DUMMY_HASH).map(|hash| hash.params.to_string());
        assert_eq!(parsed.ok().as_deref(), Some("m=19456,t=2,p=1"));
    }
}
