use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000027_shuffle",
    up: r#"
-- Whether each attempt has its questions, and the choices of each, in an order of its own (quiz::shuffle).
ALTER TABLE revisions ADD COLUMN shuffle_questions {bool} NOT NULL DEFAULT FALSE;
ALTER TABLE revisions ADD COLUMN shuffle_choices {bool} NOT NULL DEFAULT FALSE;

-- What the order of an attempt is drawn from. Attempts that servers of the release before start have none: theirs is
-- the order of the revision.
ALTER TABLE attempts ADD COLUMN seed {bigint};
"#,
    down: r#"
ALTER TABLE attempts DROP COLUMN seed;
ALTER TABLE revisions DROP COLUMN shuffle_choices;
ALTER TABLE revisions DROP COLUMN shuffle_questions;
"#,
};
