//! Whoever has the tables in their hands, but not the key, leaves traces whatever they do to the audit log.

use std::time::{Duration, Instant};

use marmalade::{
    account::people,
    audit::{Action, Entry, Source, record, seal},
    auth::{role::Role, token::Purpose},
    change::Cause,
    id::{AuditEntryId, UserId},
    secret::Secret,
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    audit::{self, by_hand, drop_the_triggers, seal_all},
    on_both_databases,
    support::{SECRET, TestApp},
};

/// What `verify` finds in the log; that constraints and indexes are gone it finds, too.
async fn findings(app: &TestApp) -> Vec<String> {
    let mut findings = audit::findings(app).await;
    findings.retain(|finding| !finding.starts_with("index "));
    findings
}

const TABLES: [&str; 2] = ["audit_entries", "audit_head"];
const ANOTHER_SECRET: &str = "a secret of somebody else, long enough";

/// A way of rewriting the tables.
struct Attack {
    name: &'static str,
    how: How,
    /// What `verify` says of it, by and by. `{3}` is the name of the entry of the third account.
    found: &'static [&'static str],
}

enum How {
    Sql(&'static str),
    /// As the last, and then everything is chained again as the previous release did, which takes no key.
    Chained(&'static str, Name),
    /// The log of a site that has another secret.
    OfAnotherSite,
}

/// The name that a forged seal gives its key.
#[derive(Clone, Copy)]
enum Name {
    MadeUp,
    Ours,
}

const UNSEAL: &str = "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL";

#[rustfmt::skip]
const ATTACKS: &[Attack] = &[
    Attack { name: "a value is altered", found: &["{3} was altered"],
        how: How::Sql(r#"UPDATE audit_entries SET became = '{"role":"EDITOR"}' WHERE seq = 3"#) },
    Attack { name: "the values before are taken away", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET was = NULL WHERE seq = 3") },
    Attack { name: "the action is another", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET action = 'SIGN_IN_FAILED' WHERE seq = 3") },
    Attack { name: "the object is another", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET object_id = 'user_x' WHERE seq = 3") },
    Attack { name: "the actor is another", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET actor_id = id WHERE seq = 3") },
    Attack { name: "the request is another", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET request_id = 'x' WHERE seq = 3") },
    Attack { name: "an entry is backdated", found: &["{3} was altered"],
        how: How::Sql("UPDATE audit_entries SET at = at - 86400000000 WHERE seq = 3") },
    Attack { name: "the id of an entry is another", found: &["audit entry 3 (", "was altered"],
        how: How::Sql("UPDATE audit_entries SET id = actor_id, actor_id = NULL WHERE seq = 3") },
    Attack { name: "a reason is altered", found: &["the reason of {2} was altered"],
        how: How::Sql("UPDATE audit_entries SET reason = 'on leave' WHERE seq = 2") },
    Attack { name: "a reason is removed", found: &["the reason of {2} was removed"],
        how: How::Sql("UPDATE audit_entries SET reason = NULL WHERE seq = 2") },
    Attack { name: "a reason is removed with its signature", found: &["{2} was altered"],
        how: How::Sql("UPDATE audit_entries SET reason = NULL, reason_digest = NULL WHERE seq = 2") },
    Attack { name: "a reason is made up", found: &["the reason of {3} was altered"],
        how: How::Sql("UPDATE audit_entries SET reason = 'on leave' WHERE seq = 3") },
    Attack { name: "two entries change places", found: &["{4} was altered, or is not in its place"],
        how: How::Sql("UPDATE audit_entries SET seq = -3 WHERE seq = 3; UPDATE audit_entries SET seq = 3 WHERE seq = 4; \
            UPDATE audit_entries SET seq = 4 WHERE seq = -3") },
    Attack { name: "the content of an entry is repeated in another", found: &["{4} was altered"],
        how: How::Sql("UPDATE audit_entries SET (action, was, became, object_id, at, hash, mac) = \
            (SELECT action, was, became, object_id, at, hash, mac FROM audit_entries WHERE seq = 3) WHERE seq = 4") },
    Attack { name: "a sealed entry is repeated at the end", found: &["audit entry 7 (", "was altered, or is not in its place"],
        how: How::Sql("UPDATE audit_entries SET (seq, hash, mac, key_id) = \
            (SELECT 7, hash, mac, key_id FROM audit_entries WHERE seq = 6) WHERE object_id = 'user_7'") },
    Attack { name: "an entry is removed", found: &["audit entry 3 was removed"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq = 3") },
    Attack { name: "an entry is removed and the rest moves up", found: &["audit entry 3 (", "was altered, or is not in its place"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq = 3; UPDATE audit_entries SET seq = seq + 1000 WHERE seq > 3; \
            UPDATE audit_entries SET seq = seq - 1001 WHERE seq > 1000") },
    Attack { name: "the first entry is removed", found: &["audit entry 1 was removed"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq = 1") },
    Attack { name: "the end is cut off", found: &["audit entries 5 to 6 were removed"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq > 4") },
    Attack { name: "the end is cut off, with what is not sealed", found: &["audit entries 5 to 6 were removed"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL") },
    Attack { name: "everything is removed", found: &["audit entries 1 to 6 were removed"],
        how: How::Sql("DELETE FROM audit_entries") },
    Attack { name: "everything is removed, the head too", found: &["the head of the audit log is missing"],
        how: How::Sql("DELETE FROM audit_entries; DELETE FROM audit_head") },
    Attack { name: "the head is removed", found: &["the head of the audit log is missing"],
        how: How::Sql("DELETE FROM audit_head") },
    Attack { name: "the head is removed, the end cut off", found: &["the head of the audit log is missing"],
        how: How::Sql("DELETE FROM audit_head; DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL") },
    Attack { name: "the head is rewritten for what is left", found: &["names audit entry 4, has a forged signature"],
        how: How::Sql("DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL; \
            UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit_entries WHERE seq = 4)") },
    Attack { name: "the head is that of a log that has not begun", found: &["names audit entry 0, has a forged signature"],
        how: How::Sql("DELETE FROM audit_entries; UPDATE audit_head SET seq = 0, hash = NULL") },
    Attack { name: "an older head is put back", found: &["names audit entry 4, but audit entry 6 is sealed, too"],
        how: How::Sql("DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM older_audit_head") },
    Attack { name: "an older seal is put back", found: &["{6} has a forged seal"],
        how: How::Sql("UPDATE audit_entries SET mac = (SELECT mac FROM audit_entries WHERE seq = 5) WHERE seq = 6") },
    Attack { name: "the last entry is unsealed", found: &["audit entry 6 was removed", "user_6) is not signed"],
        how: How::Sql("UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL WHERE seq = 6") },
    Attack { name: "all entries are unsealed", found: &["audit entries 1 to 6 were removed", "user_1) is not signed"],
        how: How::Sql(UNSEAL) },
    Attack { name: "all entries are unsealed, and the head is removed", found: &["the head of the audit log is missing"],
        how: How::Sql("UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL; DELETE FROM audit_head") },
    Attack { name: "the keys have other names", found: &["audit entries 1 (", ") to 6 are sealed with the key another,"],
        how: How::Sql("UPDATE audit_entries SET key_id = 'another' WHERE seq IS NOT NULL") },
    Attack { name: "an entry is altered, and its key has another name", found: &["{3} is sealed with the key another,"],
        how: How::Sql("UPDATE audit_entries SET key_id = 'another', became = NULL WHERE seq = 3") },
    Attack { name: "an entry is altered and all is chained again", found: &["audit entries 1 (", ") to 6 are sealed with the key made-up,"],
        how: How::Chained("UPDATE audit_entries SET action = 'SIGN_IN_FAILED' WHERE seq = 3", Name::MadeUp) },
    Attack { name: "an entry is altered and all is chained again in our name", found: &["{3} has a forged seal"],
        how: How::Chained("UPDATE audit_entries SET action = 'SIGN_IN_FAILED' WHERE seq = 3", Name::Ours) },
    Attack { name: "the end is cut off and the rest is what the previous release left", found: &["the head of the audit log is missing"],
        how: How::Chained("DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL; DELETE FROM audit_head", Name::MadeUp) },
    Attack { name: "the same in our name", found: &["{1} has a forged seal"],
        how: How::Chained("DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL; DELETE FROM audit_head", Name::Ours) },
    Attack { name: "an entry is made up", found: &["user_9) is not signed: it was written by hand"],
        how: How::Sql("INSERT INTO audit_entries (id, action, object_id, at) SELECT actor_id, action, 'user_9', at FROM audit_entries WHERE seq = 3") },
    Attack { name: "an entry is made up with a signature", found: &["user_9) has a forged signature"],
        how: How::Sql("INSERT INTO audit_entries (id, action, object_id, at, signature) SELECT actor_id, action, 'user_9', at, \
            (SELECT signature FROM audit_entries WHERE object_id = 'user_7') FROM audit_entries WHERE seq = 3") },
    Attack { name: "an entry is made up with a seal", found: &["audit entry 7 (", "was altered, or is not in its place"],
        how: How::Sql("INSERT INTO audit_entries (id, action, object_id, at, seq, hash, mac, key_id) \
            SELECT actor_id, action, 'user_9', at, 7, hash, mac, key_id FROM audit_entries WHERE seq = 3") },
    Attack { name: "an entry is made up before the first", found: &["audit entry 0 (", "was put where no entry"],
        how: How::Sql("INSERT INTO audit_entries (id, action, object_id, at, seq, hash, mac, key_id) \
            SELECT actor_id, action, 'user_9', at, 0, hash, mac, key_id FROM audit_entries WHERE seq = 3") },
    Attack { name: "an acceptance is made up", found: &["{3} was altered", "audit entry 7 (", "was altered, or is not in its place"],
        how: How::Sql("UPDATE audit_entries SET became = NULL WHERE seq = 3; \
            INSERT INTO audit_entries (id, action, object_id, at, seq, hash, mac, key_id) \
            SELECT actor_id, 'AUDIT_LOG_ACCEPTED', 'user_9', at, 7, hash, mac, key_id FROM audit_entries WHERE seq = 6") },
    Attack { name: "an entry that is not sealed yet is altered", found: &["user_7) has a forged signature, or was altered"],
        how: How::Sql("UPDATE audit_entries SET became = NULL WHERE object_id = 'user_7'") },
    Attack { name: "the signature of an entry is removed", found: &["user_7) is not signed"],
        how: How::Sql("UPDATE audit_entries SET signature = NULL WHERE object_id = 'user_7'") },
    Attack { name: "the signature of an entry is that of another", found: &["user_7) has a forged signature"],
        how: How::Sql("UPDATE audit_entries SET signature = (SELECT other.signature FROM audit_entries other \
            WHERE other.object_id IN ('user_7', 'user_8') AND other.id <> audit_entries.id) WHERE object_id IN ('user_7', 'user_8')") },
    Attack { name: "the log is another site's", found: &["audit entries 1 (", ", whose secret is not configured", "names audit entry 6, is signed with the key"],
        how: How::OfAnotherSite },
];

/// An entry as a forger reads it.
#[derive(FromQueryResult)]
struct Row {
    id: AuditEntryId,
    actor_id: Option<UserId>,
    action: String,
    object_id: String,
    was: Option<String>,
    became: Option<String>,
    at: i64,
    request_id: Option<String>,
    seq: Option<i64>,
}

async fn rows(app: &TestApp) -> Vec<Row> {
    let db = app.app.db.write();
    let select = "SELECT * FROM audit_entries ORDER BY COALESCE(seq, 1000000), id";
    let select = Statement::from_string(db.get_database_backend(), select);
    Row::find_by_statement(select).all(db).await.expect("rows")
}

/// Chains entries as the previous release did: by a hash that takes no key, and a seal that does.
async fn chain(app: &TestApp, key_id: &str, seal: impl Fn(&[u8]) -> Vec<u8>, which: impl Fn(&Row) -> bool) {
    let db = app.app.db.write();
    let (mut previous, mut seq): (Option<Vec<u8>>, i64) = (None, 0);
    for row in rows(app).await {
        seq += 1;
        if !which(&row) {
            // It stays as it is, in its place or without one.
            let hash = format!("SELECT hash FROM audit_entries WHERE seq = {seq}");
            let hash = db
                .query_one_raw(Statement::from_string(db.get_database_backend(), hash))
                .await;
            let hash = hash.expect("a row").map(|row| row.try_get("", "hash").expect("a hash"));
            previous = hash;
            continue;
        }
        #[rustfmt::skip]
        let text = json!([
            previous.as_ref().map(hex::encode), seq, row.id.0, row.actor_id.map(|actor| actor.0), row.action, row.object_id,
            row.was, row.became, row.at, row.request_id,
        ]);
        let hash = Sha256::digest(text.to_string()).to_vec();
        let update = "UPDATE audit_entries SET seq = $1, hash = $2, mac = $3, key_id = $4 WHERE id = $5";
        let values = [
            seq.into(),
            hash.clone().into(),
            seal(&hash).into(),
            key_id.into(),
            row.id.into(),
        ];
        let update = Statement::from_sql_and_values(db.get_database_backend(), update, values);
        db.execute_raw(update).await.expect("chained");
        previous = Some(hash);
    }
}

async fn chain_without_a_key(app: &TestApp, name: Name) {
    let key_id = match name {
        Name::MadeUp => "made-up",
        Name::Ours => app.app.keys.id(),
    };
    let sealed = |row: &Row| row.seq.is_some();
    chain(app, key_id, |hash| hash.to_vec(), sealed).await;
}

/// What a server of the previous release does with what is not sealed.
async fn seal_as_before(app: &TestApp, which: impl Fn(&Row) -> bool) {
    let keys = &app.app.keys;
    let seal = |hash: &[u8]| keys.audit_mac(keys.id(), Purpose::Seal, hash).expect("a key").to_vec();
    chain(app, keys.id(), seal, which).await;
}

/// Roles are changed, one after the other.
async fn write(app: &TestApp, accounts: impl Iterator<Item = usize>) {
    for n in accounts {
        app.advance(Duration::from_secs(1));
        let entry = Entry::of(Action::RoleChanged, format!("user_{n}"))
            .was(json!({"role": "STUDENT"}))
            .became(json!({"role": "ADMIN"}))
            .reason((n == 2).then_some("A good reason."));
        let (db, now) = (app.app.db.write(), app.app.now());
        let source = Source {
            actor: Some(now.id()),
            request_id: Some(format!("request {n}")),
        };
        let recorded = record(db, &app.app.keys, &source, entry, &now).await;
        recorded.unwrap_or_else(|_| panic!("records"));
    }
}

/// A site with accounts, six sealed entries, and two that are not.
async fn write_a_log(app: &TestApp) {
    app.register("ada").await;
    write(app, 1..=4).await;
    assert_eq!(seal_all(app).await, 4);
    by_hand(app, "CREATE TABLE older_audit_head AS SELECT * FROM audit_head")
        .await
        .expect("kept");
    write(app, 5..=6).await;
    assert_eq!(seal_all(app).await, 2);
    write(app, 7..=8).await;
    drop_the_triggers(app).await;
}

async fn keep(app: &TestApp) {
    for table in TABLES {
        by_hand(app, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}"))
            .await
            .expect("kept");
    }
}

async fn put_back(app: &TestApp) {
    for table in TABLES {
        let back = format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}");
        by_hand(app, &back).await.expect("put back");
    }
}

/// The words of what is to be found, with the names of the entries.
async fn words(app: &TestApp, attack: &Attack) -> Vec<String> {
    let mut words: Vec<String> = attack.found.iter().map(|words| (*words).to_owned()).collect();
    for row in rows(app).await {
        let Some(seq) = row.seq else { continue };
        let name = format!("audit entry {} ({})", seq, row.id.encode());
        for words in &mut words {
            *words = words.replace(&format!("{{{}}}", row.object_id.trim_start_matches("user_")), &name);
        }
    }
    words
}

fn clean() -> Vec<String> {
    Vec::new()
}

on_both_databases! {
    async fn each_way_of_rewriting_the_log_without_its_key_is_found(app: TestApp) {
        write_a_log(&app).await;
        keep(&app).await;
        for attack in ATTACKS {
            assert_eq!(findings(&app).await, clean(), "before: {}", attack.name);
            let mut expected = words(&app, attack).await;
            match attack.how {
                How::Sql(sql) => by_hand(&app, sql).await.expect(attack.name),
                How::Chained(sql, name) => {
                    by_hand(&app, sql).await.expect(attack.name);
                    chain_without_a_key(&app, name).await;
                }
                How::OfAnotherSite => {
                    by_hand(&app, "DELETE FROM audit_entries; DELETE FROM audit_head; ALTER TABLE users RENAME TO people; \
                        CREATE TABLE users AS SELECT * FROM people WHERE 1 = 0").await.expect("out of the way");
                    let other = app.restarted_with_secrets(&[ANOTHER_SECRET]).await;
                    write(&other, 1..=6).await;
                    assert_eq!((seal_all(&other).await, findings(&other).await), (6, clean()), "it is whole to itself");
                    by_hand(&app, "DROP TABLE users; ALTER TABLE people RENAME TO users").await.expect("back");
                }
            }
            if attack.name == "two entries change places" {
                // Named by the place in which it is found now.
                expected[0] = expected[0].replace("audit entry 4", "audit entry 3");
            }
            let found = findings(&app).await.join("\n");
            assert!(expected.iter().all(|words| found.contains(words)), "{}: {found}\nis not {expected:#?}", attack.name);
            // It does not go away when servers go on, or are started again.
            write(&app, 10..=10).await;
            seal_all(&app).await;
            let restarted = app.restarted_with(|_| {}).await;
            seal_all(&restarted).await;
            assert_ne!(findings(&restarted).await, clean(), "after: {}", attack.name);
            put_back(&app).await;
        }
        assert_eq!(findings(&app).await, clean());
    }

    async fn an_entry_in_the_place_of_another_is_found(app: TestApp) {
        app.register("ada").await;
        write(&app, 1..=201).await;
        seal_all(&app).await;
        // What there is of constraints goes first.
        by_hand(&app, "CREATE TABLE kept AS SELECT * FROM audit_entries; DROP TABLE audit_entries; \
            ALTER TABLE kept RENAME TO audit_entries").await.expect("no constraints");
        assert_eq!(findings(&app).await, clean());
        // One of them is the last of a page.
        for place in [3, 200] {
            by_hand(&app, &format!("CREATE TABLE one AS SELECT * FROM audit_entries WHERE seq = {place}; \
                UPDATE one SET became = NULL; INSERT INTO audit_entries SELECT * FROM one; DROP TABLE one")).await.expect("a second one");
            let found = findings(&app).await.join("\n");
            assert!(found.contains(&format!("audit entry {place} (")) || found.contains("1 entries in the places of others"), "{found}");
            by_hand(&app, &format!("DELETE FROM audit_entries WHERE seq = {place} AND became IS NULL")).await.expect("gone");
        }
        assert_eq!(findings(&app).await, clean());
    }

    async fn the_sealer_leaves_what_it_cannot_verify_and_seals_the_rest(app: TestApp) {
        write_a_log(&app).await;
        // So many that they fill its pages, with ids before all others.
        let id = if app.is_postgres() { "CAST(lpad(to_hex(n), 32, '0') AS uuid)" } else { "CAST(printf('%016d', n) AS BLOB)" };
        by_hand(&app, &format!("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 450) \
            INSERT INTO audit_entries (id, action, object_id, at) SELECT {id}, 'ROLE_CHANGED', 'user_x', 1 FROM numbers")).await.expect("forged");
        let sealed = seal::seal(&app.app.db, &app.app.keys).await.unwrap_or_else(|_| panic!("seals"));
        assert_eq!((sealed.count, sealed.refused.len()), (2, 450));
        by_hand(&app, "DELETE FROM audit_entries WHERE object_id = 'user_x'").await.expect("gone");
        assert_eq!(findings(&app).await, clean());
        // It adds to no end that it can't verify, however it was altered.
        write(&app, 9..=9).await;
        keep(&app).await;
        for (how, why) in [
            ("UPDATE audit_entries SET became = NULL WHERE seq = 8", "the last one, was altered"),
            ("DELETE FROM audit_entries WHERE seq = 8", "is not there any more"),
            ("DELETE FROM audit_entries WHERE seq = 7", "the last one, was altered"),
            ("UPDATE audit_head SET mac = hash", "forged signature"),
            ("DELETE FROM audit_head", "the head of the audit log is missing"),
            ("INSERT INTO audit_entries (id, action, object_id, at, seq, hash, mac, key_id) \
                SELECT actor_id, action, object_id, at, 9, hash, mac, key_id FROM audit_entries WHERE seq = 8", "is not sealed with a known key"),
        ] {
            by_hand(&app, how).await.expect(how);
            let sealed = seal::seal(&app.app.db, &app.app.keys).await.unwrap_or_else(|_| panic!("seals"));
            assert!(sealed.count == 0 && sealed.refused.len() == 1 && sealed.refused[0].contains(why), "{how}: {sealed:?}");
            put_back(&app).await;
        }
        assert_eq!((seal_all(&app).await, findings(&app).await), (1, clean()));
    }

    async fn the_log_of_the_previous_release_is_taken_over_once(app: TestApp) {
        write_a_log(&app).await;
        let of_previous_release = async |cut: &str| {
            by_hand(&app, &format!("DELETE FROM audit_head; {UNSEAL}, signature = NULL, reason = NULL, reason_digest = NULL; {cut}")).await.expect("as it was");
            seal_as_before(&app, |_| true).await;
        };
        of_previous_release("").await;
        keep(&app).await;
        let taken_over = app.restarted_with(|_| {}).await;
        assert_eq!(findings(&taken_over).await, clean());
        assert_eq!(app.count("SELECT 1 FROM audit_head WHERE seq = 8").await, 1);
        // Nothing is left of the seals that it had, so it can't be cut back to them.
        let same = "SELECT 1 FROM audit_entries JOIN kept_audit_entries ON kept_audit_entries.id = audit_entries.id \
            WHERE kept_audit_entries.hash = audit_entries.hash OR kept_audit_entries.mac = audit_entries.mac";
        assert_eq!(app.count(same).await, 0);
        by_hand(&app, "DELETE FROM audit_head; DELETE FROM audit_entries WHERE seq > 4").await.expect("cut");
        let again = app.restarted_with(|_| {}).await;
        assert!(findings(&again).await.join("\n").contains("the head of the audit log is missing"));

        // What is wrong with it is not taken over.
        for (how, found) in [
            ("UPDATE audit_entries SET became = NULL WHERE seq = 3", "audit entry 3 ("),
            ("DELETE FROM audit_entries WHERE seq = 3", "audit entry 3 was removed"),
            ("UPDATE audit_entries SET key_id = 'made-up' WHERE seq < 4", "audit entries 1 ("),
        ] {
            put_back(&app).await;
            by_hand(&app, how).await.expect(how);
            let again = app.restarted_with(|_| {}).await;
            assert!(findings(&again).await.join("\n").contains(found), "{how}");
            assert_eq!(app.count("SELECT 1 FROM audit_head").await, 0, "{how}");
        }

        // During a rollout servers of both releases seal.
        put_back(&app).await;
        let new = app.restarted_with(|_| {}).await;
        write(&new, 9..=10).await;
        seal_as_before(&app, |row| row.seq.is_none()).await;
        assert_eq!(findings(&new).await, clean());
        write(&new, 11..=11).await;
        assert_eq!((seal_all(&new).await, findings(&new).await), (1, clean()));
        assert_eq!(app.count("SELECT 1 FROM audit_head WHERE seq = 11").await, 1);
        // What they wrote and nobody sealed looks as what was written by hand. An operator knows.
        write(&new, 12..=12).await;
        by_hand(&app, "UPDATE audit_entries SET signature = NULL WHERE object_id = 'user_12'").await.expect("unsigned");
        assert!(findings(&new).await.join("\n").contains("user_12) is not signed"));
        let now = new.app.now();
        let accepted = seal::accept(&new.app.db, &new.app.keys, &Source::default(), "The last entry of the old server.", &now).await;
        assert_eq!(accepted.ok().map(|accepted| accepted.len()), Some(1));
        assert_eq!(findings(&new).await, clean());
    }

    /// `AUDIT_ENTRIES=100000 cargo test --release --test it tampering::a_long_log -- --nocapture` tells how long it takes.
    async fn a_long_log_is_taken_over_page_by_page(app: TestApp) {
        let entries = std::env::var("AUDIT_ENTRIES").map_or(450, |n| n.parse().expect("a number"));
        app.register("ada").await;
        write(&app, 1..=entries).await;
        drop_the_triggers(&app).await;
        by_hand(&app, "DELETE FROM audit_head; UPDATE audit_entries SET signature = NULL, reason = NULL, reason_digest = NULL").await.expect("as it was");
        seal_as_before(&app, |_| true).await;
        let begun = Instant::now();
        let new = app.restarted_with(|_| {}).await;
        println!("{entries} entries are taken over in {:.1?}", begun.elapsed());
        let begun = Instant::now();
        assert_eq!(findings(&new).await, clean());
        println!("and verified in {:.1?}", begun.elapsed());
        assert_eq!(seal::head(&new.app.db).await.ok().flatten().map(|head| head.sequence), Some(entries as i64));
    }

    async fn a_schema_that_is_undone_and_done_again_brings_no_forged_log_in(app: TestApp) {
        write_a_log(&app).await;
        seal_all(&app).await;
        let db = app.app.db.write();
        let mut steps = 0;
        put_trigger(&app).await;
        while by_hand(&app, "SELECT 1 FROM audit_head").await.is_ok() {
            Migrator::down(db, Some(1)).await.expect("one comes down");
            steps += 1;
        }
        let on = if app.is_postgres() { " ON audit_entries" } else { "" };
        by_hand(&app, &format!("DROP TRIGGER audit_entries_no_update{on}; DELETE FROM audit_entries WHERE object_id = 'user_3'; {UNSEAL}")).await.expect("forged");
        put_trigger(&app).await;
        Migrator::up(db, Some(steps)).await.expect("all go up again");
        let restarted = app.restarted_with(|_| {}).await;
        seal_all(&restarted).await;
        let found = findings(&restarted).await.join("\n");
        assert!(found.contains("the head of the audit log is missing") && found.contains("user_1) is not signed"), "{found}");
    }

    async fn a_log_that_is_accepted_stays_as_it_was_then(app: TestApp) {
        write_a_log(&app).await;
        by_hand(&app, "DELETE FROM audit_entries WHERE seq = 6; UPDATE audit_entries SET became = NULL WHERE seq = 2").await.expect("altered");
        let found = findings(&app).await;
        let (db, keys, now) = (&app.app.db, &app.app.keys, app.app.now());
        let accept = async |reason: &str| seal::accept(db, keys, &Source::default(), reason, &now).await;
        assert!(accept("no").await.is_err(), "a reason is asked for");
        assert_eq!(accept("The disk was broken; see the report.").await.ok(), Some(found));
        assert_eq!(findings(&app).await, clean());
        assert_eq!(accept("Once more.").await.ok(), Some(clean()), "there is nothing to accept");
        let log = "{ auditLog(filter: {action: AUDIT_LOG_ACCEPTED}) { nodes { actor { id } reason before after sequence } } }";
        let log = app.actor(Role::Admin).await.ask(log, json!({})).await["auditLog"]["nodes"].take();
        assert_eq!((log[0]["reason"].as_str(), log[0]["sequence"].as_i64(), log[1].is_null()), (Some("The disk was broken; see the report."), Some(9), true));
        assert_eq!((&log[0]["before"], &log[0]["after"]["entries"]), (&json!({"findings": 2}), &json!(7)));
        write(&app, 9..=9).await;
        assert_eq!((seal_all(&app).await, findings(&app).await), (1, clean()));
        // What was accepted may be altered as little as all else.
        for how in ["UPDATE audit_entries SET became = '{}' WHERE seq = 2", "DELETE FROM audit_entries WHERE seq = 2"] {
            keep(&app).await;
            by_hand(&app, how).await.expect(how);
            let found = findings(&app).await.join("\n");
            assert!(found.contains("the audit log is not the one that was accepted by audit entry 9 ("), "{found}");
            put_back(&app).await;
            by_hand(&app, "DROP TABLE kept_audit_entries; DROP TABLE kept_audit_head").await.expect("dropped");
        }
    }

    async fn a_retired_secret_verifies_what_is_old_and_seals_nothing_new(app: TestApp) {
        const NEW: &str = "a new secret of the tests, long enough";
        write_a_log(&app).await;
        seal_all(&app).await;
        let retired = async |current: &[&str], retired: &[&str]| {
            let secrets = |texts: &[&str]| texts.iter().map(|text| Secret((*text).to_owned())).collect::<Vec<_>>();
            app.restarted_with(|config| {
                config.site.secrets = secrets(current);
                config.site.retired_secrets = secrets(retired);
            }).await
        };
        // Too early: nothing is sealed with the new one.
        let found = findings(&retired(&[NEW], &[SECRET]).await).await.join("\n");
        assert!(found.contains("is signed with the retired key"), "{found}");
        let both = app.restarted_with_secrets(&[NEW, SECRET]).await;
        assert_eq!(findings(&both).await, clean());
        let only_new = retired(&[NEW], &[SECRET]).await;
        assert_eq!(findings(&only_new).await, clean());
        write(&only_new, 9..=9).await;
        assert_eq!((seal_all(&only_new).await, findings(&only_new).await), (1, clean()));
        // It leaked, and whoever has it writes and seals with it.
        keep(&app).await;
        let thief = app.restarted_with_secrets(&[SECRET, NEW]).await;
        write(&thief, 10..=11).await;
        let found = findings(&only_new).await.join("\n");
        assert!(found.contains("user_10) is signed with a retired key"), "{found}");
        seal_all(&thief).await;
        let found = findings(&only_new).await.join("\n");
        assert!(found.contains("audit entry 10 (") && found.contains("was retired before"), "{found}");
        put_back(&app).await;
        // Forgotten, it can't be told from nobody's.
        let found = findings(&app.restarted_with_secrets(&[NEW]).await).await.join("\n");
        assert!(found.contains("audit entries 1 (") && found.contains("MARMALADE_RETIRED_SECRETS"), "{found}");
    }

    /// What no key can show: that the tables are those of another day. Who has kept the head shows it.
    async fn a_log_that_was_put_back_whole_is_found_by_a_head_kept_elsewhere(app: TestApp) {
        write_a_log(&app).await;
        seal_all(&app).await;
        keep(&app).await;
        write(&app, 9..=9).await;
        seal_all(&app).await;
        let head = seal::head(&app.app.db).await.unwrap_or_else(|_| panic!("reads")).expect("a head");
        put_back(&app).await;
        assert_eq!(findings(&app).await, clean());
        let found = seal::check_head(&app.app.db, &head).await.unwrap_or_else(|_| panic!("reads"));
        assert_eq!(found, ["audit entry 9 was removed"]);
        // And the next entry does not stand in for it.
        app.advance(Duration::from_secs(1));
        write(&app, 10..=10).await;
        seal_all(&app).await;
        let found = seal::check_head(&app.app.db, &head).await.unwrap_or_else(|_| panic!("reads"));
        assert_eq!(found, ["audit entry 9 is not the one that was exported as the head"]);
    }

    async fn a_database_that_swallows_an_entry_swallows_the_change(app: TestApp) {
        let (admin, ada) = (app.actor(Role::Admin).await, app.student().await);
        if app.is_postgres() {
            by_hand(&app, "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
                CREATE TRIGGER swallow BEFORE INSERT ON audit_entries FOR EACH ROW EXECUTE FUNCTION swallow()").await.expect("a trigger");
        } else {
            by_hand(&app, "CREATE TRIGGER swallow BEFORE INSERT ON audit_entries BEGIN SELECT RAISE(IGNORE); END").await.expect("a trigger");
        }
        let cause = Cause::clock(&app.app.now());
        assert!(people::set_role(&app.app, ada.id(), Role::Admin, &cause).await.is_err());
        let role = "query($id: ID!) { node(id: $id) { ... on User { role } } }";
        let role: Value = admin.ask(role, json!({"id": ada.id().encode()})).await["node"]["role"].take();
        assert_eq!(role, "STUDENT");
    }
}

/// A trigger of the name that a migration expects.
async fn put_trigger(app: &TestApp) {
    let trigger = if app.is_postgres() {
        "CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries FOR EACH ROW WHEN (FALSE) \
         EXECUTE FUNCTION audit_entries_stay()"
    } else {
        "CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries WHEN FALSE BEGIN SELECT 1; END"
    };
    by_hand(app, trigger).await.expect("a trigger");
}
