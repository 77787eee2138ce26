//! A small site in which everything is there once: one's own, another's, deleted, a draft, and what never was.

use std::collections::BTreeMap;

use base64::Engine;
use marmalade::{
    account::own::Purge,
    auth::{revocation::AccountChanged, role::Role},
    clock::Time,
    id::{
        AnswerId, AttemptId, AuditEntryId, BankImportId, ChapterId, ChoiceId, DraftQuestionId, JobId, PictureId,
        QuestionId, QuizId, RevisionId, SessionId, SubjectId, UserId,
    },
    import::background,
    outbox::{Event, Topic},
    quiz::paper::QuizChanged,
    ranks::board::{Board, Scope, Span, Window},
};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::json;
use uuid::Uuid;

use crate::support::{Actor, PIXEL, Paper, TestApp};

/// Whoever tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Person {
    Anonymous,
    /// A student: what is "own" is hers.
    Ada,
    /// Another student.
    Bob,
    Editor,
    Admin,
    /// A student whose account was suspended, with a token from before.
    Suspended,
}

impl Person {
    pub fn is_staff(self) -> bool {
        matches!(self, Self::Editor | Self::Admin)
    }
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    None,
    Is(Person),
    /// Whoever asks.
    Viewer,
}

/// The code that somebody is refused with, if they are.
pub type Refusal = Box<dyn Fn(Person) -> Option<&'static str> + Send + Sync>;

/// A way into the graph.
pub struct Start {
    pub field: &'static str,
    /// With `$X` where the selection goes.
    pub query: String,
    /// The type there.
    pub ty: &'static str,
    pub owner: Owner,
    /// At the door.
    pub refusal: Refusal,
}

/// A mutation or subscription, of something.
pub struct Case {
    pub field: &'static str,
    pub what: &'static str,
    pub query: String,
    /// Of those who are signed in.
    pub refusal: Refusal,
}

pub struct World {
    pub cast: Vec<(Person, Actor)>,
    ids: BTreeMap<&'static str, String>,
    papers: BTreeMap<&'static str, Paper>,
}

fn signed_in(who: Person) -> Option<&'static str> {
    (who == Person::Anonymous).then_some("UNAUTHENTICATED")
}

fn hidden(_: Person) -> Option<&'static str> {
    Some("NOT_FOUND")
}

fn allowed(_: Person) -> Option<&'static str> {
    None
}

impl World {
    /// The only student on any board.
    pub const TOP: Person = Person::Bob;

    pub async fn new(app: &TestApp) -> Self {
        let (ada, bob, dee, sue) = (
            app.student().await,
            app.student().await,
            app.student().await,
            app.student().await,
        );
        let (editor, admin) = (app.actor(Role::Editor).await, app.actor(Role::Admin).await);
        let published = app.quiz(2, |_| {}).await;
        let deleted = app.quiz(2, |_| {}).await;
        let [open, mutable] = [app.quiz(2, |_| {}).await, app.quiz(2, |_| {}).await];
        let taken = bob.take(published, 2).await;
        // Ada's are practice, so that Bob stands on the boards alone.
        db(app, "UPDATE users SET opted_out = TRUE WHERE id = $1", Some(ada.id().0)).await;
        deliver(app, AccountChanged::profile(ada.id())).await;
        let own = ada.take(published, 1).await;
        let of_deleted_quiz = ada.take(deleted, 1).await;
        let of_deleted_account = dee.take(published, 1).await;
        let in_progress = ada.start(open).await;
        let to_change = ada.start(mutable).await;
        let of_bob = bob.start(mutable).await;
        db(app, "UPDATE quizzes SET deleted_at = 1 WHERE id = $1", Some(deleted.0)).await;
        deliver(app, QuizChanged { quiz: deleted }).await;
        db(app, "UPDATE users SET deleted_at = 1 WHERE id = $1", Some(dee.id().0)).await;
        deliver(
            app,
            AccountChanged {
                user: dee.id(),
                at: Some(app.app.clock.now()),
                access_version: Some(1),
            },
        )
        .await;
        db(app, "UPDATE users SET suspended_at = 1 WHERE id = $1", Some(sue.id().0)).await;
        deliver(
            app,
            AccountChanged {
                user: sue.id(),
                at: Some(app.app.clock.now()),
                access_version: Some(1),
            },
        )
        .await;
        db(
            app,
            "INSERT INTO daily_metrics VALUES ('2026-11-22', 1, 1, 1, 1, 1)",
            None,
        )
        .await;
        let now = app.app.now();
        app.enqueue(&Purge {}).await;
        let import = "mutation($content: String!) { importBank(input: {fileName: \"bank.csv\", content: $content,
            quizTitle: \"Sent\", subject: \"Physics\", publish: true}) { bankImport { id } errors { message } } }";
        let rows = "Question,A,B,Answer\nOne?,1,2,1\nOne?,1,2,1\nTwo?,1,,3\n";
        let content = base64::engine::general_purpose::STANDARD.encode(rows);
        let sent = editor.ask(import, json!({"content": content})).await["importBank"].take();
        let import = sent["bankImport"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{sent}"))
            .to_owned();
        let id = BankImportId::decode(&import).unwrap_or_else(|_| panic!("an import"));
        assert!(background::run_import(&app.app, id, &now).await.is_ok());
        let upload = "mutation($content: String!) { uploadPicture(input: {content: $content, altText: \"A pixel\",
            reason: \"For a question.\"}) { picture { id } errors { message } } }";
        let mut pictures = Vec::new();
        for _ in 0..3 {
            let sent = editor.ask(upload, json!({"content": PIXEL})).await["uploadPicture"].take();
            let id = sent["picture"]["id"].as_str().unwrap_or_else(|| panic!("{sent}"));
            pictures.push(PictureId::decode(id).unwrap_or_else(|_| panic!("a picture")));
        }
        for (picture, paper) in pictures.iter().zip([&taken, &in_progress]) {
            let question = QuestionId::decode(&paper.questions[0].0).unwrap_or_else(|_| panic!("a question"));
            let column = if app.is_postgres() { "CAST($1 AS uuid)" } else { "$1" };
            let show = format!(
                "UPDATE questions SET picture_id = {column} WHERE id = {}",
                app.literal(question.0)
            );
            db(app, &show, Some(picture.0)).await;
        }
        // It waits to be confirmed, so that there are questions to be looked at.
        let waits = "UPDATE bank_imports SET finished_at = NULL, content = $1, step = 'READY'";
        let waits =
            Statement::from_sql_and_values(app.app.db.write().get_database_backend(), waits, [vec![0_u8].into()]);
        app.app.db.write().execute_raw(waits).await.expect("waits");
        let question = r#"{"text": "One?", "kind": "SINGLE_CHOICE", "choices": [{"text": "1", "isRight": true}, {"text": "2"}],
            "explanation": "Why.", "chapter": "One"}"#;
        let insert = format!("INSERT INTO import_questions SELECT id, 0, 0, 'A2', '{question}' FROM bank_imports");
        db(app, &insert, None).await;
        let draft = app.draft(2, |_| {}).await;
        // The next draft of a quiz: a question is another one, and one is not complete.
        let write = async |mutation: String| {
            let written = editor.ask(&format!("mutation {{ {mutation} }}"), json!({})).await;
            let written = written.as_object().and_then(|written| written.values().next()).cloned();
            written.expect("a payload")["draft"].take()
        };
        let next = "draft { id version questions { nodes { id } } } errors { message }";
        let begin = |quiz: QuizId| {
            format!(
                "createDraft(input: {{quizId: {:?}, reason: \"a test\"}}) {{ {next} }}",
                quiz.encode()
            )
        };
        let begun = write(begin(published)).await;
        let authored = begun["questions"]["nodes"][0]["id"]
            .as_str()
            .expect("a question")
            .to_owned();
        let drafted = begun["id"].as_str().expect("a draft").to_owned();
        let rewrite = "version: 1, text: \"Another question?\", reason: \"a test\"";
        write(format!(
            "updateQuestion(input: {{questionId: {authored:?}, {rewrite}}}) {{ {next} }}"
        ))
        .await;
        let incomplete = "version: 2, text: \"Without choices?\", reason: \"a test\"";
        write(format!(
            "addQuestion(input: {{draftId: {drafted:?}, {incomplete}}}) {{ {next} }}"
        ))
        .await;
        let discarded = write(begin(open)).await["id"].as_str().expect("a draft").to_owned();
        let discard = "version: 1, reason: \"a test\"";
        write(format!(
            "discardDraft(input: {{draftId: {discarded:?}, {discard}}}) {{ {next} }}"
        ))
        .await;
        let subject = first(app, "SELECT id FROM subjects WHERE deleted_at IS NULL").await;
        let chapter = first(app, "SELECT id FROM chapters LIMIT 1").await;
        let (deleted_subject, deleted_chapter) = (Uuid::now_v7(), Uuid::now_v7());
        db(
            app,
            "INSERT INTO subjects (id, name, created_at, deleted_at) VALUES ($1, 'Gone', 1, 1)",
            Some(deleted_subject),
        )
        .await;
        // A chapter goes with its subject.
        let column = if app.is_postgres() { "CAST($1 AS uuid)" } else { "$1" };
        let insert = format!(
            "INSERT INTO chapters (id, subject_id, name, created_at) SELECT {column}, id, 'Gone', 1 FROM subjects WHERE name = 'Gone'"
        );
        db(app, &insert, Some(deleted_chapter)).await;
        let board = |scope| {
            Board {
                scope,
                window: Window::at(Span::AllTime, Time(0), chrono_tz::UTC),
            }
            .encode()
        };
        let invented = Uuid::now_v7();
        let of_staff = "{ jobs(first: 1) { nodes { id } } auditLog(first: 1) { nodes { id } } }";
        let of_staff = admin.ask(of_staff, json!({})).await;
        let newest = |list: &str| {
            of_staff[list]["nodes"][0]["id"]
                .as_str()
                .expect("there is one")
                .to_owned()
        };
        let in_draft = |what: &str| {
            format!(
                "SELECT {what} AS id FROM questions q JOIN revisions r ON r.id = q.revision_id \
                 JOIN choices c ON c.question_id = q.id WHERE r.quiz_id = {} AND r.state = 'DRAFT' LIMIT 1",
                app.literal(draft.0)
            )
        };
        let untaken = |what: &str| {
            format!(
                "SELECT {what} AS id FROM questions q JOIN revisions r ON r.id = q.revision_id \
                 JOIN choices c ON c.question_id = q.id WHERE r.state = 'PUBLISHED' \
                 AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.quiz_id = r.quiz_id) LIMIT 1"
            )
        };
        let answer = |paper: &Paper| {
            let attempt = AttemptId::decode(&paper.attempt).unwrap_or_else(|_| panic!("an attempt"));
            let question = QuestionId::decode(&paper.questions[0].0).unwrap_or_else(|_| panic!("a question"));
            AnswerId { attempt, question }.encode()
        };
        let question = |paper: &Paper| paper.questions[0].0.clone();
        let choice = |paper: &Paper| paper.questions[0].1[0].clone();
        let invented_answer = AnswerId {
            attempt: AttemptId::decode(&own.attempt).unwrap_or_else(|_| panic!("an attempt")),
            question: QuestionId(invented),
        };
        let ids = BTreeMap::from([
            ("shared question", question(&taken)),
            ("ada's question", question(&in_progress)),
            ("question of a deleted quiz", question(&of_deleted_quiz)),
            (
                "untaken question",
                QuestionId(first(app, &untaken("q.id")).await).encode(),
            ),
            (
                "draft's question",
                QuestionId(first(app, &in_draft("q.id")).await).encode(),
            ),
            ("invented question", QuestionId(invented).encode()),
            ("shared choice", choice(&taken)),
            ("ada's choice", choice(&in_progress)),
            ("choice of a deleted quiz", choice(&of_deleted_quiz)),
            ("untaken choice", ChoiceId(first(app, &untaken("c.id")).await).encode()),
            ("draft's choice", ChoiceId(first(app, &in_draft("c.id")).await).encode()),
            ("invented choice", ChoiceId(invented).encode()),
            ("own answer", answer(&own)),
            ("another's answer", answer(&taken)),
            ("answer of a deleted account", answer(&of_deleted_account)),
            ("answer that was not given", answer(&in_progress)),
            ("invented answer", invented_answer.encode()),
            ("shared picture", pictures[0].encode()),
            ("ada's picture", pictures[1].encode()),
            ("picture that no question shows", pictures[2].encode()),
            ("invented picture", PictureId(invented).encode()),
            ("job", newest("jobs")),
            ("audit entry", newest("auditLog")),
            ("invented audit entry", AuditEntryId(invented).encode()),
            ("ada", ada.id().encode()),
            ("bob", bob.id().encode()),
            ("deleted user", dee.id().encode()),
            ("suspended user", sue.id().encode()),
            ("invented user", UserId(invented).encode()),
            ("own attempt", own.attempt.clone()),
            ("open attempt", in_progress.attempt.clone()),
            ("another's attempt", taken.attempt.clone()),
            ("attempt at a deleted quiz", of_deleted_quiz.attempt.clone()),
            ("attempt of a deleted account", of_deleted_account.attempt.clone()),
            ("invented attempt", AttemptId(invented).encode()),
            ("quiz", published.encode()),
            ("deleted quiz", deleted.encode()),
            ("draft", draft.encode()),
            ("invented quiz", QuizId(invented).encode()),
            ("subject", SubjectId(subject).encode()),
            ("deleted subject", SubjectId(deleted_subject).encode()),
            ("invented subject", SubjectId(invented).encode()),
            ("chapter", ChapterId(chapter).encode()),
            ("deleted chapter", ChapterId(deleted_chapter).encode()),
            ("invented chapter", ChapterId(invented).encode()),
            ("board", board(Scope::Everything)),
            ("subject's board", board(Scope::Subject(SubjectId(subject)))),
            ("quiz's board", board(Scope::Quiz(published))),
            ("deleted quiz's board", board(Scope::Quiz(deleted))),
            ("draft's board", board(Scope::Quiz(draft))),
            ("invented board", board(Scope::Quiz(QuizId(invented)))),
            (
                "deleted subject's board",
                board(Scope::Subject(SubjectId(deleted_subject))),
            ),
            ("ada's session", ada.session_id().encode()),
            ("invented session", SessionId(invented).encode()),
            ("invented job", JobId(invented).encode()),
            ("import", import),
            ("authored draft", drafted),
            ("discarded draft", discarded),
            ("invented authored draft", RevisionId(invented).encode()),
            ("authored question", authored),
            ("invented authored question", DraftQuestionId(invented).encode()),
            ("invented import", BankImportId(invented).encode()),
        ]);
        let papers = BTreeMap::from([("own", to_change), ("another's", of_bob)]);
        let cast = vec![
            (Person::Anonymous, app.anyone()),
            (Person::Ada, ada),
            (Person::Bob, bob),
            (Person::Editor, editor),
            (Person::Admin, admin),
            (Person::Suspended, sue),
        ];
        Self { cast, ids, papers }
    }

    pub fn id(&self, of: &str) -> &str {
        &self.ids[of]
    }

    /// Whether queries lead to this type: mutations' payloads and subscriptions' events are tried apart.
    pub fn by_queries(&self, schema: &BTreeMap<String, Vec<(String, String)>>, ty: &str) -> bool {
        let (mut seen, mut next) = (
            vec!["Query", "User", "Subject", "Chapter", "Quiz", "Attempt", "Board"],
            0,
        );
        while next < seen.len() {
            for (_, ty) in &schema[seen[next]] {
                if schema.contains_key(ty) && !seen.contains(&ty.as_str()) {
                    seen.push(ty);
                }
            }
            next += 1;
        }
        ty != "Query" && seen.contains(&ty)
    }

    pub fn starts(&self) -> Vec<Start> {
        use Person::{Ada, Bob};
        let root = |field, ty, owner, refusal: fn(Person) -> Option<&'static str>| Start {
            field,
            query: format!("{{ {field}{} {{ $X }} }}", super::page_of(field, ty)),
            ty,
            owner,
            refusal: Box::new(refusal),
        };
        let mut starts = vec![
            root("quizzes", "QuizConnection", Owner::None, allowed),
            root("subjects", "SubjectConnection", Owner::None, allowed),
            root("board", "Board", Owner::None, signed_in),
            root("dashboard", "Dashboard", Owner::Viewer, signed_in),
            root("viewer", "User", Owner::Viewer, signed_in),
            root("rateLimit", "RateLimit", Owner::Viewer, allowed),
        ];
        let admins = |who: Person| match who {
            Person::Anonymous => Some("UNAUTHENTICATED"),
            Person::Admin => None,
            _ => Some("FORBIDDEN"),
        };
        starts.push(root("auditLog", "AuditConnection", Owner::None, admins));
        let staff = |who: Person| match who {
            Person::Anonymous => Some("UNAUTHENTICATED"),
            who => (!who.is_staff()).then_some("FORBIDDEN"),
        };
        starts.push(root("jobs", "JobConnection", Owner::None, staff));
        starts.push(root("staffQuizzes", "QuizConnection", Owner::None, staff));
        starts.push(root("deletedSubjects", "SubjectConnection", Owner::None, staff));
        starts.push(root("pictures", "PictureConnection", Owner::None, staff));
        starts.push(root("drafts", "DraftConnection", Owner::None, staff));
        starts.push(Start {
            query: format!("{{ draft(id: {:?}) {{ $X }} }}", self.id("authored draft")),
            ..root("draft", "Draft", Owner::None, staff)
        });
        starts.push(Start {
            query: format!("{{ bankImport(id: {:?}) {{ $X }} }}", self.id("import")),
            ..root("bankImport", "BankImport", Owner::Is(Person::Editor), staff)
        });
        starts.push(root(
            "bankImports",
            "BankImportConnection",
            Owner::Is(Person::Editor),
            staff,
        ));
        starts.push(Start {
            query: "{ importTemplate(format: CSV) { $X } }".to_owned(),
            ..root("importTemplate", "BankFile", Owner::None, staff)
        });
        starts.push(Start {
            query: format!("{{ integritySignals(quizId: {:?}) {{ $X }} }}", self.id("quiz")),
            ..root("integritySignals", "IntegritySignal", Owner::None, staff)
        });
        starts.push(Start {
            query: "{ dailyMetrics(from: \"2026-11-01\", until: \"2026-11-30\") { $X } }".to_owned(),
            ..root("dailyMetrics", "DailyMetrics", Owner::None, staff)
        });
        for (filter, owner) in [("state: DELETED", Owner::None), ("text: \"actor0\"", Owner::Is(Ada))] {
            starts.push(Start {
                query: format!("{{ users(first: 5, filter: {{{filter}}}) {{ $X }} }}"),
                ..root("users", "UserConnection", owner, admins)
            });
        }
        // By id: with each thing there is, and each there is not.
        let readers = |owner: Person| {
            move |who: Person| match who {
                Person::Anonymous => Some("UNAUTHENTICATED"),
                who if who == owner || who.is_staff() => None,
                _ => Some("NOT_FOUND"),
            }
        };
        let staff_only = |who: Person| match who {
            Person::Anonymous => Some("UNAUTHENTICATED"),
            who if who.is_staff() => None,
            _ => Some("NOT_FOUND"),
        };
        let missing = |who: Person| signed_in(who).or(Some("NOT_FOUND"));
        let mut add = |name: &str, ty: &'static str, owner: Owner, refusal: &dyn Fn() -> Refusal| {
            let id = self.id(name);
            for (field, query) in [
                ("node", format!("{{ node(id: \"{id}\") {{ ... on {ty} {{ $X }} }} }}")),
                (
                    "nodes",
                    format!("{{ nodes(ids: [\"{id}\"]) {{ ... on {ty} {{ $X }} }} }}"),
                ),
                ("quiz", format!("{{ quiz(id: \"{id}\") {{ $X }} }}")),
                ("attempt", format!("{{ attempt(id: \"{id}\") {{ $X }} }}")),
                ("board", format!("{{ board(id: \"{id}\") {{ $X }} }}")),
            ] {
                if field.starts_with("node") || field == ty.to_lowercase() {
                    // The catalogue has them for nobody.
                    let gone = field == "quiz" && matches!(name, "deleted quiz" | "draft");
                    starts.push(Start {
                        field,
                        query,
                        ty,
                        owner,
                        refusal: if gone { Box::new(hidden) } else { refusal() },
                    });
                }
            }
        };
        let boxed = |refusal: fn(Person) -> Option<&'static str>| move || Box::new(refusal) as Refusal;
        add("ada", "User", Owner::Is(Ada), &boxed(signed_in));
        add("bob", "User", Owner::Is(Bob), &boxed(signed_in));
        add(
            "suspended user",
            "User",
            Owner::Is(Person::Suspended),
            &boxed(signed_in),
        );
        // An admin can bring a deleted account back, and so finds it.
        let to_restore = move |who: Person| missing(who).filter(|_| who != Person::Admin);
        add("deleted user", "User", Owner::None, &|| Box::new(to_restore));
        add("invented user", "User", Owner::None, &|| Box::new(missing));
        for name in ["own attempt", "open attempt", "attempt at a deleted quiz"] {
            add(name, "Attempt", Owner::Is(Ada), &|| Box::new(readers(Ada)));
        }
        add("another's attempt", "Attempt", Owner::Is(Bob), &|| {
            Box::new(readers(Bob))
        });
        add("attempt of a deleted account", "Attempt", Owner::None, &|| {
            Box::new(staff_only)
        });
        add("invented attempt", "Attempt", Owner::None, &|| Box::new(missing));
        for (name, ty) in [("quiz", "Quiz"), ("subject", "Subject"), ("chapter", "Chapter")] {
            add(name, ty, Owner::None, &boxed(allowed));
        }
        // Staff can publish, or bring back, what nobody else finds.
        let staffs = |who: Person| (!who.is_staff()).then_some("NOT_FOUND");
        for (name, ty) in [
            ("deleted quiz", "Quiz"),
            ("draft", "Quiz"),
            ("deleted subject", "Subject"),
            ("deleted chapter", "Chapter"),
        ] {
            add(name, ty, Owner::None, &boxed(staffs));
        }
        for (name, ty) in [
            ("invented quiz", "Quiz"),
            ("invented subject", "Subject"),
            ("invented chapter", "Chapter"),
        ] {
            add(name, ty, Owner::None, &boxed(hidden));
        }
        for (suffix, ty) in [("question", "Question"), ("choice", "Choice")] {
            let of_taken = |who: Person| signed_in(who);
            add(&format!("shared {suffix}"), ty, Owner::None, &|| Box::new(of_taken));
            for name in [format!("ada's {suffix}"), format!("{suffix} of a deleted quiz")] {
                add(&name, ty, Owner::Is(Ada), &|| Box::new(readers(Ada)));
            }
            add(&format!("untaken {suffix}"), ty, Owner::None, &|| Box::new(staff_only));
            for name in [format!("draft's {suffix}"), format!("invented {suffix}")] {
                add(&name, ty, Owner::None, &|| Box::new(missing));
            }
        }
        let of_taken = |who: Person| signed_in(who);
        add("shared picture", "Picture", Owner::None, &|| Box::new(of_taken));
        add("ada's picture", "Picture", Owner::Is(Ada), &|| Box::new(readers(Ada)));
        add("picture that no question shows", "Picture", Owner::None, &|| {
            Box::new(staff_only)
        });
        add("invented picture", "Picture", Owner::None, &|| Box::new(missing));
        add("own answer", "Answer", Owner::Is(Ada), &|| Box::new(readers(Ada)));
        add("another's answer", "Answer", Owner::Is(Bob), &|| Box::new(readers(Bob)));
        add("answer of a deleted account", "Answer", Owner::None, &|| {
            Box::new(staff_only)
        });
        for name in ["answer that was not given", "invented answer"] {
            add(name, "Answer", Owner::None, &|| Box::new(missing));
        }
        let of_ada_alone = move |who: Person| missing(who).filter(|_| who != Ada);
        add("ada's session", "Session", Owner::Is(Ada), &|| Box::new(of_ada_alone));
        add("invented session", "Session", Owner::None, &|| Box::new(missing));
        // What is staff's by its kind says so, whether or not it is there.
        for (name, ty, owner, rule) in [
            ("job", "Job", Owner::None, staff as fn(Person) -> Option<&'static str>),
            ("import", "BankImport", Owner::Is(Person::Editor), staff),
            ("authored draft", "Draft", Owner::None, staff),
            ("authored question", "DraftQuestion", Owner::None, staff),
            ("audit entry", "AuditEntry", Owner::None, admins),
        ] {
            add(name, ty, owner, &boxed(rule));
            let nothing = move |who: Person| rule(who).or(Some("NOT_FOUND"));
            add(&format!("invented {name}"), ty, Owner::None, &|| Box::new(nothing));
        }
        for name in ["board", "subject's board", "quiz's board"] {
            add(name, "Board", Owner::None, &boxed(signed_in));
        }
        for name in [
            "deleted quiz's board",
            "draft's board",
            "invented board",
            "deleted subject's board",
        ] {
            add(name, "Board", Owner::None, &|| Box::new(missing));
        }
        starts
    }

    pub fn mutations(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        let mut case = |field, what, input: String, selection: &str, refusal: Refusal| {
            let arguments = if input.is_empty() {
                String::new()
            } else {
                format!("(input: {{{input}}})")
            };
            let query = format!("{field}{arguments} {{ {selection} }}");
            cases.push(Case {
                field,
                what,
                query,
                refusal,
            });
        };
        let errors = "errors { code }";
        let anything = || Box::new(allowed);
        case(
            "signIn",
            "nobody",
            r#"email: "nobody@example.com", password: "0123456789""#.into(),
            errors,
            anything(),
        );
        case(
            "register",
            "nonsense",
            r#"email: "nonsense", handle: "x", password: "x""#.into(),
            errors,
            anything(),
        );
        case(
            "requestPasswordReset",
            "nobody",
            r#"email: "nobody@example.com""#.into(),
            errors,
            anything(),
        );
        case(
            "resetPassword",
            "an invented link",
            r#"token: "x", newPassword: "0123456789""#.into(),
            errors,
            anything(),
        );
        case(
            "confirmRegistration",
            "an invented link",
            r#"token: "x", client: NATIVE"#.into(),
            errors,
            anything(),
        );
        case(
            "confirmEmailChange",
            "an invented link",
            r#"token: "x""#.into(),
            errors,
            anything(),
        );
        let refresh = |_: Person| Some("UNAUTHENTICATED");
        case(
            "refreshSession",
            "an invented token",
            r#"refreshToken: "x""#.into(),
            errors,
            Box::new(refresh),
        );
        case(
            "revokeSession",
            "Ada's session",
            format!("sessionId: {:?}", self.id("ada's session")),
            errors,
            Box::new(|who: Person| (who != Person::Ada).then_some("NOT_FOUND")),
        );
        case("signOut", "the own session", String::new(), errors, anything());
        case(
            "revokeOtherSessions",
            "the own account",
            String::new(),
            errors,
            anything(),
        );
        case(
            "updateAccount",
            "the own account",
            String::new() + "handle: null",
            errors,
            anything(),
        );
        case(
            "changePassword",
            "the own account",
            r#"password: "wrong", newPassword: "0123456789""#.into(),
            errors,
            anything(),
        );
        case(
            "requestEmailChange",
            "the own account",
            r#"password: "wrong", email: "a@b.example""#.into(),
            errors,
            anything(),
        );
        case(
            "requestEmailConfirmation",
            "the own account",
            String::new(),
            errors,
            anything(),
        );
        case(
            "deleteAccount",
            "the own account",
            r#"password: "wrong""#.into(),
            errors,
            anything(),
        );
        for (what, id, there) in [
            ("a suspended account", "suspended user", true),
            ("a deleted account", "deleted user", true),
            ("an invented account", "invented user", false),
            ("a thing that is no account", "quiz", false),
        ] {
            let id = self.id(id);
            for (field, more) in [
                ("setUserRole", ", role: STUDENT"),
                ("suspendUser", ", reason: \"a test\""),
                ("reinstateUser", ""),
                ("restoreUser", ""),
                ("revokeUserSessions", ""),
            ] {
                // It stays suspended for the other cases.
                if field == "reinstateUser" && what == "a suspended account" {
                    continue;
                }
                let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
                case(field, what, format!("userId: {id:?}{more}"), errors, Box::new(refusal));
            }
        }
        let choice = self.papers["own"].questions[0].1[0].clone();
        for (what, question, there) in [
            ("a published question", self.papers["own"].questions[0].0.clone(), true),
            ("an invented question", QuestionId(Uuid::now_v7()).encode(), false),
            ("a thing that is no question", self.id("quiz").to_owned(), false),
        ] {
            // The choice is the right one already, so that nothing changes.
            let input = format!("questionId: {question:?}, choiceId: {choice:?}, reason: \"a test\"");
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            case("correctQuestion", what, input, errors, Box::new(refusal));
        }
        // Each of what is there, with what changes nothing, and of what is not.
        let because = "reason: \"a test\"";
        case(
            "createQuiz",
            "no title",
            format!("title: \"\", subject: \"Physics\", {because}"),
            errors,
            anything(),
        );
        case(
            "createSubject",
            "no name",
            format!("name: \"\", {because}"),
            errors,
            anything(),
        );
        for (there, quiz, subject, chapter) in [
            (true, "quiz", "subject", "chapter"),
            (false, "invented quiz", "invented subject", "invented chapter"),
            (false, "subject", "chapter", "quiz"),
        ] {
            let name = if there { "" } else { "A name" };
            let what = if there { "what is there" } else { "what is not" };
            let refusal = || -> Refusal { Box::new(if there { allowed } else { hidden }) };
            let (quiz, subject, chapter) = (self.id(quiz), self.id(subject), self.id(chapter));
            let of_quiz = format!("quizId: {quiz:?}, {because}");
            for (field, version) in [("updateQuiz", "version"), ("publishQuiz", "draftVersion")] {
                case(field, what, format!("{of_quiz}, {version}: 0"), errors, refusal());
            }
            let steps = ["reinstateQuiz", "unarchiveQuiz", "restoreQuiz"];
            let drastic = ["withdrawQuiz", "archiveQuiz", "deleteQuiz"];
            for field in steps.into_iter().chain(drastic.into_iter().filter(|_| !there)) {
                case(field, what, of_quiz.clone(), errors, refusal());
            }
            let of_subject = format!("subjectId: {subject:?}, {because}");
            case(
                "renameSubject",
                what,
                format!("{of_subject}, name: {name:?}"),
                errors,
                refusal(),
            );
            case("restoreSubject", what, of_subject.clone(), errors, refusal());
            case("deleteSubject", what, of_subject.clone(), errors, refusal());
            case(
                "createChapter",
                what,
                format!("{of_subject}, name: {name:?}"),
                errors,
                refusal(),
            );
            let other = self.id("deleted subject");
            let merge = format!("{of_subject}, intoId: {other:?}");
            case("mergeSubjects", what, merge, errors, refusal());
            let of_chapter = format!("chapterId: {chapter:?}, {because}");
            case(
                "renameChapter",
                what,
                format!("{of_chapter}, name: {name:?}"),
                errors,
                refusal(),
            );
            case("restoreChapter", what, of_chapter.clone(), errors, refusal());
            let other = self.id("invented chapter");
            case(
                "moveChapter",
                what,
                format!("{of_chapter}, afterId: {other:?}"),
                errors,
                refusal(),
            );
            case(
                "mergeChapters",
                what,
                format!("{of_chapter}, intoId: {other:?}"),
                errors,
                refusal(),
            );
            if !there {
                case("deleteChapter", what, of_chapter, errors, refusal());
            }
        }
        // Whoever may, and sends nothing that can be read, is told so and has changed nothing.
        let nothing = r#"fileName: "bank.csv", content: "?", quizTitle: "A quiz", subject: "Physics""#;
        case("importBank", "no file", nothing.to_owned(), errors, Box::new(allowed));
        let nothing = r#"content: "?", altText: "A cell", reason: "a test""#;
        for (what, id) in [
            ("an invented picture", "invented picture"),
            ("a thing that is no picture", "quiz"),
        ] {
            let input = format!("pictureId: {:?}, reason: \"a test\"", self.id(id));
            case("deletePicture", what, input, errors, Box::new(hidden));
        }
        case(
            "uploadPicture",
            "no file",
            nothing.to_owned(),
            errors,
            Box::new(allowed),
        );
        let nothing = r#"fileName: "bank.csv", content: "?""#;
        case("uploadBank", "no file", nothing.to_owned(), errors, Box::new(allowed));
        for (what, id, there) in [
            ("a finished import", "import", true),
            ("an invented import", "invented import", false),
            ("a thing that is no import", "quiz", false),
        ] {
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            let input = format!("importId: {:?}, reason: \"a test\"", self.id(id));
            case("cancelImport", what, input.clone(), errors, Box::new(refusal));
            case("confirmImport", what, input + ", sheets: []", errors, Box::new(refusal));
        }
        for (what, id, there) in [
            ("a quiz", "quiz", true),
            ("a draft", "draft", true),
            ("a deleted quiz", "deleted quiz", false),
            ("an invented quiz", "invented quiz", false),
            ("a thing that is no quiz", "import", false),
        ] {
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            let input = format!("quizId: {:?}, format: CSV", self.id(id));
            case("exportQuiz", what, input, errors, Box::new(refusal));
        }
        for (what, id) in [("an invented job", "invented job"), ("a thing that is no job", "quiz")] {
            let id = format!("jobId: {:?}", self.id(id));
            case("retryJob", what, id, errors, Box::new(hidden));
        }
        // Nobody has seen version 0: who may is told so, and has changed nothing.
        let seen = "version: 0, reason: \"a test\"";
        for (what, id, there) in [
            ("a draft", "authored draft", true),
            ("a discarded draft", "discarded draft", true),
            ("an invented draft", "invented authored draft", false),
            ("a thing that is no draft", "quiz", false),
        ] {
            let id = format!("draftId: {:?}", self.id(id));
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            let question = self.id("authored question");
            for (field, more) in [
                ("discardDraft", seen.to_owned()),
                ("updateDraft", seen.to_owned()),
                ("addQuestion", format!("{seen}, text: \"A question?\"")),
                ("updateQuestions", format!("{seen}, questionIds: [{question:?}]")),
            ] {
                case(field, what, format!("{id}, {more}"), errors, Box::new(refusal));
            }
            // It stays discarded for the other cases.
            if what != "a discarded draft" {
                case(
                    "restoreDraft",
                    what,
                    format!("{id}, reason: \"a test\""),
                    errors,
                    Box::new(refusal),
                );
            }
        }
        for (what, id, there) in [
            ("a question of a draft", "authored question", true),
            ("an invented question of a draft", "invented authored question", false),
            ("a question that is in no draft", "shared question", false),
        ] {
            let id = format!("questionId: {:?}, {seen}", self.id(id));
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            for (field, more) in [
                ("updateQuestion", ""),
                ("moveQuestion", ", number: 1"),
                ("removeQuestion", ""),
                ("restoreQuestion", ""),
            ] {
                case(field, what, format!("{id}{more}"), errors, Box::new(refusal));
            }
        }
        for (what, id, there) in [
            ("a quiz", "quiz", true),
            ("a deleted quiz", "deleted quiz", false),
            ("an invented quiz", "invented quiz", false),
            ("a thing that is no quiz", "authored draft", false),
        ] {
            let id = format!("quizId: {:?}, reason: \"a test\"", self.id(id));
            let refusal: fn(Person) -> Option<&'static str> = if there { allowed } else { hidden };
            case("createDraft", what, id.clone(), errors, Box::new(refusal));
            case(
                "duplicateQuiz",
                what,
                format!("{id}, title: \" \""),
                errors,
                Box::new(refusal),
            );
        }
        for (what, id) in [
            ("an invented session", "invented session"),
            ("a thing that is no session", "quiz"),
        ] {
            case(
                "revokeSession",
                what,
                format!("sessionId: {:?}", self.id(id)),
                errors,
                Box::new(hidden),
            );
        }
        let of_ada = |who: Person| (who != Person::Ada).then_some("NOT_FOUND");
        let of_bob = |who: Person| (who != Person::Bob).then_some("NOT_FOUND");
        for (what, refusal) in [
            ("own", of_ada as fn(Person) -> Option<&'static str>),
            ("another's", of_bob),
        ] {
            let Paper { attempt, questions } = &self.papers[what];
            let (question, choices) = &questions[0];
            let answer = format!("questionId: {question:?}, choiceId: {:?}, seq: 1", choices[0]);
            case(
                "saveAnswer",
                what,
                format!("attemptId: {attempt:?}, {answer}"),
                errors,
                Box::new(refusal),
            );
            case(
                "saveAnswers",
                what,
                format!("attemptId: {attempt:?}, answers: [{{{answer}}}]"),
                errors,
                Box::new(refusal),
            );
            let submit = format!("attemptId: {attempt:?}, idempotencyKey: \"a key of eight\"");
            case("submitAttempt", what, submit, errors, Box::new(refusal));
        }
        let (question, choices) = &self.papers["own"].questions[0];
        let answer = format!("questionId: {question:?}, choiceId: {:?}, seq: 1", choices[0]);
        for what in ["invented attempt", "quiz"] {
            let attempt = self.id(what);
            case(
                "saveAnswer",
                what_of(what),
                format!("attemptId: {attempt:?}, {answer}"),
                errors,
                Box::new(hidden),
            );
            let batch = format!("attemptId: {attempt:?}, answers: [{{{answer}}}]");
            case("saveAnswers", what_of(what), batch, errors, Box::new(hidden));
            let submit = format!("attemptId: {attempt:?}, idempotencyKey: \"a key of eight\"");
            case("submitAttempt", what_of(what), submit, errors, Box::new(hidden));
        }
        case(
            "startAttempt",
            "a quiz",
            format!("quizId: {:?}", self.id("quiz")),
            errors,
            anything(),
        );
        for what in ["deleted quiz", "draft", "invented quiz", "own attempt"] {
            case(
                "startAttempt",
                what_of(what),
                format!("quizId: {:?}", self.id(what)),
                errors,
                Box::new(hidden),
            );
        }
        cases
    }

    /// What Bob must not be able to deliver from what never was: per kind the invented one, the operations with `$ID` where
    /// an id goes, and the hidden ones.
    pub fn hidden_from_bob(&self) -> Vec<(&'static str, Vec<String>, Vec<&'static str>)> {
        let (question, choices) = &self.papers["own"].questions[0];
        let answer = format!("questionId: {question:?}, choiceId: {:?}, seq: 1", choices[0]);
        let by_node = ["{ node(id: \"$ID\") { id } }", "{ nodes(ids: [\"$ID\"]) { id } }"];
        let operations = |more: &[String]| {
            by_node
                .iter()
                .map(|query| (*query).to_owned())
                .chain(more.to_vec())
                .collect()
        };
        let streams = |argument: &str| {
            [
                ("standingChanged", "standing { rank }"),
                ("boardChanged", "standings { rank }"),
            ]
            .map(|(field, selection)| {
                format!("subscription {{ {field}(board: {{{argument}}}) {{ totalCount {selection} }} }}")
            })
        };
        let board = |argument: &str| format!("{{ board({argument}: \"$ID\") {{ id }} }}");
        let attempts = [
            "{ attempt(id: \"$ID\") { id } }".to_owned(),
            format!("mutation {{ saveAnswer(input: {{attemptId: \"$ID\", {answer}}}) {{ errors {{ code }} }} }}"),
            format!("mutation {{ saveAnswers(input: {{attemptId: \"$ID\", answers: [{{{answer}}}]}}) {{ errors {{ code }} }} }}"),
            "mutation { submitAttempt(input: {attemptId: \"$ID\", idempotencyKey: \"a key of eight\"}) { errors { code } } }".to_owned(),
        ];
        let [a, b] = streams("quiz: {id: \"$ID\"}");
        let quizzes = [
            "{ quiz(id: \"$ID\") { id } }".to_owned(),
            "mutation { startAttempt(input: {quizId: \"$ID\"}) { errors { code } } }".to_owned(),
            board("quizId"),
            a,
            b,
        ];
        let [a, b] = streams("subject: {id: \"$ID\"}");
        let subjects = [board("subjectId"), a, b];
        let [a, b] = streams("id: \"$ID\"");
        let boards = [board("id"), a, b];
        let session = "mutation { revokeSession(input: {sessionId: \"$ID\"}) { errors { code } } }".to_owned();
        vec![
            (
                "invented attempt",
                operations(&attempts),
                vec![
                    "own attempt",
                    "open attempt",
                    "attempt at a deleted quiz",
                    "attempt of a deleted account",
                ],
            ),
            ("invented quiz", operations(&quizzes), vec!["deleted quiz", "draft"]),
            ("invented subject", operations(&subjects), vec!["deleted subject"]),
            ("invented chapter", operations(&[]), vec!["deleted chapter"]),
            ("invented user", operations(&[]), vec!["deleted user"]),
            (
                "invented board",
                operations(&boards),
                vec!["deleted quiz's board", "draft's board"],
            ),
            ("invented session", operations(&[session]), vec!["ada's session"]),
            (
                "invented question",
                operations(&[]),
                vec![
                    "ada's question",
                    "question of a deleted quiz",
                    "untaken question",
                    "draft's question",
                ],
            ),
            (
                "invented choice",
                operations(&[]),
                vec![
                    "ada's choice",
                    "choice of a deleted quiz",
                    "untaken choice",
                    "draft's choice",
                ],
            ),
            (
                "invented picture",
                operations(&[]),
                vec!["ada's picture", "picture that no question shows"],
            ),
            (
                "invented answer",
                operations(&[]),
                vec!["own answer", "answer of a deleted account", "answer that was not given"],
            ),
        ]
    }

    pub fn subscriptions(&self) -> Vec<Case> {
        let mut cases = Vec::new();
        for (what, board, there) in [
            ("everything", "everything: WEEK".to_owned(), true),
            ("a subject", format!("subject: {{id: {:?}}}", self.id("subject")), true),
            ("a quiz", format!("quiz: {{id: {:?}}}", self.id("quiz")), true),
            ("a board", format!("id: {:?}", self.id("quiz's board")), true),
            (
                "a deleted quiz",
                format!("quiz: {{id: {:?}}}", self.id("deleted quiz")),
                false,
            ),
            ("a draft", format!("quiz: {{id: {:?}}}", self.id("draft")), false),
            (
                "an invented quiz",
                format!("quiz: {{id: {:?}}}", self.id("invented quiz")),
                false,
            ),
            (
                "an invented board",
                format!("id: {:?}", self.id("invented board")),
                false,
            ),
            ("a draft's board", format!("id: {:?}", self.id("draft's board")), false),
            (
                "a deleted subject",
                format!("subject: {{id: {:?}}}", self.id("deleted subject")),
                false,
            ),
        ] {
            for (field, selection) in [
                ("standingChanged", "standing { rank }"),
                ("boardChanged", "standings { rank }"),
            ] {
                let query = format!("{field}(board: {{{board}}}) {{ totalCount {selection} }}");
                let refusal = move |_: Person| (!there).then_some("NOT_FOUND");
                cases.push(Case {
                    field,
                    what,
                    query,
                    refusal: Box::new(refusal),
                });
            }
        }
        cases.push(Case {
            field: "jobUpdated",
            what: "what is done in the background",
            query: "jobUpdated { id }".to_owned(),
            refusal: Box::new(allowed),
        });
        for (what, id, there) in [
            ("an import", "import", true),
            ("an invented import", "invented import", false),
        ] {
            let refusal = move |_: Person| (!there).then_some("NOT_FOUND");
            cases.push(Case {
                field: "importProgress",
                what,
                query: format!("importProgress(importId: {:?}) {{ id }}", self.id(id)),
                refusal: Box::new(refusal),
            });
        }
        cases
    }
}

fn what_of(name: &str) -> &'static str {
    match name {
        "invented attempt" => "an invented attempt",
        "deleted quiz" => "a deleted quiz",
        "draft" => "a draft",
        "invented quiz" => "an invented quiz",
        "own attempt" => "what is no quiz",
        _ => "what is no attempt",
    }
}

async fn db(app: &TestApp, statement: &str, id: Option<Uuid>) {
    let conn = app.app.db.write();
    let values: Vec<sea_orm::Value> = id.into_iter().map(Into::into).collect();
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), statement, values);
    conn.execute_raw(statement).await.expect("a change by hand");
}

#[derive(FromQueryResult)]
struct Id {
    id: Uuid,
}

async fn first(app: &TestApp, select: &str) -> Uuid {
    let conn = app.app.db.read();
    let select = Statement::from_string(conn.get_database_backend(), select);
    let found = Id::find_by_statement(select).one(conn).await.expect("rows");
    found.expect("there is one").id
}

/// Delivers an event of what was changed by hand.
async fn deliver(app: &TestApp, topic: impl Topic) {
    let event = Event::of(topic).unwrap_or_else(|_| panic!("an event"));
    let delivered = app.app.outbox.deliver(&event, app.app.clock.now()).await;
    delivered.unwrap_or_else(|_| panic!("delivered"));
}
