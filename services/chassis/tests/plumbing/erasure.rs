//! The erasure of people: after a delay, and again at its end, for what came late.

use std::time::Duration;

use chassis::db::{Durability, Unit};
use chassis::dead_letters::{self, DeadLetter};
use chassis::{Context, Envelope, Tx};
use contracts::dispatch::v1::{Hail, TaxiHailed};
use contracts::mypage::v1::{CustomerErased, Erasure};
use prost::{Message as _, Name as _};

use crate::support::{Store, eventually, on_each_store};
use crate::tally::{SEEN, times, upsert_names};

static SEEING: Context = SEEN;
const PSEUDONYM: &str = "erased-1";

fn request(store: &Store, subject: &str) -> Envelope {
    let erasure = Some(Erasure { pseudonym: PSEUDONYM.to_owned(), ..Erasure::default() });
    let body = CustomerErased { erasure, customer_id: subject.to_owned() }.encode_to_vec();
    Envelope { kind: CustomerErased::full_name(), body, ..store.place("") }
}

fn hail_of(customer: &str) -> TaxiHailed {
    let (customer_id, payment_method) = (customer.to_owned(), "card".to_owned());
    TaxiHailed { hail: Some(Hail { customer_id, payment_method, ..Hail::default() }) }
}

/// Stores a row of each of these people, who were seen 7 times.
async fn store(store: &Store, names: &'static [&'static str]) {
    let unit: Unit<'static, ()> = Box::new(|tx: Tx<'_>| Box::pin(upsert_names(tx, names, 7)));
    store.database.write(Durability::Full, unit).await.unwrap();
}

/// Stores a dead letter about somebody.
async fn dead_letter(store: &Store, customer: &str) {
    let event = Envelope { kind: TaxiHailed::full_name(), body: hail_of(customer).encode_to_vec(), ..store.place("") };
    let letter = DeadLetter { event, reason: "a test".to_owned(), dead_at: store.runtime.now() };
    let unit: Unit<'static, ()> = Box::new(move |tx| Box::pin(dead_letters::dead_letter(tx, letter)));
    store.database.write(Durability::Full, unit).await.unwrap();
}

async fn seen(store: &Store, name: &str) -> i64 {
    times(store.database.reader().await.unwrap().tx(), name).await.unwrap()
}

/// The erasures that have not ended.
async fn under_way(store: &Store) -> usize {
    let reader = store.database.reader().await.unwrap();
    chassis::sql!(reader.tx(), |c| diesel::sql_query("UPDATE erasures SET at = at").execute(c)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn x16_a_person_is_erased_after_the_delay_from_tables_and_dead_letters() {
    on_each_store(&SEEING, async |store_of_test| {
        let it = &store_of_test;
        store(it, &["ann", "bob"]).await;
        dead_letter(it, "ann").await;
        dead_letter(it, "bob").await;
        let (running, bus) = it.start();
        bus.deliver(vec![request(it, "ann"), request(it, "ann")]).await;
        assert_eq!((under_way(it).await, seen(it, "ann").await), (1, 7), "not before the delay");
        running.kill().await;
        let (running, _) = it.start_with(|environment| environment.erasure_delay = Duration::ZERO);
        eventually("ann is erased", async || (seen(it, "ann").await == 0).then_some(())).await;
        eventually("her dead letter, too", async || {
            let letters = it.dead_letters().await;
            let hails: Vec<TaxiHailed> = letters.iter().map(|letter| letter.event.decode().unwrap()).collect();
            let mut erased = hail_of(PSEUDONYM);
            erased.hail.as_mut().unwrap().payment_method = "erased".to_owned();
            (hails.contains(&erased) && hails.contains(&hail_of("bob"))).then_some(())
        })
        .await;
        assert_eq!(seen(it, "bob").await, 7, "others stay");
        assert_eq!(under_way(it).await, 1, "until the keys of her requests have expired");
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn x16_what_comes_late_is_erased_at_the_end_also_after_a_restart() {
    on_each_store(&SEEING, async |store_of_test| {
        let it = &store_of_test;
        store(it, &["ann"]).await;
        let (running, bus) = it.start_with(|environment| environment.erasure_delay = Duration::ZERO);
        bus.deliver(vec![request(it, "ann")]).await;
        eventually("ann is erased", async || (seen(it, "ann").await == 0).then_some(())).await;
        running.kill().await;
        store(it, &["eve"]).await;
        let late: Unit<'static, ()> = Box::new(|tx: Tx<'_>| {
            Box::pin(async move {
                // Her row is there already, under the pseudonym.
                chassis::sql!(tx, |c| diesel::sql_query("DELETE FROM seen WHERE name <> 'eve'").execute(c))?;
                upsert_names(tx, &["ann"], 1).await
            })
        });
        it.database.write(Durability::Full, late).await.unwrap();
        let (running, _) = it.start_with(|environment| {
            environment.erasure_delay = Duration::ZERO;
            environment.key_retention = Duration::ZERO;
        });
        eventually("the erasure ends", async || (under_way(it).await == 0).then_some(())).await;
        assert_eq!((seen(it, "ann").await, seen(it, "eve").await), (0, 7));
        running.kill().await;
    })
    .await;
}
