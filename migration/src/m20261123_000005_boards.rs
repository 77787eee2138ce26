use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000005_boards",
    up: r#"
-- The best ranked result of a student in a quiz, per window.
CREATE TABLE bests (
    student_id {uuid} NOT NULL REFERENCES users (id),
    window_key {text} NOT NULL,
    quiz_id {uuid} NOT NULL REFERENCES quizzes (id),
    score {bigint} NOT NULL,
    achieved_at {time} NOT NULL,
    -- When this quiz last changed the student's sum; NULL while it never did (a first result of zero).
    moved_at {time},
    PRIMARY KEY (student_id, window_key, quiz_id)
) {strict};

-- A board is a scope (everything: the nil UUID, a subject, a quiz) and a window. No rank is stored.
CREATE TABLE standings (
    scope_id {uuid} NOT NULL,
    window_key {text} NOT NULL,
    student_id {uuid} NOT NULL REFERENCES users (id),
    score {bigint} NOT NULL,
    reached_at {time} NOT NULL,
    -- users.version of the transaction that wrote the row: an index applies only a higher one.
    version {bigint} NOT NULL,
    PRIMARY KEY (scope_id, window_key, student_id)
) {strict};
CREATE INDEX standings_order ON standings (scope_id, window_key, score DESC, reached_at, student_id);
CREATE INDEX standings_student ON standings (student_id, window_key);
"#,
    down: r#"
DROP TABLE standings;
DROP TABLE bests;
"#,
};
