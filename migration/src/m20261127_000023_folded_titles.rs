use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261127_000023_folded_titles",
    up: r#"
-- The title as it is looked for, without case and accents (text::folded). The program folds the titles that are here, and
-- those that servers of the release before write, once it runs (quiz::title::fold): no database can.
ALTER TABLE quizzes ADD COLUMN title_folded {text};
"#,
    down: r#"
ALTER TABLE quizzes DROP COLUMN title_folded;
"#,
};
