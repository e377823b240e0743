//! A simulated broker: it never loses a confirmed event, but it delays, duplicates and reorders events and loses
//! confirmations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::Envelope;
use chassis::bus::{Bus, BusError, Consumer, PublishError, Subscription};
use chassis::envelope::PARTITIONS;
use chassis::runtime::Tasks;
use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::faults::SimulationRandom;

/// The broker. It runs outside of the contexts, so their crashes do not affect it.
pub struct Broker {
    random: SimulationRandom,
    subscriptions: Vec<(&'static str, Subscription)>,
    queues: Mutex<BTreeMap<(&'static str, u64), VecDeque<Envelope>>>,
    arrived: BTreeMap<(&'static str, u64), Notify>,
    /// The turn of the single active consumer of each queue.
    turns: BTreeMap<(&'static str, u64), tokio::sync::Mutex<()>>,
    /// All confirmed events.
    confirmed: Mutex<BTreeSet<uuid::Uuid>>,
    /// The number of delayed events.
    delayed: AtomicU64,
}

impl Broker {
    pub fn new(random: SimulationRandom, subscriptions: Vec<(&'static str, Subscription)>) -> Broker {
        let keys =
            || subscriptions.iter().flat_map(|(context, _)| (0..PARTITIONS).map(|partition| (*context, partition)));
        Broker {
            random,
            queues: Mutex::new(keys().map(|key| (key, VecDeque::new())).collect()),
            arrived: keys().map(|key| (key, Notify::new())).collect(),
            turns: keys().map(|key| (key, tokio::sync::Mutex::default())).collect(),
            subscriptions,
            confirmed: Mutex::default(),
            delayed: AtomicU64::new(0),
        }
    }

    /// Whether no event is in flight.
    pub fn is_empty(&self) -> bool {
        self.delayed.load(Ordering::Relaxed) == 0 && self.lock().values().all(VecDeque::is_empty)
    }

    /// The ids of all confirmed events.
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
            // Late, like a replayed dead letter: long after the events that followed it.
            if self.random.fault(30) {
                self.delayed.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(self.clone().delay(key, event.clone(), self.random.pause(15_000)));
                continue;
            }
            let mut queues = self.lock();
            let queue = queues.entry(key).or_default();
            queue.push_back(event.clone());
            // Duplicated, with the second copy anywhere in the queue.
            if self.random.fault(30) {
                let place = self.random.pick(0..queue.len() as u64 + 1) as usize;
                queue.insert(place, event.clone());
            }
            // Reordered.
            if queue.len() > 1 && self.random.fault(30) {
                let (a, b) = (self.random.pick(0..queue.len() as u64), self.random.pick(0..queue.len() as u64));
                queue.swap(a as usize, b as usize);
            }
            drop(queues);
            self.arrived[&key].notify_one();
        }
    }

    async fn delay(self: Arc<Self>, key: (&'static str, u64), event: Envelope, pause: Duration) {
        tokio::time::sleep(pause).await;
        self.lock().entry(key).or_default().push_back(event);
        self.delayed.fetch_sub(1, Ordering::Relaxed);
        self.arrived[&key].notify_one();
    }

    async fn deliver(self: Arc<Self>, consumer: Consumer, partition: u64, tasks: Tasks) {
        let key = (consumer.context, partition);
        let _turn = self.turns[&key].lock().await;
        while !tasks.is_stopping() {
            let size = self.random.pick(1..9) as usize;
            let batch: Vec<Envelope> = self.lock()[&key].iter().take(size).cloned().collect();
            if batch.is_empty() {
                self.arrived[&key].notified().await;
                continue;
            }
            tokio::time::sleep(self.random.pause(20)).await;
            let count = batch.len();
            if consumer.handler.handle(batch.clone()).await.is_err() {
                return;
            }
            // The acknowledgement is lost: the whole batch is redelivered.
            if self.random.fault(20) {
                continue;
            }
            if let Some(queue) = self.lock().get_mut(&key) {
                // The queue may have changed meanwhile: remove each handled event once.
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
    fn publish<'a>(&'a self, _: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), PublishError>> {
        let broker = &self.0;
        Box::pin(async move {
            tokio::time::sleep(broker.random.pause(10)).await;
            if broker.random.fault(30) {
                return Err(BusError("the broker is down".to_owned()).into());
            }
            // Some of them arrive, but the publisher gets a confirmation of fewer.
            let cut_off = broker.random.fault(20).then(|| broker.random.pick(0..events.len() as u64 + 1) as usize);
            events.iter().take(cut_off.unwrap_or(events.len())).for_each(|event| broker.enqueue(event));
            match cut_off {
                Some(arrived) => Err(PublishError {
                    published: broker.random.pick(0..arrived as u64 + 1) as usize,
                    error: BusError("the connection broke".to_owned()),
                }),
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
