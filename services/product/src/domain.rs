//! A product: its stock, and what each order took. Pure: no clock, no database, no network.
//!
//! The product guarantees that its stock never goes below zero, so it is the aggregate. It holds only the takings of
//! the orders that a command is about, not its history: the quantity added equals the stock plus what was taken and not
//! restored.
//!
//! ```text
//! an order: (none) --Take--> Taken --Restore--> Restored
//!              |      +----> Refused (not enough)  ^
//!              +--Restore (the cancellation arrived first)
//! ```
//! Refused and restored are final: a late or repeated order takes nothing.

use std::collections::BTreeMap;

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a product.
    ProductId = "product";
    /// The id of an order, assigned by `order`. It is the id of the flow.
    OrderId = "order";
}

/// The largest stock of a product.
pub const MAX_STOCK: u64 = 1_000_000_000;

/// A product.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// What its owner publishes about it.
    pub listing: Listing,
    /// The subject of its owner; empty if it is older than owners.
    pub owner: String,
    /// The quantity in stock.
    pub stock: u64,
    /// The takings of the orders that a command is about.
    pub takings: BTreeMap<OrderId, Taking>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it, or its stock, last changed.
    pub updated_at: Timestamp,
}

/// What its owner publishes about a product.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// The price of one.
    pub price: Money,
}

/// The stock that an order took or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The quantity.
    pub quantity: u32,
    /// Its state.
    pub state: State,
}

/// States of a taking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The order has the stock.
    Taken,
    /// There was not enough.
    Refused,
    /// The order was cancelled.
    Restored,
}

/// Commands of a product.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Staff add a product with this stock, and own it.
    Create(ProductId, Listing, u64, String),
    /// It has another owner.
    Transfer(String),
    /// Its price changes.
    Reprice(Money),
    /// This quantity is added to the stock.
    Add(u64),
    /// An order was placed for this quantity.
    Take(OrderId, u32),
    /// The order of this quantity was cancelled.
    Restore(OrderId, u32),
}

/// Events of a product.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was added.
    Created(ProductId, Listing, u64, String, Timestamp),
    /// It has another owner.
    Transferred(String, Timestamp),
    /// Its price changed.
    Repriced(Money, Timestamp),
    /// This quantity was added to the stock.
    Added(u64, Timestamp),
    /// An order took this quantity.
    Taken(OrderId, u32, Timestamp),
    /// The stock did not suffice for an order.
    Refused(OrderId, u32),
    /// What an order took is back in stock.
    Restored(OrderId, u32, Timestamp),
    /// An order was cancelled before it took anything: it never will.
    Barred(OrderId, u32),
}

/// Why a command of a product is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was never added.
    #[error("there is no such product")]
    NoSuchProduct,
    /// The stock would exceed [`MAX_STOCK`].
    #[error("there can be {MAX_STOCK} of a product in stock at most")]
    TooMuchStock,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchProduct => RefusalCode::NotFound,
            Refusal::TooMuchStock => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchProduct => "PRODUCT_NOT_FOUND",
            Refusal::TooMuchStock => "TOO_MUCH_STOCK",
        }
    }
}

impl Aggregate for Product {
    const NAME: &'static str = "product";
    type Id = ProductId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(product: Option<&Product>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(product) = product else {
            return match command {
                Command::Create(id, listing, stock, owner) => {
                    Ok(vec![Event::Created(*id, listing.clone(), *stock, owner.clone(), now)])
                }
                _ => Err(Refusal::NoSuchProduct),
            };
        };
        match command {
            Command::Create(..) => Ok(vec![]),
            Command::Transfer(owner) if *owner == product.owner => Ok(vec![]),
            Command::Transfer(owner) => Ok(vec![Event::Transferred(owner.clone(), now)]),
            Command::Reprice(price) if product.listing.price == *price => Ok(vec![]),
            Command::Reprice(price) => Ok(vec![Event::Repriced(*price, now)]),
            Command::Add(quantity) if product.stock.saturating_add(*quantity) > MAX_STOCK => Err(Refusal::TooMuchStock),
            Command::Add(quantity) => Ok(vec![Event::Added(*quantity, now)]),
            Command::Take(order, quantity) => Ok(match product.takings.get(order) {
                None if u64::from(*quantity) <= product.stock => vec![Event::Taken(*order, *quantity, now)],
                None => vec![Event::Refused(*order, *quantity)],
                Some(_) => vec![],
            }),
            Command::Restore(order, quantity) => Ok(match product.takings.get(order) {
                None => vec![Event::Barred(*order, *quantity)],
                Some(Taking { state: State::Taken, quantity }) => vec![Event::Restored(*order, *quantity, now)],
                Some(Taking { state: State::Refused | State::Restored, .. }) => vec![],
            }),
        }
    }

    fn evolve(product: Option<Product>, event: &Event) -> Product {
        let mut product = match (product, event) {
            (_, Event::Created(id, listing, stock, owner, now)) => Product {
                id: *id,
                listing: listing.clone(),
                owner: owner.clone(),
                stock: *stock,
                takings: BTreeMap::new(),
                created_at: *now,
                updated_at: *now,
            },
            (Some(product), _) => product,
            (None, event) => unreachable!("{event:?} can't be the first event of a product"),
        };
        match event {
            Event::Created(..) => {}
            Event::Transferred(owner, now) => (product.owner, product.updated_at) = (owner.clone(), *now),
            Event::Repriced(price, now) => (product.listing.price, product.updated_at) = (*price, *now),
            Event::Added(quantity, now) => (product.stock, product.updated_at) = (product.stock + quantity, *now),
            Event::Taken(order, quantity, now) => {
                (product.stock, product.updated_at) = (product.stock - u64::from(*quantity), *now);
                product.note(*order, *quantity, State::Taken);
            }
            Event::Refused(order, quantity) => product.note(*order, *quantity, State::Refused),
            Event::Restored(order, quantity, now) => {
                (product.stock, product.updated_at) = (product.stock + u64::from(*quantity), *now);
                product.note(*order, *quantity, State::Restored);
            }
            Event::Barred(order, quantity) => product.note(*order, *quantity, State::Restored),
        }
        product
    }
}

impl Product {
    fn note(&mut self, order: OrderId, quantity: u32, state: State) {
        self.takings.insert(order, Taking { quantity, state });
    }
}

impl Event {
    /// The order that the command or event is about.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Event::Created(..) | Event::Transferred(..) | Event::Repriced(..) | Event::Added(..) => None,
            Event::Taken(order, ..)
            | Event::Refused(order, _)
            | Event::Restored(order, ..)
            | Event::Barred(order, _) => Some(*order),
        }
    }
}

impl Command {
    /// The order that the command or event is about.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Command::Create(..) | Command::Transfer(_) | Command::Reprice(_) | Command::Add(_) => None,
            Command::Take(order, _) | Command::Restore(order, _) => Some(*order),
        }
    }
}
