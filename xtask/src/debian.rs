//! Packages of Debian, installed when they are missing.
//!
//! A fresh machine has only Rust on it, and the tests run against the real PostgreSQL and RabbitMQ everywhere.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::{command, run};

/// The policy script that `apt-get install` calls before it starts the services of a package.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether xtask runs as root, as in a container.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a program is in the PATH or in Debian's folders for server programs.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into()]).any(|folder| folder.join(program).is_file())
}

/// Installs the packages of those programs that are missing.
pub fn ensure(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> = programs.iter().filter(|(name, _)| !has(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { install(&missing) }
}

/// Installs `packages`, which needs root. Their services are not started: those would take ports and memory.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    ensure!(
        is_root() && Path::new("/usr/bin/apt-get").exists(),
        "missing: {names}; run `sudo apt-get install --no-install-recommends {names}`, or what does so on this system"
    );
    eprintln!("xtask: installing {names}");
    // Container images have their own policy.
    let is_ours = !Path::new(POLICY).exists();
    if is_ours {
        // 101 is "action forbidden by policy".
        fs::write(POLICY, "#!/bin/sh\nexit 101\n").with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, Permissions::from_mode(0o755))?;
    }
    let installed = run(apt_get().arg("update"))
        .and_then(|()| run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages)));
    if is_ours {
        fs::remove_file(POLICY).with_context(|| format!("remove {POLICY}: it keeps services from starting"))?;
    }
    installed.with_context(|| format!("cannot install {names}"))
}

fn apt_get() -> Command {
    let mut command = command("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    // dpkg prints its progress to stdout even in quiet mode. Errors go to stderr.
    command.stdout(Stdio::null());
    command
}
