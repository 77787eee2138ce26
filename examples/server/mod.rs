//! The real server in a process of its own, on a folder and a database of its own: what `kill` and `load` work on.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use url::Url;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// What runs, and what it stands on.
#[derive(Clone, clap::Args)]
pub struct Ground {
    /// A PostgreSQL server to make a database on; without it the embedded database is used
    #[arg(long)]
    pub postgres: Option<String>,
    /// What several servers share ranks, limits and live events over
    #[arg(long)]
    pub redis: Option<String>,
    /// The server's program
    #[arg(long, default_value = "target/release/marmalade")]
    pub program: PathBuf,
}

/// Where the server keeps what it has.
pub struct Installation {
    ground: Ground,
    settings: Vec<(&'static str, &'static str)>,
    pub folder: tempfile::TempDir,
    database: Option<String>,
}

impl Installation {
    /// An empty place. Of the environment of this process its servers get nothing but these settings.
    pub async fn new(ground: &Ground, settings: Vec<(&'static str, &'static str)>) -> Result<Self> {
        let name = |_| format!("marmalade_{}", uuid::Uuid::new_v4().simple());
        let installation = Self {
            ground: ground.clone(),
            settings,
            folder: tempfile::tempdir()?,
            database: ground.postgres.as_ref().map(name),
        };
        installation.admin(|name| format!("CREATE DATABASE {name}")).await?;
        Ok(installation)
    }

    /// Does something about the database that is not the server's to do.
    async fn admin(&self, statement: impl FnOnce(&str) -> String) -> Result<()> {
        if let (Some(url), Some(name)) = (&self.ground.postgres, &self.database) {
            let admin = sea_orm::Database::connect(url).await?;
            admin.execute_unprepared(&statement(name)).await?;
            admin.close().await?;
        }
        Ok(())
    }

    pub async fn clear(self) -> Result<()> {
        self.admin(|name| format!("DROP DATABASE {name} WITH (FORCE)")).await
    }

    /// The `DATABASE_URL`; none for the embedded database.
    pub fn database_url(&self) -> Result<Option<String>> {
        let (Some(url), Some(name)) = (&self.ground.postgres, &self.database) else {
            return Ok(None);
        };
        let mut url = Url::parse(url)?;
        url.set_path(name);
        Ok(Some(url.into()))
    }

    fn command(&self, command: &str) -> Result<Command> {
        // It runs in another folder.
        let program = std::path::absolute(&self.ground.program)?;
        let mut process = Command::new(program);
        process.arg(command).current_dir(self.folder.path());
        for key in marmalade::config::keys() {
            process.env_remove(key.name);
        }
        process
            .env_remove("MARMALADE_CONFIG")
            .env("MARMALADE_MODE", "development")
            .env("MARMALADE_LISTEN", "127.0.0.1:0")
            .env("MARMALADE_DATA_DIR", self.folder.path())
            .env("MARMALADE_MAX_CONNECTIONS_OF_ADDRESS", "1000000")
            .env("MARMALADE_LOG", "warn")
            .envs(self.settings.iter().copied());
        if let Some(url) = self.database_url()? {
            process.env("DATABASE_URL", url);
        }
        if let (Some(url), Some(name)) = (&self.ground.redis, &self.database) {
            process.env("REDIS_URL", url).env("MARMALADE_REDIS_PREFIX", name);
        }
        Ok(process)
    }

    pub async fn start(&self) -> Result<Server> {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))?;
        let process = self
            .command("serve")?
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("{}: {error}", self.ground.program.display()))?;
        let folder = self.folder.path().to_owned();
        tokio::task::spawn_blocking(move || Server::announced(process, &folder)).await?
    }

    /// What the servers have logged so far.
    pub fn log(&self) -> String {
        log_in(self.folder.path())
    }

    /// What servers that are dead asked of PostgreSQL is finished or undone by itself, a moment later.
    pub async fn wait_for_the_database(&self, others_live: bool) -> Result<()> {
        #[derive(FromQueryResult)]
        struct Connections {
            count: i64,
        }
        let (Some(url), Some(name)) = (&self.ground.postgres, &self.database) else {
            return Ok(());
        };
        // The connections of servers that live stay, but wait for work.
        let busy = if others_live {
            "AND state <> 'idle' AND wait_event_type IS DISTINCT FROM 'Client'"
        } else {
            ""
        };
        let select = format!("SELECT count(*) AS count FROM pg_stat_activity WHERE datname = '{name}' {busy}");
        for _ in 0..1000 {
            // PostgreSQL itself may be starting.
            if let Ok(admin) = sea_orm::Database::connect(url).await {
                let count = Statement::from_string(admin.get_database_backend(), &select);
                let left = Connections::find_by_statement(count).one(&admin).await?;
                admin.close().await?;
                if left.is_none_or(|left| left.count == 0) {
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("PostgreSQL still works for a server that is dead".into())
    }

    /// What `marmalade verify` finds is an error.
    pub fn verify(&self) -> Result<()> {
        let output = self.command("verify")?.output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        Err(format!(
            "verify found: {}\nThe servers have logged:\n{}",
            String::from_utf8_lossy(&said),
            self.log()
        )
        .into())
    }
}

fn log_in(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// A serving process.
pub struct Server {
    pub process: Child,
    pub url: String,
    /// Kept open: a server that can't print would stop.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Waits until the server says where it listens.
    fn announced(mut process: Child, folder: &Path) -> Result<Self> {
        let mut stdout = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match line.trim().strip_prefix("Marmalade serves on ") {
            Some(url) => Ok(Self {
                process,
                url: url.to_owned(),
                _stdout: stdout,
            }),
            None => {
                process.kill()?;
                process.wait()?;
                let log = log_in(folder);
                Err(format!("the server did not start: {line}{log}").into())
            }
        }
    }

    /// Waits until the server says that it can work.
    pub async fn until_ready(&self) -> Result<()> {
        for _ in 0..300 {
            let ready = reqwest::get(format!("{}/readyz", self.url)).await;
            if ready.is_ok_and(|reply| reply.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err("a server does not get ready".into())
    }

    /// `kill -9`: nothing of the server's own runs any more.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill().ok();
    }
}
