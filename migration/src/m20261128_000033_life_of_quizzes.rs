use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000033_life_of_quizzes",
    up: r#"
-- Out of the catalogue, for a while or for good. Servers of the release before still list such a quiz until they are gone.
ALTER TABLE quizzes ADD COLUMN withdrawn_at {time};
ALTER TABLE quizzes ADD COLUMN archived_at {time};
-- Neither results nor reviews are shown before.
ALTER TABLE quizzes ADD COLUMN results_at {time};
-- Grows with every change of the settings, so that an editor whose copy is stale is told.
ALTER TABLE quizzes ADD COLUMN version {int} NOT NULL DEFAULT 1;
"#,
    down: r#"
ALTER TABLE quizzes DROP COLUMN version;
ALTER TABLE quizzes DROP COLUMN results_at;
ALTER TABLE quizzes DROP COLUMN archived_at;
ALTER TABLE quizzes DROP COLUMN withdrawn_at;
"#,
};
