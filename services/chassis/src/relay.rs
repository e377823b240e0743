//! Publishes events from the outbox to the bus, in order, and removes those that the bus has.
//!
//! It runs on a signal when events were written, and where there are replicas also periodically; one of them relays at a
//! time, so that the order of a flow is kept ([`Role`]).
//!
//! Published events are removed together with the next read, or after a moment without new events. If the relay crashes
//! before that, they are published again; consumers recognize them by their keys.

mod local_lock;
mod role;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::try_join;

use crate::bus::Bus;
use crate::db::{Durability, Tx, Unit, in_time};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::outbox;
use crate::runtime::{Backoff, CrashPoint, Tasks};
use crate::telemetry::Meters;
use crate::writer::Resources;
use role::{Access, Role};

pub use local_lock::LocalLock;

/// Events published together.
const BATCH: usize = 256;
/// How often to look for events of other replicas: the longest delay if a notification is lost.
const PERIOD: Duration = Duration::from_secs(1);
/// How long published events may stay in the outbox when no others follow.
const LINGER: Duration = Duration::from_millis(20);
/// The pauses between attempts while the bus or the store is unavailable, from the first to the longest, which is the
/// longest delay after it is back.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);

pub(crate) struct Relay {
    pub resources: Resources,
    pub bus: Arc<dyn Bus>,
}

/// The state from one look at the outbox to the next.
struct Session {
    role: Role,
    /// The numbers of published events that are still in the outbox.
    published: Vec<i64>,
}

/// The reason to look at the outbox.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// This process has written events.
    Written,
    /// Another replica may have written events.
    Elsewhere,
    /// Nothing was written for a moment.
    Quiet,
    /// The tasks stop.
    Stopping,
}

impl Relay {
    pub async fn run(&self, tasks: &Tasks) {
        let mut session = None;
        let mut wake = Wake::Elsewhere;
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let is_last = tasks.is_stopping();
            match self.work(&mut session, wake, tasks).await {
                Ok(_) if is_last => return,
                Ok(next) => {
                    wake = next;
                    backoff.reset();
                }
                Err(error) => {
                    // A signal may be lost with the attempt: another replica that relays has to hear of it.
                    (session, wake) = (None, Wake::Written);
                    tracing::warn!(context = self.resources.context, error = %error.for_log(), "events wait in the outbox; retrying");
                    if is_last {
                        return;
                    }
                    backoff.pause(&self.resources.runtime, tasks).await;
                }
            }
        }
    }

    /// Does what the reason calls for, and waits for the next one.
    async fn work(&self, session: &mut Option<Session>, wake: Wake, tasks: &Tasks) -> Result<Wake, Error> {
        let session = match session {
            Some(session) => session,
            None => {
                let role = Role::open(&self.resources.database).await?;
                session.insert(Session { role, published: Vec::new() })
            }
        };
        if wake != Wake::Quiet {
            session.role.take_lock().await?;
            if session.role.is_holder() {
                self.drain(session).await?;
            } else {
                // Only who relays reports the gauge: reset it, so that no old value of this replica remains.
                Meters::outbox(self.resources.context, 0, None);
                if wake == Wake::Written {
                    session.role.notify().await?;
                }
            }
        }
        if matches!(wake, Wake::Quiet | Wake::Stopping) {
            self.remove_published(session).await?;
        }
        self.wait(session, tasks).await
    }

    async fn wait(&self, session: &mut Session, tasks: &Tasks) -> Result<Wake, Error> {
        let has_replicas = session.role.has_replicas();
        tokio::select! {
            biased;
            () = tasks.stopping() => Ok(Wake::Stopping),
            () = self.resources.published.notified() => Ok(Wake::Written),
            notified = session.role.notified() => notified.map(|()| Wake::Elsewhere),
            () = tokio::time::sleep(LINGER), if !session.published.is_empty() => Ok(Wake::Quiet),
            () = tokio::time::sleep(PERIOD), if has_replicas => Ok(Wake::Elsewhere),
        }
    }

    /// Publishes until the outbox is empty.
    async fn drain(&self, session: &mut Session) -> Result<(), Error> {
        loop {
            let waiting = self.oldest(session).await?;
            let age = waiting.first().map(|(_, event)| self.resources.runtime.now().since(event.at));
            Meters::outbox(self.resources.context, waiting.len(), age);
            if waiting.is_empty() {
                return Ok(());
            }
            let is_last = waiting.len() < BATCH;
            let (mut seqs, envelopes): (Vec<i64>, Vec<Envelope>) = waiting.into_iter().unzip();
            let outcome = self.bus.publish(self.resources.context, &envelopes).await;
            let published = outcome.as_ref().map_or_else(|error| error.published, |()| envelopes.len());
            if published > 0 {
                self.resources.runtime.crash_point(self.resources.context, CrashPoint::AfterPublish).await;
                seqs.truncate(published);
                session.published.append(&mut seqs);
                Meters::published(self.resources.context, &envelopes[..published]);
            }
            if let Err(error) = outcome {
                self.remove_published(session).await?;
                return Err(Error::Unavailable(error.to_string()));
            }
            if is_last {
                Meters::outbox(self.resources.context, 0, None);
                return Ok(());
            }
        }
    }

    /// The oldest events that are not published yet. Those that are published leave the outbox: on PostgreSQL by the
    /// same round trip; on SQLite, where it takes the turn of another write, when they are many.
    async fn oldest(&self, session: &mut Session) -> Result<Vec<(i64, Envelope)>, Error> {
        let limit = (BATCH + session.published.len()) as i64;
        let (mut oldest, is_removed) = match session.role.access()? {
            Access::Store(database) => (outbox::oldest(database.reader().await?.tx(), limit).await?, false),
            Access::Connection(connection) => {
                let tx = Tx::Postgres(connection);
                let both = async { try_join!(outbox::remove(tx, &session.published), outbox::oldest(tx, limit)) };
                (in_time(both).await?.1, true)
            }
        };
        // On PostgreSQL they are there too if the read was prepared before the removal.
        let published: HashSet<i64> = session.published.iter().copied().collect();
        oldest.retain(|(seq, _)| !published.contains(seq));
        oldest.truncate(BATCH);
        if is_removed {
            session.published.clear();
        } else if session.published.len() >= BATCH {
            self.remove_published(session).await?;
        }
        Ok(oldest)
    }

    async fn remove_published(&self, session: &mut Session) -> Result<(), Error> {
        if session.published.is_empty() {
            return Ok(());
        }
        let published = std::mem::take(&mut session.published);
        match session.role.access()? {
            Access::Store(database) => {
                let unit: Unit<'static, _> =
                    Box::new(move |tx| Box::pin(async move { outbox::remove(tx, &published).await }));
                database.write(Durability::Lazy, unit).await
            }
            Access::Connection(connection) => in_time(outbox::remove(Tx::Postgres(connection), &published)).await,
        }
    }
}
