//! Signals for staff about the results of a quiz.

use async_graphql::{Context, Enum, ID, Object};

use crate::{
    api::{attempt::Attempt, context::RequestContext, guard::Needs, loader::Attempts},
    attempt::integrity::{self, Signal},
    error::{Error, Result},
    id::QuizId,
};

/// The kind of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "IntegritySignalKind", remote = "integrity::SignalKind")]
pub enum IntegritySignalKind {
    /// Two students gave the same wrong answers, more than they differ.
    SameAnswers,
    /// 2 to 5 accounts were signed in at the same address, with the same program, when they took the quiz.
    SameDevice,
    /// The answers came faster than the questions can be read, or in less than a quarter of the usual time, and most
    /// are right.
    FastAnswers,
}

/// A reason to look at attempts more closely. It is no verdict: siblings share a device, and friends learn together.
pub(crate) struct IntegritySignal(Signal);

/// A reason to look at attempts more closely. It is no verdict: siblings share a device, and friends learn together.
#[Object]
impl IntegritySignal {
    /// The kind of signal.
    async fn kind(&self) -> IntegritySignalKind {
        self.0.kind.into()
    }

    /// The attempts, the best first.
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<Attempt>> {
        let found = ctx
            .loader::<Attempts>()?
            .load_many(self.0.attempts.iter().copied())
            .await?;
        let attempt = |id| found.get(id).cloned().map(Attempt::from);
        Ok(self.0.attempts.iter().filter_map(attempt).collect())
    }

    /// What was found, in a sentence.
    async fn summary(&self) -> &str {
        &self.0.summary
    }
}

/// Signals: queries.
#[derive(Default)]
pub(crate) struct IntegrityQuery;

#[Object]
impl IntegrityQuery {
    /// Reasons to look at attempts at a quiz more closely: the strongest of each kind first. Considers the 500 best ranked
    /// results. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn integrity_signals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The quiz.")] quiz_id: ID,
        #[graphql(desc = "The maximum number of signals, 1 to 100. Defaults to 20.")] first: Option<i32>,
    ) -> Result<Option<Vec<IntegritySignal>>> {
        let most = usize::try_from(first.unwrap_or(20))
            .ok()
            .filter(|n| (1..=100).contains(n));
        let most = most.ok_or_else(|| Error::BadInput("`first` is 1 to 100.".into()))?;
        let conn = ctx.app().db.for_analytics().await;
        let signals = integrity::signals(&conn, QuizId::decode(&quiz_id)?, most).await?;
        Ok(Some(signals.into_iter().map(IntegritySignal).collect()))
    }
}
