//! The one path by which state changes: many commands, one transaction.
//!
//! Commands that arrive while a transaction commits go together into the next one: load many, decide each, save many,
//! append many to the outbox, answer each. There is no waiting when idle, so one command alone is as fast as ever.
//! Commands for one aggregate go to one lane and are decided in the order in which they came.
//!
//! **Invariant**: an aggregate, its events and the keys of its commands are written together or not at all.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use futures::try_join;
use prost::Message;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::aggregate::{Aggregate, Cause, Change, Publication, Store, Wanted};
use crate::db::{Database, Durability, Tx, Unit, postgres};
use crate::done::{self, DoneRow, Key, Known};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::outbox;
use crate::world::{Tasks, World, recv_until_stopped};

/// Commands in one transaction, at most.
const BATCH: usize = 256;
/// Commands that wait for a lane, at most; more are told that it is busy.
const QUEUE: usize = 4096;
/// Lanes on PostgreSQL. Two keep its disk busy; SQLite has one writer.
const POSTGRES_LANES: usize = 2;
/// How often a batch is decided anew when another process changed the same aggregates.
const ATTEMPTS: u32 = 8;

/// A command for an aggregate.
#[derive(Clone)]
pub struct Intent<A: Aggregate> {
    /// Which aggregate.
    pub id: A::Id,
    /// What it is told to do.
    pub command: A::Command,
    /// Makes it happen once, however often it comes.
    pub key: Option<Key>,
    /// Where it comes from.
    pub cause: Cause,
}

/// Takes commands for the aggregates of one kind.
pub struct Writer<A: Store> {
    database: Database,
    lanes: Arc<[mpsc::Sender<Job<A>>]>,
}

impl<A: Store> Clone for Writer<A> {
    fn clone(&self) -> Self {
        Writer { database: self.database.clone(), lanes: self.lanes.clone() }
    }
}

type Reply<A> = oneshot::Sender<Result<<A as Store>::Answer, Error>>;

struct Job<A: Store> {
    intent: Intent<A>,
    reply: Reply<A>,
}

/// What the lanes of a context share.
#[derive(Clone)]
pub struct Scene {
    /// The context's name: the source of its events.
    pub context: &'static str,
    /// Its store.
    pub database: Database,
    /// Time and chance.
    pub world: World,
    /// Wakes the relay when there are new events.
    pub published: Arc<Notify>,
}

impl<A: Store> Writer<A> {
    /// Starts the lanes.
    pub fn start(scene: &Scene, tasks: &Tasks) -> Writer<A> {
        let lanes = match scene.database {
            Database::Postgres(_) => POSTGRES_LANES,
            Database::Sqlite(_) => 1,
        };
        let start_lane = |_| {
            let (jobs, queue) = mpsc::channel(QUEUE);
            let lane = Lane { scene: scene.clone(), connection: None };
            tasks.spawn(lane.run(queue, tasks.clone()));
            jobs
        };
        Writer { database: scene.database.clone(), lanes: (0..lanes).map(start_lane).collect() }
    }

    /// Has a command obeyed, and answers when it is on disk.
    pub async fn handle(&self, intent: Intent<A>) -> Result<A::Answer, Error> {
        self.enqueue(intent)?.await
    }

    /// The first answer to a request that was obeyed before: to be asked for before anything is done outside of the store.
    pub async fn first_answer(&self, key: Option<Key>) -> Result<Option<A::Answer>, Error> {
        let Some(key) = key else { return Ok(None) };
        let reader = self.database.reader().await?;
        let known = done::find(reader.tx(), &[key]).await?;
        match known.answer(key) {
            Some(first) => decode::<A>(first?).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a command in line. What is enqueued for one aggregate is obeyed in that order; the future is its answer.
    pub fn enqueue(&self, intent: Intent<A>) -> Result<impl Future<Output = Result<A::Answer, Error>> + use<A>, Error> {
        let (reply, answered) = oneshot::channel();
        let lane = &self.lanes[lane_of(&intent.id, self.lanes.len())];
        lane.try_send(Job { intent, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { what: "the queue of commands" },
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })?;
        Ok(async move { answered.await.map_err(|_| Error::Stopping)? })
    }
}

fn decode<A: Store>(answer: &[u8]) -> Result<A::Answer, Error> {
    A::Answer::decode(answer).map_err(|error| Error::Internal(format!("a kept answer is corrupt: {error}")))
}

fn lane_of(id: &impl Hash, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() % lanes as u64) as usize
}

struct Lane {
    scene: Scene,
    /// On PostgreSQL, its own connection; opened when needed.
    connection: Option<AsyncPgConnection>,
}

impl Lane {
    async fn run<A: Store>(mut self, mut queue: mpsc::Receiver<Job<A>>, tasks: Tasks) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = recv_until_stopped(&mut queue, &mut batch, BATCH, &tasks).await;
            if received == 0 {
                return;
            }
            let (intents, replies): (Vec<_>, Vec<_>) = batch.drain(..).map(|job| (job.intent, job.reply)).unzip();
            let outcomes = self.obey(Arc::new(intents)).await;
            for (reply, outcome) in std::iter::zip(replies, outcomes) {
                // Who no longer waits has hung up; the command was obeyed all the same.
                let _ = reply.send(outcome);
            }
        }
    }

    async fn obey<A: Store>(&mut self, intents: Arc<Vec<Intent<A>>>) -> Vec<Result<A::Answer, Error>> {
        match self.obey_together(intents.clone()).await {
            Ok(outcomes) => outcomes,
            // One of them can't be written, or panics: alone, it fails alone.
            Err(Error::Internal(_)) if intents.len() > 1 => {
                let mut outcomes = Vec::with_capacity(intents.len());
                for index in 0..intents.len() {
                    outcomes.extend(self.obey_alone(&intents, index).await);
                }
                outcomes
            }
            Err(error) => vec![Err(error); intents.len()],
        }
    }

    async fn obey_alone<A: Store>(
        &mut self,
        intents: &Arc<Vec<Intent<A>>>,
        index: usize,
    ) -> Vec<Result<A::Answer, Error>> {
        let one = Slice { intents: intents.clone(), from: index, to: index + 1 };
        self.attempt(one).await.unwrap_or_else(|error| vec![Err(error)])
    }

    async fn obey_together<A: Store>(
        &mut self,
        intents: Arc<Vec<Intent<A>>>,
    ) -> Result<Vec<Result<A::Answer, Error>>, Error> {
        let to = intents.len();
        self.attempt(Slice { intents, from: 0, to }).await
    }

    /// Tries a batch until nobody else changes the same aggregates meanwhile.
    async fn attempt<A: Store>(&mut self, slice: Slice<A>) -> Result<Vec<Result<A::Answer, Error>>, Error> {
        for attempt in 1.. {
            match self.transact(slice.clone()).await {
                Err(Error::Conflict) if attempt < ATTEMPTS => {
                    let pause = Duration::from_millis(1 << attempt);
                    tokio::time::sleep(self.scene.world.jitter(pause)).await;
                }
                Err(error) => return Err(error),
                Ok((outcomes, has_events)) => {
                    if has_events {
                        self.scene.published.notify_one();
                    }
                    return Ok(outcomes);
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn transact<A: Store>(&mut self, slice: Slice<A>) -> Result<(Vec<Result<A::Answer, Error>>, bool), Error> {
        let Scene { context, world, database, .. } = self.scene.clone();
        let unit_world = world.clone();
        let unit: Unit<'static, _> =
            Box::new(move |tx| Box::pin(async move { Desk::work(tx, slice.intents(), context, &unit_world).await }));
        let postgres = match &database {
            Database::Sqlite(_) => return database.write(Durability::Full, unit).await,
            Database::Postgres(postgres) => postgres,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => postgres.connect().await?,
        };
        let outcome = postgres::transact(&mut connection, Durability::Full, unit, &world, context).await;
        if !matches!(outcome, Err(Error::Unavailable(_))) {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// Some of a batch, shared by the attempts at it.
struct Slice<A: Aggregate> {
    intents: Arc<Vec<Intent<A>>>,
    from: usize,
    to: usize,
}

impl<A: Aggregate> Slice<A> {
    fn intents(&self) -> &[Intent<A>] {
        &self.intents[self.from..self.to]
    }
}

impl<A: Aggregate> Clone for Slice<A> {
    fn clone(&self) -> Self {
        Slice { intents: self.intents.clone(), ..*self }
    }
}

/// An aggregate on the desk.
struct Slot<A: Aggregate> {
    state: Option<A>,
    read: i64,
    events: Vec<A::Event>,
}

/// A transaction at work: what was read, and what is to be written.
struct Desk<'a, A: Store> {
    slots: BTreeMap<A::Id, Slot<A>>,
    known: Known,
    done: Vec<DoneRow>,
    envelopes: Vec<Envelope>,
    context: &'static str,
    world: &'a World,
}

impl<A: Store> Desk<'_, A> {
    /// Obeys the commands in order; returns an outcome for each, and whether there are new events.
    async fn work(
        tx: Tx<'_>,
        intents: &[Intent<A>],
        context: &'static str,
        world: &World,
    ) -> Result<(Vec<Result<A::Answer, Error>>, bool), Error> {
        let keys: Vec<Key> = intents.iter().filter_map(|intent| intent.key).collect();
        let mut wanted = Wanted::new();
        for intent in intents {
            wanted.add(intent.id, Some(&intent.command));
        }
        let (known, loaded) = try_join!(done::find(tx, &keys), A::load(tx, &wanted))?;
        let slot = |state, read| Slot { state, read, events: Vec::new() };
        let mut slots: BTreeMap<A::Id, Slot<A>> = wanted.ids().into_iter().map(|id| (id, slot(None, 0))).collect();
        slots.extend(loaded.into_iter().map(|loaded| (loaded.id, slot(Some(loaded.state), loaded.version))));

        let mut desk = Desk { slots, known, done: Vec::new(), envelopes: Vec::new(), context, world };
        // A panic in the rules is a fault of one command; the lane must outlive it.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let outcomes: Vec<_> = intents.iter().map(|intent| desk.obey(intent)).collect();
            (outcomes, desk)
        }));
        let (outcomes, desk) = decided.map_err(|_| Error::Internal(format!("a rule of {context} panicked")))?;
        let has_events = !desk.envelopes.is_empty();
        desk.write(tx).await?;
        Ok((outcomes, has_events))
    }

    fn obey(&mut self, intent: &Intent<A>) -> Result<A::Answer, Error> {
        if let Some(key) = intent.key
            && let Some(first) = self.known.answer(key)
        {
            return decode::<A>(first?);
        }
        let now = self.world.now();
        let slot = self.slots.get_mut(&intent.id).ok_or_else(|| Error::Internal("it was not loaded".into()))?;
        let decided = A::decide(slot.state.as_ref(), &intent.command, now);
        let events = match decided {
            Ok(events) => events,
            Err(refusal) => {
                self.remember(intent.key.filter(|key| key.is_event), Vec::new());
                return Err(Error::refused(&refusal));
            }
        };
        for event in events {
            let mut state = A::evolve(slot.state.take(), &event);
            let sequence = slot.read + slot.events.len() as i64 + 1;
            let publication = state.publish(&event);
            let envelope = publication.map(|told| enclose(told, &intent.cause, sequence, self.context, self.world));
            if let Some(id) = envelope.as_ref().map(|envelope| envelope.event_id).or(intent.cause.causation) {
                state.note(&event, Id::new(id));
            }
            self.envelopes.extend(envelope);
            slot.events.push(event);
            slot.state = Some(state);
        }
        let Some(state) = &slot.state else {
            // It does not exist and the command is content with that.
            self.remember(intent.key, Vec::new());
            return Ok(A::Answer::default());
        };
        let answer = state.answer(&intent.command);
        self.remember(intent.key, if intent.key.is_some() { answer.encode_to_vec() } else { Vec::new() });
        Ok(answer)
    }

    fn remember(&mut self, key: Option<Key>, answer: Vec<u8>) {
        let Some(key) = key else { return };
        self.known.learn(key, answer.clone());
        self.done.push(key.row(answer, self.world.now()));
    }

    async fn write(self, tx: Tx<'_>) -> Result<(), Error> {
        let changed = self.slots.iter().filter(|(_, slot)| !slot.events.is_empty());
        let changes: Vec<Change<'_, A>> = changed
            .filter_map(|(id, slot)| {
                let version = slot.read + slot.events.len() as i64;
                Some(Change { id: *id, state: slot.state.as_ref()?, events: &slot.events, read: slot.read, version })
            })
            .collect();
        let save = async { if changes.is_empty() { Ok(()) } else { A::save(tx, &changes).await } };
        try_join!(save, outbox::append(tx, self.envelopes), done::write(tx, &self.done))?;
        Ok(())
    }
}

fn enclose(publication: Publication, cause: &Cause, sequence: i64, context: &'static str, world: &World) -> Envelope {
    let at = world.now();
    let event_id = world.ids.uuid(at);
    Envelope {
        event_id,
        kind: publication.kind,
        source: context.to_owned(),
        subject: publication.subject,
        at,
        correlation_id: publication.flow.or(cause.correlation).unwrap_or(event_id),
        causation_id: cause.causation.or(publication.after.filter(|_| cause.is_time).map(Id::uuid)),
        sequence,
        traceparent: cause.traceparent.clone(),
        body: publication.body,
    }
}
