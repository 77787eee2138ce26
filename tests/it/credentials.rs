//! What an account may do is judged where it commits: whatever was begun before a new password, a suspension, a change of
//! role or a deletion committed is good for nothing after it. Four threads try while it happens, other students write, and
//! of two servers one is a minute ahead.
//!
//! `ROUNDS=200 cargo test --release --test it credentials` is the measure.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use base64::Engine;
use marmalade::{
    account::{
        own::Purge,
        session::{self, Device, MAX_SESSIONS},
    },
    auth::{role::Role, token::Claims},
    change::Cause,
    config::Config,
    entity::{refresh_token, session::Client, user},
    jobs::Run,
    limit::Rate,
    outbox::Event,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    races::rounds_or,
    support::{Actor, TestApp, fleet::Fleet},
};

/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Two servers on PostgreSQL and Redis, one ahead of the other.
const AHEAD: [[Duration; 2]; 2] = [
    [Duration::ZERO, Duration::from_secs(60)],
    [Duration::from_secs(60), Duration::ZERO],
];

/// Guesses and letters are not what is tried here.
fn lift_limits(config: &mut Config) {
    let limits = &mut config.limits;
    for rate in [
        &mut limits.sign_in_failures,
        &mut limits.sign_in_failures_of_address,
        &mut limits.registers,
        &mut limits.letters,
        &mut limits.letters_of_address,
    ] {
        *rate = Rate::new(1_000_000, Duration::from_secs(60));
    }
}

/// Writes a test once and runs it on both databases, and on two servers whose clocks differ by a minute, either way.
macro_rules! on_two_clocks_too {
    ($($(#[$attribute:meta])* async fn $name:ident($here:ident: TestApp, $there:ident: TestApp) $body:block)*) => {$(
        $(#[$attribute])*
        async fn $name($here: TestApp, $there: TestApp) $body

        mod $name {
            use super::{AHEAD, Fleet, TestApp, lift_limits};

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let app = TestApp::sqlite().await.restarted_with(lift_limits).await;
                super::$name(app.clone(), app).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(app) = TestApp::postgres().await {
                    let app = app.restarted_with(lift_limits).await;
                    super::$name(app.clone(), app).await;
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn two_servers() {
                for ahead in AHEAD {
                    if let Some(fleet) = Fleet::with(&ahead, lift_limits).await {
                        let [here, there] = &fleet.servers[..] else { panic!("two") };
                        super::$name(here.app.clone(), there.app.clone()).await;
                    }
                }
            }
        }
    )*};
}

/// What a sign-in gives to a native app, at one of the servers.
#[derive(Clone)]
struct Tokens {
    app: TestApp,
    access: String,
    refresh: String,
}

const TOKENS: &str = "tokens { accessToken refreshToken } errors { code }";

impl Tokens {
    fn of(app: &TestApp, body: &Value, mutation: &str) -> Option<Self> {
        let tokens = &body["data"][mutation]["tokens"];
        Some(Self {
            app: app.clone(),
            access: tokens["accessToken"].as_str()?.to_owned(),
            refresh: tokens["refreshToken"].as_str()?.to_owned(),
        })
    }

    async fn sign_in(app: &TestApp, handle: &str, password: &str) -> Option<Self> {
        let query = format!("mutation($input: SignInInput!) {{ signIn(input: $input) {{ {TOKENS} }} }}");
        let input = json!({"email": format!("{handle}@example.com"), "password": password, "client": "NATIVE"});
        let (_, body) = app.anyone().send(&query, json!({"input": input})).await;
        Self::of(app, &body, "signIn")
    }

    async fn refreshed(&self) -> Option<Self> {
        let query =
            format!("mutation($token: String!) {{ refreshSession(input: {{refreshToken: $token}}) {{ {TOKENS} }} }}");
        let (_, body) = self.app.anyone().send(&query, json!({"token": self.refresh})).await;
        Self::of(&self.app, &body, "refreshSession")
    }

    /// Whether the operation succeeds with this very access token.
    async fn may(&self, query: &str, variables: Value) -> bool {
        let request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.access));
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = request.body(Body::from(body)).expect("a request");
        let response = self.app.router().oneshot(request).await.expect("a response");
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let payload = body["data"].as_object().and_then(|data| data.values().next());
        payload.is_some_and(|payload| !payload.is_null() && payload["errors"].as_array().is_none_or(Vec::is_empty))
    }
}

const ANYTHING: &str = "{ viewer { id } }";
const AN_ADMINS: &str = "{ users(first: 1) { nodes { id } } }";

/// How many of the access tokens are good for the operation still, once every server has heard of the change.
async fn still_good(tokens: &[Tokens], query: &str) -> usize {
    let (until, mut left) = (Instant::now() + PATIENCE, tokens.to_vec());
    while !left.is_empty() && Instant::now() < until {
        let mut good = Vec::new();
        for token in left {
            if token.may(query, json!({})).await {
                good.push(token);
            }
        }
        left = good;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    left.len()
}

/// How many of the tokens are good for something still: the access token for anything, or the refresh token.
async fn won(tokens: &[Tokens]) -> usize {
    let mut won = still_good(tokens, ANYTHING).await;
    for token in tokens {
        won += usize::from(token.refreshed().await.is_some());
    }
    won
}

/// Students who write while others race; until it is dropped.
struct Others(Vec<JoinHandle<()>>);

impl Others {
    async fn write(app: &TestApp) -> Self {
        let quiz = app.quiz(3, |_| {}).await;
        let task = |_| {
            let app = app.clone();
            tokio::spawn(async move {
                loop {
                    app.student().await.take(quiz, 2).await;
                }
            })
        };
        Self((0..2).map(task).collect())
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Each thread takes its step again and again, from what it had last, until a step fails or the deed is done; the deed
/// begins once each has taken one. Returns what they had, all of it, and what came of the deed.
async fn meanwhile<T, F, D>(
    threads: Vec<T>,
    step: impl Fn(T) -> F + Clone + Send + 'static,
    deed: D,
) -> (Vec<T>, D::Output)
where
    T: Clone + Send + 'static,
    F: Future<Output = Option<T>> + Send,
    D: Future,
{
    let (done, begun) = (Arc::new(AtomicBool::new(false)), Arc::new(Semaphore::new(0)));
    let count = u32::try_from(threads.len()).expect("few");
    let run = |first: T| {
        let (step, done, begun) = (step.clone(), done.clone(), begun.clone());
        tokio::spawn(async move {
            let mut had = vec![first.clone()];
            let mut last = first;
            while !done.load(Ordering::SeqCst) {
                let next = step(last.clone()).await;
                begun.add_permits(1);
                let Some(next) = next else { break };
                had.push(next.clone());
                last = next;
            }
            had
        })
    };
    let tasks: Vec<_> = threads.into_iter().map(run).collect();
    let all_begun = begun.acquire_many(count);
    drop(timeout(PATIENCE, all_begun).await.expect("all begin"));
    let outcome = deed.await;
    done.store(true, Ordering::SeqCst);
    let mut had = Vec::new();
    for task in tasks {
        had.extend(task.await.expect("the thread ends"));
    }
    (had, outcome)
}

/// Four sessions, two at each server.
async fn four(here: &TestApp, there: &TestApp, handle: &str) -> Vec<Tokens> {
    let mut four = Vec::new();
    for app in [here, there, here, there] {
        four.push(Tokens::sign_in(app, handle, "correct horse").await.expect("signed in"));
    }
    four
}

/// Signs in again and again with the password of old.
fn signs_in(
    handle: &str,
) -> impl Fn(Tokens) -> futures_util::future::BoxFuture<'static, Option<Tokens>> + Clone + use<> {
    let handle = handle.to_owned();
    move |last| {
        let handle = handle.clone();
        Box::pin(async move { Tokens::sign_in(&last.app, &handle, "correct horse").await })
    }
}

async fn change_password(owner: &Actor, old: &str, new: &str) -> Value {
    let query = "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { errors { code path } } }";
    let variables = json!({"input": {"password": old, "newPassword": new}});
    let body = owner.send(query, variables).await.1;
    // Whatever thieves do meanwhile, no limit keeps the owner from it.
    assert_ne!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED", "{body}");
    body["data"]["changePassword"]["errors"].clone()
}

/// A payload of an admin's mutation about somebody.
async fn about(admin: &Actor, mutation: &str, whom: &Actor, more: &str) {
    let query =
        format!("mutation($id: ID!) {{ {mutation}(input: {{userId: $id{more}}}) {{ errors {{ code message }} }} }}");
    let data = admin.ask(&query, json!({"id": whom.id().encode()})).await;
    assert_eq!(data[mutation]["errors"], json!([]));
}

async fn account(app: &TestApp, actor: &Actor) -> user::Model {
    let all = user::Entity::all().all(app.app.db.write()).await.expect("accounts");
    all.into_iter()
        .find(|account| account.id == actor.id())
        .expect("an account")
}

/// The tokens of all links in the letters to an address.
fn links(app: &TestApp, to: &str) -> Vec<String> {
    let files = std::fs::read_dir(app.folder().join("mail"))
        .into_iter()
        .flatten()
        .flatten();
    let letters = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let token = |letter: String| {
        // Quoted-printable breaks long lines.
        let letter = letter.replace("=\r\n", "").replace("=3D", "=");
        let (_, rest) = letter.split_once("#token=")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    letters
        .filter(|letter| letter.contains(&format!("To: {to}")))
        .filter_map(token)
        .collect()
}

on_two_clocks_too! {
    async fn a_new_password_throws_out_whoever_is_signing_in(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let mut count = 0;
        for round in 0..rounds_or(2) {
            let handle = format!("ada{round}");
            let owner = here.register(&handle).await;
            let thieves = four(&here, &there, &handle).await;
            let deed = change_password(&owner, "correct horse", "battery staple");
            let (had, changed) = meanwhile(thieves, signs_in(&handle), deed).await;
            assert_eq!(changed, json!([]));
            count += won(&had).await;
            assert!(Tokens::sign_in(&there, &handle, "battery staple").await.is_some());
        }
        assert_eq!(count, 0);
    }

    async fn of_two_new_passwords_one_is_set(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        for round in 0..rounds_or(2) {
            let handle = format!("ada{round}");
            let owner = here.register(&handle).await;
            let thief = there.sign_in(&handle, "correct horse").await.expect("signed in");
            let (by_owner, by_thief) = tokio::join!(
                change_password(&owner, "correct horse", "battery staple"),
                change_password(&thief, "correct horse", "stolen staple"),
            );
            let set = [&by_owner, &by_thief].map(|errors| *errors == json!([]));
            assert!(set[0] != set[1], "{by_owner} {by_thief}");
            let signed_in = Tokens::sign_in(&here, &handle, "battery staple").await;
            assert_eq!(signed_in.is_some(), set[0]);
        }
    }

    async fn a_demoted_admin_is_none_whatever_it_refreshes(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let (root, mut count) = (here.actor(Role::Admin).await, 0);
        for round in 0..rounds_or(2) {
            let handle = format!("eve{round}");
            let eve = here.register(&handle).await;
            about(&root, "setUserRole", &eve, ", role: ADMIN").await;
            let mut threads = four(&here, &there, &handle).await;
            threads.extend(four(&here, &there, &handle).await);
            assert!(threads[0].may(AN_ADMINS, json!({})).await);
            let refresh = |last: Tokens| async move { last.refreshed().await };
            let (had, ()) = meanwhile(threads, refresh, about(&root, "setUserRole", &eve, ", role: STUDENT")).await;
            count += still_good(&had, AN_ADMINS).await;
            // Each session goes on, as a student's.
            let now = had.last().expect("a token").refreshed().await.expect("refreshed");
            assert!(now.may(ANYTHING, json!({})).await);
            count += usize::from(now.may(AN_ADMINS, json!({})).await);
        }
        assert_eq!(count, 0);
    }

    async fn a_role_that_changes_while_a_session_is_opened_is_the_sessions(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let (root, mut count) = (here.actor(Role::Admin).await, 0);
        for round in 0..rounds_or(2) {
            let handle = format!("eve{round}");
            let eve = here.register(&handle).await;
            about(&root, "setUserRole", &eve, ", role: ADMIN").await;
            let threads = four(&here, &there, &handle).await;
            let deed = about(&root, "setUserRole", &eve, ", role: STUDENT");
            let (had, ()) = meanwhile(threads, signs_in(&handle), deed).await;
            count += still_good(&had, AN_ADMINS).await;
            for token in &had {
                if let Some(next) = token.refreshed().await {
                    count += usize::from(next.may(AN_ADMINS, json!({})).await);
                }
            }
        }
        assert_eq!(count, 0);
    }

    async fn a_demoted_admin_does_not_make_itself_one_again(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let (root, mut count) = (here.actor(Role::Admin).await, 0);
        for round in 0..rounds_or(2) {
            let handle = format!("eve{round}");
            let eve = here.register(&handle).await;
            about(&root, "setUserRole", &eve, ", role: ADMIN").await;
            let id = eve.id().encode();
            let climb = move |last: Tokens| {
                let variables = json!({"id": id});
                async move {
                    let set = "mutation($id: ID!) { setUserRole(input: {userId: $id, role: ADMIN}) { errors { code } } }";
                    last.may(set, variables).await.then_some(last)
                }
            };
            let threads = four(&here, &there, &handle).await;
            meanwhile(threads, climb, about(&root, "setUserRole", &eve, ", role: STUDENT")).await;
            count += usize::from(account(&here, &eve).await.role != Role::Student);
        }
        assert_eq!(count, 0);
    }

    async fn a_suspended_admin_does_not_reinstate_itself_and_is_out(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let (root, mut count) = (here.actor(Role::Admin).await, 0);
        for round in 0..rounds_or(2) {
            let handle = format!("eve{round}");
            let eve = here.register(&handle).await;
            about(&root, "setUserRole", &eve, ", role: ADMIN").await;
            let id = eve.id().encode();
            let stay = move |last: Tokens| {
                let variables = json!({"id": id});
                async move {
                    let reinstate = "mutation($id: ID!) { reinstateUser(input: {userId: $id}) { errors { code } } }";
                    let allowed = last.may(reinstate, variables).await;
                    let next = last.refreshed().await;
                    next.or_else(|| allowed.then_some(last))
                }
            };
            let threads = four(&here, &there, &handle).await;
            let deed = about(&root, "suspendUser", &eve, r#", reason: "shares answers""#);
            let (had, ()) = meanwhile(threads, stay, deed).await;
            count += usize::from(account(&here, &eve).await.suspended_at.is_none());
            count += won(&had).await;
        }
        assert_eq!(count, 0);
    }

    async fn two_admins_who_demote_each_other_are_one(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        for _ in 0..rounds_or(2) {
            let (one, other) = (here.actor(Role::Admin).await, there.actor(Role::Admin).await);
            let demote = async |by: &Actor, whom: &Actor| {
                let query = "mutation($id: ID!) { setUserRole(input: {userId: $id, role: STUDENT}) { errors { code } } }";
                by.send(query, json!({"id": whom.id().encode()})).await.1
            };
            let (by_one, by_other) = tokio::join!(demote(&one, &other), demote(&other, &one));
            let errors = [&by_one, &by_other].map(|body| body["errors"][0]["extensions"]["code"].clone());
            assert!(errors.contains(&Value::Null) && errors.contains(&json!("UNAUTHENTICATED")), "{by_one} {by_other}");
        }
    }

    async fn a_deleted_account_is_left_by_whoever_is_signing_in(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        let (root, mut count) = (here.actor(Role::Admin).await, 0);
        for round in 0..rounds_or(2) {
            let handle = format!("ada{round}");
            let owner = here.register(&handle).await;
            let threads = four(&here, &there, &handle).await;
            let delete = "mutation { deleteAccount(input: {password: \"correct horse\"}) { errors { code } } }";
            let (had, _) = meanwhile(threads, signs_in(&handle), owner.ask(delete, json!({}))).await;
            count += won(&had).await;
            about(&root, "restoreUser", &owner, "").await;
            count += won(&had).await;
        }
        assert_eq!(count, 0);
    }

    async fn a_link_that_was_requested_with_the_old_password_is_good_for_nothing(here: TestApp, there: TestApp) {
        let _others = Others::write(&here).await;
        // A job is due by the clock of the server that has enqueued it.
        here.work();
        there.work();
        let (mut count, mut sent) = (0, 0);
        for round in 0..rounds_or(2) {
            let (handle, address) = (format!("ada{round}"), format!("thief{round}@example.com"));
            let owner = here.register(&handle).await;
            let thieves = four(&here, &there, &handle).await;
            let variables = json!({"input": {"email": address, "password": "correct horse"}});
            let request = move |last: Tokens| {
                let variables = variables.clone();
                async move {
                    let query = "mutation($input: RequestEmailChangeInput!) {
                        requestEmailChange(input: $input) { errors { code } } }";
                    last.may(query, variables).await.then_some(last)
                }
            };
            let deed = change_password(&owner, "correct horse", "battery staple");
            let (_, changed) = meanwhile(thieves, request, deed).await;
            assert_eq!(changed, json!([]));
            here.idle().await;
            for link in links(&here, &address) {
                let confirm = "mutation($token: String!) { confirmEmailChange(input: {token: $token}) { errors { code } } }";
                here.anyone().ask(confirm, json!({"token": link})).await;
                sent += 1;
            }
            count += usize::from(account(&here, &owner).await.email != format!("{handle}@example.com"));
        }
        assert!(sent > 0, "no link was sent");
        assert_eq!(count, 0);
    }
}

on_both_databases! {
    async fn a_reset_that_was_requested_before_a_new_password_is_not_sent_after_it(app: TestApp) {
        let ada = app.register("ada").await;
        let request = "mutation { requestPasswordReset(input: {email: \"ada@example.com\"}) { errors { code } } }";
        app.anyone().ask(request, json!({})).await;
        // Nobody runs jobs yet.
        assert_eq!(change_password(&ada, "correct horse", "battery staple").await, json!([]));
        app.work();
        app.idle().await;
        assert_eq!(app.emails(), 0);
        // At the same microsecond, and it is good: no clock decides.
        app.anyone().ask(request, json!({})).await;
        let link = app.link("ada@example.com", "A new password").await;
        let reset = "mutation($token: String!) { resetPassword(input: {token: $token, newPassword: \"correct horse\"}) {
            errors { code } } }";
        let reset = app.anyone().ask(reset, json!({"token": link})).await;
        assert_eq!(reset["resetPassword"]["errors"], json!([]));
        assert!(app.sign_in("ada", "correct horse").await.is_some());
    }

    async fn one_sign_in_too_many_ends_the_session_that_was_not_used_for_longest(app: TestApp) {
        let ada = app.register("ada").await;
        app.advance(Duration::from_secs(1));
        let phone = Tokens::sign_in(&app, "ada", "correct horse").await.expect("signed in");
        let mut others = Vec::new();
        for _ in 2..MAX_SESSIONS {
            app.advance(Duration::from_secs(1));
            others.push(app.again(&ada).await);
        }
        let count = "{ viewer { sessions { totalCount } } }";
        let sessions = async |actor: &Actor| actor.ask(count, json!({})).await["viewer"]["sessions"]["totalCount"].take();
        assert_eq!(sessions(&ada).await, MAX_SESSIONS);
        app.advance(Duration::from_secs(1));
        let last = app.again(&ada).await;
        assert_eq!(ada.send(count, json!({})).await.0, 401);
        assert_eq!(sessions(&last).await, MAX_SESSIONS);
        // Of those that are left the phone was opened first, but it is used.
        app.advance(Duration::from_secs(1));
        let phone = phone.refreshed().await.expect("refreshed");
        app.again(&last).await;
        assert!(phone.may(ANYTHING, json!({})).await && phone.refreshed().await.is_some());
        assert_eq!(others[0].send(count, json!({})).await.0, 401);
        // A session that has expired takes no room.
        app.advance(Duration::from_secs(31 * 86_400));
        let admin = app.actor(Role::Admin).await;
        let ended = "{ auditLog(filter: {action: SESSIONS_REVOKED}) { totalCount } }";
        app.sign_in("ada", "correct horse").await.expect("signed in");
        assert_eq!(admin.ask(ended, json!({})).await["auditLog"]["totalCount"], 2);
    }

    async fn what_has_ended_is_forgotten_after_a_day(app: TestApp) {
        let ada = app.register("ada").await;
        let ada_account = account(&app, &ada).await;
        let device = Device { user_agent: Some("a phone".into()), address: Some([192, 0, 2, 7].into()), token: None };
        let cause = Cause::clock(&app.app.now());
        let open = async || session::open(&app.app, &ada_account, Client::Native, device.clone(), &cause).await;
        let tokens = open().await.ok().flatten().expect("a session");
        assert!(open().await.is_ok_and(|opened| opened.is_some()));
        let traces = "SELECT 1 FROM sessions WHERE user_agent = 'a phone' OR address = '192.0.2.7'";
        assert_eq!(app.count(traces).await, 2);
        // More tokens than are deleted at once, of a session that ends.
        let row = |n: u32| refresh_token::ActiveModel {
            hash: Set(n.to_be_bytes().to_vec()),
            session_id: Set(tokens.viewer.session()),
            issued_at: Set(cause.now.at),
            expires_at: Set(cause.now.at + Duration::from_secs(30 * 86_400)),
            used_at: Set(None),
        };
        let insert = refresh_token::Entity::insert_many((0..2500).map(row));
        insert.exec_without_returning(app.app.db.write()).await.expect("tokens");
        let end = "mutation { revokeOtherSessions { revokedCount } }";
        assert_eq!(ada.ask(end, json!({})).await["revokeOtherSessions"]["revokedCount"], 2);
        assert_eq!(app.count(traces).await, 0, "of an ended session there is no trace");

        let counts = async || (app.count("SELECT 1 FROM sessions").await, app.count("SELECT 1 FROM refresh_tokens").await);
        let purge = async || assert!(Purge {}.run(&app.app, app.app.now().at, &app.app.now()).await.is_ok());
        app.advance(Duration::from_secs(86_400));
        purge().await;
        assert_eq!(counts().await, (3, 2503));
        app.advance(Duration::from_micros(1));
        purge().await;
        assert_eq!(counts().await, (1, 1));

        // Of a session in use the old tokens stay for as long as their successors are good: their reuse is noticed.
        let first = Tokens::sign_in(&app, "ada", "correct horse").await.expect("signed in");
        app.advance(Duration::from_secs(20 * 86_400));
        let second = first.refreshed().await.expect("refreshed");
        let third = second.refreshed().await.expect("refreshed");
        assert!(third.refreshed().await.is_some());
        app.advance(Duration::from_secs(11 * 86_400) - Duration::from_micros(1));
        purge().await;
        // Ada's first session has expired meanwhile, more than a day ago.
        assert_eq!(counts().await, (1, 4));
        app.advance(Duration::from_secs(20 * 86_400) + Duration::from_micros(1));
        purge().await;
        assert_eq!(counts().await, (1, 4));
        assert!(second.refreshed().await.is_none() && third.refreshed().await.is_none());
        app.verify().await;
    }

    async fn links_are_forgotten_a_day_after_they_expire(app: TestApp) {
        app.register("ada").await;
        let request = "mutation { requestPasswordReset(input: {email: \"ada@example.com\"}) { errors { code } } }";
        app.anyone().ask(request, json!({})).await;
        app.link("ada@example.com", "A new password").await;
        app.advance(Duration::from_secs(86_400 + 1800));
        for left in [1, 0] {
            assert!(session::purge(&app.app, &app.app.now()).await.is_ok());
            assert_eq!(app.count("SELECT 1 FROM links").await, left);
            app.advance(Duration::from_micros(1));
        }
    }

    async fn a_token_or_a_change_of_the_previous_release_is_left_to_the_tables(app: TestApp) {
        let ada = app.register("ada").await;
        let claims = Claims {
            user: ada.id(),
            session: ada.session_id(),
            role: Role::Student,
            access_version: None,
            issued_at: app.app.now().at,
        };
        let (_, token) = app.app.keys.issue(&claims).unwrap_or_else(|_| panic!("a token"));
        let let_in = async |token: &str| {
            let authenticated = session::authenticate(&app.app, &app.app.revocations, token, app.app.now().at);
            let (statements, viewer) = app.statements(authenticated).await;
            (statements, viewer.is_some())
        };
        assert_eq!(let_in(&token).await, (1, true), "it names no version");
        assert_eq!(let_in(&ada.token()).await, (0, true));

        // A server of the previous release changes the role, and says so without a version.
        let (db, at) = (app.app.db.write(), app.app.now().at.0);
        let promote = format!("UPDATE users SET role = 'EDITOR', access_changed_at = {at} WHERE handle = 'ada'");
        db.execute_unprepared(&promote).await.expect("a statement");
        let event = json!({"kind": "account_changed", "user": ada.id().0, "at": at}).to_string();
        app.app.outbox.receive(&Event::parse(event).expect("an event")).await;
        assert_eq!(let_in(&token).await, (1, false));
        assert_eq!(let_in(&ada.token()).await, (1, false), "the table has counted it");
        let ada = app.again(&ada).await;
        assert_eq!(let_in(&ada.token()).await, (1, true), "until it is forgotten");
        // A server that starts now knows the version.
        let app = app.restarted_with(|_| ()).await;
        let (statements, viewer) = app.statements(app.at(&ada).let_in()).await;
        assert!(statements == 0 && viewer.is_some());
    }

    async fn what_an_editor_has_sent_is_not_published_once_it_is_none(app: TestApp) {
        let (root, editor) = (app.actor(Role::Admin).await, app.actor(Role::Editor).await);
        let send = "mutation($content: String!) { importBank(input: {fileName: \"bank.csv\", content: $content,
            quizTitle: \"Sent\", subject: \"Physics\", publish: true}) { bankImport { id } errors { code } } }";
        let content = base64::engine::general_purpose::STANDARD.encode("Question,A,B,Answer\nOne?,1,2,1\n");
        let sent = editor.ask(send, json!({"content": content})).await["importBank"].take();
        about(&root, "setUserRole", &editor, ", role: STUDENT").await;
        app.work();
        app.idle().await;
        let import = "query($id: ID!) { bankImport(id: $id) { error sheets { name } } }";
        let import = root.ask(import, json!({"id": sent["bankImport"]["id"]})).await["bankImport"].take();
        assert!(import["error"].as_str().is_some_and(|error| error.contains("not staff's any more")), "{import}");
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 0);
    }

    async fn an_access_token_is_refused_once_its_account_has_changed_at_the_same_microsecond(app: TestApp) {
        let (root, eve) = (app.actor(Role::Admin).await, app.register("eve").await);
        about(&root, "setUserRole", &eve, ", role: ADMIN").await;
        let eve = app.again(&eve).await;
        assert!(eve.send(AN_ADMINS, json!({})).await.0 == 200, "the new role, at once");
        about(&root, "setUserRole", &eve, ", role: STUDENT").await;
        assert_eq!(eve.send(AN_ADMINS, json!({})).await.0, 401);
        let eve = app.again(&eve).await;
        assert_eq!(eve.send(AN_ADMINS, json!({})).await.1["errors"][0]["extensions"]["code"], "FORBIDDEN");
    }
}
