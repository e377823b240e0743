//! What the contexts say to each other and to the world, generated from `proto/`.
//!
//! The messages, clients and servers of a package `nadeuri.rental.v1` are in [`rental::v1`]. [`RPCS`] and [`EVENTS`] are
//! what the options in the contracts say: who may call, what may be retried, which events nobody needs to react to. Every
//! request implements [`Request`], which says what it is sent to and answered with.

mod generated {
    // The comments of the contracts are the documentation; enum and module items that prost adds have none.
    #![allow(
        missing_docs,
        clippy::doc_lazy_continuation,
        clippy::doc_overindented_list_items,
        clippy::derive_partial_eq_without_eq,
        clippy::too_many_lines
    )]
    include!(concat!(env!("OUT_DIR"), "/nadeuri.rs"));
}

mod request;

pub use generated::nadeuri::*;
pub use options::v1::Role;
pub use request::{Paged, Request, Streaming, Unary};

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// The encoded `FileDescriptorSet` of all contracts with their comments, for reflection and for contract tests.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// One RPC, with what its options say.
#[derive(Clone, Copy, Debug)]
pub struct Rpc {
    /// The HTTP path, such as `/nadeuri.rental.v1.RentalService/ReserveCar`.
    pub path: &'static str,
    /// Who may call it: any one of these. Nobody, if empty.
    pub roles: &'static [Role],
    /// What a repetition does.
    pub idempotency: Idempotency,
    /// It may take as long as its caller says, up to an hour.
    pub is_long: bool,
    /// The full name of the response message.
    pub response: &'static str,
}

/// What happens when a call is repeated: `idempotency_level` of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// The contract does not say. A test fails while there is one.
    Unknown,
    /// It only reads.
    NoSideEffects,
    /// It changes something; repeated with the same request id it does so once.
    Idempotent,
}

/// One event that a context publishes.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The full name of the message, such as `nadeuri.rental.v1.CarReserved`.
    pub name: &'static str,
    /// Nothing but the chronicle reacts to it, and that is meant so.
    pub is_final: bool,
}
