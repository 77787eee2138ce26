//! What an operation costs is what its objects really have, and it is refused before that is loaded.

use std::time::Instant;

use axum::{body::to_bytes, http::StatusCode};
use marmalade::{attempt, auth::role::Role, id::QuizId, limit::Allowance};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const NODES: &str = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Attempt {
    questions { id number text image choices { id text } } } } }";

/// The cost of such a node, and of each of its questions: five fields, and two for each of six choices.
const NODE: u64 = 2;
const QUESTION: u64 = 5 + 6 * 2;

/// Attempts of as many students, in progress.
async fn attempts(app: &TestApp, quiz: QuizId, students: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..students {
        let viewer = app.student().await.let_in().await.expect("signed in");
        let started = attempt::start(&app.app, &viewer, quiz, Allowance::UNLIMITED, &app.app.now()).await;
        ids.push(started.unwrap_or_else(|_| panic!("an attempt")).attempt.id.encode());
    }
    ids
}

/// The status, the body and its length.
async fn answer(actor: &Actor, query: &str, variables: Value) -> (StatusCode, Value, usize) {
    let response = actor.post_with(&[("x-marmalade-cost", "true")], query, variables).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"), body.len())
}

fn spent(body: &Value) -> u64 {
    body["extensions"]["cost"]["requested"]
        .as_u64()
        .unwrap_or_else(|| panic!("{body}"))
}

on_both_databases! {
    async fn long_lists_of_many_objects_are_refused_before_they_are_loaded(app: TestApp) {
        let quiz = app.quiz(180, |_| {}).await;
        let (ids, editor) = (attempts(&app, quiz, 100).await, app.actor(Role::Editor).await);
        // Nothing is known yet on a server that has just started.
        let app = app.restarted_with(|_| {}).await;
        let editor = app.at(&editor);
        let began = Instant::now();
        let asked = answer(&editor, NODES, json!({"ids": ids}));
        let (statements, (status, body, bytes)) = app.statements(asked).await;
        let figures = format!("100 papers of 180 questions: {status}, {bytes} bytes in {:?}\n", began.elapsed());
        std::io::Write::write_all(&mut std::io::stderr(), figures.as_bytes()).ok();
        let error = &body["errors"][0];
        assert_eq!((status, &error["extensions"]["code"]), (StatusCode::BAD_REQUEST, &json!("QUERY_TOO_COMPLEX")));
        let cost = 100 * (NODE + 180 * QUESTION);
        let message = format!("The operation costs {cost}; at most 20000 is allowed.");
        assert!(error["message"].as_str().is_some_and(|said| said.starts_with(&message)), "{error}");
        assert_eq!((&body["data"], body["errors"].as_array().map(Vec::len), spent(&body)), (&json!(null), Some(1), cost));
        // The attempts, the lengths of their papers, and the paper of the first few, which are within the limit.
        assert_eq!(statements, 1 + 1 + 3);
        // To the one: six are 18,372, seven are 21,434.
        let allowed = usize::try_from(20_000 / (NODE + 180 * QUESTION)).expect("a few");
        let (status, body, _) = answer(&editor, NODES, json!({"ids": ids[..allowed]})).await;
        assert_eq!((status, &body["errors"]), (StatusCode::OK, &json!(null)));
        assert_eq!(body["data"]["nodes"][5]["questions"].as_array().map(Vec::len), Some(180));
        let (status, _, _) = answer(&editor, NODES, json!({"ids": ids[..=allowed]})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        // Answers and reviews, too.
        for field in ["answers { questionId choiceId seq answeredAt late }", "review { questions { outcome points explanation } }"] {
            let student = app.student().await;
            let paper = student.take(quiz, 2).await;
            let query = format!("query($id: ID!) {{ {} }}",
                (0..49).map(|n| format!("a{n}: attempt(id: $id) {{ {field} }} ")).collect::<String>());
            let (status, body, _) = answer(&student, &query, json!({"id": paper.attempt})).await;
            assert_eq!((status, &body["errors"][0]["extensions"]["code"]),
                (StatusCode::BAD_REQUEST, &json!("QUERY_TOO_COMPLEX")), "{field}");
        }
    }

    async fn what_clients_do_is_far_from_the_limit(app: TestApp) {
        let quiz = app.quiz(180, |_| {}).await;
        for _ in 0..20 {
            app.quiz(1, |_| {}).await;
        }
        let ada = app.student().await;
        let question = "id number text image chapter { id name } choices { id text }";
        let start = format!("mutation($id: ID!) {{ startAttempt(input: {{quizId: $id}}) {{ resumed attempt {{
            id deadlineAt serverTime answers {{ questionId choiceId seq }} questions {{ {question} }} }} errors {{ code }} }} }}");
        let started = answer(&ada, &start, json!({"id": quiz.encode()})).await;
        let attempt = started.1["data"]["startAttempt"]["attempt"]["id"].clone();
        assert_eq!(started.1["data"]["startAttempt"]["attempt"]["questions"].as_array().map(Vec::len), Some(180));
        let submit = "mutation($id: ID!) { submitAttempt(input: {attemptId: $id, idempotencyKey: \"the one key\"}) {
            attempt { id } errors { code } } }";
        ada.ask(submit, json!({"id": attempt})).await;
        let review = format!("query($id: ID!) {{ attempt(id: $id) {{ id result {{ points }} review {{ correction questions {{
            question {{ {question} }} chosen {{ id text }} right {{ id text }} outcome points explanation }} }} }} }}");
        let quizzes = "{ quizzes(first: 20) { totalCount pageInfo { endCursor hasNextPage } nodes { id title description
            questionCount durationSeconds opensAt closesAt subject { id name } board { viewerStanding { rank points } } } } }";
        let dashboard = "{ dashboard(days: 366) { streakDays total { attempts } days { day progress { attempts points } }
            chapters { chapter { id name } progress { attempts accuracy } } recentAttempts { id quiz { title } result { points } } } }";
        let history = "{ viewer { attempts(first: 20) { nodes { id number state quiz { title } result { points } } } } }";
        let mut costs = vec![spent(&started.1)];
        for (query, variables) in [
            (review.as_str(), json!({"id": attempt})),
            (quizzes, json!({})),
            (dashboard, json!({})),
            (history, json!({})),
        ] {
            let (status, body, _) = answer(&ada, query, variables).await;
            assert_eq!((status, &body["errors"]), (StatusCode::OK, &json!(null)), "{query}");
            costs.push(spent(&body));
        }
        let figures = format!("start, review, quizzes, dashboard and history of 180 questions cost {costs:?}\n");
        std::io::Write::write_all(&mut std::io::stderr(), figures.as_bytes()).ok();
        assert!(costs.iter().all(|cost| *cost <= 8_000), "{costs:?}");
    }

    async fn a_change_that_costs_too_much_to_show_is_made_all_the_same(app: TestApp) {
        let quiz = app.quiz(180, |_| {}).await;
        let ada = app.student().await;
        let start = format!("mutation($id: ID!) {{ {} }}", (0..8).map(|n| format!(
            "a{n}: startAttempt(input: {{quizId: $id}}) {{ attempt {{ questions {{ id number text image choices {{ id text }} }} }} }} "
        )).collect::<String>());
        let (status, body, _) = answer(&ada, &start, json!({"id": quiz.encode()})).await;
        assert_eq!((status, body["data"]["a0"]["attempt"]["questions"].as_array().map(Vec::len)), (StatusCode::OK, Some(180)));
        assert_eq!((&body["data"]["a7"]["attempt"], &body["errors"][0]["extensions"]["code"]),
            (&json!(null), &json!("QUERY_TOO_COMPLEX")));
        let started = ada.ask("{ viewer { attempts { totalCount } } }", json!({})).await;
        assert_eq!(started["viewer"]["attempts"]["totalCount"], 1);
    }
}
