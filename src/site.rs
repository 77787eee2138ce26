//! The site: the dependencies of every rule.

use std::sync::Arc;

use chrono_tz::Tz;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, sea_query::OnConflict};

use crate::{
    auth::token::Keys,
    clock::{Clock, Moment, Time},
    config::Config,
    db::{Db, has_table},
    entity::site,
    error::{Error, Result},
    fleet::Fleet,
    jobs::Queue,
    limit::Limiter,
    mail::Mail,
    outbox::Outbox,
};

/// The dependencies of rules: database, clock, keys, limits, mail, outbox, queue.
pub struct Site {
    pub config: Config,
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    /// The time zone of days, weeks and months on boards; stored when the database was created.
    pub zone: Tz,
    pub keys: Arc<Keys>,
    pub limiter: Limiter,
    pub mail: Mail,
    pub outbox: Outbox,
    pub jobs: Queue,
    /// The connection to Redis; `None` for a single server.
    pub fleet: Option<Fleet>,
}

impl Site {
    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment::of(&self.clock)
    }
}

/// The zone that was stored when the database was first used. A different one in the configuration is refused: closed
/// windows would change.
pub(crate) async fn site_zone(db: &Db, configured: Option<Tz>, now: Time) -> Result<Tz> {
    let conn = db.write();
    let initial = configured.unwrap_or(Tz::UTC);
    // Without a lock at first: another process may be filling the database.
    if let Some(site) = site::Entity::this().one(db.read()).await? {
        return agreed(&site.time_zone, configured);
    }
    let row = site::ActiveModel {
        id: Set(site::ID),
        time_zone: Set(initial.name().to_owned()),
        created_at: Set(now),
    };
    site::Entity::insert(row)
        .on_conflict(OnConflict::column(site::Column::Id).do_nothing().to_owned())
        .exec_without_returning(conn)
        .await?;
    let stored = site::Entity::this().one(conn).await?.map(|site| site.time_zone);
    agreed(&stored.unwrap_or_default(), configured)
}

/// Whether the configured zone is that of the database, if it has one yet. Writes nothing.
pub(crate) async fn check_zone(conn: &impl ConnectionTrait, configured: Option<Tz>) -> Result<()> {
    if !has_table(conn, "site").await? {
        return Ok(());
    }
    let stored = site::Entity::this().one(conn).await?;
    stored.map_or(Ok(()), |site| agreed(&site.time_zone, configured).map(drop))
}

fn agreed(stored: &str, configured: Option<Tz>) -> Result<Tz> {
    let zone: Tz = stored.parse().map_err(Error::internal)?;
    match configured {
        Some(configured) if configured != zone => Err(Error::internal(format!(
            "MARMALADE_TIME_ZONE is {configured}, but this database was made for {zone}: its closed boards would change. \
             Set it to {zone} or leave it out."
        ))),
        _ => Ok(zone),
    }
}
