//! Lists inside lists: an operation takes the same number of statements, whatever the number of parents. The paths are
//! derived from the schema, so that a new field is counted as soon as it is there.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use async_graphql::parser::{
    parse_schema,
    types::{Type, TypeKind, TypeSystemDefinition},
};
use base64::Engine;
use marmalade::{
    auth::role::Role,
    change::Cause,
    clock::Time,
    entity::{
        question::Kind,
        quiz::{ResultOpens, ReviewOpens},
    },
    id::{BankImportId, PictureId, QuizId},
    import::background,
    quiz::{
        author::{self, NewQuestion, NewQuiz},
        right::Right,
    },
    ranks::board::{Board, Scope, Span, Window},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use crate::{
    on_both_databases,
    support::{Actor, MONDAY_MORNING, TestApp},
};

/// The numbers of parents that are compared.
const SIZES: [usize; 2] = [3, 9];

/// The lists inside each other on a path, besides those that its last object is selected with.
const LISTS: usize = 2;

/// A field of an object type.
struct Field {
    name: String,
    /// The named type.
    ty: String,
    is_list: bool,
}

/// The object types of the schema, and which of them are nodes.
struct Schema {
    objects: BTreeMap<String, Vec<Field>>,
    nodes: Vec<String>,
}

impl Schema {
    fn read() -> Self {
        let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
        let (mut objects, mut nodes) = (BTreeMap::new(), Vec::new());
        for definition in document.definitions {
            let TypeSystemDefinition::Type(ty) = definition else {
                continue;
            };
            let name = ty.node.name.node.to_string();
            let TypeKind::Object(object) = ty.node.kind else {
                continue;
            };
            if object.implements.iter().any(|interface| interface.node == "Node") {
                nodes.push(name.clone());
            }
            let field = |ty: &Type, name: String| {
                let ty = ty.to_string();
                Field {
                    name,
                    is_list: ty.starts_with('['),
                    ty: ty.replace(['!', '[', ']'], ""),
                }
            };
            let fields = object.fields.into_iter();
            let fields = fields.map(|of| field(&of.node.ty.node, of.node.name.node.to_string()));
            objects.insert(name, fields.collect());
        }
        Self { objects, nodes }
    }

    fn is_object(&self, ty: &str) -> bool {
        self.objects.contains_key(ty)
    }

    /// The type of a connection's nodes.
    fn nodes_of(&self, connection: &str) -> Option<&str> {
        let nodes = |fields: &'_ Vec<Field>| fields.iter().position(|field| field.name == "nodes");
        let fields = self
            .objects
            .get(connection)
            .filter(|_| connection.ends_with("Connection"))?;
        Some(&fields[nodes(fields)?].ty)
    }

    /// A field with what makes it do its work.
    fn select(&self, Field { name, ty, .. }: &Field) -> String {
        let arguments = arguments(name);
        if self.nodes_of(ty).is_some() {
            let arguments = if arguments.is_empty() { "(first: 2)" } else { arguments };
            format!("{name}{arguments} {{ totalCount nodes {{ __typename }} }}")
        } else if self.is_object(ty) {
            format!("{name}{arguments} {{ __typename }}")
        } else {
            name.clone()
        }
    }
}

fn arguments(field: &str) -> &'static str {
    match field {
        "aroundViewer" => "(above: 1, below: 1)",
        // Only those have a board of the window before.
        "board" => "(window: DAY)",
        _ => "",
    }
}

/// The arguments of a step.
#[derive(Clone, Copy)]
enum Arguments {
    /// Those of a root field, which depend on the size.
    Root,
    /// The page whose length is the size.
    Outer,
    /// A page of two.
    Inner,
    Fixed(&'static str),
}

/// A way from the root of the graph to objects of one type.
#[derive(Clone)]
struct Walk {
    ty: String,
    /// Each field with its arguments.
    steps: Vec<(String, Arguments)>,
    /// The type of `nodes`, which may be any.
    node: Option<String>,
    lists: usize,
}

impl Walk {
    fn query(&self, world: &World, size: usize, role: Role, selection: &str) -> String {
        let mut query = selection.to_owned();
        for (field, arguments) in self.steps.iter().rev() {
            let arguments = match arguments {
                Arguments::Root => world.root(field, self.node.as_deref(), size, role),
                Arguments::Outer => format!("(first: {size})"),
                Arguments::Inner => "(first: 2)".to_owned(),
                Arguments::Fixed(arguments) => (*arguments).to_owned(),
            };
            let fragment = self.node.as_ref().filter(|_| field == "nodes" && !arguments.is_empty());
            query = match fragment {
                Some(ty) => format!("{field}{arguments} {{ ... on {ty} {{ {query} }} }}"),
                None => format!("{field}{arguments} {{ {query} }}"),
            };
        }
        format!("{{ {query} }}")
    }

    fn name(&self) -> String {
        let steps: Vec<_> = self.steps.iter().map(|(field, _)| field.as_str()).collect();
        steps.join(".") + &self.node.as_ref().map(|ty| format!(" ({ty})")).unwrap_or_default()
    }

    /// The objects that a response has at its end.
    fn found<'v>(&self, data: &'v Value) -> Vec<&'v Value> {
        let mut at = vec![data];
        for (field, _) in &self.steps {
            at = at
                .into_iter()
                .map(|value| &value[field.as_str()])
                .flat_map(flat)
                .collect();
        }
        at
    }
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// All ways through lists: by each field to each depth of lists, the shortest.
fn walks(schema: &Schema) -> Vec<Walk> {
    let mut next = VecDeque::from([Walk {
        ty: "Query".to_owned(),
        steps: Vec::new(),
        node: None,
        lists: 0,
    }]);
    let (mut seen, mut walks) = (BTreeSet::new(), Vec::new());
    while let Some(walk) = next.pop_front() {
        if walk.ty == "Query" {
            for ty in &schema.nodes {
                next.push_back(Walk {
                    ty: ty.clone(),
                    steps: vec![("nodes".to_owned(), Arguments::Root)],
                    node: Some(ty.clone()),
                    lists: 1,
                });
            }
        }
        for field in &schema.objects[&walk.ty] {
            let mut further = walk.clone();
            let of_root = walk.ty == "Query" && schema.nodes_of(&field.ty).is_none();
            let mut step = |field: &str, arguments| further.steps.push((field.to_owned(), arguments));
            match schema.nodes_of(&field.ty) {
                Some(ty) => {
                    let page = match (arguments(&field.name), walk.lists) {
                        ("", 0) => Arguments::Outer,
                        ("", _) => Arguments::Inner,
                        (fixed, _) => Arguments::Fixed(fixed),
                    };
                    step(&field.name, page);
                    step("nodes", Arguments::Fixed(""));
                    further.ty = ty.to_owned();
                    further.lists += 1;
                }
                None if schema.is_object(&field.ty) => {
                    let fixed = Arguments::Fixed(arguments(&field.name));
                    step(&field.name, if of_root { Arguments::Root } else { fixed });
                    further.ty = field.ty.clone();
                    further.lists += usize::from(field.is_list);
                }
                None => continue,
            }
            if further.lists <= LISTS && seen.insert((walk.ty.clone(), field.name.clone(), further.lists)) {
                next.push_back(further);
            }
        }
        if walk.lists > 0 {
            walks.push(walk);
        }
    }
    walks
}

/// A site in which each list is as long as it is asked to be.
struct World {
    app: TestApp,
    /// By size and role: whoever has as many of everything.
    actors: BTreeMap<(usize, &'static str), Actor>,
    /// Arguments of root fields by size, and by role where they differ; nodes by their type.
    roots: BTreeMap<(String, usize, &'static str), String>,
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        _ => "student",
    }
}

const ROLES: [Role; 2] = [Role::Admin, Role::Student];

async fn quiz(app: &TestApp, subject: &str, questions: usize) -> QuizId {
    let now = app.app.now();
    let quiz = NewQuiz {
        // Each attempt is ranked, and staff may read its review.
        review_opens: ReviewOpens::AfterClose,
        result_opens: Some(ResultOpens::AfterSubmit),
        closes_at: Some(now.at + Duration::from_secs(30 * 86_400)),
        ..NewQuiz::titled(subject, 60)
    };
    let mut pictures = Vec::new();
    for _ in 0..questions {
        let id: PictureId = now.id();
        let insert = format!(
            "INSERT INTO pictures (id, sha256, format, width, height, bytes, alt_text, created_at, created_by) \
             SELECT {}, '{}', 'PNG', 1, 1, 1, 'A pixel', 1, id FROM users LIMIT 1",
            app.literal(id.0),
            "0".repeat(64)
        );
        by_hand(app, &insert, Vec::new()).await;
        pictures.push(id);
    }
    let question = |i: usize| NewQuestion {
        chapter: Some(format!("{subject} {i}")),
        text: format!("Question {i}?").into(),
        image: None,
        picture: Some(pictures[i]),
        choices: ["right", "wrong"].map(Into::into).to_vec(),
        kind: Kind::SingleChoice,
        right: Right::one(0),
        explanation: Some("Because.".into()),
    };
    let questions: Vec<_> = (0..questions).map(question).collect();
    let made = async {
        let change = app.change().await;
        let subject = author::subject(&change, subject, &now).await?;
        let quiz = author::draft(&change, subject, quiz, &questions, &now).await?;
        change.commit().await?;
        author::publish(&app.app, quiz, &Cause::clock(&now)).await?;
        Ok::<_, marmalade::error::Error>(quiz)
    };
    made.await.unwrap_or_else(|_| panic!("a quiz"))
}

async fn by_hand(app: &TestApp, statement: &str, values: Vec<sea_orm::Value>) {
    let conn = app.app.db.write();
    let statement = Statement::from_sql_and_values(conn.get_database_backend(), statement, values);
    conn.execute_raw(statement).await.expect("a change by hand");
}

/// The id of a finished import whose report has as many sheets, each with a quiz of its own.
async fn import(app: &TestApp, editor: &Actor, quizzes: &[QuizId]) -> String {
    // The same file was imported before.
    sent(app, editor, &format!("Earlier {}", quizzes.len())).await;
    let (encoded, id) = sent(app, editor, &format!("Sent {}", quizzes.len())).await;
    let conn = app.app.db.read();
    let select = format!("SELECT report FROM bank_imports WHERE id = {}", app.literal(id.0));
    let row = conn
        .query_one_raw(Statement::from_string(conn.get_database_backend(), select))
        .await;
    let report: String = row
        .expect("rows")
        .expect("a row")
        .try_get("", "report")
        .expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let sheet = |quiz: &QuizId| {
        let mut sheet = report[0].clone();
        sheet["quiz"] = json!(quiz);
        sheet
    };
    let sheets: Vec<_> = quizzes.iter().map(sheet).collect();
    let update = format!("UPDATE bank_imports SET report = $1 WHERE id = {}", app.literal(id.0));
    by_hand(app, &update, vec![json!(sheets).to_string().into()]).await;
    // It waits to be confirmed, with a question of each sheet.
    let waits = format!(
        "UPDATE bank_imports SET finished_at = NULL, content = $1, step = 'READY' WHERE id = {}",
        app.literal(id.0)
    );
    by_hand(app, &waits, vec![vec![0_u8].into()]).await;
    for sheet in 0..quizzes.len() {
        let question = r#"{"text": "One?", "kind": "SINGLE_CHOICE", "choices": [{"text": "1", "isRight": true}]}"#;
        let insert = format!(
            "INSERT INTO import_questions VALUES ({}, {sheet}, 0, 'A2', '{question}')",
            app.literal(id.0)
        );
        by_hand(app, &insert, Vec::new()).await;
    }
    encoded
}

/// A bank that was sent and imported.
async fn sent(app: &TestApp, editor: &Actor, title: &str) -> (String, BankImportId) {
    let import =
        "mutation($content: String!, $title: String!) { importBank(input: {fileName: \"bank.csv\", content: $content,
        quizTitle: $title, subject: \"Physics\"}) { bankImport { id } errors { message } } }";
    let rows = "Question,A,B,Answer\nOne?,1,2,1\nOne?,1,2,1\nTwo?,1,,3\n";
    let content = base64::engine::general_purpose::STANDARD.encode(rows);
    let sent = editor.ask(import, json!({"content": content, "title": title})).await["importBank"].take();
    let encoded = sent["bankImport"]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{sent}"))
        .to_owned();
    let id = BankImportId::decode(&encoded).unwrap_or_else(|_| panic!("an import"));
    assert!(background::run_import(&app.app, id, &app.app.now()).await.is_ok());
    (encoded, id)
}

/// The argument `ids` with those of so many objects.
fn ids_of<'v>(objects: impl IntoIterator<Item = &'v Value>, size: usize) -> String {
    let ids = objects.into_iter().filter_map(|object| object["id"].as_str());
    format!("(ids: {:?})", ids.take(size).collect::<Vec<_>>())
}

impl World {
    async fn new(app: &TestApp) -> Self {
        let most = SIZES[1];
        // Pictures are of somebody, who is no longer among the newest accounts.
        app.student().await;
        let (mut quizzes, mut students) = (Vec::new(), Vec::new());
        for i in 0..most {
            quizzes.push(quiz(app, &format!("Subject {i}"), 2).await);
            let student = app.student().await;
            student.take(quizzes[i], 2).await;
            students.push(student);
        }
        // Two before anybody who asks: an asker among those that are listed would be one more to look up.
        for (i, quiz) in quizzes.iter().enumerate() {
            students[(i + 1) % most].take(*quiz, 2).await;
        }
        let mut world = Self {
            app: app.clone(),
            actors: BTreeMap::new(),
            roots: BTreeMap::new(),
        };
        let editor = app.actor(Role::Editor).await;
        // The fewest last, so that each is among the newest accounts.
        for size in SIZES.into_iter().rev() {
            let long = quiz(app, &format!("A long one of {size}"), size).await;
            for student in &students[..size] {
                student.take(long, size).await;
            }
            for role in ROLES {
                // Accounts of one moment are in no order.
                app.advance(Duration::from_secs(1));
                let actor = app.actor(role).await;
                let mut attempts = Vec::new();
                for quiz in &quizzes[..size] {
                    attempts.push(actor.take(*quiz, 1).await.attempt);
                }
                for _ in 1..size {
                    app.again(&actor).await;
                }
                let attempt = actor.take(long, size).await.attempt;
                let query = "query($id: ID!) { attempt(id: $id) { answers { id } questions { id choices { id } } }
                    viewer { sessions(first: 100) { nodes { id } } } }";
                let own = actor.ask(query, json!({"id": attempt})).await;
                let questions = flat(&own["attempt"]["questions"]);
                let choices = questions.iter().flat_map(|question| flat(&question["choices"]));
                world.add("Choice", size, role, ids_of(choices, size));
                world.add("Question", size, role, ids_of(questions, size));
                world.add("Answer", size, role, ids_of(flat(&own["attempt"]["answers"]), size));
                world.add(
                    "Session",
                    size,
                    role,
                    ids_of(flat(&own["viewer"]["sessions"]["nodes"]), size),
                );
                world.add("attempt", size, role, format!("(id: {attempt:?})"));
                world.add("Attempt", size, role, format!("(ids: {attempts:?})"));
                world.actors.insert((size, name_of(role)), actor);
            }
            let ids: Vec<_> = students[..size].iter().map(|student| student.id().encode()).collect();
            world.for_all("User", size, format!("(ids: {ids:?})"));
            let ids: Vec<_> = quizzes[..size].iter().map(|quiz| quiz.encode()).collect();
            world.for_all("Quiz", size, format!("(ids: {ids:?})"));
            let board = |quiz: &QuizId, span, at| Board {
                scope: Scope::Quiz(*quiz),
                window: Window::at(span, at, app.app.zone),
            };
            let boards = quizzes[..size]
                .iter()
                .map(|quiz| board(quiz, Span::AllTime, Time(0)).encode());
            world.for_all("Board", size, format!("(ids: {:?})", boards.collect::<Vec<_>>()));
            let closed = board(&long, Span::Day, Time(MONDAY_MORNING)).encode();
            world.for_all("board", size, format!("(id: {closed:?})"));
            world.for_all("quiz", size, format!("(id: {:?})", long.encode()));
            world.for_all(
                "integritySignals",
                size,
                format!("(quizId: {:?}, first: {size})", long.encode()),
            );
            let import = import(app, &editor, &quizzes[..size]).await;
            world.for_all("bankImport", size, format!("(id: {import:?})"));
            world.for_all("importTemplate", size, "(format: CSV)".to_owned());
            world.for_all("BankImport", size, format!("(ids: {:?})", vec![import; size]));
            let days = format!("(from: \"2026-01-01\", until: \"2026-01-{size:02}\")");
            world.for_all("dailyMetrics", size, days);
        }
        // The next draft of each quiz, with a question that is another one and one that is not complete.
        let mut drafts = Vec::new();
        for quiz in &quizzes {
            let begin = "mutation($id: ID!) { createDraft(input: {quizId: $id, reason: \"a test\"}) {
                draft { id questions { nodes { id } } } } }";
            let draft = editor.ask(begin, json!({"id": quiz.encode()})).await["createDraft"]["draft"].take();
            let write = "mutation($draft: ID!, $question: ID!) {
                updateQuestion(input: {questionId: $question, version: 1, text: \"Another?\", chapterId: null, reason: \"a test\"}) {
                    errors { message } }
                addQuestion(input: {draftId: $draft, version: 2, text: \"Without choices?\", reason: \"a test\"}) {
                    errors { message } } }";
            let question = &draft["questions"]["nodes"][0]["id"];
            editor
                .ask(write, json!({"draft": draft["id"], "question": question}))
                .await;
            drafts.push(draft);
        }
        for size in SIZES {
            world.for_all("draft", size, format!("(id: {})", drafts[0]["id"]));
            world.for_all("Draft", size, ids_of(&drafts, size));
            let questions = drafts.iter().map(|draft| &draft["questions"]["nodes"][1]);
            world.for_all("DraftQuestion", size, ids_of(questions, size));
        }
        for day in 1..=most {
            let insert = format!("INSERT INTO daily_metrics VALUES ('2026-01-{day:02}', 1, 1, 1, 1, 1)");
            by_hand(app, &insert, Vec::new()).await;
        }
        for n in 0..most {
            let id = app.literal(app.app.now().id::<marmalade::id::SubjectId>().0);
            let insert =
                format!("INSERT INTO subjects (id, name, created_at, deleted_at) VALUES ({id}, 'Gone {n}', 1, 1)");
            by_hand(app, &insert, Vec::new()).await;
        }
        app.advance(Duration::from_secs(86_400));
        for (student, quiz) in students.iter().zip(&quizzes) {
            student.take(*quiz, 1).await;
            app.again(student).await;
            // An entry of the audit log, for each another actor.
            let revoke = "mutation { revokeOtherSessions { revokedCount } }";
            student.ask(revoke, json!({})).await;
        }
        let query = "{ subjects(first: 100) { nodes { id chapters { nodes { id } } } } }";
        let subjects = editor.ask(query, json!({})).await["subjects"]["nodes"].take();
        let query = "{ pictures(first: 100) { nodes { id } } }";
        let pictures = editor.ask(query, json!({})).await["pictures"]["nodes"].take();
        let query = "{ jobs(first: 100) { nodes { id } } auditLog(first: 100) { nodes { id actor { id } } } }";
        let admin = world.actors[&(SIZES[0], name_of(Role::Admin))].clone();
        let of_staff = admin.ask(query, json!({})).await;
        for size in SIZES {
            world.for_all("Picture", size, ids_of(flat(&pictures), size));
            world.for_all("Job", size, ids_of(flat(&of_staff["jobs"]["nodes"]), size));
            world.for_all("AuditEntry", size, ids_of(flat(&of_staff["auditLog"]["nodes"]), size));
            let chapters = flat(&subjects)
                .into_iter()
                .flat_map(|subject| flat(&subject["chapters"]["nodes"]));
            world.for_all("Chapter", size, ids_of(chapters, size));
            world.for_all("Subject", size, ids_of(flat(&subjects), size));
        }
        world
    }

    fn add(&mut self, root: &str, size: usize, role: Role, arguments: String) {
        self.roots.insert((root.to_owned(), size, name_of(role)), arguments);
    }

    fn for_all(&mut self, root: &str, size: usize, arguments: String) {
        for role in ROLES {
            self.add(root, size, role, arguments.clone());
        }
    }

    /// The arguments of a root field; of `nodes` those of a type.
    fn root(&self, field: &str, node: Option<&str>, size: usize, role: Role) -> String {
        let root = node.unwrap_or(field).to_owned();
        self.roots
            .get(&(root, size, name_of(role)))
            .cloned()
            .unwrap_or_default()
    }

    /// The statements of an operation on a server that has just started, and its data.
    async fn measure(&self, walk: &Walk, selection: &str, size: usize, role: Role) -> (usize, Value) {
        let app = self.app.restarted_with(|_| {}).await;
        let actor = app.at(&self.actors[&(size, name_of(role))]);
        let query = walk.query(self, size, role, selection);
        let (statements, (_, mut body)) = app.statements(actor.send(&query, json!({}))).await;
        let code = body["errors"][0]["extensions"]["code"].as_str().unwrap_or_default();
        assert!(
            matches!(code, "" | "FORBIDDEN" | "NOT_FOUND"),
            "{query}: {}",
            body["errors"][0]
        );
        (statements, body["data"].take())
    }

    /// How much the number of statements grows from the one size to the other, and the data of the larger.
    async fn growth(&self, walk: &Walk, selection: &str, role: Role) -> (Option<[usize; 2]>, Value) {
        let (few, _) = self.measure(walk, selection, SIZES[0], role).await;
        let (many, data) = self.measure(walk, selection, SIZES[1], role).await;
        let mut counts = [few, many];
        // A board that is not built in time is read from the tables instead: that is one more, but not each time.
        for _ in 0..8 {
            if counts[1] <= counts[0] {
                return (None, data);
            }
            counts[0] = counts[0].max(self.measure(walk, selection, SIZES[0], role).await.0);
            counts[1] = counts[1].min(self.measure(walk, selection, SIZES[1], role).await.0);
        }
        ((counts[1] > counts[0]).then_some(counts), data)
    }
}

on_both_databases! {
    async fn lists_inside_lists_take_as_many_statements_for_any_number_of_parents(app: TestApp) {
        let (schema, world) = (Schema::read(), World::new(&app).await);
        let walks = walks(&schema);
        let (mut wrong, mut counted, mut reached) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for role in ROLES {
            for walk in &walks {
                let fields = &schema.objects[&walk.ty];
                let all: Vec<_> = fields.iter().map(|field| schema.select(field)).collect();
                let (grown, data) = world.growth(walk, &format!("__typename {}", all.join(" ")), role).await;
                for field in fields.iter().filter(|field| schema.is_object(&field.ty)) {
                    let edge = format!("{}.{}", walk.ty, field.name);
                    let is_there = |object: &&Value| {
                        let value = &object[field.name.as_str()];
                        let value = if schema.nodes_of(&field.ty).is_some() { &value["nodes"] } else { value };
                        !flat(value).is_empty()
                    };
                    if walk.found(&data).iter().any(is_there) {
                        reached.insert(edge.clone());
                    }
                    counted.insert(edge);
                }
                // What costs more on the way was found where the way begins.
                if grown.is_none() || world.growth(walk, "__typename", role).await.0.is_some() {
                    continue;
                }
                for field in fields {
                    if let (Some([few, many]), _) = world.growth(walk, &schema.select(field), role).await {
                        let (name, role) = (walk.name(), name_of(role));
                        wrong.push(format!("{name}.{} as {role}: {few} statements for {SIZES:?}, then {many}", field.name));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} fields cost more for more parents:\n{}", wrong.len(), wrong.join("\n"));
        let missed: Vec<_> = counted.difference(&reached).collect();
        assert!(missed.is_empty(), "nothing was there to be counted: {missed:?}");
        assert!(counted.len() > 30 && walks.len() > 50, "{} fields on {} ways", counted.len(), walks.len());
        let size = format!("lists inside lists: {} fields on {} ways\n", counted.len(), walks.len());
        std::io::Write::write_all(&mut std::io::stderr(), size.as_bytes()).ok();
    }
}
