//! A shard of a writer: executes the queued commands in one transaction.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use tokio::sync::mpsc;

use super::unit_of_work::{Outcomes, UnitOfWork};
use super::{Job, Resources, Submitted};
use crate::aggregate::Store;
use crate::db::postgres::{self, Postgres};
use crate::db::{self, Database, Durability, Unit};
use crate::error::Error;
use crate::runtime::{Runtime, Tasks, recv_until_stopped};

/// Commands in one transaction, at most.
const BATCH: usize = 256;
/// Attempts of a batch when another process changes the same aggregates.
const ATTEMPTS: u32 = 8;

pub(super) struct Shard {
    resources: Resources,
    /// On PostgreSQL, its own connection, opened on demand.
    connection: Option<AsyncPgConnection>,
}

impl Shard {
    pub fn new(resources: Resources) -> Shard {
        Shard { resources, connection: None }
    }

    pub async fn run<A: Store>(&mut self, queue: &mut mpsc::Receiver<Submitted<A>>, tasks: &Tasks) {
        let mut batch = Vec::with_capacity(BATCH);
        while recv_until_stopped(queue, &mut batch, BATCH, tasks).await > 0 {
            let (jobs, replies): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            let outcomes = self.execute(jobs.into()).await;
            for (reply, outcome) in std::iter::zip(replies, outcomes) {
                // Fails if the caller no longer waits; the command was executed all the same.
                let _ = reply.send(outcome);
            }
        }
    }

    async fn execute<A: Store>(&mut self, jobs: Arc<[Job<A>]>) -> Outcomes<A> {
        let count = jobs.len();
        match self.attempt(&jobs, 0..count).await {
            Ok(outcomes) => outcomes,
            // One of them can't be written, or panics: retry each alone, so that only that one fails.
            Err(Error::Internal(_)) if count > 1 => {
                let mut outcomes = Vec::with_capacity(count);
                for index in 0..count {
                    let alone = self.attempt(&jobs, index..index + 1).await;
                    outcomes.extend(alone.unwrap_or_else(|error| vec![Err(error)]));
                }
                outcomes
            }
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        }
    }

    /// Tries a part of a batch until no other process changes the same aggregates meanwhile.
    async fn attempt<A: Store>(&mut self, jobs: &Arc<[Job<A>]>, which: Range<usize>) -> Result<Outcomes<A>, Error> {
        for attempt in 1.. {
            match self.transact(jobs.clone(), which.clone()).await {
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

    async fn transact<A: Store>(
        &mut self,
        jobs: Arc<[Job<A>]>,
        which: Range<usize>,
    ) -> Result<(Outcomes<A>, bool), Error> {
        let Resources { context, runtime, database, .. } = self.resources.clone();
        let resources = self.resources.clone();
        let unit: Unit<'static, _> =
            Box::new(move |tx| Box::pin(async move { UnitOfWork::execute_all(tx, &jobs[which], &resources).await }));
        let Database::Postgres(postgres) = &database else { return database.write(Durability::Full, unit).await };
        let (unit, result) = db::aside(unit);
        self.commit(postgres, unit, &runtime, context).await?;
        result.await
    }

    /// Commits on its own connection.
    async fn commit(
        &mut self,
        postgres: &Postgres,
        unit: Unit<'static, ()>,
        runtime: &Runtime,
        context: &'static str,
    ) -> Result<(), Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => postgres.connect().await?,
        };
        let outcome = postgres::transact(&mut connection, Durability::Full, unit, runtime, context).await;
        if !matches!(outcome, Err(Error::Unavailable(_))) {
            self.connection = Some(connection);
        }
        outcome
    }
}
