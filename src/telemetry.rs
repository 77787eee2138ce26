//! Observability: metrics for Prometheus at `/metrics`, and traces for an OpenTelemetry collector. Logs are
//! `tracing`'s, set up in `main.rs`.
//!
//! [`METRICS`] describes every metric, docs/metrics.md how to use them. Names follow Prometheus' conventions
//! (<https://prometheus.io/docs/practices/naming/>): base units, `_total` for counters.

mod traces;

use std::{
    sync::{Once, OnceLock},
    time::Duration,
};

use confique::Config;
use metrics::{Unit, counter, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;

pub use self::traces::Traces;
pub(crate) use self::traces::follow;

use crate::secret::Secret;

/// The keys of logs and metrics.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// Bearer token for /metrics, at least 16 characters. Without one, /metrics is closed in production and open in
    /// development.
    #[config(env = "MARMALADE_METRICS_TOKEN", validate(metrics_token.0.len() >= 16, "less than 16 characters"))]
    pub metrics_token: Option<Secret<String>>,
    /// Filter of log lines by level and module, e.g. warn,marmalade=debug.
    #[config(
        env = "MARMALADE_LOG",
        default = "info,sea_orm_migration=warn,sqlx::postgres::notice=warn"
    )]
    pub log: String,
    /// Form of log lines: text or json.
    #[config(env = "MARMALADE_LOG_FORMAT", default = "text")]
    pub log_format: LogFormat,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: its name, type, unit and meaning.
pub const METRICS: &[(&str, Kind, Unit, &str)] = &[
    (
        OPERATION,
        Kind::Histogram,
        Unit::Seconds,
        "time of a query or mutation, by kind and first root field",
    ),
    (
        OPERATION_ERRORS,
        Kind::Counter,
        Unit::Count,
        "errors of operations, by first root field and code",
    ),
    (
        STREAM_EVENTS,
        Kind::Counter,
        Unit::Count,
        "events of subscriptions, by root field",
    ),
    (
        REFUSALS,
        Kind::Counter,
        Unit::Count,
        "uses that a limiter refused, by limit",
    ),
    (SOCKETS, Kind::Gauge, Unit::Count, "WebSockets that are open"),
    (
        STREAMS,
        Kind::Gauge,
        Unit::Count,
        "subscriptions that are open, over whatever transport",
    ),
    (STATEMENT, Kind::Histogram, Unit::Seconds, "time of a SQL statement"),
    (
        STATEMENT_FAILURES,
        Kind::Counter,
        Unit::Count,
        "SQL statements that failed",
    ),
    (
        SLOW_STATEMENTS,
        Kind::Counter,
        Unit::Count,
        "SQL statements over MARMALADE_SLOW_STATEMENT_MS, each of which is logged",
    ),
    (
        RETRIES,
        Kind::Counter,
        Unit::Count,
        "transactions and queries retried because the database could not finish them",
    ),
    (
        CONNECTIONS,
        Kind::Gauge,
        Unit::Count,
        "connections to the database, by pool and state (idle, busy)",
    ),
    (
        RANK_LAG,
        Kind::Histogram,
        Unit::Seconds,
        "from a commit until its ranks are on the boards of this server",
    ),
    (
        OUTBOX_AGE,
        Kind::Gauge,
        Unit::Seconds,
        "age of the oldest event that has not been delivered",
    ),
    (
        FLEET_HEALTH,
        Kind::Gauge,
        Unit::Count,
        "state of the connection to Redis: 0 away, 1 catching up, 2 healthy; absent without Redis",
    ),
    (
        JOB_WAIT,
        Kind::Histogram,
        Unit::Seconds,
        "time from enqueueing a job until a worker begins it, by kind",
    ),
    (
        JOB,
        Kind::Histogram,
        Unit::Seconds,
        "time of one attempt at a job, by kind and outcome (done, failed)",
    ),
    (
        JOBS,
        Kind::Gauge,
        Unit::Count,
        "jobs in the queue, by state (queued, running, dead)",
    ),
    (
        JOB_AGE,
        Kind::Gauge,
        Unit::Seconds,
        "age of the oldest job that no worker has taken",
    ),
    (
        WORKERS,
        Kind::Gauge,
        Unit::Count,
        "processes that do jobs and have shown in the last minute that they live",
    ),
    (
        AUDIT_ENTRIES,
        Kind::Gauge,
        Unit::Count,
        "entries of the audit log that are sealed; never fewer",
    ),
    (
        AUDIT_REFUSED,
        Kind::Gauge,
        Unit::Count,
        "what the sealer of the audit log refuses: entries that no server has signed, or a head that can't be verified",
    ),
    (HTTP_RESPONSES, Kind::Counter, Unit::Count, "HTTP responses, by status"),
    (
        OPEN_CONNECTIONS,
        Kind::Gauge,
        Unit::Count,
        "connections of clients that are open, WebSockets included",
    ),
    (
        MAX_CONNECTIONS,
        Kind::Gauge,
        Unit::Count,
        "how many may be open: MARMALADE_MAX_CONNECTIONS",
    ),
    (
        MAX_DATABASE_CONNECTIONS,
        Kind::Gauge,
        Unit::Count,
        "how many connections to the database each pool may have, by pool",
    ),
    (BUILD, Kind::Gauge, Unit::Count, "1, with the version as label"),
];

pub(crate) const OPERATION: &str = "marmalade_operation_seconds";
pub(crate) const OPERATION_ERRORS: &str = "marmalade_operation_errors_total";
pub(crate) const STREAM_EVENTS: &str = "marmalade_stream_events_total";
const REFUSALS: &str = "marmalade_limiter_refusals_total";
const SOCKETS: &str = "marmalade_sockets";
pub(crate) const STREAMS: &str = "marmalade_streams";
const STATEMENT: &str = "marmalade_statement_seconds";
const STATEMENT_FAILURES: &str = "marmalade_statement_failures_total";
const SLOW_STATEMENTS: &str = "marmalade_slow_statements_total";
const RETRIES: &str = "marmalade_retries_total";
pub(crate) const CONNECTIONS: &str = "marmalade_database_connections";
const RANK_LAG: &str = "marmalade_rank_lag_seconds";
pub(crate) const OUTBOX_AGE: &str = "marmalade_outbox_oldest_age_seconds";
pub(crate) const FLEET_HEALTH: &str = "marmalade_fleet_health";
const JOB_WAIT: &str = "marmalade_job_wait_seconds";
const JOB: &str = "marmalade_job_seconds";
pub(crate) const JOBS: &str = "marmalade_jobs";
pub(crate) const JOB_AGE: &str = "marmalade_job_oldest_age_seconds";
pub(crate) const WORKERS: &str = "marmalade_workers";
pub(crate) const AUDIT_ENTRIES: &str = "marmalade_audit_entries";
const AUDIT_REFUSED: &str = "marmalade_audit_refused";
const HTTP_RESPONSES: &str = "marmalade_http_responses_total";
const OPEN_CONNECTIONS: &str = "marmalade_connections";
pub(crate) const MAX_CONNECTIONS: &str = "marmalade_connections_max";
pub(crate) const MAX_DATABASE_CONNECTIONS: &str = "marmalade_database_connections_max";
const BUILD: &str = "marmalade_build_info";

/// Upper bounds of the histograms' buckets, in seconds; the promises of the site (200 ms, 1 s, 5 s) are among them.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// The process's metrics: a process has one set of them.
pub(crate) fn recorded() -> Option<&'static PrometheusHandle> {
    static RECORDED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).ok()?;
        let handle = builder.install_recorder().ok()?;
        for (name, kind, unit, meaning) in METRICS {
            match kind {
                Kind::Counter => metrics::describe_counter!(*name, *unit, *meaning),
                Kind::Gauge => metrics::describe_gauge!(*name, *unit, *meaning),
                Kind::Histogram => metrics::describe_histogram!(*name, *unit, *meaning),
            }
        }
        // Counters without labels exist from the start, so that their first count is an increase.
        for name in [STATEMENT_FAILURES, SLOW_STATEMENTS, RETRIES] {
            counter!(name).absolute(0);
        }
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Some(handle)
    };
    RECORDED.get_or_init(install).as_ref()
}

/// Begins to record, for as long as the process lives.
pub(crate) fn record() {
    static UPKEEP: Once = Once::new();
    if let Some(recorded) = recorded() {
        UPKEEP.call_once(|| drop(tokio::spawn(run_upkeep(recorded.clone()))));
    }
}

/// Bounds the memory of histograms, which keep every value until the next scrape or upkeep.
async fn run_upkeep(recorded: PrometheusHandle) {
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        recorded.run_upkeep();
    }
}

/// Measures each statement of the database; statements slower than `slow` are logged, without their values.
pub fn observe_statements(slow: Duration) -> impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + Clone + 'static {
    move |info| {
        histogram!(STATEMENT).record(info.elapsed);
        if info.failed {
            counter!(STATEMENT_FAILURES).increment(1);
        }
        if info.elapsed > slow {
            counter!(SLOW_STATEMENTS).increment(1);
            let (ms, statement) = (info.elapsed.as_millis() as u64, &info.statement.sql);
            tracing::warn!(ms, statement, "slow statement");
        }
    }
}

/// Counts something as open until it is dropped.
pub(crate) struct Open(&'static str);

impl Open {
    /// Increments the gauge of this name.
    pub(crate) fn new(name: &'static str) -> Self {
        gauge!(name).increment(1);
        Self(name)
    }

    /// A client's connection.
    pub(crate) fn connection() -> Self {
        Self::new(OPEN_CONNECTIONS)
    }

    /// A WebSocket.
    pub(crate) fn socket() -> Self {
        Self::new(SOCKETS)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1);
    }
}

/// A limiter has refused a use.
pub(crate) fn refused(limit: &'static str) {
    counter!(REFUSALS, "limit" => limit).increment(1);
}

/// Counts a response, including those of failed requests.
pub(crate) fn responded(status: u16) {
    counter!(HTTP_RESPONSES, "status" => status.to_string()).increment(1);
}

/// The sealer of the audit log has refused so much.
pub(crate) fn audit_refused(count: usize) {
    gauge!(AUDIT_REFUSED).set(count as f64);
}

/// Counts a retry of the database.
pub(crate) fn retried() {
    counter!(RETRIES).increment(1);
}

/// Records the lag from a commit to this server's boards.
pub(crate) fn ranked(lag: Duration) {
    histogram!(RANK_LAG).record(lag);
}

/// A worker begins a job for the first time.
pub(crate) fn job_started(kind: &'static str, wait: Duration) {
    histogram!(JOB_WAIT, "kind" => kind).record(wait);
}

/// An attempt at a job has ended.
pub(crate) fn job_finished(kind: &'static str, done: bool, time: Duration) {
    let outcome = if done { "done" } else { "failed" };
    histogram!(JOB, "kind" => kind, "outcome" => outcome).record(time);
}
