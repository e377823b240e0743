//! Publishes events from the outbox to the bus, in order, and removes those that the bus has.
//!
//! It runs on a signal when events were written, and on PostgreSQL also periodically, for those that another replica
//! wrote. There one replica relays at a time (the holder of an advisory lock), so that the order of a flow is kept; the
//! others stand by. If it crashes between publishing and removing, the events are published again; consumers recognize
//! them by their keys.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use tokio::sync::Notify;

use crate::bus::Bus;
use crate::db::{Database, Durability, Tx, Unit, in_time};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::outbox;
use crate::runtime::{CrashPoint, Tasks};
use crate::telemetry::Meters;
use crate::writer::Resources;

/// Events published together.
const BATCH: i64 = 256;
/// How often to look for events of other replicas.
const PERIOD: Duration = Duration::from_secs(1);
/// The longest pause between attempts while the bus or the store is unavailable: the longest delay after it is back.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Relay {
    pub resources: Resources,
    pub bus: Arc<dyn Bus>,
}

/// The connection that holds the lock of the relay, or none where there is no other process.
enum RelayLock {
    Postgres(Box<AsyncPgConnection>),
    Sqlite,
}

impl Relay {
    pub async fn run(&self, tasks: &Tasks) {
        let mut lock = None;
        let mut pause = Duration::from_millis(50);
        loop {
            let stopping = tasks.is_stopping();
            match self.drain(&mut lock).await {
                Ok(()) => {
                    pause = Duration::from_millis(50);
                    if stopping {
                        return;
                    }
                    self.wait(tasks).await;
                }
                Err(error) => {
                    lock = None;
                    tracing::warn!(context = self.resources.context, error = %error.for_log(), "events wait in the outbox; retrying");
                    if stopping {
                        return;
                    }
                    tasks.sleep(self.resources.runtime.jitter(pause)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn wait(&self, tasks: &Tasks) {
        let published: &Notify = &self.resources.published;
        let has_replicas = matches!(self.resources.database, Database::Postgres(_));
        tokio::select! {
            biased;
            () = tasks.stopping() => {}
            () = published.notified() => {}
            () = tokio::time::sleep(PERIOD), if has_replicas => {}
        }
    }

    /// Publishes until the outbox is empty, or while another replica has the lock.
    async fn drain(&self, lock: &mut Option<RelayLock>) -> Result<(), Error> {
        if lock.is_none() {
            *lock = self.take_lock().await?;
        }
        let Some(lock) = lock else {
            // Only the holder of the lock reports the gauge: reset it, so that no old value of this replica remains.
            Meters::outbox(self.resources.context, 0, None);
            return Ok(());
        };
        loop {
            let waiting = self.oldest(lock).await?;
            Meters::outbox(
                self.resources.context,
                waiting.len(),
                waiting.first().map(|(_, e)| self.resources.runtime.now().since(e.at)),
            );
            if waiting.is_empty() {
                return Ok(());
            }
            let is_last = waiting.len() < BATCH as usize;
            let (mut seqs, envelopes): (Vec<i64>, Vec<Envelope>) = waiting.into_iter().unzip();
            let outcome = self.bus.publish(self.resources.context, &envelopes).await;
            let published = outcome.as_ref().map_or_else(|error| error.published, |()| envelopes.len());
            if published > 0 {
                self.resources.runtime.crash_point(self.resources.context, CrashPoint::AfterPublish).await;
                seqs.truncate(published);
                self.remove(lock, seqs).await?;
                Meters::published(self.resources.context, &envelopes[..published]);
            }
            outcome.map_err(|error| Error::Unavailable(error.to_string()))?;
            if is_last {
                Meters::outbox(self.resources.context, 0, None);
                return Ok(());
            }
        }
    }

    async fn take_lock(&self) -> Result<Option<RelayLock>, Error> {
        let Database::Postgres(postgres) = &self.resources.database else { return Ok(Some(RelayLock::Sqlite)) };
        let mut connection = postgres.connect().await?;
        let lock =
            diesel::sql_query("SELECT 1 WHERE pg_try_advisory_lock(hashtext('nadeuri relay ' || current_schema()))");
        let take = async {
            // If a deletion is lost, the events are published again, so it need not wait for the disk.
            connection.batch_execute("SET synchronous_commit = off").await?;
            Ok(diesel_async::RunQueryDsl::execute(lock, &mut connection).await?)
        };
        let rows = in_time(take).await?;
        Ok((rows == 1).then(|| RelayLock::Postgres(Box::new(connection))))
    }

    async fn oldest(&self, lock: &mut RelayLock) -> Result<Vec<(i64, Envelope)>, Error> {
        match lock {
            RelayLock::Sqlite => outbox::oldest(self.resources.database.reader().await?.tx(), BATCH).await,
            RelayLock::Postgres(connection) => in_time(outbox::oldest(Tx::Postgres(connection), BATCH)).await,
        }
    }

    async fn remove(&self, lock: &mut RelayLock, seqs: Vec<i64>) -> Result<(), Error> {
        match lock {
            RelayLock::Sqlite => {
                let unit: Unit<'static, _> =
                    Box::new(move |tx| Box::pin(async move { outbox::remove(tx, &seqs).await }));
                self.resources.database.write(Durability::Lazy, unit).await
            }
            RelayLock::Postgres(connection) => in_time(outbox::remove(Tx::Postgres(connection), &seqs)).await,
        }
    }
}
