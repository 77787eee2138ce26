//! The site: what every rule stands on.

use std::sync::Arc;

use chrono_tz::Tz;
use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    auth::token::Keys,
    clock::{Clock, Moment, Time},
    config::Config,
    db::{Db, sql},
    error::{Error, Result},
    fleet::Fleet,
    jobs::Queue,
    limit::Limiter,
    mail::Mail,
    outbox::Outbox,
};

/// The database, the clock, and what rules reach for beside them.
pub struct Site {
    pub config: Config,
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    /// The zone whose days, weeks and months the boards follow; fixed when the database was made.
    pub zone: Tz,
    pub keys: Keys,
    pub limiter: Limiter,
    pub mail: Mail,
    pub outbox: Outbox,
    pub jobs: Queue,
    /// What servers share; `None` for a server on its own.
    pub fleet: Option<Fleet>,
}

impl Site {
    /// The present moment.
    pub fn now(&self) -> Moment {
        Moment::of(&self.clock)
    }
}

#[derive(FromQueryResult)]
struct Stored {
    time_zone: String,
}

/// The zone that was stored when the database was first used. A different one in the configuration is refused: closed
/// windows would change.
pub async fn site_zone(db: &Db, configured: Option<Tz>, now: Time) -> Result<Tz> {
    let conn = db.write();
    let wanted = configured.unwrap_or(Tz::UTC);
    let insert = sql(
        conn,
        "INSERT INTO site (id, time_zone, created_at) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING",
        [wanted.name().into(), now.into()],
    );
    conn.execute_raw(insert).await?;
    let select = sql(conn, "SELECT time_zone FROM site WHERE id = 1", []);
    let stored = Stored::find_by_statement(select)
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
