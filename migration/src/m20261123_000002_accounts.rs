use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261123_000002_accounts",
    up: r#"
CREATE TABLE users (
    id {uuid} NOT NULL PRIMARY KEY,
    email {text} NOT NULL,
    handle {text} NOT NULL,
    avatar {text},
    password_hash {text} NOT NULL,
    role {text} NOT NULL CHECK (role IN ('STUDENT', 'EDITOR', 'ADMIN')),
    opted_out {bool} NOT NULL DEFAULT FALSE,
    demo {bool} NOT NULL DEFAULT FALSE,
    -- Grows in every transaction that changes the student's results or standings; see standings.version.
    version {bigint} NOT NULL DEFAULT 0,
    created_at {time} NOT NULL,
    -- When the role, a suspension or a deletion last changed what this account may do.
    access_changed_at {time},
    suspended_at {time},
    deleted_at {time},
    ranked {bool} NOT NULL GENERATED ALWAYS AS
        (role = 'STUDENT' AND suspended_at IS NULL AND deleted_at IS NULL AND NOT opted_out) STORED
) {strict};
CREATE UNIQUE INDEX users_email ON users (email);
CREATE UNIQUE INDEX users_handle ON users (lower(handle));
CREATE INDEX users_access_changed ON users (access_changed_at) WHERE access_changed_at IS NOT NULL;

CREATE TABLE sessions (
    id {uuid} NOT NULL PRIMARY KEY,
    user_id {uuid} NOT NULL REFERENCES users (id),
    client {text} NOT NULL CHECK (client IN ('BROWSER', 'NATIVE')),
    user_agent {text},
    address {text},
    created_at {time} NOT NULL,
    used_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    revoked_at {time}
) {strict};
CREATE INDEX sessions_user ON sessions (user_id, id);
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Only hashes. A token's successor is derived from it by a keyed hash, so nothing more need be kept.
CREATE TABLE refresh_tokens (
    hash {bytes} NOT NULL PRIMARY KEY,
    session_id {uuid} NOT NULL REFERENCES sessions (id),
    issued_at {time} NOT NULL,
    expires_at {time} NOT NULL,
    used_at {time}
) {strict};
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
"#,
    down: r#"
DROP TABLE refresh_tokens;
DROP TABLE sessions;
DROP TABLE users;
"#,
};
