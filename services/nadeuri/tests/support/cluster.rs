//! A running product: all contexts in one process or each in its own, with a choice of stores and bus.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use chassis::bus::rabbit;
use chassis::db::Database;
use chassis::envelope::PARTITIONS;
use chassis::runtime::Runtime;
use lapin::options::{QueueDeclareOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use launch::{Server, Signal};
use tempfile::TempDir;

use super::authority::Authority;
use super::client::{Client, Places, Who, endpoint};
use super::eventually;
use super::identities::Identities;
use super::process::{free_address, nadeuri};
use super::stand_in::{Behaviour, StandIn};

/// The names of all contexts.
pub fn contexts() -> impl Iterator<Item = &'static str> {
    nadeuri::contexts::ALL.iter().map(|context| context.name)
}

/// The set-ups in which every journey runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// One process, with SQLite and the local bus.
    Embedded,
    /// One process, with PostgreSQL and RabbitMQ.
    OneProcess,
    /// One process per context, each with its own key, with PostgreSQL and RabbitMQ.
    PerContext,
}

/// The URLs of the temporary servers of `cargo xtask test`, or why there are none.
pub fn real_servers() -> Result<(String, String), &'static str> {
    let servers = (std::env::var("NADEURI_TEST_POSTGRES"), std::env::var("NADEURI_TEST_AMQP"));
    let (Ok(postgres), Ok(amqp)) = servers else { return Err("needs PostgreSQL and RabbitMQ: run `cargo xtask test`") };
    Ok((postgres, amqp))
}

/// The settings of what one customer may have unpaid.
const QUOTAS: [&str; 2] = ["rental.unpaid_reservations", "stay.unpaid_stays"];

/// A unique name.
fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The prefixes of empty queues that earlier clusters have left, to be reused.
///
/// They are reused, because hundreds of idle queues are a load. They are not deleted, because RabbitMQ 3 restarts the
/// dead-letter workers of deleted queues, and after too many restarts at once it stops all of them: then no such queue
/// can be declared any more.
static LEFT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Empties the queues of a stopped cluster. A queue without consumers has requeued all unacknowledged messages.
async fn empty_queues(broker: &str, prefix: &str) -> lapin::Result<()> {
    let first = rabbit::nodes(broker).unwrap().remove(0);
    let connection = Connection::connect_uri(first, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    for context in contexts() {
        let streams = (0..PARTITIONS).map(|partition| format!("{prefix}.{context}.{partition:02}"));
        for queue in streams.chain([format!("{prefix}.{context}.dead")]) {
            let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let is_left = async || {
                let found = channel.queue_declare(queue.as_str().into(), look, FieldTable::default()).await.unwrap();
                (found.consumer_count() == 0).then_some(())
            };
            eventually("no queue has a consumer", is_left).await;
            channel.queue_purge(queue.as_str().into(), QueuePurgeOptions::default()).await?;
        }
    }
    connection.close(200, "done".into()).await
}

/// Stops a server with SIGTERM, and waits until it has ended.
async fn stop(mut server: Server) -> ExitStatus {
    server.signal(Signal::TERM).unwrap();
    eventually("the server ends", async || server.ended().unwrap()).await
}

/// One process of a cluster.
struct Node {
    contexts: Vec<&'static str>,
    address: SocketAddr,
    server: Option<Server>,
}

impl Node {
    fn new(contexts: &[&'static str]) -> Node {
        Node { contexts: contexts.to_vec(), address: free_address(), server: None }
    }
}

/// A running product of one or more processes.
pub struct Cluster {
    name: String,
    folder: TempDir,
    /// The arguments of all processes.
    arguments: Vec<String>,
    /// The store of each `{context}`, unless [`Cluster::with`] sets another.
    store: String,
    /// The URL of RabbitMQ, and the prefix of the queues.
    broker: Option<(String, String)>,
    nodes: Vec<Node>,
    places: Places,
}

impl Cluster {
    /// The processes of a set-up. [`Cluster::up`] starts them.
    pub fn new(setup: Setup) -> Cluster {
        let cluster = match setup {
            Setup::Embedded | Setup::OneProcess => Cluster::together(),
            Setup::PerContext => {
                let each = contexts().collect::<Vec<_>>();
                Cluster::of(&each.chunks(1).collect::<Vec<_>>()).with_identities()
            }
        };
        match setup {
            Setup::Embedded => cluster,
            Setup::OneProcess | Setup::PerContext => {
                let (postgres, amqp) = real_servers().unwrap();
                cluster.on_postgres(&postgres).on_rabbitmq(&amqp)
            }
        }
    }

    /// All contexts in one process, on SQLite and the local bus by default.
    pub fn together() -> Cluster {
        Cluster::of(&[&contexts().collect::<Vec<_>>()])
    }

    /// A process for each group of contexts, on SQLite and the local bus by default.
    pub fn of(groups: &[&[&'static str]]) -> Cluster {
        let nodes: Vec<Node> = groups.iter().map(|group| Node::new(group)).collect();
        let place_of = |node: &Node| node.contexts.iter().map(|context| (*context, node.address)).collect::<Vec<_>>();
        let places: BTreeMap<_, _> = nodes.iter().flat_map(place_of).collect();
        let folder = tempfile::Builder::new().prefix("nadeuri-").tempdir().unwrap();
        let mut arguments = vec!["--data".to_owned(), folder.path().join("data").display().to_string()];
        arguments.extend(["--workers".to_owned(), "2".to_owned()]);
        // Many trials act under the same names at once. Those of the quotas have clusters of their own.
        for quota in QUOTAS {
            arguments.extend(["--set".to_owned(), format!("{quota}=1000")]);
        }
        if nodes.len() > 1 {
            arguments
                .extend(places.iter().flat_map(|(name, at)| ["--peers".to_owned(), format!("{name}=http://{at}")]));
        }
        std::fs::write(folder.path().join("sealing-keys"), "07".repeat(32)).unwrap();
        let store = format!("sqlite:{}", folder.path().join("data/{context}.db").display());
        Cluster { name: new_name(), folder, arguments, store, broker: None, nodes, places: Places::new(places) }
    }

    /// Stores all state in a new database on this PostgreSQL, with one schema per context.
    #[must_use]
    pub fn on_postgres(mut self, server: &str) -> Cluster {
        let store = format!("{server}{}?schema={{context}}", self.name);
        self.store.clone_from(&store);
        self.with(&["--store", &store])
    }

    /// Publishes events over this RabbitMQ, with queues that no other running cluster uses.
    #[must_use]
    pub fn on_rabbitmq(mut self, broker: &str) -> Cluster {
        let left = LEFT.lock().unwrap().pop();
        let prefix = left.unwrap_or_else(|| self.name.clone());
        self.broker = Some((broker.to_owned(), prefix.clone()));
        self.with(&["--bus", broker, "--bus-prefix", &prefix])
    }

    /// Publishes events over this other URL of the same RabbitMQ. `{context}` in it is the context of a process, for users of
    /// their own.
    #[must_use]
    pub fn on_bus(mut self, url: &str) -> Cluster {
        let bus = self.arguments.iter().position(|argument| argument == "--bus").expect("it is on RabbitMQ");
        self.arguments[bus + 1] = url.to_owned();
        self
    }

    /// Speaks TLS with callers and between the processes, by a certificate of this authority, which callers need too.
    /// `others` are further authorities that the processes trust.
    #[must_use]
    pub fn over_tls(mut self, authority: &Authority, others: &str) -> Cluster {
        for argument in &mut self.arguments {
            *argument = argument.replace("=http://", "=https://");
        }
        let identities = self.places.identities().cloned();
        self.places = Places::over(self.places.addresses(), Some(authority.client())).with_tokens(identities);
        let (certificate, key) = authority.issue();
        let all = format!("{}{others}", authority.certificate);
        let contents =
            [("ca.pem", &authority.certificate), ("all.pem", &all), ("cert.pem", &certificate), ("key.pem", &key)];
        contents.iter().for_each(|(name, pem)| std::fs::write(self.file(name), pem).unwrap());
        let [ca, all, certificate, key] = contents.map(|(name, _)| self.file(name));
        self.with(&["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &ca, "--ca", &all])
    }

    /// Gives each process its own key. Callers get tokens, which the operators' key signs.
    #[must_use]
    pub fn with_identities(mut self) -> Cluster {
        let keys = self.folder.path().join("keys");
        let identities = Identities::create(&keys, self.nodes.iter().map(|node| node.contexts.as_slice()));
        self.places = self.places.with_tokens(Some(Arc::new(identities)));
        let all = self.file("keys/identities.pem");
        self.with(&["--auth", "own", "--identities", &all, "--rate", "0"])
    }

    /// Adds arguments for all processes.
    #[must_use]
    pub fn with(mut self, arguments: &[&str]) -> Cluster {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// The URL of this cluster's database on this PostgreSQL.
    pub fn database(&self, server: &str) -> String {
        format!("{server}{}", self.name)
    }

    /// Opens the store of a context, to read it or to change it directly.
    pub async fn open_store(&self, context: &'static str) -> Database {
        Database::open(&self.store, context, &Runtime::real()).await.unwrap()
    }

    /// The RabbitMQ that it uses, and the prefix of its queues.
    pub fn broker(&self) -> Option<(&str, &str)> {
        self.broker.as_ref().map(|(broker, prefix)| (broker.as_str(), prefix.as_str()))
    }

    /// A file in the cluster's folder.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Starts all processes that do not run, and waits until they serve.
    pub async fn up(&mut self) {
        for index in 0..self.nodes.len() {
            self.spawn(index);
        }
        let tls = self.places.tls();
        for server in self.nodes.iter_mut().filter_map(|node| node.server.as_mut()) {
            server.ready_at("", |address| Ok(endpoint(address, tls))).await.unwrap();
        }
    }

    /// [`Cluster::up`], for method chains.
    pub async fn started(mut self) -> Cluster {
        self.up().await;
        self
    }

    fn spawn(&mut self, index: usize) {
        let log = self.folder.path().join(format!("{index}.log"));
        let key = self.file(&format!("keys/{}.pem", self.nodes[index].contexts[0]));
        let identity = self.identities().map(|_| ["--identity".to_owned(), key]);
        // With its stores in the data folder, a server makes a key there.
        let is_elsewhere = self.arguments.iter().any(|argument| argument == "--store");
        let sealing = is_elsewhere.then(|| ["--sealing-keys".to_owned(), self.file("sealing-keys")]);
        let node = &mut self.nodes[index];
        if node.server.is_none() {
            let mut command = nadeuri(&["serve".to_owned(), "--listen".to_owned(), node.address.to_string()]);
            let bus = self.arguments.iter().position(|argument| argument == "--bus").map(|option| option + 1);
            let arguments = self.arguments.iter().enumerate().map(|(index, argument)| match Some(index) == bus {
                true => argument.replace("{context}", node.contexts[0]),
                false => argument.clone(),
            });
            command.args(&node.contexts).args(arguments).args(identity.into_iter().chain(sealing).flatten());
            node.server = Some(Server::spawn(&mut command, &log).unwrap());
        }
    }

    fn node(&mut self, context: &str) -> usize {
        self.nodes.iter().position(|node| node.contexts.contains(&context)).expect("the cluster serves it")
    }

    /// Starts the process of a context, and waits until it serves.
    pub async fn start(&mut self, context: &str) {
        let index = self.node(context);
        self.spawn(index);
        if let Some(server) = &mut self.nodes[index].server {
            server.ready("").await.unwrap();
        }
    }

    /// Stops the process of a context with SIGTERM.
    pub async fn stop(&mut self, context: &str) {
        let index = self.node(context);
        if let Some(server) = self.nodes[index].server.take() {
            let status = stop(server).await;
            assert!(status.success(), "{context} ended with {status}");
        }
    }

    /// Stops the process of a context, and starts a stand-in at its address.
    pub async fn replace(&mut self, context: &str, behaviour: Behaviour) -> StandIn {
        self.stop(context).await;
        let index = self.node(context);
        StandIn::listen(self.nodes[index].address, behaviour)
    }

    /// Kills the processes of all contexts but one.
    pub fn kill_others(&mut self, context: &str) {
        for node in self.nodes.iter_mut().filter(|node| !node.contexts.contains(&context)) {
            node.server = None;
        }
    }

    /// Kills the process of a context.
    pub fn kill(&mut self, context: &str) {
        let index = self.node(context);
        self.nodes[index].server = None;
    }

    /// Starts another replica of a context. It only consumes events: no peer has its address.
    pub async fn replicate(&mut self, context: &'static str) {
        self.nodes.push(Node::new(&[context]));
        let index = self.nodes.len() - 1;
        self.spawn(index);
        if let Some(server) = &mut self.nodes[index].server {
            server.ready("").await.unwrap();
        }
    }

    /// Ends the processes that were started by [`Cluster::replicate`].
    pub async fn stop_replicas(&mut self) {
        let processes = self.places.processes();
        for node in self.nodes.drain(processes..) {
            if let Some(server) = node.server {
                let status = stop(server).await;
                assert!(status.success(), "a second {} ended with {status}", node.contexts.join(", "));
            }
        }
    }

    /// Stops all processes; panics if one fails.
    pub async fn down(mut self) {
        let stopping = self.nodes.iter_mut().filter_map(|node| node.server.take()).map(stop);
        for status in futures::future::join_all(stopping).await {
            assert!(status.success(), "a server ended with {status}");
        }
        if let Some((broker, prefix)) = self.broker {
            empty_queues(&broker, &prefix).await.unwrap();
            LEFT.lock().unwrap().push(prefix);
        }
    }

    /// The address of a context.
    pub fn address(&self, context: &str) -> SocketAddr {
        self.places.address(context)
    }

    /// The URL of a context.
    pub fn url(&self, context: &str) -> String {
        self.places.url(context)
    }

    /// The keys of its processes and operators, if each has its own.
    pub fn identities(&self) -> Option<&Identities> {
        self.places.identities().map(|identities| &**identities)
    }

    /// A customer.
    pub fn by(&self, name: &str) -> Client {
        self.places.client(Who::customer(name))
    }

    /// A taxi driver.
    pub fn driver(&self, name: &str) -> Client {
        self.places.client(Who::Named { name: name.to_owned(), roles: "driver" })
    }

    /// An admin.
    pub fn admin(&self) -> Client {
        self.places.client(Who::admin())
    }

    /// A client of any caller.
    pub fn client(&self, who: Who) -> Client {
        self.places.client(who)
    }

    /// A customer with their own connections, as on their own phone.
    pub fn stranger(&self, name: &str) -> Client {
        self.places.reconnected().client(Who::customer(name))
    }

    /// Runs a command of the product as an admin, and returns its output.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let token = self.identities().and_then(|identities| identities.person("admin", "admin"));
        nadeuri(&arguments).envs(token.map(|token| ("NADEURI_TOKEN", token))).output().unwrap()
    }

    /// The log of the process of a context.
    pub fn logs_of(&self, context: &str) -> String {
        let node = self.nodes.iter().find(|node| node.contexts.contains(&context));
        node.and_then(|node| node.server.as_ref()).map(Server::output).unwrap_or_default()
    }

    /// The logs of all processes, for the message of a failed test.
    pub fn logs(&self) -> String {
        let logs = self.nodes.iter().filter_map(|node| node.server.as_ref()).map(Server::output);
        logs.collect::<Vec<_>>().join("\n")
    }
}
