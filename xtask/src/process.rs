//! Child processes, each the leader of a process group of its own.
//!
//! A Ctrl-C in a terminal goes to every process of the foreground group at once, so the servers would stop beneath
//! the tests that use them. Here it reaches xtask alone, which ends the group it is waiting for and then tidies up.
//! A SIGTERM, which reaches xtask alone anyway, takes the same path.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often a child or a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How often [`eventually`] looks before it gives up: for two minutes, which a slow disk may need to recover a server.
const POLLS_MAX: u32 = 6000;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// From here on SIGINT, SIGTERM and SIGHUP no longer end xtask by themselves.
pub fn heed_signals() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).context("cannot listen for signals")?;
    }
    Ok(())
}

/// Fails once somebody has asked xtask to end.
pub fn ensure_uninterrupted() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where what is built goes.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// A command that runs in the folder of the workspace.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs xtask.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs `command` to its end, or until xtask is interrupted.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    ensure_uninterrupted()?;
    let program = command.get_program().to_owned();
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let group = Pid::from_child(&child);
    loop {
        if let Some(status) = child.try_wait()? {
            ensure_uninterrupted()?;
            return Ok(status);
        }
        if ensure_uninterrupted().is_err() {
            // The group may have ended since it was looked at, which is as good.
            let _ = kill_process_group(group, Signal::TERM);
        }
        thread::sleep(POLL);
    }
}

/// Runs `command`, which must succeed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    ensure!(status.success(), "{} ended with {status}", text(command));
    Ok(())
}

/// Runs `command` and returns what it printed, trimmed, or `None` when it failed or isn't installed.
pub fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits until `condition` holds.
pub fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..POLLS_MAX {
        if condition()? {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    bail!("gave up waiting until {what}")
}

/// `command` as somebody would type it.
fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
