//! The product as a temporary server: on a free port, with a temporary folder.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::{cargo, command, ensure_uninterrupted, eventually, run, target};

/// The named binary, or a new build.
pub fn program(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        let found = fs::canonicalize(named);
        return found.with_context(|| format!("there is no program {}", named.display()));
    }
    run(cargo().args(["build", "--quiet", "--package", "nadeuri"]))?;
    Ok(target().join("debug/nadeuri"))
}

/// A running server.
pub struct Server {
    _server: launch::Server,
    _folder: TempDir,
    /// Its address, such as `127.0.0.1:40123`.
    pub address: SocketAddr,
}

impl Server {
    /// Starts all contexts with further arguments for `nadeuri serve`, and waits until the server listens.
    pub fn start(program: &Path, arguments: &[&str]) -> Result<Server> {
        let folder =
            tempfile::Builder::new().prefix("nadeuri-").tempdir().context("cannot create a temporary folder")?;
        let mut serve = command(program);
        serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path().join("data")).args(arguments);
        let mut server = launch::Server::spawn(&mut serve, &folder.path().join("log"))?;
        let mut address = None;
        eventually("the server listens", || {
            ensure_uninterrupted()?;
            address = server.address()?;
            Ok(address.is_some())
        })?;
        Ok(Server { _server: server, _folder: folder, address: address.context("it listens")? })
    }
}
