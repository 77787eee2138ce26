//! Whoever has the database in their hands, but not the key, leaves traces whatever they do to the audit log.

use std::time::Duration;

use marmalade::{
    audit::{Action, Entry, Source, record},
    id::{AuditEntryId, UserId},
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    audit::{by_hand, drop_the_triggers, findings, seal_all},
    on_both_databases,
    support::TestApp,
};

const TABLES: [&str; 2] = ["audit_entries", "audit_head"];

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
    seq: i64,
}

/// Chains the entries again as the previous release did, which takes no key, under the name of a made-up one.
async fn chain_without_a_key(app: &TestApp, key_id: &str) {
    let db = app.app.db.write();
    let select = Statement::from_string(db.get_database_backend(), "SELECT * FROM audit_entries WHERE seq IS NOT NULL ORDER BY seq");
    let mut previous: Option<Vec<u8>> = None;
    for row in Row::find_by_statement(select).all(db).await.expect("rows") {
        let text = json!([
            previous.as_ref().map(hex::encode), row.seq, row.id.0, row.actor_id.map(|actor| actor.0), row.action, row.object_id,
            row.was, row.became, row.at, row.request_id,
        ]);
        let hash = Sha256::digest(text.to_string()).to_vec();
        let update = "UPDATE audit_entries SET hash = $1, mac = $1, key_id = $2 WHERE seq = $3";
        let values = [hash.clone().into(), key_id.into(), row.seq.into()];
        db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), update, values)).await.expect("chained");
        previous = Some(hash);
    }
}

async fn write(app: &TestApp, from: usize, to: usize) {
    for n in from..=to {
        app.advance(Duration::from_secs(1));
        let entry = Entry::of(Action::RoleChanged, format!("user_{n}")).was(json!({"role": "STUDENT"})).became(json!({"role": "ADMIN"}));
        let (db, now) = (app.app.db.write(), app.app.now());
        record(db, &app.app.keys, &Source::default(), entry, &now).await.unwrap_or_else(|_| panic!("records"));
    }
}

const SQL: &[(&str, &str)] = &[
    ("a value is altered", "UPDATE audit_entries SET became = '{\"role\":\"EDITOR\"}' WHERE seq = 3"),
    ("the values before are taken away", "UPDATE audit_entries SET was = NULL WHERE seq = 3"),
    ("the action is another", "UPDATE audit_entries SET action = 'SIGN_IN_FAILED' WHERE seq = 3"),
    ("the object is another", "UPDATE audit_entries SET object_id = 'user_x' WHERE seq = 3"),
    ("an entry is backdated", "UPDATE audit_entries SET at = at - 86400000000 WHERE seq = 3"),
    ("the request is another", "UPDATE audit_entries SET request_id = 'x' WHERE seq = 3"),
    ("an entry is removed", "DELETE FROM audit_entries WHERE seq = 3"),
    ("an entry is removed and the rest moves up", "DELETE FROM audit_entries WHERE seq = 3; UPDATE audit_entries SET seq = seq + 1000 WHERE seq > 3; UPDATE audit_entries SET seq = seq - 1001 WHERE seq > 1000"),
    ("the first entry is removed", "DELETE FROM audit_entries WHERE seq = 1"),
    ("the end is cut off", "DELETE FROM audit_entries WHERE seq > 4"),
    ("the end is cut off, with what is not sealed", "DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL"),
    ("everything is removed", "DELETE FROM audit_entries"),
    ("two entries change places", "UPDATE audit_entries SET seq = -3 WHERE seq = 3; UPDATE audit_entries SET seq = 3 WHERE seq = 4; UPDATE audit_entries SET seq = 4 WHERE seq = -3"),
    ("the last entry is unsealed", "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL WHERE seq = 6"),
    ("the last entry is unsealed and altered", "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL, became = 'null' WHERE seq = 6"),
    ("all entries are unsealed", "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL"),
    ("all entries are unsealed and one removed", "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL; DELETE FROM audit_entries WHERE object_id = 'user_3'"),
    ("the keys have other names", "UPDATE audit_entries SET key_id = 'another' WHERE seq IS NOT NULL"),
    ("an entry that is not sealed yet is altered", "UPDATE audit_entries SET became = 'null' WHERE object_id = 'user_7'"),
    ("an entry that is not sealed yet is removed", "DELETE FROM audit_entries WHERE object_id = 'user_7'"),
];

on_both_databases! {
    async fn old(app: TestApp) {
        write(&app, 1, 4).await;
        seal_all(&app).await;
        write(&app, 5, 6).await;
        seal_all(&app).await;
        write(&app, 7, 8).await;
        drop_the_triggers(&app).await;
        for table in TABLES {
            by_hand(&app, &format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await.ok();
        }
        let mut n = 0;
        loop {
            assert_eq!(findings(&app).await, Vec::<String>::new());
            let name = if let Some((name, sql)) = SQL.get(n) {
                by_hand(&app, sql).await.expect(name);
                *name
            } else if n == SQL.len() {
                by_hand(&app, "UPDATE audit_entries SET action = 'SIGN_IN_FAILED' WHERE seq = 3").await.expect("altered");
                chain_without_a_key(&app, "made-up").await;
                "chained again under a made-up key"
            } else if n == SQL.len() + 1 {
                by_hand(&app, "DELETE FROM audit_entries WHERE seq > 4 OR seq IS NULL").await.expect("altered");
                chain_without_a_key(&app, "made-up").await;
                "cut off and chained again under a made-up key"
            } else if n == SQL.len() + 2 {
                let id = app.literal(uuid::Uuid::now_v7());
                by_hand(&app, &format!("INSERT INTO audit_entries (id, action, object_id, at) VALUES ({id}, 'ROLE_CHANGED', 'user_9', 1)")).await.expect("in");
                "an entry is made up"
            } else if n == SQL.len() + 3 {
                let id = app.literal(uuid::Uuid::now_v7());
                by_hand(&app, &format!("INSERT INTO audit_entries (id, action, object_id, at, seq, hash, mac, key_id) SELECT {id}, action, object_id, at, 7, hash, mac, key_id FROM audit_entries WHERE seq = 6")).await.expect("in");
                "a sealed entry is repeated"
            } else if n == SQL.len() + 4 {
                by_hand(&app, "DELETE FROM audit_entries").await.expect("in");
                let other = app.restarted_with_secrets(&["a secret of somebody else, long enough"]).await;
                write(&other, 1, 6).await;
                seal_all(&other).await;
                "the log of another site"
            } else { break };
            let before = findings(&app).await;
            write(&app, 9, 9).await;
            seal_all(&app).await;
            let after = findings(&app).await;
            println!("OLD {} {:<55} {:>6} {:>6} {:?}", if app.is_postgres() {"pg"} else {"sq"}, name, if before.is_empty() {"PASSED"} else {"found"}, if after.is_empty() {"PASSED"} else {"found"}, after.first());
            for table in TABLES {
                by_hand(&app, &format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}")).await.ok();
            }
            n += 1;
        }
    }
}
