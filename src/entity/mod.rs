//! Tables, typed ids and scoped finders; nothing else.
//!
//! A finder is scoped to the rows it may return (`attempt::Entity::of(viewer)`); the linter forbids the bare `find`
//! outside this folder. No type here is part of the API: the answer key is a column.
#![expect(
    clippy::disallowed_methods,
    reason = "the scoped finders are made of the unscoped ones here, and the entity macro calls them"
)]

pub mod answer;
pub mod attempt;
pub mod audit_entry;
pub mod audit_head;
pub mod bank_import;
pub mod best;
pub mod chapter;
pub mod choice;
pub mod correction;
pub mod daily_metric;
pub mod import_question;
pub mod job;
pub mod link;
pub mod outbox;
pub mod picture;
pub mod question;
pub mod quiz;
pub mod refresh_token;
pub mod registration;
pub mod result;
pub mod reviews;
pub mod revision;
pub mod rollup;
pub mod schedule;
pub mod session;
pub mod site;
pub mod standing;
pub mod subject;
pub mod unfinished_quiz;
pub mod user;
pub mod withheld_rollup;
pub mod worker;
