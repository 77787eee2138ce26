use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000016_import_findings",
    up: r#"
-- Quizzes that an import is still writing, in several transactions: nobody sees them until the last one takes them out.
CREATE TABLE unfinished_quizzes (
    quiz_id {uuid} NOT NULL PRIMARY KEY REFERENCES quizzes (id),
    -- NULL: an import by the command line.
    import_id {uuid} REFERENCES bank_imports (id),
    created_at {time} NOT NULL
) {strict};

-- The run that may write the quizzes of the import; a later one takes over.
ALTER TABLE bank_imports ADD COLUMN writer {uuid};
"#,
    down: r#"
ALTER TABLE bank_imports DROP COLUMN writer;
DROP TABLE unfinished_quizzes;
"#,
};
