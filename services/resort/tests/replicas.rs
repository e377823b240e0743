//! Two replicas on one PostgreSQL decide about the same resort at once. Each may change what the other has read: the
//! version of the resort guards its holds, and the slower one decides again. SQLite has one writer, so only a server
//! can show this.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chassis::db::Database;
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::values::{Currency, Dates, Money};
use chassis::writer::Resources;
use chassis::{Aggregate, Cause, CommandMessage, Error, Writer, outbox};
use jiff::tz::TimeZone;
use resort::domain::{Claim, Command, Limits, Listing, Resort, ResortId};

/// Nights that both try to hold, one after the other. Fewer than a resort may have open.
const NIGHTS: i64 = 100;

const LIMITS: Limits = Limits { hold_for: Duration::from_secs(900), longest_nights: 30, horizon_days: 730 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r2_two_replicas_never_hold_one_night_twice() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let (runtime, tasks) = (Runtime::real(), Tasks::default());
    let resort: ResortId = runtime.ids.mint(runtime.now());
    let url = format!("{server}replicas{}", resort.uuid().simple());
    let database = Database::open(&url, Resort::NAME, &runtime).await.unwrap();
    resort::CONTEXT.migrate(&database).await.unwrap();
    let resources = || Resources {
        context: "resort",
        database: database.clone(),
        runtime: runtime.clone(),
        sealing: SealingKeys::default(),
        published: Arc::default(),
    };
    let replicas: [Writer<Resort>; 2] = [Writer::start(&resources(), &tasks), Writer::start(&resources(), &tasks)];

    let today = jiff::Timestamp::from_microsecond(runtime.now().micros()).unwrap().to_zoned(TimeZone::UTC).date();
    let dates = |start: i64, nights: i64| {
        let start = today + jiff::Span::new().days(start);
        Dates { start, end: start + jiff::Span::new().days(nights) }
    };
    let nightly_rate = Money { minor: 90_000, currency: Currency::parse("KRW").unwrap() };
    let listing = Listing { name: "Sea View".to_owned(), kind: "villa".to_owned(), nightly_rate, zone: TimeZone::UTC };
    execute(&replicas[0], resort, Command::Register(resort, listing, vec![dates(0, 365)], "hana".to_owned()))
        .await
        .unwrap();
    for number in 0..NIGHTS {
        let hold = |customer: &str| {
            let claim = Claim { customer: customer.to_owned(), dates: dates(number, 1) };
            Command::Hold(runtime.ids.mint(runtime.now()), claim, LIMITS, None)
        };
        let (ann, ben) =
            tokio::join!(execute(&replicas[0], resort, hold("ann")), execute(&replicas[1], resort, hold("ben")));
        let winners = [&ann, &ben].iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(winners, 1, "one of two gets night {number}: {ann:?}, {ben:?}");
        let lost = ann.and(ben).expect_err("the other one does not");
        assert!(matches!(lost, Error::Refused { reason: "DATES_TAKEN", .. }), "{lost:?}");
    }

    let events = outbox::oldest(database.reader().await.unwrap().tx(), 1_000).await.unwrap();
    let sequences: BTreeSet<i64> = events.iter().map(|(_, event)| event.sequence).collect();
    assert_eq!(events.len() as i64, 1 + NIGHTS, "an event for the resort and for each hold");
    assert_eq!(sequences.len(), events.len(), "each event has its own version of the resort");
    tasks.stop(Duration::from_secs(5)).await;
}

async fn execute(replica: &Writer<Resort>, id: ResortId, command: Command) -> Result<(), Error> {
    replica.handle(CommandMessage { id, command, key: None, cause: Cause::default() }).await.map(drop)
}
