//! Events in a table, numbered by the database.

use std::collections::BTreeSet;

use chassis::db::{self, prelude::*};
use chassis::{Envelope, Error, Page, Timestamp, Tx, sql};
use contracts::chronicle::v1 as proto;

use crate::causality::causal_order;

/// Events of one flow that are returned, at most.
const FLOW_LIMIT: i64 = 1_000;

chassis::envelope_table! {
    /// An event. The database assigns its position.
    events (position: BigInt) as Row {}
}

chassis::ids! {
    /// The id of a flow.
    FlowId = "flow";
}

/// Appends events in this order. Those that are stored already keep their positions.
///
/// On PostgreSQL several streams and replicas append at once, and a position is assigned when a row is written, not
/// when it is committed: a reader could see position 8 before 7 is committed, go on from 8, and never see 7. With one
/// transaction at a time, positions become visible in order. SQLite has one writer anyway.
pub async fn append(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
    let rows: Vec<Row> = events.iter().cloned().map(Row::new).collect();
    // The statements are sent in this order, and PostgreSQL executes them in order.
    db::try_join!(take_turn(tx), db::insert(tx, &rows))?;
    Ok(())
}

/// Takes the lock of appending until the transaction ends.
async fn take_turn(tx: Tx<'_>) -> Result<(), Error> {
    if let Tx::Postgres(mut connection) = tx {
        let lock = "SELECT pg_advisory_xact_lock(hashtext('nadeuri chronicle ' || current_schema()))";
        diesel_async::SimpleAsyncConnection::batch_execute(&mut connection, lock).await?;
    }
    Ok(())
}

/// The first events of a flow in causal order: by time, and none before its cause.
pub async fn flow(tx: Tx<'_>, flow: FlowId) -> Result<Vec<proto::Event>, Error> {
    let rows: Vec<(i64, Row)> = sql!(tx, |c| events::table
        .filter(events::correlation_id.eq(flow))
        .order(events::position)
        .limit(FLOW_LIMIT)
        .select((events::position, Row::as_select()))
        .load(c))?;
    Ok(causal_order(rows.into_iter().map(event).collect()))
}

/// A page of events of some types, or of all if there are none, and the token of the next one.
pub async fn list(
    tx: Tx<'_>,
    types: &[String],
    after: i64,
    page: &Page<i64>,
) -> Result<(Vec<proto::Event>, String), Error> {
    let mut events = after_position(tx, types, page.after.unwrap_or(after), page.limit()).await?;
    let next = page.cut(&mut events, |event| event.position);
    Ok((events, next))
}

/// The first events after a position, of some types, or of all if there are none.
pub async fn after_position(tx: Tx<'_>, types: &[String], after: i64, limit: i64) -> Result<Vec<proto::Event>, Error> {
    let positions = if types.len() > 1 { Some(positions(tx, types, after, limit).await?) } else { None };
    if positions.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, Row)> = sql!(tx, |c| {
        let query = events::table.select((events::position, Row::as_select())).into_boxed();
        let query = match (positions, types.first()) {
            (Some(positions), _) => query.filter(events::position.eq_any(positions)),
            (None, Some(kind)) => query.filter(events::kind.eq(kind).and(events::position.gt(after))),
            (None, None) => query.filter(events::position.gt(after)),
        };
        query.order(events::position).limit(limit).load(c)
    })?;
    Ok(rows.into_iter().map(event).collect())
}

/// The first positions of events of some types after a position, in order.
///
/// Each type has its own statement, which reads as many entries of an index as the page has. One for all types would read
/// and sort every later event of them, or pass over every event of others.
async fn positions(tx: Tx<'_>, types: &[String], after: i64, limit: i64) -> Result<Vec<i64>, Error> {
    // An event that is appended between two of the statements must not be passed over: it comes with the next page.
    let last = last_position(tx).await?;
    if last <= after {
        return Ok(Vec::new());
    }
    let of_type = |kind| async move {
        let of_type = events::table.filter(events::kind.eq(kind));
        let page = of_type.filter(events::position.gt(after).and(events::position.le(last)));
        let positions = page.order(events::position).limit(limit).select(events::position);
        Ok::<Vec<i64>, Error>(sql!(tx, |c| positions.load(c))?)
    };
    let types: BTreeSet<&String> = types.iter().collect();
    let mut positions = db::try_join_all(types.into_iter().map(of_type)).await?.concat();
    positions.sort_unstable();
    positions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(positions)
}

/// Removes the oldest events from before a moment, at most `limit`; returns how many it removed.
///
/// It looks only at the first `limit` events: they are the oldest but for a few, so no index by time is needed. One that
/// arrived late is removed when it is among the first.
pub async fn prune(tx: Tx<'_>, before: Timestamp, limit: i64) -> Result<usize, Error> {
    let first: Vec<(i64, Timestamp)> = sql!(tx, |c| events::table
        .order(events::position)
        .limit(limit)
        .select((events::position, events::at))
        .load(c))?;
    let old: Vec<i64> = first.into_iter().filter(|(_, at)| *at < before).map(|(position, _)| position).collect();
    if old.is_empty() {
        return Ok(0);
    }
    Ok(sql!(tx, |c| diesel::delete(events::table.filter(events::position.eq_any(&old))).execute(c))?)
}

/// The position of the last event; 0 if there is none.
pub async fn last_position(tx: Tx<'_>) -> Result<i64, Error> {
    let last = sql!(tx, |c| events::table.order(events::position.desc()).select(events::position).first(c));
    Ok(last.optional()?.unwrap_or(0))
}

fn event((position, row): (i64, Row)) -> proto::Event {
    let event = row.envelope();
    let type_url = format!("type.googleapis.com/{}", event.kind);
    proto::Event {
        position,
        event_id: event.event_id.to_string(),
        source: event.source,
        r#type: event.kind,
        subject: event.subject,
        time: Some(event.at.to_proto()),
        flow_id: event.correlation_id.to_string(),
        causation_id: event.causation_id.map(|id| id.to_string()).unwrap_or_default(),
        sequence: event.sequence,
        traceparent: event.traceparent.unwrap_or_default(),
        data: Some(prost_types::Any { type_url, value: event.body }),
    }
}

#[cfg(test)]
mod tests;
