//! The relay: delivers the events that were recorded and not delivered right after their commit.

use std::time::Duration;

use crate::{app::App, entity, error::Result, fleet::Health, outbox::Event};

/// Interval at which events of other processes are picked up.
pub(crate) const EVERY: Duration = Duration::from_millis(500);

/// Claims recorded events by deleting them, and delivers them; undeliverable ones stay. Returns their number.
#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
pub async fn relay(app: &App) -> Result<usize> {
    const AT_ONCE: u64 = 500;
    if app
        .fleet
        .as_ref()
        .is_some_and(|fleet| fleet.health() == Health::Disconnected)
    {
        return Ok(0);
    }
    let tx = app.db.begin().await?;
    let rows = entity::outbox::Entity::claim(AT_ONCE).exec_with_returning(&tx).await?;
    let count = rows.len();
    for row in rows {
        match Event::parse(row.event) {
            Ok(event) => app.outbox.deliver(&event, row.created_at).await?,
            // Written by a newer release; its content is in the tables, too.
            Err(error) => tracing::warn!(%error, "an event of an unknown kind was passed over"),
        }
    }
    tx.commit().await?;
    Ok(count)
}
