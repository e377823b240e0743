//! Rust: the crate of sdk/rust, over the crate `contracts`, which its build script generates.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, run};

/// Runs its tests.
pub fn test() -> Result<()> {
    run(cargo().args(["test", "--quiet", "--package", "nadeuri-client"]).stdout(std::io::stderr()))
}

/// The example.
pub fn example() -> Command {
    let mut example = cargo();
    example.args(["run", "--quiet", "--package", "nadeuri-client", "--example", "outing"]);
    example
}
