//! A wrong key is mended, and everything that follows from it.

use std::time::Duration;

use marmalade::{auth::role::Role, id::QuizId};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    on_both_databases,
    support::{Actor, Paper, TestApp},
};

const CORRECT: &str = "mutation($question: ID!, $choice: ID!) { correctQuestion(input: {
    questionId: $question, choiceId: $choice, reason: \"It was the other one.\"}) { correction errors { code path } } }";
/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that this choice of the paper's question is the right one.
async fn correct(staff: &Actor, paper: &Paper, question: usize, choice: usize) -> Value {
    let (question, choices) = &paper.questions[question];
    staff
        .ask(CORRECT, json!({"question": question, "choice": choices[choice]}))
        .await["correctQuestion"]
        .take()
}

/// The points, the number of the correction, and what the first question came to.
async fn result(student: &Actor, paper: &Paper) -> Value {
    let query = "query($id: ID!) { attempt(id: $id) { result { points correction rightCount wrongCount }
        review { correction questions { outcome points } } } }";
    let attempt = student.ask(query, json!({"id": paper.attempt})).await["attempt"].take();
    json!([
        attempt["result"],
        attempt["review"]["correction"],
        attempt["review"]["questions"][0]["outcome"]
    ])
}

/// Once all results are scored by the newest key.
async fn regraded(app: &TestApp) {
    app.work();
    let wait = async {
        let old = "SELECT 1 FROM results r JOIN attempts a ON a.id = r.attempt_id JOIN revisions v ON v.id = a.revision_id \
                   WHERE r.correction < v.correction";
        while app.count(old).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("all are scored anew");
}

on_both_databases! {
    async fn a_correction_rescores_results_standings_and_dashboards(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(4, |_| {}).await);
        let (ada, bob) = (app.student().await, app.student().await);
        // The right choice is the first; the wrong ones are the second.
        let (of_ada, of_bob) = (ada.take(quiz, 4).await, bob.take(quiz, 0).await);
        assert_eq!((ada.rank("WEEK").await["points"].clone(), bob.rank("WEEK").await["rank"].clone()), (json!(4.0), json!(2)));

        let corrected = correct(&editor, &of_ada, 0, 1).await;
        assert_eq!(corrected, json!({"correction": 1, "errors": []}));
        let log = "{ auditLog(filter: {action: SCORE_CHANGED}) { nodes { before after } } }";
        let log = app.actor(Role::Admin).await.ask(log, json!({})).await["auditLog"]["nodes"].take();
        let (_, choices) = &of_ada.questions[0];
        let [before, after] = [(0, &choices[0]), (1, &choices[1])].map(|(n, right)| json!({"correction": n, "right": right}));
        assert_eq!(log, json!([{"before": before, "after": after}]));
        regraded(&app).await;
        let expected = |points: f64, right: i64, outcome: &str| {
            json!([{"points": points, "correction": 1, "rightCount": right, "wrongCount": 4 - right}, 1, outcome])
        };
        assert_eq!(result(&ada, &of_ada).await, expected(3.0, 3, "WRONG"));
        assert_eq!(result(&bob, &of_bob).await, expected(1.0, 1, "RIGHT"));
        for window in ["ALL_TIME", "MONTH", "WEEK", "DAY"] {
            assert_eq!(ada.rank(window).await, json!({"rank": 1, "points": 3.0}), "{window}");
            assert_eq!(bob.rank(window).await, json!({"rank": 2, "points": 1.0}), "{window}");
        }
        let total = "{ dashboard { total { attempts rightCount wrongCount points } } }";
        assert_eq!(bob.ask(total, json!({})).await["dashboard"]["total"],
            json!({"attempts": 1, "rightCount": 1, "wrongCount": 3, "points": 1.0}));
        app.verify().await;

        // Taken back, and who takes the quiz now is scored by the newest key at once.
        assert_eq!(correct(&editor, &of_ada, 0, 0).await["correction"], 2);
        regraded(&app).await;
        assert_eq!(ada.rank("WEEK").await, json!({"rank": 1, "points": 4.0}));
        let cyd = app.student().await;
        cyd.take(quiz, 4).await;
        assert_eq!(cyd.rank("WEEK").await["points"], 4.0);
        app.verify().await;
    }

    async fn the_best_result_may_be_another_after_a_correction(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let closes = app.app.now().at + Duration::from_secs(2 * 3600);
        let quiz = app.quiz(3, |quiz| {
            quiz.review_opens = marmalade::entity::quiz::ReviewOpens::AfterClose;
            quiz.closes_at = Some(closes);
        }).await;
        let first = ada.take(quiz, 2).await;
        app.advance(Duration::from_secs(3600));
        // All right but the first question.
        let second = ada.start(quiz).await;
        for (question, choice) in [(0, 1), (1, 0), (2, 1)] {
            ada.save(&second, question, choice, 1).await;
        }
        ada.submit(&second, "the second key").await;
        app.advance(Duration::from_secs(2 * 3600));
        assert!(marmalade::attempt::release::sweep(&app.app, &app.app.now()).await.is_ok());
        assert_eq!(ada.rank("DAY").await["points"], 2.0);
        // The second attempt becomes the better one: the first question's right choice is the second.
        assert_eq!(correct(&editor, &first, 0, 1).await["errors"], json!([]));
        regraded(&app).await;
        assert_eq!(ada.rank("DAY").await["points"], 2.0);
        app.verify().await;
        // And by another correction worth nothing at all.
        assert_eq!(correct(&editor, &first, 1, 1).await["errors"], json!([]));
        regraded(&app).await;
        assert_eq!(ada.rank("DAY").await["points"], 1.0);
        app.verify().await;
    }

    async fn submits_that_race_a_correction_end_up_with_its_key(app: TestApp) {
        let (editor, quiz): (_, QuizId) = (app.actor(Role::Editor).await, app.quiz(2, |_| {}).await);
        app.work();
        let mut papers = Vec::new();
        for _ in 0..20 {
            let student = app.student().await;
            let paper = student.start(quiz).await;
            student.save(&paper, 0, 1, 1).await;
            papers.push((student, paper));
        }
        let of_first = papers[0].1.clone();
        let submits = papers.into_iter().map(|(student, paper)| async move {
            let submitted = student.submit(&paper, "a key of eight").await;
            assert_eq!(submitted["errors"], json!([]));
        });
        let (_, corrected) = tokio::join!(futures_util::future::join_all(submits), correct(&editor, &of_first, 0, 1));
        assert_eq!(corrected["correction"], 1);
        regraded(&app).await;
        let right = "SELECT 1 FROM results WHERE correction = 1 AND right_count = 1";
        assert_eq!(app.count(right).await, 20);
        app.verify().await;
    }

    async fn what_is_no_correction_is_refused(app: TestApp) {
        let (editor, ada, quiz) = (app.actor(Role::Editor).await, app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.take(quiz, 1).await;
        let refused = json!({"correction": null, "errors": [{"code": "BAD_USER_INPUT", "path": ["input", "choiceId"]}]});
        assert_eq!(correct(&editor, &paper, 0, 0).await, refused, "right already");
        let of_another = json!({"question": paper.questions[0].0, "choice": paper.questions[1].1[0]});
        assert_eq!(editor.ask(CORRECT, of_another).await["correctQuestion"], refused, "another question's");
        assert_eq!(app.count("SELECT 1 FROM corrections").await, 0);
        assert_eq!(app.count("SELECT 1 FROM revisions WHERE correction <> 0").await, 0);
        // A job that comes twice, or for nothing, changes nothing.
        let revision = app.app.papers.quiz(app.app.db.read(), quiz).await.map(|published| published.revision.id);
        let revision = revision.unwrap_or_else(|_| panic!("a revision"));
        assert!(marmalade::attempt::regrade::regrade(&app.app, revision, &app.app.now()).await.is_ok());
        app.verify().await;
    }
}
