//! Jobs: none is lost, each is done, what can't be done is seen.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use base64::Engine;
use marmalade::{
    account::{RESTORABLE, link::EmailChangeWarning},
    app::{App, jobs::KINDS},
    auth::role::Role,
    background::schedule::{self, Schedule},
    entity::job,
    id::{BankImportId, JobId},
    import::background,
    jobs::{self, Filter, lease},
    secret::Secret,
};
use migration::{Migrator, MigratorTrait};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Barrier, time::timeout};
use uuid::Uuid;

use crate::{
    on_both_databases,
    support::{Actor, TestApp, socket::Socket},
};

const RESET: &str =
    "mutation($email: EmailAddress!) { requestPasswordReset(input: {email: $email}) { errors { code } } }";
const JOBS: &str = "query($state: JobState) { jobs(state: $state) {
    nodes { id kind state attempts maxAttempts wantedAt startedAt finishedAt error } } }";
/// Nothing in a test takes so long.
const PATIENCE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_secs(60);

async fn forget_password(app: &TestApp, handle: &str) {
    app.anyone()
        .ask(RESET, json!({"email": format!("{handle}@example.com")}))
        .await;
}

/// The emails in this state, once there are so many.
async fn emails_are(staff: &Actor, state: &str, count: usize) -> Vec<Value> {
    let wait = async {
        loop {
            let jobs = staff.ask(JOBS, json!({"state": state})).await["jobs"]["nodes"].take();
            let jobs = jobs.as_array().expect("a list").iter();
            let emails: Vec<_> = jobs
                .filter(|job| job["kind"] == "PASSWORD_RESET_EMAIL")
                .cloned()
                .collect();
            if emails.len() == count {
                return emails;
            }
            if state == "DEAD" {
                // Between two attempts time passes.
                staff.app.advance(Duration::from_millis(100));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match timeout(PATIENCE, wait).await {
        Ok(emails) => emails,
        Err(_) => panic!("{count} emails {state}: {}", staff.ask(JOBS, json!({})).await["jobs"]),
    }
}

fn warning() -> EmailChangeWarning {
    EmailChangeWarning {
        email: "ada@example.com".into(),
    }
}

/// Claims jobs as a worker of its own.
async fn claim(app: &App, most: usize, lease: Duration) -> Vec<job::Model> {
    let (now, kinds) = (app.now(), KINDS.iter().map(|kind| kind.name));
    let claimed = lease::claim(app.db.write(), kinds, most, (now.id(), now.at + lease), now.at).await;
    claimed.unwrap_or_else(|_| panic!("jobs"))
}

async fn count(app: &TestApp) -> u64 {
    jobs::count(app.app.db.read(), &Filter::default())
        .await
        .unwrap_or_else(|_| panic!("counts"))
}

/// Letters go to a server that nobody listens at.
async fn without_mail(app: &TestApp) -> TestApp {
    app.restarted_with(|config| {
        config.mail.smtp_url = Some(Secret("smtp://127.0.0.1:1".into()));
        config.jobs.retry = Duration::from_millis(5);
    })
    .await
}

on_both_databases! {
    async fn a_job_is_enqueued_run_and_done(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        forget_password(&app, "ada").await;
        assert_eq!((app.emails(), count(&app).await), (0, 1), "nobody has come to it");
        let queued = &emails_are(&editor, "QUEUED", 1).await[0];
        assert_eq!((&queued["kind"], &queued["attempts"]), (&json!("PASSWORD_RESET_EMAIL"), &json!(0)));
        app.work();
        let done = &emails_are(&editor, "DONE", 1).await[0];
        assert!(done["error"].is_null() && done["finishedAt"].is_string(), "{done}");
        assert_eq!(app.emails(), 1);
    }

    async fn a_job_is_enqueued_with_its_transaction_or_not_at_all(app: TestApp) {
        let mut change = app.change().await;
        assert!(change.enqueue(&warning()).await.is_ok());
        drop(change);
        assert_eq!(count(&app).await, 0);
    }

    async fn workers_that_claim_at_once_claim_different_jobs(app: TestApp) {
        const WORKERS: usize = 8;
        for round in 1..=10 {
            for _ in 0..3 * WORKERS {
                app.enqueue(&warning()).await;
            }
            let barrier = Arc::new(Barrier::new(WORKERS));
            let workers = (0..WORKERS).map(|_| {
                let (app, barrier) = (app.app.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    claim(&app, 3, MINUTE).await
                })
            });
            let mut taken = Vec::new();
            for jobs in futures_util::future::join_all(workers).await {
                let jobs = jobs.expect("a worker");
                assert!(jobs.len() <= 3, "no more than it asked for");
                taken.extend(jobs.into_iter().map(|job| job.id));
            }
            // Rows that another was just taking are skipped, and are there the next time.
            taken.extend(claim(&app.app, 1000, MINUTE).await.into_iter().map(|job| job.id));
            let different: BTreeSet<_> = taken.iter().collect();
            assert_eq!((taken.len(), different.len()), (3 * WORKERS, 3 * WORKERS), "round {round}");
        }
    }

    async fn a_job_is_its_workers_until_the_lease_ends_or_the_worker_leaves(app: TestApp) {
        let db = app.app.db.write();
        app.enqueue(&warning()).await;
        let first = claim(&app.app, 1, MINUTE).await.pop().expect("a job");
        app.advance(MINUTE - Duration::from_secs(1));
        assert_eq!(claim(&app.app, 1, MINUTE).await, []);
        let worker = first.worker_id.expect("a worker");
        let now = app.app.now();
        assert!(lease::extend(db, [first.id].into_iter(), (worker, now.at + MINUTE), now.at).await.is_ok());
        app.advance(MINUTE - Duration::from_secs(1));
        assert_eq!(claim(&app.app, 1, MINUTE).await, [], "it lives");
        app.advance(Duration::from_secs(1));
        let second = claim(&app.app, 1, MINUTE).await.pop().expect("the same job");
        assert_eq!((second.id, second.attempts), (first.id, 2));

        // Whoever was silent has no say in it any more.
        let now = app.app.now();
        assert_eq!(lease::finish(db, &first, &lease::End::Success, &now).await.ok(), Some(false));
        assert!(lease::release(db, second.worker_id.expect("a worker"), now.at).await.is_ok());
        let third = claim(&app.app, 1, MINUTE).await.pop().expect("at once");
        assert_eq!(lease::finish(db, &second, &lease::End::Success, &now).await.ok(), Some(false));
        assert_eq!(lease::finish(db, &third, &lease::End::Success, &now).await.ok(), Some(true));
        app.advance(2 * MINUTE);
        assert_eq!(claim(&app.app, 1, MINUTE).await, [], "it is done");
    }

    async fn a_job_of_a_newer_release_is_left_to_it(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        app.enqueue(&warning()).await;
        let newer = "UPDATE background_jobs SET kind = 'of_a_newer_release'";
        app.app.db.write().execute_unprepared(newer).await.expect("a job");
        forget_password(&app, "ada").await;
        app.work();
        emails_are(&editor, "DONE", 1).await;
        assert_eq!(app.count("SELECT 1 FROM background_jobs WHERE state = 'QUEUED' AND attempts = 0 AND kind LIKE 'of_%'").await, 1);
        let shown = editor.ask(JOBS, json!({})).await["jobs"]["nodes"].take();
        assert!(shown.as_array().expect("a list").iter().any(|job| job["kind"].is_null()), "{shown}");
    }

    async fn jobs_of_the_release_before_are_taken_over(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        let db = app.app.db.write();
        let newer = Migrator::migrations().into_iter().rev().take_while(|newer| newer.name() != "m20261126_000014_jobs_table");
        let steps = Some(newer.count() as u32 + 1);
        Migrator::down(db, steps).await.expect("it comes down");
        db.execute_unprepared(if app.is_postgres() { LIBRARY_ON_POSTGRES } else { LIBRARY_ON_SQLITE }).await.expect("tables");
        let at = app.app.clock.now().0;
        let (email, other) = (r#"{"kind":"password_reset_letter","email":"ada@example.com""#, r#"{"kind":"purge""#);
        let [outbox, tables, bytes] = if app.is_postgres() {
            [app.literal(Uuid::from_u128(1)), "apalis.".into(), "bytea".into()]
        } else {
            [app.literal(Uuid::from_u128(1)), String::new(), "BLOB".into()]
        };
        let held = |id: &str, job: &str, status: &str, attempts: u32, worker: &str, result: &str| {
            format!("INSERT INTO {tables}jobs (id, job, job_type, status, attempts, max_attempts, lock_by, last_result) VALUES \
                     ('{id}', CAST('{job}, \"wanted_at\":{at}}}' AS {bytes}), 'marmalade', '{status}', {attempts}, 10, {worker}, {result})")
        };
        let (none, failed) = ("NULL", r#"'{"Err":"no mail server"}'"#);
        let rows = [
            format!("INSERT INTO job_outbox VALUES ({outbox}, '{email}}}', {at})"),
            held("01ARZ3NDEKTSV4RRFFQ69G5FAV", email, "Pending", 0, none, none),
            held("01ARZ3NDEKTSV4RRFFQ69G5FAW", email, "Killed", 10, none, failed),
            held("01ARZ3NDEKTSV4RRFFQ69G5FAX", other, "Running", 1, "'gone'", none),
            held("01ARZ3NDEKTSV4RRFFQ69G5FAY", other, "Running", 1, "'here'", none),
            held("01ARZ3NDEKTSV4RRFFQ69G5FAZ", other, "Done", 1, "'here'", none),
        ];
        for row in rows {
            db.execute_unprepared(&row).await.expect("a job of the release before");
        }
        Migrator::up(db, None).await.expect("it goes up");
        let nodes = async |state: &str| editor.ask(JOBS, json!({"state": state})).await["jobs"]["nodes"].take();
        let waiting = nodes("QUEUED").await;
        let kinds: Vec<_> = waiting.as_array().expect("a list").iter().map(|job| &job["kind"]).collect();
        assert_eq!(kinds, ["PURGE", "PASSWORD_RESET_EMAIL", "PASSWORD_RESET_EMAIL"]);
        // The 128 bits of the ULID.
        let id = JobId(Uuid::from_u128(0x0156_3e3a_b5d3_d676_4c61_efb9_9302_bd5b)).encode();
        assert_eq!((&waiting[1]["id"], waiting[1]["wantedAt"].is_string()), (&json!(id), true));
        let dead = nodes("DEAD").await[0].clone();
        assert_eq!((&dead["attempts"], &dead["error"]), (&json!(10), &json!("no mail server")));
        assert!(nodes("DONE").await[0]["finishedAt"].is_string());
        assert_eq!(app.count(&format!("SELECT 1 FROM {tables}jobs")).await, 1, "what a worker does");

        // It can go back, and what servers of the release before want meanwhile is taken over, too.
        Migrator::down(db, steps).await.expect("it comes down");
        assert_eq!(app.count("SELECT 1 FROM job_outbox WHERE job LIKE '%password_reset_letter%'").await, 3);
        Migrator::up(db, None).await.expect("it goes up");
        let another = app.literal(Uuid::from_u128(2));
        let another = format!("INSERT INTO job_outbox VALUES ({another}, '{email}}}', {at})");
        db.execute_unprepared(&another).await.expect("a job");
        app.work();
        emails_are(&editor, "DONE", 4).await;
    }

    async fn a_job_that_always_fails_is_given_up_seen_and_run_again(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        let broken = without_mail(&app).await;
        broken.work();
        forget_password(&broken, "ada").await;
        let dead = emails_are(&editor, "DEAD", 1).await[0].clone();
        assert_eq!((&dead["attempts"], &dead["maxAttempts"]), (&json!(10), &json!(10)));
        assert!(dead["error"].as_str().is_some_and(|error| !error.is_empty()) && dead["finishedAt"].is_string(), "{dead}");
        broken.app.shutdown.cancel();

        // Somebody mends the mail server, and runs it again.
        let retry = "mutation($id: ID!) { retryJob(input: {jobId: $id}) { job { state attempts } errors { code } } }";
        let retried = editor.ask(retry, json!({"id": dead["id"]})).await["retryJob"].take();
        assert_eq!(retried, json!({"job": {"state": "QUEUED", "attempts": 0}, "errors": []}));
        let again = editor.ask(retry, json!({"id": dead["id"]})).await["retryJob"].take();
        assert_eq!(again, json!({"job": null, "errors": [{"code": "CONFLICT"}]}));
        app.work();
        emails_are(&editor, "DONE", 1).await;
        app.email("ada@example.com", "A new password").await;
        let actions = app.actor(Role::Admin).await.ask("{ auditLog { nodes { action objectId } } }", json!({})).await;
        let log = actions["auditLog"]["nodes"].as_array().expect("a log").clone();
        assert!(log.contains(&json!({"action": "JOB_RETRIED", "objectId": dead["id"]})), "{log:?}");
    }

    async fn staff_see_why_a_job_failed_that_is_tried_again(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        let broken = without_mail(&app).await;
        let broken = broken.restarted_with(|config| config.jobs.retry = Duration::from_secs(60)).await;
        broken.work();
        forget_password(&broken, "ada").await;
        let tried = async {
            loop {
                let email = emails_are(&editor, "RUNNING", 1).await[0].clone();
                if email["error"].as_str().is_some_and(|error| !error.is_empty()) {
                    return email;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let email = timeout(PATIENCE, tried).await.expect("it fails once");
        assert_eq!(email["attempts"], 1);
    }

    async fn a_job_whose_workers_all_went_away_is_given_up(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        forget_password(&app, "ada").await;
        let lost = "UPDATE background_jobs SET attempts = 10";
        app.app.db.write().execute_unprepared(lost).await.expect("ten workers went away");
        app.work();
        let dead = emails_are(&editor, "DEAD", 1).await[0].clone();
        assert_eq!(dead["error"], "its worker went away each time it was tried");
        assert_eq!(app.emails(), 0);
    }

    async fn the_address_of_a_dead_email_goes_after_a_month(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        let broken = without_mail(&app).await;
        broken.work();
        forget_password(&broken, "ada").await;
        emails_are(&editor, "DEAD", 1).await;
        broken.app.shutdown.cancel();
        let [week, month] = [8, 31].map(|days| app.app.clock.now() + Duration::from_secs(days * 24 * 3600));
        assert!(jobs::forget(app.app.db.write(), week, RESTORABLE).await.is_ok());
        assert_eq!(emails_are(&editor, "DEAD", 1).await.len(), 1, "somebody may still see to it");
        assert!(jobs::forget(app.app.db.write(), month, RESTORABLE).await.is_ok());
        emails_are(&editor, "DEAD", 0).await;
    }

    async fn emails_that_wait_for_the_mail_server_hold_nothing_else_up(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        // Between two attempts lies a minute.
        let broken = without_mail(&app).await;
        let broken = broken.restarted_with(|config| config.jobs.retry = Duration::from_secs(60)).await;
        for _ in 0..40 {
            app.enqueue(&warning()).await;
        }
        let sent = send_bank(&editor, "Question,A,B,Answer\nOne?,1,2,1\n").await;
        broken.work();
        let read = read_import(&editor, &sent["bankImport"]["id"]).await;
        assert_eq!(read["sheets"][0]["questionCount"], 1, "{read}");
    }

    async fn staff_watch_jobs_go_by(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        app.register("ada").await;
        let address = app.listen().await;
        let mut socket = Socket::open(address, &editor.token()).await;
        socket.subscribe("1", "subscription { jobUpdated { kind state } }").await;
        forget_password(&app, "ada").await;
        for state in ["QUEUED", "DONE"] {
            loop {
            let update = timeout(PATIENCE, socket.event()).await.expect("an event")["jobUpdated"].take();
            if update["kind"] == "PASSWORD_RESET_EMAIL" && update["state"] == state {
                break;
            }
            }
            app.work();
        }
    }

    async fn a_schedule_fires_once_with_three_workers(app: TestApp) {
        const ROUNDS: u64 = 10;
        let mut workers = Vec::new();
        for _ in 0..3 {
            workers.push(app.restarted_with(|_| {}).await);
        }
        for round in 1..=ROUNDS {
            let barrier = Arc::new(Barrier::new(3));
            let tasks: Vec<_> = workers
                .iter()
                .map(|worker| {
                    let (app, barrier) = (worker.app.clone(), barrier.clone());
                    tokio::spawn(async move {
                        barrier.wait().await;
                        schedule::fire(&app, &app.now()).await.is_ok()
                    })
                })
                .collect();
            for task in tasks {
                assert!(task.await.expect("a task"));
            }
            // A day later everything is due again.
            assert_eq!(count(&app).await, round * Schedule::ALL.len() as u64);
            app.advance(Duration::from_secs(24 * 3600));
        }
    }

    async fn days_are_counted_once_they_are_over(app: TestApp) {
        let (editor, quiz) = (app.actor(Role::Editor).await, app.quiz(2, |_| {}).await);
        app.student().await.take(quiz, 2).await;
        let bob = app.student().await;
        app.advance(Duration::from_secs(24 * 3600));
        bob.start(quiz).await;
        let days = "{ dailyMetrics(from: \"2026-11-01\", until: \"2026-11-30\") {
            day newAccounts activeStudents attemptsStarted attemptsSubmitted } }";
        assert_eq!(editor.ask(days, json!({})).await["dailyMetrics"], json!([]));
        for _ in 0..2 {
            assert!(marmalade::dashboard::daily::count_days(&app.app, &app.app.now()).await.is_ok());
            let counted = editor.ask(days, json!({})).await["dailyMetrics"].take();
            let monday = json!({"day": "2026-11-23", "newAccounts": 3, "activeStudents": 1, "attemptsStarted": 1, "attemptsSubmitted": 1});
            assert_eq!(counted, json!([monday]));
        }
    }

    async fn another_worker_finishes_what_a_killed_one_began(app: TestApp) {
        // A mail server that takes a letter and never says that it has.
        let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let smtp = format!("smtp://{}", deaf.local_addr().expect("an address"));
        app.follow_the_clock();
        app.register("ada").await;
        let editor = app.actor(Role::Editor).await;
        let mut first = Worker::start(&app, Some(&smtp));
        forget_password(&app, "ada").await;
        let (_kept, _) = timeout(PATIENCE, deaf.accept()).await.expect("it begins").expect("a connection");
        emails_are(&editor, "RUNNING", 1).await;
        first.kill();

        let _second = Worker::start(&app, None);
        emails_are(&editor, "DONE", 1).await;
        app.email("ada@example.com", "A new password").await;
    }

    async fn a_worker_that_has_its_hands_full_keeps_its_jobs(app: TestApp) {
        // As above; more emails than it takes at once.
        let deaf = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let smtp = format!("smtp://{}", deaf.local_addr().expect("an address"));
        app.follow_the_clock();
        let editor = app.actor(Role::Editor).await;
        for _ in 0..24 {
            app.enqueue(&warning()).await;
        }
        let _first = Worker::start(&app, Some(&smtp));
        let mut kept = Vec::new();
        for _ in 0..16 {
            kept.push(timeout(PATIENCE, deaf.accept()).await.expect("it begins").expect("a connection"));
        }
        let _second = Worker::start(&app, None);
        // Longer than a worker may be silent: what the other has begun stays its own.
        tokio::time::sleep(Duration::from_secs(8)).await;
        let running = editor.ask(JOBS, json!({"state": "RUNNING"})).await["jobs"]["nodes"].take();
        let running = running.as_array().expect("a list").len();
        assert!(running >= 16, "only {running} are its own still");
    }
}

on_both_databases! {
    async fn a_worker_serves_health_and_metrics_only(app: TestApp) {
        let mut command = Worker::command(&app, None);
        command.env("MARMALADE_WORKER_LISTEN", "127.0.0.1:0").stdout(Stdio::piped());
        let mut worker = Worker(command.spawn().expect("a worker"));
        let mut line = String::new();
        BufReader::new(worker.0.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let (_, url) = line.trim().split_once("at ").unwrap_or_else(|| panic!("an address in {line:?}"));
        for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/graphql", 404), ("/graphiql", 404)] {
            let answer = reqwest::get(format!("{url}{path}")).await.expect("it answers");
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
        // Nobody else does jobs here.
        let wait = async {
            loop {
                let text = reqwest::get(format!("{url}/metrics")).await.expect("it answers").text().await.expect("a text");
                if text.lines().any(|line| line == "marmalade_workers 1") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("one worker lives");
    }
}

/// A `marmalade worker`.
struct Worker(Child);

impl Worker {
    fn start(app: &TestApp, smtp: Option<&str>) -> Self {
        Self(Self::command(app, smtp).spawn().expect("a worker"))
    }

    fn command(app: &TestApp, smtp: Option<&str>) -> Command {
        let mut worker = Command::new(env!("CARGO_BIN_EXE_marmalade"));
        worker
            .arg("worker")
            .current_dir(app.folder())
            .env("MARMALADE_MODE", "development")
            .env("MARMALADE_DATA_DIR", app.folder())
            .env("MARMALADE_LOG", "warn")
            .env("MARMALADE_JOB_HEARTBEAT_MS", "1000")
            .env_remove("REDIS_URL")
            .stdout(Stdio::null());
        match app.database_url() {
            Some(url) => worker.env("DATABASE_URL", url),
            None => worker.env_remove("DATABASE_URL"),
        };
        if let Some(smtp) = smtp {
            worker.env("MARMALADE_SMTP_URL", smtp);
        }
        worker
    }

    /// `kill -9`.
    fn kill(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("dead");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The tables of the library that the release before kept jobs in, as far as they matter.
const LIBRARY_ON_SQLITE: &str = "
    CREATE TABLE Workers (id TEXT NOT NULL UNIQUE, last_seen INTEGER NOT NULL DEFAULT (strftime('%s', 'now')));
    CREATE TABLE Jobs (job BLOB NOT NULL, id TEXT NOT NULL UNIQUE, job_type TEXT NOT NULL, status TEXT NOT NULL,
        attempts INTEGER NOT NULL, max_attempts INTEGER NOT NULL, last_result TEXT, lock_at INTEGER,
        lock_by TEXT REFERENCES Workers (id), done_at INTEGER, PRIMARY KEY (id));
    INSERT INTO Workers VALUES ('here', strftime('%s', 'now')), ('gone', strftime('%s', 'now') - 100);";
const LIBRARY_ON_POSTGRES: &str = "
    CREATE SCHEMA apalis;
    CREATE TABLE apalis.workers (id TEXT NOT NULL UNIQUE, last_seen timestamptz NOT NULL DEFAULT now());
    CREATE TABLE apalis.jobs (job bytea NOT NULL, id TEXT NOT NULL UNIQUE, job_type TEXT NOT NULL, status TEXT NOT NULL,
        attempts integer NOT NULL, max_attempts integer NOT NULL, last_result jsonb, lock_at timestamptz,
        lock_by TEXT REFERENCES apalis.workers (id), done_at timestamptz, PRIMARY KEY (id));
    INSERT INTO apalis.workers VALUES ('here', now()), ('gone', now() - interval '100 s');";

/// A question bank as a client sends it.
const BANK: &str = "mutation($content: String!, $title: String!) { importBank(input: {fileName: \"bank.csv\",
    content: $content, quizTitle: $title, subject: \"Physics\", publish: true}) { bankImport { id finishedAt } errors { code path } } }";
const IMPORT: &str = "query($id: ID!) { bankImport(id: $id) { finishedAt error
    sheets { name questionCount quiz { title questionCount } errors { cell code } warnings { cell code } } } }";

async fn send_bank(staff: &Actor, rows: &str) -> Value {
    let content = base64::engine::general_purpose::STANDARD.encode(rows);
    staff.ask(BANK, json!({"content": content, "title": "Sent"})).await["importBank"].take()
}

/// An import, once it has been read.
async fn read_import(staff: &Actor, id: &Value) -> Value {
    let wait = async {
        loop {
            let import = staff.ask(IMPORT, json!({"id": id})).await["bankImport"].take();
            if !import["finishedAt"].is_null() {
                return import;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("it is read")
}

on_both_databases! {
    async fn a_bank_is_read_in_the_background_and_reported_by_cell(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let rows = "Question,A,B,Answer\nOne?,1,2,1\n=1+1,1,2,1\nTwo?,1,2,2\nThree?,1,2,7\n";
        let sent = send_bank(&editor, rows).await;
        assert_eq!((&sent["errors"], &sent["bankImport"]["finishedAt"]), (&json!([]), &Value::Null));
        app.work();
        let read = read_import(&editor, &sent["bankImport"]["id"]).await;
        let sheet = &read["sheets"][0];
        assert_eq!(sheet["quiz"], json!({"title": "Sent", "questionCount": 2}), "{read}");
        let refused: Vec<_> = sheet["errors"].as_array().expect("a list").iter().map(|error| error["cell"].clone()).collect();
        assert!(refused.contains(&json!("D5")), "{read}");
        // Done again, as after a crash, it changes nothing.
        let id = BankImportId::decode(sent["bankImport"]["id"].as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
        assert!(background::run_import(&app.app, id, &app.app.now()).await.is_ok());
        let quizzes = editor.ask("{ quizzes { totalCount } }", json!({})).await;
        assert_eq!(quizzes["quizzes"]["totalCount"], 1);
        assert_eq!(app.count("SELECT 1 FROM bank_imports WHERE content IS NOT NULL").await, 0, "the file is gone");
    }

    async fn a_bank_that_two_workers_read_at_once_is_imported_once(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let sent = send_bank(&editor, "Question,A,B,Answer\nOne?,1,2,1\n").await;
        let id = BankImportId::decode(sent["bankImport"]["id"].as_str().expect("an id")).unwrap_or_else(|_| panic!("an id"));
        let now = app.app.now();
        let at_once = (0..8).map(|_| background::run_import(&app.app, id, &now));
        for done in futures_util::future::join_all(at_once).await {
            assert!(done.is_ok());
        }
        assert_eq!(app.count("SELECT 1 FROM quizzes").await, 1);
    }

    async fn a_file_that_is_no_bank_is_refused_with_a_reason(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let bad = editor.ask(BANK, json!({"content": "?", "title": "Sent"})).await["importBank"].take();
        assert_eq!(bad["errors"], json!([{"code": "BAD_USER_INPUT", "path": ["input", "content"]}]));
        let untitled = editor.ask(BANK, json!({"content": "MQ==", "title": " "})).await["importBank"].take();
        assert_eq!(untitled["errors"][0]["path"], json!(["input", "quizTitle"]));
        for title in ["A\u{0}B", "A\u{202e}B", "A\nB", &"x".repeat(121)] {
            // As a variable NUL is refused before anything runs.
            let query = BANK.replace("$title: String!", "$unused: Int").replace("quizTitle: $title", &format!("quizTitle: {}", json!(title)));
            let (_, refused) = editor.send(&query, json!({"content": "MQ=="})).await;
            let named_path = refused["data"]["importBank"]["errors"][0]["path"] == json!(["input", "quizTitle"]);
            assert!(named_path || refused["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", "{refused}");
        }
        app.work();
        let sent = send_bank(&editor, "nothing of a question bank").await;
        let read = read_import(&editor, &sent["bankImport"]["id"]).await;
        assert!(read["error"].is_string() || read["sheets"][0]["questionCount"] == 0, "{read}");
        // Six an hour; the refused ones were not counted.
        for n in 0..5 {
            let bank = format!("Question,A,B,Answer\nNumber {n}?,1,2,1\n");
            assert_eq!(send_bank(&editor, &bank).await["errors"], json!([]));
        }
        let content = json!({"content": "MQ==", "title": "Sent"});
        assert_eq!(editor.send(BANK, content).await.1["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    }
}
