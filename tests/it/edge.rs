//! What the edge refuses: with a documented code, and without harm.

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use marmalade::{auth::role::Role, config::Mode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::{on_both_databases, support::TestApp};

async fn post(app: &TestApp, body: impl Into<Body>, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let mut request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", "application/graphql-response+json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

fn code(body: &Value) -> &str {
    body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

on_both_databases! {
    async fn attacks_are_refused_by_name(app: TestApp) {
        let deep_json = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        let aliases: String = (0..10_000).map(|i| format!("a{i}: __typename ")).collect();
        for (what, query, expected) in [
            ("depth 1,000", format!("{}{}", "{a".repeat(1_000), "}".repeat(1_000)), "QUERY_TOO_COMPLEX"),
            ("10,000 aliases", format!("{{ {aliases} }}"), "QUERY_TOO_COMPLEX"),
            ("100,000 directives", format!("{{ __typename {} }}", "@a ".repeat(100_000)), "QUERY_TOO_COMPLEX"),
            ("100 directives", format!("{{ __typename {} }}", "@a ".repeat(100)), "QUERY_TOO_COMPLEX"),
            ("a circle", "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }".into(), "BAD_USER_INPUT"),
            ("long pages", "{ quizzes(first: 100) { nodes { subject { board { standings(first: 100) { nodes { rank points } } } } } } }".into(), "QUERY_TOO_COMPLEX"),
            ("a lone surrogate", r#"{ node(id: "\ud800") { id } }"#.into(), "BAD_USER_INPUT"),
            ("NUL", r#"{ node(id: "\u0000") { id } }"#.into(), "BAD_USER_INPUT"),
            ("a huge integer", "{ quizzes(first: 99999999999999999999) { nodes { id } } }".into(), "BAD_USER_INPUT"),
            ("a huge number", "{ quizzes(first: 1e999) { nodes { id } } }".into(), "BAD_USER_INPUT"),
        ] {
            let (status, body) = post(&app, json!({"query": query}).to_string(), &[]).await;
            assert_eq!((status, code(&body)), (StatusCode::BAD_REQUEST, expected), "{what}: {body}");
        }
        for (what, body, expected) in [
            ("a batch", "[{\"query\": \"{ __typename }\"}]".to_owned(), StatusCode::BAD_REQUEST),
            ("a deep variable", format!("{{\"query\": \"{{ __typename }}\", \"variables\": {{\"a\": {deep_json}}}}}"), StatusCode::BAD_REQUEST),
            ("a lone surrogate", r#"{"query": "{ __typename }", "variables": {"a": "\ud800"}}"#.into(), StatusCode::BAD_REQUEST),
            ("NUL", r#"{"query": "query($a: ID!) { node(id: $a) { id } }", "variables": {"a": ["\u0000"]}}"#.into(), StatusCode::BAD_REQUEST),
            ("2 MB", format!("{{\"query\": \"{}\"}}", " ".repeat(2_000_000)), StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let (status, body) = post(&app, body, &[]).await;
            assert_eq!((status, code(&body)), (expected, "BAD_USER_INPUT"), "{what}: {body}");
        }
        let (status, body) = post(&app, "anything", &[("content-encoding", "gzip")]).await;
        assert_eq!((status, code(&body)), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "BAD_USER_INPUT"));
        let (status, body) = post(&app, json!({"query": "{ subjects { nodes { name } } }"}).to_string(), &[]).await;
        assert_eq!(status, StatusCode::OK, "an honest client is served: {body}");
    }

    async fn whoever_asks_is_told_the_cost(app: TestApp) {
        let query = json!({"query": "{ quizzes(first: 10) { nodes { id } } }"}).to_string();
        for (name, value) in [("x-marmalade-cost", "false"), ("x-marmalade-client", "graphiql")] {
            let (_, body) = post(&app, query.clone(), &[(name, value)]).await;
            assert_eq!(body, json!({"data": {"quizzes": {"nodes": []}}}));
        }
        let (_, body) = post(&app, query, &[("x-marmalade-cost", "true")]).await;
        let cost = &body["extensions"]["cost"];
        assert!(cost["requested"].as_u64().is_some_and(|cost| cost > 10), "{body}");
        assert_eq!((&cost["maximum"], &cost["depth"]), (&json!(20_000), &json!(3)));
    }

    async fn an_operation_goes_by_its_hash_once_it_was_sent(app: TestApp) {
        let query = "{ subjects { totalCount } }";
        let hash = hex::encode(Sha256::digest(query));
        let about = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
        let by_hash = json!({"extensions": about}).to_string();
        let (_, body) = post(&app, by_hash.clone(), &[]).await;
        assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
        let (_, body) = post(&app, json!({"query": "{ __typename }", "extensions": about}).to_string(), &[]).await;
        assert_eq!(code(&body), "BAD_USER_INPUT", "the hash of another text");
        let (_, body) = post(&app, json!({"query": query, "extensions": about}).to_string(), &[]).await;
        assert_eq!(body["data"], json!({"subjects": {"totalCount": 0}}));
        let (_, body) = post(&app, by_hash, &[]).await;
        assert_eq!(body["data"], json!({"subjects": {"totalCount": 0}}));
    }

    async fn an_operation_goes_by_the_id_of_its_document(app: TestApp) {
        let query = "{ subjects { totalCount } }";
        let id = format!("sha256:{}", hex::encode(Sha256::digest(query)));
        let by_id = json!({"documentId": id});
        let (_, body) = post(&app, by_id.to_string(), &[]).await;
        assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
        for (what, wrong) in [
            ("another text", json!({"documentId": id, "query": "{ __typename }"})),
            ("a name that only a manifest gives, and a text", json!({"documentId": "Subjects", "query": query})),
            ("two ids", json!({"documentId": id, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": &id[7..]}}})),
            ("nothing", json!({"documentId": null})),
            ("a number", json!({"documentId": 1})),
        ] {
            let (_, body) = post(&app, wrong.to_string(), &[]).await;
            assert_eq!(code(&body), "BAD_USER_INPUT", "{what}: {body}");
        }
        let (_, body) = post(&app, json!({"documentId": id, "query": query}).to_string(), &[]).await;
        assert_eq!(body["data"], json!({"subjects": {"totalCount": 0}}));
        let (_, body) = post(&app, by_id.to_string(), &[]).await;
        assert_eq!(body["data"], json!({"subjects": {"totalCount": 0}}));
        let (_, body) = post(&app, json!({"documentId": "Subjects"}).to_string(), &[]).await;
        assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
        let get = Request::get(format!("/graphql?documentId={id}")).header("apollo-require-preflight", "true");
        let response = app.router().oneshot(get.body(Body::empty()).expect("a request")).await.expect("a response");
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        assert_eq!(serde_json::from_slice::<Value>(&body).expect("JSON")["data"], json!({"subjects": {"totalCount": 0}}));
    }

    async fn only_listed_operations_run_under_a_manifest(app: TestApp) {
        let listed = "{ subjects { totalCount } }";
        let folder = tempfile::tempdir().expect("a folder");
        // MD5 and SHA-1 are what relay-compiler and GraphQL Code Generator name documents by.
        for (name, id, manifest) in [
            ("apollo", "subjects-1", json!({
                "format": "apollo-persisted-query-manifest",
                "version": 1,
                "operations": [{"id": "subjects-1", "name": "Subjects", "type": "query", "body": listed}],
            })),
            ("relay", "9cb6d2d6ec5ac4cd1ab1ae9a4e3ea4c7", json!({"9cb6d2d6ec5ac4cd1ab1ae9a4e3ea4c7": listed})),
            ("codegen", "8f2b7f1a4e6f3f1d1f5a0c9fd1a5f9c1b0d2e3f4", json!({"8f2b7f1a4e6f3f1d1f5a0c9fd1a5f9c1b0d2e3f4": listed})),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, manifest.to_string()).expect("a file");
            let app = app.restarted_with(|config| config.operations.manifest = Some(file)).await;
            let anyone = app.anyone();
            assert_eq!(anyone.ask(listed, json!({})).await, json!({"subjects": {"totalCount": 0}}));
            let hash = hex::encode(Sha256::digest(listed));
            for by_id in [
                json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": id}}}),
                json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}}),
                json!({"documentId": id}),
                json!({"doc_id": id}),
                json!({"documentId": format!("sha256:{hash}")}),
            ] {
                let (status, body) = post(&app, by_id.to_string(), &[]).await;
                assert_eq!((status, &body["data"]["subjects"]["totalCount"]), (StatusCode::OK, &json!(0)), "{name} by {by_id}: {body}");
            }
            let unlisted = json!({"documentId": "9cb6d2d6ec5ac4cd1ab1ae9a4e3ea4c8"}).to_string();
            let (_, body) = post(&app, unlisted, &[]).await;
            assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
            let (_, body) = anyone.send("{ __typename }", json!({})).await;
            assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
            let (_, body) = app.student().await.send("{ __typename }", json!({})).await;
            assert_eq!(code(&body), "PERSISTED_QUERY_NOT_FOUND");
            app.actor(Role::Editor).await.ask("{ __typename }", json!({})).await;
        }
    }

    async fn the_schema_is_shown_to_staff_alone_in_production(app: TestApp) {
        let (introspect, misspelt) = ("{ __schema { queryType { name } } }", "{ subjcts { totalCount } }");
        let of_type = "query($name: String!) { ...T __typename } fragment T on Query { t: __type(name: $name) { name } }";
        let development = app.anyone();
        development.ask(introspect, json!({})).await;
        let (_, body) = development.send(misspelt, json!({})).await;
        assert!(body.to_string().contains("Did you mean"), "{body}");
        let app = app.restarted_with(|config| config.site.mode = Mode::Production).await;
        for actor in [app.anyone(), app.student().await] {
            let (_, body) = actor.send(introspect, json!({})).await;
            assert_eq!(code(&body), "FORBIDDEN");
            // To them there is no type, as there is none of another name.
            assert_eq!(actor.ask(of_type, json!({"name": "User"})).await, json!({"t": null, "__typename": "Query"}));
            let (_, body) = actor.send(misspelt, json!({})).await;
            assert_eq!(code(&body), "BAD_USER_INPUT");
            assert!(!body.to_string().contains("subjects"), "{body}");
        }
        let editor = app.actor(Role::Editor).await;
        editor.ask(introspect, json!({})).await;
        assert_eq!(editor.ask(of_type, json!({"name": "User"})).await["t"], json!({"name": "User"}));
        let (_, body) = editor.send(misspelt, json!({})).await;
        assert!(body.to_string().contains("Did you mean"), "{body}");
    }

    async fn the_workbench_is_for_staff(app: TestApp) {
        let (editor, student) = (app.actor(Role::Editor).await, app.student().await);
        for (token, status) in [(Some(editor.token()), 200), (Some(student.token()), 303), (None, 303)] {
            let mut request = Request::get("/graphiql");
            if let Some(token) = token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            let response = app.router().oneshot(request.body(Body::empty()).expect("a request")).await.expect("a response");
            assert_eq!(response.status().as_u16(), status);
        }
    }

    async fn reading_reviews_costs_nothing_but_requests(app: TestApp) {
        let app = app.restarted_with(|config| config.limits = marmalade::limit::Limits::default()).await;
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        let mut papers = Vec::new();
        for _ in 0..12 {
            papers.push(ada.take(quiz, 1).await);
            // The limit of starts is an hour's.
            app.advance(std::time::Duration::from_secs(600));
        }
        let query = "query($id: ID!) { attempt(id: $id) { review { correction } } }";
        for paper in papers.iter().chain(&papers) {
            let data = ada.ask(query, json!({"id": paper.attempt})).await;
            assert_eq!(data["attempt"]["review"]["correction"], 0);
        }
        let budgets = "{ rateLimit { answers { limit remaining } batches { limit remaining } submits { limit remaining }
            starts { limit remaining } exports { limit remaining } imports { limit remaining } } }";
        app.advance(std::time::Duration::from_secs(3600));
        let before = ada.ask(budgets, json!({})).await["rateLimit"].take();
        for paper in &papers {
            ada.ask(query, json!({"id": paper.attempt})).await;
        }
        assert_eq!(ada.ask(budgets, json!({})).await["rateLimit"].take(), before);
        let full = |budget: &Value| budget["limit"] == budget["remaining"];
        assert!(before.as_object().is_some_and(|budgets| budgets.values().all(full)), "{before}");
    }
}
