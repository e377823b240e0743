//! The transactional outbox: events wait in the store that they were decided in until the bus has them.

use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::schema::outbox;
use crate::db::{self, Tx};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::sql;

crate::rows! {
    /// An envelope as a row; the database numbers it.
    pub(crate) struct OutboxRow in outbox (event_id) {
        event_id: Id<()>,
        kind: String,
        source: String,
        subject: String,
        at: Timestamp,
        correlation_id: Id<()>,
        causation_id: Option<Id<()>>,
        sequence: i64,
        traceparent: Option<String>,
        body: Vec<u8>,
    }
}

impl From<Envelope> for OutboxRow {
    fn from(envelope: Envelope) -> OutboxRow {
        OutboxRow {
            event_id: Id::new(envelope.event_id),
            kind: envelope.kind,
            source: envelope.source,
            subject: envelope.subject,
            at: envelope.at,
            correlation_id: Id::new(envelope.correlation_id),
            causation_id: envelope.causation_id.map(Id::new),
            sequence: envelope.sequence,
            traceparent: envelope.traceparent,
            body: envelope.body,
        }
    }
}

impl From<OutboxRow> for Envelope {
    fn from(row: OutboxRow) -> Envelope {
        Envelope {
            event_id: row.event_id.uuid(),
            kind: row.kind,
            source: row.source,
            subject: row.subject,
            at: row.at,
            correlation_id: row.correlation_id.uuid(),
            causation_id: row.causation_id.map(Id::uuid),
            sequence: row.sequence,
            traceparent: row.traceparent,
            body: row.body,
        }
    }
}

/// Adds events, in order.
pub async fn append(tx: Tx<'_>, envelopes: Vec<Envelope>) -> Result<(), Error> {
    let rows: Vec<OutboxRow> = envelopes.into_iter().map(OutboxRow::from).collect();
    db::insert(tx, &rows).await.map(drop)
}

/// The oldest events with their numbers, in order.
pub async fn oldest(tx: Tx<'_>, limit: i64) -> Result<Vec<(i64, Envelope)>, Error> {
    let rows: Vec<(i64, OutboxRow)> = sql!(tx, |c| outbox::table
        .order(outbox::seq)
        .limit(limit)
        .select((outbox::seq, OutboxRow::as_select()))
        .load(c))?;
    Ok(rows.into_iter().map(|(seq, row)| (seq, row.into())).collect())
}

/// Removes events that the bus has.
pub async fn remove(tx: Tx<'_>, seqs: &[i64]) -> Result<(), Error> {
    sql!(tx, |c| diesel::delete(outbox::table.filter(outbox::seq.eq_any(seqs))).execute(c))?;
    Ok(())
}

/// How many events wait, and since when the oldest does.
pub async fn waiting(tx: Tx<'_>) -> Result<(i64, Option<Timestamp>), Error> {
    let count: i64 = sql!(tx, |c| outbox::table.count().get_result(c))?;
    let oldest = sql!(tx, |c| outbox::table.order(outbox::seq).select(outbox::at).first(c)).optional()?;
    Ok((count, oldest))
}
