//! All integration tests, one binary: it links once. Each test runs on SQLite and, when `TEST_DATABASE_URL` is set, on
//! PostgreSQL, from the same source and in a database of its own.

mod support;

mod accounts;
mod attempts;
mod audit;
mod boards;
mod copying;
mod corrections;
mod cross_site;
mod edge;
mod examples;
mod fleet;
mod floors;
mod jobs;
mod limits;
mod metrics;
mod migrations;
mod operations;
mod own_account;
mod ownership;
mod people;
mod races;
mod refusal;
mod schema;
mod scopes;
mod secrets;
mod serving;
mod streams;
mod tampering;
