//! Idempotency keys: the inbox, and the replay of answers, in one table.
//!
//! A command carries a [`Key`]: the caller's request id or the id of the event that caused it. The key is written in
//! the transaction of its effect, so the effect happens once however often the command arrives. A request's answer is
//! written with it: a repetition gets that answer, another request under the same id gets an error.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::auth::Caller;
use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::{self, Tx};
use crate::error::Error;
use crate::ids::{self, Id, Kind};
use crate::runtime::Runtime;
use crate::sql;

diesel::table! {
    use crate::db::sql_types::*;
    // Replicas of older versions, which run beside newer ones during an upgrade, use this name.
    #[allow(missing_docs, reason = "the struct of the row has the documentation")]
    #[sql_name = "done"]
    processed (key) { key -> SqlUuid, fingerprint -> SqlUuid, answer -> Binary, at -> SqlTime, }
}

crate::rows! {
    /// A command that was processed.
    pub(crate) struct ProcessedRow in processed named "done" (key) { key: Id<()>, fingerprint: Id<()>, answer: Vec<u8>, at: Timestamp }
}

/// An idempotency key: commands with the same key are the same command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    id: Uuid,
    fingerprint: Uuid,
    /// An event counts as processed even if its command was refused; a refused request may be retried.
    pub(crate) is_event: bool,
}

impl Key {
    /// The key of a request. Request ids of different callers don't collide. The spelling of an id does not matter.
    pub fn request<M: contracts::Request>(caller: &Caller, request_id: Uuid, request: &M) -> Key {
        let id = ids::hash(&[b"request", caller.subject().as_bytes(), request_id.as_bytes()]);
        let mut canonical = request.clone();
        canonical.set_request_id(request_id.to_string());
        canonical.visit_ids(&mut |id| {
            if let Ok(uuid) = Uuid::try_parse(id) {
                *id = uuid.to_string();
            }
        });
        Key { id, fingerprint: ids::hash(&[M::NAME.as_bytes(), &canonical.encode_to_vec()]), is_event: false }
    }

    /// The key of a reaction to an event; `reaction` distinguishes it from other reactions to that event.
    pub fn event(event_id: Uuid, reaction: &[u8]) -> Key {
        Key { id: ids::hash(&[b"event", event_id.as_bytes(), reaction]), fingerprint: Uuid::nil(), is_event: true }
    }

    /// The key that records the start of a request with an external effect: from then on, and not only after the
    /// answer, its id is refused for another request.
    #[must_use]
    pub fn begun(self) -> Key {
        Key { id: ids::hash(&[b"begun", self.id.as_bytes()]), ..self }
    }

    /// The id of what the request creates: the same when it is repeated, also if the first attempt was not written.
    pub fn derived_id<K: Kind>(self) -> Id<K> {
        Id::derived_from(ids::hash(&[self.id.as_bytes(), self.fingerprint.as_bytes()]))
    }

    pub(crate) fn id(self) -> Uuid {
        self.id
    }

    pub(crate) fn row(self, answer: Vec<u8>, at: Timestamp) -> ProcessedRow {
        ProcessedRow { key: Id::new(self.id), fingerprint: Id::new(self.fingerprint), answer, at }
    }
}

impl Runtime {
    /// The id of what a request creates: the same when it is repeated, if it has a request id.
    pub fn id_for<K: Kind>(&self, key: Option<Key>) -> Id<K> {
        key.map_or_else(|| self.ids.mint(self.now()), Key::derived_id)
    }
}

/// The stored keys among those that were looked up.
#[derive(Default)]
pub struct Known(HashMap<Uuid, (Uuid, Vec<u8>)>);

impl Known {
    /// The first answer, if the key is known.
    pub fn answer(&self, key: Key) -> Option<Result<&[u8], Error>> {
        let (fingerprint, answer) = self.0.get(&key.id)?;
        Some(if *fingerprint == key.fingerprint { Ok(answer) } else { Err(Error::RequestIdReused) })
    }

    pub(crate) fn learn(&mut self, key: Key, answer: Vec<u8>) {
        self.0.insert(key.id, (key.fingerprint, answer));
    }
}

/// Looks keys up.
pub async fn find(tx: Tx<'_>, keys: &[Key]) -> Result<Known, Error> {
    let wanted: Vec<Id<()>> = keys.iter().map(|key| Id::new(key.id)).collect();
    if wanted.is_empty() {
        return Ok(Known::default());
    }
    let rows: Vec<ProcessedRow> = sql!(tx, |c| processed::table
        .filter(processed::key.eq_any(&wanted))
        .select(ProcessedRow::as_select())
        .load(c))?;
    Ok(Known(rows.into_iter().map(|row| (row.key.uuid(), (row.fingerprint.uuid(), row.answer))).collect()))
}

/// Writes keys. [`Error::Conflict`] if another transaction wrote one of them meanwhile.
pub(crate) async fn write(tx: Tx<'_>, rows: &[ProcessedRow]) -> Result<(), Error> {
    if db::insert(tx, rows).await? == rows.len() { Ok(()) } else { Err(Error::Conflict) }
}

/// Removes keys older than `before`, at most `limit`; returns how many it removed.
pub async fn prune(tx: Tx<'_>, before: Timestamp, limit: i64) -> Result<usize, Error> {
    crate::prune!(tx, processed by at; before, limit; key: Id<()>)
}

/// The keys since a moment.
pub(crate) async fn since(tx: Tx<'_>, since: Timestamp) -> Result<HashSet<Uuid>, Error> {
    let keys: Vec<Id<()>> =
        sql!(tx, |c| processed::table.filter(processed::at.ge(since)).select(processed::key).load(c))?;
    Ok(keys.into_iter().map(Id::uuid).collect())
}

/// Removes all keys.
pub(crate) async fn clear(tx: Tx<'_>) -> Result<(), Error> {
    sql!(tx, |c| diesel::delete(processed::table).execute(c))?;
    Ok(())
}
