//! Two replicas on one PostgreSQL decide about the same car at once. Each may change what the other has read: the
//! version detects that, and the slower one decides again. SQLite has one writer, so only a server can show this.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::clock::Timestamp;
use chassis::db::Database;
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::values::{Currency, Money, Period};
use chassis::writer::Resources;
use chassis::{Cause, CommandMessage, Error, Writer, outbox};
use rental::domain::{Calendar, CarId, CarName, Command};

/// Periods that both try to reserve, one after the other. Fewer than a car may have open.
const PERIODS: u64 = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c3_two_replicas_never_promise_one_period_twice() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (runtime, tasks) = (Runtime::real(), Tasks::default());
    let car: CarId = runtime.ids.mint(runtime.now());
    let url = format!("{server}replicas{}", car.uuid().simple());
    let database = Database::open(&url, "rental", &runtime).await.unwrap();
    rental::CONTEXT.migrate(&database).await.unwrap();
    let resources = || Resources {
        context: "rental",
        database: database.clone(),
        runtime: runtime.clone(),
        sealing: SealingKeys::default(),
        published: Arc::default(),
    };
    let replicas: [Writer<Calendar>; 2] = [Writer::start(&resources(), &tasks), Writer::start(&resources(), &tasks)];

    let currency = Currency::parse("KRW").unwrap();
    let (rate, name, owner) = (Money { minor: 50_000, currency }, CarName::default(), String::new());
    let register = Command::Register { car, rate, name, owner };
    execute(&replicas[0], car, register).await.unwrap();
    for number in 0..PERIODS {
        let reserve = |customer: &str| Command::Reserve {
            id: runtime.ids.mint(runtime.now()),
            customer: customer.to_owned(),
            period: hour(runtime.now(), number),
            days: 1,
            currency,
            expected_price: None,
            pay_within: Duration::from_secs(900),
            time_zone: String::new(),
            unpaid: PERIODS as usize,
        };
        let (ann, ben) =
            tokio::join!(execute(&replicas[0], car, reserve("ann")), execute(&replicas[1], car, reserve("ben")));
        let winners = [&ann, &ben].iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(winners, 1, "one of two gets period {number}: {ann:?}, {ben:?}");
        let lost = ann.and(ben).expect_err("the other one does not");
        assert!(matches!(lost, Error::Refused { reason: "PERIOD_TAKEN", .. }), "{lost:?}");
    }

    let events = outbox::oldest(database.reader().await.unwrap().tx(), 1_000).await.unwrap();
    let sequences: BTreeSet<i64> = events.iter().map(|(_, event)| event.sequence).collect();
    assert_eq!(events.len() as u64, PERIODS, "an event for each reservation");
    assert_eq!(sequences.len(), events.len(), "each event has its own version of the calendar");
    tasks.stop(Duration::from_secs(5)).await;
}

async fn execute(
    replica: &Writer<Calendar>,
    id: CarId,
    command: Command,
) -> Result<contracts::rental::v1::Reservation, Error> {
    replica.handle(CommandMessage { id, command, key: None, cause: Cause::default() }).await
}

/// The hour that begins so many hours and a day from now.
fn hour(now: Timestamp, number: u64) -> Period {
    let start = now + Duration::from_secs((24 + number) * 3_600);
    Period { start, end: start + Duration::from_secs(3_000) }
}
