//! Where a client stands with its limits.

use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, Utc};

use crate::{
    api::{context::RequestContext, payload::date_time},
    limit::{Budget, Limit},
};

/// The budget of one limit.
#[derive(SimpleObject)]
pub struct RateLimitBudget {
    /// The maximum number of uses in a window.
    limit: i32,
    /// The length of the window, in seconds. Windows slide: uses are counted over any period of this length. The budget
    /// of `requests` refills continuously over it.
    window_seconds: i32,
    /// The number of uses left now.
    remaining: i32,
    /// The time at which the full budget is available again, without further uses.
    reset_at: DateTime<Utc>,
}

impl From<Budget> for RateLimitBudget {
    fn from(budget: Budget) -> Self {
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            limit: number(budget.rate.uses),
            window_seconds: i32::try_from(budget.rate.per.as_secs()).unwrap_or(i32::MAX),
            remaining: number(budget.remaining),
            reset_at: date_time(budget.whole_at),
        }
    }
}

/// See its description as the API has it.
pub struct RateLimit;

impl RateLimit {
    async fn of(&self, ctx: &Context<'_>, limit: Limit) -> Option<RateLimitBudget> {
        let viewer = ctx.viewer().ok()?;
        let app = ctx.app();
        Some(app.limiter.budget(limit, viewer, app.clock.now()).await.into())
    }
}

/// The limits of a client and their remaining budgets. Limits of accounts are `null` without a session.
#[Object]
impl RateLimit {
    /// Requests of any kind, including this one; counted per account, or per address without a session.
    async fn requests(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        ctx.caller().requests.map(Into::into)
    }

    /// Saving answers.
    async fn answers(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Answer).await
    }

    /// Saving batches of answers.
    async fn batches(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Batch).await
    }

    /// Submitting attempts.
    async fn submits(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Submit).await
    }

    /// Starting attempts; resumed attempts do not count.
    async fn starts(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Start).await
    }

    /// Reading reviews.
    async fn reviews(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Review).await
    }

    /// Exporting one's own data.
    async fn exports(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Export).await
    }

    /// Importing question banks.
    async fn imports(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Import).await
    }
}

/// Where a client stands with its limits.
#[derive(Default)]
pub struct LimitQuery;

#[Object]
impl LimitQuery {
    /// The remaining budget of the caller's limits. The query counts as a request only.
    async fn rate_limit(&self) -> RateLimit {
        RateLimit
    }
}
