//! Starts: two at once, a first one, one that is refused, one on a folder that others could read.

use std::{fs, net::TcpListener, process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::{
    of_the_program,
    support::site::{PATIENCE, Site, mode},
};

/// Accounts of the demo content.
const DEMO_ACCOUNTS: i64 = 38;

/// How often the races are tried: STARTS=10 for more.
fn rounds() -> usize {
    std::env::var("STARTS").map_or(2, |rounds| rounds.parse().expect("a number"))
}

/// Settings, the commands that are to refuse them, and what these say.
type Wrong<'w> = (Vec<(&'w str, &'w str)>, &'w [&'w [&'w str]], &'w str);

of_the_program! {
    async fn a_second_server_says_so_and_stops(site: Site) {
        let site = site.with("MARMALADE_DEMO", "false");
        let mut first = site.spawn("serve");
        first.serves();
        let second = site.spawn("serve").ends();
        assert!(!second.succeeded, "{}", second.text);
        assert!(second.text.starts_with("another server runs on "), "{}", second.text);
        assert_eq!(second.text.lines().count(), 1, "{}", second.text);
        // The rest of the program goes on beside it.
        let mut worker = site.spawn("worker");
        assert_eq!(worker.line().as_deref(), Some("Marmalade runs jobs"));
        for command in [&["verify"][..], &["backup", "backup"], &["check"], &["migrate", "status"]] {
            let beside = site.run(command);
            assert!(beside.succeeded, "{command:?}: {}", beside.text);
        }
        assert!(first.runs() && worker.runs());
        // Whoever is killed holds nothing.
        first.kill();
        let began = std::time::Instant::now();
        loop {
            let mut next = site.spawn("serve");
            match next.line() {
                Some(line) => {
                    // One name: to a browser 127.0.0.1 would be another site.
                    assert!(line.starts_with("Marmalade serves on http://localhost:"), "{line}");
                    break;
                }
                // PostgreSQL may notice a moment later.
                None => assert!(site.database().is_some() && began.elapsed() < PATIENCE),
            }
        }
    }

    async fn a_server_and_a_worker_start_on_nothing_at_once(site: Site) {
        for _ in 0..rounds() {
            let site = site.another().await;
            let (mut worker, mut server) = (site.spawn("worker"), site.spawn("serve"));
            server.serves();
            assert_eq!(worker.line().as_deref(), Some("Marmalade runs jobs"));
            assert_eq!(site.ask("SELECT count(*) FROM users").await, DEMO_ACCOUNTS);
            assert!(worker.runs() && server.runs());
            let verified = site.run(&["verify"]);
            assert!(verified.succeeded, "{}", verified.text);
        }
    }

    async fn a_first_start_that_was_killed_is_made_up_for(site: Site) {
        for moment in [20, 60, 150, 300, 600, 1000, 1500, 2500] {
            let server = site.spawn("serve");
            // Any moment is to do.
            tokio::time::sleep(Duration::from_millis(moment)).await;
            server.kill();
            if site.database().is_none() && !site.data().join("marmalade.db").exists() {
                continue;
            }
            let is_migrated = match site.database() {
                Some(_) => "SELECT count(*) FROM pg_tables WHERE tablename = 'users'",
                None => "SELECT count(*) FROM sqlite_schema WHERE name = 'users'",
            };
            if site.ask(is_migrated).await > 0 {
                let accounts = site.ask("SELECT count(*) FROM users").await;
                assert!([0, DEMO_ACCOUNTS].contains(&accounts), "{accounts} accounts after {moment} ms");
            }
        }
        let mut server = site.spawn("serve");
        server.serves();
        assert_eq!(site.ask("SELECT count(*) FROM users").await, DEMO_ACCOUNTS);
        assert!(site.ask("SELECT count(*) FROM results").await > 50);
        let verified = site.run(&["verify"]);
        assert!(verified.succeeded, "{}", verified.text);
    }

    async fn what_is_wrong_with_the_database_is_said_before_anything_is_written(site: Site) {
        let site = site.with("MARMALADE_TIME_ZONE", "Asia/Karachi");
        let mut server = site.spawn("serve");
        server.serves();
        let stopped = server.stop();
        assert!(stopped.succeeded, "{}", stopped.text);
        let before = site.everything().await;
        let site = site.with("MARMALADE_TIME_ZONE", "Europe/Berlin");
        for command in [&["serve"][..], &["worker"], &["verify"], &["user", "set-role", "ada@example.com", "admin"]] {
            let refused = site.run(command);
            assert!(!refused.succeeded && refused.text.contains("this database was made for Asia/Karachi"), "{}", refused.text);
            assert_eq!(site.everything().await, before, "{command:?}");
        }
        let site = site.with("MARMALADE_TIME_ZONE", "Asia/Karachi").in_production();
        for command in ["serve", "worker"] {
            let refused = site.run(&[command]);
            assert!(!refused.succeeded && refused.text.contains("demo accounts"), "{}", refused.text);
            assert_eq!(site.everything().await, before, "{command}");
        }
    }

    async fn a_start_that_is_refused_leaves_nothing_behind(site: Site) {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = taken.local_addr().map(|address| (address.to_string(), taken)).expect("an address");
        fs::write(site.folder().join("no-manifest"), "{}").expect("a file");
        fs::write(site.folder().join("a-file"), "").expect("a file");
        fs::write(site.folder().join("no-bank.csv"), [0xFF, 0xFE, 0x00]).expect("a file");
        let before = site.everything().await;
        let both = &[&["serve"][..], &["worker"]][..];
        let serve = &[&["serve"][..]][..];
        let worker = &[&["worker"][..]][..];
        let production = ("MARMALADE_MODE", "production");
        let mut wrong: Vec<Wrong> = vec![
            (vec![("MARMALADE_LISTEN", &taken.0)], serve, &taken.0),
            (vec![("MARMALADE_LISTEN", "203.0.113.7:80")], serve, "203.0.113.7:80"),
            (vec![("MARMALADE_WORKER_LISTEN", &taken.0)], worker, &taken.0),
            (vec![("MARMALADE_OPERATIONS", "none.json")], both, "none.json"),
            (vec![("MARMALADE_OPERATIONS", "no-manifest")], both, "no-manifest"),
            (vec![("MARMALADE_DATA_DIR", "a-file")], both, "is not a folder"),
            (vec![("MARMALADE_DATA_DIR", "a-file/data")], both, "a-file"),
            (vec![("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")], serve, "Connection Error"),
            // Without a word about the zone, as in the case that was seen.
            (vec![production, ("MARMALADE_DEMO", "true")], both, "MARMALADE_DEMO"),
            (vec![production], both, "MARMALADE_SITE_URL: links in emails would lead to http://localhost:0"),
            (vec![production, ("MARMALADE_SITE_URL", "http://exam.example")], both, "MARMALADE_SITE_URL"),
            (vec![production, ("MARMALADE_SECRETS", "changeme-changeme-changeme-changeme")], both, "MARMALADE_SECRETS"),
            (vec![production, ("MARMALADE_TRUSTED_PROXIES", "0.0.0.0/0")], both, "MARMALADE_TRUSTED_PROXIES"),
            (vec![production, ("MARMALADE_LIMIT_SIGN_IN_FAILURES", "1000/1s")], both, "SIGN_IN_FAILURES"),
            (vec![], &[&["import", "none.csv", "--quiz", "Cells", "--subject", "Biology"]], "none.csv"),
            (vec![], &[&["import", "no-bank.csv", "--quiz", "Cells", "--subject", "Biology"]], "no-bank.csv"),
            (vec![], &[&["user", "create", "--email", "nobody", "--handle", "ada"]], ""),
            (vec![], &[&["copy", "--from", "none.db"]], ""),
            (vec![], &[&["restore", "none"]], "none"),
            (vec![], &[&["verify", "--head", "none"]], "none"),
        ];
        let on_nothing: &[&[&str]] = &[
            &["verify"],
            &["audit", "head"],
            &["smoke"],
            &["user", "set-role", "ada@example.com", "admin"],
        ];
        wrong.push((vec![], on_nothing, "yet"));
        if site.database().is_some() {
            wrong.push((vec![("REDIS_URL", "redis://127.0.0.1:1"), production], both, "production mode does not serve this"));
        } else {
            wrong.push((vec![], &[&["migrate", "status"], &["migrate", "down"]], "There is no database in "));
            wrong.push((vec![], &[&["backup", "backup"]], "nothing to back up"));
        }
        let mut site = site;
        for (settings, commands, expected) in wrong {
            let own: Vec<_> = settings.iter().map(|(key, _)| (*key, site.setting(key))).collect();
            site = settings.iter().fold(site, |site, (key, value)| site.with(key, value));
            for command in commands {
                let refused = site.run(command);
                assert!(!refused.succeeded, "{settings:?} {command:?}: {}", refused.text);
                assert!(refused.text.contains(expected), "{settings:?} {command:?}: {}", refused.text);
                assert_eq!(site.everything().await, before, "{settings:?} {command:?}");
            }
            site = own.into_iter().fold(site, |site, (key, value)| match value {
                Some(value) => site.with(key, &value),
                None => site.without(key),
            });
        }
        // Nor does a look leave anything.
        site.run(&["check", "--deploy"]);
        assert_eq!(site.everything().await, before);
        if site.database().is_some() {
            assert!(site.run(&["migrate", "status"]).succeeded);
            assert_eq!(site.everything().await, before);
        }
    }

    async fn what_was_open_to_others_is_closed(site: Site) {
        let data = site.data();
        let mail = data.join("mail");
        fs::create_dir_all(&mail).expect("a folder");
        let files = ["marmalade.db", "secret", "server.lock", "mail/old.eml"].map(|name| data.join(name));
        for file in &files {
            fs::write(file, if file.ends_with("secret") { "kq9ZbX3vT7mWc1RfY5uHj8NdLs2EaPgo" } else { "" }).expect("a file");
            open_to_others(file, 0o644);
        }
        // A stranger's file is not ours to change; nobody gets at it any more.
        let strangers = data.join("notes");
        fs::write(&strangers, "").expect("a file");
        open_to_others(&strangers, 0o644);
        open_to_others(&mail, 0o755);
        open_to_others(&data, 0o755);
        let mut server = site.spawn("serve");
        let url = server.serves();
        let query = "mutation { requestPasswordReset(input: {email: \"student1@demo.example\"}) { errors { code } } }";
        ask(&url, None, query, json!({})).await;
        let emails = || fs::read_dir(&mail).expect("a folder").flatten().map(|email| email.path()).collect::<Vec<_>>();
        let sent = || emails().iter().any(|email| !email.ends_with("old.eml") && mode(email) == 0o600);
        tokio::time::timeout(PATIENCE, async {
            while !sent() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }).await.expect("an email");
        assert!(site.run(&["backup", "data/site.backup"]).succeeded);
        let mut seen = vec![data.clone(), mail.clone(), data.join("site.backup"), data.join("secret")];
        seen.extend(emails());
        if site.database().is_none() {
            seen.extend(["marmalade.db", "marmalade.db-wal", "marmalade.db-shm", "server.lock"].map(|name| data.join(name)));
        }
        for path in seen {
            assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
        }
        assert_eq!(mode(&strangers), 0o644);
    }

    async fn a_worker_says_where_links_lead(site: Site) {
        let site = site.with("MARMALADE_DEMO", "false");
        let mut worker = site.spawn("worker");
        worker.line();
        let line = worker.line().expect("a second line");
        assert!(line.contains("MARMALADE_SITE_URL") && line.contains("http://localhost:"), "{line}");
    }
}

fn open_to_others(path: &std::path::Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("permissions");
}

async fn ask(url: &str, token: Option<&str>, query: &str, variables: Value) -> Value {
    let mut request = reqwest::Client::new().post(format!("{url}/graphql"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let body = json!({"query": query, "variables": variables});
    let reply = request.json(&body).send().await.expect("an answer");
    let mut reply: Value = reply.json().await.expect("JSON");
    assert!(reply["errors"].is_null(), "{reply}");
    reply["data"].take()
}

/// Whatever a key can't hold is refused, whichever key it is.
#[tokio::test]
async fn a_value_that_no_key_takes_leaves_nothing_behind() {
    let mut site = Site::embedded();
    let before = site.everything().await;
    let mut refused = 0;
    for key in marmalade::config::keys() {
        let own = site.setting(key.name);
        site = site.with(key.name, "{");
        if !site.run(&["check"]).succeeded {
            refused += 1;
            for command in ["serve", "worker", "copy"] {
                let output = site.command(&[command]).stdin(Stdio::null()).output().expect("it runs");
                assert_eq!(output.status.code(), Some(2), "{command} with {}", key.name);
                assert_eq!(site.everything().await, before, "{command} with {}", key.name);
            }
        }
        site = match own {
            Some(value) => site.with(key.name, &value),
            None => site.without(key.name),
        };
    }
    assert!(refused > 40, "{refused} keys can be wrong");
}

/// What is in the folder and can't be used stays as it is.
#[tokio::test]
async fn what_cannot_be_used_is_left_alone() {
    for (name, content, expected) in [
        ("secret", "short", "less than 32 characters"),
        (
            "marmalade.db",
            "this is no database, but a text that is long enough to be one",
            "not a database",
        ),
    ] {
        let site = Site::embedded();
        fs::create_dir(site.data()).expect("a folder");
        fs::write(site.data().join(name), content).expect("a file");
        let before = site.everything().await;
        for command in ["serve", "worker"] {
            let refused = site.run(&[command]);
            assert!(
                !refused.succeeded && refused.text.contains(expected),
                "{}",
                refused.text
            );
            assert_eq!(site.everything().await, before, "{command} on {name}");
        }
    }
}

/// A copy is all or nothing, its tables too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_refused_leaves_nothing_behind() {
    let Some(target) = Site::postgres().await else { return };
    let source = Site::embedded().with("MARMALADE_TIME_ZONE", "Asia/Karachi");
    let mut server = source.spawn("serve");
    server.serves();
    assert!(server.stop().succeeded);
    let file = source.data().join("marmalade.db").display().to_string();
    let secrets = "kq9ZbX3vT7mWc1RfY5uHj8NdLs2EaPgo";
    let mut target = target.with("MARMALADE_SECRETS", secrets);
    let before = (target.everything().await, source.everything().await);
    for (key, value, expected) in [
        (
            "MARMALADE_TIME_ZONE",
            "Europe/Berlin",
            "this database was made for Asia/Karachi",
        ),
        ("MARMALADE_OPERATIONS", "none.json", "none.json"),
    ] {
        target = target.with(key, value);
        let refused = target.run(&["copy", "--from", &file]);
        assert!(
            !refused.succeeded && refused.text.contains(expected),
            "{}",
            refused.text
        );
        assert_eq!((target.everything().await, source.everything().await), before, "{key}");
        target = target.without(key);
    }
    // One that fails in the middle.
    let source_db = source.db().await;
    let odd = "CREATE TABLE odd (id INTEGER PRIMARY KEY)";
    sea_orm::ConnectionTrait::execute_unprepared(source_db.write(), odd)
        .await
        .expect("a table");
    source_db.close().await.unwrap_or_else(|_| panic!("it closes"));
    let refused = target.run(&["copy", "--from", &file]);
    assert!(
        !refused.succeeded && refused.text.contains("odd is a table of the source"),
        "{}",
        refused.text
    );
    assert_eq!(target.everything().await, before.0);
}
