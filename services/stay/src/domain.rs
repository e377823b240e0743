//! A stay: reserved, paid, cancelled or completed, and the legal transitions. Pure: no clock, no database, no network.
//!
//! ```text
//! (none) --Reserve--> Reserved --Confirm--> Confirmed --Complete--> Completed
//!                        |                      |
//!                        +--Cancel, TakeBack    +--Cancel, TakeBack (until shortly before it begins; staff until its end)
//!                        |  Drop, Lapse, Lose   |  Lose
//!                        +----> Cancelled <-----+
//! ```
//! `resort` guarantees that no night is sold twice: it holds the nights before there is a stay. If the hold was lost,
//! the stay is cancelled (`Lose`).
//!
//! A payment that arrives after the end decides nothing here: the event of a cancelled stay has `payment` void what was
//! or will be paid.

use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Dates, Intervention, Money, Period};
use chassis::{Aggregate, Quota, Timestamp};
use jiff::tz::TimeZone;

chassis::ids! {
    /// The id of a stay. It is the id of the flow.
    StayId = "stay";
    /// The id of a resort, assigned by `resort`.
    ResortId = "resort";
    /// The id of a payment, assigned by `payment`.
    PaymentId = "payment";
}

/// The terms of reservations, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a reservation waits for its payment; not beyond the day of arrival.
    pub pay_within: Duration,
    /// How long before its start a paid stay can be cancelled at the latest.
    pub cancel_until: Duration,
    /// How many unpaid stays one customer may have.
    pub unpaid: usize,
}

/// The resource of a customer: stays that are not paid yet.
pub const UNPAID_STAYS: &str = "unpaid stays";

/// A resort reserved for a customer for some nights, and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Stay {
    /// Its id.
    pub id: StayId,
    /// Customer, resort, dates and price.
    pub booking: Booking,
    /// From then on a paid stay can't be cancelled.
    pub cancel_before: Timestamp,
    /// Its state.
    pub state: State,
    /// The payment that confirmed it.
    pub payment_id: Option<PaymentId>,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The terms that `resort` held: customer, resort, dates and price.
#[derive(Clone, Debug, PartialEq)]
pub struct Booking {
    /// The subject of the customer.
    pub customer: String,
    /// The resort.
    pub resort: ResortId,
    /// The name of the resort.
    pub resort_name: String,
    /// From the first night to the morning of departure.
    pub dates: Dates,
    /// From the start of the first date to the end of the day of departure, at the resort.
    pub period: Period,
    /// The time zone of the resort, by its IANA name.
    pub time_zone: String,
    /// The price.
    pub price: Money,
}

/// States of a stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The nights are reserved; the payment is awaited.
    Reserved {
        /// When it lapses.
        expires: Timestamp,
    },
    /// Paid: the nights are the customer's.
    Confirmed,
    /// The day of departure is over.
    Completed,
    /// The nights are free again.
    Cancelled(Cause),
}

/// Why a stay was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The customer cancelled it.
    Customer,
    /// The customer cancelled the payment.
    Payment,
    /// It was not paid in time.
    Unpaid,
    /// Other stays have the nights.
    Resort,
    /// Staff cancelled it.
    Staff,
}

/// Commands of a stay.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The resort holds the nights: reserve them.
    Reserve(StayId, Booking, Terms),
    /// The customer cancels it, or staff do in their place.
    Cancel(Option<Intervention>),
    /// It was paid.
    Confirm(PaymentId),
    /// The customer wants the money back.
    TakeBack,
    /// The customer cancelled the payment before paying.
    Drop,
    /// Other stays have the nights.
    Lose,
    /// The timer is due: cancel it if it was not paid in time.
    Lapse,
    /// The timer is due: complete it if it is over.
    Complete,
}

/// Events of a stay.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Staff act in the customer's place: what they did follows.
    Intervened(Intervention),
    /// The nights are reserved for a customer.
    Reserved(Box<Stay>),
    /// It was paid.
    Confirmed(PaymentId, Timestamp),
    /// The day of departure is over.
    Completed(Timestamp),
    /// The nights are free again.
    Cancelled(Cause, Timestamp),
    /// The customer wanted the money back too late.
    CancellationRefused,
}

/// Why a command of a stay is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such stay")]
    NoSuchStay,
    #[error("a paid stay could be cancelled until {0}, and not later")]
    StayTooNear(Timestamp),
    #[error("the stay is over")]
    StayCompleted,
    #[error("you have stays that are not paid, as many as one customer may have: pay or cancel one first")]
    TooManyStays,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchStay => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchStay => "STAY_NOT_FOUND",
            Refusal::StayTooNear(_) => "STAY_TOO_NEAR",
            Refusal::StayCompleted => "STAY_COMPLETED",
            Refusal::TooManyStays => "TOO_MANY_STAYS",
        }
    }
}

impl Aggregate for Stay {
    const NAME: &'static str = "stay";
    type Id = StayId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(stay: Option<&Stay>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(stay) = stay else {
            return match command {
                Command::Reserve(id, booking, terms) => {
                    Ok(vec![Event::Reserved(Box::new(Stay::new(*id, booking, terms, now)))])
                }
                _ => Err(Refusal::NoSuchStay),
            };
        };
        match command {
            Command::Reserve(..) => Ok(vec![]),
            Command::Cancel(by) => stay.decide_cancel(by.as_ref(), now),
            Command::Confirm(payment) => match stay.state {
                State::Reserved { .. } => Ok(vec![Event::Confirmed(*payment, now)]),
                State::Confirmed | State::Completed | State::Cancelled(_) => Ok(vec![]),
            },
            Command::TakeBack => match stay.state {
                State::Reserved { .. } => Ok(vec![Event::Cancelled(Cause::Payment, now)]),
                State::Confirmed if now < stay.cancel_before => Ok(vec![Event::Cancelled(Cause::Payment, now)]),
                State::Confirmed | State::Completed => Ok(vec![Event::CancellationRefused]),
                State::Cancelled(_) => Ok(vec![]),
            },
            Command::Drop => match stay.state {
                State::Reserved { .. } => Ok(vec![Event::Cancelled(Cause::Payment, now)]),
                State::Confirmed | State::Completed | State::Cancelled(_) => Ok(vec![]),
            },
            Command::Lose => match stay.state {
                State::Reserved { .. } | State::Confirmed => Ok(vec![Event::Cancelled(Cause::Resort, now)]),
                State::Completed | State::Cancelled(_) => Ok(vec![]),
            },
            Command::Lapse => match stay.state {
                State::Reserved { expires } if expires <= now => Ok(vec![Event::Cancelled(Cause::Unpaid, now)]),
                _ => Ok(vec![]),
            },
            Command::Complete => match stay.state {
                State::Confirmed if stay.booking.period.end <= now => Ok(vec![Event::Completed(now)]),
                _ => Ok(vec![]),
            },
        }
    }

    fn evolve(stay: Option<Stay>, event: &Event) -> Stay {
        let mut stay = match (stay, event) {
            (_, Event::Reserved(stay)) => return (**stay).clone(),
            (Some(stay), _) => stay,
            (None, event) => unreachable!("{event:?} can't be the first event of a stay"),
        };
        match event {
            Event::Reserved(_) | Event::CancellationRefused => {}
            Event::Intervened(intervention) => stay.intervention = Some(intervention.clone()),
            Event::Confirmed(payment, now) => {
                (stay.state, stay.updated_at) = (State::Confirmed, *now);
                stay.payment_id = Some(*payment);
            }
            Event::Completed(now) => (stay.state, stay.updated_at) = (State::Completed, *now),
            Event::Cancelled(cause, now) => (stay.state, stay.updated_at) = (State::Cancelled(*cause), *now),
        }
        stay
    }

    fn quotas(command: &Command) -> Vec<Quota<Refusal>> {
        let Command::Reserve(_, Booking { customer, .. }, Terms { unpaid, .. }) = command else { return vec![] };
        let (subject, refusal) = (customer.clone(), Refusal::TooManyStays);
        vec![Quota { resource: UNPAID_STAYS, subject, limit: *unpaid, takes: true, refusal }]
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        match self.state {
            State::Reserved { expires } => Some((expires, Command::Lapse)),
            State::Confirmed => Some((self.booking.period.end, Command::Complete)),
            State::Completed | State::Cancelled(_) => None,
        }
    }
}

impl Booking {
    /// The end of the day of arrival, at the resort.
    fn arrival_ends(&self) -> Timestamp {
        let next_day = || {
            let zone = TimeZone::get(&self.time_zone).ok()?;
            let midnight = self.dates.start.tomorrow().ok()?.to_zoned(zone).ok()?;
            Some(Timestamp::from_micros(midnight.timestamp().as_microsecond()))
        };
        // If this program does not know the zone of the resort.
        next_day().unwrap_or(self.period.end)
    }
}

impl Stay {
    /// When it lapses, if it is not paid for yet.
    pub fn expires_at(&self) -> Option<Timestamp> {
        if let State::Reserved { expires } = self.state { Some(expires) } else { None }
    }

    fn new(id: StayId, booking: &Booking, terms: &Terms, now: Timestamp) -> Stay {
        Stay {
            id,
            booking: booking.clone(),
            cancel_before: booking.period.start - terms.cancel_until,
            state: State::Reserved { expires: (now + terms.pay_within).min(booking.arrival_ends()) },
            payment_id: None,
            intervention: None,
            created_at: now,
            updated_at: now,
        }
    }

    fn decide_cancel(&self, by: Option<&Intervention>, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.state {
            State::Reserved { .. } | State::Confirmed if by.is_some() => {
                let intervened = by.map(|by| Event::Intervened(by.clone()));
                Ok(intervened.into_iter().chain([Event::Cancelled(Cause::Staff, now)]).collect())
            }
            State::Reserved { .. } => Ok(vec![Event::Cancelled(Cause::Customer, now)]),
            State::Confirmed if now < self.cancel_before => Ok(vec![Event::Cancelled(Cause::Customer, now)]),
            State::Confirmed => Err(Refusal::StayTooNear(self.cancel_before)),
            State::Completed => Err(Refusal::StayCompleted),
            State::Cancelled(_) => Ok(vec![]),
        }
    }
}
