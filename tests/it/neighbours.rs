//! A shared address: what one person there uses up is not taken from the others.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode, header::SET_COOKIE},
};
use futures_util::future::join_all;
use marmalade::limit::{Limits, Rate};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{TestApp, fleet::Fleet, socket::Socket},
};

const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken refreshToken deviceToken } errors { code } } }";
const REFRESH: &str = "mutation($token: String!) { refreshSession(input: {refreshToken: $token}) { tokens { accessToken refreshToken deviceToken } errors { code } } }";
const HELLO: &str = "{ __typename }";

const SCHOOL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

/// What came back: the status, the body, and the cookies as a browser sends them again.
struct Reply {
    status: StatusCode,
    body: Value,
    cookies: String,
}

impl Reply {
    fn code(&self) -> &str {
        let payload = self.body["data"].as_object().and_then(|data| data.values().next());
        let data = payload.and_then(|payload| payload["errors"][0]["code"].as_str());
        let code = self.body["errors"][0]["extensions"]["code"].as_str().or(data);
        code.unwrap_or(if self.status == StatusCode::OK { "OK" } else { "?" })
    }

    fn token(&self, name: &str) -> String {
        let payload = self.body["data"].as_object().and_then(|data| data.values().next());
        let token = payload.and_then(|payload| payload["tokens"][name].as_str());
        token.unwrap_or_else(|| panic!("{name} in {}", self.body)).to_owned()
    }
}

/// A request of a browser on our own page, from an address.
async fn post(app: &TestApp, from: IpAddr, path: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let body = body.to_string();
    let mut request = Request::post(path)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .header("host", "127.0.0.1:8080")
        .header("origin", "http://127.0.0.1:8080")
        .extension(ConnectInfo(SocketAddr::from((from, 40_000))));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let cookies: Vec<_> = response.headers().get_all(SET_COOKIE).iter().collect();
    let cookies = cookies
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let (cookies, status) = (cookies.collect::<Vec<_>>().join("; "), response.status());
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    Reply {
        status,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        cookies,
    }
}

async fn graphql(app: &TestApp, from: IpAddr, query: &str, variables: Value) -> Reply {
    post(
        app,
        from,
        "/graphql",
        &[],
        json!({"query": query, "variables": variables}),
    )
    .await
}

/// A sign-in on a phone, which may have kept a device token.
async fn sign_in(app: &TestApp, from: IpAddr, email: &str, password: &str, device: Option<&str>) -> Reply {
    let input = json!({"email": email, "password": password, "client": "NATIVE", "deviceToken": device});
    graphql(app, from, SIGN_IN, json!({"input": input})).await
}

/// A wrong guess at one of many accounts.
async fn guess(app: &TestApp, from: IpAddr, n: usize) -> Reply {
    sign_in(app, from, &format!("victim{n}@example.com"), "wrong horse", None).await
}

/// Somebody tries this many accounts, once each, twenty at a time: a busy machine hashes slowly.
async fn spray(app: &TestApp, from: IpAddr, guesses: usize) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    for first in (0..guesses).step_by(20) {
        let last = guesses.min(first + 20);
        for reply in join_all((first..last).map(|n| guess(app, from, n))).await {
            *codes.entry(reply.code().to_owned()).or_insert(0) += 1;
        }
    }
    codes
}

/// How often an account is tried in vain from sixty addresses, and refused without a look.
async fn refused_bots(app: &TestApp, email: &str) -> usize {
    let mut refused = 0;
    for n in 0..60 {
        let reply = sign_in(app, IpAddr::from([203, 0, 113, n]), email, "wrong horse", None).await;
        refused += usize::from(reply.code() == "RATE_LIMITED");
    }
    refused
}

/// Beyond the limits of failures one more guess passes, and then none.
async fn hardly_any_pace(app: &TestApp) -> TestApp {
    let one = Rate::new(1, Duration::from_secs(3600));
    app.restarted_with(|config| {
        config.limits = Limits {
            slowed_sign_ins_of_address: one,
            slowed_sign_ins_of_account: one,
            ..config.limits
        }
    })
    .await
}

on_both_databases! {
    async fn fifty_failures_of_a_neighbour_lock_nobody_out(app: TestApp) {
        app.register("ada").await;
        assert_eq!(spray(&app, SCHOOL, 50).await, BTreeMap::from([("BAD_USER_INPUT".into(), 50)]));
        // The first time on this phone: slowed, but the queue is empty.
        let first = sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await;
        assert_eq!(first.code(), "OK");
    }

    async fn a_known_device_passes_a_flood_of_guesses(app: TestApp) {
        let app = hardly_any_pace(&app).await;
        app.register("ada").await;
        let phone = sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await.token("deviceToken");
        let browser = json!({"email": "ada@example.com", "password": "correct horse"});
        let browser = json!({"query": SIGN_IN, "variables": {"input": browser}});
        let laptop = post(&app, SCHOOL, "/graphql", &[], browser.clone()).await;
        assert_eq!((laptop.code(), laptop.body["data"]["signIn"]["tokens"].is_null()), ("OK", true));
        assert_eq!(spray(&app, SCHOOL, 60).await, BTreeMap::from([("BAD_USER_INPUT".into(), 51), ("RATE_LIMITED".into(), 9)]));
        // A stranger's device has to wait; one on which she has signed in before has not, and any has at another place.
        assert_eq!(sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await.code(), "RATE_LIMITED");
        assert_eq!(sign_in(&app, SCHOOL, "ada@example.com", "correct horse", Some(&phone)).await.code(), "OK");
        let kept: Vec<_> = laptop.cookies.split("; ").filter(|cookie| cookie.starts_with("device_token=")).collect();
        assert_eq!(post(&app, SCHOOL, "/graphql", &[("cookie", kept[0])], browser).await.code(), "OK");
        assert_eq!(sign_in(&app, HOME, "ada@example.com", "correct horse", None).await.code(), "OK");
        // The token is hers alone, and as good as its seal.
        app.register("bob").await;
        for forged in [phone.as_str(), &phone[1..], "AAAA", ""] {
            let email = if forged == phone { "bob@example.com" } else { "ada@example.com" };
            assert_eq!(sign_in(&app, SCHOOL, email, "correct horse", Some(forged)).await.code(), "RATE_LIMITED", "{forged}");
        }
    }

    async fn guesses_from_everywhere_do_not_lock_the_owner_out(app: TestApp) {
        let app = hardly_any_pace(&app).await;
        app.register("ada").await;
        let phone = sign_in(&app, HOME, "ada@example.com", "correct horse", None).await.token("deviceToken");
        assert_eq!(refused_bots(&app, "ada@example.com").await, 9, "all but fifty, and one of the queue");
        assert_eq!(sign_in(&app, HOME, "ada@example.com", "correct horse", None).await.code(), "RATE_LIMITED");
        assert_eq!(sign_in(&app, HOME, "ada@example.com", "correct horse", Some(&phone)).await.code(), "OK");
        // An address without an account is slowed alike: nothing tells them apart.
        assert_eq!(refused_bots(&app, "nobody@example.com").await, 9);
    }

    async fn a_known_device_guesses_five_times_more_and_knows_no_new_password(app: TestApp) {
        let ada = app.register("ada").await;
        let phone = sign_in(&app, HOME, "ada@example.com", "correct horse", None).await.token("deviceToken");
        for guess in 0..11 {
            let expected = if guess < 10 { "BAD_USER_INPUT" } else { "RATE_LIMITED" };
            assert_eq!(sign_in(&app, HOME, "ada@example.com", "wrong horse", Some(&phone)).await.code(), expected, "{guess}");
        }
        app.advance(Duration::from_secs(15 * 60));
        let change = "mutation { changePassword(input: {password: \"correct horse\", newPassword: \"battery staple\"}) { errors { code } } }";
        assert_eq!(ada.ask(change, json!({})).await["changePassword"]["errors"], json!([]));
        for guess in 0..6 {
            let expected = if guess < 5 { "BAD_USER_INPUT" } else { "RATE_LIMITED" };
            assert_eq!(sign_in(&app, HOME, "ada@example.com", "correct horse", Some(&phone)).await.code(), expected, "{guess}");
        }
    }

    async fn two_hundred_guesses_are_a_limit_and_a_queue(app: TestApp) {
        let app = app.restarted_with(|config| {
            config.limits.sign_in_failures_of_address = Rate::new(5, Duration::from_secs(900));
            config.limits.slowed_sign_ins_of_address = Rate::new(3, Duration::from_millis(30));
        }).await;
        let expected = BTreeMap::from([("BAD_USER_INPUT".into(), 5 + 3), ("RATE_LIMITED".into(), 200 - 8)]);
        assert_eq!(spray(&app, SCHOOL, 200).await, expected);
        // Signing in with the right password used nothing of the limit up before.
        app.advance(Duration::from_secs(900));
        app.register("ada").await;
        for _ in 0..10 {
            assert_eq!(sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await.code(), "OK");
        }
        assert_eq!(spray(&app, SCHOOL, 20).await["BAD_USER_INPUT"], 5 + 3);
    }

    async fn a_slowed_guess_waits_for_its_turn(app: TestApp) {
        let app = app.restarted_with(|config| {
            config.limits.sign_in_failures_of_address = Rate::new(1, Duration::from_secs(900));
            config.limits.slowed_sign_ins_of_address = Rate::new(3, Duration::from_millis(1500));
        }).await;
        assert_eq!(spray(&app, SCHOOL, 1).await["BAD_USER_INPUT"], 1);
        let begun = std::time::Instant::now();
        assert_eq!(spray(&app, SCHOOL, 3).await["BAD_USER_INPUT"], 3);
        assert!(begun.elapsed() >= Duration::from_secs(1), "the third is two turns behind");
    }

    async fn a_flood_by_nobody_refuses_no_good_credential(app: TestApp) {
        app.register("ada").await;
        let phone = sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await;
        let browser = json!({"email": "ada@example.com", "password": "correct horse"});
        let browser = json!({"query": SIGN_IN, "variables": {"input": browser}});
        let cookies = post(&app, SCHOOL, "/graphql", &[], browser.clone()).await.cookies;
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(20, Duration::from_secs(60))).await;
        for n in 0..30 {
            let expected = if n < 20 { "OK" } else { "RATE_LIMITED" };
            assert_eq!(graphql(&app, SCHOOL, HELLO, json!({})).await.code(), expected);
        }
        let bearer = format!("Bearer {}", phone.token("accessToken"));
        let known = post(&app, SCHOOL, "/graphql", &[("authorization", &bearer)], json!({"query": HELLO})).await;
        assert_eq!(known.code(), "OK");
        let expired = post(&app, SCHOOL, "/graphql", &[("authorization", "Bearer expired")], json!({"query": HELLO})).await;
        assert_eq!(expired.status, 401, "which tells the app to refresh");
        let refreshed = post(&app, SCHOOL, "/auth/refresh", &[("cookie", &cookies)], json!({})).await;
        assert_eq!((refreshed.status, refreshed.body), (StatusCode::OK, json!({"role": "STUDENT"})));
        let refreshed = graphql(&app, SCHOOL, REFRESH, json!({"token": phone.token("refreshToken")})).await;
        assert_eq!(refreshed.code(), "OK");
        assert_eq!(sign_in(&app, SCHOOL, "ada@example.com", "correct horse", None).await.code(), "OK");
        assert_eq!(post(&app, SCHOOL, "/graphql", &[], browser).await.code(), "OK");
        // What only looks like a credential, or hides something else behind it, is refused as ever.
        for token in ["invented".to_owned(), "A".repeat(54), phone.token("refreshToken")[..53].to_owned()] {
            assert_eq!(graphql(&app, SCHOOL, REFRESH, json!({"token": token})).await.code(), "RATE_LIMITED");
            let cookie = format!("refresh_token={token}");
            assert_eq!(post(&app, SCHOOL, "/auth/refresh", &[("cookie", &cookie)], json!({})).await.status, 429);
        }
        let both = "mutation { signIn(input: {email: \"a@b.example\", password: \"wrong horse\"}) { errors { code } } \
                    register(input: {email: \"x@b.example\", handle: \"xyz\", password: \"wrong horse\"}) { errors { code } } }";
        for hidden in [both, "{ signIn }", "query { ... on Query { __typename } }", "mutation { ...M } fragment M on Mutation { signOut { errors { code } } }"] {
            assert_eq!(graphql(&app, SCHOOL, hidden, json!({})).await.status, 429, "{hidden}");
        }
        let long = format!("{SIGN_IN} #{}", "x".repeat(20_000));
        assert_eq!(graphql(&app, SCHOOL, &long, json!({})).await.status, 429);
        assert_eq!(graphql(&app, HOME, HELLO, json!({})).await.code(), "OK");
    }

    async fn a_refresh_counts_for_its_account(app: TestApp) {
        app.register("ada").await;
        let mut token = sign_in(&app, HOME, "ada@example.com", "correct horse", None).await.token("refreshToken");
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(10, Duration::from_secs(60))).await;
        for n in 0..10 {
            let from = IpAddr::from([203, 0, 113, n]);
            token = graphql(&app, from, REFRESH, json!({"token": token})).await.token("refreshToken");
        }
        assert_eq!(graphql(&app, HOME, REFRESH, json!({"token": token})).await.code(), "RATE_LIMITED");
        let cookie = format!("refresh_token={token}");
        assert_eq!(post(&app, SCHOOL, "/auth/refresh", &[("cookie", &cookie)], json!({})).await.status, 429);
        app.advance(Duration::from_secs(6));
        assert_eq!(graphql(&app, HOME, REFRESH, json!({"token": token})).await.code(), "OK");
    }

    async fn a_session_that_was_ended_uses_up_nothing_of_its_account(app: TestApp) {
        app.register("ada").await;
        let opened = async || sign_in(&app, HOME, "ada@example.com", "correct horse", None).await;
        let (lost, kept) = (opened().await, opened().await);
        let bearer = format!("Bearer {}", kept.token("accessToken"));
        let end = json!({"query": "mutation { revokeOtherSessions { revokedCount errors { code } } }"});
        let ended = post(&app, HOME, "/graphql", &[("authorization", &bearer)], end).await;
        assert_eq!(ended.body["data"]["revokeOtherSessions"]["errors"], json!([]), "{}", ended.body);
        let (lost, kept) = (lost.token("refreshToken"), kept.token("refreshToken"));
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(10, Duration::from_secs(60))).await;
        // Whoever has it may try it as often as its own budget lets them, from anywhere.
        for n in 0..20 {
            graphql(&app, IpAddr::from([203, 0, 113, n]), REFRESH, json!({"token": lost})).await;
        }
        assert_eq!(graphql(&app, HOME, REFRESH, json!({"token": kept})).await.code(), "OK");
    }

    async fn a_socket_counts_for_whoever_opens_it(app: TestApp) {
        let app = app.restarted_with(|config| config.limits.requests = Rate::new(3, Duration::from_secs(60))).await;
        let (ada, server) = (app.student().await, app.listen().await);
        // A flood by nobody in particular, at her address.
        for _ in 0..3 {
            Socket::anonymous(server).await.receive().await;
        }
        assert_eq!(Socket::anonymous(server).await.closed().await.0, 1013);
        for _ in 0..3 {
            Socket::open(server, &ada.token()).await;
        }
        assert_eq!(ada.send(HELLO, json!({})).await.0, StatusCode::TOO_MANY_REQUESTS);
        let bearer = format!("Bearer {}", ada.token());
        let refused = Socket::upgrade(server, &[("authorization", &bearer)]).await.err();
        assert_eq!(refused, Some(StatusCode::TOO_MANY_REQUESTS));
    }

    async fn a_link_in_an_email_passes_a_flood_of_guesses(app: TestApp) {
        let app = hardly_any_pace(&app).await;
        app.register("ada").await;
        let ask = "mutation { requestPasswordReset(input: {email: \"ada@example.com\"}) { errors { code } } }";
        assert_eq!(graphql(&app, SCHOOL, ask, json!({})).await.code(), "OK");
        let link = app.link("ada@example.com", "A new password").await;
        spray(&app, SCHOOL, 60).await;
        let reset = "mutation($token: String!) { resetPassword(input: {token: $token, newPassword: \"battery staple\"}) { errors { code } } }";
        for _ in 0..60 {
            assert_eq!(graphql(&app, SCHOOL, reset, json!({"token": "invented"})).await.code(), "BAD_USER_INPUT");
        }
        assert_eq!(graphql(&app, SCHOOL, reset, json!({"token": link})).await.code(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_is_one_over_all_servers() {
    let Some(fleet) = Fleet::of(2).await else { return };
    let mut servers = Vec::new();
    for server in &fleet.servers {
        let app = server.app.restarted_with(|config| {
            config.limits.sign_in_failures_of_address = Rate::new(5, Duration::from_secs(900));
            config.limits.slowed_sign_ins_of_address = Rate::new(1, Duration::from_secs(3600));
        });
        let app = app.await;
        let shared = app.app.fleet.clone().expect("a fleet");
        tokio::spawn(marmalade::background::keep_channel(app.app.clone()));
        shared.until(marmalade::fleet::Health::Connected).await;
        servers.push(app);
    }
    servers[0].register("ada").await;
    let phone = sign_in(&servers[0], SCHOOL, "ada@example.com", "correct horse", None)
        .await
        .token("deviceToken");
    let (here, there) = futures_util::future::join(spray(&servers[0], SCHOOL, 50), async {
        let guess = async |n: usize| {
            sign_in(
                &servers[1],
                SCHOOL,
                &format!("other{n}@example.com"),
                "wrong horse",
                None,
            )
            .await
        };
        join_all((0..50).map(guess)).await
    })
    .await;
    let let_through = here.get("BAD_USER_INPUT").copied().unwrap_or(0);
    let let_through = let_through + there.iter().filter(|reply| reply.code() == "BAD_USER_INPUT").count();
    assert_eq!(let_through, 5 + 1);
    assert_eq!(
        sign_in(&servers[1], SCHOOL, "ada@example.com", "correct horse", None)
            .await
            .code(),
        "RATE_LIMITED"
    );
    assert_eq!(
        sign_in(&servers[1], SCHOOL, "ada@example.com", "correct horse", Some(&phone))
            .await
            .code(),
        "OK"
    );
}
