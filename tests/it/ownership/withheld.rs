//! What a student reads while reviews are closed does not depend on what was right: two students do the same, one has
//! everything right and one everything wrong, and the API tells both the same.

use std::{collections::BTreeSet, time::Duration};

use marmalade::{attempt::release, entity::quiz::ReviewOpens, id::QuizId};
use serde_json::{Value, json};

use super::{
    Rules, Schema, outcome, rules, walks,
    world::{Owner, Person, Start},
};
use crate::{
    on_both_databases,
    support::{Actor, Paper, TestApp},
};

/// Somebody with a result that is not shown yet.
struct Student {
    actor: Actor,
    attempt: String,
}

impl Student {
    /// The ways in that concern results.
    fn starts(&self, quiz: QuizId) -> Vec<Start> {
        let start = |field, query: String, ty, owner| Start {
            field,
            query,
            ty,
            owner,
            refusal: Box::new(|_| None),
        };
        let (attempt, quiz) = (&self.attempt, quiz.encode());
        let mut starts = vec![
            start("viewer", "{ viewer { $X } }".into(), "User", Owner::Viewer),
            start("dashboard", "{ dashboard { $X } }".into(), "Dashboard", Owner::Viewer),
            start(
                "attempt",
                format!("{{ attempt(id: {attempt:?}) {{ $X }} }}"),
                "Attempt",
                Owner::Viewer,
            ),
            start(
                "node",
                format!("{{ node(id: {attempt:?}) {{ ... on Attempt {{ $X }} }} }}"),
                "Attempt",
                Owner::Viewer,
            ),
            start(
                "quiz",
                format!("{{ quiz(id: {quiz:?}) {{ $X }} }}"),
                "Quiz",
                Owner::None,
            ),
            start(
                "quizzes",
                "{ quizzes(first: 5) { $X } }".into(),
                "QuizConnection",
                Owner::None,
            ),
            start(
                "subjects",
                "{ subjects(first: 5) { $X } }".into(),
                "SubjectConnection",
                Owner::None,
            ),
        ];
        let of_quiz = format!("quizId: {quiz:?}");
        for arguments in ["window: ALL_TIME", "window: DAY", &of_quiz] {
            let query = format!("{{ board({arguments}) {{ $X }} }}");
            starts.push(start("board", query, "Board", Owner::None));
        }
        starts
    }

    /// What the API tells this student, by query, without what tells one student from another.
    async fn reads(&self, quiz: QuizId, (schema, rules): (&Schema, &Rules)) -> Vec<(String, Value)> {
        let mut read = Vec::new();
        for start in &self.starts(quiz) {
            for walk in walks(schema, rules, start) {
                let is_open = |field: &str| {
                    let rule = rules[&(walk.ty.clone(), field.to_owned())];
                    rule.refusal(Person::Ada, walk.owner).is_none()
                };
                if walk.refusal(Person::Ada).is_some() {
                    continue;
                }
                let fields = schema.fields(&walk.ty).iter().filter(|(field, _)| is_open(field));
                let fields: Vec<_> = fields.map(|field| schema.select(field)).collect();
                let query = walk.query(&format!("__typename {}", fields.join(" ")));
                let (status, code, data) = outcome(&self.actor, &query).await;
                read.push((query, json!([status, code, data])));
            }
        }
        let export = self.actor.ask("{ accountExport }", json!({})).await;
        read.push(("{ accountExport }".to_owned(), export));
        for board in [
            "everything: ALL_TIME".to_owned(),
            format!("quiz: {{id: {:?}}}", quiz.encode()),
        ] {
            for selection in [
                "standingChanged(board: {$B}) { totalCount standing { rank points percentile pointsToNextRank sharedBy } overtakenBy { id } }",
                "boardChanged(board: {$B}) { totalCount standings { rank points user { id } } }",
            ] {
                let query = format!("subscription {{ {} }}", selection.replace("$B", &board));
                let event = self.first_event(&query).await;
                read.push((query, event));
            }
        }
        let own = |text: &str| {
            let id = self.actor.id().encode();
            [&id, &self.attempt, &self.actor.session_id().encode()].contains(&&text.to_owned())
        };
        for (query, data) in &mut read {
            *query = query.replace(&self.attempt, "OWN");
            neutral(data, &own);
        }
        read
    }

    async fn first_event(&self, query: &str) -> Value {
        self.actor.first_answer(query).await["data"].take()
    }
}

/// Takes out who it is about, and which choices were made.
fn neutral(value: &mut Value, own: &impl Fn(&str) -> bool) {
    match value {
        // The id of an answer has that of its attempt in it.
        Value::String(text) if own(text) || text.starts_with("answer_") => *text = "OWN".to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| neutral(item, own)),
        Value::Object(fields) => {
            for (field, value) in fields {
                match field.as_str() {
                    "handle" | "email" | "choiceId" | "choiceIds" | "choice" | "chosen" | "chosenChoices" => {
                        *value = Value::Null;
                    }
                    _ => neutral(value, own),
                }
            }
        }
        _ => {}
    }
}

/// The names of the fields in which two values differ.
fn differences(a: &Value, b: &Value, name: &str, found: &mut BTreeSet<String>) {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).for_each(|(a, b)| differences(a, b, name, found));
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            for (field, value) in a {
                differences(value, &b[field], field, found);
            }
        }
        _ if a != b => _ = found.insert(name.to_owned()),
        _ => {}
    }
}

/// Submits with all that a payload offers.
async fn submit(actor: &Actor, paper: &Paper) -> Value {
    let query = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { errors { code } attempt {
        state number ranked late submittedBy resultVisibility review { correction }
        result { points maxPoints rightCount wrongCount blankCount correction ranked } } } }";
    let input = json!({"attemptId": paper.attempt, "idempotencyKey": "the one key"});
    actor.ask(query, json!({"input": input})).await
}

/// Takes the quiz with the same choice everywhere, and reads what the submit and its repetition tell.
async fn take(app: &TestApp, quiz: QuizId, choice: usize) -> (Student, Value) {
    let actor = app.student().await;
    let paper = actor.start(quiz).await;
    for question in 0..paper.questions.len() {
        actor.save(&paper, question, choice, 1).await;
    }
    let told = json!([submit(&actor, &paper).await, submit(&actor, &paper).await]);
    let attempt = paper.attempt;
    (Student { actor, attempt }, told)
}

on_both_databases! {
    async fn nothing_tells_what_was_right_while_reviews_are_closed(app: TestApp) {
        let (schema, rules) = (Schema::read(), rules());
        let rules = (&schema, &rules);
        let closes = app.app.now().at + Duration::from_secs(1800);
        let quiz = app.quiz(5, |quiz| {
            quiz.review_opens = ReviewOpens::AfterClose;
            quiz.closes_at = Some(closes);
        }).await;
        // Somebody is on the boards.
        app.student().await.take(app.quiz(3, |_| {}).await, 2).await;
        let (right, told_right) = take(&app, quiz, 0).await;
        let (wrong, told_wrong) = take(&app, quiz, 1).await;
        assert_eq!(told_right, told_wrong, "by the submit");
        assert_eq!(told_right[0]["submitAttempt"]["attempt"]["resultVisibility"], "HIDDEN");

        let (to_right, to_wrong) = (right.reads(quiz, rules).await, wrong.reads(quiz, rules).await);
        assert!(to_right.len() > 50, "{}", to_right.len());
        for ((query, right), (_, wrong)) in to_right.iter().zip(&to_wrong) {
            assert_eq!(right, wrong, "{query}");
        }

        // Once they are open, the same queries tell it: the test would see it.
        app.advance(Duration::from_secs(1800 + 4));
        let released = release::sweep(&app.app, &app.app.now()).await;
        assert_eq!(released.ok(), Some(2));
        let (to_right, to_wrong) = (right.reads(quiz, rules).await, wrong.reads(quiz, rules).await);
        let mut found = BTreeSet::new();
        for ((_, right), (_, wrong)) in to_right.iter().zip(&to_wrong) {
            differences(right, wrong, "", &mut found);
        }
        for field in ["points", "rightCount", "wrongCount", "accuracy", "rank", "outcome", "percentile", "right_count"] {
            assert!(found.contains(field), "{field} is not in {found:?}");
        }
        app.verify().await;
    }
}
