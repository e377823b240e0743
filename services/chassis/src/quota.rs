//! Quotas: what one subject may have of something at the same time, such as open hails.
//!
//! A quota is a rule over several aggregates, which no aggregate can decide alone. A command names the quotas that it
//! takes from ([`Aggregate::quotas`]), the store what their subjects have already ([`Store::usage`]). A transaction that
//! takes from quotas writes a row for each of their subjects: if another one did so since this one began to read, it
//! conflicts, and is decided again. So of any number of commands at the same time, in any number of processes, as many
//! succeed as the quota allows. Commands that take from none cost nothing more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::aggregate::{Aggregate, Store};
use crate::clock::Timestamp;
use crate::db::prelude::*;
use crate::db::{self, Tx};
use crate::error::Error;
use crate::ids::{self, Id};

/// What a command takes one of, or must not have.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota<R> {
    /// What it is, such as `open hails`.
    pub resource: &'static str,
    /// Whose it is.
    pub subject: String,
    /// How many the subject may have at once.
    pub limit: usize,
    /// Whether the command takes one. If not, it is refused all the same to a subject who has as many.
    pub takes: bool,
    /// The refusal for one who has as many.
    pub refusal: R,
}

/// One that a subject has of a resource.
pub type Used = (&'static str, String);

diesel::table! {
    use crate::db::sql_types::*;
    #[allow(missing_docs, reason = "the struct of the row has the documentation")]
    quotas (key) { key -> SqlUuid, at -> SqlTime, }
}

crate::rows! {
    /// When a subject last took from a quota of an aggregate.
    struct QuotaRow in quotas (key) { key: Id<()>, at: Timestamp }
}

/// What the subjects of a batch have, and who of them takes more.
#[derive(Default)]
pub(crate) struct Usage {
    used: HashMap<Used, usize>,
    takers: BTreeSet<String>,
}

impl Usage {
    /// Reads what the subjects of the commands have.
    pub async fn read<A: Store>(tx: Tx<'_>, commands: impl Iterator<Item = &A::Command>) -> Result<Usage, Error> {
        let subjects: BTreeSet<String> = commands.flat_map(A::quotas).map(|quota| quota.subject).collect();
        let mut usage = Usage::default();
        if !subjects.is_empty() {
            for one in A::usage(tx, &subjects.into_iter().collect::<Vec<_>>()).await? {
                *usage.used.entry(one).or_default() += 1;
            }
        }
        Ok(usage)
    }

    /// Takes one of each quota of a command, unless one of them is used up.
    pub fn take<A: Aggregate>(&mut self, command: &A::Command) -> Result<(), A::Refusal> {
        let mut quotas = A::quotas(command);
        let is_used_up = |quota: &Quota<_>| {
            self.used.get(&(quota.resource, quota.subject.clone())).is_some_and(|used| *used >= quota.limit)
        };
        if let Some(used_up) = quotas.iter().position(is_used_up) {
            return Err(quotas.swap_remove(used_up).refusal);
        }
        for Quota { resource, subject, .. } in quotas.into_iter().filter(|quota| quota.takes) {
            self.takers.insert(subject.clone());
            *self.used.entry((resource, subject)).or_default() += 1;
        }
        Ok(())
    }

    /// Writes who took. A transaction that read an older state of one of them, and takes too, conflicts.
    pub async fn write(self, tx: Tx<'_>, aggregate: &str, now: Timestamp) -> Result<(), Error> {
        let row = |subject: String| {
            let key = Id::new(ids::hash(&[aggregate.as_bytes(), subject.as_bytes()]));
            (key, QuotaRow { key, at: now })
        };
        // By key: all transactions write them in the same order.
        let rows: BTreeMap<Id<()>, QuotaRow> = self.takers.into_iter().map(row).collect();
        if rows.is_empty() { Ok(()) } else { db::upsert(tx, &rows.into_values().collect::<Vec<_>>()).await }
    }
}

/// Removes rows older than `before`, at most `limit`; returns how many it removed. No transaction takes so long.
pub(crate) async fn prune(tx: Tx<'_>, before: Timestamp, limit: i64) -> Result<usize, Error> {
    crate::prune!(tx, quotas by at; before, limit; key: Id<()>)
}
