//! The product as a child process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use launch::Server;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

/// The store of the product.
pub enum Store<'a> {
    /// A new database on this PostgreSQL server.
    Postgres(&'a str),
    /// SQLite files in a temporary folder.
    Sqlite,
}

/// A running process of the product.
pub struct Product {
    /// Its address.
    pub address: String,
    /// The time from its start until it was ready.
    pub ready_after: Duration,
    server: Server,
    place: Place,
}

/// The state that outlives a process.
#[derive(Clone)]
struct Place {
    binary: PathBuf,
    name: String,
    folder: PathBuf,
    store: Option<String>,
}

impl Product {
    /// Starts all contexts in one process.
    pub async fn start(binary: &Path, store: &Store<'_>, bus: &str) -> anyhow::Result<Product> {
        Place::new(binary, store).start(&["--bus", bus], "").await
    }

    /// Starts another process of all contexts on the same store and broker. It ends when it is dropped.
    pub async fn replica(&self, bus: &str) -> anyhow::Result<Product> {
        self.place.clone().start(&["--bus", bus], "").await
    }

    /// Starts one context that calls no other.
    pub async fn start_alone(binary: &Path, store: &Store<'_>, bus: &str, context: &str) -> anyhow::Result<Product> {
        Place::new(binary, store).start(&[context, "--bus", bus], "").await
    }

    /// Restarts with one context alone, on the same store and without a broker: its events stay in the outbox.
    pub async fn go_on_with(self, context: &str) -> anyhow::Result<Product> {
        const NOBODY: &str = "127.0.0.1:1";
        drop(self.server);
        let (bus, peers) = (format!("amqp://{NOBODY}"), format!("http://{NOBODY}"));
        self.place.start(&[context, "--bus", &bus, "--peers", &peers], &format!("{context}.store")).await
    }

    /// The name of its database and its queues.
    pub fn name(&self) -> &str {
        &self.place.name
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.server.id())
    }

    /// Stops it, waits for a change of its stores, whose URL that gets, and starts it again.
    pub async fn restart_after(self, change: impl AsyncFnOnce(&str) -> anyhow::Result<()>) -> anyhow::Result<Product> {
        drop(self.server);
        let local = || format!("sqlite:{}", self.place.folder.join("data/{context}.db").display());
        change(&self.place.store.clone().unwrap_or_else(local)).await?;
        self.place.start(&["--bus", "local"], "").await
    }

    /// Its resident memory, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.server.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(kibibytes * 1024)
    }

    /// Kills it. Its replicas go on.
    pub fn kill(self) {
        drop(self.server);
    }

    /// Stops it.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.server);
        Ok(std::fs::remove_dir_all(&self.place.folder)?)
    }
}

impl Place {
    fn new(binary: &Path, store: &Store<'_>) -> Place {
        let name = format!("bench{}", uuid::Uuid::now_v7().simple());
        let store = match store {
            Store::Postgres(server) => Some(format!("{server}{name}?schema={{context}}")),
            Store::Sqlite => None,
        };
        Place { binary: binary.to_owned(), folder: std::env::temp_dir().join(&name), name, store }
    }

    /// Starts a process and waits until its health check `part` passes.
    async fn start(self, arguments: &[&str], part: &str) -> anyhow::Result<Product> {
        let mut command = Command::new(&self.binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--bus-prefix", &self.name, "--data"]);
        command.arg(self.folder.join("data")).args(self.store.iter().flat_map(|store| ["--store", store]));
        command.args(arguments).args(["--log", "error"]);
        // By the environment, so that an older product can be measured too.
        command.env("NADEURI_SEALING_KEYS", self.folder.join("sealing-keys"));
        std::fs::create_dir_all(&self.folder)?;
        std::fs::write(self.folder.join("sealing-keys"), "07".repeat(32))?;
        let started = Instant::now();
        let mut server = Server::spawn(&mut command, &self.folder.join("log"))?;
        let address = format!("http://{}", server.ready(part).await?);
        Ok(Product { address, ready_after: started.elapsed(), server, place: self })
    }
}

/// The CPU time that a process has used, and those of its children that have ended.
pub fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    /// Linux counts in hundredths of a second here.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the program, in parentheses, is the second field; the times are the 14th to the 17th.
    let (_, fields) = stat.rsplit_once(") ").context("no name in the stat of a process")?;
    let ticks: Result<Vec<u32>, _> = fields.split(' ').skip(11).take(4).map(str::parse).collect();
    Ok(TICK * ticks?.iter().sum::<u32>())
}

/// A connection for clients.
pub async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.tcp_nodelay(true);
    let endpoint = endpoint.initial_stream_window_size(1 << 20).initial_connection_window_size(4 << 20);
    Ok(endpoint.connect().await?)
}
