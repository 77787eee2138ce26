//! Quizzes as files, through the API.

use base64::{Engine, engine::general_purpose::STANDARD};
use marmalade::{auth::role::Role, id::BankImportId, import::background};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const EXPORT: &str = "mutation($input: ExportQuizInput!) { exportQuiz(input: $input) {
    file { fileName mediaType content } errors { code path message } } }";

async fn export(editor: &Actor, input: Value) -> Value {
    editor.ask(EXPORT, json!({"input": input})).await["exportQuiz"].take()
}

/// Imports a file at once.
async fn import(app: &TestApp, editor: &Actor, name: &str, content: &str, title: &str) -> Value {
    let send = "mutation($name: String!, $content: String!, $title: String!) { importBank(input: {fileName: $name, content: $content,
        quizTitle: $title, subject: \"Physics\"}) { bankImport { id } errors { message } } }";
    let sent = editor
        .ask(send, json!({"name": name, "content": content, "title": title}))
        .await["importBank"]
        .take();
    let id = sent["bankImport"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned();
    let decoded = BankImportId::decode(&id).unwrap_or_else(|_| panic!("an import"));
    assert!(background::run_import(&app.app, decoded, &app.app.now()).await.is_ok());
    let query = "query($id: ID!) { bankImport(id: $id) { error sheets { questionCount findingCounts { code count severity } } } }";
    editor.ask(query, json!({"id": id})).await["bankImport"].take()
}

on_both_databases! {
    async fn a_quiz_is_exported_and_imported_again_as_the_same(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let quiz = app.quiz(4, |_| {}).await;
        let correct = "UPDATE questions SET explanation = '**Why**: 2*3', image = 'cells/frog.png' WHERE position = 1";
        assert!(app.app.db.write().execute_unprepared(correct).await.is_ok());
        // What the quizzes hold, one after the other.
        let all = "SELECT q.position || q.text || COALESCE(q.explanation, '') || COALESCE(q.image, '') || q.kind || COALESCE(q.right_set, q.right_position + 1) \
            || (SELECT COUNT(*) FROM choices c WHERE c.question_id = q.id AND c.position < 9) || COALESCE((SELECT name FROM chapters c WHERE c.id = q.chapter_id), '') \
            AS text FROM questions q GROUP BY 1 HAVING COUNT(*) = ";
        for (times, format) in [(2, "CSV"), (3, "XLSX"), (4, "GIFT"), (5, "JSON")] {
            let exported = export(&editor, json!({"quizId": quiz.encode(), "format": format, "reason": "For a colleague."})).await;
            assert_eq!(exported["errors"], json!([]), "{exported}");
            let name = exported["file"]["fileName"].as_str().expect("a name");
            let content = exported["file"]["content"].as_str().expect("content");
            let imported = import(&app, &editor, name, content, format).await;
            assert_eq!(imported["sheets"][0]["questionCount"], 4, "{format}: {imported}");
            assert_eq!(imported["sheets"][0]["findingCounts"], json!([]), "{format}: {imported}");
            let same = app.count(&format!("{all}{times}")).await;
            assert_eq!(same, 4, "{format}");
        }
        let admin = app.actor(Role::Admin).await;
        let log = "query($id: ID!) { auditLog(filter: {objectId: $id, action: QUIZ_EXPORTED}) { totalCount nodes { reason after } } }";
        let log = admin.ask(log, json!({"id": quiz.encode()})).await["auditLog"].take();
        assert_eq!((&log["totalCount"], &log["nodes"][0]["reason"]), (&json!(4), &json!("For a colleague.")));
    }

    async fn the_draft_and_the_revision_in_force_are_told_apart(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let (draft, published) = (app.draft(2, |_| {}).await, app.quiz(2, |_| {}).await);
        for (quiz, revision, is_there) in [
            (draft, json!(null), true), (draft, json!("DRAFT"), true), (draft, json!("PUBLISHED"), false),
            (published, json!(null), true), (published, json!("PUBLISHED"), true), (published, json!("DRAFT"), false),
        ] {
            let exported = export(&editor, json!({"quizId": quiz.encode(), "format": "JSON", "revision": revision})).await;
            assert_eq!(exported["file"].is_object(), is_there, "{exported}");
            if !is_there {
                assert_eq!((&exported["errors"][0]["code"], &exported["errors"][0]["path"]), (&json!("CONFLICT"), &json!(["input", "revision"])));
            }
        }
    }

    async fn a_template_is_imported_whole(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        for format in ["XLSX", "CSV"] {
            let template = editor.ask(&format!("{{ importTemplate(format: {format}) {{ fileName content }} }}"), json!({})).await["importTemplate"].take();
            let content = template["content"].as_str().expect("content");
            assert!(STANDARD.decode(content).is_ok());
            let imported = import(&app, &editor, template["fileName"].as_str().expect("a name"), content, format).await;
            assert_eq!((&imported["sheets"][0]["questionCount"], &imported["sheets"][0]["findingCounts"]), (&json!(5), &json!([])), "{imported}");
        }
        assert_eq!(app.count("SELECT 1 FROM questions GROUP BY kind").await, 5);
    }
}
