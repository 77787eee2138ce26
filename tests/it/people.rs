//! What admins do about people: it takes effect at once, is recorded, and never leaves the site without an admin.

use std::time::Duration;

use marmalade::{
    account::{own, people},
    audit::{Source, seal},
    auth::role::Role,
    change::Cause,
    error::Error,
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::{on_both_databases, support::Actor};

/// The payload of a mutation about somebody.
async fn about(admin: &Actor, mutation: &str, whom: &Actor, more: &str) -> Value {
    let selection = if mutation == "revokeUserSessions" {
        "revokedCount"
    } else {
        "user { role suspendedAt suspensionReason deletedAt }"
    };
    let query = format!(
        "mutation($id: ID!) {{ {mutation}(input: {{userId: $id{more}}}) {{ {selection} errors {{ code message }} }} }}"
    );
    admin.ask(&query, json!({"id": whom.id().encode()})).await[mutation].take()
}

fn refused(payload: &Value, words: &str) {
    let error = &payload["errors"][0];
    let message = error["message"].as_str().unwrap_or_default();
    assert!(error["code"] == "CONFLICT" && message.contains(words), "{payload}");
}

async fn is_let_in(actor: &Actor) -> bool {
    actor.send("{ viewer { id } }", json!({})).await.0 == 200
}

on_both_databases! {
    async fn a_suspended_student_is_out_at_once_and_comes_back(app: TestApp) {
        let quiz = app.quiz(2, |_| {}).await;
        let (admin, ada, bob) = (app.actor(Role::Admin).await, app.register("ada").await, app.student().await);
        ada.take(quiz, 2).await;
        bob.take(quiz, 1).await;
        assert_eq!(bob.rank("ALL_TIME").await["rank"], 2);
        let stream = app.app.revocations.end_of(&ada.let_in().await.expect("signed in"));

        let suspended = about(&admin, "suspendUser", &ada, r#", reason: "shares answers""#).await;
        assert_eq!(suspended["user"]["suspensionReason"], "shares answers");
        assert!(suspended["user"]["suspendedAt"].is_string() && stream.is_cancelled());
        assert!(!is_let_in(&ada).await);
        app.advance(Duration::from_secs(1));
        assert!(app.sign_in("ada", "correct horse").await.is_none());
        assert_eq!(bob.rank("ALL_TIME").await["rank"], 1);

        app.advance(Duration::from_secs(1));
        let back = about(&admin, "reinstateUser", &ada, "").await;
        assert_eq!(back["user"], json!({"role": "STUDENT", "suspendedAt": null, "suspensionReason": null, "deletedAt": null}));
        assert!(!is_let_in(&ada).await, "the sessions of before are over");
        assert!(is_let_in(&app.sign_in("ada", "correct horse").await.expect("signed in")).await);
        assert_eq!(bob.rank("ALL_TIME").await["rank"], 2);

        let log = "query($id: ID!) { auditLog(filter: {objectId: $id}) { totalCount nodes {
            action actor { id } before after requestId sequence } } }";
        let data = admin.ask(log, json!({"id": ada.id().encode()})).await;
        let [reinstated, suspended] = [0, 1].map(|n| &data["auditLog"]["nodes"][n]);
        assert_eq!((&reinstated["action"], &suspended["action"]), (&json!("USER_REINSTATED"), &json!("SIGN_IN_FAILED")));
        let suspended = &data["auditLog"]["nodes"][2];
        assert_eq!((&suspended["action"], &suspended["actor"]["id"]), (&json!("USER_SUSPENDED"), &json!(admin.id().encode())));
        assert!(suspended["before"]["suspendedAt"].is_null() && suspended["after"]["suspendedAt"].is_string());
        assert!(suspended["requestId"].is_string() && suspended["sequence"].is_null());
        assert!(!data.to_string().contains("shares answers"), "the reason goes with the account");
        seal::seal(&app.app.db, &app.app.keys).await.unwrap_or_else(|_| panic!("seals"));
        assert!(admin.ask(log, json!({"id": ada.id().encode()})).await["auditLog"]["nodes"][0]["sequence"].is_i64());
        app.verify().await;
    }

    async fn a_new_role_is_refreshed_into_and_no_admin_can_end_all_admins(app: TestApp) {
        let (admin, ada) = (app.actor(Role::Admin).await, app.student().await);
        refused(&about(&admin, "setUserRole", &admin, ", role: EDITOR").await, "from yourself");
        refused(&about(&admin, "suspendUser", &admin, r#", reason: "tired""#).await, "from yourself");
        let log = "{ auditLog(filter: {action: ROLE_CHANGED}) { totalCount } }";
        let nothing = about(&admin, "setUserRole", &admin, ", role: ADMIN").await;
        assert_eq!(nothing["errors"], json!([]));
        assert_eq!(admin.ask(log, json!({})).await["auditLog"]["totalCount"], 0, "what changes nothing is not recorded");

        assert_eq!(about(&admin, "setUserRole", &ada, ", role: ADMIN").await["user"]["role"], "ADMIN");
        assert!(!is_let_in(&ada).await, "a token with the old role is to be refreshed");
        app.advance(Duration::from_secs(1));
        let ada = app.again(&ada).await;
        // Each role is taken at the same time, by the command line: one of them stays.
        let now = app.app.now();
        let demote = async |by: &Actor, whom: &Actor| {
            let source = Source { actor: Some(by.id()), request_id: None };
            let cause = Cause { source, viewer: None, now: now.clone() };
            people::set_role(&app.app, whom.id(), Role::Student, &cause).await
        };
        let (one, other) = tokio::join!(demote(&admin, &ada), demote(&ada, &admin));
        let error = match (one, other) {
            (Ok(_), Err(Error::User(error))) | (Err(Error::User(error)), Ok(_)) => error,
            (one, other) => panic!("{} {}", one.is_ok(), other.is_ok()),
        };
        assert!(error.message.contains("last admin"));
        let admins = "SELECT id FROM users WHERE role = 'ADMIN'";
        let db = app.app.db.read();
        let admins = db.query_all_raw(Statement::from_string(db.get_database_backend(), admins)).await.expect("rows");
        assert_eq!(admins.len(), 1);
    }

    async fn the_last_admin_can_t_delete_their_account(app: TestApp) {
        let admin = app.register("ruth").await;
        let cause = Cause::clock(&app.app.now());
        people::set_role(&app.app, admin.id(), Role::Admin, &cause).await.unwrap_or_else(|_| panic!("an admin"));
        let delete = r#"mutation { deleteAccount(input: {password: "correct horse"}) { errors { code message } } }"#;
        app.advance(Duration::from_secs(1));
        let admin = app.again(&admin).await;
        refused(&admin.ask(delete, json!({})).await["deleteAccount"], "last admin");
        app.actor(Role::Admin).await;
        assert_eq!(admin.ask(delete, json!({})).await["deleteAccount"]["errors"], json!([]));
    }

    async fn a_deleted_account_is_restored_within_thirty_days(app: TestApp) {
        let (admin, ada, bob) = (app.actor(Role::Admin).await, app.register("ada").await, app.register("bob").await);
        let delete = r#"mutation { deleteAccount(input: {password: "correct horse"}) { errors { code } } }"#;
        for student in [&ada, &bob] {
            student.ask(delete, json!({})).await;
        }
        refused(&about(&admin, "suspendUser", &ada, r#", reason: "too late""#).await, "deleted");
        let by_id = "query($id: ID!) { node(id: $id) { ... on User { handle email deletedAt } } }";
        let id = json!({"id": ada.id().encode()});
        let seen = admin.ask(by_id, id.clone()).await["node"].take();
        assert_eq!((&seen["email"], seen["deletedAt"].is_string()), (&json!("ada@example.com"), true));
        let editor = app.actor(Role::Editor).await;
        assert_eq!(editor.send(by_id, id).await.1["errors"][0]["extensions"]["code"], "NOT_FOUND");

        app.advance(Duration::from_secs(30 * 86_400 - 1));
        assert_eq!(about(&admin, "restoreUser", &ada, "").await["user"]["deletedAt"], Value::Null);
        app.advance(Duration::from_secs(1));
        refused(&about(&admin, "restoreUser", &bob, "").await, "30 days");
        let erased = own::erase(&app.app, &app.app.now()).await;
        assert_eq!(erased.ok(), Some(1));
        assert!(app.sign_in("ada", "correct horse").await.is_some());
        app.verify().await;
    }

    async fn an_admin_ends_the_sessions_of_a_user(app: TestApp) {
        let (admin, ada) = (app.actor(Role::Admin).await, app.register("ada").await);
        let phone = app.sign_in("ada", "correct horse").await.expect("signed in");
        let ended = about(&admin, "revokeUserSessions", &ada, "").await;
        assert_eq!(ended, json!({"revokedCount": 2, "errors": []}));
        assert!(!is_let_in(&ada).await && !is_let_in(&phone).await && is_let_in(&admin).await);
        let log = "{ auditLog(filter: {action: SESSIONS_REVOKED}) { nodes { actor { id } objectId } } }";
        let nodes = json!([{"actor": {"id": admin.id().encode()}, "objectId": ada.id().encode()}]);
        assert_eq!(admin.ask(log, json!({})).await["auditLog"]["nodes"], nodes);
    }

    async fn people_and_the_log_are_found_page_by_page(app: TestApp) {
        let admin = app.actor(Role::Admin).await;
        for handle in ["ada_1", "adax1", "bob"] {
            let student = app.register(handle).await;
            app.advance(Duration::from_secs(1));
            about(&admin, "revokeUserSessions", &student, "").await;
        }
        let users = "query($filter: UserFilter, $after: String) { users(filter: $filter, first: 1, after: $after) {
            totalCount nodes { handle email } pageInfo { endCursor hasNextPage } } }";
        let find = async |filter: Value, after: Value| admin.ask(users, json!({"filter": filter, "after": after})).await["users"].take();
        let first = find(json!({"text": "ADA"}), Value::Null).await;
        assert_eq!((&first["totalCount"], &first["nodes"][0]["handle"]), (&json!(2), &json!("adax1")));
        let next = find(json!({"text": "ADA"}), first["pageInfo"]["endCursor"].clone()).await;
        assert_eq!((&next["nodes"][0]["handle"], &next["pageInfo"]["hasNextPage"]), (&json!("ada_1"), &json!(false)));
        assert_eq!(find(json!({"text": "a_1"}), Value::Null).await["totalCount"], 1, "an underscore is no wildcard");
        assert_eq!(find(json!({"text": "@example bob"}), Value::Null).await["totalCount"], 1);
        assert_eq!(find(json!({"role": "ADMIN", "state": "ACTIVE"}), Value::Null).await["totalCount"], 1);
        assert_eq!(find(json!({"state": "SUSPENDED"}), Value::Null).await["totalCount"], 0);

        let log = "query($filter: AuditFilter) { auditLog(filter: $filter, first: 10) { nodes { action actor { handle } at } } }";
        let (statements, data) = app.statements(admin.ask(log, json!({"filter": {"actorId": admin.id().encode()}}))).await;
        assert_eq!((statements, data["auditLog"]["nodes"].as_array().map(Vec::len)), (2, Some(3)));
        let newest = data["auditLog"]["nodes"][0]["at"].clone();
        let from = admin.ask(log, json!({"filter": {"from": newest}})).await;
        assert_eq!(from["auditLog"]["nodes"].as_array().map(Vec::len), Some(1));
        let until = admin.ask(log, json!({"filter": {"until": newest}})).await;
        assert_eq!(until["auditLog"]["nodes"].as_array().map(Vec::len), Some(2));
    }
}
