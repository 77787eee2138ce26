//! A phone takes an exam on a train: replies are lost in tunnels, and nothing else is.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{Paper, TestApp},
};

const REFRESH: &str = "mutation($token: String!) { refreshSession(input: {refreshToken: $token}) {
    tokens { accessToken refreshToken } } }";
const SAVE: &str = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) {
    outcome answer { seq choiceId } errors { code } } }";
const BATCH: &str = "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) {
    results { outcome } errors { code } } }";
const SUBMIT: &str = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) {
    attempt { state submittedBy submittedAt result { points rightCount blankCount } } errors { code } } }";

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A native app, with the tokens that it has received.
#[derive(Clone)]
struct Phone {
    app: TestApp,
    access: String,
    refresh: String,
}

impl Phone {
    async fn registered(app: &TestApp) -> Self {
        let query =
            "mutation { register(input: {email: \"ada@example.com\", handle: \"ada\", password: \"correct horse\",
            client: NATIVE}) { tokens { accessToken refreshToken } } }";
        let data = app.anyone().ask(query, json!({})).await;
        let mut phone = Self {
            app: app.clone(),
            access: String::new(),
            refresh: String::new(),
        };
        phone.holds(&data["register"]["tokens"]);
        phone
    }

    fn holds(&mut self, tokens: &Value) {
        let text = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
        (self.access, self.refresh) = (text("accessToken"), text("refreshToken"));
    }

    async fn send(&self, query: &str, variables: Value) -> (StatusCode, Value) {
        let request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json")
            .header("authorization", format!("Bearer {}", self.access))
            .body(Body::from(json!({"query": query, "variables": variables}).to_string()));
        let response = self.app.router().oneshot(request.expect("a request")).await;
        let response = response.expect("a response");
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn ask(&self, query: &str, variables: Value) -> Value {
        let (status, mut body) = self.send(query, variables).await;
        assert!(
            status == StatusCode::OK && body["errors"].is_null(),
            "{status}: {body:#}"
        );
        body["data"].take()
    }

    /// What the server answers to a refresh, whether it arrives or not.
    async fn refreshing(&self) -> Option<Value> {
        let anyone = self.app.anyone();
        let (_, mut body) = anyone.send(REFRESH, json!({"token": self.refresh})).await;
        Some(body["data"]["refreshSession"]["tokens"].take()).filter(|tokens| !tokens.is_null())
    }

    /// As a client does it: again with what it has, until an answer arrives.
    async fn refreshed(&mut self) {
        let tokens = self.refreshing().await.expect("a session");
        self.holds(&tokens);
    }

    fn save(paper: &Paper, question: usize, seq: i64) -> Value {
        let (id, choices) = &paper.questions[question];
        json!({"attemptId": paper.attempt, "questionId": id, "choiceId": choices[0], "seq": seq})
    }
}

/// How often the audit log says that somebody has a copy of a token.
async fn suspicions(app: &TestApp) -> usize {
    app.count("SELECT 1 FROM audit_entries WHERE action = 'REFRESH_TOKEN_REUSED'")
        .await
}

on_both_databases! {
    async fn a_phone_in_a_tunnel_loses_no_answer_and_no_session(app: TestApp) {
        let quiz = app.quiz(6, |quiz| quiz.duration = 90 * MINUTE).await;
        let mut phone = Phone::registered(&app).await;
        let start = "mutation($id: ID!) { startAttempt(input: {quizId: $id}) {
            attempt { id questions { id choices { id } } } resumed } }";
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let started = phone.ask(start, json!({"id": quiz.encode()})).await["startAttempt"].take();
        let questions = started["attempt"]["questions"].as_array().expect("questions").iter();
        let questions = questions.map(|question| {
            let choices = question["choices"].as_array().expect("choices");
            (id(question), choices.iter().map(id).collect())
        });
        let paper = Paper { attempt: id(&started["attempt"]), questions: questions.collect() };
        let saved = phone.ask(SAVE, json!({"input": Phone::save(&paper, 0, 1)})).await["saveAnswer"].take();
        assert_eq!(saved["outcome"], "SAVED");

        // The access token expires, the phone refreshes, and the answer is lost in the tunnel. So are those to what it
        // tries there; other answers wait in its memory.
        for tunnel in [Duration::from_secs(31), 14 * MINUTE, 20 * MINUTE] {
            app.advance(15 * MINUTE);
            assert_eq!(phone.send("{ viewer { id } }", json!({})).await.0, StatusCode::UNAUTHORIZED);
            let lost = phone.refreshing().await.expect("the server has refreshed");
            app.advance(tunnel);
            let lost_too = phone.refreshing().await.expect("and again");
            assert_eq!(lost["refreshToken"], lost_too["refreshToken"]);
            phone.refreshed().await;
            assert_eq!(json!(phone.refresh), lost["refreshToken"]);
        }
        // An answer whose acknowledgement is lost is sent again, with those that waited.
        assert_eq!(phone.ask(SAVE, json!({"input": Phone::save(&paper, 1, 1)})).await["saveAnswer"]["outcome"], "SAVED");
        let waiting: Vec<_> = (1..5).map(|question| {
            let mut answer = Phone::save(&paper, question, 1);
            answer.as_object_mut().expect("an object").remove("attemptId");
            answer
        }).collect();
        let batch = json!({"input": {"attemptId": paper.attempt, "answers": waiting}});
        for outcomes in [["STALE", "SAVED", "SAVED", "SAVED"], ["STALE"; 4]] {
            let results = phone.ask(BATCH, batch.clone()).await["saveAnswers"]["results"].take();
            let expected: Vec<_> = outcomes.iter().map(|outcome| json!({"outcome": outcome})).collect();
            assert_eq!(results, json!(expected));
        }
        // The app was closed, and finds its attempt again.
        let again = phone.ask(start, json!({"id": quiz.encode()})).await["startAttempt"].take();
        assert_eq!((&again["resumed"], id(&again["attempt"])), (&json!(true), paper.attempt.clone()));

        let submit = json!({"input": {"attemptId": paper.attempt, "idempotencyKey": "the one submit"}});
        let lost = phone.ask(SUBMIT, submit.clone()).await["submitAttempt"].take();
        app.advance(31 * MINUTE);
        let lost_refresh = phone.refreshing().await;
        assert!(lost_refresh.is_some());
        app.advance(MINUTE);
        phone.refreshed().await;
        let submitted = phone.ask(SUBMIT, submit).await["submitAttempt"].take();
        assert_eq!(submitted, lost);
        assert_eq!(submitted["attempt"]["submittedBy"], "STUDENT");
        assert_eq!(submitted["attempt"]["result"], json!({"points": 5.0, "rightCount": 5, "blankCount": 1}));
        assert_eq!((suspicions(&app).await, submitted["errors"].clone()), (0, json!([])));
        assert_eq!(app.count("SELECT 1 FROM sessions WHERE revoked_at IS NULL").await, 1, "the one of its sign-in");
        app.verify().await;
    }

    async fn a_lost_refresh_is_repeated_however_late_and_used_again_only_by_a_thief(app: TestApp) {
        let mut phone = Phone::registered(&app).await;
        // As late as can be: the token was about to expire, and so is its successor when it is asked for again.
        app.advance(30 * DAY - Duration::from_micros(1));
        let lost = phone.refreshing().await.expect("refreshed in time");
        let (copy, unused) = (phone.clone(), lost["refreshToken"].clone());
        for wait in [MINUTE, DAY, 28 * DAY] {
            app.advance(wait);
            assert!(marmalade::account::session::purge(&app.app, &app.app.now()).await.is_ok());
            assert_eq!(phone.refreshing().await.expect("the same again")["refreshToken"], unused, "{wait:?}");
        }
        phone.refreshed().await;
        assert_eq!(json!(phone.refresh), unused);
        let sessions = phone.ask("{ viewer { sessions { totalCount } } }", json!({})).await;
        assert_eq!(sessions["viewer"]["sessions"]["totalCount"], 1, "it lasts as long as its tokens");
        assert_eq!(suspicions(&app).await, 0);

        // Once the successor was used, who comes with the old one has a copy: neither goes on.
        phone.refreshed().await;
        assert!(copy.refreshing().await.is_none());
        assert_eq!(suspicions(&app).await, 1);
        assert!(phone.refreshing().await.is_none());
        assert_eq!(phone.send("{ viewer { id } }", json!({})).await.0, StatusCode::UNAUTHORIZED);
    }

    async fn what_has_expired_is_not_refreshed(app: TestApp) {
        let phone = Phone::registered(&app).await;
        app.advance(30 * DAY);
        assert!(phone.refreshing().await.is_none());

        let mut phone = Phone { ..phone };
        let again = "mutation { signIn(input: {email: \"ada@example.com\", password: \"correct horse\", client: NATIVE}) {
            tokens { accessToken refreshToken } } }";
        let signed_in = app.anyone().ask(again, json!({})).await;
        phone.holds(&signed_in["signIn"]["tokens"]);
        assert!(phone.refreshing().await.is_some());
        app.advance(30 * DAY);
        assert!(phone.refreshing().await.is_none(), "the successor has expired, too");
        assert_eq!(suspicions(&app).await, 0);
    }
}
