//! What an operator sees of a server.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use marmalade::{
    app::App,
    config::Mode,
    db::{Db, Synchronous},
    secret::Secret,
    telemetry::{self, METRICS},
};
use sea_orm::ConnectionTrait;
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{SECRET, TestApp},
};

const TOKEN: &str = "the token of the tests";

/// What `/metrics` says.
async fn metrics(app: &TestApp, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get("/metrics");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// The same with its database watched, as a server's is.
async fn watched(app: &TestApp) -> App {
    let mut db = match app.database_url() {
        Some(url) => Db::postgres(&url, 4, None).await,
        None => Db::sqlite(&app.folder().join("marmalade.db"), Synchronous::Normal).await,
    }
    .unwrap_or_else(|_| panic!("the database opens"));
    db.observe(telemetry::observe_statements(Duration::from_nanos(1)));
    let secrets = [Secret(SECRET.to_owned())];
    App::new(app.app.config.clone(), &secrets, db, app.clock.clone())
        .await
        .unwrap_or_else(|_| panic!("an application"))
}

/// The value of a metric with all of these labels.
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let line = text
        .lines()
        .find(|line| line.split([' ', '{']).next() == Some(name) && labels.iter().all(|label| line.contains(label)));
    let line = line.unwrap_or_else(|| panic!("no {name} with {labels:?} in {text}"));
    line.rsplit(' ')
        .next()
        .and_then(|value| value.parse().ok())
        .expect("a number")
}

on_both_databases! {
    async fn metrics_count_what_happened(app: TestApp) {
        let (quiz, ada) = (app.quiz(2, |_| {}).await, app.register("ada").await);
        let before = metrics(&app, None).await.1;
        let count = |text: &str| {
            let is_it = |line: &&str| line.starts_with("marmalade_operation_seconds_count") && line.contains("\"submitAttempt\"");
            text.lines().find(is_it).map_or(0.0, |line| line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number"))
        };
        ada.take(quiz, 1).await;
        ada.send("{ attempt(id: \"attempt_AAAA\") { id } }", json!({})).await;
        let (status, text) = metrics(&app, None).await;
        assert_eq!(status, 200);
        assert!(count(&text) > count(&before), "{text}");
        assert!(value(&text, "marmalade_operation_errors_total", &["\"attempt\"", "\"NOT_FOUND\""]) >= 1.0);
        assert!(value(&text, "marmalade_rank_lag_seconds_count", &[]) >= 1.0);
        // A connection is back in its pool a moment after its last statement.
        let idle = async {
            while value(&metrics(&app, None).await.1, "marmalade_database_connections", &["\"write\"", "\"idle\""]) < 1.0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(5), idle).await.expect("an idle connection");
        assert!((value(&text, "marmalade_jobs", &["\"dead\""])).abs() < f64::EPSILON);
    }

    async fn undefined_names_are_no_labels(app: TestApp) {
        app.anyone().send("{ anInventedField }", json!({})).await;
        let (_, text) = metrics(&app, None).await;
        assert!(!text.contains("anInventedField"), "{text}");
    }

    async fn in_production_metrics_need_the_token(app: TestApp) {
        let closed = app.restarted_with(|config| config.site.mode = Mode::Production).await;
        assert_eq!(metrics(&closed, None).await.0, 404);
        let open = closed.restarted_with(|config| config.telemetry.metrics_token = Some(Secret(TOKEN.into()))).await;
        for (token, status) in [(None, 404), (Some("another token"), 404), (Some(TOKEN), 200)] {
            assert_eq!(metrics(&open, token).await.0, status, "{token:?}");
        }
    }

    async fn every_metric_there_is_was_described(app: TestApp) {
        let watched = watched(&app).await;
        watched.db.read().execute_unprepared("SELECT 1").await.expect("a statement");
        let text = marmalade::http::scrape::scrape(&watched).await.expect("metrics");
        assert!(value(&text, "marmalade_statement_seconds_count", &[]) >= 1.0);
        assert!(value(&text, "marmalade_slow_statements_total", &[]) >= 1.0);
        let described: BTreeSet<_> = METRICS.iter().map(|(name, ..)| *name).collect();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        let stray: Vec<_> = types.filter(|name| !described.contains(name)).collect();
        assert!(stray.is_empty(), "{stray:?}");
    }
}

/// Alert rules and the dashboard ask for nothing that is not there.
#[test]
fn alerts_and_the_dashboard_use_metrics_that_there_are() {
    let described: BTreeSet<_> = METRICS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    for text in [
        include_str!("../../docs/deploy/alerts.yml"),
        include_str!("../../docs/deploy/dashboard.json"),
    ] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let mut used = BTreeSet::new();
        for word in words.filter(|word| word.starts_with("marmalade_")) {
            let name = ["_bucket", "_count", "_sum"]
                .iter()
                .find_map(|end| word.strip_suffix(end))
                .unwrap_or(word);
            used.insert(name.to_owned());
        }
        assert!(used.len() > 5, "{used:?}");
        let missing: Vec<_> = used.difference(&described).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

/// What is read is asked for again when PostgreSQL ends the connection in the midst of it.
#[tokio::test]
async fn a_read_that_was_cut_off_is_read_again() {
    let Some(app) = TestApp::postgres().await else { return };
    let db = &app.app.db;
    let other = Db::postgres(&app.database_url().expect("PostgreSQL"), 1, None)
        .await
        .unwrap_or_else(|_| panic!("PostgreSQL opens"));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%slow_read%'";
    let end = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, end);
    let slow = "SELECT 5 AS slow_read FROM pg_sleep(0.5)";
    let slow = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, slow);
    let cut_off = async || {
        while other.write().query_all_raw(end.clone()).await.expect("rows").is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (read, ()) = tokio::join!(db.read().query_all_raw(slow.clone()), cut_off());
    assert_eq!(read.expect("rows").len(), 1);
    let (read, ()) = tokio::join!(db.read().query_one_raw(slow.clone()), cut_off());
    let five: i32 = read
        .expect("a row")
        .expect("one")
        .try_get("", "slow_read")
        .expect("a number");
    assert_eq!(five, 5);
}

/// Students notice nothing of connections that PostgreSQL ends, in whatever they were doing. Each request loses its
/// connections once at most: the next are ended when every student has had another answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_are_made_up_for() {
    let Some(app) = TestApp::postgres().await else { return };
    let (quiz, url) = (app.quiz(2, |_| {}).await, app.database_url().expect("PostgreSQL"));
    let mut students = Vec::new();
    for _ in 0..4 {
        students.push(app.student().await);
    }
    let answered: Arc<[AtomicUsize]> = students.iter().map(|_| AtomicUsize::new(0)).collect();
    let counts = answered.clone();
    let enemy = tokio::spawn(async move {
        let other = Db::postgres(&url, 1, None)
            .await
            .unwrap_or_else(|_| panic!("PostgreSQL opens"));
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'";
        let count = || counts.iter().map(|count| count.load(Ordering::SeqCst));
        let (mut ended, mut before) = (0, vec![0; counts.len()]);
        while count().any(|count| count < OPERATIONS) {
            if count()
                .zip(&before)
                .all(|(now, before)| now > *before || now == OPERATIONS)
            {
                before = count().collect();
                let end = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, end);
                ended += other.write().query_all_raw(end).await.expect("rows").len();
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        ended
    });
    let work = students.iter().zip(&*answered).map(|(student, answered)| async move {
        let paper = student.start(quiz).await;
        answered.fetch_add(1, Ordering::SeqCst);
        for seq in 1..=SAVES {
            let saved = student.save(&paper, 0, 0, seq).await;
            assert!(saved["errors"] == json!([]), "{saved}");
            student
                .ask(
                    "{ viewer { attempts(first: 5) { nodes { id } totalCount } } }",
                    json!({}),
                )
                .await;
            answered.fetch_add(2, Ordering::SeqCst);
        }
        let submitted = student.submit(&paper, "a key of eight").await;
        answered.fetch_add(1, Ordering::SeqCst);
        submitted
    });
    for submitted in futures_util::future::join_all(work).await {
        assert_eq!(submitted["errors"], json!([]), "{submitted}");
    }
    let ended = enemy.await.expect("a task");
    assert!(ended > 0, "no connection was ended");
    app.verify().await;

    const SAVES: i64 = 40;
    const OPERATIONS: usize = 2 * SAVES as usize + 2;
}
