//! Two replicas on one PostgreSQL decide about the same product at once. What one has read the other may have changed: the
//! version of the product guards what orders took of it, and the slower one decides anew. On SQLite there is one writer, so
//! only a server can show this.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::db::Database;
use chassis::values::{Currency, Money};
use chassis::world::{Tasks, World};
use chassis::writer::Scene;
use chassis::{Aggregate, Cause, Intent, Writer, outbox};
use product::domain::{Command, Listing, Product, ProductId};

/// Orders at each replica, for one each: twice as many as there is stock for.
const ORDERS: usize = 150;
/// What there is.
const STOCK: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn o3_two_replicas_never_sell_more_than_the_stock() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (world, tasks) = (World::real(), Tasks::default());
    let product: ProductId = world.ids.mint(world.now());
    let url = format!("{server}replicas{}", product.uuid().simple());
    let database = Database::open(&url, Product::NAME, &world).await.unwrap();
    product::CONTEXT.migrate(&database).await.unwrap();
    let scene =
        || Scene { context: "product", database: database.clone(), world: world.clone(), published: Arc::default() };
    let replicas: [Writer<Product>; 2] = [Writer::start(&scene(), &tasks), Writer::start(&scene(), &tasks)];

    let price = Money { minor: 120_000, currency: Currency::parse("KRW").unwrap() };
    let listing = Listing { name: "Tent".to_owned(), price };
    let obey = async |replica: &Writer<Product>, command: Command| {
        replica.handle(Intent { id: product, command, key: None, cause: Cause::default() }).await.unwrap()
    };
    obey(&replicas[0], Command::Create(product, listing, STOCK)).await;
    let orders = async |replica: &Writer<Product>| {
        for _ in 0..ORDERS {
            obey(replica, Command::Take(world.ids.mint(world.now()), 1)).await;
        }
    };
    tokio::join!(orders(&replicas[0]), orders(&replicas[1]));
    let left = obey(&replicas[0], Command::Add(1)).await.stock;
    assert_eq!(left, 1, "all of it is sold, but what was added after that");

    let events = outbox::oldest(database.reader().await.unwrap().tx(), 1_000).await.unwrap();
    let taken = events.iter().filter(|(_, event)| event.kind.ends_with(".StockTaken")).count();
    assert_eq!((taken, events.len()), (STOCK as usize, 2 + 2 * ORDERS), "an answer for each order");
    let sequences: BTreeSet<i64> = events.iter().map(|(_, event)| event.sequence).collect();
    assert_eq!(sequences.len(), events.len(), "no two events are the same step of the product");
    tasks.stop(Duration::from_secs(5)).await;
}
