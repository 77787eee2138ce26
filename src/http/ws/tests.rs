//! A client that keeps and breaks the protocol, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_graphql::{Context, EmptyMutation, Object, Response, Schema, Subscription, Value};
use axum::{Router, routing::any};
use futures_util::{SinkExt as _, future, stream};
use serde_json::{Value as Json, json};
use tokio::{io::AsyncWriteExt as _, net::TcpListener, sync::watch, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message as Frame, client::IntoClientRequest as _, protocol::CloseFrame},
};

use super::{message::parse, wire::SUBPROTOCOL, *};

fn refusal(text: &str) -> String {
    parse(text)
        .map(|message| format!("{message:?}"))
        .unwrap_err()
        .1
        .into_owned()
}

fn text(message: &ServerMessage<'_>) -> String {
    message.text().unwrap()
}

#[test]
fn a_message_is_read_whatever_optional_members_it_brings() {
    let ClientMessage::Subscribe { id, payload } = parse(
        r#" {"id":"1","payload":{"query":"{a}","operationName":null,"variables":null,"extensions":null},"type":"subscribe"}"#,
    )
    .unwrap() else {
        panic!("subscribe")
    };
    assert_eq!((&*id, &*payload.query, payload.operation_name), ("1", "{a}", None));
    for init in [
        r#"{"type":"connection_init"}"#,
        r#"{"type":"connection_init","payload":null,"id":"unused"}"#,
    ] {
        assert!(matches!(
            parse(init),
            Ok(ClientMessage::ConnectionInit { payload: None })
        ));
    }
    let hash = r#"{"id":"1","type":"subscribe","payload":{"extensions":{"persistedQuery":{"version":1}}}}"#;
    assert!(matches!(parse(hash), Ok(ClientMessage::Subscribe { .. })));
    let longest = json!({"type": "complete", "id": "é".repeat(256)}).to_string();
    assert!(matches!(parse(&longest), Ok(ClientMessage::Complete { .. })));
}

#[test]
fn a_message_that_fits_no_type_is_refused_with_a_reason() {
    let nested = format!(r#"{{"type":"ping","payload":{{"a":{}"#, "[".repeat(100_000));
    let surrogate = r#"{"type":"complete","id":"\ud800"}"#;
    for syntax in [
        "",
        "{",
        "nonsense",
        "{\"type\":\"ping\"}}",
        "{\"type\":1e999}",
        &nested,
        surrogate,
    ] {
        assert_eq!(refusal(syntax), "Invalid JSON", "{syntax:.40}");
    }
    for array in [r#"["ping",{}]"#, "[]", "\n []"] {
        assert_eq!(refusal(array), "Invalid message: not an object");
    }
    let long = json!({"type": "complete", "id": "é".repeat(257)}).to_string();
    for (message, reason) in [
        ("null", "invalid type: null"),
        ("{}", "missing field `type`"),
        (r#"{"type":"start"}"#, "unknown variant `start`"),
        (r#"{"type":["ping"]}"#, "invalid type"),
        (
            r#"{"type":"ping","payload":[]}"#,
            "invalid type: sequence, expected a map",
        ),
        (
            r#"{"type":"connection_init","payload":"token"}"#,
            "invalid type: string",
        ),
        (r#"{"type":"complete"}"#, "missing field `id`"),
        (r#"{"type":"complete","id":7}"#, "invalid type: integer"),
        (r#"{"type":"complete","id":""}"#, "an id has 1 to 256 characters"),
        (&long, "an id has 1 to 256 characters"),
        (r#"{"type":"complete","id":"1","id":"2"}"#, "duplicate field `id`"),
        (r#"{"type":"subscribe","id":"1"}"#, "missing field `payload`"),
        (
            r#"{"type":"subscribe","id":"1","payload":"{a}"}"#,
            "invalid type: string",
        ),
        (r#"{"type":"subscribe","id":"1","payload":{}}"#, "no query"),
        (
            r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
            "invalid type: integer",
        ),
        (
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[1]}}"#,
            "invalid type: sequence",
        ),
    ] {
        let given = refusal(message);
        assert!(
            given.starts_with("Invalid message: ") && given.contains(reason),
            "{message}: {given}"
        );
    }
}

#[test]
fn a_frame_has_its_type_first_and_no_member_too_many() {
    let answer = written(Response::new(Value::from_json(json!({"a": 1})).unwrap()));
    let errors = [error("No", "INTERNAL")];
    assert_eq!(text(&ServerMessage::ConnectionAck), r#"{"type":"connection_ack"}"#);
    assert_eq!(text(&ServerMessage::Pong { payload: None }), r#"{"type":"pong"}"#);
    assert_eq!(
        text(&ServerMessage::Complete { id: "\"\n" }),
        r#"{"type":"complete","id":"\"\n"}"#
    );
    assert_eq!(
        text(&ServerMessage::Next {
            id: "1",
            payload: &answer
        }),
        r#"{"type":"next","id":"1","payload":{"data":{"a":1}}}"#
    );
    assert_eq!(
        text(&ServerMessage::Error {
            id: "1",
            payload: &errors
        }),
        r#"{"type":"error","id":"1","payload":[{"message":"No","extensions":{"code":"INTERNAL"}}]}"#
    );
}

#[test]
fn a_close_reason_fits_a_control_frame() {
    let frame = CloseFrame::from(Close::duplicate(&"é".repeat(256)));
    assert_eq!(u16::from(frame.code), 4409);
    assert!(frame.reason.len() <= 123 && frame.reason.starts_with("Subscriber for éé"));
}

/// A response of the library as it is.
fn written(response: Response) -> Answer {
    let is_refusal = response.data == Value::Null && response.errors.iter().all(|error| error.path.is_empty());
    Answer {
        data: (!is_refusal).then(|| serde_json::to_vec(&response.data).unwrap()),
        ..Answer::refusal(response.errors)
    }
}

/// Counts what lives, so that a test sees a stream dropped.
struct Alive(watch::Sender<usize>);

impl Alive {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|alive| *alive += 1);
        Self(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.send_modify(|alive| *alive -= 1);
    }
}

#[derive(Clone, Default)]
struct Counts {
    alive: watch::Sender<usize>,
    produced: Arc<AtomicUsize>,
}

struct Query;

#[Object]
impl Query {
    async fn z(&self) -> i32 {
        26
    }
    async fn a(&self) -> i32 {
        1
    }
    async fn fails(&self) -> async_graphql::Result<i32> {
        Err("no".into())
    }
    async fn nth(&self, n: usize) -> i32 {
        [1, 2, 3][n]
    }
    async fn never(&self, ctx: &Context<'_>) -> i32 {
        let _alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
        future::pending().await
    }
    async fn later(&self, ctx: &Context<'_>) -> i32 {
        let _alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
        sleep(Duration::from_millis(200)).await;
        7
    }
}

struct Ticks;

#[Subscription]
impl Ticks {
    async fn count(&self, to: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=to)
    }
    /// One text after the other, as fast as they are taken.
    async fn flood(&self, ctx: &Context<'_>, bytes: usize) -> impl Stream<Item = String> {
        let Counts { alive, produced } = ctx.data_unchecked::<Counts>().clone();
        let alive = Alive::new(&alive);
        stream::repeat_with(move || {
            let _ = &alive;
            produced.fetch_add(1, Ordering::Relaxed);
            "x".repeat(bytes)
        })
    }
    async fn once_then_never(&self, ctx: &Context<'_>) -> impl Stream<Item = i32> {
        let alive = Alive::new(&ctx.data_unchecked::<Counts>().alive);
        stream::iter([1]).chain(stream::pending()).inspect(move |_| {
            let _ = &alive;
        })
    }
}

/// A server on a free port, and what a test may do to it.
struct Toy {
    url: String,
    counts: Counts,
    ended: Arc<CancellationToken>,
    shutdown: CancellationToken,
    /// Sockets being served.
    sockets: watch::Sender<usize>,
}

impl Toy {
    async fn new(settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let toy = Self {
            url: format!("ws://{}", listener.local_addr().unwrap()),
            counts: Counts::default(),
            ended: Arc::default(),
            shutdown: CancellationToken::new(),
            sockets: watch::Sender::default(),
        };
        let schema = Schema::build(Query, EmptyMutation, Ticks)
            .data(toy.counts.clone())
            .finish();
        let (ended, shutdown, sockets) = (toy.ended.clone(), toy.shutdown.clone(), toy.sockets.clone());
        let handler = async move |upgrade: Upgrade| {
            upgrade.respond(settings, move |wire| async move {
                let _served = Alive::new(&sockets);
                serve(wire, shutdown, async |payload| {
                    match payload.get("token").and_then(Json::as_str) {
                        Some("expired") => return Err(Close::FORBIDDEN),
                        Some("another") => return Err(Close::TOO_MANY_STREAMS),
                        Some("slow") => {
                            let _alive = Alive::new(&sockets);
                            future::pending().await
                        }
                        _ => {}
                    }
                    Ok(Accepted {
                        execute: move |request: Request| schema.execute_stream(request).map(written),
                        ended,
                    })
                })
                .await;
            })
        };
        tokio::spawn(axum::serve(listener, Router::new().route("/", any(handler))).into_future());
        toy
    }

    async fn open(&self, protocol: Option<&str>) -> Client {
        let mut request = self.url.as_str().into_client_request().unwrap();
        if let Some(protocol) = protocol {
            request
                .headers_mut()
                .insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        Client(connect_async(request).await.unwrap().0)
    }

    async fn connect(&self) -> Client {
        let mut client = self.open(Some(SUBPROTOCOL)).await;
        client.say(json!({"type": "connection_init"})).await;
        assert_eq!(client.receive().await, json!({"type": "connection_ack"}));
        client
    }

    async fn until_alive(&self, count: usize) {
        soon(self.counts.alive.subscribe().wait_for(|alive| *alive == count))
            .await
            .unwrap();
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(5), future)
        .await
        .expect("within five seconds")
}

struct Client(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Client {
    async fn send(&mut self, frame: Frame) {
        soon(self.0.send(frame)).await.unwrap();
    }

    /// The bytes under the frames.
    fn raw(&mut self) -> &mut MaybeTlsStream<tokio::net::TcpStream> {
        self.0.get_mut()
    }

    async fn say(&mut self, message: Json) {
        self.send(Frame::text(message.to_string())).await;
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"type": "subscribe", "id": id, "payload": {"query": query}}))
            .await;
    }

    async fn receive_text(&mut self) -> String {
        match soon(self.0.next()).await.unwrap().unwrap() {
            Frame::Text(text) => text.to_string(),
            frame => panic!("{frame:?}"),
        }
    }

    async fn receive(&mut self) -> Json {
        serde_json::from_str(&self.receive_text().await).unwrap()
    }

    /// Skips what comes before the close frame.
    async fn closed(&mut self) -> (u16, String) {
        loop {
            if let Frame::Close(frame) = soon(self.0.next()).await.unwrap().unwrap() {
                // The answer to the farewell goes out while the end is awaited.
                while let Some(Ok(_)) = soon(self.0.next()).await {}
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }
}

fn is(close: Close) -> (u16, String) {
    (close.0, close.1.into_owned())
}

fn bad(reason: &str) -> (u16, String) {
    (4400, reason.to_owned())
}

#[tokio::test]
async fn a_query_gets_its_result_and_complete_with_fields_in_their_order() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("1", "{ z a }").await;
    assert_eq!(
        ada.receive_text().await,
        r#"{"type":"next","id":"1","payload":{"data":{"z":26,"a":1}}}"#
    );
    assert_eq!(ada.receive_text().await, r#"{"type":"complete","id":"1"}"#);
    ada.subscribe("1", "subscription { count(to: 2) }").await;
    assert_eq!(ada.receive().await["payload"]["data"]["count"], 1);
    assert_eq!(ada.receive().await["payload"]["data"]["count"], 2);
    assert_eq!(ada.receive().await, json!({"type": "complete", "id": "1"}));
}

#[tokio::test]
async fn a_request_that_is_never_executed_gets_error_and_no_complete() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    for query in [
        "{",
        "{ missing }",
        "subscription { missing }",
        "query A { a } query B { a }",
        "",
    ] {
        ada.say(json!({"type": "subscribe", "id": "1", "payload": {"query": query, "extensions": {"a": 1}}}))
            .await;
        let error = ada.receive().await;
        assert_eq!(
            (&error["type"], &error["id"]),
            (&json!("error"), &json!("1")),
            "{query}"
        );
        assert!(error["payload"][0]["message"].is_string(), "{query}");
    }
    ada.subscribe("2", "{ fails }").await;
    let next = ada.receive().await;
    assert_eq!((&next["type"], &next["payload"]["data"]), (&json!("next"), &Json::Null));
    assert_eq!(next["payload"]["errors"][0]["path"], json!(["fails"]));
    assert_eq!(ada.receive().await["type"], "complete");
}

#[tokio::test]
async fn a_panic_ends_its_operation_alone() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("1", "{ nth(n: 3) }").await;
    assert_eq!(ada.receive().await["payload"][0]["extensions"]["code"], "INTERNAL");
    ada.subscribe("1", "{ a }").await;
    assert_eq!(ada.receive().await["payload"]["data"]["a"], 1);
}

#[tokio::test]
async fn the_handshake_keeps_its_order() {
    let toy = Toy::new(Settings::default()).await;
    let init = |token| json!({"type": "connection_init", "payload": {"token": token}});

    let mut early = toy.open(Some(SUBPROTOCOL)).await;
    early.subscribe("1", "{ a }").await;
    assert_eq!(early.closed().await, is(Close::UNAUTHORIZED));

    let mut impatient = toy.open(Some(SUBPROTOCOL)).await;
    impatient.say(init("slow")).await;
    impatient.say(json!({"type": "ping"})).await;
    assert_eq!(impatient.receive().await["type"], "pong");
    impatient.subscribe("1", "{ a }").await;
    assert_eq!(impatient.closed().await, is(Close::UNAUTHORIZED));

    let mut eager = toy.open(Some(SUBPROTOCOL)).await;
    eager.say(init("slow")).await;
    eager.say(init("good")).await;
    assert_eq!(eager.closed().await, is(Close::TOO_MANY_INITS));

    let mut twice = toy.connect().await;
    twice.say(init("good")).await;
    assert_eq!(twice.closed().await, is(Close::TOO_MANY_INITS));

    for (token, close) in [("expired", Close::FORBIDDEN), ("another", Close::TOO_MANY_STREAMS)] {
        let mut refused = toy.open(Some(SUBPROTOCOL)).await;
        refused.say(init(token)).await;
        assert_eq!(refused.closed().await, is(close));
    }
    soon(toy.sockets.subscribe().wait_for(|sockets| *sockets == 0))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_init_that_is_late_or_slow_times_out() {
    let toy = Toy::new(Settings {
        init_timeout: Duration::from_millis(60),
        ..Settings::default()
    })
    .await;
    let mut silent = toy.open(Some(SUBPROTOCOL)).await;
    assert_eq!(silent.closed().await, is(Close::INIT_TIMEOUT));
    let mut slow = toy.open(Some(SUBPROTOCOL)).await;
    slow.say(json!({"type": "connection_init", "payload": {"token": "slow"}}))
        .await;
    assert_eq!(slow.closed().await, is(Close::INIT_TIMEOUT));
}

#[tokio::test]
async fn another_sub_protocol_is_refused() {
    let toy = Toy::new(Settings::default()).await;
    assert_eq!(toy.open(None).await.closed().await, is(Close::SUBPROTOCOL));
    let mut both = toy.open(Some("graphql-ws, graphql-transport-ws")).await;
    both.say(json!({"type": "connection_init"})).await;
    assert_eq!(both.receive().await["type"], "connection_ack");
}

#[tokio::test]
async fn what_is_not_a_message_closes_the_socket() {
    let toy = Toy::new(Settings {
        max_message_bytes: 1000,
        ..Settings::default()
    })
    .await;
    for (frame, close) in [
        (Frame::binary(b"{}".to_vec()), bad("Binary frames are not accepted")),
        (Frame::text("{"), bad("Invalid JSON")),
        (
            Frame::text(r#"{"type":"complete"}"#),
            bad("Invalid message: missing field `id`"),
        ),
        (Frame::text("x".repeat(1001)), is(Close::TOO_BIG)),
        (Frame::text("x".repeat(100_000)), is(Close::TOO_BIG)),
    ] {
        let mut before = toy.open(Some(SUBPROTOCOL)).await;
        before.send(frame.clone()).await;
        assert_eq!(before.closed().await, close);
        let mut after = toy.connect().await;
        after.send(frame).await;
        assert_eq!(after.closed().await, close);
    }
}

#[tokio::test]
async fn a_stranger_has_little_room_and_a_client_more() {
    let toy = Toy::new(Settings {
        max_init_bytes: 100,
        max_message_bytes: 1000,
        ..Settings::default()
    })
    .await;
    let ping = |bytes: usize| json!({"type": "ping", "payload": {"x": "x".repeat(bytes)}}).to_string();
    let mut client = toy.connect().await;
    client.send(Frame::text(ping(900))).await;
    assert_eq!(client.receive().await["type"], "pong");
    let mut stranger = toy.open(Some(SUBPROTOCOL)).await;
    stranger.send(Frame::text(ping(10))).await;
    assert_eq!(stranger.receive().await["type"], "pong", "what fits is answered");
    stranger.send(Frame::text(ping(100))).await;
    assert_eq!(stranger.closed().await, is(Close::TOO_BIG));
}

/// A message of a megabyte is refused by its head, and one in slices by the slice that is too much: there is no waiting
/// for the rest.
#[tokio::test]
async fn a_message_too_big_is_refused_before_it_has_come() {
    let toy = Toy::new(Settings::default()).await;
    let mut whole = toy.connect().await;
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    whole.raw().write_all(&head).await.unwrap();
    assert_eq!(whole.closed().await, is(Close::TOO_BIG));
    let mut sliced = toy.connect().await;
    for first in [0x01, 0x00, 0x00] {
        let slice = [
            &[first, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa0, 0, 0, 0, 0][..],
            &[b'x'; 100_000],
        ]
        .concat();
        sliced.raw().write_all(&slice).await.unwrap();
    }
    assert_eq!(sliced.closed().await, is(Close::TOO_BIG));
}

#[tokio::test]
async fn a_message_must_be_whole_in_time_and_pongs_do_not_help() {
    let message_time = Duration::from_millis(300);
    let toy = Toy::new(Settings {
        message_time,
        ..Settings::default()
    })
    .await;
    let (mut dripping, mut lively) = (toy.connect().await, toy.connect().await);
    // A text that says it is not the last frame, then a pong and an empty frame again and again.
    dripping.raw().write_all(&[0x01, 0x81, 0, 0, 0, 0, b'{']).await.unwrap();
    let drip = [0x8a, 0x80, 0, 0, 0, 0, 0x00, 0x80, 0, 0, 0, 0];
    let closed = soon(async {
        loop {
            dripping.raw().write_all(&drip).await.unwrap();
            lively.say(json!({"type": "ping"})).await;
            assert_eq!(lively.receive().await["type"], "pong", "whole messages go on");
            match timeout(Duration::from_millis(10), dripping.0.next()).await {
                Ok(Some(Ok(Frame::Close(closed)))) => break closed.unwrap(),
                Ok(Some(Ok(_))) | Err(_) => {}
                Ok(end) => panic!("{end:?}"),
            }
        }
    });
    let closed = closed.await;
    assert_eq!(
        (closed.code.into(), closed.reason.to_string()),
        is(Close::MESSAGE_TIMEOUT)
    );
}

/// To let go with unread bytes would reset the connection, and the close frame be lost.
#[tokio::test]
async fn a_client_that_sends_on_learns_that_its_message_was_too_big() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    ada.raw().write_all(&head).await.unwrap();
    for _ in 0..20 {
        ada.raw().write_all(&[b'x'; 50_000]).await.unwrap();
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ada.closed().await, is(Close::TOO_BIG));
}

#[tokio::test]
async fn a_long_message_comes_in_frames_and_is_whole() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("1", "subscription { flood(bytes: 300000) }").await;
    assert_eq!(ada.receive().await["payload"]["data"]["flood"], "x".repeat(300_000));
}

#[tokio::test]
async fn a_client_that_talks_on_learns_why_it_was_closed() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    for message in ["{", "{}", "{}", "{}"] {
        ada.send(Frame::text(message)).await;
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ada.closed().await, bad("Invalid JSON"));
}

#[tokio::test]
async fn an_active_id_is_not_given_twice() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("x", "{ never }").await;
    ada.subscribe("x", "{ a }").await;
    assert_eq!(ada.closed().await, (4409, "Subscriber for x already exists".to_owned()));
    toy.until_alive(0).await;
}

#[tokio::test]
async fn complete_drops_the_stream_and_silences_it() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("1", "{ never }").await;
    ada.subscribe("2", "subscription { onceThenNever }").await;
    assert_eq!(ada.receive().await["id"], "2");
    toy.until_alive(2).await;
    for id in ["1", "2", "unknown"] {
        ada.say(json!({"type": "complete", "id": id})).await;
    }
    toy.until_alive(0).await;

    // Frames after the pong can't belong to the operation completed before the ping, even if its id is reused.
    for _ in 0..20 {
        ada.subscribe("3", "subscription { flood(bytes: 1) }").await;
        assert_eq!(ada.receive().await["id"], "3");
        ada.say(json!({"type": "complete", "id": "3"})).await;
        ada.say(json!({"type": "ping"})).await;
        ada.subscribe("3", "{ a }").await;
        while ada.receive().await["type"] != "pong" {}
        assert_eq!(ada.receive().await["payload"], json!({"data": {"a": 1}}));
        assert_eq!(ada.receive().await, json!({"type": "complete", "id": "3"}));
    }
    toy.until_alive(0).await;
}

#[tokio::test]
async fn one_operation_too_many_is_refused_and_the_others_go_on() {
    let toy = Toy::new(Settings {
        max_operations: 2,
        ..Settings::default()
    })
    .await;
    let mut ada = toy.connect().await;
    ada.subscribe("1", "{ never }").await;
    ada.subscribe("2", "{ never }").await;
    ada.subscribe("3", "{ a }").await;
    let error = ada.receive().await;
    assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("3")));
    assert_eq!(error["payload"][0]["extensions"]["code"], "RATE_LIMITED");
    ada.say(json!({"type": "complete", "id": "1"})).await;
    ada.subscribe("3", "{ a }").await;
    assert_eq!(ada.receive().await["payload"]["data"]["a"], 1);
    toy.until_alive(1).await;
}

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.open(Some(SUBPROTOCOL)).await;
    ada.say(json!({"type": "ping", "payload": {"at": 1.5, "list": [null]}}))
        .await;
    assert_eq!(
        ada.receive().await,
        json!({"type": "pong", "payload": {"at": 1.5, "list": [null]}})
    );
    ada.send(Frame::Ping("x".into())).await;
    assert_eq!(soon(ada.0.next()).await.unwrap().unwrap(), Frame::Pong("x".into()));
    let mut bob = toy.connect().await;
    bob.say(json!({"type": "pong"})).await;
    bob.say(json!({"type": "ping", "payload": null})).await;
    assert_eq!(bob.receive().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn the_server_pings_and_leaves_a_silent_client_only() {
    let (ping_interval, pong_timeout) = (Duration::from_millis(50), Duration::from_millis(300));
    let toy = Toy::new(Settings {
        ping_interval,
        pong_timeout,
        ..Settings::default()
    })
    .await;
    let mut silent = toy.connect().await;
    assert_eq!(silent.receive().await, json!({"type": "ping"}));
    let mut lively = toy.connect().await;
    let start = Instant::now();
    while start.elapsed() < pong_timeout * 2 {
        assert_eq!(lively.receive().await, json!({"type": "ping"}));
        lively.say(json!({"type": "pong"})).await;
    }
    assert_eq!(silent.closed().await, is(Close::TERMINATED));
}

#[tokio::test]
async fn a_busy_stream_does_not_block_messages_and_other_operations() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    ada.subscribe("busy", "subscription { flood(bytes: 1000) }").await;
    ada.subscribe("busy too", "subscription { flood(bytes: 1000) }").await;
    ada.receive().await;
    ada.subscribe("once", "{ a }").await;
    ada.say(json!({"type": "ping"})).await;
    let (mut pong, mut complete) = (false, false);
    while !(pong && complete) {
        let message = ada.receive().await;
        pong |= message["type"] == "pong";
        complete |= message == json!({"type": "complete", "id": "once"});
    }
}

/// Fills the buffers between server and client, and waits until the stream blocks.
async fn clog(toy: &Toy, client: &mut Client) {
    client
        .subscribe("flood", "subscription { flood(bytes: 1000000) }")
        .await;
    let mut before = 0;
    soon(async {
        loop {
            sleep(Duration::from_millis(100)).await;
            let now = toy.counts.produced.load(Ordering::Relaxed);
            if now == before && now > 0 {
                break;
            }
            before = now;
        }
    })
    .await;
    assert!(before < 100, "{before} MB produced for a client that doesn't read");
}

#[tokio::test]
async fn a_client_that_stops_reading_holds_up_nothing_and_is_left() {
    let toy = Toy::new(Settings {
        write_timeout: Duration::from_millis(700),
        ..Settings::default()
    })
    .await;
    let mut ada = toy.connect().await;
    ada.subscribe("later", "{ later }").await;
    toy.until_alive(1).await;
    clog(&toy, &mut ada).await;
    // Running operations have ended although nothing can be written; the flood ends with the socket.
    toy.until_alive(1).await;
    toy.until_alive(0).await;
}

#[tokio::test]
async fn the_end_of_the_session_ends_operations_and_socket() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    let mut clogged = toy.connect().await;
    ada.subscribe("1", "{ never }").await;
    clog(&toy, &mut clogged).await;
    toy.until_alive(2).await;
    toy.ended.cancel();
    toy.until_alive(0).await;
    assert_eq!(ada.closed().await, is(Close::SESSION_ENDED));
    assert_eq!(clogged.closed().await, is(Close::SESSION_ENDED));
}

#[tokio::test]
async fn a_shutdown_closes_every_socket() {
    let toy = Toy::new(Settings::default()).await;
    let mut ada = toy.connect().await;
    let mut waiting = toy.open(Some(SUBPROTOCOL)).await;
    ada.subscribe("1", "{ never }").await;
    toy.until_alive(1).await;
    toy.shutdown.cancel();
    assert_eq!(ada.closed().await, is(Close::GOING_AWAY));
    assert_eq!(waiting.closed().await, is(Close::GOING_AWAY));
    toy.until_alive(0).await;
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_operations_along() {
    let toy = Toy::new(Settings::default()).await;
    let mut polite = toy.connect().await;
    let mut rude = toy.connect().await;
    polite.subscribe("1", "{ never }").await;
    rude.subscribe("1", "{ never }").await;
    toy.until_alive(2).await;
    drop(rude);
    toy.until_alive(1).await;
    polite.0.close(None).await.unwrap();
    soon(toy.sockets.subscribe().wait_for(|sockets| *sockets == 0))
        .await
        .unwrap();
    toy.until_alive(0).await;
}
