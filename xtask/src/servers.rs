//! PostgreSQL and RabbitMQ in a folder: real servers for development and tests.
//!
//! A folder holds the data, the log and the ports of a server. Nothing else of the system is changed, so servers of
//! several folders can run side by side. Developers keep one for local development. A fault test has its own, because
//! it kills the server.

mod account;
mod certificate;
mod node;
pub mod ports;
mod postgres;
mod processes;
mod rabbitmq;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use sysinfo::Signal;
use tempfile::TempDir;

use crate::debian;
use crate::process::tail;
use node::{Node, Nodes};

/// The operations on the servers of a folder.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Start the servers and print their addresses; both if none is chosen.
    ///
    /// The addresses are kept in FOLDER/env, and stay the same when the servers are started again.
    Up {
        #[command(flatten)]
        place: Place,
        /// Start PostgreSQL.
        #[arg(long)]
        postgres: bool,
        /// Start RabbitMQ.
        #[arg(long)]
        rabbitmq: bool,
        /// The nodes of each: a cluster of RabbitMQ; of PostgreSQL a primary and synchronous standbys.
        #[arg(long, default_value_t = 1)]
        nodes: u16,
    },
    /// Stop the servers; their data stay.
    Down(Place),
    /// Kill a server with all its processes, as a crash of its machine would.
    Kill(One),
    /// Start a server again, on the same ports and the same data.
    Start(One),
    /// Make a standby of PostgreSQL the primary. The old one must be dead, and stay so.
    Promote {
        #[command(flatten)]
        place: Place,
        /// The standby.
        #[arg(long, default_value_t = 2)]
        node: u16,
    },
    /// Print how many queues each node of RabbitMQ leads, as `NODE QUEUES`, for those that lead some.
    Leaders(Place),
    /// Import definitions, such as users and their permissions, into RabbitMQ.
    Define {
        #[command(flatten)]
        place: Place,
        /// The file, as `rabbitmqctl import_definitions` reads it.
        definitions: PathBuf,
    },
}

#[derive(clap::Args)]
pub struct Place {
    /// The folder of the servers' data, created by `up`.
    #[arg(long)]
    folder: PathBuf,
}

#[derive(clap::Args)]
pub struct One {
    #[command(flatten)]
    place: Place,
    /// The server.
    kind: Kind,
    /// Only this node of it; the first is 1.
    #[arg(long)]
    node: Option<u16>,
}

/// The kinds of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// PostgreSQL, for the state.
    Postgres,
    /// RabbitMQ, for the events.
    Rabbitmq,
}

/// How a kind of server is installed, started, found and stopped.
struct Server {
    name: &'static str,
    /// The name of its subfolder.
    folder: &'static str,
    /// The environment variable with its URL, for tests.
    variable: &'static str,
    url: fn(nodes: &Nodes) -> String,
    package: &'static str,
    is_installed: fn() -> bool,
    /// The number of consecutive ports that a node needs.
    ports: u16,
    /// Starts a node, and waits until it has recovered, has joined the others, and accepts connections.
    start: fn(node: &Node) -> Result<()>,
    /// The signal for a graceful shutdown that does not wait for clients to disconnect.
    stop: Signal,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::Rabbitmq];

    fn server(self) -> &'static Server {
        match self {
            Self::Postgres => &postgres::SERVER,
            Self::Rabbitmq => &rabbitmq::SERVER,
        }
    }

    /// The environment variable with its URL, for tests.
    pub fn variable(self) -> &'static str {
        self.server().variable
    }

    /// The server of `folder` that was started there before.
    fn nodes(self, folder: &Path) -> Result<Nodes> {
        let found = Nodes::find(&existing(folder)?, self);
        found.with_context(|| format!("`up` never started {} here", self.server().name))
    }
}

/// Runs an operation for a developer or a fault test.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up { place, postgres, rabbitmq, nodes } => {
            let kinds: &[Kind] = match (postgres, rabbitmq) {
                (true, false) => &[Kind::Postgres],
                (false, true) => &[Kind::Rabbitmq],
                _ => &Kind::ALL,
            };
            up_as(&place.folder, kinds, *nodes)?.iter().for_each(|(variable, value)| println!("{variable}={value}"));
            Ok(())
        }
        Command::Down(Place { folder }) => {
            let folder = existing(folder)?;
            Kind::ALL
                .into_iter()
                .map(Kind::server)
                .try_for_each(|server| processes::stop(&folder.join(server.folder), server.stop))
        }
        Command::Kill(One { place, kind, node: None }) => kill(&place.folder, *kind),
        Command::Kill(One { place, kind, node: Some(number) }) => {
            kill_running(&kind.nodes(&place.folder)?.node(*number)?.folder())
        }
        Command::Start(One { place, kind, node: None }) => start(&place.folder, *kind),
        Command::Start(One { place, kind, node: Some(number) }) => {
            start_node(*kind, &kind.nodes(&place.folder)?.node(*number)?)
        }
        Command::Promote { place, node } => postgres::promote(&Kind::Postgres.nodes(&place.folder)?.node(*node)?),
        Command::Leaders(Place { folder }) => {
            let leaders = rabbitmq::leaders(&Kind::Rabbitmq.nodes(folder)?)?;
            leaders.iter().for_each(|(node, queues)| println!("{node} {queues}"));
            Ok(())
        }
        Command::Define { place, definitions } => {
            rabbitmq::define(&Kind::Rabbitmq.nodes(&place.folder)?.node(1)?, definitions)
        }
    }
}

/// Kills a server of `folder`.
pub fn kill(folder: &Path, kind: Kind) -> Result<()> {
    kill_running(&kind.nodes(folder)?.folder)
}

/// Kills what runs in a folder. It is an error if nothing does: a test would go on as if it had killed something.
fn kill_running(folder: &Path) -> Result<()> {
    ensure!(processes::are_in(folder)?, "nothing runs in {}", folder.display());
    processes::kill(folder)
}

/// Starts a server of `folder` that was started there before.
pub fn start(folder: &Path, kind: Kind) -> Result<()> {
    kind.nodes(folder)?.all().try_for_each(|node| start_node(kind, &node))
}

/// Environment variables with the URLs of servers.
pub type Variables = BTreeMap<&'static str, String>;

/// Starts servers in `folder`; returns the variables of all that were started there.
pub fn up(folder: &Path, kinds: &[Kind]) -> Result<Variables> {
    up_as(folder, kinds, 1)
}

/// Starts servers of so many nodes in `folder`; returns the variables of all that were started there.
fn up_as(folder: &Path, kinds: &[Kind], nodes: u16) -> Result<Variables> {
    let missing = kinds.iter().map(|kind| kind.server()).filter(|server| !(server.is_installed)());
    let missing: Vec<&str> = missing.map(|server| server.package).collect();
    if !missing.is_empty() {
        debian::install(&missing)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let folder = existing(folder)?;
    // The servers run as other users, who can't open a temporary folder by default.
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
    for kind in kinds {
        let nodes = Nodes::find_or_create(&folder, *kind, nodes)?;
        nodes.all().try_for_each(|node| start_node(*kind, &node))?;
    }
    let known = Kind::ALL.into_iter().filter_map(|kind| Some((kind.server(), Nodes::find(&folder, kind)?)));
    let mut variables: Variables = known.map(|(server, nodes)| (server.variable, (server.url)(&nodes))).collect();
    if let Some(nodes) = Nodes::find(&folder, Kind::Postgres) {
        variables.insert("NADEURI_TEST_POSTGRES_CA", certificate::certificate(&nodes.folder).display().to_string());
    }
    if let Some(nodes) = Nodes::find(&folder, Kind::Rabbitmq) {
        variables.insert("NADEURI_TEST_AMQPS", rabbitmq::url_over_tls(&nodes));
        variables.insert("NADEURI_TEST_AMQPS_CA", certificate::certificate(&nodes.folder).display().to_string());
    }
    // A file for the environment of a shell or a container.
    let env: String = variables.iter().map(|(variable, value)| format!("{variable}={value}\n")).collect();
    fs::write(folder.join("env"), env).with_context(|| format!("cannot write {}/env", folder.display()))?;
    Ok(variables)
}

/// Starts a node, unless it runs.
fn start_node(kind: Kind, node: &Node) -> Result<()> {
    let (server, folder) = (kind.server(), node.folder());
    fs::create_dir_all(&folder)?;
    if processes::are_in(&folder)? {
        return Ok(());
    }
    eprintln!("xtask: starting {} on port {}", server.name, node.port());
    (server.start)(node).inspect_err(|_| {
        // A half-started server would block the next attempt.
        if let Err(error) = processes::kill(&folder) {
            eprintln!("xtask: {error:#}");
        }
        eprintln!("{}", tail(&folder.join("log")));
    })
}

/// The canonical path of a folder, as in the command lines of the servers.
fn existing(folder: &Path) -> Result<PathBuf> {
    fs::canonicalize(folder).with_context(|| format!("cannot open {}", folder.display()))
}

/// A temporary folder that stops all servers in it and beneath it when it is dropped.
pub struct TemporaryServers(TempDir);

impl TemporaryServers {
    /// Creates an empty folder.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("nadeuri-").tempdir();
        Ok(Self(folder.context("cannot create a temporary folder")?))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for TemporaryServers {
    fn drop(&mut self) {
        if let Err(error) = existing(self.path()).and_then(|folder| processes::kill(&folder)) {
            eprintln!("xtask: servers may be left in {}: {error:#}", self.path().display());
        }
    }
}
