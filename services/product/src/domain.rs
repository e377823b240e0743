//! A product: how many of it are in stock, and what each order took. Pure: no clock, no database, no network.
//!
//! That stock never goes below zero is a rule of the product, so the product is the aggregate. It holds what the orders took
//! that a command is about, not its history: what was added is what is in stock and what was taken and not restored.
//!
//! ```text
//! an order: (none) --Take--> Taken --Restore--> Restored
//!              |      +----> Refused (not enough)  ^
//!              +--Restore (it was cancelled before it was heard of)
//! ```
//! What is refused or restored stays so: an order that comes late, or again, takes nothing.

use std::collections::BTreeMap;

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a product.
    ProductId = "product";
    /// The id of an order, which `order` gave it. It is the id of the flow.
    OrderId = "order";
}

/// The most that managers can have of a product in stock.
pub const MAX_STOCK: u64 = 1_000_000_000;

/// A product.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// What managers say of it.
    pub listing: Listing,
    /// How many there are that no order took.
    pub stock: u64,
    /// What orders took: those that a command is about.
    pub takings: BTreeMap<OrderId, Taking>,
    /// When it was added.
    pub created_at: Timestamp,
    /// When it, or its stock, last changed.
    pub updated_at: Timestamp,
}

/// What managers say of a product.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// What it is called.
    pub name: String,
    /// What one of it costs.
    pub price: Money,
}

/// What an order took, or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taking {
    /// How many.
    pub quantity: u32,
    /// What became of it.
    pub state: State,
}

/// What became of an order's wish for stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The order has it.
    Taken,
    /// There was not enough.
    Refused,
    /// The order was cancelled.
    Restored,
}

/// What a product is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A manager has a new product, and so many of it.
    Create(ProductId, Listing, u64),
    /// A manager changes its price.
    Reprice(Money),
    /// A manager has so many more of it.
    Add(u64),
    /// An order was placed for so many.
    Take(OrderId, u32),
    /// The order of so many was cancelled.
    Restore(OrderId, u32),
}

/// What happened to a product.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is sold from now on.
    Created(ProductId, Listing, u64, Timestamp),
    /// It has another price.
    Repriced(Money, Timestamp),
    /// There are so many more of it.
    Added(u64, Timestamp),
    /// An order took so many.
    Taken(OrderId, u32, Timestamp),
    /// An order wanted more than there was.
    Refused(OrderId, u32),
    /// What an order took is back.
    Restored(OrderId, u32, Timestamp),
    /// An order was cancelled that took nothing: it never will.
    Barred(OrderId, u32),
}

/// Why a product said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody added it.
    #[error("there is no such product")]
    NoSuchProduct,
    /// More than can be counted.
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
                Command::Create(id, listing, stock) => Ok(vec![Event::Created(*id, listing.clone(), *stock, now)]),
                _ => Err(Refusal::NoSuchProduct),
            };
        };
        match command {
            Command::Create(..) => Ok(vec![]),
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
            (_, Event::Created(id, listing, stock, now)) => Product {
                id: *id,
                listing: listing.clone(),
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
    /// The order that it is about.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Event::Created(..) | Event::Repriced(..) | Event::Added(..) => None,
            Event::Taken(order, ..)
            | Event::Refused(order, _)
            | Event::Restored(order, ..)
            | Event::Barred(order, _) => Some(*order),
        }
    }
}

impl Command {
    /// The order that it is about.
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Command::Create(..) | Command::Reprice(_) | Command::Add(_) => None,
            Command::Take(order, _) | Command::Restore(order, _) => Some(*order),
        }
    }
}
