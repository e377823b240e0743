//! The writer: many commands, one transaction, each with an outcome of its own.

use chassis::auth::{Caller, Roles};
use chassis::idempotency::Key;
use chassis::runtime::Tasks;
use chassis::{CommandMessage, Error, outbox};
use contracts::fleet::v1::GetCarRequest;
use uuid::Uuid;

use crate::support::{COUNTING, Store, message, on_each_store};
use crate::tally::{Command, MOST, Tally, TallyId};

fn key(request_id: Uuid, car_id: &str) -> Key {
    let caller = Caller::new("ann", Roles::all()).unwrap();
    Key::request(&caller, request_id, &GetCarRequest { car_id: car_id.to_owned() })
}

fn keyed(id: TallyId, number: i64, key: Key) -> CommandMessage<Tally> {
    CommandMessage { key: Some(key), ..message(id, Command::Add(id, number)) }
}

async fn events(store: &Store) -> Vec<i64> {
    let reader = store.database.reader().await.unwrap();
    outbox::oldest(reader.tx(), 1_000).await.unwrap().into_iter().map(|(_, event)| event.sequence).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_for_one_aggregate_are_decided_in_order_and_each_gets_its_answer() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let (writer, id) = (store.writer(&tasks), store.id());
        let queued: Vec<_> = (1..=50).map(|_| writer.enqueue(message(id, Command::Add(id, 1))).unwrap()).collect();
        let answers = futures::future::join_all(queued).await;
        let counts: Vec<i64> = answers.into_iter().map(|answer| answer.unwrap().amount_minor).collect();
        assert_eq!(counts, (1..=50).collect::<Vec<i64>>());
        assert_eq!(store.count(id).await, Some(50));
        assert_eq!(events(&store).await, (1..=50).collect::<Vec<i64>>());
        tasks.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_refused_or_panics_writes_nothing_and_leaves_the_others_alone() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let (writer, good, bad) = (store.writer(&tasks), store.id(), store.id());
        let commands = [
            message(good, Command::Add(good, 1)),
            message(bad, Command::Panic),
            message(good, Command::Add(good, MOST)),
            message(good, Command::Add(good, 2)),
        ];
        let queued: Vec<_> = commands.map(|command| writer.enqueue(command).unwrap()).into();
        let outcomes = futures::future::join_all(queued).await;
        assert_eq!(outcomes[0].as_ref().unwrap().amount_minor, 1);
        assert!(matches!(outcomes[1], Err(Error::Internal(_))), "{:?}", outcomes[1]);
        assert!(matches!(outcomes[2], Err(Error::Refused { reason: "TOO_MUCH", .. })), "{:?}", outcomes[2]);
        assert_eq!(outcomes[3].as_ref().unwrap().amount_minor, 3);
        assert_eq!((store.count(good).await, store.count(bad).await), (Some(3), None));
        tasks.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_repeated_gets_its_first_answer_and_another_one_under_its_id_an_error() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let (writer, id, request) = (store.writer(&tasks), store.id(), Uuid::from_u128(7));
        let car = "0190a0b1-0000-7000-8000-00000000000a";
        let first = writer.handle(keyed(id, 1, key(request, car))).await.unwrap();
        writer.handle(message(id, Command::Add(id, 10))).await.unwrap();
        // The same id in other letters is the same id.
        let again = writer.handle(keyed(id, 1, key(request, &car.to_uppercase()))).await.unwrap();
        assert_eq!((first.amount_minor, again.amount_minor), (1, 1));
        let other = writer.handle(keyed(id, 1, key(request, "another car"))).await;
        assert!(matches!(other, Err(Error::RequestIdReused)), "{other:?}");
        let state = writer.state_after(keyed(id, 1, key(request, car))).await.unwrap();
        assert_eq!(state.map(|tally| tally.count), Some(11), "it is the current one");
        assert_eq!(store.count(id).await, Some(11));
        tasks.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_outside_of_the_store_is_done_once_and_its_answer_is_that_of_its_last_command() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let (writer, id, key) = (store.writer(&tasks), store.id(), key(Uuid::from_u128(8), "car"));
        let mut answers = Vec::new();
        for _ in 0..3 {
            let work = async {
                let started = writer.state_after(message(id, Command::Add(id, 1))).await?;
                assert_eq!(started.map(|tally| tally.count), Some(1), "the work is done once");
                writer.handle(keyed(id, 5, key)).await
            };
            answers.push(writer.once(Some(key), work).await.unwrap().amount_minor);
        }
        assert_eq!(answers, [6, 6, 6]);
        tasks.kill().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_on_one_aggregate_lose_nothing() {
    on_each_store(&COUNTING, async |store| {
        let tasks = Tasks::default();
        let (one, other, id) = (store.writer(&tasks), store.writer(&tasks), store.id());
        let add = |writer: &chassis::Writer<Tally>| writer.enqueue(message(id, Command::Add(id, 1))).unwrap();
        let queued: Vec<_> = (0..100).flat_map(|_| [add(&one), add(&other)]).collect();
        for answer in futures::future::join_all(queued).await {
            answer.unwrap();
        }
        assert_eq!(store.count(id).await, Some(200));
        assert_eq!(events(&store).await.len(), 200);
        tasks.kill().await;
    })
    .await;
}
