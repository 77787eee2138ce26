//! What proves an entry, and that it stands where it was put. All of it needs the key, except for reading it:
//!
//! ```text
//! signature = key id "." HMAC(entry key,  JSON array of: id, actor, action, object, was, became, at, request, reason digest)
//! hash      =            HMAC(chain key,  JSON array of: previous hash in hex or null, seq, and the same)
//! seal      =            HMAC(seal key,   hash)
//! head      =            HMAC(head key,   JSON array of: seq, hash in hex or null)
//! digest    = key id "." HMAC(reason key, JSON array of: id, reason)
//! ```
//!
//! HMAC is HMAC-SHA256, in hex where it is text. An entry is signed by the statement that writes it, so that one which was
//! written by hand is never taken into the chain. The chain binds an entry to all before it, the head to all there are.
//!
//! The previous release took SHA-256 of the same array, without the reason's digest, for the hash. No one can forge its seal
//! without the key either, so what it has sealed is still good.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    auth::token::{Keys, Purpose},
    entity::{audit_entry, audit_head},
    error::{Error, Result},
    id::AuditEntryId,
};

/// What holds an entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    Good,
    /// Good, and made by a server of the previous release.
    Former,
    /// The entry is not the one that was sealed here.
    Altered,
    /// The seal is not one of the key that it names.
    Forged,
    /// Nobody can tell without the secret of this key.
    UnknownKey(String),
}

/// What a text that only a server can make is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    Good,
    Missing,
    /// Of something else, or of somebody else.
    Forged,
    /// By a key that may no longer make new ones.
    Retired,
    UnknownKey(String),
}

/// The array of an entry, after what stands before it.
fn content(before: impl IntoIterator<Item = Value>, entry: &audit_entry::Model, with_reason: bool) -> String {
    let content = [
        json!(entry.id.0),
        json!(entry.actor_id.map(|actor| actor.0)),
        json!(entry.action),
        json!(entry.object_id),
        json!(entry.was),
        json!(entry.became),
        json!(entry.at),
        json!(entry.request_id),
    ];
    let reason = with_reason.then(|| json!(entry.reason_digest));
    let all: Vec<Value> = before.into_iter().chain(content).chain(reason).collect();
    Value::from(all).to_string()
}

fn place(previous: Option<&[u8]>, seq: i64) -> [Value; 2] {
    [json!(previous.map(hex::encode)), json!(seq)]
}

/// Signs with the present key.
fn sign(keys: &Keys, purpose: Purpose, message: &str) -> Result<String> {
    Ok(format!(
        "{}.{}",
        keys.id(),
        hex::encode(mac(keys, purpose, message.as_bytes())?)
    ))
}

/// The HMAC by the present key.
fn mac(keys: &Keys, purpose: Purpose, message: &[u8]) -> Result<[u8; 32]> {
    let mac = keys.audit_mac(keys.id(), purpose, message);
    mac.ok_or_else(|| Error::internal("no key for the audit log"))
}

fn check(keys: &Keys, purpose: Purpose, signature: Option<&str>, message: &str) -> Signature {
    let Some((key_id, given)) = signature.and_then(|signature| signature.split_once('.')) else {
        return match signature {
            Some(_) => Signature::Forged,
            None => Signature::Missing,
        };
    };
    match keys.audit_mac(key_id, purpose, message.as_bytes()) {
        None => Signature::UnknownKey(key_id.to_owned()),
        Some(mac) if hex::encode(mac) != given => Signature::Forged,
        Some(_) if keys.is_retired(key_id) => Signature::Retired,
        Some(_) => Signature::Good,
    }
}

/// The signature of an entry that is written now.
pub(super) fn sign_entry(keys: &Keys, entry: &audit_entry::Model) -> Result<String> {
    sign(keys, Purpose::Entry, &content([], entry, true))
}

/// What the signature of an entry is worth that is not sealed yet.
pub(super) fn check_entry(keys: &Keys, entry: &audit_entry::Model) -> Signature {
    check(
        keys,
        Purpose::Entry,
        entry.signature.as_deref(),
        &content([], entry, true),
    )
}

/// The digest of a reason that is given now.
pub(super) fn sign_reason(keys: &Keys, id: AuditEntryId, reason: &str) -> Result<String> {
    sign(keys, Purpose::Reason, &json!([id.0, reason]).to_string())
}

/// Whether the reason is the one that was given. A retired key may have signed it.
pub(super) fn check_reason(keys: &Keys, entry: &audit_entry::Model, reason: &str) -> Signature {
    let message = json!([entry.id.0, reason]).to_string();
    match check(keys, Purpose::Reason, entry.reason_digest.as_deref(), &message) {
        Signature::Retired => Signature::Good,
        other => other,
    }
}

/// The hash and the seal of an entry in its place, by the present key.
pub(super) fn seal(
    keys: &Keys,
    previous: Option<&[u8]>,
    seq: i64,
    entry: &audit_entry::Model,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let hash = mac(
        keys,
        Purpose::Chain,
        content(place(previous, seq), entry, true).as_bytes(),
    )?;
    Ok((hash.to_vec(), mac(keys, Purpose::Seal, &hash)?.to_vec()))
}

/// What the seal of an entry is worth, behind the entry with the hash `previous`.
pub(super) fn check_seal(keys: &Keys, previous: Option<&[u8]>, entry: &audit_entry::Model) -> Seal {
    let key_id = entry.key_id.as_deref().unwrap_or_default();
    let (seq, hash) = (entry.seq.unwrap_or_default(), entry.hash.as_deref().unwrap_or_default());
    let message = content(place(previous, seq), entry, true);
    let Some(expected) = keys.audit_mac(key_id, Purpose::Chain, message.as_bytes()) else {
        return Seal::UnknownKey(key_id.to_owned());
    };
    if keys.audit_mac(key_id, Purpose::Seal, hash).map(Vec::from) != entry.mac {
        Seal::Forged
    } else if hash == expected {
        Seal::Good
    } else if hash[..] == Sha256::digest(content(place(previous, seq), entry, false))[..] {
        Seal::Former
    } else {
        Seal::Altered
    }
}

/// What an entry adds to the digest of a log that is accepted as it is.
pub(super) fn digest(before: &[u8], entry: &audit_entry::Model) -> Vec<u8> {
    let stored = [entry.hash.as_deref(), entry.mac.as_deref()].map(|bytes| json!(bytes.map(hex::encode)));
    let front = place(Some(before), entry.seq.unwrap_or_default());
    let all = content(
        front.into_iter().chain(stored).chain([json!(entry.key_id)]),
        entry,
        true,
    );
    Sha256::digest(all).to_vec()
}

/// The head of a chain that ends with this entry, signed by the present key.
pub(super) fn sign_head(keys: &Keys, seq: i64, hash: Option<Vec<u8>>) -> Result<audit_head::Model> {
    Ok(audit_head::Model {
        id: audit_head::ID,
        seq,
        mac: mac(keys, Purpose::Head, head(seq, hash.as_deref()).as_bytes())?.to_vec(),
        hash,
        key_id: keys.id().to_owned(),
    })
}

/// What the signature of the head is worth.
pub(super) fn check_head(keys: &Keys, stored: &audit_head::Model) -> Signature {
    let message = head(stored.seq, stored.hash.as_deref());
    match keys.audit_mac(&stored.key_id, Purpose::Head, message.as_bytes()) {
        None => Signature::UnknownKey(stored.key_id.clone()),
        Some(mac) if stored.mac != mac => Signature::Forged,
        Some(_) if keys.is_retired(&stored.key_id) => Signature::Retired,
        Some(_) => Signature::Good,
    }
}

fn head(seq: i64, hash: Option<&[u8]>) -> String {
    json!([seq, hash.map(hex::encode)]).to_string()
}
