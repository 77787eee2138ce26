use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000012_imports",
    up: r#"
-- Question banks that staff have sent. The file goes once it is read; what became of it stays.
CREATE TABLE bank_imports (
    id {uuid} NOT NULL PRIMARY KEY,
    wanted_by {uuid} NOT NULL REFERENCES users (id),
    file_name {text} NOT NULL,
    content {bytes},
    quiz_title {text} NOT NULL,
    subject {text} NOT NULL,
    -- NULL: every sheet that has questions.
    sheet {text},
    publish {bool} NOT NULL,
    created_at {time} NOT NULL,
    finished_at {time},
    -- JSON: each sheet's report and quiz.
    report {text},
    -- Why nothing of the file was imported.
    error {text},
    CHECK ((finished_at IS NULL) = (content IS NOT NULL))
) {strict};
"#,
    down: r#"
DROP TABLE bank_imports;
"#,
};
