//! Timers: commands that are due are executed, also beside one that panics each time.

use crate::support::{COUNTING, eventually, message, on_each_store};
use crate::tally::{Command, panicking};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_gets_its_command_once_also_beside_one_that_panics() {
    on_each_store(&COUNTING, async |store| {
        let tasks = chassis::runtime::Tasks::default();
        let writer = store.writer(&tasks);
        let (due, later, now) = (store.id(), store.id(), store.runtime.now());
        // The one that panics is due first.
        let long_ago = now - std::time::Duration::from_secs(60);
        for (id, at) in [(panicking(), long_ago), (due, now), (later, now + std::time::Duration::from_secs(3_600))] {
            writer.handle(message(id, Command::RemindAt(id, at))).await.unwrap();
        }
        let (running, _) = store.start();
        eventually("it is reminded", async || store.count(due).await.filter(|count| *count == 1)).await;
        writer.handle(message(due, Command::RemindAt(due, store.runtime.now()))).await.unwrap();
        eventually("it is reminded again", async || store.count(due).await.filter(|count| *count == 2)).await;
        assert_eq!((store.count(later).await, store.count(panicking()).await), (Some(0), Some(0)));
        running.kill().await;
        tasks.kill().await;
    })
    .await;
}
