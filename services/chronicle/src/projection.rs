//! How events get into the chronicle: each once, and none before one that readers have passed.

use chassis::{Envelope, Error, Projection, Subscription, Tx};

use crate::store;

/// The projection of every event.
pub enum Chronicle {}

impl Projection for Chronicle {
    /// An event that is there already stays where it is.
    const EXACTLY_ONCE: bool = false;

    fn subscription() -> Subscription {
        Subscription::All
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        store::append(tx, events).await
    }

    async fn clear(_: Tx<'_>) -> Result<(), Error> {
        Err(Error::Internal("the chronicle can't be made anew: it is what others are made from".into()))
    }
}
