//! Against two accounts of one person: proof of the address, and signals for staff.

use std::time::Duration;

use marmalade::{auth::role::Role, id::QuizId};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const REQUEST: &str = "mutation { requestEmailConfirmation { errors { code } } }";

async fn reason(student: &Actor, quiz: QuizId) -> Value {
    let query = "query($id: ID!) { quiz(id: $id) { unrankedReason } }";
    student.ask(query, json!({"id": quiz.encode()})).await["quiz"]["unrankedReason"].take()
}

/// Takes a quiz with these choices, so many seconds each.
async fn take(student: &Actor, quiz: QuizId, choices: &[usize], seconds: u64) -> String {
    let paper = student.start(quiz).await;
    for (question, choice) in choices.iter().enumerate() {
        student.app.advance(Duration::from_secs(seconds));
        student.save(&paper, question, *choice, 1).await;
    }
    student.submit(&paper, "the one key").await;
    paper.attempt
}

/// The signals of a quiz: the kind of each, and its attempts.
async fn signals(staff: &Actor, quiz: QuizId) -> Vec<(String, Vec<String>)> {
    let query = "query($id: ID!) { integritySignals(quizId: $id) { kind summary attempts { id } } }";
    let data = staff.ask(query, json!({"id": quiz.encode()})).await;
    let id = |attempt: &Value| attempt["id"].as_str().expect("an id").to_owned();
    let signal = |signal: &Value| {
        let attempts = signal["attempts"].as_array().expect("attempts").iter().map(id);
        (signal["kind"].as_str().expect("a kind").to_owned(), attempts.collect())
    };
    data["integritySignals"]
        .as_array()
        .expect("signals")
        .iter()
        .map(signal)
        .collect()
}

/// Where somebody is signed in.
async fn signed_in_at(app: &TestApp, student: &Actor, address: &str, user_agent: &str) {
    let db = app.app.db.write();
    let update = Statement::from_sql_and_values(
        db.get_database_backend(),
        "UPDATE sessions SET address = $1, user_agent = $2 WHERE user_id = $3",
        [address.into(), user_agent.into(), student.id().0.into()],
    );
    db.execute_raw(update).await.expect("a session");
}

on_both_databases! {
    async fn a_site_may_rank_only_students_with_a_confirmed_address(app: TestApp) {
        let first = app.quiz(2, |_| {}).await;
        assert_eq!(reason(&app.register("bob").await, first).await, Value::Null, "not by default");
        let app = app.restarted_with(|config| config.site.ranks_confirmed_only = true).await;
        let ada = app.register("ada").await;
        // It is said before the start; the attempt itself is practice.
        assert_eq!(reason(&ada, first).await, "EMAIL_UNCONFIRMED");
        ada.take(first, 2).await;
        assert!(ada.rank("DAY").await.is_null());
        assert_eq!(ada.ask(REQUEST, json!({})).await["requestEmailConfirmation"]["errors"], json!([]));
        let total = ada.ask("{ dashboard { total { rightCount } } }", json!({})).await;
        assert_eq!(total["dashboard"]["total"]["rightCount"], 2);

        let confirmed = "{ viewer { emailConfirmedAt } }";
        assert_eq!(ada.ask(confirmed, json!({})).await["viewer"]["emailConfirmedAt"], Value::Null);
        let token = app.link("ada@example.com", "Confirm your email address").await;
        let confirm = "mutation($token: String!) { confirmEmailChange(input: {token: $token}) { errors { code } } }";
        let done = app.anyone().ask(confirm, json!({"token": token})).await;
        assert_eq!(done["confirmEmailChange"]["errors"], json!([]));
        assert!(ada.ask(confirmed, json!({})).await["viewer"]["emailConfirmedAt"].is_string());
        let second = app.quiz(2, |_| {}).await;
        assert_eq!(reason(&ada, second).await, Value::Null);
        ada.take(second, 2).await;
        assert_eq!(ada.rank("DAY").await, json!({"rank": 1, "points": 2.0}));
        app.verify().await;
    }

    async fn a_confirmation_can_be_asked_for_and_signs_nobody_out(app: TestApp) {
        let ada = app.register("ada").await;
        assert_eq!(app.emails(), 0);
        assert_eq!(ada.ask(REQUEST, json!({})).await["requestEmailConfirmation"]["errors"], json!([]));
        let token = app.link("ada@example.com", "Confirm your email address").await;
        let confirm = "mutation($token: String!) { confirmEmailChange(input: {token: $token}) { errors { code } } }";
        ada.ask(confirm, json!({"token": token})).await;
        let viewer = ada.ask("{ viewer { email emailConfirmedAt } }", json!({})).await["viewer"].take();
        assert_eq!(viewer["email"], "ada@example.com");
        assert!(viewer["emailConfirmedAt"].is_string());
        // A link is good for one use.
        let again = ada.ask(confirm, json!({"token": token})).await;
        assert_eq!(again["confirmEmailChange"]["errors"][0]["code"], "BAD_USER_INPUT");
    }

    async fn staff_see_signals_of_one_person_with_two_accounts(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(12, |_| {}).await);
        let mut honest = Vec::new();
        // Each has other mistakes, at a pace of a minute.
        for n in 0..5_usize {
            let student = app.student().await;
            let choices: Vec<_> = (0..12).map(|i| if (i + n) % 5 < 2 { 1 + (i * n) % 2 } else { 0 }).collect();
            signed_in_at(&app, &student, &format!("192.0.2.{n}"), "a browser").await;
            honest.push(take(&student, quiz, &choices, 60).await);
        }
        assert_eq!(signals(&editor, quiz).await, vec![]);

        let (first, second) = (app.student().await, app.student().await);
        for student in [&first, &second] {
            signed_in_at(&app, student, "198.51.100.7", "one phone").await;
        }
        let wrong_alike = [1, 2, 1, 2, 1, 2, 0, 0, 0, 0, 0, 0];
        let a = take(&first, quiz, &wrong_alike, 60).await;
        let b = take(&second, quiz, &[1, 2, 1, 2, 1, 2, 0, 0, 0, 0, 0, 2], 60).await;
        let fast = app.student().await;
        signed_in_at(&app, &fast, "203.0.113.1", "a browser").await;
        let c = take(&fast, quiz, &[0; 12], 2).await;
        let found = signals(&editor, quiz).await;
        assert_eq!(found, [
            ("SAME_ANSWERS".to_owned(), vec![a.clone(), b.clone()]),
            ("SAME_DEVICE".to_owned(), vec![a, b]),
            ("FAST_ANSWERS".to_owned(), vec![c]),
        ]);

        // It costs the same with more of them.
        let query = "query($id: ID!) { integritySignals(quizId: $id) { kind } }";
        for _ in 0..2 {
            let (statements, _) = app.statements(editor.ask(query, json!({"id": quiz.encode()}))).await;
            assert_eq!(statements, 4);
            take(&app.student().await, quiz, &wrong_alike, 1).await;
        }
    }

    async fn a_school_behind_one_address_is_no_signal(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(2, |_| {}).await);
        for _ in 0..6 {
            let student = app.student().await;
            signed_in_at(&app, &student, "198.51.100.7", "the school's computers").await;
            take(&student, quiz, &[0, 1], 60).await;
        }
        assert_eq!(signals(&editor, quiz).await, vec![]);
    }
}
