//! Checks formatting, lints, and the licences and advisories of dependencies.

use anyhow::Result;

use crate::process::{answer, cargo, run};

/// Runs the checks, and fails at the first that finds something.
pub fn run_all() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // Building cargo-deny takes longer than all other checks together, so it is only used if it is installed.
    if answer(cargo().args(["deny", "--version"])).is_none() {
        eprintln!("xtask: licences and advisories were not checked: `cargo install cargo-deny` to have them checked");
        return Ok(());
    }
    run(cargo().args(["deny", "--workspace", "check", "--hide-inclusion-graph"]))
}
