//! Secrets, and files and folders for their owner alone, where the system knows owners.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::path::Path;

use rand::TryRngCore as _;
use rand::rngs::OsRng;

/// A new secret. It is the system's randomness, not that of `Ids`, which a simulation can seed.
pub fn secret() -> io::Result<[u8; 32]> {
    let mut secret = [0; 32];
    OsRng.try_fill_bytes(&mut secret).map_err(io::Error::other)?;
    Ok(secret)
}

/// Creates the folder and its parents, unless they exist.
pub fn create_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.create(path)
}

/// Options to open a file, or to create it so. A file that exists keeps its permissions.
pub fn file_options() -> OpenOptions {
    let mut file = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    file
}
