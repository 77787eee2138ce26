//! Marmalade: the backend of an exam-preparation site.
//!
//! Rooms stand on floors, and imports run down:
//!
//! | floor | rooms |
//! |---|---|
//! | the wire and the command line | [`serve`], [`http`] (GraphQL over HTTP, sockets, streams, pages), [`ops`] (backup, copy, checks) |
//! | the graph | [`api`] (types, loaders, guards), [`demo`] |
//! | rules | [`app`], [`attempt`], [`import`], [`dashboard`], [`leaderboard`], [`quiz`], [`account`] |
//! | what rules stand on | [`jobs`], [`mail`], [`audit`], [`ranks`], [`config`], [`entity`], [`limit`], [`operation`], [`auth`], [`outbox`], [`db`] |
//! | the ground | [`telemetry`], [`id`], [`page`], [`text`], [`calendar`], [`fleet`], [`clock`], [`error`], [`secret`], [`sync`] |
#![deny(unreachable_pub)]

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
pub mod fleet;
pub mod http;
pub mod id;
pub mod import;
pub mod jobs;
pub mod leaderboard;
pub mod limit;
mod mail;
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
mod text;
