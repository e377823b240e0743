//! A hail and its legal transitions. Pure: no clock, no database, no network.
//!
//! Only `driving` knows whether a drive has started, so it decides about a cancellation: the customer's request
//! (`Cancel`) is forwarded to it, and its events answer (`Withdraw` or `Depart`).
//!
//! ```text
//! (none) --Request--> Requested --Allocate--> Allocated --Depart--> UnderWay --Arrive--> Finished
//!                        |  |                    |   |                  ^
//!                        |  +------Cancel--------+---)--> Cancelling ---+ Depart, Insist
//!                        |                           |        |
//!                        +---------Withdraw----------+--------+--> Cancelled
//! ```

use chassis::error::RefusalCode;
use chassis::values::Place;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a hail. It is the id of the flow.
    HailId = "hail";
    /// The id of a drive, assigned by `driving`.
    DriveId = "drive";
}

/// A customer's request for a ride, and its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Hail {
    /// Its id.
    pub id: HailId,
    /// The trip that the customer requests.
    pub trip: Trip,
    /// Its state.
    pub state: State,
    /// The driver; none until one accepted.
    pub allocation: Option<Allocation>,
    /// When the customer hailed.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The customer, the places and the payment method.
#[derive(Clone, Debug, PartialEq)]
pub struct Trip {
    /// The subject of the customer.
    pub customer: String,
    /// Where the customer waits; its position is known.
    pub pickup: Place,
    /// Where the customer wants to go.
    pub destination: Place,
    /// The customer's card, as the processor names it.
    pub payment_method: String,
}

/// A driver who accepted the hail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The drive.
    pub drive: DriveId,
    /// The subject of the driver.
    pub driver: String,
}

/// States of a hail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No driver accepted it yet.
    Requested,
    /// A driver is on the way.
    Allocated,
    /// The customer cancelled it; `driving` decides.
    Cancelling,
    /// There is no ride.
    Cancelled(Cause),
    /// The customer is in the car.
    UnderWay,
    /// The customer has arrived.
    Finished,
}

/// Why there is no ride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The customer cancelled.
    Customer,
    /// No driver accepted it in time.
    NoDriver,
}

/// Commands of a hail.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer hails a taxi.
    Request(HailId, Trip),
    /// The customer cancels it.
    Cancel,
    /// A driver accepted it.
    Allocate(Allocation),
    /// The drive started.
    Depart(Allocation),
    /// The drive is over.
    Arrive(Allocation),
    /// There will be no drive.
    Withdraw(Cause),
    /// The drive had started before the cancellation came.
    Insist(Allocation),
}

/// Events of a hail.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A customer hailed a taxi.
    Requested(HailId, Trip, Timestamp),
    /// A driver is on the way.
    Allocated(Allocation, Timestamp),
    /// The customer wants to cancel.
    CancellationRequested(Timestamp),
    /// It came too late.
    CancellationRefused,
    /// The customer is in the car.
    Departed(Allocation, Timestamp),
    /// The customer has arrived.
    Arrived(Timestamp),
    /// There is no ride.
    Cancelled(Cause, Timestamp),
}

/// Why a command of a hail is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was not requested.
    #[error("there is no such hail")]
    NoSuchHail,
    /// The customer is in the car.
    #[error("the drive has started, so it can't be cancelled any more")]
    DriveStarted,
    /// The customer has arrived.
    #[error("the drive is over")]
    DriveFinished,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchHail => RefusalCode::NotFound,
            Refusal::DriveStarted | Refusal::DriveFinished => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchHail => "HAIL_NOT_FOUND",
            Refusal::DriveStarted => "DRIVE_STARTED",
            Refusal::DriveFinished => "DRIVE_FINISHED",
        }
    }
}

impl Aggregate for Hail {
    const NAME: &'static str = "hail";
    type Id = HailId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(hail: Option<&Hail>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(hail) = hail else {
            return match command {
                Command::Request(id, trip) => Ok(vec![Event::Requested(*id, trip.clone(), now)]),
                _ => Err(Refusal::NoSuchHail),
            };
        };
        match command {
            Command::Request(..) => Ok(vec![]),
            Command::Cancel => match hail.state {
                State::Requested | State::Allocated => Ok(vec![Event::CancellationRequested(now)]),
                State::Cancelling | State::Cancelled(_) => Ok(vec![]),
                State::UnderWay => Err(Refusal::DriveStarted),
                State::Finished => Err(Refusal::DriveFinished),
            },
            Command::Allocate(allocation) => Ok(hail.allocated(allocation, now)),
            Command::Depart(allocation) | Command::Insist(allocation) => Ok(hail.departed(allocation, now)),
            Command::Arrive(allocation) => {
                let arrived = (!hail.is_over()).then_some(Event::Arrived(now));
                Ok(hail.departed(allocation, now).into_iter().chain(arrived).collect())
            }
            Command::Withdraw(cause) => match hail.state {
                State::Requested | State::Allocated => Ok(vec![Event::Cancelled(*cause, now)]),
                // Whatever ended the drive: the customer had asked for the cancellation.
                State::Cancelling => Ok(vec![Event::Cancelled(Cause::Customer, now)]),
                State::Cancelled(_) | State::UnderWay | State::Finished => Ok(vec![]),
            },
        }
    }

    fn evolve(hail: Option<Hail>, event: &Event) -> Hail {
        match (hail, event) {
            (_, Event::Requested(id, trip, now)) => Hail {
                id: *id,
                trip: trip.clone(),
                state: State::Requested,
                allocation: None,
                created_at: *now,
                updated_at: *now,
            },
            (Some(mut hail), event) => {
                hail.apply(event);
                hail
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a hail"),
        }
    }
}

impl Hail {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Cancelled(_) | State::Finished)
    }

    /// A driver accepted it. A customer who has cancelled meanwhile gets no message about it.
    fn allocated(&self, allocation: &Allocation, now: Timestamp) -> Vec<Event> {
        match self.state {
            State::Requested => vec![Event::Allocated(allocation.clone(), now)],
            _ => vec![],
        }
    }

    /// The drive started; this may be the first event that names the driver.
    fn departed(&self, allocation: &Allocation, now: Timestamp) -> Vec<Event> {
        let departed = Event::Departed(allocation.clone(), now);
        match self.state {
            State::Requested => vec![Event::Allocated(allocation.clone(), now), departed],
            State::Allocated => vec![departed],
            State::Cancelling => vec![departed, Event::CancellationRefused],
            State::Cancelled(_) | State::UnderWay | State::Finished => vec![],
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Requested(..) | Event::CancellationRefused => {}
            Event::Allocated(allocation, now) => {
                self.allocation = Some(allocation.clone());
                (self.state, self.updated_at) = (State::Allocated, *now);
            }
            Event::CancellationRequested(now) => (self.state, self.updated_at) = (State::Cancelling, *now),
            Event::Departed(allocation, now) => {
                self.allocation = Some(allocation.clone());
                (self.state, self.updated_at) = (State::UnderWay, *now);
            }
            Event::Arrived(now) => (self.state, self.updated_at) = (State::Finished, *now),
            Event::Cancelled(cause, now) => (self.state, self.updated_at) = (State::Cancelled(*cause), *now),
        }
    }
}
