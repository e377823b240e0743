//! The bus: delivers each event of the outboxes to every context that subscribes to it.
//!
//! Delivery is at least once, in order within a flow unless there are failures. The effect is exactly once, because a
//! consumer writes the event's key together with its effect.

pub mod local;
pub mod rabbit;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::envelope::Envelope;
use crate::error::Error;
use crate::health::HealthCheck;
use crate::runtime::Tasks;

/// Carries events between contexts.
pub trait Bus: Send + Sync {
    /// Publishes events of the context `source`, in order. Returns when they are safe from loss.
    fn publish<'a>(&'a self, source: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Starts to deliver a context the events that it subscribes to, until its tasks stop.
    fn consume(&self, consumer: Consumer, tasks: &Tasks);
}

/// The bus is unavailable.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the bus is not available: {0}")]
pub struct BusError(pub String);

/// Not all events were published.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{error}")]
pub struct PublishError {
    /// How many of them, from the first, are safe from loss. Of the others it is unknown: publish them again.
    pub published: usize,
    /// The reason.
    pub error: BusError,
}

/// None of the events is known to be safe from loss.
impl From<BusError> for PublishError {
    fn from(error: BusError) -> PublishError {
        PublishError { published: 0, error }
    }
}

/// A context as a consumer of events.
#[derive(Clone)]
pub struct Consumer {
    /// The context's name.
    pub context: &'static str,
    /// Its subscription.
    pub subscription: Subscription,
    /// The handler of the events.
    pub handler: Arc<dyn Handler>,
    /// Whether events can be received.
    pub bus: HealthCheck,
    /// How long events may wait for others, to be handled together.
    pub gather: Duration,
}

/// The context stopped before the events were handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// The events that a context subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// All events.
    All,
    /// Those whose messages have these full names. May be none.
    Kinds(Vec<String>),
}

impl Subscription {
    /// Whether it contains this kind of event.
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Subscription::All => true,
            Subscription::Kinds(kinds) => kinds.iter().any(|wanted| wanted == kind),
        }
    }

    /// The union of both.
    pub fn and(self, other: Subscription) -> Subscription {
        match (self, other) {
            (Subscription::Kinds(mut kinds), Subscription::Kinds(others)) => {
                kinds.extend(others);
                kinds.sort();
                kinds.dedup();
                Subscription::Kinds(kinds)
            }
            _ => Subscription::All,
        }
    }

    /// Whether it is empty.
    pub fn is_none(&self) -> bool {
        matches!(self, Subscription::Kinds(kinds) if kinds.is_empty())
    }
}

/// Handles events of one stream, in order.
pub trait Handler: Send + Sync {
    /// Returns when the effect of all of them is written, or they are dead letters. Otherwise they are delivered again.
    fn handle(&self, events: Vec<Envelope>) -> BoxFuture<'_, Result<(), Stopped>>;

    /// Waits until the effect of all that was handled is on disk, so that it need not be delivered again. Those who gather
    /// for so long share a flush, if one is needed.
    fn flush(&self, _gather: Duration) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Dead-letters an event that could not be handled.
    fn dead_letter(&self, event: Envelope, reason: &'static str) -> BoxFuture<'_, Result<(), Stopped>>;
}
