//! How events are appended to the chronicle: each once, and none at a position that readers have passed.

use chassis::{Durability, Envelope, Error, Projection, Subscription, Tx};

use crate::store;

/// The projection of every event.
pub enum Chronicle {}

impl Projection for Chronicle {
    /// An event that is stored already keeps its position.
    const EXACTLY_ONCE: bool = false;

    /// After a crash PostgreSQL may assign positions again that were not on disk, and readers have passed them.
    const DURABILITY: Durability = Durability::Full;

    fn subscription() -> Subscription {
        Subscription::All
    }

    async fn apply(tx: Tx<'_>, events: &[Envelope]) -> Result<(), Error> {
        store::append(tx, events).await
    }

    async fn clear(_: Tx<'_>) -> Result<(), Error> {
        Err(Error::Internal("the chronicle can't be rebuilt: other projections are rebuilt from it".into()))
    }
}
