//! The counts of the product's process, of PostgreSQL and of RabbitMQ.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use diesel::sql_types::{BigInt, Integer};
use diesel_async::{AsyncConnection as _, AsyncPgConnection, RunQueryDsl as _};

use crate::product::{Product, cpu_of};

/// The pause after which each process of PostgreSQL has reported its counts to the others.
const REPORTED: Duration = Duration::from_secs(11);

/// The servers of a product.
pub struct Servers {
    /// PostgreSQL's first process, the parent of the others.
    postmaster: u32,
    broker: Option<u32>,
    /// The URL of the product's database.
    database: String,
}

/// What was counted, in the order of [`NAMES`]; nothing where there is no such server.
pub struct Counts(Vec<Option<f64>>);

/// The names of the counts, and their units.
const NAMES: [(&str, &str); 8] = [
    ("CPU of the product", " ms"),
    ("CPU of PostgreSQL", " ms"),
    ("CPU of RabbitMQ", " ms"),
    ("events", ""),
    ("transactions that write", ""),
    ("flushes of the log", ""),
    ("log", " KB"),
    ("rows inserted, updated and deleted", ""),
];

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    events: i64,
    #[diesel(sql_type = BigInt)]
    transactions: i64,
    #[diesel(sql_type = BigInt)]
    flushes: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

#[derive(diesel::QueryableByName)]
struct Process {
    #[diesel(sql_type = Integer)]
    id: i32,
}

impl Servers {
    /// Finds the processes of the servers, which run on this machine.
    pub async fn find(postgres: &str, amqp: &str, name: &str) -> anyhow::Result<Servers> {
        let database = format!("{postgres}{name}");
        let mut connection = AsyncPgConnection::establish(&database).await?;
        let own: Process = diesel::sql_query("SELECT pg_backend_pid() AS id").get_result(&mut connection).await?;
        let postmaster = parent(u32::try_from(own.id)?).context("PostgreSQL does not run on this machine")?;
        let port = amqp.rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap_or("5672");
        Ok(Servers { postmaster, broker: broker(port), database })
    }

    /// The CPU time that both have used.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        Ok(self.cpu_of_postgres()? + self.cpu_of_broker()?.unwrap_or_default())
    }

    fn cpu_of_postgres(&self) -> anyhow::Result<Duration> {
        let own = cpu_of(self.postmaster)?;
        let children = children(self.postmaster).into_iter().filter_map(|child| cpu_of(child).ok());
        Ok(children.fold(own, |sum, child| sum + child))
    }

    fn cpu_of_broker(&self) -> anyhow::Result<Option<Duration>> {
        self.broker.map(cpu_of).transpose()
    }

    async fn counts(&self) -> anyhow::Result<Row> {
        const COUNTS: &str = "SELECT
            (SELECT COALESCE(max(position), 0) FROM chronicle.events) AS events,
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS transactions,
            (SELECT wal_sync FROM pg_stat_wal) AS flushes,
            (pg_current_wal_insert_lsn() - '0/0')::bigint AS bytes,
            (SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database())
                AS rows";
        let mut connection = AsyncPgConnection::establish(&self.database).await?;
        Ok(diesel::sql_query(COUNTS).get_result(&mut connection).await?)
    }
}

impl Counts {
    /// What is counted up to now. With servers it waits until they have reported.
    pub async fn of(product: &Product, servers: Option<&Servers>) -> anyhow::Result<Counts> {
        let mut counts = vec![Some(millis(product.cpu()?))];
        if let Some(servers) = servers {
            counts.push(Some(millis(servers.cpu_of_postgres()?)));
            counts.push(servers.cpu_of_broker()?.map(millis));
            tokio::time::sleep(REPORTED).await;
            let Row { events, transactions, flushes, bytes, rows } = servers.counts().await?;
            let bytes = bytes as f64 / 1_000.0;
            counts.extend([events as f64, transactions as f64, flushes as f64, bytes, rows as f64].map(Some));
        }
        counts.resize(NAMES.len(), None);
        Ok(Counts(counts))
    }

    /// The difference to others, of which this share is taken.
    pub fn minus(&self, other: &Counts, share: f64) -> Counts {
        let pairs = self.0.iter().zip(&other.0);
        Counts(pairs.map(|(own, other)| Some(own.as_ref()? - other.as_ref()? * share)).collect())
    }

    /// Each name with its count and unit.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, f64, &'static str)> {
        NAMES.iter().zip(&self.0).filter_map(|((name, unit), count)| Some((*name, (*count)?, *unit)))
    }
}

fn millis(cpu: Duration) -> f64 {
    cpu.as_secs_f64() * 1_000.0
}

/// The process that started this one.
fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn children(process: u32) -> Vec<u32> {
    processes().filter(|child| parent(*child) == Some(process)).collect()
}

/// The broker that listens on this port: it was started with the port in its environment.
fn broker(port: &str) -> Option<u32> {
    let wanted = format!("RABBITMQ_NODE_PORT={port}");
    processes().find(|process| {
        let folder = Path::new("/proc").join(process.to_string());
        let is_broker = fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim() == "beam.smp");
        let environment = || fs::read(folder.join("environ")).unwrap_or_default();
        is_broker && environment().split(|byte| *byte == 0).any(|variable| variable == wanted.as_bytes())
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
