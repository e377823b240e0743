//! Everything a context needs that is not business.
//!
//! A command's way: [`call`] parses it, [`writer`] decides it together with others in one transaction that also holds its
//! events ([`outbox`]) and its key ([`done`]); [`relay`] carries the events to the [`bus`], which brings them to every
//! interested context's [`consumer`], whose policy makes commands of them. [`timers`] wakes aggregates that asked for it,
//! [`edge`] asks other contexts and waits, [`view`] keeps what is only read. [`context`] puts all of it together.
//!
//! **Invariant**: nothing here knows a noun of the business.

pub mod access;
pub mod aggregate;
pub mod auth;
pub mod breaker;
pub mod bus;
pub mod call;
pub mod clock;
pub mod consumer;
pub mod context;
pub mod db;
pub mod dead_letters;
pub mod idempotency;
pub mod peer;
pub mod envelope;
pub mod error;
pub mod loader;
pub mod health;
pub mod identity;
pub mod ids;
pub mod geo;
pub mod operations;
pub mod outbox;
pub mod page;
pub mod relay;
pub mod server;
pub mod telemetry;
pub mod decode;
pub mod values;
pub mod projection;
pub mod timers;
pub mod runtime;
pub mod writer;

pub use aggregate::{Aggregate, Cause, Change, Loaded, Publication, Store, LoadRequest};
pub use bus::Subscription;
pub use call::{Call, Fields};
pub use clock::Timestamp;
pub use consumer::{Malformed, Policy};
pub use context::{Context, Host, StartError};
pub use db::Tx;
pub use peer::{PeerClient, NoAnswer};
pub use envelope::{Envelope, EventId};
pub use error::{Error, Refusal, RefusalCode};
pub use loader::Loader;
pub use ids::Id;
pub use page::Page;
pub use projection::Projection;
pub use writer::{CommandMessage, Writer};

/// The largest request that a service reads.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
