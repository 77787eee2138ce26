use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000034_life_of_subjects",
    up: r#"
-- The name as it is compared, without case and accents (text::folded). The program folds the names that are here, and those
-- that servers of the release before write (quiz::names::fold); of two that are one by it, the later stays without, until
-- staff merge them.
ALTER TABLE subjects ADD COLUMN name_folded {text};
-- The subject that has what was in this one.
ALTER TABLE subjects ADD COLUMN merged_into {uuid};
CREATE UNIQUE INDEX subjects_folded ON subjects (name_folded);

ALTER TABLE chapters ADD COLUMN name_folded {text};
ALTER TABLE chapters ADD COLUMN merged_into {uuid};
ALTER TABLE chapters ADD COLUMN deleted_at {time};
-- Where it stands among the chapters of its subject: the id that it would have if it had been made there. The program gives
-- one to chapters of servers of the release before.
ALTER TABLE chapters ADD COLUMN place {uuid};
UPDATE chapters SET place = id;
CREATE UNIQUE INDEX chapters_folded ON chapters (subject_id, name_folded);
CREATE INDEX chapters_place ON chapters (subject_id, place);
CREATE INDEX chapters_merged ON chapters (merged_into) WHERE merged_into IS NOT NULL;
"#,
    down: r#"
DROP INDEX chapters_merged;
DROP INDEX chapters_place;
DROP INDEX chapters_folded;
ALTER TABLE chapters DROP COLUMN place;
ALTER TABLE chapters DROP COLUMN deleted_at;
ALTER TABLE chapters DROP COLUMN merged_into;
ALTER TABLE chapters DROP COLUMN name_folded;
DROP INDEX subjects_folded;
ALTER TABLE subjects DROP COLUMN merged_into;
ALTER TABLE subjects DROP COLUMN name_folded;
"#,
};
