//! The erasure of a customer: who requested it, and why. Pure: no clock, no database, no network.
//!
//! ```text
//! (none) --Request--> Requested
//! ```
//! The contexts carry it out: see the event `CustomerErased`. Who is erased is in that event alone, and not stored here.

use chassis::error::RefusalCode;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of an erasure. It is the id of the flow.
    ErasureId = "erasure";
}

/// An erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// The subject of the admin who requested it.
    pub admin: String,
    /// Why.
    pub reason: String,
    /// When it was requested.
    pub created_at: Timestamp,
}

/// The request of an erasure.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The id of the erasure.
    pub id: ErasureId,
    /// The subject of the customer.
    pub customer: String,
    /// The subject of the admin.
    pub admin: String,
    /// Why.
    pub reason: String,
}

/// It was requested.
#[derive(Clone, Debug, PartialEq)]
pub struct Requested(pub Request, pub Timestamp);

/// Nothing is refused: whether the customer has open flows is what the summaries say, and not a rule of the erasure.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match *self {}
    }

    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Erasure {
    /// What replaces the subject of the customer.
    pub fn pseudonym(&self) -> String {
        format!("erased-{}", self.id)
    }
}

impl Aggregate for Erasure {
    const NAME: &'static str = "erasure";
    type Id = ErasureId;
    type Command = Request;
    type Event = Requested;
    type Refusal = Refusal;

    fn decide(erasure: Option<&Erasure>, request: &Request, now: Timestamp) -> Result<Vec<Requested>, Refusal> {
        Ok(if erasure.is_none() { vec![Requested(request.clone(), now)] } else { vec![] })
    }

    fn evolve(_: Option<Erasure>, Requested(request, now): &Requested) -> Erasure {
        let Request { id, admin, reason, .. } = request.clone();
        Erasure { id, admin, reason, created_at: *now }
    }
}
