//! What a flow of each line of business costs: CPU time by process, transactions, log and rows of PostgreSQL, events.
//!
//! One client runs flows one after the other, so nothing is batched that a busy system would batch: it is the highest cost.
//! What the idle processes use in the same time is measured before, and taken off.

pub mod servers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::Status;
use tonic::transport::Channel;

use crate::product::{Product, Store, connect};
use crate::report::Table;
use crate::{bikes, flow, load, orders, stays, taxis};
use servers::{Counts, Servers};

/// Flows of each line.
const FLOWS: u64 = 100;
/// Flows before they are counted.
const WARM_UP: u64 = 10;
/// Cars, bikes and so on that they use in turn.
const EACH: u64 = 20;
/// After this, all that follows the last flow is done: timers deliver messages.
const SETTLES: Duration = Duration::from_secs(3);
/// The pause between two looks at a read model.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

type Flow = Box<dyn Fn(Channel, u64) -> BoxFuture<'static, Result<(), Status>>>;

/// Measures the flows of all lines, on PostgreSQL and RabbitMQ, and on SQLite.
pub async fn measure(binary: &Path, postgres: &str, amqp: &str, table: &mut Table) -> anyhow::Result<()> {
    let product = Product::start(binary, &Store::Postgres(postgres), amqp).await?;
    let servers = Servers::find(postgres, amqp, product.name()).await?;
    lines(&product, Some(&servers), table).await?;
    product.stop().await?;
    let product = Product::start(binary, &Store::Sqlite, "local").await?;
    lines(&product, None, table).await?;
    product.stop().await
}

async fn lines(product: &Product, servers: Option<&Servers>, table: &mut Table) -> anyhow::Result<()> {
    let on = if servers.is_some() { "PostgreSQL and RabbitMQ" } else { "SQLite" };
    let channel = connect(&product.address).await?;
    for (line, flow) in flows(product, &channel).await? {
        for number in 0..WARM_UP {
            flow(channel.clone(), number).await?;
        }
        tokio::time::sleep(SETTLES).await;
        let idle = Counts::of(product, servers).await?;
        let idle_since = Instant::now();
        tokio::time::sleep(SETTLES).await;
        let before = Counts::of(product, servers).await?;
        let (idle, started) = (before.minus(&idle, 1.0), Instant::now());
        let idle_for = started - idle_since;
        for number in WARM_UP..WARM_UP + FLOWS {
            flow(channel.clone(), number).await?;
        }
        let took = started.elapsed();
        tokio::time::sleep(SETTLES).await;
        let after = Counts::of(product, servers).await?;
        let share = started.elapsed().as_secs_f64() / idle_for.as_secs_f64();
        let used = after.minus(&before, 1.0).minus(&idle, share);
        for (what, count, unit) in used.each() {
            let cell = format!("{:.1}{unit}", count / FLOWS as f64);
            table.alone(&format!("{line} on {on}: {what}"), &cell);
        }
        eprintln!("  {line} on {on}: {:.1} ms", took.as_secs_f64() * 1_000.0 / FLOWS as f64);
    }
    Ok(())
}

/// A flow of each line, and what it needs.
async fn flows(product: &Product, channel: &Channel) -> anyhow::Result<Vec<(&'static str, Flow)>> {
    let cars = load::register_cars(product, EACH as usize).await?;
    let resorts = Arc::new(stays::register_resorts(channel, EACH).await?);
    let bikes = Arc::new(bikes::prepare(product).await?);
    let goods = orders::add_goods(product, EACH as usize).await?;
    Ok(vec![
        (
            "a car reserved, paid and shown",
            Box::new(move |channel, number| {
                let car = cars[(number % EACH) as usize].clone();
                Box::pin(flow::flow(channel, car, 24 + number / EACH, LOOK_AGAIN))
            }),
        ),
        (
            "a taxi hailed, driven and paid",
            Box::new(|channel, number| Box::pin(taxis::ride_once(channel, number, LOOK_AGAIN))),
        ),
        (
            "a stay reserved, paid and its voucher shown",
            Box::new(move |channel, number| {
                let resorts = resorts.clone();
                Box::pin(async move { stays::night(channel, &resorts, number, LOOK_AGAIN).await })
            }),
        ),
        (
            "a bike rented, returned, billed and settled",
            Box::new(move |channel, number| {
                let bike = bikes[(number % EACH) as usize].clone();
                Box::pin(bikes::ride_once(channel, number % EACH, bike, LOOK_AGAIN))
            }),
        ),
        (
            "an order paid with its stock",
            Box::new(move |channel, number| {
                Box::pin(orders::until_stocked(channel, goods[(number % EACH) as usize].clone(), LOOK_AGAIN))
            }),
        ),
    ])
}
