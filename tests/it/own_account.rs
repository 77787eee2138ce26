//! What people do about their own account and sessions.

use std::time::Duration;

use marmalade::auth::role::Role;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::{on_both_databases, support::TestApp};

const REVOKE: &str = "mutation($id: ID!) { revokeSession(input: {sessionId: $id}) { revokedCount errors { code } } }";

async fn reset(app: &TestApp, token: &str, password: &str) -> Value {
    let query = "mutation($input: ResetPasswordInput!) { resetPassword(input: $input) { errors { code path } } }";
    let input = json!({"token": token, "newPassword": password});
    app.anyone().ask(query, json!({"input": input})).await["resetPassword"]["errors"].take()
}

async fn ask_for_reset(app: &TestApp, email: &str) -> Value {
    let query = "mutation($email: EmailAddress!) { requestPasswordReset(input: {email: $email}) { errors { code } } }";
    app.anyone().ask(query, json!({"email": email})).await["requestPasswordReset"].take()
}

fn used_or_old() -> Value {
    json!([{"code": "BAD_USER_INPUT", "path": ["input", "token"]}])
}

on_both_databases! {
    async fn sessions_are_listed_and_ended_by_their_owner_only(app: TestApp) {
        let phone = app.register("ada").await;
        app.advance(Duration::from_secs(1));
        let laptop = app.sign_in("ada", "correct horse").await.expect("signed in");
        let bob = app.register("bob").await;
        let list = "{ viewer { sessions { totalCount nodes { id current client } } } }";
        let sessions = laptop.ask(list, json!({})).await["viewer"]["sessions"].take();
        assert_eq!(sessions["totalCount"], 2);
        assert_eq!((&sessions["nodes"][0]["current"], &sessions["nodes"][1]["current"]), (&json!(true), &json!(false)));
        let of_phone = sessions["nodes"][1]["id"].as_str().expect("an id").to_owned();

        let invented = marmalade::id::SessionId(uuid::Uuid::now_v7()).encode();
        let refused = bob.send(REVOKE, json!({"id": of_phone})).await;
        assert_eq!(refused.1["errors"][0]["extensions"]["code"], "NOT_FOUND");
        assert_eq!(refused, bob.send(REVOKE, json!({"id": invented})).await);

        phone.ask("{ viewer { id } }", json!({})).await;
        let revoked = laptop.ask(REVOKE, json!({"id": of_phone})).await;
        assert_eq!(revoked["revokeSession"]["revokedCount"], 1);
        assert_eq!(phone.send("{ viewer { id } }", json!({})).await.0, 401);
        assert_eq!(laptop.send(REVOKE, json!({"id": of_phone})).await.1["errors"][0]["extensions"]["code"], "NOT_FOUND");
        laptop.ask("{ viewer { id } }", json!({})).await;
    }

    async fn a_new_password_ends_the_other_sessions(app: TestApp) {
        let phone = app.register("ada").await;
        let laptop = app.sign_in("ada", "correct horse").await.expect("signed in");
        let change = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) {
            revokedCount errors { code path } } }";
        let with = |old: &str, new: &str| json!({"input": {"password": old, "newPassword": new}});
        let wrong = laptop.ask(change, with("wrong horse", "battery staple")).await;
        let errors = json!([{"code": "BAD_USER_INPUT", "path": ["input", "password"]}]);
        assert_eq!(wrong["changePassword"], json!({"revokedCount": null, "errors": errors}));
        let short = laptop.ask(change, with("correct horse", "short")).await;
        assert_eq!(short["changePassword"]["errors"][0]["path"], json!(["input", "newPassword"]));

        let changed = laptop.ask(change, with("correct horse", "battery staple")).await;
        assert_eq!(changed["changePassword"], json!({"revokedCount": 1, "errors": []}));
        assert_eq!(phone.send("{ viewer { id } }", json!({})).await.0, 401);
        laptop.ask("{ viewer { id } }", json!({})).await;
        assert!(app.sign_in("ada", "correct horse").await.is_none());
        assert!(app.sign_in("ada", "battery staple").await.is_some());
    }

    async fn a_forgotten_password_is_reset_by_a_link_that_works_once(app: TestApp) {
        let ada = app.register("ada").await;
        let answer = ask_for_reset(&app, "Ada@Example.com ").await;
        assert_eq!(answer, ask_for_reset(&app, "nobody@example.com").await);
        let link = app.link("ada@example.com", "A new password").await;
        assert_eq!(reset(&app, "invented", "battery staple").await, used_or_old());
        assert_eq!(reset(&app, "invented", "short").await, used_or_old(), "an invented link is refused before its password is looked at");
        assert_eq!(reset(&app, &link, "battery staple").await, json!([]));
        assert_eq!(reset(&app, &link, "another password").await, used_or_old());
        assert_eq!(ada.send("{ viewer { id } }", json!({})).await.0, 401, "every session has ended");
        assert!(app.sign_in("ada", "battery staple").await.is_some());
        assert_eq!(app.emails(), 1, "nobody@example.com gets no email");
    }

    async fn a_link_is_asked_for_with_the_credentials_of_its_own_account(app: TestApp) {
        let bob = app.register("bob").await;
        app.register("ada").await;
        let change = "mutation { changePassword(input: {password: \"correct horse\", newPassword: \"battery staple\"}) {
            errors { code } } }";
        assert_eq!(bob.ask(change, json!({})).await["changePassword"]["errors"], json!([]));
        ask_for_reset(&app, "ada@example.com").await;
        let link = app.link("ada@example.com", "A new password").await;
        assert_eq!(reset(&app, &link, "battery staple").await, json!([]));
    }

    async fn a_link_to_a_new_password_is_good_for_thirty_minutes(app: TestApp) {
        app.register("ada").await;
        ask_for_reset(&app, "ada@example.com").await;
        let link = app.link("ada@example.com", "A new password").await;
        app.advance(Duration::from_secs(30 * 60));
        assert_eq!(reset(&app, &link, "battery staple").await, used_or_old());
        assert!(app.sign_in("ada", "correct horse").await.is_some());
    }

    async fn a_new_address_counts_once_it_is_confirmed(app: TestApp) {
        let ada = app.register("ada").await;
        app.register("bob").await;
        let ask = "mutation($input: RequestEmailChangeInput!) { requestEmailChange(input: $input) { errors { code path } } }";
        let confirm = "mutation($token: String!) { confirmEmailChange(input: {token: $token}) { errors { code path } } }";
        let to = |email: &str, password: &str| json!({"input": {"email": email, "password": password}});
        let refused = ada.ask(ask, to("new@example.com", "wrong horse")).await;
        assert_eq!(refused["requestEmailChange"]["errors"][0]["path"], json!(["input", "password"]));

        // Somebody else's address: nothing tells before its owner's letter is read, and then it is refused.
        assert_eq!(ada.ask(ask, to("bob@example.com", "correct horse")).await["requestEmailChange"]["errors"], json!([]));
        let link = app.link("bob@example.com", "Confirm").await;
        let taken = app.anyone().ask(confirm, json!({"token": link})).await;
        assert_eq!(taken["confirmEmailChange"]["errors"][0]["code"], "CONFLICT");

        assert_eq!(ada.ask(ask, to("new@example.com", "correct horse")).await["requestEmailChange"]["errors"], json!([]));
        app.email("ada@example.com", "about to change").await;
        assert_eq!(ada.ask("{ viewer { email } }", json!({})).await["viewer"]["email"], "ada@example.com");
        let link = app.link("new@example.com", "Confirm").await;
        let confirmed = app.anyone().ask(confirm, json!({"token": link})).await;
        assert_eq!(confirmed["confirmEmailChange"]["errors"], json!([]));
        assert_eq!(ada.ask("{ viewer { email } }", json!({})).await["viewer"]["email"], "new@example.com");
    }

    async fn no_link_outlives_the_password_with_which_it_was_asked_for(app: TestApp) {
        let ada = app.register("ada").await;
        let ask = "mutation { requestEmailChange(input: {email: \"thief@example.com\", password: \"correct horse\"}) {
            errors { code } } }";
        let change = "mutation { changePassword(input: {password: \"correct horse\", newPassword: \"battery staple\"}) {
            errors { code } } }";
        let confirm = "mutation($token: String!) { confirmEmailChange(input: {token: $token}) { errors { code } } }";
        ada.ask(ask, json!({})).await;
        let by_the_thief = app.link("thief@example.com", "Confirm").await;
        ask_for_reset(&app, "ada@example.com").await;
        let forgotten = app.link("ada@example.com", "A new password").await;

        app.advance(Duration::from_secs(1));
        assert_eq!(ada.ask(change, json!({})).await["changePassword"]["errors"], json!([]));
        let confirmed = app.anyone().ask(confirm, json!({"token": by_the_thief})).await;
        assert_eq!(confirmed["confirmEmailChange"]["errors"][0]["code"], "BAD_USER_INPUT");
        assert_eq!(reset(&app, &forgotten, "another password").await, used_or_old());

        app.advance(Duration::from_secs(1));
        let emails = app.emails();
        ask_for_reset(&app, "ada@example.com").await;
        while app.emails() == emails {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let link = app.link("ada@example.com", "A new password").await;
        assert_eq!(reset(&app, &link, "another password").await, json!([]));
    }

    async fn a_thief_of_a_session_guesses_the_password_five_times(app: TestApp) {
        let ada = app.register("ada").await;
        let change = "mutation($old: String!) { changePassword(input: {password: $old, newPassword: \"battery staple\"}) {
            errors { code } } }";
        for _ in 0..5 {
            let refused = ada.ask(change, json!({"old": "wrong horse"})).await;
            assert_eq!(refused["changePassword"]["errors"][0]["code"], "BAD_USER_INPUT");
        }
        assert_eq!(ada.send(change, json!({"old": "correct horse"})).await.0, 429);
        let delete = "mutation { deleteAccount(input: {password: \"correct horse\"}) { errors { code } } }";
        assert_eq!(ada.send(delete, json!({})).await.0, 429);
        let admin = app.actor(Role::Admin).await;
        let failed = "{ auditLog(filter: {action: SIGN_IN_FAILED}, first: 1) { totalCount nodes { actor { handle } } } }";
        let failed = admin.ask(failed, json!({})).await;
        assert_eq!(failed["auditLog"], json!({"totalCount": 5, "nodes": [{"actor": {"handle": "ada"}}]}));
        app.advance(Duration::from_secs(15 * 60));
        assert_eq!(ada.ask(change, json!({"old": "correct horse"})).await["changePassword"]["errors"], json!([]));
    }

    async fn a_student_who_hides_from_boards_leaves_them_and_can_return(app: TestApp) {
        let quiz = app.quiz(3, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        ada.take(quiz, 3).await;
        bob.take(quiz, 1).await;
        let update = "mutation($hidden: Boolean!) { updateAccount(input: {hiddenFromBoards: $hidden}) {
            user { hiddenFromBoards } errors { code } } }";
        let standings = "{ board { standings { totalCount nodes { points } } } }";
        let shown = json!({"board": {"standings": {"totalCount": 2, "nodes": [{"points": 3.0}, {"points": 1.0}]}}});
        assert_eq!(bob.ask(standings, json!({})).await, shown);
        ada.ask(update, json!({"hidden": true})).await;
        let alone = json!({"board": {"standings": {"totalCount": 1, "nodes": [{"points": 1.0}]}}});
        assert_eq!(bob.ask(standings, json!({})).await, alone);
        assert_eq!(bob.rank("ALL_TIME").await["rank"], 1);
        assert_eq!(ada.rank("ALL_TIME").await, json!({"rank": null, "points": 3.0}));
        ada.ask(update, json!({"hidden": false})).await;
        assert_eq!(bob.ask(standings, json!({})).await, shown);
        app.verify().await;
    }

    async fn a_handle_and_a_picture_are_changed_or_refused(app: TestApp) {
        let app = app.restarted_with(|config| config.site.avatar_hosts = vec!["pictures.example".into()]).await;
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let update = "mutation($input: UpdateAccountInput!) { updateAccount(input: $input) {
            user { handle avatar } errors { code path } } }";
        let ask = async |input: Value| ada.ask(update, json!({"input": input})).await["updateAccount"].take();
        let picture = "https://pictures.example/ada.png";
        let changed = ask(json!({"handle": "countess", "avatar": picture})).await;
        assert_eq!(changed, json!({"user": {"handle": "countess", "avatar": picture}, "errors": []}));
        assert_eq!(ask(json!({})).await["user"]["avatar"], picture, "what is left out stays");
        // The host is not allowed any more: nobody's browser is sent there.
        let elsewhere = app.restarted_with(|config| config.site.avatar_hosts.clear()).await;
        let id = ada.ask("{ viewer { id } }", json!({})).await["viewer"]["id"].take();
        let shown = "query($id: ID!) { node(id: $id) { ... on User { avatar } } }";
        for (app, expected) in [(&app, json!(picture)), (&elsewhere, Value::Null)] {
            let seen = app.at(&bob).ask(shown, json!({"id": id})).await;
            assert_eq!(seen["node"]["avatar"], expected);
        }
        assert_eq!(ask(json!({"avatar": null})).await["user"], json!({"handle": "countess", "avatar": null}));
        for (input, code, path) in [
            (json!({"handle": "BOB"}), "CONFLICT", "handle"),
            (json!({"handle": "a b"}), "BAD_USER_INPUT", "handle"),
            (json!({"avatar": "javascript:alert(1)"}), "BAD_USER_INPUT", "avatar"),
            (json!({"avatar": "https://pictures.example.evil.example/a.png"}), "BAD_USER_INPUT", "avatar"),
        ] {
            let errors = json!([{"code": code, "path": ["input", path]}]);
            assert_eq!(ask(input).await, json!({"user": null, "errors": errors}));
        }
    }

    async fn a_deleted_account_is_gone_at_once_and_nameless_after_thirty_days(app: TestApp) {
        let quiz = app.quiz(2, |_| {}).await;
        let (ada, bob) = (app.register("ada").await, app.student().await);
        ada.take(quiz, 2).await;
        let delete = "mutation($password: Password!) { deleteAccount(input: {password: $password}) { errors { path } } }";
        let wrong = ada.ask(delete, json!({"password": "wrong horse"})).await;
        assert_eq!(wrong["deleteAccount"]["errors"][0]["path"], json!(["input", "password"]));
        let board = "{ board { standings { totalCount } } }";
        assert_eq!(bob.ask(board, json!({})).await["board"]["standings"]["totalCount"], 1);
        ada.ask(delete, json!({"password": "correct horse"})).await;
        assert_eq!(ada.send("{ viewer { id } }", json!({})).await.0, 401);
        assert!(app.sign_in("ada", "correct horse").await.is_none());
        assert_eq!(bob.ask(board, json!({})).await["board"]["standings"]["totalCount"], 0);

        let db = app.app.db.write();
        let named = || async {
            let select = "SELECT id FROM users WHERE email LIKE 'ada%' OR handle LIKE 'ada%' OR password_hash LIKE '$argon%'";
            db.query_all_raw(Statement::from_string(db.get_database_backend(), select)).await.expect("rows").len()
        };
        let erase = || async { marmalade::account::own::erase(&app.app, &app.app.now()).await.unwrap_or_else(|_| panic!("erases")) };
        app.advance(Duration::from_secs(30 * 86_400 - 1));
        assert_eq!((erase().await, named().await), (0, 1));
        app.advance(Duration::from_secs(1));
        assert_eq!((erase().await, named().await), (1, 0));
        assert_eq!(erase().await, 0);
        app.verify().await;
    }

    async fn an_export_holds_what_is_ones_own_and_no_secret(app: TestApp) {
        let quiz = app.quiz(3, |_| {}).await;
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        bob.take(quiz, 3).await;
        ada.take(quiz, 2).await;
        let query = "{ accountExport }";
        let (statements, data) = app.statements(ada.ask(query, json!({}))).await;
        assert_eq!(statements, 5);
        let export = &data["accountExport"];
        assert_eq!(export["account"]["email"], "ada@example.com");
        assert_eq!(export["attempts"][0]["right_count"], 2);
        assert_eq!(export["answers"].as_array().map(Vec::len), Some(3));
        assert_eq!(export["answers"][0]["choice"], "right");
        let text = export.to_string();
        for word in ["bob", "argon2", "CANARY", "hash"] {
            assert!(!text.contains(word), "{word} in {export:#}");
        }
        // Whatever others do, here or at other devices, it stays what it was.
        bob.take(app.quiz(3, |_| {}).await, 2).await;
        app.sign_in("bob", "correct horse").await.expect("bob is let in");
        for _ in 0..4 {
            assert_eq!(ada.ask(query, json!({})).await, data);
        }
        assert_eq!(ada.send(query, json!({})).await.0, 429);
    }

    async fn the_sixth_guess_at_a_password_is_refused_even_if_it_is_right(app: TestApp) {
        app.register("ada").await;
        for _ in 0..5 {
            assert!(app.sign_in("ada", "wrong horse").await.is_none());
        }
        let query = "mutation { signIn(input: {email: \"ada@example.com\", password: \"correct horse\", client: NATIVE}) {
            errors { code } } }";
        let (status, body) = app.anyone().send(query, json!({})).await;
        assert_eq!((status.as_u16(), &body["errors"][0]["extensions"]["code"]), (429, &json!("RATE_LIMITED")));
        let nobody = query.replace("ada@", "nobody@");
        for guess in 0..6 {
            assert_eq!(app.anyone().send(&nobody, json!({})).await.0.as_u16(), if guess < 5 { 200 } else { 429 });
        }
        app.advance(Duration::from_secs(15 * 60));
        // Successes don't count.
        for _ in 0..6 {
            assert!(app.sign_in("ada", "correct horse").await.is_some());
        }
    }
}

/// Fifty guesses from one address are all it gets at once, whatever the accounts; what follows is slowed.
#[tokio::test]
async fn one_address_guesses_fifty_times() {
    let app = TestApp::sqlite().await;
    let hourly = marmalade::limit::Rate::new(1, Duration::from_secs(3600));
    let app = app
        .restarted_with(|config| config.limits.slowed_sign_ins_of_address = hourly)
        .await;
    let guess = |n: usize| {
        let query = "mutation($email: EmailAddress!) { signIn(input: {email: $email, password: \"a wrong password\"}) { errors { code } } }";
        let (anyone, variables) = (app.anyone(), json!({"email": format!("user{n}@example.com")}));
        async move { anyone.send(query, variables).await.0 }
    };
    for n in 0..51 {
        assert_eq!(guess(n).await, 200);
    }
    assert_eq!(guess(51).await, 429);
}
