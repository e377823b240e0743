//! PostgreSQL and RabbitMQ out of a folder of one's own: real servers that are as quick to throw away as a file.
//!
//! A folder holds a server's data, log and port, and nothing else of the system is touched, so any number of folders
//! run side by side. People keep one for local development; a fault test brings its own, so that the server it kills
//! is nobody else's.

mod account;
mod ports;
mod postgres;
mod processes;
mod rabbitmq;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::process::Signal;

use crate::debian;
use ports::Ports;

/// What can be done to the servers of a folder.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Start the servers and print their addresses; without a choice, both.
    ///
    /// The addresses are kept in FOLDER/env, and stay the same when the servers are started again.
    Up {
        /// Where the servers keep everything; created when missing.
        #[arg(long)]
        folder: PathBuf,
        /// Start PostgreSQL.
        #[arg(long)]
        postgres: bool,
        /// Start RabbitMQ.
        #[arg(long)]
        rabbitmq: bool,
    },
    /// Stop the servers; their data stay.
    Down {
        /// The folder given to `up`.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Kill a server with all its processes, as a crash of its machine would.
    Kill {
        /// The folder given to `up`.
        #[arg(long)]
        folder: PathBuf,
        /// The server to kill.
        kind: Kind,
    },
    /// Start a server again, on the same port and the same data.
    Start {
        /// The folder given to `up`.
        #[arg(long)]
        folder: PathBuf,
        /// The server to start.
        kind: Kind,
    },
}

/// Of the log of a server that did not start.
const LAST_LINES: usize = 30;

/// The servers that the contexts need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    /// Where state lives.
    Postgres,
    /// Where events travel.
    Rabbitmq,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Postgres, Self::Rabbitmq];

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::Rabbitmq => "RabbitMQ",
        }
    }

    /// The variable that tells tests where the server is.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "NADEURI_TEST_POSTGRES",
            Self::Rabbitmq => "NADEURI_TEST_AMQP",
        }
    }

    fn url(self, port: u16) -> String {
        match self {
            Self::Postgres => format!("postgres://postgres@127.0.0.1:{port}/"),
            Self::Rabbitmq => format!("amqp://guest:guest@127.0.0.1:{port}/%2f"),
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Rabbitmq => "rabbitmq-server",
        }
    }

    fn is_installed(self) -> bool {
        match self {
            Self::Postgres => postgres::programs().is_some(),
            Self::Rabbitmq => Path::new(rabbitmq::PROGRAM).exists(),
        }
    }

    /// How many ports in a row the server needs.
    fn ports(self) -> u16 {
        match self {
            Self::Postgres => 1,
            Self::Rabbitmq => rabbitmq::PORTS,
        }
    }

    /// The signal on which the server finishes its work and ends, without waiting for clients to leave.
    fn stop_signal(self) -> Signal {
        match self {
            Self::Postgres => Signal::INT,
            Self::Rabbitmq => Signal::TERM,
        }
    }

    fn folder(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Postgres => "postgres",
            Self::Rabbitmq => "rabbitmq",
        })
    }
}

/// Does what a person or a fault test asked for.
pub fn run(command: &Command) -> Result<()> {
    match command {
        Command::Up { folder, postgres, rabbitmq } => {
            let kinds: &[Kind] = match (postgres, rabbitmq) {
                (true, false) => &[Kind::Postgres],
                (false, true) => &[Kind::Rabbitmq],
                _ => &Kind::ALL,
            };
            for (variable, url) in up(folder, kinds)? {
                println!("{variable}={url}");
            }
            Ok(())
        }
        Command::Down { folder } => {
            let folder = existing(folder)?;
            Kind::ALL.into_iter().try_for_each(|kind| processes::stop(&kind.folder(&folder), kind.stop_signal()))
        }
        Command::Kill { folder, kind } => processes::kill(&kind.folder(&existing(folder)?)),
        Command::Start { folder, kind } => {
            let folder = existing(folder)?;
            let port =
                Ports::read(&folder)?.get(*kind).with_context(|| format!("`up` never started {} here", kind.name()))?;
            start(&folder, *kind, port)
        }
    }
}

/// Starts both servers of `folder`; returns the variables that tell where they are.
pub fn up_all(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    up(folder, &Kind::ALL)
}

/// The first of so many ports in a row on which nobody listens.
pub fn free_ports(in_a_row: u16) -> Result<u16> {
    ports::free(in_a_row)
}

/// Kills every server whose folder is `folder` or lies somewhere beneath it.
pub fn kill(folder: &Path) -> Result<()> {
    processes::kill(&existing(folder)?)
}

/// Starts a PostgreSQL in `folder`; returns the variables that tell where it is.
pub fn up_postgres(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    up(folder, &[Kind::Postgres])
}

fn up(folder: &Path, kinds: &[Kind]) -> Result<Vec<(&'static str, String)>> {
    let missing: Vec<_> = kinds.iter().filter(|kind| !kind.is_installed()).map(|kind| kind.package()).collect();
    if !missing.is_empty() {
        debian::install(&missing)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let folder = existing(folder)?;
    // The servers' own users have to reach what is inside; a temporary folder is closed to them at first.
    fs::set_permissions(&folder, Permissions::from_mode(0o755))?;

    let mut ports = Ports::read(&folder)?;
    for kind in kinds {
        let port = ports.get_or_choose(*kind)?;
        ports.write(&folder)?;
        start(&folder, *kind, port)?;
    }
    let mut variables = ports.variables();
    if kinds.contains(&Kind::Postgres) {
        let certificate = postgres::certificate(&Kind::Postgres.folder(&folder));
        variables.push(("NADEURI_TEST_POSTGRES_CA", certificate.display().to_string()));
    }
    Ok(variables)
}

fn start(folder: &Path, kind: Kind, port: u16) -> Result<()> {
    let folder = kind.folder(folder);
    if processes::are_in(&folder)? {
        return Ok(());
    }
    eprintln!("xtask: starting {} on port {port}", kind.name());
    let started = match kind {
        Kind::Postgres => postgres::start(&folder, port),
        Kind::Rabbitmq => rabbitmq::start(&folder, port),
    };
    started.inspect_err(|_| {
        // A server that is half there would be in the way of the next attempt.
        if let Err(error) = processes::kill(&folder) {
            eprintln!("xtask: {error:#}");
        }
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        last.iter().rev().for_each(|line| eprintln!("{line}"));
    })
}

/// The full path of a folder, as it stands in the command lines of the servers.
fn existing(folder: &Path) -> Result<PathBuf> {
    fs::canonicalize(folder).with_context(|| format!("cannot open {}", folder.display()))
}
