//! A delivery: prepared, started by one courier, completed, and the legal transitions. Pure: no clock, no database, no
//! network.
//!
//! An order has one delivery, so only one courier can start it, and the same aggregate decides about a cancellation and
//! a start.
//!
//! ```text
//! (none) --Prepare--> Prepared --Start--> Started --Complete--> Completed
//!    |                   |
//!    +-----CallOff-------+--> Cancelled
//! ```
//! A `CallOff` after the start is refused, and the refusal is published. One that arrives before the order bars its
//! delivery.

use chassis::error::RefusalCode;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a delivery, made from its order.
    DeliveryId = "delivery";
    /// The id of an order, assigned by `order`. It is the id of the flow.
    OrderId = "order";
}

/// The delivery of an order.
pub fn delivery_of(order: OrderId) -> DeliveryId {
    DeliveryId::derived_from(order.uuid())
}

/// An order on its way to the customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// The order.
    pub order_id: OrderId,
    /// The goods and their address.
    pub parcel: Parcel,
    /// Its state.
    pub state: State,
    /// The subject of the courier who started it.
    pub courier: Option<String>,
    /// When the first event about it was processed.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The goods and their address.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// The subject of the customer.
    pub customer: String,
    /// The name of the product.
    pub product_name: String,
    /// The quantity.
    pub quantity: u32,
    /// The address.
    pub address: String,
}

/// States of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for a courier.
    Prepared,
    /// A courier is on the way.
    Started,
    /// The customer has it.
    Completed,
    /// The order was cancelled before the start.
    Cancelled,
}

/// Commands of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The order has its stock.
    Prepare(OrderId, Parcel),
    /// This courier is on the way.
    Start(String),
    /// This courier has brought it.
    Complete(String),
    /// The order is to be cancelled.
    CallOff(OrderId, Parcel),
}

/// Events of a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits for a courier.
    Prepared(OrderId, Parcel, Timestamp),
    /// A courier is on the way.
    Started(String, Timestamp),
    /// The customer has it.
    Completed(Timestamp),
    /// It was cancelled.
    Cancelled(Timestamp),
    /// The cancellation arrived before the order: there will be no delivery.
    Barred(OrderId, Parcel, Timestamp),
    /// It had started already.
    CancellationRefused,
}

/// Why a command of a delivery is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no delivery, or it is another courier's.
    #[error("there is no such delivery")]
    NoSuchDelivery,
    /// Another courier was faster.
    #[error("another courier has started the delivery")]
    DeliveryTaken,
    /// No courier started it.
    #[error("the delivery has not started")]
    DeliveryNotStarted,
    /// The order was cancelled.
    #[error("the delivery was cancelled")]
    DeliveryCancelled,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchDelivery => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchDelivery => "DELIVERY_NOT_FOUND",
            Refusal::DeliveryTaken => "DELIVERY_TAKEN",
            Refusal::DeliveryNotStarted => "DELIVERY_NOT_STARTED",
            Refusal::DeliveryCancelled => "DELIVERY_CANCELLED",
        }
    }
}

impl Aggregate for Delivery {
    const NAME: &'static str = "delivery";
    type Id = DeliveryId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(delivery: Option<&Delivery>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(delivery) = delivery else {
            return match command {
                Command::Prepare(order, parcel) => Ok(vec![Event::Prepared(*order, parcel.clone(), now)]),
                Command::CallOff(order, parcel) => Ok(vec![Event::Barred(*order, parcel.clone(), now)]),
                Command::Start(_) | Command::Complete(_) => Err(Refusal::NoSuchDelivery),
            };
        };
        match command {
            Command::Prepare(..) => Ok(vec![]),
            Command::Start(courier) => match delivery.state {
                State::Prepared => Ok(vec![Event::Started(courier.clone(), now)]),
                State::Started | State::Completed if delivery.is_of(courier) => Ok(vec![]),
                State::Started | State::Completed => Err(Refusal::DeliveryTaken),
                State::Cancelled => Err(Refusal::DeliveryCancelled),
            },
            Command::Complete(courier) => match delivery.state {
                State::Prepared => Err(Refusal::DeliveryNotStarted),
                State::Cancelled => Err(Refusal::DeliveryCancelled),
                _ if !delivery.is_of(courier) => Err(Refusal::NoSuchDelivery),
                State::Started => Ok(vec![Event::Completed(now)]),
                State::Completed => Ok(vec![]),
            },
            Command::CallOff(..) => Ok(match delivery.state {
                State::Prepared => vec![Event::Cancelled(now)],
                State::Started | State::Completed => vec![Event::CancellationRefused],
                State::Cancelled => vec![],
            }),
        }
    }

    fn evolve(delivery: Option<Delivery>, event: &Event) -> Delivery {
        let first = |order: OrderId, parcel: &Parcel, state: State, now: Timestamp| Delivery {
            id: delivery_of(order),
            order_id: order,
            parcel: parcel.clone(),
            state,
            courier: None,
            created_at: now,
            started_at: None,
            completed_at: None,
            updated_at: now,
        };
        match (delivery, event) {
            (_, Event::Prepared(order, parcel, now)) => first(*order, parcel, State::Prepared, *now),
            (_, Event::Barred(order, parcel, now)) => first(*order, parcel, State::Cancelled, *now),
            (Some(mut delivery), event) => {
                delivery.apply(event);
                delivery
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a delivery"),
        }
    }
}

impl Delivery {
    /// Whether this courier started it.
    pub fn is_of(&self, courier: &str) -> bool {
        self.courier.as_deref() == Some(courier)
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Prepared(..) | Event::Barred(..) | Event::CancellationRefused => {}
            Event::Started(courier, now) => {
                self.courier = Some(courier.clone());
                (self.state, self.started_at, self.updated_at) = (State::Started, Some(*now), *now);
            }
            Event::Completed(now) => {
                (self.state, self.completed_at, self.updated_at) = (State::Completed, Some(*now), *now);
            }
            Event::Cancelled(now) => (self.state, self.updated_at) = (State::Cancelled, *now),
        }
    }
}
