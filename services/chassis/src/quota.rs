//! Quotas: what one subject may have of something at the same time, such as open hails.
//!
//! A quota is a rule over several aggregates, which no aggregate can decide alone. A command names the quotas that it
//! takes from ([`Aggregate::quotas`]), the store what their subjects have already ([`Store::usage`]). A batch that takes
//! from a quota first locks its subject, on PostgreSQL by an advisory lock until its transaction ends; SQLite has one
//! writer. So of any number of commands at the same time, in any number of processes, as many succeed as the quota
//! allows. Commands that take from none cost nothing more.

use std::collections::{BTreeSet, HashMap};

use diesel::sql_types::{Array, BigInt};

use crate::aggregate::{Aggregate, Store};
use crate::db::Tx;
use crate::db::run::OnPostgres as _;
use crate::error::Error;
use crate::ids;

/// What a command takes one of.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota<R> {
    /// What it is, such as `open hails`.
    pub resource: &'static str,
    /// Whose it is.
    pub subject: String,
    /// How many the subject may have at once.
    pub limit: usize,
    /// The refusal for one who has as many.
    pub refusal: R,
}

/// One that a subject has of a resource.
pub type Used = (&'static str, String);

/// What the subjects of a batch have.
pub(crate) struct Usage(HashMap<Used, usize>);

impl Usage {
    /// Locks the subjects and reads what they have.
    pub async fn read<A: Store>(
        tx: Tx<'_>,
        context: &str,
        commands: impl Iterator<Item = &A::Command>,
    ) -> Result<Usage, Error> {
        let quotas = commands.flat_map(A::quotas);
        let subjects: BTreeSet<String> = quotas.map(|quota| quota.subject).collect();
        if subjects.is_empty() {
            return Ok(Usage(HashMap::new()));
        }
        let subjects: Vec<String> = subjects.into_iter().collect();
        let ((), used) = futures::try_join!(lock(tx, context, A::NAME, &subjects), A::usage(tx, &subjects))?;
        let mut counts = HashMap::new();
        for one in used {
            *counts.entry(one).or_default() += 1;
        }
        Ok(Usage(counts))
    }

    /// Takes one of each quota of a command, unless one of them is used up.
    pub fn take<A: Aggregate>(&mut self, command: &A::Command) -> Result<(), A::Refusal> {
        let mut quotas = A::quotas(command);
        let is_used_up = |quota: &Quota<_>| {
            self.0.get(&(quota.resource, quota.subject.clone())).is_some_and(|used| *used >= quota.limit)
        };
        if let Some(used_up) = quotas.iter().position(is_used_up) {
            return Err(quotas.swap_remove(used_up).refusal);
        }
        for Quota { resource, subject, .. } in quotas {
            *self.0.entry((resource, subject)).or_default() += 1;
        }
        Ok(())
    }
}

/// Holds up other transactions that lock one of the subjects, until this one ends. All take the locks in the same
/// order, and before they write, so they can't wait for each other.
async fn lock(tx: Tx<'_>, context: &str, aggregate: &str, subjects: &[String]) -> Result<(), Error> {
    let Tx::Postgres(mut connection) = tx else { return Ok(()) };
    let key = |subject: &String| {
        let hash = ids::hash(&[b"quota", context.as_bytes(), aggregate.as_bytes(), subject.as_bytes()]);
        hash.as_u64_pair().0.cast_signed()
    };
    let keys: BTreeSet<i64> = subjects.iter().map(key).collect();
    let keys: Vec<i64> = keys.into_iter().collect();
    let statement = diesel::sql_query("SELECT pg_advisory_xact_lock(key) FROM unnest($1) AS key");
    statement.bind::<Array<BigInt>, _>(&keys).execute(&mut connection).await?;
    Ok(())
}
