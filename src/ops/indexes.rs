//! The indexes of the database, compared with those that the migrations make. What is expected is listed nowhere: the
//! migrations are run once more, on SQLite in memory, on PostgreSQL in a schema of a transaction that is rolled back.

use std::{collections::BTreeMap, fmt, sync::Arc};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, FromQueryResult, Statement};
use tokio::sync::OnceCell;

use crate::{
    db::{Db, sql},
    error::{Error, Result},
};

/// An index. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct Index {
    pub table: String,
    pub name: String,
    pub is_unique: bool,
    /// Its columns or expressions, and its condition, as the database writes them.
    pub definition: String,
    /// Whether the database uses it: PostgreSQL keeps one that could not be built, too.
    pub is_valid: bool,
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unique = if self.is_unique { "unique " } else { "" };
        write!(f, "{:<32} {unique}{}", self.name, self.definition)
    }
}

/// The indexes by name.
pub type Indexes = BTreeMap<String, Index>;

/// The indexes that the database has.
pub async fn of(db: &Db) -> Result<Indexes> {
    match db.write().get_database_backend() {
        DbBackend::Postgres => on_postgres(db.write(), "current_schema()").await,
        _ => on_sqlite(db.write()).await,
    }
}

/// What the database lacks of the indexes that the migrations make, one line each. It may have more.
pub(super) async fn differences(db: &Db) -> Result<Vec<String>> {
    let expected = expected(db).await?;
    let present = of(db).await?;
    let mut differences = Vec::new();
    for (name, expected) in expected.iter() {
        let table = &expected.table;
        match present.get(name) {
            None => differences.push(format!("index {name} of {table} is missing, expected: {expected}")),
            Some(present) if !present.is_valid => {
                differences.push(format!(
                    "index {name} of {table} was not built to its end: drop it and make it again"
                ));
            }
            Some(present) if present != expected => {
                differences.push(format!("index {name} of {table} is {present}, expected: {expected}"));
            }
            Some(_) => {}
        }
    }
    Ok(differences)
}

/// The indexes that the migrations make. They are run once a process.
async fn expected(db: &Db) -> Result<Arc<Indexes>> {
    static ON_SQLITE: OnceCell<Arc<Indexes>> = OnceCell::const_new();
    static ON_POSTGRES: OnceCell<Arc<Indexes>> = OnceCell::const_new();
    let expected = match db.write().get_database_backend() {
        DbBackend::Postgres => ON_POSTGRES.get_or_try_init(async || made_on_postgres(db).await.map(Arc::new)),
        _ => {
            return ON_SQLITE
                .get_or_try_init(async || made_on_sqlite().await.map(Arc::new))
                .await
                .cloned();
        }
    };
    expected.await.cloned()
}

async fn made_on_sqlite() -> Result<Indexes> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let scratch = Database::connect(options).await?;
    Migrator::up(&scratch, None).await?;
    let made = on_sqlite(&scratch).await?;
    scratch.close().await?;
    Ok(made)
}

/// The schema in which the migrations are run once more.
const SCRATCH: &str = "marmalade_verify";

#[expect(clippy::disallowed_methods, reason = "it is rolled back")]
async fn made_on_postgres(db: &Db) -> Result<Indexes> {
    let tx = db.begin().await?;
    let make = format!("CREATE SCHEMA {SCRATCH}; SET LOCAL search_path = {SCRATCH}");
    tx.execute_unprepared(&make).await.map_err(refused)?;
    Migrator::up(&tx, None).await?;
    let made = on_postgres(&tx, "current_schema()").await?;
    tx.rollback().await?;
    Ok(made)
}

fn refused(error: DbErr) -> Error {
    const INSUFFICIENT_PRIVILEGE: &str = "42501";
    let is_denied = match &error {
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) => match &**error {
            sea_orm::SqlxError::Database(error) => error.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE),
            _ => false,
        },
        _ => false,
    };
    if is_denied {
        let message = "The indexes can't be compared: the user of DATABASE_URL may not make a schema. GRANT CREATE ON DATABASE \
                       to it, or let it own the database.";
        return Error::BadInput(message.into());
    }
    error.into()
}

async fn on_postgres(conn: &impl ConnectionTrait, schema: &str) -> Result<Indexes> {
    // The definition begins with the name and the schema of the table.
    let select = format!(
        "SELECT t.relname::text AS table, i.relname::text AS name, x.indisunique AS is_unique, \
                x.indisvalid AND x.indisready AS is_valid, \
                t.relname || ' ' || substr(pg_get_indexdef(i.oid), strpos(pg_get_indexdef(i.oid), ' USING ') + 7) AS definition \
         FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
         WHERE t.relnamespace = {schema}::regnamespace AND t.relname <> 'seaql_migrations'"
    );
    let indexes = Index::find_by_statement(sql(conn, select, [])).all(conn).await?;
    Ok(by_name(indexes))
}

#[derive(FromQueryResult)]
struct OnSqlite {
    table: String,
    name: String,
    is_unique: bool,
    /// Its statement; none for an index of a constraint.
    sql: Option<String>,
    /// The columns of an index of a constraint.
    columns: Option<String>,
}

async fn on_sqlite(conn: &impl ConnectionTrait) -> Result<Indexes> {
    let select = "SELECT t.name AS \"table\", i.name AS name, i.\"unique\" AS is_unique, s.sql AS sql, \
                         (SELECT group_concat(c.name, ', ') FROM pragma_index_info(i.name) c) AS columns \
                  FROM sqlite_schema t, pragma_index_list(t.name) i \
                  JOIN sqlite_schema s ON s.type = 'index' AND s.name = i.name \
                  WHERE t.type = 'table' AND t.name NOT IN ('seaql_migrations', 'Jobs', 'Workers', '_sqlx_migrations')";
    let select = Statement::from_string(DbBackend::Sqlite, select);
    let index = |index: OnSqlite| {
        let columns = || format!("{} ({})", index.table, index.columns.as_deref().unwrap_or_default());
        Index {
            definition: index.sql.as_deref().and_then(after_on).unwrap_or_else(columns),
            table: index.table,
            name: index.name,
            is_unique: index.is_unique,
            is_valid: true,
        }
    };
    let indexes = OnSqlite::find_by_statement(select).all(conn).await?;
    Ok(by_name(indexes.into_iter().map(index)))
}

/// What a statement says about the index, whatever its spaces, quotes and the case of its keywords.
fn after_on(statement: &str) -> Option<String> {
    const KEYWORDS: [&str; 9] = ["ON", "WHERE", "IS", "NOT", "NULL", "AND", "OR", "ASC", "DESC"];
    let keyword = |word| KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(word));
    let words = statement.split_whitespace().map(|word| keyword(word).unwrap_or(word));
    let words: Vec<_> = words.collect();
    let on = words.iter().position(|word| *word == "ON")?;
    let text = words[on + 1..].join(" ").replace(['"', '`'], "");
    // A name may touch its parenthesis.
    let (table, rest) = text.split_once('(')?;
    Some(format!(
        "{} ({}",
        table.trim(),
        rest.replace("( ", "(").replace(" )", ")")
    ))
}

fn by_name(indexes: impl IntoIterator<Item = Index>) -> Indexes {
    indexes.into_iter().map(|index| (index.name.clone(), index)).collect()
}
