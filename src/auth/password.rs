//! Passwords: argon2id, off the async threads.

use std::sync::{Arc, OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// Hashing takes tens of milliseconds and 19 MiB each: no more at once than there are cores.
static AT_ONCE: OnceLock<Arc<Semaphore>> = OnceLock::new();

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let cores = || std::thread::available_parallelism().map_or(2, usize::from);
    let semaphore = AT_ONCE.get_or_init(|| Arc::new(Semaphore::new(cores())));
    let permit = semaphore.clone().acquire_owned().await.map_err(Error::internal)?;
    // The work continues when its request is dropped, and keeps its permit.
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)
}

/// The PHC string to store for a password.
pub async fn hash(password: String, salt: [u8; 16]) -> Result<String> {
    let hashed = off_thread(move || {
        Argon2::default()
            .hash_password_with_salt(password.as_bytes(), &salt)
            .map(|hash| hash.to_string())
    });
    hashed.await?.map_err(|error| Error::internal(error.to_string()))
}

/// Whether the password is the one of the hash. Without a hash (there is no such account) it takes the same time.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    off_thread(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| DUMMY_HASH.to_owned());
        let matches = PasswordHash::new(&hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        matches && known
    })
    .await
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

    #[test]
    fn the_dummy_hash_costs_as_much_as_any() {
        let parsed = PasswordHash::new(DUMMY_HASH).map(|hash| hash.params.to_string());
        assert_eq!(parsed.ok().as_deref(), Some("m=19456,t=2,p=1"));
    }
}
