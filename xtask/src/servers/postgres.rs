//! A PostgreSQL that trusts all local users, with enough connections for many concurrent tests, with or without TLS.
//!
//! It syncs writes to the disk as in production, because tests kill it and check that no data are lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use sysinfo::Signal;

use super::Server;
use super::account::Account;
use super::certificate::{certificate, certify, key};
use crate::process::run;

pub const SERVER: Server = Server {
    name: "PostgreSQL",
    folder: "postgres",
    variable: "NADEURI_TEST_POSTGRES",
    url: |port| format!("postgres://postgres@127.0.0.1:{port}/"),
    package: "postgresql",
    is_installed: || programs().is_some(),
    ports: 1,
    start,
    stop: Signal::Interrupt,
};

/// Debian's folder of the programs, with a subfolder per version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The connection limit: every test has its own pools, and many tests run at once.
const CONNECTIONS_MAX: u32 = 1_500;

/// The programs of the newest installed version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten().map(|version| version.path().join("bin"));
    let version = |programs: &PathBuf| programs.parent()?.file_name()?.to_str()?.parse::<u32>().ok();
    versions.filter(|programs| programs.join("initdb").exists()).max_by_key(version)
}

fn start(folder: &Path, port: u16) -> Result<()> {
    let programs = programs().context("PostgreSQL is not installed")?;
    let account = Account("postgres");
    certify(folder)?;
    account.own(folder)?;
    let data = folder.join("data");
    if !data.exists() {
        let mut initdb = account.command(folder, programs.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        run(initdb.args(["--no-instructions", "--no-sync", "--pgdata"]).arg(&data).stdout(Stdio::null()))?;
    }
    // No server runs here, but PostgreSQL would refuse to start if the killed process is still a zombie, or if another
    // process has its id.
    if data.join("postmaster.pid").exists() {
        fs::remove_file(data.join("postmaster.pid"))?;
    }
    // Only TCP: the path of a Unix socket is limited to 107 bytes, which is too short for some temporary folders.
    let (certificate, key) = (certificate(folder).display().to_string(), key(folder).display().to_string());
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections={CONNECTIONS_MAX} \
         -c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key}"
    );
    let mut pg_ctl = account.command(folder, programs.join("pg_ctl"));
    pg_ctl.args(["start", "--silent", "--wait", "--timeout=120", "--options", &options]);
    run(pg_ctl.arg("--pgdata").arg(&data).arg("--log").arg(folder.join("log")).stdout(std::io::stderr()))
}
