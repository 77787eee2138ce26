//! Marmalade's database schema: one file per migration, up and down, never edited once merged.
//!
//! The schema is written once, in SQL, for SQLite and PostgreSQL. Types are named in braces and spelled by
//! `execute`; everything else is what both databases share. Conventions:
//!
//! - ids are version 7 UUIDs,
//! - times (`*_at`) are microseconds since the Unix epoch in UTC, bound by the program and never taken from the
//!   database's clock, so that both databases compare and order them alike,
//! - scores are thousandths of a point,
//! - lengths of time are milliseconds (`*_ms`),
//! - a window (`window_key`) is an ISO 8601 name: `all`, `2026-11`, `2026-W48`, `2026-11-23`.
#![forbid(unsafe_code)]

pub use sea_orm_migration::prelude::*;

mod m20261123_000001_site;
mod m20261123_000002_accounts;
mod m20261123_000003_content;
mod m20261123_000004_attempts;
mod m20261123_000005_boards;
mod m20261123_000006_rollups;
mod m20261123_000007_outbox;
mod m20261124_000008_own_account;
mod m20261125_000009_audit;
mod m20261125_000010_suspension;
mod m20261126_000011_jobs;
mod m20261126_000012_imports;
mod m20261126_000013_credentials;
mod m20261126_000014_jobs_table;
mod m20261126_000015_access_versions;
mod m20261126_000016_import_findings;
mod m20261126_000018_audit_keyed;
mod m20261126_000019_result_visibility;
mod m20261126_000021_handle_looks;
mod m20261126_000022_registrations;
mod m20261127_000023_folded_titles;
mod m20261128_000024_kinds_of_questions;
mod m20261128_000025_drafts;
mod m20261128_000027_shuffle;
mod m20261128_000028_pictures;
mod m20261128_000029_corrections_of_kinds;
mod m20261128_000030_import_previews;
mod m20261128_000033_life_of_quizzes;
mod m20261128_000034_life_of_subjects;

pub use m20261126_000014_jobs_table::carry_over as carry_over_jobs;

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261123_000001_site::MIGRATION),
            Box::new(m20261123_000002_accounts::MIGRATION),
            Box::new(m20261123_000003_content::MIGRATION),
            Box::new(m20261123_000004_attempts::Migration),
            Box::new(m20261123_000005_boards::MIGRATION),
            Box::new(m20261123_000006_rollups::MIGRATION),
            Box::new(m20261123_000007_outbox::MIGRATION),
            Box::new(m20261124_000008_own_account::MIGRATION),
            Box::new(m20261125_000009_audit::Migration),
            Box::new(m20261125_000010_suspension::MIGRATION),
            Box::new(m20261126_000011_jobs::MIGRATION),
            Box::new(m20261126_000012_imports::MIGRATION),
            Box::new(m20261126_000013_credentials::MIGRATION),
            Box::new(m20261126_000014_jobs_table::Migration),
            Box::new(m20261126_000015_access_versions::Migration),
            Box::new(m20261126_000016_import_findings::MIGRATION),
            Box::new(m20261126_000018_audit_keyed::Migration),
            Box::new(m20261126_000019_result_visibility::MIGRATION),
            Box::new(m20261126_000021_handle_looks::MIGRATION),
            Box::new(m20261126_000022_registrations::MIGRATION),
            Box::new(m20261127_000023_folded_titles::MIGRATION),
            Box::new(m20261128_000024_kinds_of_questions::MIGRATION),
            Box::new(m20261128_000025_drafts::MIGRATION),
            Box::new(m20261128_000027_shuffle::MIGRATION),
            Box::new(m20261128_000028_pictures::MIGRATION),
            Box::new(m20261128_000029_corrections_of_kinds::MIGRATION),
            Box::new(m20261128_000030_import_previews::MIGRATION),
            Box::new(m20261128_000033_life_of_quizzes::MIGRATION),
            Box::new(m20261128_000034_life_of_subjects::MIGRATION),
        ]
    }
}

/// A migration that is nothing but SQL, forth and back.
struct Step {
    /// The name of its file, as the table of applied migrations has it.
    name: &'static str,
    up: &'static str,
    down: &'static str,
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, self.up).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        execute(manager, self.down).await
    }
}

/// Runs the statements of `sql`, with each type in braces spelled for the database at hand.
async fn execute(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    use sea_orm_migration::sea_orm::DatabaseBackend::Postgres;

    let spelling: [(&str, &str, &str); 8] = [
        ("{uuid}", "uuid", "BLOB"),
        ("{bytes}", "bytea", "BLOB"),
        ("{text}", "text", "TEXT"),
        ("{int}", "integer", "INTEGER"),
        ("{bigint}", "bigint", "INTEGER"),
        ("{bool}", "boolean", "INTEGER"),
        ("{time}", "bigint", "INTEGER"),
        ("{strict}", "", "STRICT"),
    ];
    let postgres = manager.get_database_backend() == Postgres;
    let sql = spelling
        .iter()
        .fold(sql.to_owned(), |sql, (name, on_postgres, on_sqlite)| {
            sql.replace(name, if postgres { on_postgres } else { on_sqlite })
        });
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}
