//! Dead letters: events that a context could not handle, in its own store until an operator replays or drops them, or
//! their retention ends, if there is one.

use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::{self, Tx};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::ids::Id;
use crate::sql;

// Replicas of older versions, which run beside newer ones during an upgrade, use this name.
crate::envelope_table! {
    /// An event, and why it is here.
    dead_letters (event_id) named "dead" as DeadRow { reason: String as Text, dead_at: Timestamp as SqlTime }
}

/// An event that could not be handled.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The event.
    pub event: Envelope,
    /// Why it could not be handled.
    pub reason: String,
    /// When it became a dead letter.
    pub dead_at: Timestamp,
}

/// Stores an event as a dead letter. One that is stored already gets the new reason.
pub async fn dead_letter(tx: Tx<'_>, letter: DeadLetter) -> Result<(), Error> {
    let row = DeadRow::new(letter.event, letter.reason, letter.dead_at);
    db::upsert(tx, &[row]).await
}

/// The oldest dead letters, or one of them.
pub async fn list(tx: Tx<'_>, event_id: Option<Id<()>>, limit: i64) -> Result<Vec<DeadLetter>, Error> {
    let rows: Vec<DeadRow> = sql!(tx, |c| {
        let mut query =
            dead_letters::table.select(DeadRow::as_select()).order(dead_letters::dead_at).limit(limit).into_boxed();
        if let Some(event_id) = event_id {
            query = query.filter(dead_letters::event_id.eq(event_id));
        }
        query.load(c)
    })?;
    let letter = |row: DeadRow| {
        let (reason, dead_at) = (row.reason.clone(), row.dead_at);
        DeadLetter { event: row.envelope(), reason, dead_at }
    };
    Ok(rows.into_iter().map(letter).collect())
}

/// The number of dead letters.
pub async fn count(tx: Tx<'_>) -> Result<i64, Error> {
    Ok(sql!(tx, |c| dead_letters::table.count().get_result(c))?)
}

/// Deletes those of them that became dead letters at `latest` or before; returns how many there were.
pub async fn drop(tx: Tx<'_>, event_ids: &[Id<()>], latest: Timestamp) -> Result<usize, Error> {
    let known =
        dead_letters::table.filter(dead_letters::event_id.eq_any(event_ids)).filter(dead_letters::dead_at.le(latest));
    Ok(sql!(tx, |c| diesel::delete(known).execute(c))?)
}

/// Removes those that became dead letters before a moment, at most `limit`; returns how many it removed.
pub async fn prune(tx: Tx<'_>, before: Timestamp, limit: i64) -> Result<usize, Error> {
    crate::prune!(tx, dead_letters by dead_at; before, limit; event_id: Id<()>)
}
