//! The ledger in a store, on SQLite and, by two replicas at once, on PostgreSQL: operations take effect once, the
//! ledger adds up, and the check finds where it does not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chassis::db::{Database, Durability, Unit};
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::values::Currency;
use chassis::writer::Resources;
use chassis::{Cause, CommandMessage, Error, Writer, outbox, sql};
use contracts::wallet::v1 as proto;
use wallet::check::check;
use wallet::domain::{Command, Holder, Operation, Wallet, wallet_of};

/// Orders that two replicas get at the same time.
const TOP_UPS: u64 = 50;

fn krw() -> Currency {
    Currency::parse("KRW").expect("the test gives a currency")
}

/// The id with this number at its end.
fn id<K>(number: u64) -> chassis::Id<K> {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    uuid.parse().expect("the test gives a UUID")
}

fn pay(number: u64, amount: i64) -> Operation {
    Operation::Pay(id(number), id(1_000 + number), amount)
}

fn void(number: u64) -> Operation {
    Operation::Void(id(number), id(1_000 + number))
}

async fn open(url: &str, runtime: &Runtime) -> Database {
    let database = Database::open(url, "wallet", runtime).await.expect("the store can be opened");
    wallet::CONTEXT.migrate(&database).await.expect("the tables can be made");
    database
}

fn start(database: &Database, runtime: &Runtime, tasks: &Tasks) -> Writer<Wallet> {
    let (database, runtime) = (database.clone(), runtime.clone());
    Writer::start(
        &Resources { context: "wallet", database, runtime, sealing: SealingKeys::default(), published: Arc::default() },
        tasks,
    )
}

async fn execute(writer: &Writer<Wallet>, owner: &str, operation: Operation) -> Result<proto::Wallet, Error> {
    let holder = Holder { owner: owner.to_owned(), currency: krw() };
    let command = Command { holder, operation };
    writer.handle(CommandMessage { id: wallet_of(owner), command, key: None, cause: Cause::default() }).await
}

/// A wallet's deposit, points and arrears.
fn holds(wallet: &proto::Wallet) -> (i64, i64, i64) {
    let minor = |money: &Option<contracts::money::v1::Money>| money.as_ref().map_or(0, |money| money.amount_minor);
    (minor(&wallet.deposit), wallet.points, minor(&wallet.arrears))
}

async fn findings(database: &Database) -> Vec<String> {
    check(database, krw()).await.expect("the store answers").findings
}

async fn tamper(database: &Database, statement: &'static str) {
    let unit: Unit<'static, usize> =
        Box::new(move |tx| Box::pin(async move { Ok(sql!(tx, |c| diesel::sql_query(statement).execute(c))?) }));
    assert_eq!(database.write(Durability::Full, unit).await.ok(), Some(1), "{statement}");
}

fn file(folder: &Path) -> String {
    format!("sqlite:{}", folder.join("wallet.db").display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_take_effect_once_and_the_ledger_adds_up() {
    let (folder, runtime, tasks) = (tempfile::tempdir().unwrap(), Runtime::real(), Tasks::default());
    let database = open(&file(folder.path()), &runtime).await;
    let operations = [
        (pay(7, 200), (0, 0, 200)),
        (pay(8, 50), (0, 0, 250)),
        (Operation::TopUp(id(1), 100), (100, 0, 250)),
        (Operation::Earn(id(4), 1_000), (100, 1_000, 250)),
        (Operation::Convert(id(5), 120), (20, 880, 50)),
        (void(9), (20, 880, 50)),
        (pay(9, 10), (20, 880, 50)),
        (Operation::TopUp(id(2), 30), (0, 880, 0)),
        (void(7), (200, 880, 0)),
    ];
    // A writer for each operation, so that all of it is read back from the store.
    for (operation, then) in operations {
        let wallet = execute(&start(&database, &runtime, &tasks), "ann", operation).await.unwrap();
        assert_eq!(holds(&wallet), then, "{operation:?}");
    }
    for (operation, _) in operations {
        let wallet = execute(&start(&database, &runtime, &tasks), "ann", operation).await.unwrap();
        assert_eq!(holds(&wallet), (200, 880, 0), "{operation:?} again");
    }
    let checked = check(&database, krw()).await.unwrap();
    assert_eq!((checked.wallets, checked.entries, checked.findings), (1, 7, vec![]));
    let balances: Vec<i64> = checked.balances.iter().map(|balance| balance.amount_minor).collect();
    assert_eq!(balances, [200, 880, -130, 50, -1_000], "deposit, points, cash, revenue, rewards");

    let stolen = execute(&start(&database, &runtime, &tasks), "ben", Operation::TopUp(id(1), 100)).await;
    assert!(matches!(stolen, Err(Error::Internal(_))), "a reason serves one wallet: {stolen:?}");
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_check_finds_a_paid_bill_that_waits_and_a_replica_of_an_entry() {
    let (folder, runtime, tasks) = (tempfile::tempdir().unwrap(), Runtime::real(), Tasks::default());
    let database = open(&file(folder.path()), &runtime).await;
    let writer = start(&database, &runtime, &tasks);
    for operation in [Operation::TopUp(id(1), 500), pay(7, 200)] {
        execute(&writer, "ann", operation).await.unwrap();
    }
    assert_eq!(findings(&database).await, Vec::<String>::new());
    tamper(&database, "UPDATE bills SET state = 'waiting', place = 1").await;
    let found = findings(&database).await;
    assert!(found.len() == 1 && found[0].contains("waits for money, though entry 2 paid it"), "{found:?}");
    tamper(&database, "UPDATE bills SET state = 'paid', place = NULL").await;
    tamper(
        &database,
        "INSERT INTO entries SELECT randomblob(16), wallet, 3, giver, taker, amount_minor, reason, 100, points, created_at \
         FROM entries WHERE number = 2",
    )
    .await;
    let found = findings(&database).await;
    assert!(found.len() == 1 && found[0].contains("there is an entry 3, it knows of 2"), "{found:?}");
    tamper(&database, "UPDATE wallets SET entries = 3, deposit_minor = 100").await;
    let found = findings(&database).await;
    assert!(found.iter().any(|finding| finding.contains("corrupt reason")), "{found:?}");
    tasks.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_post_each_top_up_once() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (runtime, tasks) = (Runtime::real(), Tasks::default());
    let name: chassis::Id<()> = runtime.ids.mint(runtime.now());
    let database = open(&format!("{server}replicas{}", name.uuid().simple()), &runtime).await;
    let replicas = [start(&database, &runtime, &tasks), start(&database, &runtime, &tasks)];
    for number in 0..TOP_UPS {
        let operation = Operation::TopUp(id(number), 3);
        let (one, other) =
            tokio::join!(execute(&replicas[0], "ann", operation), execute(&replicas[1], "ann", operation));
        let deposit = 3 * (number as i64 + 1);
        assert_eq!((holds(&one.unwrap()).0, holds(&other.unwrap()).0), (deposit, deposit));
    }
    let checked = check(&database, krw()).await.unwrap();
    assert_eq!((checked.entries, checked.findings), (TOP_UPS as i64, vec![]));
    let events = outbox::oldest(database.reader().await.unwrap().tx(), 1_000).await.unwrap();
    assert_eq!(events.len() as u64, TOP_UPS, "each is published once");
    tasks.stop(Duration::from_secs(5)).await;
}
