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
        self.declare_exchanges(channel).await?;
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

    /// Declares the context's own queues. The exchanges must be there.
    pub(super) async fn declare_for_consumer(&self, channel: &Channel, context: &str) -> Result<(), BusError> {
        for (_, subscription) in self.subscriptions.iter().filter(|(name, _)| *name == context) {
            self.declare_context(channel, context, subscription).await?;
        }
        Ok(())
    }

    /// Declares the exchanges that contexts share.
    pub(super) async fn declare_exchanges(&self, channel: &Channel) -> Result<(), BusError> {
        let declared = async {
            for exchange in self.exchanges() {
                exchange.declare(channel, !NOWAIT).await?;
            }
            lapin::Result::Ok(())
        };
        within(DEADLINE, async { declared.await.map_err(failed) }).await
    }

    /// The exchanges that contexts share.
    pub(super) fn exchanges(&self) -> [Part; 2] {
        let exchange = |name: &str, kind| Part::Exchange { name: name.to_owned(), kind };
        [exchange(&self.exchange, ExchangeKind::Topic), exchange(&self.dead_exchange, ExchangeKind::Direct)]
    }

    /// Declares a context's queues and their bindings. There are many of them, so all but the last step are sent
    /// without waiting; the broker does them in order, and answers the last one, or closes the channel.
    async fn declare_context(
        &self,
        channel: &Channel,
        context: &str,
        subscription: &Subscription,
    ) -> Result<(), BusError> {
        let declared = async {
            for part in self.context(context, subscription) {
                part.declare(channel, NOWAIT).await?;
            }
            self.inbox_exchange(context).declare(channel, !NOWAIT).await
        };
        within(DEADLINE, async { declared.await.map_err(failed) }).await
    }

    fn inbox_exchange(&self, context: &str) -> Part {
        Part::Exchange { name: self.inbox(context), kind: ExchangeKind::Topic }
    }

    /// What a context has. The subscription comes after the queues, so that nothing is routed to a context whose queues
    /// are not there yet.
    pub(super) fn context(&self, context: &str, subscription: &Subscription) -> Vec<Part> {
        let mut parts = vec![self.inbox_exchange(context)];
        for partition in 0..PARTITIONS {
            let (name, key) = (self.queue(context, partition), format!("#.{partition:02}"));
            parts.push(Part::Queue { name: name.clone(), arguments: self.stream_arguments(context) });
            parts.push(Part::QueueBinding { to: name, from: self.inbox(context), key });
        }
        let dead = self.dead_queue(context);
        parts.push(Part::Queue { name: dead.clone(), arguments: quorum() });
        parts.push(Part::QueueBinding { to: dead, from: self.dead_exchange.clone(), key: context.to_owned() });
        parts.extend(interests(subscription).into_iter().map(|key| {
            let (to, from) = (self.inbox(context), self.exchange.clone());
            Part::ExchangeBinding { to, from, key }
        }));
        parts
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

/// The routing keys of a subscription.
pub(super) fn interests(subscription: &Subscription) -> Vec<String> {
    match subscription {
        Subscription::All => vec!["#".to_owned()],
        Subscription::Kinds(kinds) => kinds.iter().map(|kind| format!("{kind}.*")).collect(),
    }
}

/// A part of the topology.
pub(super) enum Part {
    /// A durable exchange.
    Exchange { name: String, kind: ExchangeKind },
    /// A durable queue.
    Queue { name: String, arguments: FieldTable },
    /// What a queue gets of an exchange.
    QueueBinding { to: String, from: String, key: String },
    /// What an exchange gets of another one.
    ExchangeBinding { to: String, from: String, key: String },
}

impl Part {
    async fn declare(self, channel: &Channel, nowait: bool) -> lapin::Result<()> {
        let none = FieldTable::default();
        match self {
            Part::Exchange { name, kind } => {
                let options = ExchangeDeclareOptions { durable: true, nowait, ..ExchangeDeclareOptions::default() };
                channel.exchange_declare(name.into(), kind, options, none).await
            }
            Part::Queue { name, arguments } => {
                let options = QueueDeclareOptions { durable: true, nowait, ..QueueDeclareOptions::default() };
                channel.queue_declare(name.into(), options, arguments).await.map(drop)
            }
            Part::QueueBinding { to, from, key } => {
                channel.queue_bind(to.into(), from.into(), key.into(), QueueBindOptions { nowait }, none).await
            }
            Part::ExchangeBinding { to, from, key } => {
                channel.exchange_bind(to.into(), from.into(), key.into(), ExchangeBindOptions { nowait }, none).await
            }
        }
    }
}

/// Replicated, and on disk before it is confirmed.
fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}
