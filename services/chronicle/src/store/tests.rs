//! Old events are removed, on each kind of store, and readers go on after positions that are no longer there.

use chassis::db::{Database, Durability, Unit};
use chassis::runtime::Runtime;

use super::*;

const ALL: [String; 0] = [];

/// An event that happened at this time, in microseconds.
fn event(runtime: &Runtime, at: i64) -> Envelope {
    let id = runtime.ids.uuid(runtime.now());
    Envelope {
        event_id: id,
        kind: "nadeuri.rental.v1.CarReserved".to_owned(),
        source: "rental".to_owned(),
        subject: "1".to_owned(),
        at: Timestamp::from_micros(at),
        correlation_id: id,
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: Vec::new(),
    }
}

async fn append_at(database: &Database, times: &[i64]) {
    let runtime = Runtime::real();
    let events: Vec<Envelope> = times.iter().map(|at| event(&runtime, *at)).collect();
    let unit: Unit<'static, ()> = Box::new(|tx| Box::pin(async move { append(tx, &events).await }));
    database.write(Durability::Full, unit).await.expect("they can be written");
}

async fn prune_before(database: &Database, at: i64, limit: i64) -> usize {
    let unit: Unit<'static, usize> = Box::new(move |tx| Box::pin(prune(tx, Timestamp::from_micros(at), limit)));
    database.write(Durability::Full, unit).await.expect("they can be removed")
}

async fn positions_after(database: &Database, position: i64) -> Vec<i64> {
    let reader = database.reader().await.expect("it is open");
    let events = after_position(reader.tx(), &ALL, position, 100).await.expect("they can be read");
    events.into_iter().map(|event| event.position).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_are_removed_and_positions_stay() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let runtime = Runtime::real();
    let name = format!("events{}", runtime.ids.uuid(runtime.now()).simple());
    for url in [format!("sqlite:file:{name}?mode=memory&cache=shared"), format!("{server}{name}")] {
        let database = Database::open(&url, "chronicle", &runtime).await.expect("it can be opened");
        crate::CONTEXT.migrate(&database).await.expect("it can be migrated");
        // The third is of a context whose clock is ahead, the fourth was late.
        append_at(&database, &[1, 2, 90, 3, 10]).await;
        assert_eq!(prune_before(&database, 5, 2).await, 2);
        assert_eq!(positions_after(&database, 0).await, [3, 4, 5]);
        assert_eq!(prune_before(&database, 5, 2).await, 1, "what is younger does not hold up what is older");
        assert_eq!(prune_before(&database, 5, 2).await, 0);
        for removed in [0, 1, 2] {
            assert_eq!(positions_after(&database, removed).await, [3, 5]);
        }
        assert_eq!(positions_after(&database, 4).await, [5], "a reader goes on with the next one");
        assert_eq!(prune_before(&database, 100, 10).await, 2);
        append_at(&database, &[200]).await;
        assert_eq!(positions_after(&database, 0).await, [6], "a position is not used again");
    }
}
