//! The one path by which state changes: many commands, one transaction.
//!
//! Commands that arrive while a transaction commits go together into the next one: load many, decide each, save many,
//! append many to the outbox, answer each. There is no waiting when idle, so one command alone is as fast as ever.
//! Commands for one aggregate go to one shard and are decided in the order in which they came.
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

use crate::aggregate::{Aggregate, Cause, Change, Publication, Store, LoadRequest};
use crate::db::{Database, Durability, Tx, Unit, postgres};
use crate::idempotency::{self, ProcessedRow, Key, Known};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::outbox;
use crate::runtime::{Tasks, Runtime, recv_until_stopped};

/// Commands in one transaction, at most.
const BATCH: usize = 256;
/// Commands that wait for a shard, at most; more are told that it is busy.
const QUEUE: usize = 4096;
/// Lanes on PostgreSQL. Two keep its disk busy; SQLite has one writer.
const POSTGRES_SHARDS: usize = 2;
/// How often a batch is decided anew when another process changed the same aggregates.
const ATTEMPTS: u32 = 8;

/// A command for an aggregate.
#[derive(Clone)]
pub struct CommandMessage<A: Aggregate> {
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
    shards: Arc<[mpsc::Sender<Job<A>>]>,
}

impl<A: Store> Clone for Writer<A> {
    fn clone(&self) -> Self {
        Writer { database: self.database.clone(), shards: self.shards.clone() }
    }
}

type Reply<A> = oneshot::Sender<Result<<A as Store>::Answer, Error>>;

struct Job<A: Store> {
    message: CommandMessage<A>,
    reply: Reply<A>,
}

/// What the shards of a context share.
#[derive(Clone)]
pub struct Resources {
    /// The context's name: the source of its events.
    pub context: &'static str,
    /// Its store.
    pub database: Database,
    /// Time and chance.
    pub runtime: Runtime,
    /// Wakes the relay when there are new events.
    pub published: Arc<Notify>,
}

impl<A: Store> Writer<A> {
    /// Starts the shards.
    pub fn start(resources: &Resources, tasks: &Tasks) -> Writer<A> {
        let shards = match resources.database {
            Database::Postgres(_) => POSTGRES_SHARDS,
            Database::Sqlite(_) => 1,
        };
        let start_shard = |_| {
            let (jobs, queue) = mpsc::channel(QUEUE);
            let shard = Shard { resources: resources.clone(), connection: None };
            tasks.spawn(shard.run(queue, tasks.clone()));
            jobs
        };
        Writer { database: resources.database.clone(), shards: (0..shards).map(start_shard).collect() }
    }

    /// Has a command executed, and answers when it is on disk.
    pub async fn handle(&self, message: CommandMessage<A>) -> Result<A::Answer, Error> {
        self.enqueue(message)?.await
    }

    /// The first answer to a request that was executed before: to be asked for before anything is done outside of the store.
    pub async fn first_answer(&self, key: Option<Key>) -> Result<Option<A::Answer>, Error> {
        let Some(key) = key else { return Ok(None) };
        let reader = self.database.reader().await?;
        let known = idempotency::find(reader.tx(), &[key]).await?;
        match known.answer(key) {
            Some(first) => decode::<A>(first?).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a command in line. What is enqueued for one aggregate is executed in that order; the future is its answer.
    pub fn enqueue(&self, message: CommandMessage<A>) -> Result<impl Future<Output = Result<A::Answer, Error>> + use<A>, Error> {
        let (reply, answered) = oneshot::channel();
        let shard = &self.shards[shard_of(&message.id, self.shards.len())];
        shard.try_send(Job { message, reply }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { what: "the queue of commands" },
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })?;
        Ok(async move { answered.await.map_err(|_| Error::Stopping)? })
    }
}

fn decode<A: Store>(answer: &[u8]) -> Result<A::Answer, Error> {
    A::Answer::decode(answer).map_err(|error| Error::Internal(format!("a kept answer is corrupt: {error}")))
}

fn shard_of(id: &impl Hash, shards: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    (hasher.finish() % shards as u64) as usize
}

struct Shard {
    resources: Resources,
    /// On PostgreSQL, its own connection; opened when needed.
    connection: Option<AsyncPgConnection>,
}

impl Shard {
    async fn run<A: Store>(mut self, mut queue: mpsc::Receiver<Job<A>>, tasks: Tasks) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let received = recv_until_stopped(&mut queue, &mut batch, BATCH, &tasks).await;
            if received == 0 {
                return;
            }
            let (messages, replies): (Vec<_>, Vec<_>) = batch.drain(..).map(|job| (job.message, job.reply)).unzip();
            let outcomes = self.execute(Arc::new(messages)).await;
            for (reply, outcome) in std::iter::zip(replies, outcomes) {
                // Who no longer waits has hung up; the command was executed all the same.
                let _ = reply.send(outcome);
            }
        }
    }

    async fn execute<A: Store>(&mut self, messages: Arc<Vec<CommandMessage<A>>>) -> Vec<Result<A::Answer, Error>> {
        match self.execute_together(messages.clone()).await {
            Ok(outcomes) => outcomes,
            // One of them can't be written, or panics: alone, it fails alone.
            Err(Error::Internal(_)) if messages.len() > 1 => {
                let mut outcomes = Vec::with_capacity(messages.len());
                for index in 0..messages.len() {
                    outcomes.extend(self.execute_alone(&messages, index).await);
                }
                outcomes
            }
            Err(error) => vec![Err(error); messages.len()],
        }
    }

    async fn execute_alone<A: Store>(
        &mut self,
        messages: &Arc<Vec<CommandMessage<A>>>,
        index: usize,
    ) -> Vec<Result<A::Answer, Error>> {
        let one = Slice { messages: messages.clone(), from: index, to: index + 1 };
        self.attempt(one).await.unwrap_or_else(|error| vec![Err(error)])
    }

    async fn execute_together<A: Store>(
        &mut self,
        messages: Arc<Vec<CommandMessage<A>>>,
    ) -> Result<Vec<Result<A::Answer, Error>>, Error> {
        let to = messages.len();
        self.attempt(Slice { messages, from: 0, to }).await
    }

    /// Tries a batch until nobody else changes the same aggregates meanwhile.
    async fn attempt<A: Store>(&mut self, slice: Slice<A>) -> Result<Vec<Result<A::Answer, Error>>, Error> {
        for attempt in 1.. {
            match self.transact(slice.clone()).await {
                Err(Error::Conflict) if attempt < ATTEMPTS => {
                    let pause = Duration::from_millis(1 << attempt);
                    tokio::time::sleep(self.resources.runtime.jitter(pause)).await;
                }
                Err(error) => return Err(error),
                Ok((outcomes, has_events)) => {
                    if has_events {
                        self.resources.published.notify_one();
                    }
                    return Ok(outcomes);
                }
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn transact<A: Store>(&mut self, slice: Slice<A>) -> Result<(Vec<Result<A::Answer, Error>>, bool), Error> {
        let Resources { context, runtime, database, .. } = self.resources.clone();
        let unit_runtime = runtime.clone();
        let unit: Unit<'static, _> =
            Box::new(move |tx| Box::pin(async move { UnitOfWork::work(tx, slice.messages(), context, &unit_runtime).await }));
        let postgres = match &database {
            Database::Sqlite(_) => return database.write(Durability::Full, unit).await,
            Database::Postgres(postgres) => postgres,
        };
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => postgres.connect().await?,
        };
        let outcome = postgres::transact(&mut connection, Durability::Full, unit, &runtime, context).await;
        if !matches!(outcome, Err(Error::Unavailable(_))) {
            self.connection = Some(connection);
        }
        outcome
    }
}

/// Some of a batch, shared by the attempts at it.
struct Slice<A: Aggregate> {
    messages: Arc<Vec<CommandMessage<A>>>,
    from: usize,
    to: usize,
}

impl<A: Aggregate> Slice<A> {
    fn messages(&self) -> &[CommandMessage<A>] {
        &self.messages[self.from..self.to]
    }
}

impl<A: Aggregate> Clone for Slice<A> {
    fn clone(&self) -> Self {
        Slice { messages: self.messages.clone(), ..*self }
    }
}

/// An aggregate on the work.
struct Entry<A: Aggregate> {
    state: Option<A>,
    read: i64,
    events: Vec<A::Event>,
}

/// A transaction at work: what was read, and what is to be written.
struct UnitOfWork<'a, A: Store> {
    entries: BTreeMap<A::Id, Entry<A>>,
    known: Known,
    done: Vec<ProcessedRow>,
    envelopes: Vec<Envelope>,
    context: &'static str,
    runtime: &'a Runtime,
}

impl<A: Store> UnitOfWork<'_, A> {
    /// Executes the commands in order; returns an outcome for each, and whether there are new events.
    async fn work(
        tx: Tx<'_>,
        messages: &[CommandMessage<A>],
        context: &'static str,
        runtime: &Runtime,
    ) -> Result<(Vec<Result<A::Answer, Error>>, bool), Error> {
        let keys: Vec<Key> = messages.iter().filter_map(|message| message.key).collect();
        let mut wanted = LoadRequest::new();
        for message in messages {
            wanted.add(message.id, Some(&message.command));
        }
        let (known, loaded) = try_join!(idempotency::find(tx, &keys), A::load(tx, &wanted))?;
        let entry = |state, read| Entry { state, read, events: Vec::new() };
        let mut entries: BTreeMap<A::Id, Entry<A>> = wanted.ids().into_iter().map(|id| (id, entry(None, 0))).collect();
        entries.extend(loaded.into_iter().map(|loaded| (loaded.id, entry(Some(loaded.state), loaded.version))));

        let mut work = UnitOfWork { entries, known, done: Vec::new(), envelopes: Vec::new(), context, runtime };
        // A panic in the rules is a fault of one command; the shard must outlive it.
        let decided = catch_unwind(AssertUnwindSafe(|| {
            let outcomes: Vec<_> = messages.iter().map(|message| work.execute(message)).collect();
            (outcomes, work)
        }));
        let (outcomes, work) = decided.map_err(|_| Error::Internal(format!("a rule of {context} panicked")))?;
        let has_events = !work.envelopes.is_empty();
        work.write(tx).await?;
        Ok((outcomes, has_events))
    }

    fn execute(&mut self, message: &CommandMessage<A>) -> Result<A::Answer, Error> {
        if let Some(key) = message.key
            && let Some(first) = self.known.answer(key)
        {
            return decode::<A>(first?);
        }
        let now = self.runtime.now();
        let entry = self.entries.get_mut(&message.id).ok_or_else(|| Error::Internal("it was not loaded".into()))?;
        let decided = A::decide(entry.state.as_ref(), &message.command, now);
        let events = match decided {
            Ok(events) => events,
            Err(refusal) => {
                self.remember(message.key.filter(|key| key.is_event), Vec::new());
                return Err(Error::refused(&refusal));
            }
        };
        for event in events {
            let mut state = A::evolve(entry.state.take(), &event);
            let sequence = entry.read + entry.events.len() as i64 + 1;
            let publication = state.publish(&event);
            let envelope = publication.map(|told| enclose(told, &message.cause, sequence, self.context, self.runtime));
            if let Some(id) = envelope.as_ref().map(|envelope| envelope.event_id).or(message.cause.causation) {
                state.note(&event, Id::new(id));
            }
            self.envelopes.extend(envelope);
            entry.events.push(event);
            entry.state = Some(state);
        }
        let Some(state) = &entry.state else {
            // It does not exist and the command is content with that.
            self.remember(message.key, Vec::new());
            return Ok(A::Answer::default());
        };
        let answer = state.answer(&message.command);
        self.remember(message.key, if message.key.is_some() { answer.encode_to_vec() } else { Vec::new() });
        Ok(answer)
    }

    fn remember(&mut self, key: Option<Key>, answer: Vec<u8>) {
        let Some(key) = key else { return };
        self.known.learn(key, answer.clone());
        self.done.push(key.row(answer, self.runtime.now()));
    }

    async fn write(self, tx: Tx<'_>) -> Result<(), Error> {
        let changed = self.entries.iter().filter(|(_, entry)| !entry.events.is_empty());
        let changes: Vec<Change<'_, A>> = changed
            .filter_map(|(id, entry)| {
                let version = entry.read + entry.events.len() as i64;
                Some(Change { id: *id, state: entry.state.as_ref()?, events: &entry.events, read: entry.read, version })
            })
            .collect();
        let save = async { if changes.is_empty() { Ok(()) } else { A::save(tx, &changes).await } };
        try_join!(save, outbox::append(tx, self.envelopes), idempotency::write(tx, &self.done))?;
        Ok(())
    }
}

fn enclose(publication: Publication, cause: &Cause, sequence: i64, context: &'static str, runtime: &Runtime) -> Envelope {
    let at = runtime.now();
    let event_id = runtime.ids.uuid(at);
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
