//! Opening a site: from a configuration to an application over its database.

use std::{path::Path, sync::Arc};

use crate::{
    app::App,
    auth::token,
    clock::{Clock, Moment, SystemClock},
    config::Config,
    db::Db,
    error::{Error, Result},
    secret::Secret,
    telemetry,
};

/// Opens the configured database; its schema is brought up to date, which may take longer than a statement may.
pub async fn open_database(config: &Config) -> Result<Db> {
    let db = connect(config).await?;
    match &config.database.url {
        Some(Secret(url)) => {
            let patient = Db::postgres(url, 3, None).await?;
            patient.migrate().await?;
            patient.close().await?;
        }
        None => db.migrate().await?,
    }
    Ok(db)
}

/// Opens the configured database as it is.
pub async fn connect(config: &Config) -> Result<Db> {
    Ok(match &config.database.url {
        Some(Secret(url)) => {
            let settings = &config.database;
            let timeout = Some(settings.statement_timeout).filter(|timeout| !timeout.is_zero());
            let db = Db::postgres(url, settings.connections, timeout).await?;
            match &settings.replica_url {
                Some(Secret(url)) => db.with_replica(url, settings.connections, settings.replica_lag).await?,
                None => db,
            }
        }
        None => {
            make_private(&config.site.data_dir)?;
            Db::sqlite(
                &config.site.data_dir.join("marmalade.db"),
                config.database.sqlite_synchronous,
            )
            .await?
        }
    })
}

/// Makes a folder that only this account of the machine can enter; one that is there stays as it is.
pub fn make_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(Error::internal)
}

/// Puts the application together over the configured database.
pub async fn open(config: Config) -> Result<App> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut db = open_database(&config).await?;
    db.observe(telemetry::observe_statements(config.database.slow_statement));
    let secrets = secrets(&config, &Moment::of(&clock))?;
    App::new(config, &secrets, db, clock).await
}

/// The configured secrets, or the one of the data folder, generated at the first start.
fn secrets(config: &Config, now: &Moment) -> Result<Vec<Secret<String>>> {
    if !config.site.secrets.is_empty() {
        return Ok(config.site.secrets.clone());
    }
    make_private(&config.site.data_dir)?;
    let file = config.site.data_dir.join("secret");
    let secret = token::secret_of_file(&file, now.random());
    secret
        .map(|secret| vec![secret])
        .map_err(|error| Error::internal(format!("{}: {error}", file.display())))
}
