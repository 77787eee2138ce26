//! Commands for operators: backup, restore, copy, verify, deployment check.

pub mod backup;
pub mod copy;
pub mod deploy;
pub mod verify;
