//! `cargo xtask bench`: the performance of the product, as ratios to PostgreSQL, tonic and RabbitMQ alone, measured
//! side by side in one run on one machine, by the same client at the same concurrency. Absolute numbers depend on the
//! machine and its load; the ratios should not.
//!
//! Each module measures one thing and its raw counterpart; [`report::Table`] prints them.

mod attacks;
mod bikes;
mod cost;
mod events;
mod flow;
mod footprint;
mod ghz;
mod growth;
mod load;
mod orders;
mod peers;
mod product;
mod raw;
mod report;
mod stays;
mod taxis;

use std::time::Duration;

use clap::{Args, Parser};

use crate::product::{Product, Store};
use crate::report::{Goal, Table};

#[derive(Parser)]
enum Command {
    /// Runs the benchmarks.
    Run(Options),
    /// Serves the raw gRPC service that `GetCar` is compared with, in its own process like the product.
    Echo,
}

/// The options of the benchmarks.
#[derive(Args)]
struct Options {
    /// The URL of PostgreSQL without a database, for example `postgres://postgres@127.0.0.1:5432/`.
    #[arg(long, env = "NADEURI_TEST_POSTGRES")]
    postgres: String,

    /// The URL of RabbitMQ.
    #[arg(long, env = "NADEURI_TEST_AMQP")]
    amqp: String,

    /// The path of the `nadeuri` binary.
    #[arg(long)]
    nadeuri: std::path::PathBuf,

    /// The program of `bench/peers`, built, for `--only peers`.
    #[arg(long, requires = "restate_server")]
    peers: Option<std::path::PathBuf>,

    /// The server of Restate, for `--only peers`.
    #[arg(long, requires = "peers")]
    restate_server: Option<std::path::PathBuf>,

    /// The duration of each measurement, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// Measures what changes most often, a second each: in less than three minutes. The results vary more.
    #[arg(long, conflicts_with_all = ["seconds", "only"])]
    quick: bool,

    /// The benchmarks to run, by default all: reserve, get, flow, replicas, ride, bike, search, order, events, cost, footprint, attacks, growth, ghz; and, with their
    /// programs, peers.
    #[arg(long)]
    only: Vec<String>,

    /// The rows of the long history of `growth` in each table.
    #[arg(long, default_value_t = 100_000)]
    history: u64,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    match Command::parse() {
        Command::Run(options) => runtime.block_on(run(options)),
        Command::Echo => runtime.block_on(raw::serve_echo()),
    }
}

/// What `--quick` measures.
const QUICK: [&str; 8] = ["reserve", "get", "flow", "replicas", "ride", "bike", "order", "footprint"];

async fn run(options: Options) -> anyhow::Result<()> {
    let each = Duration::from_secs(if options.quick { 1 } else { options.seconds });
    let is_wanted = |name: &str| {
        let is_chosen = || options.only.is_empty() || options.only.iter().any(|only| only == name);
        if options.quick { QUICK.contains(&name) } else { is_chosen() }
    };
    let mut table = Table::default();
    if is_wanted("reserve") {
        reserve(&options, each, &mut table).await?;
    }
    if is_wanted("get") {
        get(&options, each, &mut table).await?;
    }
    if is_wanted("flow") {
        let product = Product::start(&options.nadeuri, &Store::Postgres(&options.postgres), &options.amqp).await?;
        flow::measure(&product, &options.postgres, &options.amqp, each, &mut table).await?;
        product.stop().await?;
    }
    if is_wanted("replicas") {
        flow::replicas(&options.nadeuri, &options.postgres, &options.amqp, each, &mut table).await?;
    }
    if is_wanted("ride") {
        let product = Product::start(&options.nadeuri, &Store::Postgres(&options.postgres), &options.amqp).await?;
        taxis::ride(&product, &options.postgres, &options.amqp, each, &mut table).await?;
        product.stop().await?;
    }
    if is_wanted("bike") {
        let product = Product::start(&options.nadeuri, &Store::Postgres(&options.postgres), &options.amqp).await?;
        bikes::ride(&product, &options.postgres, &options.amqp, each, &mut table).await?;
        product.stop().await?;
    }
    if is_wanted("search") {
        taxis::search_offers(&options.nadeuri, &options.postgres, each, &mut table).await?;
    }
    if is_wanted("order") {
        let product = Product::start(&options.nadeuri, &Store::Postgres(&options.postgres), &options.amqp).await?;
        orders::measure(&product, each, &mut table).await?;
        product.stop().await?;
    }
    if is_wanted("events") {
        events::measure(&options.postgres, &options.amqp, &mut table).await?;
    }
    if is_wanted("cost") {
        cost::measure(&options.nadeuri, &options.postgres, &options.amqp, &mut table).await?;
    }
    if is_wanted("footprint") {
        footprint::measure(&options.nadeuri, &options.amqp, &mut table).await?;
    }
    if is_wanted("attacks") {
        attacks::measure(&options.nadeuri, each, &mut table).await?;
    }
    if is_wanted("growth") {
        growth::measure(&options.nadeuri, &options.postgres, options.history, each, &mut table).await?;
    }
    if options.only.iter().any(|only| only == "peers") {
        let (Some(peers), Some(restate)) = (&options.peers, &options.restate_server) else {
            anyhow::bail!("peers need --peers and --restate-server, as `cargo xtask bench -- --only peers` gives them");
        };
        let programs = peers::Programs { peers, restate };
        peers::measure(&options.nadeuri, &programs, &options.postgres, &options.amqp, each, &mut table).await?;
    }
    if is_wanted("ghz") {
        ghz::measure(&options.nadeuri).await?;
    }
    table.print();
    Ok(())
}

/// Reserving a car, durable on PostgreSQL with its event in the outbox, beside pgbench with the same inserts. The
/// reactions of other contexts are not included: `flow` measures them.
async fn reserve(options: &Options, each: Duration, table: &mut Table) -> anyhow::Result<()> {
    let best_of = [8, 16, 32];
    let mut pgbench = Vec::new();
    for clients in [1, 64].into_iter().chain(best_of) {
        pgbench.push((clients, raw::pgbench(&options.postgres, clients, each).await?));
    }
    let alone = pgbench[0].1;
    let best = pgbench.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let product = Product::start(&options.nadeuri, &Store::Postgres(&options.postgres), "local").await?;
    let cars = load::register_cars(&product, load::CARS).await?;
    let product = product.go_on_with("rental").await?;
    for (clients, raw, goal) in [(1, alone, 0.6), (64, best, 2.0), (256, best, 3.0)] {
        let measured = load::reserve(&product, &cars, clients, each).await?;
        table.row(
            &format!("reserve a car, {clients} clients, to pgbench"),
            measured.per_second(),
            raw,
            Some(Goal::AtLeast(goal)),
            &measured,
        );
    }
    product.stop().await
}

/// Getting a car, beside a service that returns a message of the same size from memory.
async fn get(options: &Options, each: Duration, table: &mut Table) -> anyhow::Result<()> {
    for (name, store, goal) in [("PostgreSQL", Store::Postgres(&options.postgres), 0.3), ("SQLite", Store::Sqlite, 0.6)]
    {
        let product = Product::start(&options.nadeuri, &store, "local").await?;
        let cars = load::register_cars(&product, 1_000).await?;
        for clients in [1, 64, 256] {
            let echo = raw::Echo::start().await?;
            let raw = load::get(&echo.address, &cars, clients, each).await?;
            echo.stop().await?;
            let measured = load::get(&product.address, &cars, clients, each).await?;
            let goal = (clients == 64).then_some(Goal::AtLeast(goal));
            let what = format!("get a car on {name}, {clients} clients, to a tonic echo");
            table.row(&what, measured.per_second(), raw.per_second(), goal, &measured);
        }
        product.stop().await?;
    }
    Ok(())
}
