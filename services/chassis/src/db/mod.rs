//! PostgreSQL or SQLite, chosen by the URL of the store. Statements are written once and checked against both.
//!
//! [`Database`] is a context's access to its store: [`Database::write`] runs a unit of work in its own transaction,
//! [`Database::reader`] lends a connection for reads. On SQLite all writes of a context go through one thread, because
//! SQLite has one writer and a queue is fairer than `SQLITE_BUSY`; reads are short and run on the caller's thread. On
//! PostgreSQL connections come from a pool.

pub mod columns;
pub mod migrations;
pub mod parts;
pub mod postgres;
pub mod rows;
pub mod run;
pub mod sqlite;
mod statements;
pub mod table;
pub mod types;

use std::sync::Mutex;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel_async::AsyncPgConnection;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::runtime::Runtime;
pub use columns::{Column, Name};
pub use migrations::Migrations;
pub use parts::{Parts, changed_parts, grouped};
pub use rows::{Row, insert, save, update, upsert};
pub use table::{Metadata, corrupt};

/// The parts of diesel that a `store.rs` needs. Not its `RunQueryDsl`: [`sql!`](crate::sql) has its own.
pub mod prelude {
    pub use diesel::{
        BoolExpressionMethods, ExpressionMethods, NullableExpressionMethods, OptionalExtension, QueryDsl,
        SelectableHelper,
    };
}

/// The column types for `diesel::table!`.
pub mod sql_types {
    pub use super::types::{SqlTime, SqlUuid};
    pub use diesel::sql_types::*;
}

/// The deadline of a statement, and of the wait for a connection.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// The outcome of statements, or an error at the [`DEADLINE`].
pub(crate) async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(DEADLINE, work).await.map_err(|_| Error::Unavailable("the store does not answer".into()))?
}

/// An open transaction, or a connection for reads.
///
/// Statements that don't need each other's results go together into a `try_join!`: on PostgreSQL they share a round
/// trip (they are sent without waiting in between, and executed in order), on SQLite they run one after the other.
#[derive(Clone, Copy)]
pub enum Tx<'a> {
    /// On PostgreSQL.
    Postgres(&'a AsyncPgConnection),
    /// On SQLite. Locked for a statement, never across an await.
    Sqlite(&'a Mutex<SqliteConnection>),
}

/// Waits for statements that were sent together; the first error ends it.
pub use futures::future::try_join_all;
pub use futures::try_join;

/// Runs one statement of diesel on either database: `sql!(tx, |c| payments::table.find(id).first(c))`.
#[macro_export]
macro_rules! sql {
    ($tx:expr, |$connection:ident| $statement:expr) => {
        match $tx {
            $crate::db::Tx::Postgres(mut connection) => {
                #[allow(unused_imports)]
                use $crate::db::run::OnPostgres as _;
                let $connection = &mut connection;
                $statement.await
            }
            $crate::db::Tx::Sqlite(connection) => {
                #[allow(unused_imports)]
                use $crate::db::run::OnSqlite as _;
                let $connection = &mut *$crate::db::sqlite::locked(connection);
                $statement
            }
        }
    };
}

/// `Store::load` and `Store::save` of a store with one row per aggregate: `flat!(Row in bills);` among its functions.
/// The table is one of aggregates, declared by [`table!`](crate::table), with the column `id`.
#[macro_export]
macro_rules! flat {
    ($Row:ident in $table:ident) => {
        async fn load(
            tx: $crate::Tx<'_>,
            request: &$crate::LoadRequest<'_, Self>,
        ) -> Result<Vec<$crate::Loaded<Self>>, $crate::Error> {
            let query = $table::table.filter($table::id.eq_any(request.ids()));
            let rows: Vec<$Row> = $crate::sql!(tx, |c| query.select($Row::as_select()).load(c))?;
            let loaded = |row: $Row| {
                let (id, metadata) = (row.id, row.metadata());
                Ok($crate::Loaded { id, metadata, state: row.read()? })
            };
            rows.into_iter().map(loaded).collect()
        }

        async fn save(tx: $crate::Tx<'_>, changes: &[$crate::Change<'_, Self>]) -> Result<(), $crate::Error> {
            $crate::db::save(tx, changes, $Row::of).await
        }
    };
}

/// `Store::due` of a store whose table has the column `wake_at`: `due!(drives, id);` among its functions.
#[macro_export]
macro_rules! due {
    ($table:ident, $id:ident) => {
        async fn due(tx: $crate::Tx<'_>, now: $crate::Timestamp, limit: i64) -> Result<Vec<Self::Id>, $crate::Error> {
            let due = $table::table.filter($table::wake_at.le(now)).order($table::wake_at).limit(limit);
            Ok($crate::sql!(tx, |c| due.select($table::$id).load(c))?)
        }
    };
}

/// A page of rows, newest first by a column, then by `id`, and the token of the next page. `where` precedes a condition
/// for all rows; then come the filters by optional values, and the item of each row:
///
/// ```ignore
/// newest!(tx, page, Row in stays by created_at; customer: stays::customer.eq(customer); |row| (&row.read()?).into())
/// ```
///
/// A column that can be null is written `by nullable reserved_at`; `where` must exclude the rows in which it is null.
#[macro_export]
macro_rules! newest {
    ($tx:expr, $page:expr, $Row:ident in $table:ident by nullable $at:ident $($rest:tt)+) => {
        $crate::newest!(@ $tx, $page, $Row, $table, nullable $at; $($rest)+)
    };
    ($tx:expr, $page:expr, $Row:ident in $table:ident by $at:ident $($rest:tt)+) => {
        $crate::newest!(@ $tx, $page, $Row, $table, $at; $($rest)+)
    };
    (
        @ $tx:expr, $page:expr, $Row:ident, $table:ident, $($at:ident)+; $(where $all:expr)?;
        $($option:ident: $filter:expr),* $(,)?; |$row:ident| $item:expr
    ) => {{
        let rows = $crate::newest_rows!(
            $tx, $page, $Row in $table by $($at)+ $(where $all)?; $($option: $filter),*
        )?;
        $crate::page_of_newest!($page, rows, |$row: $Row| $item)
    }};
}

/// The rows of [`newest!`](crate::newest), each with its time, and one more than the page has if there are more.
#[macro_export]
macro_rules! newest_rows {
    ($tx:expr, $page:expr, $Row:ident in $table:ident by nullable $at:ident $($rest:tt)+) => {
        $crate::newest_rows!(@ $tx, $page, $Row, $table, $table::$at.assume_not_null(); $($rest)+)
    };
    ($tx:expr, $page:expr, $Row:ident in $table:ident by $at:ident $($rest:tt)+) => {
        $crate::newest_rows!(@ $tx, $page, $Row, $table, $table::$at; $($rest)+)
    };
    (
        @ $tx:expr, $page:expr, $Row:ident, $table:ident, $at:expr; $(where $all:expr)?;
        $($option:ident: $filter:expr),* $(,)?
    ) => {{
        let rows: Result<Vec<($crate::Timestamp, $Row)>, $crate::Error> = $crate::sql!($tx, |c| {
            let mut query = $table::table.select(($at, $Row::as_select()))$(.filter($all))?.into_boxed();
            $(if let Some($option) = $option {
                query = query.filter($filter);
            })*
            if let Some($crate::page::Cursor { at, id }) = $page.after {
                let id = $crate::Id::<()>::new(id);
                // The first condition is for the index, so that no row before the page is read.
                query = query.filter($at.le(at).and($at.lt(at).or($table::id.lt(id))));
            }
            query.order(($at.desc(), $table::id.desc())).limit($page.limit()).load(c)
        })
        .map_err($crate::Error::from);
        rows
    }};
}

/// The page of rows from [`newest_rows!`](crate::newest_rows), and the token of the next page.
#[macro_export]
macro_rules! page_of_newest {
    ($page:expr, $rows:expr, |$row:ident: $Row:ty| $item:expr) => {{
        let mut rows: Vec<($crate::Timestamp, $Row)> = $rows;
        let next = $page.cut(&mut rows, |(at, row)| $crate::page::Cursor { at: *at, id: row.id.uuid() });
        let item = |$row: $Row| -> Result<_, $crate::Error> { Ok($item) };
        let items = rows.into_iter().map(|(_, row)| item(row)).collect::<Result<Vec<_>, $crate::Error>>()?;
        Ok((items, next))
    }};
}

/// A unit of work: what is written in one transaction.
pub type Unit<'f, T> = Box<dyn for<'t> FnOnce(Tx<'t>) -> BoxFuture<'t, Result<T, Error>> + Send + 'f>;

/// A unit of work without a result, and the result, which is there after the commit. The code that runs units need not
/// know their types.
pub(crate) fn aside<T: Send + 'static>(
    unit: Unit<'static, T>,
) -> (Unit<'static, ()>, impl Future<Output = Result<T, Error>> + Send) {
    let (put, result) = oneshot::channel();
    let without_result: Unit<'static, ()> = Box::new(|tx| {
        let work = unit(tx);
        Box::pin(async {
            // Fails if the caller no longer waits.
            let _ = put.send(work.await?);
            Ok(())
        })
    });
    (without_result, async { result.await.map_err(|_| Error::Internal("a unit of work has no result".into())) })
}

/// The durability of a write when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// On disk.
    Full,
    /// In order, and on disk a moment later: for work that is repeated if it is lost.
    Lazy,
}

/// The store of one context.
#[derive(Clone)]
pub enum Database {
    /// A PostgreSQL database or schema.
    Postgres(postgres::Postgres),
    /// A SQLite file.
    Sqlite(sqlite::Sqlite),
}

/// A connection for reads. Dropping it returns it.
pub enum Reader {
    /// On PostgreSQL.
    Postgres(Box<postgres::Pooled>),
    /// On SQLite.
    Sqlite(sqlite::Lent),
}

impl Reader {
    /// The connection, for [`sql!`](crate::sql).
    pub fn tx(&self) -> Tx<'_> {
        match self {
            Reader::Postgres(connection) => Tx::Postgres(connection),
            Reader::Sqlite(connection) => Tx::Sqlite(connection),
        }
    }
}

impl Database {
    /// Opens the store of `context` at `url`, in which `{context}` stands for its name. Creates the database or schema
    /// if it is missing, but not the tables.
    ///
    /// `sqlite:PATH` is a file; `postgres://…` a database, or a schema in it with the parameter `schema=NAME`, over TLS
    /// with `sslmode=verify-full` and perhaps `sslrootcert=FILE`. Several hosts are a primary and its standbys.
    pub async fn open(url: &str, context: &'static str, runtime: &Runtime) -> Result<Database, OpenError> {
        let url = url.replace("{context}", context);
        let failed = |cause: String| OpenError { context, store: without_password(&url), cause };
        if let Some(path) = url.strip_prefix("sqlite:") {
            return sqlite::Sqlite::open(path, context, runtime).map(Database::Sqlite).map_err(failed);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres::Postgres::open(&url, context, runtime).await.map(Database::Postgres).map_err(failed);
        }
        Err(failed("a store is sqlite:PATH or postgres://USER@HOST/DATABASE".to_owned()))
    }

    /// Runs a unit of work in a transaction. It is written whole or, on an error, not at all.
    pub async fn write<T: Send + 'static>(&self, durability: Durability, unit: Unit<'static, T>) -> Result<T, Error> {
        let (unit, result) = aside(unit);
        self.commit(durability, unit).await?;
        result.await
    }

    /// Boxed, like [`reader`](Database::reader): what the drivers do is compiled here, not in each context.
    #[inline(never)]
    fn commit(&self, durability: Durability, unit: Unit<'static, ()>) -> BoxFuture<'_, Result<(), Error>> {
        match self {
            Database::Postgres(postgres) => Box::pin(postgres.write(durability, unit)),
            Database::Sqlite(sqlite) => Box::pin(sqlite.write(durability, unit)),
        }
    }

    /// `wanted`, if it can be waited for by [`flush`](Database::flush) where it is [`Lazy`](Durability::Lazy); else
    /// [`Full`](Durability::Full), as on SQLite.
    pub(crate) fn flushable(&self, wanted: Durability) -> Durability {
        match self {
            Database::Postgres(_) => wanted,
            Database::Sqlite(_) => Durability::Full,
        }
    }

    /// Waits until every write that was [`flushable`](Database::flushable), and has returned, is on disk. Those who gather
    /// for so long share a flush.
    pub(crate) fn flush(&self, gather: Duration) -> BoxFuture<'static, Result<(), Error>> {
        match self {
            Database::Postgres(postgres) => Box::pin(postgres.clone().flush(gather)),
            Database::Sqlite(_) => Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// Lends a connection for reads.
    #[inline(never)]
    pub fn reader(&self) -> BoxFuture<'_, Result<Reader, Error>> {
        Box::pin(async {
            match self {
                Database::Postgres(postgres) => {
                    postgres.reader().await.map(|pooled| Reader::Postgres(Box::new(pooled)))
                }
                Database::Sqlite(sqlite) => sqlite.reader().map(Reader::Sqlite),
            }
        })
    }

    /// How many connections of the pool are in use, and how many there can be; none where there is no pool.
    pub fn connections(&self) -> Option<(usize, usize)> {
        match self {
            Database::Postgres(postgres) => Some(postgres.connections()),
            Database::Sqlite(_) => None,
        }
    }

    /// Whether the store answers.
    pub async fn ping(&self) -> Result<(), Error> {
        let reader = self.reader().await?;
        in_time(async { Ok(sql!(reader.tx(), |c| diesel::sql_query("SELECT 1").execute(c))?) }).await.map(drop)
    }
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the store of {context} can't be opened at {store}: {cause}")]
pub struct OpenError {
    context: &'static str,
    store: String,
    cause: String,
}

/// The URL without its password, for logs. libpq takes one before the host, and one as a parameter: of those, only the
/// schema is shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
    let base = match base.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        // A password with an unescaped `?`, perhaps.
        None if query.contains('@') => "…".to_owned(),
        None => base.to_owned(),
    };
    let schema = query.split('&').find(|part| part.starts_with("schema="));
    format!("{scheme}://{base}{}", schema.map(|schema| format!("?{schema}")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("postgres://me:p@ss@host/db"), "postgres://me@host/db");
        assert_eq!(without_password("postgres://me:p@h1:5432,h2:5433/db"), "postgres://me@h1:5432,h2:5433/db");
        assert_eq!(without_password("postgres://host/db"), "postgres://host/db");
        assert_eq!(without_password("postgres://host/db?password=p&schema=x"), "postgres://host/db?schema=x");
        assert_eq!(without_password("postgres://me@host/db?password=p@ss?"), "postgres://me@host/db");
        assert_eq!(without_password("postgres://me:p?ss@host/db"), "postgres://…");
        assert_eq!(without_password("sqlite:data/x.db"), "sqlite:data/x.db");
    }
}
