//! Opening a site: from a configuration to an application over its database.

use std::{io, path::Path, sync::Arc};

use crate::{
    app::App,
    auth::token,
    clock::{Clock, Moment, SystemClock},
    config::{Config, Mode},
    db::Db,
    error::{Error, Result},
    mail::Mail,
    operation::persisted::Operations,
    secret::Secret,
    site, telemetry,
};

/// Looks whether the configuration can be opened. Writes nothing, not a file and not a row, so that a start that is
/// refused leaves nothing behind. Returns the database as it is; `None` if an embedded one is not there yet.
pub async fn check(config: &Config) -> Result<Option<Db>> {
    check_settings(config)?;
    let Some(db) = existing(config).await? else {
        return Ok(None);
    };
    match site::check_zone(db.read(), config.site.time_zone).await {
        Ok(()) => Ok(Some(db)),
        Err(error) => {
            db.close().await?;
            Err(error)
        }
    }
}

/// Looks whether what the settings name can be used, beside databases.
pub(crate) fn check_settings(config: &Config) -> Result<()> {
    let folder = &config.site.data_dir;
    if folder.exists() && !folder.is_dir() {
        let message = format!("MARMALADE_DATA_DIR: {} is not a folder", folder.display());
        return Err(Error::BadInput(message));
    }
    Operations::new(&config.operations, config.site.mode == Mode::Development)?;
    Mail::check(&config.mail)?;
    if config.site.secrets.is_empty() {
        let file = folder.join("secret");
        token::read_secret(&file).map_err(|error| unusable(&file, &error))?;
    }
    Ok(())
}

/// The database as it is, over a connection to look at it; `None` if an embedded one is not there yet.
pub async fn existing(config: &Config) -> Result<Option<Db>> {
    let file = config.site.data_dir.join("marmalade.db");
    match &config.database.url {
        Some(Secret(url)) => Db::existing_postgres(url, config.database.pooler).await.map(Some),
        None if !file.exists() => Ok(None),
        None => Db::existing_sqlite(&file).await.map(Some),
    }
}

/// Opens the configured database; its schema is brought up to date, which may take longer than a statement may.
pub async fn open_database(config: &Config) -> Result<Db> {
    let db = connect(config).await?;
    match &config.database.url {
        Some(Secret(url)) => {
            let patient = Db::pooled(url, config.database.pooler, 1, None).await?;
            patient.migrate().await?;
            patient.close().await?;
        }
        None => db.migrate().await?,
    }
    Ok(db)
}

/// Opens the configured database as it is; an embedded one is made if it is not there.
pub async fn connect(config: &Config) -> Result<Db> {
    Ok(match &config.database.url {
        Some(Secret(url)) => {
            let settings = &config.database;
            let timeout = Some(settings.statement_timeout).filter(|timeout| !timeout.is_zero());
            let db = Db::pooled(url, settings.pooler, settings.connections, timeout).await?;
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

/// Makes the data folder, which only this account of the machine can enter. From one that is there, and from the files
/// that Marmalade keeps in it, what others may do is taken away; what can't be changed is logged.
pub fn make_private(folder: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| unusable(folder, &error))?;
    let own = [
        "marmalade.db",
        "marmalade.db-wal",
        "marmalade.db-shm",
        "marmalade.db-journal",
        "secret",
        "server.lock",
        "mail",
    ];
    let emails = std::fs::read_dir(folder.join("mail")).into_iter().flatten().flatten();
    let files = own.map(|name| folder.join(name)).into_iter();
    let files = files.chain(emails.map(|email| email.path()));
    for path in [folder.to_owned()].into_iter().chain(files) {
        if let Err(error) = take_from_others(&path) {
            let path = path.display();
            tracing::warn!(%error, "other accounts of this machine may read {path}, and that can't be changed");
        }
    }
    Ok(())
}

#[cfg(unix)]
fn take_from_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o077;
    const STICKY: u32 = 0o1000;
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = metadata.permissions().mode();
    if metadata.is_symlink() || mode & OTHERS == 0 {
        return Ok(());
    }
    if metadata.is_dir() && mode & STICKY != 0 {
        return Err(io::Error::other("it is a folder that accounts share, such as /tmp"));
    }
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode & !OTHERS))
}

#[cfg(not(unix))]
fn take_from_others(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Puts the application together over the configured database.
pub async fn open(config: Config) -> Result<App> {
    if let Some(db) = check(&config).await? {
        db.close().await?;
    }
    open_checked(config).await
}

/// As [`open`], of a configuration that was checked.
pub(crate) async fn open_checked(config: Config) -> Result<App> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut db = open_database(&config).await?;
    db.observe(telemetry::observe_statements(config.database.slow_statement));
    let secrets = secrets(&config, &Moment::of(&clock))?;
    App::new(config, &secrets, db, clock).await
}

/// As [`open`], for commands that are about what is there: a database that is not is not made.
pub async fn open_existing(config: Config) -> Result<App> {
    let Some(db) = check(&config).await? else {
        return Err(no_database(&config));
    };
    let missing = db.missing_migrations().await;
    db.close().await?;
    if missing? == Db::all_migrations() {
        let message =
            "The database holds no site yet; `marmalade migrate up`, or the first start of a server, makes one.";
        return Err(Error::BadInput(message.into()));
    }
    open_checked(config).await
}

/// That a command finds nothing to be about.
pub fn no_database(config: &Config) -> Error {
    Error::BadInput(format!(
        "There is no database in {} yet; MARMALADE_DATA_DIR names its folder.",
        config.site.data_dir.display()
    ))
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
        .map_err(|error| unusable(&file, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    Error::internal(format!("{}: {error}", path.display()))
}
