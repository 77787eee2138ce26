//! Commands for operators: backup, restore, copy, the life of content, verify, deployment check, smoke test.

pub mod backup;
pub mod content;
pub mod copy;
pub mod deploy;
pub mod indexes;
pub mod smoke;
pub mod verify;
