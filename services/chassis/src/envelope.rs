//! An event for transport, with the attributes of CloudEvents 1.0.

use prost::{Message, Name};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::Id;

/// The number of streams, over which flows are distributed. Events of one flow are in the same stream, in order.
///
/// So many replicas of a context can consume. More streams cost: a broker writes and delivers the events of one stream
/// together (docs/evidence/benchmarks.md).
pub const PARTITIONS: u64 = 4;

/// The number of streams in earlier versions.
pub(crate) const FORMER_PARTITIONS: u64 = 16;

/// The id of an event.
pub type EventId = Id<()>;

/// An event and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The id of the event.
    pub event_id: Uuid,
    /// The full name of its message: CloudEvents' `type`.
    pub kind: String,
    /// The context that published it.
    pub source: String,
    /// The id of its subject.
    pub subject: String,
    /// When it happened.
    pub at: Timestamp,
    /// The flow that it belongs to.
    pub correlation_id: Uuid,
    /// The event that caused it, if one did.
    pub causation_id: Option<Uuid>,
    /// The version of the aggregate that it happened to: later ones are greater.
    pub sequence: i64,
    /// The W3C trace context.
    pub traceparent: Option<String>,
    /// The encoded message.
    pub body: Vec<u8>,
}

/// The stream of a flow, below [`PARTITIONS`].
pub fn partition(flow: Uuid) -> u64 {
    // A UUID v7 starts with the time; its last bytes are random, as are all of a v8.
    let bytes = flow.as_bytes();
    u64::from(bytes[15] ^ bytes[14]) % PARTITIONS
}

impl Envelope {
    /// The stream of its flow.
    pub fn partition(&self) -> u64 {
        partition(self.correlation_id)
    }

    /// Whether its message is of this type.
    pub fn is<M: Name>(&self) -> bool {
        self.kind.strip_prefix(M::PACKAGE).and_then(|rest| rest.strip_prefix('.')) == Some(M::NAME)
    }

    /// The message in it.
    pub fn decode<M: Message + Default>(&self) -> Result<M, prost::DecodeError> {
        M::decode(self.body.as_slice())
    }
}

/// Declares a table of events, each perhaps with more columns: `events (event_id) as Row { reason: String as Text }`.
/// Where the database numbers them, the number is the key: `events (position: BigInt) as Row {}`. A table that has
/// another name in the database is `named` so.
#[macro_export]
macro_rules! envelope_table {
    (
        $(#[$attribute:meta])*
        $table:ident ($key:ident $(: $number:ident)?) $(named $name:literal)? as $Row:ident
        { $($more:ident: $type:ty as $sql:ty),* $(,)? }
    ) => {
        diesel::table! {
            use $crate::db::sql_types::*;
            #[allow(missing_docs, reason = "the struct of the row has the documentation")]
            $(#[sql_name = $name])?
            $table ($key) {
                $($key -> $number,)?
                event_id -> SqlUuid,
                kind -> Text,
                source -> Text,
                subject -> Text,
                at -> SqlTime,
                correlation_id -> SqlUuid,
                causation_id -> Nullable<SqlUuid>,
                sequence -> BigInt,
                traceparent -> Nullable<Text>,
                body -> Binary,
                $($more -> $sql,)*
            }
        }

        $crate::rows! {
            $(#[$attribute])*
            struct $Row in $table $(named $name)? (event_id) {
                event_id: $crate::EventId,
                kind: String,
                source: String,
                subject: String,
                at: $crate::Timestamp,
                correlation_id: $crate::Id<()>,
                causation_id: Option<$crate::EventId>,
                sequence: i64,
                traceparent: Option<String>,
                body: Vec<u8>,
                $($more: $type),*
            }
        }

        impl $Row {
            fn new(envelope: $crate::Envelope, $($more: $type),*) -> $Row {
                $Row {
                    event_id: $crate::Id::new(envelope.event_id),
                    kind: envelope.kind,
                    source: envelope.source,
                    subject: envelope.subject,
                    at: envelope.at,
                    correlation_id: $crate::Id::new(envelope.correlation_id),
                    causation_id: envelope.causation_id.map($crate::Id::new),
                    sequence: envelope.sequence,
                    traceparent: envelope.traceparent,
                    body: envelope.body,
                    $($more),*
                }
            }

            fn envelope(self) -> $crate::Envelope {
                $crate::Envelope {
                    event_id: self.event_id.uuid(),
                    kind: self.kind,
                    source: self.source,
                    subject: self.subject,
                    at: self.at,
                    correlation_id: self.correlation_id.uuid(),
                    causation_id: self.causation_id.map($crate::Id::uuid),
                    sequence: self.sequence,
                    traceparent: self.traceparent,
                    body: self.body,
                }
            }
        }
    };
}
