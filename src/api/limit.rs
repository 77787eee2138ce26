//! The limits of the caller, and their remaining budgets.

use async_graphql::{Context, Object, SimpleObject};

use crate::{
    api::{context::RequestContext, payload::date_time, scalar::DateTime},
    limit::{Budget, Limit, limits},
};

/// The budget of one limit.
#[derive(SimpleObject)]
pub(crate) struct RateLimitBudget {
    /// The maximum number of uses in a window.
    limit: i32,
    /// The length of the window, in seconds. Windows slide: uses are counted over any period of this length. The budget
    /// of `requests` refills continuously over it.
    window_seconds: i32,
    /// The number of uses left now.
    remaining: i32,
    /// The time at which the full budget is available again, without further uses.
    reset_at: DateTime,
}

impl From<Budget> for RateLimitBudget {
    fn from(budget: Budget) -> Self {
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Self {
            limit: number(budget.rate.uses),
            window_seconds: i32::try_from(budget.rate.per.as_secs()).unwrap_or(i32::MAX),
            remaining: number(budget.remaining),
            reset_at: date_time(budget.reset_at),
        }
    }
}

/// See its description as the API has it.
pub(crate) struct RateLimit;

impl RateLimit {
    async fn of(&self, ctx: &Context<'_>, limit: Limit) -> Option<RateLimitBudget> {
        if limit == Limit::Request {
            return ctx.caller().requests.map(Into::into);
        }
        let viewer = ctx.viewer().ok()?;
        let app = ctx.app();
        Some(app.limiter.budget(limit, viewer, app.clock.now()).await.into())
    }
}

macro_rules! object {
    (of_accounts { $($(#[$doc:meta])* $limit:ident $name:ident $key:literal $rate:literal;)* } $($strangers:tt)*) => {
        /// The limits of a client and their remaining budgets. Limits of accounts are `null` without a session.
        #[Object]
        impl RateLimit {
            $($(#[$doc])*
            async fn $name(&self, ctx: &Context<'_>) -> Option<RateLimitBudget> {
                self.of(ctx, Limit::$limit).await
            })*
        }
    };
}
limits!(object);

/// The limits of the caller, and their remaining budgets.
#[derive(Default)]
pub(crate) struct LimitQuery;

#[Object]
impl LimitQuery {
    /// The remaining budget of the caller's limits. The query counts as a request only.
    async fn rate_limit(&self) -> RateLimit {
        RateLimit
    }
}
