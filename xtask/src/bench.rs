//! Builds the product for release and measures it, with servers that live as long as the run.

use std::process::ExitCode;

use anyhow::Result;

use crate::process::{cargo, run as run_command, status};
use crate::servers::{self, Kind, ThrowAway};

/// Measures; the results go to stdout.
pub fn run(extra: &[String]) -> Result<ExitCode> {
    // First, so that compiling is over when the measuring begins.
    run_command(cargo().args(["build", "--release", "-p", "nadeuri", "-p", "bench"]))?;
    let throw_away = ThrowAway::new()?;
    let variables = servers::up(throw_away.path(), &Kind::ALL)?;
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "-p", "bench", "--", "run", "--nadeuri", "target/release/nadeuri"]);
    let measured = status(bench.args(extra).envs(variables))?;
    drop(throw_away);
    Ok(if measured.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
