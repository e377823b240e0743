//! The bus within one process.
//!
//! It stores nothing: an event stays in its outbox until every subscribed context has it on disk, so what a crash
//! interrupts is published again after the start. For that all contexts must be in the process, and it must know those
//! that have not started yet: an event that one of them subscribes to waits for it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::bus::{Bus, BusError, Consumer, Handler, PublishError, Subscription};
use crate::envelope::{Envelope, PARTITIONS};
use crate::runtime::Tasks;

/// Queued deliveries of one stream of one context, at most; then the publisher waits.
const QUEUE: usize = 64;
/// Deliveries handled together.
const BATCH: usize = 64;

/// The bus within one process.
pub struct Local {
    subscriptions: Vec<(&'static str, Subscription)>,
    started: Mutex<BTreeMap<&'static str, Streams>>,
}

#[derive(Clone)]
struct Streams {
    consumer: Consumer,
    deliveries: Vec<mpsc::Sender<Delivery>>,
}

/// Events of one stream, and the acknowledgement that they were handled.
struct Delivery {
    events: Vec<Envelope>,
    handled: oneshot::Sender<()>,
}

impl Bus for Local {
    fn publish<'a>(&'a self, _source: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let consumers = self.interested(events)?;
            let mut handled = Vec::new();
            // All deliveries are enqueued before any is awaited, so no context receives an effect before its cause.
            for Streams { consumer, deliveries } in &consumers {
                for (partition, events) in by_partition(events, consumer) {
                    let (acknowledge, acknowledged) = oneshot::channel();
                    let delivery = Delivery { events, handled: acknowledge };
                    deliveries[partition].send(delivery).await.map_err(|_| gone(consumer.context))?;
                    handled.push((consumer.context, acknowledged));
                }
            }
            for (context, acknowledged) in handled {
                acknowledged.await.map_err(|_| gone(context))?;
            }
            Ok(())
        })
    }

    fn consume(&self, consumer: Consumer, tasks: &Tasks) {
        let start_stream = |_| {
            let (deliveries, queue) = mpsc::channel(QUEUE);
            let state = (queue, consumer.clone(), tasks.clone());
            tasks.supervise(consumer.context, "consumer", state, |(queue, consumer, tasks)| {
                Box::pin(run(queue, consumer, tasks))
            });
            deliveries
        };
        let deliveries = (0..PARTITIONS).map(start_stream).collect();
        consumer.bus.set(true);
        self.lock().insert(consumer.context, Streams { consumer, deliveries });
    }
}

impl Local {
    /// A bus for contexts with these subscriptions, all of which start eventually.
    pub fn new(subscriptions: Vec<(&'static str, Subscription)>) -> Local {
        Local { subscriptions, started: Mutex::default() }
    }

    /// The contexts that subscribe to any of the events. All of them must have started.
    fn interested(&self, events: &[Envelope]) -> Result<Vec<Streams>, BusError> {
        let started = self.lock();
        let wants = |subscription: &Subscription| events.iter().any(|event| subscription.matches(&event.kind));
        let interested = self.subscriptions.iter().filter(|(_, subscription)| wants(subscription));
        let streams = interested.map(|(context, _)| started.get(context).cloned().ok_or(*context));
        streams.collect::<Result<_, _>>().map_err(|missing| BusError(format!("{missing} has not started yet")))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Streams>> {
        self.started.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn gone(context: &str) -> BusError {
    BusError(format!("{context} is stopping"))
}

fn by_partition(events: &[Envelope], consumer: &Consumer) -> BTreeMap<usize, Vec<Envelope>> {
    let mut streams: BTreeMap<usize, Vec<Envelope>> = BTreeMap::new();
    for event in events.iter().filter(|event| consumer.subscription.matches(&event.kind)) {
        streams.entry(event.partition() as usize).or_default().push(event.clone());
    }
    streams
}

async fn run(queue: &mut mpsc::Receiver<Delivery>, consumer: &Consumer, tasks: &Tasks) {
    let handler: &dyn Handler = &*consumer.handler;
    let mut deliveries = Vec::with_capacity(BATCH);
    loop {
        let received = tokio::select! {
            biased;
            () = tasks.stopping() => return,
            received = queue.recv_many(&mut deliveries, BATCH) => received,
        };
        if received == 0 {
            return;
        }
        let (events, acknowledged): (Vec<_>, Vec<_>) =
            deliveries.drain(..).map(|delivery| (delivery.events, delivery.handled)).unzip();
        if handler.handle(events.concat()).await.is_err() {
            return;
        }
        if let Err(error) = handler.flush(Duration::ZERO).await {
            tracing::warn!(context = consumer.context, error = %error.for_log(), "handled events are not on disk yet; they are delivered again");
            continue;
        }
        for acknowledged in acknowledged {
            // A relay that stopped waiting publishes them again; their idempotency keys are known then.
            let _ = acknowledged.send(());
        }
    }
}
