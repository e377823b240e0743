//! Stores of both kinds, and a bus that records published events and delivers those of a test.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::access::{Calls, Guard, Limits};
use chassis::auth::Auth;
use chassis::bus::{Bus, BusError, Consumer, PublishError};
use chassis::context::{Context, Environment, Running};
use chassis::db::Database;
use chassis::dead_letters::{self, DeadLetter};
use chassis::identity::Identity;
use chassis::peer::{self, Peers};
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::writer::Resources;
use chassis::{CommandMessage, Envelope, Writer};
use contracts::place::v1::Place;
use futures::future::BoxFuture;
use prost::{Message as _, Name as _};

use crate::tally::{Command, TALLY, Tally, TallyId};

/// How long something that must happen may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until there is a value.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Runs a test on a store of each kind, which is new and has the tables of a context.
pub async fn on_each_store(context: &'static Context, test: impl AsyncFn(Store)) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let name = format!("plumbing_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let sqlite = format!("sqlite:{}/{name}.db", env!("CARGO_TARGET_TMPDIR"));
    for url in [sqlite, format!("{server}{name}")] {
        let runtime = Runtime::real();
        let database = Database::open(&url, context.name, &runtime).await.unwrap();
        context.migrate(&database).await.unwrap();
        test(Store { context, database, runtime }).await;
    }
}

/// A store for a test.
pub struct Store {
    pub context: &'static Context,
    pub database: Database,
    pub runtime: Runtime,
}

impl Store {
    /// What the workers of a context share.
    pub fn resources(&self) -> Resources {
        let (database, runtime) = (self.database.clone(), self.runtime.clone());
        Resources {
            context: self.context.name,
            database,
            runtime,
            sealing: SealingKeys::default(),
            published: Arc::default(),
        }
    }

    /// A writer without a context.
    pub fn writer(&self, tasks: &Tasks) -> Writer<Tally> {
        Writer::start(&self.resources(), tasks)
    }

    /// A new id.
    pub fn id(&self) -> TallyId {
        self.runtime.ids.mint(self.runtime.now())
    }

    /// The stored count of a tally.
    pub async fn count(&self, id: TallyId) -> Option<i64> {
        let reader = self.database.reader().await.unwrap();
        let mut request = chassis::LoadRequest::<Tally>::new();
        request.add(id, None);
        let loaded = <Tally as chassis::Store>::load(reader.tx(), &request).await.unwrap();
        loaded.first().map(|loaded| loaded.state.count)
    }

    /// The dead letters.
    pub async fn dead_letters(&self) -> Vec<DeadLetter> {
        let reader = self.database.reader().await.unwrap();
        dead_letters::list(reader.tx(), None, 100).await.unwrap()
    }

    /// Starts the context on this store.
    pub fn start(&self) -> (Running, TestBus) {
        self.start_pruning(None)
    }

    /// Starts the context on this store, with a retention of dead letters.
    pub fn start_pruning(&self, dead_letter_retention: Option<Duration>) -> (Running, TestBus) {
        self.start_with(|environment| environment.dead_letter_retention = dead_letter_retention)
    }

    /// Starts the context on this store, in an environment that a function changes.
    pub fn start_with(&self, change: impl FnOnce(&mut Environment)) -> (Running, TestBus) {
        let bus = TestBus::default();
        let mut environment = Environment {
            runtime: self.runtime.clone(),
            bus: Arc::new(bus.clone()),
            peers: Peers::default(),
            identity: Identity::Named,
            limits: peer::Limits::default(),
            guard: Guard::new(Auth::Off, self.runtime.clock.clone(), Limits::default(), Calls::default()),
            settings: toml::Table::new(),
            sealing: SealingKeys::default(),
            key_retention: Duration::from_secs(3_600),
            dead_letter_retention: None,
            erasure_delay: Duration::from_secs(600),
        };
        change(&mut environment);
        (self.context.start(self.database.clone(), &environment).unwrap(), bus)
    }

    /// An event of another context: a place with this name.
    pub fn place(&self, name: &str) -> Envelope {
        let now = self.runtime.now();
        let id = self.runtime.ids.uuid(now);
        Envelope {
            event_id: id,
            kind: Place::full_name(),
            source: "another".to_owned(),
            subject: "1".to_owned(),
            at: now,
            correlation_id: id,
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: Place { name: name.to_owned(), ..Place::default() }.encode_to_vec(),
        }
    }
}

/// A command without a key.
pub fn message(id: TallyId, command: Command) -> CommandMessage<Tally> {
    CommandMessage { id, command, key: None, cause: chassis::Cause::default() }
}

/// A bus that records published events, and delivers those of a test.
#[derive(Clone)]
pub struct TestBus(Arc<Inner>);

struct Inner {
    published: Mutex<Vec<Envelope>>,
    consumer: Mutex<Option<Consumer>>,
    /// Events that an attempt publishes, at most.
    capacity: AtomicUsize,
    attempts: AtomicU32,
}

impl Default for TestBus {
    fn default() -> TestBus {
        TestBus(Arc::new(Inner {
            published: Mutex::default(),
            consumer: Mutex::default(),
            capacity: AtomicUsize::new(usize::MAX),
            attempts: AtomicU32::default(),
        }))
    }
}

impl TestBus {
    /// What was published, in order.
    pub fn published(&self) -> Vec<Envelope> {
        self.0.published.lock().unwrap().clone()
    }

    /// The number of attempts to publish.
    pub fn attempts(&self) -> u32 {
        self.0.attempts.load(Ordering::SeqCst)
    }

    /// Makes attempts fail after this many events, or before the first.
    pub fn set_capacity(&self, events: usize) {
        self.0.capacity.store(events, Ordering::SeqCst);
    }

    /// Delivers events to the context, and waits until it has handled them.
    pub async fn deliver(&self, events: Vec<Envelope>) {
        let handler = self.0.consumer.lock().unwrap().as_ref().expect("the context subscribes").handler.clone();
        handler.handle(events).await.expect("the context is not stopping");
    }
}

impl Bus for TestBus {
    fn publish<'a>(&'a self, _: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), PublishError>> {
        self.0.attempts.fetch_add(1, Ordering::SeqCst);
        let published = self.0.capacity.load(Ordering::SeqCst).min(events.len());
        self.0.published.lock().unwrap().extend(events.iter().take(published).cloned());
        let failed = PublishError { published, error: BusError("the test has it away".into()) };
        let outcome = if published == events.len() { Ok(()) } else { Err(failed) };
        Box::pin(std::future::ready(outcome))
    }

    fn consume(&self, consumer: Consumer, _: &Tasks) {
        consumer.bus.set(true);
        *self.0.consumer.lock().unwrap() = Some(consumer);
    }
}

/// The context that counts.
pub static COUNTING: Context = TALLY;
