use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000019_result_visibility",
    up: r#"
-- When a student sees points of a quiz whose reviews are still closed: those of the first attempt after its submit, or
-- none before the review. Quizzes that allow several ranked attempts until then show none: scores of several attempts
-- give the key away.
ALTER TABLE quizzes ADD COLUMN result_opens {text} NOT NULL DEFAULT 'AFTER_SUBMIT'
    CHECK (result_opens IN ('AFTER_SUBMIT', 'WITH_REVIEW'));
UPDATE quizzes SET result_opens = 'WITH_REVIEW'
WHERE review_opens <> 'AFTER_SUBMIT' AND (max_attempts IS NULL OR max_attempts > 1)
  AND (closes_at IS NOT NULL OR (review_opens = 'AFTER_LAST_ATTEMPT' AND max_attempts IS NOT NULL));

-- How much of a result its student sees until the reviews of the quiz open; from then on everything. Boards leave out
-- HIDDEN ones; roll-ups have FULL ones only, those of the others wait in withheld_rollups.
ALTER TABLE results ADD COLUMN visibility {text} NOT NULL DEFAULT 'FULL'
    CHECK (visibility IN ('HIDDEN', 'POINTS', 'FULL'));
CREATE INDEX results_withheld ON results (quiz_id, student_id) WHERE visibility <> 'FULL';

-- The attempts at a quiz that may still be answered: its reviews wait for the last of them.
CREATE INDEX attempts_open ON attempts (quiz_id, deadline_at) WHERE state = 'IN_PROGRESS';

CREATE TABLE withheld_rollups (
    student_id {uuid} NOT NULL REFERENCES users (id),
    quiz_id {uuid} NOT NULL REFERENCES quizzes (id),
    kind {text} NOT NULL CHECK (kind IN ('TOTAL', 'SUBJECT', 'CHAPTER', 'DAY')),
    of_id {uuid} NOT NULL,
    day {int} NOT NULL,
    -- How many results wait. The attempts themselves are in rollups already.
    attempts {bigint} NOT NULL,
    right_count {bigint} NOT NULL,
    wrong_count {bigint} NOT NULL,
    blank_count {bigint} NOT NULL,
    score {bigint} NOT NULL,
    max_score {bigint} NOT NULL,
    PRIMARY KEY (student_id, quiz_id, kind, day, of_id)
) {strict};

-- When the owner of the account last proved to receive mail at its address.
ALTER TABLE users ADD COLUMN email_confirmed_at {time};
"#,
    // What was withheld joins the roll-ups; boards of the older schema lack it, and `verify` names them.
    down: r#"
INSERT INTO rollups
    (student_id, kind, day, of_id, attempts, right_count, wrong_count, blank_count, score, max_score)
SELECT student_id, kind, day, of_id, 0, CAST(SUM(right_count) AS BIGINT), CAST(SUM(wrong_count) AS BIGINT),
    CAST(SUM(blank_count) AS BIGINT), CAST(SUM(score) AS BIGINT), CAST(SUM(max_score) AS BIGINT)
FROM withheld_rollups WHERE TRUE GROUP BY student_id, kind, day, of_id
ON CONFLICT (student_id, kind, day, of_id) DO UPDATE SET
    right_count = rollups.right_count + excluded.right_count,
    wrong_count = rollups.wrong_count + excluded.wrong_count,
    blank_count = rollups.blank_count + excluded.blank_count,
    score = rollups.score + excluded.score,
    max_score = rollups.max_score + excluded.max_score;
ALTER TABLE users DROP COLUMN email_confirmed_at;
DROP TABLE withheld_rollups;
DROP INDEX attempts_open;
DROP INDEX results_withheld;
ALTER TABLE results DROP COLUMN visibility;
ALTER TABLE quizzes DROP COLUMN result_opens;
"#,
};
