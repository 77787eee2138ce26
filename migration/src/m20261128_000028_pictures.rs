use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261128_000028_pictures",
    up: r#"
-- Pictures that staff uploaded. The bytes are in the media store, under their SHA-256; several rows may share them, each
-- with an alternative text of its own. Published questions show it, so a row never changes but for being
-- deleted, which takes it out of what staff choose from.
CREATE TABLE pictures (
    id {uuid} PRIMARY KEY NOT NULL,
    sha256 {text} NOT NULL,
    format {text} NOT NULL,
    width {int} NOT NULL,
    height {int} NOT NULL,
    bytes {int} NOT NULL,
    alt_text {text} NOT NULL,
    created_at {time} NOT NULL,
    created_by {uuid} NOT NULL REFERENCES users (id),
    deleted_at {time}
) {strict};
CREATE INDEX pictures_sha256 ON pictures (sha256);

ALTER TABLE questions ADD COLUMN picture_id {uuid} REFERENCES pictures (id);
CREATE INDEX questions_picture ON questions (picture_id) WHERE picture_id IS NOT NULL;
"#,
    down: r#"
DROP INDEX questions_picture;
ALTER TABLE questions DROP COLUMN picture_id;
DROP TABLE pictures;
"#,
};
