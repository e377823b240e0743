//! Projections: read models that a context builds from other contexts' events, without rules of its own.
//!
//! **Invariant**: a projection is a function of the events, whatever their order: rows store the sequence of the event
//! that they show, and an older event changes nothing. So a projection can be cleared and rebuilt from a history while
//! new events arrive.

use std::collections::HashSet;
use std::marker::PhantomData;

use futures::future::BoxFuture;
use futures::try_join;
use tokio::sync::{mpsc, oneshot};

use crate::bus::Subscription;
use crate::consumer::{Outcomes, React};
use crate::db::{Durability, Tx, Unit};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::idempotency::{self, Key};
use crate::runtime::{Tasks, recv_until_stopped};
use crate::telemetry;
use crate::writer::Resources;

/// A projection of events.
pub trait Projection: Send + Sync + 'static {
    /// Whether each event is applied exactly once, for which its key is kept. If not, events may be applied again,
    /// which must be harmless, and the projection can't be rebuilt.
    const EXACTLY_ONCE: bool = true;

    /// The durability of events when readers can see them. On PostgreSQL `Lazy` shows them sooner, and one flush serves
    /// many: if the database crashes before it, they disappear until the bus delivers them again, which it does because
    /// they are acknowledged after the flush.
    const DURABILITY: Durability = Durability::Lazy;

    /// The events that it is built from.
    fn subscription() -> Subscription;

    /// Applies events, in no particular order.
    fn apply(tx: Tx<'_>, events: &[Envelope]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Clears the projection.
    fn clear(tx: Tx<'_>) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Queued batches of events, at most.
const QUEUE: usize = 256;
/// Batches applied in one transaction.
const BATCHES: usize = 32;

/// Handles events by applying them to a projection. Batches of different streams that arrive while a transaction
/// commits go together into the next one.
pub(crate) struct ProjectionWorker<V> {
    queue: mpsc::Sender<Batch>,
    projection: PhantomData<fn() -> V>,
}

impl<V> Clone for ProjectionWorker<V> {
    fn clone(&self) -> Self {
        ProjectionWorker { queue: self.queue.clone(), projection: PhantomData }
    }
}

struct Batch {
    events: Vec<Envelope>,
    reply: oneshot::Sender<Result<(), Error>>,
}

impl<V: Projection> React for ProjectionWorker<V> {
    fn react<'a>(&'a self, events: &'a [Envelope]) -> BoxFuture<'a, Outcomes> {
        Box::pin(async move {
            for event in events {
                telemetry::consumed(event);
            }
            match self.submit(events.to_vec()).await {
                // One of them can't be applied: retry each alone, so that only that one fails.
                Err(Error::Internal(_)) if events.len() > 1 => {
                    let mut outcomes = Vec::with_capacity(events.len());
                    for event in events {
                        outcomes.push(self.submit(vec![event.clone()]).await);
                    }
                    outcomes
                }
                outcome => vec![outcome; events.len()],
            }
        })
    }

    fn durability(&self) -> Durability {
        V::DURABILITY
    }
}

impl<V: Projection> ProjectionWorker<V> {
    pub fn start(resources: &Resources, tasks: &Tasks) -> ProjectionWorker<V> {
        let (queue, batches) = mpsc::channel(QUEUE);
        let state = (batches, resources.clone(), tasks.clone());
        tasks.supervise(resources.context, "projection", state, |(batches, resources, tasks)| {
            Box::pin(run::<V>(batches, resources, tasks))
        });
        ProjectionWorker { queue, projection: PhantomData }
    }

    async fn submit(&self, events: Vec<Envelope>) -> Result<(), Error> {
        let (reply, outcome) = oneshot::channel();
        self.queue.send(Batch { events, reply }).await.map_err(|_| Error::Stopping)?;
        outcome.await.map_err(|_| Error::Stopping)?
    }
}

async fn run<V: Projection>(queue: &mut mpsc::Receiver<Batch>, resources: &Resources, tasks: &Tasks) {
    let mut batches = Vec::with_capacity(BATCHES);
    while recv_until_stopped(queue, &mut batches, BATCHES, tasks).await > 0 {
        let all = batches.iter().flat_map(|batch| batch.events.iter().cloned()).collect();
        let together = apply::<V>(resources, all).await;
        // One of the batches is faulty: apply each alone, so that the others succeed.
        let is_faulty = matches!(together, Err(Error::Internal(_)));
        for Batch { events, reply } in batches.drain(..) {
            let outcome = if is_faulty { apply::<V>(resources, events).await } else { together.clone() };
            // Fails if the consumer has stopped.
            let _ = reply.send(outcome);
        }
    }
}

async fn apply<V: Projection>(resources: &Resources, events: Vec<Envelope>) -> Result<(), Error> {
    let now = resources.runtime.now();
    let unit: Unit<'static, _> = Box::new(move |tx| {
        Box::pin(async move {
            if !V::EXACTLY_ONCE {
                return V::apply(tx, &events).await;
            }
            let keys: Vec<Key> = events.iter().map(key).collect();
            let known = idempotency::find(tx, &keys).await?;
            let mut seen = HashSet::new();
            let fresh: Vec<Envelope> = events
                .into_iter()
                .filter(|event| known.answer(key(event)).is_none() && seen.insert(event.event_id))
                .collect();
            if fresh.is_empty() {
                return Ok(());
            }
            let rows: Vec<_> = fresh.iter().map(|event| key(event).row(Vec::new(), now)).collect();
            try_join!(V::apply(tx, &fresh), idempotency::write(tx, &rows))?;
            Ok(())
        })
    });
    resources.database.write(resources.database.flushable(V::DURABILITY), unit).await
}

fn key(event: &Envelope) -> Key {
    Key::event(event.event_id, b"view")
}

/// The source of events for a rebuild.
pub trait History: Send + Sync {
    /// The events after a position, in order, with the position to go on from; none when there are no more for now.
    fn after(&self, position: i64) -> BoxFuture<'_, Result<(Vec<Envelope>, i64), Error>>;
}

/// Rebuilds a projection.
pub(crate) trait Rebuild: Send + Sync {
    /// Clears the projection and fills it from its history. Returns the number of events.
    fn rebuild(&self) -> BoxFuture<'_, Result<i64, Error>>;
}

pub(crate) struct Rebuilder<V> {
    pub resources: Resources,
    pub worker: ProjectionWorker<V>,
    pub history: Box<dyn History>,
}

/// How often, and with what pauses, a history is polled for events that the projection had applied already.
const PATIENCE: u32 = 100;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

impl<V: Projection> Rebuild for Rebuilder<V> {
    fn rebuild(&self) -> BoxFuture<'_, Result<i64, Error>> {
        Box::pin(async move {
            let mut missing = self.clear().await?;
            let (mut position, mut count) = (0, 0);
            for _ in 0..PATIENCE {
                loop {
                    let (events, next) = self.history.after(position).await?;
                    if next == position {
                        break;
                    }
                    position = next;
                    let subscribed: Vec<Envelope> =
                        events.into_iter().filter(|e| V::subscription().matches(&e.kind)).collect();
                    count += subscribed.len() as i64;
                    for event in &subscribed {
                        missing.remove(&key(event).id());
                    }
                    self.apply(subscribed).await?;
                }
                if missing.is_empty() {
                    self.resources.database.flush(std::time::Duration::ZERO).await?;
                    return Ok(count);
                }
                // The projection had applied events that the history does not have yet.
                tokio::time::sleep(PAUSE).await;
            }
            Err(Error::Unavailable(format!(
                "the history lacks {} events that the projection had applied",
                missing.len()
            )))
        })
    }
}

impl<V: Projection> Rebuilder<V> {
    /// Clears the projection. Returns the keys of events that it had applied lately: the history may not have them yet.
    async fn clear(&self) -> Result<HashSet<uuid::Uuid>, Error> {
        for _ in 1..PATIENCE {
            match self.try_clear().await {
                // Live events arrived at the same time; now their keys are known.
                Err(Error::Conflict) => tokio::task::yield_now().await,
                outcome => return outcome,
            }
        }
        self.try_clear().await
    }

    async fn try_clear(&self) -> Result<HashSet<uuid::Uuid>, Error> {
        const LATELY: std::time::Duration = std::time::Duration::from_secs(600);
        let since = self.resources.runtime.now() - LATELY;
        let unit: Unit<'static, _> = Box::new(move |tx| {
            Box::pin(async move {
                let lately = idempotency::since(tx, since).await?;
                V::clear(tx).await?;
                idempotency::clear(tx).await?;
                Ok(lately)
            })
        });
        self.resources.database.write(Durability::Full, unit).await
    }

    async fn apply(&self, events: Vec<Envelope>) -> Result<(), Error> {
        loop {
            match self.worker.submit(events.clone()).await {
                // A live event arrived at the same time.
                Err(Error::Conflict) => tokio::task::yield_now().await,
                outcome => return outcome,
            }
        }
    }
}
