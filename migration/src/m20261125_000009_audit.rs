use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend::Postgres};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == Postgres;
        crate::execute(manager, UP).await?;
        crate::execute(
            manager,
            if postgres {
                ONLY_APPEND_POSTGRES
            } else {
                ONLY_APPEND_SQLITE
            },
        )
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, "DROP TABLE audit_entries;").await?;
        if manager.get_database_backend() == Postgres {
            crate::execute(manager, "DROP FUNCTION audit_entries_stay;").await?;
        }
        Ok(())
    }
}

const UP: &str = r#"
-- Who did what, for ever. No foreign keys: an entry outlives what it tells of.
CREATE TABLE audit_entries (
    id {uuid} NOT NULL PRIMARY KEY,
    -- NULL: the command line, or the clock.
    actor_id {uuid},
    action {text} NOT NULL,
    -- The typed id of the API.
    object_id {text} NOT NULL,
    -- JSON.
    was {text},
    became {text},
    at {time} NOT NULL,
    request_id {text},
    -- The place in the chain, from 1; given by the sealer, together with what follows.
    seq {bigint} UNIQUE,
    hash {bytes},
    key_id {text},
    mac {bytes},
    CHECK ((seq IS NULL) = (hash IS NULL) AND (seq IS NULL) = (key_id IS NULL) AND (seq IS NULL) = (mac IS NULL))
) {strict};
CREATE INDEX audit_entries_unsealed ON audit_entries (id) WHERE seq IS NULL;
CREATE INDEX audit_entries_actor ON audit_entries (actor_id, id);
CREATE INDEX audit_entries_object ON audit_entries (object_id, id);
CREATE INDEX audit_entries_action ON audit_entries (action, id);
CREATE INDEX audit_entries_at ON audit_entries (at);
"#;

/// An entry may be sealed once and changed in no other way.
const ONLY_APPEND_SQLITE: &str = r#"
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries
WHEN OLD.seq IS NOT NULL OR
    (NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id) IS NOT
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id)
BEGIN SELECT RAISE(ABORT, 'audit entries are never changed'); END;
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries
BEGIN SELECT RAISE(ABORT, 'audit entries are never removed'); END;
"#;

const ONLY_APPEND_POSTGRES: &str = r#"
CREATE FUNCTION audit_entries_stay() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'audit entries are never changed or removed'; END $$;
CREATE TRIGGER audit_entries_no_update BEFORE UPDATE ON audit_entries FOR EACH ROW
WHEN (OLD.seq IS NOT NULL OR
    (NEW.id, NEW.actor_id, NEW.action, NEW.object_id, NEW.was, NEW.became, NEW.at, NEW.request_id) IS DISTINCT FROM
    (OLD.id, OLD.actor_id, OLD.action, OLD.object_id, OLD.was, OLD.became, OLD.at, OLD.request_id))
EXECUTE FUNCTION audit_entries_stay();
CREATE TRIGGER audit_entries_no_delete BEFORE DELETE ON audit_entries FOR EACH ROW
EXECUTE FUNCTION audit_entries_stay();
CREATE TRIGGER audit_entries_no_truncate BEFORE TRUNCATE ON audit_entries FOR EACH STATEMENT
EXECUTE FUNCTION audit_entries_stay();
"#;
