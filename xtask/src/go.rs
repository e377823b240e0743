//! Programs that are written in Go, pinned with all that they are made of by a go.mod of ours, whose `tool` lines name them.
//!
//! `go install PROGRAM@VERSION` would do for some of them, but not for those whose own go.mod replaces modules.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::process::{answer, command, root, run, target};

/// A program that `go install` makes by itself: its name, its module and its version.
pub type Program = (&'static str, &'static str, &'static str);

/// What makes load.
pub const GHZ: Program = ("ghz", "github.com/bojand/ghz/cmd/ghz", "v0.121.0");
/// What makes single calls.
pub const GRPCURL: Program = ("grpcurl", "github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3");

/// Fails if there is no Go.
pub fn ensure_there() -> Result<()> {
    let there = answer(command("go").arg("version")).is_some();
    ensure!(there, "missing: go, 1.26 or newer; https://go.dev/doc/install says how to get it");
    Ok(())
}

/// The folder of a program at its version; installed when it isn't there yet. It can't be asked for its version, which a
/// program that Go installs doesn't know.
pub fn installed((name, module, version): Program) -> Result<PathBuf> {
    let folder = target().join("tools").join(format!("{name}-{version}"));
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    if !folder.join(name).exists() {
        ensure_there()?;
        eprintln!("xtask: installing {name} {version}");
        run(command("go").args(["install", &format!("{module}@{version}")]).env("GOBIN", &folder))
            .with_context(|| format!("cannot install {name} {version}"))?;
    }
    Ok(folder)
}

/// The folder of the programs that xtask/`module`/go.mod names, built when they aren't there yet or when it has changed.
/// `variables` are set in them, as `-X` of Go's linker takes it.
pub fn programs(module: &str, variables: &[&str]) -> Result<PathBuf> {
    let source = root().join("xtask").join(module);
    let folder = target().join("tools").join(module);
    let pinned = fs::read_to_string(source.join("go.mod")).context("cannot read go.mod")?;
    let stamp = folder.join("built-from.mod");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == pinned) {
        return Ok(folder);
    }
    ensure_there()?;
    eprintln!("xtask: building what xtask/{module}/go.mod names; the first time that takes its time");
    fs::create_dir_all(&folder)?;
    let mut link = "-s -w".to_owned();
    for variable in variables {
        link += &format!(" -X {variable}");
    }
    let mut go = command("go");
    go.current_dir(source).args(["install", "-trimpath", "-ldflags", &link, "tool"]);
    run(go.env("GOBIN", fs::canonicalize(&folder)?))?;
    fs::write(stamp, pinned)?;
    Ok(folder)
}

/// Where the source of a module is: of the version that xtask/`pinned`/go.mod names, or `MODULE@VERSION`.
pub fn source(pinned: &str, module: &str) -> Result<PathBuf> {
    let mut download = command("go");
    download.current_dir(root().join("xtask").join(pinned)).args(["mod", "download", "-json", module]);
    let said = answer(&mut download).with_context(|| format!("cannot download the Go module {module}"))?;
    let folder = said.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \"")?.split('"').next());
    Ok(folder.context("go does not say where the module is")?.into())
}
