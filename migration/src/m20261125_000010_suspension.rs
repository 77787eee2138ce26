use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261125_000010_suspension",
    up: r#"
-- Why an account is suspended, in an admin's words. Removed with what else is personal.
ALTER TABLE users ADD COLUMN suspension_reason {text};
"#,
    down: r#"
ALTER TABLE users DROP COLUMN suspension_reason;
"#,
};
