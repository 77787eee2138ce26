use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000024_kinds_of_questions",
    up: r#"
-- What a question asks for (quiz::right). `right_set` has bit n set if the choice at position n is right; it is NULL in
-- what servers of the release before write, who know one right choice only, in `right_position`. A question with one
-- right choice has both.
ALTER TABLE questions ADD COLUMN kind {text} NOT NULL DEFAULT 'SINGLE_CHOICE';
ALTER TABLE questions ADD COLUMN right_set {int};
-- Decimal numbers, as text: the right one, and how far from it an answer may be.
ALTER TABLE questions ADD COLUMN right_number {text};
ALTER TABLE questions ADD COLUMN tolerance {text};

-- The choices of an answer to a question that takes several, by position as in `right_set`; or a number.
ALTER TABLE answers ADD COLUMN choice_set {int};
ALTER TABLE answers ADD COLUMN number {text};

-- Grows with every write to a draft, so that an editor whose copy is stale is told.
ALTER TABLE revisions ADD COLUMN version {int} NOT NULL DEFAULT 1;
ALTER TABLE revisions ADD COLUMN updated_at {time};
ALTER TABLE revisions ADD COLUMN updated_by {uuid};
"#,
    down: r#"
ALTER TABLE revisions DROP COLUMN updated_by;
ALTER TABLE revisions DROP COLUMN updated_at;
ALTER TABLE revisions DROP COLUMN version;
ALTER TABLE answers DROP COLUMN number;
ALTER TABLE answers DROP COLUMN choice_set;
ALTER TABLE questions DROP COLUMN tolerance;
ALTER TABLE questions DROP COLUMN right_number;
ALTER TABLE questions DROP COLUMN right_set;
ALTER TABLE questions DROP COLUMN kind;
"#,
};
