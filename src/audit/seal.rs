//! The sealer: entries are written unchained, so that no two transactions wait for each other, and put into the chain
//! afterwards. `audit/proof.rs` has the exact bytes.
//!
//! The sealer takes in only entries that are signed, and adds to nothing that it can't verify: otherwise whoever can write the
//! tables would only have to wait for it.

use std::{sync::Mutex, time::Duration};

use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QuerySelect, Value, sea_query::OnConflict,
};
use serde::{Deserialize, Serialize};

use super::{
    Action, Entry, Source,
    check::{self, AT_ONCE, Pages, missing},
    proof::{self, Seal, Signature},
    row,
};
use crate::{
    auth::token::Keys,
    clock::Moment,
    db::{self, AdvisoryLock, Db},
    entity::{
        audit_entry::{Entity, Model},
        audit_head, user,
    },
    error::Result,
    id::AuditEntryId,
    sync::lock,
    telemetry, text,
};

/// Interval of the sealer, and so the longest an entry stays unsealed while a server runs.
pub(crate) const SEAL_EVERY: Duration = Duration::from_millis(500);

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

/// What the sealer has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// The number of entries that it sealed.
    pub count: usize,
    /// What it does not seal, and why.
    pub refused: Vec<String>,
}

/// The end of the chain.
#[derive(Default)]
struct End {
    seq: i64,
    hash: Option<Vec<u8>>,
}

/// Seals periodically, and says once what it refuses.
#[derive(Default)]
pub(crate) struct Sealer {
    said: Mutex<Vec<String>>,
}

impl Sealer {
    pub(crate) async fn run(&self, db: &Db, keys: &Keys) -> Result<()> {
        let Sealed { refused, .. } = seal(db, keys).await?;
        telemetry::audit_refused(refused.len());
        let mut said = lock(&self.said);
        for refusal in refused.iter().filter(|refusal| !said.contains(refusal)) {
            tracing::error!("the audit log can't be sealed: {refusal}");
        }
        *said = refused;
        Ok(())
    }
}

/// Seals the committed entries that are not sealed yet, in the order in which they are found: one that commits after a
/// younger one gets a later sequence number, and none is skipped, except those that no server of the site has signed.
pub async fn seal(db: &Db, keys: &Keys) -> Result<Sealed> {
    let mut sealed = Sealed::default();
    let mut after = None;
    loop {
        // Checking needs only a reader; the sealer takes the writer only if there are entries.
        let found = Entity::unsealed(after).limit(AT_ONCE).all(db.read()).await?;
        let Some(last) = found.last() else { return Ok(sealed) };
        let refused: Vec<_> = found.iter().filter_map(|entry| check::unsealed(keys, entry)).collect();
        let is_any_good = refused.len() < found.len();
        sealed.refused.extend(refused);
        if is_any_good {
            match seal_some(db, keys, after).await? {
                Ok(count) => sealed.count += count,
                Err(refusal) => {
                    sealed.refused.push(refusal);
                    return Ok(sealed);
                }
            }
        }
        after = Some(last.id);
    }
}

/// Seals the signed ones of the next entries after this one. Returns their number, or why the chain can't go on.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
async fn seal_some(db: &Db, keys: &Keys, after: Option<AuditEntryId>) -> Result<std::result::Result<usize, String>> {
    let tx = db.begin().await?;
    db::advisory_lock(&tx, AdvisoryLock::Seal).await?;
    let mut end = match end(&tx, keys).await? {
        Ok(end) => end,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut entries = Entity::unsealed(after).limit(AT_ONCE).all(&tx).await?;
    entries.retain(|entry| proof::check_entry(keys, entry) == Signature::Good);
    append(&tx, keys, &mut end, &entries).await?;
    store_head(&tx, keys, end).await?;
    tx.commit().await?;
    Ok(Ok(entries.len()))
}

/// The verified end of the chain, or why it can't be verified. What servers of the previous release have added to it is sealed
/// anew.
async fn end(tx: &impl ConnectionTrait, keys: &Keys) -> Result<std::result::Result<End, String>> {
    let head = audit_head::Entity::this().one(tx).await?;
    if let Some(problem) = check::head_alone(keys, head.as_ref()) {
        return Ok(Err(problem));
    }
    let Some(head) = head else {
        return Ok(Ok(End::default()));
    };
    if head.seq > 0 {
        let before = Entity::sealed_before(head.seq)
            .one(tx)
            .await?
            .and_then(|entry| entry.hash);
        let last = Entity::sealed_after(head.seq - 1).one(tx).await?;
        let last = last.filter(|last| last.seq == Some(head.seq) && last.hash == head.hash);
        let Some(last) = last else {
            let problem = format!(
                "audit entry {}, with which the audit log ended, is not there any more",
                head.seq
            );
            return Ok(Err(problem));
        };
        if proof::check_seal(keys, before.as_deref(), &last) != Seal::Good {
            let problem = format!(
                "audit entry {} ({}), the last one, was altered",
                head.seq,
                last.id.encode()
            );
            return Ok(Err(problem));
        }
    }
    let (seq, hash) = (head.seq, head.hash);
    take_over(tx, keys, End { seq, hash }).await
}

/// Verifies what servers of the previous release have sealed behind this end, and seals it anew. Returns the new end.
async fn take_over(tx: &impl ConnectionTrait, keys: &Keys, from: End) -> Result<std::result::Result<End, String>> {
    let start = from.seq;
    let behind = |last: Option<&Model>| Entity::sealed_after(last.and_then(|last| last.seq).unwrap_or(start));
    let (mut pages, mut seq, mut previous, mut is_retired) = (Pages::default(), start, from.hash.clone(), false);
    while let Some(entries) = pages.next(tx, behind).await? {
        for entry in entries {
            let at = entry.seq.unwrap_or_default();
            if at != seq + 1 {
                return Ok(Err(missing(seq + 1, at - 1)));
            }
            if proof::check_seal(keys, previous.as_deref(), &entry) != Seal::Former {
                let id = entry.id.encode();
                return Ok(Err(format!(
                    "audit entry {at} ({id}) is not sealed with a known key, or was altered"
                )));
            }
            is_retired = keys.is_retired(entry.key_id.as_deref().unwrap_or_default());
            (seq, previous) = (at, entry.hash);
        }
    }
    if is_retired {
        return Ok(Err(format!(
            "audit entry {seq}, the last one, is sealed with a retired key. Put its secret behind the present one in \
             MARMALADE_SECRETS until a server has taken the log over"
        )));
    }
    let (mut pages, mut end) = (Pages::default(), from);
    while let Some(entries) = pages.next(tx, behind).await? {
        append(tx, keys, &mut end, &entries).await?;
    }
    Ok(Ok(end))
}

/// Seals entries behind the end, in their order.
async fn append(tx: &impl ConnectionTrait, keys: &Keys, end: &mut End, entries: &[Model]) -> Result<()> {
    let mut values: Vec<Value> = vec![keys.id().into()];
    let mut rows = Vec::new();
    for entry in entries {
        end.seq = end.seq.saturating_add(1);
        let (hash, mac) = proof::seal(keys, end.hash.as_deref(), end.seq, entry)?;
        let n = values.len();
        rows.push(format!("(${}, ${}, ${}, ${})", n + 1, n + 2, n + 3, n + 4));
        values.extend([entry.id.into(), end.seq.into(), hash.clone().into(), mac.into()]);
        end.hash = Some(hash);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let update = format!(
        "UPDATE audit_entries SET key_id = $1, seq = sealed.column2, hash = sealed.column3, mac = sealed.column4, \
           signature = NULL \
         FROM (VALUES {}) AS sealed WHERE audit_entries.id = sealed.column1",
        rows.join(", ")
    );
    let update = sea_orm::Statement::from_sql_and_values(tx.get_database_backend(), update, values);
    tx.execute_raw(update).await?;
    Ok(())
}

async fn store_head(tx: &impl ConnectionTrait, keys: &Keys, end: End) -> Result<()> {
    use audit_head::Column;

    let row = proof::sign_head(keys, end.seq, end.hash)?
        .into_active_model()
        .reset_all();
    let columns = [Column::Seq, Column::Hash, Column::KeyId, Column::Mac];
    let replace = OnConflict::column(Column::Id).update_columns(columns).to_owned();
    audit_head::Entity::insert(row)
        .on_conflict(replace)
        .exec_without_returning(tx)
        .await?;
    Ok(())
}

/// Begins the log of a new site, takes over that of the previous release, or signs the head with the present key. A log of
/// which none of that can be said is left alone, for the sealer and `verify` to report.
///
/// A log is taken over only if every entry is sealed with a known key, and then nothing of what proves it is left: so it can't
/// be cut back to that state later on. Nor does a site with accounts begin a new one.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
pub(crate) async fn begin(db: &Db, keys: &Keys) -> Result<()> {
    let is_good = |head: &audit_head::Model| proof::check_head(keys, head) == Signature::Good;
    let head = audit_head::Entity::this().one(db.read()).await?;
    if head.is_some_and(|head| head.key_id == keys.id() && is_good(&head)) {
        return Ok(());
    }
    let tx = db.begin().await?;
    db::advisory_lock(&tx, AdvisoryLock::Seal).await?;
    let end = match audit_head::Entity::this().one(&tx).await? {
        Some(head) if is_good(&head) => End {
            seq: head.seq,
            hash: head.hash,
        },
        _ if is_new(&tx).await? => End::default(),
        Some(_) => return Ok(()),
        None => match take_over(&tx, keys, End::default()).await? {
            Ok(end) if end.seq > 0 => {
                tracing::info!(
                    entries = end.seq,
                    "the audit log of the previous release was verified and taken over"
                );
                end
            }
            Ok(_) => return Ok(()),
            Err(problem) => {
                tracing::error!("the audit log of the previous release can't be taken over: {problem}");
                return Ok(());
            }
        },
    };
    store_head(&tx, keys, end).await?;
    Ok(tx.commit().await?)
}

/// Whether nobody has done anything yet.
async fn is_new(tx: &impl ConnectionTrait) -> Result<bool> {
    Ok(Entity::log().one(tx).await?.is_none() && user::Entity::all().one(tx).await?.is_none())
}

/// Accepts the log as it is, with everything that is wrong with it: entries of a lost key, entries that are missing, entries
/// that were written by hand. An entry says so, and for what reason. Returns what was wrong.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
pub async fn accept(db: &Db, keys: &Keys, source: &Source, reason: &str, now: &Moment) -> Result<Vec<String>> {
    let reason = text::reason("reason", reason)?;
    let findings = check::check(db, keys).await?;
    if findings.is_empty() {
        return Ok(findings);
    }
    let tx = db.begin().await?;
    db::advisory_lock(&tx, AdvisoryLock::Seal).await?;
    let last = Entity::sealed_before(i64::MAX).one(&tx).await?;
    let head = audit_head::Entity::this().one(&tx).await?;
    // Numbers are not given twice: entries that are missing stay missing.
    let head = head.filter(|head| proof::check_head(keys, head) == Signature::Good);
    let mut end = End {
        seq: last
            .as_ref()
            .and_then(|last| last.seq)
            .max(head.map(|head| head.seq))
            .unwrap_or(0),
        hash: last.and_then(|last| last.hash),
    };
    let mut pages = Pages::default();
    while let Some(entries) = pages
        .next(&tx, |last| Entity::unsealed(last.map(|entry| entry.id)))
        .await?
    {
        append(&tx, keys, &mut end, &entries).await?;
    }
    let (mut pages, mut digest, mut count) = (Pages::default(), Vec::new(), 0);
    let all = |last: Option<&Model>| Entity::sealed_after(last.and_then(|last| last.seq).unwrap_or(i64::MIN));
    while let Some(entries) = pages.next(&tx, all).await? {
        count += entries.len();
        for entry in &entries {
            digest = proof::digest(&digest, entry);
        }
    }
    let object = pages.last().map_or_else(|| "audit".to_owned(), |last| last.id.encode());
    let accepted = Entry::of(Action::AuditLogAccepted, object)
        .was(serde_json::json!({"findings": findings.len()}))
        .became(serde_json::json!({"entries": count, "digest": hex::encode(digest)}))
        .reason(reason.as_str());
    let accepted = row(keys, source, accepted, now)?;
    Entity::insert(accepted.clone().into_active_model().reset_all())
        .exec_without_returning(&tx)
        .await?;
    append(&tx, keys, &mut end, &[accepted]).await?;
    store_head(&tx, keys, end).await?;
    tx.commit().await?;
    Ok(findings)
}

/// The end of the chain, if it has begun.
pub async fn head(db: &Db) -> Result<Option<Head>> {
    let last = Entity::sealed_before(i64::MAX).one(db.read()).await?;
    Ok(last.map(|entry| Head {
        sequence: entry.seq.unwrap_or_default(),
        hash: hex::encode(entry.hash.unwrap_or_default()),
        time: entry.at.to_utc().to_rfc3339(),
        key_id: entry.key_id.unwrap_or_default(),
    }))
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
            let last = Entity::sealed_before(i64::MAX).one(db.read()).await?;
            let last = last.and_then(|entry| entry.seq).unwrap_or(0);
            vec![missing(last.min(head.sequence - 1) + 1, head.sequence)]
        }
    })
}
