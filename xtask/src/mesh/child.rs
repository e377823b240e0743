//! A process that runs beside xtask and ends with it.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often it is looked at, and how often before it is killed: for ten seconds.
const POLL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 500;

/// Of the log of one that ended.
const LAST_LINES: usize = 20;

/// A running process, the leader of a group of its own.
pub struct Child {
    child: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts it; what it says goes into `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Fails, with the end of its log, if it ended by itself.
    pub fn ensure_running(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let mut last: Vec<&str> = said.lines().rev().take(LAST_LINES).collect();
        last.reverse();
        bail!("the process of {} ended with {status}:\n{}", self.log.display(), last.join("\n"))
    }

    /// Whether it has ended well; fails if it ended otherwise.
    pub fn has_succeeded(&mut self) -> Result<bool> {
        if self.child.try_wait()?.is_some_and(|status| status.success()) {
            return Ok(true);
        }
        self.ensure_running().map(|()| false)
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal).context("cannot send a signal")
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.has_ended() {
            // One that was stopped has to go on in order to end. If it ended meanwhile, that is as good.
            let _ = self.signal(Signal::TERM);
            let _ = self.signal(Signal::CONT);
            for _ in 0..POLLS_MAX {
                if self.has_ended() {
                    break;
                }
                thread::sleep(POLL);
            }
        }
        if !self.has_ended() {
            let _ = self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
