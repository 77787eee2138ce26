use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend::Postgres};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The two tables point at each other: SQLite takes the constraint only with the table, PostgreSQL only once
        // both tables are there.
        let postgres = manager.get_database_backend() == Postgres;
        let with_table = if postgres { "" } else { ATTEMPT_HAS_RESULT };
        crate::execute(manager, &UP.replace("{attempt_has_result}", with_table)).await?;
        if postgres {
            let afterwards = format!(
                "ALTER TABLE attempts ADD {};",
                ATTEMPT_HAS_RESULT.trim_start_matches([',', '\n'])
            );
            crate::execute(manager, &afterwards).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() == Postgres {
            crate::execute(manager, "ALTER TABLE attempts DROP CONSTRAINT attempt_has_result;").await?;
            return crate::execute(manager, DOWN).await;
        }
        // Attempts and results refer to each other: they go in one transaction, which PostgreSQL's migrations are anyway.
        crate::execute(manager, &format!("BEGIN IMMEDIATE;{DOWN}COMMIT;")).await
    }
}

/// Checked at the commit: no transaction can leave a submitted attempt without a result.
const ATTEMPT_HAS_RESULT: &str = ",
    CONSTRAINT attempt_has_result FOREIGN KEY (result_id) REFERENCES results (attempt_id)
        DEFERRABLE INITIALLY DEFERRED";

const UP: &str = r#"
CREATE TABLE attempts (
    id {uuid} NOT NULL PRIMARY KEY,
    student_id {uuid} NOT NULL REFERENCES users (id),
    quiz_id {uuid} NOT NULL REFERENCES quizzes (id),
    revision_id {uuid} NOT NULL REFERENCES revisions (id),
    number {int} NOT NULL CHECK (number > 0),
    -- Whether its result counts on boards: its student could not yet read a review of the quiz when it started.
    ranked {bool} NOT NULL,
    state {text} NOT NULL CHECK (state IN ('IN_PROGRESS', 'SUBMITTED')),
    started_at {time} NOT NULL,
    deadline_at {time} NOT NULL,
    submitted_at {time},
    submitted_by {text} CHECK (submitted_by IN ('STUDENT', 'CLOCK')),
    -- Submitted or last answered after the deadline, within the seconds of grace.
    late {bool} NOT NULL DEFAULT FALSE,
    idempotency_key {text},
    -- Its own id once there is a result.
    result_id {uuid},
    UNIQUE (student_id, quiz_id, number),
    CHECK ((state = 'SUBMITTED') = (submitted_at IS NOT NULL)),
    CHECK ((state = 'SUBMITTED') = (submitted_by IS NOT NULL)),
    CHECK ((state = 'SUBMITTED') = (result_id IS NOT NULL)),
    CHECK (result_id = id){attempt_has_result}
) {strict};
CREATE UNIQUE INDEX attempts_one_open ON attempts (student_id, quiz_id) WHERE state = 'IN_PROGRESS';
CREATE INDEX attempts_student ON attempts (student_id, id);
CREATE INDEX attempts_state ON attempts (state, deadline_at);
CREATE INDEX attempts_student_state ON attempts (student_id, state, id);

CREATE TABLE answers (
    attempt_id {uuid} NOT NULL REFERENCES attempts (id),
    question_id {uuid} NOT NULL REFERENCES questions (id),
    -- NULL: the student cleared the answer.
    choice_id {uuid},
    seq {bigint} NOT NULL CHECK (seq > 0),
    answered_at {time} NOT NULL,
    late {bool} NOT NULL,
    PRIMARY KEY (attempt_id, question_id),
    FOREIGN KEY (question_id, choice_id) REFERENCES choices (question_id, id)
) {strict};

CREATE TABLE results (
    attempt_id {uuid} NOT NULL PRIMARY KEY REFERENCES attempts (id),
    student_id {uuid} NOT NULL REFERENCES users (id),
    quiz_id {uuid} NOT NULL REFERENCES quizzes (id),
    correction {int} NOT NULL,
    score {bigint} NOT NULL,
    max_score {bigint} NOT NULL,
    right_count {int} NOT NULL,
    wrong_count {int} NOT NULL,
    blank_count {int} NOT NULL,
    ranked {bool} NOT NULL,
    submitted_at {time} NOT NULL
) {strict};
CREATE INDEX results_student_time ON results (student_id, submitted_at, attempt_id);
CREATE INDEX results_quiz ON results (quiz_id, student_id);
"#;

const DOWN: &str = r#"
DROP TABLE answers;
DELETE FROM results;
DELETE FROM attempts;
DROP TABLE results;
DROP TABLE attempts;
"#;
