//! The raw counterparts: PostgreSQL and tonic alone.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use contracts::fleet::v1 as proto;
use contracts::fleet::v1::fleet_service_server::{FleetService, FleetServiceServer};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// The rows that reserving a car writes: the calendar's version, the reservation, the event in the outbox.
const TABLES: &str = "
    CREATE TABLE calendar (id int PRIMARY KEY, version bigint NOT NULL);
    INSERT INTO calendar SELECT n, 1 FROM generate_series(1, 10000) n;
    CREATE TABLE reservation (
        id uuid PRIMARY KEY, car int NOT NULL, customer text NOT NULL, start_at timestamptz NOT NULL,
        end_at timestamptz NOT NULL, price bigint NOT NULL, state text NOT NULL
    );
    CREATE INDEX ON reservation (car);
    CREATE TABLE outbox (
        seq bigserial PRIMARY KEY, event_id uuid NOT NULL, kind text NOT NULL, at timestamptz NOT NULL, body bytea NOT NULL
    );";

const TRANSACTION: &str = "\\set car random(1, 10000)
BEGIN;
UPDATE calendar SET version = version + 1 WHERE id = :car;
INSERT INTO reservation VALUES (gen_random_uuid(), :car, 'customer', now(), now(), 50000, 'reserved');
INSERT INTO outbox (event_id, kind, at, body)
    VALUES (gen_random_uuid(), 'nadeuri.rental.v1.CarReserved', now(), decode(repeat('ab', 200), 'hex'));
COMMIT;
";

/// The transactions per second of pgbench with this many clients, over TCP with prepared statements.
pub async fn pgbench(server: &str, clients: usize, each: Duration) -> anyhow::Result<f64> {
    pgbench_with(server, TABLES, TRANSACTION, clients, each).await
}

/// The searches per second of the nearest of many points in a city (its corner and its size in degrees): an index scan
/// of a bounding box that contains a few more points than requested.
pub async fn nearest(
    server: &str,
    clients: usize,
    each: Duration,
    points: u64,
    (south, west): (f64, f64),
    (high, wide): (f64, f64),
    limit: i32,
) -> anyhow::Result<f64> {
    let tables = format!(
        "CREATE TABLE offer AS SELECT gen_random_uuid() AS id, {south} + {high} * random() AS latitude,
             {west} + {wide} * random() AS longitude, repeat('x', 200) AS body FROM generate_series(1, {points});
         CREATE INDEX ON offer (latitude, longitude);
         ANALYZE offer;"
    );
    // In thousandths of the city's size, because pgbench has only integer random numbers.
    let transaction = format!(
        "\\set north random(20, 980)\n\\set east random(20, 980)
SELECT id, latitude, longitude, body FROM offer
    WHERE latitude BETWEEN {south} + {high} * (:north - 15) / 1000.0 AND {south} + {high} * (:north + 15) / 1000.0
    AND longitude BETWEEN {west} + {wide} * (:east - 15) / 1000.0 AND {west} + {wide} * (:east + 15) / 1000.0
    ORDER BY (latitude - {south} - {high} * :north / 1000.0) ^ 2 + (longitude - {west} - {wide} * :east / 1000.0) ^ 2
    LIMIT {limit};\n"
    );
    pgbench_with(server, &tables, &transaction, clients, each).await
}

/// Creates a database.
pub async fn create_database(server: &str, name: &str) -> anyhow::Result<()> {
    run("psql", &[&format!("{server}postgres"), "-q", "-c", &format!("CREATE DATABASE {name}")]).await.map(drop)
}

async fn pgbench_with(
    server: &str,
    tables: &str,
    transaction: &str,
    clients: usize,
    each: Duration,
) -> anyhow::Result<f64> {
    let folder = std::env::temp_dir().join(format!("pgbench{}", uuid::Uuid::now_v7().simple()));
    std::fs::create_dir_all(&folder)?;
    let script = folder.join("transaction.sql");
    std::fs::write(&script, transaction)?;
    let url = format!("{server}postgres");
    run("psql", &[&url, "-q", "-c", "DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench"]).await?;
    let in_schema = format!("{url}?options=-csearch_path%3Dbench");
    run("psql", &[&in_schema, "-q", "-c", tables]).await?;
    let (clients, seconds) = (clients.to_string(), each.as_secs().to_string());
    let script = script.display().to_string();
    let arguments = ["-n", "-M", "prepared", "-c", &clients, "-j", "2", "-T", &seconds, "-f", &script, &in_schema];
    let output = run("pgbench", &arguments).await?;
    std::fs::remove_dir_all(&folder)?;
    let rate = output.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.with_context(|| format!("pgbench printed no rate:\n{output}"))
}

/// Runs a program of PostgreSQL, also from the folder that Debian uses.
async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program)).find(|path| path.exists());
    let program = found.unwrap_or_else(|| program.into());
    // Unencrypted, as the product's connections are here.
    let output = Command::new(&program).args(arguments).env("PGSSLMODE", "disable").output().await;
    let output = output.with_context(|| format!("can't run {}", program.display()))?;
    anyhow::ensure!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A service that responds from memory, in its own process.
pub struct Echo {
    /// Its address.
    pub address: String,
    child: Child,
}

impl Echo {
    /// Starts it.
    pub async fn start() -> anyhow::Result<Echo> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("echo").stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdout = child.stdout.take().context("no output")?;
        let address = BufReader::new(stdout).lines().next_line().await?.context("no address")?;
        Ok(Echo { address, child })
    }

    /// Stops it.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Responds to every `GetCar` with the same car of a typical size.
#[derive(Clone)]
struct Answer(proto::Car);

#[tonic::async_trait]
impl FleetService for Answer {
    async fn get_car(&self, _: Request<proto::GetCarRequest>) -> Result<Response<proto::GetCarResponse>, Status> {
        Ok(Response::new(proto::GetCarResponse { car: Some(self.0.clone()) }))
    }
    async fn register_car(
        &self,
        _: Request<proto::RegisterCarRequest>,
    ) -> Result<Response<proto::RegisterCarResponse>, Status> {
        Err(Status::unimplemented("only GetCar"))
    }
    async fn remove_car(
        &self,
        _: Request<proto::RemoveCarRequest>,
    ) -> Result<Response<proto::RemoveCarResponse>, Status> {
        Err(Status::unimplemented("only GetCar"))
    }
    async fn transfer_car(
        &self,
        _: Request<proto::TransferCarRequest>,
    ) -> Result<Response<proto::TransferCarResponse>, Status> {
        Err(Status::unimplemented("only GetCar"))
    }
    async fn list_cars(&self, _: Request<proto::ListCarsRequest>) -> Result<Response<proto::ListCarsResponse>, Status> {
        Err(Status::unimplemented("only GetCar"))
    }
}

/// Serves the echo until it is killed.
pub async fn serve_echo() -> anyhow::Result<()> {
    let now = Some(chassis::clock::Clock::system().now().to_proto());
    let money = contracts::money::v1::Money { currency_code: "KRW".to_owned(), amount_minor: 50_000 };
    let car = proto::Car {
        car_id: uuid::Uuid::nil().to_string(),
        model: "Hyundai Casper".to_owned(),
        place: Some(contracts::place::v1::Place { name: "Gimpo Airport".to_owned(), ..Default::default() }),
        daily_rate: Some(money),
        status: proto::CarStatus::Available.into(),
        average_stars: 4.5,
        rating_count: 2,
        create_time: now,
        update_time: now,
        ..Default::default()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let server = tonic::transport::Server::builder().tcp_nodelay(true).initial_stream_window_size(1 << 20);
    let mut server = server.initial_connection_window_size(4 << 20);
    server
        .add_service(FleetServiceServer::new(Answer(car)))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await?;
    Ok(())
}
