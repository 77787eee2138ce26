//! The shared state: what every request can reach, cheap to clone.

use std::{ops::Deref, sync::Arc, time::Duration};

use chrono::NaiveDate;
use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    account::profile::Profiles,
    attempt, audit,
    auth::{revocation::Revocations, token::Keys},
    calendar::day_of,
    clock::{Clock, Moment, Time},
    config::Config,
    db::{Db, sql},
    error::{Error, Result},
    fleet::Fleet,
    jobs::{self, Queue},
    leaderboard::Boards,
    limit::Limiter,
    mail::Mail,
    operation::persisted::Operations,
    outbox,
    quiz::paper::Papers,
    secret::Secret,
    telemetry,
};

/// The application.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What the application is made of.
pub struct Inner {
    pub config: Config,
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    /// The zone whose days, weeks and months the boards follow; fixed when the database was made.
    pub zone: Tz,
    pub keys: Keys,
    pub revocations: Revocations,
    pub limiter: Limiter,
    pub mail: Mail,
    pub operations: Operations,
    pub papers: Papers,
    pub profiles: Profiles,
    pub boards: Boards,
    pub jobs: Queue,
    /// What servers share; `None` for a server on its own.
    pub fleet: Option<Fleet>,
    /// The present day in the site's zone; streams wait for the next.
    pub days: watch::Sender<NaiveDate>,
    /// Cancelled when the server is told to stop; it goes on serving for a moment.
    pub stopping: CancellationToken,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
}

impl Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl App {
    /// Puts the application together over a migrated database.
    pub async fn new(config: Config, secrets: &[Secret<String>], db: Db, clock: Arc<dyn Clock>) -> Result<Self> {
        telemetry::record();
        let now = Moment::of(&clock);
        let zone = site_zone(&db, config.time_zone, now.at).await?;
        let fleet = match &config.redis_url {
            Some(Secret(url)) => Some(Fleet::new(url, &config.redis_prefix)?),
            None => None,
        };
        let revocations = Revocations::default();
        revocations.load(db.read(), now.at).await?;
        Ok(Self(Arc::new(Inner {
            keys: Keys::new(secrets)?,
            limiter: Limiter::new(config.limits, clock.clone(), fleet.clone()),
            mail: Mail::new(&config)?,
            operations: Operations::new(config.operations.as_deref())?,
            papers: Papers::default(),
            profiles: Profiles::default(),
            boards: Boards::new(clock.clone(), fleet.clone(), zone),
            jobs: Queue::new(&db),
            fleet,
            days: watch::Sender::new(day_of(now.at, zone)),
            stopping: CancellationToken::new(),
            shutdown: CancellationToken::new(),
            revocations,
            zone,
            config,
            db,
            clock,
        })))
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment::of(&self.clock)
    }

    /// Does what a server must do whether or not anybody asks, until shutdown.
    pub fn run_in_background(&self, tasks: &TaskTracker) {
        if let Some(fleet) = self.fleet.clone() {
            tasks.spawn(fleet.keep(self.clone()));
        }
        self.every(tasks, outbox::RELAY_EVERY, |app| async move {
            outbox::relay(&app).await.map(drop)
        });
        self.every(tasks, audit::seal::SEAL_EVERY, |app| async move {
            audit::seal::seal(&app).await.map(drop)
        });
        self.every(tasks, self.config.board_tick, |app| async move {
            app.notice_the_day();
            Ok(())
        });
        self.every(tasks, Duration::from_secs(60), |app| async move {
            let now = app.clock.now();
            app.limiter.prune(now);
            app.revocations.prune(now);
            app.boards.prune(&app.db).await;
            Ok(())
        });
    }

    /// Does what one process of the site must do, of those that serve or of workers, until shutdown. Where several do it,
    /// whoever comes first does.
    pub fn work_in_background(&self, tasks: &TaskTracker) {
        jobs::run_in_background(self, tasks);
        self.every(tasks, Duration::from_secs(2), |app| async move {
            attempt::sweep(&app, &app.now()).await.map(drop)
        });
    }

    /// Tells streams when a new day has begun.
    fn notice_the_day(&self) {
        let today = day_of(self.clock.now(), self.zone);
        self.days.send_if_modified(|day| std::mem::replace(day, today) != today);
    }

    /// Does something again and again until shutdown.
    pub fn every<W, F>(&self, tasks: &TaskTracker, period: Duration, work: W)
    where
        W: Fn(App) -> F + Send + 'static,
        F: Future<Output = Result<()>> + Send,
    {
        let app = self.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = app.shutdown.cancelled() => return,
                }
                if let Err(Error::Internal(cause)) = work(app.clone()).await {
                    tracing::error!(?cause, "work in the background failed and is tried again");
                }
            }
        });
    }
}

#[derive(FromQueryResult)]
struct Site {
    time_zone: String,
}

/// The zone that was stored when the database was first used. A different one in the configuration is refused: closed
/// windows would change.
async fn site_zone(db: &Db, configured: Option<Tz>, now: Time) -> Result<Tz> {
    let conn = db.write();
    let wanted = configured.unwrap_or(Tz::UTC);
    let insert = sql(
        conn,
        "INSERT INTO site (id, time_zone, created_at) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING",
        [wanted.name().into(), now.into()],
    );
    conn.execute_raw(insert).await?;
    let select = sql(conn, "SELECT time_zone FROM site WHERE id = 1", []);
    let stored = Site::find_by_statement(select)
        .one(conn)
        .await?
        .map(|site| site.time_zone);
    let zone: Tz = stored.unwrap_or_default().parse().map_err(Error::internal)?;
    match configured {
        Some(configured) if configured != zone => Err(Error::internal(format!(
            "MARMALADE_TIME_ZONE is {configured}, but this database was made for {zone}: its closed boards would change. \
             Set it to {zone} or leave it out."
        ))),
        _ => Ok(zone),
    }
}
