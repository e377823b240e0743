//! Messages are stored whole, listed for those who may read them, and removed when they are old.

use super::*;
use chassis::db::{Database, Durability, Metadata, Unit};
use chassis::runtime::Runtime;
use chassis::{Aggregate, Change, Fields, LoadRequest};
use futures::executor::block_on;

fn sealing() -> SealingKeys {
    SealingKeys::given(&[[7; 32]])
}

/// A message; the third is sensitive, with a sealed code in its text.
fn message(number: u64, state: State) -> Message {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    let id: MessageId = uuid.parse().expect("the test gives a UUID");
    let sensitive = number == 3;
    let code = if sensitive { sealing().seal("3", "ann").expect("there is a key") } else { number.to_string() };
    let (customer, topic, text) = ("ann".to_owned(), "VOUCHER_ISSUED".to_owned(), format!("code {code}"));
    let content = Content { customer, flow: FlowId::new(id.uuid()), topic, text, sensitive };
    Message { id, content, state, created_at: Timestamp::from_micros(number as i64) }
}

fn change(state: &Message) -> Change<'_, Message> {
    let metadata = Metadata { version: 1, wake_at: state.due_at().map(|(at, _)| at), ..Metadata::default() };
    Change { id: state.id, state, events: &[], read: 0, metadata }
}

#[test]
fn messages_are_read_as_they_were_written_and_only_their_customer_reads_sensitive_ones() {
    let (store, runtime) = ("sqlite:file:messages?mode=memory&cache=shared", Runtime::real());
    let database = block_on(Database::open(store, "notification", &runtime)).expect("it can be opened");
    block_on(crate::CONTEXT.migrate(&database)).expect("it can be migrated");
    let at = Timestamp::from_micros(9);
    let states = [State::Pending { attempt: 4, deliver_at: at }, State::Delivered(at), State::Undeliverable];
    let messages: Vec<Message> = (1..).zip(states).map(|(number, state)| message(number, state)).collect();
    let written = messages.clone();
    let unit: Unit<'static, _> = Box::new(|tx| {
        Box::pin(async move {
            let changes: Vec<_> = written.iter().map(change).collect();
            Message::save(tx, &changes).await
        })
    });
    block_on(database.write(Durability::Full, unit)).expect("they can be written");
    let reader = block_on(database.reader()).expect("it is open");
    let mut request = LoadRequest::new();
    messages.iter().for_each(|message| request.add(message.id, None));
    let mut loaded = block_on(Message::load(reader.tx(), &request)).expect("they can be read");
    loaded.sort_by_key(|loaded| loaded.id);
    assert_eq!(loaded.into_iter().map(|loaded| loaded.state).collect::<Vec<_>>(), messages);

    let page = Page::parse(&mut Fields::new(), 0, "", &[]).expect("it is right");
    let texts = |subject: &str, flow| {
        let listed = block_on(list(reader.tx(), &sealing(), subject, None, flow, &page));
        let (listed, _) = listed.expect("they can be listed");
        listed.into_iter().map(|message| message.text).collect::<Vec<_>>()
    };
    assert_eq!(texts("ann", None), ["code 3", "code 2", "code 1"]);
    assert_eq!(texts("admin", None), ["", "code 2", "code 1"]);
    assert_eq!(texts("admin", Some(messages[0].content.flow)), ["code 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_messages_are_removed_unless_they_are_still_to_be_delivered() {
    let server = std::env::var("NADEURI_TEST_POSTGRES").expect("needs PostgreSQL: run `cargo xtask test`");
    let runtime = Runtime::real();
    let name = format!("messages{}", runtime.ids.uuid(runtime.now()).simple());
    for url in [format!("sqlite:file:{name}?mode=memory&cache=shared"), format!("{server}{name}")] {
        let database = Database::open(&url, "notification", &runtime).await.expect("it can be opened");
        crate::CONTEXT.migrate(&database).await.expect("it can be migrated");
        let at = Timestamp::from_micros(9);
        let pending = State::Pending { attempt: 0, deliver_at: at };
        let states = [State::Delivered(at), pending, State::Undeliverable, State::Delivered(at), State::Delivered(at)];
        let unit: Unit<'static, _> = Box::new(|tx| {
            Box::pin(async move {
                let written: Vec<Message> = (1..).zip(states).map(|(number, state)| message(number, state)).collect();
                Message::save(tx, &written.iter().map(change).collect::<Vec<_>>()).await
            })
        });
        database.write(Durability::Full, unit).await.expect("they can be written");
        let remove = async |limit| {
            let unit: Unit<'static, usize> = Box::new(move |tx| Box::pin(prune(tx, Timestamp::from_micros(5), limit)));
            database.write(Durability::Full, unit).await.expect("they can be removed")
        };
        assert_eq!((remove(2).await, remove(2).await, remove(2).await), (2, 1, 0));
        let page = Page::parse(&mut Fields::new(), 0, "", &[]).expect("it is right");
        let reader = database.reader().await.expect("it is open");
        let left = list(reader.tx(), &sealing(), "ann", None, None, &page).await;
        let (left, _) = left.expect("they can be listed");
        assert_eq!(left.into_iter().map(|message| message.text).collect::<Vec<_>>(), ["code 5", "code 2"]);
    }
}
