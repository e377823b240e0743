//! RabbitMQ nodes that listen on the loopback only, with and without TLS, with a port mapper of their own.
//!
//! Erlang's port mapper, epmd, is by default one daemon per machine that outlives the node that started it. Here each
//! server has its own, which starts before its nodes and outlives them, so that folders are independent. Nodes find each
//! other by it, and are a cluster by the first start of each.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sysinfo::Signal;

use super::Server;
use super::account::Account;
use super::certificate::{certificate, certify, key};
use super::node::{Node, Nodes};
use crate::process::{Child, eventually, output};

pub const SERVER: Server = Server {
    name: "RabbitMQ",
    folder: "rabbitmq",
    variable: "NADEURI_TEST_AMQP",
    url: |nodes| format!("amqp://guest:guest@{}/%2f", nodes.addresses(0)),
    package: "rabbitmq-server",
    is_installed: || Path::new(PROGRAM).exists(),
    // One for AMQP, then one for Erlang's distribution, one for its port mapper and one for AMQP over TLS.
    ports: 4,
    start,
    stop: Signal::Term,
};

/// The URL over TLS.
pub fn url_over_tls(nodes: &Nodes) -> String {
    format!("amqps://guest:guest@{}/%2f", nodes.addresses(TLS))
}

/// The port of AMQP over TLS, from the first port of a node.
const TLS: u16 = 3;

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

const ACCOUNT: Account = Account("rabbitmq");

fn start(node: &Node) -> Result<()> {
    let (folder, shared, port) = (node.folder(), &node.all.folder, node.port());
    fs::write(folder.join("enabled_plugins"), "[].")?;
    certify(shared)?;
    let (certificate, key) = (certificate(shared).display().to_string(), key(shared).display().to_string());
    // By default it refuses messages if less disk space is free than there is memory.
    let mut settings = format!(
        "disk_free_limit.absolute = 50MB\nlisteners.ssl.1 = 127.0.0.1:{}\nssl_options.certfile = {certificate}\n\
         ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n",
        port + TLS
    );
    if node.number > 1 {
        // At its first start it joins the cluster of the first node, which runs.
        let (first, own) = (name(&node.first()), name(node));
        settings += "cluster_formation.peer_discovery_backend = classic_config\n";
        settings += &format!("cluster_formation.classic_config.nodes.1 = {first}\n");
        settings += &format!("cluster_formation.classic_config.nodes.2 = {own}\n");
    }
    fs::write(folder.join("rabbitmq.conf"), settings)?;
    let handles = format!("[{{rabbit, [{{file_handles_high_watermark, {HANDLES}}}]}}].\n");
    fs::write(folder.join("advanced.config"), handles)?;
    ACCOUNT.own(shared)?;
    start_epmd(&node.all)?;

    let mut command = ACCOUNT.command(shared, PROGRAM);
    // Erlang ignores the flag `-folder`: the node is found by it.
    command.args(["-kernel", "inet_dist_use_interface", "{127,0,0,1}", "-folder"]).arg(&folder);
    set_environment(&mut command, node);
    let mut process = Child::spawn(&mut command, &folder.join("log"))?;
    let accepts_tls = || TcpStream::connect((Ipv4Addr::LOCALHOST, port + TLS)).is_ok();
    eventually("RabbitMQ speaks AMQP", || process.ensure_running().map(|()| speaks_amqp(port) && accepts_tls()))?;
    process.detach();
    Ok(())
}

/// Imports definitions into a node that runs.
pub fn define(node: &Node, definitions: &Path) -> Result<()> {
    // A copy, because the user of the server can't read every folder.
    let copy = node.folder().join("definitions.json");
    fs::copy(definitions, &copy)?;
    ACCOUNT.own(&node.folder())?;
    control(node, |control| control.arg("import_definitions").arg(copy)).map(drop)
}

/// How many quorum queues each node leads, for those that lead some.
pub fn leaders(nodes: &Nodes) -> Result<BTreeMap<u16, usize>> {
    let mut leaders = BTreeMap::new();
    let running = nodes.all().find(|node| speaks_amqp(node.port())).context("no node of RabbitMQ runs here")?;
    let listed = control(&running, |control| control.args(["list_queues", "--quiet", "--no-table-headers", "leader"]))?;
    for line in listed.lines() {
        let leader = nodes.all().find(|node| name(node) == line.trim());
        leader.into_iter().for_each(|node| *leaders.entry(node.number).or_default() += 1);
    }
    Ok(leaders)
}

/// The output of `rabbitmqctl` for a node.
fn control(node: &Node, arguments: impl FnOnce(&mut Command) -> &mut Command) -> Result<String> {
    let mut control = ACCOUNT.command(&node.all.folder, CONTROL);
    set_environment(&mut control, node);
    output(arguments(&mut control))
}

fn name(node: &Node) -> String {
    format!("nadeuri{}@localhost", node.port())
}

fn set_environment(command: &mut Command, node: &Node) {
    let (folder, port) = (node.folder(), node.port());
    command
        .env("ERL_EPMD_PORT", epmd_port(&node.all).to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        // Nothing from /etc/rabbitmq.
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", folder.join("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", folder.join("enabled_plugins"))
        .env("RABBITMQ_NODENAME", name(node))
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

fn epmd_port(nodes: &Nodes) -> u16 {
    nodes.port + 2
}

/// Starts the port mapper, unless it runs, by a path inside the folder, so that its command line identifies it.
fn start_epmd(nodes: &Nodes) -> Result<()> {
    let (folder, port) = (&nodes.folder, epmd_port(nodes));
    let accepts = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
    if accepts() {
        return Ok(());
    }
    let epmd = folder.join("epmd");
    if !epmd.is_symlink() {
        symlink(EPMD, &epmd)?;
    }
    let mut command = ACCOUNT.command(folder, epmd);
    command.args(["-port", &port.to_string(), "-address", "127.0.0.1"]);
    Child::spawn(&mut command, &folder.join("epmd.log"))?.detach();
    eventually("epmd accepts connections", || Ok(accepts()))
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
