//! Pruning: what was kept for its retention is removed when the context starts, and the rest stays.

use std::time::Duration;

use chassis::db::{Durability, Unit};
use chassis::dead_letters::{self, DeadLetter};
use chassis::{Error, idempotency};
use contracts::place::v1::Place;
use futures::future::BoxFuture;

use crate::support::{COUNTING, Store, eventually, on_each_store};

const DAY: Duration = Duration::from_secs(86_400);

/// More than are removed in one transaction.
const MANY: usize = 1_200;

async fn write<T: Send + 'static>(
    store: &Store,
    unit: impl for<'t> FnOnce(chassis::Tx<'t>) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
) -> T {
    let unit: Unit<'static, T> = Box::new(unit);
    store.database.write(Durability::Full, unit).await.unwrap()
}

/// Dead letters, of which the last one is of now and the others are of two days ago.
async fn dead_letter(store: &Store, count: usize) {
    let now = store.runtime.now();
    let letter = |number: usize| {
        let dead_at = if number == count { now } else { now - DAY * 2 };
        DeadLetter { event: store.place(&number.to_string()), reason: "a test".to_owned(), dead_at }
    };
    let letters: Vec<DeadLetter> = (1..=count).map(letter).collect();
    write(store, |tx| {
        Box::pin(async move {
            for letter in letters {
                dead_letters::dead_letter(tx, letter).await?;
            }
            Ok(())
        })
    })
    .await;
}

async fn count(store: &Store) -> i64 {
    dead_letters::count(store.database.reader().await.unwrap().tx()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_removed_after_their_retention_however_many_they_are() {
    on_each_store(&COUNTING, async |store| {
        dead_letter(&store, MANY).await;
        let (running, _) = store.start_pruning(Some(DAY));
        eventually("the old ones are removed", async || (count(&store).await == 1).then_some(())).await;
        let left = store.dead_letters().await.remove(0).event.decode::<Place>().unwrap();
        assert_eq!(left.name, MANY.to_string());
        running.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_without_a_retention_and_keys_within_theirs_stay() {
    on_each_store(&COUNTING, async |store| {
        dead_letter(&store, 3).await;
        let (running, bus) = store.start();
        bus.deliver(vec![store.place("1")]).await;
        let before = store.runtime.now() - DAY;
        let removed = write(&store, move |tx| Box::pin(idempotency::prune(tx, before, 10))).await;
        assert_eq!((removed, count(&store).await), (0, 3));
        let after = store.runtime.now() + DAY;
        assert_eq!(write(&store, move |tx| Box::pin(dead_letters::prune(tx, after, 2))).await, 2, "at most the limit");
        assert!(write(&store, move |tx| Box::pin(idempotency::prune(tx, after, 10))).await > 0);
        running.kill().await;
    })
    .await;
}
