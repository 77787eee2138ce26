//! Imports that are looked at before anything of them is written.

use std::{path::Path, time::Duration};

use base64::Engine;
use marmalade::{
    auth::role::Role,
    id::BankImportId,
    import::{confirm, preview},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    on_both_databases,
    support::{Actor, TestApp, socket::Socket},
};

const UPLOAD: &str = "mutation($name: String!, $content: String!, $options: ImportOptionsInput) {
    uploadBank(input: {fileName: $name, content: $content, options: $options}) {
        bankImport { id state } errors { code path message } } }";
const LOOK: &str = "query($id: ID!) { bankImport(id: $id) { state error progress { done total } sameFile { id } sheets {
    name questionCount blankCount skippedCount columns { letters heading role } quiz { id questionCount }
    findings(first: 100) { nodes { cell code severity message } }
    questions(first: 2) { totalCount nodes { cell number kind text rightNumber tolerance chapter choices { text isRight } }
        pageInfo { hasNextPage } } } } }";
const CONFIRM: &str = "mutation($input: ConfirmImportInput!) { confirmImport(input: $input) {
    bankImport { id state } errors { code path message } } }";
const PATIENCE: Duration = Duration::from_secs(30);

fn decoded(id: &str) -> BankImportId {
    BankImportId::decode(id).unwrap_or_else(|_| panic!("an import"))
}

async fn upload(editor: &Actor, name: &str, file: &[u8], options: Value) -> Value {
    let content = base64::engine::general_purpose::STANDARD.encode(file);
    let variables = json!({"name": name, "content": content, "options": options});
    editor.ask(UPLOAD, variables).await["uploadBank"].take()
}

/// The id of an import that can be confirmed.
async fn ready(app: &TestApp, editor: &Actor, name: &str, file: &[u8]) -> String {
    let sent = upload(editor, name, file, Value::Null).await;
    assert_eq!(sent["errors"], json!([]), "{sent}");
    let id = sent["bankImport"]["id"].as_str().expect("an id").to_owned();
    let read = preview::run_preview(&app.app, decoded(&id), &app.app.now()).await;
    assert!(read.is_ok());
    id
}

async fn look(editor: &Actor, id: &str) -> Value {
    editor.ask(LOOK, json!({"id": id})).await["bankImport"].take()
}

fn into_new(sheet: &str, title: &str) -> Value {
    json!({"sheet": sheet, "into": {"newQuiz": {"title": title, "subject": "Physics"}}})
}

async fn confirm(editor: &Actor, id: &str, sheets: Value, more: Value) -> Value {
    let mut input = json!({"importId": id, "sheets": sheets, "reason": "They are needed."});
    input
        .as_object_mut()
        .expect("an object")
        .extend(more.as_object().expect("an object").clone());
    editor.ask(CONFIRM, json!({"input": input})).await["confirmImport"].take()
}

async fn write(app: &TestApp, id: &str) {
    let written = confirm::run_confirmed(&app.app, decoded(id), &app.app.now()).await;
    assert!(written.is_ok());
}

/// The only quiz of a finished import.
async fn quiz_of(app: &TestApp, id: &str) -> String {
    let select = format!(
        "SELECT report FROM bank_imports WHERE id = {}",
        app.literal(decoded(id).0)
    );
    let db = app.app.db.write();
    let row = db
        .query_one_raw(Statement::from_string(db.get_database_backend(), select))
        .await;
    let report: String = row
        .expect("rows")
        .expect("a row")
        .try_get("", "report")
        .expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let quiz = report
        .as_array()
        .expect("sheets")
        .iter()
        .find_map(|sheet| sheet["quiz"].as_str())
        .expect("a quiz")
        .to_owned();
    let quiz: marmalade::id::QuizId = serde_json::from_value(json!(quiz)).expect("an id");
    quiz.encode()
}

on_both_databases! {
    async fn a_bank_is_looked_through_before_it_is_imported(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let bank = "Question,A,B,Kind,Answer,Difficulty\nIs it?,yes,no,,A,hard\nHow many?,,,NUMBER,7,\nNone?,yes,no,,,\n";
        let id = ready(&app, &editor, "bank.csv", bank.as_bytes()).await;
        let seen = look(&editor, &id).await;
        assert_eq!((&seen["state"], &seen["progress"]), (&json!("READY"), &json!({"done": 2, "total": 2})), "{seen}");
        let sheet = &seen["sheets"][0];
        assert_eq!(sheet["columns"][4], json!({"letters": "E", "heading": "Answer", "role": "ANSWER"}));
        assert_eq!(sheet["columns"][5], json!({"letters": "F", "heading": "Difficulty", "role": null}));
        let findings = &sheet["findings"]["nodes"];
        assert_eq!((&findings[0]["cell"], &findings[0]["code"]), (&json!("E4"), &json!("NO_ANSWER")));
        assert_eq!(findings[1]["code"], "UNUSED_COLUMN");
        assert_eq!(sheet["questions"]["totalCount"], 2);
        let questions = &sheet["questions"]["nodes"];
        assert_eq!(questions[0]["choices"], json!([{"text": "yes", "isRight": true}, {"text": "no", "isRight": false}]));
        assert_eq!(
            (&questions[1]["cell"], &questions[1]["kind"], &questions[1]["rightNumber"], &questions[1]["tolerance"]),
            (&json!("A3"), &json!("NUMBER"), &json!("7"), &json!("0"))
        );
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 0, "nothing is imported");

        // The same file waits already, and costs no use of the limit.
        let again = upload(&editor, "other.csv", bank.as_bytes(), Value::Null).await;
        assert_eq!(again["bankImport"]["id"], id.as_str());
        let other = upload(&editor, "bank.csv", bank.as_bytes(), json!({"numbers": "TEXT"})).await;
        assert_ne!(other["bankImport"]["id"], id.as_str(), "read in another way it is another");

        // All that is wrong is told at once, and nothing is lost by it.
        let wrong = json!([into_new("bank", ""), into_new("other", "A"), into_new("bank", "B")]);
        let refused = confirm(&editor, &id, wrong, json!({"publish": true})).await;
        let paths: Vec<String> = refused["errors"].as_array().expect("a list").iter().map(|error| error["path"].to_string()).collect();
        assert_eq!(paths, [
            r#"["input","rows"]"#,
            r#"["input","publish"]"#,
            r#"["input","sheets","0","into","newQuiz","title"]"#,
            r#"["input","sheets","1","sheet"]"#,
            r#"["input","sheets","2","sheet"]"#,
        ], "{refused}");
        let none = confirm(&editor, &id, json!([]), json!({})).await;
        assert_eq!(none["errors"][0]["path"], json!(["input", "sheets"]));

        let confirmed = confirm(&editor, &id, json!([into_new("bank", "Sent")]), json!({"rows": "VALID_ONLY"})).await;
        assert_eq!((&confirmed["errors"], &confirmed["bankImport"]["state"]), (&json!([]), &json!("WRITING")), "{confirmed}");
        write(&app, &id).await;
        write(&app, &id).await;
        let done = look(&editor, &id).await;
        assert_eq!((&done["state"], &done["sheets"][0]["questions"]["totalCount"]), (&json!("DONE"), &json!(0)));
        for (table, rows) in [("quizzes", 1), ("questions", 2), ("import_questions", 0), ("unfinished_quizzes", 0)] {
            assert_eq!(app.count(&format!("SELECT 1 FROM {table}")).await, rows, "{table}");
        }
        assert_eq!(app.count("SELECT 1 FROM questions WHERE kind = 'NUMBER' AND right_number = '7'").await, 1);

        // Again it changes nothing: the earlier import is named, and returned.
        let again = ready(&app, &editor, "bank.csv", bank.as_bytes()).await;
        assert_eq!(look(&editor, &again).await["sameFile"]["id"], id.as_str());
        let repeated = confirm(&editor, &again, json!([into_new("bank", "Sent")]), json!({"rows": "VALID_ONLY"})).await;
        assert_eq!((&repeated["errors"], &repeated["bankImport"]["id"]), (&json!([]), &json!(id)));
        write(&app, &again).await;
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 1);
        // Elsewhere it may go.
        let elsewhere = confirm(&editor, &again, json!([into_new("bank", "Another")]), json!({"rows": "VALID_ONLY"})).await;
        assert_eq!(elsewhere["bankImport"]["id"], again.as_str());
        write(&app, &again).await;
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 2);
        let listed = editor.ask("{ bankImports(first: 2) { totalCount nodes { state fileName } } }", json!({})).await["bankImports"].take();
        assert_eq!(listed["totalCount"], 3, "{listed}");
    }

    async fn an_import_that_is_given_up_writes_nothing(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let id = ready(&app, &editor, "bank.csv", b"Question,A,B,Answer\nIs it?,yes,no,A\n").await;
        let cancel = "mutation($id: ID!) { cancelImport(input: {importId: $id, reason: \"It was a slip.\"}) {
            bankImport { state error } errors { code path } } }";
        let cancelled = editor.ask(cancel, json!({"id": id})).await["cancelImport"].take();
        assert_eq!((&cancelled["errors"], &cancelled["bankImport"]["state"]), (&json!([]), &json!("FAILED")), "{cancelled}");
        assert_eq!(app.count("SELECT 1 FROM import_questions").await, 0);
        let again = editor.ask(cancel, json!({"id": id})).await["cancelImport"].take();
        assert_eq!((&again["errors"][0]["code"], &again["errors"][0]["path"]), (&json!("CONFLICT"), &json!(["input", "importId"])));
        let confirmed = confirm(&editor, &id, json!([into_new("bank", "Sent")]), json!({})).await;
        assert_eq!(confirmed["errors"][0]["code"], "CONFLICT");
        // And a week later nobody waits for it any more.
        let old = ready(&app, &editor, "old.csv", b"Question,A,B,Answer\nOld?,yes,no,A\n").await;
        app.advance(Duration::from_secs(8 * 86_400));
        let editor = app.again(&editor).await;
        ready(&app, &editor, "new.csv", b"Question,A,B,Answer\nNew?,yes,no,A\n").await;
        let old = look(&editor, &old).await;
        assert_eq!(old["state"], "FAILED", "{old}");
    }

    async fn two_who_confirm_at_once_import_once(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let id = ready(&app, &editor, "bank.csv", b"Question,A,B,Answer\nIs it?,yes,no,A\n").await;
        let sheets = || json!([into_new("bank", "Sent")]);
        let each = futures_util::future::join_all((0..6).map(|_| confirm(&editor, &id, sheets(), json!({})))).await;
        for outcome in &each {
            let is_stale = outcome["errors"][0]["code"] == "CONFLICT";
            assert!(is_stale || outcome["bankImport"]["id"] == id.as_str(), "{outcome}");
        }
        let now = app.app.now();
        let runs = futures_util::future::join_all((0..4).map(|_| confirm::run_confirmed(&app.app, decoded(&id), &now))).await;
        assert!(runs.iter().all(Result::is_ok));
        assert_eq!((app.count("SELECT 1 FROM quizzes").await, app.count("SELECT 1 FROM questions").await), (1, 1));
        assert_eq!(app.count("SELECT 1 FROM audit_entries WHERE action = 'IMPORT_CONFIRMED'").await, 1);
    }

    async fn rows_are_added_to_a_draft_or_take_the_place_of_its_questions(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let first = ready(&app, &editor, "bank.csv", b"Question,A,B,Answer\nOne?,yes,no,A\nTwo?,yes,no,\n").await;
        confirm(&editor, &first, json!([into_new("bank", "Sent")]), json!({"rows": "VALID_ONLY"})).await;
        write(&app, &first).await;
        let quiz = quiz_of(&app, &first).await;
        let draft = |how: &str, version: i32| json!([{"sheet": "bank", "into": {how: {"quizId": quiz, "version": version}}}]);

        // The whole file, mended: what the draft has already is left out.
        let mended = b"Question,A,B,Answer\nOne?,yes,no,A\nTwo?,yes,no,B\nThree?,yes,no,B\n";
        let second = ready(&app, &editor, "bank.csv", mended).await;
        let findings = &look(&editor, &second).await["sheets"][0]["findings"]["nodes"];
        assert_eq!(findings, &json!([]), "short questions are alike by nature");
        let stale = confirm(&editor, &second, draft("addToDraft", 7), json!({})).await;
        assert_eq!(
            (&stale["errors"][0]["code"], &stale["errors"][0]["path"]),
            (&json!("CONFLICT"), &json!(["input", "sheets", "0", "into", "addToDraft", "version"]))
        );
        let added = confirm(&editor, &second, draft("addToDraft", 1), json!({})).await;
        assert_eq!(added["errors"], json!([]), "{added}");
        // Somebody else is faster.
        let meanwhile = "UPDATE revisions SET version = 2";
        let db = app.app.db.write();
        assert!(db.execute_unprepared(meanwhile).await.is_ok());
        write(&app, &second).await;
        let stale = look(&editor, &second).await;
        assert_eq!(stale["state"], "READY", "{stale}");
        assert!(stale["error"].as_str().is_some_and(|error| error.contains("changed this draft")), "{stale}");
        assert_eq!(app.count("SELECT 1 FROM questions").await, 1);
        let added = confirm(&editor, &second, draft("addToDraft", 2), json!({})).await;
        assert_eq!(added["errors"], json!([]), "{added}");
        write(&app, &second).await;
        let done = look(&editor, &second).await;
        assert_eq!((&done["state"], &done["sheets"][0]["skippedCount"]), (&json!("DONE"), &json!(1)), "{done}");
        for (of, rows) in [
            ("quizzes", 1), ("revisions WHERE version = 3 AND question_count = 3", 1), ("questions", 3), ("unfinished_quizzes", 0),
            ("questions WHERE position IN (0, 1, 2)", 3),
        ] {
            assert_eq!(app.count(&format!("SELECT 1 FROM {of}")).await, rows, "{of}");
        }

        let third = ready(&app, &editor, "bank.csv", b"Question,A,B,Answer\nFour?,yes,no,A\nFive?,yes,no,A\n").await;
        let replaced = confirm(&editor, &third, draft("replaceDraft", 3), json!({"publish": true})).await;
        assert_eq!(replaced["errors"], json!([]), "{replaced}");
        write(&app, &third).await;
        let done = look(&editor, &third).await;
        assert_eq!((&done["state"], &done["sheets"][0]["quiz"]["questionCount"]), (&json!("DONE"), &json!(2)), "{done}");
        assert_eq!((app.count("SELECT 1 FROM questions").await, app.count("SELECT 1 FROM choices").await), (2, 4));
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 1);
        // A quiz without a draft takes none.
        let fourth = ready(&app, &editor, "bank.csv", b"Question,A,B,Answer\nSix?,yes,no,A\n").await;
        let refused = confirm(&editor, &fourth, draft("addToDraft", 4), json!({})).await;
        assert_eq!(refused["errors"][0]["code"], "CONFLICT", "{refused}");
    }

    async fn what_the_bank_has_already_is_warned_of(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let bank = |which: &str| format!("Question,A,B,Answer\n\"Which organelle of a plant cell makes sugar from {which} and water?\",the chloroplast,the nucleus,A\n");
        let first = ready(&app, &editor, "bank.csv", bank("light").as_bytes()).await;
        confirm(&editor, &first, json!([into_new("bank", "Cells")]), json!({"publish": true})).await;
        write(&app, &first).await;
        let second = ready(&app, &editor, "bank.csv", bank("sunlight").as_bytes()).await;
        let findings = look(&editor, &second).await["sheets"][0]["findings"]["nodes"].take();
        assert_eq!((&findings[0]["code"], &findings[0]["cell"]), (&json!("IN_BANK"), &json!("A2")), "{findings}");
        assert!(findings[0]["message"].as_str().is_some_and(|message| message.contains("Cells")));
    }

    async fn the_messy_bank_goes_through_the_upload_and_its_valid_rows_are_taken(app: TestApp) {
        let (editor, student) = (app.actor(Role::Editor).await, app.student().await);
        let path = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
        let bank = std::fs::read(path("messy-bank.xlsx")).expect("the bank");
        let expected: Value = serde_json::from_slice(&std::fs::read(path("messy-bank.expected.json")).expect("a file")).expect("JSON");
        let sent = upload(&editor, "messy-bank.xlsx", &bank, Value::Null).await;
        let id = sent["bankImport"]["id"].as_str().expect("an id").to_owned();
        let address = app.listen().await;
        let mut socket = Socket::open(address, &editor.token()).await;
        socket.subscribe("1", &format!("subscription {{ importProgress(importId: {id:?}) {{ state progress {{ done total }} }} }}")).await;
        let mut events = Vec::new();
        let mut event = timeout(PATIENCE, socket.event()).await.expect("the present state")["importProgress"].take();
        assert_eq!(event["state"], "READING");
        app.work();
        while event["state"] != "READY" {
            event = timeout(PATIENCE, socket.event()).await.expect("an event")["importProgress"].take();
            events.push(event.clone());
        }
        assert_eq!(event["progress"], json!({"done": 7, "total": 7}), "{events:?}");
        for sheet in look(&editor, &id).await["sheets"].as_array().expect("sheets") {
            let of = |severity: &str| {
                let nodes = sheet["findings"]["nodes"].as_array().expect("findings").iter();
                let of = nodes.filter(|finding| finding["severity"] == severity);
                of.map(|finding| json!({"cell": finding["cell"], "code": finding["code"]})).collect::<Vec<_>>()
            };
            let found = json!({"imported": sheet["questionCount"], "blank": sheet["blankCount"], "errors": of("ERROR"), "warnings": of("WARNING")});
            assert_eq!(found, expected[sheet["name"].as_str().expect("a name")], "{sheet}");
        }
        let sheets = json!([into_new("Biology", "Messy biology"), into_new("Physics", "Messy physics")]);
        let confirmed = confirm(&editor, &id, sheets, json!({"rows": "VALID_ONLY"})).await;
        assert_eq!(confirmed["errors"], json!([]), "{confirmed}");
        while event["state"] != "DONE" {
            event = timeout(PATIENCE, socket.event()).await.expect("an event")["importProgress"].take();
        }
        for (of, rows) in [("quizzes", 2), ("questions", 7), ("revisions WHERE state = 'DRAFT'", 2)] {
            assert_eq!(app.count(&format!("SELECT 1 FROM {of}")).await, rows, "{of}");
        }
        let quiz = marmalade::id::QuizId::decode(&quiz_of(&app, &id).await).unwrap_or_else(|_| panic!("a quiz"));
        let cause = marmalade::change::Cause::clock(&app.app.now());
        assert!(marmalade::quiz::author::publish(&app.app, quiz, &cause).await.is_ok());
        student.take(quiz, 3).await;
    }
}
