//! The carrier, which delivers messages to customers by mail, text message or push: the one external system of this
//! context.
//!
//! A carrier may get a message again if its answer was lost. The message's id is the idempotency key.

use futures::future::BoxFuture;

use crate::domain::{Content, Message};

/// Delivers messages to customers.
pub trait Carrier: Send + Sync {
    /// Accepts a message. After that the carrier will not lose it.
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), NotDelivered>>;
}

/// The carrier did not accept the message, or did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message was not delivered: {0}")]
pub struct NotDelivered(pub String);

/// A carrier for trials: it writes messages to the log.
pub struct LogCarrier;

impl Carrier for LogCarrier {
    fn deliver<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), NotDelivered>> {
        let Content { customer, topic, text, sensitive, .. } = &message.content;
        let text = if *sensitive { "(for its customer alone)" } else { text };
        // Who gets which text is personal: it is logged only where somebody asks for it.
        tracing::info!(id = %message.id, topic, "message");
        tracing::debug!(id = %message.id, customer, text, "its text");
        Box::pin(std::future::ready(Ok(())))
    }
}
