use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000025_drafts",
    up: r#"
-- The question that a question was copied from, transitively the first: what it is in each revision.
ALTER TABLE questions ADD COLUMN origin_id {uuid};
-- Of a draft's question: the version of the draft that wrote it last.
ALTER TABLE questions ADD COLUMN changed_in {int};
-- A question that was taken out of a draft stays until the draft is published. It has a negative position meanwhile, and
-- here is the one that it had.
ALTER TABLE questions ADD COLUMN removed_from {int};

-- A draft that was discarded stays, and makes room for another.
ALTER TABLE revisions ADD COLUMN discarded_at {time};
DROP INDEX revisions_one_draft;
CREATE UNIQUE INDEX revisions_one_draft ON revisions (quiz_id) WHERE state = 'DRAFT' AND discarded_at IS NULL;
CREATE INDEX revisions_drafts ON revisions (id) WHERE state = 'DRAFT';
"#,
    down: r#"
-- What this schema has no place for: drafts that were discarded, and questions that were removed.
DELETE FROM choices WHERE question_id IN (SELECT q.id FROM questions q JOIN revisions r ON r.id = q.revision_id
    WHERE r.discarded_at IS NOT NULL OR q.removed_from IS NOT NULL);
DELETE FROM questions WHERE removed_from IS NOT NULL
    OR revision_id IN (SELECT id FROM revisions WHERE discarded_at IS NOT NULL);
DELETE FROM revisions WHERE discarded_at IS NOT NULL;

DROP INDEX revisions_drafts;
DROP INDEX revisions_one_draft;
CREATE UNIQUE INDEX revisions_one_draft ON revisions (quiz_id) WHERE state = 'DRAFT';
ALTER TABLE revisions DROP COLUMN discarded_at;
ALTER TABLE questions DROP COLUMN removed_from;
ALTER TABLE questions DROP COLUMN changed_in;
ALTER TABLE questions DROP COLUMN origin_id;
"#,
};
