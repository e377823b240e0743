//! Makes commits durable that did not wait for the disk, many at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::db::postgres::Postgres;
use crate::db::{Durability, Tx, Unit};
use crate::error::Error;

/// The flushes of a store, which those who wait at the same time share.
#[derive(Clone, Default)]
pub(super) struct Flushes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The number of those who have asked.
    asked: AtomicU64,
    /// How many of them have their flush.
    flushed: Mutex<u64>,
}

impl Flushes {
    /// Returns when all that was committed before this call is on disk, on a synchronous standby too. Waits for others
    /// first, to share the flush.
    pub async fn flush(&self, postgres: &Postgres, gather: Duration) -> Result<(), Error> {
        let turn = self.0.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(gather).await;
        let mut flushed = self.0.flushed.lock().await;
        if *flushed > turn {
            return Ok(());
        }
        let all = self.0.asked.load(Ordering::SeqCst);
        // A transaction that waits for the disk takes along what was committed before it. It has to write something: this
        // function writes to the log alone.
        let unit: Unit<'static, ()> = Box::new(|tx| {
            Box::pin(async move {
                let Tx::Postgres(mut connection) = tx else { return Ok(()) };
                let message = diesel::sql_query("SELECT pg_logical_emit_message(true, 'nadeuri', '')");
                diesel_async::RunQueryDsl::execute(message, &mut connection).await?;
                Ok(())
            })
        });
        postgres.write(Durability::Full, unit).await?;
        *flushed = all;
        Ok(())
    }
}
