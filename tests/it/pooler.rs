//! A site behind PgBouncer in transaction mode. Skipped where there is no `pgbouncer`.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Once,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};
use url::Url;

use crate::support::site::{PATIENCE, Site};

/// Connections to PostgreSQL that all processes share. Each server holds one.
const POOL: usize = 3;

/// A pooler before the server of a database.
struct PgBouncer {
    process: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// `None` where there is none, which is said once.
    fn before(database_url: &str, more: &str) -> Option<Self> {
        static LOGGED: Once = Once::new();
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
        let Some(program) = program.iter().map(PathBuf::from).find(|program| program.exists()) else {
            LOGGED.call_once(|| {
                let text = "the tests of a pooler are skipped: there is no pgbouncer\n";
                std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).ok();
            });
            return None;
        };
        let url = Url::parse(database_url).expect("a URL");
        let (host, server_port) = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a port")
            .port();
        let folder = tempfile::tempdir().expect("a folder");
        let (config, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users"));
        let password = url.password().unwrap_or_default();
        fs::write(&users, format!("\"{}\" \"{password}\"\n", url.username())).expect("a file");
        let text = format!(
            "[databases]\n* = host={host} port={server_port}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\ndefault_pool_size = {POOL}\n\
             max_client_conn = 200\n{more}\n",
            users.display()
        );
        fs::write(&config, text).expect("a file");
        let mut command = Command::new(program);
        // As root it refuses to run; another account is to read its files then.
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt};
            if fs::metadata(&config).expect("metadata").uid() == 0 {
                command.args(["-u", "nobody"]);
            }
            fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("permissions");
        }
        let process = command.arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let pooler = Self {
            process: process.expect("pgbouncer"),
            port,
            _folder: folder,
        };
        let began = std::time::Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pooler)
    }

    /// The same database over this pooler.
    fn url(&self, database_url: &str) -> String {
        let mut url = Url::parse(database_url).expect("a URL");
        url.set_port(Some(self.port)).expect("a port");
        url.set_ip_host("127.0.0.1".parse().expect("an address"))
            .expect("a host");
        url.into()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

struct Student {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Student {
    async fn ask(http: &reqwest::Client, url: &str, token: &str, query: &str, variables: Value) -> Value {
        let request = http.post(format!("{url}/graphql")).bearer_auth(token);
        let request = match token {
            "" => http.post(format!("{url}/graphql")),
            _ => request,
        };
        let body = json!({"query": query, "variables": variables});
        let reply = request.json(&body).send().await.expect("an answer");
        let mut reply: Value = reply.json().await.expect("JSON");
        assert!(reply["errors"].is_null(), "{reply}");
        reply["data"].take()
    }

    async fn sign_in(http: &reqwest::Client, url: &str, number: usize) -> Self {
        let query = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } } }";
        let email = format!("student{number}@demo.example");
        let input = json!({"email": email, "password": "marmalade-demo", "client": "NATIVE"});
        let data = Self::ask(http, url, "", query, json!({"input": input})).await;
        Self {
            http: http.clone(),
            url: url.to_owned(),
            token: data["signIn"]["tokens"]["accessToken"]
                .as_str()
                .expect("a token")
                .to_owned(),
        }
    }

    async fn run(&self, query: &str, variables: Value) -> Value {
        Self::ask(&self.http, &self.url, &self.token, query, variables).await
    }

    /// Takes each of the quizzes, with so many answers.
    async fn takes(&self, quizzes: &[Value], answers: usize) {
        for quiz in quizzes {
            let start = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) {
                attempt { id questions { id choices { id } } } errors { message } } }";
            let data = self.run(start, json!({"quiz": quiz["id"]})).await;
            let attempt = &data["startAttempt"]["attempt"];
            for question in attempt["questions"].as_array().expect("questions").iter().take(answers) {
                let save = "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome } }";
                let input = json!({"attemptId": attempt["id"], "questionId": question["id"],
                                   "choiceId": question["choices"][0]["id"], "seq": 1});
                let saved = self.run(save, json!({"input": input})).await;
                assert_eq!(saved["saveAnswer"]["outcome"], "SAVED");
            }
            let submit = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) {
                attempt { result { rightCount wrongCount } } errors { message } } }";
            let input = json!({"attemptId": attempt["id"], "idempotencyKey": "once and for all"});
            let submitted = self.run(submit, json!({"input": input})).await;
            let result = &submitted["submitAttempt"]["attempt"]["result"];
            let taken = result["rightCount"].as_u64().zip(result["wrongCount"].as_u64());
            assert_eq!(
                taken.map(|(right, wrong)| right + wrong),
                Some(answers as u64),
                "{submitted}"
            );
            let board = "{ board(window: WEEK) { viewerStanding { points } standings(first: 50) { totalCount nodes { rank } } } }";
            let board = self.run(board, json!({})).await;
            assert!(board["board"]["standings"]["totalCount"].as_u64() > Some(0), "{board}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_runs_behind_a_pooler_of_transactions() {
    let Some(site) = Site::postgres().await else { return };
    let direct = site.database_url().expect("PostgreSQL");
    let Some(pooler) = PgBouncer::before(&direct, "") else {
        return;
    };
    let mut site = site
        .with("DATABASE_URL", &pooler.url(&direct))
        .with("MARMALADE_DATABASE_POOLER", "transaction");
    for limit in marmalade::limit::Limit::ALL {
        site = site.with(limit.key(), "1000000/1s");
    }
    let mut server = site.spawn("serve");
    let url = server.serves();
    let mut worker = site.spawn("worker");
    assert_eq!(worker.line().as_deref(), Some("Marmalade runs jobs"));
    let second = site.spawn("serve").ends();
    assert!(
        second.text.contains("another server runs on this database"),
        "{}",
        second.text
    );

    let http = reqwest::Client::new();
    let students = join_all((2..10).map(|number| Student::sign_in(&http, &url, number))).await;
    let data = students[0]
        .run("{ quizzes(first: 4) { nodes { id } } }", json!({}))
        .await;
    let quizzes = data["quizzes"]["nodes"].as_array().expect("quizzes").clone();
    join_all(students.iter().map(|student| student.takes(&quizzes, 5))).await;
    // All of it went over these few: the pooler let them be shared.
    let backends = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'marmalade' AND pid <> pg_backend_pid() AND datname = '{}'",
        site.database().expect("PostgreSQL").name()
    );
    let backends = site.ask(&backends).await;
    assert!(
        (1..=POOL as i64 + 2).contains(&backends),
        "{backends} connections to PostgreSQL"
    );
    for command in [&["verify"][..], &["smoke", "--url", &url], &["migrate", "status"]] {
        let output = site.run(command);
        assert!(output.succeeded, "{command:?}: {}", output.text);
    }
    let backup = site.run(&["backup", "backup"]);
    assert!(
        !backup.succeeded && backup.text.contains("pooler in transaction mode"),
        "{}",
        backup.text
    );
    assert!(server.runs() && worker.runs());
    for process in [server, worker] {
        let stopped = process.stop();
        assert!(stopped.succeeded, "{}", stopped.text);
        for trouble in ["prepared statement", "startup parameter", "could not", "failed"] {
            assert!(!stopped.text.contains(trouble), "{}", stopped.text);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_nobody_spoke_of_is_named_at_the_start() {
    let Some(site) = Site::postgres().await else { return };
    let direct = site.database_url().expect("PostgreSQL");
    let Some(pooler) = PgBouncer::before(&direct, "") else {
        return;
    };
    let before = site.everything().await;
    let site = site.with("DATABASE_URL", &pooler.url(&direct));
    for command in [&["serve"][..], &["worker"], &["check", "--deploy"]] {
        let refused = site.run(command);
        assert!(
            !refused.succeeded && refused.text.contains("MARMALADE_DATABASE_POOLER=transaction"),
            "{}",
            refused.text
        );
    }
    let site = site.with("DATABASE_URL", &direct);
    assert_eq!(site.everything().await, before);
}

/// With the parameters passed over, it is the statements that show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_swallows_parameters_is_named_too() {
    let Some(site) = Site::postgres().await else { return };
    let direct = site.database_url().expect("PostgreSQL");
    let lenient = "ignore_startup_parameters = options, extra_float_digits";
    let Some(pooler) = PgBouncer::before(&direct, lenient) else {
        return;
    };
    let before = site.everything().await;
    let site = site.with("DATABASE_URL", &pooler.url(&direct));
    let refused = site.spawn("serve").ends();
    assert!(
        refused.text.contains("MARMALADE_DATABASE_POOLER=transaction"),
        "{}",
        refused.text
    );
    let site = site.with("DATABASE_URL", &direct);
    assert_eq!(site.everything().await, before);
}
