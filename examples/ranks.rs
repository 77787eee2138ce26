//! What ranks cost, at ten thousand, a hundred thousand and a million standings: questions as a client asks them, through
//! the whole server but without a network; submits; updates of the index alone; building it; its memory.
//!
//! ```sh
//! cargo run --release --example ranks
//! cargo run --release --example ranks -- --postgres postgres://… --redis redis://127.0.0.1:6379    # a fleet's
//! ```
//!
//! Each size gets an empty database of its own (SQLite in a temporary folder, or one on the PostgreSQL given, which goes
//! again), filled as `fanout` fills it. Times are medians; one question after the other.

#[expect(dead_code, reason = "its main is for the command line")]
#[path = "fanout.rs"]
mod fanout;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::Request,
};
use clap::Parser;
use fanout::{Fanout, Size, token};
use marmalade::{
    app::App,
    clock::Time,
    config::{Config, Mode},
    fleet::Health,
    http,
    id::UserId,
    limit::{Limits, Rate},
    open,
    ranks::board::{Board, Scope, Span, Window},
    ranks::question::Changed,
    secret::Secret,
};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tower::ServiceExt;
use url::Url;
use uuid::Uuid;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What is measured.
#[derive(Parser)]
struct Plan {
    /// How many standings
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    sizes: Vec<usize>,
    /// How often each question is asked
    #[arg(long, default_value_t = 500)]
    times: usize,
    /// A PostgreSQL server to make databases on
    #[arg(long)]
    postgres: Option<String>,
    /// The fleet's Redis; needs --postgres
    #[arg(long)]
    redis: Option<String>,
}

const QUESTIONS: [(&str, &str); 3] = [
    ("the viewer's rank", "{ board { viewerStanding { rank points } } }"),
    (
        "50 from the middle",
        "{ board { standings(fromRank: MIDDLE, first: 50) { nodes { rank points user { handle } } } } }",
    ),
    (
        "ten around the viewer",
        "{ board { aroundViewer(above: 5, below: 5) { standings { rank points user { handle } } } } }",
    ),
];

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::parse();
    println!(
        "| standings | {} | a submit | an update | build | memory |",
        QUESTIONS.map(|(what, _)| what).join(" | ")
    );
    println!("|---|---|---|---|---|---|---|---|");
    for size in &plan.sizes {
        let name = format!("marmalade_ranks_{}", Uuid::new_v4().simple());
        on_server(plan.postgres.as_deref(), &format!("CREATE DATABASE {name}")).await?;
        let row = measure(&plan, *size, &name).await;
        on_server(plan.postgres.as_deref(), &format!("DROP DATABASE {name} WITH (FORCE)")).await?;
        println!("{}", row?);
    }
    Ok(())
}

async fn on_server(postgres: Option<&str>, statement: &str) -> Result<()> {
    if let Some(url) = postgres {
        let admin = sea_orm::Database::connect(url).await?;
        admin.execute_unprepared(statement).await?;
        admin.close().await?;
    }
    Ok(())
}

async fn measure(plan: &Plan, standings: usize, name: &str) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let database_url = match &plan.postgres {
        Some(url) => {
            let mut url = Url::parse(url)?;
            url.set_path(name);
            Some(Secret(url.into()))
        }
        None => None,
    };
    let unlimited = Rate::new(1_000_000, Duration::from_secs(1));
    let mut config = Config::default();
    config.site.mode = Mode::Development;
    config.site.data_dir = folder.path().to_owned();
    config.site.demo = false;
    config.database.url = database_url;
    config.redis.url = plan.redis.clone().map(Secret);
    config.redis.prefix = name.to_owned();
    config.limits = Limits {
        requests: unlimited,
        submits: unlimited,
        ..Limits::default()
    };
    let app = open::open(config).await.map_err(words)?;
    // Before the tokens of students who have never signed in are looked up.
    if let Some(fleet) = app.fleet.clone() {
        tokio::spawn(marmalade::background::keep_channel(app.clone()));
        fleet.until(Health::Connected).await;
    }
    let size = Size {
        listeners: plan.times.min(standings),
        standings,
        submits: 1,
        seconds: plan.times,
        emails: 0,
        server: None,
    };
    let fanout = Fanout::seed(&app, &size).await?;
    let everything = Board {
        scope: Scope::Everything,
        window: Window::at(Span::AllTime, app.clock.now(), app.zone),
    };

    let before = memory(plan).await?;
    let begun = Instant::now();
    while app.boards.ranks.ask(&app.db, everything, &[]).await.is_none() {}
    let build = begun.elapsed();
    let bytes = memory(plan).await?.saturating_sub(before) / standings as u64;

    let router = http::router(app.clone()).map_err(words)?;
    let mut cells = vec![standings.to_string()];
    for (_, query) in QUESTIONS {
        let query = query.replace("MIDDLE", &(standings / 2).to_string());
        let mut times = Vec::new();
        for (student, _) in &fanout.listeners {
            times.push(ask(&router, &token(&app, *student)?, &query, json!({})).await?);
        }
        cells.push(median(times));
    }
    let mut times = Vec::new();
    for submitter in &fanout.submitters {
        let input = json!({"input": {"attemptId": submitter.attempt, "idempotencyKey": "the key of a test"}});
        times.push(ask(&router, &token(&app, submitter.student)?, fanout::SUBMIT, input).await?);
    }
    cells.push(median(times));
    let mut times = Vec::new();
    for (n, (student, score)) in fanout.listeners.iter().enumerate() {
        times.push(update(&app, *student, score + 500 + n as i64).await?);
    }
    cells.push(median(times));
    cells.extend([format!("{:.2} s", build.as_secs_f64()), format!("{bytes} B each")]);
    app.shutdown.cancel();
    app.db.close().await.map_err(words)?;
    Ok(format!("| {} |", cells.join(" | ")))
}

/// How long the server takes for an operation.
async fn ask(router: &Router, token: &str, query: &str, variables: Value) -> Result<Duration> {
    let body = json!({"query": query, "variables": variables}).to_string();
    let request = Request::post("/graphql")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .body(Body::from(body))?;
    let begun = Instant::now();
    let response = router.clone().oneshot(request).await?;
    let body = to_bytes(response.into_body(), usize::MAX).await?;
    let time = begun.elapsed();
    let reply: Value = serde_json::from_slice(&body)?;
    match reply["errors"].is_null() {
        true => Ok(time),
        false => Err(reply.to_string().into()),
    }
}

/// How long the index takes for one student's new standing.
async fn update(app: &App, student: UserId, score: i64) -> Result<Duration> {
    let changed = Changed {
        scope_id: Uuid::nil(),
        window_key: "all".into(),
        score,
        reached_at: Time(app.clock.now().0),
    };
    let begun = Instant::now();
    app.boards
        .ranks
        .apply(student, 1_000_000, true, &[changed])
        .await
        .map_err(words)?;
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    format!("{:.1} µs", median.as_secs_f64() * 1e6)
}

/// Bytes that this process has in memory, or Redis.
async fn memory(plan: &Plan) -> Result<u64> {
    if let Some(url) = &plan.redis {
        let mut redis = redis::Client::open(url.as_str())?
            .get_multiplexed_async_connection()
            .await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut redis).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        return Ok(used.ok_or("no figure")?.trim().parse()?);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.unwrap_or(0) * 1024)
}

/// Errors of the library don't print themselves.
fn words(error: marmalade::error::Error) -> String {
    error.cause().map_or_else(|| "refused".into(), ToString::to_string)
}
