//! Imports of question banks: whole or not at all, within bounds, and safe to show.

use std::time::Duration;

use base64::Engine;
use marmalade::{auth::role::Role, id::BankImportId, import::background};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const SEND: &str = "mutation($content: String!) { importBank(input: {fileName: \"bank.csv\", content: $content,
    quizTitle: \"Sent\", subject: \"Physics\", publish: true}) { bankImport { id } errors { code } } }";
const REPORT: &str = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) { bankImport(id: $id) {
    finishedAt error sheets { questionCount errors { code } findingCounts { code severity count }
        findings(first: $first, after: $after, last: $last, before: $before) {
            totalCount nodes { cell code severity message } pageInfo { endCursor hasNextPage hasPreviousPage } } } } }";

async fn send(editor: &Actor, rows: &str) -> (Value, BankImportId) {
    let content = base64::engine::general_purpose::STANDARD.encode(rows);
    let sent = editor.ask(SEND, json!({"content": content})).await["importBank"].take();
    assert_eq!(sent["errors"], json!([]));
    let id = sent["bankImport"]["id"].clone();
    let decoded = BankImportId::decode(id.as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
    (id, decoded)
}

async fn run(app: &TestApp, id: BankImportId) {
    assert!(background::run_import(&app.app, id, &app.app.now()).await.is_ok());
}

fn bank(questions: usize) -> String {
    let rows: String = (0..questions)
        .map(|i| format!("Is it {i}?,yes,no,A,Chapter {}\n", i % 7))
        .collect();
    format!("Question,A,B,Answer,Chapter\n{rows}")
}

on_both_databases! {
    async fn an_import_that_dies_in_between_shows_nothing_and_the_next_run_imports_it_once(app: TestApp) {
        let (editor, student) = (app.actor(Role::Editor).await, app.student().await);
        let (id, decoded) = send(&editor, &bank(2_000)).await;
        let dying = tokio::spawn({
            let app = app.app.clone();
            async move { background::run_import(&app, decoded, &app.now()).await.is_ok() }
        });
        while app.count("SELECT 1 FROM questions").await == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        dying.abort();
        assert!(dying.await.is_err_and(|error| error.is_cancelled()), "it was not done yet");
        assert_eq!(app.count("SELECT 1 FROM unfinished_quizzes").await, 1);
        let catalogue = "{ quizzes { totalCount } }";
        assert_eq!(student.ask(catalogue, json!({})).await["quizzes"]["totalCount"], 0);
        assert!(editor.ask(REPORT, json!({"id": id})).await["bankImport"]["finishedAt"].is_null());

        run(&app, decoded).await;
        run(&app, decoded).await;
        assert_eq!(student.ask(catalogue, json!({})).await["quizzes"]["totalCount"], 1);
        for (table, rows) in [("quizzes", 1), ("revisions", 1), ("questions", 2_000), ("choices", 4_000), ("chapters", 7), ("unfinished_quizzes", 0)] {
            assert_eq!(app.count(&format!("SELECT 1 FROM {table}")).await, rows, "{table}");
        }
        let positions = "SELECT position FROM questions GROUP BY position HAVING position BETWEEN 0 AND 1999";
        assert_eq!(app.count(positions).await, 2_000);
    }

    async fn an_import_that_a_later_run_takes_over_stops_and_leaves_nothing(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let (_, decoded) = send(&editor, &bank(2_000)).await;
        let earlier = tokio::spawn({
            let app = app.app.clone();
            async move { background::run_import(&app, decoded, &app.now()).await.is_ok() }
        });
        while app.count("SELECT 1 FROM questions").await == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // As a worker of another process does that found the lease expired.
        let taken = app.app.db.write().execute_unprepared("UPDATE bank_imports SET writer = NULL").await;
        assert!(taken.is_ok());
        assert!(earlier.await.is_ok_and(|ended| ended));
        assert_eq!(app.count("SELECT 1 FROM bank_imports WHERE finished_at IS NULL").await, 1);
        assert_eq!(app.count("SELECT 1 FROM questions").await % 100, 0);
        run(&app, decoded).await;
        for (table, rows) in [("quizzes", 1), ("questions", 2_000), ("unfinished_quizzes", 0)] {
            assert_eq!(app.count(&format!("SELECT 1 FROM {table}")).await, rows, "{table}");
        }
    }

    async fn findings_come_in_pages_and_what_is_beyond_the_first_thousand_is_counted(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let rows = format!("Question,A,B,Answer\nIs it?,yes,no,A\nIs it?,yes,no,A\n{}", "=1,=1,=1,=1\n".repeat(2_000));
        let (id, decoded) = send(&editor, &rows).await;
        run(&app, decoded).await;
        let sheet = |page: Value| {
            let (editor, id) = (&editor, &id);
            async move {
                let mut variables = json!({"id": id});
                variables.as_object_mut().expect("an object").extend(page.as_object().expect("an object").clone());
                editor.ask(REPORT, variables).await["bankImport"]["sheets"][0].take()
            }
        };
        let first = sheet(json!({"first": 100})).await;
        assert_eq!(first["findingCounts"], json!([
            {"code": "FORMULA", "severity": "ERROR", "count": 8_000},
            {"code": "DUPLICATE_QUESTION", "severity": "WARNING", "count": 1},
        ]));
        assert_eq!((&first["questionCount"], &first["findings"]["totalCount"]), (&json!(1), &json!(1_000)));
        assert_eq!(first["findings"]["nodes"][0]["cell"], "A4");
        let (mut seen, mut page) = (0, first);
        loop {
            seen += page["findings"]["nodes"].as_array().expect("a list").len();
            if page["findings"]["pageInfo"]["hasNextPage"] == false {
                break;
            }
            page = sheet(json!({"first": 100, "after": page["findings"]["pageInfo"]["endCursor"]})).await;
        }
        assert_eq!(seen, 1_000);
        let last = sheet(json!({"last": 1})).await;
        assert_eq!(last["findings"]["nodes"][0]["code"], "DUPLICATE_QUESTION");
        assert_eq!(last["findings"]["pageInfo"]["hasPreviousPage"], true);
        assert_eq!(app.count("SELECT 1 FROM bank_imports WHERE length(report) < 300000").await, 1);
    }

    async fn what_an_import_stores_and_what_an_older_release_stored_is_safe_to_show(app: TestApp) {
        let (editor, student) = (app.actor(Role::Editor).await, app.student().await);
        let rows = "Question,A,B,Answer,Explanation\n\
            \"| a |\n|---|\n| `x | <script>alert(1)</script>` |\",[x](javascript:alert(1)),2 < 3,A,<img src=x onerror=alert(1)>\n";
        let (_, decoded) = send(&editor, rows).await;
        run(&app, decoded).await;
        let start = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) { attempt { questions { text choices { text } } } } }";
        let quiz = student.ask("{ quizzes { nodes { id } } }", json!({})).await["quizzes"]["nodes"][0]["id"].take();
        let safe = json!([{
            "text": "| a |\n|---|\n| `x | < script>alert(1)< /script>` |",
            "choices": [{"text": "[x\\](javascript:alert(1))"}, {"text": "2 < 3"}],
        }]);
        // An older release stored it as it was typed.
        let older = ["UPDATE questions SET text = replace(text, '< ', '<')", "UPDATE choices SET text = replace(text, '\\](', '](')"];
        for older in older {
            assert_eq!(app.count("SELECT 1 FROM questions WHERE text LIKE '%<script%'").await, usize::from(older.contains("choices")));
            assert!(app.app.db.write().execute_unprepared(older).await.is_ok());
        }
        let started = student.ask(start, json!({"quiz": quiz})).await["startAttempt"]["attempt"].take();
        assert_eq!(started["questions"], safe);
        assert_eq!(app.count("SELECT 1 FROM questions WHERE explanation = '&lt;img src=x onerror=alert(1)>'").await, 1);
    }
}
