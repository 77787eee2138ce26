//! Jobs in the API, for staff.

use std::{borrow::Cow, collections::HashMap, time::Duration};

use async_graphql::{
    Context, ContextSelectionSet, Enum, ID, InputObject, Name, Object, OutputType, Positioned, ServerResult,
    SimpleObject, Subscription, Value,
    parser::types::Field,
    registry::{Deprecation, MetaEnumValue, MetaType, MetaTypeId, Registry},
};
use futures_util::Stream;

use crate::{
    api::payload::as_payload,
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        loader::Jobs,
        payload::{UserError, date_time},
        scalar::DateTime,
    },
    app::{
        self,
        jobs::{KINDS, kind},
    },
    entity::job,
    error::{Error, Result},
    id::JobId,
    jobs::{self, Filter},
    page::Page,
};

/// A background job.
#[derive(Clone)]
pub(crate) struct Job(pub(super) job::Model);

/// A background job.
#[Object]
impl Job {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The kind of job; `null` for a job of a newer release.
    async fn kind(&self) -> Option<JobKind> {
        kind(&self.0.kind).map(|kind| JobKind(kind.name))
    }

    /// The state of the job.
    async fn state(&self) -> JobState {
        self.0.state.into()
    }

    /// The number of attempts so far.
    async fn attempts(&self) -> i32 {
        self.0.attempts
    }

    /// The maximum number of attempts, after which the job is dead.
    async fn max_attempts(&self) -> i32 {
        self.0.max_attempts
    }

    /// The time the job was requested.
    async fn wanted_at(&self) -> DateTime {
        date_time(self.0.wanted_at)
    }

    /// The time of the last attempt's start.
    async fn started_at(&self) -> Option<DateTime> {
        self.0.started_at.map(date_time)
    }

    /// The time the job was done or became dead.
    async fn finished_at(&self) -> Option<DateTime> {
        self.0.finished_at.map(date_time)
    }

    /// The error of the last failed attempt.
    async fn error(&self) -> Option<&str> {
        self.0.last_error.as_deref()
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "job::State")]
pub enum JobState {
    /// The job waits for a worker.
    Queued,
    /// The job is running, or waiting for its next attempt.
    Running,
    /// The job succeeded. Kept for 7 days.
    Done,
    /// All attempts failed. Staff can retry it with `retryJob`.
    Dead,
}

/// A kind of job. The values are those of [`KINDS`], so that a new kind needs nothing here.
pub(crate) struct JobKind(&'static str);

impl OutputType for JobKind {
    fn type_name() -> Cow<'static, str> {
        "JobKind".into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        let value = |kind: &jobs::Kind<_>| MetaEnumValue {
            name: kind.name.to_uppercase(),
            description: Some(kind.about.into()),
            deprecation: Deprecation::NoDeprecated,
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            directive_invocations: Vec::new(),
        };
        registry.create_output_type::<Self, _>(MetaTypeId::Enum, |_| MetaType::Enum {
            name: Self::type_name().into(),
            description: Some("The kind of a job.".into()),
            enum_values: KINDS
                .iter()
                .map(|kind| (kind.name.to_uppercase(), value(kind)))
                .collect(),
            visible: None,
            inaccessible: false,
            tags: Vec::new(),
            rust_typename: Some(std::any::type_name::<Self>()),
            directive_invocations: Vec::new(),
            requires_scopes: Vec::new(),
        })
    }

    async fn resolve(&self, _: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        Ok(Value::Enum(Name::new(self.0.to_uppercase())))
    }
}

/// The job with this id, for staff.
pub(crate) async fn job(ctx: &Context<'_>, id: JobId) -> Result<Job> {
    Needs::Staff.of(ctx)?;
    let found = ctx.loader::<Jobs>()?.load_one(id).await?;
    found.map(Job).ok_or(Error::NotFound)
}

/// Jobs: queries.
#[derive(Default)]
pub(crate) struct JobQuery;

#[Object]
impl JobQuery {
    /// Background jobs, newest first. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn jobs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns jobs in this state only.")] state: Option<JobState>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Job>>> {
        let filter = Filter {
            state: state.map(Into::into),
        };
        let page = Page::of((first, last), (after, before), |cursor| JobId::decode(cursor).ok())?;
        let slice = jobs::list(ctx.app().db.read(), &filter, &page).await?;
        let total = Total::of(move |ctx| {
            let filter = filter.clone();
            Box::pin(async move { jobs::count(ctx.app().db.read(), &filter).await })
        });
        Ok(Some(connection(slice, total, |job| job.id.encode(), Job)))
    }
}

/// Input of `retryJob`.
#[derive(InputObject)]
pub(crate) struct RetryJobInput {
    /// A dead job.
    job_id: ID,
}

/// The outcome of `retryJob`.
#[derive(SimpleObject)]
pub(crate) struct RetryJobPayload {
    /// The job, queued again.
    job: Option<Job>,
    /// Errors that the person can act on; empty if the job is retried.
    errors: Vec<UserError>,
}

/// Jobs: mutations.
#[derive(Default)]
pub(crate) struct JobMutation;

#[Object]
impl JobMutation {
    /// Retries a dead job. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn retry_job(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The job.")] input: RetryJobInput,
    ) -> Result<Option<RetryJobPayload>> {
        let id = JobId::decode(&input.job_id)?;
        let (job, errors) = as_payload(app::jobs::retry(ctx.app(), id, &ctx.cause()).await)?;
        Ok(Some(RetryJobPayload {
            job: job.map(Job),
            errors,
        }))
    }
}

/// Polling interval of a stream: other processes run jobs, too.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Jobs: subscriptions.
#[derive(Default)]
pub(crate) struct JobSubscription;

#[Subscription]
impl JobSubscription {
    /// Streams background jobs: those not done yet, then each job whenever it is requested, started, done or dead. For
    /// staff.
    #[graphql(guard = "Needs::Staff")]
    async fn job_updated(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Job> + use<>> {
        let app = ctx.app().clone();
        Ok(async_stream::stream! {
            let mut seen = HashMap::new();
            let mut since = app.clock.now();
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                ticks.tick().await;
                let now = app.clock.now();
                // A little overlap, because the process that finishes a job has another clock.
                let Ok(jobs) = jobs::recent(app.db.read(), since - 10 * LOOK_EVERY).await else {
                    continue;
                };
                since = now;
                let before = std::mem::take(&mut seen);
                for job in jobs.into_iter().rev() {
                    let state = (job.state, job.attempts, job.started_at);
                    seen.insert(job.id, state);
                    if before.get(&job.id) != Some(&state) {
                        yield Job(job);
                    }
                }
            }
        })
    }
}
