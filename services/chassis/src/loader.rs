//! Loaders: reads by id, in batches.
//!
//! On PostgreSQL a read costs a round trip, so reads that arrive while another one runs are batched into one statement.
//! On SQLite a read is a function call and runs at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::db::{Database, Tx, in_time};
use crate::error::Error;
use crate::runtime::{Tasks, recv_until_stopped};

/// Reads in one statement, at most.
const BATCH: usize = 256;
/// Queued reads, at most.
const QUEUE: usize = 8192;
/// Concurrent statements.
const SHARDS: usize = 2;

/// Reads the values of some ids. Missing ones are not in the result.
pub type Find<K, V> = for<'t> fn(Tx<'t>, Vec<K>) -> BoxFuture<'t, Result<Vec<(K, V)>, Error>>;

/// Loads values by id.
pub struct Loader<K, V> {
    find: Find<K, V>,
    database: Database,
    shards: Arc<[mpsc::Sender<Request<K, V>>]>,
}

impl<K, V> Clone for Loader<K, V> {
    fn clone(&self) -> Self {
        Loader { find: self.find, database: self.database.clone(), shards: self.shards.clone() }
    }
}

struct Request<K, V> {
    key: K,
    reply: oneshot::Sender<Result<Option<V>, Error>>,
}

impl<K, V> Loader<K, V>
where
    K: Copy + Ord + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Starts a loader with this function.
    pub fn start(context: &'static str, database: &Database, tasks: &Tasks, find: Find<K, V>) -> Loader<K, V> {
        let shards = if matches!(database, Database::Sqlite(_)) { 0 } else { SHARDS };
        let start_shard = |_| {
            let (requests, queue) = mpsc::channel(QUEUE);
            let state = (queue, database.clone(), tasks.clone());
            tasks.supervise(context, "loader", state, move |(queue, database, tasks)| {
                Box::pin(run(queue, database, find, tasks))
            });
            requests
        };
        Loader { find, database: database.clone(), shards: (0..shards).map(start_shard).collect() }
    }

    /// The value of `key`.
    pub async fn get(&self, key: K) -> Result<Option<V>, Error> {
        let Some(shard) = self.shards.iter().max_by_key(|shard| shard.capacity()) else {
            let reader = self.database.reader().await?;
            let found = (self.find)(reader.tx(), vec![key]).await?;
            return Ok(found.into_iter().next().map(|(_, value)| value));
        };
        let (reply, answered) = oneshot::channel();
        shard.try_send(Request { key, reply }).map_err(|_| Error::Busy { what: "the queue of reads" })?;
        answered.await.map_err(|_| Error::Stopping)?
    }
}

async fn run<K, V>(queue: &mut mpsc::Receiver<Request<K, V>>, database: &Database, find: Find<K, V>, tasks: &Tasks)
where
    K: Copy + Ord + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let mut batch: Vec<Request<K, V>> = Vec::with_capacity(BATCH);
    while recv_until_stopped(queue, &mut batch, BATCH, tasks).await > 0 {
        let found = read(database, find, batch.iter().map(|request| request.key).collect()).await;
        for Request { key, reply } in batch.drain(..) {
            let answer = found.as_ref().map(|found| found.get(&key).cloned()).map_err(Error::clone);
            // Fails if the caller no longer waits.
            let _ = reply.send(answer);
        }
    }
}

async fn read<K: Ord, V>(database: &Database, find: Find<K, V>, mut keys: Vec<K>) -> Result<BTreeMap<K, V>, Error> {
    keys.sort();
    keys.dedup();
    let reader = database.reader().await?;
    Ok(in_time(find(reader.tx(), keys)).await?.into_iter().collect())
}
