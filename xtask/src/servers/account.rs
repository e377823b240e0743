//! The user that runs a server: PostgreSQL refuses to run as root, which is the user in most containers.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::debian::is_root;
use crate::process::{command, run};

/// The user of the server's Debian package if xtask runs as root, otherwise the current user.
pub struct Account(pub &'static str);

impl Account {
    /// Makes the user the owner of `folder` and its contents.
    pub fn own(&self, folder: &Path) -> Result<()> {
        if is_root() {
            run(command("chown").args(["-Rh", &format!("{}:", self.0)]).arg(folder))?;
        }
        Ok(())
    }

    /// A command that runs as the user, with `folder` as its home.
    pub fn command(&self, folder: &Path, program: impl AsRef<OsStr>) -> Command {
        let mut command = if is_root() {
            let mut setpriv = command("setpriv");
            setpriv.args([&format!("--reuid={}", self.0), &format!("--regid={}", self.0), "--clear-groups", "--"]);
            setpriv.arg(program);
            setpriv
        } else {
            command(program)
        };
        // Without the caller's environment: cargo adds library paths, and developers have their own settings.
        command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", folder).env("LC_ALL", "C.UTF-8");
        command.current_dir(folder);
        command
    }
}
