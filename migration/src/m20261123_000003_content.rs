use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000003_content",
    up: r#"
CREATE TABLE subjects (
    id {uuid} NOT NULL PRIMARY KEY,
    name {text} NOT NULL UNIQUE,
    created_at {time} NOT NULL,
    deleted_at {time}
) {strict};

CREATE TABLE chapters (
    id {uuid} NOT NULL PRIMARY KEY,
    subject_id {uuid} NOT NULL REFERENCES subjects (id),
    name {text} NOT NULL,
    created_at {time} NOT NULL,
    UNIQUE (subject_id, name)
) {strict};

CREATE TABLE quizzes (
    id {uuid} NOT NULL PRIMARY KEY,
    subject_id {uuid} NOT NULL REFERENCES subjects (id),
    title {text} NOT NULL,
    description {text},
    max_attempts {int} CHECK (max_attempts > 0),
    cooldown_ms {bigint} NOT NULL DEFAULT 0 CHECK (cooldown_ms >= 0),
    opens_at {time},
    closes_at {time},
    review_opens {text} NOT NULL DEFAULT 'AFTER_SUBMIT'
        CHECK (review_opens IN ('AFTER_SUBMIT', 'AFTER_LAST_ATTEMPT', 'AFTER_CLOSE')),
    created_at {time} NOT NULL,
    deleted_at {time}
) {strict};
CREATE INDEX quizzes_subject ON quizzes (subject_id, id);

-- A draft is edited; a published revision never changes again. The key may only be mended by a correction.
CREATE TABLE revisions (
    id {uuid} NOT NULL PRIMARY KEY,
    quiz_id {uuid} NOT NULL REFERENCES quizzes (id),
    number {int} NOT NULL,
    state {text} NOT NULL CHECK (state IN ('DRAFT', 'PUBLISHED')),
    duration_ms {bigint} NOT NULL CHECK (duration_ms > 0),
    right_score {bigint} NOT NULL DEFAULT 1000,
    wrong_score {bigint} NOT NULL DEFAULT 0,
    blank_score {bigint} NOT NULL DEFAULT 0,
    question_count {int} NOT NULL DEFAULT 0,
    correction {int} NOT NULL DEFAULT 0,
    created_at {time} NOT NULL,
    published_at {time},
    superseded_at {time},
    UNIQUE (quiz_id, number),
    CHECK ((state = 'PUBLISHED') = (published_at IS NOT NULL))
) {strict};
CREATE UNIQUE INDEX revisions_one_draft ON revisions (quiz_id) WHERE state = 'DRAFT';
CREATE UNIQUE INDEX revisions_one_current ON revisions (quiz_id) WHERE state = 'PUBLISHED' AND superseded_at IS NULL;

CREATE TABLE questions (
    id {uuid} NOT NULL PRIMARY KEY,
    revision_id {uuid} NOT NULL REFERENCES revisions (id),
    position {int} NOT NULL,
    chapter_id {uuid} REFERENCES chapters (id),
    text {text} NOT NULL,
    image {text},
    explanation {text},
    -- The position of the one right choice; a draft may still lack it.
    right_position {int},
    UNIQUE (revision_id, position)
) {strict};
CREATE INDEX questions_chapter ON questions (chapter_id, revision_id);

CREATE TABLE choices (
    id {uuid} NOT NULL PRIMARY KEY,
    question_id {uuid} NOT NULL REFERENCES questions (id),
    position {int} NOT NULL CHECK (position BETWEEN 0 AND 5),
    text {text} NOT NULL,
    UNIQUE (question_id, position),
    UNIQUE (question_id, id)
) {strict};

-- A wrong key is mended beside the frozen revision; results say which correction they were scored by.
CREATE TABLE corrections (
    id {uuid} NOT NULL PRIMARY KEY,
    revision_id {uuid} NOT NULL REFERENCES revisions (id),
    number {int} NOT NULL CHECK (number > 0),
    question_id {uuid} NOT NULL REFERENCES questions (id),
    right_position {int} NOT NULL,
    reason {text} NOT NULL,
    made_by {uuid} NOT NULL REFERENCES users (id),
    created_at {time} NOT NULL,
    UNIQUE (revision_id, number)
) {strict};
CREATE INDEX corrections_question ON corrections (question_id, number);
"#,
    down: r#"
DROP TABLE corrections;
DROP TABLE choices;
DROP TABLE questions;
DROP TABLE revisions;
DROP TABLE quizzes;
DROP TABLE chapters;
DROP TABLE subjects;
"#,
};
