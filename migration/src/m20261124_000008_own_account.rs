use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261124_000008_own_account",
    up: r#"
-- Links sent by mail, each good for one use. Only hashes of their tokens.
CREATE TABLE links (
    hash {bytes} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id),
    purpose {text} NOT NULL CHECK (purpose IN ('PASSWORD_RESET', 'EMAIL_CHANGE')),
    -- The address that the account is to have.
    email {text} CHECK ((email IS NOT NULL) = (purpose = 'EMAIL_CHANGE')),
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    used_at {time}
) {strict};
CREATE INDEX links_user ON links (user_id);
-- When the personal data of a deleted account was removed.
ALTER TABLE users ADD COLUMN erased_at {time};
CREATE INDEX users_to_erase ON users (deleted_at) WHERE deleted_at IS NOT NULL AND erased_at IS NULL;
"#,
    down: r#"
DROP INDEX users_to_erase;
ALTER TABLE users DROP COLUMN erased_at;
DROP TABLE links;
"#,
};
