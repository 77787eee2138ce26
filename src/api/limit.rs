//! Where a client stands with its limits.

use async_graphql::{Context, Object, SimpleObject};
use chrono::{DateTime, Utc};

use crate::{
    api::{context::RequestContext, payload::date_time},
    limit::{Budget, Limit},
};

/// What is left of a limit.
#[derive(SimpleObject)]
pub struct RateLimitBudget {
    /// How many uses the whole of it is.
    limit: i32,
    /// The time in which so many are allowed, in seconds. Uses are counted over any stretch of that length, not by the
    /// clock's minutes; requests come back one by one over it.
    window_seconds: i32,
    /// How many uses are left now.
    remaining: i32,
    /// When the whole of it is there again, if nothing is used meanwhile.
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

/// Where a client stands with its limits. Those of an account are `null` while nobody is signed in.
#[Object]
impl RateLimit {
    /// Requests of any kind, this one counted; of the account, or of the address while nobody is signed in.
    async fn requests(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        ctx.caller().requests.map(Into::into)
    }

    /// Saved answers.
    async fn answers(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Answer).await
    }

    /// Saved batches of answers.
    async fn batches(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Batch).await
    }

    /// Submits.
    async fn submits(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Submit).await
    }

    /// Started attempts; resumed ones are not counted.
    async fn starts(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Start).await
    }

    /// Requests for explanations.
    async fn reviews(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Review).await
    }

    /// Exports of one's own data.
    async fn exports(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Export).await
    }

    /// Imports of question banks.
    async fn imports(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
        self.of(ctx, Limit::Import).await
    }
}

/// Where a client stands with its limits.
#[derive(Default)]
pub struct LimitQuery;

#[Object]
impl LimitQuery {
    /// Where the caller stands with its limits. Asking costs nothing but the request.
    async fn rate_limit(&self) -> RateLimit {
        RateLimit
    }
}
