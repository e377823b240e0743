//! A run: the contexts come and go, people do what people do, then everything heals and is looked at.

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
use chassis::{Context, Timestamp};

use crate::actors;
use crate::broker::{Broker, SimulatedBus};
use crate::faults::Chance;
use crate::invariants;
use crate::outside::{Bank, Post};

/// 2026-07-01T00:00:00Z.
const MORNING: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
/// How long customers do things and things go wrong.
const BUSY: Duration = Duration::from_secs(40);
/// How long everything may take to come to rest after that.
const PATIENCE: Duration = Duration::from_secs(3_600);

thread_local! {
    /// The outside of this thread's run: a context's `start` is a plain function and can't carry it.
    static OUTSIDE: RefCell<Option<(Arc<Bank>, Arc<Post>)>> = const { RefCell::new(None) };
}

fn outside() -> (Arc<Bank>, Arc<Post>) {
    OUTSIDE.with_borrow(|outside| outside.clone().expect("a run is under way in this thread"))
}

/// Those that reach outside reach the bank and the post of the run.
static PAYMENT: Context = Context { start: |host| payment::start(host, outside().0), ..payment::CONTEXT };
static NOTIFICATION: Context =
    Context { start: |host| notification::start(host, outside().1), ..notification::CONTEXT };

/// The product's contexts.
fn all_contexts() -> impl Iterator<Item = &'static Context> {
    nadeuri::contexts::ALL.iter().map(|context| match context.name {
        "payment" => &PAYMENT,
        "notification" => &NOTIFICATION,
        _ => context,
    })
}

/// The lines of business. Most runs have one: what they share is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Cars,
    Taxis,
    Stays,
    Bikes,
    Orders,
}

impl Line {
    const ALL: [Line; 5] = [Line::Cars, Line::Taxis, Line::Stays, Line::Bikes, Line::Orders];

    /// Those of a seed: each in turn, and now and then all at once.
    fn of(seed: u64) -> Vec<Line> {
        if seed % 10 == 9 {
            return Line::ALL.to_vec();
        }
        vec![Line::ALL[seed as usize % Line::ALL.len()]]
    }

    /// The contexts that no other line has.
    fn contexts(self) -> &'static [&'static str] {
        match self {
            Line::Cars => &["fleet", "rental"],
            Line::Taxis => &["dispatch", "driving"],
            Line::Stays => &["resort", "stay", "voucher"],
            Line::Bikes => &["bike", "ride", "billing", "upkeep", "wallet"],
            Line::Orders => &["product", "order", "delivery"],
        }
    }
}

/// Everything of a run.
pub struct Harness {
    pub chance: Chance,
    pub broker: Arc<Broker>,
    pub bank: Arc<Bank>,
    pub post: Arc<Post>,
    pub environment: Environment,
    pub verbose: bool,
    pub lines: Vec<Line>,
    /// The contexts that have a part in it.
    contexts: Vec<&'static Context>,
    stores: BTreeMap<&'static str, String>,
    /// A connection a store: what is only in memory lasts while somebody holds it.
    keepers: BTreeMap<&'static str, Database>,
    running: BTreeMap<&'static str, Running>,
}

/// Runs a seed. Two runs of one seed return the same text.
pub fn run(seed: u64, verbose: bool) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let mut harness = Harness::found(seed, verbose).await?;
        let record = harness.live().await?;
        harness.rest().await?;
        let story = invariants::check(&harness, &record).await?;
        harness.close().await;
        Ok(story)
    })
}

/// Those of all contexts: found out once, for all seeds.
fn subscriptions() -> &'static [(&'static str, Subscription)] {
    static SUBSCRIPTIONS: OnceLock<Vec<(&'static str, Subscription)>> = OnceLock::new();
    SUBSCRIPTIONS.get_or_init(|| nadeuri::contexts::subscriptions(nadeuri::contexts::ALL).unwrap())
}

impl Harness {
    async fn found(seed: u64, verbose: bool) -> Result<Harness, String> {
        let chance = Chance::new(seed);
        let runtime = Runtime::simulated(seed, MORNING, Arc::new(chance.clone()));
        let lines = Line::of(seed);
        let is_absent =
            |name: &str| Line::ALL.iter().any(|line| !lines.contains(line) && line.contexts().contains(&name));
        let contexts: Vec<&'static Context> = all_contexts().filter(|context| !is_absent(context.name)).collect();
        let is_present = |name: &str| contexts.iter().any(|context| context.name == name);
        let subscriptions = subscriptions().iter().filter(|(name, _)| is_present(name)).cloned().collect();
        let broker = Arc::new(Broker::new(chance.clone(), subscriptions));
        let (bank, post) = (Arc::new(Bank::new(chance.clone())), Arc::new(Post::new(chance.clone())));
        OUTSIDE.set(Some((bank.clone(), post.clone())));
        let environment = environment(&runtime, SimulatedBus(broker.clone()));
        let (stores, keepers, running) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut harness =
            Harness { chance, broker, bank, post, environment, verbose, lines, contexts, stores, keepers, running };
        for context in harness.contexts.clone() {
            // Runs in other threads have other seeds, and a seed that runs twice must not find the first one's store.
            let run = runtime.ids.uuid(runtime.now());
            let thread = std::thread::current().id();
            let store = format!("sqlite:file:/{seed}-{run}-{thread:?}-{}?vfs=memdb", context.name);
            let database = Database::open(&store, context.name, &runtime).await.map_err(|error| error.to_string())?;
            context.migrate(&database).await.map_err(|error| error.to_string())?;
            harness.keepers.insert(context.name, database);
            harness.stores.insert(context.name, store);
            harness.start(context.name).await?;
        }
        Ok(harness)
    }

    async fn start(&mut self, name: &'static str) -> Result<(), String> {
        let context = self.contexts.iter().find(|context| context.name == name).ok_or("no such context")?;
        let opened = Database::open(&self.stores[name], context.name, &self.environment.runtime).await;
        let database = opened.map_err(|error| error.to_string())?;
        let running = context.start(database, &self.environment).map_err(|error| error.to_string())?;
        self.running.insert(name, running);
        Ok(())
    }

    async fn kill(&mut self, name: &str) {
        if let Some(running) = self.running.remove(name) {
            self.tell(&format!("{name} crashes"));
            running.kill().await;
        }
    }

    /// People come, contexts crash and come back.
    async fn live(&mut self) -> Result<actors::Record, String> {
        let record = Arc::default();
        let people = actors::arrive(self, &record);
        let names: Vec<&'static str> = self.contexts().collect();
        let end = tokio::time::Instant::now() + BUSY;
        let mut away: Vec<(&'static str, tokio::time::Instant)> = Vec::new();
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let mut doomed = self.chance.take_doomed();
            if self.chance.strikes(4) {
                let victim = self.chance.pick(0..names.len() as u64) as usize;
                doomed.insert(names[victim].to_owned());
            }
            for name in names.iter().copied().filter(|name| doomed.contains(*name)) {
                self.kill(name).await;
                let most_ms = if self.chance.strikes(200) { 15_000 } else { 500 };
                away.push((name, tokio::time::Instant::now() + self.chance.pause(most_ms)));
            }
            let now = tokio::time::Instant::now();
            let (back, still): (Vec<_>, Vec<_>) = away.into_iter().partition(|(_, until)| *until <= now);
            away = still;
            for (name, _) in back {
                if !self.running.contains_key(name) {
                    self.start(name).await?;
                    self.tell(&format!("{name} is back"));
                }
            }
        }
        // Everything heals: everyone crashes once more, and comes back.
        self.chance.heal();
        for name in names {
            self.kill(name).await;
            self.start(name).await?;
        }
        for person in people {
            person.await.map_err(|error| format!("somebody panicked: {error}"))?;
        }
        let record: Arc<Mutex<actors::Record>> = record;
        Ok(std::mem::take(&mut *record.lock().expect("one thread")))
    }

    /// Waits until nothing moves any more, also when what was ahead is over.
    async fn rest(&self) -> Result<(), String> {
        // Unpaid reservations lapse meanwhile.
        tokio::time::sleep(invariants::PAY_WITHIN + Duration::from_secs(5)).await;
        self.quiet().await?;
        if self.lines.contains(&Line::Stays) {
            // In one step: days of looking whether somebody is due would take too long.
            self.tell("days pass");
            tokio::time::advance(invariants::SEASON).await;
            self.quiet().await?;
        }
        Ok(())
    }

    async fn quiet(&self) -> Result<(), String> {
        let end = tokio::time::Instant::now() + PATIENCE;
        let mut quiet_for = 0;
        while quiet_for < 5 {
            if tokio::time::Instant::now() > end {
                return Err(format!(
                    "it does not come to rest: {}",
                    invariants::unrest(self).await?.unwrap_or_default()
                ));
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            quiet_for = if invariants::unrest(self).await?.is_none() { quiet_for + 1 } else { 0 };
        }
        Ok(())
    }

    async fn close(self) {
        for (_, running) in self.running {
            running.kill().await;
        }
        OUTSIDE.set(None);
    }

    /// The store of a context, to look into it.
    pub fn store(&self, name: &str) -> &Database {
        &self.keepers[name]
    }

    /// The names of the contexts that have a part in it.
    pub fn contexts(&self) -> impl Iterator<Item = &'static str> {
        self.contexts.iter().map(|context| context.name)
    }

    /// Those of the people who have something of their own with the company.
    pub fn people(&self) -> impl Iterator<Item = String> {
        let bikes = self.lines.contains(&Line::Bikes);
        actors::bikes::names().filter(move |_| bikes)
    }

    /// Says what happens, if somebody wants to know.
    pub fn tell(&self, what: &str) {
        if self.verbose {
            println!("{} {what}", self.environment.runtime.now());
        }
    }
}

fn environment(runtime: &Runtime, bus: SimulatedBus) -> Environment {
    let pay_within = invariants::PAY_WITHIN.as_secs();
    // A hold is shorter than a delay may be: now and then a reservation finds its nights taken.
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
        guard: Guard::new(Auth::Off, runtime.clock.clone(), Limits::default()),
        settings: settings.parse().expect("the settings are TOML"),
        key_retention: Duration::from_secs(7 * 86_400),
    }
}
