//! Finds the processes of the servers of a folder, and ends them.
//!
//! A server is known by its command line, which names something in its folder. Unlike the number in a pid file, that
//! can't have become somebody else's after a crash, and it finds the servers that tests have started beneath too.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::process::eventually;

/// What the servers are called; an editor that shows a file of the folder is not to be killed.
const PROGRAMS: [&str; 3] = ["postgres", "beam.smp", "epmd"];

struct Process {
    pid: Pid,
    parent: i32,
    program: String,
}

impl Process {
    /// Parses `/proc/<pid>/stat`: the pid, the program in parentheses (which may contain some itself), a letter for
    /// the state, the parent. A process that has ended and only waits for its parent to notice counts as gone.
    fn parse(stat: &str) -> Option<Self> {
        let (pid, rest) = stat.split_once(" (")?;
        let (program, rest) = rest.rsplit_once(") ")?;
        let mut rest = rest.split(' ');
        let (state, parent) = (rest.next()?, rest.next()?);
        let pid = Pid::from_raw(pid.parse().ok()?)?;
        (state != "Z").then_some(Self { pid, parent: parent.parse().ok()?, program: program.to_owned() })
    }

    fn names(&self, folder: &Path) -> bool {
        let arguments = fs::read_to_string(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        arguments.split('\0').any(|argument| Path::new(argument).starts_with(folder))
    }

    fn signal(&self, signal: Signal) {
        // It fails when the process has ended meanwhile, which those who call wait for anyway.
        let _ = kill_process(self.pid, signal);
    }
}

/// Whether a server runs in `folder`.
pub fn are_in(folder: &Path) -> Result<bool> {
    Ok(!servers(&all()?, folder).is_empty())
}

/// Asks the servers in `folder` to end, and waits until they have.
pub fn stop(folder: &Path, signal: Signal) -> Result<()> {
    servers(&all()?, folder).iter().for_each(|server| server.signal(signal));
    eventually("the servers have stopped", || Ok(!are_in(folder)?))
}

/// Kills the servers in `folder` with all their processes, and waits until they are gone.
pub fn kill(folder: &Path) -> Result<()> {
    // A stopped server starts no further process while its processes are being counted.
    servers(&all()?, folder).iter().for_each(|server| server.signal(Signal::STOP));
    let all_now = all()?;
    let family = with_children(servers(&all_now, folder), &all_now);
    family.iter().for_each(|process| process.signal(Signal::KILL));
    eventually("the killed processes are gone", || {
        let living = all()?;
        Ok(!family.iter().any(|dead| living.iter().any(|process| process.pid == dead.pid)))
    })
}

fn all() -> Result<Vec<Process>> {
    let entries = fs::read_dir("/proc")?.flatten();
    Ok(entries.filter_map(|entry| Process::parse(&fs::read_to_string(entry.path().join("stat")).ok()?)).collect())
}

fn servers<'a>(all: &'a [Process], folder: &Path) -> Vec<&'a Process> {
    let is_server = |process: &&Process| PROGRAMS.contains(&process.program.as_str()) && process.names(folder);
    all.iter().filter(is_server).collect()
}

fn with_children<'a>(mut family: Vec<&'a Process>, all: &'a [Process]) -> Vec<&'a Process> {
    let mut next = 0;
    while let Some(parent) = family.get(next).map(|process| process.pid.as_raw_nonzero().get()) {
        family.extend(all.iter().filter(|process| process.parent == parent));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_parentheses_in_its_name() {
        let process = Process::parse("42 (a (b) c) S 7 42 42 0 -1").expect("a line of /proc");
        assert_eq!((process.pid.to_string().as_str(), process.program.as_str(), process.parent), ("42", "a (b) c", 7));
    }

    #[test]
    fn a_process_that_only_waits_to_be_noticed_is_gone() {
        assert!(Process::parse("42 (postgres) Z 7 42 42 0 -1").is_none());
    }

    #[test]
    fn a_family_is_found_to_the_last_child() {
        let stats = ["1 (init) S 0", "5 (postgres) S 1", "6 (postgres) S 5", "7 (sh) S 6", "8 (sh) S 1"];
        let all: Vec<_> = stats.into_iter().filter_map(Process::parse).collect();
        let family = with_children(vec![&all[1]], &all);
        let pids: Vec<_> = family.iter().map(|process| process.pid.to_string()).collect();
        assert_eq!(pids, ["5", "6", "7"]);
    }

    #[test]
    fn nobody_runs_a_server_in_an_empty_folder() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(!are_in(folder.path())?);
        kill(folder.path())
    }
}
