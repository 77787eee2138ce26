//! What must be done, but not while somebody waits for it: letters, imports, what is due every hour or every day.
//!
//! The transaction that causes a job writes one row into `job_outbox` ([`want`]). [`hand_over`] moves it into the queue
//! ([`queue`]), under the row's own id so that a second time changes nothing, and only then deletes the row: no job is
//! lost, whatever dies when. The queue does a job at least once; so each may be done twice without harm. See
//! docs/jobs.md.

pub mod queue;
pub mod record;
mod schedule;

use std::time::Duration;

use confique::Config;
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

pub use self::{
    queue::Queue,
    record::{Filter, JobRecord, State, backlog, count, forget_done, list, retry, workers},
    schedule::{SCHEDULES, Schedule, fire},
};
use crate::{
    account::{link, own},
    app::App,
    attempt::regrade,
    clock::{Moment, Time},
    dashboard::daily,
    db::sql,
    error::{Error, Result},
    id::{BankImportId, RevisionId, UserId},
    import::background,
    setting::milliseconds,
};

/// The keys of jobs.
#[derive(Clone, Debug, Config)]
pub struct Settings {
    /// Whether a server does jobs, too; with false `marmalade worker` processes must.
    #[config(env = "MARMALADE_WORK", default = true)]
    pub work: bool,
    /// Pause in milliseconds before a job that failed is tried again, 1 to 300000 (five minutes); doubled each time.
    #[config(
        env = "MARMALADE_JOB_RETRY_MS",
        default = 1000,
        deserialize_with = milliseconds,
        validate((1..=300_000).contains(&retry.as_millis()), "1 to 300000")
    )]
    pub retry: Duration,
    /// Period in milliseconds in which a worker shows that it lives, 1000 to 60000 (a minute); after three it missed its
    /// jobs are another's.
    #[config(
        env = "MARMALADE_JOB_HEARTBEAT_MS",
        default = 5000,
        deserialize_with = milliseconds,
        validate((1000..=60_000).contains(&heartbeat.as_millis()), "1000 to 60000")
    )]
    pub heartbeat: Duration,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// A letter with a link to a new password, if the address has an account.
    PasswordResetLetter { email: String },
    /// A letter with a link that proves that somebody reads the address which an account is to have.
    EmailConfirmationLetter { user: UserId, email: String },
    /// A letter to the address that an account has, before it gets another one.
    EmailChangeWarning { email: String },
    /// Imports the quizzes of a question bank.
    BankImport { import: BankImportId },
    /// Scores the results of a revision anew whose key was corrected.
    Regrade { revision: RevisionId },
    /// Computes the metrics of completed days.
    DailyMetrics,
    /// Removes what is kept no longer: the personal data of deleted accounts, jobs that are done.
    Purge,
}

impl Job {
    /// What the job is, as the API, logs and metrics name it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::PasswordResetLetter { .. } => Kind::PasswordResetLetter,
            Self::EmailConfirmationLetter { .. } => Kind::EmailConfirmationLetter,
            Self::EmailChangeWarning { .. } => Kind::EmailChangeWarning,
            Self::BankImport { .. } => Kind::BankImport,
            Self::Regrade { .. } => Kind::Regrade,
            Self::DailyMetrics => Kind::DailyMetrics,
            Self::Purge => Kind::Purge,
        }
    }

    async fn run(self, app: &App, wanted_at: Time) -> Result<()> {
        let now = app.now();
        match self {
            Self::PasswordResetLetter { email } => link::send_password_reset(app, email, wanted_at, &now).await,
            Self::EmailConfirmationLetter { user, email } => {
                link::send_email_confirmation(app, user, email, wanted_at, &now).await
            }
            Self::EmailChangeWarning { email } => link::send_email_change_warning(app, email).await,
            Self::Regrade { revision } => regrade::regrade(app, revision, &now).await,
            Self::BankImport { import } => background::carry_out(app, import, &now).await,
            Self::DailyMetrics => daily::count_days(app, &now).await,
            Self::Purge => {
                while own::erase(app, &now).await? > 0 {}
                forget_done(app.db.write(), now.at).await
            }
        }
    }
}

/// The kind of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, async_graphql::Enum)]
#[graphql(name = "JobKind")]
pub enum Kind {
    /// Sends an email with a link to set a new password.
    PasswordResetLetter,
    /// Sends an email with a link that confirms a new email address.
    EmailConfirmationLetter,
    /// Sends a warning about a new email address to the current one.
    EmailChangeWarning,
    /// Imports the quizzes of a question bank.
    BankImport,
    /// Rescores the results of a revision after a correction of its answer key.
    Regrade,
    /// Computes the metrics of completed days.
    DailyMetrics,
    /// Deletes data whose retention period has ended.
    Purge,
}

impl Kind {
    /// As logs and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordResetLetter => "password_reset_letter",
            Self::EmailConfirmationLetter => "email_confirmation_letter",
            Self::EmailChangeWarning => "email_change_warning",
            Self::BankImport => "bank_import",
            Self::Regrade => "regrade",
            Self::DailyMetrics => "daily_metrics",
            Self::Purge => "purge",
        }
    }
}

/// Wants a job done, in the transaction that causes it. [`Queue::wake`] after the commit saves it half a second.
pub async fn want(conn: &impl ConnectionTrait, job: &Job, now: &Moment) -> Result<()> {
    let insert = sql(
        conn,
        "INSERT INTO job_outbox (id, job, created_at) VALUES ($1, $2, $3)",
        [now.id::<Uuid>().into(), text(job)?.into(), now.at.into()],
    );
    conn.execute_raw(insert).await?;
    Ok(())
}

/// A job as `job_outbox` holds it.
pub fn text(job: &Job) -> Result<String> {
    serde_json::to_string(job).map_err(Error::internal)
}

#[derive(FromQueryResult)]
struct Wanted {
    id: Uuid,
    job: String,
    created_at: Time,
}

/// How many wanted jobs are read at once.
const AT_ONCE: usize = 100;

/// Moves wanted jobs into the queue. Returns how many were moved.
pub async fn hand_over(app: &App) -> Result<usize> {
    let conn = app.db.write();
    let select = format!("SELECT id, job, created_at FROM job_outbox ORDER BY id LIMIT {AT_ONCE}");
    let rows = Wanted::find_by_statement(sql(conn, select, [])).all(conn).await?;
    let mut moved = 0;
    for row in rows {
        match serde_json::from_str(&row.job) {
            Ok(job) => app.jobs.push(row.id, job, row.created_at).await?,
            Err(error) => {
                // A newer release's, which will take it.
                tracing::warn!(%error, id = %row.id, "a wanted job of an unknown kind is left");
                continue;
            }
        }
        let delete = sql(conn, "DELETE FROM job_outbox WHERE id = $1", [row.id.into()]);
        conn.execute_raw(delete).await?;
        moved += 1;
    }
    Ok(moved)
}

/// Does jobs until shutdown, and sees to it that those that are due again and again are wanted.
pub fn run_in_background(app: &App, tasks: &TaskTracker) {
    tasks.spawn(queue::work(app.clone()));
    tasks.spawn(keep_handing_over(app.clone()));
    crate::background::every(app, tasks, schedule::LOOK_EVERY, |app| async move {
        fire(&app, &app.now()).await
    });
}

/// How long a job of another process may lie in `job_outbox`.
const LOOK_EVERY: Duration = Duration::from_millis(500);

async fn keep_handing_over(app: App) {
    while !app.shutdown.is_cancelled() {
        tokio::select! {
            () = app.jobs.wanted() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = app.shutdown.cancelled() => return,
        }
        let handed_over = async {
            // A flood of letters is not to wait for the next look.
            while hand_over(&app).await? == AT_ONCE {}
            Ok::<_, Error>(())
        };
        if let Err(error) = handed_over.await {
            tracing::warn!(
                cause = error.describe(),
                "jobs could not be put into the queue, and are tried again"
            );
        }
    }
}
