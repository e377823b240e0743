//! Checks formatting and lints.

use anyhow::Result;

use crate::process::{cargo, run};

/// Runs the checks, and fails at the first that finds something.
pub fn run_all() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
