//! Clients that speak HTTP/2, which has no `Host`: what a page may do does not depend on the protocol.

use std::net::SocketAddr;

use axum::{
    body::Body,
    http::{Method, Request, StatusCode},
};
use futures_util::{SinkExt, StreamExt};
use hyper::{client::conn::http2, ext::Protocol, upgrade::Upgraded};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::on_both_databases;

const REGISTER: &str =
    "mutation { register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\"}) {
    errors { code } } }";

/// A WebSocket over HTTP/2 (RFC 8441), or the status that it was refused with.
async fn upgrade(
    server: SocketAddr,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TokioIo<Upgraded>>, StatusCode> {
    let stream = TcpStream::connect(server).await.expect("a connection");
    let client = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut client, connection) = client.expect("HTTP/2");
    tokio::spawn(connection);
    let alive = Request::get(format!("http://{server}/healthz")).body(Body::empty());
    let alive = client.send_request(alive.expect("a request")).await;
    assert_eq!(
        alive.expect("a response").status(),
        StatusCode::OK,
        "the server's settings have come"
    );
    let mut request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{server}/graphql/ws"))
        .header("sec-websocket-version", "13")
        .header("sec-websocket-protocol", "graphql-transport-ws")
        .extension(Protocol::from_static("websocket"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = client
        .send_request(request.body(Body::empty()).expect("a request"))
        .await;
    let response = response.expect("a response");
    if response.status() != StatusCode::OK {
        return Err(response.status());
    }
    let stream = hyper::upgrade::on(response).await.expect("a stream");
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Client, None).await)
}

on_both_databases! {
    async fn a_page_of_ours_may_do_over_http_2_what_it_may_over_http_1(app: TestApp) {
        let server = app.listen().await;
        let own = format!("http://{server}");
        let client = reqwest::Client::builder().http2_prior_knowledge().build().expect("a client");
        let send = async |path: &str, origin: &str, accept: &str, query: &str| {
            let request = client
                .post(format!("{own}{path}"))
                .header("origin", origin)
                .header("accept", accept)
                .json(&json!({"query": query}));
            let response = request.send().await.expect("a response");
            assert_eq!(response.version(), reqwest::Version::HTTP_2);
            response
        };
        let json = "application/json";
        for foreign in ["https://evil.example", "http://127.0.0.1:1", "null"] {
            assert_eq!(send("/graphql", foreign, json, REGISTER).await.status(), 403, "{foreign}");
            assert_eq!(send("/auth/refresh", foreign, json, "").await.status(), 403, "{foreign}");
            let follow = send("/graphql", foreign, "text/event-stream", "subscription { boardChanged(board: {everything: WEEK}) { asOf } }").await;
            assert_eq!(follow.status(), 403, "{foreign}");
        }
        let made = send("/graphql", &own, json, REGISTER).await;
        assert_eq!(made.status(), 200);
        let cookie = made.headers().get_all("set-cookie").iter();
        let cookie: Vec<_> = cookie.map(|cookie| cookie.to_str().expect("ASCII").to_owned()).collect();
        let body: Value = made.json().await.expect("JSON");
        assert_eq!(body["data"], json!({"register": {"errors": []}}), "{body}");
        assert_eq!(send("/auth/refresh", &own, json, "").await.status(), 401, "no session, but no foreign page");
        let follow = send("/graphql", &own, "text/event-stream", "subscription { boardChanged(board: {everything: WEEK}) { asOf } }").await;
        assert_eq!(follow.status(), 200);

        let (cookie, _) = cookie[0].split_once(';').expect("attributes");
        for (origin, expected) in [("https://evil.example", Some(StatusCode::FORBIDDEN)), (&own, None)] {
            let refused = upgrade(server, &[("origin", origin), ("cookie", cookie)]).await.err();
            assert_eq!(refused, expected, "{origin}");
        }
        let mut socket = upgrade(server, &[("origin", &own), ("cookie", cookie)]).await.expect("an upgrade");
        socket.send(Message::text(json!({"type": "connection_init"}).to_string())).await.expect("the server listens");
        let acknowledged = socket.next().await.expect("a message").expect("a message");
        assert_eq!(acknowledged.into_text().expect("a text").as_str(), r#"{"type":"connection_ack"}"#);
    }
}
