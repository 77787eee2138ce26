//! Signing up, signing in, staying signed in.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode, header::SET_COOKIE},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tower::ServiceExt;

use marmalade::{account::session, config::Mode, secret::Secret};
use migration::{Migrator, MigratorTrait};

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

/// How many migrations there are from the one that stores what handles look like.
fn looks_down() -> u32 {
    let names = Migrator::migrations();
    let since = names
        .iter()
        .rev()
        .take_while(|step| !step.name().ends_with("handle_looks"));
    u32::try_from(since.count() + 1).expect("a few")
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

    async fn a_planted_second_cookie_signs_nobody_out(app: TestApp) {
        let cookies_of_ada = registered(&app).await;
        let [(access, _), (refresh, _), ..] = &cookies_of_ada[..] else { panic!("{cookies_of_ada:?}") };
        let handle = json!({"query": "{ viewer { handle } }"});
        for (before, after) in [("access_token=e30.e30.e30; ", ""), ("", "; access_token=planted"), ("access_token=; ", "")] {
            let asked = browser(&app, "/graphql", &format!("{before}{access}{after}"), handle.clone()).await;
            assert!(cookies(&asked).is_empty(), "nothing is cleared");
            let body = to_bytes(asked.into_body(), usize::MAX).await.expect("a body");
            assert!(body.starts_with(br#"{"data":{"viewer":{"handle":"ada"}}"#), "{before}{after}");
        }
        let both = format!("refresh_token=planted; {refresh}; refresh_token=planted");
        assert_eq!(browser(&app, "/auth/refresh", &both, json!({})).await.status(), StatusCode::OK);
    }

    async fn over_tls_a_cookie_is_taken_from_this_host_alone(app: TestApp) {
        let public = app.restarted_with(|config| config.site.mode = Mode::Production).await;
        let over_tls = async |path: &str, cookie: &str, body: Value| {
            let request = Request::post(path)
                .header("content-type", "application/json")
                .header("host", "exam.example")
                .header("origin", "https://exam.example")
                .header("cookie", cookie)
                .body(Body::from(body.to_string()));
            public.router().oneshot(request.expect("a request")).await.expect("a response")
        };
        let query = "mutation { register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\"}) {
            errors { code } } }";
        let set = cookies(&over_tls("/graphql", "", json!({"query": query})).await);
        let [(access, of_access), (refresh, of_refresh), (device, of_device)] = &set[..] else { panic!("{set:?}") };
        assert!(access.starts_with("__Host-access_token="), "{access}");
        assert_eq!(of_access, "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=900");
        assert!(refresh.starts_with("__Secure-refresh_token="), "{refresh}");
        assert_eq!(of_refresh, "HttpOnly; SameSite=Strict; Secure; Path=/auth/refresh; Max-Age=2592000");
        assert!(device.starts_with("__Host-device_token="), "{device}");
        assert_eq!(of_device, "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=31536000");
        // A neighbouring subdomain can plant a cookie of any name but these.
        let (_, access) = access.split_once('=').expect("a value");
        let handle = json!({"query": "{ viewer { handle } }"});
        for (name, expected) in [("__Host-access_token", "ada"), ("access_token", "null")] {
            let asked = over_tls("/graphql", &format!("{name}={access}"), handle.clone()).await;
            let body = to_bytes(asked.into_body(), usize::MAX).await.expect("a body");
            assert!(String::from_utf8_lossy(&body).contains(expected), "{name}");
        }
        let planted = refresh.replace("__Secure-", "");
        assert_eq!(over_tls("/auth/refresh", &planted, json!({})).await.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(over_tls("/auth/refresh", refresh, json!({})).await.status(), StatusCode::OK);
    }

    async fn nobody_is_called_like_the_site_or_looks_like_another(app: TestApp) {
        app.register("Ali_10").await;
        let register = async |email: &str, handle: &str| {
            let query = "mutation($input: RegisterInput!) { register(input: $input) { errors { code path } } }";
            let input = json!({"email": email, "handle": handle, "password": "correct horse", "client": "NATIVE"});
            app.anyone().ask(query, json!({"input": input})).await["register"]["errors"].take()
        };
        for (email, handle, code, path) in [
            ("a@x.test", "AIi_10", "CONFLICT", "handle"),
            ("a@x.test", "Ali_1O", "CONFLICT", "handle"),
            ("a@x.test", "ADM1N", "CONFLICT", "handle"),
            ("a@x.test", "marmalade", "CONFLICT", "handle"),
            ("a@x.test", "аli", "BAD_USER_INPUT", "handle"),
            ("a..b@x.test", "ada", "BAD_USER_INPUT", "email"),
            ("a\u{200B}@x.test", "ada", "BAD_USER_INPUT", "email"),
            ("ali_10@EXAMPLE.com", "ada", "CONFLICT", "email"),
        ] {
            assert_eq!(register(email, handle).await, json!([{"code": code, "path": ["input", path]}]), "{email} {handle}");
        }
        // One address, however it is written.
        assert_eq!(register("ada@Bücher.example", "ada").await, json!([]));
        let again = register("ada@xn--bcher-kva.example", "grace").await;
        assert_eq!(again, json!([{"code": "CONFLICT", "path": ["input", "email"]}]));
        let ada = app.register("grace").await;
        let update = "mutation($handle: Handle!) { updateAccount(input: {handle: $handle}) { errors { code path } } }";
        for handle in ["ali_lo", "Moderat0r"] {
            let refused = ada.ask(update, json!({"handle": handle})).await;
            assert_eq!(refused["updateAccount"]["errors"], json!([{"code": "CONFLICT", "path": ["input", "handle"]}]), "{handle}");
        }
    }

    async fn who_looked_alike_before_it_was_checked_keeps_the_handle(app: TestApp) {
        let db = app.app.db.write();
        Migrator::down(db, Some(looks_down())).await.expect("back");
        let insert = "INSERT INTO users (id, email, handle, password_hash, role, created_at) VALUES";
        for (n, handle) in [(1, "Ali"), (2, "AIi"), (3, "ada")] {
            let id = app.literal(uuid::Uuid::from_u128(n));
            let row = format!("{insert} ({id}, '{handle}@x.test', '{handle}', '', 'STUDENT', 0)");
            db.execute_unprepared(&row).await.expect("a row");
        }
        Migrator::up(db, None).await.expect("forth");
        for (handle, looks) in [("Ali", "= 'ali'"), ("AIi", "IS NULL"), ("ada", "= 'ada'")] {
            let select = format!("SELECT 1 FROM users WHERE handle = '{handle}' AND handle_look {looks}");
            assert_eq!(app.count(&select).await, 1, "{handle}");
        }
    }

    async fn two_tabs_get_the_same_successor_and_a_stolen_token_ends_the_family(app: TestApp) {
        let first = registered(&app).await[1].0.clone();
        let refresh = async |token: &str| browser(&app, "/auth/refresh", token, json!({})).await;
        let one = refresh(&first).await;
        // Whoever did not receive the reply asks again, even much later: the successor was not used yet.
        app.advance(Duration::from_secs(3600));
        let other = refresh(&first).await;
        assert_eq!((one.status(), other.status()), (StatusCode::OK, StatusCode::OK));
        let second = cookies(&one)[1].0.clone();
        assert_eq!(second, cookies(&other)[1].0);
        assert_ne!(first, second);
        let third = cookies(&refresh(&second).await)[1].0.clone();
        assert_eq!(refresh(&first).await.status(), StatusCode::UNAUTHORIZED);
        for token in [&second, &third] {
            assert_eq!(refresh(token).await.status(), StatusCode::UNAUTHORIZED);
        }
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

    async fn registering_does_not_tell_who_has_an_account(app: TestApp) {
        app.register("ada").await;
        let app = app.restarted_with(|config| config.site.confirm_registrations = true).await;
        let register = async |email: &str, handle: &str| {
            let query = "mutation($input: RegisterInput!) { register(input: $input) {
                viewer { id } tokens { accessToken } confirmationSent errors { code path } } }";
            let input = json!({"email": email, "handle": handle, "password": "battery staple", "client": "NATIVE"});
            let (statements, reply) = app.statements(app.anyone().send(query, json!({"input": input}))).await;
            (statements, reply.0, reply.1["data"].clone())
        };
        let emailed = register("grace@example.com", "grace").await;
        let sent = json!({"viewer": null, "tokens": null, "confirmationSent": true, "errors": []});
        assert_eq!(emailed.2["register"], sent);
        assert_eq!(register("Ada@example.com", "grace").await, emailed, "the same reply for the same work");
        assert_eq!(register("new@example.com", "grace").await, emailed, "no handle is taken that would tell");
        for email in ["ada@example.com", "newer@example.com"] {
            let errors = register(email, "Ada").await.2["register"]["errors"].take();
            assert_eq!(errors, json!([{"code": "CONFLICT", "path": ["input", "handle"]}]), "{email}");
        }
        assert_eq!(app.count("SELECT 1 FROM users").await, 1);
        assert!(app.sign_in("grace", "battery staple").await.is_none(), "there is no account yet");

        let (grace, other) = (
            app.link("grace@example.com", "Complete your registration").await,
            app.link("new@example.com", "Complete your registration").await,
        );
        let known = app.email("ada@example.com", "You have an account already").await;
        assert!(!known.contains("#token="), "{known}");
        let confirm = async |token: &str, handle: Option<&str>| {
            let query = "mutation($input: ConfirmRegistrationInput!) { confirmRegistration(input: $input) {
                viewer { handle role } errors { code path } } }";
            let input = json!({"token": token, "handle": handle, "client": "NATIVE"});
            app.anyone().ask(query, json!({"input": input})).await["confirmRegistration"].take()
        };
        let refused = |code: &str, path: &str| json!({"viewer": null, "errors": [{"code": code, "path": ["input", path]}]});
        assert_eq!(confirm("invented", None).await, refused("BAD_USER_INPUT", "token"));
        let signed_in = |handle: &str| json!({"viewer": {"handle": handle, "role": "STUDENT"}, "errors": []});
        assert_eq!(confirm(&grace, None).await, signed_in("grace"));
        assert_eq!(confirm(&grace, None).await, refused("BAD_USER_INPUT", "token"), "it works once");
        assert_eq!(confirm(&other, None).await, refused("CONFLICT", "handle"), "another was faster");
        assert_eq!(confirm(&other, Some("gracious")).await, signed_in("gracious"), "and the link is good still");
        assert!(app.sign_in("grace", "battery staple").await.is_some());
        assert!(app.sign_in("new", "battery staple").await.is_some());
    }

    async fn a_registration_that_nobody_confirms_is_forgotten(app: TestApp) {
        let app = app.restarted_with(|config| config.site.confirm_registrations = true).await;
        let register = "mutation { register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\"}) {
            errors { code } } }";
        app.anyone().ask(register, json!({})).await;
        let token = app.link("ada@example.com", "Complete your registration").await;
        app.advance(Duration::from_secs(24 * 3600));
        let confirm = "mutation($token: String!) { confirmRegistration(input: {token: $token}) { errors { path } } }";
        let late = app.anyone().ask(confirm, json!({"token": token})).await;
        assert_eq!(late["confirmRegistration"]["errors"], json!([{"path": ["input", "token"]}]));
        app.advance(Duration::from_secs(24 * 3600 + 1));
        assert!(session::purge(&app.app, &app.app.now()).await.is_ok());
        assert_eq!(app.count("SELECT 1 FROM registrations").await, 0);
    }
}
