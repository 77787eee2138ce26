//! A smoke test of a running site: signs in over HTTP as a client does, takes a quiz, sees the board, and leaves nothing
//! behind. For the decision to go live, and after each release.
//!
//! The student is made in the database for the test and removed from it with all that it did. It is on no board: it has
//! opted out, so nobody's rank moves, whatever happens to the test.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};
use url::{Position, Url};

use crate::{
    auth::password,
    clock::Moment,
    db::{Db, sql},
    entity::user,
    error::{Error, Result},
    id::UserId,
};

/// Domain of the accounts that are made for a test; mail can't reach it (RFC 2606).
const DOMAIN: &str = "smoke.invalid";
/// Nothing that a student waits for takes so long.
const STEP_TIMEOUT: Duration = Duration::from_secs(15);
/// What an answer has at most, in bytes.
const MAX_BYTES: usize = 16 << 20;
/// Quizzes that are tried, newest first, until one is open.
const QUIZZES: usize = 20;

/// Tests the site that is served at `url` over the database `db`, and reports each step as one line. The first step that
/// fails is the error; what the test made is removed all the same.
pub async fn smoke(db: &Db, url: &Url, now: &Moment, mut report: impl FnMut(String)) -> Result<()> {
    if db.missing_migrations().await? > 0 {
        let message = "The schema is not up to date yet: start the site, or run `marmalade migrate up`.";
        return Err(Error::BadInput(message.into()));
    }
    // Of a test that was killed.
    for left in accounts(db).await? {
        remove(db, left).await?;
    }
    let secret = hex::encode(now.random::<16>());
    let account = make(db, &secret, now).await?;
    let mut test = Test {
        url,
        token: None,
        report: &mut report,
    };
    let outcome = test.run(&account.email, &secret).await;
    let begun = Instant::now();
    let removed = remove(db, account.id).await;
    outcome?;
    removed?;
    report(line(begun, "clean up", "nothing is left behind"));
    Ok(())
}

/// A student who is on no board.
async fn make(db: &Db, secret: &str, now: &Moment) -> Result<user::Model> {
    let name = format!("smoke-{}", hex::encode(now.random::<6>()));
    let hash = password::hash(secret.to_owned(), now.random()).await?;
    let student = user::ActiveModel {
        opted_out: Set(true),
        ..user::ActiveModel::student(
            now.id(),
            format!("{name}@{DOMAIN}"),
            name.replace('-', "_"),
            hash,
            now.at,
        )
    };
    Ok(user::Entity::insert(student).exec_with_returning(db.write()).await?)
}

/// The accounts that tests have made.
async fn accounts(db: &Db) -> Result<Vec<UserId>> {
    let left = user::Entity::with_domain(DOMAIN).all(db.read()).await?;
    Ok(left.into_iter().map(|account| account.id).collect())
}

/// What an account that takes a quiz leaves, each before what it refers to. Attempts and results refer to each other.
const TRACES: [&str; 10] = [
    "DELETE FROM answers WHERE attempt_id IN (SELECT id FROM attempts WHERE student_id = $1)",
    "DELETE FROM rollups WHERE student_id = $1",
    "DELETE FROM standings WHERE student_id = $1",
    "DELETE FROM bests WHERE student_id = $1",
    "DELETE FROM results WHERE student_id = $1",
    "DELETE FROM attempts WHERE student_id = $1",
    "DELETE FROM links WHERE user_id = $1",
    "DELETE FROM refresh_tokens WHERE session_id IN (SELECT id FROM sessions WHERE user_id = $1)",
    "DELETE FROM sessions WHERE user_id = $1",
    "DELETE FROM users WHERE id = $1",
];

/// Removes an account with all that it did.
#[expect(clippy::disallowed_methods, reason = "it was on no board, so nothing follows")]
async fn remove(db: &Db, account: UserId) -> Result<()> {
    let tx = db.begin().await?;
    for delete in TRACES {
        tx.execute_raw(sql(&tx, delete, [account.into()])).await?;
    }
    Ok(tx.commit().await?)
}

fn line(begun: Instant, step: &str, outcome: impl Display) -> String {
    format!("{step:<10} {:>6} ms  {outcome}", begun.elapsed().as_millis())
}

/// A test in progress, as its student.
struct Test<'t> {
    url: &'t Url,
    token: Option<String>,
    report: &'t mut dyn FnMut(String),
}

impl Test<'_> {
    async fn run(&mut self, email: &str, secret: &str) -> Result<()> {
        let begun = Instant::now();
        let (status, body) = self
            .send(Method::GET, "readyz", None)
            .await
            .map_err(|error| failed("ready", error.describe()))?;
        if status != StatusCode::OK {
            return Err(failed(
                "ready",
                format!("{status}: {}", String::from_utf8_lossy(&body).trim()),
            ));
        }
        self.done(begun, "ready", self.url.as_str());

        let begun = Instant::now();
        let input = json!({"email": email, "password": secret, "client": "NATIVE"});
        let data = self.ask("sign in", SIGN_IN, json!({"input": input})).await?;
        let token = data["signIn"]["tokens"]["accessToken"].as_str();
        self.token = Some(token.ok_or_else(|| failed("sign in", "no token came back"))?.to_owned());
        self.done(begun, "sign in", "as a student of this test");

        let begun = Instant::now();
        let mut quizzes = self.ask("quizzes", LIST, json!({"first": QUIZZES})).await?;
        let quizzes = quizzes["quizzes"]["nodes"].take();
        let quizzes = quizzes.as_array().map_or(&[][..], Vec::as_slice);
        if quizzes.is_empty() {
            return Err(failed("quizzes", "no quiz is published, so none can be taken"));
        }
        self.done(begun, "quizzes", format!("{} in the catalogue", quizzes.len()));

        let begun = Instant::now();
        let (quiz, attempt) = self.start(quizzes).await?;
        let questions = attempt["questions"].as_array().map_or(&[][..], Vec::as_slice);
        self.done(
            begun,
            "start",
            format!("{}, {} questions", quiz["title"], questions.len()),
        );

        let begun = Instant::now();
        let first = questions
            .first()
            .ok_or_else(|| failed("answer", "the quiz has no question"))?;
        let mut input = json!({"attemptId": attempt["id"], "questionId": first["id"], "seq": 1});
        match first["kind"].as_str() {
            Some("NUMBER") => input["number"] = json!("1"),
            Some("ALL_CHOICES") => input["choiceIds"] = json!([first["choices"][0]["id"]]),
            _ => input["choiceId"] = first["choices"][0]["id"].clone(),
        }
        let saved = self.ask("answer", SAVE, json!({"input": input})).await?;
        if saved["saveAnswer"]["outcome"] != "SAVED" {
            return Err(failed("answer", saved));
        }
        self.done(begun, "answer", "saved");

        let begun = Instant::now();
        let input = json!({"attemptId": attempt["id"], "idempotencyKey": "smoke-test"});
        let submitted = self.ask("submit", SUBMIT, json!({"input": input})).await?;
        let submitted = &submitted["submitAttempt"]["attempt"];
        if submitted["state"] != "SUBMITTED" {
            return Err(failed("submit", submitted));
        }
        self.done(begun, "submit", "the attempt is submitted");

        let begun = Instant::now();
        let data = self.ask("board", BOARD, json!({})).await?;
        let ranked = data["board"]["standings"]["totalCount"].as_u64();
        let ranked = ranked.ok_or_else(|| failed("board", &data))?;
        self.done(begun, "board", format!("{ranked} students are ranked"));
        // Signing out would be recorded in the audit log, for ever. The session goes with its account, and nobody else has
        // had its token.
        Ok(())
    }

    /// Starts the first quiz that can be started now.
    async fn start(&mut self, quizzes: &[Value]) -> Result<(Value, Value)> {
        let mut refused = String::new();
        for quiz in quizzes {
            let mut data = self.send_operation("start", START, json!({"quiz": quiz["id"]})).await?;
            let mut payload = data["startAttempt"].take();
            if payload["errors"] == json!([]) {
                return Ok((quiz.clone(), payload["attempt"].take()));
            }
            refused = format!("{}: {}", quiz["title"], payload["errors"][0]["message"]);
        }
        Err(failed(
            "start",
            format!("no quiz can be started now; the last one said: {refused}"),
        ))
    }

    fn done(&mut self, begun: Instant, step: &str, outcome: impl Display) {
        (self.report)(line(begun, step, outcome));
    }

    /// The data of an operation; its errors are a failure, those of a payload, too.
    async fn ask(&mut self, step: &str, query: &str, variables: Value) -> Result<Value> {
        let data = self.send_operation(step, query, variables).await?;
        let payloads = data.as_object().into_iter().flat_map(|fields| fields.values());
        for payload in payloads {
            if payload["errors"].as_array().is_some_and(|errors| !errors.is_empty()) {
                return Err(failed(step, &payload["errors"]));
            }
        }
        Ok(data)
    }

    async fn send_operation(&mut self, step: &str, query: &str, variables: Value) -> Result<Value> {
        let body = json!({"query": query, "variables": variables}).to_string();
        let (status, body) = self
            .send(Method::POST, "graphql", Some(body))
            .await
            .map_err(|error| failed(step, error.describe()))?;
        let mut reply: Value = serde_json::from_slice(&body)
            .map_err(|_| failed(step, format!("{status}: {}", String::from_utf8_lossy(&body).trim())))?;
        match reply["errors"].take() {
            Value::Null => Ok(reply["data"].take()),
            errors => Err(failed(step, format!("{status}: {errors}"))),
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Result<(StatusCode, Bytes)> {
        let work = request(self.url, method, path, self.token.as_deref(), body);
        let nothing = |_| Error::internal(format!("no answer within {} s", STEP_TIMEOUT.as_secs()));
        timeout(STEP_TIMEOUT, work).await.map_err(nothing)?
    }
}

fn failed(step: &str, cause: impl Display) -> Error {
    Error::BadInput(format!("FAILED: {step}: {cause}"))
}

/// Sends one request over a connection of its own.
async fn request(
    url: &Url,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<String>,
) -> Result<(StatusCode, Bytes)> {
    let host = url.host_str().ok_or_else(|| Error::internal("the URL has no host"))?;
    let port = url.port_or_known_default().unwrap_or(80);
    let target = format!("{}/{path}", url.path().trim_end_matches('/'));
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(USER_AGENT, concat!("marmalade-smoke/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "application/graphql-response+json");
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request
        .body(Full::new(Bytes::from(body.unwrap_or_default())))
        .map_err(Error::internal)?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
        .await
        .map_err(Error::internal)?;
    if url.scheme() == "https" {
        exchange(tls(host, stream).await?, request).await
    } else {
        exchange(stream, request).await
    }
}

async fn tls(host: &str, stream: TcpStream) -> Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(Error::internal)?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(Error::internal)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes)> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Error::internal)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(Error::internal)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_BYTES).collect().await;
    connection.abort();
    Ok((status, body.map_err(Error::internal)?.to_bytes()))
}

const SIGN_IN: &str = "mutation SmokeSignIn($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } errors { message } } }";
const LIST: &str = "query SmokeQuizzes($first: Int!) { quizzes(first: $first) { nodes { id title } } }";
const START: &str = "mutation SmokeStart($quiz: ID!) { startAttempt(input: {quizId: $quiz}) {
  attempt { id questions { id kind text choices { id text } } } errors { message } } }";
const SAVE: &str = "mutation SmokeSave($input: SaveAnswerInput!) { saveAnswer(input: $input) {
  outcome errors { message } } }";
const SUBMIT: &str = "mutation SmokeSubmit($input: SubmitAttemptInput!) { submitAttempt(input: $input) {
  attempt { state result { points } } errors { message } } }";
const BOARD: &str = "query SmokeBoard { board { standings(first: 10) { totalCount nodes { rank user { handle } } }
  viewerStanding { rank points } } }";
