//! Quizzes have a life: made, set, published, withdrawn, archived, deleted, and back; and what each of it is to staff, to who
//! took the quiz, and to others.

use std::time::Duration;

use marmalade::{attempt::release, auth::role::Role, entity::quiz::ReviewOpens};
use serde_json::{Value, json};

use crate::{on_both_databases, on_two_servers_too, support::Actor};

/// Sends a mutation of staff, with a reason.
pub(crate) async fn change(staff: &Actor, name: &str, mut input: Value, selection: &str) -> Value {
    input["reason"] = json!("A part of the test.");
    let ty = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let mutation =
        format!("mutation($input: {ty}!) {{ {name}(input: $input) {{ {selection} errors {{ code message path }} }} }}");
    staff.ask(&mutation, json!({"input": input})).await[name].take()
}

/// The same of a quiz, which must succeed.
async fn quiz_becomes(staff: &Actor, name: &str, input: Value, state: &str) -> Value {
    let mut changed = change(staff, name, input, "quiz { id state version title }").await;
    assert_eq!(changed["errors"], json!([]), "{name}");
    assert_eq!(changed["quiz"]["state"], state, "{name}");
    changed["quiz"].take()
}

fn codes(payload: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = payload["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|error| (text(&error["code"]), text(&error["path"][1])))
        .collect()
}

/// Whether somebody finds a quiz by its id, and in the catalogue.
async fn finds(actor: &Actor, quiz: &str) -> (bool, bool) {
    let query = "query($id: ID!) { quiz(id: $id) { id } node(id: $id) { id } quizzes(first: 100) { nodes { id } } }";
    let (_, body) = actor.send(query, json!({"id": quiz})).await;
    let data = &body["data"];
    if data["node"].is_null() {
        assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND");
    }
    let listed = data["quizzes"]["nodes"].as_array().expect("quizzes");
    let is_listed = listed.iter().any(|node| node["id"] == quiz);
    assert_eq!(!data["quiz"].is_null(), is_listed, "{body}");
    (!data["node"].is_null(), is_listed)
}

/// What a taker has of an attempt.
const OWN: &str = "query($id: ID!) { attempt(id: $id) { result { points rightCount } resultVisibility
    review { questions { outcome } } quiz { id state title subject { name } } }
    dashboard { total { attempts points } recentAttempts { id } } }";

on_both_databases! {
    async fn a_quiz_is_made_filled_published_and_scheduled(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let input = json!({"title": "  Kidneys ", "subject": "Physiology", "maxAttempts": 2});
        let made = quiz_becomes(&editor, "createQuiz", input, "DRAFT").await;
        assert_eq!(made["title"], "Kidneys");
        let id = made["id"].as_str().expect("an id").to_owned();
        assert_eq!((finds(&editor, &id).await, finds(&ada, &id).await), ((true, false), (false, false)));
        // What of it is not there yet, is not there; nothing of it fails.
        let all = "query($id: ID!) { quiz: node(id: $id) { ... on Quiz { questionCount durationSeconds marking { right } publishedAt questions { id }
            viewerCanStart viewerStartObstacle viewerAttempts { totalCount } viewerBestAttempt { id } unrankedReason board { id } } } }";
        let (_, body) = editor.send(all, json!({"id": id})).await;
        assert!(body["errors"].is_null(), "{body}");
        let draft = &body["data"]["quiz"];
        assert_eq!((&draft["questionCount"], &draft["questions"], &draft["board"]), (&json!(0), &Value::Null, &Value::Null));
        assert_eq!((&draft["viewerCanStart"], &draft["viewerStartObstacle"]), (&json!(false), &json!("WITHDRAWN")));
        let empty = change(&editor, "publishQuiz", json!({"quizId": id, "draftVersion": 1}), "quiz { id }").await;
        assert_eq!(empty["errors"][0]["code"], "BAD_USER_INPUT", "{empty}");

        let quiz = app.draft(2, |_| {}).await.encode();
        let stale = change(&editor, "publishQuiz", json!({"quizId": quiz, "draftVersion": 7}), "quiz { id }").await;
        assert_eq!(codes(&stale), [("CONFLICT".to_owned(), "version".to_owned())]);
        assert_eq!(finds(&ada, &quiz).await, (false, false));
        quiz_becomes(&editor, "publishQuiz", json!({"quizId": quiz, "draftVersion": 1}), "OPEN").await;
        assert_eq!(finds(&ada, &quiz).await, (true, true));
        let again = change(&editor, "publishQuiz", json!({"quizId": quiz, "draftVersion": 2}), "quiz { id }").await;
        assert_eq!(codes(&again), [("CONFLICT".to_owned(), String::new())], "there is no draft any more");

        let at = |hours: i64| (app.app.now().at + Duration::from_secs(3600 * hours as u64)).to_utc().to_rfc3339();
        let opens = json!({"quizId": quiz, "version": 1, "opensAt": at(1), "closesAt": at(3)});
        quiz_becomes(&editor, "updateQuiz", opens, "SCHEDULED").await;
        let obstacle = "query($id: ID!) { quiz(id: $id) { state viewerStartObstacle } }";
        let seen = ada.ask(obstacle, json!({"id": quiz})).await["quiz"].take();
        assert_eq!(seen, json!({"state": "SCHEDULED", "viewerStartObstacle": "NOT_OPEN_YET"}));
        for (hours, state) in [(1, "OPEN"), (2, "CLOSED")] {
            app.advance(Duration::from_secs(3600 * hours));
            let editor = app.again(&editor).await;
            let mine = "query($state: QuizState) { staffQuizzes(first: 100, filter: {state: $state}) { totalCount nodes { id state } } }";
            let found = editor.ask(mine, json!({"state": state})).await["staffQuizzes"].take();
            assert_eq!(found, json!({"totalCount": 1, "nodes": [{"id": quiz, "state": state}]}));
        }
        app.verify().await;
    }

    async fn staff_find_every_quiz_by_its_state_subject_and_words(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let mut quizzes = Vec::new();
        for name in ["Drafted", "Open", "Withdrawn", "Archived", "Deleted"] {
            let title = |quiz: &mut marmalade::quiz::author::NewQuiz| quiz.title = format!("Élan {name}");
            let quiz = if name == "Drafted" { app.draft(1, title).await } else { app.quiz(1, title).await };
            quizzes.push(quiz.encode());
        }
        quiz_becomes(&editor, "withdrawQuiz", json!({"quizId": quizzes[2]}), "WITHDRAWN").await;
        quiz_becomes(&editor, "archiveQuiz", json!({"quizId": quizzes[3]}), "ARCHIVED").await;
        quiz_becomes(&editor, "deleteQuiz", json!({"quizId": quizzes[4]}), "DELETED").await;
        let list = "query($filter: StaffQuizFilter, $n: Int, $after: String) { staffQuizzes(filter: $filter, first: $n, after: $after) {
            totalCount nodes { id state } pageInfo { endCursor hasNextPage } } }";
        let ids = |found: &Value| found["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].clone()).collect::<Vec<_>>();
        let found = editor.ask(list, json!({"filter": {"text": "elan"}, "n": 100})).await["staffQuizzes"].take();
        let all = ids(&found);
        assert!(quizzes.iter().all(|id| all.contains(&json!(id))), "{all:?}");
        assert_eq!((all.len(), &found["totalCount"]), (5, &json!(5)));
        for (id, state) in quizzes.iter().zip(["DRAFT", "OPEN", "WITHDRAWN", "ARCHIVED", "DELETED"]) {
            let found = editor.ask(list, json!({"filter": {"state": state}, "n": 100})).await["staffQuizzes"].take();
            assert_eq!(found["nodes"], json!([{"id": id, "state": state}]));
            assert_eq!(found["totalCount"], 1);
        }
        // Page by page it is the same.
        let (mut pages, mut after) = (Vec::new(), Value::Null);
        loop {
            let page = editor.ask(list, json!({"n": 2, "after": after})).await["staffQuizzes"].take();
            pages.extend(ids(&page));
            if page["pageInfo"]["hasNextPage"] == false { break; }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(pages, all);
        let (status, body) = ada.send("{ staffQuizzes { nodes { id } } }", json!({})).await;
        assert_eq!((status.as_u16(), &body["errors"][0]["extensions"]["code"]), (200, &json!("FORBIDDEN")));
        assert_eq!(ada.ask("{ quizzes { nodes { id } } }", json!({})).await["quizzes"]["nodes"], json!([{"id": quizzes[1]}]));
        let (few, _) = app.statements(editor.ask(list, json!({"n": 1}))).await;
        let (many, _) = app.statements(editor.ask(list, json!({"n": 100}))).await;
        assert_eq!(few, many);
    }

    async fn two_editors_at_the_settings_and_all_that_is_wrong_at_once(app: TestApp) {
        let (one, other) = (app.actor(Role::Editor).await, app.actor(Role::Editor).await);
        let id = app.quiz(1, |_| {}).await.encode();
        let wrong = json!({"quizId": id, "version": 1, "title": " ", "maxAttempts": 0, "cooldownSeconds": -1,
            "opensAt": "2027-01-02T00:00:00Z", "closesAt": "2027-01-01T00:00:00Z", "description": "x".repeat(2001)});
        let refused = change(&one, "updateQuiz", wrong, "quiz { id }").await;
        let paths: Vec<_> = codes(&refused).into_iter().map(|(_, path)| path).collect();
        assert_eq!(paths, ["title", "description", "maxAttempts", "cooldownSeconds", "closesAt"]);
        let never = json!({"quizId": id, "version": 1, "reviewOpens": "AFTER_CLOSE"});
        let refused = change(&one, "updateQuiz", never, "quiz { id }").await;
        assert_eq!(codes(&refused), [("BAD_USER_INPUT".to_owned(), "reviewOpens".to_owned())]);

        let fields = "quiz { version title description maxAttempts cooldownSeconds }";
        let set = json!({"quizId": id, "version": 1, "title": "Renamed", "description": "For the second year.", "maxAttempts": 3, "cooldownSeconds": 60});
        let set = change(&one, "updateQuiz", set, fields).await;
        assert_eq!(set["quiz"], json!({"version": 2, "title": "Renamed", "description": "For the second year.", "maxAttempts": 3, "cooldownSeconds": 60}));
        let stale = change(&other, "updateQuiz", json!({"quizId": id, "version": 1, "title": "Lost?"}), fields).await;
        assert_eq!(codes(&stale), [("CONFLICT".to_owned(), "version".to_owned())]);
        // What is omitted stays; null clears.
        let cleared = json!({"quizId": id, "version": 2, "maxAttempts": null, "description": null});
        let cleared = change(&other, "updateQuiz", cleared, fields).await;
        assert_eq!(cleared["quiz"], json!({"version": 3, "title": "Renamed", "description": null, "maxAttempts": null, "cooldownSeconds": 60}));
        let nothing = change(&other, "updateQuiz", json!({"quizId": id, "version": 3, "title": "Renamed"}), fields).await;
        assert_eq!(nothing["quiz"]["version"], 3);
        assert_eq!(app.count("SELECT 1 FROM audit_entries WHERE action = 'QUIZ_CHANGED'").await, 2, "what changes nothing is not recorded");

        // Ten at once: one is first, and the others are told.
        let barrier = tokio::sync::Barrier::new(10);
        let race = (0..10).map(|n| {
            let (one, id, barrier) = (&one, &id, &barrier);
            async move {
                barrier.wait().await;
                let input = json!({"quizId": id, "version": 3, "title": format!("Racer {n}")});
                codes(&change(one, "updateQuiz", input, "quiz { id }").await).len()
            }
        });
        let refused: usize = futures_util::future::join_all(race).await.into_iter().sum();
        assert_eq!(refused, 9);
    }

    /// What was deleted, withdrawn or archived keeps its takers' results; nobody else but staff finds it.
    async fn a_quiz_leaves_the_catalogue_and_comes_back(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let quiz = app.quiz(2, |_| {}).await;
        let id = quiz.encode();
        let taken = ada.take(quiz, 2).await.attempt;
        let before = ada.ask(OWN, json!({"id": taken})).await;
        let board = |actor: &Actor| {
            let actor = actor.clone();
            async move { actor.ask("{ board { standings { nodes { rank points user { id } } } } }", json!({})).await }
        };
        let on_board = board(&bob).await;
        for (there, back, state) in [
            ("withdrawQuiz", "reinstateQuiz", "WITHDRAWN"),
            ("archiveQuiz", "unarchiveQuiz", "ARCHIVED"),
            ("deleteQuiz", "restoreQuiz", "DELETED"),
        ] {
            // Open before, and open to its end.
            let running = app.student().await;
            let paper = running.start(quiz).await;
            quiz_becomes(&editor, there, json!({"quizId": id}), state).await;
            let audited = app.count("SELECT 1 FROM audit_entries").await;
            quiz_becomes(&editor, there, json!({"quizId": id}), state).await;
            assert_eq!(app.count("SELECT 1 FROM audit_entries").await, audited, "the same again is nothing");
            assert_eq!(finds(&editor, &id).await, (true, false), "{state}");
            for actor in [&ada, &bob, &app.anyone()] {
                assert_eq!(finds(actor, &id).await, (false, false), "{state}");
            }
            let start = "mutation($id: ID!) { startAttempt(input: {quizId: $id}) { errors { code } } }";
            let (_, body) = bob.send(start, json!({"id": id})).await;
            assert_eq!(body["errors"][0]["extensions"]["code"], "NOT_FOUND", "{state}");
            let mut now = ada.ask(OWN, json!({"id": taken})).await;
            assert_eq!(now["attempt"]["quiz"]["state"], state);
            now["attempt"]["quiz"]["state"] = json!("OPEN");
            assert_eq!(now, before, "{state}");
            assert_eq!(board(&bob).await, on_board, "{state}");
            assert_eq!(running.save(&paper, 0, 0, 1).await["outcome"], "SAVED");
            assert_eq!(running.submit(&paper, "a key of the end").await["attempt"]["result"]["rightCount"], 1);
            // Off the board again, for the next round.
            let out = "mutation { updateAccount(input: {hiddenFromBoards: true}) { errors { code } } }";
            running.ask(out, json!({})).await;
            quiz_becomes(&editor, back, json!({"quizId": id}), "OPEN").await;
            assert_eq!((finds(&ada, &id).await, finds(&app.anyone(), &id).await), ((true, true), (true, true)));
        }
        let draft = app.draft(1, |_| {}).await.encode();
        let refused = change(&editor, "withdrawQuiz", json!({"quizId": draft}), "quiz { id }").await;
        assert_eq!(codes(&refused), [("CONFLICT".to_owned(), String::new())]);
        quiz_becomes(&editor, "deleteQuiz", json!({"quizId": draft}), "DELETED").await;
        for (name, more) in [("publishQuiz", json!(1)), ("updateQuiz", json!(2)), ("archiveQuiz", Value::Null)] {
            let mut input = json!({"quizId": draft});
            if !more.is_null() { input[if name == "publishQuiz" { "draftVersion" } else { "version" }] = more; }
            let refused = change(&editor, name, input, "quiz { id }").await;
            assert_eq!(codes(&refused), [("CONFLICT".to_owned(), String::new())], "{name}");
        }
        quiz_becomes(&editor, "restoreQuiz", json!({"quizId": draft}), "DRAFT").await;
        app.verify().await;
    }

    async fn settings_move_no_deadline_and_open_no_key_too_early(app: TestApp) {
        let (editor, ada, bob) = (app.actor(Role::Editor).await, app.student().await, app.student().await);
        let quiz = app.quiz(2, |_| {}).await;
        let id = quiz.encode();
        let at = |seconds: u64| (app.app.now().at + Duration::from_secs(seconds)).to_utc().to_rfc3339();
        let released = at(7200);
        quiz_becomes(&editor, "updateQuiz", json!({"quizId": id, "version": 1, "resultsAt": released}), "OPEN").await;
        let running = bob.start(quiz).await;
        let deadline = "query($id: ID!) { attempt(id: $id) { deadlineAt } }";
        let before = bob.ask(deadline, json!({"id": running.attempt})).await;
        quiz_becomes(&editor, "updateQuiz", json!({"quizId": id, "version": 2, "closesAt": at(60)}), "OPEN").await;
        assert_eq!(bob.ask(deadline, json!({"id": running.attempt})).await, before);
        // Held back: nothing of the result, its review, the dashboard or a board tells a thing.
        let taken = ada.take(quiz, 2).await.attempt;
        let held = ada.ask(OWN, json!({"id": taken})).await;
        assert_eq!((&held["attempt"]["result"], &held["attempt"]["review"]), (&Value::Null, &Value::Null));
        assert_eq!(held["attempt"]["resultVisibility"], "HIDDEN");
        assert_eq!(held["dashboard"]["total"], json!({"attempts": 1, "points": 0.0}));
        let board = "query($id: ID!) { board { totalCount: standings { totalCount } } quiz(id: $id) { resultsAt } }";
        assert_eq!(ada.ask(board, json!({"id": id})).await["board"]["totalCount"]["totalCount"], 0);
        // A policy that opens reviews changes nothing before that time.
        quiz_becomes(&editor, "updateQuiz", json!({"quizId": id, "version": 3, "reviewOpens": "AFTER_LAST_ATTEMPT", "maxAttempts": 1}), "OPEN").await;
        assert_eq!(ada.ask(OWN, json!({"id": taken})).await["attempt"]["review"], Value::Null);
        bob.submit(&running, "a key of the end").await;
        app.advance(Duration::from_secs(7199));
        let (ada, editor) = (app.again(&ada).await, app.again(&editor).await);
        assert!(release::sweep(&app.app, &app.app.now()).await.is_ok_and(|released| released == 0));
        assert_eq!(ada.ask(OWN, json!({"id": taken})).await["attempt"]["review"], Value::Null);
        app.advance(Duration::from_secs(1));
        let shown = ada.ask(OWN, json!({"id": taken})).await;
        assert_eq!(shown["attempt"]["result"], json!({"points": 2.0, "rightCount": 2}));
        assert_eq!(shown["dashboard"]["total"], json!({"attempts": 1, "points": 2.0}));
        assert!(release::sweep(&app.app, &app.app.now()).await.is_ok_and(|released| released == 2));
        app.verify().await;
        // Reviews that a new policy closes are closed at once.
        quiz_becomes(&editor, "updateQuiz", json!({"quizId": id, "version": 4, "resultsAt": at(60)}), "CLOSED").await;
        assert_eq!(ada.ask(OWN, json!({"id": taken})).await["attempt"]["review"], Value::Null);
        app.verify().await;
    }

    async fn a_policy_that_opens_reviews_releases_what_was_withheld(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let closes = app.app.now().at + Duration::from_secs(86_400);
        let quiz = app.quiz(2, |quiz| {
            quiz.review_opens = ReviewOpens::AfterClose;
            quiz.closes_at = Some(closes);
        }).await;
        let taken = ada.take(quiz, 1).await.attempt;
        assert_eq!(ada.ask(OWN, json!({"id": taken})).await["attempt"]["resultVisibility"], "HIDDEN");
        app.work();
        let open = json!({"quizId": quiz.encode(), "version": 1, "reviewOpens": "AFTER_LAST_ATTEMPT", "maxAttempts": 1});
        quiz_becomes(&editor, "updateQuiz", open, "OPEN").await;
        app.idle().await;
        assert_eq!(app.count("SELECT 1 FROM results WHERE visibility = 'FULL'").await, 1);
        assert_eq!(ada.ask(OWN, json!({"id": taken})).await["dashboard"]["total"]["points"], 1.0);
        app.verify().await;
    }
}

on_both_databases! {
    async fn the_command_line_does_the_same(app: TestApp) {
        use marmalade::ops::content::{self, ChapterAction, Common, QuizCommand, QuizStep, SubjectAction};

        let quiz = app.draft(1, |_| {}).await.encode();
        let run = async |step: Option<QuizStep>| {
            let command = QuizCommand { step, quiz: Some(quiz.clone()), reason: Some("A part of the test.".into()), json: true };
            content::of_quizzes(&app.app, command).await.unwrap_or_else(|error| panic!("{}", error.describe()))
        };
        for (step, state) in [
            (QuizStep::Publish, "OPEN"),
            (QuizStep::Withdraw, "WITHDRAWN"),
            (QuizStep::Reinstate, "OPEN"),
            (QuizStep::Archive, "ARCHIVED"),
            (QuizStep::Unarchive, "OPEN"),
            (QuizStep::Delete, "DELETED"),
            (QuizStep::Restore, "OPEN"),
        ] {
            let done = run(Some(step)).await;
            assert_eq!((&done.rows[0]["id"], &done.rows[0]["state"]), (&json!(quiz), &json!(state)), "{done}");
            assert_eq!(run(None).await.rows, done.rows);
        }
        let common = || Common { reason: "A part of the test.".into(), json: false };
        let subject = async |action| content::of_subjects(&app.app, action, common()).await.map_err(|error| error.describe());
        let made = subject(SubjectAction::Create { name: "Botany".into() }).await.expect("made");
        let id = made.rows[0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(made.to_string().trim_end().matches("  ").count(), 2, "{made}");
        assert!(subject(SubjectAction::Create { name: "BOTANY".into() }).await.is_err());
        let renamed = subject(SubjectAction::Rename { subject: id.clone(), name: "Plants".into() }).await.expect("renamed");
        assert_eq!(renamed.rows[0]["name"], "Plants");
        let chapter = async |action| content::of_chapters(&app.app, action, common()).await.map_err(|error| error.describe());
        let mut chapters = Vec::new();
        for name in ["Roots", "Leaves"] {
            // Ids of one moment are in no order.
            app.advance(Duration::from_millis(1));
            let made = chapter(ChapterAction::Create { subject: id.clone(), name: name.into() }).await.expect("made");
            chapters.push(made.rows[0]["id"].as_str().expect("an id").to_owned());
        }
        chapter(ChapterAction::Move { chapter: chapters[1].clone(), after: None }).await.expect("moved");
        let names = async || chapter(ChapterAction::List { subject: id.clone() }).await.expect("listed").rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
        assert_eq!(names().await, ["Leaves", "Roots"]);
        chapter(ChapterAction::Merge { chapter: chapters[0].clone(), into: chapters[1].clone() }).await.expect("merged");
        assert_eq!(names().await, ["Leaves"]);
        subject(SubjectAction::Delete { subject: id.clone() }).await.expect("deleted");
        let all = subject(SubjectAction::List).await.expect("listed");
        assert!(all.rows.iter().any(|row| row["id"] == json!(id) && row["deleted"] == true), "{all}");
        assert!(app.count("SELECT 1 FROM audit_entries WHERE reason = 'A part of the test.'").await >= 14);
    }
}

on_two_servers_too! {
    async fn whoever_asks_another_server_finds_the_new_state_within_a_second(app: TestApp) {
        let (editor, ada) = (app.actor(Role::Editor).await, app.student().await);
        let id = app.quiz(1, |_| {}).await.encode();
        // On both servers it is known, and kept.
        for _ in 0..4 {
            assert_eq!(finds(&ada, &id).await, (true, true));
        }
        for (step, found) in [("withdrawQuiz", false), ("reinstateQuiz", true), ("deleteQuiz", false), ("restoreQuiz", true)] {
            let done = change(&editor, step, json!({"quizId": id}), "quiz { id }").await;
            assert_eq!(done["errors"], json!([]), "{step}");
            tokio::time::sleep(Duration::from_secs(1)).await;
            for _ in 0..4 {
                assert_eq!(finds(&ada, &id).await, (found, found), "{step}");
            }
        }
    }
}
