//! The graph: one file per kind of object, over what all of them share.
//!
//! When a field is nullable is one rule, in docs/schema.md, held by `tests/it/schema.rs`: a guard may refuse it, or it is a
//! mutation, or it finds an object by an id, or it is an object in a payload, or there may be nothing, which has a line
//! in `tests/it/nullable.txt`. Everything else is non-null, lists and their items always. So a resolver of a guarded field
//! returns `Result<Option<T>>`, although it never returns `None` itself.

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod authoring;
pub(crate) mod batch;
pub(crate) mod board;
pub mod caching;
pub(crate) mod chapter;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod cost;
pub(crate) mod dashboard;
pub(crate) mod draft;
pub mod execution;
pub(crate) mod export;
pub(crate) mod guard;
pub(crate) mod import;
pub(crate) mod import_options;
pub(crate) mod import_sheet;
pub(crate) mod integrity;
pub(crate) mod job;
pub(crate) mod limit;
pub mod loader;
mod measure;
pub(crate) mod media;
pub(crate) mod own_account;
pub(crate) mod payload;
pub(crate) mod people;
pub(crate) mod question;
pub(crate) mod quiz;
pub(crate) mod scalar;
pub mod schema;
pub(crate) mod session;
pub(crate) mod staff_quiz;
pub(crate) mod subject;
pub(crate) mod user;
