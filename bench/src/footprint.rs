//! The footprint of the idle product: memory, and time until it is ready.

use std::path::Path;

use crate::product::{Product, Store};
use crate::report::Table;

pub async fn measure(nadeuri: &Path, amqp: &str, table: &mut Table) -> anyhow::Result<()> {
    let all = Product::start(nadeuri, &Store::Sqlite, "local").await?;
    say(table, "all contexts in one process on SQLite", &all)?;
    all.stop().await?;
    let one = Product::start_alone(nadeuri, &Store::Sqlite, amqp, "payment").await?;
    say(table, "`payment` alone on SQLite and RabbitMQ", &one)?;
    one.stop().await
}

fn say(table: &mut Table, what: &str, product: &Product) -> anyhow::Result<()> {
    let memory = format!("{:.1} MiB", product.resident()? as f64 / f64::from(1 << 20));
    let ready = format!("{} ms", product.ready_after.as_millis());
    table.alone(&format!("memory: {what}"), &memory);
    table.alone(&format!("from start to ready: {what}"), &ready);
    Ok(())
}
