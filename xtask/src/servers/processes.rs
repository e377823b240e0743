//! Finds the processes of the servers of a folder, and ends them.
//!
//! A server is identified by its command line, which has a path in its folder. Unlike the id in a pid file, it can't
//! belong to another process after a crash. It also finds servers that tests have started in subfolders.

use std::path::Path;

use anyhow::Result;
use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, Signal, System, UpdateKind};

use crate::process::eventually_ended;

/// The names of the server programs, so that an editor with a file of the folder is not killed.
const PROGRAMS: [&str; 3] = ["postgres", "beam.smp", "epmd"];

/// Whether a server runs in `folder`.
pub fn are_in(folder: &Path) -> Result<bool> {
    Ok(servers(&all()?, folder).next().is_some())
}

/// Sends the signal to the servers in `folder`, and waits until they have ended.
pub fn stop(folder: &Path, signal: Signal) -> Result<()> {
    send(servers(&all()?, folder), signal);
    eventually_ended("the servers have stopped", || Ok(!are_in(folder)?))
}

/// Kills the servers in `folder` with all their processes, and waits until they have ended.
pub fn kill(folder: &Path) -> Result<()> {
    // A stopped server (SIGSTOP) can't start further processes while they are collected.
    send(servers(&all()?, folder), Signal::Stop);
    let system = all()?;
    let parents: Vec<(Pid, Option<Pid>)> = living(&system).map(|process| (process.pid(), process.parent())).collect();
    let family = with_children(servers(&system, folder).map(Process::pid).collect(), &parents);
    send(family.iter().filter_map(|pid| system.process(*pid)), Signal::Kill);
    eventually_ended("the killed processes are gone", || {
        Ok(!living(&all()?).any(|process| family.contains(&process.pid())))
    })
}

fn send<'a>(processes: impl Iterator<Item = &'a Process>, signal: Signal) {
    for process in processes {
        // It fails if the process has already ended, which is fine.
        let _ = process.kill_with(signal);
    }
}

fn all() -> Result<System> {
    let mut system = System::new()?;
    let what = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    Ok(system)
}

/// All processes except zombies.
fn living(system: &System) -> impl Iterator<Item = &Process> {
    system.processes().values().filter(|process| process.status() != ProcessStatus::Zombie)
}

fn servers<'a>(system: &'a System, folder: &'a Path) -> impl Iterator<Item = &'a Process> {
    living(system).filter(move |process| {
        let is_server = process.name().to_str().is_some_and(|name| PROGRAMS.contains(&name));
        is_server && process.cmd().iter().any(|argument| Path::new(argument).starts_with(folder))
    })
}

/// Processes with all their descendants, given the parent of each process.
fn with_children(mut family: Vec<Pid>, parents: &[(Pid, Option<Pid>)]) -> Vec<Pid> {
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, its)| *its == Some(parent)).map(|(pid, _)| pid));
        next += 1;
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_descendants_are_found() {
        let parents = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 1)].map(|(pid, its)| (Pid::from(pid), Some(Pid::from(its))));
        assert_eq!(with_children(vec![Pid::from(5)], &parents), [5, 6, 7].map(Pid::from));
    }

    #[test]
    fn an_empty_folder_has_no_servers() -> Result<()> {
        let folder = tempfile::tempdir()?;
        assert!(!are_in(folder.path())?);
        kill(folder.path())
    }
}
