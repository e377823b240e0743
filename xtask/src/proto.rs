//! Checks the contracts: `buf lint` for style, and `buf breaking` for compatibility with existing clients.
//!
//! buf is installed as an npm package with its binary. Each run also checks that `buf breaking` detects a breaking
//! change of events: in a copy of the contracts, one event of every context loses a field.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::files::{beneath, empty_folder};
use crate::process::{answer, command, root, run, target};
use crate::tools;

/// The buf program.
pub fn buf() -> Result<PathBuf> {
    tools::npm("@bufbuild/buf", "1.75.0", "buf")
}

/// Lints proto/ and compares it with its base. Returns a summary.
pub fn check() -> Result<String> {
    let buf = buf()?;
    run(command(&buf).args(["lint", "proto"]))?;
    ensure_breaking_is_seen(&buf)?;
    let Some((name, commit)) = base() else {
        return Ok("buf lint; no buf breaking, because git knows no earlier proto/ to compare with".into());
    };
    // buf gets the base as an archive, so that it does not depend on how this repository was cloned.
    let folder = target().join("xtask");
    fs::create_dir_all(&folder)?;
    let archive = folder.join("base.tar");
    run(command("git").args(["archive", "--output"]).arg(&archive).arg(format!("{commit}:proto")))?;
    run(command(&buf).args(["breaking", "proto", "--against"]).arg(&archive))
        .with_context(|| format!("proto/ is not compatible with {name}"))?;
    Ok(format!("buf lint, buf breaking against {name}"))
}

/// Fails if `buf breaking` lets an event lose a field.
fn ensure_breaking_is_seen(buf: &Path) -> Result<()> {
    let broken = copy_of_proto("broken")?;
    let events = without_first_fields(&broken)?;
    ensure!(!events.is_empty(), "proto/ has no events");
    let said = breaks(buf, &broken)?.context("buf breaking lets events lose fields")?;
    for path in events {
        ensure!(said.contains(&path), "buf breaking lets an event of {path} lose a field; it said:\n{said}");
    }
    Ok(())
}

/// The findings of `buf breaking` for changed contracts against proto/, if there are any.
fn breaks(buf: &Path, changed: &Path) -> Result<Option<String>> {
    let outcome = command(buf).arg("breaking").arg(changed).args(["--against", "proto"]).output()?;
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    // This exit code means findings. Others are failures of buf.
    const FOUND: i32 = 100;
    let code = outcome.status.code();
    let errors = String::from_utf8_lossy(&outcome.stderr);
    ensure!([Some(0), Some(FOUND)].contains(&code), "buf breaking ended with {}: {errors}", outcome.status);
    Ok((code == Some(FOUND)).then_some(said))
}

/// A copy of proto/ beneath the target folder, to be changed.
fn copy_of_proto(name: &str) -> Result<PathBuf> {
    let (proto, folder) = (root().join("proto"), target().join("xtask").join(name));
    empty_folder(&folder)?;
    for path in beneath(&proto)? {
        let copy = folder.join(&path);
        fs::create_dir_all(copy.parent().context("a file is in a folder")?)?;
        fs::copy(proto.join(&path), copy)?;
    }
    Ok(folder)
}

/// Removes the first field from each `events.proto`, and returns the files, relative to `folder`.
fn without_first_fields(folder: &Path) -> Result<Vec<String>> {
    let mut changed = Vec::new();
    for path in beneath(folder)?.into_iter().filter(|path| path.ends_with("events.proto")) {
        let text = fs::read_to_string(folder.join(&path))?;
        let field = text.lines().find(|line| line.starts_with("  ") && line.ends_with(" = 1;"));
        let field = field.with_context(|| format!("{} has no field", path.display()))?;
        fs::write(folder.join(&path), text.replacen(field, "", 1))?;
        changed.push(path.display().to_string());
    }
    Ok(changed)
}

/// The base of the comparison and its name: the commit where this branch left main, or on main itself the previous
/// commit.
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

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "nadeuri/rental/v1/rental_service.proto";

    /// The findings of `buf breaking` after a replacement of text in a contract.
    fn findings_after(text: &str, becomes: &str) -> Option<String> {
        let buf = buf().expect("buf can be installed");
        let changed = copy_of_proto("changed").expect("proto/ can be copied");
        let file = changed.join(SERVICE);
        let contract = fs::read_to_string(&file).expect("it is there");
        assert!(contract.contains(text), "{SERVICE} has no {text:?} to change");
        fs::write(&file, contract.replacen(text, becomes, 1)).expect("it can be written");
        breaks(&buf, &changed).expect("buf can compare them")
    }

    #[test]
    fn x10_a_change_that_breaks_a_client_is_caught_before_it_lands() {
        let stars = "  int32 stars = 9;\n";
        let rpc = "  rpc GetRegion(GetRegionRequest)";
        let breaking = [
            ("a field is gone", stars, ""),
            ("a field has another number", stars, "  int32 stars = 99;\n"),
            ("a field has another name", stars, "  int32 rating = 9;\n"),
            ("a field has another type", stars, "  string stars = 9;\n"),
            ("a field becomes many", stars, "  repeated int32 stars = 9;\n"),
            ("a state has another number", "RESERVATION_STATE_RENTED = 2;", "RESERVATION_STATE_RENTED = 22;"),
            ("an RPC is gone", rpc, "  rpc GetPlace(GetRegionRequest)"),
            ("an RPC takes another request", rpc, "  rpc GetRegion(RetireCarRequest)"),
            ("a service is gone", "service RentalService {", "service RentingService {"),
        ];
        let missed = breaking.into_iter().filter(|(_, text, becomes)| {
            !findings_after(text, becomes).is_some_and(|told| told.contains(SERVICE) || told.contains("RentalService"))
        });
        assert_eq!(missed.map(|(what, ..)| what).collect::<Vec<_>>(), [""; 0], "buf breaking lets these pass");
        let with_more = format!("{stars}  string colour = 99;\n");
        assert_eq!(findings_after(stars, &with_more), None, "whoever does not know a new field need not");
    }
}
