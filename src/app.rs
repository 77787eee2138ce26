//! The application: the site, and the domains' state in memory. Cheap to clone.

pub mod jobs;

use std::{ops::Deref, sync::Arc};

use chrono::NaiveDate;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    account::profile::Profiles,
    audit,
    auth::{revocation::Revocations, token::Keys},
    calendar::day_of,
    clock::{Clock, Moment},
    config::{Config, Mode},
    db::Db,
    error::Result,
    fleet::Fleet,
    jobs::Queue,
    leaderboard::{self, Boards},
    limit::{self, Limiter, slots::Streams},
    mail::Mail,
    media::store::Store,
    operation::persisted::Operations,
    outbox::Outbox,
    quiz::paper::Papers,
    ranks,
    secret::Secret,
    site::{Site, site_zone},
    telemetry,
};

/// The application.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// The state of the application.
pub struct Inner {
    site: Site,
    pub revocations: Arc<Revocations>,
    pub operations: Operations,
    pub papers: Arc<Papers>,
    pub media: Store,
    pub profiles: Arc<Profiles>,
    pub boards: Arc<Boards>,
    /// The open WebSockets and other streams of this server.
    pub streams: Streams,
    /// The present day in the site's zone; streams wait for the next.
    pub days: watch::Sender<NaiveDate>,
    /// Cancelled when the server begins to stop; it keeps serving for `stop_delay`.
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

impl Deref for Inner {
    type Target = Site;

    fn deref(&self) -> &Site {
        &self.site
    }
}

impl App {
    /// Puts the application together over a migrated database.
    pub async fn new(config: Config, secrets: &[Secret<String>], db: Db, clock: Arc<dyn Clock>) -> Result<Self> {
        let keys = Keys::new(secrets)?.with_retired(&config.site.retired_secrets);
        Self::with_keys(config, keys.into(), db, clock).await
    }

    /// The same with keys that are there already.
    pub(crate) async fn with_keys(config: Config, keys: Arc<Keys>, db: Db, clock: Arc<dyn Clock>) -> Result<Self> {
        telemetry::record();
        let now = Moment::of(&clock);
        let zone = site_zone(&db, config.site.time_zone, now.at).await?;
        audit::seal::begin(&db, &keys).await?;
        let fleet = match &config.redis.url {
            Some(Secret(url)) => {
                let scripts = ranks::shared::scripts().chain(limit::shared::scripts());
                Some(Fleet::new(url, &config.redis.prefix, scripts.collect())?)
            }
            None => None,
        };
        let revocations = Arc::<Revocations>::default();
        revocations.load(db.read(), now.at).await?;
        let papers = Arc::<Papers>::default();
        let profiles = Arc::<Profiles>::default();
        let shutdown = CancellationToken::new();
        let days = watch::Sender::new(day_of(now.at, zone));
        let boards = Arc::new(Boards::new(leaderboard::Parts {
            db: db.clone(),
            clock: clock.clone(),
            zone,
            fleet: fleet.clone(),
            papers: papers.clone(),
            profiles: profiles.clone(),
            tick: config.server.board_tick,
            days: days.clone(),
            shutdown: shutdown.clone(),
        }));
        // The followers of events, in order: tokens first, so that permissions change before boards do.
        let outbox = Outbox::new(
            vec![revocations.clone(), profiles.clone(), papers.clone(), boards.clone()],
            fleet.clone(),
        );
        Ok(Self(Arc::new(Inner {
            operations: Operations::new(&config.operations, config.site.mode == Mode::Development)?,
            revocations,
            papers,
            media: Store::of(&config),
            profiles,
            boards,
            streams: Streams::new(
                config.server.max_streams_of_account,
                config.server.max_streams_of_address,
            ),
            days,
            stopping: CancellationToken::new(),
            shutdown,
            site: Site {
                keys,
                limiter: Limiter::new(config.limits, clock.clone(), fleet.clone()),
                mail: Mail::new(&config.mail, &config.site.data_dir, &config.site.url)?,
                jobs: Queue::default(),
                outbox,
                fleet,
                zone,
                config,
                db,
                clock,
            },
        })))
    }
}
