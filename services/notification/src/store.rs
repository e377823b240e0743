//! Messages in a table, and the event that a sensitive one was delivered.

use chassis::db::{Name, prelude::*};
use chassis::page::Cursor;
use chassis::sealing::SealingKeys;
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
/// reads the text of a sensitive message, unsealed; other readers see that there is one.
pub async fn list(
    tx: Tx<'_>,
    sealing: &SealingKeys,
    reader: &str,
    customer: Option<&str>,
    flow: Option<FlowId>,
    page: &Page<Cursor>,
) -> Result<(Vec<proto::Message>, String), Error> {
    newest!(
        tx, page, Row in messages by created_at;
        customer: messages::customer.eq(customer), flow: messages::flow.eq(flow);
        |row| {
            let is_sensitive = row.registered;
            let message = proto::Message::from(&row.read()?);
            if is_sensitive { sealing.show(message, reader) } else { message }
        }
    )
}

/// Removes messages that were written before a moment and are not to be delivered any more, at most `limit`; returns how
/// many it removed.
pub async fn prune(tx: Tx<'_>, before: Timestamp, limit: i64) -> Result<usize, Error> {
    chassis::prune!(tx, messages by created_at; before, limit; id: MessageId where messages::wake_at.is_null())
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
mod tests;
