//! The tables of a context, and the chassis's own beside them: outbox, processed requests, dead letters.

use diesel::SqliteConnection;
use diesel::backend::Backend;
use diesel::migration::{Migration, MigrationSource};
use diesel_async::{AsyncMigrationHarness, AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

/// The chassis's own tables.
const FABRIC: Migrations =
    Migrations { postgres: embed_migrations!("migrations/postgres"), sqlite: embed_migrations!("migrations/sqlite") };

/// The migrations of a context for both databases. Made by [`migrations!`](crate::migrations).
pub struct Migrations {
    /// From `migrations/postgres`.
    pub postgres: EmbeddedMigrations,
    /// From `migrations/sqlite`.
    pub sqlite: EmbeddedMigrations,
}

/// The migrations of the crate that calls it, from `migrations/postgres` and `migrations/sqlite`.
#[macro_export]
macro_rules! migrations {
    () => {
        $crate::db::Migrations {
            postgres: ::diesel_migrations::embed_migrations!("migrations/postgres"),
            sqlite: ::diesel_migrations::embed_migrations!("migrations/sqlite"),
        }
    };
}

impl Migrations {
    pub(super) fn run_on_sqlite(&self, connection: &mut SqliteConnection) -> Result<(), String> {
        let source = Both(&FABRIC.sqlite, &self.sqlite);
        connection.run_pending_migrations(source).map(drop).map_err(|error| error.to_string())
    }

    /// One process at a time: the others wait for the lock, then find nothing to do.
    pub(super) async fn run_on_postgres(&self, mut connection: AsyncPgConnection) -> Result<(), String> {
        const LOCK: &str = "SELECT pg_advisory_lock(hashtext('nadeuri migrations ' || current_schema()))";
        // No timeout: a migration may take long, and other processes wait for it.
        connection.batch_execute("SET statement_timeout = 0").await.map_err(|error| error.to_string())?;
        connection.batch_execute(LOCK).await.map_err(|error| error.to_string())?;
        let source = Both(&FABRIC.postgres, &self.postgres);
        AsyncMigrationHarness::new(connection)
            .run_pending_migrations(source)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}

/// The chassis's migrations and a context's, as one source.
struct Both<'a>(&'a EmbeddedMigrations, &'a EmbeddedMigrations);

impl<DB: Backend> MigrationSource<DB> for Both<'_> {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        let mut both = MigrationSource::<DB>::migrations(self.0)?;
        both.extend(MigrationSource::<DB>::migrations(self.1)?);
        Ok(both)
    }
}
