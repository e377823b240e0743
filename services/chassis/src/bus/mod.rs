//! The bus: takes events from the outboxes and brings each to every context that is interested in it.
//!
//! Delivery is at least once; the events of a flow come in order, unless something broke on the way. A consumer makes it
//! exactly once in effect, by writing the event's key with its effect.

pub mod local;
pub mod rabbit;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::envelope::Envelope;
use crate::health::HealthCheck;
use crate::runtime::Tasks;

/// Carries events between contexts.
pub trait Bus: Send + Sync {
    /// Publishes events of the context `source`, in order. Returns when they can't be lost any more.
    fn publish<'a>(&'a self, source: &'static str, events: &'a [Envelope]) -> BoxFuture<'a, Result<(), BusError>>;

    /// Starts to bring a context the events it is interested in, until its tasks stop.
    fn consume(&self, consumer: Consumer, tasks: &Tasks);
}

/// The bus can't be used at the moment.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the bus is not available: {0}")]
pub struct BusError(pub String);

/// A context that wants events.
#[derive(Clone)]
pub struct Consumer {
    /// The context's name.
    pub context: &'static str,
    /// Which events it wants.
    pub subscription: Subscription,
    /// What takes them.
    pub handler: Arc<dyn Handler>,
    /// Whether events can be got at the moment.
    pub bus: HealthCheck,
}

/// The context stopped before the events were handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// Which events a context wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// Every one.
    All,
    /// Those whose messages have these full names. May be none.
    Kinds(Vec<String>),
}

impl Subscription {
    /// Whether it wants this event.
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Subscription::All => true,
            Subscription::Kinds(kinds) => kinds.iter().any(|wanted| wanted == kind),
        }
    }

    /// What both of them want.
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

    /// Whether it wants nothing.
    pub fn is_none(&self) -> bool {
        matches!(self, Subscription::Kinds(kinds) if kinds.is_empty())
    }
}

/// Takes events of one stream, in order.
pub trait Handler: Send + Sync {
    /// Returns when the effect of all of them is on disk, or they are dead letters. Otherwise they are delivered again.
    fn handle(&self, events: Vec<Envelope>) -> BoxFuture<'_, Result<(), Stopped>>;

    /// Dead-letters an event that could not be handled.
    fn dead_letter(&self, event: Envelope, reason: &'static str) -> BoxFuture<'_, Result<(), Stopped>>;
}
