//! Whatever index a migration makes is missed when it is gone, and known when it is another one.

use marmalade::ops::{indexes, verify};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};

use crate::{on_both_databases, support::TestApp};

#[derive(FromQueryResult)]
struct Made {
    name: String,
    statement: String,
}

/// The indexes that stand for themselves, each with the statement that makes it.
async fn made(app: &TestApp) -> Vec<Made> {
    let db = app.app.db.write();
    let select = if app.is_postgres() {
        "SELECT i.indexname::text AS name, i.indexdef AS statement FROM pg_indexes i WHERE i.schemaname = 'public' \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = format('%I', i.indexname)::regclass)"
    } else {
        "SELECT name, sql AS statement FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
    };
    let made = Made::find_by_statement(Statement::from_string(db.get_database_backend(), select));
    made.all(db).await.expect("indexes")
}

async fn findings(app: &TestApp) -> Vec<String> {
    verify::verify(&app.app).await.unwrap_or_else(|_| panic!("verify runs"))
}

async fn run(app: &TestApp, statement: &str) {
    app.app.db.write().execute_unprepared(statement).await.expect("it runs");
}

on_both_databases! {
    async fn each_index_is_missed_when_it_is_gone(app: TestApp) {
        let made = made(&app).await;
        assert!(made.len() > 25, "{} indexes", made.len());
        for old in ["attempts_one_open", "results_quiz", "attempts_student_state", "users_handle"] {
            assert!(made.iter().any(|index| index.name == old), "{old}");
        }
        assert_eq!(findings(&app).await, Vec::<String>::new());
        for index in made {
            run(&app, &format!("DROP INDEX {}", index.name)).await;
            let expected = format!("index {} of ", index.name);
            let found = findings(&app).await;
            assert!(found.iter().any(|line| line.starts_with(&expected) && line.contains(" is missing, ")), "{found:#?}");
            run(&app, &index.statement).await;
        }
        assert_eq!(findings(&app).await, Vec::<String>::new());
    }

    async fn an_index_of_the_same_name_is_known_by_what_it_does(app: TestApp) {
        for other in [
            "CREATE INDEX attempts_one_open ON attempts (student_id, quiz_id) WHERE state = 'IN_PROGRESS'",
            "CREATE UNIQUE INDEX attempts_one_open ON attempts (student_id, quiz_id) WHERE state = 'SUBMITTED'",
            "CREATE UNIQUE INDEX attempts_one_open ON attempts (quiz_id, student_id) WHERE state = 'IN_PROGRESS'",
            "CREATE UNIQUE INDEX attempts_one_open ON attempts (student_id, quiz_id, number)",
            "CREATE UNIQUE INDEX attempts_one_open ON results (student_id, quiz_id)",
        ] {
            run(&app, "DROP INDEX attempts_one_open").await;
            run(&app, other).await;
            let found = findings(&app).await;
            assert!(found.iter().any(|line| line.starts_with("index attempts_one_open of attempts is ")), "{other}: {found:#?}");
        }
        // However it is written, it is the same one.
        run(&app, "DROP INDEX attempts_one_open").await;
        run(&app, "create unique index \"attempts_one_open\"\n on attempts(student_id,  quiz_id)\n where state = 'IN_PROGRESS'").await;
        assert_eq!(findings(&app).await, Vec::<String>::new());
        // One more is nobody's loss.
        run(&app, "CREATE INDEX answers_of_an_operator ON answers (choice_id)").await;
        assert_eq!(findings(&app).await, Vec::<String>::new());
        let listed = indexes::of(&app.app.db).await.unwrap_or_else(|_| panic!("a list"));
        let line = listed["attempts_one_open"].to_string();
        assert!(line.contains("unique attempts ") && line.contains("'IN_PROGRESS'"), "{line}");
        assert!(listed.contains_key("answers_of_an_operator"));
    }
}
