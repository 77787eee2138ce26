use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000022_registrations",
    up: r#"
-- Registrations that wait for a proof of the address. No account and no handle is taken until then.
CREATE TABLE registrations (
    id {uuid} NOT NULL PRIMARY KEY,
    email {text} NOT NULL,
    handle {text} NOT NULL,
    password_hash {text} NOT NULL,
    -- The hash of the token in the email, once that is sent.
    token_hash {bytes},
    created_at {time} NOT NULL,
    expires_at {time} NOT NULL
) {strict};
CREATE UNIQUE INDEX registrations_token ON registrations (token_hash);
CREATE INDEX registrations_expires ON registrations (expires_at);
"#,
    down: r#"
DROP TABLE registrations;
"#,
};
