//! What must never happen, tried.

use std::{collections::BTreeMap, time::Duration};

use async_graphql::parser::{
    parse_schema,
    types::{ServiceDocument, Type, TypeKind, TypeSystemDefinition},
};
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use serde_json::json;
use tower::ServiceExt;

use crate::on_both_databases;

/// Field names and their types, by object type.
type Objects = BTreeMap<String, Vec<(String, String)>>;

fn objects() -> Objects {
    let document: ServiceDocument = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
    let named = |ty: &Type| ty.to_string().replace(['!', '[', ']'], "");
    let mut objects = Objects::new();
    for definition in document.definitions {
        if let TypeSystemDefinition::Type(ty) = definition
            && let TypeKind::Object(object) = ty.node.kind
        {
            let fields = object
                .fields
                .into_iter()
                .map(|field| (field.node.name.node.to_string(), named(&field.node.ty.node)));
            objects.insert(ty.node.name.node.to_string(), fields.collect());
        }
    }
    objects
}

/// Selects all that an object offers, so many levels deep.
fn everything(objects: &Objects, ty: &str, depth: usize) -> String {
    let fields = objects.get(ty).into_iter().flatten().filter_map(|(name, ty)| {
        if objects.contains_key(ty) {
            (depth > 0).then(|| format!("{name} {{ __typename {} }}", everything(objects, ty, depth - 1)))
        } else {
            // Interfaces need a selection of their own and are reached by `node`.
            (ty != "Node").then(|| name.clone())
        }
    });
    fields.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_path_to_an_answer_goes_through_a_review() {
    let objects = objects();
    let mut reached: Vec<&str> = vec!["Query", "Mutation", "Subscription"];
    let mut at = 0;
    while at < reached.len() {
        for (_, ty) in objects.get(reached[at]).into_iter().flatten() {
            if ty != "Review" && objects.contains_key(ty) && !reached.contains(&ty.as_str()) {
                reached.push(ty);
            }
        }
        at += 1;
    }
    assert!(reached.len() > 20, "the walk goes somewhere: {reached:?}");
    for ty in reached {
        for (field, _) in &objects[ty] {
            let tells = [
                "right",
                "rightChoices",
                "rightNumber",
                "tolerance",
                "explanation",
                "correct",
                "outcome",
            ]
            .iter()
            .any(|word| field == word);
            let known = matches!(
                (ty, field.as_str()),
                // What authors write; the matrix of ownership holds that only staff get as far.
                ("DraftQuestion", "explanation" | "rightNumber" | "tolerance")
                    | ("ImportQuestion", "explanation" | "rightNumber" | "tolerance")
                    | ("MarkingScheme", "right")
                    | ("SaveAnswerPayload" | "SavedAnswer", "outcome")
            );
            assert!(!tells || known, "{ty}.{field} is reached without a review");
        }
    }
}

on_both_databases! {
    async fn no_operation_reveals_an_explanation_before_the_review(app: TestApp) {
        let (ada, bob) = (app.student().await, app.student().await);
        let (open, expired) = (app.quiz(3, |_| {}).await, app.quiz(3, |quiz| quiz.duration = Duration::from_secs(60)).await);
        let later = app.quiz(3, |quiz| {
            quiz.review_opens = marmalade::entity::quiz::ReviewOpens::AfterClose;
            quiz.closes_at = Some(app.app.now().at + Duration::from_secs(86_400));
        }).await;
        let theirs = bob.start(open).await;
        let ran_out = ada.start(expired).await;
        let kept_closed = ada.take(later, 1).await;
        app.advance(Duration::from_secs(62));
        let mine = ada.start(open).await;
        let objects = objects();
        let mut queries: Vec<String> = Vec::new();
        for (field, ty) in &objects["Query"] {
            let deep = everything(&objects, ty, 3);
            match field.as_str() {
                "attempt" | "node" => {}
                "nodes" => {}
                "quiz" => queries.push(format!("{{ quiz(id: \"{}\") {{ {deep} }} }}", open.encode())),
                _ => queries.push(format!("{{ {field} {{ {deep} }} }}")),
            }
        }
        let attempt = everything(&objects, "Attempt", 3);
        for id in [&mine.attempt, &theirs.attempt, &kept_closed.attempt, &ran_out.attempt] {
            queries.push(format!("{{ attempt(id: \"{id}\") {{ {attempt} }} }}"));
            queries.push(format!("{{ node(id: \"{id}\") {{ ... on Attempt {{ {attempt} }} }} }}"));
        }
        let mut answered = 0;
        for query in &queries {
            let (_, body) = ada.send(query, json!({})).await;
            answered += usize::from(body["data"].is_object());
            let about_ran_out = query.contains(&ran_out.attempt) || query.starts_with("{ viewer") || query.starts_with("{ dashboard");
            // The one whose time has run out is submitted by being asked for, and its review is rightly open.
            assert!(about_ran_out || !body.to_string().contains("CANARY"), "{query}\n{body:#}");
        }
        assert!(answered > queries.len() / 2, "{answered} of {} queries ran", queries.len());
        let review = "query($id: ID!) { attempt(id: $id) { review { questions { explanation } } } }";
        assert!(ada.ask(review, json!({"id": mine.attempt})).await["attempt"]["review"].is_null());
    }

    async fn a_blank_submit_a_read_review_and_a_perfect_retake_move_no_board(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        bob.take(quiz, 1).await;
        let paper = ada.start(quiz).await;
        ada.submit(&paper, "a blank submit").await;
        let query = "{ board { standings { nodes { rank points user { handle } } } } }";
        let before = ada.ask(query, json!({})).await;
        ada.take(quiz, 3).await;
        assert_eq!(ada.ask(query, json!({})).await, before);
        app.verify().await;
    }

    async fn a_form_and_a_foreign_page_change_nothing(app: TestApp) {
        let send = async |request: Request<Body>| app.router().oneshot(request).await.expect("a response").status();
        let register = json!({"query": "mutation { register(input: {email: \"x@y.example\", handle: \"xyz\", password: \"0123456789\"}) { errors { code } } }"});
        let body = || Body::from(register.to_string());
        for (kind, status) in [
            ("text/plain", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            ("application/x-www-form-urlencoded", StatusCode::UNSUPPORTED_MEDIA_TYPE),
            // A file comes so, but with a header that no form sends.
            ("multipart/form-data; boundary=x", StatusCode::FORBIDDEN),
        ] {
            let request = Request::post("/graphql").header("content-type", kind).body(body()).expect("a request");
            assert_eq!(send(request).await, status, "{kind}");
        }
        let foreign = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("host", "exam.example")
            .header("origin", "https://evil.example")
            .body(body());
        assert_eq!(send(foreign.expect("a request")).await, StatusCode::FORBIDDEN);
        let get = Request::get("/graphql?query=mutation%7BsignOut%7Berrors%7Bcode%7D%7D%7D").body(Body::empty());
        assert_eq!(send(get.expect("a request")).await, StatusCode::METHOD_NOT_ALLOWED);
    }
}
