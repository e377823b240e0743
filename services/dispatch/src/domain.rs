//! A hail and its legal transitions. Pure: no clock, no database, no network.
//!
//! Only `driving` knows whether a drive has started, so it decides about a cancellation: the customer's request
//! (`Cancel`) is forwarded to it, and its events answer (`Withdraw` or `Depart`).
//!
//! ```text
//! (none) --Request--> Requested --Allocate--> Allocated --Depart--> UnderWay --Arrive--> Finished
//!                        |  |     ^---Release----+   |                  ^
//!                        |  +------Cancel--------+---)--> Cancelling ---+ Depart, Insist
//!                        |                           |        |
//!                        +---------Withdraw----------+--------+--> Cancelled
//! ```
//! A customer has one open hail, and none while a fare is owed ([`Aggregate::quotas`]).

use chassis::error::RefusalCode;
use chassis::values::{Intervention, Place};
use chassis::{Aggregate, Quota, Timestamp};

chassis::ids! {
    /// The id of a hail. It is the id of the flow.
    HailId = "hail";
    /// The id of a drive, assigned by `driving`.
    DriveId = "drive";
}

/// The resources of a customer: hails that are not over, and fares that they were charged and have not paid.
pub const OPEN_HAILS: &str = "open hails";
/// See [`OPEN_HAILS`].
pub const OWED_FARES: &str = "owed fares";

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
    /// The sequence of the newest event of the drive about who has it.
    pub drive_sequence: i64,
    /// The customer was charged the fare and has not paid it.
    pub fare_owed: bool,
    /// The sequence of the event of the drive that said so.
    pub fare_sequence: i64,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
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
    /// The code that the customer tells the driver; empty in hails from before there were codes.
    pub start_code: String,
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
    /// The customer did not come.
    NoShow,
    /// Staff cancelled it.
    Staff,
}

/// Commands of a hail.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer hails a taxi, and may have so many open hails.
    Request(HailId, Trip, usize),
    /// The customer cancels it.
    Cancel,
    /// A driver accepted it; with the sequence of that event.
    Allocate(Allocation, i64),
    /// The driver won't come; with the sequence of that event.
    Release(i64),
    /// The drive started.
    Depart(Allocation),
    /// The drive is over.
    Arrive(Allocation),
    /// There will be no drive.
    Withdraw(Cause),
    /// Whether the customer owes the fare; with the sequence of that event.
    NoteFare(bool, i64),
    /// What staff did about the drive.
    NoteIntervention(Intervention),
    /// The drive had started before the cancellation came.
    Insist(Allocation),
}

/// Events of a hail.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A customer hailed a taxi.
    Requested(HailId, Trip, Timestamp),
    /// A driver is on the way; by the event of the drive with this sequence, as in those that follow.
    Allocated(Allocation, i64, Timestamp),
    /// A driver had accepted it when the customer cancelled.
    DriverNoted(Allocation, i64),
    /// The driver won't come.
    Released(i64, Timestamp),
    /// A driver who was not known won't come.
    ReleaseNoted(i64),
    /// Whether the customer owes the fare.
    FareNoted(bool, i64),
    /// What staff did.
    Intervened(Intervention),
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
    /// The customer has as many hails as they may have.
    #[error("you have an open hail: cancel it, or wait until it is over")]
    TooManyHails,
    /// A fare is not paid.
    #[error("you owe a fare: pay it through `payment`, then hail")]
    FareOwed,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchHail => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchHail => "HAIL_NOT_FOUND",
            Refusal::DriveStarted => "DRIVE_STARTED",
            Refusal::DriveFinished => "DRIVE_FINISHED",
            Refusal::TooManyHails => "TOO_MANY_HAILS",
            Refusal::FareOwed => "FARE_OWED",
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
                Command::Request(id, trip, _) => Ok(vec![Event::Requested(*id, trip.clone(), now)]),
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
            Command::Allocate(allocation, sequence) => Ok(hail.allocated(allocation, *sequence, now)),
            Command::Release(sequence) => Ok(hail.released(*sequence, now)),
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
            Command::NoteFare(owed, sequence) => {
                let is_news = *sequence > hail.fare_sequence;
                Ok(is_news.then_some(Event::FareNoted(*owed, *sequence)).into_iter().collect())
            }
            Command::NoteIntervention(intervention) => {
                let known = hail.intervention.as_ref();
                let is_news = known.is_none_or(|known| known.at < intervention.at);
                Ok(is_news.then(|| Event::Intervened(intervention.clone())).into_iter().collect())
            }
        }
    }

    fn evolve(hail: Option<Hail>, event: &Event) -> Hail {
        match (hail, event) {
            (_, Event::Requested(id, trip, now)) => Hail {
                id: *id,
                trip: trip.clone(),
                state: State::Requested,
                allocation: None,
                drive_sequence: 0,
                fare_owed: false,
                fare_sequence: 0,
                intervention: None,
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

    fn quotas(command: &Command) -> Vec<Quota<Refusal>> {
        let Command::Request(_, Trip { customer, .. }, open) = command else { return vec![] };
        let (subject, refusal) = (customer.clone(), Refusal::FareOwed);
        let owed = Quota { resource: OWED_FARES, subject, limit: 1, takes: false, refusal };
        let (subject, refusal) = (customer.clone(), Refusal::TooManyHails);
        vec![owed, Quota { resource: OPEN_HAILS, subject, limit: *open, takes: true, refusal }]
    }
}

impl Hail {
    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Cancelled(_) | State::Finished)
    }

    /// A driver accepted it. A customer who has cancelled meanwhile gets no message about it.
    fn allocated(&self, allocation: &Allocation, sequence: i64, now: Timestamp) -> Vec<Event> {
        match self.state {
            _ if sequence <= self.drive_sequence => vec![],
            State::Requested => vec![Event::Allocated(allocation.clone(), sequence, now)],
            State::Cancelling | State::Cancelled(_) => vec![Event::DriverNoted(allocation.clone(), sequence)],
            // The release before it has not come yet.
            State::Allocated if self.allocation.as_ref() != Some(allocation) => {
                vec![Event::Allocated(allocation.clone(), sequence, now)]
            }
            // Departed or arrived: the driver is known.
            State::Allocated | State::UnderWay | State::Finished => vec![],
        }
    }

    /// The driver won't come, whoever it was: an older acceptance that comes later counts no more.
    fn released(&self, sequence: i64, now: Timestamp) -> Vec<Event> {
        match self.state {
            _ if sequence <= self.drive_sequence => vec![],
            State::Allocated => vec![Event::Released(sequence, now)],
            _ => vec![Event::ReleaseNoted(sequence)],
        }
    }

    /// The drive started; this may be the first event that names the driver.
    fn departed(&self, allocation: &Allocation, now: Timestamp) -> Vec<Event> {
        let departed = Event::Departed(allocation.clone(), now);
        match self.state {
            State::Requested => {
                vec![Event::Allocated(allocation.clone(), self.drive_sequence, now), departed]
            }
            State::Allocated => vec![departed],
            State::Cancelling => vec![departed, Event::CancellationRefused],
            State::Cancelled(_) | State::UnderWay | State::Finished => vec![],
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Requested(..) | Event::CancellationRefused => {}
            Event::Allocated(allocation, sequence, now) => {
                (self.allocation, self.drive_sequence) = (Some(allocation.clone()), *sequence);
                (self.state, self.updated_at) = (State::Allocated, *now);
            }
            Event::DriverNoted(allocation, sequence) => {
                (self.allocation, self.drive_sequence) = (Some(allocation.clone()), *sequence);
            }
            Event::Released(sequence, now) => {
                (self.allocation, self.drive_sequence) = (None, *sequence);
                (self.state, self.updated_at) = (State::Requested, *now);
            }
            Event::ReleaseNoted(sequence) => self.drive_sequence = *sequence,
            Event::FareNoted(owed, sequence) => (self.fare_owed, self.fare_sequence) = (*owed, *sequence),
            Event::Intervened(intervention) => self.intervention = Some(intervention.clone()),
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
