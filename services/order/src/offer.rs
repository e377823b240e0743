//! Offers: names and prices of products, copied from `product`'s events. Pure.
//!
//! The newest event counts: an older one that arrives late changes nothing.

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

use crate::domain::ProductId;

/// The name and price of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The product.
    pub product_id: ProductId,
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: Money,
    /// The sequence of the event that it was read from.
    pub sequence: i64,
}

/// Replaces an older offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Learn(pub Offer);

/// The offer changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned(pub Offer);

/// It refuses nothing.
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
