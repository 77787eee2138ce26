//! Kills a serving process at random moments under load, and looks whether it kept its word.
//!
//! Each round starts the real server on a data folder and a database of its own, lets students start attempts, save
//! answers and submit as fast as they can, and ends the server with `kill -9` in the middle of it. Then `marmalade
//! verify` must find nothing, and once the server is up again every student compares what it says with what they were
//! told before: each acknowledged answer is stored, each acknowledged submit has the result that was shown, nothing is
//! there twice, and nothing is there that was never sent. What was under way when the server died may have happened or
//! not, but not by half.
//!
//! ```sh
//! cargo build --release
//! cargo run --release --example kill -- --rounds 300                # on an embedded database
//! cargo run --release --example kill -- --rounds 300 --postgres postgres://postgres@127.0.0.1:5432/postgres
//! ```
//!
//! PostgreSQL gets a database of its own on that server, which goes again at the end.
//!
//! With `--servers` and `--redis` there is a fleet: one of its servers dies, the others go on, and afterwards every
//! student asks another server than before; all of them must show the same board. `--fault` has a command run in the
//! middle of the load instead, as often as a server is killed: the restart of PostgreSQL, say, or of a Redis that keeps
//! nothing.
//!
//! ```sh
//! cargo run --release --example kill -- --rounds 60 --servers 3 --postgres … --redis redis://127.0.0.1:6380 \
//!     --fault 'redis-cli -p 6380 shutdown nosave; redis-server --port 6380 --save "" --daemonize yes' \
//!     --fault 'pg_ctl restart -D … -m immediate'
//! ```

#[path = "server/mod.rs"]
pub mod server;

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fmt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use clap::Parser;
use futures_util::future::{join_all, try_join_all};
use marmalade::limit::Limit;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};
use server::{Ground, Installation, Server};
use tokio::sync::Notify;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// How to run it.
#[derive(Parser)]
pub struct Plan {
    /// How often the server is killed
    #[arg(long, default_value_t = 300)]
    pub rounds: u32,
    /// How many students work at the same time
    #[arg(long, default_value_t = 8)]
    pub students: usize,
    /// The server dies at a random moment up to so many milliseconds after the first answer was acknowledged
    #[arg(long, default_value_t = 800)]
    pub longest: u64,
    #[command(flatten)]
    pub ground: Ground,
    /// How many servers there are
    #[arg(long, default_value_t = 1)]
    pub servers: usize,
    /// A shell command that harms what the servers stand on; in some rounds it runs instead of a kill
    #[arg(long = "fault")]
    pub faults: Vec<String>,
    /// Repeats the choices of another run (the moments of the machine can't be repeated)
    #[arg(long)]
    pub seed: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::parse();
    let tally = run(&plan, |line| println!("{line}")).await?;
    println!("{tally}");
    Ok(())
}

/// What was seen in all rounds.
#[derive(Default)]
pub struct Tally {
    pub rounds: u32,
    /// Acknowledged saves, each found again, or a later one of the same question.
    pub saves: usize,
    /// Acknowledged submits, each found again with the result that was shown.
    pub submits: usize,
    /// Saves that were under way when the server died: stored, not stored.
    pub doubtful_saves: [usize; 2],
    /// Submits that were under way when the server died: committed, not committed.
    pub doubtful_submits: [usize; 2],
    /// From the start of the process to its first line.
    pub slowest_start: Duration,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([kept, gone], [done, undone]) = (self.doubtful_saves, self.doubtful_submits);
        write!(
            f,
            "killed {} times: {} acknowledged saves and {} acknowledged submits are all there, once. Under way were {} \
             saves ({kept} stored) and {} submits ({done} committed). The slowest start took {:?}.",
            self.rounds,
            self.saves,
            self.submits,
            kept + gone,
            done + undone,
            self.slowest_start,
        )
    }
}

/// Kills the server so often. An error tells the first promise that was broken.
pub async fn run(plan: &Plan, mut tell: impl FnMut(String)) -> Result<Tally> {
    let seed = plan.seed.unwrap_or_else(rand::random);
    tell(format!("--seed {seed}"));
    let mut chance = StdRng::seed_from_u64(seed);
    // Students here are faster than any.
    let unlimited = Limit::ALL.iter().map(|limit| (limit.key(), "1000000/1s")).collect();
    let installation = Installation::new(&plan.ground, unlimited).await?;
    let fleet = plan.servers > 1;
    let mut students: Vec<_> = (0..plan.students)
        .map(|n| Student::new(n, StdRng::seed_from_u64(chance.random())))
        .collect();
    let mut tally = Tally::default();
    let mut servers = Vec::new();
    for _ in 0..plan.servers {
        servers.push(installation.start().await?);
    }
    // Each student asks another server than in the round before.
    let url = |servers: &[Server], n: usize, round: u32| servers[(n + round as usize) % servers.len()].url.clone();
    for (n, student) in students.iter_mut().enumerate() {
        student.register(&url(&servers, n, 0)).await?;
    }
    for round in 1..=plan.rounds {
        let urls: Vec<_> = (0..students.len()).map(|n| url(&servers, n, round)).collect();
        try_join_all(
            students
                .iter_mut()
                .zip(&urls)
                .map(|(student, url)| student.sign_in(url)),
        )
        .await?;
        let dies = Duration::from_millis(chance.random_range(0..=plan.longest));
        let fault = chance.random_range(0..=plan.faults.len()).checked_sub(1);
        let victim = chance.random_range(0..servers.len());
        let fate = Fate::default();
        let harm = async {
            fate.busy.notified().await;
            tokio::time::sleep(dies).await;
            fate.dead.store(true, Ordering::SeqCst);
            match fault {
                None => servers[victim].kill()?,
                Some(fault) => shell(&plan.faults[fault]).await?,
            }
            if servers.len() > 1 {
                // The others go on.
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            fate.over.store(true, Ordering::SeqCst);
            Ok::<_, Box<dyn Error + Send + Sync>>(())
        };
        let work = join_all(
            students
                .iter_mut()
                .zip(&urls)
                .map(|(student, url)| student.work(url, &fate)),
        );
        let (harmed, worked) = tokio::join!(harm, work);
        harmed?;
        worked.into_iter().collect::<Result<()>>()?;
        installation.wait_for_the_database(fleet).await?;
        if servers.len() == 1 {
            installation.verify()?;
        }
        if fault.is_none() {
            let begun = Instant::now();
            servers[victim] = installation.start().await?;
            tally.slowest_start = tally.slowest_start.max(begun.elapsed());
        }
        for server in &servers {
            server.until_ready().await?;
        }
        if servers.len() > 1 {
            installation.verify()?;
        }
        let urls: Vec<_> = (0..students.len()).map(|n| url(&servers, n, round + 1)).collect();
        let checks = students.iter_mut().zip(&urls).map(|(student, url)| student.check(url));
        for checked in try_join_all(checks).await? {
            checked.add_to(&mut tally);
        }
        same_board(&students, &servers).await?;
        tally.rounds = round;
        if round % 10 == 0 {
            tell(format!("{tally}"));
        }
    }
    // What was right after one restart must still be right after all of them.
    let last = servers[0].url.clone();
    try_join_all(students.iter_mut().map(|student| student.check_all(&last))).await?;
    for server in &mut servers {
        server.kill()?;
    }
    installation.wait_for_the_database(false).await?;
    installation.verify()?;
    installation.clear().await?;
    Ok(tally)
}

async fn shell(command: &str) -> Result<()> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdout(Stdio::null());
    let status = tokio::task::spawn_blocking(move || shell.status()).await??;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command}: {status}").into())
    }
}

/// Whichever server is asked, the board is the same.
async fn same_board(students: &[Student], servers: &[Server]) -> Result<()> {
    let (Some(student), [first, others @ ..]) = (students.first(), servers) else {
        return Ok(());
    };
    let query = "{ board { standings(first: 100) { totalCount nodes { rank points user { handle } } } } }";
    let expected = student.must(&first.url, query, json!({})).await?;
    for server in others {
        let shown = student.must(&server.url, query, json!({})).await?;
        if shown != expected {
            return Err(format!("two servers show two boards: {expected} {shown}").into());
        }
    }
    Ok(())
}

/// What the students of one round and whoever kills their server tell each other.
#[derive(Default)]
struct Fate {
    /// Somebody has an answer acknowledged: the load has begun.
    busy: Notify,
    /// From now on a broken connection is no fault.
    dead: AtomicBool,
    /// The round ends for those, too, whose server has gone on.
    over: AtomicBool,
}

/// Why a question to the server has no answer.
enum Unanswered {
    /// The connection broke: nobody knows what became of it.
    Lost,
    /// The server said something that it must not say.
    Wrong(String),
}

/// A student and what they were told.
struct Student {
    handle: String,
    http: reqwest::Client,
    id: String,
    token: Option<String>,
    chance: StdRng,
    quizzes: Vec<String>,
    /// The quiz of a start that was sent and never answered: it may have opened an attempt.
    doubtful_start: Option<String>,
    open: Option<Sheet>,
    /// How many saves were acknowledged in this round.
    saves: usize,
    /// Submitted in this round, to be looked at after the restart.
    submitted: Vec<Sheet>,
    /// The result of every attempt that was looked at after a restart.
    results: BTreeMap<String, Value>,
}

/// One attempt, as its student knows it.
struct Sheet {
    attempt: String,
    questions: Vec<(String, Vec<String>)>,
    entries: HashMap<String, Entry>,
    /// A submit was sent with this key.
    key: Option<String>,
    /// The result that the server has shown.
    result: Option<Value>,
}

/// What was sent for one question.
#[derive(Default)]
struct Entry {
    /// The choice of each save, by `seq`.
    sent: BTreeMap<i64, Option<String>>,
    /// The highest `seq` that was acknowledged; 0: none.
    acknowledged: i64,
}

/// What one student found after a restart.
#[derive(Default)]
struct Checked {
    saves: usize,
    submits: usize,
    doubtful_saves: [usize; 2],
    doubtful_submits: [usize; 2],
}

impl Checked {
    fn add_to(self, tally: &mut Tally) {
        tally.saves += self.saves;
        tally.submits += self.submits;
        for i in 0..2 {
            tally.doubtful_saves[i] += self.doubtful_saves[i];
            tally.doubtful_submits[i] += self.doubtful_submits[i];
        }
    }
}

const SUBMIT: &str = "mutation($input: SubmitAttemptInput!) { submitAttempt(input: $input) { errors { message }
    attempt { state submittedBy result { points maxPoints rightCount wrongCount blankCount } } } }";

impl Student {
    fn new(n: usize, chance: StdRng) -> Self {
        Self {
            handle: format!("victim{n}"),
            http: reqwest::Client::new(),
            id: String::new(),
            token: None,
            chance,
            quizzes: Vec::new(),
            doubtful_start: None,
            open: None,
            saves: 0,
            submitted: Vec::new(),
            results: BTreeMap::new(),
        }
    }

    async fn ask(&self, server: &str, query: &str, variables: Value) -> Result<Value, Unanswered> {
        let mut request = self.http.post(format!("{server}/graphql"));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let body = json!({"query": query, "variables": variables});
        let response = request.json(&body).send().await.map_err(|_| Unanswered::Lost)?;
        let text = response.text().await.map_err(|_| Unanswered::Lost)?;
        let mut reply: Value = serde_json::from_str(&text).map_err(|_| Unanswered::Wrong(text.clone()))?;
        if reply["errors"][0]["extensions"]["code"] == "INTERNAL" {
            // What the server stands on is away: nobody knows what became of it.
            return Err(Unanswered::Lost);
        }
        if !reply["errors"].is_null() {
            return Err(Unanswered::Wrong(text));
        }
        Ok(reply["data"].take())
    }

    /// Asks while the server lives; losing the connection is then its fault.
    async fn must(&self, server: &str, query: &str, variables: Value) -> Result<Value> {
        self.ask(server, query, variables).await.map_err(|error| match error {
            Unanswered::Lost => format!("{}: the server hung up", self.handle).into(),
            Unanswered::Wrong(text) => format!("{}: {text}", self.handle).into(),
        })
    }

    async fn register(&mut self, server: &str) -> Result<()> {
        let query = "mutation($input: RegisterInput!) { register(input: $input) { errors { message } } }";
        let input = json!({"email": self.email(), "handle": self.handle, "password": "a long enough password"});
        self.must(server, query, json!({"input": input})).await?;
        let data = self
            .must(server, "{ quizzes(first: 20) { nodes { id } } }", json!({}))
            .await?;
        let nodes = data["quizzes"]["nodes"].as_array().cloned().unwrap_or_default();
        self.quizzes = nodes.iter().map(|quiz| text(&quiz["id"])).collect();
        Ok(())
    }

    async fn sign_in(&mut self, server: &str) -> Result<()> {
        self.token = None;
        let query = "mutation($input: SignInInput!) { signIn(input: $input) { tokens { accessToken } } }";
        let input = json!({"email": self.email(), "password": "a long enough password", "client": "NATIVE"});
        let data = self.must(server, query, json!({"input": input})).await?;
        let token = data["signIn"]["tokens"]["accessToken"].as_str();
        self.token = Some(token.ok_or(format!("{}: no token: {data}", self.handle))?.to_owned());
        self.id = text(&self.must(server, "{ viewer { id } }", json!({})).await?["viewer"]["id"]);
        Ok(())
    }

    fn email(&self) -> String {
        format!("{}@example.com", self.handle)
    }

    /// Takes quizzes until the server is gone.
    async fn work(&mut self, server: &str, fate: &Fate) -> Result<()> {
        loop {
            if fate.over.load(Ordering::SeqCst) {
                return Ok(());
            }
            match self.step(server).await {
                Ok(()) if self.saves > 0 => fate.busy.notify_one(),
                Ok(()) => {}
                Err(Unanswered::Lost) if fate.dead.load(Ordering::SeqCst) => return Ok(()),
                Err(Unanswered::Lost) => return Err(format!("{}: the server hung up by itself", self.handle).into()),
                Err(Unanswered::Wrong(text)) => return Err(format!("{}: {text}", self.handle).into()),
            }
        }
    }

    async fn step(&mut self, server: &str) -> Result<(), Unanswered> {
        match self.open.take() {
            None => self.open = Some(self.start(server).await?),
            Some(sheet) if sheet.key.is_some() => self.submitted.push(sheet),
            Some(mut sheet) => {
                let outcome = match self.chance.random_range(0..12) {
                    0 => self.submit(server, &mut sheet).await,
                    1 | 2 => self.save(server, &mut sheet, 10).await,
                    _ => self.save(server, &mut sheet, 1).await,
                };
                self.open = Some(sheet);
                outcome?;
            }
        }
        Ok(())
    }

    async fn start(&mut self, server: &str) -> Result<Sheet, Unanswered> {
        let quiz = match self.doubtful_start.take() {
            Some(quiz) => quiz,
            None => self.quizzes.choose(&mut self.chance).cloned().unwrap_or_default(),
        };
        self.doubtful_start = Some(quiz.clone());
        let query = "mutation($quiz: ID!) { startAttempt(input: {quizId: $quiz}) { errors { message }
            attempt { id answers { seq } questions { id kind choices { id } } } } }";
        let data = self.ask(server, query, json!({"quiz": quiz})).await?;
        self.doubtful_start = None;
        let attempt = &data["startAttempt"]["attempt"];
        let questions = attempt["questions"].as_array().cloned().unwrap_or_default();
        // What takes several choices or a number, or has several right ones, is left blank.
        let choices = |question: &Value| match question["kind"].as_str() {
            Some("ALL_CHOICES" | "ANY_CHOICE") => Vec::new(),
            _ => {
                let choices = question["choices"].as_array().into_iter().flatten();
                choices.map(|choice| text(&choice["id"])).collect()
            }
        };
        let sheet = Sheet {
            attempt: text(&attempt["id"]),
            questions: questions.iter().map(|q| (text(&q["id"]), choices(q))).collect(),
            entries: HashMap::new(),
            key: None,
            result: None,
        };
        let used = self.submitted.iter().any(|other| other.attempt == sheet.attempt);
        if sheet.questions.is_empty()
            || used
            || self.results.contains_key(&sheet.attempt)
            || attempt["answers"] != json!([])
        {
            return Err(Unanswered::Wrong(format!("no fresh attempt was started: {data}")));
        }
        Ok(sheet)
    }

    /// Saves answers to so many questions; now and then one is cleared.
    async fn save(&mut self, server: &str, sheet: &mut Sheet, count: usize) -> Result<(), Unanswered> {
        let mut answers = Vec::new();
        for (question, choices) in sheet.questions.choose_multiple(&mut self.chance, count) {
            let choice = if self.chance.random_range(0..20) == 0 {
                None
            } else {
                choices.choose(&mut self.chance).cloned()
            };
            let entry = sheet.entries.entry(question.clone()).or_default();
            let seq = entry.sent.keys().max().copied().unwrap_or(0) + 1;
            entry.sent.insert(seq, choice.clone());
            answers.push(json!({"questionId": question, "choiceId": choice, "seq": seq}));
        }
        let outcomes = if let [answer] = &answers[..] {
            let query =
                "mutation($input: SaveAnswerInput!) { saveAnswer(input: $input) { outcome errors { message } } }";
            let mut input = answer.clone();
            input["attemptId"] = json!(sheet.attempt);
            let data = self.ask(server, query, json!({"input": input})).await?;
            vec![data["saveAnswer"]["outcome"].clone()]
        } else {
            let query = "mutation($input: SaveAnswersInput!) { saveAnswers(input: $input) {
                results { outcome } errors { message } } }";
            let input = json!({"attemptId": sheet.attempt, "answers": answers});
            let data = self.ask(server, query, json!({"input": input})).await?;
            let results = data["saveAnswers"]["results"].as_array().cloned().unwrap_or_default();
            results.iter().map(|result| result["outcome"].clone()).collect()
        };
        if outcomes.len() != answers.len() || outcomes.iter().any(|outcome| outcome != "SAVED") {
            return Err(Unanswered::Wrong(format!("{answers:?} came to {outcomes:?}")));
        }
        self.saves += answers.len();
        for answer in &answers {
            let entry = sheet.entries.entry(text(&answer["questionId"])).or_default();
            entry.acknowledged = answer["seq"].as_i64().unwrap_or(0);
        }
        Ok(())
    }

    /// Submits, half of the time twice at once with the same key: both must be told the same.
    async fn submit(&mut self, server: &str, sheet: &mut Sheet) -> Result<(), Unanswered> {
        let key = sheet
            .key
            .get_or_insert_with(|| format!("key of {}", sheet.attempt))
            .clone();
        let input = json!({"input": {"attemptId": sheet.attempt, "idempotencyKey": key}});
        let twice = self.chance.random();
        let first = self.ask(server, SUBMIT, input.clone());
        let replies = if twice {
            let (first, second) = tokio::join!(first, self.ask(server, SUBMIT, input));
            vec![first, second]
        } else {
            vec![first.await]
        };
        let mut lost = false;
        for reply in replies {
            match reply {
                Ok(data) => {
                    let result = result_of(&data["submitAttempt"]).map_err(Unanswered::Wrong)?;
                    if sheet.result.get_or_insert_with(|| result.clone()) != &result {
                        return Err(Unanswered::Wrong(format!(
                            "two results: {:?} and {result}",
                            sheet.result
                        )));
                    }
                }
                Err(Unanswered::Lost) => lost = true,
                Err(wrong) => return Err(wrong),
            }
        }
        if lost { Err(Unanswered::Lost) } else { Ok(()) }
    }

    /// Compares what the server says after its restart with what it said before.
    async fn check(&mut self, server: &str) -> Result<Checked> {
        let mut checked = Checked {
            saves: std::mem::take(&mut self.saves),
            ..Checked::default()
        };
        for mut sheet in self.submitted.split_off(0).into_iter().chain(self.open.take()) {
            let query = "query($id: ID!) { attempt(id: $id) { state submittedBy answers { questionId seq choiceId }
                result { points maxPoints rightCount wrongCount blankCount } } }";
            let found = self.must(server, query, json!({"id": sheet.attempt})).await?["attempt"].take();
            let about = format!("{} {}", self.handle, sheet.attempt);
            let complain = |what: &str| format!("{about}: {what}: {found}");
            let submitted = found["state"] == "SUBMITTED";
            if submitted && sheet.key.is_none() {
                return Err(complain("nobody has submitted it").into());
            }
            if sheet.result.is_some() && !submitted {
                return Err(complain("an acknowledged submit is lost").into());
            }
            sheet
                .take_stock(&found["answers"], &mut checked)
                .map_err(|what| complain(&what))?;
            let Some(key) = &sheet.key else {
                self.open = Some(sheet);
                continue;
            };
            match sheet.result {
                Some(_) => checked.submits += 1,
                None => checked.doubtful_submits[usize::from(!submitted)] += 1,
            }
            // Whatever became of it: the same again leads to the one result.
            let input = json!({"input": {"attemptId": sheet.attempt, "idempotencyKey": key}});
            let data = self.must(server, SUBMIT, input).await?;
            let result = result_of(&data["submitAttempt"]).map_err(|what| complain(&what))?;
            if sheet.result.as_ref().is_some_and(|shown| *shown != result) || (submitted && found["result"] != result) {
                return Err(complain(&format!("{:?} was shown, now it is {result}", sheet.result)).into());
            }
            self.review(server, &sheet, &result).await?;
            self.results.insert(sheet.attempt, result);
        }
        self.count(server).await?;
        Ok(checked)
    }

    /// Every answer is scored as it was sent.
    async fn review(&self, server: &str, sheet: &Sheet, result: &Value) -> Result<()> {
        let query = "query($id: ID!) { attempt(id: $id) { review {
            questions { question { id } chosen { id } right { id } } } } }";
        let data = self.must(server, query, json!({"id": sheet.attempt})).await?;
        let questions = data["attempt"]["review"]["questions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let (mut right, mut wrong) = (0, 0);
        for reviewed in &questions {
            let sent = sheet.entries.get(&text(&reviewed["question"]["id"]));
            let sent = sent.and_then(|entry| entry.sent.get(&entry.acknowledged)?.clone());
            if reviewed["chosen"]["id"].as_str() != sent.as_deref() {
                return Err(format!("{} {}: {sent:?} was sent: {reviewed}", self.handle, sheet.attempt).into());
            }
            match sent {
                Some(choice) if reviewed["right"]["id"] == choice => right += 1,
                Some(_) => wrong += 1,
                None => {}
            }
        }
        if questions.len() != sheet.questions.len() || result["rightCount"] != right || result["wrongCount"] != wrong {
            return Err(format!(
                "{} {}: {right} right, {wrong} wrong: {result}",
                self.handle, sheet.attempt
            )
            .into());
        }
        Ok(())
    }

    /// There are as many attempts and results as the student knows of.
    async fn count(&self, server: &str) -> Result<()> {
        let query = "query($id: ID!) { node(id: $id) { ... on User { attempts(first: 1) { totalCount } } }
            dashboard { total { attempts } } }";
        let data = self.must(server, query, json!({"id": self.id})).await?;
        let attempts = data["node"]["attempts"]["totalCount"].as_u64().unwrap_or(0) as usize;
        let known = self.results.len() + usize::from(self.open.is_some());
        let surplus = attempts.checked_sub(known);
        if surplus.is_none_or(|surplus| surplus > usize::from(self.doubtful_start.is_some()))
            || data["dashboard"]["total"]["attempts"] != self.results.len()
        {
            let submitted = self.results.len();
            return Err(format!(
                "{} knows of {known} attempts, {submitted} submitted: {data}",
                self.handle
            )
            .into());
        }
        Ok(())
    }

    /// All results ever shown are still what they were.
    async fn check_all(&mut self, server: &str) -> Result<()> {
        self.sign_in(server).await?;
        let all: Vec<_> = self.results.iter().collect();
        for some in all.chunks(100) {
            let ids: Vec<_> = some.iter().map(|(id, _)| id).collect();
            let query = "query($ids: [ID!]!) { nodes(ids: $ids) { ... on Attempt {
                result { points maxPoints rightCount wrongCount blankCount } } } }";
            let data = self.must(server, query, json!({"ids": ids})).await?;
            for (n, (attempt, shown)) in some.iter().enumerate() {
                if data["nodes"][n]["result"] != **shown {
                    return Err(format!("{} {attempt}: {shown} was shown: {}", self.handle, data["nodes"][n]).into());
                }
            }
        }
        Ok(())
    }
}

impl Sheet {
    /// Compares the stored answers with those that were sent, and goes on from what is stored.
    fn take_stock(&mut self, stored: &Value, checked: &mut Checked) -> Result<(), String> {
        let stored = stored.as_array().cloned().unwrap_or_default();
        let mut found: HashMap<String, (i64, Option<String>)> = HashMap::new();
        for answer in &stored {
            let choice = answer["choiceId"].as_str().map(str::to_owned);
            let held = (answer["seq"].as_i64().unwrap_or(0), choice);
            if found.insert(text(&answer["questionId"]), held).is_some() {
                return Err(format!("an answer is there twice: {answer}"));
            }
        }
        if let Some(strange) = found.keys().find(|question| !self.entries.contains_key(*question)) {
            return Err(format!("nobody has answered {strange}"));
        }
        for (question, entry) in &mut self.entries {
            let (seq, choice) = found.remove(question).unwrap_or_default();
            if seq < entry.acknowledged {
                return Err(format!(
                    "save {} of {question} was acknowledged and is lost",
                    entry.acknowledged
                ));
            }
            if seq > 0 && entry.sent.get(&seq) != Some(&choice) {
                return Err(format!(
                    "save {seq} of {question} holds {choice:?}, sent was {:?}",
                    entry.sent
                ));
            }
            if entry
                .sent
                .keys()
                .max()
                .is_some_and(|newest| *newest > entry.acknowledged)
            {
                checked.doubtful_saves[usize::from(seq == entry.acknowledged)] += 1;
            }
            entry.sent.retain(|sent, _| *sent <= seq);
            entry.acknowledged = seq;
        }
        Ok(())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The result in a submit's payload.
fn result_of(payload: &Value) -> Result<Value, String> {
    let attempt = &payload["attempt"];
    if payload["errors"] != json!([]) || attempt["state"] != "SUBMITTED" || attempt["submittedBy"] != "STUDENT" {
        return Err(format!("a submit came to {payload}"));
    }
    Ok(attempt["result"].clone())
}
