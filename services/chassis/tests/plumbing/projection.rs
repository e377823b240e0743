//! Projections: each event is applied once, and one that has the projection panic is a dead letter.

use chassis::context::Context;
use chassis::db::Database;

use crate::support::on_each_store;
use crate::tally::{SEEN, times};

static SEEING: Context = SEEN;

async fn seen(database: &Database, name: &str) -> i64 {
    times(database.reader().await.unwrap().tx(), name).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_delivered_twice_is_applied_once() {
    on_each_store(&SEEING, async |store| {
        let (running, bus) = store.start();
        let event = store.place("Jeju");
        bus.deliver(vec![event.clone(), store.place("Jeju"), event.clone()]).await;
        bus.deliver(vec![event]).await;
        assert_eq!(seen(&store.database, "Jeju").await, 2);
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_has_the_projection_panic_is_a_dead_letter_and_the_others_are_applied() {
    on_each_store(&SEEING, async |store| {
        let (running, bus) = store.start();
        bus.deliver(vec![store.place("Jeju"), store.place("panic"), store.place("Busan")]).await;
        assert_eq!((seen(&store.database, "Jeju").await, seen(&store.database, "Busan").await), (1, 1));
        assert_eq!(store.dead_letters().await.len(), 1);
        running.kill().await;
    })
    .await;
}
