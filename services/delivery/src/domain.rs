//! A delivery: prepared, started by one courier, completed, and which moves are legal. Pure: no clock, no database, no
//! network.
//!
//! An order has one delivery, so that one courier gets it, and so that a cancellation and a start are decided in one place.
//!
//! ```text
//! (none) --Prepare--> Prepared --Start--> Started --Complete--> Completed
//!    |                   |
//!    +-----CallOff-------+--> Cancelled
//! ```
//! A `CallOff` after the start is refused, and that is told. One that comes before the order bars its delivery.

use chassis::error::RefusalCode;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a delivery, made from its order.
    DeliveryId = "delivery";
    /// The id of an order, which `order` gave it. It is the id of the flow.
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
    /// What goes where.
    pub parcel: Parcel,
    /// Where it stands.
    pub state: State,
    /// The subject of who started it.
    pub courier: Option<String>,
    /// When it was first heard of.
    pub created_at: Timestamp,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What goes where.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// The subject of the customer.
    pub customer: String,
    /// What.
    pub product_name: String,
    /// How many.
    pub quantity: u32,
    /// Where to.
    pub address: String,
}

/// Where a delivery stands.
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

/// What a delivery is told.
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

/// What happened to a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It waits for a courier.
    Prepared(OrderId, Parcel, Timestamp),
    /// A courier is on the way.
    Started(String, Timestamp),
    /// The customer has it.
    Completed(Timestamp),
    /// There is none.
    Cancelled(Timestamp),
    /// There will be none: it was cancelled before it was heard of.
    Barred(OrderId, Parcel, Timestamp),
    /// It had started.
    CancellationRefused,
}

/// Why a delivery said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is to be delivered, or it is another courier's.
    #[error("there is no such delivery")]
    NoSuchDelivery,
    /// Another courier was faster.
    #[error("another courier has started the delivery")]
    DeliveryTaken,
    /// Nobody is on the way.
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
