//! Growth: the same calls with a short history and with a long one, which should take the same time.
//!
//! Two products run side by side, each with the same customers, cars, bikes and so on; they differ only in how much
//! happened before ([`history`]). The calls alternate between them, so that whatever else the machine does hits both. The
//! CPU time of the product for a call depends even less on the rest of the machine; that of PostgreSQL is not in it.

mod calls;
mod history;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::load::closed_loop;
use crate::product::{Product, Store};
use crate::report::{Goal, Table};
use calls::{CALLS, Call, World};

/// The rows of the short history in each table.
const SHORT: u64 = 1_000;
/// Concurrent clients.
const CLIENTS: usize = 8;
/// How often the calls alternate.
const ROUNDS: usize = 3;
/// The aim: how many times longer a call may take.
const GOAL: Goal = Goal::AtMost(1.2);

/// A product with its history.
struct Aged {
    product: Product,
    world: Arc<World>,
}

/// Measures the calls with a history of so many rows in each table.
pub async fn measure(
    binary: &Path,
    postgres: &str,
    long: u64,
    each: Duration,
    table: &mut Table,
) -> anyhow::Result<()> {
    for (name, store) in [("SQLite", Store::Sqlite), ("PostgreSQL", Store::Postgres(postgres))] {
        let (young, old) = (age(binary, &store, SHORT).await?, age(binary, &store, long).await?);
        for (what, call) in CALLS {
            let (mut before, mut after) = (Cost::default(), Cost::default());
            for _ in 0..ROUNDS {
                before.add(&young, *call, each).await?;
                after.add(&old, *call, each).await?;
            }
            let what = format!("{what} on {name}, {CLIENTS} clients: {long} rows of history, to {SHORT}");
            let cells =
                [&after, &before].map(|cost| format!("{:.0}/s, CPU {:.2} ms", cost.per_second(), cost.cpu_ms()));
            let (time, cpu) = (before.per_second() / after.per_second(), after.cpu_ms() / before.cpu_ms());
            table.ratio(&format!("{what}: time"), &cells, time, Some(GOAL));
            table.ratio(&format!("{what}: CPU"), &cells, cpu, Some(GOAL));
        }
        young.product.stop().await?;
        old.product.stop().await?;
    }
    Ok(())
}

async fn age(binary: &Path, store: &Store<'_>, rows: u64) -> anyhow::Result<Aged> {
    let product = Product::start(binary, store, "local").await?;
    let world = Arc::new(World::prepare(&product).await?);
    let started = tokio::time::Instant::now();
    let product = product.restart_after(async |store| history::extend(store, rows).await).await?;
    eprintln!("  {rows} rows of history were made in {:.0} s", started.elapsed().as_secs_f64());
    Ok(Aged { product, world })
}

/// What calls cost in all rounds.
#[derive(Default)]
struct Cost {
    /// The calls that were timed, and how long they took together.
    timed: u64,
    duration: Duration,
    /// All calls, and the CPU time of the product meanwhile.
    calls: u64,
    cpu: Duration,
}

impl Cost {
    /// Makes the calls for a while.
    async fn add(&mut self, aged: &Aged, call: Call, each: Duration) -> anyhow::Result<()> {
        let (calls, cpu) = (Arc::new(AtomicU64::new(0)), aged.product.cpu()?);
        let (world, count) = (aged.world.clone(), calls.clone());
        let run = move |channel, number| {
            count.fetch_add(1, Ordering::Relaxed);
            call(world.clone(), channel, number)
        };
        let measured = closed_loop(&aged.product.address, CLIENTS, each, run).await?;
        self.timed += measured.each.len();
        self.duration += measured.in_all;
        self.calls += calls.load(Ordering::Relaxed);
        self.cpu += aged.product.cpu()? - cpu;
        Ok(())
    }

    fn per_second(&self) -> f64 {
        self.timed as f64 / self.duration.as_secs_f64()
    }

    fn cpu_ms(&self) -> f64 {
        self.cpu.as_secs_f64() * 1_000.0 / self.calls as f64
    }
}
