//! What is known of a product: what it is called and what it costs, from the events of those who own it. Pure.
//!
//! The newest event says so: an older one that comes late changes nothing.

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

use crate::domain::ProductId;

/// A product, as it is offered.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// Which product.
    pub product_id: ProductId,
    /// What it is called.
    pub name: String,
    /// What one of it costs.
    pub price: Money,
    /// The sequence of the event that said so.
    pub sequence: i64,
}

/// It is offered so.
#[derive(Clone, Debug, PartialEq)]
pub struct Learn(pub Offer);

/// It is offered so now.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned(pub Offer);

/// It never says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match *self {}
    }

    fn reason(&self) -> &'static str {
        match *self {}
    }
}

impl Aggregate for Offer {
    const NAME: &'static str = "offer";
    type Id = ProductId;
    type Command = Learn;
    type Event = Learned;
    type Refusal = Refusal;

    fn decide(known: Option<&Offer>, Learn(offer): &Learn, _: Timestamp) -> Result<Vec<Learned>, Refusal> {
        let is_news = known.is_none_or(|known| known.sequence < offer.sequence);
        Ok(is_news.then(|| Learned(offer.clone())).into_iter().collect())
    }

    fn evolve(_: Option<Offer>, Learned(offer): &Learned) -> Offer {
        offer.clone()
    }
}
