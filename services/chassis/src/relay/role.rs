//! The relay's role among the replicas of its context.
//!
//! The holder of a lock relays, on PostgreSQL of an advisory lock. The others stand by: when they have written events they
//! notify the holder, after their commit and on a connection of their own, because PostgreSQL commits the transactions
//! that have a NOTIFY one at a time. A notification that is lost with its sender costs time, not events: every replica
//! also looks periodically, and takes the lock if the holder is gone.

use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures::StreamExt;

use crate::db::{Database, in_time};
use crate::error::Error;
use crate::relay::local_lock::{LocalLock, Member};

pub struct Role {
    lock: Lock,
    is_holder: bool,
}

enum Lock {
    /// On SQLite.
    Local(Database, Member),
    /// On PostgreSQL it belongs to this connection. The channel is that of notifications for its holder.
    Postgres { connection: Box<AsyncPgConnection>, channel: String },
}

/// The access of the holder to the outbox.
pub enum Access<'a> {
    /// By the store's own connections.
    Store(&'a Database),
    /// By the connection that has the lock.
    Connection(&'a AsyncPgConnection),
}

impl Role {
    /// The role at the start: a standby.
    pub async fn open(database: &Database) -> Result<Role, Error> {
        let lock = match database {
            Database::Sqlite(sqlite) => Lock::Local(database.clone(), LocalLock::join(sqlite.relay_lock())),
            Database::Postgres(postgres) => {
                let mut connection = postgres.connect().await?;
                // If a removal is lost, the events are published again, so it need not wait for the disk.
                in_time(async { Ok(connection.batch_execute("SET synchronous_commit = off").await?) }).await?;
                // A channel is one of the database, and each schema in it has an outbox.
                let channel = format!("nadeuri relay {}", postgres.schema().unwrap_or_default());
                Lock::Postgres { connection: Box::new(connection), channel }
            }
        };
        Ok(Role { lock, is_holder: false })
    }

    /// Whether this replica relays.
    pub fn is_holder(&self) -> bool {
        self.is_holder
    }

    /// Whether other replicas may relay or write events.
    pub fn has_replicas(&self) -> bool {
        match &self.lock {
            Lock::Local(_, member) => member.has_others(),
            Lock::Postgres { .. } => true,
        }
    }

    /// Becomes the holder of the lock, unless another replica is.
    pub async fn take_lock(&mut self) -> Result<(), Error> {
        if self.is_holder {
            return Ok(());
        }
        self.is_holder = match &mut self.lock {
            Lock::Local(_, member) => member.take(),
            Lock::Postgres { connection, channel } => {
                const TAKE: &str =
                    "SELECT 1 WHERE pg_try_advisory_lock(hashtext('nadeuri relay ' || current_schema()))";
                let taken = async {
                    let is_taken = RunQueryDsl::execute(diesel::sql_query(TAKE), &mut **connection).await? == 1;
                    if is_taken {
                        connection.batch_execute(&format!("LISTEN \"{channel}\"")).await?;
                    }
                    Ok(is_taken)
                };
                in_time(taken).await?
            }
        };
        Ok(())
    }

    /// The outbox, as long as the lock is not lost.
    pub fn access(&self) -> Result<Access<'_>, Error> {
        match &self.lock {
            Lock::Local(database, member) if member.is_holder() => Ok(Access::Store(database)),
            Lock::Local(..) => Err(lost()),
            // It fails if the connection is lost, and with it the lock.
            Lock::Postgres { connection, .. } => Ok(Access::Connection(connection)),
        }
    }

    /// Notifies the holder of the lock that there are new events.
    pub async fn notify(&mut self) -> Result<(), Error> {
        match &mut self.lock {
            Lock::Local(_, member) => member.notify(),
            Lock::Postgres { connection, channel } => {
                in_time(async { Ok(connection.batch_execute(&format!("NOTIFY \"{channel}\"")).await?) }).await?;
            }
        }
        Ok(())
    }

    /// Waits for a notification to the holder; an error if the connection is lost.
    pub async fn notified(&mut self) -> Result<(), Error> {
        match &mut self.lock {
            Lock::Local(_, member) if self.is_holder => member.notified().await,
            Lock::Local(..) => std::future::pending().await,
            Lock::Postgres { connection, .. } => {
                let woken = std::pin::pin!(connection.notifications_stream()).next().await;
                woken.ok_or_else(lost)??;
            }
        }
        Ok(())
    }
}

fn lost() -> Error {
    Error::Unavailable("the relay has lost its lock".into())
}

#[cfg(test)]
mod tests;
