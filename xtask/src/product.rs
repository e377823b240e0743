//! The product itself as a throw-away server: on a free port, with a folder of its own, gone when the run is over.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use crate::process::{cargo, ensure_uninterrupted, eventually, root, run, target};

/// What the line ends with by which the server says that it is there.
const LISTENING: &str = " on 127.0.0.1:";

/// The program: the one that is named, or what is built now.
pub fn program(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        let found = fs::canonicalize(named);
        return found.with_context(|| format!("there is no program {}", named.display()));
    }
    run(cargo().args(["build", "--quiet", "--package", "nadeuri"]))?;
    Ok(target().join("debug/nadeuri"))
}

/// A server that is running.
pub struct Server {
    child: Child,
    _folder: TempDir,
    /// Where it listens, such as `127.0.0.1:40123`.
    pub address: String,
}

impl Server {
    /// Starts every context, with further arguments for `nadeuri serve`; returns when it listens.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Server> {
        let folder =
            tempfile::Builder::new().prefix("nadeuri-").tempdir().context("cannot create a temporary folder")?;
        let log = folder.path().join("log");
        let mut serve = Command::new(program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data")).args(arguments);
        serve.current_dir(root()).process_group(0).stdin(Stdio::null());
        let child = serve.stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?).spawn();
        let child = child.with_context(|| format!("cannot run {}", program.display()))?;
        let mut server = Server { child, _folder: folder, address: String::new() };
        eventually("the server listens", || {
            ensure_uninterrupted()?;
            let said = fs::read_to_string(&log)?;
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}; it said:\n{said}");
            }
            let port = said.lines().find_map(|line| Some(line.split_once(LISTENING)?.1.to_owned()));
            server.address = port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default();
            Ok(!server.address.is_empty())
        })?;
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing that it holds is worth a slow end.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}
