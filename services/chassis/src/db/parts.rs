//! The parts of aggregates in tables of their own: rows of several aggregates are read together, and those that events
//! are about are written.

use std::collections::{BTreeMap, BTreeSet};

use crate::aggregate::{Aggregate, Change};
use crate::error::Error;

/// Reads the rows of a table that a filter lets through, as a future for [`try_join!`](crate::db::try_join):
/// `chassis::read!(tx, HoldRow in holds where holds::is_open; by holds::start_date)`. The order may be left out.
///
/// A filter by a list that may be empty names the list, and nothing is read if it is:
/// `chassis::read!(tx, HoldRow in holds where holds::id.eq_any(&named); of named)`.
///
/// Rows that one filter or another lets through are read by a statement for each:
/// `chassis::read!(tx, HoldRow in holds where open; and holds::id.eq_any(&named), of named)`. With `or` between them,
/// SQLite would use the index of neither as soon as the list is empty, and read the whole table. A row that both let
/// through is there twice.
///
/// Rows that commands name are looked up by their own id alone, with an index, not also by that of the aggregate: given
/// both, PostgreSQL may read all that the aggregate ever had. Rows of other aggregates do no harm, because
/// [`loaded!`](crate::loaded) takes only those of the aggregates that were asked for.
#[macro_export]
macro_rules! read {
    ($tx:expr, $Row:ident in $table:ident where $filter:expr $(; by $order:expr)?) => {
        async {
            let query = $table::table.filter($filter)$(.order($order))?;
            $crate::sql!($tx, |c| query.select($Row::as_select()).load::<$Row>(c)).map_err($crate::Error::from)
        }
    };
    ($tx:expr, $Row:ident in $table:ident where $filter:expr; of $list:ident $(by $order:expr)?) => {
        async {
            let rows = $crate::read!($tx, $Row in $table where $filter $(; by $order)?);
            if $list.is_empty() { Ok(Vec::new()) } else { rows.await }
        }
    };
    ($tx:expr, $Row:ident in $table:ident where $filter:expr; and $other:expr, of $list:ident) => {
        async {
            let filtered = $crate::read!($tx, $Row in $table where $filter);
            let others = $crate::read!($tx, $Row in $table where $other; of $list);
            let (mut rows, others) = $crate::db::try_join!(filtered, others)?;
            rows.extend(others);
            Ok::<Vec<$Row>, $crate::Error>(rows)
        }
    };
}

/// The aggregates of rows, each with its id: `chassis::loaded!(resorts, |row, id| row.read(holds.take(id))?)`. An id in
/// another column is written `by car_id`.
#[macro_export]
macro_rules! loaded {
    ($rows:ident, |$row:ident, $id:ident| $state:expr) => {
        $crate::loaded!($rows by id, |$row, $id| $state)
    };
    ($rows:ident by $key:ident, |$row:ident, $id:ident| $state:expr) => {{
        let mut loaded = Vec::with_capacity($rows.len());
        for $row in $rows {
            let ($id, metadata) = ($row.$key, $row.metadata());
            loaded.push($crate::Loaded { id: $id, metadata, state: $state });
        }
        Ok(loaded)
    }};
}

/// The parts of aggregates, by aggregate. `C` collects those of one.
pub struct Parts<P, C>(BTreeMap<P, C>);

impl<P: Ord, C: Default> Parts<P, C> {
    /// The parts of this aggregate.
    pub fn take(&mut self, parent: P) -> C {
        self.0.remove(&parent).unwrap_or_default()
    }
}

/// Groups parts. `part` returns the aggregate and the part of a row.
pub fn grouped<R, P: Ord, T, C: Default + Extend<T>>(
    rows: Vec<R>,
    part: impl Fn(R) -> Result<(P, T), Error>,
) -> Result<Parts<P, C>, Error> {
    let mut of: BTreeMap<P, C> = BTreeMap::new();
    for row in rows {
        let (parent, part) = part(row)?;
        of.entry(parent).or_default().extend([part]);
    }
    Ok(Parts(of))
}

/// The rows of the parts that the events of changes are about, each once. `id` says which part an event is about.
pub fn changed_parts<A: Aggregate, I: Ord, R>(
    changes: &[Change<'_, A>],
    id: impl Fn(&A::Event) -> Option<I>,
    row: impl Fn(&Change<'_, A>, I) -> Option<R>,
) -> Vec<R> {
    let rows = changes.iter().flat_map(|change| {
        let ids: BTreeSet<I> = change.events.iter().filter_map(&id).collect();
        ids.into_iter().filter_map(|id| row(change, id)).collect::<Vec<R>>()
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_grouped_by_what_they_are_part_of() {
        let rows = vec![(1, "a"), (2, "b"), (1, "c")];
        let mut parts: Parts<i32, Vec<&str>> = grouped(rows, Ok).expect("no row is corrupt");
        assert_eq!(parts.take(1), ["a", "c"]);
        assert_eq!(parts.take(2), ["b"]);
        assert_eq!(parts.take(3), [""; 0]);
    }

    #[test]
    fn a_corrupt_part_is_an_error() {
        let part = |row: i32| if row > 0 { Ok((row, row)) } else { Err(Error::Internal("corrupt".into())) };
        assert!(grouped::<_, _, _, Vec<i32>>(vec![1, 0], part).is_err());
    }
}
