//! Attempts with an order of their own.

use marmalade::{
    auth::role::Role,
    entity::question::Kind,
    id::QuizId,
    quiz::{author::NewQuestion, right::Right},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::{
    kinds::{question, quiz},
    on_both_databases,
    support::{Actor, TestApp},
};

const QUESTIONS: &str = "query($id: ID!) { attempt(id: $id) { questions { id number choices { id text } } } }";
const REVIEW: &str = "query($id: ID!) { attempt(id: $id) {
    review { questions { outcome right { text } question { id number choices { id text } } } } } }";
const START: &str = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) { resumed
    attempt { questions { id number choices { id text } } } } }";

fn questions(count: usize) -> Vec<NewQuestion> {
    let one = |n: usize| {
        let true_false = n % 5 == 4;
        match true_false {
            true => question(Kind::TrueFalse, &["true", "false"], Right::one(0)),
            false => question(Kind::SingleChoice, &["right", "b", "c", "d", "e"], Right::one(0)),
        }
    };
    (0..count).map(one).collect()
}

async fn shuffled(app: &TestApp, count: usize) -> QuizId {
    quiz(app, &questions(count), |quiz| {
        quiz.shuffle_questions = true;
        quiz.shuffle_choices = true;
    })
    .await
}

async fn seen(student: &Actor, attempt: &str) -> Value {
    student.ask(QUESTIONS, json!({"id": attempt})).await["attempt"]["questions"].take()
}

fn texts(question: &Value) -> Vec<String> {
    let choices = question["choices"].as_array().expect("choices").iter();
    choices
        .map(|choice| choice["text"].as_str().expect("a text").to_owned())
        .collect()
}

on_both_databases! {
    async fn every_attempt_has_an_order_of_its_own_and_keeps_it_into_the_review(app: TestApp) {
        let quiz = shuffled(&app, 20).await;
        let editor = app.actor(Role::Editor).await;
        let published = "query($id: ID!) { quiz(id: $id) { questions { id number choices { id text } } } }";
        let published = async |app: &TestApp| {
            app.at(&editor).ask(published, json!({"id": quiz.encode()})).await["quiz"]["questions"].take()
        };
        let of_revision = published(&app).await;
        let numbers = |questions: &Value| -> Vec<i64> {
            questions.as_array().expect("questions").iter().map(|q| q["number"].as_i64().expect("a number")).collect()
        };
        let mut orders = vec![of_revision.clone()];
        for _ in 0..3 {
            let student = app.student().await;
            let paper = student.start(quiz).await;
            let order = seen(&student, &paper.attempt).await;
            assert_eq!(numbers(&order), (1..=20).collect::<Vec<_>>());
            assert!(!orders.contains(&order), "an order of its own");
            orders.push(order.clone());
            // The same set of questions, each with the same set of choices.
            let sorted = |questions: &Value| {
                let questions = questions.as_array().expect("questions").iter();
                let mut all: Vec<_> = questions.map(|question| {
                    let mut choices = texts(question);
                    choices.sort_unstable();
                    (question["id"].to_string(), choices)
                }).collect();
                all.sort_unstable();
                all
            };
            assert_eq!(sorted(&order), sorted(&of_revision));
            for question in order.as_array().expect("questions") {
                let choices = texts(question);
                assert!(choices.len() == 5 || choices == ["true", "false"], "{choices:?}");
            }
            // Resumed, on another server, and after answers: always the same.
            let again = student.ask(START, json!({"quiz": quiz.encode()})).await["startAttempt"].take();
            assert_eq!((&again["resumed"], &again["attempt"]["questions"]), (&json!(true), &order));
            let elsewhere = app.restarted_with(|_| {}).await;
            assert_eq!(seen(&elsewhere.at(&student), &paper.attempt).await, order);
            // The first half right, wherever the right choice stands.
            for (n, question) in order.as_array().expect("questions").iter().enumerate() {
                let choices = texts(question);
                let right = choices.iter().position(|text| text == "right" || text == "true").expect("a right one");
                let chosen = if n < 10 { right } else { (right + 1) % choices.len() };
                assert_eq!(student.save(&paper, n, chosen, 1).await["outcome"], "SAVED");
            }
            let result = student.submit(&paper, "the one key").await;
            assert_eq!(result["attempt"]["result"]["rightCount"], 10);
            let review = elsewhere.at(&student).ask(REVIEW, json!({"id": paper.attempt})).await;
            let review = review["attempt"]["review"]["questions"].as_array().expect("questions").clone();
            let reviewed: Value = review.iter().map(|reviewed| reviewed["question"].clone()).collect();
            assert_eq!(reviewed, order);
            let outcomes: Vec<_> = review.iter().map(|reviewed| reviewed["outcome"] == "RIGHT").collect();
            assert_eq!(outcomes, (0..20).map(|n| n < 10).collect::<Vec<_>>());
            // Staff see the attempt as its student did, and the quiz as it was published.
            assert_eq!(seen(&editor, &paper.attempt).await, order);
            assert_eq!(published(&app).await, of_revision);
        }
        app.verify().await;
    }

    async fn what_is_not_to_be_shuffled_is_not(app: TestApp) {
        let plain = quiz(&app, &questions(20), |_| {}).await;
        let only_questions = quiz(&app, &questions(20), |quiz| quiz.shuffle_questions = true).await;
        let only_choices = quiz(&app, &questions(20), |quiz| quiz.shuffle_choices = true).await;
        let ada = app.student().await;
        let editor = app.actor(Role::Editor).await;
        for (quiz, questions, choices) in [(plain, false, false), (only_questions, true, false), (only_choices, false, true)] {
            let paper = ada.start(quiz).await;
            let order = seen(&ada, &paper.attempt).await;
            let published = "query($id: ID!) { quiz(id: $id) { questions { id } } }";
            let published = editor.ask(published, json!({"id": quiz.encode()})).await["quiz"]["questions"].take();
            let ids: Value = order.as_array().expect("questions").iter().map(|q| json!({"id": q["id"]})).collect();
            assert_eq!(ids != published, questions);
            let moved = |question: &Value| !["right", "true"].contains(&&*texts(question)[0]);
            assert_eq!(order.as_array().expect("questions").iter().any(moved), choices);
            let review = "query($id: ID!) { node(id: $id) { ... on Question { number } } }";
            let number = ada.ask(review, json!({"id": published[2]["id"]})).await;
            assert_eq!(number["node"]["number"], 3, "by itself it stands where the quiz has it");
        }
    }

    async fn an_attempt_that_a_server_of_the_release_before_began_has_the_order_of_the_quiz(app: TestApp) {
        let (ada, quiz) = (app.student().await, shuffled(&app, 10).await);
        let paper = ada.start(quiz).await;
        app.app.db.write().execute_unprepared("UPDATE attempts SET seed = NULL").await.expect("a change by hand");
        let order = seen(&ada, &paper.attempt).await;
        for (n, question) in order.as_array().expect("questions").iter().enumerate() {
            assert_eq!(question["number"], n as i64 + 1);
            assert!(["right", "true"].contains(&&*texts(question)[0]));
        }
    }
}
