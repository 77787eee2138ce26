//! Public profiles of accounts, cached: boards and their streams show one in every row.

use std::{
    collections::{BTreeSet, HashMap},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use moka::sync::Cache;
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use crate::{
    auth::revocation::AccountChanged,
    clock::Time,
    db::{Db, sql},
    error::Result,
    fleet::Health,
    id::UserId,
    outbox::{Event, Follower},
};

/// The public fields of an account.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Profile {
    pub id: UserId,
    pub handle: String,
    pub avatar: Option<String>,
}

/// Profiles that were read lately.
pub struct Profiles {
    known: Cache<UserId, Profile>,
    /// Counts invalidations: a value read before one must not be cached after it.
    forgotten: AtomicU64,
}

/// Maximum age of a cached profile, in case an invalidation is lost.
const TTL: Duration = Duration::from_secs(60);

impl Default for Profiles {
    fn default() -> Self {
        Self {
            known: Cache::builder().max_capacity(100_000).time_to_live(TTL).build(),
            forgotten: AtomicU64::new(0),
        }
    }
}

impl Profiles {
    /// The profiles of these accounts, as far as they are not deleted, and the number of statements it took: one, or none
    /// if all are known.
    pub async fn of(
        &self,
        conn: &impl ConnectionTrait,
        ids: impl IntoIterator<Item = UserId>,
    ) -> Result<(HashMap<UserId, Profile>, usize)> {
        let (mut profiles, mut unknown) = (HashMap::new(), BTreeSet::new());
        for id in ids {
            match self.known.get(&id) {
                Some(profile) => drop(profiles.insert(id, profile)),
                None => drop(unknown.insert(id)),
            }
        }
        if unknown.is_empty() {
            return Ok((profiles, 0));
        }
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        for profile in read(conn, &unknown).await? {
            self.known.insert(profile.id, profile.clone());
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.known.invalidate(&profile.id);
            }
            profiles.insert(profile.id, profile);
        }
        Ok((profiles, 1))
    }

    /// Any account may have changed.
    fn invalidate_all(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.known.invalidate_all();
    }

    /// Invalidates the profile of an account.
    fn invalidate(&self, user: UserId) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.known.invalidate(&user);
    }
}

#[async_trait::async_trait]
impl Follower for Profiles {
    async fn follow(&self, event: &Event, _: Time) -> Result<()> {
        self.receive(event).await;
        Ok(())
    }

    async fn receive(&self, event: &Event) {
        if let Some(changed) = event.read::<AccountChanged>() {
            self.invalidate(changed.user);
        }
    }

    async fn channel(&self, health: Health, _: &Db, _: Time) -> Result<()> {
        if health == Health::CatchingUp {
            self.invalidate_all();
        }
        Ok(())
    }
}

/// One statement with one parameter, however many there are.
async fn read(conn: &impl ConnectionTrait, ids: &BTreeSet<UserId>) -> Result<Vec<Profile>> {
    let postgres = conn.get_database_backend() == DbBackend::Postgres;
    let (each, ids): (_, Vec<_>) = if postgres {
        let each = "SELECT value::uuid FROM json_array_elements_text($1::json)";
        (each, ids.iter().map(|id| id.0.to_string()).collect())
    } else {
        let each = "SELECT unhex(value) FROM json_each($1)";
        (each, ids.iter().map(|id| id.0.simple().to_string()).collect())
    };
    let select = sql(
        conn,
        format!("SELECT id, handle, avatar FROM users WHERE deleted_at IS NULL AND id IN ({each})"),
        [serde_json::json!(ids).to_string().into()],
    );
    Ok(Profile::find_by_statement(select).all(conn).await?)
}
