//! Imports of question banks: whole or not at all, within bounds, and safe to show.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use base64::Engine;
use marmalade::{auth::role::Role, id::BankImportId, import::background};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tower::ServiceExt;

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

const UPLOAD: &str = "mutation($file: Upload!) { importBank(input: {file: $file, quizTitle: \"Sent\",
    subject: \"Physics\", publish: true}) { bankImport { id fileName } errors { code path message } } }";

/// A form by <https://github.com/jaydenseric/graphql-multipart-request-spec>: fields, and files with their names.
fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map_or_else(String::new, |file| {
            format!("; filename=\"{file}\"\r\ncontent-type: text/csv")
        });
        body.extend(format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    body
}

async fn post(app: &TestApp, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, Value) {
    let mut request = Request::post("/graphql").header("content-type", "multipart/form-data; boundary=edge");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body)).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// An operation with one file, as Apollo's upload client, urql and Relay send it.
fn upload(operations: &Value, map: &Value, file: &[u8]) -> Vec<u8> {
    let (operations, map) = (operations.to_string(), map.to_string());
    form(&[
        ("operations", None, operations.as_bytes()),
        ("map", None, map.as_bytes()),
        ("0", Some("bank.csv"), file),
    ])
}

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
        // The warning gave its place to an error; it is counted.
        assert_eq!(last["findings"]["nodes"][0]["code"], "FORMULA");
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
        // What staff typed as text is stored so that it is shown as text.
        let typed = r"SELECT 1 FROM questions WHERE text LIKE '%&lt;script>%' AND text LIKE '%`x%' AND text NOT LIKE '| a |%'";
        assert_eq!(app.count(typed).await, 1);
        let safe = json!([{
            "text": "| a |\n|---|\n| `x | < script>alert(1)< /script>` |",
            "choices": [{"text": "[x\\](javascript:alert(1))"}, {"text": "2 < 3"}],
        }]);
        // An older release took it for Markdown, and stored it as it was typed.
        let older = [
            "UPDATE questions SET text = '| a |\n|---|\n| `x | <script>alert(1)</script>` |'",
            "UPDATE choices SET text = replace(text, '\\](', '](')",
        ];
        for older in older {
            assert!(app.app.db.write().execute_unprepared(older).await.is_ok());
        }
        let started = student.ask(start, json!({"quiz": quiz})).await["startAttempt"]["attempt"].take();
        assert_eq!(started["questions"], safe);
        assert_eq!(app.count("SELECT 1 FROM questions WHERE explanation = '&lt;img src=x onerror=alert(1)>'").await, 1);
    }

    async fn a_bank_is_uploaded_as_a_file(app: TestApp) {
        let (editor, student) = (app.actor(Role::Editor).await, app.student().await);
        let operations = json!({"query": UPLOAD, "variables": {"file": null}});
        let map = json!({"0": ["variables.file"]});
        let bearer = format!("Bearer {}", editor.token());
        // Larger than a request without files may be, and than one of a student.
        let rows = format!("Question,A,B,Answer\nIs it?,yes{},no,A\n", " ".repeat(1_200_000));
        assert!(rows.len() > 1024 * 1024);
        let body = upload(&operations, &map, rows.as_bytes());
        let (status, sent) = post(&app, &[("authorization", &bearer)], body.clone()).await;
        let sent = &sent["data"]["importBank"];
        assert_eq!((status, &sent["errors"], &sent["bankImport"]["fileName"]), (200, &json!([]), &json!("bank.csv")), "{sent}");
        let id = BankImportId::decode(sent["bankImport"]["id"].as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
        run(&app, id).await;
        assert_eq!(app.count("SELECT 1 FROM questions").await, 1);

        let as_student = format!("Bearer {}", student.token());
        let (status, refused) = post(&app, &[("authorization", &as_student)], body).await;
        assert_eq!((status, &refused["errors"][0]["extensions"]["code"]), (413, &json!("BAD_USER_INPUT")));
        let small = upload(&operations, &map, b"Question,A,B,Answer\nIs it?,yes,no,A\n");
        let (_, refused) = post(&app, &[("authorization", &as_student)], small.clone()).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN");
        let vast = upload(&operations, &map, &vec![b'x'; 5 * 1024 * 1024 + 1]);
        let (status, refused) = post(&app, &[("authorization", &bearer)], vast).await;
        let error = &refused["data"]["importBank"]["errors"][0];
        assert_eq!((status, &error["code"]), (200, &json!("BAD_USER_INPUT")), "{refused}");
        let vaster = upload(&operations, &map, &vec![b'x'; 7 * 1024 * 1024]);
        assert_eq!(post(&app, &[("authorization", &bearer)], vaster).await.0, 413);

        // What a form of any page can send runs nothing, with or without somebody's cookie.
        let query = upload(&json!({"query": "{ __typename }"}), &json!({}), b"");
        for (headers, expected) in [
            (&[][..], 403),
            (&[("cookie", "access_token=nonsense")], 403),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], 403),
            (&[("apollo-require-preflight", "true")], 400),
            (&[("x-apollo-operation-name", "Hello")], 400),
            (&[("sec-fetch-site", "same-origin")], 400),
        ] {
            // The file of this one is not in its map: whoever gets to that has been let in.
            assert_eq!(post(&app, headers, query.clone()).await.0, expected, "{headers:?}");
        }
        let (status, body) = post(&app, &[("apollo-require-preflight", "true")], small).await;
        assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (200, &json!("UNAUTHENTICATED")));
    }

    async fn a_form_that_is_none_is_refused(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let bearer = format!("Bearer {}", editor.token());
        let bank: &[u8] = b"Question,A,B,Answer\nIs it?,yes,no,A\n";
        let of = |operations: Value, map: Value| upload(&operations, &map, bank);
        let operations = json!({"query": UPLOAD, "variables": {"file": null}});
        let text = operations.to_string();
        let many: serde_json::Map<String, Value> = (0..11).map(|n| (n.to_string(), json!(["variables.file"]))).collect();
        for (what, body) in [
            ("no map", form(&[("operations", None, text.as_bytes()), ("0", Some("bank.csv"), bank)])),
            ("a file first", form(&[("0", Some("bank.csv"), bank), ("operations", None, text.as_bytes())])),
            ("nothing", form(&[])),
            ("no form", b"{}".to_vec()),
            ("cut off", of(operations.clone(), json!({"0": ["variables.file"]}))[..300].to_vec()),
            ("a batch", of(json!([operations]), json!({"0": ["0.variables.file"]}))),
            ("no such variable", of(operations.clone(), json!({"0": ["variables.other"]}))),
            ("not a variable", of(operations.clone(), json!({"0": ["query"]}))),
            ("a variable that is set", of(json!({"query": UPLOAD, "variables": {"file": "set"}}), json!({"0": ["variables.file"]}))),
            ("into a text", of(json!({"query": UPLOAD, "variables": {"file": "set"}}), json!({"0": ["variables.file.0"]}))),
            ("two files, of which one comes", of(operations.clone(), json!({"0": ["variables.file"], "1": ["variables.more"]}))),
            ("a file that is not in the map", of(operations.clone(), json!({}))),
            ("a map of something else", of(operations.clone(), json!({"0": "variables.file"}))),
            ("more files than fit", of(operations.clone(), json!(many))),
        ] {
            let (status, body) = post(&app, &[("authorization", &bearer)], body).await;
            assert_eq!((status, &body["errors"][0]["extensions"]["code"]), (400, &json!("BAD_USER_INPUT")), "{what}: {body}");
        }
        // A file is nothing that JSON could hold.
        for (what, file) in [
            ("a text", json!("#__graphql_file__:0")),
            ("another text", json!("#__graphql_file__:x")),
            ("an object", json!({"fileName": "bank.csv", "content": "Question"})),
            ("nothing", json!(null)),
        ] {
            let (_, body) = editor.send(UPLOAD, json!({"file": file})).await;
            let error = &body["errors"][0];
            assert_eq!((&body["data"]["importBank"], &error["extensions"]["code"]), (&json!(null), &json!("BAD_USER_INPUT")), "{what}: {body}");
        }
        for (what, input) in [
            ("neither file nor content", "fileName: \"bank.csv\""),
            ("content without a name", "content: \"MQ==\""),
        ] {
            let query = format!("mutation {{ importBank(input: {{{input}, quizTitle: \"Sent\", subject: \"Physics\"}}) {{ errors {{ code }} }} }}");
            let refused = editor.ask(&query, json!({})).await["importBank"]["errors"][0]["code"].take();
            assert_eq!(refused, "BAD_USER_INPUT", "{what}");
        }
        let both = "mutation($file: Upload!) { importBank(input: {file: $file, content: \"MQ==\", quizTitle: \"Sent\",
            subject: \"Physics\"}) { errors { code path } } }";
        let both = json!({"query": both, "variables": {"file": null}});
        let (_, both) = post(&app, &[("authorization", &bearer)], of(both, json!({"0": ["variables.file"]}))).await;
        assert_eq!(both["data"]["importBank"]["errors"][0]["code"], "BAD_USER_INPUT", "{both}");
        // The name that is given goes before that of the file.
        let named = UPLOAD.replace("file: $file", "file: $file, fileName: \"other.csv\"");
        let named = json!({"query": named, "variables": {"file": null}});
        let (_, named) = post(&app, &[("authorization", &bearer)], of(named, json!({"0": ["variables.file"]}))).await;
        assert_eq!(named["data"]["importBank"]["bankImport"]["fileName"], "other.csv", "{named}");
    }
}
