//! The relay: written events reach the bus in order, however long it is unavailable, and then leave the outbox.

use chassis::outbox;
use contracts::period::v1::Dates;

use crate::support::{COUNTING, eventually, message, on_each_store};
use crate::tally::{Command, shared};

#[tokio::test(flavor = "multi_thread")]
async fn events_wait_in_the_outbox_while_the_bus_is_away_and_are_published_in_order_when_it_is_back() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        bus.set_capacity(0);
        for _ in 0..3 {
            bus.deliver(vec![store.place("1")]).await;
        }
        eventually("the relay tries", async || (bus.attempts() > 0).then_some(())).await;
        let waiting = async || {
            let reader = store.database.reader().await.unwrap();
            outbox::waiting(reader.tx()).await.unwrap().0
        };
        assert_eq!((waiting().await, bus.published().len()), (3, 0));
        bus.set_capacity(usize::MAX);
        eventually("the outbox is empty", async || (waiting().await == 0).then_some(())).await;
        let counts: Vec<_> = bus.published().iter().map(|event| event.decode::<Dates>().unwrap().start_date).collect();
        assert_eq!(counts, ["1", "2", "3"]);
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_a_failing_bus_has_confirmed_are_not_published_again() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        bus.set_capacity(0);
        for _ in 0..5 {
            bus.deliver(vec![store.place("1")]).await;
        }
        // Every attempt fails after two events until no more are left than that.
        bus.set_capacity(2);
        let all = async || (bus.published().len() >= 5).then(|| bus.published());
        let published = eventually("all are published", all).await;
        let counts: Vec<_> = published.iter().map(|event| event.decode::<Dates>().unwrap().start_date).collect();
        assert_eq!(counts, ["1", "2", "3", "4", "5"]);
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_names_its_flow_and_the_event_that_caused_it() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        let cause = store.place("1");
        bus.deliver(vec![cause.clone()]).await;
        let event = eventually("it is published", async || bus.published().pop()).await;
        assert_eq!((event.correlation_id, event.causation_id), (shared().uuid(), Some(cause.event_id)));
        assert_eq!((event.source.as_str(), event.sequence), ("tally", 1));
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_timer_brings_is_caused_by_the_last_event_of_the_aggregate() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        bus.deliver(vec![store.place("1")]).await;
        let first = eventually("it is published", async || bus.published().pop()).await;
        let tasks = chassis::runtime::Tasks::default();
        let remind = message(shared(), Command::RemindAt(shared(), store.runtime.now()));
        store.writer(&tasks).handle(remind).await.unwrap();
        let second = eventually("the timer fires", async || bus.published().into_iter().nth(1)).await;
        assert_eq!(second.causation_id, Some(first.event_id));
        tasks.kill().await;
        running.kill().await;
    })
    .await;
}
