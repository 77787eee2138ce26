//! Backup of a serving database, and restore into an empty one. SQLite copies itself in one read transaction;
//! PostgreSQL has its own tools, `pg_dump` and `pg_restore`, which must be installed.
//!
//! The generated secret is not in a backup; store it separately. Without it all sessions end, and seals of the audit
//! log made with it can't be verified.

use std::{path::Path, process::Command};

use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult};

use crate::{
    config::Config,
    db::{Db, Pooler, sql},
    error::{Error, Result},
    open,
    secret::Secret,
    text::url::{POSTGRES, password, server_url, without_password},
};

/// Writes a backup into a new file. The server may keep serving.
pub async fn backup(config: &Config, file: &Path) -> Result<()> {
    if file.exists() {
        return Err(refusal(format!("{} is there already; name a new file", file.display())));
    }
    let database = config.site.data_dir.join("marmalade.db");
    if config.database.url.is_none() && !database.exists() {
        return Err(refusal(format!(
            "{} is not there, so there is nothing to back up; MARMALADE_DATA_DIR names its folder",
            database.display()
        )));
    }
    needs_a_session(config)?;
    make_private(file)?;
    let written = match &config.database.url {
        Some(Secret(url)) => run_tool("pg_dump", url, &["--format=custom", "--no-owner", "--file"], file).await,
        None => copy_into(config, file).await,
    };
    if written.is_err() {
        std::fs::remove_file(file).ok();
    }
    written
}

/// PostgreSQL's tools set a session up for themselves; a pooler would hand it to the servers as it is then.
fn needs_a_session(config: &Config) -> Result<()> {
    if config.database.url.is_some() && config.database.pooler == Pooler::Transaction {
        return Err(refusal(
            "PostgreSQL's tools can't work over a pooler in transaction mode: run this with the DATABASE_URL of PostgreSQL \
             itself and without MARMALADE_DATABASE_POOLER",
        ));
    }
    Ok(())
}

/// Makes an empty file that only this account of the machine can read: it is to hold hashes of passwords.
fn make_private(file: &Path) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(file).map(drop);
    made.map_err(|error| refusal(format!("{}: {error}", file.display())))
}

async fn copy_into(config: &Config, file: &Path) -> Result<()> {
    let db = open::connect(config).await?;
    let name = file.to_str().ok_or_else(|| refusal("the file's name is not UTF-8"))?;
    let copy = sql(db.read(), "VACUUM INTO $1", [name.into()]);
    db.read().execute_raw(copy).await?;
    std::fs::File::open(file)
        .and_then(|file| file.sync_all())
        .map_err(Error::internal)?;
    db.close().await
}

/// Advice for serving a restored database with Redis.
pub const ABOUT_REDIS: &str = "Redis was not looked at. It may hold boards of the database that was lost, newer than \
                               this one: before you serve this, empty it or take another MARMALADE_REDIS_PREFIX.";

/// Brings a backup into the configured database, which must hold nothing yet.
pub async fn restore(config: &Config, file: &Path) -> Result<()> {
    if let Some(Secret(url)) = &config.database.url {
        needs_a_session(config)?;
        let db = open::connect(config).await?;
        let empty = is_empty(&db).await?;
        db.close().await?;
        if !empty {
            return Err(refusal("the database of DATABASE_URL is not empty; make a new one"));
        }
        let how = ["--no-owner", "--exit-on-error", "--single-transaction"];
        run_tool("pg_restore", url, &how, file).await?;
        // The statistics that the planner lives on are not in a backup.
        let db = open::connect(config).await?;
        db.write().execute_unprepared("ANALYZE").await?;
        return db.close().await;
    }
    let target = config.site.data_dir.join("marmalade.db");
    // A journal of the database that was lost would be played back into this one.
    for beside in ["db", "db-wal", "db-shm", "db-journal"] {
        let there = target.with_extension(beside);
        if there.exists() {
            let message = format!(
                "{} is there already; choose another MARMALADE_DATA_DIR",
                there.display()
            );
            return Err(refusal(message));
        }
    }
    let head = std::fs::read(file).map_err(|error| refusal(format!("{}: {error}", file.display())))?;
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(refusal(format!(
            "{} is no backup of an embedded database",
            file.display()
        )));
    }
    open::make_private(&config.site.data_dir)?;
    // Under another name until it is whole: a half copied database is never opened.
    let half = target.with_extension("half");
    std::fs::remove_file(&half).ok();
    make_private(&half)?;
    let restored = std::fs::write(&half, head)
        .and_then(|()| std::fs::File::open(&half)?.sync_all())
        .and_then(|()| std::fs::rename(&half, &target));
    if restored.is_err() {
        std::fs::remove_file(&half).ok();
    }
    restored.map_err(Error::internal)
}

#[derive(FromQueryResult)]
struct Tables {
    count: i64,
}

async fn is_empty(db: &Db) -> Result<bool> {
    debug_assert_eq!(db.read().get_database_backend(), DbBackend::Postgres);
    let select = sql(
        db.read(),
        "SELECT count(*) AS count FROM information_schema.tables WHERE table_schema = current_schema()",
        [],
    );
    let tables = Tables::find_by_statement(select).one(db.read()).await?;
    Ok(tables.is_none_or(|tables| tables.count == 0))
}

/// Runs a PostgreSQL tool. The password is passed in the environment: arguments are visible to all users.
async fn run_tool(tool: &'static str, url: &str, how: &[&str], file: &Path) -> Result<()> {
    let url = server_url(url, &POSTGRES).map_err(|error| refusal(format!("DATABASE_URL: {error}")))?;
    let mut command = Command::new(tool);
    if let Some(password) = password(&url) {
        command.env("PGPASSWORD", password);
    }
    command.arg("--dbname").arg(without_password(url).as_str());
    command.args(how).arg(file);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .map_err(Error::internal)?;
    let output =
        output.map_err(|error| refusal(format!("{tool} can't be run ({error}); install PostgreSQL's client")))?;
    if output.status.success() {
        Ok(())
    } else {
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(refusal(format!("{tool} failed: {}", stderr.trim())))
    }
}

fn refusal(message: impl Into<String>) -> Error {
    Error::BadInput(message.into())
}
