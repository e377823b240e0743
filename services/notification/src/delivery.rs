//! Hands messages to the carrier, and records its answer.

use std::sync::Arc;
use std::time::Duration;

use chassis::sealing::SealingKeys;
use chassis::{Cause, CommandMessage, Error, Loader, Writer};

use crate::carrier::{Carrier, NotDelivered};
use crate::domain::{Command, Content, Message, MessageId, State};

/// Delivers messages.
#[derive(Clone)]
pub struct Delivery {
    /// Changes messages.
    pub writer: Writer<Message>,
    /// Loads messages.
    pub loader: Loader<MessageId, Message>,
    /// Unseals their texts.
    pub sealing: SealingKeys,
    /// Takes them.
    pub carrier: Arc<dyn Carrier>,
    /// How long the carrier may take.
    pub deadline: Duration,
}

impl Delivery {
    /// Hands a message over, if it is still to be delivered. The timer of a message calls it.
    pub async fn attempt(&self, id: MessageId) -> Result<(), Error> {
        let Some(message) = self.loader.get(id).await? else { return Ok(()) };
        let State::Pending { attempt, .. } = message.state else { return Ok(()) };
        let command = match self.deliver(message).await {
            Ok(()) => Command::Confirm,
            Err(error) => {
                tracing::warn!(%id, attempt, %error, "delivery failed");
                Command::Postpone { attempt }
            }
        };
        self.writer.handle(CommandMessage { id, command, key: None, cause: Cause::time() }).await.map(drop)
    }

    /// The carrier, and nobody before it, gets the text with its code in the clear.
    async fn deliver(&self, mut message: Message) -> Result<(), NotDelivered> {
        let Content { customer, text, sensitive, .. } = &mut message.content;
        if *sensitive {
            *text = self.sealing.unseal(text, customer).map_err(|error| NotDelivered(error.to_string()))?;
        }
        let delivered = tokio::time::timeout(self.deadline, self.carrier.deliver(&message)).await;
        delivered.unwrap_or_else(|_| Err(NotDelivered("no answer in time".to_owned())))
    }
}
