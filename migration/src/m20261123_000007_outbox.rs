use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000007_outbox",
    up: r#"
-- What must follow a commit, written in its transaction. A row is claimed by deleting it: ids are given before
-- the commit, so 'greater than the last one seen' would miss rows.
CREATE TABLE outbox (
    id {uuid} NOT NULL PRIMARY KEY,
    event {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};
"#,
    down: r#"
DROP TABLE outbox;
"#,
};
