//! Executes statements of any type by functions that exist once.
//!
//! diesel's and diesel-async's own `load` and `execute` are generic, so the driver's code would be compiled again for
//! each statement of each context. Here a statement is a trait object by the time the driver sees it. Only its SQL text,
//! its binds and the conversion of its rows depend on its type.
//!
//! All statements of the product pass through here, so that the test of their plans sees them by
//! [`statements`]; each is known by the place that called.

use std::panic::Location;

use diesel::connection::LoadConnection;
use diesel::deserialize::FromSqlRow;
use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::CompatibleType;
use diesel::query_dsl::methods::LimitDsl;
use diesel::result::{Error, QueryResult};
use diesel::sql_types::Untyped;
use diesel::sqlite::Sqlite;
use diesel::{Connection, SqliteConnection};
use diesel_async::{AsyncConnectionCore, AsyncPgConnection};
use futures::TryStreamExt as _;
use futures::future::BoxFuture;

use crate::db::statements;

/// A statement without its type.
struct Erased<'q, DB: diesel::backend::Backend>(&'q (dyn QueryFragment<DB> + 'q));

impl<DB: diesel::backend::Backend> QueryFragment<DB> for Erased<'_, DB>
where
    DB: diesel::backend::DieselReserveSpecialization,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }
}
impl<DB: diesel::backend::Backend> Query for Erased<'_, DB> {
    type SqlType = Untyped;
}
/// The text identifies the prepared statement.
impl<DB: diesel::backend::Backend> QueryId for Erased<'_, DB> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

/// The SQL type of a statement's rows, which are read as `U`.
type Read<Q, U, DB> = <<Q as AsQuery>::SqlType as CompatibleType<U, DB>>::SqlType;

/// The methods of statements in the PostgreSQL branch of [`sql!`](crate::sql).
pub trait OnPostgres: Sized {
    /// Executes the statement; returns the number of rows that it changed.
    #[track_caller]
    fn execute<'c>(self, connection: &mut &'c AsyncPgConnection) -> BoxFuture<'c, QueryResult<usize>>
    where
        Self: QueryFragment<Pg>,
    {
        postgres_count(connection, &self)
    }

    /// The rows.
    #[track_caller]
    fn load<'c, U>(self, connection: &mut &'c AsyncPgConnection) -> BoxFuture<'c, QueryResult<Vec<U>>>
    where
        Self: AsQuery,
        Self::Query: QueryFragment<Pg>,
        Self::SqlType: CompatibleType<U, Pg>,
        U: FromSqlRow<Read<Self, U, Pg>, Pg> + Send + 'c,
    {
        postgres_rows(connection, &self.as_query(), |row| U::build_from_row(row).map_err(Error::DeserializationError))
    }

    /// The first row of the result, which has one.
    #[track_caller]
    fn get_result<'c, U>(self, connection: &mut &'c AsyncPgConnection) -> BoxFuture<'c, QueryResult<U>>
    where
        Self: AsQuery,
        Self::Query: QueryFragment<Pg>,
        Self::SqlType: CompatibleType<U, Pg>,
        U: FromSqlRow<Read<Self, U, Pg>, Pg> + Send + 'c,
    {
        let rows = self.load(connection);
        Box::pin(async { first(rows.await?) })
    }

    /// The first row.
    #[track_caller]
    fn first<'c, U>(self, connection: &mut &'c AsyncPgConnection) -> BoxFuture<'c, QueryResult<U>>
    where
        Self: LimitDsl,
        Self::Output: OnPostgres + AsQuery,
        <Self::Output as AsQuery>::Query: QueryFragment<Pg>,
        <Self::Output as AsQuery>::SqlType: CompatibleType<U, Pg>,
        U: FromSqlRow<Read<Self::Output, U, Pg>, Pg> + Send + 'c,
    {
        OnPostgres::get_result(self.limit(1), connection)
    }
}
impl<Q> OnPostgres for Q {}

/// The methods of statements in the SQLite branch of [`sql!`](crate::sql).
pub trait OnSqlite: Sized {
    /// Executes the statement; returns the number of rows that it changed.
    #[track_caller]
    fn execute(self, connection: &mut SqliteConnection) -> QueryResult<usize>
    where
        Self: QueryFragment<Sqlite>,
    {
        sqlite_count(connection, &self)
    }

    /// The rows.
    #[track_caller]
    fn load<U>(self, connection: &mut SqliteConnection) -> QueryResult<Vec<U>>
    where
        Self: AsQuery,
        Self::Query: QueryFragment<Sqlite>,
        Self::SqlType: CompatibleType<U, Sqlite>,
        U: FromSqlRow<Read<Self, U, Sqlite>, Sqlite>,
    {
        let mut rows = Vec::new();
        sqlite_rows(connection, &self.as_query(), &mut |row| {
            rows.push(U::build_from_row(row).map_err(Error::DeserializationError)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of the result, which has one.
    #[track_caller]
    fn get_result<U>(self, connection: &mut SqliteConnection) -> QueryResult<U>
    where
        Self: AsQuery,
        Self::Query: QueryFragment<Sqlite>,
        Self::SqlType: CompatibleType<U, Sqlite>,
        U: FromSqlRow<Read<Self, U, Sqlite>, Sqlite>,
    {
        first(self.load(connection)?)
    }

    /// The first row.
    #[track_caller]
    fn first<U>(self, connection: &mut SqliteConnection) -> QueryResult<U>
    where
        Self: LimitDsl,
        Self::Output: OnSqlite + AsQuery,
        <Self::Output as AsQuery>::Query: QueryFragment<Sqlite>,
        <Self::Output as AsQuery>::SqlType: CompatibleType<U, Sqlite>,
        U: FromSqlRow<Read<Self::Output, U, Sqlite>, Sqlite>,
    {
        OnSqlite::get_result(self.limit(1), connection)
    }
}
impl<Q> OnSqlite for Q {}

fn first<U>(rows: Vec<U>) -> QueryResult<U> {
    rows.into_iter().next().ok_or(Error::NotFound)
}

#[track_caller]
#[inline(never)]
fn postgres_count<'c>(
    connection: &mut &'c AsyncPgConnection,
    statement: &dyn QueryFragment<Pg>,
) -> BoxFuture<'c, QueryResult<usize>> {
    statements::on_postgres(Location::caller(), statement);
    AsyncConnectionCore::execute_returning_count(connection, Erased(statement))
}

#[track_caller]
fn postgres_rows<'c, U: Send + 'c>(
    connection: &mut &'c AsyncPgConnection,
    statement: &dyn QueryFragment<Pg>,
    read: fn(&PgRow) -> QueryResult<U>,
) -> BoxFuture<'c, QueryResult<Vec<U>>> {
    let rows = postgres_untyped(connection, statement);
    Box::pin(async move { rows.await?.iter().map(read).collect() })
}

#[track_caller]
#[inline(never)]
fn postgres_untyped<'c>(
    connection: &mut &'c AsyncPgConnection,
    statement: &dyn QueryFragment<Pg>,
) -> BoxFuture<'c, QueryResult<Vec<PgRow>>> {
    statements::on_postgres(Location::caller(), statement);
    let rows = AsyncConnectionCore::load(connection, Erased(statement));
    Box::pin(async move { rows.await?.try_collect().await })
}

#[track_caller]
#[inline(never)]
fn sqlite_count(connection: &mut SqliteConnection, statement: &dyn QueryFragment<Sqlite>) -> QueryResult<usize> {
    statements::on_sqlite(Location::caller(), statement);
    Connection::execute_returning_count(connection, &Erased(statement))
}

type PgRow = <AsyncPgConnection as AsyncConnectionCore>::Row<'static, 'static>;
type SqliteRow<'c, 'q> = <SqliteConnection as LoadConnection>::Row<'c, 'q>;

#[track_caller]
#[inline(never)]
fn sqlite_rows(
    connection: &mut SqliteConnection,
    statement: &dyn QueryFragment<Sqlite>,
    each: &mut dyn FnMut(&SqliteRow<'_, '_>) -> QueryResult<()>,
) -> QueryResult<()> {
    statements::on_sqlite(Location::caller(), statement);
    for row in LoadConnection::load(connection, Erased(statement))? {
        each(&row?)?;
    }
    Ok(())
}
