//! An envelope as an AMQP message: the attributes of CloudEvents as headers, the encoded event as the body.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::envelope::Envelope;

/// AMQP's number for a message that is kept on disk.
const PERSISTENT: u8 = 2;
/// The prefix of the headers of CloudEvents' attributes (CloudEvents AMQP binding).
const PREFIX: &str = "cloudEvents_";

/// The properties that go with the body. The broker takes the message only from a connection of this user.
pub fn properties(event: &Envelope, user: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    let mut set = |name: &str, value: AMQPValue| {
        headers.insert(format!("{PREFIX}{name}").into(), value);
    };
    let text = |text: &str| AMQPValue::LongString(text.into());
    set("specversion", text("1.0"));
    set("id", text(&event.event_id.to_string()));
    set("type", text(&event.kind));
    set("source", text(&event.source));
    set("subject", text(&event.subject));
    set("time", text(&event.at.to_string()));
    set("correlationid", text(&event.correlation_id.to_string()));
    set("sequence", AMQPValue::LongLongInt(event.sequence));
    if let Some(causation_id) = event.causation_id {
        set("causationid", text(&causation_id.to_string()));
    }
    if let Some(traceparent) = &event.traceparent {
        set("traceparent", text(traceparent));
    }
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/protobuf".into())
        .with_message_id(event.event_id.to_string().into())
        .with_type(event.kind.as_str().into())
        .with_user_id(user.into())
        .with_headers(headers)
}

/// The envelope in a delivery; `None`, and a line in the log, if the message is not one of ours.
pub fn envelope(delivery: &Delivery) -> Option<Envelope> {
    let parsed = parse(delivery);
    if parsed.is_none() {
        tracing::error!(routing_key = %delivery.routing_key, "dropped a message that is not an event of this product");
    }
    parsed
}

fn parse(delivery: &Delivery) -> Option<Envelope> {
    let headers = delivery.properties.headers().as_ref()?.inner();
    let value = |name: &str| headers.get(format!("{PREFIX}{name}").as_str());
    let text = |name: &str| match value(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        _ => None,
    };
    let sequence = match value("sequence")? {
        AMQPValue::LongLongInt(sequence) => *sequence,
        _ => return None,
    };
    Some(Envelope {
        event_id: Uuid::try_parse(text("id")?).ok()?,
        kind: text("type")?.to_owned(),
        source: text("source")?.to_owned(),
        subject: text("subject")?.to_owned(),
        at: Timestamp::from_micros(text("time")?.parse::<jiff::Timestamp>().ok()?.as_microsecond()),
        correlation_id: Uuid::try_parse(text("correlationid")?).ok()?,
        causation_id: text("causationid").and_then(|text| Uuid::try_parse(text).ok()),
        sequence,
        traceparent: text("traceparent").map(str::to_owned),
        body: delivery.data.to_vec(),
    })
}
