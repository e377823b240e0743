//! Whom a server runs as: PostgreSQL refuses to run as root, and root is what one is in most containers.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::debian::is_root;
use crate::process::{command, run};

/// The user that the server's Debian package created, when we are root; otherwise ourselves.
pub struct Account(pub &'static str);

impl Account {
    /// Hands `folder`, with what is in it, to the user.
    pub fn own(&self, folder: &Path) -> Result<()> {
        if is_root() {
            run(command("chown").args(["-Rh", &format!("{}:", self.0)]).arg(folder))?;
        }
        Ok(())
    }

    /// A command of the user, at home in `folder`.
    pub fn command(&self, folder: &Path, program: impl AsRef<OsStr>) -> Command {
        let mut command = if is_root() {
            let mut setpriv = command("setpriv");
            setpriv.args([&format!("--reuid={}", self.0), &format!("--regid={}", self.0), "--clear-groups", "--"]);
            setpriv.arg(program);
            setpriv
        } else {
            command(program)
        };
        // Nothing of the caller's gets in: cargo adds libraries of Rust's, and people have settings of their own.
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", folder).env("LC_ALL", "C.UTF-8");
        command.current_dir(folder);
        command
    }
}
