//! A site at work: students do whole journeys for a stated time, and every request is measured.
//!
//! Each student signs in once and then goes round: lists the quizzes, starts one, loads its paper, answers five to
//! twenty questions one by one, submits, looks up the own rank, reads the review, the dashboard and a board. They think
//! in between, as people do, and stay within the limits, which are as shipped. They come one after the other within
//! the first third of the time, and hand in what they have got at random moments of its last sixth.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example load -- --students 500 --seconds 120        # on an embedded database
//! cargo run --release --example load -- --students 500 --postgres postgres://postgres@127.0.0.1:5432/postgres
//! ```
//!
//! The real server runs in development mode with its demo content, on a data folder of its own; PostgreSQL gets a
//! database of its own on that server, which goes again at the end. Accounts are written straight into the database,
//! all with one password: registering is limited by the address, and nobody registers before every lesson. Requests of
//! those who are not signed in yet are counted by the address, too, and real students have addresses of their own; so
//! students are spread over 250 addresses of the loopback network (on Linux, where all of it is there).
//!
//! An error is whatever is not what the student came for: a refusal, an error of GraphQL or of a payload, a status other
//! than 200, a broken connection. Right after each submit its student asks for the rank until it counts that submit.
//!
//! It ends with status 1 if there was an error, if the median of an operation is 200 ms or more, if a rank came later
//! than 100 ms after the submit, or if the server has logged a statement that took longer than a second. In any case
//! `marmalade verify` must find nothing afterwards. The students take processor time, too: on a small machine what is
//! measured is both.

#[path = "server/process.rs"]
mod process;
#[path = "server/mod.rs"]
pub mod server;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    error::Error,
    fmt,
    net::Ipv4Addr,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use clap::Parser;
use marmalade::{
    auth::password,
    config::{Config, Mode},
    demo,
    entity::user,
    id::UserId,
    open,
    secret::Secret,
};
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use server::{Ground, Installation};
use tokio::{task::JoinSet, time::sleep};
use uuid::Uuid;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How much of it.
#[derive(Parser)]
#[command(about = "Students do whole journeys, and every request is measured")]
pub struct Plan {
    /// How many students there are
    #[arg(long, default_value_t = 100)]
    pub students: usize,
    /// For how long they take quizzes
    #[arg(long, default_value_t = 120)]
    pub seconds: u64,
    /// Repeats the choices of another run (the moments of the machine can't be repeated)
    #[arg(long)]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub ground: Ground,
}

/// No median may reach it.
const MEDIAN: Duration = Duration::from_millis(200);
/// A rank counts a submit so soon after its reply.
const RANK: Duration = Duration::from_millis(100);
/// Nobody asks for a rank any longer than this.
const PATIENCE: Duration = Duration::from_secs(1);
/// No statement may take longer.
const STATEMENT: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// Access tokens are good for 15 minutes.
const FRESH: Duration = Duration::from_secs(600);

const PASSWORD: &str = "a long enough password";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let plan = Plan::parse();
    let report = run(&plan, |line| println!("{line}")).await?;
    println!("{report}");
    let broken = report.broken();
    for promise in &broken {
        println!("BROKEN: {promise}");
    }
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lets the students work, and verifies what is left in the database.
pub async fn run(plan: &Plan, mut tell: impl FnMut(String)) -> Result<Report> {
    let seed = plan.seed.unwrap_or_else(rand::random);
    tell(format!("--seed {seed}"));
    // Limits and everything else as shipped.
    let installation = Installation::new(&plan.ground, vec![("MARMALADE_LOG_FORMAT", "json")]).await?;
    let report = run_at(&installation, plan, seed).await;
    installation.clear().await?;
    report
}

async fn run_at(installation: &Installation, plan: &Plan, seed: u64) -> Result<Report> {
    fill(installation, plan.students).await?;
    let mut server = installation.start().await?;
    server.until_ready().await?;
    let pid = server.process.id();
    let processor = process::processor(pid);

    let mut chance = StdRng::seed_from_u64(seed);
    let log = Arc::<Mutex<Log>>::default();
    let time = Duration::from_secs(plan.seconds);
    let begun = Instant::now();
    let mut students = JoinSet::new();
    for n in 0..plan.students {
        let student = Student::new(n, &server.url, StdRng::seed_from_u64(chance.random()), log.clone())?;
        let comes = begun + (time / 3).mul_f64(n as f64 / plan.students as f64);
        let leaves = begun + time - (time / 6).mul_f64(chance.random());
        students.spawn(student.journey(comes, leaves));
    }
    while let Some(ended) = students.join_next().await {
        ended?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = process::processor(pid).zip(processor).map(|(now, then)| now - then);
    let resident = process::resident(pid);

    server.kill()?;
    installation.wait_for_the_database(false).await?;
    installation.verify()?;
    let mut log = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
    for operation in log.operations.values_mut() {
        operation.times.sort_unstable();
    }
    log.ranks.sort_unstable();
    Ok(Report {
        students: plan.students,
        seconds,
        log,
        processor: used,
        resident,
        statements: installation.log().lines().filter_map(slow_statement).collect(),
    })
}

/// Brings an empty database to where students can begin: demo content, and an account for each.
async fn fill(installation: &Installation, students: usize) -> Result<()> {
    let mut config = Config::default();
    config.site.mode = Mode::Development;
    config.site.data_dir = installation.folder.path().to_owned();
    config.database.url = installation.database_url()?.map(Secret);
    let app = open::open(config).await.map_err(words)?;
    // The server does so only while there is nobody.
    demo::fill_if_empty(&app).await.map_err(words)?;
    let now = app.now();
    let hash = password::hash(PASSWORD.into(), now.random()).await.map_err(words)?;
    let all: Vec<_> = (0..students).collect();
    for some in all.chunks(1000) {
        let rows = some.iter().map(|n| {
            let id = UserId(Uuid::now_v7());
            user::ActiveModel::student(id, email(*n), format!("loader{n}"), hash.clone(), now.at)
        });
        user::Entity::insert_many(rows)
            .exec_without_returning(app.db.write())
            .await?;
    }
    app.db.close().await.map_err(words)?;
    Ok(())
}

fn email(student: usize) -> String {
    format!("loader{student}@example.com")
}

/// Errors of the library don't print themselves.
fn words(error: marmalade::error::Error) -> String {
    error.cause().map_or_else(|| "refused".into(), ToString::to_string)
}

/// How long a statement took, if this line of the server's log is about a slow one.
fn slow_statement(line: &str) -> Option<(Duration, String)> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let fields = &entry["fields"];
    if !fields["message"].as_str()?.contains("slow statement") {
        return None;
    }
    // One that does not say how long it took is not taken for a fast one.
    let took = fields["ms"].as_f64().map(|ms| Duration::from_secs_f64(ms / 1000.0));
    Some((took.unwrap_or(Duration::MAX), line.to_owned()))
}

/// What students ask for, in the order of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    SignIn,
    Refresh,
    List,
    Start,
    Paper,
    Answer,
    Submit,
    Rank,
    Review,
    Dashboard,
    Board,
}

impl Operation {
    /// Each has one root field.
    fn document(self) -> &'static str {
        match self {
            Self::SignIn => {
                "mutation($input: SignInInput!) { signIn(input: $input) {
                    errors { code message } tokens { accessToken refreshToken } } }"
            }
            Self::Refresh => {
                "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) {
                    errors { code message } tokens { accessToken refreshToken } } }"
            }
            Self::List => {
                "{ quizzes(first: 20) { totalCount pageInfo { hasNextPage endCursor }
                    nodes { id title description questionCount durationSeconds subject { id name } } } }"
            }
            Self::Start => {
                "mutation($input: StartAttemptInput!) { startAttempt(input: $input) {
                    errors { code message } resumed attempt { id deadlineAt serverTime } } }"
            }
            Self::Paper => {
                "query($id: ID!) { attempt(id: $id) { quiz { title } deadlineAt serverTime
                    questions { id number kind text image choices { id text } } answers { questionId choiceId seq } } }"
            }
            Self::Answer => {
                "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) {
                    errors { code message } outcome answer { seq answeredAt } } }"
            }
            Self::Submit => {
                "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) {
                    errors { code message } attempt { state submittedBy
                        result { points maxPoints rightCount wrongCount blankCount ranked } } } }"
            }
            Self::Rank => "{ board { viewerStanding { rank points } } }",
            Self::Review => {
                "query($id: ID!) { attempt(id: $id) { review { questions {
                    outcome points explanation question { id text } chosen { id text } right { id text } } } } }"
            }
            Self::Dashboard => {
                "{ dashboard { streakDays total { attempts points maxPoints accuracy }
                    days { day progress { points } } subjects { subject { name } progress { attempts accuracy } }
                    chapters { chapter { name } progress { rightCount wrongCount } }
                    recentAttempts { id quiz { title } submittedAt result { points maxPoints } } } }"
            }
            Self::Board => {
                "query($window: BoardWindow!) { board(window: $window) { endsAt
                    viewerStanding { rank points movement percentile }
                    standings(first: 20) { totalCount asOf nodes { rank points user { id handle avatar } } }
                    aroundViewer(above: 5, below: 5) { standings { rank points user { id handle avatar } } } } }"
            }
        }
    }
}

/// What came of one operation.
#[derive(Default)]
struct Outcomes {
    times: Vec<Duration>,
    /// By code.
    errors: BTreeMap<String, usize>,
}

/// What came of all of them so far.
#[derive(Default)]
struct Log {
    operations: BTreeMap<Operation, Outcomes>,
    /// From the reply of each submit that counts on boards to the reply of the rank that counts it.
    ranks: Vec<Duration>,
    /// The first errors in full.
    complaints: Vec<String>,
}

impl Log {
    fn complain(&mut self, operation: Operation, wrong: &Wrong) {
        let outcomes = self.operations.entry(operation).or_default();
        *outcomes.errors.entry(wrong.code.clone()).or_default() += 1;
        if self.complaints.len() < 5 {
            self.complaints
                .push(format!("{operation:?} {}: {}", wrong.code, wrong.text));
        }
    }
}

/// Why a student did not get what they came for.
struct Wrong {
    code: String,
    text: String,
}

impl Wrong {
    fn new(code: impl Into<String>, text: impl ToString) -> Self {
        Self {
            code: code.into(),
            text: text.to_string(),
        }
    }
}

/// The student has been told off; it is in the log.
struct Refused;

/// How often a student does something, so that the server need not tell them.
struct Pace {
    uses: usize,
    per: Duration,
    /// When the answers to the last uses came, which is after the server has counted them.
    last: VecDeque<Instant>,
}

impl Pace {
    fn new(uses: usize, per: Duration) -> Self {
        Self {
            uses,
            per: per + Duration::from_millis(100),
            last: VecDeque::new(),
        }
    }

    fn used(&mut self) {
        self.last.push_front(Instant::now());
        self.last.truncate(self.uses);
    }

    /// When the next use is due, if it has to be waited for.
    fn next(&self) -> Option<Instant> {
        self.last.get(self.uses - 1).map(|use_| *use_ + self.per)
    }
}

struct Student {
    email: String,
    http: reqwest::Client,
    url: String,
    chance: StdRng,
    log: Arc<Mutex<Log>>,
    access_token: Option<String>,
    refresh_token: String,
    refreshed: Instant,
    starts: Pace,
    submits: Pace,
    reviews: Pace,
    answers: Pace,
    /// Thousandths of a point by quiz: what counts on boards.
    ranked: HashMap<String, i64>,
}

impl Student {
    fn new(n: usize, server: &str, chance: StdRng, log: Arc<Mutex<Log>>) -> Result<Self> {
        let mut http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            // Before the server hangs up.
            .pool_idle_timeout(Duration::from_secs(15));
        if cfg!(target_os = "linux") {
            http = http.local_address(Some(Ipv4Addr::new(127, 0, 0, 2 + (n % 250) as u8).into()));
        }
        Ok(Self {
            email: email(n),
            http: http.build()?,
            url: format!("{server}/graphql"),
            chance,
            log,
            access_token: None,
            refresh_token: String::new(),
            refreshed: Instant::now(),
            starts: Pace::new(10, HOUR),
            submits: Pace::new(2, MINUTE),
            reviews: Pace::new(10, HOUR),
            answers: Pace::new(30, MINUTE),
            ranked: HashMap::new(),
        })
    }

    /// From signing in to leaving.
    async fn journey(mut self, comes: Instant, leaves: Instant) {
        sleep(comes.saturating_duration_since(Instant::now())).await;
        while self.sign_in().await.is_err() {
            self.think(5.0..10.0).await;
            if Instant::now() > leaves {
                return;
            }
        }
        while Instant::now() < leaves {
            if self.round(leaves).await.is_err() {
                self.think(2.0..5.0).await;
            }
        }
    }

    async fn think(&mut self, seconds: std::ops::Range<f64>) {
        self.think_until(Instant::now() + HOUR, seconds).await;
    }

    /// The moment to leave cuts it short.
    async fn think_until(&mut self, leaves: Instant, seconds: std::ops::Range<f64>) {
        let thinks = Duration::from_secs_f64(self.chance.random_range(seconds));
        sleep(thinks.min(leaves.saturating_duration_since(Instant::now()))).await;
    }

    async fn sign_in(&mut self) -> Result<(), Refused> {
        let input = json!({"email": self.email, "password": PASSWORD, "client": "NATIVE"});
        let data = self.ask(Operation::SignIn, json!({"input": input})).await?;
        self.hold(&data["signIn"]["tokens"]);
        Ok(())
    }

    fn hold(&mut self, tokens: &Value) {
        self.access_token = Some(text(&tokens["accessToken"]));
        self.refresh_token = text(&tokens["refreshToken"]);
        self.refreshed = Instant::now();
    }

    /// One quiz, from the catalogue to the board.
    async fn round(&mut self, leaves: Instant) -> Result<(), Refused> {
        if self.refreshed.elapsed() > FRESH {
            let input = json!({"refreshToken": self.refresh_token});
            let data = self.ask(Operation::Refresh, json!({"input": input})).await?;
            self.hold(&data["refreshSession"]["tokens"]);
        }
        let quiz = self.choose().await?;
        self.think_until(leaves, 0.5..2.0).await;
        if Instant::now() >= leaves {
            return Ok(());
        }
        // Whoever may not submit or review yet looks around until then.
        let due = [&self.starts, &self.submits, &self.reviews].map(Pace::next);
        let due = due.into_iter().flatten().max();
        if due.is_some_and(|due| due > Instant::now()) {
            self.look_around(leaves).await?;
            let rest = due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()));
            let rest = rest.as_secs_f64().min(self.chance.random_range(5.0..15.0));
            self.think_until(leaves, rest..rest + 0.5).await;
            return Ok(());
        }

        let input = json!({"quizId": quiz});
        let data = self.ask(Operation::Start, json!({"input": input})).await?;
        if data["startAttempt"]["resumed"] == false {
            self.starts.used();
        }
        let attempt = text(&data["startAttempt"]["attempt"]["id"]);
        self.answer(&attempt, leaves).await?;
        self.submit(&attempt, &quiz).await?;
        self.think_until(leaves, 0.5..2.0).await;
        self.review(&attempt).await?;
        self.think_until(leaves, 2.0..6.0).await;
        self.look_around(leaves).await
    }

    /// Mostly a quiz that the student has not taken yet.
    async fn choose(&mut self) -> Result<String, Refused> {
        let data = self.ask(Operation::List, json!({})).await?;
        let nodes = data["quizzes"]["nodes"].as_array().into_iter().flatten();
        let quizzes: Vec<_> = nodes.map(|quiz| text(&quiz["id"])).collect();
        let new: Vec<_> = quizzes.iter().filter(|id| !self.ranked.contains_key(*id)).collect();
        let again = self.chance.random_range(0..4) == 0;
        let chosen = match new.choose(&mut self.chance) {
            Some(quiz) if !again => Some(*quiz),
            _ => quizzes.choose(&mut self.chance),
        };
        chosen.cloned().ok_or_else(|| {
            self.complain(Operation::List, "NO_QUIZ", &data);
            Refused
        })
    }

    async fn answer(&mut self, attempt: &str, leaves: Instant) -> Result<(), Refused> {
        let data = self.ask(Operation::Paper, json!({"id": attempt})).await?;
        let mut questions = data["attempt"]["questions"].as_array().cloned().unwrap_or_default();
        if questions.is_empty() {
            self.complain(Operation::Paper, "NO_QUESTIONS", &data);
            return Err(Refused);
        }
        let answers = data["attempt"]["answers"].as_array().cloned().unwrap_or_default();
        questions.shuffle(&mut self.chance);
        questions.truncate(self.chance.random_range(5..=20));
        for question in questions {
            // Not more than 30 in a minute.
            self.think_until(leaves, 2.2..5.0).await;
            if Instant::now() >= leaves || self.answers.next().is_some_and(|due| due > Instant::now()) {
                break;
            }
            let choices = question["choices"].as_array().into_iter().flatten();
            let choices: Vec<_> = choices.map(|choice| text(&choice["id"])).collect();
            let before = answers.iter().find(|answer| answer["questionId"] == question["id"]);
            let seq = before.and_then(|answer| answer["seq"].as_i64()).unwrap_or(0) + 1;
            let mut input = json!({"attemptId": attempt, "questionId": question["id"], "seq": seq});
            match question["kind"].as_str() {
                Some("NUMBER") => input["number"] = json!("42"),
                Some("ALL_CHOICES") => input["choiceIds"] = json!(choices),
                _ => input["choiceId"] = json!(choices.choose(&mut self.chance)),
            }
            let data = self.ask(Operation::Answer, json!({"input": input})).await?;
            self.answers.used();
            if data["saveAnswer"]["outcome"] != "SAVED" {
                self.complain(Operation::Answer, "NOT_SAVED", &data);
            }
        }
        Ok(())
    }

    /// Submits, and asks for the rank until it counts the submit.
    async fn submit(&mut self, attempt: &str, quiz: &str) -> Result<(), Refused> {
        let key = Uuid::from_u128(self.chance.random()).to_string();
        let input = json!({"attemptId": attempt, "idempotencyKey": key});
        let data = self.ask(Operation::Submit, json!({"input": input})).await?;
        let replied = Instant::now();
        self.submits.used();
        let submitted = &data["submitAttempt"]["attempt"];
        let result = &submitted["result"];
        let Some(points) = thousandths(&result["points"]).filter(|_| submitted["submittedBy"] == "STUDENT") else {
            self.complain(Operation::Submit, "NOT_SUBMITTED", &data);
            return Err(Refused);
        };
        let counts = result["ranked"] == true;
        if counts {
            let best = self.ranked.entry(quiz.to_owned()).or_insert(points);
            *best = points.max(*best);
        }
        let expected: i64 = self.ranked.values().sum();
        loop {
            let data = self.ask(Operation::Rank, json!({})).await?;
            let standing = &data["board"]["viewerStanding"];
            let took = replied.elapsed();
            let right = thousandths(&standing["points"]) == Some(expected) && standing["rank"].is_u64();
            if counts && (right || took > PATIENCE) {
                self.log().ranks.push(took);
            }
            if right {
                return Ok(());
            }
            // A practice result moves nothing: there is nothing to wait for.
            if !counts || took > PATIENCE {
                let text = format!("{expected} thousandths were expected: {data}");
                self.complain(Operation::Rank, "WRONG_RANK", text);
                return Err(Refused);
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn review(&mut self, attempt: &str) -> Result<(), Refused> {
        let data = self.ask(Operation::Review, json!({"id": attempt})).await?;
        self.reviews.used();
        let questions = data["attempt"]["review"]["questions"].as_array();
        if questions.is_none_or(|questions| questions.iter().all(|question| question["explanation"].is_null())) {
            self.complain(Operation::Review, "NO_EXPLANATION", &data);
        }
        Ok(())
    }

    async fn look_around(&mut self, leaves: Instant) -> Result<(), Refused> {
        self.ask(Operation::Dashboard, json!({})).await?;
        self.think_until(leaves, 1.0..4.0).await;
        let windows = ["ALL_TIME", "MONTH", "WEEK", "DAY"];
        let window = windows.choose(&mut self.chance);
        self.ask(Operation::Board, json!({"window": window})).await?;
        self.think_until(leaves, 1.0..4.0).await;
        Ok(())
    }

    /// One request, measured from here to the end of its answer.
    async fn ask(&self, operation: Operation, variables: Value) -> Result<Value, Refused> {
        let begun = Instant::now();
        let outcome = self.send(operation, variables).await;
        let took = begun.elapsed();
        let mut log = self.log();
        log.operations.entry(operation).or_default().times.push(took);
        outcome.map_err(|wrong| {
            log.complain(operation, &wrong);
            Refused
        })
    }

    async fn send(&self, operation: Operation, variables: Value) -> Result<Value, Wrong> {
        let body = json!({"query": operation.document(), "variables": variables});
        let mut request = self.http.post(&self.url).json(&body);
        if let Some(token) = &self.access_token {
            request = request.bearer_auth(token);
        }
        let broken = |error: reqwest::Error| Wrong::new("TRANSPORT", format!("{error:?}"));
        let response = request.send().await.map_err(broken)?;
        let status = response.status();
        let text = response.text().await.map_err(broken)?;
        let mut reply: Value = serde_json::from_str(&text).unwrap_or_default();
        let refused = reply["errors"][0]["extensions"]["code"].as_str();
        let fields = reply["data"].as_object().into_iter().flat_map(|data| data.values());
        let payload = fields.filter_map(|field| field["errors"][0]["code"].as_str()).next();
        if let Some(code) = refused.or(payload) {
            return Err(Wrong::new(code, text));
        }
        if status != reqwest::StatusCode::OK || !reply["errors"].is_null() || reply["data"].is_null() {
            return Err(Wrong::new(format!("HTTP_{}", status.as_u16()), text));
        }
        Ok(reply["data"].take())
    }

    fn complain(&self, operation: Operation, code: &str, text: impl ToString) {
        self.log().complain(operation, &Wrong::new(code, text));
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Points as the server counts them.
fn thousandths(points: &Value) -> Option<i64> {
    points.as_f64().map(|points| (points * 1000.0).round() as i64)
}

/// What came of it.
pub struct Report {
    students: usize,
    seconds: f64,
    /// With its times sorted.
    log: Log,
    /// Seconds of processor time that the server took.
    processor: Option<f64>,
    /// KiB of the server at the end.
    resident: Option<u64>,
    /// The statements that the server has logged as slow, each with its line.
    statements: Vec<(Duration, String)>,
}

impl Report {
    pub fn requests(&self) -> usize {
        self.log.operations.values().map(|outcomes| outcomes.times.len()).sum()
    }

    pub fn errors(&self) -> usize {
        self.log.operations.values().flat_map(|o| o.errors.values()).sum()
    }

    pub fn submits(&self) -> usize {
        self.log.operations.get(&Operation::Submit).map_or(0, |o| o.times.len())
    }

    /// Which promises the site has broken under this load.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let (errors, requests) = (self.errors(), self.requests());
        if errors > 0 {
            broken.push(format!(
                "{errors} of {requests} requests did not get what they came for"
            ));
        }
        for (operation, outcomes) in &self.log.operations {
            let median = percentile(&outcomes.times, 50.0);
            if median >= MEDIAN {
                broken.push(format!("the median of {operation:?} is {median:.1?}"));
            }
        }
        let late = self.log.ranks.iter().filter(|took| **took > RANK).count();
        if late > 0 {
            broken.push(format!("{late} ranks came later than {RANK:?} after the submit"));
        }
        if self.log.ranks.is_empty() {
            broken.push("nobody has got a rank".into());
        }
        let over = self.over();
        if over > 0 {
            broken.push(format!("{over} statements took longer than {STATEMENT:?}"));
        }
        broken
    }

    fn over(&self) -> usize {
        self.statements.iter().filter(|(took, _)| *took > STATEMENT).count()
    }
}

/// Of sorted times: the smallest that so many percent do not exceed.
fn percentile(times: &[Duration], percent: f64) -> Duration {
    let rank = (times.len() as f64 * percent / 100.0).ceil() as usize;
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| operation | count | errors | median ms | p95 | p99 | max |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (operation, Outcomes { times, errors }) in &self.log.operations {
            let (name, count, errors) = (format!("{operation:?}"), times.len(), errors.values().sum::<usize>());
            let [median, p95, p99, max] = [50.0, 95.0, 99.0, 100.0].map(|percent| ms(percentile(times, percent)));
            writeln!(
                f,
                "| {name} | {count} | {errors} | {median:.1} | {p95:.1} | {p99:.1} | {max:.1} |"
            )?;
        }
        for (operation, outcomes) in &self.log.operations {
            for (code, count) in &outcomes.errors {
                writeln!(f, "{operation:?}: {count} times {code}")?;
            }
        }
        for complaint in &self.log.complaints {
            writeln!(f, "{complaint}")?;
        }
        let (requests, errors, seconds) = (self.requests(), self.errors(), self.seconds);
        writeln!(
            f,
            "{} students in {seconds:.1} s: {requests} requests, {:.0} a second; {errors} errors, {:.3} %",
            self.students,
            requests as f64 / seconds,
            100.0 * errors as f64 / requests.max(1) as f64
        )?;
        let ranks = &self.log.ranks;
        let [median, p99, max] = [50.0, 99.0, 100.0].map(|percent| ms(percentile(ranks, percent)));
        writeln!(
            f,
            "from submit to rank, {} times: median {median:.1} ms, p99 {p99:.1} ms, max {max:.1} ms",
            ranks.len()
        )?;
        let (slow, over) = (self.statements.len(), self.over());
        write!(
            f,
            "slow statements in the log: {slow}, longer than {STATEMENT:?}: {over}"
        )?;
        for (_, line) in self.statements.iter().take(5) {
            write!(f, "\n{line}")?;
        }
        if let Some((processor, resident)) = self.processor.zip(self.resident) {
            let share = 100.0 * processor / seconds;
            write!(
                f,
                "\nthe server took {processor:.1} s of processor time, {share:.0} % of one; resident at the end: {resident} KiB"
            )?;
        }
        Ok(())
    }
}
