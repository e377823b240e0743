//! Checks the licences, the sources and the security advisories of dependencies, by the rules in `deny.toml`.
//!
//! It is a command of its own, because it builds cargo-deny on first use, which takes longer than all lints together, and
//! needs GitHub for the advisories. Without either it fails: a check that is skipped looks like one that passed.

use anyhow::Result;

use crate::process::{command, run};
use crate::tools;

/// Runs the checks.
pub fn run_all() -> Result<()> {
    let deny = tools::crate_program("cargo-deny", "0.20.2")?;
    run(command(deny).args(["--workspace", "check", "--hide-inclusion-graph"]))
}
