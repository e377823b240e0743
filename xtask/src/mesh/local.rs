//! The product as one process per context behind one Envoy, with the rules of mesh/istio.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use launch::Server;
use rustix::process::Signal;

use super::envoy::Envoy;
use super::tools;
use crate::files::beneath;
use crate::process::{Child, answer, command, eventually, root};
use crate::servers::{self, Kind, TemporaryServers, Variables, ports};

/// The servers and folders that the product needs.
pub struct Backing {
    /// The store of the contexts, with one schema each.
    pub store: String,
    /// The URL of RabbitMQ.
    pub bus: String,
    /// The folder of the logs and of the key that all processes trust.
    pub folder: PathBuf,
    _temporary: TemporaryServers,
}

impl Backing {
    /// Uses the named servers, and starts temporary ones in place of missing ones.
    pub fn new(store: Option<String>, bus: Option<String>) -> Result<Backing> {
        let temporary = TemporaryServers::new()?;
        let folder = temporary.path().to_owned();
        let needs_servers = store.is_none() || bus.is_none();
        let servers = if needs_servers { servers::up(&folder, &Kind::ALL)? } else { Variables::new() };
        let url = |kind: Kind| servers.get(kind.variable()).cloned().unwrap_or_default();
        let store = store.unwrap_or_else(|| format!("{}nadeuri?schema={{context}}", url(Kind::Postgres)));
        let bus = bus.unwrap_or_else(|| url(Kind::Rabbitmq));
        Ok(Backing { store, bus, folder, _temporary: temporary })
    }
}

/// One replica of a context.
pub struct Replica {
    context: String,
    /// Where it listens.
    pub address: SocketAddr,
    arguments: Vec<String>,
    server: Option<Server>,
}

/// The product behind a gateway.
pub struct Mesh {
    /// The binary of the product.
    pub product: PathBuf,
    /// The address of the gateway.
    pub gateway: SocketAddr,
    /// The Envoy of the gateway.
    pub envoy: Option<Envoy>,
    control: Option<Child>,
    replicas: BTreeMap<String, Vec<Replica>>,
    ports: Range<u16>,
    backing: Backing,
}

/// The number of reserved ports: one per process, and a few for Envoy and its control plane for each set of rules.
const PORTS: u16 = 100;

/// The key that the processes sign with, and that tokens are made with.
const KEY: &str = "key/dev-key.pem";
const JWKS: &str = "key/dev-jwks.json";
/// The key that seals the codes of vouchers.
const SEALING: &str = "sealing-keys";

impl Mesh {
    /// Starts this many replicas of each context, and waits until they serve. It does not start Envoy.
    pub fn start(
        product: PathBuf,
        backing: Backing,
        gateway: Option<SocketAddr>,
        counts: &[(String, usize)],
    ) -> Result<Mesh> {
        let first = ports::free(PORTS)?;
        let (replicas, ports) = (BTreeMap::new(), first + 1..first + PORTS);
        let gateway = gateway.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, first).into());
        let mut mesh = Mesh { product, gateway, envoy: None, control: None, replicas, ports, backing };
        std::fs::write(mesh.backing.folder.join(SEALING), "07".repeat(32))?;
        // The first token creates the key.
        mesh.token("nobody", &[])?;
        for (context, count) in counts {
            for _ in 0..*count {
                let address = mesh.port()?;
                let replica = mesh.replica(context, address);
                mesh.replicas.entry(context.clone()).or_default().push(replica);
            }
        }
        // Contexts call each other without the mesh, because there are no sidecars here.
        let first =
            |(context, all): (&String, &Vec<Replica>)| Some(format!("{context}=http://{}", all.first()?.address));
        // Contexts that are not started are unreachable.
        let away = "http://127.0.0.1:1".to_owned();
        let peers = mesh.replicas.iter().filter_map(first).chain([away]).collect::<Vec<_>>().join(" ");
        for replica in mesh.replicas.values_mut().flatten() {
            replica.arguments.extend(["--peers".to_owned(), peers.clone()]);
        }
        let all = || counts.iter().flat_map(|(context, count)| (0..*count).map(move |index| (context, index)));
        all().try_for_each(|(context, index)| mesh.spawn(context, index))?;
        all().try_for_each(|(context, index)| mesh.wait(context, index))?;
        Ok(mesh)
    }

    /// The next reserved port.
    fn port(&mut self) -> Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, self.ports.next().context("the reserved ports are used up")?).into())
    }

    fn replica(&self, context: &str, address: SocketAddr) -> Replica {
        let key = self.backing.folder.join(KEY).display().to_string();
        let Backing { store, bus, .. } = &self.backing;
        let arguments = ["serve", context, "--store", store, "--bus", bus, "--auth", "own", "--identity", &key];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.extend(["--sealing-keys".to_owned(), self.backing.folder.join(SEALING).display().to_string()]);
        arguments.extend(["--listen".to_owned(), address.to_string(), "--workers".to_owned(), "2".to_owned()]);
        // All load comes from a few callers.
        arguments.extend(["--rate".to_owned(), "0".to_owned()]);
        Replica { context: context.to_owned(), address, arguments, server: None }
    }

    /// Restarts a replica with another store, and returns the previous one.
    pub fn move_store(&mut self, context: &str, index: usize, store: &str) -> Result<String> {
        let replica = self.at(context, index)?;
        let place = replica.arguments.iter().position(|argument| argument == "--store").context("it has a store")?;
        let before = std::mem::replace(&mut replica.arguments[place + 1], store.to_owned());
        self.signal(context, index, Signal::KILL)?;
        self.spawn(context, index)?;
        self.wait(context, index)?;
        Ok(before)
    }

    fn at(&mut self, context: &str, index: usize) -> Result<&mut Replica> {
        self.replicas.get_mut(context).and_then(|all| all.get_mut(index)).context("there is such a replica")
    }

    /// Where a replica listens.
    pub fn address(&self, context: &str, index: usize) -> SocketAddr {
        self.replicas[context][index].address
    }

    /// Starts a replica that does not run.
    pub fn spawn(&mut self, context: &str, index: usize) -> Result<()> {
        let (product, folder) = (self.product.clone(), self.backing.folder.clone());
        let replica = self.at(context, index)?;
        let mut command = Command::new(product);
        command.args(&replica.arguments).env("RUST_LOG", "error").current_dir(&folder);
        let log = folder.join(format!("{}-{index}.log", replica.context));
        replica.server = Some(Server::spawn(&mut command, &log)?);
        Ok(())
    }

    /// Waits until a replica serves.
    pub fn wait(&mut self, context: &str, index: usize) -> Result<()> {
        let product = self.product.clone();
        let replica = self.at(context, index)?;
        let server = format!("http://{}", replica.address);
        eventually(&format!("{context} serves"), || {
            replica.server.as_mut().map_or(Ok(()), Server::ensure_running)?;
            Ok(answer(Command::new(&product).args(["health", context, "--server", &server])).is_some())
        })
    }

    /// Sends a signal to a replica. After `KILL` it has ended.
    pub fn signal(&mut self, context: &str, index: usize, signal: Signal) -> Result<()> {
        let replica = self.at(context, index)?;
        replica.server.as_ref().context("it runs")?.signal(signal)?;
        if signal == Signal::KILL {
            replica.server = None;
        }
        Ok(())
    }

    /// A token for `subject`, made with the key that the processes trust.
    pub fn token(&self, subject: &str, roles: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.product);
        command.args(["token", "--subject", subject, "--data"]).arg(self.backing.folder.join("key"));
        command.args(roles.iter().flat_map(|role| ["--role", role]));
        answer(&mut command).context("`nadeuri token` makes no token")
    }

    /// The folder of the processes' files.
    pub fn folder(&self) -> &Path {
        &self.backing.folder
    }

    /// The key that tokens are made with.
    pub fn key(&self) -> PathBuf {
        self.backing.folder.join(KEY)
    }

    /// Restarts Envoy with the rules of mesh/istio, of which the files `overlays` replace some.
    pub fn apply(&mut self, overlays: &[PathBuf]) -> Result<()> {
        (self.envoy, self.control) = (None, None);
        let (ads, admin) = (self.port()?, self.port()?);
        let folder = self.backing.folder.clone();
        let mut control = Command::new(tools::control()?);
        control.args(["serve", "--ads", &ads.to_string(), "--gateway", &self.gateway.to_string(), "--jwks"]);
        control.arg(folder.join(JWKS));
        for replica in self.replicas.values().flatten() {
            control.args(["--context", &format!("{}={}", replica.context, replica.address)]);
        }
        control.args(rules()?).args(overlays);
        for filter in ["METADATA_EXCHANGE", "ALPN_FILTER", "TELEMETRY_LABEL"] {
            // Only Istio's build of Envoy has them.
            control.env(format!("PILOT_ENABLE_{filter}"), "false");
        }
        let log = folder.join(format!("control-{}.log", ads.port()));
        let mut control = Child::spawn(&mut control, &log)?;
        eventually("the control plane is ready", || {
            control.ensure_running()?;
            Ok(control.said().lines().any(|line| line == "ready"))
        })?;
        self.control = Some(control);
        let envoy = self.envoy.insert(Envoy::start(&tools::envoy()?, ads, admin, &folder)?);
        let (product, server) = (&self.product, format!("http://{}", self.gateway));
        eventually("the gateway serves", || {
            envoy.ensure_running()?;
            Ok(answer(Command::new(product).args(["health", "--server", &server])).is_some())
        })
    }

    /// The Envoy of the gateway.
    pub fn envoy(&self) -> Result<&Envoy> {
        self.envoy.as_ref().context("Envoy runs")
    }

    /// Fails if one of its processes ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        for replica in self.replicas.values_mut().flatten() {
            replica.server.as_mut().map_or(Ok(()), Server::ensure_running)?;
        }
        self.control.as_mut().map_or(Ok(()), Child::ensure_running)?;
        self.envoy.as_mut().map_or(Ok(()), Envoy::ensure_running)
    }
}

/// The files of mesh/istio.
pub fn rules() -> Result<Vec<PathBuf>> {
    let folder = fs::canonicalize(root().join("mesh/istio")).context("cannot open mesh/istio")?;
    let files: Vec<PathBuf> = beneath(&folder)?.into_iter().map(|file| folder.join(file)).collect();
    ensure!(!files.is_empty(), "mesh/istio is empty");
    Ok(files)
}

/// The names of all contexts.
pub fn contexts(product: &Path) -> Result<Vec<String>> {
    let list = answer(command(product).arg("list")).context("`nadeuri list` lists nothing")?;
    Ok(list.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}
