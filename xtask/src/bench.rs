//! Builds the product in release mode and runs the benchmarks, with temporary servers.

use std::env::consts::{ARCH, OS};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::process::{cargo, run as run_command, status};
use crate::servers::{self, Kind, TemporaryServers};
use crate::tools;

/// Runs the benchmarks. The results go to stdout.
pub fn run(extra: &[String]) -> Result<ExitCode> {
    // First, so that no compiler runs during the measurements.
    run_command(cargo().args(["build", "--release", "-p", "nadeuri", "-p", "bench"]))?;
    let peers = if extra.iter().any(|argument| argument == "peers") { peers()? } else { Vec::new() };
    let temporary = TemporaryServers::new()?;
    let variables = servers::up(temporary.path(), &Kind::ALL)?;
    let mut bench = cargo();
    bench.args(["run", "--release", "--quiet", "-p", "bench", "--", "run", "--nadeuri", "target/release/nadeuri"]);
    let measured = status(bench.args(peers).args(extra).envs(variables))?;
    drop(temporary);
    Ok(if measured.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Restate: its server comes as packages of npm, one for each platform.
const RESTATE: &str = "1.7.12";

/// Builds the peers, which are a workspace of their own; returns the options that name them.
fn peers() -> Result<Vec<OsString>> {
    let built = Path::new("target/peers");
    run_command(
        cargo()
            .args(["build", "--release", "--locked", "--manifest-path", "bench/peers/Cargo.toml", "--target-dir"])
            .arg(built),
    )?;
    let platform = format!(
        "restate-server-{}-{}",
        OS.replace("macos", "darwin"),
        ARCH.replace("x86_64", "x64").replace("aarch64", "arm64")
    );
    let installed = tools::npm_package(&format!("@restatedev/{platform}"), RESTATE)?;
    let server = installed.join("bin/restate-server");
    Ok(vec!["--peers".into(), built.join("release/peers").into(), "--restate-server".into(), server.into()])
}
