//! Metrics of the current state, read at each scrape.

use metrics::gauge;
use sea_orm::{DatabaseConnection, FromQueryResult};

use crate::{
    app::App,
    audit,
    clock::Time,
    db::sql,
    error::Result,
    fleet::Health,
    jobs,
    telemetry::{
        AUDIT_ENTRIES, CONNECTIONS, FLEET_HEALTH, JOB_AGE, JOBS, MAX_CONNECTIONS, MAX_DATABASE_CONNECTIONS, OUTBOX_AGE,
        WORKERS, recorded,
    },
};

/// All metrics in Prometheus' text format. Metrics of the current state are read now; if the database can't be read
/// they keep their last value.
pub async fn scrape(app: &App) -> Option<String> {
    let recorded = recorded()?;
    app.db.pools(connections);
    gauge!(MAX_CONNECTIONS).set(app.config.server.max_connections);
    if let Some(fleet) = &app.fleet {
        let health = match fleet.health() {
            Health::Disconnected => 0.0,
            Health::CatchingUp => 1.0,
            Health::Connected => 2.0,
        };
        gauge!(FLEET_HEALTH).set(health);
    }
    if let Err(error) = backlog(app).await {
        tracing::warn!(cause = error.describe(), "the backlog can't be counted");
    }
    Some(recorded.render())
}

fn connections(name: &'static str, pool: &DatabaseConnection) {
    let (all, idle, most) = match pool.get_database_backend() {
        sea_orm::DbBackend::Postgres => {
            let pool = pool.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
        _ => {
            let pool = pool.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        }
    };
    let idle = u32::try_from(idle).unwrap_or(u32::MAX);
    gauge!(CONNECTIONS, "pool" => name, "state" => "idle").set(idle);
    gauge!(CONNECTIONS, "pool" => name, "state" => "busy").set(all.saturating_sub(idle));
    gauge!(MAX_DATABASE_CONNECTIONS, "pool" => name).set(most);
}

#[derive(FromQueryResult)]
struct Oldest {
    oldest: Option<Time>,
}

async fn backlog(app: &App) -> Result<()> {
    let conn = app.db.read();
    let select = "SELECT min(created_at) AS oldest FROM outbox";
    let oldest = Oldest::find_by_statement(sql(conn, select, [])).one(conn).await?;
    let now = app.clock.now();
    let age = |at: Option<Time>| at.map_or(0.0, |at| now.since(at).as_secs_f64());
    gauge!(OUTBOX_AGE).set(age(oldest.and_then(|event| event.oldest)));
    let backlog = jobs::backlog(conn).await?;
    gauge!(JOB_AGE).set(age(backlog.oldest));
    gauge!(JOBS, "state" => "queued").set(backlog.queued as f64);
    gauge!(JOBS, "state" => "running").set(backlog.running as f64);
    gauge!(JOBS, "state" => "dead").set(backlog.dead as f64);
    let head = audit::seal::head(&app.db).await?;
    gauge!(AUDIT_ENTRIES).set(head.map_or(0, |head| head.sequence) as f64);
    gauge!(WORKERS).set(jobs::workers(conn, now).await? as f64);
    Ok(())
}
