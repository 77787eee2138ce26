//! The audit log is signed by a key: each entry when it is written, and the head of the chain whenever it moves.
//!
//! Servers of the previous release leave the new columns empty and seal as before; `audit/seal.rs` checks what they have
//! sealed and seals it anew.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend::Postgres};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let steps = match manager.get_database_backend() {
            Postgres => [DROP_POSTGRES, UP, GUARDS_POSTGRES],
            _ => [DROP_SQLITE, UP, GUARDS_SQLITE],
        };
        for step in steps {
            crate::execute(manager, step).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let steps = match manager.get_database_backend() {
            Postgres => [DROP_POSTGRES, DOWN, FORMER_POSTGRES],
            _ => [DROP_SQLITE, DOWN, FORMER_SQLITE],
        };
        for step in steps {
            crate::execute(manager, step).await?;
        }
        Ok(())
    }
}

const UP: &str = r#"
-- Why, in the words of who acted. Taken away when the account that it is about is erased.
ALTER TABLE audit_entries ADD COLUMN reason {text};
-- A signature of the reason, which stays: it shows whether the reason is the one that was given.
ALTER TABLE audit_entries ADD COLUMN reason_digest {text};
-- A signature of the entry by who wrote it, until it is sealed.
ALTER TABLE audit_entries ADD COLUMN signature {text};

-- The end of the chain, signed. One row.
CREATE TABLE audit_head (
    id {int} NOT NULL PRIMARY KEY CHECK (id = 1),
    -- The place and the hash of the last entry; 0 and NULL before the first.
    seq {bigint} NOT NULL CHECK (seq >= 0),
    hash {bytes} CHECK ((hash IS NULL) = (seq = 0)),
    key_id {text} NOT NULL,
    mac {bytes} NOT NULL
) {strict};
"#;

const DOWN: &str = r#"
DROP TABLE audit_head;
ALTER TABLE audit_entries DROP COLUMN signature;
ALTER TABLE audit_entries DROP COLUMN reason_digest;
ALTER TABLE audit_entries DROP COLUMN reason;
"#;

const DROP_SQLITE: &str = "DROP TRIGGER audit_entries_no_update;";

const DROP_POSTGRES: &str = "DROP TRIGGER audit_entries_no_update ON audit_entries;";

/// The content of an entry and its place in the chain never change. It may be sealed anew, and its reason taken away.
const GUARDS_SQLITE: &str = r#"
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
WHEN (NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id, NEW.reason_digest) IS NOT
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id, OLD.reason_digest)
    OR (NEW.reason IS NOT OLD.reason AND NEW.reason IS NOT NULL)
    OR (OLD.seq IS NOT NULL AND NEW.seq IS NOT OLD.seq)
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
"#;

const GUARDS_POSTGRES: &str = r#"
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries FOR EACH ROW
WHEN ((NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id, NEW.reason_digest)
        IS DISTINCT FROM
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id, OLD.reason_digest)
    OR (NEW.reason IS DISTINCT FROM OLD.reason AND NEW.reason IS NOT NULL)
    OR (OLD.seq IS NOT NULL AND NEW.seq IS DISTINCT FROM OLD.seq))
EXECUTE FUNCTION audit_entries_stay();
"#;

/// As the migration before had it.
const FORMER_SQLITE: &str = r#"
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
WHEN OLD.seq IS NOT NULL OR
    (NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id) IS NOT
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id)
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
"#;

const FORMER_POSTGRES: &str = r#"
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries FOR EACH ROW
WHEN (OLD.seq IS NOT NULL OR
    (NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id) IS DISTINCT FROM
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id))
EXECUTE FUNCTION audit_entries_stay();
"#;
