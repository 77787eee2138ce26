//! How often something may be asked for, and by whom.

use std::{net::SocketAddr, time::Duration};

use axum::http::StatusCode;
use marmalade::{limit::Limits, limit::Rate};
use reqwest::header::RETRY_AFTER;
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp, socket::Socket},
};

const HELLO: &str = "{ __typename }";

/// Under the limit of requests that is shipped.
async fn limited(app: &TestApp) -> TestApp {
    app.restarted_with(|config| config.limits.requests = Limits::default().requests)
        .await
}

/// A request of somebody who is not signed in, through a proxy that says so.
async fn forwarded(server: SocketAddr, path: &str, client: &str) -> (StatusCode, Option<String>) {
    let request = reqwest::Client::new()
        .post(format!("http://{server}{path}"))
        .header("origin", format!("http://{server}"))
        .header("x-forwarded-for", client)
        .json(&json!({"query": HELLO}));
    let response = request.send().await.expect("a response");
    let wait = response.headers().get(RETRY_AFTER);
    (
        response.status(),
        wait.map(|wait| wait.to_str().expect("ASCII").to_owned()),
    )
}

/// How many of these are let through before one is refused.
async fn passed(actor: &Actor, operation: &str) -> usize {
    for n in 0..100 {
        if actor.send(operation, json!({})).await.0 != StatusCode::OK {
            return n;
        }
    }
    100
}

on_both_databases! {
    async fn six_hundred_requests_a_minute_and_each_counts_for_one_account(app: TestApp) {
        let app = limited(&app).await;
        let (ada, bob) = (app.student().await, app.student().await);
        for _ in 0..600 {
            ada.ask(HELLO, json!({})).await;
        }
        let refused = ada.post(HELLO, json!({})).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers()[RETRY_AFTER], "1", "a tenth of a second, rounded up");
        let (_, body) = ada.send(HELLO, json!({})).await;
        assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{body}");
        bob.ask(HELLO, json!({})).await;
        app.anyone().ask(HELLO, json!({})).await;
        app.advance(Duration::from_millis(100));
        ada.ask(HELLO, json!({})).await;
        assert_eq!(ada.send(HELLO, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
        app.advance(Duration::from_secs(60));
        for _ in 0..600 {
            ada.ask(HELLO, json!({})).await;
        }
    }

    async fn operations_over_a_socket_are_requests_too(app: TestApp) {
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(4, Duration::from_secs(60))).await;
        let ada = app.student().await;
        let server = app.listen().await;
        // To open it is one.
        let mut socket = Socket::open(server, &ada.token()).await;
        for id in ["1", "2", "3"] {
            socket.subscribe(id, HELLO).await;
            assert_eq!((&socket.receive().await["type"], &socket.receive().await["type"]), (&json!("next"), &json!("complete")));
        }
        socket.subscribe("4", HELLO).await;
        let refused = socket.receive().await;
        assert_eq!((&refused["type"], &refused["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("RATE_LIMITED")));
        assert_eq!(ada.send(HELLO, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn a_client_sees_where_it_stands(app: TestApp) {
        let app = app.restarted_with(|config| config.limits = Limits::default()).await;
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        let query = "{ rateLimit {
            requests { limit windowSeconds remaining resetAt } answers { limit windowSeconds remaining resetAt }
            batches { remaining } submits { remaining } starts { remaining } exports { remaining } } }";
        let left = |data: &Value, limit: &str| data["rateLimit"][limit]["remaining"].clone();
        let before = ada.ask(query, json!({})).await;
        let answers = json!({"limit": 30, "windowSeconds": 60, "remaining": 30, "resetAt": "2026-11-23T10:00:00+00:00"});
        assert_eq!(before["rateLimit"]["answers"], answers);
        assert_eq!(left(&before, "requests"), 599, "this one is counted");
        let paper = ada.start(quiz).await;
        app.advance(Duration::from_secs(10));
        ada.save(&paper, 0, 0, 1).await;
        ada.save(&paper, 1, 0, 1).await;
        let after = ada.ask(query, json!({})).await;
        let answers = json!({"limit": 30, "windowSeconds": 60, "remaining": 28, "resetAt": "2026-11-23T10:01:10+00:00"});
        assert_eq!(after["rateLimit"]["answers"], answers);
        assert_eq!((left(&after, "starts"), left(&after, "submits"), left(&after, "exports")), (json!(9), json!(2), json!(5)));
        app.advance(Duration::from_secs(60));
        assert_eq!(left(&ada.ask(query, json!({})).await, "answers"), 30);
        let anonymous = app.anyone().ask(query, json!({})).await;
        assert_eq!(left(&anonymous, "requests"), 599);
        assert!(anonymous["rateLimit"]["answers"].is_null());
    }

    async fn a_stolen_session_does_not_keep_the_owner_from_throwing_it_out(app: TestApp) {
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(20, Duration::from_secs(60))).await;
        let revoke = "mutation { revokeOtherSessions { errors { code } } }";
        let change = "mutation { changePassword(input: {password: \"correct horse\", newPassword: \"battery staple\"}) { errors { code } } }";
        for (handle, defence) in [("ada", revoke), ("bob", change)] {
            let owner = app.register(handle).await;
            let thief = app.again(&owner).await;
            assert!(passed(&thief, HELLO).await <= 20);
            assert_eq!(owner.send(HELLO, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
            // Nothing else passes, not even beside it.
            let beside = "mutation { revokeOtherSessions { errors { code } } updateAccount(input: {}) { errors { code } } }";
            for other in [HELLO, "mutation { signOut { errors { code } } }", beside] {
                assert_eq!(owner.send(other, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS, "{other}");
            }
            let long = format!("{defence} #{}", "x".repeat(20_000));
            assert_eq!(owner.send(&long, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
            let payload = owner.ask(defence, json!({})).await;
            assert!(payload.as_object().is_some_and(|data| data.values().all(|payload| payload["errors"] == json!([]))), "{payload}");
            assert_eq!(thief.send(HELLO, json!({})).await.0, StatusCode::UNAUTHORIZED);
        }
        // What counts for the session has a bound as well.
        let eve = app.student().await;
        passed(&eve, HELLO).await;
        assert_eq!(passed(&eve, revoke).await, 19, "what was refused just before was one");
    }

    async fn wrong_passwords_of_a_stolen_session_count_for_it_alone(app: TestApp) {
        let owner = app.register("ada").await;
        let thief = app.again(&owner).await;
        let change = |password: &str| format!("mutation {{ changePassword(input: {{password: \"{password}\", newPassword: \"battery staple\"}}) {{ errors {{ code }} }} }}");
        for guess in 0..7 {
            let (_, body) = thief.send(&change("wrong horse"), json!({})).await;
            let code = &body["data"]["changePassword"]["errors"][0]["code"];
            match guess < 5 {
                true => assert_eq!(code, "BAD_USER_INPUT", "{body}"),
                false => assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{body}"),
            }
        }
        assert_eq!(owner.ask(&change("correct horse"), json!({})).await["changePassword"]["errors"], json!([]));
        assert_eq!(thief.send(HELLO, json!({})).await.0, StatusCode::UNAUTHORIZED);
    }

    async fn addresses_are_distinguished_behind_a_trusted_proxy_only(app: TestApp) {
        let limited = |proxies: &'static str| app.restarted_with(move |config| {
            config.limits.requests = Rate::new(1, Duration::from_secs(60));
            config.server.trusted_proxies = proxies.split_terminator(',').map(|net| net.parse().expect("a network")).collect();
        });
        let direct = limited("").await.listen().await;
        assert_eq!(forwarded(direct, "/graphql", "203.0.113.1").await.0, StatusCode::OK);
        assert_eq!(forwarded(direct, "/graphql", "203.0.113.2").await.0, StatusCode::TOO_MANY_REQUESTS);
        let behind = limited("127.0.0.0/8").await.listen().await;
        for client in ["203.0.113.1", "203.0.113.2"] {
            assert_eq!(forwarded(behind, "/graphql", client).await.0, StatusCode::OK);
        }
        // What the client itself wrote in front of what the proxy adds changes nothing.
        let refused = forwarded(behind, "/graphql", "198.51.100.7, 203.0.113.2").await;
        assert_eq!(refused, (StatusCode::TOO_MANY_REQUESTS, Some("60".to_owned())));
        let refused = forwarded(behind, "/auth/refresh", "203.0.113.2").await;
        assert_eq!(refused, (StatusCode::TOO_MANY_REQUESTS, Some("60".to_owned())));
    }
}
