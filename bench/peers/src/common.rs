//! The common way: a transaction of PostgreSQL for each request and each message, with a lock of the car's row; an
//! outbox for each service that is polled; a quorum queue of RabbitMQ; a consumer that keeps the ids of its messages.
//!
//! The three services are in one process, and call each other as functions.

use std::time::Duration;

use anyhow::Context as _;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use uuid::Uuid;

use crate::load::Flow;

/// The cars that there are.
pub const CARS: u64 = 2_000;
/// Connections to PostgreSQL.
const CONNECTIONS: u32 = 32;
/// Messages that are published together.
const BATCH: i64 = 100;

const TABLES: &str = "
    CREATE TABLE cars (car bigint PRIMARY KEY);
    CREATE TABLE reservations (
        reservation uuid PRIMARY KEY, car bigint NOT NULL REFERENCES cars, hour bigint NOT NULL, state text NOT NULL
    );
    CREATE INDEX ON reservations (car, hour);
    CREATE TABLE rental_outbox (seq bigserial PRIMARY KEY, event uuid NOT NULL, body text NOT NULL);
    CREATE TABLE payments (reservation uuid PRIMARY KEY, state text NOT NULL);
    CREATE TABLE payment_outbox (seq bigserial PRIMARY KEY, event uuid NOT NULL, body text NOT NULL);
    CREATE TABLE inbox (event uuid PRIMARY KEY);
    CREATE TABLE pages (reservation uuid PRIMARY KEY, rental text, payment text);";

/// What a service tells others.
#[derive(Serialize, Deserialize)]
enum Event {
    Rental { reservation: Uuid, state: String },
    Payment { reservation: Uuid, state: String },
}

#[derive(Serialize, Deserialize)]
struct Reserve {
    car: u64,
    hour: u64,
}

/// Serves it on a free port, and prints the address.
pub async fn serve(postgres: &str, amqp: &str, poll: Duration) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(postgres).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let cars = "INSERT INTO cars SELECT * FROM generate_series(0, $1)";
    sqlx::query(cars).bind(i64::try_from(CARS)?).execute(&pool).await?;

    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let queue = format!("peers-{}", Uuid::now_v7());
    for outbox in ["rental_outbox", "payment_outbox"] {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        declare(&channel, &queue).await?;
        let (pool, queue) = (pool.clone(), queue.clone());
        tokio::spawn(async move {
            loop {
                match relay(&pool, &channel, &queue, outbox).await {
                    Ok(published) if published == BATCH as usize => {}
                    Ok(_) => tokio::time::sleep(poll).await,
                    Err(error) => {
                        eprintln!("{outbox}: {error:#}");
                        tokio::time::sleep(poll).await;
                    }
                }
            }
        });
    }
    let channel = connection.create_channel().await?;
    tokio::spawn(consume(pool.clone(), channel, queue));

    let router = Router::new()
        .route("/reservations", post(reserve))
        .route("/reservations/{reservation}/rent", post(rent))
        .route("/pages/{reservation}", get(page))
        .with_state(pool);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

type Answer<T> = Result<Json<T>, (StatusCode, String)>;

async fn reserve(State(pool): State<PgPool>, Json(Reserve { car, hour }): Json<Reserve>) -> Answer<Uuid> {
    let reserved = async {
        let (car, hour, reservation) = (car as i64, hour as i64, Uuid::now_v7());
        let mut tx = pool.begin().await?;
        sqlx::query("SELECT car FROM cars WHERE car = $1 FOR UPDATE").bind(car).fetch_one(&mut *tx).await?;
        let taken = sqlx::query("SELECT 1 FROM reservations WHERE car = $1 AND hour = $2");
        if taken.bind(car).bind(hour).fetch_optional(&mut *tx).await?.is_some() {
            return Ok(None);
        }
        let insert = sqlx::query("INSERT INTO reservations VALUES ($1, $2, $3, 'reserved')");
        insert.bind(reservation).bind(car).bind(hour).execute(&mut *tx).await?;
        let event = Event::Rental { reservation, state: "reserved".to_owned() };
        publish(&mut tx, "rental_outbox", &event).await?;
        tx.commit().await?;
        anyhow::Ok(Some(reservation))
    };
    match reserved.await {
        Ok(Some(reservation)) => Ok(Json(reservation)),
        Ok(None) => Err((StatusCode::CONFLICT, "reserved by another".to_owned())),
        Err(error) => Err(internal(error)),
    }
}

async fn rent(State(pool): State<PgPool>, Path(reservation): Path<Uuid>) -> Answer<()> {
    let rented = async {
        pay(&pool, reservation).await?;
        let mut tx = pool.begin().await?;
        let update =
            sqlx::query("UPDATE reservations SET state = 'rented' WHERE reservation = $1 AND state = 'reserved'");
        let updated = update.bind(reservation).execute(&mut *tx).await?.rows_affected();
        anyhow::ensure!(updated == 1, "not reserved");
        let event = Event::Rental { reservation, state: "rented".to_owned() };
        publish(&mut tx, "rental_outbox", &event).await?;
        Ok(tx.commit().await?)
    };
    rented.await.map(Json).map_err(internal)
}

/// The service of payments: written down before the processor is asked, and after it has answered.
async fn pay(pool: &PgPool, reservation: Uuid) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO payments VALUES ($1, 'asked')").bind(reservation).execute(pool).await?;
    // A processor that answers at once.
    tokio::task::yield_now().await;
    let mut tx = pool.begin().await?;
    let update = sqlx::query("UPDATE payments SET state = 'approved' WHERE reservation = $1 AND state = 'asked'");
    let updated = update.bind(reservation).execute(&mut *tx).await?.rows_affected();
    anyhow::ensure!(updated == 1, "not asked");
    let event = Event::Payment { reservation, state: "approved".to_owned() };
    publish(&mut tx, "payment_outbox", &event).await?;
    Ok(tx.commit().await?)
}

async fn page(State(pool): State<PgPool>, Path(reservation): Path<Uuid>) -> Answer<Option<String>> {
    let page = sqlx::query_scalar("SELECT rental FROM pages WHERE reservation = $1").bind(reservation);
    let rental: Option<Option<String>> = page.fetch_optional(&pool).await.map_err(|error| internal(error.into()))?;
    Ok(Json(rental.flatten()))
}

fn internal(error: anyhow::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

async fn publish(tx: &mut sqlx::PgTransaction<'_>, outbox: &str, event: &Event) -> anyhow::Result<()> {
    let insert = format!("INSERT INTO {outbox} (event, body) VALUES ($1, $2)");
    let body = serde_json::to_string(event)?;
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(Uuid::now_v7()).bind(body).execute(&mut **tx).await?;
    Ok(())
}

/// Publishes the oldest events of an outbox, and removes them; returns how many.
async fn relay(pool: &PgPool, channel: &Channel, queue: &str, outbox: &str) -> anyhow::Result<usize> {
    let mut tx = pool.begin().await?;
    let select = format!("SELECT seq, event, body FROM {outbox} ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED");
    let events: Vec<(i64, Uuid, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(select)).bind(BATCH).fetch_all(&mut *tx).await?;
    if events.is_empty() {
        return Ok(0);
    }
    let mut confirms = Vec::with_capacity(events.len());
    for (_, event, body) in &events {
        let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(event.to_string().into());
        let options = BasicPublishOptions::default();
        confirms.push(channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await?);
    }
    for confirm in confirms {
        anyhow::ensure!(confirm.await?.is_ack(), "RabbitMQ refused a message");
    }
    let published: Vec<i64> = events.iter().map(|(seq, ..)| *seq).collect();
    let delete = format!("DELETE FROM {outbox} WHERE seq = ANY($1)");
    sqlx::query(sqlx::AssertSqlSafe(delete)).bind(published).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(events.len())
}

async fn declare(channel: &Channel, queue: &str) -> anyhow::Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, arguments).await?;
    Ok(())
}

async fn consume(pool: PgPool, channel: Channel, queue: String) -> anyhow::Result<()> {
    channel.basic_qos(100, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut deliveries =
        channel.basic_consume(queue.as_str().into(), "page".into(), options, FieldTable::default()).await?;
    while let Some(delivery) = deliveries.next().await {
        let delivery = delivery?;
        let id = delivery.properties.message_id().as_ref().context("a message without an id")?;
        let (id, event) = (id.as_str().parse()?, serde_json::from_slice(&delivery.data)?);
        while let Err(error) = show(&pool, id, &event).await {
            eprintln!("page: {error:#}");
        }
        delivery.acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// The service of pages: handles an event once.
async fn show(pool: &PgPool, id: Uuid, event: &Event) -> anyhow::Result<()> {
    let mut tx = pool.begin().await?;
    let inserted = sqlx::query("INSERT INTO inbox VALUES ($1) ON CONFLICT DO NOTHING").bind(id);
    if inserted.execute(&mut *tx).await?.rows_affected() == 1 {
        let (column, reservation, state) = match event {
            Event::Rental { reservation, state } => ("rental", reservation, state),
            Event::Payment { reservation, state } => ("payment", reservation, state),
        };
        let upsert = format!(
            "INSERT INTO pages (reservation, {column}) VALUES ($1, $2)
             ON CONFLICT (reservation) DO UPDATE SET {column} = excluded.{column}"
        );
        sqlx::query(sqlx::AssertSqlSafe(upsert)).bind(reservation).bind(state).execute(&mut *tx).await?;
    }
    Ok(tx.commit().await?)
}

/// A client over HTTP.
pub struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    pub fn new(url: String) -> Client {
        Client { http: reqwest::Client::new(), url }
    }
}

impl Flow for Client {
    async fn reserve(&self, car: u64, hour: u64) -> anyhow::Result<String> {
        let request = self.http.post(format!("{}/reservations", self.url)).json(&Reserve { car, hour });
        Ok(request.send().await?.error_for_status()?.json().await?)
    }

    async fn pay(&self, _: u64, reservation: &str) -> anyhow::Result<()> {
        let request = self.http.post(format!("{}/reservations/{reservation}/rent", self.url));
        request.send().await?.error_for_status()?;
        Ok(())
    }

    async fn is_shown(&self, reservation: &str) -> anyhow::Result<bool> {
        let request = self.http.get(format!("{}/pages/{reservation}", self.url));
        let rental: Option<String> = request.send().await?.error_for_status()?.json().await?;
        Ok(rental.as_deref() == Some("rented"))
    }
}
