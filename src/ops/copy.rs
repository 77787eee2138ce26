//! Copy of an embedded database into PostgreSQL: each table is compared by count and checksum, differing rows are
//! written, and everything is compared again, in one transaction of the target. A copy that can't be verified is rolled
//! back.
//!
//! The source is read in one transaction: a server may keep serving it, but later writes are not copied. A copy can be
//! repeated, and then writes only the changes since; so copy first while the site serves, then stop the server and copy
//! once more.
//!
//! The target must be empty or hold an earlier copy of the same site. Rows that only the target has were either written
//! there or deleted at the source; the two can't be distinguished, so they are refused. Values *changed* at the target
//! are overwritten.
//!
//! Secrets are not in the database: see [`ABOUT_SECRETS`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Read,
    path::Path,
};

use futures_util::{Stream, StreamExt, TryStreamExt};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, FromQueryResult, QueryResult,
    Statement, TransactionTrait, TryGetable, Value,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    config::Config,
    db::{self, Db, sql},
    error::{Error, Result},
    open,
    secret::Secret,
    site,
};

/// Advice on secrets for an operator who moves a site.
pub const ABOUT_SECRETS: &str = "Secrets are in no database. Serve the copy with the MARMALADE_SECRETS of the original, or with the file \
     `secret` of its data folder in this MARMALADE_DATA_DIR: with another one everybody signs in again, and the seals \
     of the audit log can't be proved.";

/// Tables that are not copied: the migrations of an embedded database, the processes that work on the source, and the jobs
/// of the previous release.
const NOT_COPIED: [&str; 6] = [
    "seaql_migrations",
    "background_workers",
    "job_outbox",
    "Jobs",
    "Workers",
    "_sqlx_migrations",
];

/// Tables whose rows are purged or move, or are begun anew by whoever opens the database: rows missing at the source are deleted
/// at the target. What references them is copied later.
const TRANSIENT: [&str; 10] = [
    "audit_head",
    "background_jobs",
    "import_questions",
    "links",
    "outbox",
    "refresh_tokens",
    "registrations",
    "sessions",
    "unfinished_quizzes",
    "withheld_rollups",
];

/// Rows of one statement, which takes at most 65,535 parameters.
const ROWS_AT_ONCE: usize = 1000;
const MAX_PARAMETERS: usize = 65_535;

/// The outcome for a table. Prints as one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    pub table: String,
    /// The number of rows, now equal in both databases.
    pub rows: u64,
    /// Of all rows whatever their order, the same in both databases; 16 hexadecimal digits of it.
    pub checksum: String,
    /// Rows that were new or different.
    pub written: u64,
    /// Rows that the source no longer had.
    pub removed: u64,
}

impl fmt::Display for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16} {:>10} rows  {}  ", self.table, self.rows, self.checksum)?;
        match (self.written, self.removed) {
            (0, 0) => f.write_str("same"),
            (written, 0) => write!(f, "copied {written}"),
            (written, removed) => write!(f, "copied {written}, removed {removed}"),
        }
    }
}

/// Copies an embedded database, that of `file` or of the data folder, into the PostgreSQL of `DATABASE_URL`.
pub async fn copy(config: &Config, file: Option<&Path>) -> Result<Vec<Copied>> {
    let Some(Secret(url)) = &config.database.url else {
        return Err(refusal(
            "set DATABASE_URL: it names the PostgreSQL database to copy into",
        ));
    };
    let of_data_folder = config.site.data_dir.join("marmalade.db");
    let file = file.unwrap_or(&of_data_folder);
    must_be_sqlite(file)?;
    if config.site.secrets.is_empty() && !config.site.data_dir.join("secret").exists() {
        let folder = config.site.data_dir.display();
        return Err(refusal(format!("{folder} has no file `secret`. {ABOUT_SECRETS}")));
    }
    open::check_settings(config)?;
    let embedded = db::source(file).await?;
    let outcome = copy_from(&embedded, file, config, url).await;
    embedded.close().await?;
    outcome
}

#[expect(clippy::disallowed_methods, reason = "no event or job follows from it")]
async fn copy_from(embedded: &DatabaseConnection, file: &Path, config: &Config, url: &str) -> Result<Vec<Copied>> {
    let source = embedded.begin().await?;
    must_have_our_migrations(&source, file).await?;
    must_have_no_old_jobs(&source).await?;

    site::check_zone(&source, config.site.time_zone).await?;

    // One for the lock, one for the copy.
    let db = Db::pooled(url, config.database.pooler, 2, None).await?;
    let Some(alone) = db.server_lock(false).await? else {
        return Err(refusal("a server runs on the database of DATABASE_URL; stop it first"));
    };
    // A copy that is refused leaves no tables behind either.
    let target = db.begin().await?;
    db::migrate(&target).await?;
    let tables = tables(&source, &target).await?;
    let names: Vec<_> = tables.iter().map(|table| quoted(&table.name)).collect();
    // Nor may the command line write meanwhile.
    let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", names.join(", "));
    target.execute_unprepared(&lock).await?;
    must_be_empty_or_the_same_site(&source, &target, &tables).await?;
    let mut copied = Vec::new();
    for table in &tables {
        copied.push(table.copy(&source, &target).await?);
    }
    target.commit().await?;
    if copied.iter().any(|table| table.written > 0) {
        // The planner has no statistics of the new rows.
        db.write().execute_unprepared("ANALYZE").await?;
    }
    drop(alone);
    db.close().await?;
    source.rollback().await?;
    Ok(copied)
}

fn must_be_sqlite(file: &Path) -> Result<()> {
    let mut head = [0; 16];
    std::fs::File::open(file)
        .and_then(|mut file| file.read_exact(&mut head))
        .map_err(|error| refusal(format!("{}: {error}", file.display())))?;
    if &head != b"SQLite format 3\0" {
        return Err(refusal(format!("{} is no embedded database", file.display())));
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Named {
    name: String,
}

/// The names that a statement selects.
async fn names(conn: &DatabaseTransaction, select: &str) -> Result<BTreeSet<String>> {
    let rows = Named::find_by_statement(sql(conn, select, [])).all(conn).await?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Jobs that wait where the previous release looks for them are taken over by workers, and copied then.
async fn must_have_no_old_jobs(source: &DatabaseTransaction) -> Result<()> {
    let mut old = "SELECT hex(id) AS name FROM job_outbox".to_owned();
    let of_library = "SELECT name FROM sqlite_master WHERE name = 'Jobs'";
    if !names(source, of_library).await?.is_empty() {
        old.push_str(" UNION ALL SELECT id AS name FROM Jobs WHERE status <> 'Done'");
    }
    match names(source, &old).await?.len() {
        0 => Ok(()),
        left => Err(refusal(format!(
            "{left} jobs are not done yet that the previous release was to do: let a server or `marmalade worker` of this \
             release take them over, which takes a minute at most"
        ))),
    }
}

async fn must_have_our_migrations(source: &DatabaseTransaction, file: &Path) -> Result<()> {
    let file = file.display();
    let is_ours = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'seaql_migrations'";
    if names(source, is_ours).await?.is_empty() {
        return Err(refusal(format!("{file} is no database of Marmalade")));
    }
    let applied = names(source, "SELECT version AS name FROM seaql_migrations").await?;
    let known: BTreeSet<_> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    if let Some(unknown) = applied.difference(&known).next() {
        return Err(refusal(format!(
            "{file} has the migration {unknown}, which this program does not know; copy it with a newer program"
        )));
    }
    if let Some(missing) = known.difference(&applied).next() {
        return Err(refusal(format!(
            "{file} lacks the migration {missing}; run `migrate up` on it first, without DATABASE_URL"
        )));
    }
    Ok(())
}

/// A table that is copied, as the target has it.
struct Table {
    name: String,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    kind: Kind,
    in_key: bool,
    /// The sequence that generates its values in PostgreSQL.
    sequence: Option<String>,
}

#[derive(FromQueryResult)]
struct ColumnOfTarget {
    table: String,
    name: String,
    kind: String,
    in_key: bool,
    sequence: Option<String>,
}

#[derive(FromQueryResult)]
struct Reference {
    from: String,
    to: String,
}

/// The tables of the source, each after those it references. They are listed nowhere else, so none can be forgotten.
async fn tables(source: &DatabaseTransaction, target: &DatabaseTransaction) -> Result<Vec<Table>> {
    let select = sql(
        target,
        "SELECT t.relname::text AS table, c.attname::text AS name, format_type(c.atttypid, c.atttypmod) AS kind, \
                c.attnum = ANY (COALESCE(key.conkey, '{}')) AS in_key, \
                pg_get_serial_sequence(format('%I', t.relname), c.attname::text) AS sequence \
         FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped \
         LEFT JOIN pg_constraint key ON key.conrelid = t.oid AND key.contype = 'p' \
         WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' AND c.attgenerated = '' \
         ORDER BY t.relname, c.attnum",
        [],
    );
    let mut held: BTreeMap<String, Vec<ColumnOfTarget>> = BTreeMap::new();
    for column in ColumnOfTarget::find_by_statement(select).all(target).await? {
        held.entry(column.table.clone()).or_default().push(column);
    }
    let mut waiting = Vec::new();
    for name in names(
        source,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'",
    )
    .await?
    {
        if NOT_COPIED.contains(&name.as_str()) {
            continue;
        }
        let columns = held
            .remove(&name)
            .ok_or_else(|| refusal(format!("{name} is a table of the source that PostgreSQL does not have")))?;
        // A generated column is hidden in one of two ways.
        let shown = format!(
            "SELECT name FROM pragma_table_xinfo('{}') WHERE hidden NOT IN (2, 3)",
            name.replace('\'', "''")
        );
        let columns = columns
            .into_iter()
            .map(|column| column.read())
            .collect::<Result<Vec<_>>>()?;
        if names(source, &shown).await? != columns.iter().map(|column| column.name.clone()).collect() {
            return Err(refusal(format!(
                "{name} has other columns in the source than in PostgreSQL"
            )));
        }
        if !columns.iter().any(|column| column.in_key) {
            return Err(refusal(format!("{name} has no primary key")));
        }
        waiting.push(Table { name, columns });
    }
    // Deferred constraints impose no order on the tables.
    let select = sql(
        target,
        "SELECT t.relname::text AS from, other.relname::text AS to \
         FROM pg_constraint r JOIN pg_class t ON t.oid = r.conrelid JOIN pg_class other ON other.oid = r.confrelid \
         WHERE r.contype = 'f' AND NOT r.condeferred AND r.conrelid <> r.confrelid \
           AND t.relnamespace = current_schema()::regnamespace",
        [],
    );
    in_order(waiting, &Reference::find_by_statement(select).all(target).await?)
}

fn in_order(mut waiting: Vec<Table>, references: &[Reference]) -> Result<Vec<Table>> {
    let mut ordered = Vec::new();
    while !waiting.is_empty() {
        let names: BTreeSet<String> = waiting.iter().map(|table| table.name.clone()).collect();
        let waits = |table: &Table| {
            let mut references = references.iter().filter(|reference| reference.from == table.name);
            references.any(|reference| names.contains(&reference.to))
        };
        let (later, now): (Vec<_>, Vec<_>) = waiting.into_iter().partition(waits);
        if now.is_empty() {
            return Err(Error::internal(format!("tables refer to each other: {names:?}")));
        }
        ordered.extend(now);
        waiting = later;
    }
    Ok(ordered)
}

impl ColumnOfTarget {
    fn read(self) -> Result<Column> {
        let kind = match self.kind.as_str() {
            "uuid" => Kind::Uuid,
            "bytea" => Kind::Bytes,
            "text" => Kind::Text,
            "integer" => Kind::Int,
            "bigint" => Kind::Bigint,
            "boolean" => Kind::Bool,
            other => {
                return Err(Error::internal(format!(
                    "{}.{} is of the type {other}, which copies don't know yet",
                    self.table, self.name
                )));
            }
        };
        Ok(Column {
            name: self.name,
            kind,
            in_key: self.in_key,
            sequence: self.sequence,
        })
    }
}

/// The types that migrations spell for both databases.
#[derive(Clone, Copy)]
enum Kind {
    Uuid,
    Bytes,
    Text,
    Int,
    Bigint,
    Bool,
}

impl Kind {
    /// The value of the column at `at`; the same from both databases.
    fn read(self, row: &QueryResult, at: usize, from: DbBackend) -> Result<Value, DbErr> {
        fn get<T: TryGetable + Into<Value> + sea_orm::sea_query::Nullable>(
            row: &QueryResult,
            at: usize,
        ) -> Result<Value, DbErr> {
            Ok(row.try_get_by_index::<Option<T>>(at)?.into())
        }
        match self {
            Self::Uuid => get::<Uuid>(row, at),
            Self::Bytes => get::<Vec<u8>>(row, at),
            Self::Text => get::<String>(row, at),
            Self::Int => get::<i32>(row, at),
            Self::Bigint => get::<i64>(row, at),
            Self::Bool if from == DbBackend::Sqlite => match row.try_get_by_index::<Option<i64>>(at)? {
                None => Ok(Value::Bool(None)),
                Some(number @ (0 | 1)) => Ok((number == 1).into()),
                Some(number) => Err(DbErr::Type(format!("{number} is neither 0 nor 1"))),
            },
            Self::Bool => get::<bool>(row, at),
        }
    }
}

/// The number of rows, and the sum of their SHA-256 hashes, independent of their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fingerprint {
    rows: u64,
    sum: [u64; 4],
}

impl Fingerprint {
    fn add(&mut self, row: &[Value]) {
        let mut hash = Sha256::new();
        let mut put = |tag: u8, bytes: &[u8]| {
            hash.update([tag]);
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for value in row {
            match value {
                Value::Uuid(Some(id)) => put(1, id.as_bytes()),
                Value::Bytes(Some(bytes)) => put(2, bytes),
                Value::String(Some(text)) => put(3, text.as_bytes()),
                Value::Int(Some(number)) => put(4, &number.to_le_bytes()),
                Value::BigInt(Some(number)) => put(5, &number.to_le_bytes()),
                Value::Bool(Some(yes)) => put(6, &[u8::from(*yes)]),
                // `Kind::read` makes no other value than these, and their NULLs.
                _ => put(0, &[]),
            }
        }
        for (sum, part) in self.sum.iter_mut().zip(hash.finalize().as_chunks().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
        self.rows += 1;
    }
}

impl Table {
    /// Makes the target's rows equal to the source's, and verifies it.
    async fn copy(&self, source: &DatabaseTransaction, target: &DatabaseTransaction) -> Result<Copied> {
        let (here, mut there) = tokio::try_join!(self.fingerprint(source), self.fingerprint(target))?;
        let (mut written, mut removed) = (0, 0);
        if there != here {
            written = self.write(source, target).await?;
            there = self.fingerprint(target).await?;
            if there.rows > here.rows && TRANSIENT.contains(&self.name.as_str()) {
                removed = there.rows - here.rows;
                let clear = format!("TRUNCATE {} CASCADE", quoted(&self.name));
                target.execute_unprepared(&clear).await?;
                self.write(source, target).await?;
                there = self.fingerprint(target).await?;
            }
            self.move_sequences(target).await?;
        }
        let name = &self.name;
        if there.rows > here.rows {
            let extra = there.rows - here.rows;
            return Err(refusal(format!(
                "{name} has {extra} rows in PostgreSQL that the source has not. They were written there, or deleted at \
                 the source since an earlier copy; which of the two can't be determined. Nothing was copied; copy into an \
                 empty database."
            )));
        }
        if there != here {
            return Err(refusal(format!(
                "{name} differs from the source after it was written. Nothing was copied."
            )));
        }
        Ok(Copied {
            table: name.clone(),
            rows: here.rows,
            checksum: format!("{:016x}", here.sum[0]),
            written,
            removed,
        })
    }

    async fn fingerprint(&self, conn: &DatabaseTransaction) -> Result<Fingerprint> {
        let mut fingerprint = Fingerprint::default();
        let mut rows = self.rows(conn).await?;
        while let Some(row) = rows.try_next().await? {
            fingerprint.add(&row);
        }
        Ok(fingerprint)
    }

    /// All rows, one after the other.
    async fn rows<'a>(
        &'a self,
        conn: &'a DatabaseTransaction,
    ) -> Result<impl Stream<Item = Result<Vec<Value>>> + Unpin + 'a> {
        let backend = conn.get_database_backend();
        let (columns, table) = (self.columns(|_| true).join(", "), quoted(&self.name));
        // In the order of their creation, so that a unique value is free before it is reused.
        let order = if backend == DbBackend::Sqlite {
            "NOT INDEXED"
        } else {
            ""
        };
        let select = Statement::from_string(backend, format!("SELECT {columns} FROM {table} {order}"));
        let rows = sea_orm::StreamTrait::stream_raw(conn, select).await?;
        Ok(rows.map(move |row| self.read(&row?, backend)))
    }

    fn read(&self, row: &QueryResult, from: DbBackend) -> Result<Vec<Value>> {
        let read = |(at, column): (usize, &Column)| {
            let value = column.kind.read(row, at, from);
            value.map_err(|error| refusal(format!("{}.{} can't be read: {error}", self.name, column.name)))
        };
        self.columns.iter().enumerate().map(read).collect()
    }

    /// Writes the rows that are missing or different in the target. Returns their number.
    async fn write(&self, source: &DatabaseTransaction, target: &DatabaseTransaction) -> Result<u64> {
        let width = self.columns.len();
        let at_once = ROWS_AT_ONCE.min(MAX_PARAMETERS / width);
        let mut rows = self.rows(source).await?.try_chunks(at_once);
        let mut written = 0;
        while let Some(rows) = rows.try_next().await.map_err(|error| error.1)? {
            let upsert = self.upsert(rows.len());
            let values: Vec<Value> = rows.into_iter().flatten().collect();
            let upsert = Statement::from_sql_and_values(DbBackend::Postgres, upsert, values);
            let done = target.execute_raw(upsert).await.map_err(|error| {
                refusal(format!(
                    "{} can't be written: {error}. Nothing was copied. If there was an earlier copy, copy into an empty \
                     database.",
                    self.name
                ))
            })?;
            written += done.rows_affected();
        }
        Ok(written)
    }

    fn upsert(&self, rows: usize) -> String {
        let width = self.columns.len();
        let row = |n: usize| {
            let numbers: Vec<_> = (1..=width).map(|i| format!("${}", n * width + i)).collect();
            format!("({})", numbers.join(", "))
        };
        let values: Vec<_> = (0..rows).map(row).collect();
        let rest = self.columns(|column| !column.in_key);
        let each = |form: fn(&String) -> String| rest.iter().map(form).collect::<Vec<_>>().join(", ");
        let change = if rest.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!(
                "UPDATE SET {} WHERE ROW({}) IS DISTINCT FROM ROW({})",
                each(|column| format!("{column} = excluded.{column}")),
                each(|column| format!("held.{column}")),
                each(|column| format!("excluded.{column}")),
            )
        };
        format!(
            "INSERT INTO {} AS held ({}) OVERRIDING SYSTEM VALUE VALUES {} ON CONFLICT ({}) DO {change}",
            quoted(&self.name),
            self.columns(|_| true).join(", "),
            values.join(", "),
            self.columns(|column| column.in_key).join(", "),
        )
    }

    fn columns(&self, which: impl Fn(&Column) -> bool) -> Vec<String> {
        let columns = self.columns.iter().filter(|column| which(column));
        columns.map(|column| quoted(&column.name)).collect()
    }

    /// Advances PostgreSQL's sequences past the copied rows.
    async fn move_sequences(&self, target: &DatabaseTransaction) -> Result<()> {
        for column in &self.columns {
            if let Some(sequence) = &column.sequence {
                let (highest, table) = (quoted(&column.name), quoted(&self.name));
                let text = format!("SELECT setval($1::regclass, max({highest})) FROM {table} HAVING count(*) > 0");
                target.execute_raw(sql(target, text, [sequence.clone().into()])).await?;
            }
        }
        Ok(())
    }
}

#[derive(FromQueryResult, PartialEq)]
struct Site {
    time_zone: String,
    created_at: i64,
}

async fn must_be_empty_or_the_same_site(
    source: &DatabaseTransaction,
    target: &DatabaseTransaction,
    tables: &[Table],
) -> Result<()> {
    // Opening a database creates its `site` row, and begins its audit log.
    let others = tables
        .iter()
        .filter(|table| !["site", "audit_head"].contains(&table.name.as_str()));
    let any: Vec<_> = others
        .map(|table| {
            format!(
                "SELECT '{0}' AS name WHERE EXISTS (SELECT 1 FROM {0})",
                quoted(&table.name)
            )
        })
        .collect();
    if names(target, &any.join(" UNION ALL ")).await?.is_empty() {
        return Ok(());
    }
    let site = async |conn: &DatabaseTransaction| {
        let select = sql(conn, "SELECT time_zone, created_at FROM site", []);
        Site::find_by_statement(select).one(conn).await
    };
    if site(source).await? != site(target).await? {
        return Err(refusal(
            "the database of DATABASE_URL holds another site; copy into an empty database",
        ));
    }
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn refusal(message: impl Into<String>) -> Error {
    Error::BadInput(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(rows: &[&[Value]]) -> Fingerprint {
        let mut fingerprint = Fingerprint::default();
        rows.iter().for_each(|row| fingerprint.add(row));
        fingerprint
    }

    #[test]
    fn a_checksum_knows_each_value_and_no_order() {
        let (one, other): ([Value; 2], [Value; 2]) = (["ab".into(), "c".into()], [1.into(), Value::Int(None)]);
        assert_eq!(fingerprint(&[&one, &other]), fingerprint(&[&other, &one]));
        let all = [
            fingerprint(&[]),
            fingerprint(&[&one]),
            fingerprint(&[&one, &one]),
            fingerprint(&[&other]),
            fingerprint(&[&["a".into(), "bc".into()]]),
            fingerprint(&[&["c".into(), "ab".into()]]),
            fingerprint(&[&["ab".into(), Value::Bytes(Some(b"c".to_vec()))]]),
            fingerprint(&[&[0.into(), Value::Int(None)]]),
            fingerprint(&[&[Value::Int(None), 1.into()]]),
            fingerprint(&[&[1.into(), "".into()]]),
        ];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[n + 1..].contains(one), "{n}");
        }
    }

    #[test]
    fn a_table_comes_behind_those_it_refers_to() {
        let table = |name: &str| Table {
            name: name.into(),
            columns: Vec::new(),
        };
        let refers = |from: &str, to: &str| Reference {
            from: from.into(),
            to: to.into(),
        };
        let tables = || ["answers", "attempts", "users"].map(table).into();
        let references = [refers("answers", "attempts"), refers("attempts", "users")];
        let ordered = in_order(tables(), &references).unwrap_or_default();
        let names: Vec<_> = ordered.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["users", "attempts", "answers"]);
        assert!(in_order(tables(), &[refers("answers", "users"), refers("users", "answers")]).is_err());
    }
}
