//! A PostgreSQL that trusts all local users, with enough connections for many concurrent tests, with or without TLS.
//!
//! It syncs writes to the disk as in production, because tests kill it and check that no data are lost. Of several
//! nodes the first is the primary, and a commit waits until one of the others has it on its disk.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use sysinfo::Signal;

use super::Server;
use super::account::Account;
use super::certificate::{certificate, certify, key};
use super::node::Node;
use crate::process::{eventually, output, run};

pub const SERVER: Server = Server {
    name: "PostgreSQL",
    folder: "postgres",
    variable: "NADEURI_TEST_POSTGRES",
    url: |nodes| format!("postgres://postgres@{}/", nodes.addresses(0)),
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

/// The default database, for commands to the server.
const DATABASE: &str = "postgres";

const ACCOUNT: Account = Account("postgres");

fn start(node: &Node) -> Result<()> {
    let (folder, shared, programs) = (node.folder(), &node.all.folder, installed()?);
    certify(shared)?;
    ACCOUNT.own(shared)?;
    let data = folder.join("data");
    let is_new_standby = !data.exists() && node.number > 1;
    if is_new_standby {
        let mut copy = ACCOUNT.command(&folder, programs.join("pg_basebackup"));
        copy.args(server_of(&node.first())).args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]);
        run(copy.arg("--pgdata").arg(&data).stdout(Stdio::null()))?;
    } else if !data.exists() {
        let mut initdb = ACCOUNT.command(&folder, programs.join("initdb"));
        initdb.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]);
        run(initdb.args(["--no-instructions", "--no-sync", "--pgdata"]).arg(&data).stdout(Stdio::null()))?;
    }
    // No server runs here, but PostgreSQL would refuse to start if the killed process is still a zombie, or if another
    // process has its id.
    if data.join("postmaster.pid").exists() {
        fs::remove_file(data.join("postmaster.pid"))?;
    }
    // Only TCP: the path of a Unix socket is limited to 107 bytes, which is too short for some temporary folders.
    let (certificate, key, port) = (certificate(shared), key(shared), node.port());
    let options = format!(
        "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections={CONNECTIONS_MAX} \
         -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        certificate.display(),
        key.display()
    );
    let mut pg_ctl = pg_ctl(node, "start")?;
    pg_ctl.args(["--timeout=120", "--options", &options]).arg("--log").arg(folder.join("log"));
    run(pg_ctl.stdout(std::io::stderr()))?;
    if is_new_standby { wait_for_standbys(&node.first()) } else { Ok(()) }
}

/// Lets commits on the primary wait for a standby, from when one streams.
fn wait_for_standbys(primary: &Node) -> Result<()> {
    ask(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")?;
    ask(primary, "SELECT pg_reload_conf()")?;
    let standbys = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    eventually("the standby is synchronous", || Ok(ask(primary, standbys)? == "1"))
}

/// Makes a standby the primary, and waits until it accepts writes. It does not wait for standbys itself.
pub fn promote(standby: &Node) -> Result<()> {
    run(pg_ctl(standby, "promote")?.arg("--timeout=60"))
}

/// The answer of a node to a statement.
fn ask(node: &Node, statement: &str) -> Result<String> {
    let mut psql = ACCOUNT.command(&node.folder(), installed()?.join("psql"));
    psql.args(server_of(node)).args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", DATABASE]);
    Ok(output(psql.args(["--command", statement]))?.trim().to_owned())
}

fn pg_ctl(node: &Node, operation: &str) -> Result<Command> {
    let folder = node.folder();
    let mut pg_ctl = ACCOUNT.command(&folder, installed()?.join("pg_ctl"));
    pg_ctl.args([operation, "--silent", "--wait", "--pgdata"]).arg(folder.join("data"));
    Ok(pg_ctl)
}

/// The arguments of a client of a node.
fn server_of(node: &Node) -> [String; 3] {
    ["--host=127.0.0.1".to_owned(), format!("--port={}", node.port()), "--username=postgres".to_owned()]
}

fn installed() -> Result<PathBuf> {
    programs().context("PostgreSQL is not installed")
}
