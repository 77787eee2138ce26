//! Subscriptions without a WebSocket: server-sent events and multipart, over a real socket.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    on_both_databases,
    support::{Actor, TestApp, socket::Socket},
};

const MULTIPART: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0,application/json";
const FOLLOW: &str = "subscription { standingChanged(board: {everything: WEEK}) { totalCount standing { rank } } }";

/// A response that is read as it comes.
struct Reader {
    response: reqwest::Response,
    /// What was read and not looked at yet.
    text: String,
}

impl Reader {
    async fn of(app: &TestApp, actor: &Actor, accept: &str, query: &str) -> Self {
        let response = reqwest::Client::new()
            .post(format!("http://{}/graphql", app.listen().await))
            .bearer_auth(actor.token())
            .header(ACCEPT, accept)
            .json(&json!({"query": query}))
            .send();
        let response = response.await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        Self {
            response,
            text: String::new(),
        }
    }

    fn media_type(&self) -> &str {
        self.response.headers()[CONTENT_TYPE].to_str().expect("ASCII")
    }

    /// The text up to `end`, which goes with it; `None` if the body ends before.
    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return Some(std::mem::replace(&mut self.text, rest));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.response.chunk()).await;
            let chunk = chunk.expect("the server goes on").expect("the body is whole")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }

    /// The next event, by <https://html.spec.whatwg.org/multipage/server-sent-events.html>; comments are none.
    async fn event(&mut self) -> Option<(String, String)> {
        loop {
            let block = self.until("\n\n").await?;
            let field = |name: &str| {
                let value = block
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                value.map(|value| value.strip_prefix(' ').unwrap_or(value).to_owned())
            };
            if let Some(kind) = field("event") {
                return Some((kind, field("data").expect("an event without data is not told")));
            }
        }
    }

    /// The next part, by RFC 2046; heartbeats are none.
    async fn part(&mut self) -> Option<Value> {
        loop {
            let part = self.until("\r\n--graphql").await?;
            let (head, body) = part.split_once("\r\n\r\n").expect("a head and a body");
            assert_eq!(head.trim(), "content-type: application/json");
            let body: Value = serde_json::from_str(body.trim_end_matches("\r\n--graphql")).expect("JSON");
            if body != json!({}) {
                return Some(body);
            }
        }
    }
}

fn standing(rank: i32, total: i32) -> Value {
    json!({"standingChanged": {"totalCount": total, "standing": {"rank": rank}}})
}

/// Asks for a stream, which may be refused.
async fn follow(app: &TestApp, actor: &Actor, accept: &str) -> reqwest::Response {
    let request = reqwest::Client::new()
        .post(format!("http://{}/graphql", app.listen().await))
        .bearer_auth(actor.token())
        .header(ACCEPT, accept)
        .json(&json!({"query": FOLLOW}));
    request.send().await.expect("a response")
}

/// The status of an upgrade that offers these sub-protocols.
async fn offer(app: &TestApp, protocols: Option<&str>) -> StatusCode {
    let mut request = reqwest::Client::new()
        .get(format!("http://{}/graphql/ws", app.listen().await))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    if let Some(protocols) = protocols {
        request = request.header("sec-websocket-protocol", protocols);
    }
    request.send().await.expect("a response").status()
}

fn data(event: Option<(String, String)>) -> Value {
    let (kind, data) = event.expect("an event");
    assert_eq!(kind, "next");
    serde_json::from_str::<Value>(&data).expect("JSON")["data"].take()
}

on_both_databases! {
    async fn server_sent_events_follow_and_end_with_the_session(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 1).await;
        let mut reader = Reader::of(&app, &ada, "text/event-stream", FOLLOW).await;
        assert_eq!(reader.media_type(), "text/event-stream");
        assert_eq!(data(reader.event().await), standing(1, 1));
        bob.take(quiz, 3).await;
        assert_eq!(data(reader.event().await), standing(2, 2));
        ada.ask("mutation { signOut { errors { code } } }", json!({})).await;
        assert_eq!(reader.event().await, None, "cut off, not complete");
    }

    async fn multipart_follows_and_ends_with_the_server(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 1).await;
        let mut reader = Reader::of(&app, &ada, MULTIPART, FOLLOW).await;
        assert_eq!(reader.media_type(), "multipart/mixed; boundary=\"graphql\"; subscriptionSpec=1.0");
        reader.until("--graphql").await.expect("a first boundary");
        let payload = |part: Option<Value>| part.expect("a part")["payload"]["data"].take();
        assert_eq!(payload(reader.part().await), standing(1, 1));
        bob.take(quiz, 3).await;
        assert_eq!(payload(reader.part().await), standing(2, 2));
        app.app.shutdown.cancel();
        assert_eq!(reader.part().await, None);
    }

    async fn what_does_not_go_on_is_complete_at_once(app: TestApp) {
        let ada = app.student().await;
        let mut reader = Reader::of(&app, &ada, "text/event-stream", "{ __typename }").await;
        assert_eq!(data(reader.event().await), json!({"__typename": "Query"}));
        assert_eq!(reader.event().await, Some(("complete".to_owned(), String::new())));
        assert_eq!(reader.event().await, None);
        let reader = Reader::of(&app, &ada, MULTIPART, "{ __typename }").await;
        assert_eq!(reader.media_type(), "application/json", "one result needs no parts");
        let (status, body) = ada.send(FOLLOW, json!({})).await;
        assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (StatusCode::BAD_REQUEST, &json!("BAD_USER_INPUT")));
    }

    async fn an_account_has_so_many_streams_open_in_whatever_form(app: TestApp) {
        let app = app.restarted_with(|config| config.server.max_streams_of_account = 3).await;
        let (ada, bob, server) = (app.student().await, app.student().await, app.listen().await);
        let token = format!("Bearer {}", ada.token());
        let socket = Socket::open(server, &ada.token()).await;
        let events = follow(&app, &ada, "text/event-stream").await;
        let parts = follow(&app, &ada, MULTIPART).await;
        assert_eq!((events.status(), parts.status()), (StatusCode::OK, StatusCode::OK));

        for accept in ["text/event-stream", MULTIPART] {
            let refused = follow(&app, &ada, accept).await;
            assert_eq!((refused.status(), &refused.headers()["retry-after"]), (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from_static("10")));
            let body: Value = refused.json().await.expect("JSON");
            assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
        }
        let refused = Socket::upgrade(server, &[("authorization", &token)]).await.err();
        assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS), "before the upgrade, where the account is known");
        let mut late = Socket::upgrade(server, &[]).await.expect("an upgrade by nobody");
        late.init(&ada.token()).await;
        assert_eq!(late.closed().await, (1013, "Too many open streams".to_owned()));
        ada.ask("{ __typename }", json!({})).await;
        assert_eq!(follow(&app, &bob, "text/event-stream").await.status(), StatusCode::OK, "another account");

        for stream in [events, parts] {
            drop(stream);
            // The server learns of it when it next writes or reads.
            while Socket::upgrade(server, &[("authorization", &token)]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        drop(socket);
        while follow(&app, &ada, MULTIPART).await.status() != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn an_address_without_an_account_has_so_many_streams_open(app: TestApp) {
        let app = app.restarted_with(|config| config.server.max_streams_of_address = 2).await;
        let (ada, server) = (app.student().await, app.listen().await);
        let token = format!("Bearer {}", ada.token());
        let waiting = Socket::upgrade(server, &[]).await.expect("an upgrade");
        let mut native = Socket::upgrade(server, &[]).await.expect("an upgrade");
        assert_eq!(Socket::upgrade(server, &[]).await.err(), Some(StatusCode::TOO_MANY_REQUESTS));
        // Who brings an account is counted there, be it late.
        let known = Socket::upgrade(server, &[("authorization", &token)]).await;
        assert!(known.is_ok(), "a neighbour's sockets lock nobody out");
        native.init(&ada.token()).await;
        assert_eq!(native.receive().await["type"], "connection_ack");
        let next = Socket::upgrade(server, &[]).await.expect("the place is free again");
        drop((waiting, next));
    }

    #[expect(clippy::disallowed_methods, reason = "it holds a lock, and changes nothing")]
    async fn of_one_socket_four_operations_run_at_once_and_more_wait(app: TestApp) {
        let ada = app.student().await;
        let mut socket = Socket::open(app.listen().await, &ada.token()).await;
        // Whoever changes an account waits for this.
        let held = app.app.db.begin().await.ok().expect("a transaction");
        held.execute_unprepared("UPDATE users SET version = version").await.expect("a statement");
        for id in ["1", "2", "3", "4"] {
            socket.subscribe(id, "mutation { updateAccount(input: {hiddenFromBoards: true}) { errors { code } } }").await;
        }
        let mut asked = 4;
        let waits = loop {
            asked += 1;
            socket.subscribe(&asked.to_string(), "{ __typename }").await;
            match tokio::time::timeout(Duration::from_millis(500), socket.receive()).await {
                Ok(next) if asked < 20 => {
                    assert_eq!((&next["type"], &socket.receive().await["type"]), (&json!("next"), &json!("complete")));
                }
                answered => break answered.is_err(),
            }
        };
        assert!(waits, "all are answered while four run");
        held.rollback().await.expect("let go");
        let mut left = Vec::new();
        for _ in 0..10 {
            left.push(socket.receive().await["type"].as_str().expect("a type").to_owned());
        }
        left.sort();
        assert_eq!(left, [["complete"; 5], ["next"; 5]].concat());
    }

    async fn who_offers_no_protocol_of_graphql_is_not_upgraded(app: TestApp) {
        for (protocols, status) in [
            (None, StatusCode::BAD_REQUEST),
            (Some("chat"), StatusCode::BAD_REQUEST),
            // Told by a close code, which a page can read and a status it can't.
            (Some("graphql-ws"), StatusCode::SWITCHING_PROTOCOLS),
            (Some("graphql-ws, graphql-transport-ws"), StatusCode::SWITCHING_PROTOCOLS),
        ] {
            assert_eq!(offer(&app, protocols).await, status, "{protocols:?}");
        }
    }

    async fn an_operation_goes_by_its_hash_over_get_and_a_socket(app: TestApp) {
        let (ada, query) = (app.student().await, "{ subjects { totalCount } }");
        let hash = hex::encode(Sha256::digest(query));
        let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
        let server = app.listen().await;
        let mut socket = Socket::open(server, &ada.token()).await;
        socket.ask("1", json!({"extensions": extensions})).await;
        let unknown = socket.receive().await;
        assert_eq!(unknown["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND", "{unknown}");
        socket.ask("2", json!({"query": query, "extensions": extensions})).await;
        let expected = json!({"subjects": {"totalCount": 0}});
        assert_eq!(socket.event().await, expected);
        assert_eq!(socket.receive().await["type"], "complete");
        socket.ask("3", json!({"documentId": format!("sha256:{hash}")})).await;
        assert_eq!(socket.event().await, expected, "the other way to say it");
        let get = reqwest::Client::new()
            .get(format!("http://{server}/graphql"))
            .header("apollo-require-preflight", "true")
            .query(&[("extensions", extensions.to_string())]);
        let body: Value = get.send().await.expect("a response").json().await.expect("JSON");
        assert_eq!(body["data"], expected, "{body}");
    }
}
