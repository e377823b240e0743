//! Many rows in one statement.
//!
//! PostgreSQL takes a column as an array (`UNNEST`), so the text of the statement is the same for any number of rows:
//! it is parsed and planned once. SQLite runs in this process, so one statement per row costs no round trip.
//! [`table!`](crate::table) declares a table once and generates both; reads use diesel's own queries.

use std::marker::PhantomData;
use std::panic::Location;

use diesel::Connection as _;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt};
use diesel::sqlite::Sqlite;
use futures::try_join;

use crate::aggregate::{Aggregate, Change};
use crate::db::run::OnPostgres;
use crate::db::{Metadata, Tx, sqlite, statements};
use crate::error::Error;

/// A struct that is a row of a table. Made by [`table!`](crate::table).
pub trait Row: Sized + Send + Sync + 'static {
    /// The table's name.
    const TABLE: &'static str;
    /// The names of the columns, in the order of the fields.
    const COLUMNS: &'static [&'static str];
    /// The names of the columns of the primary key.
    const KEY: &'static [&'static str];
    /// The rows, transposed: a vector for each column.
    type Columns<'a>: Send + Sync;

    /// Transposes rows.
    fn columns(rows: &[Self]) -> Self::Columns<'_>;
    /// Binds each column as an array, with commas between them.
    fn bind_columns<'b>(columns: &'b Self::Columns<'_>, out: AstPass<'_, 'b, Pg>) -> QueryResult<()>;
    /// Binds each field, with `column =` in front if `named`, and commas between them.
    fn bind_fields<'b>(&'b self, named: bool, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
    /// Binds `column = ?` for each column of the key, with `AND` between them.
    fn bind_key<'b>(&'b self, out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()>;
}

/// What a write does with an existing row.
trait Mode: Send + Sync + 'static {
    const MODE: Kind;
}
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Keeps the existing row; the new one is not counted.
    Insert,
    /// Overwrites it.
    Upsert,
    /// Overwrites it if it has the version that was read; inserts nothing.
    Update,
}
#[derive(QueryId)]
struct Insert;
#[derive(QueryId)]
struct Upsert;
#[derive(QueryId)]
struct Update;
impl Mode for Insert {
    const MODE: Kind = Kind::Insert;
}
impl Mode for Upsert {
    const MODE: Kind = Kind::Upsert;
}
impl Mode for Update {
    const MODE: Kind = Kind::Update;
}

/// Inserts rows; returns how many were new: a row whose key exists is kept as it is.
pub async fn insert<R: Row>(tx: Tx<'_>, rows: &[R]) -> Result<usize, Error> {
    write::<R, Insert>(tx, rows, &[]).await
}

/// Writes rows, new or not. Their keys must differ.
pub async fn upsert<R: Row>(tx: Tx<'_>, rows: &[R]) -> Result<(), Error> {
    write::<R, Upsert>(tx, rows, &[]).await.map(drop)
}

/// Overwrites the rows whose column `version` is still the one in `versions` (one per row); returns how many were.
pub async fn update<R: Row>(tx: Tx<'_>, rows: &[R], versions: &[i64]) -> Result<usize, Error> {
    write::<R, Update>(tx, rows, versions).await
}

/// Writes the rows of changed aggregates: new ones are inserted, the others overwritten at the version they were read
/// at. [`Error::Conflict`] if another transaction wrote one of them meanwhile.
pub async fn save<A: Aggregate, R: Row>(
    tx: Tx<'_>,
    changes: &[Change<'_, A>],
    row: impl Fn(&A, &Metadata) -> R + Send,
) -> Result<(), Error> {
    let (new, old): (Vec<&Change<'_, A>>, Vec<_>) = changes.iter().partition(|change| change.read == 0);
    let rows = |changes: &[&Change<'_, A>]| -> Vec<R> {
        changes.iter().map(|change| row(change.state, &change.metadata)).collect()
    };
    let (new, read) = (rows(&new), old.iter().map(|change| change.read).collect::<Vec<i64>>());
    let old = rows(&old);
    let (inserted, updated) = try_join!(insert(tx, &new), update(tx, &old, &read))?;
    if inserted + updated == changes.len() { Ok(()) } else { Err(Error::Conflict) }
}

async fn write<R: Row, M: Mode>(tx: Tx<'_>, rows: &[R], versions: &[i64]) -> Result<usize, Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    match tx {
        Tx::Postgres(mut connection) => {
            let many = Many::<R, M> { columns: R::columns(rows), versions, mode: PhantomData };
            Ok(OnPostgres::execute(many, &mut connection).await?)
        }
        Tx::Sqlite(connection) => {
            let mut connection = sqlite::locked(connection);
            let mut written = 0;
            for (index, row) in rows.iter().enumerate() {
                let version = versions.get(index).copied().unwrap_or_default();
                let one = One::<R, M> { row, version, mode: PhantomData };
                statements::on_sqlite(Location::caller(), &one);
                written += connection.execute_returning_count(&one)?;
            }
            Ok(written)
        }
    }
}

/// All rows in one statement, for PostgreSQL.
struct Many<'a, R: Row, M> {
    columns: R::Columns<'a>,
    versions: &'a [i64],
    mode: PhantomData<M>,
}

/// One row, for SQLite.
struct One<'a, R, M> {
    row: &'a R,
    version: i64,
    mode: PhantomData<M>,
}

// Executed with its type, unlike other statements: the text depends only on the types, so they identify the prepared
// statement, and it is not built for each row.
impl<R: 'static, M: 'static> QueryId for One<'_, R, M> {
    type QueryId = One<'static, R, M>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<R: Row, M: Mode> QueryFragment<Pg> for Many<'_, R, M> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        if M::MODE != Kind::Update {
            out.push_sql(&format!(
                "INSERT INTO {} ({}) SELECT * FROM UNNEST(",
                R::TABLE,
                list(R::COLUMNS, str::to_owned)
            ));
            R::bind_columns(&self.columns, out.reborrow())?;
            out.push_sql(&format!("){}", on_conflict::<R>(M::MODE)));
            return Ok(());
        }
        let set = list(R::COLUMNS, |column| format!("{column} = u.{column}"));
        out.push_sql(&format!("UPDATE {} AS t SET {set} FROM UNNEST(", R::TABLE));
        R::bind_columns(&self.columns, out.reborrow())?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(self.versions)?;
        let keys: Vec<String> = R::KEY.iter().map(|column| format!("t.{column} = u.{column}")).collect();
        let columns = list(R::COLUMNS, str::to_owned);
        out.push_sql(&format!(
            ") AS u ({columns}, version_read) WHERE {} AND t.version = u.version_read",
            keys.join(" AND ")
        ));
        Ok(())
    }
}

impl<R: Row, M: Mode> QueryFragment<Sqlite> for One<'_, R, M> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        if M::MODE != Kind::Update {
            out.push_sql(&format!("INSERT INTO {} ({}) VALUES (", R::TABLE, list(R::COLUMNS, str::to_owned)));
            self.row.bind_fields(false, out.reborrow())?;
            out.push_sql(&format!("){}", on_conflict::<R>(M::MODE)));
            return Ok(());
        }
        out.push_sql(&format!("UPDATE {} SET ", R::TABLE));
        self.row.bind_fields(true, out.reborrow())?;
        out.push_sql(" WHERE ");
        self.row.bind_key(out.reborrow())?;
        out.push_sql(" AND version = ");
        out.push_bind_param::<BigInt, _>(&self.version)
    }
}

fn on_conflict<R: Row>(mode: Kind) -> String {
    if mode == Kind::Insert {
        return " ON CONFLICT DO NOTHING".to_owned();
    }
    let set = list(R::COLUMNS, |column| format!("{column} = excluded.{column}"));
    format!(" ON CONFLICT ({}) DO UPDATE SET {set}", list(R::KEY, str::to_owned))
}

fn list(columns: &[&str], each: impl Fn(&str) -> String) -> String {
    columns.iter().map(|column| each(column)).collect::<Vec<_>>().join(", ")
}
