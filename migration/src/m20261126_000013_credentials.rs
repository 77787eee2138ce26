use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000013_credentials",
    up: r#"
-- When the password or the address last changed: a link that was asked for before is good for nothing.
ALTER TABLE users ADD COLUMN credentials_changed_at {time};
-- The request that sent the file.
ALTER TABLE bank_imports ADD COLUMN request_id {text};
"#,
    down: r#"
ALTER TABLE bank_imports DROP COLUMN request_id;
ALTER TABLE users DROP COLUMN credentials_changed_at;
"#,
};
