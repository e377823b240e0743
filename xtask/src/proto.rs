//! Guards the contracts: `buf lint` for their style, and `buf breaking` for the clients that are already out there.
//!
//! buf comes as an npm package with its binary inside, at one pinned version, so that a new rule of buf doesn't fail
//! a commit that has nothing to do with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::process::{answer, command, run, target};

const BUF_VERSION: &str = "1.75.0";

/// Lints proto/ and compares it with its base; returns a line that says what was checked.
pub fn check() -> Result<String> {
    let buf = buf()?;
    run(command(&buf).args(["lint", "proto"]))?;
    let Some(base) = base() else {
        return Ok("buf lint; no buf breaking, because git knows no earlier proto/ to compare with".into());
    };
    // buf gets the base as an archive, so that it needs to know nothing of how this repository was cloned.
    let folder = target().join("xtask");
    fs::create_dir_all(&folder)?;
    let archive = folder.join("base.tar");
    run(command("git").args(["archive", "--output"]).arg(&archive).arg(format!("{}:proto", base.commit)))?;
    run(command(&buf).args(["breaking", "proto", "--against"]).arg(&archive))
        .with_context(|| format!("proto/ breaks what {} promises", base.name))?;
    Ok(format!("buf lint, buf breaking against {}", base.name))
}

/// A commit whose contracts have to go on working.
struct Base {
    name: String,
    commit: String,
}

/// Where this branch left main; or, when this is main itself, the commit before.
fn base() -> Option<Base> {
    let head = git(&["rev-parse", "HEAD"])?;
    let fork = |branch: &str| {
        let commit = git(&["merge-base", "HEAD", branch]).filter(|commit| *commit != head)?;
        Some(Base { name: format!("{branch} at {commit:.12}"), commit })
    };
    let parent = || {
        let commit = git(&["rev-parse", "--verify", "HEAD~1"])?;
        Some(Base { name: format!("the commit before, {commit:.12}"), commit })
    };
    let base = fork("main").or_else(|| fork("origin/main")).or_else(parent)?;
    git(&["rev-parse", "--verify", &format!("{}:proto", base.commit)]).map(|_| base)
}

fn git(arguments: &[&str]) -> Option<String> {
    answer(command("git").args(arguments))
}

/// The pinned buf, installed when it isn't there yet.
fn buf() -> Result<PathBuf> {
    let tools = target().join("tools");
    let buf = tools.join("node_modules/.bin/buf");
    if answer(Command::new(&buf).arg("--version")).as_deref() != Some(BUF_VERSION) {
        install(&tools)
            .with_context(|| format!("cannot install buf {BUF_VERSION} from npm into {}", tools.display()))?;
    }
    Ok(buf)
}

fn install(tools: &Path) -> Result<()> {
    if answer(command("npm").arg("--version")).is_none() {
        debian::install(&["npm"])?;
    }
    eprintln!("xtask: installing buf {BUF_VERSION}");
    fs::create_dir_all(tools)?;
    // buf's script after the installation only makes it start faster; without scripts nothing unforeseen is run.
    let mut npm = command("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"]).arg(tools);
    run(npm.arg(format!("@bufbuild/buf@{BUF_VERSION}")).stdout(std::io::stderr()))
}
