//! Everything a context needs that is not business logic.
//!
//! The path of a command: [`call`] has its caller, [`fields`] parses it, [`writer`] executes it together with others in
//! one transaction that also writes its events ([`outbox`]) and its key ([`idempotency`]); [`relay`] publishes the
//! events to the [`bus`], which delivers them to the [`consumer`] of each subscribed context, whose policy turns them
//! into commands. [`quota`] limits what one subject has at once, [`timers`] executes commands that are due, [`peer`] calls other contexts, [`projection`] maintains
//! read models, [`pruning`] removes what is old, [`Personal`] is what an erasure clears, [`sealing`] encrypts
//! values that are worth money. [`context`] assembles all of it.
//!
//! **Invariant**: the chassis contains no business noun.

pub mod access;
pub mod aggregate;
pub mod auth;
mod body;
pub mod breaker;
pub mod bus;
pub mod call;
pub mod clock;
mod connection;
pub mod consumer;
pub mod context;
pub mod db;
pub mod dead_letters;
pub mod decode;
pub mod envelope;
mod erasure;
pub mod error;
pub mod fields;
pub mod geo;
pub mod health;
pub mod idempotency;
pub mod identity;
pub mod ids;
pub mod loader;
pub mod operations;
pub mod outbox;
pub mod page;
pub mod peer;
pub mod places;
pub mod private;
pub mod projection;
pub mod pruning;
pub mod quota;
pub mod relay;
pub mod runtime;
pub mod sealing;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod timers;
pub mod timestamp;
pub mod tls;
pub mod values;
pub mod writer;

pub use aggregate::{Aggregate, Cause, Change, LoadRequest, Loaded, Publication, Store};
pub use bus::Subscription;
pub use call::Call;
pub use consumer::Policy;
pub use context::{Context, Host, StartError};
pub use db::{Durability, Tx};
pub use decode::Malformed;
pub use envelope::{Envelope, EventId};
pub use erasure::Personal;
pub use error::{Error, Refusal, RefusalCode};
pub use fields::Fields;
pub use ids::Id;
pub use loader::Loader;
pub use page::Page;
pub use peer::{CallError, PeerClient};
pub use projection::Projection;
pub use quota::Quota;
pub use secret::Secret;
pub use timestamp::Timestamp;
pub use writer::{CommandMessage, Writer};

/// The largest request that a service reads.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;
