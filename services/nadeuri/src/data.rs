//! A lock on the data folder: only one process can use it at a time.

use std::fs::{DirBuilder, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Holds the lock on the data folder until it is dropped.
#[derive(Debug)]
pub struct DataFolder {
    _lock: File,
}

impl DataFolder {
    /// Locks the folder, and creates it for its owner alone if it does not exist.
    pub fn take(folder: &Path) -> anyhow::Result<DataFolder> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).with_context(|| format!("can't create the data folder {}", folder.display()))?;
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
