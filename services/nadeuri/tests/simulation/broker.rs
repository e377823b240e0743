//! A broker as it is in a bad week: it keeps what it confirmed, and everything else goes wrong.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::Envelope;
use chassis::bus::{Bus, BusError, Consumer, Subscription};
use chassis::envelope::PARTITIONS;
use chassis::runtime::Tasks;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::faults::Chance;

/// A broker outside of the contexts: their crashes don't touch it.
pub struct Broker {
    chance: Chance,
    subscriptions: Vec<(&'static str, Subscription)>,
    queues: Mutex<BTreeMap<(&'static str, u64), VecDeque<Envelope>>>,
    arrived: BTreeMap<(&'static str, u64), Notify>,
    /// Every event that was ever confirmed.
    confirmed: Mutex<BTreeSet<uuid::Uuid>>,
    /// How many are held back.
    held: AtomicU64,
}

impl Broker {
    pub fn new(chance: Chance, subscriptions: Vec<(&'static str, Subscription)>) -> Broker {
        let keys = || subscriptions.iter().flat_map(|(context, _)| (0..PARTITIONS).map(|partition| (*context, partition)));
        Broker {
            chance,
            queues: Mutex::new(keys().map(|key| (key, VecDeque::new())).collect()),
            arrived: keys().map(|key| (key, Notify::new())).collect(),
            subscriptions,
            confirmed: Mutex::default(),
            held: AtomicU64::new(0),
        }
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.held.load(Ordering::Relaxed) == 0 && self.lock().values().all(VecDeque::is_empty)
    }

    /// The ids of all events that it took.
    pub fn confirmed(&self) -> BTreeSet<uuid::Uuid> {
        self.confirmed.lock().expect("one thread").clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, u64), VecDeque<Envelope>>> {
        self.queues.lock().expect("one thread")
    }

    fn enqueue(self: &Arc<Self>, event: &Envelope) {
        self.confirmed.lock().expect("one thread").insert(event.event_id);
        for (context, _) in self.subscriptions.iter().filter(|(_, subscription)| subscription.matches(&event.kind)) {
            let key = (*context, event.partition());
            // As a dead letter that is replayed: long after what it came before.
            if self.chance.strikes(30) {
                self.held.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(self.clone().hold(key, event.clone(), self.chance.pause(15_000)));
                continue;
            }
            let mut queues = self.lock();
            let queue = queues.entry(key).or_default();
            queue.push_back(event.clone());
            // Twice, the second one anywhere in the queue.
            if self.chance.strikes(30) {
                let place = self.chance.pick(0..queue.len() as u64 + 1) as usize;
                queue.insert(place, event.clone());
            }
            // Before or behind what it does not belong.
            if queue.len() > 1 && self.chance.strikes(30) {
                let (a, b) = (self.chance.pick(0..queue.len() as u64), self.chance.pick(0..queue.len() as u64));
                queue.swap(a as usize, b as usize);
            }
            drop(queues);
            self.arrived[&key].notify_one();
        }
    }

    async fn hold(self: Arc<Self>, key: (&'static str, u64), event: Envelope, pause: Duration) {
        tokio::time::sleep(pause).await;
        self.lock().entry(key).or_default().push_back(event);
        self.held.fetch_sub(1, Ordering::Relaxed);
        self.arrived[&key].notify_one();
    }

    async fn deliver(self: Arc<Self>, consumer: Consumer, partition: u64, tasks: Tasks) {
        let key = (consumer.context, partition);
        while !tasks.is_stopping() {
            let size = self.chance.pick(1..9) as usize;
            let batch: Vec<Envelope> = self.lock()[&key].iter().take(size).cloned().collect();
            if batch.is_empty() {
                self.arrived[&key].notified().await;
                continue;
            }
            tokio::time::sleep(self.chance.pause(20)).await;
            let count = batch.len();
            if consumer.handler.handle(batch.clone()).await.is_err() {
                return;
            }
            // The acknowledgement is lost: all of it comes again.
            if self.chance.strikes(20) {
                continue;
            }
            if let Some(queue) = self.lock().get_mut(&key) {
                // New ones may have been put among them; what was handled is taken out, once each.
                for event in batch.iter().take(count) {
                    if let Some(place) = queue.iter().position(|queued| queued.event_id == event.event_id) {
                        queue.remove(place);
                    }
                }
            }
        }
    }
}

/// The bus of a simulated process.
#[derive(Clone)]
pub struct SimulatedBus(pub Arc<Broker>);

impl Bus for SimulatedBus {
    fn publish<'a>(&'a self, _: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), BusError>> {
        let broker = &self.0;
        Box::pin(async move {
            tokio::time::sleep(broker.chance.pause(10)).await;
            if broker.chance.strikes(30) {
                return Err(BusError("the broker is away".to_owned()));
            }
            // Some of them arrive, and the publisher does not hear of it.
            let torn = broker.chance.strikes(20).then(|| broker.chance.pick(0..events.len() as u64 + 1) as usize);
            events.iter().take(torn.unwrap_or(events.len())).for_each(|event| broker.enqueue(event));
            match torn {
                Some(_) => Err(BusError("the connection broke".to_owned())),
                None => Ok(()),
            }
        })
    }

    fn consume(&self, consumer: Consumer, tasks: &Tasks) {
        consumer.bus.set(true);
        for partition in 0..PARTITIONS {
            tasks.spawn(self.0.clone().deliver(consumer.clone(), partition, tasks.clone()));
        }
    }
}
