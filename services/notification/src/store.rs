//! Messages in a table, and the event that a sensitive one was delivered.

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::{Error, EventId, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::notification::v1 as proto;

use crate::domain::{Command, Content, Event, FlowId, Message, MessageId, State};

chassis::table! {
    /// A message.
    messages (id) of Message as Row with version, wake_at {
        id: MessageId as SqlUuid,
        created_at: Timestamp as SqlTime,
    }
    columns |message| {
        customer: String as Text = message.content.customer.clone(),
        flow: FlowId as SqlUuid = message.content.flow,
        topic: String as Text = message.content.topic.clone(),
        text: String as Text = message.content.text.clone(),
        registered: bool as Bool = message.content.sensitive,
        state: Name<proto::MessageState> as Text = Name(shown(&message.state)),
        attempt: u32 as Integer = if let State::Pending { attempt, .. } = message.state { attempt } else { 0 },
        delivered_at: Option<Timestamp> as Nullable<SqlTime> = delivered_at(&message.state),
    }
    fields |row, corrupt| {
        content: Content {
            customer: row.customer,
            flow: row.flow,
            topic: row.topic,
            text: row.text,
            sensitive: row.registered,
        },
        state: match (Name::parse(&row.state), row.wake_at, row.delivered_at) {
            (Some(proto::MessageState::Pending), Some(deliver_at), None) => {
                State::Pending { attempt: row.attempt as u32, deliver_at }
            }
            (Some(proto::MessageState::Delivered), None, Some(at)) => State::Delivered(at),
            (Some(proto::MessageState::Undeliverable), None, None) => State::Undeliverable,
            _ => return Err(corrupt("state")),
        },
    }
}

impl Store for Message {
    type Answer = proto::Message;

    chassis::flat!(Row in messages);

    chassis::due!(messages, id);

    fn answer(&self, _: &Command) -> proto::Message {
        self.into()
    }

    /// Publishes the delivery of a sensitive message. Other events are not published.
    fn publish(&self, event: &Event) -> Option<Publication> {
        if !(self.content.sensitive && matches!(event, Event::Delivered(_))) {
            return None;
        }
        let delivered = proto::MessageDelivered { message: Some(self.into()) };
        // The timer delivers the message; its cause is the event that the message is about.
        let cause = Some(EventId::new(self.id.uuid()));
        Some(Publication::of(&delivered, self.id, Some(self.content.flow.uuid())).after(cause))
    }
}

/// A page of messages, newest first: those to a customer, or to all; about a flow, or about all. Only its customer
/// reads the text of a sensitive message; other readers see that there is one.
pub async fn list(
    tx: Tx<'_>,
    reader: &str,
    customer: Option<&str>,
    flow: Option<FlowId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Message>, String), Error> {
    newest!(
        tx, page, Row in messages by created_at;
        customer: messages::customer.eq(customer), flow: messages::flow.eq(flow);
        |row| {
            let is_readable = !row.registered || row.customer == reader;
            let message = proto::Message::from(&row.read()?);
            if is_readable { message } else { proto::Message { text: String::new(), ..message } }
        }
    )
}

/// The state in the contract.
fn shown(state: &State) -> proto::MessageState {
    match state {
        State::Pending { .. } => proto::MessageState::Pending,
        State::Delivered(_) => proto::MessageState::Delivered,
        State::Undeliverable => proto::MessageState::Undeliverable,
    }
}

fn delivered_at(state: &State) -> Option<Timestamp> {
    if let State::Delivered(at) = state { Some(*at) } else { None }
}

impl From<&Message> for proto::Message {
    fn from(message: &Message) -> Self {
        let Content { customer, flow, topic, text, .. } = message.content.clone();
        proto::Message {
            message_id: message.id.to_string(),
            customer_id: customer,
            flow_id: flow.to_string(),
            topic,
            text,
            state: shown(&message.state).into(),
            create_time: Some(message.created_at.to_proto()),
            deliver_time: delivered_at(&message.state).map(Timestamp::to_proto),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chassis::db::{Database, Durability, Metadata, Unit};
    use chassis::runtime::Runtime;
    use chassis::{Aggregate, Change, Fields, LoadRequest};
    use futures::executor::block_on;

    fn message(number: u64, state: State) -> Message {
        let uuid = format!("00000000-0000-4000-8000-{number:012}");
        let id: MessageId = uuid.parse().expect("the test gives a UUID");
        let (customer, topic, text) = ("ann".to_owned(), "VOUCHER_ISSUED".to_owned(), format!("code {number}"));
        let content = Content { customer, flow: FlowId::new(id.uuid()), topic, text, sensitive: number == 3 };
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
            let (listed, _) = block_on(list(reader.tx(), subject, None, flow, &page)).expect("they can be listed");
            listed.into_iter().map(|message| message.text).collect::<Vec<_>>()
        };
        assert_eq!(texts("ann", None), ["code 3", "code 2", "code 1"]);
        assert_eq!(texts("admin", None), ["", "code 2", "code 1"]);
        assert_eq!(texts("admin", Some(messages[0].content.flow)), ["code 1"]);
    }
}
