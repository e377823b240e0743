//! An order: paid, confirmed, delivered or cancelled, and which moves are legal. Pure: no clock, no database, no network.
//!
//! What is not paid is no order: a draft is written before the payment is asked for, so that whatever becomes of the call,
//! the money that was taken finds its order, or goes back. Customers don't see it.
//!
//! Those who deliver know whether a delivery has started, so they have the last word on a cancellation: the wish
//! (`Cancel`, `TakeBack`) is passed on, and answered by what happens there (`Withdraw`, or `Dispatch`).
//!
//! ```text
//! (none) --Draft--> Draft --Place--> Placed --Confirm--> Confirmed --Dispatch--> Delivering --Complete--> Delivered
//!                    |                 |                    |                        ^
//!                    | Lapse, Drop,    | Cancel, TakeBack,  | Cancel, TakeBack       |
//!                    | TakeBack        | Reject             v                        |
//!                    v                 |                 Cancelling ----Dispatch-----+
//!                  Lapsed              +--> Cancelled <-----+ Withdraw
//! ```
//! A payment that comes after the end decides nothing here: whoever ends it has told `payment` to void what was or will be
//! paid. Stock that is taken after a cancellation is restored by the cancellation.

use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of an order. It is the id of the flow.
    OrderId = "order";
    /// The id of a product, which `product` gave it.
    ProductId = "product";
    /// The id of a payment, which `payment` gave it.
    PaymentId = "payment";
}

/// The most that can be ordered of a product at once.
pub const MAX_QUANTITY: u32 = 1_000;

/// What a customer ordered, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who ordered what, for how much, and where to.
    pub purchase: Purchase,
    /// Where it stands.
    pub state: State,
    /// What it was paid with.
    pub payment_id: Option<PaymentId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who ordered what, for how much, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// The subject of the customer.
    pub customer: String,
    /// What.
    pub product: ProductId,
    /// What it was called then.
    pub product_name: String,
    /// How many.
    pub quantity: u32,
    /// For how much, together.
    pub price: Money,
    /// Where to.
    pub address: String,
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not paid, so not an order.
    Draft {
        /// When it lapses.
        expires: Timestamp,
    },
    /// It was not paid, and never was an order.
    Lapsed,
    /// Paid; its stock is being taken.
    Placed,
    /// It has its stock; the delivery is being prepared.
    Confirmed,
    /// A courier is on the way with it.
    Delivering,
    /// The customer has it.
    Delivered,
    /// The customer does not want it; those who deliver are asked.
    Cancelling(Cause),
    /// It is off.
    Cancelled(Cause),
}

impl State {
    /// When it lapses, if it is a draft.
    pub fn expires(self) -> Option<Timestamp> {
        if let State::Draft { expires } = self { Some(expires) } else { None }
    }

    /// Why it is cancelled, if it is or is to be.
    pub fn cause(self) -> Option<Cause> {
        if let State::Cancelling(cause) | State::Cancelled(cause) = self { Some(cause) } else { None }
    }
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The customer cancelled it.
    Customer,
    /// The customer cancelled the payment.
    Payment,
    /// There was not enough of the product.
    OutOfStock,
}

/// What an order is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer wants this, and has so long to pay for it.
    Draft(OrderId, Purchase, Duration),
    /// It was paid.
    Place(PaymentId),
    /// It has its stock.
    Confirm,
    /// There was not enough in stock.
    Reject,
    /// The customer does not want it any more.
    Cancel,
    /// The customer wants the money back.
    TakeBack,
    /// The customer cancelled the payment before paying.
    Drop,
    /// The delivery started, be it before a cancellation came.
    Dispatch,
    /// The customer has it.
    Complete,
    /// It won't be delivered.
    Withdraw,
    /// It is time to look whether it was paid.
    Lapse,
}

/// What happened to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A customer asked for it.
    Drafted(Box<Order>),
    /// It was not paid.
    Lapsed(Timestamp),
    /// It was paid.
    Placed(PaymentId, Timestamp),
    /// It has its stock.
    Confirmed(Timestamp),
    /// Those who deliver are asked whether it can be cancelled.
    CancellationRequested(Cause, Timestamp),
    /// It can't.
    CancellationRefused,
    /// It is off.
    Cancelled(Cause, Timestamp),
    /// A courier is on the way with it.
    Dispatched(Timestamp),
    /// The customer has it.
    Delivered(Timestamp),
}

/// Why an order said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody ordered it, or nobody paid for it.
    #[error("there is no such order")]
    NoSuchOrder,
    /// A courier is on the way.
    #[error("the delivery has started, so the order can't be cancelled any more")]
    DeliveryStarted,
    /// The customer has it.
    #[error("the order was delivered")]
    OrderDelivered,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchOrder => RefusalCode::NotFound,
            Refusal::DeliveryStarted | Refusal::OrderDelivered => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchOrder => "ORDER_NOT_FOUND",
            Refusal::DeliveryStarted => "DELIVERY_STARTED",
            Refusal::OrderDelivered => "ORDER_DELIVERED",
        }
    }
}

impl Aggregate for Order {
    const NAME: &'static str = "order";
    type Id = OrderId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(order: Option<&Order>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(order) = order else {
            return match command {
                Command::Draft(id, purchase, pay_within) => {
                    Ok(vec![Event::Drafted(Box::new(Order::new(*id, purchase, *pay_within, now)))])
                }
                _ => Err(Refusal::NoSuchOrder),
            };
        };
        Ok(match (order.state, command) {
            (_, Command::Draft(..)) => vec![],
            (State::Draft { .. }, Command::Place(payment)) => vec![Event::Placed(*payment, now)],
            (State::Draft { .. }, Command::TakeBack | Command::Drop) => vec![Event::Lapsed(now)],
            (State::Draft { expires }, Command::Lapse) if expires <= now => vec![Event::Lapsed(now)],
            (State::Placed, Command::Confirm) => vec![Event::Confirmed(now)],
            (State::Placed, Command::Reject) => vec![Event::Cancelled(Cause::OutOfStock, now)],
            (_, Command::Cancel) => order.decide_cancel(now)?,
            (_, Command::TakeBack) => order.decide_take_back(now),
            (_, Command::Dispatch) => order.dispatched(now),
            (State::Confirmed | State::Delivering | State::Cancelling(_), Command::Complete) => {
                order.dispatched(now).into_iter().chain([Event::Delivered(now)]).collect()
            }
            (State::Cancelling(cause), Command::Withdraw) => vec![Event::Cancelled(cause, now)],
            // It comes late, or again.
            _ => vec![],
        })
    }

    fn evolve(order: Option<Order>, event: &Event) -> Order {
        match (order, event) {
            (_, Event::Drafted(order)) => (**order).clone(),
            (Some(mut order), event) => {
                order.apply(event);
                order
            }
            (None, event) => unreachable!("{event:?} can't be the first event of an order"),
        }
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        self.state.expires().map(|expires| (expires, Command::Lapse))
    }
}

impl Order {
    fn new(id: OrderId, purchase: &Purchase, pay_within: Duration, now: Timestamp) -> Order {
        Order {
            id,
            purchase: purchase.clone(),
            state: State::Draft { expires: now + pay_within },
            payment_id: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether it is one: it is paid, or was.
    pub fn is_order(&self) -> bool {
        !matches!(self.state, State::Draft { .. } | State::Lapsed)
    }

    fn decide_cancel(&self, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.state {
            State::Draft { .. } | State::Lapsed => Err(Refusal::NoSuchOrder),
            State::Placed => Ok(vec![Event::Cancelled(Cause::Customer, now)]),
            State::Confirmed => Ok(vec![Event::CancellationRequested(Cause::Customer, now)]),
            State::Delivering => Err(Refusal::DeliveryStarted),
            State::Delivered => Err(Refusal::OrderDelivered),
            State::Cancelling(_) | State::Cancelled(_) => Ok(vec![]),
        }
    }

    fn decide_take_back(&self, now: Timestamp) -> Vec<Event> {
        match self.state {
            State::Placed => vec![Event::Cancelled(Cause::Payment, now)],
            State::Confirmed => vec![Event::CancellationRequested(Cause::Payment, now)],
            State::Delivering | State::Delivered => vec![Event::CancellationRefused],
            // It is decided: who paid is told what comes of that.
            State::Draft { .. } | State::Lapsed | State::Cancelling(_) | State::Cancelled(_) => vec![],
        }
    }

    /// The delivery started; a wish to cancel came too late.
    fn dispatched(&self, now: Timestamp) -> Vec<Event> {
        match self.state {
            State::Confirmed => vec![Event::Dispatched(now)],
            State::Cancelling(_) => vec![Event::Dispatched(now), Event::CancellationRefused],
            _ => vec![],
        }
    }

    fn apply(&mut self, event: &Event) {
        let (state, now) = match event {
            Event::Drafted(_) | Event::CancellationRefused => return,
            Event::Lapsed(now) => (State::Lapsed, now),
            Event::Placed(payment, now) => {
                self.payment_id = Some(*payment);
                (State::Placed, now)
            }
            Event::Confirmed(now) => (State::Confirmed, now),
            Event::CancellationRequested(cause, now) => (State::Cancelling(*cause), now),
            Event::Cancelled(cause, now) => (State::Cancelled(*cause), now),
            Event::Dispatched(now) => (State::Delivering, now),
            Event::Delivered(now) => (State::Delivered, now),
        };
        (self.state, self.updated_at) = (state, *now);
    }
}
