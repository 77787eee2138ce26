//! A student takes a quiz against the clock.

use std::time::Duration;

use serde_json::json;

use crate::on_both_databases;

on_both_databases! {
    async fn a_student_takes_a_quiz_and_reads_the_review(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(4, |_| {}).await);
        let paper = ada.start(quiz).await;
        assert_eq!(ada.save(&paper, 0, 0, 1).await["outcome"], "SAVED");
        assert_eq!(ada.save(&paper, 1, 1, 1).await["outcome"], "SAVED");
        let result = ada.submit(&paper, "my first key").await;
        assert_eq!(
            result["attempt"]["result"],
            json!({"points": 1.0, "rightCount": 1, "wrongCount": 1, "blankCount": 2, "ranked": true})
        );
        let query = "query($id: ID!) { attempt(id: $id) { review { questions { outcome explanation right { text } } } } }";
        let data = ada.ask(query, json!({"id": paper.attempt})).await;
        let first = &data["attempt"]["review"]["questions"][0];
        assert_eq!(first, &json!({"outcome": "RIGHT", "explanation": "CANARY explanation 0", "right": {"text": "right"}}));
        app.verify().await;
    }

    async fn an_equal_or_lower_seq_changes_nothing(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        let paper = ada.start(quiz).await;
        ada.save(&paper, 0, 1, 5).await;
        for seq in [0, 1 << 31] {
            assert_eq!(ada.save(&paper, 0, 2, seq).await["errors"][0]["code"], "BAD_USER_INPUT", "{seq}");
        }
        for seq in [5, 4] {
            let stale = ada.save(&paper, 0, 2, seq).await;
            assert_eq!(stale["outcome"], "STALE");
            assert_eq!(stale["answer"], json!({"seq": 5, "choiceId": paper.questions[0].1[1]}));
        }
    }

    async fn the_grace_of_three_seconds_is_for_the_transport_and_flagged(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.start(quiz).await;
        app.advance(Duration::from_secs(3600 + 3));
        assert_eq!(ada.save(&paper, 0, 0, 1).await["outcome"], "SAVED");
        let result = ada.submit(&paper, "within the grace").await;
        assert_eq!((&result["attempt"]["submittedBy"], &result["attempt"]["late"]), (&json!("STUDENT"), &json!(true)));
        assert_eq!(result["attempt"]["result"]["rightCount"], 1);

        let (bob, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        let paper = bob.start(quiz).await;
        app.advance(Duration::from_secs(3600 + 3 + 1));
        let refused = bob.save(&paper, 0, 0, 1).await;
        assert_eq!(refused, json!({"outcome": null, "answer": null, "errors": [{"code": "ATTEMPT_EXPIRED"}]}));
        // Being told so has submitted it, and nothing of the refused save is in it.
        let query = "query($id: ID!) { attempt(id: $id) { state late result { rightCount blankCount } } }";
        let data = bob.ask(query, json!({"id": paper.attempt})).await;
        let result = json!({"rightCount": 0, "blankCount": 2});
        assert_eq!(data["attempt"], json!({"state": "SUBMITTED", "late": false, "result": result}));
    }

    async fn an_overdue_attempt_is_submitted_with_its_saved_answers(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.start(quiz).await;
        ada.save(&paper, 0, 0, 1).await;
        // An hour, the grace, and a second more. No worker runs.
        app.advance(Duration::from_secs(3600 + 3 + 1));
        let refused = ada.save(&paper, 1, 0, 1).await;
        assert_eq!(refused["errors"], json!([{"code": "ATTEMPT_EXPIRED"}]));
        let result = ada.submit(&paper, "too late a key").await;
        assert_eq!(result["errors"], json!([]));
        assert_eq!(result["attempt"]["submittedBy"], "CLOCK");
        assert_eq!(result["attempt"]["submittedAt"], "2026-11-23T11:00:00+00:00");
        assert_eq!(result["attempt"]["result"]["rightCount"], 1);
        app.verify().await;
    }

    async fn another_students_attempt_is_like_one_that_is_not_there(app: TestApp) {
        let (ada, bob, quiz) = (app.student().await, app.student().await, app.quiz(1, |_| {}).await);
        let paper = ada.start(quiz).await;
        let invented = marmalade::id::AttemptId(uuid::Uuid::now_v7()).encode();
        for query in ["query($id: ID!) { attempt(id: $id) { id } }", "query($id: ID!) { node(id: $id) { id } }"] {
            let theirs = bob.send(query, json!({"id": paper.attempt})).await;
            assert_eq!(theirs.1["errors"][0]["extensions"]["code"], "NOT_FOUND");
            assert_eq!(theirs, bob.send(query, json!({"id": invented})).await);
        }
    }

    async fn a_submit_takes_ten_statements_and_a_save_one(app: TestApp) {
        for questions in [5, 50] {
            let (ada, quiz) = (app.student().await, app.quiz(questions, |_| {}).await);
            let paper = ada.start(quiz).await;
            for question in 0..questions {
                let (statements, saved) = app.statements(ada.save(&paper, question, 0, 1)).await;
                assert_eq!((statements, &saved["outcome"]), (1, &json!("SAVED")));
            }
            let query = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { attempt { state } } }";
            let input = json!({"attemptId": paper.attempt, "idempotencyKey": "only one key"});
            let (statements, _) = app.statements(ada.ask(query, json!({"input": input}))).await;
            assert!(statements <= 12, "{statements} statements with BEGIN and COMMIT");
        }
    }

    async fn the_31st_answer_within_a_minute_is_refused(app: TestApp) {
        let app = app.restarted_with(|config| config.limits = Default::default()).await;
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        let paper = ada.start(quiz).await;
        for seq in 1..=30 {
            assert_eq!(ada.save(&paper, 0, 0, seq).await["outcome"], "SAVED");
            app.advance(Duration::from_secs(if seq == 30 { 1 } else { 2 }));
        }
        let query = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome } }";
        let (question, choices) = &paper.questions[0];
        let input = json!({"attemptId": paper.attempt, "questionId": question, "choiceId": choices[0], "seq": 31});
        // 59 seconds after the first: in one second the first is a minute old.
        let refused = ada.post(query, json!({"input": input})).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        app.advance(Duration::from_secs(1));
        assert_eq!(ada.save(&paper, 0, 0, 31).await["outcome"], "SAVED");
    }

    async fn aliases_in_one_request_are_counted_each(app: TestApp) {
        let app = app.restarted_with(|config| config.limits = Default::default()).await;
        let (ada, quiz) = (app.student().await, app.quiz(1, |_| {}).await);
        let paper = ada.start(quiz).await;
        let (question, choices) = &paper.questions[0];
        let saves: Vec<_> = (1..=31)
            .map(|seq| {
                let input = format!("attemptId: \"{}\", questionId: \"{question}\", choiceId: \"{}\", seq: {seq}",
                    paper.attempt, choices[0]);
                format!("a{seq}: saveAnswer(input: {{{input}}}) {{ outcome }}")
            })
            .collect();
        let (_, body) = ada.send(&format!("mutation {{ {} }}", saves.join(" ")), json!({})).await;
        assert_eq!(body["data"]["a30"]["outcome"], "SAVED");
        assert_eq!(body["data"]["a31"], json!(null));
        assert_eq!(body["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    }

    async fn a_paper_takes_three_statements_cold_and_none_once_known(app: TestApp) {
        let editor = app.actor(marmalade::auth::role::Role::Editor).await;
        for questions in [5, 50] {
            let quiz = app.quiz(questions, |_| {}).await;
            let query = "query($id: ID!) { quiz(id: $id) { title questions { text choices { text } } } }";
            for expected in [3, 0] {
                let (statements, _) = app.statements(editor.ask(query, json!({"id": quiz.encode()}))).await;
                assert_eq!(statements, expected);
            }
        }
    }

    async fn a_review_takes_two_statements_beside_the_cached_revision(app: TestApp) {
        for questions in [5, 50] {
            let (ada, quiz) = (app.student().await, app.quiz(questions, |_| {}).await);
            let paper = ada.take(quiz, 2).await;
            let query = "query($id: ID!) { attempt(id: $id) { review { questions { outcome explanation } } } }";
            ada.ask(query, json!({"id": paper.attempt})).await;
            let (statements, _) = app.statements(ada.ask(query, json!({"id": paper.attempt}))).await;
            assert_eq!(statements, 2);
        }
    }

    async fn a_page_takes_one_statement_and_one_per_kind_of_nested_object(app: TestApp) {
        let ada = app.student().await;
        for quizzes in [3, 30] {
            for _ in 0..quizzes {
                ada.take(app.quiz(1, |_| {}).await, 1).await;
            }
            let catalogue = "{ quizzes(first: 100) { nodes { title subject { name } } } }";
            assert_eq!(app.statements(ada.ask(catalogue, json!({}))).await.0, 2);
            let history = "{ viewer { attempts(first: 100) { nodes { quiz { title } result { points } answers { seq } } } } }";
            assert_eq!(app.statements(ada.ask(history, json!({}))).await.0, 5);
        }
    }
}
