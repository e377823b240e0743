//! What a bill is, and which moves are legal. Pure: no clock, no database, no network.
//!
//! A ride has one bill, so it is billed once: the rule has one place.
//!
//! ```text
//! (none) --Open--> Open --Charge--> Due --Pay--> Closed
//!                   |                |  ^          |
//!                   |      FallShort v  |          |
//!                   |              Arrears --Pay---+
//!                   +--Void----------+-------------+--> Void
//! ```
//! A ride that costs nothing is closed at once. What comes late, twice or before what it follows changes nothing that is
//! settled.

use chassis::error::RefusalCode;
use chassis::values::Money;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a bill, made from its ride.
    BillId = "bill";
    /// The id of a ride, which `ride` gave it. It is the id of the flow.
    RideId = "ride";
}

/// The bill of a ride.
pub fn bill_of(ride: RideId) -> BillId {
    BillId::derived_from(ride.uuid())
}

/// What rides cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// Of a whole minute.
    pub per_minute: Money,
    /// Minutes that are billed at least.
    pub least_minutes: u32,
}

impl Tariff {
    /// The whole minutes of a ride, those that are billed at least, and what they cost: at most what an amount can be.
    pub fn fee(&self, start: Timestamp, end: Timestamp) -> (u32, Money) {
        let whole = i32::try_from(end.since(start).as_secs() / 60).unwrap_or(i32::MAX);
        let minutes = whole.unsigned_abs().max(self.least_minutes);
        let most = Money { minor: Money::MAX_MINOR, ..self.per_minute };
        (minutes, self.per_minute.times(minutes).unwrap_or(most))
    }
}

/// What a ride costs.
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
    /// Where it stands.
    pub state: State,
    /// What is billed, once the ride is over.
    pub fee: Option<Fee>,
    /// When the deposit did not suffice.
    pub arrears_at: Option<Timestamp>,
    /// When the fee was deducted.
    pub closed_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fee {
    /// When the ride ended.
    pub end: Timestamp,
    /// How many minutes.
    pub minutes: u32,
    /// How much.
    pub amount: Money,
}

/// Where a bill stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The customer rides.
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

/// Whose ride a bill is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Rode {
    /// The ride.
    pub ride: RideId,
    /// The subject of the customer.
    pub customer: String,
    /// When it started.
    pub start: Timestamp,
}

/// What a bill is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The ride started.
    Open(Rode),
    /// The ride is over since then.
    Charge(Rode, Timestamp, Tariff),
    /// The ride costs nothing.
    Void(Rode),
    /// The fee was deducted.
    Pay,
    /// The deposit does not suffice.
    FallShort,
}

/// What happened to a bill.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is one.
    Opened(Rode, Timestamp),
    /// The fee is known.
    Charged(Fee, Timestamp),
    /// The deposit did not suffice.
    FellShort(Timestamp),
    /// The fee was deducted, or there was none.
    Closed(Timestamp),
    /// The ride costs nothing.
    Voided(Timestamp),
}

/// Why a bill said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody made it.
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
        // What comes before the start brings the bill with it.
        let opened = |rode: &Rode| bill.is_none().then(|| Event::Opened(rode.clone(), now));
        let closed = |is_free: bool| is_free.then_some(Event::Closed(now));
        Ok(match (command, state) {
            (Command::Open(rode), _) => opened(rode).into_iter().collect(),
            (Command::Charge(rode, end, tariff), None | Some(State::Open)) => {
                let (minutes, amount) = tariff.fee(bill.map_or(rode.start, |bill| bill.started_at), *end);
                let charged = Event::Charged(Fee { end: *end, minutes, amount }, now);
                opened(rode).into_iter().chain([charged]).chain(closed(amount.minor == 0)).collect()
            }
            (Command::Void(_), Some(State::Void)) => vec![],
            (Command::Void(rode), _) => opened(rode).into_iter().chain([Event::Voided(now)]).collect(),
            (Command::Pay, Some(State::Due | State::Arrears)) => vec![Event::Closed(now)],
            (Command::FallShort, Some(State::Due)) => vec![Event::FellShort(now)],
            (Command::Pay | Command::FallShort, None) => return Err(Refusal::NoSuchBill),
            (Command::Charge(..) | Command::Pay | Command::FallShort, Some(_)) => vec![],
        })
    }

    fn evolve(bill: Option<Bill>, event: &Event) -> Bill {
        let mut bill = match (bill, event) {
            (Some(bill), _) => bill,
            (None, Event::Opened(Rode { ride, customer, start }, now)) => Bill {
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
