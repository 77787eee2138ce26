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
-- What holds for the whole site and must not drift with the configuration: calendar windows are cut in this zone.
CREATE TABLE site (
    id {int} PRIMARY KEY CHECK (id = 1),
    time_zone {text} NOT NULL,
    created_at {time} NOT NULL
) {strict};
"#;

const DOWN: &str = r#"
DROP TABLE site;
"#;
