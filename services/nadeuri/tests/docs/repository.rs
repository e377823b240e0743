//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads a file by its path from the root, if it exists.
pub fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// Every file beneath a folder: its path from the root, and its text. Empty if there is no such folder.
pub fn files(folder: &str) -> Vec<(String, String)> {
    files_that_end(folder, "")
}

/// [`files`] with this suffix.
pub fn files_that_end(folder: &str, end: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, end: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                walk(&path, end, found);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    let (root, mut found) = (root(), Vec::new());
    walk(&root.join(folder), end, &mut found);
    found.sort();
    let name = |path: &PathBuf| path.strip_prefix(&root).expect("it is beneath").display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).expect("it is text"))).collect()
}
