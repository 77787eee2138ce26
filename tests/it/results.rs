//! What students see of a result, and when: reviews open after the grace of all, and until then nothing tells what was
//! right.

use std::time::Duration;

use marmalade::{
    attempt::release,
    auth::role::Role,
    change::Cause,
    entity::quiz::{ResultOpens, ReviewOpens},
    id::QuizId,
    quiz::author::{self, NewQuiz},
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, Paper, TestApp},
};

const HOUR: Duration = Duration::from_secs(3600);
const GRACE: Duration = Duration::from_secs(3);
const MICROSECOND: Duration = Duration::from_micros(1);

/// A quiz that closes in an hour, and opens its reviews then.
async fn closing(app: &TestApp, questions: usize, change: impl FnOnce(&mut NewQuiz)) -> QuizId {
    let closes = app.app.now().at + HOUR;
    let set = |quiz: &mut NewQuiz| {
        quiz.closes_at = Some(closes);
        quiz.review_opens = ReviewOpens::AfterClose;
        change(quiz);
    };
    app.quiz(questions, set).await
}

/// Takes a quiz with these choices.
async fn take(student: &Actor, quiz: QuizId, choices: &[usize]) -> (Paper, Value) {
    let paper = student.start(quiz).await;
    for (question, choice) in choices.iter().enumerate() {
        student.save(&paper, question, *choice, 1).await;
    }
    let submitted = student.submit(&paper, "the one key").await;
    assert_eq!(submitted["errors"], json!([]));
    (paper, submitted["attempt"]["result"].clone())
}

async fn attempt(student: &Actor, paper: &Paper, fields: &str) -> Value {
    let query = format!("query($id: ID!) {{ attempt(id: $id) {{ {fields} }} }}");
    student.ask(&query, json!({"id": paper.attempt})).await["attempt"].take()
}

async fn dashboard(student: &Actor) -> Value {
    let query = "{ dashboard { streakDays
        total { attempts withheldAttempts rightCount wrongCount points accuracy }
        subjects { progress { attempts rightCount points } } chapters { progress { attempts rightCount points } }
        days { day progress { attempts rightCount points } }
        recentAttempts { resultVisibility result { points rightCount } } } }";
    student.ask(query, json!({})).await["dashboard"].take()
}

async fn release(app: &TestApp) -> usize {
    let released = release::sweep(&app.app, &app.app.now()).await;
    released.unwrap_or_else(|_| panic!("it runs"))
}

on_both_databases! {
    async fn reviews_open_when_nobodys_answers_are_taken_any_more(app: TestApp) {
        let (ada, bob) = (app.student().await, app.student().await);
        let quiz = closing(&app, 2, |quiz| quiz.max_attempts = Some(1)).await;
        let (hers, _) = take(&ada, quiz, &[0, 1]).await;
        let his = bob.start(quiz).await;
        let reads = "query($id: ID!) { node(id: $id) { ... on Attempt { result { rightCount } review { questions {
            explanation right { id } } } } } }";
        let key = async || ada.ask(reads, json!({"id": hers.attempt})).await["node"].take();
        let closed = json!({"result": {"rightCount": null}, "review": null});

        // The accomplice's moment: the quiz has closed, and answers are still taken.
        app.advance(HOUR + Duration::from_millis(130));
        assert_eq!(key().await, closed);
        assert_eq!(dashboard(&ada).await["total"]["rightCount"], 0);
        assert_eq!(bob.save(&his, 0, 0, 1).await["outcome"], "SAVED");
        app.advance(GRACE - Duration::from_millis(130));
        assert_eq!(key().await, closed);
        assert_eq!(bob.save(&his, 0, 1, 2).await["outcome"], "SAVED");
        app.advance(MICROSECOND);
        assert_eq!(bob.save(&his, 0, 0, 3).await["errors"][0]["code"], "ATTEMPT_EXPIRED");
        let open = key().await;
        assert_eq!(open["result"]["rightCount"], 1);
        assert_eq!(open["review"]["questions"][0]["explanation"], "CANARY explanation 0");
        app.verify().await;
    }

    async fn reviews_wait_for_an_attempt_that_runs_past_the_closing(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, closing(&app, 2, |_| {}).await);
        let (hers, _) = take(&ada, quiz, &[0, 1]).await;
        let his = bob.start(quiz).await;
        // Staff close it half an hour earlier, under an attempt that keeps its deadline.
        let earlier = format!("UPDATE quizzes SET closes_at = closes_at - 1800000000 WHERE id = {}", app.literal(quiz.0));
        app.app.db.write().execute_unprepared(&earlier).await.expect("closed earlier");
        app.advance(HOUR / 2 + GRACE + MICROSECOND);
        assert_eq!(attempt(&ada, &hers, "review { correction }").await["review"], Value::Null);
        assert_eq!(bob.save(&his, 0, 0, 1).await["outcome"], "SAVED");
        bob.submit(&his, "the one key").await;
        assert_eq!(attempt(&ada, &hers, "review { correction }").await["review"], json!({"correction": 0}));
    }

    async fn attempts_without_end_find_nothing_out(app: TestApp) {
        let (ada, quiz) = (app.student().await, closing(&app, 3, |_| {}).await);
        let of_quiz = "query($id: ID!) { board(quizId: $id) { viewerStanding { points } standings { totalCount } } }";
        let mut told = Vec::new();
        let mut papers = Vec::new();
        // One answer is changed from attempt to attempt.
        for choices in [[0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 1, 1]] {
            let (paper, result) = take(&ada, quiz, &choices).await;
            let mut dashboard = dashboard(&ada).await;
            let attempts = dashboard["total"]["attempts"].take();
            let withheld = dashboard["total"]["withheldAttempts"].take();
            assert_eq!((attempts, withheld), (json!(papers.len() + 1), json!(papers.len() + 1)));
            let board = ada.ask(of_quiz, json!({"id": quiz.encode()})).await;
            told.push(json!([result, dashboard["total"], board, ada.rank("DAY").await]));
            assert_eq!(attempt(&ada, &paper, "ranked resultVisibility").await, json!({"ranked": true, "resultVisibility": "HIDDEN"}));
            papers.push(paper);
            app.advance(Duration::from_secs(1));
            app.verify().await;
        }
        assert!(told.iter().all(|each| *each == told[0]), "{told:#?}");
        assert_eq!(told[0][0], Value::Null);

        app.advance(HOUR + GRACE + MICROSECOND);
        // No job has run: what is hers does not wait for one. Her place on the boards follows.
        let shown = dashboard(&ada).await;
        assert_eq!(shown["total"], json!({"attempts": 4, "withheldAttempts": 0, "rightCount": 7, "wrongCount": 5, "points": 7.0, "accuracy": 7.0 / 12.0}));
        assert_eq!(shown["recentAttempts"][0], json!({"resultVisibility": "FULL", "result": {"points": 0.0, "rightCount": 0}}));
        assert_eq!(attempt(&ada, &papers[1], "result { points rightCount }").await["result"], json!({"points": 2.0, "rightCount": 2}));
        assert_eq!(release(&app).await, 1);
        assert_eq!(dashboard(&ada).await, shown);
        assert_eq!(ada.rank("DAY").await, json!({"rank": 1, "points": 3.0}));
        assert_eq!(release(&app).await, 0, "once");
        app.verify().await;
    }

    async fn a_quiz_may_show_the_points_of_the_first_attempt_at_once(app: TestApp) {
        let ada = app.student().await;
        let quiz = closing(&app, 3, |quiz| quiz.result_opens = Some(ResultOpens::AfterSubmit)).await;
        let reason = async || {
            let query = "query($id: ID!) { quiz(id: $id) { resultOpens unrankedReason } }";
            ada.ask(query, json!({"id": quiz.encode()})).await["quiz"].take()
        };
        assert_eq!(reason().await, json!({"resultOpens": "AFTER_SUBMIT", "unrankedReason": null}));
        let (first, result) = take(&ada, quiz, &[0, 0, 1]).await;
        assert_eq!(result, json!({"points": 2.0, "rightCount": null, "wrongCount": null, "blankCount": null, "ranked": true}));
        assert_eq!(ada.rank("WEEK").await, json!({"rank": 1, "points": 2.0}));
        let hidden = dashboard(&ada).await;
        assert_eq!(hidden["total"], json!({"attempts": 1, "withheldAttempts": 1, "rightCount": 0, "wrongCount": 0, "points": 0.0, "accuracy": null}));
        assert_eq!((&hidden["streakDays"], &hidden["days"][0]["progress"]["attempts"]), (&json!(1), &json!(1)));
        assert_eq!(hidden["recentAttempts"], json!([{"resultVisibility": "POINTS", "result": {"points": 2.0, "rightCount": null}}]));
        app.verify().await;

        // Whoever has seen points may practise, and sees no more of them.
        assert_eq!(reason().await["unrankedReason"], "RESULT_SEEN");
        let (second, result) = take(&ada, quiz, &[0, 0, 0]).await;
        assert_eq!(result, Value::Null);
        assert_eq!(attempt(&ada, &second, "ranked").await["ranked"], false);
        assert_eq!(ada.rank("WEEK").await["points"], 2.0);
        app.verify().await;

        app.advance(HOUR + GRACE + MICROSECOND);
        assert_eq!(release(&app).await, 1);
        assert_eq!(ada.rank("WEEK").await, json!({"rank": 1, "points": 2.0}));
        assert_eq!(attempt(&ada, &first, "result { rightCount }").await["result"]["rightCount"], 2);
        assert_eq!(dashboard(&ada).await["total"]["rightCount"], 5);
        app.verify().await;
    }

    async fn the_last_attempt_opens_all_in_its_own_transaction(app: TestApp) {
        let ada = app.student().await;
        let quiz = app.quiz(3, |quiz| {
            quiz.review_opens = ReviewOpens::AfterLastAttempt;
            quiz.max_attempts = Some(3);
        }).await;
        let (first, _) = take(&ada, quiz, &[0, 0, 0]).await;
        app.advance(Duration::from_secs(86_400));
        take(&ada, quiz, &[1, 1, 1]).await;
        assert_eq!(dashboard(&ada).await["total"]["withheldAttempts"], 2);
        assert!(ada.rank("ALL_TIME").await.is_null());
        let last = ada.start(quiz).await;
        ada.save(&last, 0, 0, 1).await;
        let query = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { attempt { state } } }";
        let input = json!({"attemptId": last.attempt, "idempotencyKey": "only one key"});
        let (statements, _) = app.statements(ada.ask(query, json!({"input": input}))).await;
        assert!(statements <= 13, "{statements} statements with BEGIN, COMMIT and the look at the attempt");
        assert_eq!(ada.rank("ALL_TIME").await, json!({"rank": 1, "points": 3.0}));
        assert_eq!(ada.rank("DAY").await, json!({"rank": 1, "points": 1.0}), "the best of the day");
        let total = dashboard(&ada).await["total"].take();
        assert_eq!((&total["withheldAttempts"], &total["rightCount"]), (&json!(0), &json!(4)));
        assert_eq!(attempt(&ada, &first, "result { rightCount } review { correction }").await, json!({"result": {"rightCount": 3}, "review": {"correction": 0}}));
        app.verify().await;
    }

    async fn a_dashboard_with_withheld_results_takes_three_statements(app: TestApp) {
        let ada = app.student().await;
        for quizzes in [2, 8] {
            for _ in 0..quizzes {
                take(&ada, closing(&app, 2, |_| {}).await, &[0, 1]).await;
            }
            let (statements, shown) = app.statements(dashboard(&ada)).await;
            assert_eq!((statements, &shown["total"]["rightCount"]), (3, &json!(0)));
        }
        app.verify().await;
    }

    async fn a_correction_meets_withheld_results(app: TestApp) {
        let (editor, ada, quiz) = (app.actor(Role::Editor).await, app.student().await, closing(&app, 3, |_| {}).await);
        let (paper, _) = take(&ada, quiz, &[1, 0, 0]).await;
        let correct = "mutation($question: ID!, $choice: ID!) { correctQuestion(input: {
            questionId: $question, choiceId: $choice, reason: \"It was the other one.\"}) { errors { code } } }";
        let (question, choices) = &paper.questions[0];
        editor.ask(correct, json!({"question": question, "choice": choices[1]})).await;
        app.work();
        app.idle().await;
        assert_eq!(app.count("SELECT 1 FROM results WHERE correction = 1 AND right_count = 3").await, 1);
        assert_eq!(dashboard(&ada).await["total"]["rightCount"], 0);
        assert!(ada.rank("DAY").await.is_null());
        app.verify().await;
        app.advance(HOUR + GRACE + MICROSECOND);
        release(&app).await;
        assert_eq!(ada.rank("DAY").await["points"], 3.0);
        assert_eq!(dashboard(&ada).await["total"]["rightCount"], 3);
        app.verify().await;
    }

    async fn verify_finds_a_fault_among_withheld_results(app: TestApp) {
        let (ada, quiz) = (app.student().await, closing(&app, 2, |_| {}).await);
        take(&ada, quiz, &[0, 1]).await;
        app.verify().await;
        for fault in [
            "UPDATE withheld_rollups SET right_count = right_count + 1 WHERE kind = 'DAY'",
            "DELETE FROM withheld_rollups WHERE kind = 'CHAPTER'",
            "UPDATE results SET visibility = 'POINTS'",
            "UPDATE results SET visibility = 'FULL'",
        ] {
            let findings = async || marmalade::ops::verify::verify(&app.app).await.map(|found| found.len()).ok();
            let before = findings().await;
            app.app.db.write().execute_unprepared(fault).await.expect("a fault");
            assert_ne!(findings().await, before, "{fault}");
        }
    }

    async fn staff_see_results_and_reviews_at_once(app: TestApp) {
        let (editor, ada, quiz) = (app.actor(Role::Editor).await, app.student().await, closing(&app, 2, |_| {}).await);
        let (paper, _) = take(&ada, quiz, &[0, 1]).await;
        let read = attempt(&editor, &paper, "resultVisibility result { rightCount } review { correction }").await;
        assert_eq!(read, json!({"resultVisibility": "FULL", "result": {"rightCount": 1}, "review": {"correction": 0}}));
    }

    async fn a_quiz_whose_reviews_would_never_open_is_not_published(app: TestApp) {
        for (review_opens, max_attempts) in [(ReviewOpens::AfterClose, Some(1)), (ReviewOpens::AfterLastAttempt, None)] {
            let draft = app.draft(1, |quiz| {
                quiz.review_opens = review_opens;
                quiz.max_attempts = max_attempts;
            }).await;
            let published = author::publish(&app.app, draft, &Cause::clock(&app.app.now())).await;
            assert!(matches!(published, Err(marmalade::error::Error::User(_))));
        }
    }
}
