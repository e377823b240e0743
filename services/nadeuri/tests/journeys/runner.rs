//! Runs journeys as named trials on shared servers, and stops the servers at the end.

use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::plans::Recording;
use crate::support::cluster::{Cluster, Setup, real_servers};

/// The runtime of all trials.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap()
});

/// The number of concurrent trials: more than cores, because trials mostly wait.
const AT_ONCE: usize = 8;
/// The number of concurrent clusters that trials start for themselves.
static OWN: Semaphore = Semaphore::const_new(2);

/// The shared clusters, by set-up.
static SHARED: [Mutex<Option<Arc<Cluster>>>; 3] = [const { Mutex::const_new(None) }; 3];
/// One process per context, for trials that stop some of them: one trial at a time.
static FRAGILE: Mutex<Option<Cluster>> = Mutex::const_new(None);

const SETUPS: [Setup; 3] = [Setup::Embedded, Setup::OneProcess, Setup::PerContext];

/// The shared cluster of a set-up.
async fn shared(setup: Setup) -> Arc<Cluster> {
    let mut cluster = SHARED[setup as usize].lock().await;
    match &*cluster {
        Some(cluster) => cluster.clone(),
        None => cluster.insert(Arc::new(Cluster::new(setup).started().await)).clone(),
    }
}

/// The cluster whose processes may be stopped. All of them are running.
pub async fn fragile() -> MutexGuard<'static, Option<Cluster>> {
    let mut cluster = FRAGILE.lock().await;
    cluster.get_or_insert_with(|| Cluster::new(Setup::PerContext)).up().await;
    cluster
}

/// The trials.
pub struct Suite(Vec<Trial>);

impl Suite {
    /// Without trials.
    pub fn new() -> Suite {
        Suite(Vec::new())
    }

    /// Adds a journey in all set-ups, on shared servers.
    pub fn journey<F>(&mut self, name: &str, body: fn(Arc<Cluster>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        for setup in SETUPS {
            let body = move || Box::pin(async move { body(shared(setup).await).await }) as LocalBoxFuture<'static, ()>;
            self.add(setup, name, body);
        }
    }

    /// Adds a journey that starts its own servers, in all set-ups.
    pub fn own<F>(&mut self, name: &str, body: fn(Setup) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        for setup in SETUPS {
            self.own_in(setup, name, move || body(setup));
        }
    }

    /// Adds a journey that starts its own servers, in one set-up.
    pub fn own_in<F>(&mut self, setup: Setup, name: &str, body: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        let body = move || {
            let limited = async move {
                let _place = OWN.acquire().await;
                body().await;
            };
            Box::pin(limited) as LocalBoxFuture<'static, ()>
        };
        self.add(setup, name, body);
    }

    /// Adds a journey on servers that may be stopped, with one process per context.
    pub fn fragile<F>(&mut self, name: &str, body: fn(MutexGuard<'static, Option<Cluster>>) -> F)
    where
        F: Future<Output = ()> + 'static,
    {
        let body = move || Box::pin(async move { body(fragile().await).await }) as LocalBoxFuture<'static, ()>;
        self.add(Setup::PerContext, name, body);
    }

    fn add(&mut self, setup: Setup, name: &str, body: impl FnOnce() -> LocalBoxFuture<'static, ()> + Send + 'static) {
        let prefix = match setup {
            Setup::Embedded => "embedded",
            Setup::OneProcess => "one_process",
            Setup::PerContext => "per_context",
        };
        let trial = move || {
            if setup != Setup::Embedded {
                real_servers().map_err(Failed::from)?;
            }
            RUNTIME.block_on(body());
            Ok(())
        };
        self.0.push(Trial::test(format!("{prefix}::{name}"), trial));
    }

    /// Runs the trials that the command line selects, and stops the servers. Then it looks at the plans of all
    /// statements that those trials have run.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(AT_ONCE);
        let recording = Recording::begin();
        let conclusion = libtest_mimic::run(&arguments, self.0);
        RUNTIME.block_on(async {
            let mut clusters: Vec<Cluster> = FRAGILE.lock().await.take().into_iter().collect();
            for cluster in &SHARED {
                clusters.extend(cluster.lock().await.take().and_then(Arc::into_inner));
            }
            futures::future::join_all(clusters.into_iter().map(Cluster::down)).await;
        });
        let plans = libtest_mimic::run(&arguments, recording.end());
        if conclusion.has_failed() { conclusion.exit_code() } else { plans.exit_code() }
    }
}

/// Adds journeys, each named after its function.
macro_rules! journeys {
    ($suite:ident.$how:ident: $($name:ident,)+) => {
        $($suite.$how(stringify!($name), $name);)+
    };
}
pub(crate) use journeys;
