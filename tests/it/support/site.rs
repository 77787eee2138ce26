//! The program itself in processes of its own, on a folder and a database of its own that are empty at first.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use marmalade::db::{Db, Synchronous};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use super::OwnDatabase;

/// Nothing in a test takes so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Writes a test of the program once and runs it on both databases.
#[macro_export]
macro_rules! of_the_program {
    ($($(#[$attribute:meta])* async fn $name:ident($site:ident: Site) $body:block)*) => {$(
        $(#[$attribute])*
        async fn $name($site: $crate::support::site::Site) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                super::$name($crate::support::site::Site::embedded()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if let Some(site) = $crate::support::site::Site::postgres().await {
                    super::$name(site).await;
                }
            }
        }
    )*};
}

/// Where the program runs, and how it is configured.
pub struct Site {
    folder: tempfile::TempDir,
    database: Option<OwnDatabase>,
    settings: Vec<(String, String)>,
}

/// What the program said.
pub struct Said {
    pub succeeded: bool,
    pub text: String,
}

impl Site {
    pub fn embedded() -> Self {
        Self::over(None)
    }

    /// `None` where PostgreSQL is not to be had.
    pub async fn postgres() -> Option<Self> {
        OwnDatabase::empty().await.map(|database| Self::over(Some(database)))
    }

    fn over(database: Option<OwnDatabase>) -> Self {
        let site = Self {
            folder: tempfile::tempdir().expect("a folder"),
            settings: Vec::new(),
            database,
        };
        let (data, url) = (site.data().display().to_string(), site.database_url());
        let site = site
            .with("MARMALADE_MODE", "development")
            .with("MARMALADE_LISTEN", "127.0.0.1:0")
            .with("MARMALADE_LOG", "warn")
            // What a busy machine says is not to be among what is looked at.
            .with("MARMALADE_SLOW_STATEMENT_MS", "600000")
            .with("MARMALADE_DATA_DIR", &data);
        match url {
            Some(url) => site.with("DATABASE_URL", &url),
            None => site,
        }
    }

    /// Another setting, or another value of one.
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.retain(|(name, _)| name != key);
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, key: &str) -> Self {
        self.settings.retain(|(name, _)| name != key);
        self
    }

    /// The data folder, which is not there before the first start.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn setting(&self, key: &str) -> Option<String> {
        let own = self.settings.iter().find(|(name, _)| name == key);
        own.map(|(_, value)| value.clone())
    }

    /// With what a careful operator configures.
    pub fn in_production(self) -> Self {
        self.with("MARMALADE_MODE", "production")
            .with("MARMALADE_SITE_URL", "https://exam.example")
            .with("MARMALADE_ALLOWED_ORIGINS", "https://exam.example")
            .with("MARMALADE_SECRETS", "kq9ZbX3vT7mWc1RfY5uHj8NdLs2EaPgo")
    }

    /// Another one, as empty as this one was.
    pub async fn another(&self) -> Self {
        match &self.database {
            Some(_) => Self::postgres().await.expect("PostgreSQL"),
            None => Self::embedded(),
        }
    }

    /// What is not in the data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn database(&self) -> Option<&OwnDatabase> {
        self.database.as_ref()
    }

    pub fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(OwnDatabase::url)
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_marmalade"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.settings.iter().cloned());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).stdin(Stdio::null()).output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        Said {
            succeeded: output.status.success(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// Starts a server or a worker, which may take its time.
    pub fn spawn(&self, command: &str) -> Process {
        let mut command = self.command(&[command]);
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdout = BufReader::new(process.stdout.take().expect("its output"));
        Process { process, stdout }
    }

    /// The database as it is, to look at or to harm.
    pub async fn db(&self) -> Db {
        let db = match self.database_url() {
            Some(url) => Db::postgres(&url, 2, None).await,
            None => Db::sqlite(&self.data().join("marmalade.db"), Synchronous::Normal).await,
        };
        db.unwrap_or_else(|_| panic!("the database opens"))
    }

    /// A number that the database has.
    pub async fn ask(&self, select: &str) -> i64 {
        #[derive(FromQueryResult)]
        struct Answer {
            answer: i64,
        }
        let db = self.db().await;
        let select = Statement::from_string(
            db.write().get_database_backend(),
            format!("SELECT ({select}) AS answer"),
        );
        let answer = Answer::find_by_statement(select)
            .one(db.write())
            .await
            .expect("an answer");
        db.close().await.unwrap_or_else(|_| panic!("it closes"));
        answer.expect("a row").answer
    }

    /// All rows of all tables, as texts: what there is of the site in its database.
    pub async fn rows(&self) -> Vec<String> {
        let db = self.db().await;
        let conn = db.write();
        let backend = conn.get_database_backend();
        #[derive(FromQueryResult)]
        struct Text {
            text: String,
        }
        let texts = async |select: String| {
            let rows = Text::find_by_statement(Statement::from_string(backend, select));
            let rows = rows.all(conn).await.expect("rows");
            rows.into_iter().map(|row| row.text).collect::<Vec<_>>()
        };
        let tables = match backend {
            DbBackend::Postgres => {
                "SELECT table_name::text AS text FROM information_schema.tables WHERE table_schema = 'public'"
            }
            _ => "SELECT name AS text FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        };
        let mut all = Vec::new();
        for table in texts(tables.into()).await {
            let rows = match backend {
                DbBackend::Postgres => format!("SELECT t::text AS text FROM \"{table}\" t"),
                _ => {
                    let columns =
                        format!("SELECT 'quote(\"' || name || '\")' AS text FROM pragma_table_xinfo('{table}')");
                    let columns = texts(columns).await.join(" || ',' || ");
                    format!("SELECT {columns} AS text FROM \"{table}\"")
                }
            };
            all.push(table.clone());
            all.extend(texts(rows).await.into_iter().map(|row| format!("{table}: {row}")));
        }
        all.sort();
        db.close().await.unwrap_or_else(|_| panic!("it closes"));
        all
    }

    /// Every file and folder with its mode and content, and every row: what a start may leave behind.
    pub async fn everything(&self) -> Vec<String> {
        let mut all = Vec::new();
        collect(self.folder.path(), &mut all);
        if self.database.is_some() {
            all.extend(self.rows().await);
        }
        all
    }
}

fn collect(folder: &Path, all: &mut Vec<String>) {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        let mode = mode(&path);
        if path.is_dir() {
            all.push(format!("{} {mode:o}", path.display()));
            collect(&path, all);
        } else {
            let content = fs::read(&path).expect("a file");
            let hash = <sha2::Sha256 as sha2::Digest>::digest(&content);
            all.push(format!("{} {mode:o} {}", path.display(), hex::encode(hash)));
        }
    }
}

/// What who may do with a file.
#[cfg(unix)]
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

#[cfg(not(unix))]
pub fn mode(_: &Path) -> u32 {
    0
}

/// A process that is running.
pub struct Process {
    process: Child,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// The next line that it prints; `None` at its end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.stdout.read_line(&mut line).expect("a line");
        (bytes > 0).then(|| line.trim_end().to_owned())
    }

    /// The address of a server that has started.
    pub fn serves(&mut self) -> String {
        match self
            .line()
            .as_deref()
            .and_then(|line| line.strip_prefix("Marmalade serves on "))
        {
            Some(url) => url.to_owned(),
            None => panic!("it does not serve: {}", self.end()),
        }
    }

    /// What it said, once it has ended by itself.
    pub fn ends(mut self) -> Said {
        let status = self.process.wait().expect("an end");
        Said {
            succeeded: status.success(),
            text: self.end(),
        }
    }

    fn end(&mut self) -> String {
        let mut text = String::new();
        self.process.wait().ok();
        self.stdout.read_to_string(&mut text).ok();
        if let Some(stderr) = &mut self.process.stderr {
            stderr.read_to_string(&mut text).ok();
        }
        text
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.try_wait().expect("a state").is_none()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("an end");
    }

    /// SIGTERM, and the end.
    #[cfg(unix)]
    pub fn stop(self) -> Said {
        let signal = Command::new("kill").arg(self.process.id().to_string()).status();
        assert!(signal.is_ok_and(|status| status.success()), "it is told to stop");
        self.ends()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
