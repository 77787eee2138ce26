//! Responses that may be kept: only of what is the same for everybody, and only as long as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use marmalade::{
    api::caching::{Fields, PUBLIC, SIGNED_IN},
    auth::role::Role,
    id::QuizId,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    ownership::{Rule, Schema, rules},
    support::{Actor, TestApp},
};

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Reply {
    fn header(&self, name: &str) -> String {
        let values = self.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().expect("ASCII")).collect();
        values.join(", ")
    }

    fn lifetime(&self) -> String {
        self.header("cache-control")
    }
}

async fn send(app: &TestApp, request: Request<Body>) -> Reply {
    let (parts, body) = app.router().oneshot(request).await.expect("a response").into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

/// Somebody's way to say who they are.
fn credential(actor: Option<&Actor>) -> Vec<(&'static str, String)> {
    actor
        .map(|actor| ("authorization", format!("Bearer {}", actor.token())))
        .into_iter()
        .collect()
}

/// Persists a query, and asks for it by a GET.
async fn persisted(app: &TestApp, query: &str, variables: &Value, headers: &[(&str, String)]) -> Reply {
    let id = format!("sha256:{}", hex::encode(Sha256::digest(query)));
    let body = json!({"query": query, "documentId": id, "variables": variables}).to_string();
    let learn = Request::post("/graphql").header("content-type", "application/json");
    send(app, learn.body(Body::from(body)).expect("a request")).await;
    let parameters = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("documentId", &id)
        .append_pair("variables", &variables.to_string())
        .finish();
    let mut get = Request::get(format!("/graphql?{parameters}")).header("apollo-require-preflight", "true");
    for (name, value) in headers {
        get = get.header(*name, value);
    }
    send(app, get.body(Body::empty()).expect("a request")).await
}

/// Per type the fields of a list, each with the type that it leads to.
fn listed(fields: &'static Fields) -> BTreeMap<&'static str, Vec<(&'static str, Option<&'static str>)>> {
    let of = |text: &'static str| {
        text.split_whitespace()
            .map(|field| {
                field
                    .split_once(':')
                    .map_or((field, None), |(field, ty)| (field, Some(ty)))
            })
            .collect()
    };
    fields.iter().map(|(ty, fields)| (*ty, of(fields))).collect()
}

/// Everything that lists have below a type, as far down as fits into one operation.
fn selection(lists: &[&'static Fields], ty: &str, depth: usize) -> String {
    let fields = lists
        .iter()
        .flat_map(|list| listed(list).remove(ty).unwrap_or_default());
    let selections = fields.filter_map(|(field, target)| match target {
        None => Some(field.to_owned()),
        Some(_) if depth == 0 => None,
        Some(target) => {
            let page = if target.ends_with("Connection") {
                "(first: 5)"
            } else {
                ""
            };
            Some(format!("{field}{page} {{ {} }}", selection(lists, target, depth - 1)))
        }
    });
    format!("__typename {}", selections.collect::<Vec<_>>().join(" "))
}

/// People who differ in all that could make a difference.
struct World {
    quiz: QuizId,
    /// The board over everything of the week before.
    board: String,
    people: Vec<Option<Actor>>,
}

impl World {
    async fn new(app: &TestApp) -> Self {
        let (quiz, ada, bob, eve) = (
            app.quiz(3, |quiz| quiz.max_attempts = Some(2)).await,
            app.student().await,
            app.student().await,
            app.student().await,
        );
        ada.take(quiz, 2).await;
        bob.take(quiz, 3).await;
        let week = "{ board(window: WEEK) { id } }";
        let board = ada.ask(week, json!({})).await["board"]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        app.advance(Duration::from_secs(7 * 24 * 3600));
        eve.start(quiz).await;
        let staff = [app.actor(Role::Editor).await, app.actor(Role::Admin).await];
        let people = [None]
            .into_iter()
            .chain([ada, bob, eve].into_iter().chain(staff).map(Some));
        Self {
            quiz,
            board,
            people: people.collect(),
        }
    }

    /// The ways in of a list, with all that it has below them.
    fn queries(&self, lists: &[&'static Fields]) -> Vec<String> {
        let inside = |root: &str| {
            let target = lists.iter().find_map(|list| {
                let roots = listed(list).remove("Query")?;
                roots.into_iter().find(|(field, _)| *field == root)?.1
            });
            target.map(|ty| selection(lists, ty, 4))
        };
        let (quiz, board) = (self.quiz.encode(), &self.board);
        let roots = [
            ("quiz", format!("quiz(id: \"{quiz}\")")),
            ("quizzes", "quizzes(first: 5)".to_owned()),
            ("subjects", "subjects(first: 5)".to_owned()),
            ("board", format!("board(id: \"{board}\")")),
        ];
        let queries = roots
            .into_iter()
            .filter_map(|(root, call)| Some(format!("{{ {call} {{ {} }} }}", inside(root)?)));
        queries.collect()
    }

    /// The queries whose answers depend on who asks.
    async fn differing(&self, lists: &[&'static Fields], signed_in: bool) -> Vec<String> {
        let mut differing = Vec::new();
        for query in self.queries(lists) {
            let mut answers = BTreeSet::new();
            for person in self.people.iter().flatten() {
                let (status, body) = person.send(&query, json!({})).await;
                answers.insert((status.as_u16(), body.to_string()));
            }
            if !signed_in {
                let anyone = self.people.iter().flatten().next().expect("somebody").app.anyone();
                let (status, body) = anyone.send(&query, json!({})).await;
                answers.insert((status.as_u16(), body.to_string()));
            }
            if answers.len() > 1 {
                differing.push(query);
            }
        }
        differing
    }
}

/// The lists name fields of the schema by their types, and none that a guard keeps from somebody.
#[test]
fn what_is_listed_is_open() {
    let (schema, rules) = (Schema::read(), rules());
    for (fields, allowed) in [(PUBLIC, Rule::Anyone), (SIGNED_IN, Rule::SignedIn)] {
        for (ty, fields) in listed(fields) {
            for (field, target) in fields {
                let found = schema.fields(ty).iter().find(|(name, _)| name == field);
                let (_, of) = found.unwrap_or_else(|| panic!("{ty}.{field} is no field"));
                let target_of = target.unwrap_or(of);
                assert_eq!(of, target_of, "{ty}.{field}");
                let rule = rules[&(ty.to_owned(), field.to_owned())];
                assert!(rule <= allowed, "{ty}.{field} is not for everybody: {rule:?}");
            }
        }
    }
}

on_both_databases! {
    async fn what_is_listed_is_the_same_for_everybody(app: TestApp) {
        let world = World::new(&app).await;
        assert_eq!(world.differing(&[PUBLIC], false).await, Vec::<String>::new());
        assert_eq!(world.differing(&[SIGNED_IN, PUBLIC], true).await, Vec::<String>::new());
        // What is the viewer's is noticed, were it listed.
        const QUIZ: &Fields = &[("Query", "quiz:Quiz"), ("Quiz", "id unrankedReason")];
        const BOARD: &Fields = &[("Query", "board:Board"), ("Board", "id viewerStanding:Standing"), ("Standing", "rank")];
        const USER: &Fields = &[
            ("Query", "board:Board"), ("Board", "winners:Standing"), ("Standing", "user:User"), ("User", "id email"),
        ];
        for planted in [QUIZ, BOARD, USER] {
            assert_eq!(world.differing(&[planted], true).await.len(), 1, "{planted:?}");
        }
    }

    async fn only_what_is_public_and_persisted_may_be_kept(app: TestApp) {
        let world = World::new(&app).await;
        let (quiz, board) = (world.quiz.encode(), world.board.clone());
        let ada = world.people[1].as_ref().expect("a student");
        let none: &[(&str, String)] = &[];
        let open = ada.ask("{ board(window: WEEK) { id } }", json!({})).await["board"]["id"].as_str().expect("an id").to_owned();
        const ANYONE: &str = "public, max-age=60";
        const CLIENT: &str = "private, max-age=60";
        const NOBODY: &str = "no-store";
        let everything = world.queries(&[PUBLIC]);
        for query in &everything {
            let kept = persisted(&app, query, &json!({}), none).await;
            assert_eq!((kept.status, kept.lifetime().as_str()), (StatusCode::OK, ANYONE), "{query}: {}", kept.body);
        }
        let id = json!({"id": quiz});
        let cases = [
            ("a quiz's face", "query($id: ID!) { quiz(id: $id) { title ...Face } } fragment Face on Quiz { ... on Node { id } ... on Quiz { marking { right } } ... { publishedAt } }", id.clone(), ANYONE),
            ("the viewer's part of a quiz", "query($id: ID!) { quiz(id: $id) { title unrankedReason } }", id.clone(), NOBODY),
            ("the same, left out", "query($id: ID!) { quiz(id: $id) { title unrankedReason @skip(if: true) } }", id.clone(), ANYONE),
            ("in a fragment", "query($id: ID!) { quiz(id: $id) { title ...Mine } } fragment Mine on Quiz { unrankedReason }", id.clone(), NOBODY),
            ("beside it", "query($id: ID!) { quiz(id: $id) { title } viewer { id } }", id.clone(), NOBODY),
            ("a quiz's board, which changes", "query($id: ID!) { quiz(id: $id) { board { id } } }", id.clone(), NOBODY),
            ("any object", "query($id: ID!) { node(id: $id) { id } }", id.clone(), NOBODY),
            ("what is left of a limit", "{ rateLimit { requests { remaining } } }", json!({}), NOBODY),
            ("an error", "query($id: ID!) { quiz(id: $id) { title } }", json!({"id": "quiz_none"}), NOBODY),
            ("a mutation's document", "mutation { signOut { errors { code } } }", json!({}), NOBODY),
            ("the schema", "{ __schema { queryType { name } } }", json!({}), NOBODY),
            ("a window that has ended", "query($id: ID!) { board(id: $id) { standings(first: 5) { nodes { rank points user { handle } } } } }", json!({"id": board}), CLIENT),
            ("the same beside the catalogue", "query($id: ID!) { board(id: $id) { closed } quizzes(first: 5) { totalCount } }", json!({"id": board}), CLIENT),
            ("a window that goes on", "query($id: ID!) { board(id: $id) { standings(first: 5) { nodes { rank } } } }", json!({"id": open}), NOBODY),
            ("the window that holds now", "{ board(window: WEEK) { previous { closed } } }", json!({}), NOBODY),
            ("one's own standing", "query($id: ID!) { board(id: $id) { viewerStanding { rank } } }", json!({"id": board}), NOBODY),
            ("ones around", "query($id: ID!) { board(id: $id) { aroundViewer { standings { rank } } } }", json!({"id": board}), NOBODY),
        ];
        for (what, query, variables, expected) in cases {
            let reply = persisted(&app, query, &variables, &credential(Some(ada))).await;
            assert_eq!(reply.lifetime(), expected, "{what}: {} {}", reply.status, reply.body);
            assert_eq!(reply.headers.contains_key("etag"), expected != NOBODY, "{what}");
            let varies = reply.header("vary").to_ascii_lowercase();
            for (name, on) in [("accept", expected != NOBODY), ("authorization", expected == CLIENT), ("cookie", expected == CLIENT)] {
                assert_eq!(varies.split(", ").any(|varies| varies == name), on, "{what}: {varies}");
            }
        }
        // By default of a variable, which is no less the id of a window.
        let by_default = format!("query($id: ID = \"{board}\") {{ board(id: $id) {{ closed }} }}");
        assert_eq!(persisted(&app, &by_default, &json!({}), &credential(Some(ada))).await.lifetime(), CLIENT);

        // Who may not read it gets an error, which is not kept; neither is what has something else to say.
        let closed = "query($id: ID!) { board(id: $id) { closed } }";
        let refused = persisted(&app, closed, &json!({"id": board}), none).await;
        assert_eq!((&refused.body["errors"][0]["extensions"]["code"], refused.lifetime().as_str()), (&json!("UNAUTHENTICATED"), NOBODY));
        let face = "query($id: ID!) { quiz(id: $id) { title } }";
        let stale = persisted(&app, face, &id, &[("cookie", "access_token=nonsense".into())]).await;
        assert_eq!((stale.headers.contains_key("set-cookie"), stale.lifetime().as_str()), (true, NOBODY));
        let asks = persisted(&app, face, &id, &[("x-marmalade-cost", "true".into())]).await;
        assert_eq!((asks.body["extensions"]["cost"].is_object(), asks.lifetime().as_str()), (true, NOBODY));

        // Only a GET, only by an id.
        let body = json!({"query": face, "variables": id}).to_string();
        let post = Request::post("/graphql").header("content-type", "application/json").body(Body::from(body));
        assert_eq!(send(&app, post.expect("a request")).await.lifetime(), NOBODY);
        let text = "/graphql?query=%7Bquizzes(first:5)%7BtotalCount%7D%7D";
        let by_text = Request::get(text).header("apollo-require-preflight", "true").body(Body::empty());
        let by_text = send(&app, by_text.expect("a request")).await;
        assert_eq!((by_text.status, by_text.lifetime().as_str()), (StatusCode::OK, NOBODY));
    }

    async fn what_a_client_has_is_not_sent_again(app: TestApp) {
        let quiz = app.quiz(3, |_| {}).await;
        let (query, variables) = ("query($id: ID!) { quiz(id: $id) { title } }", json!({"id": quiz.encode()}));
        let first = persisted(&app, query, &variables, &[]).await;
        let tag = first.header("etag");
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.clone(), strong, format!("\"other\", {tag}"), "*".to_owned()] {
            let again = persisted(&app, query, &variables, &[("if-none-match", known.clone())]).await;
            assert_eq!((again.status, &again.body), (StatusCode::NOT_MODIFIED, &Value::Null), "{known}");
            assert_eq!((again.header("etag"), again.lifetime()), (tag.clone(), "public, max-age=60".to_owned()));
            assert!(again.header("vary").contains("accept") && again.header("content-type").is_empty());
        }
        // The tag is that of these bytes: of another media type, of another title.
        let accept = ("accept", "application/graphql-response+json".to_owned());
        let other = persisted(&app, query, &variables, &[accept, ("if-none-match", "\"other\"".into())]).await;
        assert_eq!((other.status, other.header("content-type").as_str()), (StatusCode::OK, "application/graphql-response+json"));
        let renamed = app.app.db.write().execute_unprepared("UPDATE quizzes SET title = 'Another'").await;
        assert!(renamed.is_ok());
        // Published content is cached in memory; another server starts without.
        let app = app.restarted_with(|_| {}).await;
        let changed = persisted(&app, query, &variables, &[("if-none-match", tag.clone())]).await;
        assert_eq!((changed.status, &changed.body["data"]["quiz"]["title"]), (StatusCode::OK, &json!("Another")));
        assert_ne!(changed.header("etag"), tag);
        // Nobody is refused for what was kept: what does not go by a tag is answered as ever.
        let mine = persisted(&app, "{ viewer { id } }", &json!({}), &[("if-none-match", "*".into())]).await;
        assert_eq!(mine.status, StatusCode::OK);
    }
}
