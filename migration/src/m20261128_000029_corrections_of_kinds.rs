use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000029_corrections_of_kinds",
    up: r#"
-- As in `questions`: several right choices, or a number. In what servers of the release before write, `right_position`
-- alone tells; it stays filled for one right choice, and is 0 for whatever they don't know.
ALTER TABLE corrections ADD COLUMN right_set {int};
ALTER TABLE corrections ADD COLUMN right_number {text};
ALTER TABLE corrections ADD COLUMN tolerance {text};
"#,
    down: r#"
ALTER TABLE corrections DROP COLUMN tolerance;
ALTER TABLE corrections DROP COLUMN right_number;
ALTER TABLE corrections DROP COLUMN right_set;
"#,
};
