//! What looks the same is the same, however it was typed, and is found on either database.

use base64::Engine;
use marmalade::{
    auth::{password, role::Role},
    change::Cause,
    id::BankImportId,
    import::background,
    quiz::title,
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

const IMPORT: &str = "mutation($file: String!, $content: String!, $title: String!, $subject: String!) {
    importBank(input: {fileName: $file, content: $content, quizTitle: $title, subject: $subject, publish: true}) {
        bankImport { id } errors { code message path } } }";

/// Sends a bank, has it read, and returns what is said of it.
async fn imported(app: &TestApp, editor: &Actor, title: &str, subject: &str, bank: &str) -> Value {
    let content = base64::engine::general_purpose::STANDARD.encode(bank);
    let variables = json!({"file": "bank.csv", "content": content, "title": title, "subject": subject});
    let sent = editor.ask(IMPORT, variables).await["importBank"].take();
    let id = sent["bankImport"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned();
    let decoded = BankImportId::decode(&id).unwrap_or_else(|_| panic!("an import"));
    let run = background::run_import(&app.app, decoded, &app.app.now()).await;
    assert!(run.is_ok());
    let query = "query($id: ID!) { bankImport(id: $id) { error sheets { questionCount
        errors { cell code message } warnings { cell code } } } }";
    editor.ask(query, json!({"id": id})).await["bankImport"].take()
}

async fn texts(app: &TestApp, select: &str) -> Vec<String> {
    #[derive(FromQueryResult)]
    struct Row {
        text: String,
    }
    let db = app.app.db.write();
    let select = Statement::from_string(db.get_database_backend(), select);
    let rows = Row::find_by_statement(select).all(db).await.expect("rows");
    rows.into_iter().map(|row| row.text).collect()
}

/// The titles of the quizzes that a search finds, oldest first.
async fn found(actor: &Actor, text: &str) -> Vec<String> {
    let query = "query($text: SearchText) { quizzes(filter: {text: $text}) { totalCount nodes { title } } }";
    let page = actor.ask(query, json!({"text": text})).await["quizzes"].take();
    let nodes = page["nodes"].as_array().expect("nodes");
    assert_eq!(page["totalCount"], nodes.len(), "{text}");
    let titles = nodes
        .iter()
        .rev()
        .map(|quiz| quiz["title"].as_str().expect("a title").to_owned());
    titles.collect()
}

const TITLES: [&str; 8] = [
    "\u{C9}lan vital",
    "e\u{301}lan, sans majuscule",
    "Биология: введение",
    "100% sure_fire",
    "100 sureXfire",
    "Straße der \\Physik",
    "کِتاب اول",
    "Κόσμος",
];

async fn quizzes(app: &TestApp) {
    for title in TITLES {
        app.advance(std::time::Duration::from_millis(1));
        app.quiz(1, |quiz| quiz.title = title.into()).await;
    }
}

/// What each search finds, by the index in [`TITLES`].
async fn finds(actor: &Actor) {
    for (text, expected) in [
        ("élan", &[0, 1][..]),
        ("ELAN", &[0, 1]),
        ("E\u{301}LAN", &[0, 1]),
        ("vital élan", &[0]),
        ("биология", &[2]),
        ("БИОЛОГИЯ", &[2]),
        ("%", &[3]),
        ("sure_", &[3]),
        ("strasse", &[5]),
        ("STRASSE", &[5]),
        ("\\", &[5]),
        ("کتاب", &[6]),
        ("ΚΟΣΜΟΣ", &[7]),
        ("κοσμος", &[7]),
        ("\u{301}", &[0, 1, 2, 3, 4, 5, 6, 7]),
        ("kosmos", &[]),
    ] {
        let titles: Vec<_> = found(actor, text).await;
        let composed = |title: &str| title.replace("e\u{301}", "\u{E9}");
        let expected: Vec<_> = expected.iter().map(|index| composed(TITLES[*index])).collect();
        assert_eq!(titles, expected, "{text:?}");
    }
}

on_both_databases! {
    async fn a_search_finds_whatever_the_case_and_the_accents(app: TestApp) {
        quizzes(&app).await;
        finds(&app.anyone()).await;
        app.verify().await;

        let (admin, _) = (app.actor(Role::Admin).await, app.register("Elan_Vital").await);
        let count = async |text: &str| {
            let query = "query($text: SearchText) { users(filter: {text: $text}) { totalCount } }";
            admin.ask(query, json!({"text": text})).await["users"]["totalCount"].take()
        };
        // An address of the first release, which took any script.
        let old = "UPDATE users SET email = 'josé@example.com' WHERE handle = 'Elan_Vital'";
        app.app.db.write().execute_unprepared(old).await.expect("a row");
        for (text, expected) in [("élan", 1), ("ÉLAN_", 1), ("elan@", 0), ("JOSÉ@", 1), ("%", 0), ("élan JOSÉ@example", 1)] {
            assert_eq!(count(text).await, expected, "{text}");
        }
        let register = "mutation { register(input: {email: \"ada@Bu\u{308}cher.example\", handle: \"ada\",
            password: \"correct horse\"}) { errors { code } } }";
        app.anyone().ask(register, json!({})).await;
        for text in ["ada@bücher.example", "ADA@BÜCHER.EXAMPLE", "xn--bcher"] {
            assert_eq!(count(text).await, 1, "{text}");
        }
    }

    async fn what_a_server_of_the_release_before_has_written_is_found_once_it_is_folded(app: TestApp) {
        quizzes(&app).await;
        let db = app.app.db.write();
        db.execute_unprepared("UPDATE quizzes SET title_folded = NULL").await.expect("as that release writes");
        assert_eq!(found(&app.anyone(), "VITAL").await.len(), 1, "as that release finds it");
        assert_eq!(title::fold(&app.app.db).await.ok(), Some(TITLES.len()));
        assert_eq!(title::fold(&app.app.db).await.ok(), Some(0));
        finds(&app.anyone()).await;
        // Whoever writes a title and forgets this is found out.
        db.execute_unprepared("UPDATE quizzes SET title = 'Ada' WHERE title LIKE '100%'").await.expect("another title");
        let findings = marmalade::ops::verify::verify(&app.app).await.unwrap_or_else(|_| panic!("verify runs"));
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings.iter().all(|line| line.contains("is not found by its title")), "{findings:?}");
    }

    async fn texts_are_composed_whoever_sends_them(app: TestApp) {
        let (editor, root) = (app.actor(Role::Editor).await, app.actor(Role::Admin).await);
        // Its choices in one form, its answers in the other.
        let bank = "Question,A,B,Answer,Chapter,Explanation\n\
            Le cafe\u{301} ?,cafe\u{301},the\u{301},caf\u{E9},E\u{301}te\u{301},De\u{301}ja\u{300}.\n\
            Le th\u{E9} ?,caf\u{E9},th\u{E9},the\u{301},\u{C9}t\u{E9},D\u{E9}j\u{E0}.\n\
            Lequel ?,caf\u{E9},cafe\u{301},A,,\n";
        for (title, subject, end) in [("Cafe\u{301}", "Franc\u{327}ais", ""), ("Caf\u{E9}", "Fran\u{E7}ais", "\n")] {
            let report = imported(&app, &editor, title, subject, &format!("{bank}{end}")).await;
            assert_eq!(report["sheets"][0]["questionCount"], 2, "{report}");
            assert_eq!(report["sheets"][0]["errors"][0]["code"], "DUPLICATE_CHOICE", "{report}");
        }
        assert_eq!(texts(&app, "SELECT name AS text FROM subjects").await, ["Fran\u{E7}ais"]);
        assert_eq!(texts(&app, "SELECT name AS text FROM chapters").await, ["\u{C9}t\u{E9}"]);
        for select in [
            "SELECT title AS text FROM quizzes",
            "SELECT text AS text FROM questions",
            "SELECT text AS text FROM choices",
            "SELECT explanation AS text FROM questions",
        ] {
            let texts = texts(&app, select).await;
            assert!(texts.len() >= 2 && texts.iter().all(|text| !text.contains(['\u{301}', '\u{300}'])), "{texts:?}");
        }

        let ada = app.student().await;
        let suspend = "mutation($id: ID!, $reason: Reason!) { suspendUser(input: {userId: $id, reason: $reason}) {
            user { suspensionReason } errors { code } } }";
        let suspended = root.ask(suspend, json!({"id": ada.id().encode(), "reason": "triche\u{301}"})).await;
        assert_eq!(suspended["suspendUser"]["user"]["suspensionReason"], "trich\u{E9}");
    }

    async fn a_damaged_cell_is_reported(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let bank = "Question,A,B,Answer,Image\nCaf\u{FFFD}?,1,2,1,\nOne?,1,2,1,a\u{FFFD}.png\nTwo?,1,2,1,\n";
        let report = imported(&app, &editor, "Bank", "French", bank).await;
        assert_eq!(report["sheets"][0]["questionCount"], 1, "{report}");
        let errors = report["sheets"][0]["errors"].as_array().expect("errors");
        let codes: Vec<_> = errors.iter().map(|error| (error["cell"].clone(), error["code"].clone())).collect();
        assert_eq!(codes, [(json!("A2"), json!("UNSAFE_TEXT")), (json!("E3"), json!("UNSAFE_IMAGE"))]);
        assert!(errors[0]["message"].as_str().is_some_and(|message| message.contains("U+FFFD")));
    }

    async fn a_password_is_the_same_however_it_is_typed(app: TestApp) {
        let (composed, decomposed) = ("na\u{EF}ve caf\u{E9}", "nai\u{308}ve cafe\u{301}");
        let mixed = "na\u{EF}ve cafe\u{301}";
        let register = "mutation($handle: Handle!, $email: EmailAddress!, $password: Password!) {
            register(input: {email: $email, handle: $handle, password: $password}) { errors { code } } }";
        for (n, typed) in [composed, decomposed, mixed].into_iter().enumerate() {
            let handle = format!("new{n}");
            let input = json!({"handle": handle, "email": format!("{handle}@example.com"), "password": typed});
            assert_eq!(app.anyone().ask(register, input).await["register"]["errors"], json!([]));
            for again in [composed, decomposed, mixed] {
                assert!(app.sign_in(&handle, again).await.is_some(), "{typed:?}, then {again:?}");
            }
            assert!(app.sign_in(&handle, "naive cafe").await.is_none(), "it is no search");
        }
        // As releases before hashed it: what they were sent.
        let ada = app.register("ada").await;
        for stored in [composed, decomposed] {
            let hash = password::hash(stored.into(), [7; 16]).await.unwrap_or_default();
            let update = format!("UPDATE users SET password_hash = '{hash}' WHERE handle = 'ada'");
            app.app.db.write().execute_unprepared(&update).await.expect("an old hash");
            for typed in [composed, decomposed, mixed] {
                assert!(app.sign_in("ada", typed).await.is_some(), "{stored:?}, then {typed:?}");
            }
        }
        let hash = password::hash(mixed.into(), [7; 16]).await.unwrap_or_default();
        let update = format!("UPDATE users SET password_hash = '{hash}' WHERE handle = 'ada'");
        app.app.db.write().execute_unprepared(&update).await.expect("an old hash");
        assert!(app.sign_in("ada", mixed).await.is_some(), "as it was typed");

        let ada = app.again(&ada).await;
        let change = "mutation($old: Password!, $new: Password!) {
            changePassword(input: {password: $old, newPassword: $new}) { errors { code } } }";
        let changed = ada.ask(change, json!({"old": mixed, "new": "cre\u{300}me bru\u{302}le\u{301}e"})).await;
        assert_eq!(changed["changePassword"]["errors"], json!([]));
        assert!(app.sign_in("ada", "cr\u{E8}me br\u{FB}l\u{E9}e").await.is_some());
        // Ten characters, however many a keyboard makes of them.
        let short = json!({"old": "cr\u{E8}me br\u{FB}l\u{E9}e", "new": "e\u{301}".repeat(9)});
        assert_eq!(ada.ask(change, short).await["changePassword"]["errors"][0]["code"], "BAD_USER_INPUT");
    }

    async fn the_command_line_composes_too(app: TestApp) {
        let (folder, cause) = (app.folder(), Cause::clock(&app.app.now()));
        std::fs::write(folder.join("bank.csv"), "Question,A,B,Answer\nOne?,1,2,1\n").expect("a file");
        let file = |quiz: &str, subject: &str| marmalade::import::File {
            file: Some(folder.join("bank.csv")),
            quiz: Some(quiz.into()),
            subject: Some(subject.into()),
            publish: true,
            ..Default::default()
        };
        let read = file("E\u{301}lan", "Franc\u{327}ais").read().await.unwrap_or_else(|_| panic!("it is read"));
        assert!(marmalade::import::run(&app.app, read, &cause).await.is_ok());
        assert_eq!(texts(&app, "SELECT title AS text FROM quizzes").await, ["\u{C9}lan"]);
        assert_eq!(texts(&app, "SELECT name AS text FROM subjects").await, ["Fran\u{E7}ais"]);
        assert_eq!(found(&app.anyone(), "elan").await, ["\u{C9}lan"]);
        for (quiz, subject) in [("Caf\u{FFFD}", "French"), ("Bank", "Fran\u{FFFD}ais"), ("", "French")] {
            let refused = file(quiz, subject).read().await.err().expect("refused");
            assert!(quiz.is_empty() || refused.describe().contains("U+FFFD"), "{}", refused.describe());
        }
    }

    async fn the_demo_is_found_by_its_letters(app: TestApp) {
        assert!(marmalade::demo::fill_if_empty(&app.app).await.ok() == Some(true));
        assert!(!found(&app.anyone(), "MDCÁT").await.is_empty());
        assert_eq!(app.count("SELECT 1 FROM quizzes WHERE title_folded IS NULL").await, 0);
        app.verify().await;
    }
}
