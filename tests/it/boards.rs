//! Who stands where.

use serde_json::json;

use crate::on_both_databases;

on_both_databases! {
    async fn ranks_follow_a_submit_at_once_and_ties_share_one(app: TestApp) {
        let quiz = app.quiz(4, |_| {}).await;
        let (ada, bob, cyd, dan) = (app.student().await, app.student().await, app.student().await, app.student().await);
        ada.take(quiz, 2).await;
        assert_eq!(ada.rank("ALL_TIME").await, json!({"rank": 1, "points": 2.0}));
        bob.take(quiz, 3).await;
        cyd.take(quiz, 2).await;
        dan.take(quiz, 1).await;
        for (student, rank) in [(&bob, 1), (&ada, 2), (&cyd, 2), (&dan, 4)] {
            for window in ["ALL_TIME", "MONTH", "WEEK", "DAY"] {
                assert_eq!(student.rank(window).await["rank"], rank, "{window}");
            }
        }
        app.verify().await;
    }

    async fn nobody_climbs_by_reading_the_key(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 0).await;
        let before = ada.rank("ALL_TIME").await;
        ada.take(quiz, 3).await;
        assert_eq!(ada.rank("ALL_TIME").await, before);
        app.verify().await;
    }

    async fn the_dashboard_is_exact_and_takes_three_statements(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(4, |_| {}).await);
        let query = "{ dashboard { streakDays total { attempts rightCount accuracy }
            subjects { subject { name } } chapters { chapter { name } } recentAttempts { result { points } quiz { title } } } }";
        for attempts in 1..=10 {
            ada.take(quiz, 3).await;
            let (statements, data) = app.statements(ada.ask(query, json!({}))).await;
            assert_eq!(statements, 3);
            let total = &data["dashboard"]["total"];
            assert_eq!(total, &json!({"attempts": attempts, "rightCount": 3 * attempts, "accuracy": 0.75}));
            assert_eq!(data["dashboard"]["streakDays"], 1);
        }
        app.verify().await;
    }
}
