//! Managers in a store: what was written is read back, once.

use std::sync::Arc;
use std::time::Duration;

use chassis::db::Database;
use chassis::runtime::{Runtime, Tasks};
use chassis::sealing::SealingKeys;
use chassis::writer::Resources;
use chassis::{Cause, CommandMessage, Error, Writer, outbox};
use contracts::upkeep::v1::Report;
use upkeep::domain::{Command, Finding, Manager, manager_of};

/// The id of a number.
fn id<K>(number: u64) -> chassis::Id<K> {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    uuid.parse().expect("the test gives a UUID")
}

fn record(subject: &str, number: u64) -> Command {
    let finding = Finding { bike: id(7), battery_percent: 60, usable: false };
    Command::Record(subject.to_owned(), id(number), finding, 1_000)
}

async fn execute(writer: &Writer<Manager>, subject: &str, command: Command) -> Result<Report, Error> {
    writer.handle(CommandMessage { id: manager_of(subject), command, key: None, cause: Cause::default() }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b8_a_report_is_stored_and_published_once() {
    let (folder, runtime, tasks) = (tempfile::tempdir().unwrap(), Runtime::real(), Tasks::default());
    let store = format!("sqlite:{}", folder.path().join("upkeep.db").display());
    let database = Database::open(&store, "upkeep", &runtime).await.unwrap();
    upkeep::CONTEXT.migrate(&database).await.unwrap();
    let resources = || Resources {
        context: "upkeep",
        database: database.clone(),
        runtime: runtime.clone(),
        sealing: SealingKeys::default(),
        published: Arc::default(),
    };
    let first = execute(&Writer::start(&resources(), &tasks), "boss", record("boss", 1)).await.unwrap();
    assert_eq!(
        (first.manager_id.as_str(), first.battery_percent, first.usable, first.points),
        ("boss", 60, false, 1_000)
    );
    // Another writer reads all of it back.
    let writer = Writer::start(&resources(), &tasks);
    for points in [1_000, 1_000] {
        let subject = "boss".to_owned();
        execute(&writer, "boss", Command::Note { subject, points, sequence: 2 }).await.unwrap();
    }
    assert_eq!(execute(&writer, "boss", record("boss", 1)).await.unwrap(), first, "the report is as it was");
    execute(&writer, "boss", record("boss", 2)).await.unwrap();
    let events = outbox::oldest(database.reader().await.unwrap().tx(), 100).await.unwrap();
    assert_eq!(events.len(), 2, "an event for each report");
    let stolen = execute(&writer, "other", record("other", 1)).await;
    assert!(matches!(stolen, Err(Error::Internal(_))), "a report is one manager's: {stolen:?}");
    tasks.stop(Duration::from_secs(5)).await;
}
