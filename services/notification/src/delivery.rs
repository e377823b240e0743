//! Hands messages to the carrier, and writes down what it said.

use std::sync::Arc;
use std::time::Duration;

use chassis::{Cause, Error, Loader, CommandMessage, Writer};

use crate::carrier::{Carrier, NotDelivered};
use crate::domain::{Command, Message, MessageId, State};

/// Delivers messages.
#[derive(Clone)]
pub struct Delivery {
    /// Changes messages.
    pub writer: Writer<Message>,
    /// Finds messages.
    pub loader: Loader<MessageId, Message>,
    /// Takes them.
    pub carrier: Arc<dyn Carrier>,
    /// How long the carrier is waited for.
    pub deadline: Duration,
}

impl Delivery {
    /// Hands a message over, if it is still to be delivered. What a message is woken for.
    pub async fn attempt(&self, id: MessageId) -> Result<(), Error> {
        let Some(message) = self.loader.get(id).await? else { return Ok(()) };
        let State::Pending { attempt, .. } = message.state else { return Ok(()) };
        let delivered = tokio::time::timeout(self.deadline, self.carrier.deliver(&message)).await;
        let command = match delivered.unwrap_or_else(|_| Err(NotDelivered("no answer in time".to_owned()))) {
            Ok(()) => Command::Confirm,
            Err(error) => {
                tracing::warn!(%id, attempt, %error, "delivery failed");
                Command::Postpone { attempt }
            }
        };
        self.writer.handle(CommandMessage { id, command, key: None, cause: Cause::time() }).await.map(drop)
    }
}
