//! The flow of the product beside what others would build: the same durable steps on Restate, and the common way
//! (`bench/peers`), each alone on the machine, one after the other.
//!
//! The product does more in a flow: other contexts keep its history and send messages to the customer.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use launch::Server;
use tokio::time::Instant;

use crate::cost::servers::Servers;
use crate::flow;
use crate::product::{Product, Store, cpu_of};
use crate::raw;
use crate::report::Table;

const CLIENTS: [u64; 3] = [1, 16, 64];
/// The deadline of a peer's start.
const DEADLINE: Duration = Duration::from_secs(60);
/// The hours that a measurement has for itself.
const HOURS: u64 = 1_000;

/// The programs of the peers.
pub struct Programs<'a> {
    /// `bench/peers`, built.
    pub peers: &'a Path,
    /// The server of Restate.
    pub restate: &'a Path,
}

/// What was measured with a number of clients.
struct Results {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_ms: f64,
}

/// Measures all three.
pub async fn measure(
    binary: &Path,
    programs: &Programs<'_>,
    postgres: &str,
    amqp: &str,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    let ours = product(binary, postgres, amqp, each).await?;
    let common = common(programs, postgres, amqp, each).await?;
    let restate = restate(programs, each).await?;
    for (name, theirs) in [("the common way", common), ("Restate", restate)] {
        for ((clients, ours), theirs) in CLIENTS.iter().zip(&ours).zip(&theirs) {
            let mut row = |what: &str, ours: f64, theirs: f64, unit: &str| {
                let what = format!("reserve, pay, see it: {what}, {clients} clients, to {name}");
                table.ratio(&what, &[format!("{ours:.1}{unit}"), format!("{theirs:.1}{unit}")], ours / theirs, None);
            };
            row("flows", ours.per_second, theirs.per_second, "/s");
            row("p50", ours.p50_ms, theirs.p50_ms, " ms");
            row("p99", ours.p99_ms, theirs.p99_ms, " ms");
            row("CPU of a flow with all servers", ours.cpu_ms, theirs.cpu_ms, " ms");
        }
    }
    Ok(())
}

async fn product(binary: &Path, postgres: &str, amqp: &str, each: Duration) -> anyhow::Result<Vec<Results>> {
    let product = Product::start(binary, &Store::Postgres(postgres), amqp).await?;
    let servers = Servers::find(postgres, amqp, product.name()).await?;
    let flows = flow::Flows::prepare(&product).await?;
    let mut results = Vec::new();
    for clients in CLIENTS {
        let used = || anyhow::Ok(product.cpu()? + servers.cpu()?);
        let (before, first) = (used()?, flows.count());
        let measured = flows.run(&product, usize::try_from(clients)?, each).await?;
        let count = flows.count() - first;
        results.push(Results {
            per_second: measured.per_second(),
            p50_ms: measured.millis(0.5),
            p99_ms: measured.millis(0.99),
            cpu_ms: (used()? - before).as_secs_f64() * 1_000.0 / count as f64,
        });
    }
    product.stop().await?;
    Ok(results)
}

async fn common(programs: &Programs<'_>, postgres: &str, amqp: &str, each: Duration) -> anyhow::Result<Vec<Results>> {
    let name = format!("peers{}", uuid::Uuid::now_v7().simple());
    raw::create_database(postgres, &name).await?;
    let database = format!("{postgres}{name}");
    let mut serve = Command::new(programs.peers);
    serve.args(["serve", "common", "--postgres", &database, "--amqp", amqp]);
    let peer = Peer::start("common", &mut serve).await?;
    let servers = Servers::find(postgres, amqp, &name).await?;
    let url = peer.address.clone();
    load(programs, "common", &url, each, || Ok(cpu_of(peer.server.id())? + servers.cpu()?)).await
}

async fn restate(programs: &Programs<'_>, each: Duration) -> anyhow::Result<Vec<Results>> {
    let handlers = Peer::start("restate", Command::new(programs.peers).args(["serve", "restate"])).await?;
    let folder = std::env::temp_dir().join(format!("restate{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(&folder)?;
    let (ingress, admin, fabric) = (free_port()?, free_port()?, free_port()?);
    let mut serve = Command::new(programs.restate);
    serve.args(["--no-logo", "--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--base-dir"]).arg(&folder);
    serve.args(["--bind-port", &fabric.to_string()]).env("RESTATE_DISABLE_TELEMETRY", "true");
    serve.env("RESTATE_INGRESS__BIND_PORT", ingress.to_string());
    serve.env("RESTATE_ADMIN__BIND_PORT", admin.to_string());
    let server = Server::spawn(&mut serve, &folder.join("log"))?;
    let url = format!("http://127.0.0.1:{ingress}");
    let mut register = tokio::process::Command::new(programs.peers);
    register.args(["register", "--admin", &format!("http://127.0.0.1:{admin}"), "--handlers", &handlers.address]);
    let registered = tokio::time::timeout(DEADLINE, register.status()).await;
    let is_registered = registered.is_ok_and(|status| status.is_ok_and(|status| status.success()));
    anyhow::ensure!(is_registered, "Restate does not know the handlers; it said:\n{}", server.output());
    let used = || Ok(cpu_of(handlers.server.id())? + cpu_of(server.id())?);
    let results = load(programs, "restate", &url, each, used).await?;
    drop(server);
    std::fs::remove_dir_all(&folder)?;
    Ok(results)
}

/// Runs the peer's own clients.
async fn load(
    programs: &Programs<'_>,
    peer: &str,
    url: &str,
    each: Duration,
    used: impl Fn() -> anyhow::Result<Duration>,
) -> anyhow::Result<Vec<Results>> {
    let mut results = Vec::new();
    for (round, clients) in (0..).zip(CLIENTS) {
        let before = used()?;
        let mut load = tokio::process::Command::new(programs.peers);
        let (seconds, first_hour) = (each.as_secs().to_string(), (HOURS * round).to_string());
        load.args(["load", peer, "--url", url, "--clients", &clients.to_string()]);
        let output = load.args(["--seconds", &seconds, "--first-hour", &first_hour]).output().await?;
        let cpu = used()? - before;
        let said = String::from_utf8(output.stdout)?;
        let numbers: Vec<f64> = said.split_whitespace().map_while(|number| number.parse().ok()).collect();
        let [per_second, p50_ms, p99_ms, count] = numbers[..] else {
            anyhow::bail!("{peer}, {clients} clients: {}", String::from_utf8_lossy(&output.stderr));
        };
        results.push(Results { per_second, p50_ms, p99_ms, cpu_ms: cpu.as_secs_f64() * 1_000.0 / count });
    }
    Ok(results)
}

/// A process of `bench/peers`.
struct Peer {
    server: Server,
    address: String,
}

impl Peer {
    async fn start(name: &str, command: &mut Command) -> anyhow::Result<Peer> {
        let log = std::env::temp_dir().join(format!("{name}{}.log", uuid::Uuid::now_v7().simple()));
        let mut server = Server::spawn(command, &log)?;
        let until = Instant::now() + DEADLINE;
        let address = loop {
            server.ensure_running()?;
            let said = server.output();
            if let Some(address) = said.lines().find(|line| line.starts_with("http://")) {
                break address.to_owned();
            }
            anyhow::ensure!(Instant::now() < until, "{name} does not start: {said}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        Ok(Peer { server, address })
    }
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
    Ok(listener.local_addr()?.port())
}
