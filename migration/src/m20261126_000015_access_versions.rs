use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend::Postgres};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == Postgres;
        crate::execute(manager, UP).await?;
        crate::execute(manager, if postgres { COUNT_POSTGRES } else { COUNT_SQLITE }).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == Postgres;
        crate::execute(manager, if postgres { LEAVE_POSTGRES } else { LEAVE_SQLITE }).await?;
        crate::execute(manager, DOWN).await
    }
}

const UP: &str = r#"
-- Grows with every change of role, suspension or deletion. An access token names the one that it was issued for.
ALTER TABLE users ADD COLUMN access_version {bigint} NOT NULL DEFAULT 0;
-- Grows with each of those and with every change of password or address. What began before (a sign-in, a link) is good for
-- nothing. The links that the previous release has sent to an account whose credentials it has changed are among them.
ALTER TABLE users ADD COLUMN credentials_version {bigint} NOT NULL DEFAULT 0;
UPDATE users SET credentials_version = 1 WHERE credentials_changed_at IS NOT NULL OR access_changed_at IS NOT NULL;
-- The version of the account's credentials when the link was requested.
ALTER TABLE links ADD COLUMN credentials_version {bigint} NOT NULL DEFAULT 0;

-- Where an account's active sessions are found, the longest unused first; and what is to be purged.
CREATE INDEX sessions_active ON sessions (user_id, used_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_expires ON sessions (expires_at);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_at);
CREATE INDEX links_expires ON links (expires_at);
"#;

const DOWN: &str = r#"
DROP INDEX links_expires;
DROP INDEX refresh_tokens_expires;
DROP INDEX sessions_expires;
DROP INDEX sessions_active;
ALTER TABLE links DROP COLUMN credentials_version;
ALTER TABLE users DROP COLUMN credentials_version;
ALTER TABLE users DROP COLUMN access_version;
"#;

/// Whoever changes an account without counting (the previous release beside this one, an operator by hand) is counted for.
const COUNT_SQLITE: &str = r#"
CREATE TRIGGER users_access_version AFTER UPDATE OF role, suspended_at, deleted_at ON users
WHEN NEW.access_version = OLD.access_version
    AND (NEW.role, NEW.suspended_at, NEW.deleted_at) IS NOT (OLD.role, OLD.suspended_at, OLD.deleted_at)
BEGIN UPDATE users SET access_version = access_version + 1 WHERE id = NEW.id; END;
CREATE TRIGGER users_credentials_version AFTER UPDATE OF role, suspended_at, deleted_at, password_hash, email ON users
WHEN NEW.credentials_version = OLD.credentials_version
    AND (NEW.role, NEW.suspended_at, NEW.deleted_at, NEW.password_hash, NEW.email) IS NOT
        (OLD.role, OLD.suspended_at, OLD.deleted_at, OLD.password_hash, OLD.email)
BEGIN UPDATE users SET credentials_version = credentials_version + 1 WHERE id = NEW.id; END;
"#;

const LEAVE_SQLITE: &str = r#"
DROP TRIGGER users_credentials_version;
DROP TRIGGER users_access_version;
"#;

const COUNT_POSTGRES: &str = r#"
CREATE FUNCTION users_count_changes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    access_changed boolean := (NEW.role, NEW.suspended_at, NEW.deleted_at)
        IS DISTINCT FROM (OLD.role, OLD.suspended_at, OLD.deleted_at);
BEGIN
    IF access_changed AND NEW.access_version = OLD.access_version THEN
        NEW.access_version := OLD.access_version + 1;
    END IF;
    IF (access_changed OR (NEW.password_hash, NEW.email) IS DISTINCT FROM (OLD.password_hash, OLD.email))
        AND NEW.credentials_version = OLD.credentials_version THEN
        NEW.credentials_version := OLD.credentials_version + 1;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_versions BEFORE UPDATE OF role, suspended_at, deleted_at, password_hash, email ON users
FOR EACH ROW EXECUTE FUNCTION users_count_changes();
"#;

const LEAVE_POSTGRES: &str = r#"
DROP TRIGGER users_versions ON users;
DROP FUNCTION users_count_changes;
"#;
