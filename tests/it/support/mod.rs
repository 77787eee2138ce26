//! The harness: an application over a database of its own, with the clock in the test's hand, and actors who use it
//! through the real router.

pub mod fleet;
pub mod servers;
pub mod site;
pub mod socket;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex, Once, OnceLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
};
use futures_util::StreamExt;
use marmalade::{
    account::session::{self, Device},
    api::execution::Schema,
    app::App,
    auth::{Viewer, role::Role, token::Claims},
    background,
    change::{Cause, Change},
    clock::{Clock, SystemClock, Time},
    config::Config,
    db::{Db, Synchronous},
    entity::{question::Kind, session::Client, user},
    http,
    id::{QuizId, SessionId, UserId},
    jobs::{self, Job},
    limit::{Limits, Rate},
    operation::Answer,
    quiz::{
        author::{self, NewQuestion, NewQuiz},
        right::Right,
    },
    secret::Secret,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, Statement};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use self::servers::Servers;

/// The same, and on two servers that share a PostgreSQL and a Redis.
#[macro_export]
macro_rules! on_two_servers_too {
    ($($(#[$attribute:meta])* async fn $name:ident($app:ident: TestApp) $body:block)*) => {
        $crate::on_both_databases! {$($(#[$attribute])* async fn $name($app: TestApp) $body)*}

        mod two_servers {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                if let Some(app) = $crate::support::servers::Servers::two().await {
                    super::$name(app).await;
                }
            })*
        }
    };
}

/// Writes a test once and runs it on both databases.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$attribute:meta])* async fn $name:ident($app:ident: TestApp) $body:block)*) => {$(
        $(#[$attribute])*
        async fn $name($app: $crate::support::TestApp) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::TestApp::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(app) = $crate::support::TestApp::postgres().await {
                    super::$name(app).await;
                }
            }
        }
    )*};
}

/// 2026-11-23 is a Monday; 10:00 UTC.
pub const MONDAY_MORNING: i64 = 1_795_428_000_000_000;

/// A picture of one pixel, PNG in base64.
pub const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// What signs the tokens of the tests.
pub const SECRET: &str = "a secret of the tests that is long enough";

/// A clock that stands still until it is told to move.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }

    fn fill(&self, bytes: &mut [u8]) {
        SystemClock.fill(bytes);
    }
}

/// Where a test keeps what it has. All of it goes with the test.
struct Resources {
    folder: tempfile::TempDir,
    database: Option<OwnDatabase>,
}

/// A PostgreSQL database of a test's own.
pub struct OwnDatabase {
    server: String,
    name: String,
}

impl OwnDatabase {
    /// An empty one; `None` where PostgreSQL is not to be had.
    pub async fn empty() -> Option<Self> {
        static LOGGED: Once = Once::new();
        let server = url_of("TEST_DATABASE_URL", "PostgreSQL", &LOGGED)?;
        let admin = sea_orm::Database::connect(&server)
            .await
            .expect("TEST_DATABASE_URL can be reached");
        let name = format!("marmalade_test_{}", uuid::Uuid::now_v7().simple());
        let create = format!("CREATE DATABASE {name}");
        admin.execute_unprepared(&create).await.expect("a database of its own");
        Some(Self { server, name })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("a database in TEST_DATABASE_URL");
        format!("{server}/{}", self.name)
    }
}

impl Drop for OwnDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let server = std::mem::take(&mut self.server);
        // The test's own runtime may be on its way out.
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                if let Ok(admin) = sea_orm::Database::connect(&server).await {
                    admin.execute_unprepared(&drop).await.ok();
                }
            });
        });
        thread.join().ok();
    }
}

/// A database that is up to date and empty, to copy a test's own from: migrations take a second. One of this process; those
/// of processes that are gone go with the next one.
async fn template(admin: &sea_orm::DatabaseConnection, server: &str) -> &'static str {
    static MADE: tokio::sync::OnceCell<String> = tokio::sync::OnceCell::const_new();
    let make = async || {
        let select = "SELECT datname FROM pg_database WHERE datname LIKE 'marmalade_template_%'";
        let select = Statement::from_string(sea_orm::DbBackend::Postgres, select);
        for row in admin.query_all_raw(select).await.expect("rows") {
            let old: String = row.try_get("", "datname").expect("a name");
            let process = old.rsplit('_').next().unwrap_or_default();
            let processes = Path::new("/proc");
            if processes.join("self").exists() && !processes.join(process).exists() {
                admin
                    .execute_unprepared(&format!("DROP DATABASE IF EXISTS {old}"))
                    .await
                    .ok();
            }
        }
        let name = format!("marmalade_template_{}", std::process::id());
        admin
            .execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}"))
            .await
            .expect("no such database");
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name}"))
            .await
            .expect("a database");
        let db = Db::postgres(&format!("{server}/{name}"), 4, None).await;
        let db = db.unwrap_or_else(|_| panic!("PostgreSQL opens"));
        db.migrate().await.unwrap_or_else(|_| panic!("migrates"));
        db.close().await.unwrap_or_else(|_| panic!("closes"));
        name
    };
    MADE.get_or_init(make).await
}

/// The address of a service that a test needs; without it the test is skipped, and that is said once.
pub fn url_of(variable: &str, service: &str, logged: &Once) -> Option<String> {
    let url = std::env::var(variable).ok();
    if url.is_none() {
        // Past the test runner's capture: a skipped half is to be seen.
        logged.call_once(|| {
            let text = format!("{service} tests are skipped: {variable} is not set\n");
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).ok();
        });
    }
    url
}

/// An application under test.
#[derive(Clone)]
pub struct TestApp {
    pub app: App,
    pub clock: Arc<TestClock>,
    router: Router,
    statements: Arc<Statements>,
    made: Arc<AtomicUsize>,
    worker: Arc<OnceLock<()>>,
    /// If there are any, actors use these instead of this process.
    servers: Option<Arc<Servers>>,
    resources: Arc<Resources>,
}

/// What the database was asked.
#[derive(Default)]
struct Statements {
    count: AtomicUsize,
    /// The selects that leave no row of a table out.
    whole_tables: Mutex<BTreeSet<String>>,
}

impl Statements {
    fn note(&self, statement: &str) {
        self.count.fetch_add(1, Ordering::SeqCst);
        // What an empty condition becomes.
        let bounds = statement.replace(" WHERE TRUE", "");
        let is_bounded = [" WHERE ", " LIMIT ", " FROM (VALUES"]
            .iter()
            .any(|bound| bounds.contains(bound));
        if statement.starts_with("SELECT") && statement.contains(" FROM ") && !is_bounded {
            self.whole_tables.lock().expect("a lock").insert(statement.to_owned());
        }
    }
}

impl TestApp {
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let db = Db::sqlite(&folder.path().join("marmalade.db"), Synchronous::Normal).await;
        Self::over(
            db.unwrap_or_else(|_| panic!("SQLite opens")),
            Resources { folder, database: None },
        )
        .await
    }

    pub async fn postgres() -> Option<Self> {
        static LOGGED: Once = Once::new();
        let url = url_of("TEST_DATABASE_URL", "PostgreSQL", &LOGGED)?;
        let admin = sea_orm::Database::connect(&url)
            .await
            .expect("TEST_DATABASE_URL can be reached");
        let name = format!("marmalade_test_{}", uuid::Uuid::now_v7().simple());
        let (server, _) = url.rsplit_once('/').expect("a database in TEST_DATABASE_URL");
        let template = template(&admin, server).await;
        admin
            .execute_unprepared(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await
            .expect("a database of its own");
        let db = Db::postgres(&format!("{server}/{name}"), 8, None).await;
        let resources = Resources {
            folder: tempfile::tempdir().expect("a folder"),
            database: Some(OwnDatabase { server: url, name }),
        };
        Some(Self::over(db.unwrap_or_else(|_| panic!("PostgreSQL opens")), resources).await)
    }

    async fn over(mut db: Db, resources: Resources) -> Self {
        db.migrate().await.unwrap_or_else(|_| panic!("migrates"));
        let statements = Arc::new(Statements::default());
        let noted = statements.clone();
        db.observe(move |info| noted.note(&info.statement.sql));
        let clock = Arc::new(TestClock(AtomicI64::new(MONDAY_MORNING)));
        let mut config = Config {
            limits: Limits {
                requests: Rate::new(1_000_000, Duration::from_secs(60)),
                starts: Rate::new(1_000, Duration::from_secs(3600)),
                submits: Rate::new(1_000, Duration::from_secs(60)),
                answers: Rate::new(1_000, Duration::from_secs(60)),
                ..Limits::default()
            },
            ..Config::default()
        };
        config.server.board_tick = Duration::from_millis(20);
        config.site.demo = false;
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.site.data_dir = resources.folder.path().to_owned();
        Self::with(config, db, clock, statements, Arc::new(resources)).await
    }

    async fn with(
        config: Config,
        db: Db,
        clock: Arc<TestClock>,
        statements: Arc<Statements>,
        resources: Arc<Resources>,
    ) -> Self {
        let secrets = match &config.site.secrets[..] {
            [] => vec![Secret(SECRET.to_owned())],
            given => given.to_vec(),
        };
        let app = App::new(config, &secrets, db, clock.clone())
            .await
            .unwrap_or_else(|_| panic!("an application"));
        Self {
            router: http::router(app.clone()).ok().expect("the routes"),
            app,
            clock,
            statements,
            made: Arc::default(),
            worker: Arc::default(),
            servers: None,
            resources,
        }
    }

    /// The same database under another configuration, as after a restart.
    pub async fn restarted_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        self.restarted_ahead(Duration::ZERO, change).await
    }

    /// The same on a machine whose clock is ahead by so much.
    pub async fn restarted_ahead(&self, ahead: Duration, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.app.config.clone();
        change(&mut config);
        let clock = match ahead {
            Duration::ZERO => self.clock.clone(),
            ahead => Arc::new(TestClock(AtomicI64::new((self.clock.now() + ahead).0))),
        };
        let statements = self.statements.clone();
        let mut again = Self::with(config, self.app.db.clone(), clock, statements, self.resources.clone()).await;
        again.made = self.made.clone();
        again
    }

    /// The same site, put together by hand.
    pub fn over_app(&self, app: App) -> Self {
        Self {
            router: http::router(app.clone()).ok().expect("the routes"),
            app,
            ..self.clone()
        }
    }

    /// The same database under other secrets.
    pub async fn restarted_with_secrets(&self, secrets: &[&str]) -> Self {
        let secrets = secrets.iter().map(|secret| Secret((*secret).to_owned())).collect();
        self.restarted_with(|config| config.site.secrets = secrets).await
    }

    pub fn is_postgres(&self) -> bool {
        self.app.db.write().get_database_backend() == sea_orm::DbBackend::Postgres
    }

    /// Where everything is kept.
    pub fn folder(&self) -> &Path {
        self.resources.folder.path()
    }

    /// The address of its own database, if it is PostgreSQL's.
    pub fn database_url(&self) -> Option<String> {
        let database = self.resources.database.as_ref()?;
        let (server, _) = database.server.rsplit_once('/')?;
        Some(format!("{server}/{}", database.name))
    }

    /// How many rows a select finds.
    pub async fn count(&self, select: &str) -> usize {
        let db = self.app.db.write();
        let select = Statement::from_string(db.get_database_backend(), select);
        db.query_all_raw(select).await.expect("rows").len()
    }

    /// The time that it really is, for what other processes are to agree about.
    pub fn follow_the_clock(&self) {
        self.clock.0.store(SystemClock.now().0, Ordering::SeqCst);
    }

    /// The same person at another server of the site.
    pub fn at(&self, actor: &Actor) -> Actor {
        Actor {
            app: self.clone(),
            viewer: actor.viewer.clone(),
        }
    }

    /// The same account, signed in once more.
    pub async fn again(&self, actor: &Actor) -> Actor {
        let Some(viewer) = &actor.viewer else {
            return actor.clone();
        };
        let Ok(account) = marmalade::account::own(self.app.db.write(), viewer).await else {
            return actor.clone();
        };
        Actor {
            app: self.clone(),
            viewer: self.opened(&account).await,
        }
    }

    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves over a real socket until the test ends.
    pub async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let service = self.router().into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        address
    }

    pub fn advance(&self, by: Duration) {
        self.clock.0.fetch_add(by.as_micros() as i64, Ordering::SeqCst);
    }

    /// How many statements `work` takes.
    pub async fn statements<T>(&self, work: impl Future<Output = T>) -> (usize, T) {
        let before = self.statements.count.load(Ordering::SeqCst);
        let result = work.await;
        (self.statements.count.load(Ordering::SeqCst) - before, result)
    }

    /// The selects so far that left no row of a table out: no request should need one.
    pub fn whole_tables(&self) -> Vec<String> {
        self.statements
            .whole_tables
            .lock()
            .expect("a lock")
            .iter()
            .cloned()
            .collect()
    }

    /// A UUID in a statement that a test writes by hand.
    pub fn literal(&self, id: uuid::Uuid) -> String {
        if self.is_postgres() {
            format!("'{id}'")
        } else {
            format!("X'{}'", id.simple())
        }
    }

    /// Nobody in particular.
    pub fn anyone(&self) -> Actor {
        Actor {
            app: self.clone(),
            viewer: None,
        }
    }

    /// Somebody who registered as `handle@example.com` with the password "correct horse".
    pub async fn register(&self, handle: &str) -> Actor {
        let query =
            "mutation($input: RegisterInput!) { register(input: $input) { tokens { accessToken } errors { code } } }";
        let email = format!("{handle}@example.com");
        let input = json!({"email": email, "handle": handle, "password": "correct horse", "client": "NATIVE"});
        let data = self.anyone().ask(query, json!({"input": input})).await;
        self.holding(&data["register"]["tokens"])
            .await
            .unwrap_or_else(|| panic!("{data}"))
    }

    /// The same account at another device; `None` if it is refused.
    pub async fn sign_in(&self, handle: &str, password: &str) -> Option<Actor> {
        let query =
            "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } errors { code } } }";
        let input = json!({"email": format!("{handle}@example.com"), "password": password, "client": "NATIVE"});
        let data = self.anyone().ask(query, json!({"input": input})).await;
        self.holding(&data["signIn"]["tokens"]).await
    }

    async fn holding(&self, tokens: &Value) -> Option<Actor> {
        let token = tokens["accessToken"].as_str()?;
        let viewer = session::authenticate(&self.app, &self.app.revocations, token, self.clock.now()).await?;
        Some(Actor {
            app: self.clone(),
            viewer: Some(viewer),
        })
    }

    pub async fn student(&self) -> Actor {
        self.actor(Role::Student).await
    }

    pub async fn actor(&self, role: Role) -> Actor {
        let now = self.app.now();
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        let (email, handle) = (format!("actor{n}@example.com"), format!("actor{n}"));
        let row = user::ActiveModel {
            role: Set(role),
            ..user::ActiveModel::student(now.id(), email, handle, "none".into(), now.at)
        };
        let db = self.app.db.write();
        let account = user::Entity::insert(row)
            .exec_with_returning(db)
            .await
            .expect("an account");
        Actor {
            app: self.clone(),
            viewer: Some(self.opened(&account).await.expect("a session")),
        }
    }

    /// A session of an account, at a native app.
    async fn opened(&self, account: &user::Model) -> Option<Viewer> {
        let cause = Cause::clock(&self.app.now());
        let opened = session::open(&self.app, account, Client::Native, Device::default(), &cause).await;
        opened.ok().flatten().map(|tokens| tokens.viewer)
    }

    /// A published quiz. The first choice of each question is the right one.
    pub async fn quiz(&self, questions: usize, change: impl FnOnce(&mut NewQuiz)) -> QuizId {
        let quiz = self.draft(questions, change).await;
        let published = author::publish(&self.app, quiz, &Cause::clock(&self.app.now())).await;
        published.unwrap_or_else(|_| panic!("a quiz"));
        quiz
    }

    /// A quiz that nobody can take yet.
    pub async fn draft(&self, questions: usize, change: impl FnOnce(&mut NewQuiz)) -> QuizId {
        let now = self.app.now();
        let n = self.made.fetch_add(1, Ordering::SeqCst);
        let mut quiz = NewQuiz::titled(format!("Quiz {n}"), 60);
        change(&mut quiz);
        let questions: Vec<_> = (0..questions)
            .map(|i| NewQuestion {
                chapter: Some(format!("Chapter {}", i % 3)),
                text: format!("Question {i}?").into(),
                image: None,
                picture: None,
                choices: ["right", "wrong", "also wrong"].map(Into::into).to_vec(),
                kind: Kind::SingleChoice,
                right: Right::one(0),
                explanation: Some(format!("CANARY explanation {i}").into()),
            })
            .collect();
        let made = async {
            let change = Change::begin(&self.app, &Cause::clock(&now)).await?;
            let subject = author::subject(&change, "Biology", &now).await?;
            let quiz = author::draft(&change, subject, quiz, &questions, &now).await?;
            change.commit().await?;
            Ok::<_, marmalade::error::Error>(quiz)
        };
        made.await.unwrap_or_else(|_| panic!("a quiz"))
    }

    /// Has jobs done from now on.
    pub fn work(&self) {
        self.worker.get_or_init(|| {
            let tasks = TaskTracker::new();
            background::run_jobs(&self.app, &tasks);
        });
    }

    /// A change that nobody asks for.
    pub async fn change(&self) -> Change<'_> {
        let change = Change::begin(&self.app, &Cause::clock(&self.app.now())).await;
        change.unwrap_or_else(|_| panic!("a change"))
    }

    /// Enqueues a job.
    pub async fn enqueue(&self, job: &impl Job) {
        let mut change = self.change().await;
        assert!(change.enqueue(job).await.is_ok() && change.commit().await.is_ok());
    }

    /// Waits until all jobs are done.
    pub async fn idle(&self) {
        let left = async || {
            let backlog = jobs::backlog(self.app.db.read()).await;
            backlog.map_or(1, |backlog| backlog.queued + backlog.running)
        };
        while left().await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The letter that somebody got, once it has arrived: the newest with this in its subject.
    pub async fn email(&self, to: &str, subject: &str) -> String {
        self.work();
        let folder = self.resources.folder.path().join("mail");
        for _ in 0..200 {
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut emails: Vec<_> = files
                .filter_map(|file| {
                    Some((
                        file.metadata().ok()?.modified().ok()?,
                        std::fs::read_to_string(file.path()).ok()?,
                    ))
                })
                .filter(|(_, text)| text.contains(&format!("To: {to}")) && text.contains(subject))
                .collect();
            emails.sort();
            if let Some((_, email)) = emails.pop() {
                return email;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no email to {to} about {subject:?}")
    }

    /// The token of the link in such a letter.
    pub async fn link(&self, to: &str, subject: &str) -> String {
        // Quoted-printable breaks long lines.
        let email = self.email(to, subject).await.replace("=\r\n", "").replace("=3D", "=");
        let (_, rest) = email.split_once("#token=").expect("a link");
        rest.split_whitespace().next().expect("a token").to_owned()
    }

    /// How many emails were sent.
    pub fn emails(&self) -> usize {
        std::fs::read_dir(self.resources.folder.path().join("mail")).map_or(0, Iterator::count)
    }

    /// `marmalade verify` has nothing to say.
    pub async fn verify(&self) {
        let findings = marmalade::ops::verify::verify(&self.app)
            .await
            .unwrap_or_else(|_| panic!("verify runs"));
        assert!(findings.is_empty(), "{findings:#?}");
        if let Some(servers) = &self.servers {
            servers.verify();
        }
    }
}

/// Somebody who uses the API.
#[derive(Clone)]
pub struct Actor {
    pub app: TestApp,
    /// `None`: nobody is signed in.
    viewer: Option<Viewer>,
}

/// An attempt in the hands of a client.
#[derive(Clone, Debug)]
pub struct Paper {
    pub attempt: String,
    /// Per question its id and its choices' ids.
    pub questions: Vec<(String, Vec<String>)>,
}

impl Actor {
    pub fn id(&self) -> UserId {
        self.viewer.as_ref().expect("somebody who is signed in").user()
    }

    pub fn session_id(&self) -> SessionId {
        self.viewer.as_ref().expect("somebody who is signed in").session()
    }

    /// The viewer that the server takes this actor's token for.
    pub async fn let_in(&self) -> Option<Viewer> {
        self.viewer.as_ref()?;
        session::authenticate(
            &self.app.app,
            &self.app.app.revocations,
            &self.token(),
            self.app.clock.now(),
        )
        .await
    }

    /// A fresh access token, as a client that refreshes in time has one.
    pub fn token(&self) -> String {
        let viewer = self.viewer.as_ref().expect("somebody who is signed in");
        if self.app.servers.is_some() {
            self.app.follow_the_clock();
        }
        let claims = Claims {
            user: viewer.user(),
            session: viewer.session(),
            role: viewer.role(),
            access_version: viewer.access_version(),
            issued_at: self.app.clock.now(),
        };
        self.app
            .app
            .keys
            .issue(&claims)
            .map(|(_, token)| token)
            .unwrap_or_else(|_| panic!("a token"))
    }

    pub async fn post(&self, query: &str, variables: Value) -> Response<Body> {
        self.post_with(&[], query, variables).await
    }

    /// The same with more headers.
    pub async fn post_with(&self, headers: &[(&str, &str)], query: &str, variables: Value) -> Response<Body> {
        let mut request = Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", "application/graphql-response+json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if self.viewer.is_some() {
            request = request.header("authorization", format!("Bearer {}", self.token()));
        }
        let body = json!({"query": query, "variables": variables}).to_string();
        let request = request.header("content-length", body.len());
        let request = request.body(body).expect("a request");
        if let Some(servers) = &self.app.servers {
            return servers.send(request).await;
        }
        self.app
            .router
            .clone()
            .oneshot(request.map(Body::from))
            .await
            .expect("a response")
    }

    pub async fn send(&self, query: &str, variables: Value) -> (StatusCode, Value) {
        let response = self.post(query, variables).await;
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// The data of an operation that must succeed.
    pub async fn ask(&self, query: &str, variables: Value) -> Value {
        let (status, mut body) = self.send(query, variables).await;
        assert!(
            status == StatusCode::OK && body["errors"].is_null(),
            "{status}: {body:#}"
        );
        body["data"].take()
    }

    /// The first answer to an operation, or the first event of a stream, as a socket would send it.
    pub async fn first_answer(&self, operation: &str) -> Value {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        let schema = SCHEMA.get_or_init(|| Schema::new().ok().expect("the schema"));
        let (app, viewer) = (&self.app.app, self.let_in().await);
        let request = async_graphql::Request::new(operation);
        let answer = match schema.admit(app, viewer.as_ref(), request).await {
            Ok(admitted) => {
                let mut answers = Box::pin(schema.run(admitted, app, viewer, Default::default()));
                answers.next().await.expect("an answer")
            }
            Err(errors) => Answer::refusal(errors),
        };
        serde_json::from_slice(&answer.json()).expect("an answer is JSON")
    }

    pub async fn start(&self, quiz: QuizId) -> Paper {
        let query = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) {
            attempt { id questions { id choices { id } } } errors { code message } } }";
        let data = self.ask(query, json!({"quiz": quiz.encode()})).await;
        let attempt = &data["startAttempt"]["attempt"];
        let id = |value: &Value| value["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned();
        let questions = attempt["questions"].as_array().expect("questions");
        Paper {
            attempt: id(attempt),
            questions: questions
                .iter()
                .map(|q| {
                    (
                        id(q),
                        q["choices"].as_array().expect("choices").iter().map(id).collect(),
                    )
                })
                .collect(),
        }
    }

    pub async fn save(&self, paper: &Paper, question: usize, choice: usize, seq: i64) -> Value {
        let (id, choices) = &paper.questions[question];
        let query = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) {
            outcome answer { seq choiceId } errors { code } } }";
        let input = json!({"attemptId": paper.attempt, "questionId": id, "choiceId": choices[choice], "seq": seq});
        self.ask(query, json!({"input": input})).await["saveAnswer"].take()
    }

    pub async fn submit(&self, paper: &Paper, key: &str) -> Value {
        let query = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) {
            attempt { id state submittedBy submittedAt late result { points rightCount wrongCount blankCount ranked } }
            errors { code } } }";
        let input = json!({"attemptId": paper.attempt, "idempotencyKey": key});
        self.ask(query, json!({"input": input})).await["submitAttempt"].take()
    }

    /// Takes a quiz with so many right answers and the rest wrong.
    pub async fn take(&self, quiz: QuizId, right: usize) -> Paper {
        let paper = self.start(quiz).await;
        for question in 0..paper.questions.len() {
            self.save(&paper, question, usize::from(question >= right), 1).await;
        }
        let submitted = self.submit(&paper, "the one key").await;
        assert_eq!(submitted["errors"], json!([]));
        paper
    }

    pub async fn rank(&self, window: &str) -> Value {
        let query = "query($window: BoardWindow!) { board(window: $window) { viewerStanding { rank points } } }";
        self.ask(query, json!({"window": window})).await["board"]["viewerStanding"].take()
    }
}
