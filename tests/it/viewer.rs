//! What the graph knows of whoever asks: the account just signed in, a quiz's attempts, whether it may be started, and
//! what a saved answer belongs to.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use marmalade::{
    auth::role::Role,
    entity::{
        attempt::GRACE,
        quiz::{ResultOpens, ReviewOpens},
    },
    id::QuizId,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const HOUR: Duration = Duration::from_secs(3600);

const OUTLOOK: &str = "query($id: ID!) { quiz(id: $id) { viewerCanStart viewerStartObstacle viewerCanStartAt } }";

/// Whether somebody may start a quiz, why not, and from when, as the quiz says it; and it is what a start says.
async fn outlook(actor: &Actor, quiz: QuizId) -> (bool, Value, Value) {
    let id = json!({"id": quiz.encode()});
    let said = actor.ask(OUTLOOK, id.clone()).await["quiz"].take();
    let can = said["viewerCanStart"].as_bool().expect("it says");
    assert_eq!(can, said["viewerStartObstacle"].is_null());
    let start = "mutation($id: ID!) { startAttempt(input: {quizId: $id}) { errors { code } } }";
    let errors = actor.ask(start, id).await["startAttempt"]["errors"].take();
    let code = match said["viewerStartObstacle"].as_str() {
        None => json!([]),
        Some("NOT_OPEN_YET" | "CLOSED") => json!([{"code": "QUIZ_NOT_OPEN"}]),
        Some(other) => json!([{"code": other}]),
    };
    assert_eq!(errors, code, "{said}");
    (
        can,
        said["viewerStartObstacle"].clone(),
        said["viewerCanStartAt"].clone(),
    )
}

/// A time as the API writes it, so long after the start of the test.
fn at(app: &TestApp, after: Duration) -> Value {
    json!((app.app.now().at + after).to_utc().to_rfc3339())
}

/// The viewer's attempts and best attempt at a quiz.
async fn own(actor: &Actor, quiz: QuizId) -> Value {
    let query = "query($id: ID!) { quiz(id: $id) { viewerAttempts(first: 2) { totalCount nodes { number state } pageInfo { hasNextPage } }
        viewerBestAttempt { number result { points } student { id } } } }";
    actor.ask(query, json!({"id": quiz.encode()})).await["quiz"].take()
}

/// The data of a reply without a session or with somebody's.
async fn sign_in(actor: &Actor, handle: &str, selection: &str) -> Value {
    let query = format!(
        "mutation {{ signIn(input: {{email: \"{handle}@example.com\", password: \"correct horse\", client: NATIVE}}) {{
           errors {{ code }} viewer {{ {selection} }} }} }}"
    );
    let response = actor.post(&query, json!({})).await;
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    serde_json::from_slice(&body).expect("JSON")
}

on_both_databases! {
    async fn the_account_that_signs_in_is_the_viewer(app: TestApp) {
        let ada = app.register("ada").await;
        let whole = "__typename id handle role email emailConfirmedAt createdAt hiddenFromBoards avatar";
        let viewer = ada.ask(&format!("{{ viewer {{ {whole} }} }}"), json!({})).await["viewer"].take();
        assert_eq!((&viewer["__typename"], &viewer["email"]), (&json!("User"), &json!("ada@example.com")));
        // Without a session, and with that of somebody who may not read her address.
        for actor in [app.anyone(), app.student().await] {
            let reply = sign_in(&actor, "ada", whole).await;
            assert_eq!((&reply["data"]["signIn"]["viewer"], &reply["errors"]), (&viewer, &Value::Null));
        }
        // What is loaded for the request's own session is not there without one, and nobody else's with one.
        for (actor, code) in [(app.anyone(), "UNAUTHENTICATED"), (app.student().await, "FORBIDDEN")] {
            for list in ["sessions { nodes { id } }", "attempts { nodes { id } }"] {
                let reply = sign_in(&actor, "ada", &format!("id {list}")).await;
                let field = list.split(' ').next().expect("a field");
                assert_eq!(reply["errors"][0]["extensions"]["code"], code, "{reply}");
                assert!(reply["data"]["signIn"]["viewer"][field].is_null(), "{reply}");
            }
        }
        // Nor does another account become readable by it.
        let bob = app.register("bob").await;
        let query = "mutation { signIn(input: {email: \"ada@example.com\", password: \"correct horse\", client: NATIVE}) {
            viewer { email } } changed: updateAccount(input: {}) { user { id email } } }";
        let reply = bob.ask(query, json!({})).await;
        assert_eq!(reply["changed"]["user"]["id"], bob.id().encode());
        let wrong = "mutation { signIn(input: {email: \"ada@example.com\", password: \"wrong horse\"}) { viewer { id } errors { code } } }";
        let refused = app.anyone().ask(wrong, json!({})).await["signIn"].take();
        assert_eq!(refused, json!({"viewer": null, "errors": [{"code": "BAD_USER_INPUT"}]}));
    }

    async fn the_scalars_specification_is_where_the_schema_says(app: TestApp) {
        let request = Request::get("/scalars").body(Body::empty()).expect("a request");
        let response = app.router().oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/markdown; charset=utf-8");
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        assert_eq!(&body[..], include_bytes!("../../docs/scalars.md"));
        let url = "{ __type(name: \"Handle\") { specifiedByURL } }";
        assert_eq!(app.student().await.ask(url, json!({})).await["__type"]["specifiedByURL"], "/scalars#handle");
    }

    async fn a_quiz_says_whether_and_from_when_it_may_be_started(app: TestApp) {
        let ada = app.student().await;
        let nothing = (true, Value::Null, Value::Null);
        let open = app.quiz(1, |_| {}).await;
        assert_eq!(outlook(&ada, open).await, nothing);
        // The start has begun one, which would be resumed.
        assert_eq!(outlook(&ada, open).await, nothing);
        let opens = app.app.now().at + HOUR;
        let later = app.quiz(1, |quiz| quiz.opens_at = Some(opens)).await;
        let closes = app.app.now().at + 2 * HOUR;
        let spaced = app.quiz(1, |quiz| {
            quiz.duration = Duration::from_secs(60);
            quiz.cooldown = HOUR;
            quiz.closes_at = Some(closes);
        }).await;
        let once = app.quiz(1, |quiz| quiz.max_attempts = Some(1)).await;
        assert_eq!(outlook(&ada, later).await, (false, json!("NOT_OPEN_YET"), at(&app, HOUR)));
        ada.take(spaced, 1).await;
        ada.take(once, 1).await;
        assert_eq!(outlook(&ada, spaced).await, (false, json!("COOLDOWN"), at(&app, HOUR)));
        assert_eq!(outlook(&ada, once).await, (false, json!("ATTEMPTS_EXHAUSTED"), Value::Null));
        app.advance(HOUR);
        assert_eq!(outlook(&ada, later).await, nothing);
        // It begins one, which runs out after a minute; until somebody notices, another may be started only an hour later.
        assert_eq!(outlook(&ada, spaced).await, nothing);
        app.advance(Duration::from_secs(60) + GRACE + Duration::from_secs(1));
        // By then the quiz has closed.
        assert_eq!(outlook(&ada, spaced).await, (false, json!("COOLDOWN"), Value::Null));
        app.advance(HOUR);
        assert_eq!(outlook(&ada, spaced).await, (false, json!("CLOSED"), Value::Null));
        // Others have histories of their own, and who has none is told so by this field alone.
        assert_eq!(outlook(&app.student().await, once).await, nothing);
        let (_, body) = app.anyone().send("query($id: ID!) { quiz(id: $id) { id viewerCanStart viewerAttempts { totalCount } } }",
            json!({"id": once.encode()})).await;
        assert_eq!(body["data"]["quiz"]["id"], once.encode());
        assert_eq!(body["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn a_quiz_has_the_viewers_attempts_and_the_best_of_them(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(3, |_| {}).await);
        let nothing = json!({"viewerAttempts": {"totalCount": 0, "nodes": [], "pageInfo": {"hasNextPage": false}}, "viewerBestAttempt": null});
        assert_eq!(own(&ada, quiz).await, nothing);
        for right in [1, 3, 3] {
            ada.take(quiz, right).await;
            app.advance(Duration::from_secs(1));
        }
        let attempt = |number: i32| json!({"number": number, "state": "SUBMITTED"});
        let expected = json!({
            "viewerAttempts": {"totalCount": 3, "nodes": [attempt(3), attempt(2)], "pageInfo": {"hasNextPage": true}},
            "viewerBestAttempt": {"number": 2, "result": {"points": 3.0}, "student": {"id": ada.id().encode()}},
        });
        assert_eq!(own(&ada, quiz).await, expected);
        assert_eq!(own(&bob, quiz).await, nothing);
        assert_eq!(own(&app.actor(Role::Admin).await, quiz).await, nothing, "her attempts are not an admin's");
    }

    async fn the_best_attempt_is_one_whose_points_are_shown(app: TestApp) {
        let closes = app.app.now().at + HOUR;
        let ada = app.student().await;
        let mut quizzes = Vec::new();
        // Of the second kind the points of the first attempt are shown, however many more a later one has.
        for (opens, shown) in [(ResultOpens::WithReview, Value::Null), (ResultOpens::AfterSubmit, json!(1))] {
            let quiz = app.quiz(3, |quiz| {
                (quiz.review_opens, quiz.result_opens) = (ReviewOpens::AfterClose, Some(opens));
                quiz.closes_at = Some(closes);
            }).await;
            for right in [1, 2, 1] {
                ada.take(quiz, right).await;
                app.advance(Duration::from_secs(1));
            }
            assert_eq!(own(&ada, quiz).await["viewerBestAttempt"]["number"], shown);
            quizzes.push(quiz);
        }
        app.advance(HOUR + GRACE);
        for quiz in quizzes {
            assert_eq!(own(&ada, quiz).await["viewerBestAttempt"]["number"], 2);
        }
        app.verify().await;
    }

    async fn a_save_offers_its_attempt_and_an_answer_with_an_id(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.start(quiz).await;
        let (question, choices) = &paper.questions[0];
        let save = |choice: usize, seq: i64, more: &str| (
            format!("mutation($input: SaveAnswerInput!) {{ saveAnswer(input: $input) {{ outcome answer {{ id choiceId seq }} {more} }} }}"),
            json!({"input": {"attemptId": paper.attempt, "questionId": question, "choiceId": choices[choice], "seq": seq}}),
        );
        let (query, variables) = save(0, 1, "");
        let (statements, saved) = app.statements(ada.ask(&query, variables)).await;
        assert_eq!(statements, 1, "the attempt is loaded only for who selects it");
        let id = saved["saveAnswer"]["answer"]["id"].as_str().expect("an id").to_owned();
        let (query, variables) = save(1, 2, "attempt { id answers { id choiceId } }");
        let saved = ada.ask(&query, variables).await["saveAnswer"].take();
        assert_eq!(saved["answer"]["id"], id);
        assert_eq!(saved["attempt"], json!({"id": paper.attempt, "answers": [{"id": id, "choiceId": choices[1]}]}));
        let by_id = "query($id: ID!) { node(id: $id) { __typename ... on Answer { questionId choiceId seq } } }";
        let found = ada.ask(by_id, json!({"id": id})).await;
        assert_eq!(found["node"], json!({"__typename": "Answer", "questionId": question, "choiceId": choices[1], "seq": 2}));
        assert_eq!(bob.send(by_id, json!({"id": id})).await.1["errors"][0]["extensions"]["code"], "NOT_FOUND");
        let batch = "mutation($id: ID!, $answers: [AnswerInput!]!) { saveAnswers(input: {attemptId: $id, answers: $answers}) {
            results { answer { id } } attempt { answers { id } } errors { code } } }";
        let answers = json!([{"questionId": question, "choiceId": null, "seq": 3}]);
        let saved = ada.ask(batch, json!({"id": paper.attempt, "answers": answers})).await["saveAnswers"].take();
        assert_eq!(saved, json!({"results": [{"answer": {"id": id}}], "attempt": {"answers": [{"id": id}]}, "errors": []}));
        ada.submit(&paper, "the one key").await;
        let late = ada.ask(batch, json!({"id": paper.attempt, "answers": answers})).await["saveAnswers"].take();
        assert_eq!((&late["results"], &late["attempt"]["answers"]), (&json!([]), &json!([{"id": id}])));
    }
}
