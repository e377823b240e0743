//! PostgreSQL: one database or schema per context.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures::future::BoxFuture;
use futures::{FutureExt, try_join};

use crate::db::{DEADLINE, Durability, Migrations, Tx, Unit};
use crate::error::Error;
use crate::runtime::{CrashPoint, Runtime};

mod address;
mod flush;

use address::Address;
use flush::Flushes;

/// Connections per context and process. Few: a write is a batch, and reads of single rows are batched.
const CONNECTIONS: usize = 8;

/// A connection of the pool.
pub type Pooled = Object<AsyncPgConnection>;

/// The store of a context on PostgreSQL.
#[derive(Clone)]
pub struct Postgres {
    address: Address,
    pool: Pool<AsyncPgConnection>,
    flushes: Flushes,
    runtime: Runtime,
    context: &'static str,
}

impl Postgres {
    pub(super) async fn open(url: &str, context: &'static str, runtime: &Runtime) -> Result<Postgres, String> {
        let address = Address::parse(url)?;
        create_missing(&address).await?;
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        let to = address.clone();
        config.custom_setup = Box::new(move |_| {
            let to = to.clone();
            async move { to.connect().await }.boxed()
        });
        // The setup above knows where to connect.
        let manager = AsyncDieselConnectionManager::new_with_config(String::new(), config);
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build().map_err(|error| error.to_string())?;
        Ok(Postgres { address, pool, flushes: Flushes::default(), runtime: runtime.clone(), context })
    }

    /// Migrates the tables, one process at a time.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<(), String> {
        let connection = self.address.connect().await.map_err(|error| error.to_string())?;
        migrations.run_on_postgres(connection).await
    }

    /// A connection outside of the pool, for long use.
    #[inline(never)]
    pub fn connect(&self) -> BoxFuture<'_, Result<AsyncPgConnection, Error>> {
        Box::pin(async { self.address.connect().await.map_err(|error| Error::Unavailable(error.to_string())) })
    }

    /// The schema of the context's tables, if it is not the default.
    pub fn schema(&self) -> Option<&str> {
        self.address.schema.as_deref()
    }

    pub(super) fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.max_size)
    }

    pub(super) async fn reader(&self) -> Result<Pooled, Error> {
        let got = tokio::time::timeout(DEADLINE, self.pool.get()).await;
        let got = got.map_err(|_| Error::Unavailable("no connection to PostgreSQL in time".into()))?;
        got.map_err(|error| Error::Unavailable(error.to_string()))
    }

    pub(super) async fn flush(self, gather: Duration) -> Result<(), Error> {
        // In its own task: others wait for the same flush, also while its caller does something else.
        let flush = tokio::spawn(async move { self.flushes.flush(&self, gather).await });
        flush.await.map_err(|error| Error::Internal(error.to_string()))?
    }

    pub(super) async fn write(&self, durability: Durability, unit: Unit<'static, ()>) -> Result<(), Error> {
        let mut connection = self.reader().await?;
        // In its own task: a cancelled caller must not leave an open transaction in the pool.
        let (runtime, context) = (self.runtime.clone(), self.context);
        let work = async move {
            let outcome = transact(&mut connection, durability, unit, &runtime, context).await;
            if matches!(outcome, Err(Error::Unavailable(_))) {
                // The state of the connection is unknown: close it.
                drop(Object::take(connection));
            }
            outcome
        };
        tokio::spawn(work).await.map_err(|error| Error::Internal(error.to_string()))?
    }
}

/// Runs a unit of work in a transaction on this connection. After [`Error::Unavailable`] it must not be used again.
#[inline(never)]
pub fn transact<'a>(
    connection: &'a mut AsyncPgConnection,
    durability: Durability,
    unit: Unit<'static, ()>,
    runtime: &'a Runtime,
    context: &'static str,
) -> BoxFuture<'a, Result<(), Error>> {
    let work = async move {
        let begin = match durability {
            Durability::Full => "BEGIN ISOLATION LEVEL REPEATABLE READ",
            Durability::Lazy => "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL synchronous_commit = off",
        };
        // One snapshot for all that is read, so that an aggregate in several tables is consistent: a concurrent commit
        // of another replica is detected when this one writes. Sent together with the first statements, to save a round
        // trip. Answers come in order, so nothing goes on if it fails.
        let shared: &AsyncPgConnection = connection;
        let unit = async {
            // A panic affects only this unit: the connection and its task go on.
            match AssertUnwindSafe(unit(Tx::Postgres(shared))).catch_unwind().await {
                Ok(done) => done,
                Err(_) => Err(Error::Internal("a unit of work panicked".into())),
            }
        };
        let outcome = try_join!(async { Ok((&mut { shared }).batch_execute(begin).await?) }, unit);
        let outcome = outcome.map(drop);
        if outcome.is_ok() {
            runtime.crash_point(context, CrashPoint::BeforeCommit).await;
            connection.batch_execute("COMMIT").await?;
            runtime.crash_point(context, CrashPoint::AfterCommit).await;
        } else {
            connection.batch_execute("ROLLBACK").await?;
        }
        outcome.map_err(blame)
    };
    Box::pin(async {
        let late = |_| Error::Unavailable("PostgreSQL does not answer".into());
        tokio::time::timeout(DEADLINE, work).await.map_err(late)?
    })
}

/// If the connection can roll back, the statement itself caused the error and would fail again, unless the server lacks
/// a resource that it may have later.
fn blame(error: Error) -> Error {
    const LACKS: [&str; 4] = ["No space left", "out of memory", "read-only", "recovery"];
    match error {
        Error::Unavailable(why) if !LACKS.iter().any(|lack| why.contains(lack)) => Error::Internal(why),
        error => error,
    }
}

/// Creates the database and the schema, if they are missing.
async fn create_missing(address: &Address) -> Result<(), String> {
    let mut connection = match address.connect().await {
        Ok(connection) => connection,
        Err(error) if error.to_string().contains("does not exist") => {
            create_database(address).await?;
            address.connect().await.map_err(|error| error.to_string())?
        }
        Err(error) => return Err(format!("{error} (is PostgreSQL running there?)")),
    };
    let Some(schema) = &address.schema else { return Ok(()) };
    let exists =
        diesel::sql_query(format!("SELECT 1 FROM pg_namespace WHERE nspname = '{schema}'")).execute(&mut connection);
    if exists.await.map_err(|error| error.to_string())? == 0 {
        // Two processes may create it at once, and even IF NOT EXISTS fails for one of them then. Quoted, because a
        // context's name may be a keyword of SQL, such as `select`.
        let created = connection.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await;
        tolerate_existing(created)?;
    }
    Ok(())
}

async fn create_database(address: &Address) -> Result<(), String> {
    let database = address.database().ok_or("the URL names no database")?;
    let mut connection = address.of_maintenance().connect().await.map_err(|error| error.to_string())?;
    tolerate_existing(connection.batch_execute(&format!("CREATE DATABASE \"{}\"", database.replace('"', ""))).await)
}

fn tolerate_existing(created: diesel::QueryResult<()>) -> Result<(), String> {
    match created {
        Err(error) if error.to_string().contains("exists") || error.to_string().contains("duplicate key") => Ok(()),
        other => other.map_err(|error| error.to_string()),
    }
}
