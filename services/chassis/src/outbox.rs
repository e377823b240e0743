//! The transactional outbox: events are written with their state, and stay until the bus has them.

use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::{self, Tx};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::sql;

crate::envelope_table! {
    /// An event; the database numbers it.
    outbox (seq: BigInt) as OutboxRow {}
}

/// Appends events, in order.
pub async fn append(tx: Tx<'_>, envelopes: Vec<Envelope>) -> Result<(), Error> {
    let rows: Vec<OutboxRow> = envelopes.into_iter().map(OutboxRow::new).collect();
    db::insert(tx, &rows).await.map(drop)
}

/// The oldest events with their numbers, in order.
pub async fn oldest(tx: Tx<'_>, limit: i64) -> Result<Vec<(i64, Envelope)>, Error> {
    let rows: Vec<(i64, OutboxRow)> = sql!(tx, |c| outbox::table
        .order(outbox::seq)
        .limit(limit)
        .select((outbox::seq, OutboxRow::as_select()))
        .load(c))?;
    Ok(rows.into_iter().map(|(seq, row)| (seq, row.envelope())).collect())
}

/// Removes events that the bus has.
pub async fn remove(tx: Tx<'_>, seqs: &[i64]) -> Result<(), Error> {
    if seqs.is_empty() {
        return Ok(());
    }
    sql!(tx, |c| diesel::delete(outbox::table.filter(outbox::seq.eq_any(seqs))).execute(c))?;
    Ok(())
}

/// The number of waiting events, and since when the oldest waits.
pub async fn waiting(tx: Tx<'_>) -> Result<(i64, Option<Timestamp>), Error> {
    let count: i64 = sql!(tx, |c| outbox::table.count().get_result(c))?;
    let oldest = sql!(tx, |c| outbox::table.order(outbox::seq).select(outbox::at).first(c)).optional()?;
    Ok((count, oldest))
}
