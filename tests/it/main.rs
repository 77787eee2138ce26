//! All integration tests, one binary: it links once. Each test runs on SQLite and, when `TEST_DATABASE_URL` is set, on
//! PostgreSQL, from the same source and in a database of its own.

mod support;

mod accounts;
mod attempts;
mod audit;
mod boards;
mod copying;
mod corrections;
mod cost;
mod credentials;
mod cross_site;
mod edge;
mod examples;
mod fleet;
mod floors;
mod http2;
mod imports;
mod indexes;
mod integrity;
mod jobs;
mod limits;
mod metrics;
mod migrations;
mod neighbours;
mod nested;
mod nul;
mod operations;
mod own_account;
mod ownership;
mod people;
mod pooler;
mod races;
mod refusal;
mod results;
mod schema;
mod scopes;
mod secrets;
mod serving;
mod smoke;
mod starts;
mod streams;
mod tampering;
mod uses;
mod viewer;
