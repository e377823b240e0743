//! A RabbitMQ node that listens on the loopback only, with and without TLS, with a port mapper of its own.
//!
//! Erlang's port mapper, epmd, is by default one daemon per machine that outlives the node that started it. Here each
//! node has its own, which starts before it and ends with it, so that folders are independent.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use sysinfo::Signal;

use super::Server;
use super::account::Account;
use super::certificate::{certificate, certify, key};
use crate::process::{Child, eventually, output};

pub const SERVER: Server = Server {
    name: "RabbitMQ",
    folder: "rabbitmq",
    variable: "NADEURI_TEST_AMQP",
    url: |port| format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
    package: "rabbitmq-server",
    is_installed: || Path::new(PROGRAM).exists(),
    // One for AMQP, then one for Erlang's distribution, one for its port mapper and one for AMQP over TLS.
    ports: 4,
    start,
    stop: Signal::Term,
};

/// The URL over TLS of a node on this port.
pub fn url_over_tls(port: u16) -> String {
    format!("amqps://guest:guest@127.0.0.1:{}/%2f", port + 3)
}

/// The server itself. The program in the PATH is a wrapper that needs root.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

const EPMD: &str = "/usr/bin/epmd";

/// The limit of file handles for the server. Before version 4 it reserves three for each quorum queue, even if it is
/// idle, and accepts no more connections when all are reserved. The contexts have hundreds of queues, and every test
/// has its own, so the default limit of a shell is too small.
const HANDLES: u32 = 100_000;

/// The timeout for the first response on a connection.
const ANSWER: Duration = Duration::from_secs(1);

fn start(folder: &Path, port: u16) -> Result<()> {
    let account = Account("rabbitmq");
    fs::write(folder.join("enabled_plugins"), "[].")?;
    certify(folder)?;
    let (certificate, key) = (certificate(folder).display().to_string(), key(folder).display().to_string());
    // By default it refuses messages if less disk space is free than there is memory.
    let settings = format!(
        "disk_free_limit.absolute = 50MB\nlisteners.ssl.1 = 127.0.0.1:{}\nssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n",
        port + 3
    );
    fs::write(folder.join("rabbitmq.conf"), settings)?;
    let handles = format!("[{{rabbit, [{{file_handles_high_watermark, {HANDLES}}}]}}].\n");
    fs::write(folder.join("advanced.config"), handles)?;
    account.own(folder)?;
    start_epmd(&account, folder, port + 2)?;

    let mut node = account.command(folder, PROGRAM);
    node.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}"]);
    set_environment(&mut node, folder, port);
    let mut node = Child::spawn(&mut node, &folder.join("log"))?;
    let accepts_tls = || TcpStream::connect((Ipv4Addr::LOCALHOST, port + 3)).is_ok();
    eventually("RabbitMQ speaks AMQP", || node.ensure_running().map(|()| speaks_amqp(port) && accepts_tls()))?;
    node.detach();
    Ok(())
}

/// Imports definitions into a node that runs.
pub fn define(folder: &Path, port: u16, definitions: &Path) -> Result<()> {
    // A copy, because the user of the server can't read every folder.
    let copy = folder.join("definitions.json");
    fs::copy(definitions, &copy)?;
    let account = Account("rabbitmq");
    account.own(folder)?;
    let mut control = account.command(folder, CONTROL);
    control.arg("import_definitions").arg(copy);
    set_environment(&mut control, folder, port);
    output(&mut control).map(drop)
}

fn set_environment(node: &mut Command, folder: &Path, port: u16) {
    node.env("ERL_EPMD_PORT", (port + 2).to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // Nothing from /etc/rabbitmq.
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
        .env("RABBITMQ_NODENAME", format!("nadeuri{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", (port + 1).to_string())
        .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", folder.join("generated"))
        .env("RABBITMQ_PID_FILE", folder.join("pid"))
        .env("RABBITMQ_LOG_BASE", folder)
        // Logs to standard output, which goes to the log file.
        .env("RABBITMQ_LOGS", "-");
}

/// Starts the port mapper by a path inside the folder, so that its command line identifies it.
fn start_epmd(account: &Account, folder: &Path, port: u16) -> Result<()> {
    let epmd = folder.join("epmd");
    if !epmd.is_symlink() {
        symlink(EPMD, &epmd)?;
    }
    let mut command = account.command(folder, epmd);
    command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    Child::spawn(&mut command, &folder.join("epmd.log"))?.detach();
    eventually("epmd accepts connections", || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()))
}

/// Whether the server responds to the header of AMQP 0-9-1 with a method, which can only be `Connection.Start`.
fn speaks_amqp(port: u16) -> bool {
    const METHOD_FRAME: u8 = 1;
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(b"AMQP\0\0\x09\x01")?;
        let mut frame = [0];
        stream.read_exact(&mut frame)?;
        std::io::Result::Ok(frame == [METHOD_FRAME])
    };
    ask().unwrap_or(false)
}
