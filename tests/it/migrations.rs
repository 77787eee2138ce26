//! Every migration goes up and comes down again.

use std::collections::BTreeSet;

use migration::{Migrator, MigratorTrait};
use sea_orm::{DatabaseConnection, DbBackend, FromQueryResult, Statement};

use crate::on_both_databases;

#[derive(FromQueryResult)]
struct Piece {
    piece: String,
}

/// Tables, columns, indexes and constraints, as the database describes them.
async fn schema(db: &DatabaseConnection) -> BTreeSet<String> {
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

    async fn the_newest_migration_goes_down_and_up_under_a_used_database(app: TestApp) {
        let (ada, quiz) = (app.student().await, app.quiz(3, |_| {}).await);
        ada.take(quiz, 2).await;
        let db = app.app.db.write();
        Migrator::down(db, Some(1)).await.expect("it comes down");
        Migrator::up(db, Some(1)).await.expect("it goes up again");
        app.verify().await;
        app.student().await.take(quiz, 3).await;
        app.verify().await;
    }
}
