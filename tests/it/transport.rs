//! Requests and responses as bytes: what clients of the field send, and what they understand.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{
        HeaderMap, Request, StatusCode,
        header::{CONTENT_TYPE, SET_COOKIE},
        request::Builder,
    },
};
use marmalade::{auth::role::Role, config::Mode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{Actor, TestApp, socket::Socket},
};

const HELLO: &str = "{ __typename }";
const NATIVE: &str =
    "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } errors { code message } } }";

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

async fn send(app: &TestApp, request: Builder, body: impl Into<Body>) -> Reply {
    let request = request.body(body.into()).expect("a request");
    let (parts, body) = app.router().oneshot(request).await.expect("a response").into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.expect("a body"),
    }
}

async fn post(app: &TestApp, headers: &[(&str, &str)], query: &str, variables: Value) -> Reply {
    let mut request = Request::post("/graphql").header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(
        app,
        request,
        json!({"query": query, "variables": variables}).to_string(),
    )
    .await
}

fn get(path: &str, headers: &[(&str, &str)]) -> Builder {
    headers.iter().fold(Request::get(path), |request, (name, value)| {
        request.header(*name, *value)
    })
}

/// A server as the program runs it, on a port of its own.
async fn serve(app: &TestApp) -> (std::net::SocketAddr, TestApp) {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let app = app.restarted_with(|config| config.server.listen = address).await;
    tokio::spawn(marmalade::serve::serve(app.app.clone(), std::future::pending()));
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (address, app)
}

/// The head of a response, as it came.
async fn head(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a head"));
    }
    String::from_utf8(head).expect("ASCII")
}

fn sign_in(of: &str, more: &[(&str, Value)]) -> Value {
    let mut input = json!({"email": format!("{of}@example.com"), "password": "correct horse"});
    for (name, value) in more {
        input[*name] = value.clone();
    }
    json!({"input": input})
}

async fn promote(app: &TestApp, actor: &Actor, role: Role) {
    let cause = marmalade::change::Cause::clock(&app.app.now());
    let changed = marmalade::account::people::set_role(&app.app, actor.id(), role, &cause).await;
    assert!(changed.is_ok());
}

on_both_databases! {
    async fn who_does_not_name_the_new_media_type_gets_json(app: TestApp) {
        const OLD: &str = "application/json";
        const NEW: &str = "application/graphql-response+json";
        for (accept, expected) in [
            (None, OLD),
            (Some("*/*"), OLD),
            // graphql-request 3 to 5 by cross-fetch, and axios.
            (Some("application/json, text/plain, */*"), OLD),
            (Some("application/*"), OLD),
            (Some("application/graphql-response+json, application/json;q=0.9"), NEW),
            (Some("application/graphql-response+json, */*"), NEW),
            (Some("application/graphql-response+json;q=0.5, application/json"), OLD),
            (Some("application/json;q=0.5, */*"), NEW),
        ] {
            let accept: Vec<_> = accept.iter().map(|accept| ("accept", *accept)).collect();
            for (query, status) in [(HELLO, 200), ("{ nothing }", if expected == OLD { 200 } else { 400 })] {
                let reply = post(&app, &accept, query, json!({})).await;
                assert_eq!((reply.header("content-type"), reply.status.as_u16()), (Some(expected), status), "{accept:?}");
            }
        }
    }

    async fn a_get_with_a_bearer_token_is_deliberate(app: TestApp) {
        let ada = app.student().await;
        let good = format!("Bearer {}", ada.token());
        for (headers, expected) in [
            (&[("authorization", good.as_str())][..], StatusCode::OK),
            (&[], StatusCode::FORBIDDEN),
            // A browser sends these by itself.
            (&[("authorization", "Basic YTpi")], StatusCode::UNAUTHORIZED),
            (&[("cookie", "access_token=nonsense")], StatusCode::FORBIDDEN),
            (&[("authorization", &good), ("origin", "https://evil.example")], StatusCode::FORBIDDEN),
            (&[("authorization", "Bearer nonsense")], StatusCode::UNAUTHORIZED),
        ] {
            let reply = send(&app, get("/graphql?query=%7Bviewer%7Bid%7D%7D", headers), Body::empty()).await;
            assert_eq!(reply.status, expected, "{headers:?}");
        }
    }

    async fn a_bad_token_keeps_nobody_from_a_new_one(app: TestApp) {
        let ada = app.register("ada").await;
        let expired = format!("Bearer {}", ada.token());
        app.advance(Duration::from_secs(16 * 60));
        for token in [expired.as_str(), "Bearer nonsense", "Basic YTpi"] {
            let as_client = [("authorization", token)];
            for (mutation, refused) in [
                ("signIn(input: {email: \"ada@example.com\", password: \"correct horse\", client: NATIVE}) { errors { code } }", false),
                ("a: signIn(input: {email: \"ada@example.com\", password: \"correct horse\"}) { viewer { handle } errors { code } } __typename", false),
                ("register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\"}) { errors { code } }", false),
                ("confirmRegistration(input: {token: \"none\"}) { errors { code } }", false),
                ("refreshSession(input: {refreshToken: \"none\"}) { errors { code } }", false),
                ("requestPasswordReset(input: {email: \"ada@example.com\"}) { errors { code } }", false),
                ("resetPassword(input: {token: \"none\", newPassword: \"correct horses\"}) { errors { code } }", false),
                ("signOut { errors { code } }", true),
                ("requestPasswordReset(input: {email: \"ada@example.com\"}) { errors { code } } signOut { errors { code } }", true),
                ("... on Mutation { signOut { errors { code } } }", true),
            ] {
                let reply = post(&app, &as_client, &format!("mutation {{ {mutation} }}"), json!({})).await;
                let is_challenged = reply.status == StatusCode::UNAUTHORIZED && reply.header("www-authenticate").is_some();
                assert_eq!(is_challenged, refused, "{token}: {mutation}: {} {}", reply.status, reply.json());
            }
            for query in [HELLO, "{ viewer { id } }", "{ signIn", "subscription { signIn }"] {
                assert_eq!(post(&app, &as_client, query, json!({})).await.status, StatusCode::UNAUTHORIZED, "{query}");
            }
            let long = format!("mutation {{ signOut {{ errors {{ code }} }} }} # {}", "x".repeat(20_000));
            assert_eq!(post(&app, &as_client, &long, json!({})).await.status, StatusCode::UNAUTHORIZED, "before it is read");
        }
    }

    async fn a_student_is_not_signed_in_at_the_staffs_page(app: TestApp) {
        const SIGN_IN: &str = "mutation SignIn($input: SignInInput!) {
  signIn(input: $input) { viewer { handle role } errors { code message } }
}";
        let (_, bea) = (app.register("ada").await, app.register("bea").await);
        promote(&app, &bea, Role::Editor).await;
        let sessions = "SELECT 1 FROM sessions WHERE revoked_at IS NULL";
        let before = app.count(sessions).await;
        let staff_only = [("staffOnly", json!(true))];
        // As often as it likes: the password is right.
        for _ in 0..10 {
            let refused = post(&app, &[], SIGN_IN, sign_in("ada", &staff_only)).await;
            let payload = &refused.json()["data"]["signIn"];
            assert_eq!((&payload["viewer"], &payload["errors"][0]["code"]), (&json!(null), &json!("BAD_USER_INPUT")), "{payload}");
            assert!(payload["errors"][0]["message"].as_str().is_some_and(|message| message.contains("staff account")), "{payload}");
            assert_eq!(refused.headers.get_all(SET_COOKIE).iter().count(), 0);
        }
        assert_eq!(app.count(sessions).await, before, "no session is left behind");
        let mut wrong = sign_in("ada", &staff_only);
        wrong["input"]["password"] = json!("wrong horse of hers");
        let wrong = post(&app, &[], SIGN_IN, wrong).await.json()["data"]["signIn"]["errors"][0]["message"].take();
        assert!(wrong.as_str().is_some_and(|message| message.contains("password is wrong")), "{wrong}");
        let staff = post(&app, &[], SIGN_IN, sign_in("bea", &staff_only)).await;
        assert_eq!(staff.json()["data"]["signIn"]["viewer"]["role"], "EDITOR");
        assert_eq!(staff.headers.get_all(SET_COOKIE).iter().count(), 3);
        let elsewhere = post(&app, &[], SIGN_IN, sign_in("ada", &[("staffOnly", json!(false))])).await;
        assert_eq!(elsewhere.json()["data"]["signIn"]["viewer"]["handle"], "ada");
    }

    async fn a_socket_with_an_expired_credential_is_closed_so_that_clients_fetch_another(app: TestApp) {
        let ada = app.student().await;
        let (server, expired) = (app.listen().await, ada.token());
        app.advance(Duration::from_secs(16 * 60));
        let stale_cookie = format!("access_token={expired}");
        let forbidden = (4403, "Forbidden".to_owned());
        for token in [expired.as_str(), "nonsense"] {
            let mut socket = Socket::upgrade(server, &[]).await.expect("an upgrade");
            socket.init(token).await;
            assert_eq!(socket.closed().await, forbidden);
        }
        for wrong in [json!(ada.token()), json!("Basic YTpi"), json!(1), json!(null)] {
            let mut socket = Socket::upgrade(server, &[]).await.expect("an upgrade");
            socket.init_with(wrong.clone()).await;
            assert_eq!(socket.closed().await, forbidden, "{wrong}");
        }
        let origin = format!("http://{server}");
        for headers in [
            &[("authorization", format!("Bearer {expired}"))][..],
            &[("cookie", stale_cookie), ("origin", origin)],
        ] {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut socket = Socket::upgrade(server, &headers).await.expect("an upgrade");
            socket.begin().await;
            assert_eq!(socket.closed().await, forbidden, "{headers:?}");
        }
        let mut early = Socket::upgrade(server, &[]).await.expect("an upgrade");
        early.subscribe("1", HELLO).await;
        assert_eq!(early.closed().await, (4401, "Unauthorized".to_owned()), "the protocol's own, for a client's mistake");
        Socket::open(server, &ada.token()).await;
    }

    async fn names_of_headers_are_written_as_clients_look_for_them(app: TestApp) {
        let (address, app) = serve(&app).await;
        let upgrade = |protocol: &str| {
            format!("GET /graphql/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}: graphql-transport-ws\r\n\r\n")
        };
        // Python's gql looks for this very spelling.
        for protocol in ["Sec-WebSocket-Protocol", "sec-websocket-protocol", "Sec-Websocket-Protocol"] {
            let head = head(address, &upgrade(protocol)).await;
            assert!(head.starts_with("HTTP/1.1 101"), "{head}");
            assert!(head.contains(&format!("\r\n{protocol}: graphql-transport-ws\r\n")), "{head}");
            for line in head.lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with(protocol)) {
                let (name, _) = line.split_once(':').expect("a name");
                let is_title = name.split('-').all(|word| word.starts_with(|first: char| first.is_ascii_uppercase()));
                assert!(is_title, "{line}");
            }
        }
        let head = head(address, &format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
        assert!(head.contains("\r\nX-Request-Id: ") && head.contains("\r\nContent-Length: "), "{head}");
        app.app.shutdown.cancel();
    }

    async fn a_development_server_has_one_name(app: TestApp) {
        let production = app.restarted_with(|config| config.site.mode = Mode::Production).await;
        let elsewhere = app.restarted_with(|config| config.server.listen = ([127, 0, 0, 2], 8080).into()).await;
        for (app, path, host, expected) in [
            (&app, "/", "127.0.0.1:8080", Some("http://localhost:8080/")),
            (&app, "/graphiql?a=b", "127.0.0.1:8080", Some("http://localhost:8080/graphiql?a=b")),
            (&app, "/graphiql/sign-in", "[::1]:8080", Some("http://localhost:8080/graphiql/sign-in")),
            (&app, "/graphiql/sign-in", "localhost:8080", None),
            (&app, "/graphiql/sign-in", "exam.example", None),
            (&app, "/graphiql/sign-in", "192.0.2.1", None),
            // Other clients than browsers follow no redirect of a POST.
            (&app, "/graphql", "127.0.0.1:8080", None),
            (&app, "/healthz", "127.0.0.1:8080", None),
            (&production, "/graphiql/sign-in", "127.0.0.1:8080", None),
            (&elsewhere, "/graphiql/sign-in", "127.0.0.1:8080", None),
        ] {
            let reply = send(app, get(path, &[("host", host)]), Body::empty()).await;
            let redirected = reply.header("location").filter(|_| reply.status == StatusCode::TEMPORARY_REDIRECT);
            assert_eq!(redirected, expected, "{path} at {host}: {}", reply.status);
        }
    }

    async fn cookies_that_a_browser_would_drop_are_refused_with_a_word(app: TestApp) {
        app.register("ada").await;
        let page = "http://localhost:5173";
        let app = app.restarted_with(|config| config.server.allowed_origins = vec![page.into()]).await;
        let sessions = "SELECT 1 FROM sessions";
        let before = app.count(sessions).await;
        let cross = [("host", "127.0.0.1:8080"), ("origin", page), ("sec-fetch-site", "cross-site")];
        let lost = post(&app, &cross, NATIVE, sign_in("ada", &[])).await;
        let error = lost.json()["errors"][0].take();
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{error}");
        assert!([page, "127.0.0.1:8080", "one name", "localhost"].iter().all(|word| message.contains(word)), "{message}");
        assert!(!lost.headers.contains_key(SET_COOKIE));
        assert_eq!(app.count(sessions).await, before);
        // Who takes no cookies loses none.
        let native = post(&app, &cross, NATIVE, sign_in("ada", &[("client", json!("NATIVE"))])).await;
        assert!(native.json()["data"]["signIn"]["tokens"]["accessToken"].is_string());
        for site in ["same-site", "same-origin"] {
            let near = [("host", "localhost:8080"), ("origin", page), ("sec-fetch-site", site)];
            let kept = post(&app, &near, NATIVE, sign_in("ada", &[])).await;
            assert_eq!(kept.headers.get_all(SET_COOKIE).iter().count(), 3, "{site}");
        }
    }

    async fn responses_are_compressed_for_whoever_asks_but_streams_are_not(app: TestApp) {
        for n in 0..40 {
            app.quiz(1, |quiz| quiz.title = format!("A quiz with a number, and that number is {n}")).await;
        }
        let query = "{ quizzes(first: 50) { nodes { id title durationSeconds } } }";
        let plain = post(&app, &[], query, json!({})).await;
        assert_eq!(plain.header("content-encoding"), None);
        let packed = post(&app, &[("accept-encoding", "br;q=1.0, gzip;q=0.8, *;q=0.1")], query, json!({})).await;
        assert_eq!(packed.header("content-encoding"), Some("gzip"));
        assert!(packed.body.starts_with(&[0x1f, 0x8b]) && packed.body.len() * 3 < plain.body.len(), "{} of {}", packed.body.len(), plain.body.len());
        assert!(packed.headers.get_all("vary").iter().any(|vary| vary.as_bytes().eq_ignore_ascii_case(b"accept-encoding")));
        for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
            let stream = post(&app, &[("accept", accept), ("accept-encoding", "gzip")], query, json!({})).await;
            assert_eq!((stream.status, stream.header("content-encoding")), (StatusCode::OK, None), "{accept}");
        }
    }

    async fn what_browsers_robots_and_generators_look_for_is_there(app: TestApp) {
        let icon = send(&app, get("/favicon.ico", &[]), Body::empty()).await;
        assert_eq!((icon.status, icon.header("content-type")), (StatusCode::OK, Some("image/x-icon")));
        assert!(icon.body.starts_with(&[0, 0, 1, 0]), "an icon of Windows, which all browsers read");
        let robots = send(&app, get("/robots.txt", &[]), Body::empty()).await;
        assert_eq!((robots.status, &robots.body[..]), (StatusCode::OK, &b"User-agent: *\nDisallow: /\n"[..]));

        let production = app.restarted_with(|config| config.site.mode = Mode::Production).await;
        let (student, editor) = (app.student().await, app.actor(Role::Editor).await);
        let bearer = |actor: &Actor| format!("Bearer {}", actor.token());
        for (app, authorization, status) in [
            (&app, None, 200),
            (&production, None, 403),
            (&production, Some(bearer(&student)), 403),
            (&production, Some(bearer(&editor)), 200),
            (&production, Some("Bearer nonsense".to_owned()), 401),
        ] {
            let headers: Vec<_> = authorization.iter().map(|token| ("authorization", token.as_str())).collect();
            let reply = send(app, get("/schema.graphql", &headers), Body::empty()).await;
            assert_eq!(reply.status.as_u16(), status, "{headers:?}");
            assert_eq!(reply.body == marmalade::api::schema::sdl().as_bytes(), status == 200, "{headers:?}");
            if status != 200 {
                continue;
            }
            assert_eq!(reply.headers[CONTENT_TYPE], "text/plain; charset=utf-8");
            let etag = reply.header("etag").expect("a tag").to_owned();
            let again = get("/schema.graphql", &[headers, vec![("if-none-match", &etag)]].concat());
            let again = send(app, again, Body::empty()).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        }
    }
}
