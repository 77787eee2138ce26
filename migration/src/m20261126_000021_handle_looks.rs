use crate::Step;

pub const MIGRATION: Step = Step {
    name: "m20261126_000021_handle_looks",
    up: r#"
-- What a handle looks like (text::look): 0 and O, 1 and l and I, rn and m are alike. Accounts from before whose handle
-- looks like an older one's keep it and have no look.
ALTER TABLE users ADD COLUMN handle_look {text};
UPDATE users SET handle_look = looks.look FROM (
    SELECT id, look, ROW_NUMBER() OVER (PARTITION BY look ORDER BY id) AS place FROM (
        SELECT id,
            replace(replace(replace(lower(replace(replace(handle, 'I', 'l'), '1', 'l')), '0', 'o'), 'rn', 'm'), 'vv', 'w')
                AS look
        FROM users
    ) AS every
) AS looks
WHERE looks.id = users.id AND looks.place = 1;
CREATE UNIQUE INDEX users_handle_look ON users (handle_look);
"#,
    down: r#"
DROP INDEX users_handle_look;
ALTER TABLE users DROP COLUMN handle_look;
"#,
};
