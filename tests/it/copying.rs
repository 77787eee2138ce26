//! A site moves from an embedded database into PostgreSQL.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use marmalade::{
    attempt::{
        self,
        answers::{Reply, Save},
    },
    audit::seal,
    config::Config,
    demo,
    entity::quiz::ReviewOpens,
    error::{Error, Result},
    limit::Allowance,
    ops::copy::{Copied, copy},
    secret::Secret,
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde_json::json;

use crate::support::TestApp;

/// An embedded database and a PostgreSQL one that is empty. `None` without a PostgreSQL, which is said.
struct Move {
    source: TestApp,
    target: TestApp,
}

impl Move {
    async fn begin() -> Option<Self> {
        let target = TestApp::postgres().await?;
        Some(Self {
            source: TestApp::sqlite().await,
            target,
        })
    }

    fn config(&self) -> Config {
        let mut config = self.source.app.config.clone();
        config.database.url = self.target.database_url().map(Secret);
        config.site.secrets = vec![Secret("of the copy, which signs nothing with it".into())];
        config
    }

    fn file(&self) -> PathBuf {
        self.source.app.config.site.data_dir.join("marmalade.db")
    }

    async fn copy(&self) -> Result<Vec<Copied>> {
        copy(&self.config(), Some(&self.file())).await
    }

    async fn copied(&self) -> Vec<Copied> {
        self.copy().await.unwrap_or_else(|error| panic!("{}", text(error)))
    }

    /// Why it is not copied.
    async fn refused(&self) -> String {
        match self.copy().await {
            Ok(copied) => panic!("it was copied: {copied:#?}"),
            Err(error) => text(error),
        }
    }

    async fn at_source(&self, statement: &str) {
        execute(&self.source, statement).await;
    }

    async fn at_target(&self, statement: &str) {
        execute(&self.target, statement).await;
    }

    /// A quiz that somebody has taken.
    async fn taken(&self) {
        let quiz = self.source.quiz(3, |_| {}).await;
        self.source.student().await.take(quiz, 2).await;
    }
}

async fn execute(app: &TestApp, statement: &str) {
    let done = app.app.db.write().execute_unprepared(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

fn text(error: Error) -> String {
    match error {
        Error::BadInput(message) => message,
        Error::User(error) => error.message,
        error => format!("{:?}", error.cause()),
    }
}

#[derive(FromQueryResult)]
struct Cell {
    value: String,
}

async fn ask(app: &TestApp, select: &str) -> String {
    let conn = app.app.db.write();
    let select = Statement::from_string(conn.get_database_backend(), select);
    let value = Cell::find_by_statement(select).one(conn).await;
    value.expect("an answer").expect("a row").value
}

async fn rows(app: &TestApp, table: &str) -> u64 {
    let value = ask(app, &format!("SELECT CAST(count(*) AS text) AS value FROM {table}")).await;
    value.parse().expect("a number")
}

/// Which version of each row there is, and where it lies: a row that is written anew has another.
async fn versions(app: &TestApp, copied: &[Copied]) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for Copied { table, .. } in copied {
        let select = format!(
            "SELECT COALESCE(md5(string_agg(concat(ctid, xmin, xmax), ',' ORDER BY ctid)), '') AS value FROM {table}"
        );
        versions.insert(table.clone(), ask(app, &select).await);
    }
    versions
}

fn changed(copied: &[Copied]) -> Vec<(&str, u64, u64)> {
    let changed = copied.iter().filter(|table| table.written + table.removed > 0);
    changed
        .map(|table| (table.table.as_str(), table.written, table.removed))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_moves_whole_and_what_changes_later_follows() {
    let Some(site) = Move::begin().await else { return };
    let source = &site.source;
    demo::fill_if_empty(&source.app)
        .await
        .unwrap_or_else(|_| panic!("it fills"));
    let ada = source.register("ada").await;
    assert!(source.sign_in("ada", "wrong").await.is_none());
    let ask_for_link =
        "mutation($input: RequestPasswordResetInput!) { requestPasswordReset(input: $input) { errors { code } } }";
    let input = json!({"input": {"email": "ada@example.com"}});
    source.anyone().ask(ask_for_link, input).await;
    source.email("ada@example.com", "password").await;
    let quiz = source.quiz(4, |_| {}).await;
    ada.take(quiz, 3).await;
    let closes = source.app.now().at + Duration::from_secs(3600);
    let withheld = source.quiz(2, |quiz| {
        quiz.review_opens = ReviewOpens::AfterClose;
        quiz.closes_at = Some(closes);
    });
    ada.take(withheld.await, 1).await;
    let open = ada.start(source.quiz(2, |_| {}).await).await;
    ada.save(&open, 0, 1, 1).await;
    seal::seal(&source.app.db, &source.app.keys)
        .await
        .unwrap_or_else(|_| panic!("it seals"));
    site.at_source(
        "INSERT INTO corrections (id, revision_id, number, question_id, right_position, reason, made_by, created_at) \
         SELECT id, revision_id, 1, id, 1, 'It was the second.', (SELECT id FROM users), 7 FROM questions WHERE right_position = 0 LIMIT 1",
    )
    .await;
    source.sign_in("ada", "wrong").await;

    source.idle().await;
    site.at_source(
        "INSERT INTO background_jobs (id, kind, payload, personal, priority, state, attempts, max_attempts, wanted_at, run_at) \
           VALUES (randomblob(16), 'of_a_newer_release', '{}', FALSE, 0, 'QUEUED', 0, 10, 7, 7); \
         INSERT INTO unfinished_quizzes (quiz_id, created_at) SELECT id, 7 FROM quizzes LIMIT 1; \
         INSERT INTO registrations VALUES (randomblob(16), 'grace@example.com', 'grace', 'a hash', randomblob(32), 7, 8); \
         INSERT INTO daily_metrics VALUES ('1999-12-31', 1, 2, 3, 4, 5); \
         INSERT INTO pictures SELECT randomblob(16), 'a hash', 'PNG', 1, 2, 3, 'A cell', 7, id, NULL FROM users LIMIT 1; \
         UPDATE questions SET picture_id = (SELECT id FROM pictures) WHERE position = 0; \
         INSERT INTO bank_imports SELECT randomblob(16), id, 'bank.csv', x'0001ff', 'A quiz', 'Physics', NULL, TRUE, 7, \
           NULL, NULL, NULL, 'a request', NULL, 'READY', '{}', 'of the file', 'of the order', '{}', 1, 2 FROM users LIMIT 1; \
         INSERT INTO import_questions SELECT id, 0, 0, 'A2', '{}' FROM bank_imports LIMIT 1",
    )
    .await;

    // The test's clock stands still: both sites were made at the same moment.
    site.at_target("UPDATE site SET created_at = created_at + 1").await;

    let copied = site.copied().await;
    for table in &copied {
        let name = &table.table;
        assert_eq!(table.written, table.rows, "{name}");
        assert_eq!(table.rows, rows(source, name).await, "{name}");
        assert_eq!(table.rows, rows(&site.target, name).await, "{name}");
        assert_eq!(table.checksum.len(), 16, "{name}");
        assert!(table.rows > 0, "nothing tries out the table {name}");
    }
    let of_source = ask(
        source,
        "SELECT CAST(count(*) AS text) AS value FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
    )
    .await;
    assert_eq!(
        (copied.len() + 3).to_string(),
        of_source,
        "all but the migrations', the workers, and the jobs of the release before"
    );
    site.target.restarted_with(|_| {}).await.verify().await;

    let before = versions(&site.target, &copied).await;
    let again = site.copied().await;
    assert_eq!(changed(&again), []);
    assert_eq!(versions(&site.target, &copied).await, before);
    for (again, first) in again.iter().zip(&copied) {
        assert_eq!(again.checksum, first.checksum, "{}", first.table);
        assert_eq!(
            again.to_string(),
            first.to_string().replace(&format!("copied {}", first.rows), "same")
        );
    }

    // Ada goes on; the relay and the sealer do their work.
    source.advance(Duration::from_secs(60));
    ada.save(&open, 1, 0, 2).await;
    ada.submit(&open, "the one key").await;
    seal::seal(&source.app.db, &source.app.keys)
        .await
        .unwrap_or_else(|_| panic!("it seals"));
    let events = rows(source, "outbox").await;
    marmalade::background::relay::relay(&source.app)
        .await
        .unwrap_or_else(|_| panic!("it delivers"));
    site.at_source("DELETE FROM links").await;
    let later = site.copied().await;
    let delivered = rows(&site.target, "outbox").await;
    assert_eq!(delivered, 0);
    let mut expected = vec![
        ("answers", 1, 0),
        ("attempts", 1, 0),
        ("audit_entries", 1, 0),
        ("audit_head", 1, 0),
        ("links", 0, 1),
        ("results", 1, 0),
        ("users", 1, 0),
    ];
    let mut seen = changed(&later);
    seen.retain(|(table, ..)| !["bests", "standings", "rollups", "outbox"].contains(table));
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert!(changed(&later).contains(&("outbox", 0, events - 1)), "{later:#?}");
    site.target.restarted_with(|_| {}).await.verify().await;
    assert_eq!(changed(&site.copied().await), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_an_earlier_copy_is_not_written_over() {
    let Some(site) = Move::begin().await else { return };
    site.taken().await;
    let serving = site.target.app.db.single_server_or_fleet(true).await;
    assert!(site.refused().await.contains("a server runs"));
    drop(serving);
    // A fresh site that somebody has looked at is still empty.
    site.at_target("UPDATE site SET created_at = created_at + 1, time_zone = 'Asia/Karachi'")
        .await;
    site.copied().await;
    assert_eq!(ask(&site.target, "SELECT time_zone AS value FROM site").await, "UTC");

    site.at_target("UPDATE site SET created_at = created_at + 1").await;
    assert!(site.refused().await.contains("holds another site"));
    site.at_target("UPDATE site SET created_at = created_at - 1").await;
    assert_eq!(changed(&site.copied().await), []);

    // Nothing of a refused copy stays, of the tables before the refusal neither.
    site.at_source("UPDATE site SET time_zone = 'Asia/Karachi'; UPDATE users SET avatar = hex(id)")
        .await;
    site.at_target("UPDATE site SET time_zone = 'Asia/Karachi'").await;
    let avatar = "SELECT COALESCE(avatar, 'none') AS value FROM users";
    site.target.student().await;
    let refused = site.refused().await;
    assert!(
        refused.starts_with("users has 1 rows in PostgreSQL that the source has not."),
        "{refused}"
    );
    assert_eq!(ask(&site.target, avatar).await, "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_difference_is_fixed_or_named() {
    let Some(site) = Move::begin().await else { return };
    site.taken().await;
    site.source.register("ada").await;
    assert!(site.source.sign_in("ada", "wrong").await.is_none());
    seal::seal(&site.source.app.db, &site.source.app.keys)
        .await
        .unwrap_or_else(|_| panic!("it seals"));
    site.copied().await;
    for (plant, table) in [
        ("UPDATE users SET handle = 'mallory' WHERE handle = 'ada'", "users"),
        (
            "UPDATE questions SET explanation = NULL WHERE position = 1",
            "questions",
        ),
        ("UPDATE results SET ranked = NOT ranked", "results"),
        (
            "DELETE FROM standings WHERE window_key = 'all' AND scope_id = '00000000-0000-0000-0000-000000000000'",
            "standings",
        ),
    ] {
        site.at_target(plant).await;
        assert_eq!(changed(&site.copied().await), [(table, 1, 0)], "{plant}");
    }
    // What only one row may have goes from one to the next in the order of the source.
    site.at_source(
        "UPDATE revisions SET superseded_at = 9; \
         INSERT INTO revisions (id, quiz_id, number, state, duration_ms, right_score, wrong_score, blank_score, \
           question_count, correction, created_at, published_at) \
         SELECT randomblob(16), quiz_id, 2, 'PUBLISHED', duration_ms, right_score, wrong_score, blank_score, \
           question_count, 0, created_at, published_at FROM revisions",
    )
    .await;
    assert_eq!(changed(&site.copied().await), [("revisions", 2, 0)]);
    // What PostgreSQL makes of a row is looked at again.
    site.at_target(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.text = 'spoilt'; RETURN NEW; END $$; \
         CREATE TRIGGER spoil BEFORE UPDATE ON questions FOR EACH ROW EXECUTE FUNCTION spoil(); \
         UPDATE questions SET position = position + 10 WHERE position = 1",
    )
    .await;
    let refused = site.refused().await;
    assert!(refused.starts_with("questions differs from the source"), "{refused}");
    site.at_target("DROP TRIGGER spoil ON questions").await;
    assert_eq!(changed(&site.copied().await), [("questions", 1, 0)]);
    // What two rows have exchanged is free at no time.
    let exchange = "UPDATE users SET handle = '-' WHERE handle = 'ada'; \
                    UPDATE users SET handle = 'ada' WHERE role = 'STUDENT' AND handle <> '-'; \
                    UPDATE users SET handle = 'actor' WHERE handle = '-'";
    site.at_source("UPDATE users SET handle = 'actor' WHERE role = 'STUDENT' AND handle <> 'ada'")
        .await;
    site.copied().await;
    site.at_source(exchange).await;
    let refused = site.refused().await;
    assert!(
        refused.starts_with("users can't be written") && refused.contains("users_handle"),
        "{refused}"
    );
    site.at_source(exchange).await;
    assert_eq!(changed(&site.copied().await), []);
    // An entry of the audit log is not mended under its seal.
    site.at_target(
        "ALTER TABLE audit_entries DISABLE TRIGGER USER; UPDATE audit_entries SET was = 'x' WHERE seq = 1; \
         ALTER TABLE audit_entries ENABLE TRIGGER USER",
    )
    .await;
    let refused = site.refused().await;
    assert!(
        refused.starts_with("audit_entries can't be written") && refused.contains("never changed"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_database_of_this_release_is_copied() {
    let Some(site) = Move::begin().await else { return };
    let refused = async |config: &Config, file: Option<PathBuf>| match copy(config, file.as_deref()).await {
        Ok(_) => panic!("it was copied"),
        Err(error) => text(error),
    };
    let config = site.config();
    let mut without = config.clone();
    without.database.url = None;
    assert!(refused(&without, Some(site.file())).await.contains("set DATABASE_URL"));
    // There is no database in the data folder, and none is made.
    let folder = tempfile::tempdir().expect("a folder");
    let mut empty = config.clone();
    empty.site.data_dir = folder.path().to_owned();
    let default = folder.path().join("marmalade.db");
    assert!(refused(&empty, None).await.contains("marmalade.db"));
    assert!(!default.exists());
    std::fs::write(&default, "no database, whatever its name says").expect("a file");
    assert!(refused(&empty, None).await.contains("no embedded database"));
    let mut without = config.clone();
    without.site.secrets = Vec::new();
    assert!(refused(&without, Some(site.file())).await.contains("no file `secret`"));

    let db = site.source.app.db.write();
    Migrator::down(db, Some(1)).await.expect("one comes down");
    assert!(site.refused().await.contains("run `migrate up`"));
    Migrator::up(db, None).await.expect("it goes up");
    site.at_source("INSERT INTO seaql_migrations VALUES ('m20991231_000001_flight', 1)")
        .await;
    assert!(site.refused().await.contains("newer program"));
    site.at_source("DELETE FROM seaql_migrations WHERE version LIKE 'm2099%'")
        .await;
    site.copied().await;
    // The target is brought up to date.
    Migrator::down(site.target.app.db.write(), Some(1))
        .await
        .expect("one comes down");
    site.copied().await;

    // Jobs of the release before are taken over by a worker, and then copied as all else.
    site.at_source(
        "CREATE TABLE Workers (id TEXT, last_seen INTEGER); \
         CREATE TABLE Jobs (job BLOB, id TEXT, status TEXT, attempts INTEGER, max_attempts INTEGER, lock_by TEXT, \
           done_at INTEGER, last_result TEXT); \
         INSERT INTO Jobs VALUES (x'7b7d', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 'Pending', 0, 10, NULL, NULL, NULL)",
    )
    .await;
    assert!(site.refused().await.starts_with("1 jobs are not done yet"));
    site.at_source("UPDATE Jobs SET status = 'Failed', attempts = max_attempts")
        .await;
    assert!(site.refused().await.starts_with("1 jobs are not done yet"));
    let db = site.source.app.db.write();
    assert_eq!(migration::carry_over_jobs(db).await.ok(), Some(1));
    assert_eq!(changed(&site.copied().await), [("background_jobs", 1, 0)]);
    site.at_source("INSERT INTO Jobs (id, status) VALUES ('two', 'Done')")
        .await;
    assert_eq!(changed(&site.copied().await), []);
    site.at_source("CREATE TABLE notes (n INTEGER PRIMARY KEY, text TEXT) STRICT")
        .await;
    assert!(site.refused().await.starts_with("notes is a table"));
    site.at_target("CREATE TABLE notes (n bigint PRIMARY KEY)").await;
    assert!(site.refused().await.starts_with("notes has other columns"));
    site.at_target("ALTER TABLE notes ADD text point").await;
    assert!(site.refused().await.contains("notes.text is of the type point"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_value_arrives_and_numbers_go_on_behind() {
    let Some(site) = Move::begin().await else { return };
    site.at_source(
        "CREATE TABLE \"odd one\" (n INTEGER PRIMARY KEY, \"a text\" TEXT, b BLOB, i INTEGER, l INTEGER, yes INTEGER, \
           id BLOB, twice INTEGER GENERATED ALWAYS AS (n * 2) VIRTUAL) STRICT; \
         INSERT INTO \"odd one\" VALUES (1, '', X'', -2147483648, -9223372036854775808, 0, zeroblob(16)), \
           (7, 'ÿ𝄞''\\\"\n', X'00FF', 2147483647, 9223372036854775807, 1, X'019AB4C0000070008000000000000001'), \
           (3, NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    site.at_target(
        "CREATE TABLE \"odd one\" (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \"a text\" text, b bytea, i integer, \
           l bigint, yes boolean, id uuid, twice bigint GENERATED ALWAYS AS (n * 2) STORED); \
         CREATE TABLE only_key (n bigserial PRIMARY KEY)",
    )
    .await;
    site.at_source("CREATE TABLE only_key (n INTEGER PRIMARY KEY) STRICT; INSERT INTO only_key VALUES (41)")
        .await;
    assert!(changed(&site.copied().await).contains(&("odd one", 3, 0)));
    assert_eq!(changed(&site.copied().await), []);
    let held = ask(
        &site.target,
        "SELECT string_agg(concat_ws('|', n, \"a text\", b, i, l, yes, id, twice), '; ' ORDER BY n) AS value FROM \"odd one\"",
    )
    .await;
    assert_eq!(
        held,
        "1||\\x|-2147483648|-9223372036854775808|f|00000000-0000-0000-0000-000000000000|2; 3|6; \
         7|ÿ𝄞'\\\"\n|\\x00ff|2147483647|9223372036854775807|t|019ab4c0-0000-7000-8000-000000000001|14"
    );
    let next = "INSERT INTO \"odd one\" (yes) VALUES (TRUE) RETURNING n::text AS value";
    assert_eq!(ask(&site.target, next).await, "8");
    let next = "INSERT INTO only_key DEFAULT VALUES RETURNING n::text AS value";
    assert_eq!(ask(&site.target, next).await, "42");

    // What PostgreSQL has no place for is named.
    site.at_target("DELETE FROM \"odd one\" WHERE n = 8; DELETE FROM only_key WHERE n = 42")
        .await;
    for (change, named) in [
        ("i = 2147483648", "odd one.i can't be read"),
        ("yes = 2", "odd one.yes can't be read"),
        ("id = X'00'", "odd one.id can't be read"),
        ("\"a text\" = char(0)", "odd one can't be written"),
    ] {
        site.at_source(&format!("UPDATE \"odd one\" SET {change} WHERE n = 3"))
            .await;
        let refused = site.refused().await;
        assert!(refused.starts_with(named), "{refused}");
        site.at_source("UPDATE \"odd one\" SET i = 0, yes = 0, id = NULL, \"a text\" = '' WHERE n = 3")
            .await;
    }
}

/// `COPY_ATTEMPTS=50000 cargo test --release --test it copying::a_copy_is_measured -- --nocapture` tells how long a copy
/// of so many attempts takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_measured() {
    const QUIZZES: usize = 10;
    let Some(site) = Move::begin().await else { return };
    let attempts = std::env::var("COPY_ATTEMPTS").map_or(60, |n| n.parse().expect("a number"));
    let (source, begun) = (&site.source, Instant::now());
    let mut quizzes = Vec::new();
    for _ in 0..QUIZZES {
        quizzes.push(source.quiz(20, |_| {}).await);
    }
    let take = async |n: usize| {
        let student = source.student().await;
        let viewer = student.let_in().await.expect("a viewer");
        for (m, quiz) in quizzes.iter().enumerate() {
            source.advance(Duration::from_secs(1));
            let now = source.app.now();
            let attempt = attempt::start(&source.app, &viewer, *quiz, Allowance::UNLIMITED, &now)
                .await?
                .attempt;
            let paper = source
                .app
                .papers
                .paper(source.app.db.read(), attempt.revision_id)
                .await?;
            let saves = paper.questions.iter().enumerate().map(|(q, question)| Save {
                question: question.id,
                answer: Some(Reply::Choice(question.choices[usize::from((n + m + q) % 7 < 3)].id)),
                seq: 1,
            });
            let saves: Vec<_> = saves.collect();
            attempt::answers::save(&source.app, &viewer, attempt.id, &saves, Allowance::UNLIMITED, &now).await?;
            attempt::submit(
                &source.app,
                &viewer,
                attempt.id,
                "the one key",
                Allowance::UNLIMITED,
                &now,
            )
            .await?;
        }
        Ok::<_, Error>(())
    };
    for n in 0..attempts / QUIZZES {
        take(n).boxed().await.unwrap_or_else(|error| panic!("{}", text(error)));
    }
    println!("{attempts} attempts made in {:.1?}", begun.elapsed());
    for what in ["the first copy", "the second copy, of nothing new"] {
        let begun = Instant::now();
        let copied = site.copied().await;
        let taken = begun.elapsed();
        let rows: u64 = copied.iter().map(|table| table.rows).sum();
        println!(
            "{what}: {rows} rows in {taken:.1?}, {:.0} rows/s",
            rows as f64 / taken.as_secs_f64()
        );
        for table in &copied {
            println!("{table}");
        }
    }
    assert_eq!(rows(&site.target, "results").await, attempts as u64);
    take(0).boxed().await.unwrap_or_else(|error| panic!("{}", text(error)));
    let begun = Instant::now();
    let written: u64 = site.copied().await.iter().map(|table| table.written).sum();
    println!(
        "the third copy, of {QUIZZES} new attempts: {written} rows in {:.1?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    site.target.restarted_with(|_| {}).await.verify().await;
    println!("verified in {:.1?}", begun.elapsed());
}
