//! What is another's, deleted or a draft looks like what never was: the same bytes, by as many statements.

use axum::body::to_bytes;
use serde_json::{Value, json};

use super::world::{Person, World};
use crate::{on_both_databases, support::Actor};

/// What somebody is answer: the status, the headers and the body, without the request's id and the remaining budget.
async fn answer(actor: &Actor, query: &str) -> String {
    let response = actor.post(query, json!({})).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let mut body = String::from_utf8(body.to_vec()).expect("text");
    let mut headers = parts.headers;
    if let Some(id) = headers.remove("x-request-id") {
        body = body.replace(id.to_str().expect("text"), "");
    }
    headers.remove("date");
    format!("{} {headers:?} {}", parts.status, without_budget(&body))
}

/// A response without what it says about costs and limits.
fn without_budget(body: &str) -> String {
    let mut response: Value = serde_json::from_str(body).expect("JSON");
    match response
        .as_object_mut()
        .and_then(|response| response.remove("extensions"))
    {
        Some(_) => response.to_string(),
        None => body.to_owned(),
    }
}

/// The first event of a stream.
async fn event(actor: &Actor, query: &str) -> String {
    without_budget(&actor.first_answer(query).await.to_string())
}

on_both_databases! {
    async fn what_is_not_ones_own_looks_like_what_never_was(app: TestApp) {
        let world = World::new(&app).await;
        let (_, bob) = world.cast.iter().find(|(who, _)| *who == Person::Bob).expect("Bob");
        let mut compared = 0;
        for (what, operations, hidden) in world.hidden_from_bob() {
            for operation in operations {
                let mut invented: Option<(usize, String)> = None;
                for id in [what].iter().chain(&hidden) {
                    let query = operation.replace("$ID", world.id(id));
                    let seen = if query.starts_with("subscription") {
                        app.statements(event(bob, &query)).await
                    } else {
                        app.statements(answer(bob, &query)).await
                    };
                    assert!(seen.1.contains("NOT_FOUND"), "{id}: {} for {query}", seen.1);
                    match &invented {
                        None => invented = Some(seen),
                        Some(invented) => assert_eq!(&seen, invented, "{id} and {what} differ: {query}"),
                    }
                    compared += 1;
                }
            }
        }
        println!("{compared} replies compared");
    }
}
