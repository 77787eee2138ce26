//! Fifty at once, behind a barrier. `ROUNDS` says how often; 200 is the measure, fewer are enough for every day.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll};

use futures_util::future::join_all;
use marmalade::db::Db;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    on_both_databases, on_two_servers_too,
    support::{Actor, TestApp},
};

const AT_ONCE: usize = 50;

fn rounds() -> usize {
    rounds_or(5)
}

/// How many rounds: so many on every day.
pub fn rounds_or(default: usize) -> usize {
    std::env::var("ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

/// Runs the tasks at the same time and returns what they came to.
async fn at_once<F: Future<Output = Value> + Send + 'static>(task: impl Fn(usize) -> F) -> Vec<Value> {
    let barrier = Arc::new(Barrier::new(AT_ONCE));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let (barrier, task) = (barrier.clone(), task(n));
            tokio::spawn(async move {
                barrier.wait().await;
                task.await
            })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.expect("the task ends"));
    }
    results
}

async fn submits(app: TestApp, key: impl Fn(usize) -> String + Send + Sync + Copy + 'static) -> (usize, usize) {
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..rounds() {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.start(quiz).await;
        ada.save(&paper, 0, 0, 1).await;
        let results = at_once(|n| {
            let (ada, paper): (Actor, _) = (ada.clone(), paper.clone());
            async move { ada.submit(&paper, &key(n)).await }
        })
        .await;
        for result in results {
            assert_eq!(result["attempt"]["result"]["points"], 1.0);
            if result["errors"] == json!([]) {
                accepted += 1
            } else {
                refused += 1
            }
        }
    }
    app.verify().await;
    (accepted, refused)
}

on_two_servers_too! {
    async fn fifty_submits_with_one_key_are_one(app: TestApp) {
        assert_eq!(submits(app, |_| "the same key".into()).await, (50 * rounds(), 0));
    }

    async fn fifty_submits_with_fifty_keys_are_one(app: TestApp) {
        assert_eq!(submits(app, |n| format!("key number {n}")).await, (rounds(), 49 * rounds()));
    }

    async fn every_acknowledged_save_is_scored(app: TestApp) {
        for _ in 0..rounds() {
            let (ada, quiz) = (app.student().await, app.quiz(49, |_| {}).await);
            let paper = ada.start(quiz).await;
            let results = at_once(|n| {
                let (ada, paper) = (ada.clone(), paper.clone());
                async move {
                    if n == 25 { ada.submit(&paper, "in between").await } else { ada.save(&paper, n.min(48), 0, 1 + n as i64).await }
                }
            })
            .await;
            // Questions 48 and 49 share the last question: count distinct questions.
            let saved: std::collections::BTreeSet<usize> = results
                .iter()
                .enumerate()
                .filter(|(_, result)| result["outcome"] == "SAVED")
                .map(|(n, _)| n.min(48))
                .collect();
            let result = ada.submit(&paper, "in between").await;
            assert_eq!(result["attempt"]["result"]["rightCount"], saved.len());
        }
        app.verify().await;
    }

    async fn fifty_starts_open_one_attempt(app: TestApp) {
        for _ in 0..rounds() {
            let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
            let results = at_once(|_| {
                let ada = ada.clone();
                async move { json!(ada.start(quiz).await.attempt) }
            })
            .await;
            assert!(results.iter().all(|attempt| attempt == &results[0]));
        }
    }

    async fn of_fifty_answers_to_one_question_the_highest_seq_stays(app: TestApp) {
        for _ in 0..rounds() {
            let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
            let paper = ada.start(quiz).await;
            at_once(|n| {
                let (ada, paper) = (ada.clone(), paper.clone());
                async move { ada.save(&paper, 0, n % 3, 1 + n as i64).await }
            })
            .await;
            let query = "query($id: ID!) { attempt(id: $id) { answers { seq choiceId } } }";
            let data = ada.ask(query, json!({"id": paper.attempt})).await;
            let highest = json!([{"seq": 50, "choiceId": paper.questions[0].1[49 % 3]}]);
            assert_eq!(data["attempt"]["answers"], highest);
        }
    }

    async fn ten_quizzes_of_one_student_are_submitted_at_once(app: TestApp) {
        let mut quizzes = Vec::new();
        for _ in 0..10 {
            quizzes.push(app.quiz(2, |_| {}).await);
        }
        for _ in 0..rounds() {
            let ada = app.student().await;
            let mut papers = Vec::new();
            for quiz in &quizzes {
                let paper = ada.start(*quiz).await;
                ada.save(&paper, 0, 0, 1).await;
                papers.push(paper);
            }
            let papers = Arc::new(papers);
            let results = at_once(|n| {
                let (ada, papers) = (ada.clone(), papers.clone());
                async move { ada.submit(&papers[n % 10], "one key a quiz").await }
            })
            .await;
            assert!(results.iter().all(|result| result["errors"] == json!([])));
            assert_eq!(ada.rank("ALL_TIME").await["points"], 10.0);
        }
        app.verify().await;
    }
}

/// Polls a future so often, and then gives it up.
async fn given_up(polls: usize, future: impl Future) {
    let (mut future, mut left) = (pin!(future), polls);
    let so_often = poll_fn(|context| match left {
        0 => Poll::Ready(()),
        _ => {
            left -= 1;
            future.as_mut().poll(context).map(drop)
        }
    });
    so_often.await;
}

on_both_databases! {
    #[expect(clippy::disallowed_methods, reason = "the beginning itself is what is given up")]
    async fn a_transaction_that_is_given_up_while_it_begins_is_nobody_elses(app: TestApp) {
        let db = &app.app.db;
        db.write().execute_unprepared("CREATE TABLE marks (mark INTEGER)").await.expect("a table");
        for round in 0..5 {
            for polls in 0..8 {
                given_up(polls, db.begin()).await;
            }
            // Over all connections.
            let marks = (0..16).map(|_| db.write().execute_unprepared("INSERT INTO marks VALUES (1)"));
            assert!(join_all(marks).await.iter().all(Result::is_ok));
            let other = match app.database_url() {
                Some(url) => Db::postgres(&url, 1, None).await,
                None => Db::existing_sqlite(&app.folder().join("marmalade.db")).await,
            };
            let other = other.unwrap_or_else(|_| panic!("a connection of its own"));
            let select = Statement::from_string(other.write().get_database_backend(), "SELECT 1 FROM marks");
            let seen = other.write().query_all_raw(select).await.expect("rows").len();
            assert_eq!(seen, 16 * (round + 1), "what was written is there for everybody");
            other.close().await.unwrap_or_else(|_| panic!("closes"));
        }
        let change = db.begin().await.unwrap_or_else(|_| panic!("begins"));
        change.commit().await.expect("commits");
    }
}
