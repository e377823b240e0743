//! Rows: written many at once, new or not, at the version they were read at.

use std::ops::Range;

use chassis::db::{Durability, Metadata};
use chassis::{Change, Error, Tx};
use futures::future::BoxFuture;

use crate::support::{COUNTING, Store, on_each_store};
use crate::tally::{Tally, TallyId, insert_seen, times, upsert_seen};

async fn write<T: Send + 'static>(
    store: &Store,
    unit: impl for<'t> FnOnce(Tx<'t>) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    store.database.write(Durability::Full, Box::new(unit)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_inserted_once_and_overwritten_where_that_is_asked_for() {
    on_each_store(&COUNTING, async |store| {
        let insert = async |numbers: Range<i64>, times| {
            write(&store, move |tx| Box::pin(async move { insert_seen(tx, numbers, times).await })).await.unwrap()
        };
        assert_eq!(insert(0..300, 1).await, 300);
        assert_eq!(insert(290..310, 2).await, 10, "those that are there are left as they are");
        assert_eq!(insert(0..0, 1).await, 0);
        write(&store, |tx| Box::pin(async move { upsert_seen(tx, 305..320, 3).await })).await.unwrap();
        let reader = store.database.reader().await.unwrap();
        for (name, expected) in [("0", 1), ("295", 1), ("304", 2), ("305", 3), ("319", 3), ("320", 0)] {
            assert_eq!(times(reader.tx(), name).await.unwrap(), expected, "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_is_saved_only_at_the_version_it_was_read_at() {
    on_each_store(&COUNTING, async |store| {
        let id = store.id();
        assert!(save(&store, id, 1, 0).await.is_ok());
        assert!(matches!(save(&store, id, 5, 0).await, Err(Error::Conflict)), "it is there already");
        assert!(save(&store, id, 2, 1).await.is_ok());
        assert!(matches!(save(&store, id, 9, 1).await, Err(Error::Conflict)), "another wrote it meanwhile");
        assert!(matches!(save(&store, store.id(), 9, 1).await, Err(Error::Conflict)), "it is not there");
        assert_eq!(store.count(id).await, Some(2));
    })
    .await;
}

async fn save(store: &Store, id: TallyId, count: i64, read: i64) -> Result<(), Error> {
    write(store, move |tx| {
        Box::pin(async move {
            let (state, metadata) =
                (Tally { id, count, remind_at: None }, Metadata { version: read + 1, ..Metadata::default() });
            let change = Change { id, state: &state, events: &[], read, metadata };
            <Tally as chassis::Store>::save(tx, &[change]).await
        })
    })
    .await
}
