//! The graph: one file per kind of object, over what all of them share.

pub mod attempt;
pub mod audit;
pub mod batch;
pub mod board;
pub mod connection;
pub mod context;
pub mod dashboard;
pub mod guard;
pub mod import;
pub mod job;
pub mod limit;
pub mod loader;
mod measure;
pub mod own_account;
pub mod payload;
pub mod people;
pub mod quiz;
pub mod scalar;
pub mod schema;
pub mod session;
pub mod user;
