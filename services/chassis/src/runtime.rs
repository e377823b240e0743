//! The runtime of a process: the clock, ids and random numbers, tasks, and, in a simulation, faults.
//!
//! The product runs in [`Runtime::real`]. The simulation runs the same code in a runtime of one thread whose clock it
//! moves, whose random numbers it seeds, and whose [`FaultInjector`] decides at which crash points a context crashes.

use std::any::Any;
use std::fmt;
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Timestamp};
use crate::ids::Ids;
use crate::telemetry::Meters;

/// The clock, and ids and random numbers.
#[derive(Clone)]
pub struct Runtime {
    /// The current time.
    pub clock: Clock,
    /// New ids and random numbers.
    pub ids: Ids,
    faults: Option<Arc<dyn FaultInjector>>,
}

/// The points at which a simulated context may crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Everything is written, and nothing is committed.
    BeforeCommit,
    /// It is committed, and not answered.
    AfterCommit,
    /// The bus has the events, the outbox still has them too.
    AfterPublish,
}

/// Injects faults in a simulation.
pub trait FaultInjector: Send + Sync {
    /// Whether `context` crashes at this point: the task that reached it never goes on.
    fn crashes(&self, context: &str, point: CrashPoint) -> bool;
}

impl Runtime {
    /// The machine's clock, unpredictable ids, no injected faults.
    pub fn real() -> Runtime {
        Runtime { clock: Clock::system(), ids: Ids::system(), faults: None }
    }

    /// A runtime of one thread, on the runtime's clock.
    pub fn simulated(seed: u64, origin: Timestamp, faults: Arc<dyn FaultInjector>) -> Runtime {
        Runtime { clock: Clock::runtime(origin), ids: Ids::seeded(seed), faults: Some(faults) }
    }

    /// Whether everything must happen in one thread.
    pub fn is_simulated(&self) -> bool {
        self.faults.is_some()
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Passes a point at which a simulated context may crash; then this never returns.
    pub async fn crash_point(&self, context: &str, point: CrashPoint) {
        if let Some(faults) = &self.faults
            && faults.crashes(context, point)
        {
            std::future::pending::<()>().await;
        }
    }

    /// A random delay, 0.5 to 1.5 times `base`, so that callers that failed together don't retry together.
    pub fn jitter(&self, base: Duration) -> Duration {
        let micros = u64::try_from(base.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(micros / 2 + self.ids.below(micros))
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("simulated", &self.is_simulated()).finish_non_exhaustive()
    }
}

/// Receives waiting items of a queue. When the tasks stop, the queue is closed and its items are still received; after
/// that, as when all senders are gone, it returns 0.
pub(crate) async fn recv_until_stopped<T>(
    queue: &mut mpsc::Receiver<T>,
    batch: &mut Vec<T>,
    limit: usize,
    tasks: &Tasks,
) -> usize {
    tokio::select! {
        biased;
        received = queue.recv_many(batch, limit) => received,
        () = tasks.stopping() => {
            queue.close();
            queue.recv_many(batch, limit).await
        }
    }
}

/// The pauses between attempts: each twice as long as the one before, up to the longest.
pub(crate) struct Backoff {
    limits: RangeInclusive<Duration>,
    next: Duration,
}

impl Backoff {
    /// From the first pause to the longest.
    pub fn new(limits: RangeInclusive<Duration>) -> Backoff {
        Backoff { next: *limits.start(), limits }
    }

    /// The next pause is the first again.
    pub fn reset(&mut self) {
        self.next = *self.limits.start();
    }

    /// Pauses, but not past [`Tasks::stopping`]. Returns whether to go on.
    pub async fn pause(&mut self, runtime: &Runtime, tasks: &Tasks) -> bool {
        let pause = runtime.jitter(self.next);
        self.next = (self.next * 2).min(*self.limits.end());
        tasks.sleep(pause).await
    }
}

/// The pause before a task that panicked is restarted.
const PAUSE_AFTER_PANIC: Duration = Duration::from_millis(200);

/// Runs a task until it ends by itself. If it panics, the panic is logged and counted, and the task is restarted with
/// the same state: a queue and its items survive, and callers that waited for work in progress get an error.
pub async fn supervise<S, W>(context: &'static str, name: &'static str, mut state: S, work: W)
where
    S: Send + 'static,
    W: for<'a> Fn(&'a mut S) -> BoxFuture<'a, ()> + Send + 'static,
{
    loop {
        // The state is a queue, a connection or a handle: each of them is consistent between two uses.
        match AssertUnwindSafe(work(&mut state)).catch_unwind().await {
            Ok(()) => return,
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(context, task = name, panic, "a task panicked; it is restarted");
                Meters::panicked(context, name);
                tokio::time::sleep(PAUSE_AFTER_PANIC).await;
            }
        }
    }
}

/// The message of a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text")
}

/// Calls rules of a context; `None` if they panicked, which is a bug.
pub(crate) fn guarded<T>(context: &'static str, what: &'static str, rules: impl FnOnce() -> T) -> Option<T> {
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(rules));
    let failed = |panic: Box<dyn Any + Send>| {
        tracing::error!(context, rules = what, panic = panic_text(&*panic), "rules panicked");
        Meters::panicked(context, what);
    };
    outcome.map_err(failed).ok()
}

/// The tasks of one context, which stop together.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl Tasks {
    /// Tasks that never run.
    pub(crate) fn none() -> Tasks {
        let tasks = Tasks::default();
        tasks.kill.cancel();
        tasks
    }

    /// Starts a long task with its state, and keeps it running: see [`supervise`]. It ends by itself soon after
    /// [`Tasks::stopping`].
    pub fn supervise<S, W>(&self, context: &'static str, name: &'static str, state: S, work: W)
    where
        S: Send + 'static,
        W: for<'a> Fn(&'a mut S) -> BoxFuture<'a, ()> + Send + 'static,
    {
        self.spawn(supervise(context, name, state, work));
    }

    /// Starts a task that a caller waits for, such as the stream of one call: if it panics, it ends. It ends by itself
    /// soon after [`Tasks::stopping`].
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if self.kill.is_cancelled() {
            return;
        }
        let killed = self.kill.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                biased;
                () = killed.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Returns when the tasks are to finish their work in progress and end.
    pub async fn stopping(&self) {
        self.stop.cancelled().await;
    }

    /// Whether the tasks are to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Sleeps, but not past [`Tasks::stopping`]. Returns whether to go on.
    pub async fn sleep(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(duration) => true,
        }
    }

    /// Lets the tasks finish; those that have not within `limit` are dropped.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Drops the tasks where they are, as a crash does.
    pub async fn kill(&self) {
        self.kill.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
