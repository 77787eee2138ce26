//! Signing up, signing in, staying signed in.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode, header::SET_COOKIE},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tower::ServiceExt;

use marmalade::secret::Secret;

use crate::{on_both_databases, support::TestApp};

/// A request as a browser on our own page sends it.
async fn browser(app: &TestApp, path: &str, cookies: &str, body: Value) -> Response<Body> {
    let request = Request::post(path)
        .header("content-type", "application/json")
        .header("host", "127.0.0.1:8080")
        .header("origin", "http://127.0.0.1:8080")
        .header("cookie", cookies)
        .body(Body::from(body.to_string()));
    app.router()
        .oneshot(request.expect("a request"))
        .await
        .expect("a response")
}

/// The cookies that a response sets, as `name=value`, and their attributes.
fn cookies(response: &Response<Body>) -> Vec<(String, String)> {
    let all = response.headers().get_all(SET_COOKIE).iter();
    let text = all.map(|cookie| cookie.to_str().expect("ASCII").to_owned());
    text.map(|cookie| {
        cookie
            .split_once("; ")
            .map(|(pair, rest)| (pair.to_owned(), rest.to_owned()))
            .expect("attributes")
    })
    .collect()
}

async fn registered(app: &TestApp) -> Vec<(String, String)> {
    let query =
        "mutation { register(input: {email: \"Ada@Example.com\", handle: \"ada\", password: \"correct horse\"}) {
        viewer { handle role } tokens { accessToken } errors { code path } } }";
    let response = browser(app, "/graphql", "", json!({"query": query})).await;
    let cookies = cookies(&response);
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let expected = json!({"viewer": {"handle": "ada", "role": "STUDENT"}, "tokens": null, "errors": []});
    assert_eq!(body["data"]["register"], expected);
    cookies
}

on_both_databases! {
    async fn a_browser_gets_cookies_that_no_script_reads_and_no_token_in_a_body(app: TestApp) {
        let cookies = registered(&app).await;
        let [(access, of_access), (refresh, of_refresh), (device, of_device)] = &cookies[..] else { panic!("{cookies:?}") };
        assert!(access.starts_with("access_token=") && refresh.starts_with("refresh_token="));
        assert_eq!(of_access, "HttpOnly; SameSite=Strict; Path=/; Max-Age=900");
        assert_eq!(of_refresh, "HttpOnly; SameSite=Strict; Path=/auth/refresh; Max-Age=2592000");
        assert!(device.starts_with("device_token="));
        assert_eq!(of_device, "HttpOnly; SameSite=Strict; Path=/; Max-Age=31536000");
    }

    async fn two_tabs_get_the_same_successor_and_a_stolen_token_ends_the_family(app: TestApp) {
        let first = registered(&app).await[1].0.clone();
        let refresh = async |token: &str| browser(&app, "/auth/refresh", token, json!({})).await;
        let one = refresh(&first).await;
        app.advance(Duration::from_secs(30));
        let other = refresh(&first).await;
        assert_eq!((one.status(), other.status()), (StatusCode::OK, StatusCode::OK));
        let second = cookies(&one)[1].0.clone();
        assert_eq!(second, cookies(&other)[1].0);
        assert_ne!(first, second);
        app.advance(Duration::from_secs(1));
        assert_eq!(refresh(&first).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(refresh(&second).await.status(), StatusCode::UNAUTHORIZED);
        let access = cookies(&other)[0].0.clone();
        let asked = browser(&app, "/graphql", &access, json!({"query": "{ viewer { handle } }"})).await;
        assert_eq!(asked.status(), StatusCode::OK);
        assert!(cookies(&asked)[0].1.contains("Max-Age=0"), "the stale cookie is cleared");
    }

    async fn new_secrets_end_no_session(app: TestApp) {
        let secrets = |texts: &[&str]| texts.iter().map(|text| Secret(text.repeat(8))).collect();
        let before = app.restarted_with(|config| config.site.secrets = secrets(&["the old secret"])).await;
        let first = registered(&before).await;
        let tab = browser(&before, "/auth/refresh", &first[1].0, json!({})).await;
        let after = app.restarted_with(|config| config.site.secrets = secrets(&["the new secret", "the old secret"])).await;
        let asked = browser(&after, "/graphql", &first[0].0, json!({"query": "{ viewer { handle } }"})).await;
        assert!(cookies(&asked).is_empty(), "the access token is good still");
        // A second tab refreshes after the restart with what the first one had before.
        let other = browser(&after, "/auth/refresh", &first[1].0, json!({})).await;
        assert_eq!(other.status(), StatusCode::OK);
        assert_eq!(cookies(&tab)[1].0, cookies(&other)[1].0);
        let next = browser(&after, "/auth/refresh", &cookies(&other)[1].0, json!({})).await;
        assert_eq!(next.status(), StatusCode::OK);
        assert_eq!(app.whole_tables(), Vec::<String>::new());
    }

    async fn a_suspended_user_refreshes_nothing(app: TestApp) {
        let cookie = registered(&app).await[1].0.clone();
        let db = app.app.db.write();
        for (suspended_at, status) in [("1", StatusCode::UNAUTHORIZED), ("NULL", StatusCode::OK)] {
            // By another server: this one has not heard of it.
            let suspend = format!("UPDATE users SET suspended_at = {suspended_at}");
            db.execute_unprepared(&suspend).await.expect("a statement");
            assert_eq!(browser(&app, "/auth/refresh", &cookie, json!({})).await.status(), status);
        }
    }

    async fn an_address_and_a_handle_are_taken_once(app: TestApp) {
        registered(&app).await;
        for (email, handle, path) in [("ADA@example.com", "other", "email"), ("other@example.com", "ADA", "handle")] {
            let query = format!("mutation {{ register(input: {{email: \"{email}\", handle: \"{handle}\",
                password: \"correct horse\"}}) {{ errors {{ code path }} }} }}");
            let response = browser(&app, "/graphql", "", json!({"query": query})).await;
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            let errors = json!([{"code": "CONFLICT", "path": ["input", path]}]);
            assert_eq!(body["data"]["register"]["errors"], errors, "{body:#}");
        }
    }
}
