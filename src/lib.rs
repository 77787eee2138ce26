//! Marmalade: the backend of an exam-preparation site.
//!
//! A module imports those below it; `tests/it/floors.rs` holds the floors, docs/architecture.md the walks through them.
//!
//! | floor | module | content |
//! |---|---|---|
//! | 8 | [`serve`] | start and stop of servers and workers |
//! | 7 | [`http`] | GraphQL over HTTP, WebSockets, streams, pages, metrics |
//! | | [`ops`] | backup, restore, copy, deployment check, verify, smoke test |
//! | | [`open`] | from a configuration to an application |
//! | 6 | [`demo`] | demo content and accounts |
//! | | [`background`] | loops, the outbox relay, the channel between servers, the job worker |
//! | | [`api`] | the GraphQL types, loaders and guards |
//! | 5 | [`app`] | the state of all domains, which dereferences to the site |
//! | | [`attempt`] | starting, answering, submitting, reviewing, rescoring |
//! | 4 | [`export`] | quizzes as files |
//! | | [`import`] | question banks from spreadsheets |
//! | | [`dashboard`] | progress of a student, activity of a day |
//! | | [`leaderboard`] | boards and their live streams |
//! | 3 | [`quiz`] | catalogue, revisions, scoring, corrections |
//! | | [`media`] | pictures of questions |
//! | | [`account`] | accounts, sessions, links, profiles |
//! | 2 | [`change`] | a transaction with its events, jobs and audit entries |
//! | | [`site`] | what every rule needs: database, clock, zone, keys, limits, mail, outbox, queue |
//! | | [`config`] | the configuration, the sum of the settings of the modules below |
//! | 1 | [`jobs`] | the job queue |
//! | | [`mail`] | sending email |
//! | | [`audit`] | the audit log and its seals |
//! | | [`ranks`] | rank indexes, in memory and in Redis |
//! | | [`operation`] | admission of GraphQL operations: documents, cost, errors |
//! | | [`entity`] | tables and scoped finders |
//! | | [`limit`] | rate limits |
//! | | [`auth`] | credentials, roles, revocations; only checking or issuing one makes a viewer |
//! | | [`outbox`] | events and their followers |
//! | | [`fleet`] | Redis, shared by the servers of a site |
//! | | [`db`] | SQLite and PostgreSQL |
//! | 0 | [`telemetry`] | metrics, traces, logs |
//! | | [`id`], [`page`], [`text`], [`calendar`] | typed ids, keyset pages, validation of text, days of the site's zone |
//! | | [`clock`], [`error`], [`setting`], [`secret`], [`sync`] | time and randomness, the error type, readers of settings, secrets, locks |

#![deny(unreachable_pub)]
// The futures of all root fields lie inside each other.
#![recursion_limit = "256"]
#![expect(
    rustdoc::private_intra_doc_links,
    reason = "the map names private modules, too; the documentation is built with them"
)]

pub mod account;
pub mod api;
pub mod app;
pub mod attempt;
pub mod audit;
pub mod auth;
pub mod background;
mod calendar;
pub mod change;
pub mod clock;
pub mod config;
pub mod dashboard;
pub mod db;
pub mod demo;
pub mod entity;
pub mod error;
pub mod export;
pub mod fleet;
pub mod http;
pub mod id;
pub mod import;
pub mod jobs;
pub mod leaderboard;
pub mod limit;
mod mail;
pub mod media;
pub mod open;
pub mod operation;
pub mod ops;
pub mod outbox;
pub mod page;
pub mod quiz;
pub mod ranks;
pub mod secret;
pub mod serve;
mod setting;
mod site;
mod sync;
pub mod telemetry;
pub mod text;
