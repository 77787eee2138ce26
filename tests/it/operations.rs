//! What operators rely on: probes, the check of a deployment, backups that come back.

use std::{net::SocketAddr, path::Path, time::Duration};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use marmalade::{
    app::App,
    auth::role::Role,
    config::{Config, Mode},
    db::{Db, Synchronous},
    demo, open,
    ops::{
        backup,
        deploy::{self, Severity},
        verify,
    },
    secret::Secret,
    serve,
    telemetry::LogFormat,
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::json;
use tower::ServiceExt;

use crate::{
    on_both_databases,
    support::{SECRET, TestApp},
};

async fn probe(app: &TestApp, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = app.router().oneshot(request).await.expect("a response");
    let status = response.status();
    let body = to_bytes(response.into_body(), 1000).await.expect("a body");
    (status, String::from_utf8_lossy(&body).trim().to_owned())
}

fn private_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    open::make_private(&data).unwrap_or_else(|_| panic!("a private folder"));
    folder
}

/// What a careful operator configures.
fn careful(folder: &Path) -> Config {
    let mut config = Config::default();
    config.site.mode = Mode::Production;
    config.site.demo = false;
    config.site.url = "https://exam.example".into();
    config.server.allowed_origins = vec!["https://exam.example".into()];
    config.site.secrets = vec![Secret("kq9ZbX3vT7mWc1RfY5uHj8NdLs2EaPgo".into())];
    config.mail.smtp_url = Some(Secret("smtps://site:hush@mail.example".into()));
    config.mail.from = "Exams <exams@exam.example>".parse().expect("a sender");
    config.server.trusted_proxies = vec!["10.0.0.7/32".parse().expect("a network")];
    config.site.time_zone = Some("Asia/Karachi".parse().expect("a zone"));
    config.telemetry.log_format = LogFormat::Json;
    config.telemetry.metrics_token = Some(Secret("a token of the tests".into()));
    config.site.data_dir = folder.join("data");
    config
}

/// Makes a mistake in a configuration.
type Plant = fn(&mut Config);

#[test]
fn each_planted_misconfiguration_is_found() {
    let folder = private_folder();
    let found = |config: &Config| {
        let findings = deploy::of_config(config).into_iter();
        findings
            .map(|finding| (finding.about, finding.severity))
            .collect::<Vec<_>>()
    };
    assert_eq!(found(&careful(folder.path())), []);

    use Severity::{Error, Warning};
    let planted: [(&str, Severity, Plant); 55] = [
        ("MARMALADE_MODE", Error, |c| c.site.mode = Mode::Development),
        ("MARMALADE_DEMO", Error, |c| c.site.demo = true),
        ("MARMALADE_SITE_URL", Error, |c| {
            c.site.url = "http://exam.example".into()
        }),
        ("MARMALADE_ALLOWED_ORIGINS", Error, |c| {
            c.server.allowed_origins = vec!["http://exam.example".into()]
        }),
        ("MARMALADE_ALLOWED_ORIGINS", Warning, |c| {
            c.server.allowed_origins.clear()
        }),
        ("MARMALADE_SECRETS", Error, |c| {
            c.site.secrets = vec![Secret("a".repeat(40))]
        }),
        ("MARMALADE_SECRETS", Error, |c| {
            c.site.secrets = vec![Secret("please-change-me-kq9ZbX3vT7mWc1Rf".into())]
        }),
        ("MARMALADE_SECRETS", Warning, |c| {
            c.site.secrets.clear();
            c.database.url = Some(Secret("postgres://site:kq9ZbX3v@127.0.0.1/site".into()));
        }),
        ("DATABASE_URL", Error, |c| {
            c.database.url = Some(Secret("postgres://site:postgres@127.0.0.1/x".into()))
        }),
        ("DATABASE_URL", Warning, |c| {
            c.database.url = Some(Secret("postgres://site:kq9ZbX3v@db.example/x".into()))
        }),
        ("REDIS_URL", Error, |c| {
            c.redis.url = Some(Secret("rediss://redis.example:6379/0".into()))
        }),
        ("REDIS_URL", Warning, |c| {
            c.redis.url = Some(Secret("redis://:kq9ZbX3v@redis.example:6379/0".into()))
        }),
        ("REDIS_URL", Error, |c| {
            c.redis.url = Some(Secret("rediss://localhost.example.com:6379/0".into()))
        }),
        ("REDIS_URL", Warning, |c| {
            c.redis.url = Some(Secret("redis://:kq9ZbX3v@localhost.example.com:6379/0".into()))
        }),
        ("REDIS_URL", Warning, |c| {
            c.redis.url = Some(Secret("valkey://:kq9ZbX3v@redis.example:6379/0".into()))
        }),
        ("REDIS_URL", Error, |c| {
            c.redis.url = Some(Secret("redis://:kq9/ZbX3v@redis.example:6379/0".into()))
        }),
        ("DATABASE_URL", Warning, |c| {
            c.database.url = Some(Secret("postgres://site:kq9ZbX3v@localhost/x?host=db.example".into()))
        }),
        ("DATABASE_URL", Warning, |c| {
            let url = "postgres://site:kq9ZbX3v@db.example/x?application_name=sslmode=require";
            c.database.url = Some(Secret(url.into()))
        }),
        ("DATABASE_URL", Error, |c| {
            c.database.url = Some(Secret("postgres://site@127.0.0.1/x?password=postgres".into()))
        }),
        ("DATABASE_URL", Error, |c| {
            c.database.url = Some(Secret("postgres://site:12/kq9ZbX3v@db.example/x".into()))
        }),
        ("MARMALADE_SMTP_URL", Error, |c| {
            c.mail.smtp_url = Some(Secret("SMTP://site:hush@mail.example".into()))
        }),
        ("MARMALADE_SMTP_URL", Error, |c| {
            c.mail.smtp_url = Some(Secret("smtp://site:tls=required@mail.example".into()))
        }),
        ("MARMALADE_SMTP_URL", Error, |c| {
            c.mail.smtp_url = Some(Secret("smtp://site:hush@localhost.example".into()))
        }),
        ("MARMALADE_SECRETS", Error, |c| {
            c.site.secrets.clear();
            c.database.url = Some(Secret("postgres://site:kq9ZbX3v@127.0.0.1/site".into()));
            c.redis.url = Some(Secret("redis://127.0.0.1:6379/0".into()));
        }),
        ("MARMALADE_SMTP_URL", Warning, |c| c.mail.smtp_url = None),
        ("MARMALADE_SMTP_URL", Error, |c| {
            c.mail.smtp_url = Some(Secret("smtp://site:hush@mail.example".into()))
        }),
        ("MARMALADE_MAIL_FROM", Warning, |c| {
            c.mail.from = Config::default().mail.from
        }),
        ("MARMALADE_TIME_ZONE", Warning, |c| c.site.time_zone = None),
        ("MARMALADE_SQLITE_SYNCHRONOUS", Warning, |c| {
            c.database.sqlite_synchronous = Synchronous::Normal
        }),
        ("MARMALADE_LOG_FORMAT", Warning, |c| {
            c.telemetry.log_format = LogFormat::Text
        }),
        ("MARMALADE_METRICS_TOKEN", Warning, |c| c.telemetry.metrics_token = None),
        ("MARMALADE_STATEMENT_TIMEOUT_MS", Warning, |c| {
            c.database.statement_timeout = Duration::ZERO
        }),
        ("DATABASE_REPLICA_URL", Warning, |c| {
            c.database.url = Some(Secret("postgres://site:kq9ZbX3v@127.0.0.1/site".into()));
            c.database.replica_url = Some(Secret("postgres://site:kq9ZbX3v@db.example/site".into()));
        }),
        ("MARMALADE_LOG", Warning, |c| {
            c.telemetry.log = "info,marmalade=trace".into()
        }),
        ("MARMALADE_LISTEN", Warning, |c| {
            c.server.listen = SocketAddr::from(([0, 0, 0, 0], 80))
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            c.server.trusted_proxies = vec!["0.0.0.0/0".parse().expect("a network")];
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            c.server.trusted_proxies = networks(&["0.0.0.0/1", "128.0.0.0/1"])
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            // All but what is private, in pieces that are not too large each.
            let pieces = (1..=223).filter(|n| ![10, 100, 127, 169, 172, 192].contains(n));
            c.server.trusted_proxies = pieces
                .flat_map(|n| networks(&[&format!("{n}.0.0.0/9"), &format!("{n}.128.0.0/9")]))
                .collect()
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            c.server.trusted_proxies = networks(&["8.0.0.0/7"])
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            c.server.trusted_proxies = networks(&["::/1", "8000::/1"])
        }),
        ("MARMALADE_TRUSTED_PROXIES", Error, |c| {
            c.server.trusted_proxies = networks(&["2a00::/12"])
        }),
        ("MARMALADE_TRUSTED_PROXIES", Warning, |c| {
            c.server.trusted_proxies.clear()
        }),
        ("MARMALADE_MAX_DEPTH", Warning, |c| c.operations.bounds.depth = 161),
        ("MARMALADE_MAX_COMPLEXITY", Warning, |c| {
            c.operations.bounds.complexity = 1_000_000
        }),
        ("MARMALADE_MAX_TOKENS", Warning, |c| {
            c.operations.bounds.tokens = usize::MAX
        }),
        ("MARMALADE_MAX_ALIASES", Warning, |c| {
            c.operations.bounds.aliases = 5_000
        }),
        ("MARMALADE_MAX_ROOT_FIELDS", Warning, |c| {
            c.operations.bounds.root_fields = 5_000
        }),
        ("MARMALADE_MAX_DIRECTIVES", Warning, |c| {
            c.operations.bounds.directives = 5_000
        }),
        ("MARMALADE_STATEMENT_TIMEOUT_MS", Warning, |c| {
            c.database.statement_timeout = Duration::from_secs(3600)
        }),
        ("MARMALADE_LIMIT_LETTERS", Warning, |c| {
            c.limits.letters = rate("1000/1m")
        }),
        ("MARMALADE_LIMIT_REQUESTS", Warning, |c| {
            c.limits.requests = rate("1000/1s")
        }),
        ("MARMALADE_LIMIT_SIGN_IN_FAILURES", Error, |c| {
            c.limits.sign_in_failures = rate("100/1m")
        }),
        ("MARMALADE_LIMIT_SIGN_IN_FAILURES_OF_ADDRESS", Error, |c| {
            c.limits.sign_in_failures_of_address = rate("5000/15m");
        }),
        ("MARMALADE_LIMIT_ANSWERS", Warning, |c| {
            c.limits.answers = rate("1000/1s")
        }),
        ("MARMALADE_LIMIT_REGISTERS", Warning, |c| {
            c.limits.registers = rate("1000/1m")
        }),
    ];
    for (about, severity, plant) in planted {
        let mut config = careful(folder.path());
        plant(&mut config);
        assert_eq!(found(&config), [(about, severity)]);
    }
}

fn networks(texts: &[&str]) -> Vec<ipnet::IpNet> {
    texts.iter().map(|text| text.parse().expect("a network")).collect()
}

/// What is usual is no finding.
#[test]
fn proxies_of_ones_own_and_for_hire_may_be_trusted() {
    let folder = private_folder();
    for trusted in [
        networks(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]),
        networks(&[
            "104.16.0.0/13",
            "104.24.0.0/14",
            "172.64.0.0/13",
            "2400:cb00::/32",
            "2a06:98c0::/29",
        ]),
    ] {
        let mut config = careful(folder.path());
        config.server.trusted_proxies = trusted;
        assert!(deploy::of_config(&config).is_empty());
    }
}

#[test]
fn development_mode_is_found_where_others_reach_it() {
    let folder = private_folder();
    let plain = || {
        let mut config = careful(folder.path());
        config.site.mode = Mode::Development;
        config.site.url = "http://localhost:8080".into();
        config.server.allowed_origins = vec!["http://[::1]:5173".into()];
        config
    };
    assert!(deploy::exposed_development(&plain()).is_none());
    let exposed: [(&str, Plant); 5] = [
        ("0.0.0.0:80", |c| c.server.listen = SocketAddr::from(([0, 0, 0, 0], 80))),
        ("10.0.0.7:80", |c| {
            c.server.listen = SocketAddr::from(([10, 0, 0, 7], 80))
        }),
        ("https://exam.example", |c| c.site.url = "https://exam.example".into()),
        ("http://localhost.exam.example", |c| {
            c.site.url = "http://localhost.exam.example".into()
        }),
        ("https://127.0.0.1.exam.example", |c| {
            c.server.allowed_origins.push("https://127.0.0.1.exam.example".into())
        }),
    ];
    for (open_at, how) in exposed {
        let mut config = plain();
        how(&mut config);
        let finding = deploy::exposed_development(&config).expect(open_at);
        assert!(
            finding.severity == Severity::Error && finding.message.contains(open_at),
            "{finding}"
        );
        assert!(
            deploy::of_config(&config)
                .iter()
                .any(|found| found.message == finding.message),
            "{open_at}"
        );
    }
}

/// Under the right key or the wrong one, readable or not: a URL's password is in nothing that the program prints.
#[test]
fn no_password_of_a_url_is_printed() {
    let folder = private_folder();
    let data = folder.path().join("data");
    for key in [
        "DATABASE_URL",
        "REDIS_URL",
        "MARMALADE_SMTP_URL",
        "MARMALADE_SITE_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        for url in [
            "x://ada:hu/sh@[::1]:1",
            "postgres://ada:hu sh@[::1]:1/x",
            "http://ada:hu#sh@[::1]:1",
            "redis://ada:hu?sh@[::1]:1",
        ] {
            let config = [(key, url), ("MARMALADE_DATA_DIR", data.to_str().expect("UTF-8"))];
            let (_, output) = program(&config, &["check", "--deploy"]);
            assert!(
                !output.contains("hu") || !output.contains("sh@"),
                "{key}={url}: {output}"
            );
        }
    }
}

fn rate(text: &str) -> marmalade::limit::Rate {
    text.parse().expect("a rate")
}

#[cfg(unix)]
#[test]
fn world_readable_files_are_found() {
    use std::os::unix::fs::PermissionsExt;
    let folder = private_folder();
    let data = folder.path().join("data");
    for (file, severity) in [
        (data.join("secret"), Severity::Error),
        (data.clone(), Severity::Warning),
    ] {
        if file != data {
            std::fs::write(&file, "hush").expect("a file");
        }
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("permissions");
        let findings = deploy::of_config(&careful(folder.path()));
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(
            (findings[0].about, findings[0].severity),
            ("MARMALADE_DATA_DIR", severity)
        );
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o700)).expect("permissions");
    }
    assert!(deploy::of_config(&careful(folder.path())).is_empty());
}

/// An empty place for the same kind of database.
struct Fresh {
    config: Config,
    folder: tempfile::TempDir,
    database: Option<(String, String)>,
}

impl Fresh {
    async fn like(app: &TestApp) -> Self {
        let folder = private_folder();
        let mut config = careful(folder.path());
        config.site.time_zone = None;
        let mut database = None;
        if app.is_postgres() {
            let url = std::env::var("TEST_DATABASE_URL").expect("a server");
            let name = format!("marmalade_test_{}", uuid::Uuid::now_v7().simple());
            let admin = sea_orm::Database::connect(&url).await.expect("a connection");
            let create = format!("CREATE DATABASE {name}");
            admin.execute_unprepared(&create).await.expect("a database");
            let (server, _) = url.rsplit_once('/').expect("a database in TEST_DATABASE_URL");
            config.database.url = Some(Secret(format!("{server}/{name}")));
            database = Some((url, name));
        }
        Self {
            config,
            folder,
            database,
        }
    }

    async fn open(&self) -> App {
        open::open(self.config.clone())
            .await
            .unwrap_or_else(|_| panic!("it opens"))
    }

    async fn drop(self) {
        if let Some((url, name)) = self.database {
            let admin = sea_orm::Database::connect(&url).await.expect("a connection");
            let drop = format!("DROP DATABASE {name} WITH (FORCE)");
            admin.execute_unprepared(&drop).await.expect("it goes");
        }
    }
}

#[derive(FromQueryResult)]
struct Count {
    count: i64,
}

async fn count(db: &Db, table: &str) -> i64 {
    let select = Statement::from_string(
        db.read().get_database_backend(),
        format!("SELECT count(*) AS count FROM {table}"),
    );
    Count::find_by_statement(select)
        .one(db.read())
        .await
        .expect("a count")
        .expect("a row")
        .count
}

on_both_databases! {
    async fn a_server_is_ready_while_it_can_work(app: TestApp) {
        assert_eq!(probe(&app, "/healthz").await, (StatusCode::OK, "alive".into()));
        assert_eq!(probe(&app, "/readyz").await, (StatusCode::OK, "ready".into()));
        let db = app.app.db.write();
        Migrator::down(db, Some(1)).await.expect("one comes down");
        let behind = (StatusCode::SERVICE_UNAVAILABLE, "migrations are not applied".into());
        assert_eq!(probe(&app, "/readyz").await, behind);
        Migrator::up(db, None).await.expect("it goes up");
        assert_eq!(probe(&app, "/readyz").await.0, StatusCode::OK);
        app.app.shutdown.cancel();
        assert_eq!(probe(&app, "/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, "stopping".into()));
        assert_eq!(probe(&app, "/healthz").await.0, StatusCode::OK);
    }

    async fn a_database_is_checked_before_it_is_served(app: TestApp) {
        let fresh = Fresh::like(&app).await;
        let about = async |db: &Db| {
            let findings = deploy::check(&fresh.config, db).await.unwrap_or_else(|_| panic!("it checks"));
            findings.iter().map(|finding| finding.about).collect::<Vec<_>>()
        };
        let empty = open::connect(&fresh.config).await.unwrap_or_else(|_| panic!("it opens"));
        assert!(about(&empty).await.contains(&"marmalade migrate up"));
        let opened = fresh.open().await;
        assert_eq!(about(&opened.db).await, ["MARMALADE_TIME_ZONE"]);
        demo::fill_if_empty(&opened).await.unwrap_or_else(|_| panic!("it fills"));
        assert_eq!(about(&opened.db).await, ["MARMALADE_TIME_ZONE", "DATABASE_URL or MARMALADE_DATA_DIR"]);
        let Err(marmalade::error::Error::Internal(cause)) = serve::serve(opened.clone(), std::future::pending()).await else {
            panic!("demo accounts were served in production");
        };
        assert!(cause.to_string().contains("demo accounts"), "{cause}");
        for db in [empty, opened.db.clone()] {
            db.close().await.unwrap_or_else(|_| panic!("it closes"));
        }
        fresh.drop().await;
    }

    async fn a_backup_comes_back_whole(app: TestApp) {
        let (original, target) = (Fresh::like(&app).await, Fresh::like(&app).await);
        let serving = original.open().await;
        demo::fill_if_empty(&serving).await.unwrap_or_else(|_| panic!("it fills"));
        let file = original.folder.path().join("backup");
        backup::backup(&original.config, &file).await.unwrap_or_else(|e| panic!("{:?}", cause(e)));
        assert!(backup::backup(&original.config, &file).await.is_err(), "no file is written over");
        backup::restore(&target.config, &file).await.unwrap_or_else(|e| panic!("{:?}", cause(e)));
        assert!(backup::restore(&target.config, &file).await.is_err(), "no database is written over");

        let restored = target.open().await;
        let findings = verify::verify(&restored).await.unwrap_or_else(|_| panic!("it verifies"));
        assert!(findings.is_empty(), "{findings:#?}");
        assert!(count(&restored.db, "results").await > 50);
        for table in ["users", "questions", "choices", "attempts", "answers", "results", "bests", "standings", "rollups"] {
            assert_eq!(count(&restored.db, table).await, count(&serving.db, table).await, "{table}");
        }
        for app in [serving, restored] {
            app.db.close().await.unwrap_or_else(|_| panic!("it closes"));
        }
        original.drop().await;
        target.drop().await;
    }
}

fn cause(error: marmalade::error::Error) -> String {
    match error {
        marmalade::error::Error::BadInput(message) => message,
        error => format!("{:?}", error.cause()),
    }
}

/// The program itself: what it says, and whether it is content.
fn program(config: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_marmalade"));
    command.args(arguments).env_clear().envs(config.iter().copied());
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn a_careful_deployment_is_warned_of_its_migrations_alone() {
    let folder = private_folder();
    let data = folder.path().join("data");
    let config = [
        ("MARMALADE_MODE", "production"),
        ("MARMALADE_DATA_DIR", data.to_str().expect("UTF-8")),
        ("MARMALADE_SITE_URL", "https://exam.example"),
        ("MARMALADE_ALLOWED_ORIGINS", "https://exam.example"),
        ("MARMALADE_SECRETS", "kq9ZbX3vT7mWc1RfY5uHj8NdLs2EaPgo"),
        ("MARMALADE_SMTP_URL", "smtps://site:hush@mail.example"),
        ("MARMALADE_MAIL_FROM", "exams@exam.example"),
        ("MARMALADE_TRUSTED_PROXIES", "10.0.0.7/32"),
        ("MARMALADE_TIME_ZONE", "Asia/Karachi"),
        ("MARMALADE_LOG_FORMAT", "json"),
        ("MARMALADE_METRICS_TOKEN", "a token of the tests"),
    ];
    let (content, output) = program(&config, &["check", "--deploy"]);
    let findings: Vec<_> = output.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(
        content && findings.len() == 1 && findings[0].contains("migrate up"),
        "{output}"
    );
    // What the configuration itself says is said although there is no database.
    let away = [("DATABASE_URL", "postgres://site:postgres@127.0.0.1:1/site")];
    let (content, output) = program(&away, &["check", "--deploy"]);
    assert!(!content && output.contains("error: DATABASE_URL: "), "{output}");
}

#[test]
fn nothing_is_backed_up_where_nothing_is() {
    let folder = private_folder();
    let (data, file) = (folder.path().join("elsewhere"), folder.path().join("backup"));
    let config = [("MARMALADE_DATA_DIR", data.to_str().expect("UTF-8"))];
    let (content, output) = program(&config, &["backup", file.to_str().expect("UTF-8")]);
    assert!(!content && output.contains("there is nothing to back up"), "{output}");
    assert!(!file.exists() && !data.exists());
}

/// What a journal of another database would do to a restored one is not tried out.
#[tokio::test]
async fn no_backup_comes_back_beside_a_journal() {
    let folder = private_folder();
    let config = careful(folder.path());
    open::open(config.clone()).await.unwrap_or_else(|_| panic!("it opens"));
    let file = folder.path().join("backup");
    assert!(backup::backup(&config, &file).await.is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "it holds hashes of passwords");
    }
    let other = private_folder();
    std::fs::write(other.path().join("data/marmalade.db-wal"), "frames").expect("a file");
    let refused = backup::restore(&careful(other.path()), &file).await;
    assert!(
        refused
            .map_err(cause)
            .is_err_and(|output| output.contains("db-wal is there already"))
    );
}

/// A statement of a migration may take longer than one of a request.
#[tokio::test]
async fn a_migration_takes_as_long_as_it_takes() {
    let Some(app) = TestApp::postgres().await else { return };
    let url = app.database_url().expect("PostgreSQL");
    let other = Db::postgres(&url, 2, None)
        .await
        .unwrap_or_else(|_| panic!("PostgreSQL opens"));
    assert!(other.migrate_down(1).await.is_ok(), "one is to be done");
    let lock = other
        .advisory_lock(marmalade::db::AdvisoryLock::Migrate)
        .await
        .unwrap_or_else(|_| panic!("a lock"));
    let mut config = Config::default();
    config.database.url = Some(Secret(url));
    config.database.statement_timeout = Duration::from_millis(100);
    let opened = tokio::spawn(async move { open::open_database(&config).await.is_ok() });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!opened.is_finished(), "it waits for whoever migrates");
    drop(lock);
    assert!(opened.await.expect("a task"));
}

/// Whoever loses the lock that says that it is alone takes it again, or stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_its_place_to_another_stops() {
    let Some(app) = TestApp::postgres().await else { return };
    let url = app.database_url().expect("PostgreSQL");
    let mut config = Config::default();
    config.database.url = Some(Secret(url.clone()));
    config.server.listen = "127.0.0.1:0".parse().expect("an address");
    config.site.data_dir = app.folder().to_owned();
    config.site.demo = false;
    let other = Db::postgres(&url, 2, None)
        .await
        .unwrap_or_else(|_| panic!("PostgreSQL opens"));
    let server = tokio::spawn(serve::start(config, std::future::pending()));
    let is_free = async || {
        let held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted \
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        app.count(held).await == 0
    };
    while is_free().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Its connections are ended: it takes the lock again.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' \
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()";
    other.write().execute_unprepared(end).await.expect("ended");
    while is_free().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // This time another one is there first.
    other.write().execute_unprepared(end).await.expect("ended");
    let taken = loop {
        if let Some(taken) = other.server_lock(false).await.unwrap_or_else(|_| panic!("it answers")) {
            break taken;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), server)
        .await
        .expect("it stops");
    let output = ended.expect("a task").map_err(cause).expect_err("it says why");
    assert!(output.contains("another server runs on this database"), "{output}");
    drop(taken);
}

/// Of staff's analytics the replica answers, of everything else the database itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_analytics_read_a_replica() {
    let (Some(app), Some(replica)) = (TestApp::postgres().await, TestApp::postgres().await) else {
        return;
    };
    let planted = "INSERT INTO daily_metrics VALUES ('2026-11-22', 1, 2, 3, 4, 5)";
    replica.app.db.write().execute_unprepared(planted).await.expect("a row");
    let url = |app: &TestApp| app.database_url().expect("PostgreSQL");
    let own = async || {
        Db::postgres(&url(&app), 2, None)
            .await
            .unwrap_or_else(|_| panic!("PostgreSQL opens"))
    };
    let lag = Duration::from_secs(30);
    let db = own()
        .await
        .with_replica(&url(&replica), 2, lag)
        .await
        .unwrap_or_else(|_| panic!("the replica opens"));
    let secrets = [Secret(SECRET.to_owned())];
    let both = App::new(app.app.config.clone(), &secrets, db, app.clock.clone()).await;
    let both = app.over_app(both.unwrap_or_else(|_| panic!("an application")));
    // Whoever is asked for and whatever is changed is only in one of the two.
    let (editor, quiz) = (both.actor(Role::Editor).await, both.quiz(2, |_| {}).await);
    both.student().await.take(quiz, 2).await;
    let days = "{ dailyMetrics(from: \"2026-11-01\", until: \"2026-11-30\") { attemptsStarted } }";
    assert_eq!(
        editor.ask(days, json!({})).await["dailyMetrics"],
        json!([{"attemptsStarted": 3}])
    );
    assert_eq!(
        (
            app.count("SELECT 1 FROM results").await,
            replica.count("SELECT 1 FROM results").await
        ),
        (1, 0)
    );
    // One that lags is not asked. (A replica in truth is tried by hand: here a server says that it is one.)
    let says = |seconds: u32| {
        let name = url(&replica).rsplit_once('/').expect("a name").1.to_owned();
        format!(
            "CREATE OR REPLACE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'; \
             CREATE OR REPLACE FUNCTION public.pg_last_xact_replay_timestamp() RETURNS timestamptz LANGUAGE sql \
               AS 'SELECT clock_timestamp() - make_interval(secs => {seconds})'; \
             ALTER DATABASE {name} SET search_path = public, pg_catalog"
        )
    };
    for (seconds, asked) in [(20, 1), (40, 0)] {
        replica
            .app
            .db
            .write()
            .execute_unprepared(&says(seconds))
            .await
            .expect("a lag");
        let db = own().await.with_replica(&url(&replica), 1, lag).await;
        let conn = db.unwrap_or_else(|_| panic!("opens")).for_analytics().await;
        let [from, until] = ["2026-11-01", "2026-11-30"].map(|day| day.parse().expect("a day"));
        let days = marmalade::dashboard::daily::days(&conn, from, until).await;
        assert_eq!(days.map(|days| days.len()).ok(), Some(asked), "{seconds} s behind");
    }
    // A replica that can't be asked is made up for.
    replica
        .app
        .db
        .write()
        .execute_unprepared("ALTER TABLE daily_metrics RENAME TO gone")
        .await
        .expect("a fault");
    let gone = own().await.with_replica(&url(&replica), 2, Duration::ZERO).await;
    let gone = gone.unwrap_or_else(|_| panic!("the replica opens"));
    let end = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        url(&replica).rsplit_once('/').expect("a name").1
    );
    app.app
        .db
        .write()
        .execute_unprepared(&format!(
            "ALTER DATABASE {} ALLOW_CONNECTIONS false",
            url(&replica).rsplit_once('/').expect("a name").1
        ))
        .await
        .expect("closed");
    app.app.db.write().execute_unprepared(&end).await.expect("ended");
    let conn = gone.for_analytics().await;
    let [from, until] = ["2026-11-01", "2026-11-30"].map(|day| day.parse().expect("a day"));
    let asked = marmalade::dashboard::daily::days(&conn, from, until);
    assert!(
        asked.await.is_ok_and(|days| days.is_empty()),
        "the database itself has no such day"
    );
}

#[test]
fn every_key_is_listed_and_an_unknown_one_refused() {
    let (content, output) = program(&[], &["config"]);
    assert!(content);
    for key in marmalade::config::keys() {
        let entry = format!("{}\n    {}\n    default: ", key.name, key.doc);
        assert!(output.contains(&entry), "{} is not listed", key.name);
    }
    assert!(output.contains("MARMALADE_LISTEN\n"), "{output}");
    let (content, output) = program(&[("MARMALADE_LISTN", "127.0.0.1:0")], &["check"]);
    assert!(!content && output.contains("MARMALADE_LISTN is not a key"), "{output}");
}
