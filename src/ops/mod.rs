//! Commands for operators: backup, restore, copy, verify, deployment check, smoke test.

pub mod backup;
pub mod copy;
pub mod deploy;
pub mod indexes;
pub mod smoke;
pub mod verify;
