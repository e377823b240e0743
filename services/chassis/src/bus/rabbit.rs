//! The bus over RabbitMQ.
//!
//! One durable topic exchange. The routing key is the event's full name and its stream, so that a queue receives only
//! what its context subscribes to. Each context has one quorum queue per stream, with a single active consumer: the
//! events of a flow stay in order, replicas share the streams, and another replica takes over those of one that dies.
//! An event that crashes its consumer repeatedly goes to `<context>.dead` and from there into the context's own store.
//! An event that its source did not publish is dropped, and not dead-lettered, because a dead letter can be replayed.
//!
//! If the broker is unavailable, at the start or later, everything is retried until the tasks stop. Of several nodes each
//! connection tries one after the other, from any of them on, so that the connections are spread over the nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use futures::{StreamExt, TryStreamExt};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::tcp::{AMQPUriTcpExt as _, RustlsConnector};
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Acker, Channel, Connection, ConnectionProperties, ErrorKind, PublisherConfirm};
use tokio::time::Instant;

use crate::bus::{Bus, BusError, Consumer, PublishError, Subscription};
use crate::envelope::{Envelope, FORMER_PARTITIONS, PARTITIONS};
use crate::runtime::{Backoff, Runtime, Tasks};
use crate::telemetry::Meters;
use crate::tls::{self, Tls};

mod address;
mod definitions;
mod origin;
mod topology;
mod wire;

pub use address::nodes;
pub use definitions::definitions;
pub use origin::Users;
pub use topology::{Topology, routing_key};
pub use wire::properties;

/// Events of one stream that a consumer holds unhandled.
const PREFETCH: u16 = 256;
/// How long handled events wait for others, to be flushed and acknowledged together.
const FLUSH: Duration = Duration::from_millis(20);
/// The deadline of an operation of the broker.
const DEADLINE: Duration = Duration::from_secs(10);
/// The deadline of a confirmation. It is long, because a busy broker that got the same events again would be busier.
const CONFIRMATION: Duration = Duration::from_secs(30);
/// The pauses between attempts, from the first to the longest.
const PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(1);

/// The bus over RabbitMQ.
#[derive(Clone)]
pub struct Rabbit(Arc<Inner>);

/// The broker, and who uses it.
#[derive(Clone)]
pub struct Settings {
    /// `amqp://…`, or `amqps://…` over TLS. It may name several nodes: `amqp://me:pw@h1,h2/vhost`.
    pub url: String,
    /// The certificates.
    pub tls: Tls,
    /// What the names of exchanges and queues begin with.
    pub prefix: String,
    /// The users by whom events come; `None` if anybody may have published them.
    pub users: Option<Users>,
}

impl Settings {
    /// The user of a URL of a broker.
    pub fn user(url: &str) -> Result<String, String> {
        let nodes = address::nodes(url)?;
        Ok(nodes.into_iter().next().map(|node| node.authority.userinfo.username).unwrap_or_default())
    }
}

struct Inner {
    settings: Settings,
    /// The own user.
    user: String,
    topology: Topology,
    runtime: Runtime,
    /// A channel for each context that publishes, on a connection that they share.
    publishers: Mutex<Publishers>,
    /// The connection that all consumers share; another one than that of the publishers, which a broker without memory or
    /// disk stops reading from.
    consumers: tokio::sync::Mutex<Weak<Connection>>,
}

#[derive(Default)]
struct Publishers {
    /// For new channels.
    connection: Option<Arc<Connection>>,
    /// Each with its connection.
    channels: BTreeMap<&'static str, (Arc<Connection>, Channel)>,
}

impl Rabbit {
    /// A bus over a broker. `subscriptions` are those of all contexts, also of other processes: a publisher declares the
    /// queues of its subscribers, so that no context misses events that are published before its first start. If each
    /// context has its own user, none may do that: then the [`definitions`] declare them.
    pub fn new(settings: Settings, subscriptions: Vec<(&'static str, Subscription)>, runtime: &Runtime) -> Rabbit {
        let topology = Topology::new(&settings.prefix, subscriptions);
        // A URL that can't be read is reported when it is connected to.
        let user = Settings::user(&settings.url).unwrap_or_default();
        let (runtime, publishers, consumers) = (runtime.clone(), Mutex::default(), tokio::sync::Mutex::default());
        Rabbit(Arc::new(Inner { settings, user, topology, runtime, publishers, consumers }))
    }
}

impl Bus for Rabbit {
    fn publish<'a>(&'a self, source: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let published = async {
                let channel = self.0.publisher(source).await?;
                self.0.publish(&channel, events).await
            };
            let published = published.await;
            if published.is_err() {
                // Its state is unknown: open a new one. The channels of other contexts may still work.
                self.0.forget_publisher(source);
            }
            published
        })
    }

    fn consume(&self, consumer: Consumer, tasks: &Tasks) {
        let (context, state) = (consumer.context, (self.clone(), consumer, tasks.clone()));
        tasks.supervise(context, "consumer", state, |(rabbit, consumer, tasks)| {
            Box::pin(rabbit.consume_until_stopped(consumer, tasks))
        });
    }
}

impl Inner {
    async fn publish(&self, channel: &Channel, events: &[Envelope]) -> Result<(), PublishError> {
        let mut confirms = Vec::with_capacity(events.len());
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        for event in events {
            let key = topology::routing_key(&event.kind, event.partition());
            let exchange = self.topology.exchange();
            let properties = wire::properties(event, &self.user);
            let published = channel.basic_publish(exchange.into(), key.into(), options, &event.body, properties);
            confirms.push(in_time(async { published.await.map_err(failed) }).await?);
        }
        for (published, confirm) in confirms.into_iter().enumerate() {
            let confirmed = within(CONFIRMATION, confirmed(confirm)).await;
            confirmed.map_err(|error| PublishError { published, error })?;
        }
        Ok(())
    }

    async fn publisher(&self, source: &'static str) -> Result<Channel, BusError> {
        let kept = self.lock().channels.get(source).filter(|(_, channel)| channel.status().connected()).cloned();
        if let Some((_, channel)) = kept {
            return Ok(channel);
        }
        let kept = self.lock().connection.clone().filter(|connection| connection.status().connected());
        let connection = match kept {
            Some(connection) => connection,
            None => Arc::new(self.connect("publisher").await?),
        };
        let channel = in_time(async { connection.create_channel().await.map_err(failed) }).await?;
        if !self.is_declared() {
            self.topology.declare_for_publisher(&channel, source).await?;
        }
        let confirms = channel.confirm_select(ConfirmSelectOptions::default());
        in_time(async { confirms.await.map_err(failed) }).await?;
        let mut publishers = self.lock();
        publishers.connection = Some(connection.clone());
        publishers.channels.insert(source, (connection, channel.clone()));
        Ok(channel)
    }

    /// The connection of the consumers: those that exist wait while one of them opens it.
    async fn consumers(&self) -> Result<Arc<Connection>, BusError> {
        let mut shared = self.consumers.lock().await;
        if let Some(connection) = shared.upgrade().filter(|connection| connection.status().connected()) {
            return Ok(connection);
        }
        let connection = Arc::new(self.connect("consumers").await?);
        *shared = Arc::downgrade(&connection);
        Ok(connection)
    }

    /// Whether definitions declare what contexts share, because their users may not.
    fn is_declared(&self) -> bool {
        self.settings.users.as_ref().is_some_and(Users::are_separate)
    }

    /// The event in a delivery, unless its source did not publish it.
    fn received(&self, context: &'static str, delivery: &Delivery) -> Option<Envelope> {
        let event = wire::envelope(delivery)?;
        let user = delivery.properties.user_id().as_ref().map(|user| user.as_str());
        let Err(forged) = origin::check(&event, user, self.settings.users.as_ref()) else { return Some(event) };
        let Envelope { event_id: id, source, kind, .. } = event;
        tracing::error!(context, kind, source, user, %id, why = %forged, "dropped an event that its source did not publish");
        Meters::forged(context);
        None
    }

    /// Connects to the first node that answers. They share the deadline.
    async fn connect(&self, name: &str) -> Result<Connection, BusError> {
        let mut nodes = address::nodes(&self.settings.url).map_err(failed)?;
        let share = DEADLINE / u32::try_from(nodes.len()).unwrap_or(1);
        let first = self.runtime.ids.below(nodes.len() as u64);
        nodes.rotate_left(usize::try_from(first).unwrap_or_default());
        let mut failures = Vec::new();
        for node in nodes {
            let place = format!("{}:{}", node.authority.host, node.authority.port);
            match within(share, self.connect_to(node, name)).await {
                Ok(connection) => return Ok(connection),
                Err(BusError(why)) => failures.push(format!("{place}: {why}")),
            }
        }
        Err(BusError(failures.join("; ")))
    }

    async fn connect_to(&self, uri: AMQPUri, name: &str) -> Result<Connection, BusError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let is_encrypted = uri.scheme == AMQPScheme::AMQPS;
        let tls =
            is_encrypted.then(|| self.settings.tls.client().map(RustlsConnector::from)).transpose().map_err(failed)?;
        // The driver's own way to TLS has no client certificates, and reads its roots again for each connection.
        let open = async move |uri: AMQPUri, runtime| {
            let host = uri.authority.host.clone();
            let stream = AMQPUri { scheme: AMQPScheme::AMQP, ..uri }.connect_async(&runtime).await?;
            match &tls {
                Some(tls) => Ok(stream.into_rustls(tls, &host).await.map_err(tls::explained)?),
                None => Ok(stream),
            }
        };
        let runtime = lapin::runtime::default_runtime().map_err(failed)?;
        Connection::connector(uri, runtime, open, properties).await.map_err(failed)
    }

    fn forget_publisher(&self, source: &'static str) {
        let mut publishers = self.lock();
        publishers.connection = None;
        publishers.channels.remove(source);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Publishers> {
        self.publishers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Rabbit {
    async fn consume_until_stopped(&self, consumer: &Consumer, tasks: &Tasks) {
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let consuming = self.consume_until_lost(consumer, tasks);
            let outcome = tokio::select! {
                biased;
                outcome = consuming => outcome,
                () = tasks.stopping() => return,
            };
            let was_up = consumer.bus.set(false);
            match outcome {
                Ok(()) => return,
                Err(error) => tracing::warn!(context = consumer.context, %error, "the bus is unavailable; retrying"),
            }
            if was_up {
                backoff.reset();
            }
            if !backoff.pause(&self.0.runtime, tasks).await {
                return;
            }
        }
    }

    /// Consumes until the connection is lost, or the tasks stop.
    async fn consume_until_lost(&self, consumer: &Consumer, tasks: &Tasks) -> Result<(), BusError> {
        let connection = self.0.consumers().await?;
        let channel = in_time(async { connection.create_channel().await.map_err(failed) }).await?;
        if !self.0.is_declared() {
            self.0.topology.declare_exchanges(&channel).await?;
        }
        self.0.topology.declare_for_consumer(&channel, consumer.context).await?;
        let mut streams = Vec::new();
        for partition in 0..PARTITIONS {
            let queue = self.0.topology.queue(consumer.context, partition);
            streams.push(self.stream(&connection, queue, consumer, tasks).await?);
        }
        for queue in self.former_queues(&connection, consumer.context).await? {
            streams.push(self.stream(&connection, queue, consumer, tasks).await?);
        }
        let dead = self.0.topology.dead_queue(consumer.context);
        let dead_letters = self.dead_letter(&connection, dead, consumer);
        consumer.bus.set(true);
        let (_, ()) = futures::try_join!(futures::future::try_join_all(streams), dead_letters)?;
        match Arc::into_inner(connection) {
            Some(last) => in_time(async { last.close(200, "stopping".into()).await.map_err(failed) }).await,
            None => Ok(()),
        }
    }

    /// The queues of streams that an earlier version had beyond today's, if they are still there: events of before may be
    /// in them, and during an upgrade processes of that version publish more.
    async fn former_queues(&self, connection: &Connection, context: &str) -> Result<Vec<String>, BusError> {
        let mut found = Vec::new();
        for partition in PARTITIONS..FORMER_PARTITIONS {
            let queue = self.0.topology.queue(context, partition);
            if in_time(exists(connection, &queue)).await? {
                found.push(queue);
            } else if partition == PARTITIONS {
                break;
            }
        }
        Ok(found)
    }

    /// Starts to consume one queue; the future ends when the tasks stop, or with an error when the channel is lost.
    async fn stream<'a>(
        &self,
        connection: &Connection,
        queue: String,
        consumer: &'a Consumer,
        tasks: &'a Tasks,
    ) -> Result<impl Future<Output = Result<(), BusError>> + use<'a>, BusError> {
        let (deliveries, inner) = (subscribe(connection, &queue).await?, self.0.clone());
        Ok(async move {
            let mut batches = deliveries.ready_chunks(usize::from(PREFETCH));
            // Acknowledgements that wait for the disk, while later events are handled.
            let mut unflushed = FuturesOrdered::new();
            loop {
                let batch = tokio::select! {
                    biased;
                    () = tasks.stopping() => return Ok(()),
                    Some(flushed) = unflushed.next() => {
                        let last: Acker = flushed?;
                        last.ack(BasicAckOptions { multiple: true }).await.map_err(failed)?;
                        continue;
                    }
                    batch = batches.next() => batch,
                };
                let taken_away = || BusError(format!("{queue} was taken away"));
                let mut batch = batch.ok_or_else(taken_away)?;
                let until = Instant::now() + consumer.gather;
                while batch.len() < usize::from(PREFETCH)
                    && let Ok(more) = tokio::time::timeout_at(until, batches.next()).await
                {
                    batch.extend(more.ok_or_else(taken_away)?);
                }
                let deliveries = batch.into_iter().collect::<Result<Vec<_>, _>>().map_err(failed)?;
                let Some(last) = deliveries.last().map(|delivery| delivery.acker.clone()) else { continue };
                let events =
                    deliveries.iter().filter_map(|delivery| inner.received(consumer.context, delivery)).collect();
                if consumer.handler.handle(events).await.is_err() {
                    return Ok(());
                }
                let flush = consumer.handler.flush(FLUSH);
                unflushed.push_back(async { flush.await.map(|()| last).map_err(failed) });
            }
        })
    }

    /// Consumes what the broker gave up delivering, and dead-letters it in the context's own store.
    async fn dead_letter(&self, connection: &Connection, queue: String, consumer: &Consumer) -> Result<(), BusError> {
        let mut deliveries = subscribe(connection, &queue).await?;
        while let Some(delivery) = deliveries.try_next().await.map_err(failed)? {
            if let Some(event) = self.0.received(consumer.context, &delivery) {
                let dead_lettered =
                    consumer.handler.dead_letter(event, "it was delivered again and again and never handled");
                dead_lettered.await.map_err(|_| failed("stopping"))?;
            }
            delivery.acker.ack(BasicAckOptions::default()).await.map_err(failed)?;
        }
        Err(BusError(format!("{queue} was taken away")))
    }
}

async fn subscribe(connection: &Connection, queue: &str) -> Result<lapin::Consumer, BusError> {
    in_time(async {
        let channel = connection.create_channel().await.map_err(failed)?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(failed)?;
        let options = BasicConsumeOptions::default();
        channel.basic_consume(queue.into(), queue.into(), options, Default::default()).await.map_err(failed)
    })
    .await
}

async fn confirmed(confirm: PublisherConfirm) -> Result<(), BusError> {
    let confirmation = confirm.await.map_err(failed)?;
    let is_ack = confirmation.is_ack();
    if confirmation.take_message().is_some() {
        return Err(failed("no queue took an event; are the queues gone?"));
    }
    if is_ack { Ok(()) } else { Err(failed("it refused an event")) }
}

async fn exists(connection: &Connection, queue: &str) -> Result<bool, BusError> {
    const NOT_FOUND: AMQPErrorKind = AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND);
    // If it does not, the broker closes the channel.
    let channel = connection.create_channel().await.map_err(failed)?;
    let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    match channel.queue_declare(queue.into(), look, FieldTable::default()).await {
        Ok(_) => Ok(true),
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(why) if *why.kind() == NOT_FOUND => Ok(false),
            _ => Err(failed(error)),
        },
    }
}

fn failed(error: impl ToString) -> BusError {
    BusError(error.to_string())
}

async fn in_time<T>(work: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    within(DEADLINE, work).await
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, BusError>>) -> Result<T, BusError> {
    tokio::time::timeout(limit, work).await.map_err(|_| BusError("it does not answer".into()))?
}
