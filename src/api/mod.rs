//! The graph: one file per kind of object, over what all of them share.

pub(crate) mod attempt;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod board;
pub mod caching;
pub(crate) mod connection;
pub(crate) mod context;
pub(crate) mod cost;
pub(crate) mod dashboard;
pub mod execution;
pub(crate) mod guard;
pub(crate) mod import;
pub(crate) mod integrity;
pub(crate) mod job;
pub(crate) mod limit;
pub mod loader;
mod measure;
pub(crate) mod own_account;
pub(crate) mod payload;
pub(crate) mod people;
pub(crate) mod quiz;
pub(crate) mod scalar;
pub mod schema;
pub(crate) mod session;
pub(crate) mod user;
