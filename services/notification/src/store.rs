//! Messages in a table.

use chassis::db::prelude::*;
use chassis::page::Cursor;
use chassis::{Error, EventId, Loaded, Page, Publication, Store, Timestamp, Tx, newest};
use contracts::notification::v1 as proto;

use crate::domain::{Command, Event, FlowId, Letter, Message, MessageId, State};

diesel::table! {
    use chassis::db::sql_types::*;
    messages (id) {
        id -> SqlUuid,
        version -> BigInt,
        wake_at -> Nullable<SqlTime>,
        customer -> Text,
        flow -> SqlUuid,
        topic -> Text,
        text -> Text,
        registered -> Bool,
        state -> Text,
        attempt -> Integer,
        created_at -> SqlTime,
        delivered_at -> Nullable<SqlTime>,
    }
}

chassis::rows! {
    /// A message, flat.
    struct Row in messages (id) {
        id: MessageId,
        version: i64,
        wake_at: Option<Timestamp>,
        customer: String,
        flow: FlowId,
        topic: String,
        text: String,
        registered: bool,
        state: String,
        attempt: i32,
        created_at: Timestamp,
        delivered_at: Option<Timestamp>,
    }
}

impl Store for Message {
    type Answer = proto::Message;

    chassis::flat!(Row in messages);

    chassis::due!(messages, id);

    fn answer(&self, _: &Command) -> proto::Message {
        self.into()
    }

    /// That it was delivered, if it was registered. What else customers were told is nobody's business.
    fn publish(&self, event: &Event) -> Option<Publication> {
        if !(self.letter.registered && matches!(event, Event::Delivered(_))) {
            return None;
        }
        let (told, flow) = (proto::MessageDelivered { message: Some(self.into()) }, Some(self.letter.flow.uuid()));
        // It is delivered when its time has come, since the event that it tells of.
        Some(Publication::of(&told, self.id, flow).after(Some(EventId::new(self.id.uuid()))))
    }
}

/// A page of messages, newest first: those to a customer, or to all; about a flow, or about all. What is registered is
/// for its customer: other readers see that there is a message, not what it says.
pub async fn list(
    tx: Tx<'_>,
    reader: &str,
    customer: Option<&str>,
    flow: Option<FlowId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Message>, String), Error> {
    let (rows, next) = newest!(
        tx, page, Row in messages by created_at;
        customer: messages::customer.eq(customer), flow: messages::flow.eq(flow)
    );
    let shown = |row: Row| {
        let is_readable = !row.registered || row.customer == reader;
        let full = proto::Message::from(&Loaded::try_from(row)?.state);
        Ok(if is_readable { full } else { proto::Message { text: String::new(), ..full } })
    };
    let messages = rows.into_iter().map(shown);
    Ok((messages.collect::<Result<_, Error>>()?, next))
}

impl Row {
    fn new(message: &Message, version: i64) -> Row {
        let (state, attempt, delivered_at) = match message.state {
            State::Pending { attempt, .. } => ("pending", attempt, None),
            State::Delivered(at) => ("delivered", 0, Some(at)),
            State::Undeliverable => ("undeliverable", 0, None),
        };
        let Letter { customer, flow, topic, text, registered } = message.letter.clone();
        Row {
            id: message.id,
            version,
            wake_at: chassis::Aggregate::due_at(message).map(|(at, _)| at),
            customer,
            flow,
            topic,
            text,
            registered,
            state: state.to_owned(),
            attempt: attempt as i32,
            created_at: message.created,
            delivered_at,
        }
    }
}

impl TryFrom<Row> for Loaded<Message> {
    type Error = Error;

    fn try_from(row: Row) -> Result<Self, Error> {
        let state = match (row.state.as_str(), row.wake_at, row.delivered_at) {
            ("pending", Some(deliver_at), None) => State::Pending { attempt: row.attempt as u32, deliver_at },
            ("delivered", None, Some(at)) => State::Delivered(at),
            ("undeliverable", None, None) => State::Undeliverable,
            _ => return Err(Error::Internal(format!("message {}: corrupt state", row.id))),
        };
        let (customer, flow, topic, text) = (row.customer, row.flow, row.topic, row.text);
        let letter = Letter { customer, flow, topic, text, registered: row.registered };
        let state = Message { id: row.id, letter, state, created: row.created_at };
        Ok(Loaded { id: row.id, version: row.version, state })
    }
}

impl From<&Message> for proto::Message {
    fn from(message: &Message) -> Self {
        let (state, delivered) = match message.state {
            State::Pending { .. } => (proto::MessageState::Pending, None),
            State::Delivered(at) => (proto::MessageState::Delivered, Some(at)),
            State::Undeliverable => (proto::MessageState::Undeliverable, None),
        };
        let Letter { customer, flow, topic, text, .. } = message.letter.clone();
        proto::Message {
            message_id: message.id.to_string(),
            customer_id: customer,
            flow_id: flow.to_string(),
            topic,
            text,
            state: state.into(),
            create_time: Some(message.created.to_proto()),
            deliver_time: delivered.map(Timestamp::to_proto),
        }
    }
}
