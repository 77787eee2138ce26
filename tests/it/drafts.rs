//! Staff edit drafts: question by question, each write by somebody who has seen the one before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use marmalade::{
    auth::role::Role,
    change::Cause,
    entity::question::Kind,
    id::QuizId,
    quiz::{
        author::{self, NewQuestion, NewQuiz},
        right::{Choices, Number, Right},
    },
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const DRAFT: &str = "id quizId title number version questionCount durationSeconds marking { right wrong blank }
    subject { name } quiz { id } updatedAt updatedBy { id } discardedAt problems { message question { number } }
    questions(first: 100) { totalCount nodes { id number removed kind text choices { text isRight } rightNumber tolerance
        explanation chapter { id name } } }";

/// Does what the mutation says, and returns its payload.
async fn change(editor: &Actor, name: &str, mut input: Value) -> Value {
    if input["reason"].is_null() {
        input["reason"] = json!("The syllabus has changed.");
    }
    let ty = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
    let selection = match name {
        "createDraft" => "created",
        _ if name.ends_with("Question") => "question { id number removed }",
        _ => "",
    };
    let mutation = format!(
        "mutation($input: {ty}Input!) {{ {name}(input: $input) {{ {selection} draft {{ {DRAFT} }} errors {{ code message path }} }} }}"
    );
    editor.ask(&mutation, json!({"input": input})).await[name].take()
}

/// The same, which must succeed; returns the draft.
async fn changed(editor: &Actor, name: &str, input: Value) -> Value {
    let mut payload = change(editor, name, input).await;
    assert_eq!(payload["errors"], json!([]), "{name}");
    payload["draft"].take()
}

async fn draft_of(editor: &Actor, quiz: QuizId) -> Value {
    changed(editor, "createDraft", json!({"quizId": quiz.encode()})).await
}

async fn loaded(editor: &Actor, id: &Value) -> Value {
    let query = format!("query($id: ID!) {{ draft(id: $id) {{ {DRAFT} }} }}");
    editor.ask(&query, json!({"id": id})).await["draft"].take()
}

fn texts(draft: &Value) -> Vec<String> {
    let questions = draft["questions"]["nodes"].as_array().expect("questions");
    let numbers: Vec<_> = questions.iter().map(|question| question["number"].as_i64()).collect();
    let expected: Vec<_> = (1..=questions.len() as i64).map(Some).collect();
    assert_eq!(numbers, expected, "without gaps");
    let text = |question: &Value| question["text"].as_str().expect("a text").to_owned();
    questions.iter().map(text).collect()
}

fn question(draft: &Value, at: usize) -> &Value {
    &draft["questions"]["nodes"][at]
}

async fn handle_of(actor: &Actor) -> String {
    let viewer = actor.ask("{ viewer { handle } }", json!({})).await;
    viewer["viewer"]["handle"].as_str().expect("a handle").to_owned()
}

async fn changes(editor: &Actor, draft: &Value) -> Value {
    let query = "query($id: ID!) { draft(id: $id) { changes { kind previousNumber text question { number }
        fields { field before after } } } }";
    editor.ask(query, json!({"id": draft["id"]})).await["draft"]["changes"].take()
}

async fn publish(app: &TestApp, quiz: QuizId) {
    let published = author::publish(&app.app, quiz, &Cause::clock(&app.app.now())).await;
    published.unwrap_or_else(|error| panic!("{}", error.describe()));
}

async fn written(app: &TestApp, title: &str, questions: &[NewQuestion]) -> QuizId {
    let now = app.app.now();
    let made = async {
        let change = app.change().await;
        let subject = author::subject(&change, "Biology", &now).await?;
        let quiz = author::draft(
            &change,
            subject,
            NewQuiz::titled(title, questions.len()),
            questions,
            &now,
        )
        .await?;
        change.commit().await?;
        Ok::<_, marmalade::error::Error>(quiz)
    };
    made.await.unwrap_or_else(|error| panic!("{}", error.describe()))
}

on_both_databases! {
    async fn a_published_quiz_is_edited_into_its_next_revision(app: TestApp) {
        let (editor, ada, quiz) = (app.actor(Role::Editor).await, app.student().await, app.quiz(4, |_| {}).await);
        let paper = ada.take(quiz, 4).await;
        // The key is mended first: the draft begins with the right one.
        let correct = "mutation($question: ID!, $choice: ID!) { correctQuestion(input: {questionId: $question,
            choiceId: $choice, reason: \"It was the other one.\"}) { errors { message } } }";
        let (id, choices) = &paper.questions[1];
        editor.ask(correct, json!({"question": id, "choice": choices[2]})).await;

        let staff = "query($id: ID!) { quiz(id: $id) { draft { id version } } }";
        assert_eq!(editor.ask(staff, json!({"id": quiz.encode()})).await["quiz"]["draft"], json!(null));
        let draft = draft_of(&editor, quiz).await;
        assert_eq!((&draft["number"], &draft["version"], &draft["questionCount"]), (&json!(2), &json!(1), &json!(4)));
        assert_eq!((&draft["quiz"]["id"], &draft["problems"]), (&json!(quiz.encode()), &json!([])));
        assert_eq!(texts(&draft), ["Question 0?", "Question 1?", "Question 2?", "Question 3?"]);
        let right = |at: usize| -> Vec<bool> {
            let choices = question(&draft, at)["choices"].as_array().expect("choices").iter();
            choices.map(|choice| choice["isRight"] == true).collect()
        };
        assert_eq!((right(0), right(1)), (vec![true, false, false], vec![false, false, true]));
        assert_eq!(question(&draft, 3)["explanation"], "CANARY explanation 3");
        assert_eq!(question(&draft, 3)["chapter"]["name"], "Chapter 0");
        assert_eq!(changes(&editor, &draft).await, json!([]), "a copy changes nothing, the correction included");

        // Whoever begins it again finds it.
        let again = change(&editor, "createDraft", json!({"quizId": quiz.encode()})).await;
        assert_eq!((&again["created"], &again["draft"]["id"]), (&json!(false), &draft["id"]));
        assert_eq!(editor.ask(staff, json!({"id": quiz.encode()})).await["quiz"]["draft"]["id"], draft["id"]);
        let list = "{ drafts { totalCount nodes { id title } } }";
        assert_eq!(editor.ask(list, json!({})).await["drafts"]["totalCount"], 1);

        let input = json!({"questionId": question(&draft, 0)["id"], "version": 1, "text": "Question 0, mended?",
            "kind": "ANY_CHOICE", "choices": [{"text": "right", "isRight": true}, {"text": "right, too", "isRight": true}, {"text": "wrong"}],
            "explanation": null});
        let draft = changed(&editor, "updateQuestion", input).await;
        assert_eq!((&draft["version"], &draft["updatedBy"]["id"]), (&json!(2), &json!(editor.id().encode())));
        let draft = changed(&editor, "removeQuestion", json!({"questionId": question(&draft, 2)["id"], "version": 2})).await;
        let draft = changed(&editor, "moveQuestion", json!({"questionId": question(&draft, 2)["id"], "version": 3, "number": 1})).await;
        let input = json!({"draftId": draft["id"], "version": 4, "number": 2, "kind": "NUMBER", "text": "How many?",
            "rightNumber": "9.81", "tolerance": "0.01", "chapterId": question(&draft, 1)["chapter"]["id"]});
        let draft = changed(&editor, "addQuestion", input).await;
        assert_eq!(texts(&draft), ["Question 3?", "How many?", "Question 0, mended?", "Question 1?"]);
        let number = question(&draft, 1);
        assert_eq!((&number["kind"], &number["rightNumber"], &number["tolerance"], &number["choices"]),
            (&json!("NUMBER"), &json!("9.81"), &json!("0.01"), &json!([])));
        let input = json!({"draftId": draft["id"], "version": 5, "durationSeconds": 90, "marking": {"right": 4, "wrong": -1, "blank": 0}});
        let draft = changed(&editor, "updateDraft", input).await;
        assert_eq!((&draft["durationSeconds"], &draft["marking"]), (&json!(90), &json!({"right": 4.0, "wrong": -1.0, "blank": 0.0})));

        let changes = changes(&editor, &draft).await;
        let told: Vec<_> = changes.as_array().expect("changes").iter().map(|change| {
            let fields = change["fields"].as_array().expect("fields").iter().map(|field| field["field"].as_str().unwrap_or_default());
            (change["kind"].as_str().unwrap_or_default(), change["text"].as_str().unwrap_or_default(), fields.collect::<Vec<_>>().join(" "))
        }).collect();
        assert_eq!(told, [
            ("MOVED", "Question 3?", "POSITION".into()),
            ("ADDED", "How many?", String::new()),
            ("CHANGED", "Question 0, mended?", "KIND TEXT CHOICES ANSWER EXPLANATION".into()),
            ("REMOVED", "Question 2?", String::new()),
        ]);
        assert_eq!(changes[2]["fields"][3], json!({"field": "ANSWER", "before": "A", "after": "A, B"}));
        assert_eq!(changes[2]["fields"][4], json!({"field": "EXPLANATION", "before": "CANARY explanation 0", "after": null}));

        // Students still have the old revision, and their results afterwards.
        let bob = app.student().await;
        assert_eq!(bob.start(quiz).await.questions.len(), 4);
        publish(&app, quiz).await;
        let cat = app.student().await.start(quiz).await;
        assert_eq!(cat.questions.len(), 4);
        assert!(cat.questions[1].1.is_empty(), "the number has no choices");
        let (status, body) = editor.send("query($id: ID!) { draft(id: $id) { id } }", json!({"id": draft["id"]})).await;
        assert_eq!((status.as_u16(), &body["errors"][0]["extensions"]["code"]), (200, &json!("NOT_FOUND")), "it is none any more");
        let result = "query($id: ID!) { attempt(id: $id) { result { points } review { questions { question { text } } } } }";
        let result = ada.ask(result, json!({"id": paper.attempt})).await["attempt"].take();
        assert_eq!(result["review"]["questions"][2]["question"]["text"], "Question 2?");
        // What the questions are is known in the next draft, too: the first of them was copied twice.
        let next = draft_of(&editor, quiz).await;
        assert_eq!((&next["number"], changes_of(&editor, &next).await), (&json!(3), 0));
        assert_eq!(app.count("SELECT 1 FROM questions WHERE removed_from IS NOT NULL").await, 0);
        let origins = "SELECT DISTINCT origin_id FROM questions WHERE text LIKE 'Question 1?' AND origin_id IS NOT NULL";
        assert_eq!(app.count(origins).await, 1);
    }

    async fn all_that_is_wrong_with_an_input_is_told_at_once_and_nothing_is_lost(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(2, |_| {}).await);
        let draft = draft_of(&editor, quiz).await;
        let elsewhere = "INSERT INTO subjects (id, name, created_at) VALUES (ID, 'Physics', 1); \
            INSERT INTO chapters (id, subject_id, name, created_at) VALUES (ID, ID, 'Light', 1)";
        let id = uuid::Uuid::now_v7();
        crate::audit::by_hand(&app, &elsewhere.replace("ID", &app.literal(id))).await.expect("a chapter");
        let chapter = marmalade::id::ChapterId(id).encode();
        let input = json!({"questionId": question(&draft, 0)["id"], "version": 1, "reason": "x", "text": "t".repeat(4001),
            "kind": "TRUE_FALSE", "choices": [{"text": "Yes", "isRight": true}, {"text": " "}, {"text": "Yes"}, {"text": "c".repeat(501), "isRight": true}],
            "explanation": "e".repeat(8001), "rightNumber": "7", "chapterId": chapter});
        let refused = change(&editor, "updateQuestion", input).await;
        let errors = refused["errors"].as_array().expect("errors");
        let paths: Vec<_> = errors.iter().map(|error| {
            assert_eq!(error["code"], "BAD_USER_INPUT");
            let path = error["path"].as_array().expect("a path").iter();
            path.map(|part| part.as_str().expect("text")).collect::<Vec<_>>().join(".")
        }).collect();
        assert_eq!(paths, ["input.reason", "input.rightNumber", "input.text", "input.explanation", "input.choices.1.text",
            "input.choices.2.text", "input.choices.3.text", "input.choices", "input.chapterId"]);
        assert_eq!(refused["question"], json!(null));
        assert_eq!(loaded(&editor, &draft["id"]).await, draft, "nothing has changed, not even the version");

        for (name, input, path) in [
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Q?", "number": 4}), "number"),
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": " "}), "text"),
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Q?", "kind": "NUMBER", "rightNumber": "1e5"}), "rightNumber"),
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Q?", "kind": "NUMBER", "rightNumber": "1", "tolerance": "-1"}), "tolerance"),
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Q?", "chapterId": "nonsense"}), "chapterId"),
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Q?", "kind": "NUMBER", "choices": [{"text": "a"}]}), "choices"),
            ("moveQuestion", json!({"questionId": question(&draft, 0)["id"], "version": 1, "number": 0}), "number"),
            ("updateDraft", json!({"draftId": draft["id"], "version": 1, "durationSeconds": 0}), "durationSeconds"),
            ("updateDraft", json!({"draftId": draft["id"], "version": 1, "marking": {"right": 1, "wrong": 1, "blank": 0}}), "marking"),
            ("updateQuestions", json!({"draftId": draft["id"], "version": 1, "questionIds": []}), "questionIds"),
            ("updateQuestions", json!({"draftId": draft["id"], "version": 1, "questionIds": [question(&draft, 0)["id"]]}), "chapterId"),
            ("updateQuestions", json!({"draftId": draft["id"], "version": 1, "questionIds": ["nonsense"], "remove": true}), "questionIds"),
            ("duplicateQuiz", json!({"quizId": quiz.encode(), "title": " "}), "title"),
        ] {
            let refused = change(&editor, name, input.clone()).await;
            assert_eq!(refused["errors"][0]["path"][1], path, "{name} {input}: {refused}");
        }
        assert_eq!(loaded(&editor, &draft["id"]).await, draft);

        // A question may be incomplete, and the draft says so.
        let draft = changed(&editor, "addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Which?"})).await;
        assert_eq!(draft["problems"], json!([{"message": "Question 3: it needs 2 to 6 choices.", "question": {"number": 3}}]));
        let refused = author::publish(&app.app, quiz, &Cause::clock(&app.app.now())).await;
        assert!(refused.is_err_and(|error| error.describe() == "Question 3: it needs 2 to 6 choices"));
    }

    async fn the_second_of_two_editors_is_told_what_the_first_has_changed(app: TestApp) {
        let (ada, bob, quiz) = (app.actor(Role::Editor).await, app.actor(Role::Admin).await, app.quiz(5, |_| {}).await);
        let draft = draft_of(&ada, quiz).await;
        app.advance(Duration::from_secs(61));
        let (ada, bob) = (app.again(&ada).await, app.again(&bob).await);
        changed(&ada, "updateQuestion", json!({"questionId": question(&draft, 1)["id"], "version": 1, "text": "Ada's?"})).await;
        changed(&ada, "updateQuestion", json!({"questionId": question(&draft, 3)["id"], "version": 2, "explanation": "Ada's."})).await;
        changed(&ada, "removeQuestion", json!({"questionId": question(&draft, 4)["id"], "version": 3})).await;
        let stale = json!({"questionId": question(&draft, 1)["id"], "version": 1, "text": "Bob's?"});
        let told = change(&bob, "updateQuestion", stale.clone()).await;
        let message = format!("{} has changed this draft at 2026-11-23 10:01:01 UTC: questions 2 and 4, removed question 5. \
            Load it again, and repeat your change.", handle_of(&ada).await);
        assert_eq!(told["errors"], json!([{"code": "CONFLICT", "message": message, "path": ["input", "version"]}]));
        let now = loaded(&bob, &draft["id"]).await;
        assert_eq!((&question(&now, 1)["text"], &now["version"]), (&json!("Ada's?"), &json!(4)));
        // Each other write says the same.
        for (name, input) in [
            ("addQuestion", json!({"draftId": draft["id"], "version": 1, "text": "Bob's?"})),
            ("moveQuestion", json!({"questionId": question(&draft, 0)["id"], "version": 1, "number": 2})),
            ("removeQuestion", json!({"questionId": question(&draft, 0)["id"], "version": 1})),
            ("restoreQuestion", json!({"questionId": question(&draft, 4)["id"], "version": 1})),
            ("updateQuestions", json!({"draftId": draft["id"], "version": 1, "questionIds": [question(&draft, 0)["id"]], "remove": true})),
            ("updateDraft", json!({"draftId": draft["id"], "version": 1, "durationSeconds": 7})),
            ("discardDraft", json!({"draftId": draft["id"], "version": 1})),
        ] {
            assert_eq!(change(&bob, name, input).await["errors"][0]["message"], message, "{name}");
        }
        assert_eq!(loaded(&bob, &draft["id"]).await, now);
        let mut input = stale;
        input["version"] = json!(4);
        changed(&bob, "updateQuestion", input).await;
        // Settings are no question.
        changed(&bob, "updateDraft", json!({"draftId": draft["id"], "version": 5, "durationSeconds": 77})).await;
        let told = change(&ada, "updateDraft", json!({"draftId": draft["id"], "version": 5, "durationSeconds": 78})).await;
        assert!(told["errors"][0]["message"].as_str().is_some_and(|told| told.contains(" UTC: its settings.")), "{told}");
    }

    async fn of_twenty_writes_at_once_exactly_one_is_made(app: TestApp) {
        const AT_ONCE: usize = 20;
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(3, |_| {}).await);
        let mut begun = Vec::new();
        let barrier = Arc::new(Barrier::new(AT_ONCE));
        for _ in 0..AT_ONCE {
            let (barrier, editor) = (barrier.clone(), app.actor(Role::Editor).await);
            begun.push(tokio::spawn(async move {
                barrier.wait().await;
                change(&editor, "createDraft", json!({"quizId": quiz.encode()})).await
            }));
        }
        let (mut created, mut ids) = (0, Vec::new());
        for begun in begun {
            let payload = begun.await.expect("it ends");
            assert_eq!(payload["errors"], json!([]));
            created += usize::from(payload["created"] == true);
            ids.push(payload["draft"]["id"].as_str().expect("an id").to_owned());
        }
        ids.dedup();
        assert_eq!((created, ids.len()), (1, 1));
        let mut draft = loaded(&editor, &json!(ids[0])).await;
        for round in 0..3 {
            let barrier = Arc::new(Barrier::new(AT_ONCE));
            let mut writes = Vec::new();
            for n in 0..AT_ONCE {
                let (barrier, editor, draft) = (barrier.clone(), editor.clone(), draft.clone());
                writes.push(tokio::spawn(async move {
                    barrier.wait().await;
                    let (name, input) = match n % 3 {
                        0 => ("updateQuestion", json!({"questionId": question(&draft, 0)["id"], "text": format!("Mine {round} {n}?")})),
                        1 => ("addQuestion", json!({"draftId": draft["id"], "text": format!("Another {round} {n}?"), "number": 1})),
                        _ => ("moveQuestion", json!({"questionId": question(&draft, 0)["id"], "number": 3})),
                    };
                    let mut input = input;
                    input["version"] = draft["version"].clone();
                    change(&editor, name, input).await
                }));
            }
            let (mut won, mut told) = (0, 0);
            for write in writes {
                let payload = write.await.expect("it ends");
                match payload["errors"][0]["code"].as_str() {
                    None => won += 1,
                    Some("CONFLICT") => told += 1,
                    _ => panic!("{payload}"),
                }
            }
            assert_eq!((won, told), (1, AT_ONCE - 1));
            let now = loaded(&editor, &draft["id"]).await;
            assert_eq!(now["version"].as_i64(), draft["version"].as_i64().map(|version| version + 1));
            texts(&now);
            draft = now;
        }
    }

    async fn questions_are_moved_removed_and_restored_as_a_list_would_be(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(6, |_| {}).await);
        let mut draft = draft_of(&editor, quiz).await;
        let mut list = texts(&draft);
        let id_of = |draft: &Value, text: &str| {
            let nodes = draft["questions"]["nodes"].as_array().expect("questions");
            nodes.iter().find(|node| node["text"] == text).expect("it is there")["id"].clone()
        };
        let mut version = 1;
        for (from, to) in [(0, 5), (5, 0), (2, 3), (3, 2), (1, 1), (4, 0), (0, 4)] {
            let text = list.remove(from);
            list.insert(to, text.clone());
            let input = json!({"questionId": id_of(&draft, &text), "version": version, "number": to + 1});
            draft = changed(&editor, "moveQuestion", input).await;
            version += 1;
            assert_eq!(texts(&draft), list, "from {from} to {to}");
        }
        let mut gone = Vec::new();
        for at in [5, 0, 2] {
            let text = list.remove(at);
            let id = id_of(&draft, &text);
            draft = changed(&editor, "removeQuestion", json!({"questionId": id, "version": version})).await;
            gone.push((id, text, at));
            version += 1;
            assert_eq!((texts(&draft), &draft["questionCount"]), (list.clone(), &json!(list.len())));
        }
        let removed = "query($id: ID!) { draft(id: $id) { questions(removed: true) { totalCount nodes { text number removed } } } }";
        let removed = editor.ask(removed, json!({"id": draft["id"]})).await["draft"]["questions"].take();
        let last = &gone[2];
        assert_eq!((&removed["totalCount"], &removed["nodes"][0]), (&json!(3), &json!({"text": last.1, "number": last.2 + 1, "removed": true})));
        let refused = change(&editor, "updateQuestion", json!({"questionId": gone[0].0, "version": version, "text": "?"})).await;
        assert_eq!(refused["errors"][0]["code"], "CONFLICT");
        for (id, text, at) in gone.iter().rev() {
            draft = changed(&editor, "restoreQuestion", json!({"questionId": id, "version": version})).await;
            list.insert((*at).min(list.len()), text.clone());
            version += 1;
            assert_eq!(texts(&draft), list);
        }
        // Several at once: all or none.
        let ids: Vec<_> = [1, 3].map(|at: usize| id_of(&draft, &list[at])).into();
        let chapter = question(&draft, 0)["chapter"]["id"].clone();
        draft = changed(&editor, "updateQuestions", json!({"draftId": draft["id"], "version": version, "questionIds": ids, "chapterId": chapter})).await;
        assert_eq!((&question(&draft, 1)["chapter"]["id"], &question(&draft, 3)["chapter"]["id"]), (&chapter, &chapter));
        let mut input = json!({"draftId": draft["id"], "version": version + 1, "questionIds": [ids[0], gone[0].0, "nonsense"], "remove": true});
        let refused = change(&editor, "updateQuestions", input.clone()).await;
        assert_eq!(refused["errors"][0]["path"], json!(["input", "questionIds", "2"]));
        input["questionIds"] = json!(ids);
        draft = changed(&editor, "updateQuestions", input).await;
        list.remove(3);
        list.remove(1);
        assert_eq!(texts(&draft), list);
    }

    async fn a_discarded_draft_is_restored_unless_there_is_another(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(2, |_| {}).await);
        let draft = draft_of(&editor, quiz).await;
        let draft = changed(&editor, "updateQuestion", json!({"questionId": question(&draft, 0)["id"], "version": 1, "text": "Mended?"})).await;
        let gone = changed(&editor, "discardDraft", json!({"draftId": draft["id"], "version": 2})).await;
        assert!(gone["discardedAt"].is_string());
        let refused = change(&editor, "updateQuestion", json!({"questionId": question(&draft, 0)["id"], "version": 3, "text": "?"})).await;
        assert_eq!(refused["errors"][0]["code"], "CONFLICT");
        assert!(author::publish(&app.app, quiz, &Cause::clock(&app.app.now())).await.is_err(), "there is nothing to publish");
        let lists = "{ drafts { totalCount } discarded: drafts(filter: {discarded: true}) { totalCount nodes { id } } }";
        let found = editor.ask(lists, json!({})).await;
        assert_eq!((&found["drafts"]["totalCount"], &found["discarded"]["nodes"][0]["id"]), (&json!(0), &draft["id"]));
        let other = draft_of(&editor, quiz).await;
        assert_eq!((&other["number"], texts(&other)), (&json!(3), vec!["Question 0?".to_owned(), "Question 1?".to_owned()]));
        let refused = change(&editor, "restoreDraft", json!({"draftId": draft["id"]})).await;
        assert_eq!(refused["errors"][0]["code"], "CONFLICT");
        changed(&editor, "discardDraft", json!({"draftId": other["id"], "version": 1})).await;
        let back = changed(&editor, "restoreDraft", json!({"draftId": draft["id"]})).await;
        assert_eq!((texts(&back)[0].as_str(), &back["number"], &back["discardedAt"]), ("Mended?", &json!(4), &json!(null)));
        let again = change(&editor, "restoreDraft", json!({"draftId": draft["id"]})).await;
        assert_eq!(again["errors"][0]["code"], "CONFLICT");
        publish(&app, quiz).await;
        let paper = app.student().await.start(quiz).await;
        assert_eq!(paper.questions.len(), 2);
        app.verify().await;
    }

    async fn a_quiz_is_duplicated_with_its_content(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let quiz = app.quiz(3, |quiz| quiz.max_attempts = Some(2)).await;
        let copy = changed(&editor, "duplicateQuiz", json!({"quizId": quiz.encode(), "title": "  Cells II "})).await;
        assert_eq!((&copy["title"], &copy["number"], &copy["quiz"]), (&json!("Cells II"), &json!(1), &json!({"id": copy["quizId"]})));
        assert_eq!(texts(&copy), ["Question 0?", "Question 1?", "Question 2?"]);
        // A draft is copied, too; what is deleted is not there.
        let of_copy = json!({"quizId": copy["quizId"], "title": "Cells III"});
        assert_eq!(texts(&changed(&editor, "duplicateQuiz", of_copy.clone()).await).len(), 3);
        let id = QuizId::decode(copy["quizId"].as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
        publish(&app, id).await;
        let of_quiz = "query($id: ID!) { quiz(id: $id) { title maxAttempts questionCount } }";
        assert_eq!(editor.ask(of_quiz, json!({"id": copy["quizId"]})).await["quiz"],
            json!({"title": "Cells II", "maxAttempts": 2, "questionCount": 3}));
        let delete = format!("UPDATE quizzes SET deleted_at = 1 WHERE id = {}", app.literal(id.0));
        crate::audit::by_hand(&app, &delete).await.expect("deleted");
        for (name, input) in [("duplicateQuiz", json!({"input": {"quizId": copy["quizId"], "title": "x", "reason": "a test"}})),
            ("createDraft", json!({"input": {"quizId": copy["quizId"], "reason": "a test"}}))] {
            let ty = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
            let (_, body) = editor.send(&format!("mutation($input: {ty}Input!) {{ {name}(input: $input) {{ errors {{ code }} }} }}"), input).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND", "{name}");
        }
        app.verify().await;
    }

    async fn each_kind_of_question_comes_through_a_draft_as_it_was(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let new = |kind, choices: &[&str], right| NewQuestion {
            chapter: None,
            text: format!("{kind:?}?").into(),
            image: None,
            picture: None,
            choices: choices.iter().map(Into::into).collect(),
            kind,
            right,
            explanation: None,
        };
        let several = Right::Choices(Choices::of([0, 2]));
        let number = Right::Number(Number { value: rust_decimal::Decimal::new(981, 2), tolerance: rust_decimal::Decimal::new(1, 2) });
        let questions = [
            new(Kind::SingleChoice, &["a", "b"], Right::one(1)),
            new(Kind::AllChoices, &["a", "b", "c"], several),
            new(Kind::AnyChoice, &["a", "b", "c"], several),
            new(Kind::TrueFalse, &["True", "False"], Right::one(0)),
            new(Kind::Number, &[], number),
        ];
        let quiz = written(&app, "Kinds", &questions).await;
        publish(&app, quiz).await;
        let draft = draft_of(&editor, quiz).await;
        assert_eq!(draft["problems"], json!([]));
        let right: Vec<_> = draft["questions"]["nodes"].as_array().expect("questions").iter().map(|question| {
            let choices = question["choices"].as_array().expect("choices").iter();
            (question["kind"].as_str().unwrap_or_default(), choices.map(|choice| choice["isRight"] == true).collect::<Vec<_>>(), question["rightNumber"].clone())
        }).collect();
        assert_eq!(right, [
            ("SINGLE_CHOICE", vec![false, true], json!(null)),
            ("ALL_CHOICES", vec![true, false, true], json!(null)),
            ("ANY_CHOICE", vec![true, false, true], json!(null)),
            ("TRUE_FALSE", vec![true, false], json!(null)),
            ("NUMBER", vec![], json!("9.81")),
        ]);
        assert_eq!(changes_of(&editor, &draft).await, 0);
        let preview = "query($id: ID!) { draft(id: $id) { preview { number kind text choices } } }";
        let preview = editor.ask(preview, json!({"id": draft["id"]})).await["draft"]["preview"].take();
        assert_eq!(preview[1], json!({"number": 2, "kind": "ALL_CHOICES", "text": "AllChoices?", "choices": ["a", "b", "c"]}));
    }

    async fn five_thousand_questions_are_copied_in_as_many_statements_as_two(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let question = |n: usize| NewQuestion {
            chapter: Some(format!("Chapter {}", n % 7)),
            text: format!("Question {n}?").into(),
            image: None,
            picture: None,
            choices: ["right", "wrong", "also wrong", "as wrong"].map(Into::into).to_vec(),
            kind: Kind::SingleChoice,
            right: Right::one(0),
            explanation: Some("Because.".into()),
        };
        let mut taken = Vec::new();
        for size in [2, 5_000] {
            let quiz = written(&app, &format!("Of {size}"), &(0..size).map(question).collect::<Vec<_>>()).await;
            publish(&app, quiz).await;
            let create = "mutation($id: ID!) { createDraft(input: {quizId: $id, reason: \"a test\"}) { draft { id questionCount version } } }";
            let began = Instant::now();
            let (statements, mut created) = app.statements(editor.ask(create, json!({"id": quiz.encode()}))).await;
            let draft = created["createDraft"]["draft"].take();
            assert_eq!(draft["questionCount"], size);
            let (copied, began) = (began.elapsed(), Instant::now());
            let page = "query($id: ID!) { draft(id: $id) { problems { message } questions(last: 1) { nodes { id number } } } }";
            let page = editor.ask(page, json!({"id": draft["id"]})).await["draft"].take();
            assert_eq!((&page["problems"], &page["questions"]["nodes"][0]["number"]), (&json!([]), &json!(size)));
            let (read, began) = (began.elapsed(), Instant::now());
            let to_front = "mutation($id: ID!) { moveQuestion(input: {questionId: $id, version: 1, number: 1, reason: \"a test\"}) {
                question { number } errors { message } } }";
            let moved = editor.ask(to_front, json!({"id": page["questions"]["nodes"][0]["id"]})).await;
            assert_eq!(moved["moveQuestion"], json!({"question": {"number": 1}, "errors": []}));
            let changes = "query($id: ID!) { draft(id: $id) { changes { kind question { number } } } }";
            let changes = editor.ask(changes, json!({"id": draft["id"]})).await["draft"]["changes"].take();
            assert_eq!(changes, json!([{"kind": "MOVED", "question": {"number": 1}}]));
            let figures = format!("a draft of {size}: copied in {copied:?} and {statements} statements, checked in {read:?}, \
                its last question moved to the front and compared in {:?}\n", began.elapsed());
            std::io::Write::write_all(&mut std::io::stderr(), figures.as_bytes()).ok();
            taken.push(statements);
        }
        assert_eq!(taken[0], taken[1]);
    }
}

async fn changes_of(editor: &Actor, draft: &Value) -> usize {
    changes(editor, draft).await.as_array().expect("changes").len()
}
