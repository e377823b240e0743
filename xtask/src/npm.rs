//! Programs that come from npm, each at one pinned version in a folder of its own beneath the target folder, so that a new
//! version of one doesn't fail a commit that has nothing to do with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::debian;
use crate::process::{answer, command, run, target};

/// A program of npm's.
pub struct Package {
    /// What npm calls it.
    pub name: &'static str,
    /// The version that is wanted.
    pub version: &'static str,
    /// What is run.
    pub program: &'static str,
}

/// The program of a package, installed when it isn't there yet.
pub fn program(package: &Package) -> Result<PathBuf> {
    let Package { name, version, program } = package;
    let folder = target().join("tools").join(program);
    let path = folder.join("node_modules/.bin").join(program);
    if !answer(Command::new(&path).arg("--version")).is_some_and(|said| said.contains(version)) {
        install(&folder, package)
            .with_context(|| format!("cannot install {name} {version} from npm into {}", folder.display()))?;
    }
    Ok(path)
}

fn install(folder: &Path, Package { name, version, .. }: &Package) -> Result<()> {
    if answer(command("npm").arg("--version")).is_none() {
        debian::install(&["npm"])?;
    }
    eprintln!("xtask: installing {name} {version}");
    fs::create_dir_all(folder)?;
    // Scripts after the installation only make programs start faster; without them nothing unforeseen is run.
    let mut npm = command("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"]).arg(folder);
    run(npm.arg(format!("{name}@{version}")).stdout(std::io::stderr()))
}
