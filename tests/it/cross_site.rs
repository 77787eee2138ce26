//! What pages of other sites can do in the name of their visitors: nothing.

use axum::{
    body::Body,
    http::{Request, Response, StatusCode, header::SET_COOKIE},
};
use marmalade::config::Mode;
use serde_json::json;
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{TestApp, socket::Socket},
};

const SITE: &str = "https://exam.example";

async fn send(app: &TestApp, request: axum::http::request::Builder, body: &str) -> Response<Body> {
    let request = request
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()));
    app.router()
        .oneshot(request.expect("a request"))
        .await
        .expect("a response")
}

/// Signs up from a page of the site; the cookies, each whole.
async fn cookies_of(app: &TestApp, origin: &str) -> Vec<String> {
    let query =
        "mutation { register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\"}) {
        errors { code } } }";
    let request = Request::post("/graphql")
        .header("host", "api.exam.example")
        .header("origin", origin);
    let response = send(app, request, &json!({"query": query}).to_string()).await;
    let cookies = response.headers().get_all(SET_COOKIE).iter();
    cookies
        .map(|cookie| cookie.to_str().expect("ASCII").to_owned())
        .collect()
}

on_both_databases! {
    async fn cookies_need_tls_but_for_a_development_server_on_loopback(app: TestApp) {
        for (mode, listen, secure) in [
            (Mode::Development, "127.0.0.1:8080", false),
            (Mode::Development, "10.0.0.1:8080", true),
            (Mode::Production, "127.0.0.1:8080", true),
            (Mode::Production, "10.0.0.1:8080", true),
        ] {
            let app = app.restarted_with(|config| {
                (config.site.mode, config.server.listen) = (mode, listen.parse().expect("an address"));
                config.server.allowed_origins = vec![SITE.into()];
            }).await;
            let request = Request::post("/auth/refresh").header("origin", SITE);
            let cleared = send(&app, request, "").await;
            let cleared: Vec<_> = cleared.headers().get_all(SET_COOKIE).iter().collect();
            assert_eq!(cleared.len(), 2);
            for cookie in cleared {
                let cookie = cookie.to_str().expect("ASCII");
                assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
                assert_eq!(cookie.contains("Secure"), secure, "{mode:?} at {listen}: {cookie}");
            }
            // A page that came over plain HTTP is the server's own there only, too.
            let request = Request::post("/auth/refresh").header("host", "exam.example").header("origin", "http://exam.example");
            let own = send(&app, request, "").await.status();
            assert_eq!(own == StatusCode::FORBIDDEN, secure, "{mode:?} at {listen}");
        }
    }

    async fn scripts_of_other_origins_read_nothing_unless_allowed(app: TestApp) {
        let headers = ["access-control-allow-origin", "access-control-allow-credentials"];
        let preflight = async |app: &TestApp, origin: &str| {
            let request = Request::options("/graphql")
                .header("origin", origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "content-type");
            let response = send(app, request, "").await;
            // What Apollo's, urql's and Relay's clients, OpenTelemetry, Sentry and caches add.
            let allowed = response.headers().get("access-control-allow-headers").map(|names| names.to_str().expect("ASCII").to_owned());
            for name in [
                "accept", "authorization", "content-type", "apollographql-client-name", "apollographql-client-version",
                "graphql-client-name", "graphql-client-version", "apollo-require-preflight", "x-apollo-operation-name",
                "x-apollo-operation-id", "traceparent", "tracestate", "baggage", "sentry-trace", "x-request-id", "cache-control", "if-none-match", "x-marmalade-cost",
            ] {
                let is_allowed = allowed.as_deref().is_some_and(|names| names.split(',').any(|allowed| allowed == name));
                assert_eq!(is_allowed, !app.app.config.server.allowed_origins.is_empty(), "{name}");
            }
            headers.map(|name| response.headers().get(name).map(|value| value.to_str().expect("ASCII").to_owned()))
        };
        assert_eq!(preflight(&app, SITE).await, [None, None], "closed unless configured");
        let open = app.restarted_with(|config| config.server.allowed_origins = vec![SITE.into()]).await;
        assert_eq!(preflight(&open, SITE).await, [Some(SITE.to_owned()), Some("true".to_owned())]);
        assert_eq!(preflight(&open, "https://evil.example").await[0], None);
        assert_eq!(preflight(&open, "null").await[0], None);
        let query = json!({"query": "{ __typename }"}).to_string();
        let answer = send(&open, Request::post("/graphql").header("origin", SITE), &query).await;
        assert_eq!(answer.headers()[headers[0]], SITE);
        assert_eq!(answer.headers()["access-control-expose-headers"], "x-request-id,retry-after");
    }

    async fn a_socket_with_a_cookie_comes_from_an_allowed_page(app: TestApp) {
        let app = app.restarted_with(|config| config.server.allowed_origins = vec![SITE.into()]).await;
        let cookies = cookies_of(&app, SITE).await;
        let (cookie, _) = cookies[0].split_once(';').expect("attributes");
        let server = app.listen().await;
        for (headers, status) in [
            (&[("origin", SITE), ("cookie", cookie)][..], None),
            (&[("origin", SITE)], None),
            (&[], None),
            (&[("cookie", cookie)], Some(StatusCode::FORBIDDEN)),
            (&[("origin", "https://evil.example"), ("cookie", cookie)], Some(StatusCode::FORBIDDEN)),
            (&[("origin", "https://evil.example")], Some(StatusCode::FORBIDDEN)),
            (&[("origin", "null"), ("cookie", cookie)], Some(StatusCode::FORBIDDEN)),
        ] {
            assert_eq!(Socket::upgrade(server, headers).await.err(), status, "{headers:?}");
        }
    }

    async fn a_get_that_any_page_could_send_runs_nothing(app: TestApp) {
        let app = app.restarted_with(|config| config.server.allowed_origins = vec![SITE.into()]).await;
        for (headers, expected) in [
            (&[][..], StatusCode::FORBIDDEN),
            (&[("accept", "text/html")], StatusCode::NOT_ACCEPTABLE),
            (&[("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
            (&[("content-type", "text/plain")], StatusCode::FORBIDDEN),
            (&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")], StatusCode::FORBIDDEN),
            (&[("origin", SITE), ("sec-fetch-site", "same-site")], StatusCode::OK),
            (&[("sec-fetch-site", "same-origin")], StatusCode::OK),
            (&[("content-type", "application/json")], StatusCode::OK),
            (&[("x-apollo-operation-name", "Hello")], StatusCode::OK),
            (&[("apollo-require-preflight", "true")], StatusCode::OK),
        ] {
            let mut request = Request::get("/graphql?query=%7B__typename%7D").header("host", "exam.example");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let response = app.router().oneshot(request.body(Body::empty()).expect("a request")).await.expect("a response");
            assert_eq!(response.status(), expected, "{headers:?}");
        }
    }

    async fn a_stream_over_http_is_not_for_foreign_pages(app: TestApp) {
        let app = app.restarted_with(|config| config.server.allowed_origins = vec![SITE.into()]).await;
        let cookies = cookies_of(&app, SITE).await;
        let (cookie, _) = cookies[0].split_once(';').expect("attributes");
        let query = json!({"query": "subscription { boardChanged(board: {everything: WEEK}) { asOf } }"}).to_string();
        for (origin, expected) in [(SITE, StatusCode::OK), ("https://evil.example", StatusCode::FORBIDDEN)] {
            let request = Request::post("/graphql")
                .header("accept", "text/event-stream")
                .header("cookie", cookie)
                .header("origin", origin);
            assert_eq!(send(&app, request, &query).await.status(), expected, "{origin}");
        }
    }
}
