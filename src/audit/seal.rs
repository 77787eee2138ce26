//! The chain. Each sealed entry has a sequence number (1, 2, 3, …), a hash and a seal:
//!
//! ```text
//! hash = SHA-256(JSON array of: previous hash in hex or null, seq, id, actor, action, object, was, became, at, request)
//! mac  = HMAC-SHA256(key of key_id, hash)
//! ```
//!
//! The hash binds an entry to all before it; the seal proves that a holder of the key saw it. So an entry whose key was
//! removed is still verified by any later one whose key is configured: a leaked secret can be removed and the log stays
//! verifiable. That is why the chain does not use keyed hashes.

use std::time::Duration;

use sea_orm::{ConnectionTrait, QuerySelect, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    auth::token::Keys,
    db::{self, AdvisoryLock, Db},
    entity::audit_entry::{Entity, Model},
    error::{Error, Result},
};

/// Interval of the sealer, and so the longest an entry stays unsealed while a server runs.
pub(crate) const SEAL_EVERY: Duration = Duration::from_millis(500);
/// Entries of one transaction of the sealer.
const AT_ONCE: u64 = 200;

/// The head of the chain, to be stored where database administrators can't change it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Number of entries.
    pub sequence: i64,
    /// Of the last one, in hex.
    pub hash: String,
    /// Time of the last entry, in RFC 3339.
    pub time: String,
    /// Id of the key that sealed it.
    pub key_id: String,
}

/// Seals the committed entries that are not sealed yet. Returns their number. Entries are sealed in the order they are
/// found: one that commits after a younger one gets a later sequence number, and none is skipped.
pub async fn seal(db: &Db, keys: &Keys) -> Result<usize> {
    let mut sealed = 0;
    // Checking needs only a reader; the sealer takes the writer only if there are entries.
    while Entity::unsealed().one(db.read()).await?.is_some() {
        sealed += seal_some(db, keys).await?;
    }
    Ok(sealed)
}

#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
async fn seal_some(db: &Db, keys: &Keys) -> Result<usize> {
    let tx = db.begin().await?;
    db::advisory_lock(&tx, AdvisoryLock::Seal).await?;
    let head = Entity::head().one(&tx).await?;
    let (mut seq, mut previous) = head.map_or((0, None), |head| (head.seq.unwrap_or(0), head.hash));
    let key_id = keys.id();
    let mut values: Vec<Value> = vec![key_id.into()];
    let mut rows = Vec::new();
    for entry in Entity::unsealed().limit(AT_ONCE).all(&tx).await? {
        seq += 1;
        let hash = hash(previous.as_deref(), seq, &entry);
        let mac = keys
            .seal(key_id, &hash)
            .ok_or_else(|| Error::internal("no key to seal with"))?;
        let n = values.len();
        rows.push(format!("(${}, ${}, ${}, ${})", n + 1, n + 2, n + 3, n + 4));
        values.extend([entry.id.into(), seq.into(), hash.clone().into(), mac.to_vec().into()]);
        previous = Some(hash);
    }
    if !rows.is_empty() {
        let update = format!(
            "UPDATE audit_entries SET key_id = $1, seq = sealed.column2, hash = sealed.column3, mac = sealed.column4 \
             FROM (VALUES {}) AS sealed WHERE audit_entries.id = sealed.column1",
            rows.join(", ")
        );
        let update = sea_orm::Statement::from_sql_and_values(tx.get_database_backend(), update, values);
        tx.execute_raw(update).await?;
    }
    tx.commit().await?;
    Ok(rows.len())
}

/// The end of the chain, if it has begun.
pub async fn head(db: &Db) -> Result<Option<Head>> {
    let last = Entity::head().one(db.read()).await?;
    Ok(last.map(|entry| Head {
        sequence: entry.seq.unwrap_or_default(),
        hash: hex::encode(entry.hash.unwrap_or_default()),
        time: entry.at.to_utc().to_rfc3339(),
        key_id: entry.key_id.unwrap_or_default(),
    }))
}

/// Problems of the chain, one per line: altered or removed entries, and seals made without the key.
pub(crate) async fn check(db: &Db, keys: &Keys) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    let (mut seq, mut previous): (i64, Option<Vec<u8>>) = (0, None);
    // The entries since the last verifiable seal, and the id of the key that is missing for them.
    let mut unproved: Option<(i64, String)> = None;
    loop {
        let entries = Entity::sealed_after(seq).limit(AT_ONCE).all(db.read()).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let at = entry.seq.unwrap_or_default();
            if at != seq + 1 {
                findings.push(missing(seq + 1, at - 1));
            }
            let stored = entry.hash.as_deref().unwrap_or_default();
            let key_id = entry.key_id.as_deref().unwrap_or_default();
            // Behind a gap there is nothing to hash on to: the entry's own word is taken for it, which its seal covers.
            if at == seq + 1 && hash(previous.as_deref(), at, &entry) != stored {
                findings.push(format!("audit entry {at} ({}) was altered", entry.id.encode()));
            }
            match keys.seal(key_id, stored) {
                Some(mac) if entry.mac.as_deref() == Some(&mac[..]) => unproved = None,
                Some(_) => findings.push(format!("audit entry {at} ({}) has a forged seal", entry.id.encode())),
                None => {
                    unproved.get_or_insert((at, key_id.to_owned()));
                }
            }
            (seq, previous) = (at, entry.hash);
        }
    }
    if let Some((from, key_id)) = unproved {
        findings.push(format!(
            "audit entries {from} to {seq} can't be proved: they were sealed with the key {key_id}, whose secret is not \
             configured. Add it behind the others in MARMALADE_SECRETS, or look again after the next entry."
        ));
    }
    Ok(findings)
}

/// The problem, if the chain does not contain `head`.
pub async fn check_head(db: &Db, head: &Head) -> Result<Vec<String>> {
    let entry = Entity::sealed_after(head.sequence - 1).one(db.read()).await?;
    let there = entry.filter(|entry| entry.seq == Some(head.sequence));
    Ok(match there {
        Some(entry) if hex::encode(entry.hash.as_deref().unwrap_or_default()) == head.hash => Vec::new(),
        Some(_) => vec![format!(
            "audit entry {} is not the one that was exported as the head",
            head.sequence
        )],
        None => {
            let last = Entity::head().one(db.read()).await?.and_then(|entry| entry.seq);
            vec![missing(last.unwrap_or(0).min(head.sequence - 1) + 1, head.sequence)]
        }
    })
}

fn missing(from: i64, to: i64) -> String {
    if from == to {
        format!("audit entry {from} was removed")
    } else {
        format!("audit entries {from} to {to} were removed")
    }
}

fn hash(previous: Option<&[u8]>, seq: i64, entry: &Model) -> Vec<u8> {
    let text = serde_json::json!([
        previous.map(hex::encode),
        seq,
        entry.id.0,
        entry.actor_id.map(|actor| actor.0),
        entry.action,
        entry.object_id,
        entry.was,
        entry.became,
        entry.at,
        entry.request_id,
    ]);
    Sha256::digest(text.to_string()).to_vec()
}
