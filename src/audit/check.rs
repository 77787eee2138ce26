//! Verifies the audit log: every entry is sealed or signed by a known key, in its place, with the reason that was given, and
//! the chain ends where its head says.

use std::collections::HashSet;

use sea_orm::{ActiveEnum, ConnectionTrait, PaginatorTrait, QuerySelect, Select};

use super::proof::{self, Seal, Signature};
use crate::{
    auth::token::Keys,
    db::Db,
    entity::{
        audit_entry::{Action, Entity, Model},
        audit_head,
    },
    error::Result,
};

/// Entries that are read or sealed at once.
pub(super) const AT_ONCE: u64 = 200;

/// The problems of the log, one per line; none if it is whole.
pub(crate) async fn check(db: &Db, keys: &Keys) -> Result<Vec<String>> {
    let conn = db.read();
    let mut chain = Walk::new(keys);
    // A server may be sealing: the head is read after the entries, and entries again if it has gone on.
    let mut seen = None;
    let head = loop {
        chain.walk(conn).await?;
        let head = audit_head::Entity::this().one(conn).await?;
        let ahead = head.as_ref().is_some_and(|head| head.seq > chain.seq);
        if !ahead || seen == Some(chain.seq) {
            break head;
        }
        seen = Some(chain.seq);
    };
    chain.end_at(head);
    // Two in one place, where the constraint against it was dropped, may be at the end of a page.
    let stored = Entity::sealed_before(chain.seq.saturating_add(1)).count(conn).await?;
    let mut findings = chain.findings(stored);
    let mut pages = Pages::default();
    while let Some(entries) = pages
        .next(conn, |last| Entity::unsealed(last.map(|entry| entry.id)))
        .await?
    {
        findings.extend(entries.iter().filter_map(|entry| unsealed(keys, entry)));
    }
    Ok(findings)
}

/// All rows of a select, some at a time, each select made with the last row of the one before.
#[derive(Default)]
pub(super) struct Pages {
    last: Option<Model>,
}

impl Pages {
    pub(super) async fn next(
        &mut self,
        conn: &impl ConnectionTrait,
        after: impl Fn(Option<&Model>) -> Select<Entity>,
    ) -> Result<Option<Vec<Model>>> {
        let entries = after(self.last.as_ref()).limit(AT_ONCE).all(conn).await?;
        let Some(last) = entries.last() else { return Ok(None) };
        self.last = Some(last.clone());
        Ok(Some(entries))
    }

    /// The last row so far.
    pub(super) fn last(&self) -> Option<&Model> {
        self.last.as_ref()
    }
}

/// The problem of an entry that is not sealed yet, if there is one.
pub(super) fn unsealed(keys: &Keys, entry: &Model) -> Option<String> {
    let problem = match proof::check_entry(keys, entry) {
        Signature::Good => return None,
        Signature::Missing => {
            "is not signed: it was written by hand, or by a server of the previous release".to_owned()
        }
        Signature::Forged => "has a forged signature, or was altered after it was written".to_owned(),
        Signature::Retired => "is signed with a retired key".to_owned(),
        Signature::UnknownKey(key) => format!("is signed with the key {key}, whose secret is not configured"),
    };
    let action = entry.action.to_value();
    Some(format!(
        "audit entry {} ({action} of {}) {problem}",
        entry.id.encode(),
        entry.object_id
    ))
}

/// The problem of the head itself, if there is one.
pub(super) fn head_alone(keys: &Keys, head: Option<&audit_head::Model>) -> Option<String> {
    let Some(head) = head else {
        return Some(
            "the head of the audit log is missing: the end of the log, or all of it, may have been removed".into(),
        );
    };
    let seq = head.seq;
    match proof::check_head(keys, head) {
        Signature::Good => None,
        Signature::Missing | Signature::Forged => Some(format!(
            "the head of the audit log, which names audit entry {seq}, has a forged signature"
        )),
        Signature::Retired => Some(format!(
            "the head of the audit log, which names audit entry {seq}, is signed with the retired key {}. Put its secret \
             behind the present one in MARMALADE_SECRETS until a server has signed the head anew",
            head.key_id
        )),
        Signature::UnknownKey(key) => Some(format!(
            "the head of the audit log, which names audit entry {seq}, is signed with the key {key}, whose secret is not \
             configured"
        )),
    }
}

pub(super) fn missing(from: i64, to: i64) -> String {
    if from >= to {
        format!("audit entry {from} was removed")
    } else {
        format!("audit entries {from} to {to} were removed")
    }
}

/// Entries in a row that are sealed with the same unknown key.
struct Unknown {
    from: i64,
    id: String,
    to: i64,
    key: String,
}

/// The chain, walked from its beginning.
struct Walk<'k> {
    keys: &'k Keys,
    entries: u64,
    seq: i64,
    previous: Option<Vec<u8>>,
    findings: Vec<String>,
    unknown: Option<Unknown>,
    /// Place and hash of the last entry that no server of the previous release has sealed: the head must name it.
    last: (i64, Option<Vec<u8>>),
    /// A key that is not retired has sealed: from there on no retired one may.
    present_key: bool,
    /// Of all entries so far; an acceptance names it.
    digest: Vec<u8>,
    /// Entries whose reason is gone, and the objects of those that were erased.
    without_reason: Vec<(i64, String, String)>,
    erased: HashSet<String>,
}

impl<'k> Walk<'k> {
    fn new(keys: &'k Keys) -> Self {
        Self {
            keys,
            entries: 0,
            seq: 0,
            previous: None,
            findings: Vec::new(),
            unknown: None,
            last: (0, None),
            present_key: false,
            digest: Vec::new(),
            without_reason: Vec::new(),
            erased: HashSet::new(),
        }
    }

    async fn walk(&mut self, conn: &impl ConnectionTrait) -> Result<()> {
        // Places before the first are none, and looked at nevertheless.
        let mut after = if self.entries == 0 { i64::MIN } else { self.seq };
        loop {
            let entries = Entity::sealed_after(after).limit(AT_ONCE).all(conn).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = last.seq.unwrap_or_default();
            entries.into_iter().for_each(|entry| self.take(entry));
        }
    }

    fn take(&mut self, entry: Model) {
        let seq = entry.seq.unwrap_or_default();
        let name = format!("audit entry {seq} ({})", entry.id.encode());
        self.entries += 1;
        if seq <= self.seq {
            self.findings
                .push(format!("{name} was put where no entry, or another one, has its place"));
            self.digest = proof::digest(&self.digest, &entry);
            return;
        }
        let is_next = seq == self.seq + 1;
        if !is_next {
            self.known();
            self.findings.push(missing(self.seq + 1, seq - 1));
        }
        let seal = proof::check_seal(self.keys, self.previous.as_deref(), &entry);
        if !matches!(seal, Seal::UnknownKey(_)) {
            self.known();
        }
        let mut may_seal = false;
        match &seal {
            Seal::Good | Seal::Former => may_seal = self.check_key(&name, &entry),
            // Behind a gap there is nothing to hash on to.
            Seal::Altered if is_next => self
                .findings
                .push(format!("{name} was altered, or is not in its place")),
            Seal::Altered => {}
            Seal::Forged => self.findings.push(format!("{name} has a forged seal")),
            Seal::UnknownKey(key) => self.unknown(seq, entry.id.encode(), key),
        }
        if seal != Seal::Former {
            self.last = (seq, entry.hash.clone());
        }
        if entry.action == Action::AuditLogAccepted && seal == Seal::Good && may_seal {
            self.accept(&name, &entry);
        }
        self.check_reason(seq, &name, &entry);
        if entry.action == Action::UserErased && may_seal {
            self.erased.insert(entry.object_id.clone());
        }
        self.digest = proof::digest(&self.digest, &entry);
        (self.seq, self.previous) = (seq, entry.hash);
    }

    /// Whether the key of a good seal was in use when the entry was sealed.
    fn check_key(&mut self, name: &str, entry: &Model) -> bool {
        let key = entry.key_id.as_deref().unwrap_or_default();
        if !self.keys.is_retired(key) {
            self.present_key = true;
        } else if self.present_key {
            self.findings
                .push(format!("{name} is sealed with the key {key}, which was retired before"));
            return false;
        }
        true
    }

    fn unknown(&mut self, seq: i64, id: String, key: &str) {
        match &mut self.unknown {
            Some(unknown) if unknown.key == key => unknown.to = seq,
            _ => {
                self.known();
                let key = key.to_owned();
                self.unknown = Some(Unknown {
                    from: seq,
                    id,
                    to: seq,
                    key,
                });
            }
        }
    }

    /// Ends a row of entries with an unknown key.
    fn known(&mut self) {
        let Some(Unknown { from, id, to, key }) = self.unknown.take() else {
            return;
        };
        let (entries, are) = match from == to {
            true => (format!("audit entry {from} ({id})"), "is"),
            false => (format!("audit entries {from} ({id}) to {to}"), "are"),
        };
        self.findings.push(format!(
            "{entries} {are} sealed with the key {key}, whose secret is not configured. If it is a former one of this site, \
             name it in MARMALADE_RETIRED_SECRETS"
        ));
    }

    /// What was found before an acceptance of the log as it was is settled, if it still is that log.
    fn accept(&mut self, name: &str, entry: &Model) {
        let became: Option<serde_json::Value> =
            entry.became.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let accepted = became.as_ref().and_then(|became| became["digest"].as_str());
        if accepted == Some(&hex::encode(&self.digest)) {
            self.findings.clear();
            self.without_reason.clear();
        } else {
            self.findings.push(format!(
                "the audit log is not the one that was accepted by {name}: it was altered before that"
            ));
        }
    }

    fn check_reason(&mut self, seq: i64, name: &str, entry: &Model) {
        match (&entry.reason, &entry.reason_digest) {
            (None, None) => {}
            (None, Some(_)) => {
                let erased = (seq, entry.id.encode(), entry.object_id.clone());
                self.without_reason.push(erased);
            }
            (Some(reason), _) => match proof::check_reason(self.keys, entry, reason) {
                Signature::Good => {}
                // It is named with the seal.
                Signature::UnknownKey(key) if entry.key_id.as_ref() == Some(&key) => {}
                Signature::UnknownKey(key) => self.findings.push(format!(
                    "the reason of {name} is signed with the key {key}, whose secret is not configured"
                )),
                _ => self.findings.push(format!("the reason of {name} was altered")),
            },
        }
    }

    /// Compares the end of the chain with its head.
    fn end_at(&mut self, head: Option<audit_head::Model>) {
        self.known();
        let (last, hash) = &self.last;
        self.findings.extend(head_alone(self.keys, head.as_ref()));
        let Some(head) = head else { return };
        if head.seq > self.seq {
            self.findings.push(missing(self.seq + 1, head.seq));
        } else if head.seq != *last {
            self.findings.push(format!(
                "the head of the audit log names audit entry {}, but audit entry {last} is sealed, too: it was exchanged \
                 for an older one",
                head.seq
            ));
        } else if head.hash != *hash {
            self.findings.push(format!(
                "audit entry {last} is not the one that the head of the audit log names"
            ));
        }
    }

    /// Everything found, if there are so many sealed entries.
    fn findings(mut self, stored: u64) -> Vec<String> {
        if stored != self.entries {
            self.findings.push(format!(
                "the audit log has {} entries in the places of others",
                stored.saturating_sub(self.entries)
            ));
        }
        for (seq, id, object) in self.without_reason {
            if !self.erased.contains(&object) {
                self.findings
                    .push(format!("the reason of audit entry {seq} ({id}) was removed"));
            }
        }
        self.findings
    }
}
