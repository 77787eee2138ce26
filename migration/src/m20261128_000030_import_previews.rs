use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000030_import_previews",
    up: r#"
-- How far an import that is previewed has come: READING, READY (to be confirmed) or WRITING; then it is finished. NULL: it
-- was sent to be imported at once.
ALTER TABLE bank_imports ADD COLUMN step {text};
-- JSON: how the file is read.
ALTER TABLE bank_imports ADD COLUMN options {text};
-- SHA-256 of the file.
ALTER TABLE bank_imports ADD COLUMN content_digest {text};
-- SHA-256 of the file, how it is read and where it goes; NULL until that is known, and once it did not come to that.
ALTER TABLE bank_imports ADD COLUMN order_digest {text};
-- JSON: where each sheet goes, and why.
ALTER TABLE bank_imports ADD COLUMN orders {text};
-- Questions of the step that are done, of how many.
ALTER TABLE bank_imports ADD COLUMN progress_done {int};
ALTER TABLE bank_imports ADD COLUMN progress_total {int};
CREATE INDEX bank_imports_content ON bank_imports (content_digest, id);
-- The same file is imported once to the same place.
CREATE UNIQUE INDEX bank_imports_once ON bank_imports (order_digest) WHERE order_digest IS NOT NULL;

-- The questions of imports that are not confirmed yet, as they would become.
CREATE TABLE import_questions (
    import_id {uuid} NOT NULL REFERENCES bank_imports (id),
    -- The sheet's place in the report, from 0.
    sheet {int} NOT NULL,
    position {int} NOT NULL,
    -- Where in the file it comes from.
    cell {text} NOT NULL,
    -- JSON: the question with what is right.
    content {text} NOT NULL,
    PRIMARY KEY (import_id, sheet, position)
) {strict};
"#,
    down: r#"
DROP TABLE import_questions;
DROP INDEX bank_imports_once;
DROP INDEX bank_imports_content;
ALTER TABLE bank_imports DROP COLUMN progress_total;
ALTER TABLE bank_imports DROP COLUMN progress_done;
ALTER TABLE bank_imports DROP COLUMN orders;
ALTER TABLE bank_imports DROP COLUMN order_digest;
ALTER TABLE bank_imports DROP COLUMN content_digest;
ALTER TABLE bank_imports DROP COLUMN options;
ALTER TABLE bank_imports DROP COLUMN step;
"#,
};
