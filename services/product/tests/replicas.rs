//! Two replicas on one PostgreSQL decide about the same product at once. Each may change what the other has read: the
//! version of the product guards its takings, and the slower one decides again. SQLite has one writer, so only a server
//! can show this.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::db::Database;
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::values::{Currency, Money};
use chassis::writer::Resources;
use chassis::{Aggregate, Cause, CommandMessage, Error, Writer, outbox};
use product::domain::{Command, Listing, Product, ProductId};

/// Orders at each replica, for one each: twice as many as there is stock for.
const ORDERS: usize = 150;
/// The stock.
const STOCK: u64 = 150;
/// How often a caller is told to try again, at most.
const CONFLICTS: u32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_two_replicas_never_sell_more_than_the_stock() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (runtime, tasks) = (Runtime::real(), Tasks::default());
    let product: ProductId = runtime.ids.mint(runtime.now());
    let url = format!("{server}replicas{}", product.uuid().simple());
    let database = Database::open(&url, Product::NAME, &runtime).await.unwrap();
    product::CONTEXT.migrate(&database).await.unwrap();
    let resources = || Resources {
        context: "product",
        database: database.clone(),
        runtime: runtime.clone(),
        sealing: SealingKeys::default(),
        published: Arc::default(),
    };
    let replicas: [Writer<Product>; 2] = [Writer::start(&resources(), &tasks), Writer::start(&resources(), &tasks)];

    let price = Money { minor: 120_000, currency: Currency::parse("KRW").unwrap() };
    let listing = Listing { name: "Tent".to_owned(), price };
    let execute = async |replica: &Writer<Product>, command: Command| {
        let mut conflicts = 0;
        loop {
            let message = CommandMessage { id: product, command: command.clone(), key: None, cause: Cause::default() };
            match replica.handle(message).await {
                // The other replica was faster each time. Nothing was written, and callers are told to try again.
                Err(Error::Conflict) if conflicts < CONFLICTS => conflicts += 1,
                outcome => break outcome.unwrap(),
            }
        }
    };
    execute(&replicas[0], Command::Create(product, listing, STOCK, "hana".to_owned())).await;
    let orders = async |replica: &Writer<Product>| {
        for _ in 0..ORDERS {
            execute(replica, Command::Take(runtime.ids.mint(runtime.now()), 1)).await;
        }
    };
    tokio::join!(orders(&replicas[0]), orders(&replicas[1]));
    let left = execute(&replicas[0], Command::Add(1)).await.stock;
    assert_eq!(left, 1, "all of it is sold, but what was added after that");

    let events = outbox::oldest(database.reader().await.unwrap().tx(), 1_000).await.unwrap();
    let taken = events.iter().filter(|(_, event)| event.kind.ends_with(".StockTaken")).count();
    assert_eq!((taken, events.len()), (STOCK as usize, 2 + 2 * ORDERS), "an answer for each order");
    let sequences: BTreeSet<i64> = events.iter().map(|(_, event)| event.sequence).collect();
    assert_eq!(sequences.len(), events.len(), "each event has its own version of the product");
    tasks.stop(Duration::from_secs(5)).await;
}
