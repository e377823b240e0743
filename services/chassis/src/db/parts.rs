//! Aggregates with parts in a table of their own: which parts a change wrote to, and which belong to which aggregate.

use std::collections::{BTreeMap, BTreeSet};

use crate::aggregate::{Aggregate, Change};
use crate::error::Error;

/// Parts by the aggregate that they belong to, in a map or a set. `part` makes the aggregate's id and the part of a row.
pub fn by_owner<R, O: Ord, P, Parts: Default + Extend<P>>(
    rows: Vec<R>,
    part: impl Fn(R) -> Result<(O, P), Error>,
) -> Result<BTreeMap<O, Parts>, Error> {
    let mut of_owner: BTreeMap<O, Parts> = BTreeMap::new();
    for row in rows {
        let (owner, part) = part(row)?;
        of_owner.entry(owner).or_default().extend([part]);
    }
    Ok(of_owner)
}

/// The rows of the parts that the events of the changes are about, each once. `key` is the part that an event is about;
/// `row` makes the row of a part, if the aggregate has it.
pub fn touched<A: Aggregate, K: Ord, R>(
    changes: &[Change<'_, A>],
    key: impl Fn(&A::Event) -> Option<K>,
    row: impl Fn(&Change<'_, A>, K) -> Option<R>,
) -> Vec<R> {
    let rows = |change: &Change<'_, A>| {
        let keys: BTreeSet<K> = change.events.iter().filter_map(&key).collect();
        keys.into_iter().filter_map(|key| row(change, key)).collect::<Vec<R>>()
    };
    changes.iter().flat_map(rows).collect()
}
