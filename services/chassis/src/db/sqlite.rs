//! One SQLite file per context: one writer, short reads.
//!
//! Two connections write, both on the writer's thread and so never at once: the commits of one are on disk when they
//! return (`synchronous=FULL`), those of the other a moment later (`NORMAL`), for work that is repeated if it is lost.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use tokio::sync::oneshot;

use crate::db::{Durability, Migrations, Tx, Unit};
use crate::error::Error;
use crate::private;
use crate::relay::LocalLock;
use crate::runtime::{CrashPoint, Runtime};

/// Idle connections for reads; more concurrent reads open and close their own.
const KEPT_READERS: usize = 8;

/// The store of a context in a SQLite file.
#[derive(Clone)]
pub struct Sqlite {
    path: Arc<str>,
    writer: Writer,
    runtime: Runtime,
    context: &'static str,
    readers: Arc<Mutex<Vec<Mutex<SqliteConnection>>>>,
    relay_lock: Arc<LocalLock>,
}

#[derive(Clone)]
enum Writer {
    /// A thread of its own, because a commit waits for the disk.
    Thread(mpsc::SyncSender<Job>),
    /// On the caller's thread, one after the other: a simulation has one thread.
    Here(Arc<tokio::sync::Mutex<Connections>>),
}

type Job = Box<dyn FnOnce(&mut Connections) + Send>;

/// The queue of the writer's thread. Each unit is a batch, so it is short.
const QUEUE: usize = 64;

struct Connections {
    full: Mutex<SqliteConnection>,
    lazy: Mutex<SqliteConnection>,
}

impl Sqlite {
    /// An empty store in memory, for uses without writes.
    pub(crate) fn empty(context: &'static str, runtime: &Runtime) -> Result<Sqlite, String> {
        let connect = || connect(":memory:", "FULL").map(Mutex::new).map_err(|error| error.to_string());
        let connections = Connections { full: connect()?, lazy: connect()? };
        let writer = Writer::Here(Arc::new(tokio::sync::Mutex::new(connections)));
        Ok(Sqlite::new(":memory:", writer, context, runtime))
    }

    pub(super) fn open(path: &str, context: &'static str, runtime: &Runtime) -> Result<Sqlite, String> {
        if !path.starts_with("file:") {
            create_private(Path::new(path)).map_err(|error| format!("can't create it: {error}"))?;
        }
        let full = connect(path, "FULL").map_err(|error| error.to_string())?;
        let lazy = connect(path, "NORMAL").map_err(|error| error.to_string())?;
        let connections = Connections { full: Mutex::new(full), lazy: Mutex::new(lazy) };
        let writer = if runtime.is_simulated() {
            Writer::Here(Arc::new(tokio::sync::Mutex::new(connections)))
        } else {
            Writer::Thread(start_thread(context, connections)?)
        };
        Ok(Sqlite::new(path, writer, context, runtime))
    }

    fn new(path: &str, writer: Writer, context: &'static str, runtime: &Runtime) -> Sqlite {
        let (path, runtime) = (path.into(), runtime.clone());
        Sqlite { path, writer, runtime, context, readers: Arc::default(), relay_lock: Arc::default() }
    }

    /// The same store for a replica of its context in another runtime, in a simulation.
    pub fn for_replica(&self, runtime: &Runtime) -> Sqlite {
        Sqlite { runtime: runtime.clone(), ..self.clone() }
    }

    /// The lock of its relays.
    pub fn relay_lock(&self) -> &Arc<LocalLock> {
        &self.relay_lock
    }

    /// Migrates the tables.
    pub fn migrate(&self, migrations: &Migrations) -> Result<(), String> {
        migrations.run_on_sqlite(&mut connect(&self.path, "FULL").map_err(|error| error.to_string())?)
    }

    pub(super) async fn write(&self, durability: Durability, unit: Unit<'static, ()>) -> Result<(), Error> {
        let (runtime, context) = (&self.runtime, self.context);
        match &self.writer {
            Writer::Here(connections) => connections.lock().await.transact(durability, unit, runtime, context).await,
            Writer::Thread(jobs) => {
                let (answer, answered) = oneshot::channel();
                let runtime = runtime.clone();
                let job: Job = Box::new(move |connections| {
                    // It waits for nothing but the disk. A panic affects only this unit and must not end the thread.
                    let work = connections.transact(durability, unit, &runtime, context);
                    let work = AssertUnwindSafe(|| futures::executor::block_on(work));
                    let panicked = |_| Err(Error::Internal("a unit of work panicked".into()));
                    let _ = answer.send(std::panic::catch_unwind(work).unwrap_or_else(panicked));
                });
                let full = |_| Error::Busy { what: "the store's writer" };
                jobs.try_send(job).map_err(full)?;
                answered.await.map_err(|_| Error::Internal("the writer's thread is gone".into()))?
            }
        }
    }

    pub(super) fn reader(&self) -> Result<Lent, Error> {
        let kept = self.readers.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => {
                let connected = connect(&self.path, "NORMAL");
                Mutex::new(connected.map_err(|error| Error::Unavailable(error.to_string()))?)
            }
        };
        Ok(Lent { connection: Some(connection), home: self.readers.clone() })
    }
}

/// Creates the file and its folder for their owner alone, unless they exist. SQLite gives the files that it keeps beside
/// it the same permissions.
fn create_private(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), private::create_folder)?;
    private::file_options().append(true).create(true).open(path).map(drop)
}

impl Connections {
    async fn transact(
        &mut self,
        durability: Durability,
        unit: Unit<'static, ()>,
        runtime: &Runtime,
        context: &'static str,
    ) -> Result<(), Error> {
        let mut open = Open::begin(match durability {
            Durability::Full => &self.full,
            Durability::Lazy => &self.lazy,
        })?;
        unit(Tx::Sqlite(open.connection)).await?;
        runtime.crash_point(context, CrashPoint::BeforeCommit).await;
        open.commit()?;
        runtime.crash_point(context, CrashPoint::AfterCommit).await;
        Ok(())
    }
}

/// A transaction that is rolled back if it is dropped before it is committed.
struct Open<'a> {
    connection: &'a Mutex<SqliteConnection>,
    is_open: bool,
}

impl<'a> Open<'a> {
    fn begin(connection: &'a Mutex<SqliteConnection>) -> Result<Open<'a>, Error> {
        locked(connection).batch_execute("BEGIN IMMEDIATE")?;
        Ok(Open { connection, is_open: true })
    }

    fn commit(&mut self) -> Result<(), Error> {
        locked(self.connection).batch_execute("COMMIT")?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if self.is_open
            && let Err(error) = locked(self.connection).batch_execute("ROLLBACK")
        {
            tracing::error!(%error, "a transaction can't be rolled back");
        }
    }
}

fn start_thread(context: &str, mut connections: Connections) -> Result<mpsc::SyncSender<Job>, String> {
    let (jobs, queue) = mpsc::sync_channel::<Job>(QUEUE);
    let work = move || {
        while let Ok(job) = queue.recv() {
            job(&mut connections);
        }
    };
    let thread = std::thread::Builder::new().name(format!("{context} writer"));
    thread.spawn(work).map_err(|error| error.to_string())?;
    Ok(jobs)
}

fn connect(path: &str, synchronous: &str) -> Result<SqliteConnection, Box<dyn std::error::Error>> {
    let mut connection = SqliteConnection::establish(path)?;
    connection.batch_execute(&format!(
        "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON;"
    ))?;
    Ok(connection)
}

/// A connection, for one statement. A panic of another statement does not affect it.
pub fn locked(connection: &Mutex<SqliteConnection>) -> MutexGuard<'_, SqliteConnection> {
    connection.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A connection for reads.
pub struct Lent {
    connection: Option<Mutex<SqliteConnection>>,
    home: Arc<Mutex<Vec<Mutex<SqliteConnection>>>>,
}

impl Deref for Lent {
    type Target = Mutex<SqliteConnection>;
    fn deref(&self) -> &Mutex<SqliteConnection> {
        self.connection.as_ref().expect("it is there until it is dropped")
    }
}
impl Drop for Lent {
    fn drop(&mut self) {
        let mut home = self.home.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(connection) = self.connection.take().filter(|_| home.len() < KEPT_READERS) {
            home.push(connection);
        }
    }
}
