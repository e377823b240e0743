//! Starts `nadeuri serve` as a child process, for the tests, the benchmarks and xtask.
//!
//! The process must not outlive its owner. Dropping a [`Server`] kills it. If the owner is killed, a guard kills it: a
//! shell that waits until the owner's end of a pipe closes. Both have their own process groups, so that Ctrl-C reaches
//! only the owner.

#[cfg(feature = "health")]
mod health;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, kill_process_group};

pub use rustix::process::Signal;

/// The prefix of the output line with the address of the server.
const SERVES: &str = "nadeuri serves ";

/// A running `nadeuri serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    guard: Child,
    log: PathBuf,
    /// The length of the log at the start.
    begin: usize,
}

impl Server {
    /// Starts it. `command` is the program with its arguments, with `serve` among them. Its output is appended to
    /// `log`.
    ///
    /// # Errors
    ///
    /// If the log can't be written, or the program can't be run.
    pub fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Server> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("cannot write {}", log.display()))?;
        let begin = usize::try_from(file.metadata()?.len())?;
        command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let mut guard = Command::new("/bin/sh");
        guard.args(["-c", "read -r _; kill -s KILL -- \"-$1\"", "guard", &child.id().to_string()]).process_group(0);
        let guard = guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Server { child, guard, log: log.to_owned(), begin })
    }

    /// The address that it listens on; `None` until it is known.
    ///
    /// # Errors
    ///
    /// If it ended.
    pub fn address(&mut self) -> anyhow::Result<Option<SocketAddr>> {
        self.ensure_running()?;
        let said = self.output();
        let lines = said.lines().filter(|line| line.starts_with(SERVES));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).next())
    }

    /// Fails with its output if it ended.
    ///
    /// # Errors
    ///
    /// If it ended.
    pub fn ensure_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.ended()? else { return Ok(()) };
        bail!("the server of {} ended with {status}; its output:\n{}", self.log.display(), self.output())
    }

    /// Its exit status; `None` while it runs.
    ///
    /// # Errors
    ///
    /// If the operating system fails.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Its output since the start.
    pub fn output(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.begin..).unwrap_or_default()).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, such as [`Signal::TERM`] for a graceful shutdown.
    ///
    /// # Errors
    ///
    /// If it ended.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal).context("cannot send a signal")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // First the guard, because it must not kill another process that gets the same id later.
        for child in [&mut self.guard, &mut self.child] {
            // It fails if the process has already ended, which is fine.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that prints this output and waits, in place of the product.
    fn started(says: &str) -> (tempfile::TempDir, Server) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{says}; exec sleep 60")]);
        let server = Server::spawn(&mut command, &folder.path().join("log")).unwrap();
        (folder, server)
    }

    fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
        for _ in 0..3_000 {
            if let Some(found) = look() {
                return found;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("timed out")
    }

    #[test]
    fn the_address_is_from_the_output_of_this_start() {
        let (folder, first) = started("echo nadeuri serves fleet, rental on 127.0.0.1:1");
        drop(first);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo a line; echo nadeuri serves fleet, rental on 127.0.0.1:2; exec sleep 60"]);
        let mut second = Server::spawn(&mut command, &folder.path().join("log")).unwrap();
        let address = eventually(|| second.address().unwrap());
        assert_eq!(address.to_string(), "127.0.0.1:2");
    }

    #[test]
    fn the_error_of_an_ended_server_has_its_output() {
        let (_folder, mut server) = started("echo the port is taken; exit 3");
        let error = eventually(|| server.address().err()).to_string();
        assert!(error.contains("exit status: 3") && error.contains("the port is taken"), "{error}");
    }

    #[test]
    fn it_ends_by_a_signal() {
        let (_folder, mut server) = started("true");
        server.signal(Signal::TERM).unwrap();
        assert!(!eventually(|| server.ended().unwrap()).success());
    }

    #[test]
    fn the_guard_kills_it_when_its_owner_is_gone() {
        let (_folder, mut server) = started("true");
        // What the operating system does when the owner is killed.
        drop(server.guard.stdin.take());
        assert!(!eventually(|| server.ended().unwrap()).success());
    }
}
