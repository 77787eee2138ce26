//! The scopes behind the guards: whoever gets past the API's guards still finds only what is theirs, and no more of a
//! table than was asked for.

use std::time::Duration;

use async_graphql::dataloader::Loader;
use marmalade::{
    account::{
        self,
        link::{EmailConfirmationEmail, PasswordResetEmail},
        people,
    },
    api::loader::QuizzesOfAttempts,
    attempt,
    audit::seal,
    auth::{revocation::tables_allow, role::Role, token::Claims},
    change::Cause,
    demo,
    error::Error,
    id::{AttemptId, RevisionId},
    page::Page,
    quiz::author,
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::json;

use crate::{
    on_both_databases,
    support::{Actor, TestApp},
};

async fn by_hand(app: &TestApp, statement: String) {
    let db = app.app.db.write();
    db.execute_unprepared(&statement).await.expect("a statement");
}

/// Marks all rows of a table as deleted.
async fn delete_all(app: &TestApp, table: &str) {
    by_hand(app, format!("UPDATE {table} SET deleted_at = {}", app.app.now().at.0)).await;
}

fn everything<T>() -> Page<T> {
    Page {
        after: None,
        before: None,
        limit: 100,
        backward: false,
    }
}

on_both_databases! {
    async fn attempts_are_scoped_for_every_viewer(app: TestApp) {
        let quiz = app.quiz(2, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        let paper = ada.take(quiz, 1).await;
        let id = AttemptId::decode(&paper.attempt).unwrap_or_else(|_| panic!("an id"));
        let (owner, other) = (ada.let_in().await.expect("signed in"), bob.let_in().await.expect("signed in"));
        let (db, now) = (app.app.db.read(), app.app.now());
        let found = async |viewer| attempt::find(&app.app, viewer, id, &now).await.map(|found| found.id);
        assert_eq!(found(&owner).await.ok(), Some(id));
        assert!(matches!(found(&other).await, Err(Error::NotFound)));
        for (viewer, expected) in [(&owner, 1), (&other, 0)] {
            let filter = attempt::Filter::default();
            let students = [ada.id(), bob.id()];
            let listed = attempt::lists(db, viewer, &students, filter, &everything()).await;
            let counted = attempt::counts(db, viewer, &students, filter).await;
            let listed = listed.unwrap_or_default().into_values().map(|slice| slice.rows.len()).sum::<usize>();
            let counted = counted.unwrap_or_default().into_values().sum::<u64>();
            assert_eq!((listed, counted), (expected, expected as u64));
        }
        // A deleted quiz is there for those who have taken it.
        delete_all(&app, "quizzes").await;
        for (viewer, expected) in [(owner, true), (other, false)] {
            let loaded = QuizzesOfAttempts(app.app.db.clone(), viewer).load(&[quiz]).await.expect("quizzes");
            assert_eq!(loaded.contains_key(&quiz), expected);
        }
    }

    async fn what_another_student_answered_explains_nothing(app: TestApp) {
        let quiz = app.quiz(2, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        let (mut of_ada, of_bob) = (ada.start(quiz).await, bob.start(quiz).await);
        bob.save(&of_bob, 0, 1, 7).await;
        // A choice of another question is none, whatever bob has saved there.
        of_ada.questions[0].1 = of_ada.questions[1].1.clone();
        let save = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome answer { seq } } }";
        let (question, choices) = &of_ada.questions[0];
        let answer = json!({"questionId": question, "choiceId": choices[0], "seq": 1});
        let mut alone = answer.clone();
        alone["attemptId"] = json!(of_ada.attempt);
        let (_, body) = ada.send(save, json!({"input": alone})).await;
        assert_eq!((&body["errors"][0]["extensions"]["code"], &body["data"]["saveAnswer"]), (&json!("NOT_FOUND"), &json!(null)));
        let save = "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) { results { outcome answer { seq } } } }";
        let batch = json!({"attemptId": of_ada.attempt, "answers": [answer]});
        let saved = ada.ask(save, json!({"input": batch})).await;
        assert_eq!(saved["saveAnswers"]["results"], json!([{"outcome": "NOT_FOUND", "answer": null}]));
    }

    async fn the_sweep_takes_up_what_is_overdue_and_open(app: TestApp) {
        let quiz = app.quiz(1, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        let sweep = async || attempt::sweep(&app.app, &app.app.now()).await.ok();
        ada.take(quiz, 1).await;
        bob.start(quiz).await;
        app.advance(Duration::from_secs(3600 + 3));
        assert_eq!(sweep().await, Some(0), "the grace is not over");
        app.advance(Duration::from_secs(1));
        assert_eq!((sweep().await, sweep().await), (Some(1), Some(0)));
    }

    async fn an_account_that_is_gone_does_nothing_with_what_it_held(app: TestApp) {
        let admin = app.actor(Role::Admin).await;
        let gone = async |how: &str, actor: &Actor| {
            // Another server has not heard of it yet, and believes in this viewer still.
            let viewer = actor.let_in().await.expect("signed in");
            by_hand(&app, format!("UPDATE users SET {how}_at = {} WHERE id = {}", app.app.now().at.0, app.literal(actor.id().0))).await;
            viewer
        };
        let (suspended, deleted) = (app.student().await, app.student().await);
        let (suspended, deleted) = (gone("suspended", &suspended).await, gone("deleted", &deleted).await);
        let db = app.app.db.read();
        for viewer in [&suspended, &deleted] {
            assert!(matches!(account::own(db, viewer).await, Err(Error::Unauthenticated)));
        }
        for (n, viewer) in [&suspended, &deleted].into_iter().enumerate() {
            let (email, now) = (format!("actor{}@example.com", n + 1), app.app.now());
            // The trigger of the table has counted what was done by hand.
            let reset = PasswordResetEmail { email: email.clone(), credentials_version: 1 };
            assert!(account::link::send_password_reset(&app.app, reset, now.at, &now).await.is_ok());
            let confirmation = EmailConfirmationEmail { user: viewer.user(), email, credentials_version: 1 };
            assert!(account::link::send_email_confirmation(&app.app, confirmation, now.at, &now).await.is_ok());
            assert_eq!(app.count("SELECT 1 FROM links").await, 0, "no link for an account that is not there");
        }
        let update = account::own::update(&app.app, &deleted, Default::default(), &Cause::clock(&app.app.now())).await;
        assert!(matches!(update, Err(Error::Unauthenticated)));
        let known = [suspended.user(), deleted.user(), admin.id()];
        let (profiles, _) = app.app.profiles.of(db, known).await.unwrap_or_else(|_| panic!("profiles"));
        assert!(!profiles.contains_key(&deleted.user()) && profiles.len() == 2, "a deleted account has no name on a board");
    }

    async fn without_a_channel_the_tables_decide_who_is_let_in(app: TestApp) {
        let db = app.app.db.write();
        let (ada, bob) = (app.student().await, app.student().await);
        let viewer = ada.let_in().await.expect("let in");
        let claims = Claims {
            user: ada.id(),
            session: ada.session_id(),
            role: Role::Student,
            access_version: None,
            issued_at: app.app.now().at,
        };
        let (of_previous_release, _) = app.app.keys.issue(&claims).unwrap_or_else(|_| panic!("a token"));
        let allowed = async || (tables_allow(db, &viewer).await, tables_allow(db, &of_previous_release).await);
        assert_eq!(allowed().await, (true, true));
        let session = app.literal(viewer.session().0);
        let account = app.literal(ada.id().0);
        for (table, set, back, row, expected) in [
            ("sessions", "revoked_at = 1", "revoked_at = NULL", &session, (false, false)),
            ("users", "suspended_at = 1", "suspended_at = NULL", &account, (false, false)),
            ("users", "deleted_at = 1", "deleted_at = NULL", &account, (false, false)),
            ("users", "role = 'EDITOR'", "role = 'STUDENT'", &account, (false, false)),
            ("users", "access_version = 9", "access_version = 0", &account, (false, true)),
        ] {
            by_hand(&app, format!("UPDATE {table} SET {set} WHERE id = {row}")).await;
            assert_eq!(allowed().await, expected, "{set}");
            by_hand(&app, format!("UPDATE {table} SET {back} WHERE id = {row}")).await;
            // What is done by hand is counted by the table, too.
            let is_back = table == "sessions" || set.starts_with("access_version");
            assert_eq!(allowed().await, (is_back, true), "{back}");
            by_hand(&app, format!("UPDATE users SET access_version = 0 WHERE id = {account}")).await;
        }
        assert_eq!(allowed().await, (true, true));
        // The session is somebody else's.
        by_hand(&app, format!("UPDATE sessions SET user_id = {} WHERE id = {session}", app.literal(bob.id().0))).await;
        assert_eq!(allowed().await, (false, false));
    }

    async fn a_link_is_its_accounts_and_goes_with_it(app: TestApp) {
        let people = [app.register("ada").await, app.register("bob").await, app.register("cyd").await];
        let ask = "mutation($email: EmailAddress!) { requestPasswordReset(input: {email: $email}) { errors { code } } }";
        let reset = "mutation($input: ResetPasswordInput!) { resetPassword(input: $input) { errors { code } } }";
        let ask_for = async |handle: &str| {
            app.anyone().ask(ask, json!({"email": format!("{handle}@example.com")})).await;
        };
        let by = async |link: &str| {
            let input = json!({"token": link, "newPassword": "battery staple"});
            app.anyone().ask(reset, json!({"input": input})).await["resetPassword"]["errors"].as_array().map(Vec::len)
        };
        let mut links = Vec::new();
        for handle in ["ada", "bob", "cyd"] {
            ask_for(handle).await;
            links.push(app.link(&format!("{handle}@example.com"), "A new password").await);
        }
        assert_eq!(by(&links[0]).await, Some(0), "ada's");
        let account = |n: usize| app.literal(people[n].id().0);
        let now = app.app.now().at.0;
        for (n, how) in [(1, "suspended_at"), (2, "deleted_at")] {
            let set = async |at: &str| by_hand(&app, format!("UPDATE users SET {how} = {at} WHERE id = {}", account(n))).await;
            set(&now.to_string()).await;
            assert_eq!(by(&links[n]).await, Some(1), "the link of an account that is not there");
            set("NULL").await;
            assert_eq!(by(&links[n]).await, Some(1), "it was requested before the account was gone");
        }
        assert_eq!(app.count("SELECT 1 FROM links WHERE used_at IS NULL").await, 2, "ada's reset has used up none but hers");
    }

    async fn erasing_an_account_leaves_the_others_whole(app: TestApp) {
        let (ada, _bob) = (app.register("ada").await, app.register("bob").await);
        let ask = "mutation($email: EmailAddress!) { requestPasswordReset(input: {email: $email}) { errors { code } } }";
        for email in ["ada@example.com", "bob@example.com"] {
            app.anyone().ask(ask, json!({"email": email})).await;
            app.email(email, "A new password").await;
        }
        by_hand(&app, "UPDATE sessions SET user_agent = 'Firefox'".to_owned()).await;
        let of_ada = app.literal(ada.id().0);
        by_hand(&app, format!("UPDATE users SET deleted_at = {} WHERE id = {of_ada}", app.app.now().at.0)).await;
        app.advance(account::RESTORABLE);
        // Two servers at once.
        let now = app.app.now();
        let (one, other) = tokio::join!(account::own::erase(&app.app, &now), account::own::erase(&app.app, &now));
        assert!(one.is_ok() && other.is_ok());
        assert_eq!(app.count("SELECT 1 FROM audit_entries WHERE action = 'USER_ERASED'").await, 1);
        for (what, left) in [("links", ""), ("sessions", "user_agent IS NOT NULL AND ")] {
            let of = async |whose: &str| app.count(&format!("SELECT 1 FROM {what} WHERE {left}user_id {whose} {of_ada}")).await;
            assert_eq!((of("=").await, of("<>").await), (0, 1), "{what}");
        }
    }

    async fn admins_are_counted_among_those_who_are_there(app: TestApp) {
        let cause = Cause::clock(&app.app.now());
        let ada = app.register("ada").await;
        let bob = app.register("bob").await;
        let found = people::with_email(app.app.db.read(), " Bob@example.com").await;
        assert_eq!(found.ok(), Some(bob.id()));
        // A site without an admin still gets its staff.
        let set = async |whom: &Actor, role| people::set_role(&app.app, whom.id(), role, &cause).await.is_ok();
        assert!(set(&ada, Role::Editor).await);
        let (one, other) = (app.actor(Role::Admin).await, app.actor(Role::Admin).await);
        people::suspend(&app.app, other.id(), "on leave", &cause).await.unwrap_or_else(|_| panic!("suspends"));
        assert!(!set(&one, Role::Editor).await, "whoever is suspended is no admin that stays");
        people::reinstate(&app.app, other.id(), &cause).await.unwrap_or_else(|_| panic!("reinstates"));
        assert!(set(&one, Role::Editor).await);
    }

    async fn sessions_that_are_over_are_not_listed(app: TestApp) {
        let phone = app.register("ada").await;
        let laptop = app.sign_in("ada", "correct horse").await.expect("signed in");
        let listed = async |by: &Actor| by.ask("{ viewer { sessions { totalCount nodes { id } } } }", json!({})).await["viewer"]["sessions"].take();
        assert_eq!(listed(&laptop).await["totalCount"], 2);
        let end = "mutation { revokeOtherSessions { revokedCount } }";
        laptop.ask(end, json!({})).await;
        let only = |actor: &Actor| json!({"totalCount": 1, "nodes": [{"id": actor.session_id().encode()}]});
        assert_eq!(listed(&laptop).await, only(&laptop), "the phone's was ended: {:?}", phone.session_id());
        app.advance(Duration::from_secs(20 * 86_400));
        let tablet = app.sign_in("ada", "correct horse").await.expect("signed in");
        assert_eq!(listed(&tablet).await["totalCount"], 2);
        app.advance(Duration::from_secs(10 * 86_400));
        assert_eq!(listed(&tablet).await, only(&tablet), "the laptop's has run out");
    }

    async fn the_catalogue_lists_what_is_published_and_there(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(2, |_| {}).await);
        app.draft(2, |_| {}).await;
        let query = "{ quizzes { totalCount nodes { id } } subjects { totalCount nodes { name chapters { totalCount nodes { name } } } } }";
        let listed = ada.ask(query, json!({})).await;
        assert_eq!(listed["quizzes"], json!({"totalCount": 1, "nodes": [{"id": quiz.encode()}]}));
        assert_eq!(listed["subjects"]["nodes"][0]["chapters"]["totalCount"], 2);
        let subject = r#"query($id: ID!) { node(id: $id) { ... on Quiz { subject { id } } } }"#;
        let subject = ada.ask(subject, json!({"id": quiz.encode()})).await["node"]["subject"]["id"].take();
        let subject = marmalade::id::SubjectId::decode(subject.as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
        delete_all(&app, "quizzes").await;
        delete_all(&app, "subjects").await;
        let nothing = json!({"totalCount": 0, "nodes": []});
        assert_eq!(ada.ask(query, json!({})).await, json!({"quizzes": nothing, "subjects": nothing}));
        let chapters = marmalade::quiz::chapters(app.app.db.read(), &[subject], &everything()).await;
        assert_eq!(chapters.ok().map(|chapters| chapters[&subject].rows.len()), Some(0));
        let made = author::subject(app.app.db.write(), "Biology", &app.app.now()).await;
        assert!(matches!(made, Err(Error::User(_))), "a deleted subject is not filled again");
    }

    async fn a_draft_is_published_once_and_no_other_with_it(app: TestApp) {
        let (one, other) = (app.draft(1, |_| {}).await, app.draft(1, |_| {}).await);
        #[derive(FromQueryResult)]
        struct Revision { id: RevisionId }
        let db = app.app.db.write();
        let draft = format!("SELECT id FROM revisions WHERE quiz_id = {}", app.literal(other.0));
        let draft = Revision::find_by_statement(Statement::from_string(db.get_database_backend(), draft));
        let draft = draft.one(db).await.expect("rows").expect("a draft").id;
        let paper = async || app.app.papers.paper(app.app.db.read(), draft).await.map(|paper| paper.questions.len());
        assert!(matches!(paper().await, Err(Error::NotFound)), "a draft has no paper");
        let publish = async |quiz| author::publish(&app.app, quiz, &Cause::clock(&app.app.now())).await;
        assert!(publish(other).await.is_ok());
        assert_eq!(paper().await.ok(), Some(1));
        assert!(matches!(publish(other).await, Err(Error::NotFound)));
        let listed = app.student().await.ask("{ quizzes { nodes { id } } }", json!({})).await;
        assert_eq!(listed["quizzes"]["nodes"], json!([{"id": other.encode()}]), "not {}", one.encode());
    }

    async fn a_dashboard_shows_attempts_under_the_revision_in_force(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 1).await;
        // A revision that was replaced, and one that is being written.
        for (number, state, superseded, questions) in [(0, "PUBLISHED", "1", 7), (2, "DRAFT", "NULL", 9)] {
            let id = app.literal(uuid::Uuid::now_v7());
            by_hand(&app, format!(
                "INSERT INTO revisions (id, quiz_id, number, state, duration_ms, right_score, wrong_score, blank_score, \
                 question_count, correction, created_at, published_at, superseded_at) \
                 SELECT {id}, quiz_id, {number}, '{state}', duration_ms, right_score, wrong_score, blank_score, {questions}, \
                 0, 1, {superseded}, {superseded} FROM revisions WHERE number = 1"
            )).await;
        }
        let recent = "{ dashboard { recentAttempts { quiz { questionCount } } } }";
        let recent = ada.ask(recent, json!({})).await;
        assert_eq!(recent["dashboard"]["recentAttempts"], json!([{"quiz": {"questionCount": 3}}]));
    }

    async fn a_submit_writes_its_students_standings_alone(app: TestApp) {
        let quiz = app.quiz(3, |_| {}).await;
        let (ada, bob) = (app.student().await, app.student().await);
        bob.take(quiz, 1).await;
        by_hand(&app, "UPDATE standings SET score = score + 1".to_owned()).await;
        ada.take(quiz, 2).await;
        let of_bob = format!("SELECT 1 FROM standings WHERE student_id = {} AND score = 1001", app.literal(bob.id().0));
        assert_eq!(app.count(&of_bob).await, 12, "what is wrong with bob's is for verify to find");
    }

    async fn a_chain_that_has_not_begun_has_no_head(app: TestApp) {
        let head = async || seal::head(&app.app.db).await.unwrap_or_else(|_| panic!("a head")).map(|head| head.sequence);
        app.register("ada").await;
        assert!(app.sign_in("ada", "wrong horse").await.is_none());
        assert_eq!(head().await, None);
        seal::seal(&app.app.db, &app.app.keys).await.unwrap_or_else(|_| panic!("seals"));
        assert!(app.sign_in("ada", "wrong horse").await.is_none());
        assert_eq!(head().await, Some(1));
    }

    async fn people_are_no_demo_content(app: TestApp) {
        app.register("ada").await;
        let is_present = async || demo::is_present(app.app.db.read()).await.ok();
        assert_eq!(is_present().await, Some(false));
        by_hand(&app, "UPDATE users SET demo = TRUE".to_owned()).await;
        assert_eq!(is_present().await, Some(true));
    }
}
