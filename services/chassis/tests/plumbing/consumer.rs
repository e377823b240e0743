//! Consumers: each event has its effect once, and one that can't be handled becomes a dead letter.

use crate::support::{COUNTING, on_each_store};
use crate::tally::{MOST, shared};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_delivered_twice_has_its_effect_once() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        let (one, two) = (store.place("1"), store.place("2"));
        bus.deliver(vec![one.clone(), two.clone(), one.clone()]).await;
        bus.deliver(vec![two, one]).await;
        assert_eq!(store.count(shared()).await, Some(3));
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_command_is_refused_is_handled() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        bus.deliver(vec![store.place(&(MOST + 1).to_string()), store.place("2")]).await;
        assert_eq!(store.count(shared()).await, Some(2));
        assert!(store.dead_letters().await.is_empty());
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_malformed_or_has_the_policy_panic_is_a_dead_letter_and_those_behind_it_are_handled() {
    on_each_store(&COUNTING, async |store| {
        let (running, bus) = store.start();
        let (malformed, panicking) = (store.place("many"), store.place("panic"));
        bus.deliver(vec![malformed.clone(), store.place("1"), panicking.clone(), store.place("2")]).await;
        assert_eq!(store.count(shared()).await, Some(3));
        let dead: Vec<_> = store.dead_letters().await.into_iter().map(|letter| (letter.event, letter.reason)).collect();
        assert_eq!(dead.len(), 2, "{dead:?}");
        assert!(dead.iter().any(|(event, reason)| *event == malformed && reason.contains("a bad name")), "{dead:?}");
        assert!(dead.iter().any(|(event, reason)| *event == panicking && reason.contains("panicked")), "{dead:?}");
        running.kill().await;
    })
    .await;
}
