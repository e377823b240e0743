//! An order: paid, confirmed, delivered or cancelled, and the legal transitions. Pure: no clock, no database, no
//! network.
//!
//! Only what is paid is an order. A draft is written before the payment is requested: whatever the outcome of that
//! call, money that was taken leads to an order or is refunded. Customers don't see drafts.
//!
//! Only `delivery` knows whether a delivery has started, so it decides about a cancellation: the request (`Cancel`,
//! `TakeBack`) is forwarded to it, and its events answer (`Withdraw` or `Dispatch`).
//!
//! ```text
//! (none) --Draft--> Draft --Place--> Placed --Confirm--> Confirmed --Dispatch--> Delivering --Complete--> Delivered
//!                    |                 |                    |                        ^
//!                    | Lapse, Drop,    | Cancel, TakeBack,  | Cancel, TakeBack       |
//!                    | TakeBack        | Reject             v                        |
//!                    v                 |                 Cancelling ----Dispatch-----+
//!                  Lapsed              +--> Cancelled <-----+ Withdraw
//! ```
//! A payment that arrives after the end decides nothing here: the event of the end has `payment` void what was or will
//! be paid. The cancellation also restores stock that is taken after it.

use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Intervention, Money};
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of an order. It is the id of the flow.
    OrderId = "order";
    /// The id of a product, assigned by `product`.
    ProductId = "product";
    /// The id of a payment, assigned by `payment`.
    PaymentId = "payment";
}

/// The largest quantity of an order.
pub const MAX_QUANTITY: u32 = 1_000;

/// An order of a customer, and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// The customer, product, price and address.
    pub purchase: Purchase,
    /// Its state.
    pub state: State,
    /// The payment that paid it.
    pub payment_id: Option<PaymentId>,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// When the draft was written.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The customer, product, price and address.
#[derive(Clone, Debug, PartialEq)]
pub struct Purchase {
    /// The subject of the customer.
    pub customer: String,
    /// The product.
    pub product: ProductId,
    /// The product's name at that time.
    pub product_name: String,
    /// The quantity.
    pub quantity: u32,
    /// The total price.
    pub price: Money,
    /// The address.
    pub address: String,
}

/// States of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not paid yet, so not an order yet.
    Draft {
        /// When it lapses.
        expires: Timestamp,
    },
    /// It was not paid in time; it never became an order.
    Lapsed,
    /// Paid; its stock is being taken.
    Placed,
    /// It has its stock; the delivery is being prepared.
    Confirmed,
    /// A courier is delivering it.
    Delivering,
    /// The customer has it.
    Delivered,
    /// A cancellation was requested; `delivery` decides.
    Cancelling(Cause),
    /// It was cancelled.
    Cancelled(Cause),
}

impl State {
    /// When it lapses, if it is a draft.
    pub fn expires(self) -> Option<Timestamp> {
        if let State::Draft { expires } = self { Some(expires) } else { None }
    }

    /// The cause of its cancellation, if it is cancelled or being cancelled.
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
    /// Staff cancelled it.
    Staff,
}

/// Commands of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer orders this and has this time to pay for it.
    Draft(OrderId, Purchase, Duration),
    /// It was paid.
    Place(PaymentId),
    /// It has its stock.
    Confirm,
    /// There was not enough in stock.
    Reject,
    /// The customer cancels it, or staff do in their place.
    Cancel(Option<Intervention>),
    /// The customer wants the money back.
    TakeBack,
    /// The customer cancelled the payment before paying.
    Drop,
    /// The delivery started, perhaps before a cancellation arrived.
    Dispatch,
    /// The customer has it.
    Complete,
    /// It will not be delivered.
    Withdraw,
    /// The timer is due: end the draft if it was not paid in time.
    Lapse,
}

/// Events of an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The draft was written.
    Drafted(Box<Order>),
    /// Staff act in the customer's place: what they did follows.
    Intervened(Intervention),
    /// It was not paid in time.
    Lapsed(Timestamp),
    /// It was paid.
    Placed(PaymentId, Timestamp),
    /// It has its stock.
    Confirmed(Timestamp),
    /// A cancellation was requested; `delivery` decides.
    CancellationRequested(Cause, Timestamp),
    /// The cancellation was refused.
    CancellationRefused,
    /// It was cancelled.
    Cancelled(Cause, Timestamp),
    /// A courier is delivering it.
    Dispatched(Timestamp),
    /// The customer has it.
    Delivered(Timestamp),
}

/// Why a command of an order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not ordered, or not paid.
    #[error("there is no such order")]
    NoSuchOrder,
    /// A courier is delivering it.
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
            (_, Command::Cancel(by)) => order.decide_cancel(by.as_ref(), now)?,
            (_, Command::TakeBack) => order.decide_take_back(now),
            (_, Command::Dispatch) => order.dispatched(now),
            (State::Confirmed | State::Delivering | State::Cancelling(_), Command::Complete) => {
                order.dispatched(now).into_iter().chain([Event::Delivered(now)]).collect()
            }
            (State::Cancelling(cause), Command::Withdraw) => vec![Event::Cancelled(cause, now)],
            // Late or repeated.
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
            intervention: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Whether it is an order: it is paid, or was.
    pub fn is_order(&self) -> bool {
        !matches!(self.state, State::Draft { .. } | State::Lapsed)
    }

    fn decide_cancel(&self, by: Option<&Intervention>, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let cause = if by.is_some() { Cause::Staff } else { Cause::Customer };
        let cancelled = match self.state {
            State::Draft { .. } | State::Lapsed => return Err(Refusal::NoSuchOrder),
            State::Placed => Event::Cancelled(cause, now),
            State::Confirmed => Event::CancellationRequested(cause, now),
            State::Delivering => return Err(Refusal::DeliveryStarted),
            State::Delivered => return Err(Refusal::OrderDelivered),
            State::Cancelling(_) | State::Cancelled(_) => return Ok(vec![]),
        };
        Ok(by.map(|by| Event::Intervened(by.clone())).into_iter().chain([cancelled]).collect())
    }

    fn decide_take_back(&self, now: Timestamp) -> Vec<Event> {
        match self.state {
            State::Placed => vec![Event::Cancelled(Cause::Payment, now)],
            State::Confirmed => vec![Event::CancellationRequested(Cause::Payment, now)],
            State::Delivering | State::Delivered => vec![Event::CancellationRefused],
            // Decided already: the customer who paid gets the answer.
            State::Draft { .. } | State::Lapsed | State::Cancelling(_) | State::Cancelled(_) => vec![],
        }
    }

    /// The delivery started; a request to cancel came too late.
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
            Event::Intervened(intervention) => {
                self.intervention = Some(intervention.clone());
                return;
            }
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
