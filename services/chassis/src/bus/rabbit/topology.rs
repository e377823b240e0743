//! The names of exchanges and queues, and how they are declared.
//!
//! All events are published to one exchange. Every context has an exchange of its own, bound to that one by the kinds
//! of event that it subscribes to, and behind it a queue for each stream: `events` → `rental` → `rental.07`. So a
//! context needs a binding for each kind and one for each stream, not one for each pair of them, which would take the
//! broker seconds.

use std::time::Duration;

use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

use super::{failed, within};
use crate::bus::{BusError, Subscription};
use crate::envelope::PARTITIONS;

/// The deadline for a context's queues: a new broker that is busy needs seconds for them.
const DEADLINE: Duration = Duration::from_secs(60);
/// The broker does not answer such a step.
const NOWAIT: bool = true;
/// How often an event may crash its consumer before the broker gives up delivering it.
const DELIVERY_LIMIT: i32 = 20;

/// The exchanges, and the queues of all contexts.
pub struct Topology {
    exchange: String,
    dead_exchange: String,
    prefix: String,
    subscriptions: Vec<(&'static str, Subscription)>,
}

/// The event's full name and its stream: `nadeuri.rental.v1.CarReserved.07`.
pub fn routing_key(kind: &str, partition: u64) -> String {
    format!("{kind}.{partition:02}")
}

impl Topology {
    pub(super) fn new(prefix: &str, subscriptions: Vec<(&'static str, Subscription)>) -> Topology {
        let (exchange, dead_exchange) = (format!("{prefix}.events"), format!("{prefix}.dead"));
        Topology { exchange, dead_exchange, prefix: prefix.to_owned(), subscriptions }
    }

    pub(super) fn exchange(&self) -> &str {
        &self.exchange
    }

    pub(super) fn queue(&self, context: &str, partition: u64) -> String {
        format!("{}.{context}.{partition:02}", self.prefix)
    }

    pub(super) fn dead_queue(&self, context: &str) -> String {
        format!("{}.{context}.dead", self.prefix)
    }

    /// A context's own exchange, in front of its queues.
    fn inbox(&self, context: &str) -> String {
        format!("{}.{context}", self.prefix)
    }

    /// Declares the exchanges, and the queues of every context that subscribes to events of `source`, bound for those:
    /// the context itself and other publishers add the rest.
    pub(super) async fn declare_for_publisher(&self, channel: &Channel, source: &str) -> Result<(), BusError> {
        within(DEADLINE, async { self.declare_exchanges(channel).await.map_err(failed) }).await?;
        let package = format!("nadeuri.{source}.");
        for (context, subscription) in &self.subscriptions {
            let subscription = match subscription {
                Subscription::All => Subscription::All,
                Subscription::Kinds(kinds) => {
                    Subscription::Kinds(kinds.iter().filter(|kind| kind.starts_with(&package)).cloned().collect())
                }
            };
            if !subscription.is_none() {
                self.declare_context(channel, context, &subscription).await?;
            }
        }
        Ok(())
    }

    /// Declares the exchanges and the context's own queues.
    pub(super) async fn declare_for_consumer(&self, channel: &Channel, context: &str) -> Result<(), BusError> {
        within(DEADLINE, async { self.declare_exchanges(channel).await.map_err(failed) }).await?;
        for (_, subscription) in self.subscriptions.iter().filter(|(name, _)| *name == context) {
            self.declare_context(channel, context, subscription).await?;
        }
        Ok(())
    }

    async fn declare_exchanges(&self, channel: &Channel) -> lapin::Result<()> {
        declare_exchange(channel, &self.exchange, ExchangeKind::Topic, !NOWAIT).await?;
        declare_exchange(channel, &self.dead_exchange, ExchangeKind::Direct, !NOWAIT).await
    }

    /// Declares a context's queues and their bindings. There are many of them, so all but the last step are sent
    /// without waiting; the broker does them in order, and answers the last one, or closes the channel. The subscription
    /// comes after the queues, so that nothing is routed to a context whose queues are not there yet.
    async fn declare_context(
        &self,
        channel: &Channel,
        context: &str,
        subscription: &Subscription,
    ) -> Result<(), BusError> {
        let declared = async {
            declare_exchange(channel, &self.inbox(context), ExchangeKind::Topic, NOWAIT).await?;
            for partition in 0..PARTITIONS {
                self.declare_stream(channel, context, partition).await?;
            }
            self.declare_dead(channel, context).await?;
            self.declare_interest(channel, context, subscription).await?;
            declare_exchange(channel, &self.inbox(context), ExchangeKind::Topic, !NOWAIT).await
        };
        within(DEADLINE, async { declared.await.map_err(failed) }).await
    }

    /// A queue for one stream of its context.
    async fn declare_stream(&self, channel: &Channel, context: &str, partition: u64) -> lapin::Result<()> {
        let (queue, key) = (self.queue(context, partition), format!("#.{partition:02}"));
        declare_queue(channel, &queue, self.stream_arguments(context)).await?;
        bind_queue(channel, &queue, &self.inbox(context), &key).await
    }

    async fn declare_interest(
        &self,
        channel: &Channel,
        context: &str,
        subscription: &Subscription,
    ) -> lapin::Result<()> {
        let keys: Vec<String> = match subscription {
            Subscription::All => vec!["#".to_owned()],
            Subscription::Kinds(kinds) => kinds.iter().map(|kind| format!("{kind}.*")).collect(),
        };
        let (inbox, options) = (self.inbox(context), ExchangeBindOptions { nowait: NOWAIT });
        for key in keys {
            let (to, from) = (inbox.as_str(), self.exchange.as_str());
            channel.exchange_bind(to.into(), from.into(), key.into(), options, FieldTable::default()).await?;
        }
        Ok(())
    }

    async fn declare_dead(&self, channel: &Channel, context: &str) -> lapin::Result<()> {
        let dead = self.dead_queue(context);
        declare_queue(channel, &dead, quorum()).await?;
        bind_queue(channel, &dead, &self.dead_exchange, context).await
    }

    fn stream_arguments(&self, context: &str) -> FieldTable {
        let mut arguments = quorum();
        // A single active consumer keeps the order; another replica takes over when it dies.
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERY_LIMIT));
        arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(self.dead_exchange.as_str().into()));
        arguments.insert("x-dead-letter-routing-key".into(), AMQPValue::LongString(context.into()));
        // Without these two, a dead letter can be lost between the queues.
        arguments.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        arguments
    }
}

async fn declare_exchange(channel: &Channel, name: &str, kind: ExchangeKind, nowait: bool) -> lapin::Result<()> {
    let durable = ExchangeDeclareOptions { durable: true, nowait, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), kind, durable, FieldTable::default()).await
}

async fn declare_queue(channel: &Channel, name: &str, arguments: FieldTable) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, nowait: NOWAIT, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), durable, arguments).await.map(drop)
}

async fn bind_queue(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions { nowait: NOWAIT };
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
}

/// Replicated, and on disk before it is confirmed.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}
