//! A run: contexts crash and restart while actors send requests; then faults stop, and the invariants are checked.
//!
//! In every fourth seed each context has two replicas: there are two zones with all contexts each, which share the stores
//! and the broker. Their contexts crash one by one, and a relay loses its lock without a crash, as by a lost connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use chassis::access::{Guard, Limits};
use chassis::auth::Auth;
use chassis::bus::{Bus, Subscription};
use chassis::context::{Environment, Running};
use chassis::db::Database;
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::{Context, Timestamp};

use crate::actors;
use crate::broker::{Broker, SimulatedBus};
use crate::erasure;
use crate::external::{SimulatedCarrier, SimulatedProcessor};
use crate::faults::{SimulationRandom, ZoneFaults};
use crate::invariants;

/// The simulated time of the start: 2026-07-01T00:00:00Z.
const START_TIME: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
/// How long actors send requests and faults are injected.
const FAULT_PERIOD: Duration = Duration::from_secs(40);
/// How long idempotency keys are kept.
pub const KEY_RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// The limit until no work is pending after that, in simulated time.
const SETTLE_LIMIT: Duration = Duration::from_secs(3_600);

thread_local! {
/// The external systems of this thread's run. They are thread-local because a context's `start` is a plain function.
    static EXTERNAL: RefCell<Option<(Arc<SimulatedProcessor>, Arc<SimulatedCarrier>)>> = const { RefCell::new(None) };
}

fn external() -> (Arc<SimulatedProcessor>, Arc<SimulatedCarrier>) {
    EXTERNAL.with_borrow(|external| external.clone().expect("a run is in progress in this thread"))
}

/// These contexts call the external systems of the run.
static PAYMENT: Context = Context { start: |host| payment::start(host, external().0), ..payment::CONTEXT };
static NOTIFICATION: Context =
    Context { start: |host| notification::start(host, external().1), ..notification::CONTEXT };

/// The product's contexts.
fn all_contexts() -> impl Iterator<Item = &'static Context> {
    nadeuri::contexts::ALL.iter().map(|context| match context.name {
        "payment" => &PAYMENT,
        "notification" => &NOTIFICATION,
        _ => context,
    })
}

/// The lines of business. Most runs have one: the contexts that they share work the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusinessLine {
    Cars,
    Taxis,
    Stays,
    Bikes,
    Orders,
}

impl BusinessLine {
    const ALL: [BusinessLine; 5] = [Self::Cars, Self::Taxis, Self::Stays, Self::Bikes, Self::Orders];

    /// The lines of a seed: one after the other, and all together for every tenth seed.
    fn of(seed: u64) -> Vec<BusinessLine> {
        if seed % 10 == 9 {
            return BusinessLine::ALL.to_vec();
        }
        vec![BusinessLine::ALL[seed as usize % BusinessLine::ALL.len()]]
    }

    /// The contexts that only this line has.
    fn contexts(self) -> &'static [&'static str] {
        match self {
            BusinessLine::Cars => &["fleet", "rental"],
            BusinessLine::Taxis => &["dispatch", "driving"],
            BusinessLine::Stays => &["resort", "stay", "voucher"],
            BusinessLine::Bikes => &["bike", "ride", "billing", "upkeep", "wallet"],
            BusinessLine::Orders => &["product", "order", "delivery"],
        }
    }
}

/// The state of a run.
pub struct Harness {
    pub random: SimulationRandom,
    pub broker: Arc<Broker>,
    pub processor: Arc<SimulatedProcessor>,
    pub carrier: Arc<SimulatedCarrier>,
    /// The environment of each zone, which has a replica of every context.
    pub zones: Vec<Environment>,
    pub verbose: bool,
    pub lines: Vec<BusinessLine>,
    /// The contexts that are part of the run.
    contexts: Vec<&'static Context>,
    stores: BTreeMap<&'static str, String>,
    /// One open connection per store: it keeps the in-memory database alive.
    connections: BTreeMap<&'static str, Database>,
    running: BTreeMap<(&'static str, usize), Running>,
}

/// Runs a seed, and returns the event log. Two runs of a seed return the same log.
pub fn run(seed: u64, verbose: bool) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut harness = Harness::set_up(seed, verbose).await?;
        let history = harness.run_with_faults().await?;
        harness.settle().await?;
        let mut event_log = invariants::check(&harness, &history).await?;
        // Days pass in it, which takes longer than all before. Five seeds of twenty are enough; they have all lines.
        if seed / 5 % 4 == 1 {
            event_log += &erasure::check(&mut harness).await?;
        }
        harness.close().await;
        Ok(event_log)
    })
}

/// The subscriptions of all contexts, computed once for all seeds.
fn subscriptions() -> &'static [(&'static str, Subscription)] {
    static SUBSCRIPTIONS: OnceLock<Vec<(&'static str, Subscription)>> = OnceLock::new();
    SUBSCRIPTIONS.get_or_init(|| {
        nadeuri::contexts::subscriptions(nadeuri::contexts::ALL).expect("they start with their defaults")
    })
}

impl Harness {
    async fn set_up(seed: u64, verbose: bool) -> Result<Harness, String> {
        let random = SimulationRandom::new(seed);
        let lines = BusinessLine::of(seed);
        let is_absent =
            |name: &str| BusinessLine::ALL.iter().any(|line| !lines.contains(line) && line.contexts().contains(&name));
        let contexts: Vec<&'static Context> = all_contexts().filter(|context| !is_absent(context.name)).collect();
        let is_present = |name: &str| contexts.iter().any(|context| context.name == name);
        let subscriptions = subscriptions().iter().filter(|(name, _)| is_present(name)).cloned().collect();
        let broker = Arc::new(Broker::new(random.clone(), subscriptions));
        let (processor, carrier) =
            (Arc::new(SimulatedProcessor::new(random.clone())), Arc::new(SimulatedCarrier::new(random.clone())));
        EXTERNAL.set(Some((processor.clone(), carrier.clone())));
        let zones = if seed % 4 == 3 { 2 } else { 1 };
        let zones = (0..zones).map(|zone| {
            let faults = Arc::new(ZoneFaults { random: random.clone(), zone });
            // Replicas draw other ids.
            let runtime = Runtime::simulated(seed ^ (zone as u64) << 32, START_TIME, faults);
            environment(&runtime, SimulatedBus(broker.clone()))
        });
        let zones: Vec<Environment> = zones.collect();
        let runtime = zones[0].runtime.clone();
        let (stores, connections, running) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut harness = Harness {
            random,
            broker,
            processor,
            carrier,
            zones,
            verbose,
            lines,
            contexts,
            stores,
            connections,
            running,
        };
        for context in harness.contexts.clone() {
            // Each run needs its own store: threads run different seeds, and a seed may run twice.
            let run = runtime.ids.uuid(runtime.now());
            let thread = std::thread::current().id();
            let store = format!("sqlite:file:/{seed}-{run}-{thread:?}-{}?vfs=memdb", context.name);
            let database = Database::open(&store, context.name, &runtime).await.map_err(|error| error.to_string())?;
            context.migrate(&database).await.map_err(|error| error.to_string())?;
            harness.connections.insert(context.name, database);
            harness.stores.insert(context.name, store);
            for zone in 0..harness.zones.len() {
                harness.start(context.name, zone).await?;
            }
        }
        Ok(harness)
    }

    /// The environment of the first zone.
    pub fn environment(&self) -> &Environment {
        &self.zones[0]
    }

    async fn start(&mut self, name: &'static str, zone: usize) -> Result<(), String> {
        let context = self.contexts.iter().find(|context| context.name == name).ok_or("no such context")?;
        let environment = &self.zones[zone];
        let database = match &self.connections[name] {
            // Replicas wait for each other's transactions: SQLite would answer that it is busy.
            Database::Sqlite(shared) if self.zones.len() > 1 => {
                Database::Sqlite(shared.for_replica(&environment.runtime))
            }
            _ => {
                let opened = Database::open(&self.stores[name], context.name, &environment.runtime).await;
                opened.map_err(|error| error.to_string())?
            }
        };
        let running = context.start(database, environment).map_err(|error| error.to_string())?;
        self.running.insert((name, zone), running);
        Ok(())
    }

    async fn kill(&mut self, name: &'static str, zone: usize) {
        if let Some(running) = self.running.remove(&(name, zone)) {
            self.log(&format!("{name} crashes in zone {zone}"));
            running.kill().await;
        }
    }

    /// Every replica of a context crashes, and they restart.
    pub async fn restart(&mut self, name: &'static str) -> Result<(), String> {
        for zone in 0..self.zones.len() {
            self.kill(name, zone).await;
        }
        for zone in 0..self.zones.len() {
            self.start(name, zone).await?;
        }
        Ok(())
    }

    /// The relay of a context, if there are replicas, may lose its lock, and does not know it yet.
    fn lose_a_lock(&self, name: &str) {
        if self.zones.len() > 1
            && self.random.fault(100)
            && let Database::Sqlite(store) = &self.connections[name]
        {
            self.log(&format!("the relay of {name} loses its lock"));
            store.relay_lock().release();
        }
    }

    /// Lets the actors run while contexts crash and restart.
    async fn run_with_faults(&mut self) -> Result<actors::History, String> {
        let history = Arc::default();
        let actors = actors::spawn(self, &history);
        let names: Vec<&'static str> = self.contexts().collect();
        let end = tokio::time::Instant::now() + FAULT_PERIOD;
        let mut stopped: Vec<((&'static str, usize), tokio::time::Instant)> = Vec::new();
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut crashes = self.random.take_crashes();
            let victim = self.random.pick(0..names.len() as u64) as usize;
            if self.random.fault(4) {
                crashes.insert((names[victim].to_owned(), self.random.pick(0..self.zones.len() as u64) as usize));
            }
            self.lose_a_lock(names[victim]);
            let replicas = names.iter().flat_map(|name| (0..self.zones.len()).map(|zone| (*name, zone)));
            let crashing: Vec<_> =
                replicas.filter(|(name, zone)| crashes.contains(&((*name).to_owned(), *zone))).collect();
            for (name, zone) in crashing {
                self.kill(name, zone).await;
                let most_ms = if self.random.fault(200) { 15_000 } else { 500 };
                stopped.push(((name, zone), tokio::time::Instant::now() + self.random.pause(most_ms)));
            }
            let now = tokio::time::Instant::now();
            let (due, still): (Vec<_>, Vec<_>) = stopped.into_iter().partition(|(_, until)| *until <= now);
            stopped = still;
            for ((name, zone), _) in due {
                if !self.running.contains_key(&(name, zone)) {
                    self.start(name, zone).await?;
                    self.log(&format!("{name} restarts in zone {zone}"));
                }
            }
        }
        // Faults stop: every context crashes once more, and restarts.
        self.random.stop_faults();
        for name in names {
            self.restart(name).await?;
        }
        for actor in actors {
            actor.await.map_err(|error| format!("an actor panicked: {error}"))?;
        }
        let history: Arc<Mutex<actors::History>> = history;
        Ok(std::mem::take(&mut *history.lock().expect("one thread")))
    }

    /// Waits until no work is pending, also after the end of all stays and of the time of all rented cars.
    async fn settle(&self) -> Result<(), String> {
        // Unpaid reservations expire in this time.
        tokio::time::sleep(invariants::PAY_WITHIN + Duration::from_secs(5)).await;
        self.wait_until_idle().await?;
        let has_cars = self.lines.contains(&BusinessLine::Cars);
        if has_cars || self.lines.contains(&BusinessLine::Stays) {
            // In two steps: polling the timers for days of simulated time would take too long.
            self.log("days pass");
            for days in [invariants::DAY, invariants::SEASON - invariants::DAY] {
                tokio::time::advance(days).await;
                self.wait_until_idle().await?;
            }
        }
        if has_cars {
            actors::cars::bring_back_late(self).await?;
        }
        Ok(())
    }

    pub async fn wait_until_idle(&self) -> Result<(), String> {
        let end = tokio::time::Instant::now() + SETTLE_LIMIT;
        let mut idle_checks = 0;
        while idle_checks < 5 {
            if tokio::time::Instant::now() > end {
                return Err(format!(
                    "work is still pending: {}",
                    invariants::pending_work(self).await?.unwrap_or_default()
                ));
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            idle_checks = if invariants::pending_work(self).await?.is_none() { idle_checks + 1 } else { 0 };
        }
        Ok(())
    }

    async fn close(self) {
        for (_, running) in self.running {
            running.kill().await;
        }
        EXTERNAL.set(None);
    }

    /// The store of a context.
    pub fn store(&self, name: &str) -> &Database {
        &self.connections[name]
    }

    /// The names of the contexts that are part of the run.
    pub fn contexts(&self) -> impl Iterator<Item = &'static str> {
        self.contexts.iter().map(|context| context.name)
    }

    /// The actors who have a wallet.
    pub fn wallet_owners(&self) -> impl Iterator<Item = String> {
        let bikes = self.lines.contains(&BusinessLine::Bikes);
        actors::bikes::names().filter(move |_| bikes)
    }

    /// Prints what happens, if the run is verbose.
    pub fn log(&self, what: &str) {
        if self.verbose {
            println!("{} {what}", self.environment().runtime.now());
        }
    }
}

fn environment(runtime: &Runtime, bus: SimulatedBus) -> Environment {
    let pay_within = invariants::PAY_WITHIN.as_secs();
    // A hold is shorter than some delays: sometimes it expires before the reservation is made.
    let settings = format!(
        "[rental]\npay_within_minutes = {}\n[driving]\noffered_seconds = 60\ncharge_attempts = 2\n\
         [stay]\npay_within_seconds = {pay_within}\n[order]\npay_within_seconds = {pay_within}\n[resort]\nhold_seconds = 1",
        pay_within / 60
    );
    Environment {
        runtime: runtime.clone(),
        bus: Arc::new(bus) as Arc<dyn Bus>,
        peers: Peers::default(),
        identity: Identity::Named,
        limits: peer::Limits::default(),
        guard: Guard::new(
            Auth::Off,
            runtime.clock.clone(),
            Limits::default(),
            nadeuri::contexts::calls(nadeuri::contexts::ALL).collect(),
        ),
        sealing: SealingKeys::given(&[[7; 32]]),
        settings: settings.parse().expect("the settings are TOML"),
        key_retention: KEY_RETENTION,
        dead_letter_retention: None,
        erasure_delay: erasure::DELAY,
    }
}
