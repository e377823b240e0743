//! The Debian packages the tests need, installed when they are missing.
//!
//! A fresh machine has only Rust on it, and the tests run against the real PostgreSQL and RabbitMQ everywhere.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::{command, run};

/// What `apt-get install` asks before it starts the services of a package.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs `packages`, which needs root.
pub fn install(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    ensure!(
        is_root() && Path::new("/usr/bin/apt-get").exists(),
        "missing: {names}; run `sudo apt-get install --no-install-recommends {names}`, or what does so on this system"
    );
    eprintln!("xtask: installing {names}");
    let _quiet = NoServices::new()?;
    run(apt_get().arg("update"))?;
    run(apt_get().args(["install", "-y", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("cannot install {names}"))
}

/// Whether xtask may do everything, as it may in a container.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn apt_get() -> Command {
    let mut command = command("apt-get");
    command.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    // Even when it is told to be quiet, dpkg prints its progress there. Errors go elsewhere.
    command.stdout(Stdio::null());
    command
}

/// While this lives, packages that are installed don't start their services: those would take ports and memory that
/// nothing here uses.
struct NoServices {
    /// Whether the policy is ours to take away again; the images of containers bring their own.
    ours: bool,
}

impl NoServices {
    fn new() -> Result<Self> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        let mut file = file.with_context(|| format!("cannot create {POLICY}"))?;
        let policy = Self { ours: true };
        // 101 is "action forbidden by policy".
        file.write_all(b"#!/bin/sh\nexit 101\n")?;
        Ok(policy)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours && fs::remove_file(POLICY).is_err() {
            eprintln!("xtask: {POLICY} is left behind and keeps services from starting: remove it");
        }
    }
}
