//! Builds the product in release mode and runs the benchmarks, with temporary servers.

use std::process::ExitCode;

use anyhow::Result;

use crate::process::{cargo, run as run_command, status};
use crate::servers::{self, Kind, TemporaryServers};

/// Runs the benchmarks. The results go to stdout.
pub fn run(extra: &[String]) -> Result<ExitCode> {
    // First, so that no compiler runs during the measurements.
    run_command(cargo().args(["build", "--release", "-p", "nadeuri", "-p", "bench"]))?;
    let temporary = TemporaryServers::new()?;
    let variables = servers::up(temporary.path(), &Kind::ALL)?;
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "-p", "bench", "--", "run", "--nadeuri", "target/release/nadeuri"]);
    let measured = status(bench.args(extra).envs(variables))?;
    drop(temporary);
    Ok(if measured.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
