//! Guards the contracts: `buf lint` for their style, and `buf breaking` for the clients that are already out there.
//!
//! buf comes as an npm package with its binary inside. That `buf breaking` sees a change that would break who reads
//! events is shown each time: a copy of the contracts loses a field of an event of every context.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::files::{beneath, empty_folder};
use crate::process::{answer, command, root, run, target};
use crate::tools;

/// buf, which checks the contracts and generates code from them.
pub fn buf() -> Result<PathBuf> {
    tools::npm("@bufbuild/buf", "1.75.0", "buf")
}

/// Lints proto/ and compares it with its base; returns a line that says what was checked.
pub fn check() -> Result<String> {
    let buf = buf()?;
    run(command(&buf).args(["lint", "proto"]))?;
    ensure_breaking_is_seen(&buf)?;
    let Some((name, commit)) = base() else {
        return Ok("buf lint; no buf breaking, because git knows no earlier proto/ to compare with".into());
    };
    // buf gets the base as an archive, so that it needs to know nothing of how this repository was cloned.
    let folder = target().join("xtask");
    fs::create_dir_all(&folder)?;
    let archive = folder.join("base.tar");
    run(command("git").args(["archive", "--output"]).arg(&archive).arg(format!("{commit}:proto")))?;
    run(command(&buf).args(["breaking", "proto", "--against"]).arg(&archive))
        .with_context(|| format!("proto/ breaks what {name} promises"))?;
    Ok(format!("buf lint, buf breaking against {name}"))
}

/// Fails if `buf breaking` lets an event lose a field: takes the first field of each `events.proto` away in a copy.
fn ensure_breaking_is_seen(buf: &Path) -> Result<()> {
    let (proto, broken) = (root().join("proto"), target().join("xtask/broken"));
    empty_folder(&broken)?;
    let mut events = Vec::new();
    for path in beneath(&proto)? {
        let (mut text, copy) = (fs::read_to_string(proto.join(&path))?, broken.join(&path));
        if path.ends_with("events.proto") {
            let field = text.lines().find(|line| line.starts_with("  ") && line.ends_with(" = 1;"));
            let field = field.with_context(|| format!("{} has no field", path.display()))?.to_owned();
            text = text.replacen(&field, "", 1);
            events.push(path.display().to_string());
        }
        fs::create_dir_all(copy.parent().context("a file is in a folder")?)?;
        fs::write(copy, text)?;
    }
    ensure!(!events.is_empty(), "proto/ has no events");
    let outcome = command(buf).arg("breaking").arg(&broken).args(["--against", "proto"]).output()?;
    let said = String::from_utf8_lossy(&outcome.stdout);
    ensure!(!outcome.status.success(), "buf breaking lets events lose fields");
    for path in events {
        ensure!(said.contains(&path), "buf breaking lets an event of {path} lose a field; it said:\n{said}");
    }
    Ok(())
}

/// A commit whose contracts have to go on working, and what to call it: where this branch left main; or, when this is main
/// itself, the commit before.
fn base() -> Option<(String, String)> {
    let git = |arguments: &[&str]| answer(command("git").args(arguments));
    let head = git(&["rev-parse", "HEAD"])?;
    let fork = |branch: &str| {
        let commit = git(&["merge-base", "HEAD", branch]).filter(|commit| *commit != head)?;
        Some((format!("{branch} at {commit:.12}"), commit))
    };
    let parent = || {
        let commit = git(&["rev-parse", "--verify", "HEAD~1"])?;
        Some((format!("the commit before, {commit:.12}"), commit))
    };
    let (name, commit) = fork("main").or_else(|| fork("origin/main")).or_else(parent)?;
    git(&["rev-parse", "--verify", &format!("{commit}:proto")])?;
    Some((name, commit))
}
