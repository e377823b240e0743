//! A context and its host.
//!
//! A context's crate declares a [`Context`]; its `start` registers with a [`Host`]: writers, policies, peer clients, a
//! gRPC service. The host does the rest in the same way for all contexts: migrations, relay, consumer, timers, health.

use std::cell::Cell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use contracts::{SEALED_EVENTS, context_of};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::{Routes, RoutesBuilder};

use crate::access::Guard;
use crate::aggregate::{LoadRequest, Store};
use crate::bus::{Bus, Consumer, Handler, Subscription};
use crate::consumer::{Persistent, Policy, React, Reactor};
use crate::db::sqlite::Sqlite;
use crate::db::{Database, Migrations, OpenError};
use crate::dead_letters;
use crate::erasure::{Eraser, Personal};
use crate::health::HealthCheck;
use crate::idempotency;
use crate::identity::Identity;
use crate::loader::{Find, Loader};
use crate::peer::{self, Limits, PeerClient, Peers};
use crate::projection::{History, Projection, ProjectionWorker, Rebuild, Rebuilder};
use crate::pruning::{self, Prune, Pruning};
use crate::quota;
use crate::relay::Relay;
use crate::runtime::{Runtime, Tasks};
use crate::sealing::SealingKeys;
use crate::telemetry::Meters;
use crate::timers::{self, OnDue};
use crate::writer::{Resources, Writer};

/// One bounded context.
pub struct Context {
    /// Its name: that of the crate, the proto package, the queues, the database and the Deployment.
    pub name: &'static str,
    /// Its purpose, in a few words.
    pub about: &'static str,
    /// Its tables.
    pub migrations: Migrations,
    /// The contexts that it calls. The guards of others reject its calls.
    pub calls: &'static [&'static str],
    /// What it stores about people.
    pub personal: &'static [Personal],
    /// Starts it.
    pub start: fn(&mut Host) -> Result<(), StartError>,
}

/// The resources that all contexts of a process share.
#[derive(Clone)]
pub struct Environment {
    /// The clock, ids, and, in a simulation, faults.
    pub runtime: Runtime,
    /// The bus.
    pub bus: Arc<dyn Bus>,
    /// The transports to other contexts.
    pub peers: Peers,
    /// The identity that signs calls to them.
    pub identity: Identity,
    /// The limits of calls to them.
    pub limits: Limits,
    /// The guard around every service, also for calls within the process.
    pub guard: Guard,
    /// The keys of values that are worth money, for the contexts that publish or show them.
    pub sealing: SealingKeys,
    /// The settings of the contexts, one table each.
    pub settings: toml::Table,
    /// How long idempotency keys are stored, and so a repeated request gets its first answer.
    pub key_retention: Duration,
    /// How long dead letters are stored; `None` is forever.
    pub dead_letter_retention: Option<Duration>,
    /// From the request of an erasure to its begin: as long as events about the person may be under way.
    pub erasure_delay: Duration,
}

impl Environment {
    /// What every context prunes.
    fn prunings(&self) -> impl Iterator<Item = Pruning> {
        let keys = Pruning {
            name: "pruning of keys",
            retention: self.key_retention,
            prune: |tx, before, limit| Box::pin(idempotency::prune(tx, before, limit)),
        };
        let dead_letters = self.dead_letter_retention.map(|retention| Pruning {
            name: "pruning of dead letters",
            retention,
            prune: |tx, before, limit| Box::pin(dead_letters::prune(tx, before, limit)),
        });
        let quotas = Pruning {
            name: "pruning of quotas",
            retention: self.key_retention,
            prune: |tx, before, limit| Box::pin(quota::prune(tx, before, limit)),
        };
        [keys, quotas].into_iter().chain(dead_letters)
    }
}

/// A context can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its store can't be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Its tables can't be migrated.
    #[error("the tables of {context} can't be brought up to date: {cause}")]
    Migrations {
        /// The context.
        context: &'static str,
        /// Why.
        cause: String,
    },
    /// Its settings are wrong.
    #[error("the settings of {context} are wrong: {cause}")]
    Settings {
        /// The context.
        context: &'static str,
        /// Why, and what would be valid.
        cause: String,
    },
    /// It publishes or shows values that are worth money, and can't seal or unseal them.
    #[error(
        "{context} needs the sealing keys, by which its values that are worth money are encrypted: name the file, which is \
         the same for all contexts, with --sealing-keys; make a key with `openssl rand -hex 32`"
    )]
    NoSealingKeys {
        /// The context.
        context: &'static str,
    },
}

/// A gRPC service: its full name, and how it is added to a server.
struct Served {
    name: &'static str,
    add: Box<dyn Fn(&mut RoutesBuilder) + Send + Sync>,
}

/// The shared resources of a context's peer clients.
#[derive(Clone)]
struct Outside {
    peers: Peers,
    identity: Identity,
    limits: Limits,
    settings: toml::Table,
}

/// Gives a context its resources, and takes its registrations.
pub struct Host {
    resources: Resources,
    tasks: Tasks,
    outside: Outside,
    reactors: Vec<(Subscription, Arc<dyn React>)>,
    services: Vec<Served>,
    rebuild: Option<Arc<dyn Rebuild>>,
    has_projection: bool,
    has_settings: Cell<bool>,
    gather: Duration,
    has_sealed: Cell<bool>,
}

impl Host {
    /// Its store.
    pub fn database(&self) -> &Database {
        &self.resources.database
    }

    /// The clock and ids.
    pub fn runtime(&self) -> &Runtime {
        &self.resources.runtime
    }

    /// Its background tasks.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// What unseals values of customers. A context that calls it does not start without keys.
    pub fn sealing(&self) -> SealingKeys {
        self.has_sealed.set(true);
        self.resources.sealing.clone()
    }

    /// The writer of its aggregates of one kind.
    pub fn writer<A: Store>(&mut self) -> Writer<A> {
        Writer::start(&self.resources, &self.tasks)
    }

    /// Registers the timers of aggregates.
    pub fn on_due<A: Store>(&mut self, on_due: OnDue<A>) {
        let state = (self.resources.clone(), on_due, self.tasks.clone());
        self.tasks.supervise(self.resources.context, "timers", state, |(resources, on_due, tasks)| {
            Box::pin(timers::run::<A>(resources, on_due, tasks))
        });
    }

    /// A loader of values by id.
    pub fn loader<K, V>(&mut self, find: Find<K, V>) -> Loader<K, V>
    where
        K: Copy + Ord + Send + Sync + 'static,
        V: Clone + Send + Sync + 'static,
    {
        Loader::start(self.resources.context, &self.resources.database, &self.tasks, find)
    }

    /// A loader of its aggregates by id.
    pub fn loader_of<A: Store + Clone>(&mut self) -> Loader<A::Id, A> {
        self.loader(|tx, ids| {
            Box::pin(async move {
                let mut wanted = LoadRequest::<A>::new();
                ids.into_iter().for_each(|id| wanted.add(id, None));
                Ok(A::load(tx, &wanted).await?.into_iter().map(|loaded| (loaded.id, loaded.state)).collect())
            })
        })
    }

    /// Registers a policy.
    pub fn react<A: Store>(&mut self, policy: Policy<A>, writer: &Writer<A>) {
        let subscription = policy.subscription();
        self.reactors.push((
            subscription,
            Arc::new(Reactor { context: self.resources.context, policy, writer: writer.clone() }),
        ));
    }

    /// Registers a projection, which can be rebuilt from a history.
    pub fn projection<V: Projection>(&mut self, history: Option<Box<dyn History>>) {
        // One projection per context: two would share their idempotency keys.
        assert!(!self.has_projection, "{} has a projection already", self.resources.context);
        self.has_projection = true;
        let worker = ProjectionWorker::<V>::start(&self.resources, &self.tasks);
        self.reactors.push((V::subscription(), Arc::new(worker.clone())));
        let resources = self.resources.clone();
        self.rebuild = history.map(|history| Arc::new(Rebuilder { resources, worker, history }) as Arc<dyn Rebuild>);
    }

    /// Lets events wait for others for so long, to be handled together: fewer transactions and acknowledgements, where nobody
    /// waits for the effect.
    pub fn gather(&mut self, gather: Duration) {
        self.gather = gather;
    }

    /// The client of another context.
    pub fn peer(&self, to: &'static str) -> PeerClient {
        let Outside { peers, identity, limits, .. } = self.outside.clone();
        PeerClient::new(self.resources.context, to, peers, identity, self.resources.runtime.clock.clone(), limits)
    }

    /// Its settings: its table in the configuration.
    pub fn settings<S: DeserializeOwned + Default>(&self) -> Result<S, StartError> {
        let context = self.resources.context;
        self.has_settings.set(true);
        let Some(table) = self.outside.settings.get(context) else { return Ok(S::default()) };
        table
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| StartError::Settings { context, cause: on_one_line(&error.to_string()) })
    }

    /// Checks that a setting is within limits.
    pub fn within<T: PartialOrd + Display>(
        &self,
        name: &str,
        value: T,
        limits: RangeInclusive<T>,
    ) -> Result<T, StartError> {
        if limits.contains(&value) {
            return Ok(value);
        }
        Err(self.bad_settings(format!("{name} {value} must be {} to {}", limits.start(), limits.end())))
    }

    /// Removes rows that are older than the setting `retention_days`, as long as it runs; without the setting, none.
    pub fn prune(&self, name: &'static str, retention_days: Option<i64>, prune: Prune) -> Result<(), StartError> {
        let retention = retention_days.map(pruning::days).transpose();
        let retention = retention.map_err(|error| self.bad_settings(format!("retention_days {error}")))?;
        if let Some(retention) = retention {
            Pruning { name, retention, prune }.start(&self.resources, &self.tasks);
        }
        Ok(())
    }

    /// The error for settings that are readable but invalid.
    pub fn bad_settings(&self, cause: impl ToString) -> StartError {
        StartError::Settings { context: self.resources.context, cause: cause.to_string() }
    }

    /// What its policies and projections subscribe to.
    fn subscription(&self) -> Subscription {
        let each = self.reactors.iter().map(|(subscription, _)| subscription.clone());
        each.fold(Subscription::Kinds(Vec::new()), Subscription::and)
    }

    /// Registers a gRPC service.
    pub fn serve<S>(&mut self, service: S)
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let add = move |routes: &mut RoutesBuilder| {
            routes.add_service(service.clone());
        };
        self.services.push(Served { name: S::NAME, add: Box::new(add) });
    }
}

/// TOML errors have several lines; the error of a start has one.
fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A running context.
pub struct Running {
    /// Its name.
    pub name: &'static str,
    /// Its health checks.
    pub checks: Vec<HealthCheck>,
    pub(crate) database: Database,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) rebuild: Option<Arc<dyn Rebuild>>,
    services: Vec<Served>,
    tasks: Tasks,
    peers: Peers,
}

impl Context {
    /// Migrates its tables.
    pub async fn migrate(&self, database: &Database) -> Result<(), StartError> {
        let migrated = match database {
            Database::Sqlite(sqlite) => sqlite.migrate(&self.migrations),
            Database::Postgres(postgres) => postgres.migrate(&self.migrations).await,
        };
        migrated.map_err(|cause| StartError::Migrations { context: self.name, cause })
    }

    /// The events that it subscribes to: those of the policies and projections that its `start` registers, and requests of
    /// erasures.
    pub fn subscription(&self) -> Result<Subscription, StartError> {
        Ok(self.registered()?.subscription().and(Eraser::subscription()))
    }

    /// Whether it publishes or shows values that are sealed, and so needs the keys.
    pub fn has_sealed(&self) -> Result<bool, StartError> {
        Ok(self.registered()?.has_sealed.get())
    }

    /// A host with what its `start` registers. For that it is started with default settings, on an empty store, with tasks
    /// that never run.
    fn registered(&self) -> Result<Host, StartError> {
        let runtime = Runtime::real();
        let empty = Sqlite::empty(self.name, &runtime);
        let empty = empty.map_err(|cause| StartError::Settings { context: self.name, cause })?;
        let outside = Outside {
            peers: Peers::default(),
            identity: Identity::Named,
            limits: Limits::default(),
            settings: toml::Table::new(),
        };
        let resources = self.resources(Database::Sqlite(empty), runtime, SealingKeys::default());
        self.host(resources, Tasks::none(), outside)
    }

    fn resources(&self, database: Database, runtime: Runtime, sealing: SealingKeys) -> Resources {
        Resources { context: self.name, database, runtime, sealing, published: Arc::new(Notify::new()) }
    }

    /// A host with the registrations of its `start`.
    fn host(&self, resources: Resources, tasks: Tasks, outside: Outside) -> Result<Host, StartError> {
        let mut host = Host {
            resources,
            tasks,
            outside,
            reactors: Vec::new(),
            services: Vec::new(),
            rebuild: None,
            has_projection: false,
            has_settings: Cell::new(false),
            gather: Duration::ZERO,
            has_sealed: Cell::new(SEALED_EVENTS.iter().any(|(name, _)| context_of(name) == Some(self.name))),
        };
        (self.start)(&mut host)?;
        if !host.has_settings.get() && host.outside.settings.contains_key(self.name) {
            return Err(host.bad_settings("it has none"));
        }
        Ok(host)
    }

    /// Starts it on a migrated store.
    pub fn start(&self, database: Database, environment: &Environment) -> Result<Running, StartError> {
        let Environment { peers, identity, limits, settings, runtime, sealing, .. } = environment.clone();
        let (outside, has_keys) = (Outside { peers, identity, limits, settings }, !sealing.is_empty());
        let mut host = self.host(self.resources(database, runtime, sealing), Tasks::default(), outside)?;
        if host.has_sealed.get() && !has_keys {
            return Err(StartError::NoSealingKeys { context: self.name });
        }
        let eraser = Eraser::new(&host.resources, self.personal, environment);
        host.reactors.push((Eraser::subscription(), Arc::new(eraser.clone())));
        let subscription = host.subscription();
        let Host { resources, tasks, reactors, services, rebuild, gather, .. } = host;
        let (store, bus) = (HealthCheck::new("store"), HealthCheck::new("bus"));
        let handler = Arc::new(Persistent { reactors, resources: resources.clone(), tasks: tasks.clone() });
        let consumer =
            Consumer { context: self.name, subscription, handler: handler.clone(), bus: bus.clone(), gather };
        environment.bus.consume(consumer, &tasks);
        let relay = Relay { resources: resources.clone(), bus: environment.bus.clone() };
        tasks.supervise(self.name, "relay", (relay, tasks.clone()), |(relay, tasks)| Box::pin(relay.run(tasks)));
        tasks.supervise(self.name, "erasures", (eraser, tasks.clone()), |(eraser, tasks)| Box::pin(eraser.run(tasks)));
        for pruning in environment.prunings() {
            pruning.start(&resources, &tasks);
        }
        let state = (resources.clone(), store.clone(), tasks.clone());
        tasks.supervise(self.name, "check of the store", state, |(resources, store, tasks)| {
            Box::pin(watch_store(resources, store, tasks))
        });

        let running = Running {
            name: self.name,
            checks: vec![store, bus],
            database: resources.database,
            handler,
            rebuild,
            services,
            tasks,
            peers: environment.peers.clone(),
        };
        let mut routes = Routes::builder();
        running.add_services(&mut routes);
        running.peers.set(self.name, Some(peer::in_process(&environment.guard, routes.routes())));
        Ok(running)
    }
}

impl Running {
    /// Adds its services to those of a server.
    pub fn add_services(&self, routes: &mut RoutesBuilder) {
        self.services.iter().for_each(|service| (service.add)(routes));
    }

    /// The full names of its services.
    pub fn services(&self) -> impl Iterator<Item = &'static str> {
        self.services.iter().map(|service| service.name)
    }

    /// Stops it, after at most `limit` for work in progress.
    pub async fn stop(self, limit: Duration) {
        self.tasks.stop(limit).await;
        self.peers.set(self.name, None);
    }

    /// Stops it as a crash would.
    pub async fn kill(self) {
        self.peers.set(self.name, None);
        self.tasks.kill().await;
    }
}

async fn watch_store(resources: &Resources, store: &HealthCheck, tasks: &Tasks) {
    let Resources { context, database, .. } = resources;
    const PERIOD: Duration = Duration::from_secs(2);
    loop {
        if let Some((used, size)) = database.connections() {
            Meters::pool(context, used, size);
        }
        let answers = database.ping().await;
        if store.set(answers.is_ok())
            && let Err(error) = answers
        {
            tracing::warn!(error = %error.for_log(), "the store is unavailable");
        }
        if !tasks.sleep(PERIOD).await {
            return;
        }
    }
}
