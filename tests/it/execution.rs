//! Answers are what the GraphQL specification says, section 6: every field that was asked for, once, in its place.

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use marmalade::auth::role::Role;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{on_both_databases, support::Actor};

/// The body of a response, as it was written.
async fn text(actor: &Actor, query: &str, variables: Value) -> String {
    let body = to_bytes(actor.post(query, variables).await.into_body(), usize::MAX);
    String::from_utf8(body.await.expect("a body").into()).expect("text")
}

/// The data of a response, as it was written.
async fn data(actor: &Actor, query: &str, variables: Value) -> String {
    let text = text(actor, query, variables).await;
    let end = [",\"errors\"", ",\"extensions\""]
        .into_iter()
        .filter_map(|after| text.find(after))
        .min();
    text[..end.unwrap_or(text.len() - 1)]
        .trim_start_matches("{\"data\":")
        .to_owned()
}

/// The paths and codes of the errors.
fn failures(body: &Value) -> Value {
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    errors
        .iter()
        .map(|error| json!([error["path"], error["extensions"]["code"]]))
        .collect()
}

/// The message of a request that was not run.
async fn refusal(actor: &Actor, query: &str, variables: Value) -> String {
    let (status, body) = actor.send(query, variables).await;
    assert_eq!(
        (status, body.get("data")),
        (StatusCode::BAD_REQUEST, None),
        "{query}: {body}"
    );
    body["errors"][0]["message"].as_str().expect("a message").to_owned()
}

/// What an operation of a document of several is answered.
async fn named(actor: &Actor, document: &str, name: &str) -> (StatusCode, Value) {
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json")
        .header("authorization", format!("Bearer {}", actor.token()))
        .body(Body::from(
            json!({"query": document, "operationName": name}).to_string(),
        ));
    let response = actor
        .app
        .router()
        .oneshot(request.expect("a request"))
        .await
        .expect("a response");
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).expect("JSON"))
}

on_both_databases! {
    async fn a_field_that_failed_is_null_or_its_parent_is(app: TestApp) {
        let ada = app.student().await;
        let (_, body) = ada.send("{ jobs(first: 1) { totalCount } viewer { role } }", json!({})).await;
        assert_eq!(body["data"], json!({"jobs": null, "viewer": {"role": "STUDENT"}}), "{body}");
        assert_eq!(failures(&body), json!([[["jobs"], "FORBIDDEN"]]));

        let query = "{ viewer { role } board { closed standings(first: 1000) { totalCount } } }";
        let (_, body) = ada.send(query, json!({})).await;
        assert_eq!(body["data"], json!({"viewer": {"role": "STUDENT"}, "board": null}), "{body}");
        assert_eq!(failures(&body), json!([[["board", "standings"], "BAD_USER_INPUT"]]));
    }

    async fn an_object_is_there_when_nothing_is_asked_of_it(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        app.quiz(1, |_| {}).await;
        let query = "query($d: Boolean!) { quizzes { nodes { ... @include(if: $d) { title } } } viewer { id @skip(if: true) } }";
        assert_eq!(data(&ada, query, json!({"d": false})).await, r#"{"quizzes":{"nodes":[{},{}]},"viewer":{}}"#);
        let query = "query($id: ID!) { node(id: $id) { ... on Attempt { state } } }";
        assert_eq!(data(&ada, query, json!({"id": quiz.encode()})).await, r#"{"node":{}}"#);
        assert_eq!(data(&ada, "{ viewer @skip(if: true) { id } }", json!({})).await, "{}");
        assert_eq!(data(&app.anyone(), "{ viewer { id @skip(if: true) } }", json!({})).await, r#"{"viewer":null}"#);
    }

    async fn fields_come_in_the_order_of_the_query(app: TestApp) {
        let ada = app.student().await;
        let query = "{ z: quizzes { totalCount } viewer { role handle sessions { totalCount } id } a: __typename m: quizzes(first: 1) { totalCount } }";
        for _ in 0..10 {
            let body = data(&ada, query, json!({})).await;
            let order: Vec<_> = ["\"z\"", "\"viewer\"", "\"role\"", "\"handle\"", "\"sessions\"", "\"id\"", "\"a\"", "\"m\""]
                .map(|key| body.find(key).unwrap_or_else(|| panic!("{key} in {body}"))).into();
            assert!(order.is_sorted(), "{body}");
        }
    }

    async fn a_field_that_is_selected_twice_runs_once(app: TestApp) {
        let (ada, quiz) = (app.register("ada").await, app.quiz(1, |_| {}).await);
        let paper = ada.start(quiz).await;
        let query = "mutation($input: SaveAnswerInput!) { ...A saveAnswer(input: $input) { answer { seq } } }
            fragment A on Mutation { saveAnswer(input: $input) { outcome errors { code } } }";
        let (question, choices) = &paper.questions[0];
        let input = json!({"attemptId": paper.attempt, "questionId": question, "choiceId": choices[0], "seq": 1});
        let (twice, saved) = app.statements(ada.ask(query, json!({"input": input}))).await;
        assert_eq!(saved["saveAnswer"], json!({"outcome": "SAVED", "errors": [], "answer": {"seq": 1}}));
        let once = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome errors { code } answer { seq } } }";
        let input = json!({"attemptId": paper.attempt, "questionId": question, "choiceId": choices[0], "seq": 2});
        assert_eq!(twice, app.statements(ada.ask(once, json!({"input": input}))).await.0);

        let sessions = async || app.count("SELECT id FROM sessions").await;
        let before = sessions().await;
        let query = "mutation($input: SignInInput!) { ...A ...B }
            fragment A on Mutation { signIn(input: $input) { viewer { handle } } }
            fragment B on Mutation { signIn(input: $input) { errors { code } } }";
        let input = json!({"email": "ada@example.com", "password": "correct horse", "client": "NATIVE"});
        let signed_in = app.anyone().ask(query, json!({"input": input})).await;
        assert_eq!(signed_in["signIn"], json!({"viewer": {"handle": "ada"}, "errors": []}));
        assert_eq!(sessions().await, before + 1);
    }

    async fn two_fields_cannot_share_a_name(app: TestApp) {
        let ada = app.student().await;
        for query in [
            "{ viewer { x: id } viewer { x: handle } }",
            "{ viewer { id } ... on Query { viewer: board { id } } }",
            "{ quizzes(first: 1) { totalCount } ...A } fragment A on Query { quizzes(first: 2) { totalCount } }",
            "{ viewer { x: id x: handle @skip(if: true) } }",
            "{ node(id: \"x\") { ... on Quiz { x: title } ... on Attempt { x: late } } }",
            "{ node(id: \"x\") { ... on Quiz { x: title } ... on Attempt { x: late @skip(if: true) } } }",
            "{ node(id: \"x\") { ... on Quiz { x: subject { id } } ... on Attempt { x: quiz { id: title } } } }",
        ] {
            assert!(refusal(&ada, query, json!({})).await.contains("conflict"), "{query}");
        }
        let query = "{ node(id: \"x\") { ... on Quiz { x: subject { id } } ... on Attempt { x: quiz { id } } } }";
        assert_eq!(data(&ada, query, json!({})).await, r#"{"node":null}"#);
    }

    async fn only_the_operation_that_was_named_is_judged(app: TestApp) {
        let ada = app.student().await;
        let document = "query A { viewer { role } } query B($first: Int!) { quizzes(first: $first) { totalCount } ...C }
            fragment C on Query { nodes(ids: [\"a\"]) { nothing } } mutation M { signOut { ok } }";
        let (status, body) = named(&ada, document, "A").await;
        assert_eq!((status, &body["data"]), (StatusCode::OK, &json!({"viewer": {"role": "STUDENT"}})), "{body}");
        for (name, says) in [("B", "`$first`"), ("M", "ok"), ("D", "There is no operation named D.")] {
            let (status, body) = named(&ada, document, name).await;
            let message = body["errors"][0]["message"].as_str().unwrap_or_default();
            assert!(status == StatusCode::BAD_REQUEST && message.contains(says), "{name}: {body}");
        }
        let query = "query A { viewer { role } } query B { viewer { id } }";
        assert_eq!(refusal(&ada, query, json!({})).await, "Name the operation to run with `operationName`.");
    }

    async fn every_variable_that_is_used_is_known(app: TestApp) {
        let ada = app.student().await;
        let query = "query($a: Boolean!) { __typename @include(if: $a) viewer { __typename @skip(if: $a) } }";
        assert_eq!(data(&ada, query, json!({"a": true})).await, r#"{"__typename":"Query","viewer":{}}"#);
        assert_eq!(data(&ada, query, json!({"a": false})).await, r#"{"viewer":{"__typename":"User"}}"#);
        assert!(refusal(&ada, query, json!({})).await.contains("`$a`"));
        assert!(refusal(&ada, query, json!({"a": null})).await.contains("`$a`"));
        assert!(refusal(&ada, query, json!({"a": "yes"})).await.contains("Boolean"));
        let query = "query($a: Boolean! = false, $first: Int = 1, $unset: Int) { quizzes(first: $first, last: $unset) { totalCount } b: __typename @include(if: $a) }";
        assert_eq!(data(&ada, query, json!({})).await, r#"{"quizzes":{"totalCount":0}}"#);
        let query = "query($unused: Int) { __typename }";
        assert!(refusal(&ada, query, json!({})).await.contains("unused"));
    }

    async fn a_long_value_is_not_copied_to_a_hundred_fields(app: TestApp) {
        let ada = app.student().await;
        let many = |n: usize| (0..n).map(|i| format!("a{i}: node(id: $id) {{ id }} ")).collect::<String>();
        let ids = |n: usize| (0..n).map(|i| format!("a{i}: nodes(ids: $ids) {{ id }} ")).collect::<String>();
        let (text, list) = ("x".repeat(900_000), vec!["x"; 100_000]);
        for (query, variables) in [
            (format!("query($id: ID!) {{ {} }}", many(50)), json!({"id": text})),
            (format!("query($ids: [ID!]!) {{ {} }}", ids(50)), json!({"ids": list})),
            (format!("{{ {} }} fragment F on Query {{ node(id: {text:?}) {{ id }} }}", "...F ".repeat(2)), json!({})),
        ] {
            let (status, body) = ada.send(&query, variables).await;
            let is_refused = body["errors"][0]["extensions"]["code"] == "QUERY_TOO_COMPLEX";
            // The last has its text once, wherever it is spread.
            assert_eq!((status == StatusCode::BAD_REQUEST, is_refused), (!query.contains("...F"), !query.contains("...F")), "{status}");
        }
        let (status, _) = ada.send("query($id: ID!) { node(id: $id) { id } }", json!({"id": text})).await;
        assert_eq!(status, StatusCode::OK, "once it may be long");
    }

    async fn a_syntax_error_is_one_sentence_at_its_place(app: TestApp) {
        let (_, body) = app.anyone().send("query {\n  viewer { id\n", json!({})).await;
        let error = &body["errors"][0];
        let message = error["message"].as_str().expect("a message");
        assert!(message.starts_with("Syntax error: expected ") && message.ends_with('.') && !message.contains('\n'), "{message}");
        assert_eq!(error["locations"], json!([{"line": 3, "column": 1}]));
    }

    async fn a_subscription_has_one_field_at_its_root(app: TestApp) {
        let ada = app.student().await;
        let board = "(board: {everything: ALL_TIME}) { __typename }";
        for (fields, fragments) in [
            (format!("a: boardChanged{board} b: boardChanged{board}"), ""),
            (format!("boardChanged{board} ...B"), "fragment B on Subscription { jobUpdated { id } }"),
            (format!("boardChanged{} @skip(if: true) {{ __typename }}", board.trim_end_matches(" { __typename }")), ""),
        ] {
            let query = format!("subscription {{ {fields} }} {fragments}");
            let said = refusal(&ada, &query, json!({})).await;
            assert_eq!(said, "A subscription selects one field at its root. Subscribe to each by itself.", "{query}");
        }
        let twice = format!("subscription {{ boardChanged{board} ...B }} fragment B on Subscription {{ boardChanged{board} }}");
        assert!(refusal(&ada, &twice, json!({})).await.starts_with("Follow a subscription"), "one field, as often as it is written");
    }

    async fn staff_see_the_schema_in_order_too(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let query = "{ __type(name: \"Role\") { kind name enumValues { name } ofType { name } } __schema { queryType { name } } }";
        let told = data(&editor, query, json!({})).await;
        assert!(told.starts_with(r#"{"__type":{"kind":"ENUM","name":"Role","enumValues":[{"name":"#), "{told}");
        assert!(told.ends_with(r#""ofType":null},"__schema":{"queryType":{"name":"Query"}}}"#), "{told}");
    }
}
