//! Events through RabbitMQ: from the publisher to the commit in the consumer, beside RabbitMQ alone.
//!
//! The consumer is the chronicle, which writes every event to PostgreSQL. The raw counterpart publishes the same messages
//! in the same batches to one quorum queue, and acknowledges them without processing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chassis::Envelope;
use chassis::access::{self, Guard};
use chassis::auth::Auth;
use chassis::bus::rabbit::{Rabbit, Settings};
use chassis::bus::{Bus, Subscription};
use chassis::context::Environment;
use chassis::db::Database;
use chassis::identity::Identity;
use chassis::peer::{Limits, Peers};
use chassis::runtime::Runtime;
use chassis::sealing::SealingKeys;
use chassis::tls::Tls;
use futures::StreamExt;
use hdrhistogram::Histogram;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use tokio::time::Instant;
use uuid::Uuid;

use crate::report::{Goal, Measured, Table};

/// Events of a measurement.
const EVENTS: usize = 40_000;
/// Published and confirmed together.
const BATCH: usize = 256;
/// About the size of `nadeuri.rental.v1.CarReserved`.
const BODY_BYTES: usize = 250;

/// Measures both.
pub async fn measure(postgres: &str, amqp: &str, table: &mut Table) -> anyhow::Result<()> {
    let raw = raw_per_second(amqp).await?;
    let took = through_the_product(postgres, amqp).await?;
    let mut each = Histogram::new(3)?;
    each.record(took.as_micros() as u64)?;
    let rate = EVENTS as f64 / took.as_secs_f64();
    let measured = Measured { each, in_all: took };
    table.row(
        "events: published to committed in the consumer, to RabbitMQ alone",
        rate,
        raw,
        Some(Goal::AtLeast(0.8)),
        &measured,
    );
    Ok(())
}

async fn through_the_product(postgres: &str, amqp: &str) -> anyhow::Result<Duration> {
    let runtime = Runtime::real();
    let name = format!("bench{}", Uuid::now_v7().simple());
    let settings = Settings { url: amqp.to_owned(), tls: Tls::default(), prefix: name.clone(), users: None };
    let bus = Rabbit::new(settings, vec![("chronicle", Subscription::All)], &runtime);
    let environment = Environment {
        runtime: runtime.clone(),
        bus: Arc::new(bus.clone()),
        peers: Peers::default(),
        identity: Identity::Named,
        limits: Limits::default(),
        guard: Guard::new(Auth::Off, runtime.clock.clone(), access::Limits::default(), access::Calls::default()),
        settings: Default::default(),
        sealing: SealingKeys::default(),
        key_retention: Duration::from_secs(3_600),
        dead_letter_retention: None,
        erasure_delay: Duration::from_secs(600),
    };
    let database = Database::open(&format!("{postgres}{name}"), "chronicle", &runtime).await?;
    chronicle::CONTEXT.migrate(&database).await?;
    let running = chronicle::CONTEXT.start(database.clone(), &environment)?;
    while !running.checks.iter().all(chassis::health::HealthCheck::is_up) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let started = Instant::now();
    for batch in envelopes(&runtime).chunks(BATCH) {
        bus.publish("rental", batch).await?;
    }
    while count(&database).await? < EVENTS as i64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = started.elapsed();
    running.stop(Duration::from_secs(5)).await;
    Ok(took)
}

fn envelopes(runtime: &Runtime) -> Vec<Envelope> {
    let envelope = |_| {
        let at = runtime.now();
        let id = runtime.ids.uuid(at);
        Envelope {
            event_id: id,
            kind: "nadeuri.rental.v1.CarReserved".to_owned(),
            source: "rental".to_owned(),
            subject: id.to_string(),
            at,
            correlation_id: id,
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: vec![0xab; BODY_BYTES],
        }
    };
    (0..EVENTS).map(envelope).collect()
}

async fn count(database: &Database) -> anyhow::Result<i64> {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let reader = database.reader().await?;
    // Positions are given in order and without gaps here, and a maximum is faster than a count.
    let query = "SELECT COALESCE(max(position), 0) AS count FROM events";
    let counted: Count = chassis::sql!(reader.tx(), |c| diesel::sql_query(query).get_result(c))?;
    Ok(counted.count)
}

/// The messages per second that RabbitMQ alone accepts and delivers.
async fn raw_per_second(amqp: &str) -> anyhow::Result<f64> {
    let (publisher, mut consumer) = raw_queue(amqp).await?;
    let started = Instant::now();
    let publishing = async {
        for _ in 0..EVENTS.div_ceil(BATCH) {
            publish(&publisher.0, &publisher.1, BATCH).await?;
        }
        anyhow::Ok(())
    };
    let consuming = async {
        let mut seen = 0;
        while seen < EVENTS {
            let delivery = consumer.next().await.context("the queue was deleted")??;
            seen += 1;
            if seen % 64 == 0 || seen >= EVENTS {
                delivery.acker.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        anyhow::Ok(())
    };
    futures::try_join!(publishing, consuming)?;
    Ok(EVENTS as f64 / started.elapsed().as_secs_f64())
}

/// The milliseconds from a confirmed publish of one message to its receipt.
pub async fn raw_round_trip_ms(amqp: &str) -> anyhow::Result<f64> {
    const ROUNDS: u32 = 500;
    let (publisher, mut consumer) = raw_queue(amqp).await?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        publish(&publisher.0, &publisher.1, 1).await?;
        consumer.next().await.context("the queue was deleted")??.acker.ack(BasicAckOptions::default()).await?;
    }
    Ok(started.elapsed().as_secs_f64() * 1_000.0 / f64::from(ROUNDS))
}

async fn raw_queue(amqp: &str) -> anyhow::Result<((Channel, String), lapin::Consumer)> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let (publisher, receiver) = (connection.create_channel().await?, connection.create_channel().await?);
    publisher.confirm_select(Default::default()).await?;
    let queue = format!("raw{}", Uuid::now_v7().simple());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    publisher.queue_declare(queue.as_str().into(), durable, arguments).await?;
    receiver.basic_qos(256, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let consumer = receiver.basic_consume(queue.as_str().into(), "raw".into(), options, Default::default()).await?;
    Ok(((publisher, queue), consumer))
}

async fn publish(channel: &Channel, queue: &str, count: usize) -> anyhow::Result<()> {
    let body = [0xab; BODY_BYTES];
    let mut confirms = Vec::with_capacity(count);
    for _ in 0..count {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let published =
            channel.basic_publish("".into(), queue.into(), BasicPublishOptions::default(), &body, properties);
        confirms.push(published.await?);
    }
    for confirm in confirms {
        anyhow::ensure!(confirm.await?.is_ack(), "it refused a message");
    }
    Ok(())
}
