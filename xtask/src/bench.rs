//! Builds the product in release mode and runs the benchmarks, with temporary servers.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::process::{cargo, run as run_command, status};
use crate::servers::{self, Kind, TemporaryServers};
use crate::tools;

/// Runs the benchmarks. The results go to stdout.
pub fn run(extra: &[String]) -> Result<ExitCode> {
    // First, so that no compiler runs during the measurements.
    run_command(cargo().args(["build", "--release", "-p", "nadeuri", "-p", "bench"]))?;
    let peers = if extra.iter().any(|argument| argument.ends_with("peers")) { peers()? } else { Vec::new() };
    let temporary = TemporaryServers::new()?;
    let variables = servers::up(temporary.path(), &Kind::ALL)?;
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "-p", "bench", "--", "run", "--nadeuri", "target/release/nadeuri"]);
    let measured = status(bench.args(peers).args(extra).envs(variables))?;
    drop(temporary);
    Ok(if measured.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The version of Restate. Of its packages, npm installs the one for this platform.
const RESTATE: &str = "1.7.12";

/// Builds the peers, which are a workspace of their own; returns the options that name them.
fn peers() -> Result<Vec<OsString>> {
    let built = Path::new("target/peers");
    run_command(
        cargo()
            .args(["build", "--release", "--locked", "--manifest-path", "bench/peers/Cargo.toml", "--target-dir"])
            .arg(built),
    )?;
    let modules = tools::npm_modules("@restatedev/restate-server", RESTATE, "restate-server")?;
    let packages = fs::read_dir(modules.join("@restatedev"))?.flatten();
    let mut servers = packages.map(|package| package.path().join("bin/restate-server")).filter(|path| path.is_file());
    let server = servers.next().context("npm has no server of Restate for this platform")?;
    Ok(vec!["--peers".into(), built.join("release/peers").into(), "--restate-server".into(), server.into()])
}
