//! The data folder belongs to one process at a time.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Holds the data folder until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Takes the folder, and creates it if it is not there.
    pub fn take(folder: &Path) -> anyhow::Result<DataFolder> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't create the data folder {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).with_context(|| format!("can't create {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataFolder { _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another nadeuri uses the data folder {}; stop it, take another folder with --data, or run the contexts in \
                 several processes on --store postgres://… and --bus amqp://…",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("can't lock {}", path.display())),
        }
    }
}
