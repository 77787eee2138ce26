//! Who did what is recorded, and a log that was tampered with gives itself away.

use std::time::Duration;

use marmalade::{
    account::{self, Registration},
    audit::{Action, Entry, Source, record, seal},
    auth::role::Role,
    change::Cause,
    id::UserId,
    ops::verify,
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, SECRET, TestApp},
};

#[derive(FromQueryResult)]
struct Row {
    actor_id: Option<UserId>,
    object_id: String,
    was: Option<String>,
    became: Option<String>,
    request_id: Option<String>,
}

/// The entries of an action, the oldest first.
async fn entries(app: &TestApp, action: &str) -> Vec<Row> {
    let db = app.app.db.read();
    let select = format!("SELECT * FROM audit_entries WHERE action = '{action}' ORDER BY id");
    let select = Statement::from_string(db.get_database_backend(), select);
    Row::find_by_statement(select).all(db).await.expect("entries")
}

/// The one entry of an action, held against who did it, to what, and in which request.
async fn only(app: &TestApp, action: &str, actor: Option<UserId>, object: &str) -> (Value, Value) {
    let rows = entries(app, action).await;
    let [row] = &rows[..] else {
        panic!("{} entries of {action}", rows.len())
    };
    assert_eq!((row.actor_id, row.object_id.as_str()), (actor, object), "{action}");
    let json = |text: &Option<String>| {
        text.as_ref()
            .map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
    };
    (json(&row.was), json(&row.became))
}

fn access(role: &str) -> Value {
    json!({"role": role, "suspendedAt": null, "deletedAt": null})
}

pub(crate) async fn seal_all(app: &TestApp) -> usize {
    let sealed = seal::seal(&app.app.db, &app.app.keys).await;
    sealed.unwrap_or_else(|_| panic!("seals")).count
}

pub(crate) async fn findings(app: &TestApp) -> Vec<String> {
    let found = verify::verify(&app.app).await;
    found.unwrap_or_else(|_| panic!("verify runs"))
}

pub(crate) async fn by_hand(app: &TestApp, statement: &str) -> Result<(), sea_orm::DbErr> {
    app.app.db.write().execute_unprepared(statement).await.map(drop)
}

/// Entries that nobody's request wrote.
pub(crate) async fn write_some(app: &TestApp, count: usize) {
    let now = app.app.now();
    for n in 0..count {
        let entry = Entry::of(Action::ScoreChanged, format!("attempt_{n}"))
            .was(json!({"score": 1}))
            .became(json!({"score": 2}));
        record(app.app.db.write(), &app.app.keys, &Source::default(), entry, &now)
            .await
            .unwrap_or_else(|_| panic!("records"));
    }
}

/// What somebody with the database in their hands does first.
pub(crate) async fn drop_the_triggers(app: &TestApp) {
    for trigger in ["update", "delete"] {
        let of = if app.is_postgres() { " ON audit_entries" } else { "" };
        by_hand(app, &format!("DROP TRIGGER audit_entries_no_{trigger}{of}"))
            .await
            .expect("dropped");
    }
}

/// Runs a mutation and returns the id of its request.
async fn request(actor: &Actor, mutation: &str) -> String {
    let response = actor.post(&format!("mutation {{ {mutation} }}"), json!({})).await;
    let id = response.headers().get("x-request-id").expect("an id");
    id.to_str().expect("ASCII").to_owned()
}

on_both_databases! {
    async fn an_altered_a_removed_and_a_cut_entry_are_each_found(app: TestApp) {
        write_some(&app, 5).await;
        assert_eq!(seal_all(&app).await, 5);
        let head = seal::head(&app.app.db).await.unwrap_or_else(|_| panic!("reads")).expect("a head");
        assert_eq!((head.sequence, findings(&app).await), (5, vec![]));

        for statement in [
            "UPDATE audit_entries SET became = '{\"score\":3}' WHERE seq = 2",
            "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL WHERE seq = 2",
            "DELETE FROM audit_entries WHERE seq = 2",
        ] {
            assert!(by_hand(&app, statement).await.is_err(), "the database itself refuses {statement}");
        }
        drop_the_triggers(&app).await;

        let is = |statement: &'static str, back: &'static str, words: &'static str| {
            let app = app.clone();
            async move {
                by_hand(&app, statement).await.expect("done");
                let found = findings(&app).await;
                assert!(found.len() == 1 && found[0].contains(words), "{statement}: {found:?}");
                if !back.is_empty() {
                    by_hand(&app, back).await.expect("undone");
                    assert_eq!(findings(&app).await, Vec::<String>::new());
                }
            }
        };
        is(
            "UPDATE audit_entries SET became = '{\"score\":3}' WHERE seq = 2",
            "UPDATE audit_entries SET became = '{\"score\":2}' WHERE seq = 2",
            "audit entry 2 (",
        ).await;
        is(
            "UPDATE audit_entries SET actor_id = id WHERE seq = 5",
            "UPDATE audit_entries SET actor_id = NULL WHERE seq = 5",
            "was altered",
        ).await;
        is("UPDATE audit_entries SET key_id = 'nobody' WHERE seq = 5", "", "entries 5 to 5 can't be proved").await;
        by_hand(&app, &format!("UPDATE audit_entries SET key_id = '{}' WHERE seq = 5", head.key_id)).await.expect("undone");

        by_hand(&app, "DELETE FROM audit_entries WHERE seq = 5").await.expect("cut");
        assert_eq!(findings(&app).await, Vec::<String>::new(), "a cut tail shows only to who has kept the head");
        let cut = seal::check_head(&app.app.db, &head).await.unwrap_or_else(|_| panic!("runs"));
        assert_eq!(cut, ["audit entry 5 was removed"]);
        write_some(&app, 1).await;
        seal_all(&app).await;
        let other = seal::check_head(&app.app.db, &head).await.unwrap_or_else(|_| panic!("runs"));
        assert_eq!(other, ["audit entry 5 is not the one that was exported as the head"]);
        let now = seal::head(&app.app.db).await.unwrap_or_else(|_| panic!("reads")).expect("a head");
        assert!(seal::check_head(&app.app.db, &now).await.is_ok_and(|found| found.is_empty()));

        is("DELETE FROM audit_entries WHERE seq = 3", "", "audit entry 3 was removed").await;
    }

    async fn a_forged_entry_is_found_though_its_hashes_fit(app: TestApp) {
        // Who can change the database but has no key: here, a server with another secret.
        write_some(&app, 3).await;
        seal_all(&app).await;
        drop_the_triggers(&app).await;
        by_hand(&app, "UPDATE audit_entries SET became = '{\"score\":9}', seq = NULL, hash = NULL, mac = NULL, key_id = NULL \
            WHERE seq = 3").await.expect("done");
        let forger = app.restarted_with_secrets(&["a secret of somebody else, long enough"]).await;
        seal_all(&forger).await;
        let found = findings(&app).await;
        assert!(found.len() == 1 && found[0].contains("entries 3 to 3 can't be proved"), "{found:?}");
        // Under the name of our key the seal is a forgery.
        let ours = app.app.keys.id();
        by_hand(&app, &format!("UPDATE audit_entries SET key_id = '{ours}'")).await.expect("done");
        let found = findings(&app).await;
        assert!(found.len() == 1 && found[0].contains("has a forged seal"), "{found:?}");
    }

    async fn the_chain_survives_a_new_secret_and_the_loss_of_the_old_one(app: TestApp) {
        write_some(&app, 2).await;
        seal_all(&app).await;
        let old = SECRET;
        let new = "a new secret of the tests, long enough";
        let both = app.restarted_with_secrets(&[new, old]).await;
        write_some(&both, 2).await;
        seal_all(&both).await;
        both.verify().await;
        // The old secret leaked and was taken out; what the new key has sealed proves all before it.
        let only_new = app.restarted_with_secrets(&[new]).await;
        only_new.verify().await;
        drop_the_triggers(&app).await;
        by_hand(&app, "UPDATE audit_entries SET object_id = 'attempt_x' WHERE seq = 1").await.expect("done");
        let found = findings(&only_new).await;
        assert!(found.len() == 1 && found[0].contains("audit entry 1 ("), "{found:?}");
    }

    async fn two_sealers_at_once_make_one_chain_and_one_tick_is_enough(app: TestApp) {
        write_some(&app, 450).await;
        let (one, other, third) = tokio::join!(seal_all(&app), seal_all(&app), seal_all(&app));
        assert_eq!(one + other + third, 450);
        app.verify().await;
        assert_eq!(seal::head(&app.app.db).await.ok().flatten().map(|head| head.sequence), Some(450));
        assert_eq!(app.statements(seal_all(&app)).await, (1, 0), "nothing to do costs one statement");
    }

    async fn each_change_is_recorded_with_who_and_in_which_request(app: TestApp) {
        let (ada, now) = (app.register("ada").await, app.app.now());
        let id = ada.id().encode();
        app.sign_in("ada", "correct horse").await.expect("signed in");
        let request_id = request(&ada, "revokeOtherSessions { errors { code } }").await;
        let (_, became) = only(&app, "SESSIONS_REVOKED", Some(ada.id()), &id).await;
        assert_eq!(became["revoked"].as_array().map(Vec::len), Some(1));
        assert_eq!(entries(&app, "SESSIONS_REVOKED").await[0].request_id, Some(request_id));

        let wrong = request(&app.anyone(), r#"signIn(input: {email: "ada@example.com", password: "wrong horse"}) { errors { code } }"#).await;
        only(&app, "SIGN_IN_FAILED", None, &id).await;
        assert_eq!(entries(&app, "SIGN_IN_FAILED").await[0].request_id, Some(wrong));
        for _ in 0..2 {
            app.sign_in("nobody", "wrong horse").await;
        }
        let failed = entries(&app, "SIGN_IN_FAILED").await;
        let unknown: Vec<_> = failed.iter().filter(|row| row.object_id.starts_with("email_")).collect();
        assert!(unknown.len() == 2 && unknown[0].object_id == unknown[1].object_id);

        request(&ada, r#"changePassword(input: {password: "correct horse", newPassword: "battery staple"}) { errors { code } }"#).await;
        only(&app, "PASSWORD_CHANGED", Some(ada.id()), &id).await;

        let registration = Registration { email: "bob@example.com".into(), handle: "bob".into(), password: "correct horse".into() };
        let bob = account::create(&app.app, registration, Role::Editor, &Cause::clock(&now)).await;
        let bob = bob.unwrap_or_else(|_| panic!("made")).id.encode();
        assert_eq!(only(&app, "USER_CREATED", None, &bob).await.1, json!({"role": "EDITOR"}));
        let bob_id = UserId::decode(&bob).unwrap_or_else(|_| panic!("an id"));
        account::people::set_role(&app.app, bob_id, Role::Admin, &Cause::clock(&now)).await.unwrap_or_else(|_| panic!("set"));
        assert_eq!(only(&app, "ROLE_CHANGED", None, &bob).await, (access("EDITOR"), access("ADMIN")));

        let quiz = app.quiz(2, |_| {}).await;
        assert_eq!(only(&app, "QUIZ_PUBLISHED", None, &quiz.encode()).await.1, json!({"revision": 1, "questions": 2}));

        request(&ada, r#"deleteAccount(input: {password: "battery staple"}) { errors { code } }"#).await;
        let (was, became) = only(&app, "USER_DELETED", Some(ada.id()), &id).await;
        assert_eq!((&was["deletedAt"], became["deletedAt"].is_string()), (&Value::Null, true));

        seal_all(&app).await;
        app.advance(Duration::from_secs(31 * 86_400));
        let erased = account::own::erase(&app.app, &app.app.now()).await;
        assert_eq!(erased.ok(), Some(1));
        only(&app, "USER_ERASED", None, &id).await;
        seal_all(&app).await;
        app.verify().await;
        let db = app.app.db.read();
        let names = "SELECT id FROM audit_entries WHERE COALESCE(was, '') || COALESCE(became, '') || object_id LIKE '%ada%@%' \
            OR COALESCE(was, '') || COALESCE(became, '') LIKE '%\"ada\"%'";
        let named = db.query_all_raw(Statement::from_string(db.get_database_backend(), names)).await.expect("rows");
        assert_eq!(named.len(), 0, "an erased account has left its id and nothing else");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a transaction that stays open beside the sealer"
)]
/// An entry that was begun before a younger one and is committed after it is sealed too, behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_committed_out_of_order_are_all_sealed() {
    let Some(app) = TestApp::postgres().await else { return };
    let early = app.app.now();
    let slow = app.app.db.begin().await.unwrap_or_else(|_| panic!("begins"));
    let entry = Entry::of(Action::ScoreChanged, "attempt_slow");
    record(&slow, &app.app.keys, &Source::default(), entry, &early)
        .await
        .unwrap_or_else(|_| panic!("records"));
    app.advance(Duration::from_secs(1));
    write_some(&app, 3).await;
    assert_eq!(seal_all(&app).await, 3);
    slow.commit().await.expect("commits");
    assert_eq!(seal_all(&app).await, 1);
    app.verify().await;
}
