//! Timers: execute the commands of aggregates when they are due.
//!
//! The time is a column of the aggregate, so it survives restarts; there are no other timers. A command is repeated
//! until the aggregate no longer asks for it: a late or repeated one decides by the state. Replicas may fire the same
//! timer at the same time; calls to external systems have idempotency keys.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::aggregate::{Cause, LoadRequest, Loaded, Store};
use crate::clock::Timestamp;
use crate::db::in_time;
use crate::error::Error;
use crate::runtime::{Tasks, panic_text};
use crate::telemetry::Meters;
use crate::writer::{CommandMessage, Resources, Writer};

/// The longest delay of a timer in an idle process.
const PERIOD: Duration = Duration::from_millis(500);
/// Timers fired together.
const AT_ONCE: i64 = 64;

/// What happens with an aggregate that is due: its writer executes the command, unless the context must call an
/// external system first.
pub type OnDue<A> = Arc<
    dyn Fn(<A as crate::Aggregate>::Id, <A as crate::Aggregate>::Command) -> BoxFuture<'static, Result<(), Error>>
        + Send
        + Sync,
>;

/// The default: the writer executes the command.
pub fn by_writer<A: Store>(writer: &Writer<A>) -> OnDue<A> {
    let writer = writer.clone();
    Arc::new(move |id, command| {
        let writer = writer.clone();
        Box::pin(async move {
            match writer.handle(CommandMessage { id, command, key: None, cause: Cause::time() }).await {
                // It was decided meanwhile.
                Ok(_) | Err(Error::Refused { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    })
}

/// Fires the timers that are due until the tasks stop.
pub async fn run<A: Store>(resources: &Resources, on_due: &OnDue<A>, tasks: &Tasks) {
    while tasks.sleep(PERIOD).await {
        loop {
            match fire_due::<A>(resources, on_due).await {
                Ok(count) if count == AT_ONCE as usize && !tasks.is_stopping() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(context = resources.context, error = %error.for_log(), "timers failed; retrying");
                    break;
                }
            }
        }
    }
}

/// A timer that panics must not stop the others.
async fn guarded(context: &'static str, call: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or_else(|panic| {
        Meters::panicked(context, "timer");
        Err(Error::Internal(format!("what a timer does panicked: {}", panic_text(&*panic))))
    })
}

async fn due<A: Store>(resources: &Resources, now: Timestamp) -> Result<Vec<Loaded<A>>, Error> {
    let reader = resources.database.reader().await?;
    let ids = A::due(reader.tx(), now, AT_ONCE).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut wanted = LoadRequest::<A>::new();
    ids.iter().for_each(|id| wanted.add(*id, None));
    A::load(reader.tx(), &wanted).await
}

async fn fire_due<A: Store>(resources: &Resources, on_due: &OnDue<A>) -> Result<usize, Error> {
    let now = resources.runtime.now();
    let due = in_time(due::<A>(resources, now)).await?;
    let calls = due.iter().filter_map(|loaded| {
        let (at, command) = loaded.state.due_at()?;
        let on_due = on_due.clone();
        (at <= now).then(|| guarded(resources.context, async move { on_due(loaded.id, command).await }))
    });
    let outcomes = futures::future::join_all(calls).await;
    let count = outcomes.len();
    outcomes.into_iter().collect::<Result<Vec<()>, Error>>()?;
    Ok(count)
}
