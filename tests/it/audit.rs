//! Who did what is recorded, and a log that was tampered with gives itself away.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use marmalade::{
    account::{self, Registration},
    api::schema,
    audit::{Action, Entry, Source, record, seal},
    auth::role::Role,
    change::Cause,
    id::{BankImportId, UserId},
    ops::verify,
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, PIXEL, TestApp},
};

#[derive(FromQueryResult)]
struct Row {
    actor_id: Option<UserId>,
    object_id: String,
    was: Option<String>,
    became: Option<String>,
    request_id: Option<String>,
}

/// The entries of an action, the oldest first.
async fn entries(app: &TestApp, action: &str) -> Vec<Row> {
    let db = app.app.db.read();
    let select = format!("SELECT * FROM audit_entries WHERE action = '{action}' ORDER BY id");
    let select = Statement::from_string(db.get_database_backend(), select);
    Row::find_by_statement(select).all(db).await.expect("entries")
}

/// The one entry of an action, held against who did it, to what, and in which request.
async fn only(app: &TestApp, action: &str, actor: Option<UserId>, object: &str) -> (Value, Value) {
    let rows = entries(app, action).await;
    let [row] = &rows[..] else {
        panic!("{} entries of {action}", rows.len())
    };
    assert_eq!((row.actor_id, row.object_id.as_str()), (actor, object), "{action}");
    let json = |text: &Option<String>| {
        text.as_ref()
            .map_or(Value::Null, |text| serde_json::from_str(text).expect("JSON"))
    };
    (json(&row.was), json(&row.became))
}

fn access(role: &str) -> Value {
    json!({"role": role, "suspendedAt": null, "deletedAt": null})
}

pub(crate) async fn seal_all(app: &TestApp) -> usize {
    let sealed = seal::seal(&app.app.db, &app.app.keys).await;
    sealed.unwrap_or_else(|_| panic!("seals")).count
}

pub(crate) async fn findings(app: &TestApp) -> Vec<String> {
    let found = verify::verify(&app.app).await;
    found.unwrap_or_else(|_| panic!("verify runs"))
}

pub(crate) async fn by_hand(app: &TestApp, statement: &str) -> Result<(), sea_orm::DbErr> {
    app.app.db.write().execute_unprepared(statement).await.map(drop)
}

/// Entries that nobody's request wrote.
pub(crate) async fn write_some(app: &TestApp, count: usize) {
    let now = app.app.now();
    for n in 0..count {
        let entry = Entry::of(Action::ScoreChanged, format!("attempt_{n}"))
            .was(json!({"score": 1}))
            .became(json!({"score": 2}));
        record(app.app.db.write(), &app.app.keys, &Source::default(), entry, &now)
            .await
            .unwrap_or_else(|_| panic!("records"));
    }
}

/// What somebody with the database in their hands does first.
pub(crate) async fn drop_the_triggers(app: &TestApp) {
    for trigger in ["update", "delete"] {
        let of = if app.is_postgres() { " ON audit_entries" } else { "" };
        by_hand(app, &format!("DROP TRIGGER audit_entries_no_{trigger}{of}"))
            .await
            .expect("dropped");
    }
}

/// An import that waits to be confirmed.
async fn ready(app: &TestApp, staff: &Actor, what: &str) -> String {
    let upload = "mutation($content: String!) { uploadBank(input: {fileName: \"bank.csv\", content: $content}) {
        bankImport { id } errors { message } } }";
    let content = STANDARD.encode(format!("Question,A,B,Answer\n{what}?,1,2,2\n"));
    let sent = staff.ask(upload, json!({"content": content})).await["uploadBank"].take();
    let import = sent["bankImport"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned();
    let id = BankImportId::decode(&import).unwrap_or_else(|_| panic!("an import"));
    let read = marmalade::import::preview::run_preview(&app.app, id, &app.app.now()).await;
    assert!(read.is_ok());
    import
}

/// Runs a mutation and returns the id of its request.
async fn request(actor: &Actor, mutation: &str) -> String {
    let response = actor.post(&format!("mutation {{ {mutation} }}"), json!({})).await;
    let id = response.headers().get("x-request-id").expect("an id");
    id.to_str().expect("ASCII").to_owned()
}

on_both_databases! {
    async fn the_database_itself_refuses_to_change_an_entry(app: TestApp) {
        write_some(&app, 3).await;
        assert_eq!(seal_all(&app).await, 3);
        for statement in [
            "UPDATE audit_entries SET became = '{\"score\":3}' WHERE seq = 2",
            "UPDATE audit_entries SET reason = 'on leave' WHERE seq = 2",
            "UPDATE audit_entries SET reason_digest = 'x' WHERE seq = 2",
            "UPDATE audit_entries SET seq = NULL, hash = NULL, mac = NULL, key_id = NULL WHERE seq = 2",
            "UPDATE audit_entries SET seq = 4 WHERE seq = 3",
            "DELETE FROM audit_entries WHERE seq = 2",
        ] {
            assert!(by_hand(&app, statement).await.is_err(), "{statement}");
        }
        app.verify().await;
    }

    async fn a_reason_is_erased_with_the_account_it_is_about_and_with_no_other(app: TestApp) {
        let (admin, ada, bob) = (app.actor(Role::Admin).await, app.student().await, app.student().await);
        let suspend = "mutation($id: ID!, $reason: Reason!) { suspendUser(input: {userId: $id, reason: $reason}) { errors { code } } }";
        for (whom, reason) in [(&ada, "Ada Byron copied from her neighbour."), (&bob, "He sold the questions.")] {
            admin.ask(suspend, json!({"id": whom.id().encode(), "reason": reason})).await;
        }
        seal_all(&app).await;
        let reasons = async |whom: &Actor| {
            let log = "query($id: ID!) { auditLog(filter: {objectId: $id, action: USER_SUSPENDED}) { nodes { reason } } }";
            admin.ask(log, json!({"id": whom.id().encode()})).await["auditLog"]["nodes"][0]["reason"].take()
        };
        assert_eq!((reasons(&ada).await, reasons(&bob).await), (json!("Ada Byron copied from her neighbour."), json!("He sold the questions.")));
        let delete = format!("UPDATE users SET deleted_at = {} WHERE id = {}", app.app.now().at.0, app.literal(ada.id().0));
        by_hand(&app, &delete).await.expect("deleted");
        app.advance(account::RESTORABLE);
        assert_eq!(account::own::erase(&app.app, &app.app.now()).await.ok(), Some(1));
        seal_all(&app).await;
        let admin = app.again(&admin).await;
        let reasons = async |whom: &Actor| {
            let log = "query($id: ID!) { auditLog(filter: {objectId: $id, action: USER_SUSPENDED}) { nodes { reason } } }";
            admin.ask(log, json!({"id": whom.id().encode()})).await["auditLog"]["nodes"][0]["reason"].take()
        };
        assert_eq!((reasons(&ada).await, reasons(&bob).await), (Value::Null, json!("He sold the questions.")));
        app.verify().await;
    }

    /// Each mutation of staff leaves an entry that says who, what and why: from the rules of access and the schema.
    async fn what_staff_do_is_recorded_with_its_object_and_its_reason(app: TestApp) {
        const REASON: &str = "A reason to be found again.";
        let (admin, ada, quiz) = (app.actor(Role::Admin).await, app.student().await, app.quiz(2, |_| {}).await);
        let paper = ada.take(quiz, 1).await;
        let job = app.app.now().id::<marmalade::id::JobId>();
        by_hand(&app, &format!("INSERT INTO background_jobs (id, kind, payload, personal, priority, state, attempts, max_attempts, \
            wanted_at, run_at, finished_at) VALUES ({}, 'purge', '{{}}', FALSE, 0, 'DEAD', 10, 10, 0, 0, 0)", app.literal(job.0))).await.expect("a job");
        let schema = schema::sdl();
        let inputs: Vec<_> = schema.split("\ninput ").skip(1).collect();
        let of_staff = include_str!("ownership/rules.txt").lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let is_of_staff = words.next() == Some("Mutation") && matches!(words.next(), Some("staff" | "admin"));
            is_of_staff.then_some(words)
        });
        let mut mutations: Vec<_> = of_staff.flatten().collect();
        // An account has sessions before it is suspended, is suspended before it is reinstated, and deleted before it is
        // restored.
        mutations.sort_by_key(|name| match *name {
            "revokeUserSessions" => 0,
            "reinstateUser" | "restoreUser" => 2,
            _ => 1,
        });
        assert!(mutations.len() >= 8, "{mutations:?}");
        let user = ada.id().encode();
        // A draft of its own for each: its id, its version, and its questions.
        let drafted = async || {
            let begin = "mutation($id: ID!) { createDraft(input: {quizId: $id, reason: \"a test\"}) { draft { id questions { nodes { id } } } } }";
            let quiz = app.quiz(2, |_| {}).await;
            let mut draft = admin.ask(begin, json!({"id": quiz.encode()})).await["createDraft"]["draft"].take();
            (draft["id"].take(), draft["questions"]["nodes"][0]["id"].take())
        };
        let write = async |name: &str, input: Value| {
            let ty = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
            let mutation = format!("mutation($input: {ty}!) {{ {name}(input: $input) {{ errors {{ message }} }} }}");
            assert_eq!(admin.ask(&mutation, json!({"input": input})).await[name]["errors"], json!([]));
        };
        let text_of = |id: &Value| id.as_str().expect("an id").to_owned();
        for name in mutations {
            let (fields, object) = match name {
                "correctQuestion" => {
                    let (question, choices) = &paper.questions[0];
                    (json!({"questionId": question, "choiceId": choices[1]}), question.clone())
                }
                "retryJob" => (json!({"jobId": job.encode()}), job.encode()),
                "setUserRole" => (json!({"userId": user, "role": "EDITOR"}), user.clone()),
                "suspendUser" | "reinstateUser" | "revokeUserSessions" => (json!({"userId": user}), user.clone()),
                "restoreUser" => {
                    let delete = format!("UPDATE users SET deleted_at = {} WHERE id = {}", app.app.now().at.0, app.literal(ada.id().0));
                    by_hand(&app, &delete).await.expect("deleted");
                    (json!({"userId": user}), user.clone())
                }
                "uploadBank" => {
                    let content = STANDARD.encode("Question,A,B,Answer\nTwo?,1,2,2\n");
                    (json!({"fileName": "bank.csv", "content": content}), String::new())
                }
                "confirmImport" | "cancelImport" => {
                    let import = ready(&app, &admin, name).await;
                    let sheets = json!([{"sheet": "bank", "into": {"newQuiz": {"title": "Sent", "subject": "Biology"}}}]);
                    match name {
                        "confirmImport" => (json!({"importId": import, "sheets": sheets}), import),
                        _ => (json!({"importId": import}), import),
                    }
                }
                "exportQuiz" => (json!({"quizId": quiz.encode(), "format": "CSV"}), quiz.encode()),
                "importBank" => {
                    let content = STANDARD.encode("Question,A,B,Answer\nOne?,1,2,1\n");
                    (json!({"fileName": "bank.csv", "content": content, "quizTitle": "Sent", "subject": "Biology"}), String::new())
                }
                "createQuiz" => (json!({"title": "Made", "subject": "Biology"}), String::new()),
                "updateQuiz" => {
                    let quiz = app.quiz(1, |_| {}).await.encode();
                    (json!({"quizId": quiz, "version": 1, "title": "Renamed"}), quiz)
                }
                "publishQuiz" => {
                    let quiz = app.draft(1, |_| {}).await.encode();
                    (json!({"quizId": quiz, "draftVersion": 1}), quiz)
                }
                "withdrawQuiz" | "reinstateQuiz" | "archiveQuiz" | "unarchiveQuiz" | "deleteQuiz" | "restoreQuiz" => {
                    let quiz = app.quiz(1, |_| {}).await;
                    let column = match name {
                        "reinstateQuiz" => "withdrawn_at",
                        "unarchiveQuiz" => "archived_at",
                        "restoreQuiz" => "deleted_at",
                        _ => "opens_at",
                    };
                    by_hand(&app, &format!("UPDATE quizzes SET {column} = 1 WHERE id = {}", app.literal(quiz.0))).await.expect("set");
                    (json!({"quizId": quiz.encode()}), quiz.encode())
                }
                "createSubject" => (json!({"name": "Botany"}), String::new()),
                "renameSubject" | "mergeSubjects" | "deleteSubject" | "restoreSubject" | "createChapter" => {
                    let made = |name: String| {
                        let input = json!({"name": name, "reason": "A part of the test."});
                        let create = "mutation($input: CreateSubjectInput!) { createSubject(input: $input) { subject { id } } }";
                        let admin = &admin;
                        async move { admin.ask(create, json!({"input": input})).await["createSubject"]["subject"]["id"].as_str().expect("an id").to_owned() }
                    };
                    let subject = made(format!("For {name}")).await;
                    if name == "restoreSubject" {
                        by_hand(&app, "UPDATE subjects SET deleted_at = 1 WHERE name = 'For restoreSubject'").await.expect("deleted");
                    }
                    match name {
                        "renameSubject" => (json!({"subjectId": subject, "name": "Renamed"}), subject),
                        "mergeSubjects" => (json!({"subjectId": subject, "intoId": made("Into".to_owned()).await}), subject),
                        "createChapter" => (json!({"subjectId": subject, "name": "Roots"}), String::new()),
                        _ => (json!({"subjectId": subject}), subject),
                    }
                }
                "renameChapter" | "moveChapter" | "mergeChapters" | "deleteChapter" | "restoreChapter" => {
                    app.quiz(3, |_| {}).await;
                    let chapters = "{ subjects { nodes { name chapters { nodes { id name } } } } }";
                    let subjects = admin.ask(chapters, json!({})).await["subjects"]["nodes"].take();
                    let biology = subjects.as_array().expect("some").iter().find(|subject| subject["name"] == "Biology").expect("it").clone();
                    let ids: Vec<_> = biology["chapters"]["nodes"].as_array().expect("some").iter().map(|chapter| chapter["id"].clone()).collect();
                    let [first, last] = [&ids[0], &ids[ids.len() - 1]].map(|id| id.as_str().expect("an id").to_owned());
                    match name {
                        "renameChapter" => (json!({"chapterId": first, "name": "Renamed"}), first),
                        "moveChapter" => (json!({"chapterId": last}), last),
                        "mergeChapters" => (json!({"chapterId": last, "intoId": first}), last),
                        "deleteChapter" => (json!({"chapterId": last}), last),
                        _ => {
                            let id = marmalade::id::ChapterId::decode(&last).unwrap_or_else(|_| panic!("an id"));
                            by_hand(&app, &format!("UPDATE chapters SET deleted_at = 1 WHERE id = {}", app.literal(id.0))).await.expect("deleted");
                            (json!({"chapterId": last}), last)
                        }
                    }
                }
                "deletePicture" => {
                    let picture = app.app.now().id::<marmalade::id::PictureId>();
                    by_hand(&app, &format!("INSERT INTO pictures (id, sha256, format, width, height, bytes, alt_text, created_at, created_by) \
                        SELECT {}, 'a hash', 'PNG', 1, 1, 1, 'A pixel', 1, id FROM users LIMIT 1", app.literal(picture.0))).await.expect("a picture");
                    (json!({"pictureId": picture.encode()}), picture.encode())
                }
                "uploadPicture" => (json!({"content": PIXEL, "altText": "A pixel"}), String::new()),
                "createDraft" => (json!({"quizId": app.quiz(1, |_| {}).await.encode()}), String::new()),
                "duplicateQuiz" => (json!({"quizId": quiz.encode(), "title": "A copy"}), String::new()),
                "discardDraft" | "updateDraft" => {
                    let (draft, _) = drafted().await;
                    (json!({"draftId": draft, "version": 1}), text_of(&draft))
                }
                "restoreDraft" => {
                    let (draft, _) = drafted().await;
                    write("discardDraft", json!({"draftId": draft, "version": 1, "reason": "a test"})).await;
                    (json!({"draftId": draft}), text_of(&draft))
                }
                "addQuestion" => {
                    let (draft, _) = drafted().await;
                    (json!({"draftId": draft, "version": 1, "text": "A question?"}), text_of(&draft))
                }
                "updateQuestions" => {
                    let (draft, question) = drafted().await;
                    (json!({"draftId": draft, "version": 1, "questionIds": [question], "remove": true}), text_of(&draft))
                }
                "updateQuestion" | "removeQuestion" | "moveQuestion" => {
                    let (draft, question) = drafted().await;
                    let mut input = json!({"questionId": question, "version": 1});
                    if name == "moveQuestion" {
                        input["number"] = json!(2);
                    }
                    (input, text_of(&draft))
                }
                "restoreQuestion" => {
                    let (draft, question) = drafted().await;
                    write("removeQuestion", json!({"questionId": question, "version": 1, "reason": "a test"})).await;
                    (json!({"questionId": question, "version": 2}), text_of(&draft))
                }
                other => panic!("how is {other} called, and what is its object?"),
            };
            let type_name = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
            let input = inputs.iter().find(|input| input.starts_with(&format!("{type_name} ")));
            let input = input.unwrap_or_else(|| panic!("{type_name}")).split("\n}").next().unwrap_or_default();
            let has_reason = input.contains("\treason: ");
            let mut fields = fields;
            if has_reason {
                fields["reason"] = json!(REASON);
            }
            app.advance(Duration::from_secs(60));
            let mutation = format!("mutation($input: {type_name}!) {{ {name}(input: $input) {{ errors {{ code message }} }} }}");
            let done = admin.ask(&mutation, json!({"input": fields})).await;
            assert_eq!(done[name]["errors"], json!([]), "{name}");
            if name == "importBank" {
                app.work();
                while app.count("SELECT 1 FROM audit_entries WHERE action = 'QUIZ_IMPORTED'").await == 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            let log = "{ auditLog(first: 1) { nodes { actor { id } objectId reason before after requestId } } }";
            let entry = admin.ask(log, json!({})).await["auditLog"]["nodes"][0].take();
            assert_eq!(entry["actor"]["id"], admin.id().encode(), "{name}: {entry}");
            assert!(entry["objectId"] == object || (object.is_empty() && entry["objectId"].is_string()), "{name}: {entry}");
            assert_eq!(entry["reason"], if has_reason { json!(REASON) } else { Value::Null }, "{name}");
            assert!(entry["after"].is_object() && entry["requestId"].is_string(), "{name}: {entry}");
        }
        app.verify().await;
    }

    async fn two_sealers_at_once_make_one_chain_and_one_tick_is_enough(app: TestApp) {
        write_some(&app, 450).await;
        let (one, other, third) = tokio::join!(seal_all(&app), seal_all(&app), seal_all(&app));
        assert_eq!(one + other + third, 450);
        app.verify().await;
        assert_eq!(seal::head(&app.app.db).await.ok().flatten().map(|head| head.sequence), Some(450));
        assert_eq!(app.statements(seal_all(&app)).await, (1, 0), "nothing to do costs one statement");
    }

    async fn each_change_is_recorded_with_who_and_in_which_request(app: TestApp) {
        let (ada, now) = (app.register("ada").await, app.app.now());
        let id = ada.id().encode();
        app.sign_in("ada", "correct horse").await.expect("signed in");
        let request_id = request(&ada, "revokeOtherSessions { errors { code } }").await;
        let (_, became) = only(&app, "SESSIONS_REVOKED", Some(ada.id()), &id).await;
        assert_eq!(became["revoked"].as_array().map(Vec::len), Some(1));
        assert_eq!(entries(&app, "SESSIONS_REVOKED").await[0].request_id, Some(request_id));

        let wrong = request(&app.anyone(), r#"signIn(input: {email: "ada@example.com", password: "wrong horse"}) { errors { code } }"#).await;
        only(&app, "SIGN_IN_FAILED", None, &id).await;
        assert_eq!(entries(&app, "SIGN_IN_FAILED").await[0].request_id, Some(wrong));
        for _ in 0..2 {
            app.sign_in("nobody", "wrong horse").await;
        }
        let failed = entries(&app, "SIGN_IN_FAILED").await;
        let unknown: Vec<_> = failed.iter().filter(|row| row.object_id.starts_with("email_")).collect();
        assert!(unknown.len() == 2 && unknown[0].object_id == unknown[1].object_id);

        request(&ada, r#"changePassword(input: {password: "correct horse", newPassword: "battery staple"}) { errors { code } }"#).await;
        only(&app, "PASSWORD_CHANGED", Some(ada.id()), &id).await;

        let registration = Registration { email: "bob@example.com".into(), handle: "bob".into(), password: "correct horse".into() };
        let bob = account::create(&app.app, registration, Role::Editor, &Cause::clock(&now)).await;
        let bob = bob.unwrap_or_else(|_| panic!("made")).id.encode();
        assert_eq!(only(&app, "USER_CREATED", None, &bob).await.1, json!({"role": "EDITOR"}));
        let bob_id = UserId::decode(&bob).unwrap_or_else(|_| panic!("an id"));
        account::people::set_role(&app.app, bob_id, Role::Admin, &Cause::clock(&now)).await.unwrap_or_else(|_| panic!("set"));
        assert_eq!(only(&app, "ROLE_CHANGED", None, &bob).await, (access("EDITOR"), access("ADMIN")));

        let quiz = app.quiz(2, |_| {}).await;
        assert_eq!(only(&app, "QUIZ_PUBLISHED", None, &quiz.encode()).await.1, json!({"revision": 1, "questions": 2}));

        request(&ada, r#"deleteAccount(input: {password: "battery staple"}) { errors { code } }"#).await;
        let (was, became) = only(&app, "USER_DELETED", Some(ada.id()), &id).await;
        assert_eq!((&was["deletedAt"], became["deletedAt"].is_string()), (&Value::Null, true));

        seal_all(&app).await;
        app.advance(Duration::from_secs(31 * 86_400));
        let erased = account::own::erase(&app.app, &app.app.now()).await;
        assert_eq!(erased.ok(), Some(1));
        only(&app, "USER_ERASED", None, &id).await;
        seal_all(&app).await;
        app.verify().await;
        let db = app.app.db.read();
        let names = "SELECT id FROM audit_entries WHERE COALESCE(was, '') || COALESCE(became, '') || object_id LIKE '%ada%@%' \
            OR COALESCE(was, '') || COALESCE(became, '') LIKE '%\"ada\"%'";
        let named = db.query_all_raw(Statement::from_string(db.get_database_backend(), names)).await.expect("rows");
        assert_eq!(named.len(), 0, "an erased account has left its id and nothing else");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a transaction that stays open beside the sealer"
)]
/// An entry that was begun before a younger one and is committed after it is sealed too, behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_are_committed_out_of_order_are_all_sealed() {
    let Some(app) = TestApp::postgres().await else { return };
    let early = app.app.now();
    let slow = app.app.db.begin().await.unwrap_or_else(|_| panic!("begins"));
    let entry = Entry::of(Action::ScoreChanged, "attempt_slow");
    record(&slow, &app.app.keys, &Source::default(), entry, &early)
        .await
        .unwrap_or_else(|_| panic!("records"));
    app.advance(Duration::from_secs(1));
    write_some(&app, 3).await;
    assert_eq!(seal_all(&app).await, 3);
    slow.commit().await.expect("commits");
    assert_eq!(seal_all(&app).await, 1);
    app.verify().await;
}
