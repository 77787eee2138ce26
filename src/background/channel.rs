//! The channel between servers: receives the events of the others, and maintains the [`Health`] of the fleet.

use std::{convert::Infallible, pin::pin, time::Duration};

use futures_util::StreamExt;
use tokio::{
    select,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::relay::relay;
use crate::{
    app::App,
    error::{Error, Result},
    fleet::{Fleet, Health},
    outbox::Event,
};

/// Interval of heartbeats on the channel, which the server itself receives, too.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// A channel without a message for this long is considered dead.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(6);
/// Pause before reconnecting to Redis.
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

/// Receives from the channel of the fleet, if there is one, until shutdown.
pub async fn keep(app: App) {
    let Some(fleet) = &app.fleet else { return };
    // Whether the present outage was logged already.
    let mut logged = false;
    loop {
        let ended = select! {
            Err(error) = follow(&app, fleet, &mut logged) => error,
            () = app.shutdown.cancelled() => return,
        };
        fleet.set_health(Health::Disconnected);
        if !std::mem::replace(&mut logged, true) {
            tracing::warn!(cause = ?ended.cause(), "Redis is away: boards come from the tables, limits count per server");
        }
        // Sessions accepted while disconnected stay valid for 15 minutes at most.
        if let Err(error) = app.outbox.channel(Health::Disconnected, &app.db, app.clock.now()).await {
            tracing::warn!(
                cause = error.describe(),
                "what was missed could not be read and is tried again"
            );
        }
        sleep(RECONNECT_DELAY).await;
    }
}

/// From a new connection to its end.
async fn follow(app: &App, fleet: &Fleet, logged: &mut bool) -> Result<Infallible> {
    let mut messages = pin!(fleet.subscribe().await?);
    fleet.load_scripts().await?;
    // From here on everything is received. What was missed before is in the tables and in the outbox.
    fleet.set_health(Health::CatchingUp);
    app.outbox.channel(Health::CatchingUp, &app.db, app.clock.now()).await?;
    while relay(app).await? > 0 {}
    fleet.set_health(Health::Connected);
    *logged = false;
    tracing::info!("Redis is there");
    app.outbox.channel(Health::Connected, &app.db, app.clock.now()).await?;

    let mut received = Instant::now();
    let mut beats = interval(HEARTBEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        select! {
            message = messages.next() => {
                let event = message.ok_or_else(|| Error::internal("the channel was closed"))?;
                received = Instant::now();
                match event.map(Event::parse).transpose() {
                    Ok(Some(event)) => app.outbox.receive(&event).await,
                    Ok(None) => {}
                    Err(error) => tracing::warn!(%error, "a message of an unknown kind was passed over"),
                }
            }
            _ = beats.tick() => {
                if received.elapsed() > CHANNEL_TIMEOUT {
                    return Err(Error::internal("nothing is received on the channel"));
                }
                fleet.publish(None).await?;
            }
            () = fleet.failed() => return Err(Error::internal("a command failed")),
        }
    }
}
