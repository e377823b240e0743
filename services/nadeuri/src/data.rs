//! A lock on the data folder: only one process can use it at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use chassis::private;

/// Holds the lock on the data folder until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Locks the folder, and creates it for its owner alone if it does not exist.
    pub fn take(folder: &Path) -> anyhow::Result<DataFolder> {
        private::create_folder(folder).with_context(|| format!("can't create the data folder {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("can't create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataFolder { _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another nadeuri uses the data folder {}; stop it, use another folder with --data, or run the contexts in \
several processes with --store postgres://… and --bus amqp://…",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
        }
    }
}
