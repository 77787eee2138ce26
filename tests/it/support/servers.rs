//! Two servers in processes of their own, on one PostgreSQL and one Redis, which actors use in turns.

use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::Body,
    http::{Request, Response},
};

use marmalade::limit::Limit;

use super::{SECRET, TestApp, url_of};

/// Servers that are running.
pub struct Servers {
    servers: Vec<Server>,
    next: AtomicUsize,
    client: reqwest::Client,
    settings: Vec<(String, String)>,
}

struct Server {
    process: Child,
    url: String,
    /// Kept open: a server that can't print would stop.
    _stdout: BufReader<ChildStdout>,
}

impl Servers {
    /// `None` where PostgreSQL or Redis are not to be had.
    pub async fn two() -> Option<TestApp> {
        static LOGGED: Once = Once::new();
        let redis = url_of("TEST_REDIS_URL", "Redis", &LOGGED)?;
        let mut app = TestApp::postgres().await?;
        app.follow_the_clock();
        let own = |key: &str, value: String| (key.to_owned(), value);
        let mut settings = vec![
            own("DATABASE_URL", app.database_url().expect("PostgreSQL")),
            own("REDIS_URL", redis),
            own(
                "MARMALADE_REDIS_PREFIX",
                format!("test-{}", uuid::Uuid::now_v7().simple()),
            ),
            own("MARMALADE_MODE", "development".into()),
            own("MARMALADE_DEMO", "false".into()),
            own("MARMALADE_LISTEN", "127.0.0.1:0".into()),
            own("MARMALADE_DATA_DIR", app.folder().display().to_string()),
            own("MARMALADE_SECRETS", SECRET.into()),
            own("MARMALADE_LOG", "warn".into()),
        ];
        for limit in Limit::ALL {
            settings.push(own(limit.key(), "1000000/1s".into()));
        }
        let mut servers = Self {
            servers: Vec::new(),
            next: AtomicUsize::new(0),
            client: reqwest::Client::new(),
            settings,
        };
        for _ in 0..2 {
            servers.servers.push(servers.start());
        }
        app.servers = Some(servers.into());
        Some(app)
    }

    fn command(&self, command: &str) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_marmalade"));
        process.arg(command).envs(self.settings.iter().cloned());
        process
    }

    fn start(&self) -> Server {
        let mut process = self.command("serve").stdout(Stdio::piped()).spawn().expect("a server");
        let mut stdout = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its first line");
        let (_, url) = line
            .trim()
            .split_once("serves on ")
            .unwrap_or_else(|| panic!("an address in {line:?}"));
        Server {
            url: url.to_owned(),
            process,
            _stdout: stdout,
        }
    }

    /// Sends a request to one server after the other.
    pub async fn send(&self, request: Request<String>) -> Response<Body> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.servers.len();
        let (parts, body) = request.into_parts();
        let url = format!("{}{}", self.servers[next].url, parts.uri);
        let request = self.client.request(parts.method, url).headers(parts.headers).body(body);
        let answer = request.send().await.expect("a server answers");
        let mut response = Response::builder().status(answer.status());
        *response.headers_mut().expect("headers") = answer.headers().clone();
        response
            .body(Body::from(answer.bytes().await.expect("a body")))
            .expect("a response")
    }

    /// What `marmalade verify` finds, Redis included.
    pub fn verify(&self) {
        let output = self.command("verify").output().expect("verify runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.servers {
            server.process.kill().ok();
            server.process.wait().ok();
        }
    }
}
