//! Pruning: rows that were kept for their retention are removed, so that a table does not grow forever.
//!
//! Each kind of row has a task that looks at the start and then every minute. It removes them in batches, each in a
//! transaction of its own, so that others write in between. Of several replicas each prunes: what one has removed, the
//! others do not find.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::clock::Timestamp;
use crate::db::{Durability, Tx, Unit};
use crate::error::Error;
use crate::runtime::Tasks;
use crate::writer::Resources;

/// How often the task looks.
const PERIOD: Duration = Duration::from_secs(60);
/// Rows removed in one transaction, at most.
const AT_ONCE: i64 = 1_000;
/// The limits of a retention, in days.
const DAYS: RangeInclusive<i64> = 1..=36_500;

/// Removes rows older than a moment, at most as many as the number says; returns how many it removed. See
/// [`prune!`](crate::prune).
pub type Prune = for<'t> fn(Tx<'t>, Timestamp, i64) -> BoxFuture<'t, Result<usize, Error>>;

/// What is pruned.
#[derive(Clone, Copy)]
pub(crate) struct Pruning {
    /// The name of the task, such as `pruning of keys`.
    pub name: &'static str,
    /// How long a row is kept.
    pub retention: Duration,
    pub prune: Prune,
}

/// The retention of so many days. The error says what would be right.
pub fn days(days: i64) -> Result<Duration, String> {
    let seconds = u64::try_from(days).ok().filter(|_| DAYS.contains(&days)).map(|days| days * 86_400);
    seconds.map(Duration::from_secs).ok_or_else(|| format!("{days} must be {} to {} days", DAYS.start(), DAYS.end()))
}

impl Pruning {
    /// Starts the task.
    pub fn start(self, resources: &Resources, tasks: &Tasks) {
        let state = (resources.clone(), tasks.clone());
        tasks.supervise(resources.context, self.name, state, move |(resources, tasks)| {
            Box::pin(self.run(resources, tasks))
        });
    }

    async fn run(self, resources: &Resources, tasks: &Tasks) {
        loop {
            if let Err(error) = self.remove_all(resources, tasks).await {
                let (context, error) = (resources.context, error.for_log());
                tracing::warn!(context, task = self.name, %error, "old rows were not removed; retrying");
            }
            if !tasks.sleep(PERIOD).await {
                return;
            }
        }
    }

    async fn remove_all(self, resources: &Resources, tasks: &Tasks) -> Result<(), Error> {
        let (prune, before) = (self.prune, resources.runtime.now() - self.retention);
        while !tasks.is_stopping() {
            let unit: Unit<'static, usize> = Box::new(move |tx| prune(tx, before, AT_ONCE));
            if resources.database.write(Durability::Lazy, unit).await? == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Deletes the oldest rows of a table by the time in a column: those of before a moment, at most as many as a limit. It is
/// the end of a function that returns the number of deleted rows. After the key a further condition may follow:
///
/// ```ignore
/// prune!(tx, messages by created_at; before, limit; id: MessageId where messages::wake_at.is_null())
/// ```
#[macro_export]
macro_rules! prune {
    ($tx:expr, $table:ident by $at:ident; $before:expr, $limit:expr; $key:ident: $Key:ty $(where $condition:expr)?) => {{
        let oldest: Vec<$Key> = $crate::sql!($tx, |c| $table::table
            .filter($table::$at.lt($before))$(.filter($condition))?
            .order($table::$at)
            .limit($limit)
            .select($table::$key)
            .load(c))?;
        if oldest.is_empty() {
            return Ok(0);
        }
        // One that was written again meanwhile stays.
        let old = $table::table.filter($table::$key.eq_any(&oldest)).filter($table::$at.lt($before));
        Ok($crate::sql!($tx, |c| diesel::delete(old).execute(c))?)
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_is_a_day_to_a_century() {
        assert_eq!(days(1), Ok(Duration::from_secs(86_400)));
        assert!(days(36_500).is_ok());
        for wrong in [0, -1, 36_501, i64::MAX] {
            assert_eq!(days(wrong), Err(format!("{wrong} must be 1 to 36500 days")));
        }
    }
}
