//! The two databases. Where a statement or a setting must differ between them, it differs here.
#![expect(clippy::disallowed_methods, reason = "transactions are made of the library's here")]

mod pool;
mod pooler;
mod reader;

use std::{collections::HashMap, hash::Hash, path::Path, sync::Arc, time::Duration};

use confique::Config;
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ColumnTrait, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    EntityTrait, ExprTrait, QuerySelect, Select, Statement, TryGetable, Value,
    sea_query::{Expr, LikeExpr},
};

use self::pooler::options;
pub(crate) use self::reader::with_retries;
pub use self::{
    pool::Pool,
    pooler::{Pooler, about_pooler},
    reader::Reader,
};
use crate::{
    error::{Error, Result},
    secret::Secret,
    setting::milliseconds,
    text::url::{self, server_url},
};

/// The keys of the database.
#[derive(Clone, Debug, Config)]
#[config(validate = Settings::check)]
pub struct Settings {
    /// postgres://user:password@host/database; without it an embedded SQLite database is used.
    #[config(env = "DATABASE_URL", validate = is_postgres)]
    pub url: Option<Secret<String>>,
    /// postgres://… of a replica of DATABASE_URL; analytics of staff are read there, and nothing else.
    #[config(env = "DATABASE_REPLICA_URL", validate = is_postgres)]
    pub replica_url: Option<Secret<String>>,
    /// Lag of the replica in milliseconds behind which DATABASE_URL is read instead.
    #[config(env = "MARMALADE_REPLICA_LAG_MS", default = 30_000, deserialize_with = milliseconds)]
    pub replica_lag: Duration,
    /// Size of the PostgreSQL connection pool, at least 1.
    #[config(env = "MARMALADE_DATABASE_CONNECTIONS", default = 10, validate(*connections > 0, "at least 1"))]
    pub connections: u32,
    /// Time in milliseconds after which PostgreSQL ends a statement of a server or worker; 0: never.
    #[config(env = "MARMALADE_STATEMENT_TIMEOUT_MS", default = 30_000, deserialize_with = milliseconds)]
    pub statement_timeout: Duration,
    /// transaction: a pooler that lends connections for one transaction at a time stands before PostgreSQL, such as
    /// PgBouncer with pool_mode = transaction; none: no pooler, or one that lends them for a session.
    #[config(env = "MARMALADE_DATABASE_POOLER", default = "none")]
    pub pooler: Pooler,
    /// Time in milliseconds from which on a statement is logged as slow.
    #[config(env = "MARMALADE_SLOW_STATEMENT_MS", default = 500, deserialize_with = milliseconds)]
    pub slow_statement: Duration,
    /// full: a commit survives the loss of power; normal: only the death of the process.
    #[config(env = "MARMALADE_SQLITE_SYNCHRONOUS", default = "full")]
    pub sqlite_synchronous: Synchronous,
}

impl Settings {
    fn check(&self) -> Result<(), &'static str> {
        if self.replica_url.is_some() && self.url.is_none() {
            return Err("DATABASE_REPLICA_URL is a replica of DATABASE_URL: set that, too");
        }
        if self.pooler == Pooler::Transaction && self.url.is_none() {
            return Err("MARMALADE_DATABASE_POOLER is about DATABASE_URL: set that, too");
        }
        Ok(())
    }
}

fn is_postgres(Secret(text): &Secret<String>) -> Result<(), String> {
    server_url(text, &url::POSTGRES).map(drop)
}

/// A connection pool to read from and one to write to. On PostgreSQL they are the same; on SQLite the writer is a
/// single connection, so that writers wait for each other in our queue instead of failing with "database is locked".
#[derive(Clone)]
pub struct Db {
    read: Reader,
    write: Pool,
    replica: Option<Replica>,
}

/// A read replica, for queries that tolerate a small lag.
#[derive(Clone)]
struct Replica {
    pool: Reader,
    max_lag: Duration,
}

/// The durability of SQLite's commits. See docs/durability.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Synchronous {
    /// A commit survives the loss of power (`synchronous = FULL`).
    Full,
    /// A commit survives the death of the process; the last ones may go with the power (`NORMAL`).
    Normal,
}

impl Db {
    /// Opens an embedded database, which is created if it is not there. Its files are the owner's alone: SQLite gives
    /// those beside it the mode of the database itself.
    pub async fn sqlite(file: &Path, synchronous: Synchronous) -> Result<Self> {
        let mut create = std::fs::File::options();
        create.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
        let unusable = |error| Error::internal(format!("{}: {error}", file.display()));
        create.open(file).map_err(unusable)?;
        let connect = |connections: u32| {
            let mut options = ConnectOptions::new("sqlite://embedded?mode=rw");
            let file = file.to_owned();
            options
                .max_connections(connections)
                .sqlx_logging(false)
                .map_sqlx_sqlite_opts(move |sqlite| {
                    sqlite
                        // A file's name may hold what means something in a URL.
                        .filename(&file)
                        .pragma("journal_mode", "WAL")
                        .pragma(
                            "synchronous",
                            if synchronous == Synchronous::Full {
                                "FULL"
                            } else {
                                "NORMAL"
                            },
                        )
                        .pragma("foreign_keys", "ON")
                        .pragma("temp_store", "MEMORY")
                        .pragma("cache_size", "-16000")
                        // Another process (the command line) may be writing too.
                        .busy_timeout(Duration::from_secs(10))
                });
            Database::connect(options)
        };
        let write = Pool::new(connect(1).await?, None);
        let read = Reader(Pool::new(connect(SQLITE_READERS).await?, None));
        Ok(Self {
            read,
            write,
            replica: None,
        })
    }

    /// Opens an embedded database that is there, to look at it. To be closed, so that SQLite leaves no file
    /// behind.
    pub async fn existing_sqlite(file: &Path) -> Result<Self> {
        Ok(Self::of(Pool::new(source(file).await?, None)))
    }

    fn of(pool: Pool) -> Self {
        Self {
            read: Reader(pool.clone()),
            write: pool,
            replica: None,
        }
    }

    /// The same database, with all statements in one transaction.
    pub(crate) fn within(transaction: Arc<DatabaseTransaction>) -> Self {
        Self::of(Pool::within(transaction))
    }

    /// Opens a PostgreSQL database. A statement that takes longer than `statement_timeout` is ended by the server.
    pub async fn postgres(url: &str, connections: u32, statement_timeout: Option<Duration>) -> Result<Self> {
        Self::pooled(url, Pooler::None, connections, statement_timeout).await
    }

    /// Opens a PostgreSQL database behind what lends out its connections.
    pub async fn pooled(
        url: &str,
        pooler: Pooler,
        connections: u32,
        statement_timeout: Option<Duration>,
    ) -> Result<Self> {
        let (options, prelude) = options(url, pooler, connections, statement_timeout);
        Ok(Self::of(Pool::new(Database::connect(options).await?, prelude)))
    }

    /// Opens a PostgreSQL database over one connection, to look at it. Refused if a pooler stands before it that keeps no
    /// session, and nobody has spoken of it.
    pub async fn existing_postgres(url: &str, pooler: Pooler) -> Result<Self> {
        // Unlike whatever anybody may have set.
        const PROBE: Duration = Duration::from_millis(86_399_987);
        if pooler != Pooler::None {
            return Self::pooled(url, pooler, 1, None).await;
        }
        let db = Self::pooled(url, pooler, 1, Some(PROBE)).await?;
        // A pooler that ignores parameters has ignored this one.
        let select = "SELECT 1 AS kept FROM pg_settings WHERE name = 'statement_timeout' AND setting = $1";
        let kept = sql(&db.write, select, [PROBE.as_millis().to_string().into()]);
        if db.write.query_one_raw(kept).await?.is_none() {
            return Err(Error::BadInput(pooler::ADVICE.into()));
        }
        Ok(db)
    }

    /// Adds a replica for staff's analytics, behind the same kind of pooler, used while its lag is at most `max_lag`.
    pub async fn with_replica(self, url: &str, connections: u32, max_lag: Duration) -> Result<Self> {
        let (mut options, prelude) = options(url, self.write.pooler(), connections, Some(ANALYTICS_TIME));
        // Nothing waits for it, not even the start.
        options.connect_lazy(true).acquire_timeout(Duration::from_secs(2));
        let pool = Reader(Pool::new(Database::connect(options).await?, prelude));
        let replica = Some(Replica { pool, max_lag });
        Ok(Self { replica, ..self })
    }

    /// For staff's analytics, and nothing else: the replica, if there is one and it has kept up.
    pub async fn for_analytics(&self) -> Reader {
        #[derive(sea_orm::FromQueryResult)]
        struct Lag {
            seconds: f64,
        }
        let Some(replica) = &self.replica else {
            return self.read.clone();
        };
        // A server that is not a replica has no lag. A replica that has replayed everything may have lost its primary;
        // workers write every few seconds, so the time of the last replayed transaction shows it.
        let select = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 0 \
                      ELSE COALESCE(CAST(EXTRACT(EPOCH FROM clock_timestamp() - pg_last_xact_replay_timestamp()) \
                        AS DOUBLE PRECISION), 1e9) END AS seconds";
        let lag = <Lag as sea_orm::FromQueryResult>::find_by_statement(sql(&replica.pool, select, []));
        match lag.one(&replica.pool).await {
            Ok(Some(lag)) if lag.seconds <= replica.max_lag.as_secs_f64() => replica.pool.clone(),
            Ok(lag) => {
                let seconds = lag.map(|lag| lag.seconds);
                tracing::warn!(seconds, "the replica lags too far behind; the primary is read instead");
                self.read.clone()
            }
            Err(error) => {
                tracing::warn!(%error, "the replica can't be reached; the primary is read instead");
                self.read.clone()
            }
        }
    }

    /// Brings the schema up to date, all of it or nothing. Of several servers that start at once one does, and the others
    /// wait for it. A schema that is newer than this program is left alone: it keeps what this release needs, so that a
    /// server of the previous release can still start while the next one is rolled out.
    pub async fn migrate(&self) -> Result<()> {
        // Without a lock at first: another process may be filling the database.
        if missing_migrations(&self.read).await? == 0 {
            return Ok(());
        }
        let tx = self.begin().await?;
        migrate(&tx).await?;
        Ok(tx.commit().await?)
    }

    /// Undoes the newest migrations.
    pub async fn migrate_down(&self, steps: u32) -> Result<()> {
        if self.write.get_database_backend() != DbBackend::Postgres {
            // Some of them begin a transaction of their own.
            return Ok(Migrator::down(&self.write, Some(steps)).await?);
        }
        let tx = self.begin().await?;
        advisory_lock(&tx, AdvisoryLock::Migrate).await?;
        Migrator::down(&tx, Some(steps)).await?;
        Ok(tx.commit().await?)
    }

    /// The number of this program's migrations that the schema lacks. It may have more.
    pub async fn missing_migrations(&self) -> Result<usize> {
        missing_migrations(&self.read).await
    }

    /// The number of this program's migrations.
    pub fn all_migrations() -> usize {
        Migrator::migrations().len()
    }

    /// Waits for an advisory lock, and holds it until the returned transaction is dropped. `None` on SQLite, which
    /// serves one server.
    pub async fn advisory_lock(&self, lock: AdvisoryLock) -> Result<Option<DatabaseTransaction>> {
        if self.write.get_database_backend() != DbBackend::Postgres {
            return Ok(None);
        }
        let tx = self.begin().await?;
        advisory_lock(&tx, lock).await?;
        Ok(Some(tx))
    }

    /// For statements that change nothing.
    pub fn read(&self) -> &Reader {
        &self.read
    }

    /// For a single statement that changes something.
    pub fn write(&self) -> &Pool {
        &self.write
    }

    /// Begins a transaction. On SQLite it takes the write lock at once (`IMMEDIATE`).
    pub async fn begin(&self) -> Result<DatabaseTransaction> {
        Ok(self.write.begin().await?)
    }

    /// Takes the advisory lock of servers on a PostgreSQL database; held until the returned transaction is dropped.
    pub async fn single_server_or_fleet(&self, is_fleet: bool) -> Result<DatabaseTransaction> {
        self.server_lock(is_fleet).await?.ok_or_else(|| {
            let message = "another server runs on this database. Stop it first, or give both the same REDIS_URL: they \
                           share ranks, limits and live events over Redis.";
            Error::BadInput(message.into())
        })
    }

    /// Takes the advisory lock of servers on a PostgreSQL database, shared by a fleet or exclusive; held until the
    /// returned transaction is dropped. `None` if a conflicting lock is held.
    pub async fn server_lock(&self, shared: bool) -> Result<Option<DatabaseTransaction>> {
        #[derive(sea_orm::FromQueryResult)]
        struct Lock {
            taken: bool,
        }
        let tx = self.begin().await?;
        let kind = if shared { "_shared" } else { "" };
        let lock = format!("SELECT pg_try_advisory_xact_lock{kind}(5134521341) AS taken");
        let taken = <Lock as sea_orm::FromQueryResult>::find_by_statement(sql(&tx, lock, []))
            .one(&tx)
            .await?;
        Ok(taken.is_some_and(|lock| lock.taken).then_some(tx))
    }

    /// Calls `look` with every pool of connections, by name.
    pub fn pools(&self, look: impl Fn(&'static str, &DatabaseConnection)) {
        let replica = self.replica.as_ref().map(|replica| &replica.pool.0);
        let read = Some(&self.read.0).filter(|_| self.write.get_database_backend() == DbBackend::Sqlite);
        for (name, pool) in [("write", Some(&self.write)), ("read", read), ("replica", replica)] {
            if let Some(connections) = pool.and_then(Pool::connections) {
                look(name, connections);
            }
        }
    }

    /// Calls `observer` with every statement, in transactions too.
    pub fn observe(&mut self, observer: impl Fn(&sea_orm::metric::Info<'_>) + Send + Sync + Clone + 'static) {
        let set = |pool: &mut Pool| {
            if let Some(connections) = pool.connections_mut() {
                connections.set_metric_callback(observer.clone());
            }
        };
        set(&mut self.write);
        if self.write.get_database_backend() == DbBackend::Sqlite {
            set(&mut self.read.0);
        } else {
            self.read = Reader(self.write.clone());
        }
        if let Some(replica) = &mut self.replica {
            set(&mut replica.pool.0);
        }
    }

    /// Closes all connections.
    pub async fn close(&self) -> Result<()> {
        let replica = self.replica.as_ref().map(|replica| &replica.pool.0);
        for pool in [Some(&self.read.0), replica, Some(&self.write)].into_iter().flatten() {
            if let Some(connections) = pool.connections() {
                connections.close_by_ref().await?;
            }
        }
        Ok(())
    }
}

/// Applies what the schema lacks in this transaction.
pub(crate) async fn migrate(tx: &DatabaseTransaction) -> Result<()> {
    advisory_lock(tx, AdvisoryLock::Migrate).await?;
    if missing_migrations(tx).await? > 0 {
        Migrator::up(tx, None).await?;
    }
    Ok(())
}

async fn missing_migrations(conn: &impl ConnectionTrait) -> Result<usize> {
    let known = Migrator::migrations();
    if !has_table(conn, "seaql_migrations").await? {
        return Ok(known.len());
    }
    let applied = Migrator::get_migration_models(conn).await?;
    let is_missing = |name: &str| !applied.iter().any(|row| row.version == name);
    Ok(known.iter().filter(|migration| is_missing(migration.name())).count())
}

/// Whether the database has a table.
pub(crate) async fn has_table(conn: &impl ConnectionTrait, name: &str) -> Result<bool> {
    let select = match conn.get_database_backend() {
        DbBackend::Postgres => "SELECT 1 AS there WHERE to_regclass(CAST($1 AS text)) IS NOT NULL",
        _ => "SELECT 1 AS there FROM sqlite_schema WHERE type = 'table' AND name = $1",
    };
    Ok(conn.query_one_raw(sql(conn, select, [name.into()])).await?.is_some())
}

/// Statement timeout of staff's analytics.
const ANALYTICS_TIME: Duration = Duration::from_secs(30);

/// An existing embedded database, to read a snapshot of it: a transaction in which later writes are not visible. To be
/// closed, so that SQLite leaves no file behind.
pub(crate) async fn source(file: &Path) -> Result<DatabaseConnection> {
    let file = file.to_owned();
    let mut options = ConnectOptions::new("sqlite://snapshot?mode=rw");
    options
        .max_connections(1)
        .sqlx_logging(false)
        // A file's name may hold what means something in a URL.
        .map_sqlx_sqlite_opts(move |sqlite| sqlite.filename(&file).busy_timeout(Duration::from_secs(10)));
    Ok(Database::connect(options).await?)
}

/// Readers of a WAL database never wait for the writer; more of them than cores gain nothing.
const SQLITE_READERS: u32 = 4;

/// A statement in SQL that both databases share; `$1`, `$2`, … stand for `values`.
pub fn sql<const N: usize>(conn: &impl ConnectionTrait, text: impl Into<String>, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(conn.get_database_backend(), text, values)
}

/// The most selects that [`sql_of_each`] should put together.
pub(crate) const SELECTS_AT_ONCE: usize = 100;

/// The values of a statement that is being written.
#[derive(Default)]
pub(crate) struct Values(Vec<Value>);

impl Values {
    /// Adds a value; returns its placeholder.
    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// The statement with these values.
    pub(crate) fn sql(self, conn: &impl ConnectionTrait, text: String) -> Statement {
        Statement::from_sql_and_values(conn.get_database_backend(), text, self.0)
    }
}

/// One statement that selects the same of each of several things; the column `n` is the index of the row's thing. Each
/// thing has a select of its own, which is planned and limited as if it were alone.
pub(crate) fn sql_of_each<T>(
    conn: &impl ConnectionTrait,
    things: impl IntoIterator<Item = T>,
    mut select: impl FnMut(T, &mut Values) -> String,
) -> Statement {
    let mut values = Values::default();
    let selects: Vec<_> = (things.into_iter().enumerate())
        .map(|(n, thing)| {
            let select = select(thing, &mut values);
            format!("SELECT {n} AS n, part.* FROM ({select}) AS part")
        })
        .collect();
    values.sql(conn, selects.join(" UNION ALL "))
}

/// An expression that makes a new id for each row of a statement: a version 7 UUID (RFC 9562, section 5.7) of the moment of
/// `like`, with the rest at random.
pub(crate) fn new_id(conn: &impl ConnectionTrait, like: uuid::Uuid, values: &mut Values) -> String {
    match conn.get_database_backend() {
        DbBackend::Postgres => {
            // Up to the digit of the version.
            let moment = values.bind(&like.hyphenated().to_string()[..15]);
            format!("CAST(CAST({moment} AS text) || substr(CAST(gen_random_uuid() AS text), 16) AS uuid)")
        }
        _ => {
            let moment = values.bind(&like.simple().to_string()[..13]);
            let digits = |bytes: u8, digits: u8| format!("substr(hex(randomblob({bytes})), 1, {digits})");
            format!("unhex({moment} || {} || '8' || {})", digits(2, 3), digits(8, 15))
        }
    }
}

/// The number of selected rows by the value of a column: one statement for the lengths of many lists.
pub(crate) async fn counts<E: EntityTrait, L>(
    conn: &impl ConnectionTrait,
    rows: Select<E>,
    list: E::Column,
    key: E::Column,
) -> std::result::Result<HashMap<L, u64>, DbErr>
where
    L: Eq + Hash + TryGetable,
{
    let counts = rows
        .select_only()
        .column(list)
        .column_as(key.count(), "count")
        .group_by(list);
    let counts: Vec<(L, i64)> = counts.into_tuple().all(conn).await?;
    Ok(counts
        .into_iter()
        .map(|(list, count)| (list, count.unsigned_abs()))
        .collect())
}

/// Keeps the rows of `table` from being changed until the statement that reads them commits. SQLite has one writer and
/// needs no such lock.
pub(crate) fn for_share_of(conn: &impl ConnectionTrait, table: &str) -> String {
    match conn.get_database_backend() {
        DbBackend::Postgres => format!("FOR SHARE OF {table}"),
        _ => String::new(),
    }
}

/// Advisory locks: work that only one transaction at a time may do, whatever rows it touches.
#[derive(Clone, Copy, Debug)]
#[repr(i64)]
pub enum AdvisoryLock {
    /// Sealing the audit log.
    Seal = 5_134_521_342,
    /// Taking an admin away.
    Admins = 5_134_521_343,
    /// Changing the schema.
    Migrate = 5_134_521_344,
    /// Filling an empty database.
    Fill = 5_134_521_345,
}

/// Waits for an advisory lock and holds it to the end of the transaction. SQLite has a single writer and needs none.
pub(crate) async fn advisory_lock(tx: &impl ConnectionTrait, lock: AdvisoryLock) -> Result<()> {
    if tx.get_database_backend() == DbBackend::Postgres {
        let wait = sql(tx, "SELECT pg_advisory_xact_lock($1)", [(lock as i64).into()]);
        tx.execute_raw(wait).await?;
    }
    Ok(())
}

/// Whether a text holds a word; both are folded before, since each database ignores the case of other letters. `%` and `_`
/// stand for themselves.
pub(crate) fn contains(text: Expr, word: &str) -> Expr {
    let word = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    text.like(LikeExpr::new(format!("%{word}%")).escape('\\'))
}

/// Skips the rows that another transaction is just claiming.
pub(crate) fn for_update_skip_locked(conn: &impl ConnectionTrait) -> &'static str {
    match conn.get_database_backend() {
        DbBackend::Postgres => "FOR UPDATE SKIP LOCKED",
        _ => "",
    }
}
