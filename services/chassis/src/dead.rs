//! Events that a context could not handle, put aside in its own store until somebody looks.

use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::schema::dead;
use crate::db::{self, Tx};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::outbox::OutboxRow;
use crate::sql;

crate::rows! {
    /// An envelope as a row, and why it is here.
    struct DeadRow in dead (event_id) {
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
        reason: String,
        dead_at: Timestamp,
    }
}

/// An event that could not be handled.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The event.
    pub event: Envelope,
    /// Why.
    pub reason: String,
    /// Since when it is here.
    pub dead_at: Timestamp,
}

/// Puts an event aside. One that is here already gets the new reason.
pub async fn bury(tx: Tx<'_>, letter: DeadLetter) -> Result<(), Error> {
    let DeadLetter { event, reason, dead_at } = letter;
    let OutboxRow { event_id, kind, source, subject, at, correlation_id, causation_id, sequence, traceparent, body } =
        event.into();
    let row = DeadRow {
        event_id,
        kind,
        source,
        subject,
        at,
        correlation_id,
        causation_id,
        sequence,
        traceparent,
        body,
        reason,
        dead_at,
    };
    db::upsert(tx, &[row]).await
}

/// The oldest ones, or one of them.
pub async fn list(tx: Tx<'_>, event_id: Option<Id<()>>, limit: i64) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<DeadRow> = sql!(tx, |c| {
        let mut query = dead::table.select(DeadRow::as_select()).order(dead::dead_at).limit(limit).into_boxed();
        if let Some(event_id) = event_id {
            query = query.filter(dead::event_id.eq(event_id));
        }
        query.load(c)
    })?;
    Ok(rows.into_iter().map(DeadLetter::from).collect())
}

/// How many there are.
pub async fn count(tx: Tx<'_>) -> Result<i64, Error> {
    Ok(sql!(tx, |c| dead::table.count().get_result(c))?)
}

/// Removes them for good; returns how many were there.
pub async fn drop(tx: Tx<'_>, event_ids: &[Id<()>]) -> Result<usize, Error> {
    Ok(sql!(tx, |c| diesel::delete(dead::table.filter(dead::event_id.eq_any(event_ids))).execute(c))?)
}

impl From<DeadRow> for DeadLetter {
    fn from(row: DeadRow) -> DeadLetter {
        let DeadRow {
            event_id,
            kind,
            source,
            subject,
            at,
            correlation_id,
            causation_id,
            sequence,
            traceparent,
            body,
            ..
        } = row;
        let envelope = OutboxRow {
            event_id,
            kind,
            source,
            subject,
            at,
            correlation_id,
            causation_id,
            sequence,
            traceparent,
            body,
        };
        DeadLetter { event: envelope.into(), reason: row.reason, dead_at: row.dead_at }
    }
}
