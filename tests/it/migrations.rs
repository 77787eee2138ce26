//! Every migration goes up and comes down again.

use std::collections::{BTreeMap, BTreeSet};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};

use crate::on_both_databases;

#[derive(FromQueryResult)]
struct Piece {
    piece: String,
}

/// Tables, columns, indexes and constraints, as the database describes them.
async fn schema(db: &impl ConnectionTrait) -> BTreeSet<String> {
    let backend = db.get_database_backend();
    let select = if backend == DbBackend::Postgres {
        "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS piece \
           FROM information_schema.columns WHERE table_schema = 'public' \
         UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
         UNION ALL SELECT conrelid::regclass || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
           WHERE connamespace = 'public'::regnamespace"
    } else {
        "SELECT type || ' ' || name || ' ' || COALESCE(sql, '') AS piece FROM sqlite_schema"
    };
    let pieces = Piece::find_by_statement(Statement::from_string(backend, select));
    let pieces = pieces.all(db).await.expect("a schema");
    pieces.into_iter().map(|piece| piece.piece).collect()
}

on_both_databases! {
    async fn each_migration_comes_down_to_where_it_went_up_from(app: TestApp) {
        let db = app.app.db.write();
        let all = Migrator::migrations().len();
        Migrator::down(db, None).await.expect("all come down");
        let mut steps = vec![schema(db).await];
        for _ in 0..all {
            Migrator::up(db, Some(1)).await.expect("one goes up");
            steps.push(schema(db).await);
        }
        for step in (0..all).rev() {
            assert_ne!(steps[step], steps[step + 1], "a migration that does something");
            Migrator::down(db, Some(1)).await.expect("one comes down");
            assert_eq!(schema(db).await, steps[step]);
        }
        Migrator::up(db, None).await.expect("all go up again");
        assert_eq!(schema(db).await, steps[all]);
    }

    async fn data_stays_while_migrations_go_down_and_up_under_it(app: TestApp) {
        assert!(marmalade::demo::fill_if_empty(&app.app).await.ok() == Some(true));
        let db = app.app.db.write();
        let full: usize = tables(db).await.len();
        assert!(full > 20, "{full} tables");
        let mut rows = 0;
        for level in (1..=Migrator::migrations().len()).rev() {
            let before = tables(db).await;
            let kept = contents(db, &before).await;
            Migrator::down(db, Some(1)).await.expect("one comes down");
            // What the older schema has no place for is gone; all else is as it was.
            let below = tables(db).await;
            let stays = |table: &String, columns: &BTreeSet<String>| {
                let columns = below.get(table)?.intersection(columns).cloned().collect();
                Some((table.clone(), columns))
            };
            let common: Tables = before.iter().filter_map(|(table, columns)| stays(table, columns)).collect();
            let expected = narrowed(&kept, &before, &common);
            assert_eq!(contents(db, &common).await, expected, "down from {level}");
            Migrator::up(db, Some(1)).await.expect("it goes up again");
            assert_eq!(tables(db).await, before);
            assert_eq!(contents(db, &common).await, expected, "up to {level}");
            rows += expected.values().map(Vec::len).sum::<usize>();
            Migrator::down(db, Some(1)).await.expect("one comes down");
        }
        assert!(rows > 5000, "{rows} rows were compared");
        Migrator::up(db, None).await.expect("all go up again");
    }

    async fn a_database_is_used_after_its_newest_migration_went_down_and_up(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 2).await;
        let db = app.app.db.write();
        Migrator::down(db, Some(1)).await.expect("it comes down");
        Migrator::up(db, Some(1)).await.expect("it goes up again");
        // What proves the audit log has no place in an older schema.
        let (keys, reason) = (&app.app.keys, "The schema was taken back.");
        let accepted = marmalade::audit::seal::accept(&app.app.db, keys, &Default::default(), reason, &app.app.now()).await;
        accepted.unwrap_or_else(|_| panic!("accepted"));
        app.verify().await;
        app.student().await.take(quiz, 3).await;
        app.verify().await;
    }

    async fn a_server_starts_on_the_schema_of_the_next_release(app: TestApp) {
        let db = app.app.db.write();
        db.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m20991231_000099_next', 1)").await.expect("a row");
        assert!(app.app.db.migrate().await.is_ok());
        // But it does not bring an older schema up: that is for the release that knows all of it.
        db.execute_unprepared("DELETE FROM seaql_migrations WHERE version LIKE 'm20261126%'").await.expect("a row less");
        assert!(app.app.db.migrate().await.is_err());
    }
}

/// The columns of each table.
type Tables = BTreeMap<String, BTreeSet<String>>;

/// Ours, as they are.
async fn tables(db: &impl ConnectionTrait) -> Tables {
    #[derive(FromQueryResult)]
    struct Column {
        table_name: String,
        column_name: String,
    }
    let backend = db.get_database_backend();
    let select = if backend == DbBackend::Postgres {
        "SELECT c.table_name, c.column_name FROM information_schema.columns c \
         WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'"
    } else {
        "SELECT t.name AS table_name, c.name AS column_name FROM sqlite_schema t, pragma_table_xinfo(t.name) c \
         WHERE t.type = 'table' AND t.name NOT IN ('seaql_migrations', 'Jobs', 'Workers', '_sqlx_migrations') \
           AND t.name NOT LIKE 'sqlite_%'"
    };
    let columns = Column::find_by_statement(Statement::from_string(backend, select));
    let mut tables = Tables::new();
    for column in columns.all(db).await.expect("columns") {
        tables.entry(column.table_name).or_default().insert(column.column_name);
    }
    tables
}

/// The rows of each table, each as the texts of these columns; sorted.
async fn contents(db: &impl ConnectionTrait, tables: &Tables) -> BTreeMap<String, Vec<Vec<Option<String>>>> {
    let mut contents = BTreeMap::new();
    for (table, columns) in tables {
        let texts = columns.iter().map(|column| match db.get_database_backend() {
            DbBackend::Postgres => format!("CAST(\"{column}\" AS TEXT) AS \"{column}\""),
            _ => format!("quote(\"{column}\") AS \"{column}\""),
        });
        let select = format!("SELECT {} FROM \"{table}\"", texts.collect::<Vec<_>>().join(", "));
        let rows = db
            .query_all_raw(Statement::from_string(db.get_database_backend(), select))
            .await
            .expect("rows");
        let read = |row: &sea_orm::QueryResult| {
            columns
                .iter()
                .map(|column| row.try_get::<Option<String>>("", column).expect("a text"))
                .collect()
        };
        let mut rows: Vec<Vec<_>> = rows.iter().map(read).collect();
        rows.sort();
        contents.insert(table.clone(), rows);
    }
    contents
}

/// The same with fewer tables and columns.
fn narrowed(
    contents: &BTreeMap<String, Vec<Vec<Option<String>>>>,
    from: &Tables,
    to: &Tables,
) -> BTreeMap<String, Vec<Vec<Option<String>>>> {
    let of_table = |(table, columns): (&String, &BTreeSet<String>)| {
        let kept_columns: Vec<_> = from[table].iter().map(|column| columns.contains(column)).collect();
        let narrow = |row: &Vec<Option<String>>| {
            let kept = row.iter().zip(&kept_columns).filter(|(_, kept)| **kept);
            kept.map(|(value, _)| value.clone()).collect()
        };
        let mut rows: Vec<Vec<_>> = contents[table].iter().map(narrow).collect();
        rows.sort();
        (table.clone(), rows)
    };
    to.iter().map(of_table).collect()
}
