//! Fan-out on one board: students listen to their ranks, each on a socket of its own, while others submit. It says how
//! late the listeners receive it, what that costs the server, and whether everything they received was right.
//!
//! ```sh
//! ulimit -n 20000        # a socket takes one descriptor here and one in the server
//! cargo build --release --example fanout --bin marmalade && target/release/examples/fanout
//! ```
//!
//! Without options: 10,000 listeners on a board of 100,000 standings, 50 submits a second for a minute. Every submit puts
//! its student above a third, two thirds or all of the listeners; so nearly all of them move in every tick. Accounts and
//! standings are written straight into an empty database (a SQLite file in a temporary folder, or the one that
//! `DATABASE_URL` names, with `REDIS_URL` for a fleet of one), access tokens are signed with the server's secret, and the
//! submits are real ones over HTTP.
//!
//! What is checked of each event: its rank counts every submit that was answered before its `asOf`, and none that was not
//! sent before it arrived; the last rank of each listener is the one that SQL gives once all is done. A lag is the time
//! from sending a submit (so its own time is in it) to the arrival of the first event that is sure to have it, for
//! each submit and each listener that it overtakes.

#[path = "server/process.rs"]
mod process;

use std::{
    error::Error,
    fmt,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use clap::Parser;
use futures_util::{SinkExt, StreamExt, stream};
use marmalade::{
    account::session::authenticate,
    app::App,
    attempt::{
        self,
        answers::{Reply, Save},
    },
    auth::{role::Role, token::Claims},
    change::{Cause, Change},
    clock::Time,
    config::{Config, Mode},
    db::sql,
    entity::{question::Kind, standing, user},
    id::{QuizId, SessionId, UserId},
    limit::Allowance,
    open,
    quiz::{
        Marking,
        author::{self, NewQuestion, NewQuiz},
        right::Right,
    },
    secret::Secret,
};
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Notify, task::JoinSet, time::sleep};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue, protocol::WebSocketConfig},
};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Size of the load.
#[derive(Clone, Debug, Parser)]
#[command(about = "Clients that listen to one board while others submit")]
pub struct Size {
    /// Students who listen.
    #[arg(long, default_value_t = 10_000)]
    pub listeners: usize,
    /// Students on the board before the first submit, the listeners among them.
    #[arg(long, default_value_t = 100_000)]
    pub standings: usize,
    /// Submits a second.
    #[arg(long, default_value_t = 50)]
    pub submits: usize,
    /// For how long.
    #[arg(long, default_value_t = 60)]
    pub seconds: usize,
    /// Password-reset emails a second meanwhile; the wait of their jobs is read from /metrics.
    #[arg(long, default_value_t = 0)]
    pub emails: usize,
    /// The server's binary; without it the one that was built beside this tool.
    #[arg(long)]
    pub server: Option<PathBuf>,
}

const SUBSCRIPTION: &str = "subscription { standingChanged(board: {everything: ALL_TIME}) { asOf standing { rank points user { handle avatar } } } }";
pub const SUBMIT: &str = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { errors { message } attempt { result { points } } } }";

/// Thousandths of a point that a right answer of its quiz is worth.
const RIGHT: i64 = 60_000;
const QUESTIONS: usize = 3;

#[tokio::main]
async fn main() -> Result<()> {
    let size = Size::parse();
    let folder = tempfile::tempdir()?;
    let secret = "the secret of a test that is gone in a minute";
    let free = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mut config = Config::load()?;
    config.site.mode = Mode::Production;
    config.server.listen = free;
    config.site.data_dir = folder.path().to_owned();
    config.site.secrets = vec![Secret(secret.into())];
    config.site.demo = false;
    let app = open::open(config).await.map_err(words)?;
    if let Some(fleet) = &app.fleet {
        fleet.join().await.map_err(words)?;
    }
    println!("seeding {size:?}");
    let fanout = Fanout::seed(&app, &size).await?;
    let server = Server::start(&size, free, folder.path(), secret).await?;
    let report = fanout.listen_and_submit(&app, free, Some(&server)).await?;
    println!("{report}");
    if report.wrong > 0 || report.missing > 0 {
        return Err("some listeners received wrong ranks, or none".into());
    }
    Ok(())
}

/// Errors of the library don't print themselves.
fn words(error: marmalade::error::Error) -> String {
    error.cause().map_or_else(|| "refused".into(), ToString::to_string)
}

/// A server in a process of its own, so that its memory is its own.
pub struct Server {
    process: Child,
    ticks: Arc<Mutex<Vec<Tick>>>,
}

/// What the server logs of a tick.
#[derive(Deserialize)]
struct Tick {
    sent: usize,
    statements: usize,
}

impl Server {
    async fn start(size: &Size, address: SocketAddr, folder: &std::path::Path, secret: &str) -> Result<Self> {
        let beside = || Ok::<_, std::io::Error>(std::env::current_exe()?.with_file_name("../marmalade"));
        let binary = size.server.clone().map_or_else(beside, Ok)?;
        let mut process = Command::new(&binary)
            .env("MARMALADE_MODE", "development")
            .env("MARMALADE_LISTEN", address.to_string())
            .env("MARMALADE_DATA_DIR", folder)
            .env("MARMALADE_SECRETS", secret)
            .env("MARMALADE_DEMO", "false")
            // All clients come from one address.
            .env("MARMALADE_LIMIT_REQUESTS", "1000000/60s")
            .env("MARMALADE_MAX_CONNECTIONS_OF_ADDRESS", "1000000")
            .env("MARMALADE_MAX_STREAMS_OF_ADDRESS", "1000000")
            .env("MARMALADE_LIMIT_LETTERS", "1000000/60s")
            .env("MARMALADE_LIMIT_LETTERS_OF_ADDRESS", "1000000/60s")
            .env("MARMALADE_LOG", "info,marmalade::leaderboard=debug")
            .env("MARMALADE_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", binary.display()))?;
        let ticks = Arc::<Mutex<Vec<Tick>>>::default();
        let (log, seen) = (process.stderr.take().ok_or("no log")?, ticks.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(std::result::Result::ok) {
                let mut entry: Value = serde_json::from_str(&line).unwrap_or_default();
                match serde_json::from_value(entry["fields"].take()) {
                    Ok(tick) => seen.lock().expect("not poisoned").push(tick),
                    Err(_) if entry["level"] == "INFO" => {}
                    Err(_) => eprintln!("server: {line}"),
                }
            }
        });
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = process.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { process, ticks })
    }

    fn resident(&self) -> Option<u64> {
        process::resident(self.process.id())
    }

    fn processor(&self) -> Option<f64> {
        process::processor(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Those who listen and those who are about to submit.
pub struct Fanout {
    size: Size,
    /// Scores of all standings before the first submit, ascending.
    scores: Vec<i64>,
    pub listeners: Vec<(UserId, i64)>,
    pub submitters: Vec<Submitter>,
}

/// A student whose attempt is answered and not yet submitted.
pub struct Submitter {
    pub student: UserId,
    pub attempt: String,
    score: i64,
}

impl Fanout {
    /// Writes the accounts and the standings, and lets those who will submit take their quiz.
    pub async fn seed(app: &App, size: &Size) -> Result<Self> {
        let quiz = quiz(app).await.map_err(words)?;
        let highest = RIGHT * QUESTIONS as i64;
        let ids = accounts(app, size.standings, "listener").await?;
        let now = app.now();
        // Spread evenly, and no two the same to the eye: scores repeat, moments don't.
        let score =
            |i: usize| (i * 7919 % size.standings) as i64 * (highest - 1000) / size.standings as i64 / 1000 * 1000;
        for (chunk, start) in ids.chunks(1000).zip((0..).step_by(1000)) {
            let rows = chunk.iter().zip(start..).map(|(student, i)| standing::ActiveModel {
                scope_id: Set(Uuid::nil()),
                window_key: Set("all".into()),
                student_id: Set(*student),
                score: Set(score(i)),
                reached_at: Set(Time(now.at.0 - 1_000_000 - i as i64)),
                version: Set(0),
            });
            standing::Entity::insert_many(rows)
                .exec_without_returning(app.db.write())
                .await?;
        }
        let mut scores: Vec<i64> = (0..size.standings).map(score).collect();
        scores.sort_unstable();
        let every = (size.standings / size.listeners).max(1);
        let listeners = ids.iter().enumerate().step_by(every).take(size.listeners);

        let mut submitters = Vec::new();
        for (i, student) in accounts(app, size.submits * size.seconds, "submitter")
            .await?
            .into_iter()
            .enumerate()
        {
            let right = 1 + i % QUESTIONS;
            let attempt = take(app, student, quiz, right).await.map_err(words)?;
            let score = RIGHT * right as i64;
            submitters.push(Submitter {
                student,
                attempt,
                score,
            });
        }
        Ok(Self {
            size: size.clone(),
            scores,
            listeners: listeners.map(|(i, student)| (*student, score(i))).collect(),
            submitters,
        })
    }
}

async fn quiz(app: &App) -> marmalade::error::Result<QuizId> {
    let now = app.now();
    let question = |i| NewQuestion {
        chapter: None,
        text: format!("Question {i}?").into(),
        image: None,
        picture: None,
        choices: vec!["right".into(), "wrong".into()],
        kind: Kind::SingleChoice,
        right: Right::one(0),
        explanation: None,
    };
    let questions: Vec<_> = (0..QUESTIONS).map(question).collect();
    let quiz = NewQuiz {
        duration: Duration::from_secs(24 * 3600),
        marking: Marking {
            right: RIGHT,
            wrong: 0,
            blank: 0,
        },
        ..NewQuiz::titled("For the test", QUESTIONS)
    };
    let mut change = Change::begin(app, &Cause::clock(&now)).await?;
    let subject = author::subject(&change, "Crowds", &now).await?;
    let quiz = author::draft(&change, subject, quiz, &questions, &now).await?;
    author::publish_in(&mut change, quiz).await?;
    change.commit().await?;
    Ok(quiz)
}

async fn accounts(app: &App, count: usize, name: &str) -> Result<Vec<UserId>> {
    let now = app.now();
    // Not by the moment's clock and counter: those are made for the ids of one operation.
    let ids: Vec<_> = (0..count).map(|_| UserId(Uuid::now_v7())).collect();
    for (chunk, start) in ids.chunks(1000).zip((0..).step_by(1000)) {
        let rows = chunk.iter().zip(start..).map(|(id, i)| user::ActiveModel {
            avatar: Set(Some(format!("https://img.example/{name}{i}.png"))),
            ..user::ActiveModel::student(
                *id,
                format!("{name}{i}@fanout.example"),
                format!("{name}{i}"),
                String::new(),
                now.at,
            )
        });
        user::Entity::insert_many(rows)
            .exec_without_returning(app.db.write())
            .await?;
    }
    Ok(ids)
}

/// An access token, as if the student had signed in.
pub fn token(app: &App, student: UserId) -> Result<String> {
    let session = SessionId(Uuid::now_v7());
    let claims = Claims {
        user: student,
        session,
        role: Role::Student,
        access_version: Some(0),
        issued_at: app.clock.now(),
    };
    let issued = app.keys.issue(&claims).map_err(words)?;
    Ok(issued.1)
}

/// Starts the quiz and answers it; what is left is to submit it.
async fn take(app: &App, student: UserId, quiz: QuizId, right: usize) -> marmalade::error::Result<String> {
    let now = app.now();
    let token = token(app, student).map_err(marmalade::error::Error::internal)?;
    let viewer = authenticate(app, &app.revocations, &token, now.at)
        .await
        .ok_or(marmalade::error::Error::Unauthenticated)?;
    let attempt = attempt::start(app, &viewer, quiz, Allowance::UNLIMITED, &now)
        .await?
        .attempt;
    let paper = app.papers.paper(app.db.read(), attempt.revision_id).await?;
    let save = |(i, question): (usize, &Arc<marmalade::quiz::paper::Question>)| Save {
        question: question.id,
        answer: Some(Reply::Choice(question.choices[usize::from(i >= right)].id)),
        seq: 1,
    };
    let saves: Vec<_> = paper.questions.iter().enumerate().map(save).collect();
    attempt::answers::save(app, &viewer, attempt.id, &saves, Allowance::UNLIMITED, &now).await?;
    Ok(attempt.id.encode())
}

/// What a listener was told, and when.
struct Event {
    arrived: Time,
    as_of: Time,
    rank: u64,
}

/// A submit of the fanout, by the clock of this machine.
struct Submit {
    sent: Time,
    answered: Time,
    score: i64,
}

type Socket = WebSocketStream<TcpStream>;

/// Requests so many password resets a second.
async fn request_emails(address: SocketAddr, a_second: usize) -> Result<()> {
    let Some(pause) = Duration::from_secs(1).checked_div(u32::try_from(a_second)?) else {
        return Ok(());
    };
    let (http, mut beat) = (reqwest::Client::new(), tokio::time::interval(pause));
    loop {
        beat.tick().await;
        let body = json!({"query": "mutation { requestPasswordReset(input: {email: \"listener0@fanout.example\"}) { errors { code } } }"});
        let reply: Value = http
            .post(format!("http://{address}/graphql"))
            .json(&body)
            .send()
            .await?
            .json()
            .await?;
        if reply["data"]["requestPasswordReset"]["errors"] != json!([]) {
            return Err(format!("no email: {reply}").into());
        }
    }
}

/// How many emails had begun within how many seconds, by the buckets of the server's histogram.
async fn waits(address: SocketAddr) -> Result<Vec<(f64, u64)>> {
    let text = reqwest::get(format!("http://{address}/metrics")).await?.text().await?;
    let of_emails = |line: &&str| {
        line.starts_with("marmalade_job_wait_seconds_bucket") && line.contains("\"password_reset_email\"")
    };
    let read = |line: &str| {
        let (_, rest) = line.split_once("le=\"")?;
        let (bound, rest) = rest.split_once('"')?;
        Some((
            bound.replace("+Inf", "inf").parse().ok()?,
            rest.rsplit(' ').next()?.parse().ok()?,
        ))
    };
    Ok(text.lines().filter(of_emails).filter_map(read).collect())
}

impl Fanout {
    /// The load, and what came of it.
    pub async fn listen_and_submit(&self, app: &App, address: SocketAddr, server: Option<&Server>) -> Result<Report> {
        // The first one has the board built.
        drop(listen(app, address, self.listeners[0].0).await?);
        let before = server.and_then(Server::resident);
        let connecting = self.listeners.iter().map(|(student, _)| listen(app, address, *student));
        let sockets: Vec<Result<(Socket, Event)>> = stream::iter(connecting).buffered(50).collect().await;
        let listening = server.and_then(Server::resident);
        println!("{} listen; resident {before:?} -> {listening:?} KiB", sockets.len());
        if let Some(server) = server {
            server.ticks.lock().expect("not poisoned").clear();
        }

        let (stop, received) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let mut receiving = JoinSet::new();
        for (i, socket) in sockets.into_iter().enumerate() {
            let (socket, first) = socket?;
            receiving.spawn(receive(i, app.clone(), socket, first, received.clone(), stop.clone()));
        }
        let (started, processor) = (app.clock.now(), server.and_then(Server::processor));
        let emails = AbortOnDropHandle::new(tokio::spawn(request_emails(address, self.size.emails)));
        let submits = self.submit(app, address).await?;
        drop(emails);
        let seconds = app.clock.now().since(started).as_secs_f64();
        let messages = received.load(Ordering::Relaxed);
        let processor = server
            .and_then(Server::processor)
            .zip(processor)
            .map(|(now, then)| now - then);
        // Until nothing has come for two seconds.
        let mut last = u64::MAX;
        while last != received.load(Ordering::Relaxed) {
            last = received.load(Ordering::Relaxed);
            sleep(Duration::from_secs(2)).await;
        }
        let after = server.and_then(Server::resident);
        stop.notify_waiters();
        let mut events = receiving.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        events.sort_by_key(|(i, _)| *i);
        let events: Vec<_> = events.into_iter().map(|(_, events)| events).collect();

        let mut report = Report {
            size: Some(self.size.clone()),
            submits: submits.len(),
            seconds,
            messages_a_second: messages as f64 / seconds,
            processor,
            memory: before.zip(listening).zip(after),
            ..Report::default()
        };
        if self.size.emails > 0 {
            report.waits = waits(address).await?;
            if report.waits.is_empty() {
                return Err("no email was requested".into());
            }
        }
        if let Some(server) = server {
            let ticks = server.ticks.lock().expect("not poisoned");
            report.ticks = ticks.len();
            report.statements_of_a_tick = ticks.iter().map(|tick| tick.statements).max().unwrap_or(0);
            report.sent_by_a_tick = ticks.iter().map(|tick| tick.sent).sum::<usize>() / ticks.len().max(1);
        }
        self.judge(&submits, &events, &ranks(app).await?, &mut report);
        Ok(report)
    }

    async fn submit(&self, app: &App, address: SocketAddr) -> Result<Vec<Submit>> {
        let (http, mut submits) = (reqwest::Client::new(), JoinSet::new());
        let mut beat = tokio::time::interval(Duration::from_secs(1) / self.size.submits as u32);
        for submitter in &self.submitters {
            beat.tick().await;
            let (app, token, score) = (app.clone(), token(app, submitter.student)?, submitter.score);
            let input = json!({"attemptId": submitter.attempt, "idempotencyKey": Uuid::new_v4().to_string()});
            let body = json!({"query": SUBMIT, "variables": {"input": input}});
            let request = http
                .post(format!("http://{address}/graphql"))
                .bearer_auth(token)
                .json(&body);
            submits.spawn(async move {
                let sent = app.clock.now();
                let reply: Value = request.send().await?.json().await?;
                if reply["data"]["submitAttempt"]["attempt"]["result"]["points"] != score as f64 / 1000.0 {
                    return Err(format!("a submit failed: {reply}").into());
                }
                Ok(Submit {
                    sent,
                    answered: app.clock.now(),
                    score,
                })
            });
        }
        submits.join_all().await.into_iter().collect()
    }

    /// Compares what was received with what happened.
    fn judge(&self, submits: &[Submit], events: &[Vec<Event>], in_the_end: &Ranks, report: &mut Report) {
        let mut lags = vec![0_u64; 60_000];
        for ((_, score), events) in self.listeners.iter().zip(events) {
            let above: Vec<_> = submits.iter().filter(|submit| submit.score > *score).collect();
            let before = above_in(&self.scores, *score);
            let mut sent: Vec<_> = above.iter().map(|submit| submit.sent).collect();
            let mut answered: Vec<_> = above.iter().map(|submit| submit.answered).collect();
            sent.sort_unstable();
            answered.sort_unstable();
            for event in events {
                let at_least = 1 + before + answered.partition_point(|at| *at < event.as_of) as u64;
                let at_most = 1 + before + sent.partition_point(|at| *at < event.arrived) as u64;
                if !(at_least..=at_most).contains(&event.rank) {
                    report.wrong += 1;
                }
            }
            let last = events
                .last()
                .filter(|event| event.rank == 1 + above_in(&in_the_end.0, *score));
            if last.is_none() {
                report.wrong += 1;
            }
            for submit in above {
                let sure = events.get(events.partition_point(|event| event.as_of < submit.answered));
                match sure.or(last) {
                    Some(event) => {
                        let lag = event.arrived.since(submit.sent).as_millis() as usize;
                        lags[lag.min(59_999)] += 1;
                    }
                    None => report.missing += 1,
                }
            }
        }
        let total: u64 = lags.iter().sum();
        let percentile = |percent: f64| {
            let mut left = (total as f64 * percent / 100.0) as u64;
            lags.iter()
                .position(|count| {
                    left < *count || {
                        left -= count;
                        false
                    }
                })
                .unwrap_or(0)
        };
        report.lags = [50.0, 95.0, 99.0, 99.9].map(|percent| (percent, percentile(percent)));
    }
}

/// Scores in the end, ascending.
struct Ranks(Vec<i64>);

async fn ranks(app: &App) -> Result<Ranks> {
    let select = "SELECT score FROM standings WHERE scope_id = $1 AND window_key = 'all'";
    let select = sql(app.db.read(), select, [Uuid::nil().into()]);
    let scores = app.db.read().query_all_raw(select).await?;
    let mut scores: Vec<i64> = scores
        .iter()
        .map(|row| row.try_get("", "score"))
        .collect::<Result<_, _>>()?;
    scores.sort_unstable();
    Ok(Ranks(scores))
}

fn above_in(ascending: &[i64], score: i64) -> u64 {
    (ascending.len() - ascending.partition_point(|other| *other <= score)) as u64
}

/// Connects and subscribes; the first event tells that the server has taken note.
async fn listen(app: &App, address: SocketAddr, student: UserId) -> Result<(Socket, Event)> {
    let mut request = format!("ws://{address}/graphql/ws").into_client_request()?;
    let protocol = HeaderValue::from_static("graphql-transport-ws");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    // The usual buffers would take a gigabyte here.
    let small = WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(0);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut socket, _) = client_async_with_config(request, stream, Some(small)).await?;
    let init =
        json!({"type": "connection_init", "payload": {"authorization": format!("Bearer {}", token(app, student)?)}});
    socket.send(Message::text(init.to_string())).await?;
    let _ack = socket.next().await.ok_or("the server hung up")??;
    let subscribe = json!({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}});
    socket.send(Message::text(subscribe.to_string())).await?;
    loop {
        let message = socket.next().await.ok_or("the server hung up")??;
        if let Some(event) = event(app, &message)? {
            return Ok((socket, event));
        }
    }
}

/// Records what a listener receives until stopped.
async fn receive(
    listener: usize,
    app: App,
    mut socket: Socket,
    first: Event,
    received: Arc<AtomicU64>,
    stop: Arc<Notify>,
) -> Result<(usize, Vec<Event>)> {
    let mut events = vec![first];
    let mut stop = std::pin::pin!(stop.notified());
    loop {
        let message = tokio::select! {
            message = socket.next() => message.ok_or("the server hung up")??,
            () = &mut stop => return Ok((listener, events)),
        };
        match event(&app, &message)? {
            Some(event) => {
                received.fetch_add(1, Ordering::Relaxed);
                events.push(event);
            }
            None => socket.send(Message::text(r#"{"type":"pong"}"#)).await?,
        }
    }
}

fn event(app: &App, message: &Message) -> Result<Option<Event>> {
    #[derive(Deserialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum ServerMessage {
        ConnectionAck,
        Ping,
        Next { payload: Payload },
    }
    #[derive(Deserialize)]
    struct Payload {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        #[serde(rename = "standingChanged")]
        changed: Changed,
    }
    #[derive(Deserialize)]
    struct Changed {
        #[serde(rename = "asOf")]
        as_of: chrono::DateTime<chrono::Utc>,
        /// None while the board is being built.
        standing: Option<Standing>,
    }
    #[derive(Deserialize)]
    struct Standing {
        rank: u64,
    }
    let Message::Text(text) = message else {
        return Ok(None);
    };
    Ok(
        match serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))? {
            ServerMessage::ConnectionAck | ServerMessage::Ping => None,
            ServerMessage::Next { payload } => payload.data.changed.standing.map(|standing| Event {
                arrived: app.clock.now(),
                as_of: payload.data.changed.as_of.into(),
                rank: standing.rank,
            }),
        },
    )
}

/// What came of it.
#[derive(Default)]
pub struct Report {
    size: Option<Size>,
    pub submits: usize,
    seconds: f64,
    messages_a_second: f64,
    processor: Option<f64>,
    /// KiB: before the listeners, with them, after the submits.
    memory: Option<((u64, u64), u64)>,
    ticks: usize,
    statements_of_a_tick: usize,
    sent_by_a_tick: usize,
    /// Jobs, and how many of them had begun within so many seconds.
    waits: Vec<(f64, u64)>,
    /// Percentile and milliseconds.
    lags: [(f64, usize); 4],
    /// Events with a wrong rank.
    pub wrong: usize,
    /// Submits that did not reach a listener.
    pub missing: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.size)?;
        writeln!(f, "{} submits in {:.1} s", self.submits, self.seconds)?;
        for (percent, lag) in self.lags {
            writeln!(f, "lag, {percent}th percentile: {lag} ms")?;
        }
        if let Some((_, all)) = self.waits.last() {
            let within = |share: f64| {
                let enough = |(_, begun): &&(f64, u64)| *begun as f64 >= share * *all as f64;
                self.waits
                    .iter()
                    .find(enough)
                    .map_or(f64::INFINITY, |(seconds, _)| *seconds)
            };
            let (half, most, last) = (within(0.5), within(0.95), within(1.0));
            writeln!(
                f,
                "{all} emails: half had begun within {half} s, 95 % within {most} s, all within {last} s"
            )?;
        }
        writeln!(f, "messages a second: {:.0}", self.messages_a_second)?;
        if self.ticks > 0 {
            let (ticks, sent, most) = (self.ticks, self.sent_by_a_tick, self.statements_of_a_tick);
            writeln!(
                f,
                "ticks: {ticks}, each sent {sent} messages and took {most} statements at most"
            )?;
        }
        if let Some(processor) = self.processor {
            writeln!(f, "processor: {:.0} % of one", 100.0 * processor / self.seconds)?;
        }
        if let (Some(((before, listening), after)), Some(size)) = (self.memory, &self.size) {
            let each = |now: u64| now.saturating_sub(before) as f64 / size.listeners as f64;
            let (idle, busy) = (each(listening), each(after));
            writeln!(
                f,
                "resident: {before} KiB, {idle:.1} KiB for each listener, {busy:.1} KiB after the submits"
            )?;
        }
        write!(f, "wrong: {}, missing: {}", self.wrong, self.missing)
    }
}
