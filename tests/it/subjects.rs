//! Subjects and chapters have a life: named, renamed, ordered, merged, deleted and restored; what students did follows.

use std::time::Duration;

use marmalade::auth::role::Role;
use serde_json::{Value, json};

use crate::{content::change, on_both_databases, support::Actor};

async fn make(editor: &Actor, name: &str) -> String {
    let made = change(editor, "createSubject", json!({"name": name}), "subject { id }").await;
    assert_eq!(made["errors"], json!([]), "{name}");
    made["subject"]["id"].as_str().expect("an id").to_owned()
}

async fn make_chapter(editor: &Actor, subject: &str, name: &str) -> String {
    let made = change(
        editor,
        "createChapter",
        json!({"subjectId": subject, "name": name}),
        "chapter { id }",
    )
    .await;
    assert_eq!(made["errors"], json!([]), "{name}");
    made["chapter"]["id"].as_str().expect("an id").to_owned()
}

fn refusal(payload: &Value) -> (&Value, &Value) {
    (&payload["errors"][0]["code"], &payload["errors"][0]["path"])
}

/// The subjects by name, each with its chapters.
async fn catalogue(actor: &Actor) -> Vec<(String, Vec<String>)> {
    let query = "{ subjects(first: 20) { nodes { name chapters(first: 20) { nodes { name } } } } }";
    let found = actor.ask(query, json!({})).await["subjects"]["nodes"].take();
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let subject = |subject: &Value| {
        let chapters = subject["chapters"]["nodes"].as_array().expect("chapters");
        (name(subject), chapters.iter().map(name).collect())
    };
    found.as_array().expect("subjects").iter().map(subject).collect()
}

async fn id_of(actor: &Actor, subject: &str, chapter: &str) -> String {
    let query = "{ subjects(first: 20) { nodes { name chapters(first: 20) { nodes { id name } } } } }";
    let found = actor.ask(query, json!({})).await["subjects"]["nodes"].take();
    let subjects = found.as_array().expect("subjects").clone();
    let subject = subjects
        .iter()
        .find(|found| found["name"] == subject)
        .expect("the subject");
    let chapters = subject["chapters"]["nodes"].as_array().expect("chapters");
    let chapter = chapters
        .iter()
        .find(|found| found["name"] == chapter)
        .expect("the chapter");
    chapter["id"].as_str().expect("an id").to_owned()
}

on_both_databases! {
    async fn a_name_is_one_whatever_its_case_and_accents(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let biology = make(&editor, "Biology").await;
        for name in ["biology", "BIOLOGY", " Biology ", "Bíology"] {
            let again = change(&editor, "createSubject", json!({"name": name}), "subject { id }").await;
            assert_eq!(refusal(&again), (&json!("CONFLICT"), &json!(["input", "name"])), "{name}");
        }
        let cells = make_chapter(&editor, &biology, "Cells").await;
        let again = change(&editor, "createChapter", json!({"subjectId": biology, "name": "cells"}), "chapter { id }").await;
        assert_eq!(refusal(&again), (&json!("CONFLICT"), &json!(["input", "name"])));
        // An import finds them, whatever it calls them.
        use base64::Engine;
        let content = base64::engine::general_purpose::STANDARD.encode("Question,A,B,Answer,Chapter\nOne?,1,2,A,CELLS\nTwo?,1,2,A,cells\n");
        let import = "mutation($content: String!) { importBank(input: {fileName: \"bank.csv\", content: $content, quizTitle: \"Sent\",
            subject: \"BIOLOGY\", publish: true}) { errors { message } } }";
        app.work();
        editor.ask(import, json!({"content": content})).await;
        app.idle().await;
        assert_eq!(catalogue(&app.anyone()).await, [("Biology".to_owned(), vec!["Cells".to_owned()])]);
        let chapter = marmalade::id::ChapterId::decode(&cells).unwrap_or_else(|_| panic!("an id"));
        let of_it = format!("SELECT 1 FROM questions WHERE chapter_id = {}", app.literal(chapter.0));
        assert_eq!(app.count(&of_it).await, 2);
        let renamed = change(&editor, "renameSubject", json!({"subjectId": biology, "name": "BIOLOGY"}), "subject { name }").await;
        assert_eq!((&renamed["subject"]["name"], &renamed["errors"]), (&json!("BIOLOGY"), &json!([])), "its own name is free for it");
        let other = make(&editor, "Physics").await;
        let taken = change(&editor, "renameSubject", json!({"subjectId": other, "name": "biology"}), "subject { name }").await;
        assert_eq!(refusal(&taken).0, "CONFLICT");
        // Many at once make one.
        let barrier = tokio::sync::Barrier::new(8);
        let race = ["Chemistry", "CHEMISTRY", "chemistry", "Chemistrý", "Chemistry ", " chemistry", "CHEMistry", "chemisTRY"].map(|name| {
            let (editor, barrier) = (&editor, &barrier);
            async move {
                barrier.wait().await;
                let made = change(editor, "createSubject", json!({"name": name}), "subject { id }").await;
                usize::from(made["errors"] == json!([]))
            }
        });
        let made: usize = futures_util::future::join_all(race).await.into_iter().sum();
        assert_eq!(made, 1);
    }

    async fn names_of_the_release_before_are_folded_and_two_that_are_one_can_be_merged(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        for (n, name) in ["Zoology", "zoology"].into_iter().enumerate() {
            // Ids of one moment are in no order.
            app.advance(Duration::from_millis(1));
            let id = app.literal(app.app.now().id::<marmalade::id::SubjectId>().0);
            let insert = format!("INSERT INTO subjects (id, name, created_at) VALUES ({id}, '{name}', {n})");
            use sea_orm::ConnectionTrait;
            app.app.db.write().execute_unprepared(&insert).await.expect("as the release before does");
        }
        assert!(marmalade::quiz::names::fold(&app.app.db).await.is_ok_and(|folded| folded == 1));
        assert!(marmalade::quiz::names::fold(&app.app.db).await.is_ok_and(|folded| folded == 0));
        let query = "{ subjects { nodes { id } } }";
        let two = editor.ask(query, json!({})).await["subjects"]["nodes"].take();
        let merge = json!({"subjectId": two[1]["id"], "intoId": two[0]["id"]});
        let merged = change(&editor, "mergeSubjects", merge, "subject { name }").await;
        assert_eq!((&merged["errors"], &merged["subject"]["name"]), (&json!([]), &json!("Zoology")));
        assert_eq!(catalogue(&editor).await.len(), 1);
    }

    async fn chapters_come_in_the_order_that_staff_give_them(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let subject = make(&editor, "Biology").await;
        let mut ids = Vec::new();
        for name in ["A", "B", "C", "D"] {
            // Ids of one moment are in no order.
            app.advance(Duration::from_millis(1));
            ids.push(make_chapter(&editor, &subject, name).await);
        }
        let order = async || catalogue(&app.anyone()).await[0].1.join("");
        assert_eq!(order().await, "ABCD");
        for (chapter, after, expected) in [(3, Some(0), "ADBC"), (0, Some(2), "DBCA"), (2, None, "CDBA"), (2, None, "CDBA")] {
            let input = json!({"chapterId": ids[chapter], "afterId": after.map(|after: usize| ids[after].clone())});
            let moved = change(&editor, "moveChapter", input, "chapter { id }").await;
            assert_eq!(moved["errors"], json!([]));
            assert_eq!(order().await, expected);
        }
        // A page after the other, from the front and from the back.
        let page = "query($id: ID!, $after: String) { node(id: $id) { ... on Subject { chapters(first: 1, after: $after) {
            nodes { name } pageInfo { endCursor hasNextPage } } } } }";
        let (mut names, mut after) = (String::new(), Value::Null);
        loop {
            let found = editor.ask(page, json!({"id": subject, "after": after})).await["node"]["chapters"].take();
            names += found["nodes"][0]["name"].as_str().expect("a name");
            if found["pageInfo"]["hasNextPage"] == false { break; }
            after = found["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(names, "CDBA");
        let other = make(&editor, "Physics").await;
        let elsewhere = make_chapter(&editor, &other, "Optics").await;
        let wrong = change(&editor, "moveChapter", json!({"chapterId": ids[0], "afterId": elsewhere}), "chapter { id }").await;
        assert_eq!(refusal(&wrong), (&json!("BAD_USER_INPUT"), &json!(["input", "afterId"])));
    }

    async fn a_merged_chapter_leads_on_in_questions_dashboards_and_filters(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        // Three chapters, of two questions each.
        let quiz = app.quiz(6, |_| {}).await;
        let taken = ada.take(quiz, 6).await.attempt;
        let [one, two, three] = [0, 1, 2].map(|n| format!("Chapter {n}"));
        let (first, second, third) = (id_of(&editor, "Biology", &one).await, id_of(&editor, "Biology", &two).await, id_of(&editor, "Biology", &three).await);
        for (from, into) in [(&first, &second), (&second, &third)] {
            let merged = change(&editor, "mergeChapters", json!({"chapterId": from, "intoId": into}), "chapter { id }").await;
            assert_eq!((&merged["errors"], &merged["chapter"]["id"]), (&json!([]), &json!(into)));
        }
        assert_eq!(catalogue(&app.anyone()).await, [("Biology".to_owned(), vec![three.clone()])]);
        let own = "query($id: ID!) { attempt(id: $id) { questions { chapter { id name } } } dashboard { chapters {
            chapter { id } progress { rightCount points } } } }";
        let own = ada.ask(own, json!({"id": taken})).await;
        assert!(own["attempt"]["questions"].as_array().expect("questions").iter().all(|question| question["chapter"]["id"] == third));
        assert_eq!(own["dashboard"]["chapters"], json!([{"chapter": {"id": third}, "progress": {"rightCount": 6, "points": 6.0}}]));
        for (id, code) in [(&first, "NOT_FOUND"), (&second, "NOT_FOUND")] {
            let (_, body) = editor.send("query($id: ID!) { node(id: $id) { id } }", json!({"id": id})).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], code);
        }
        let filtered = "query($id: ID!) { quizzes(filter: {chapterId: $id}) { totalCount } }";
        assert_eq!(ada.ask(filtered, json!({"id": third})).await["quizzes"]["totalCount"], 1);
        // New questions of the old name belong to the one that has it.
        let next = app.quiz(3, |_| {}).await;
        ada.take(next, 3).await;
        let chapters = "{ dashboard { chapters { chapter { id } progress { rightCount } } } }";
        assert_eq!(ada.ask(chapters, json!({})).await["dashboard"]["chapters"], json!([{"chapter": {"id": third}, "progress": {"rightCount": 9}}]));
        app.verify().await;
    }

    async fn a_deleted_chapter_stays_with_those_who_answered_its_questions(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let quiz = app.quiz(1, |_| {}).await;
        let taken = ada.take(quiz, 1).await.attempt;
        let id = id_of(&editor, "Biology", "Chapter 0").await;
        let own = "query($id: ID!) { attempt(id: $id) { questions { chapter { id name subject { name } } } }
            dashboard { chapters { chapter { id name } progress { points } } } }";
        let before = ada.ask(own, json!({"id": taken})).await;
        let deleted = change(&editor, "deleteChapter", json!({"chapterId": id}), "chapter { id deletedAt }").await;
        assert!(deleted["errors"] == json!([]) && deleted["chapter"]["deletedAt"].is_string(), "{deleted}");
        assert_eq!(catalogue(&bob).await, [("Biology".to_owned(), Vec::new())]);
        assert_eq!(ada.ask(own, json!({"id": taken})).await, before);
        let node = "query($id: ID!) { node(id: $id) { id } }";
        for actor in [&ada, &bob, &app.anyone()] {
            let (_, body) = actor.send(node, json!({"id": id})).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND");
        }
        assert_eq!(editor.ask(node, json!({"id": id})).await["node"]["id"], id);
        let restored = change(&editor, "restoreChapter", json!({"chapterId": id}), "chapter { deletedAt }").await;
        assert_eq!(restored["chapter"]["deletedAt"], Value::Null);
        assert_eq!(catalogue(&bob).await, [("Biology".to_owned(), vec!["Chapter 0".to_owned()])]);
        assert_eq!(bob.ask(node, json!({"id": id})).await["node"]["id"], id);
    }

    async fn a_subject_is_deleted_when_it_is_empty_and_comes_back(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let quiz = app.quiz(1, |_| {}).await;
        let taken = ada.take(quiz, 1).await.attempt;
        let query = "{ subjects { nodes { id } } }";
        let subject = editor.ask(query, json!({})).await["subjects"]["nodes"][0]["id"].clone();
        let refused = change(&editor, "deleteSubject", json!({"subjectId": subject}), "subject { id }").await;
        assert_eq!(refusal(&refused).0, "CONFLICT");
        change(&editor, "deleteQuiz", json!({"quizId": quiz.encode()}), "quiz { id }").await;
        let own = "query($id: ID!) { attempt(id: $id) { result { points } quiz { title subject { id name } } }
            dashboard { subjects { subject { name } progress { points } } } }";
        let before = ada.ask(own, json!({"id": taken})).await;
        let deleted = change(&editor, "deleteSubject", json!({"subjectId": subject}), "subject { deletedAt }").await;
        assert!(deleted["errors"] == json!([]) && deleted["subject"]["deletedAt"].is_string(), "{deleted}");
        // Its taker has all of it still; nobody but staff finds it.
        assert_eq!(ada.ask(own, json!({"id": taken})).await, before);
        assert!(catalogue(&bob).await.is_empty());
        let node = "query($id: ID!) { node(id: $id) { id } }";
        for actor in [&ada, &bob, &app.anyone()] {
            let (_, body) = actor.send(node, json!({"id": subject})).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND");
        }
        let gone = "{ deletedSubjects { totalCount nodes { id name } } }";
        assert_eq!(editor.ask(gone, json!({})).await["deletedSubjects"], json!({"totalCount": 1, "nodes": [{"id": subject, "name": "Biology"}]}));
        let orphan = change(&editor, "restoreQuiz", json!({"quizId": quiz.encode()}), "quiz { id }").await;
        assert_eq!(refusal(&orphan).0, "CONFLICT", "its subject comes first");
        for (step, input) in [("restoreSubject", json!({"subjectId": subject})), ("restoreQuiz", json!({"quizId": quiz.encode()}))] {
            assert_eq!(change(&editor, step, input, "__typename").await["errors"], json!([]), "{step}");
        }
        assert_eq!(catalogue(&bob).await.len(), 1);
        assert_eq!(ada.ask(own, json!({"id": taken})).await, before);
        app.verify().await;
    }

    async fn merged_subjects_have_one_board_and_one_line_on_dashboards(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let (kept, moved) = (app.quiz(2, |_| {}).await, app.quiz(2, |_| {}).await);
        let biology = editor.ask("{ subjects { nodes { id } } }", json!({})).await["subjects"]["nodes"][0]["id"].clone();
        let botany = make(&editor, "Botany").await;
        // Some of its results are on boards of earlier windows, and some are withheld.
        ada.take(kept, 1).await;
        ada.take(moved, 2).await;
        bob.take(moved, 1).await;
        app.advance(Duration::from_secs(40 * 86_400));
        let (editor, ada, bob) = (app.again(&editor).await, app.again(&ada).await, app.again(&bob).await);
        let cleo = app.student().await;
        cleo.take(kept, 1).await;
        app.work();
        let update = json!({"quizId": moved.encode(), "version": 1, "subjectId": botany});
        assert_eq!(change(&editor, "updateQuiz", update, "quiz { subject { name } }").await["quiz"]["subject"]["name"], "Botany");
        app.idle().await;
        app.verify().await;
        let board = "query($id: ID!) { board(subjectId: $id) { standings { nodes { points user { id } } } } }";
        let points = async |subject: &Value| {
            let found = ada.ask(board, json!({"id": subject})).await["board"]["standings"]["nodes"].take();
            let row = |row: &Value| (row["user"]["id"].as_str().unwrap_or_default().to_owned(), row["points"].as_f64().unwrap_or_default());
            found.as_array().expect("standings").iter().map(row).collect::<Vec<_>>()
        };
        let [a, b, c] = [&ada, &bob, &cleo].map(|actor| actor.id().encode());
        assert_eq!(points(&json!(botany)).await, [(a.clone(), 2.0), (b.clone(), 1.0)]);
        assert_eq!(points(&biology).await, [(a.clone(), 1.0), (c.clone(), 1.0)]);
        let subjects = "{ dashboard { subjects { subject { name } progress { attempts points } } } }";
        let line = |name: &str, attempts: i64, points: f64| json!({"subject": {"name": name}, "progress": {"attempts": attempts, "points": points}});
        assert_eq!(ada.ask(subjects, json!({})).await["dashboard"]["subjects"], json!([line("Biology", 1, 1.0), line("Botany", 1, 2.0)]));

        let merge = json!({"subjectId": botany, "intoId": biology});
        let merged = change(&editor, "mergeSubjects", merge, "subject { id }").await;
        assert_eq!((&merged["errors"], &merged["subject"]["id"]), (&json!([]), &biology));
        app.idle().await;
        app.verify().await;
        assert_eq!(points(&biology).await, [(a, 3.0), (b, 1.0), (c, 1.0)]);
        assert_eq!(ada.ask(subjects, json!({})).await["dashboard"]["subjects"], json!([line("Biology", 2, 3.0)]));
        let (_, body) = ada.send(board, json!({"id": botany})).await;
        assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND");
        // Its name is that of the other for imports; whoever makes one of that name again has a new one.
        let again = change(&editor, "createQuiz", json!({"title": "Roots", "subject": "botany"}), "quiz { subject { id } }").await;
        assert_eq!(again["quiz"]["subject"]["id"], biology);
        let new = make(&editor, "Botany").await;
        assert_ne!(new, botany);
    }
}
