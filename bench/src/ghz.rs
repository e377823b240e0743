//! Results of `ghz`, a common load generator for gRPC, if it is installed: for comparison with other products. The
//! ratios come from the other modules.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::process::Command;

use crate::product::{Product, Store};

/// Runs every config of `bench/ghz/` against all contexts in one process on SQLite.
pub async fn measure(nadeuri: &Path) -> anyhow::Result<()> {
    if Command::new("ghz").arg("--version").output().await.is_err() {
        eprintln!("  ghz is not installed, so its configs in bench/ghz are not run");
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ghz");
    let mut configs: Vec<PathBuf> =
        std::fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    // Registering has to be first, but is last in alphabetical order.
    configs.sort_by(|a, b| b.cmp(a));
    let product = Product::start(nadeuri, &Store::Sqlite, "local").await?;
    for config in configs {
        let address = product.address.trim_start_matches("http://");
        let output = Command::new("ghz").arg("--config").arg(&config).arg(address).output().await?;
        let text = String::from_utf8_lossy(&output.stdout);
        anyhow::ensure!(
            output.status.success(),
            "ghz {}: {}",
            config.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let name = config.file_stem().context("a config without a name")?.to_string_lossy().into_owned();
        let summary = text.lines().filter(|line| ["Requests/sec:", "99 %", "OK"].iter().any(|key| line.contains(key)));
        eprintln!("  ghz {name}: {}", summary.map(str::trim).collect::<Vec<_>>().join("; "));
    }
    product.stop().await
}
