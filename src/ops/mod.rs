//! What operators run beside the server: backups, copies, checks.

pub mod backup;
pub mod copy;
pub mod deploy;
pub mod verify;
