//! Child processes of xtask: commands that it waits for and background processes, each in its own process group.
//!
//! Ctrl-C in a terminal sends SIGINT to every process of the foreground group at once, so the servers would stop while
//! tests use them. With separate groups it reaches only xtask, which ends the group it is waiting for and then cleans
//! up. SIGTERM is handled in the same way.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The pause between two polls of a child or a condition.
const POLL: Duration = Duration::from_millis(20);

/// The number of polls of a condition: two minutes, because recovery of a server may be slow.
const POLLS_MAX: u32 = 6000;

/// The number of polls of a process after a signal until it is killed: ten seconds.
const ENDING_POLLS_MAX: u32 = 500;

/// The number of log lines to show of a failed process.
const LAST_LINES: usize = 30;

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Handles SIGINT, SIGTERM and SIGHUP, which do not end xtask by themselves any more.
pub fn handle_signals() -> Result<()> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&INTERRUPTED)).context("cannot listen for signals")?;
    }
    Ok(())
}

/// Fails after a signal to stop.
pub fn ensure_uninterrupted() -> Result<()> {
    ensure!(!INTERRUPTED.load(Ordering::Relaxed), "interrupted");
    Ok(())
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The target folder of cargo.
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

/// The tests of the product in services/nadeuri/tests/`target`, or one of them.
pub fn cargo_test(target: &str, name: &str) -> Command {
    let mut test = cargo();
    test.args(["test", "--quiet", "--package", "nadeuri", "--test", target, "--", name]);
    test
}

/// Runs `command` to its end, or until xtask is interrupted.
pub fn status(command: &mut Command) -> Result<ExitStatus> {
    ensure_uninterrupted()?;
    let child = command.process_group(0).stdin(Stdio::null()).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", text(command)))?;
    loop {
        if let Some(status) = child.try_wait()? {
            ensure_uninterrupted()?;
            return Ok(status);
        }
        if ensure_uninterrupted().is_err() {
            // It fails if the group has already ended, which is fine.
            let _ = kill_process_group(Pid::from_child(&child), Signal::TERM);
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

/// Runs `command`, which must succeed, and returns its output. The error has everything that it wrote.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {}", text(command)))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{} ended with {}:\n{out}{err}", text(command), output.status);
    Ok(out.into_owned())
}

/// Runs `command` and returns its output, trimmed, or `None` when it failed or isn't installed.
pub fn answer(command: &mut Command) -> Option<String> {
    output(command).ok().map(|output| output.trim().to_owned())
}

/// Waits until `condition` holds, or xtask is interrupted.
pub fn eventually(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    eventually_ended(what, || ensure_uninterrupted().and_then(|()| condition()))
}

/// Waits until `condition` holds, even if xtask is interrupted: for clean-up.
pub fn eventually_ended(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..POLLS_MAX {
        if condition()? {
            return Ok(());
        }
        thread::sleep(POLL);
    }
    bail!("timed out waiting until {what}")
}

/// The last lines of a log, or nothing if there is none.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}

/// The command line of `command`.
fn text(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A process that runs beside xtask, with a log, and ends when this is dropped.
pub struct Child {
    child: std::process::Child,
    log: PathBuf,
    is_detached: bool,
}

impl Child {
    /// Starts it; its output, errors included, is appended to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        Self::spawn_into(command.stdout(file.try_clone()?).stderr(file), log)
    }

    /// Starts a command that writes to `log` by itself.
    pub fn spawn_into(command: &mut Command, log: &Path) -> Result<Self> {
        let child = command.process_group(0).stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("cannot run {}", text(command)))?;
        Ok(Self { child, log: log.to_owned(), is_detached: false })
    }

    /// Lets it continue after xtask has ended.
    pub fn detach(mut self) {
        self.is_detached = true;
    }

    /// Fails, with the end of its log, if it ended by itself.
    pub fn ensure_running(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        bail!("the process of {} ended with {status}:\n{}", self.log.display(), tail(&self.log))
    }

    /// Whether it has ended well; fails if it ended otherwise.
    pub fn has_succeeded(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_some_and(|status| status.success()) {
            return Ok(true);
        }
        self.ensure_running().map(|()| false)
    }

    /// Its output so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal to it and its children.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal).context("cannot send a signal")
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_detached || self.has_ended() {
            return;
        }
        // A signal fails if the process has already ended, which is fine. A stopped process has to be continued to end.
        let _ = self.signal(Signal::TERM);
        let _ = self.signal(Signal::CONT);
        for _ in 0..ENDING_POLLS_MAX {
            if self.has_ended() {
                return;
            }
            thread::sleep(POLL);
        }
        let _ = self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}
