//! Questions of every kind: answered in their form, scored, reviewed and corrected.

use std::time::Duration;

use futures_util::future::join_all;
use marmalade::{
    auth::role::Role,
    change::Cause,
    entity::question::Kind,
    id::QuizId,
    quiz::{
        author::{self, NewQuestion, NewQuiz},
        right::{Choices, Number, Right, decimal},
    },
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const START: &str = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) {
    attempt { id questions { id kind choices { id text } } } errors { code } } }";
const SAVE: &str = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) {
    outcome answer { choiceId choiceIds number seq } errors { code path } } }";
const SAVE_ALL: &str = "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) {
    results { outcome answer { choiceId choiceIds number seq } } errors { code path } } }";
const CORRECT: &str = "mutation($input: CorrectQuestionInput!) { correctQuestion(input: $input) {
    correction errors { code path } } }";
const REVIEW: &str =
    "query($id: ID!) { attempt(id: $id) { result { rightCount wrongCount blankCount points correction }
    review { questions { outcome chosen { text } right { text } chosenChoices { text } rightChoices { text }
        chosenNumber rightNumber tolerance } } } }";

fn number(value: &str, tolerance: &str) -> Right {
    let read = |text| decimal(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    Right::Number(Number {
        value: read(value),
        tolerance: read(tolerance),
    })
}

/// One question of each kind.
fn each_kind() -> Vec<NewQuestion> {
    let four = ["a", "b", "c", "d"].as_slice();
    vec![
        question(Kind::SingleChoice, four, Right::one(1)),
        question(Kind::AllChoices, four, Right::Choices(Choices::of([0, 2]))),
        question(Kind::AnyChoice, four, Right::Choices(Choices::of([2, 3]))),
        question(Kind::TrueFalse, &["true", "false"], Right::one(0)),
        question(Kind::Number, &[], number("9.81", "0.01")),
    ]
}

pub(crate) fn question(kind: Kind, choices: &[&str], right: Right) -> NewQuestion {
    NewQuestion {
        chapter: Some(format!("{kind:?}")),
        text: format!("{kind:?}?").into(),
        image: None,
        picture: None,
        choices: choices.iter().map(|choice| (*choice).into()).collect(),
        kind,
        right,
        explanation: None,
    }
}

/// A published quiz of these questions.
pub(crate) async fn quiz(app: &TestApp, questions: &[NewQuestion], change: impl FnOnce(&mut NewQuiz)) -> QuizId {
    let now = app.app.now();
    let mut quiz = NewQuiz::titled("Kinds", 60);
    change(&mut quiz);
    let made = async {
        let mut change = app.change().await;
        let subject = author::subject(&change, "Physics", &now).await?;
        let quiz = author::draft(&change, subject, quiz, questions, &now).await?;
        author::publish_in(&mut change, quiz).await?;
        change.commit().await?;
        Ok::<_, marmalade::error::Error>(quiz)
    };
    made.await.unwrap_or_else(|error| panic!("{}", error.describe()))
}

/// An attempt in the hands of a client that knows kinds.
struct Paper<'a> {
    student: &'a Actor,
    attempt: String,
    questions: Vec<(String, Vec<String>)>,
}

impl<'a> Paper<'a> {
    async fn start(student: &'a Actor, quiz: QuizId) -> Self {
        let data = student.ask(START, json!({"quiz": quiz.encode()})).await;
        let attempt = &data["startAttempt"]["attempt"];
        let id = |value: &Value| value["id"].as_str().expect("an id").to_owned();
        let question = |question: &Value| {
            let choices = question["choices"].as_array().expect("choices").iter().map(id);
            (id(question), choices.collect())
        };
        Self {
            student,
            attempt: id(attempt),
            questions: attempt["questions"]
                .as_array()
                .expect("questions")
                .iter()
                .map(question)
                .collect(),
        }
    }

    fn choice(&self, question: usize, choice: usize) -> &str {
        &self.questions[question].1[choice]
    }

    fn choices(&self, question: usize, choices: &[usize]) -> Value {
        choices
            .iter()
            .map(|choice| json!(self.choice(question, *choice)))
            .collect()
    }

    /// Saves an answer, given by the fields of its form.
    async fn save(&self, question: usize, form: Value, seq: i64) -> Value {
        self.student
            .ask(SAVE, json!({"input": self.input(question, form, seq)}))
            .await["saveAnswer"]
            .take()
    }

    fn input(&self, question: usize, form: Value, seq: i64) -> Value {
        let mut input = form;
        input["attemptId"] = json!(self.attempt);
        input["questionId"] = json!(self.questions[question].0);
        input["seq"] = json!(seq);
        input
    }

    /// Saves what is right of each kind.
    async fn save_all_right(&self) {
        let forms = [
            json!({"choiceId": self.choice(0, 1)}),
            json!({"choiceIds": self.choices(1, &[2, 0])}),
            json!({"choiceId": self.choice(2, 3)}),
            json!({"choiceId": self.choice(3, 0)}),
            json!({"number": "9.820"}),
        ];
        for (question, form) in forms.into_iter().enumerate() {
            let saved = self.save(question, form, 1).await;
            assert_eq!(saved["outcome"], "SAVED", "{question}: {saved}");
        }
    }

    async fn submit(&self) {
        let query = "mutation($id: ID!) { submitAttempt(input: {attemptId: $id, idempotencyKey: \"the one key\"}) {
            errors { code } } }";
        let submitted = self.student.ask(query, json!({"id": self.attempt})).await;
        assert_eq!(submitted["submitAttempt"]["errors"], json!([]));
    }

    async fn review(&self) -> Value {
        self.student.ask(REVIEW, json!({"id": self.attempt})).await["attempt"].take()
    }

    async fn outcomes(&self) -> Vec<String> {
        let review = self.review().await;
        let questions = review["review"]["questions"].as_array().expect("questions");
        let outcome = |question: &Value| question["outcome"].as_str().expect("an outcome").to_owned();
        questions.iter().map(outcome).collect()
    }
}

async fn regraded(app: &TestApp) {
    app.work();
    let old = "SELECT 1 FROM results r JOIN attempts a ON a.id = r.attempt_id JOIN revisions v ON v.id = a.revision_id \
               WHERE r.correction < v.correction";
    let wait = async {
        while app.count(old).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), wait)
        .await
        .expect("all are scored anew");
}

async fn by_hand(app: &TestApp, statement: &str) {
    app.app
        .db
        .write()
        .execute_unprepared(statement)
        .await
        .expect("a change by hand");
}

on_both_databases! {
    async fn each_kind_is_answered_in_its_form_scored_and_reviewed(app: TestApp) {
        let (ada, quiz) = (app.student().await, quiz(&app, &each_kind(), |_| {}).await);
        let paper = Paper::start(&ada, quiz).await;
        let kinds = "query($id: ID!) { attempt(id: $id) { questions { kind choices { id } } } }";
        let kinds = ada.ask(kinds, json!({"id": paper.attempt})).await["attempt"]["questions"].take();
        let kinds: Vec<_> = kinds.as_array().expect("questions").iter()
            .map(|question| (question["kind"].clone(), question["choices"].as_array().map(Vec::len))).collect();
        assert_eq!(kinds, [
            (json!("SINGLE_CHOICE"), Some(4)), (json!("ALL_CHOICES"), Some(4)), (json!("ANY_CHOICE"), Some(4)),
            (json!("TRUE_FALSE"), Some(2)), (json!("NUMBER"), Some(0))]);
        paper.save_all_right().await;

        let answers = "query($id: ID!) { attempt(id: $id) { answers { questionId choiceId choiceIds number } } }";
        let (statements, data) = app.statements(ada.ask(answers, json!({"id": paper.attempt}))).await;
        assert!(statements <= 4, "{statements}");
        let answers = data["attempt"]["answers"].as_array().expect("answers");
        let answer = |question: usize| {
            answers.iter().find(|answer| answer["questionId"] == json!(paper.questions[question].0)).expect("an answer")
        };
        let one = |choice: &str| json!([choice]);
        assert_eq!(answer(0)["choiceIds"], one(paper.choice(0, 1)));
        assert_eq!((&answer(1)["choiceId"], &answer(1)["choiceIds"]), (&Value::Null, &paper.choices(1, &[0, 2])));
        assert_eq!((&answer(2)["choiceId"], &answer(2)["number"]), (&json!(paper.choice(2, 3)), &Value::Null));
        assert_eq!((&answer(4)["number"], &answer(4)["choiceIds"]), (&json!("9.820"), &json!([])));

        let (statements, ()) = app.statements(paper.submit()).await;
        assert!(statements <= 12, "{statements}");
        let review = paper.review().await;
        assert_eq!(review["result"],
            json!({"rightCount": 5, "wrongCount": 0, "blankCount": 0, "points": 5.0, "correction": 0}));
        let text = |text: &str| json!({"text": text});
        let reviewed = &review["review"]["questions"];
        assert_eq!(reviewed[0], json!({"outcome": "RIGHT", "chosen": text("b"), "right": text("b"),
            "chosenChoices": [text("b")], "rightChoices": [text("b")],
            "chosenNumber": null, "rightNumber": null, "tolerance": null}));
        assert_eq!(reviewed[1], json!({"outcome": "RIGHT", "chosen": null, "right": null,
            "chosenChoices": [text("a"), text("c")], "rightChoices": [text("a"), text("c")],
            "chosenNumber": null, "rightNumber": null, "tolerance": null}));
        assert_eq!(reviewed[2]["rightChoices"], json!([text("c"), text("d")]));
        assert_eq!(reviewed[4], json!({"outcome": "RIGHT", "chosen": null, "right": null, "chosenChoices": [],
            "rightChoices": [], "chosenNumber": "9.820", "rightNumber": "9.81", "tolerance": "0.01"}));
        assert_eq!(ada.rank("WEEK").await, json!({"rank": 1, "points": 5.0}));
        app.verify().await;

        // Others know a part: a part of all choices is wrong, and so is a number that is too far off.
        let bob = app.student().await;
        let paper = Paper::start(&bob, quiz).await;
        for (question, form) in [
            (0, json!({"choiceId": paper.choice(0, 0)})),
            (1, json!({"choiceIds": paper.choices(1, &[0])})),
            (2, json!({"choiceId": paper.choice(2, 2)})),
            (4, json!({"number": "9.8201"})),
        ] {
            assert_eq!(paper.save(question, form, 1).await["outcome"], "SAVED");
        }
        paper.submit().await;
        assert_eq!(paper.outcomes().await, ["WRONG", "WRONG", "RIGHT", "BLANK", "WRONG"]);
        assert_eq!(bob.rank("WEEK").await, json!({"rank": 2, "points": 1.0}));
        let total = "{ dashboard { total { rightCount wrongCount blankCount } } }";
        assert_eq!(bob.ask(total, json!({})).await["dashboard"]["total"],
            json!({"rightCount": 1, "wrongCount": 3, "blankCount": 1}));
        app.verify().await;
    }

    async fn an_answer_in_the_wrong_form_is_refused_with_what_to_do(app: TestApp) {
        let (ada, quiz) = (app.student().await, quiz(&app, &each_kind(), |_| {}).await);
        let paper = Paper::start(&ada, quiz).await;
        let refused = |argument: &str| json!({"outcome": null, "answer": null,
            "errors": [{"code": "BAD_USER_INPUT", "path": ["input", argument]}]});
        for question in [0, 2, 3] {
            let one = paper.choices(question, &[0]);
            assert_eq!(paper.save(question, json!({"choiceIds": one}), 1).await, refused("choiceIds"), "{question}");
            assert_eq!(paper.save(question, json!({"number": "1"}), 1).await, refused("number"), "{question}");
        }
        assert_eq!(paper.save(1, json!({"choiceId": paper.choice(1, 0)}), 1).await, refused("choiceId"));
        assert_eq!(paper.save(1, json!({"number": "1"}), 1).await, refused("number"));
        assert_eq!(paper.save(4, json!({"choiceId": paper.choice(0, 0)}), 1).await, refused("choiceId"));
        assert_eq!(paper.save(4, json!({"choiceIds": paper.choices(0, &[0])}), 1).await, refused("choiceIds"));
        for typed in ["nine", "1,5", "1e3", "", "1234567890123456"] {
            assert_eq!(paper.save(4, json!({"number": typed}), 1).await, refused("number"), "{typed}");
        }
        let two = json!({"number": "1", "choiceId": paper.choice(0, 0)});
        assert_eq!(paper.save(4, two, 1).await, refused("number"));
        let many = json!({"choiceIds": vec![paper.choice(1, 0); 7]});
        assert_eq!(paper.save(1, many, 1).await, refused("choiceIds"));
        // Another question's choices are not there.
        for (question, form) in [
            (1, json!({"choiceIds": [paper.choice(1, 0), paper.choice(0, 0)]})),
            (0, json!({"choiceId": paper.choice(1, 0)})),
        ] {
            let (_, body) = ada.send(SAVE, json!({"input": paper.input(question, form, 1)})).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND", "{body}");
        }
        assert_eq!(app.count("SELECT 1 FROM answers").await, 0);

        // In a batch each has its own outcome.
        let mut answers = vec![
            paper.input(4, json!({"number": "much"}), 1),
            paper.input(3, json!({"choiceId": paper.choice(3, 1)}), 1),
            paper.input(1, json!({"choiceId": paper.choice(1, 1)}), 1),
            paper.input(0, json!({"choiceId": paper.choice(1, 1)}), 1),
        ];
        for answer in &mut answers {
            answer.as_object_mut().expect("an object").remove("attemptId");
        }
        let sent = ada.ask(SAVE_ALL, json!({"input": {"attemptId": paper.attempt, "answers": answers}})).await;
        let sent = &sent["saveAnswers"];
        let outcomes: Vec<_> = (0..4).map(|n| sent["results"][n]["outcome"].clone()).collect();
        assert_eq!(outcomes, ["REFUSED", "SAVED", "REFUSED", "NOT_FOUND"]);
        assert_eq!(sent["errors"], json!([
            {"code": "BAD_USER_INPUT", "path": ["input", "answers", "0", "number"]},
            {"code": "BAD_USER_INPUT", "path": ["input", "answers", "2", "choiceId"]}]));
        assert_eq!(app.count("SELECT 1 FROM answers").await, 1);
        let one = &answers[0];
        let sent = ada.ask(SAVE_ALL, json!({"input": {"attemptId": paper.attempt, "answers": [one]}})).await;
        assert_eq!(sent["saveAnswers"]["results"][0]["outcome"], "REFUSED");
    }

    async fn answers_of_each_kind_are_replayed_replaced_and_cleared(app: TestApp) {
        let (ada, quiz) = (app.student().await, quiz(&app, &each_kind(), |_| {}).await);
        let paper = Paper::start(&ada, quiz).await;
        paper.save_all_right().await;
        let statements = app.statements(paper.save(1, json!({"choiceIds": paper.choices(1, &[1, 3])}), 5)).await;
        assert_eq!((statements.0, &statements.1["outcome"]), (1 + 1, &json!("SAVED")), "one, and one for the choices' ids");
        let stale = paper.save(1, json!({"choiceIds": paper.choices(1, &[0])}), 5).await;
        assert_eq!((&stale["outcome"], &stale["answer"]["choiceIds"]), (&json!("STALE"), &paper.choices(1, &[1, 3])));
        let (statements, saved) = app.statements(paper.save(4, json!({"number": "-0.50"}), 7)).await;
        assert_eq!((statements, &saved["answer"]["number"]), (1, &json!("-0.50")));
        assert_eq!(paper.save(4, json!({"number": "2"}), 6).await["answer"]["number"], "-0.50");
        // A wrong form does not tell more of a stale save than that it is stale.
        assert_eq!(paper.save(4, json!({"choiceId": paper.choice(0, 0)}), 6).await["outcome"], "STALE");
        for (question, form) in [(1, json!({"choiceIds": []})), (4, json!({"number": null})), (0, json!({}))] {
            let cleared = paper.save(question, form, 9).await;
            assert_eq!(cleared["answer"], json!({"choiceId": null, "choiceIds": [], "number": null, "seq": 9}));
        }
        paper.submit().await;
        assert_eq!(paper.outcomes().await, ["BLANK", "BLANK", "RIGHT", "RIGHT", "BLANK"]);
        app.verify().await;
    }

    async fn a_correction_of_each_kind_rescores(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let quiz = quiz(&app, &each_kind(), |_| {}).await;
        let paper = Paper::start(&ada, quiz).await;
        paper.save_all_right().await;
        paper.submit().await;
        let correct = async |question: usize, form: Value| {
            let mut input = form;
            input["questionId"] = json!(paper.questions[question].0);
            input["reason"] = json!("It was wrong.");
            let corrected = editor.ask(CORRECT, json!({"input": input})).await["correctQuestion"].take();
            match &corrected["errors"][0] {
                Value::Null => corrected["correction"].clone(),
                error => error["path"].clone(),
            }
        };
        // What is no correction.
        for (question, form, argument) in [
            (1, json!({"choiceIds": paper.choices(1, &[2, 0])}), "choiceIds"),
            (1, json!({"choiceIds": paper.choices(0, &[1])}), "choiceIds"),
            (1, json!({"choiceIds": []}), "choiceIds"),
            (1, json!({"number": "1"}), "number"),
            (4, json!({"number": "9.81", "tolerance": "0.010"}), "number"),
            (4, json!({"number": "many"}), "number"),
            (4, json!({"number": "1", "tolerance": "-1"}), "tolerance"),
            (4, json!({"choiceId": paper.choice(0, 1)}), "choiceId"),
            (0, json!({}), "choiceId"),
            (0, json!({"choiceId": paper.choice(0, 1), "number": "1"}), "choiceId"),
            (0, json!({"choiceId": paper.choice(0, 0), "tolerance": "1"}), "tolerance"),
        ] {
            assert_eq!(correct(question, form.clone()).await, json!(["input", argument]), "{form}");
        }
        assert_eq!(app.count("SELECT 1 FROM corrections").await, 0);

        // Each is wrong by its correction, and right again by the next.
        let corrections = [
            (0, json!({"choiceIds": paper.choices(0, &[2, 3])}), json!({"choiceIds": paper.choices(0, &[0, 1])})),
            (1, json!({"choiceIds": paper.choices(1, &[0, 1, 2])}), json!({"choiceIds": paper.choices(1, &[0, 2])})),
            (2, json!({"choiceId": paper.choice(2, 0)}), json!({"choiceIds": paper.choices(2, &[0, 3])})),
            (3, json!({"choiceId": paper.choice(3, 1)}), json!({"choiceId": paper.choice(3, 0)})),
            (4, json!({"number": "9.81"}), json!({"number": "10", "tolerance": "0.2"})),
        ];
        let mut number = 0;
        for (question, wrong, right) in corrections {
            for (form, outcome) in [(wrong, "WRONG"), (right, "RIGHT")] {
                number += 1;
                // So that the log has them in order.
                app.advance(Duration::from_secs(1));
                assert_eq!(correct(question, form).await, json!(number));
                regraded(&app).await;
                assert_eq!(paper.outcomes().await[question], outcome, "{number}");
                let points = if outcome == "RIGHT" { 5.0 } else { 4.0 };
                assert_eq!(ada.rank("WEEK").await["points"], points);
                app.verify().await;
            }
        }
        assert_eq!(paper.review().await["review"]["questions"][0]["rightChoices"], json!([{"text": "a"}, {"text": "b"}]));
        let log = "{ auditLog(filter: {action: SCORE_CHANGED}, first: 1) { nodes { before after } } }";
        let log = app.actor(Role::Admin).await.ask(log, json!({})).await["auditLog"]["nodes"][0].take();
        assert_eq!(log["after"]["right"], json!({"number": "10", "tolerance": "0.2"}));
        assert_eq!(log["before"]["right"], json!({"number": "9.81", "tolerance": "0"}));
    }

    async fn keys_that_servers_of_the_release_before_wrote_are_read(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let quiz = app.quiz(3, |_| {}).await;
        by_hand(&app, "UPDATE questions SET right_set = NULL").await;
        let paper = ada.take(quiz, 3).await;
        app.verify().await;
        let (question, choices) = &paper.questions[0];
        let input = json!({"questionId": question, "choiceId": choices[1], "reason": "It was wrong."});
        assert_eq!(editor.ask(CORRECT, json!({"input": input})).await["correctQuestion"]["correction"], 1);
        by_hand(&app, "UPDATE corrections SET right_set = NULL").await;
        regraded(&app).await;
        let result = "query($id: ID!) { attempt(id: $id) { result { rightCount } review { questions { right { text } } } } }";
        let attempt = ada.ask(result, json!({"id": paper.attempt})).await["attempt"].take();
        assert_eq!(attempt["result"]["rightCount"], 2);
        assert_eq!(attempt["review"]["questions"][0]["right"]["text"], "wrong");
        app.verify().await;
    }

    async fn submits_that_race_a_correction_of_a_number_end_up_with_its_key(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let quiz = quiz(&app, &each_kind(), |_| {}).await;
        app.work();
        let mut students = Vec::new();
        for _ in 0..12 {
            students.push(app.student().await);
        }
        let papers = join_all(students.iter().map(|student| Paper::start(student, quiz))).await;
        for paper in &papers {
            assert_eq!(paper.save(4, json!({"number": "10"}), 1).await["outcome"], "SAVED");
        }
        let input = json!({"questionId": papers[0].questions[4].0, "number": "10", "reason": "It was wrong."});
        // Each of them twice: one result, whoever wins.
        let submits = papers.iter().chain(&papers).map(Paper::submit);
        let (_, corrected) = tokio::join!(join_all(submits), editor.ask(CORRECT, json!({"input": input})));
        assert_eq!(corrected["correctQuestion"]["correction"], 1);
        regraded(&app).await;
        assert_eq!(app.count("SELECT 1 FROM results WHERE correction = 1 AND right_count = 1 AND wrong_count = 0").await, 12);
        assert_eq!(app.count("SELECT 1 FROM results").await, 12);
        app.verify().await;
    }

    async fn the_same_wrong_numbers_are_a_signal(app: TestApp) {
        let numbers: Vec<_> = (0..8).map(|n| question(Kind::Number, &[], number(&n.to_string(), "0"))).collect();
        let quiz = quiz(&app, &numbers, |_| {}).await;
        for _ in 0..2 {
            let student = app.student().await;
            let paper = Paper::start(&student, quiz).await;
            for question in 0..8 {
                let typed = if question == 0 { "0.0".to_owned() } else { format!("{question}.5") };
                assert_eq!(paper.save(question, json!({"number": typed}), 1).await["outcome"], "SAVED");
            }
            paper.submit().await;
        }
        let query = "query($id: ID!) { integritySignals(quizId: $id) { kind summary } }";
        let signals = app.actor(Role::Editor).await.ask(query, json!({"id": quiz.encode()})).await["integritySignals"].take();
        let same = signals.as_array().expect("signals").iter().find(|signal| signal["kind"] == "SAME_ANSWERS");
        assert_eq!(same.expect("a signal")["summary"], "7 wrong answers are the same; 0 answers of 8 differ.");
    }

    async fn a_draft_with_a_key_that_its_kind_does_not_have_is_not_published(app: TestApp) {
        let four = ["a", "b", "c", "d"].as_slice();
        let both = Right::Choices(Choices::of([0, 1]));
        for bad in [
            question(Kind::SingleChoice, four, both),
            question(Kind::AllChoices, four, Right::Choices(Choices::default())),
            question(Kind::AnyChoice, four, Right::Choices(Choices::of([5]))),
            question(Kind::TrueFalse, &["true", "false", "perhaps"], Right::one(0)),
            question(Kind::TrueFalse, &["true", "false"], both),
            question(Kind::Number, four, number("1", "0")),
            question(Kind::Number, &[], Right::one(0)),
            question(Kind::AllChoices, four, number("1", "0")),
        ] {
            let now = app.app.now();
            let change = app.change().await;
            let made = async {
                let subject = author::subject(&change, "Physics", &now).await?;
                author::draft(&change, subject, NewQuiz::titled("Bad", 1), std::slice::from_ref(&bad), &now).await
            };
            let quiz = made.await.unwrap_or_else(|error| panic!("{}", error.describe()));
            assert!(change.commit().await.is_ok());
            assert!(author::publish(&app.app, quiz, &Cause::clock(&now)).await.is_err(), "{bad:?}");
        }
    }
}
