use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000006_rollups",
    up: r#"
-- What a dashboard shows, kept exact in the transaction that stores a result.
CREATE TABLE rollups (
    student_id {uuid} NOT NULL REFERENCES users (id),
    kind {text} NOT NULL CHECK (kind IN ('TOTAL', 'SUBJECT', 'CHAPTER', 'DAY')),
    -- The subject or the chapter; the nil UUID for the other kinds.
    of_id {uuid} NOT NULL,
    -- The day in the site's zone, in days since 1970-01-01; 0 for the other kinds.
    day {int} NOT NULL,
    attempts {bigint} NOT NULL,
    right_count {bigint} NOT NULL,
    wrong_count {bigint} NOT NULL,
    blank_count {bigint} NOT NULL,
    score {bigint} NOT NULL,
    max_score {bigint} NOT NULL,
    PRIMARY KEY (student_id, kind, day, of_id)
) {strict};
"#,
    down: r#"
DROP TABLE rollups;
"#,
};
