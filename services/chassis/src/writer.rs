//! The one path by which state changes: many commands, one transaction.
//!
//! Commands that arrive while a transaction commits are batched into the next one: load many, decide each, save many,
//! append many to the outbox, answer each. An idle writer does not wait for a batch, so a single command is not
//! delayed. Commands for one aggregate go to one shard and are decided in the order in which they came.
//!
//! **Invariant**: an aggregate, its events and the keys of its commands are written together or not at all.

mod shard;
mod unit_of_work;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use prost::Message;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::aggregate::{Aggregate, Cause, Store};
use crate::db::Database;
use crate::error::Error;
use crate::idempotency::{self, Key};
use crate::runtime::{Runtime, Tasks};
use crate::sealing::SealingKeys;
use shard::Shard;

/// Queued commands of a shard, at most; more get the error that it is busy.
const QUEUE: usize = 4096;
/// Shards on PostgreSQL: two use its disk fully. SQLite has one writer.
const POSTGRES_SHARDS: usize = 2;

/// A command for an aggregate.
#[derive(Clone)]
pub struct CommandMessage<A: Aggregate> {
    /// The aggregate.
    pub id: A::Id,
    /// The command.
    pub command: A::Command,
    /// The idempotency key.
    pub key: Option<Key>,
    /// Its cause.
    pub cause: Cause,
}

/// Executes commands for the aggregates of one kind.
pub struct Writer<A: Store> {
    database: Database,
    shards: Arc<[mpsc::Sender<Submitted<A>>]>,
}

impl<A: Store> Clone for Writer<A> {
    fn clone(&self) -> Self {
        Writer { database: self.database.clone(), shards: self.shards.clone() }
    }
}

/// The outcome of a command.
enum Outcome<A: Store> {
    /// The answer for callers of the context.
    Answer(A::Answer),
    /// The aggregate.
    State(Option<A>),
}

#[derive(Clone, Copy)]
enum Wants {
    Answer,
    State,
}

type Reply<A> = oneshot::Sender<Result<Outcome<A>, Error>>;

/// A queued command, and the kind of outcome that its sender wants.
struct Job<A: Store> {
    message: CommandMessage<A>,
    wants: Wants,
}

/// An entry of a shard's queue.
type Submitted<A> = (Job<A>, Reply<A>);

/// The resources that the workers of a context share.
#[derive(Clone)]
pub struct Resources {
    /// The context's name: the source of its events.
    pub context: &'static str,
    /// Its store.
    pub database: Database,
    /// The clock and ids.
    pub runtime: Runtime,
    /// Seals values in its events.
    pub sealing: SealingKeys,
    /// Signals the relay that there are new events.
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
            let state = (Shard::new(resources.clone()), queue, tasks.clone());
            tasks.supervise(resources.context, "writer", state, |(shard, queue, tasks)| {
                Box::pin(shard.run(queue, tasks))
            });
            jobs
        };
        Writer { database: resources.database.clone(), shards: (0..shards).map(start_shard).collect() }
    }

    /// Executes a command, and returns its answer when it is on disk. A command that is repeated under its key gets its
    /// first answer.
    pub async fn handle(&self, message: CommandMessage<A>) -> Result<A::Answer, Error> {
        self.enqueue(message)?.await
    }

    /// Executes a command, and returns the aggregate when it is on disk, for callers that go on working with it; `None`
    /// if there is none. A command that is repeated under its key changes nothing and gets the current aggregate.
    pub async fn state_after(&self, message: CommandMessage<A>) -> Result<Option<A>, Error> {
        match self.submit(message, Wants::State)?.await? {
            Outcome::State(state) => Ok(state),
            Outcome::Answer(_) => Err(Error::Internal("an answer in place of the state".into())),
        }
    }

    /// Executes a request with an effect outside of the store: returns its first answer, if it was completed before,
    /// else the outcome of `work`. The last command of `work` carries the key.
    pub async fn once(
        &self,
        key: Option<Key>,
        work: impl Future<Output = Result<A::Answer, Error>>,
    ) -> Result<A::Answer, Error> {
        match self.first_answer(key).await? {
            Some(first) => Ok(first),
            None => work.await,
        }
    }

    /// The first answer to a request that was executed before.
    pub async fn first_answer(&self, key: Option<Key>) -> Result<Option<A::Answer>, Error> {
        let Some(key) = key else { return Ok(None) };
        let reader = self.database.reader().await?;
        let known = idempotency::find(reader.tx(), &[key]).await?;
        match known.answer(key) {
            Some(first) => decode::<A>(first?).map(Some),
            None => Ok(None),
        }
    }

    /// Enqueues a command. The commands of one aggregate are executed in the order in which they were enqueued; the
    /// future is the outcome.
    pub fn enqueue(
        &self,
        message: CommandMessage<A>,
    ) -> Result<impl Future<Output = Result<A::Answer, Error>> + use<A>, Error> {
        let outcome = self.submit(message, Wants::Answer)?;
        Ok(async move {
            match outcome.await? {
                Outcome::Answer(answer) => Ok(answer),
                Outcome::State(_) => Err(Error::Internal("the state in place of an answer".into())),
            }
        })
    }

    fn submit(
        &self,
        message: CommandMessage<A>,
        wants: Wants,
    ) -> Result<impl Future<Output = Result<Outcome<A>, Error>> + use<A>, Error> {
        let (reply, outcome) = oneshot::channel();
        let shard = &self.shards[shard_of(&message.id, self.shards.len())];
        shard.try_send((Job { message, wants }, reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy { what: "the queue of commands" },
            mpsc::error::TrySendError::Closed(_) => Error::Stopping,
        })?;
        Ok(async move { outcome.await.map_err(|_| Error::Stopping)? })
    }
}

impl<A: Aggregate> CommandMessage<A> {
    /// An intermediate step of a request: the request is not complete, so its answer is not stored.
    #[must_use]
    pub fn without_key(self) -> Self {
        CommandMessage { key: None, ..self }
    }

    /// The first step of a request that has an effect outside of the store: from then on its request id is refused for
    /// another request.
    #[must_use]
    pub fn begun(self) -> Self {
        CommandMessage { key: self.key.map(Key::begun), ..self }
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
