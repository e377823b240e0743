//! Guards the contracts: `buf lint` for their style, and `buf breaking` for the clients that are already out there.
//!
//! buf comes as an npm package with its binary inside. That `buf breaking` sees a change that would break who reads
//! events is shown each time: a copy of the contracts loses a field of an event of every context.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::npm;
use crate::process::{answer, command, root, run, target};

/// What checks the contracts, and generates code of them.
pub const BUF: npm::Package = npm::Package { name: "@bufbuild/buf", version: "1.75.0", program: "buf" };

/// Lints proto/ and compares it with its base; returns a line that says what was checked.
pub fn check() -> Result<String> {
    let buf = npm::program(&BUF)?;
    run(command(&buf).args(["lint", "proto"]))?;
    ensure_bites(&buf)?;
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

/// Fails if `buf breaking` lets an event lose a field.
fn ensure_bites(buf: &Path) -> Result<()> {
    let broken = copy_of_proto("broken")?;
    let events = without_first_fields(&broken)?;
    ensure!(!events.is_empty(), "proto/ has no events");
    let told = breaks(buf, &broken)?.context("buf breaking lets events lose fields")?;
    for path in events {
        let path = path.strip_prefix(&broken)?.display().to_string();
        ensure!(told.contains(&path), "buf breaking lets an event of {path} lose a field; it said:\n{told}");
    }
    Ok(())
}

/// What `buf breaking` says of changed contracts against those of proto/, if it says anything.
fn breaks(buf: &Path, changed: &Path) -> Result<Option<String>> {
    let outcome = command(buf).arg("breaking").arg(changed).args(["--against", "proto"]).output()?;
    let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
    // It ends with this code if it found something, and with others if it could not look.
    const FOUND: i32 = 100;
    let code = outcome.status.code();
    let errors = String::from_utf8_lossy(&outcome.stderr);
    ensure!([Some(0), Some(FOUND)].contains(&code), "buf breaking ended with {}: {errors}", outcome.status);
    Ok((code == Some(FOUND)).then_some(told))
}

/// A copy of proto/ beneath the target folder, to be changed.
fn copy_of_proto(name: &str) -> Result<PathBuf> {
    let folder = target().join("xtask").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    copy(Path::new("proto"), &folder)?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(root().join(from))? {
        let name = entry?.file_name();
        let (from, to) = (from.join(&name), to.join(&name));
        if root().join(&from).is_dir() { copy(&from, &to)? } else { fs::copy(root().join(from), to).map(drop)? }
    }
    Ok(())
}

/// Takes the first field of each `events.proto` away, and returns the files.
fn without_first_fields(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(without_first_fields(&path)?);
        } else if path.ends_with("events.proto") {
            let text = fs::read_to_string(&path)?;
            let field = text.lines().find(|line| line.starts_with("  ") && line.ends_with(" = 1;"));
            let field = field.with_context(|| format!("{} has no field", path.display()))?;
            fs::write(&path, text.replacen(field, "", 1))?;
            found.push(path);
        }
    }
    Ok(found)
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

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "nadeuri/rental/v1/rental_service.proto";

    /// What `buf breaking` says when a text of a contract becomes another one.
    fn told_of(text: &str, becomes: &str) -> Option<String> {
        let buf = npm::program(&BUF).expect("buf can be installed");
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
            !told_of(text, becomes).is_some_and(|told| told.contains(SERVICE) || told.contains("RentalService"))
        });
        assert_eq!(missed.map(|(what, ..)| what).collect::<Vec<_>>(), [""; 0], "buf breaking lets these pass");
        let with_more = format!("{stars}  string colour = 99;\n");
        assert_eq!(told_of(stars, &with_more), None, "whoever does not know a new field need not");
    }
}
