//! The lock of servers: of a site without Redis there is one.

use std::{
    fs::{File, TryLockError},
    io,
    path::Path,
};

use sea_orm::{ConnectionTrait, DatabaseTransaction};

use crate::{
    db::Db,
    error::{Error, Result},
};

/// The lock of servers: one server alone, or those of a fleet together. Without Redis the boards and limits of two
/// servers would part. Released when it is dropped, and when its process ends, however it ends.
pub(super) struct ServerLock(Kind);

enum Kind {
    /// An embedded database: the kernel's lock of a file beside it.
    File { _locked: File },
    /// PostgreSQL: an advisory lock, held by a transaction that stays open.
    Postgres(Box<Postgres>),
}

struct Postgres {
    db: Db,
    is_fleet: bool,
    held: Option<DatabaseTransaction>,
}

impl ServerLock {
    /// Takes the lock of an embedded database in this folder, which is to be there.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let path = folder.join("server.lock");
        let unusable = |error: io::Error| Error::internal(format!("{}: {error}", path.display()));
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Kind::File { _locked: file })),
            Err(TryLockError::WouldBlock) => Err(Error::BadInput(format!(
                "another server runs on the data folder {}. Stop it first, or choose another MARMALADE_DATA_DIR; several \
                 servers of one site need PostgreSQL and Redis.",
                folder.display()
            ))),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Takes the lock of a PostgreSQL database, shared by a fleet or exclusive.
    pub(super) async fn of_postgres(db: Db, is_fleet: bool) -> Result<Self> {
        let held = Some(db.single_server_or_fleet(is_fleet).await?);
        Ok(Self(Kind::Postgres(Box::new(Postgres { db, is_fleet, held }))))
    }

    /// Makes sure that the lock is held: PostgreSQL's is lost with its connection, and then taken again. Refused if
    /// another server has it by now.
    pub(super) async fn renew(&mut self) -> Result<()> {
        let Kind::Postgres(lock) = &mut self.0 else {
            return Ok(());
        };
        let Postgres { db, is_fleet, held } = &mut **lock;
        if let Some(tx) = held
            && tx.execute_unprepared("SELECT 1").await.is_ok()
        {
            return Ok(());
        }
        tracing::warn!("the lock of the servers was lost with its connection; it is taken again");
        // The lost connection may be the only one that there may be.
        *held = None;
        *held = Some(db.single_server_or_fleet(*is_fleet).await?);
        Ok(())
    }
}
