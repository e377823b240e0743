//! The bus over a real RabbitMQ: events are delivered in order, again if they were not handled, and only to
//! subscribers.

#![expect(clippy::unwrap_used, reason = "what a helper can't do fails its test")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chassis::Envelope;
use chassis::bus::rabbit::{Rabbit, Settings, properties};
use chassis::bus::{Bus as _, Consumer, Handler, Stopped, Subscription};
use chassis::health::HealthCheck;
use chassis::runtime::{Runtime, Tasks};
use chassis::tls::{Files, Tls};
use contracts::place::v1::Place;
use futures::future::BoxFuture;
use lapin::options::{BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use prost::{Message as _, Name as _};
use tokio::sync::Notify;

/// How long something that must happen may take: on a new broker the queues are made first.
const PATIENCE: Duration = Duration::from_secs(60);

/// Records events; it does not handle the first batch.
#[derive(Default)]
struct Kept {
    events: Mutex<Vec<String>>,
    has_refused: Mutex<bool>,
    changed: Notify,
}

impl Handler for Kept {
    fn handle(&self, events: Vec<Envelope>) -> BoxFuture<'_, Result<(), Stopped>> {
        let mut has_refused = self.has_refused.lock().unwrap();
        if !*has_refused {
            *has_refused = true;
            self.changed.notify_one();
            return Box::pin(std::future::ready(Err(Stopped)));
        }
        let names = events.iter().map(|event| event.decode::<Place>().unwrap().name);
        self.events.lock().unwrap().extend(names);
        self.changed.notify_one();
        Box::pin(std::future::ready(Ok(())))
    }

    fn dead_letter(&self, event: Envelope, _: &'static str) -> BoxFuture<'_, Result<(), Stopped>> {
        panic!("{} is no dead letter", event.kind)
    }
}

impl Kept {
    async fn wait_until(&self, what: &str, is_so: impl Fn(&Kept) -> bool) {
        let waiting = async {
            while !is_so(self) {
                self.changed.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"));
    }
}

fn place(runtime: &Runtime, flow: uuid::Uuid, number: usize) -> Envelope {
    let now = runtime.now();
    Envelope {
        event_id: runtime.ids.uuid(now),
        kind: Place::full_name(),
        source: "place".to_owned(),
        subject: number.to_string(),
        at: now,
        correlation_id: flow,
        causation_id: None,
        sequence: number as i64,
        traceparent: None,
        body: Place { name: number.to_string(), ..Place::default() }.encode_to_vec(),
    }
}

fn consumer(handler: &Arc<Kept>) -> Consumer {
    let subscription = Subscription::Kinds(vec![Place::full_name()]);
    Consumer {
        context: "receiver",
        subscription,
        handler: handler.clone(),
        bus: HealthCheck::new("bus"),
        gather: Duration::ZERO,
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("needs RabbitMQ: run `cargo xtask test`")
}

fn settings(url: &str, tls: Tls, prefix: &str) -> Settings {
    Settings { url: url.to_owned(), tls, prefix: prefix.to_owned(), users: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_flow_are_delivered_in_order_and_again_to_the_next_consumer_if_they_were_not_handled() {
    deliver(&variable("NADEURI_TEST_AMQP"), Tls::default()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_flow_over_tls_if_the_authority_of_the_broker_is_known() {
    let ca = Some(variable("NADEURI_TEST_AMQPS_CA").into());
    let tls = Tls::start(Files { ca, ..Files::default() }).await.unwrap();
    deliver(&variable("NADEURI_TEST_AMQPS"), tls).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_of_an_unknown_authority_is_an_error_that_says_so() {
    let broker = variable("NADEURI_TEST_AMQPS");
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.pem");
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert;
    std::fs::write(&other, certificate.pem()).unwrap();
    let tls = Tls::start(Files { ca: Some(other), ..Files::default() }).await.unwrap();
    let runtime = Runtime::real();
    let bus = Rabbit::new(settings(&broker, tls, "unknown."), vec![("receiver", Subscription::All)], &runtime);
    let event = place(&runtime, runtime.ids.uuid(runtime.now()), 1);
    let outcome = tokio::time::timeout(PATIENCE, bus.publish("place", &[event])).await.unwrap();
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate") && error.contains("--ca"), "{error}");
}

/// Publishes events, of which a first consumer handles none and a second one all.
async fn deliver(broker: &str, tls: Tls) {
    let runtime = Runtime::real();
    let flow = runtime.ids.uuid(runtime.now());
    let prefix = format!("bus{}.", flow.simple());
    let subscriptions = || vec![("receiver", Subscription::Kinds(vec![Place::full_name()]))];
    let settings = settings(broker, tls, &prefix);
    let bus = Rabbit::new(settings.clone(), subscriptions(), &runtime);

    let events: Vec<Envelope> = (0..100).map(|number| place(&runtime, flow, number)).collect();
    // Nobody consumes yet: they wait.
    tokio::time::timeout(PATIENCE, bus.publish("place", &events)).await.unwrap().unwrap();

    let (kept, first) = (Arc::new(Kept::default()), Tasks::default());
    bus.consume(consumer(&kept), &first);
    kept.wait_until("the first consumer gets events", |kept| *kept.has_refused.lock().unwrap()).await;
    first.kill().await;
    assert!(kept.events.lock().unwrap().is_empty());

    let second = Tasks::default();
    Rabbit::new(settings, subscriptions(), &runtime).consume(consumer(&kept), &second);
    kept.wait_until("the second consumer gets all", |kept| kept.events.lock().unwrap().len() >= 100).await;
    let expected: Vec<String> = (0..100).map(|number: usize| number.to_string()).collect();
    assert_eq!(*kept.events.lock().unwrap(), expected);
    second.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_stream_that_an_earlier_version_had_are_delivered() {
    let (runtime, broker) = (Runtime::real(), variable("NADEURI_TEST_AMQP"));
    let prefix = format!("former{}.", runtime.ids.uuid(runtime.now()).simple());
    let connection = Connection::connect(&broker, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    // The first of them, and another one that is left.
    for stream in ["04", "09"] {
        let (queue, options) = (format!("{prefix}.receiver.{stream}"), QueueDeclareOptions::default());
        let event = place(&runtime, runtime.ids.uuid(runtime.now()), 9);
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
        let (options, properties) = (BasicPublishOptions::default(), properties(&event, "guest"));
        channel.basic_publish("".into(), queue.as_str().into(), options, &event.body, properties).await.unwrap();
    }

    let (kept, tasks) = (Arc::new(Kept { has_refused: Mutex::new(true), ..Kept::default() }), Tasks::default());
    let subscriptions = vec![("receiver", Subscription::Kinds(vec![Place::full_name()]))];
    let bus = Rabbit::new(settings(&broker, Tls::default(), &prefix), subscriptions, &runtime);
    bus.consume(consumer(&kept), &tasks);
    kept.wait_until("both are delivered", |kept| kept.events.lock().unwrap().len() == 2).await;
    tasks.stop(Duration::from_secs(5)).await;
    connection.close(200, "done".into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_is_an_error_in_time() {
    let runtime = Runtime::real();
    // Nothing listens on the port of discard.
    let settings = settings("amqp://127.0.0.1:9/%2f", Tls::default(), "away.");
    let bus = Rabbit::new(settings, vec![("receiver", Subscription::All)], &runtime);
    let event = place(&runtime, runtime.ids.uuid(runtime.now()), 1);
    let outcome = tokio::time::timeout(PATIENCE, bus.publish("place", &[event])).await.unwrap();
    assert!(outcome.is_err_and(|error| error.to_string().starts_with("the bus is not available")));
}
