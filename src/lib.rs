//! Marmalade: the backend of an exam-preparation site.
//!
//! The house, by domain:
//!
//! | | |
//! |---|---|
//! | [`account`] | who there is, and how they come in |
//! | [`quiz`] | the catalogue, its revisions, and how content gets into it |
//! | [`attempt`] | a student takes a quiz: start, answers, submit, review |
//! | [`leaderboard`] | boards, ranks and their streams |
//! | [`dashboard`] | a student's progress |
//! | [`jobs`] | what is done while nobody waits for it: letters, what is due every day |
//! | [`import`] | question banks from spreadsheets |
//! | [`audit`] | who did what: a log that shows when it was tampered with |
//! | [`demo`] | content and students to try things out with |
//! | [`operation`] | what a request asks to run: found, read and judged before it runs |
//! | [`verify`] | proves that what is derived agrees with what it is derived from |
//!
//! A request comes in by [`http`], becomes a [`auth::Viewer`], runs through the resolvers of [`schema`] (each domain's
//! `graphql.rs`; what they share is [`graphql`]), which call the domain's rules (`mod.rs`), which read and write the tables ([`entity`]). What must
//! follow a commit goes through the [`outbox`].

pub mod account;
pub mod app;
pub mod attempt;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod batch;
pub mod clock;
pub mod config;
pub mod copy;
pub mod dashboard;
pub mod db;
pub mod demo;
pub mod deploy;
pub mod entity;
pub mod error;
pub mod fleet;
pub mod graphql;
pub mod http;
pub mod import;
pub mod jobs;
pub mod leaderboard;
pub mod limit;
pub mod mail;
pub mod operation;
pub mod outbox;
pub mod page;
pub mod quiz;
pub mod schema;
pub mod serve;
pub mod telemetry;
pub mod text;
pub mod verify;
