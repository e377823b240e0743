//! What a store keeps in files is for its owner alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chassis::db::Database;
use chassis::runtime::Runtime;

use crate::support::COUNTING;

#[tokio::test]
async fn the_files_of_a_store_and_their_new_folder_are_readable_by_their_owner_alone() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("private_{}", std::process::id()));
    let url = format!("sqlite:{}/{{context}}.db", folder.display());
    let database = Database::open(&url, COUNTING.name, &Runtime::real()).await.unwrap();
    COUNTING.migrate(&database).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The database, its log and the log's index.
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    drop(database);
    fs::remove_dir_all(folder).unwrap();
}
