use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::execute(manager, DOWN).await
    }
}

const UP: &str = r#"
-- What must follow a commit, written in its transaction. A row is claimed by deleting it: ids are given before
-- the commit, so 'greater than the last one seen' would miss rows.
CREATE TABLE outbox (
    id {uuid} NOT NULL PRIMARY KEY,
    event {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};
"#;

const DOWN: &str = r#"
DROP TABLE outbox;
"#;
