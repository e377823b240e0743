//! Packages of PyPI, each at one pinned version in a virtual environment of its own beneath the target folder.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::debian;
use crate::process::{answer, command, run, target};

/// The folder of a package's virtual environment, made when it isn't there yet.
pub fn environment(package: &str, version: &str) -> Result<PathBuf> {
    let folder = target().join("tools").join(format!("{package}-{version}"));
    // Written last, so that half an environment is made anew.
    let done = folder.join("installed");
    if !done.exists() {
        install(&folder, package, version)
            .and_then(|()| fs::write(&done, "").context("cannot write"))
            .with_context(|| format!("cannot install {package} {version} from PyPI into {}", folder.display()))?;
    }
    Ok(folder)
}

fn install(folder: &PathBuf, package: &str, version: &str) -> Result<()> {
    if answer(command("python3").args(["-c", "import ensurepip"])).is_none() {
        debian::install(&["python3-venv"])?;
    }
    eprintln!("xtask: installing {package} {version}");
    run(command("python3").args(["-m", "venv"]).arg(folder))?;
    run(command(folder.join("bin/pip")).args(["install", "--quiet", &format!("{package}=={version}")]))
}
