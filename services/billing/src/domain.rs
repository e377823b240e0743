//! A bill and its legal transitions. Pure: no clock, no database, no network.
//!
//! A ride has one bill, so it is billed once.
//!
//! ```text
//! (none) --Open--> Open --Charge--> Due --Pay--> Closed
//!                   |                |  ^          |
//!                   |      FallShort v  |          |
//!                   |              Arrears --Pay---+
//!                   +--Void----------+-------------+--> Void
//! ```
//! A ride that costs nothing is closed at once. Late, repeated and reordered events change nothing that is settled.

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a bill, made from its ride.
    BillId = "bill";
    /// The id of a ride, assigned by `ride`. It is the id of the flow.
    RideId = "ride";
}

/// The bill of a ride.
pub fn bill_of(ride: RideId) -> BillId {
    BillId::derived_from(ride.uuid())
}

/// The price of rides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// The price of a whole minute.
    pub per_minute: Money,
    /// The minimum of billed minutes.
    pub least_minutes: u32,
}

impl Tariff {
    /// The billed minutes of a ride (whole minutes, at least the minimum) and their price, at most the largest amount.
    pub fn fee(&self, start: Timestamp, end: Timestamp) -> (u32, Money) {
        let whole = i32::try_from(end.since(start).as_secs() / 60).unwrap_or(i32::MAX);
        let minutes = whole.unsigned_abs().max(self.least_minutes);
        let most = Money { minor: Money::MAX_MINOR, ..self.per_minute };
        (minutes, self.per_minute.times(minutes).unwrap_or(most))
    }
}

/// The bill of a ride.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// Its id.
    pub id: BillId,
    /// The ride.
    pub ride: RideId,
    /// The subject of the customer.
    pub customer: String,
    /// When the ride started.
    pub started_at: Timestamp,
    /// Its state.
    pub state: State,
    /// The fee, once the ride is over.
    pub fee: Option<Fee>,
    /// When the deposit did not suffice.
    pub arrears_at: Option<Timestamp>,
    /// When the fee was deducted.
    pub closed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The fee of a ride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// When the ride ended.
    pub end: Timestamp,
    /// The billed minutes.
    pub minutes: u32,
    /// The amount.
    pub amount: Money,
}

/// States of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The ride is in progress.
    Open,
    /// The fee is to be deducted.
    Due,
    /// The deposit did not suffice.
    Arrears,
    /// The fee was deducted.
    Closed,
    /// The ride costs nothing after all.
    Void,
}

/// The ride that a bill is for.
#[derive(Clone, Debug, PartialEq)]
pub struct BilledRide {
    /// The ride.
    pub ride: RideId,
    /// The subject of the customer.
    pub customer: String,
    /// When it started.
    pub start: Timestamp,
}

/// Commands of a bill.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The ride started.
    Open(BilledRide),
    /// The ride ended at this time.
    Charge(BilledRide, Timestamp, Tariff),
    /// The ride costs nothing.
    Void(BilledRide),
    /// The fee was deducted.
    Pay,
    /// The deposit does not suffice.
    FallShort,
}

/// Events of a bill.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The bill was opened.
    Opened(BilledRide, Timestamp),
    /// The fee is known.
    Charged(Fee, Timestamp),
    /// The deposit did not suffice.
    FellShort(Timestamp),
    /// The fee was deducted, or there was none.
    Closed(Timestamp),
    /// The ride costs nothing.
    Voided(Timestamp),
}

/// Why a command of a bill is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was never opened.
    #[error("there is no such bill")]
    NoSuchBill,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        RefusalCode::NotFound
    }

    fn reason(&self) -> &'static str {
        "BILL_NOT_FOUND"
    }
}

impl Aggregate for Bill {
    const NAME: &'static str = "bill";
    type Id = BillId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(bill: Option<&Bill>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let state = bill.map(|bill| bill.state);
        // An event that arrives before the start opens the bill.
        let opened = |billed: &BilledRide| bill.is_none().then(|| Event::Opened(billed.clone(), now));
        let closed = |is_free: bool| is_free.then_some(Event::Closed(now));
        Ok(match (command, state) {
            (Command::Open(billed), _) => opened(billed).into_iter().collect(),
            (Command::Charge(billed, end, tariff), None | Some(State::Open)) => {
                let (minutes, amount) = tariff.fee(bill.map_or(billed.start, |bill| bill.started_at), *end);
                let charged = Event::Charged(Fee { end: *end, minutes, amount }, now);
                opened(billed).into_iter().chain([charged]).chain(closed(amount.minor == 0)).collect()
            }
            (Command::Void(_), Some(State::Void)) => vec![],
            (Command::Void(billed), _) => opened(billed).into_iter().chain([Event::Voided(now)]).collect(),
            (Command::Pay, Some(State::Due | State::Arrears)) => vec![Event::Closed(now)],
            (Command::FallShort, Some(State::Due)) => vec![Event::FellShort(now)],
            (Command::Pay | Command::FallShort, None) => return Err(Refusal::NoSuchBill),
            (Command::Charge(..) | Command::Pay | Command::FallShort, Some(_)) => vec![],
        })
    }

    fn evolve(bill: Option<Bill>, event: &Event) -> Bill {
        let mut bill = match (bill, event) {
            (Some(bill), _) => bill,
            (None, Event::Opened(BilledRide { ride, customer, start }, now)) => Bill {
                id: bill_of(*ride),
                ride: *ride,
                customer: customer.clone(),
                started_at: *start,
                state: State::Open,
                fee: None,
                arrears_at: None,
                closed_at: None,
                updated_at: *now,
            },
            (None, event) => unreachable!("{event:?} can't be the first event of a bill"),
        };
        let now = match event {
            Event::Opened(_, now) => now,
            Event::Charged(fee, now) => {
                (bill.state, bill.fee) = (State::Due, Some(*fee));
                now
            }
            Event::FellShort(now) => {
                (bill.state, bill.arrears_at) = (State::Arrears, Some(*now));
                now
            }
            Event::Closed(now) => {
                (bill.state, bill.closed_at) = (State::Closed, Some(*now));
                now
            }
            Event::Voided(now) => {
                bill.state = State::Void;
                now
            }
        };
        bill.updated_at = *now;
        bill
    }
}
