//! Loaders: each caller gets its value, however reads are batched; a read that panics does not stop the loader.

use chassis::runtime::Tasks;
use chassis::{Error, Loader};

use crate::support::{COUNTING, on_each_store};

/// The double of each even number; odd ones are missing, and 13 makes the read panic.
fn loader(store: &crate::support::Store, tasks: &Tasks) -> Loader<u32, u32> {
    Loader::start(store.context.name, &store.database, tasks, |_, keys| {
        Box::pin(async move {
            assert!(!keys.contains(&13), "the test has the read panic");
            Ok(keys.into_iter().filter(|key| key % 2 == 0).map(|key| (key, key * 2)).collect())
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gets_what_it_asked_for_and_none_what_is_not_there() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let loader = loader(&store, &tasks);
        let even = (0..200_u32).filter(|key| *key != 13).map(|key| {
            let loader = loader.clone();
            async move { assert_eq!(loader.get(key).await.unwrap(), (key % 2 == 0).then_some(key * 2)) }
        });
        futures::future::join_all(even).await;
        tasks.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_panics_fails_and_the_next_one_is_answered() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let loader = loader(&store, &tasks);
        // On SQLite the panic is in the caller's task; on PostgreSQL the task of the loader is restarted.
        let failed = tokio::spawn({
            let loader = loader.clone();
            async move { loader.get(13).await }
        });
        assert!(!matches!(failed.await, Ok(Ok(_))));
        let mut answer = loader.get(2).await;
        for _ in 0..100 {
            if !matches!(answer, Err(Error::Stopping)) {
                break;
            }
            answer = loader.get(2).await;
        }
        assert_eq!(answer.unwrap(), Some(4));
        tasks.kill().await;
    })
    .await;
}
