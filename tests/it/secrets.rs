//! What a journey logs holds nothing that opens a door.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

use crate::on_both_databases;

/// What all tests of this process have logged since the first journey began.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logged;

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Logged {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

fn listen() {
    let filter = "info,marmalade=trace,sea_orm=debug,sqlx=debug,lettre=trace,tower_http=trace";
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Logged);
    // The other of the two databases' tests may have begun it.
    log.try_init().ok();
}

on_both_databases! {
    async fn a_whole_journey_logs_no_secret(app: TestApp) {
        listen();
        let own = uuid::Uuid::now_v7().simple().to_string();
        let (email, handle) = (format!("{own}@example.com"), format!("h{}", &own[20..]));
        let passwords = [format!("first {own}"), format!("second {own}"), format!("wrong {own}")];
        let [first, second, wrong] = &passwords;
        let mut tokens = Vec::new();
        let input = json!({"email": email, "handle": handle, "password": first, "client": "NATIVE"});
        let register = "mutation($input: RegisterInput!) { register(input: $input) { tokens { accessToken refreshToken } } }";
        let mut got = app.anyone().ask(register, json!({"input": input})).await["register"]["tokens"].take();
        let keep = |tokens: &mut Vec<String>, got: &Value| {
            tokens.extend(["accessToken", "refreshToken"].map(|name| got[name].as_str().expect("a token").to_owned()));
        };
        keep(&mut tokens, &got);
        let refresh = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { tokens { accessToken refreshToken } } }";
        let input = json!({"refreshToken": got["refreshToken"]});
        got = app.anyone().ask(refresh, json!({"input": input})).await["refreshSession"]["tokens"].take();
        keep(&mut tokens, &got);
        let send = async |token: &str, query: &str, variables: Value| {
            let request = Request::post("/graphql")
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {token}"))
                .body(Body::from(json!({"query": query, "variables": variables}).to_string()));
            let response = app.router().oneshot(request.expect("a request")).await.expect("a response");
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            String::from_utf8(body.to_vec()).expect("text")
        };
        let access = tokens[2].clone();
        let sign_in = "mutation($input: SignInInput!) { signIn(input: $input) { errors { code } } }";
        send(&access, sign_in, json!({"input": {"email": email, "password": wrong}})).await;
        send(&access, "mutation($input: ChangePasswordInput!) { changePassword(input: $input) { errors { code } } }",
            json!({"input": {"password": first, "newPassword": second}})).await;
        send(&access, "mutation($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { errors { code } } }",
            json!({"input": {"email": email}})).await;
        let message = app.email(&email, "password").await.replace("=\r\n", "").replace("=3D", "=");
        let link = message.split_once("#token=").and_then(|(_, rest)| rest.split_whitespace().next()).expect("a link");
        tokens.push(link.to_owned());
        // A token that is nearly right, and a request that can't be read.
        send(&format!("{access}x"), "{ viewer { id } }", json!({})).await;
        send(&access, "mutation { signIn(input: {password: 5", json!({})).await;
        // A fault of the database while the password is at hand.
        app.app.db.write().execute_unprepared("ALTER TABLE background_jobs RENAME TO no_background_jobs").await.expect("a fault");
        let fault = send(&access, "mutation($input: RequestEmailChangeInput!) { requestEmailChange(input: $input) { errors { code } } }",
            json!({"input": {"password": second, "email": format!("new-{email}")}})).await;
        assert!(fault.contains("INTERNAL") && !fault.contains("background_jobs"), "{fault}");

        let logged = String::from_utf8_lossy(&LOGGED.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
        assert!(logged.contains("internal error") && logged.contains("background_jobs"), "the log holds the fault and its cause");
        let secrets = passwords.iter().chain(&tokens).map(String::as_str).chain(["a secret of the tests"]);
        for secret in secrets {
            assert!(!logged.contains(secret), "the log holds {secret:?}");
        }
    }
}
