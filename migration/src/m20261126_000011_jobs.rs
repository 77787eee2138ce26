use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000011_jobs",
    up: r#"
-- Jobs that a transaction wants done, until they are in the queue. A table of its own: servers of a release that knows
-- no jobs claim whatever is in the outbox.
CREATE TABLE job_outbox (
    id {uuid} NOT NULL PRIMARY KEY,
    job {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};

-- When a job that is due again and again is due next. Whoever moves it on has the job done.
CREATE TABLE schedules (
    name {text} NOT NULL PRIMARY KEY,
    due_at {time} NOT NULL
) {strict};

-- What happened on a day of the site's zone, counted once the day is over.
CREATE TABLE daily_metrics (
    day {text} NOT NULL PRIMARY KEY,
    new_accounts {bigint} NOT NULL,
    active_students {bigint} NOT NULL,
    attempts_started {bigint} NOT NULL,
    attempts_submitted {bigint} NOT NULL,
    counted_at {time} NOT NULL
) {strict};
CREATE INDEX users_created_at ON users (created_at);
CREATE INDEX attempts_started_at ON attempts (started_at);
CREATE INDEX attempts_submitted_at ON attempts (submitted_at);
"#,
    down: r#"
DROP INDEX attempts_submitted_at;
DROP INDEX attempts_started_at;
DROP INDEX users_created_at;
DROP TABLE daily_metrics;
DROP TABLE schedules;
DROP TABLE job_outbox;
"#,
};
