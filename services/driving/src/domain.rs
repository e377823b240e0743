//! A drive and its legal transitions. Pure: no clock, no database, no network.
//!
//! A hail is offered as one drive, so only one driver can get it.
//!
//! ```text
//! (none) --Offer--> Offered --Accept--> Accepted --Start--> Started --Finish--> Finished
//!                    |  |                  |
//!                    |  +--Lapse--> Lapsed |                fare: Due --Paid--> Paid
//!                    +------CallOff--------+--> Cancelled           +--Refused--> Refused --Paid--> Paid
//!                                                                   +--Postpone, the last--> Uncollected --> Due, Paid
//! ```
//! `Decline` hides an offered drive from a driver. A `CallOff` after the start is refused, and the refusal is
//! published.

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Money, Place};
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a drive, made from its hail.
    DriveId = "drive";
    /// The id of a hail, assigned by `dispatch`. It is the id of the flow.
    HailId = "hail";
    /// The id of a payment, assigned by `payment`.
    PaymentId = "payment";
}

/// The drive for a hail.
pub fn drive_of(hail: HailId) -> DriveId {
    DriveId::derived_from(hail.uuid())
}

/// Drivers who can have declined one drive.
pub const MAX_DECLINED: usize = 1_000;

/// After this time the timer charges a finished drive that the call which finished it has not charged.
pub const COLLECT_FIRST: Duration = Duration::from_secs(10);

/// The pause before the next attempt to charge a fare: doubled each time, from 2 seconds to 5 minutes.
fn pause(attempt: u32) -> Duration {
    Duration::from_secs(2 << attempt.min(8)).min(Duration::from_secs(300))
}

/// What a ride costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tariff {
    /// The price of a whole minute.
    pub per_minute: Money,
}

impl Tariff {
    /// The fare of a drive: its whole minutes, at least one, at most what an amount can be.
    pub fn fare(&self, start: Timestamp, end: Timestamp) -> Money {
        let minutes = u32::try_from(end.since(start).as_secs() / 60).unwrap_or(u32::MAX).max(1);
        self.per_minute.times(minutes).unwrap_or(Money { minor: Money::MAX_MINOR, ..self.per_minute })
    }
}

/// A ride from the driver's side.
#[derive(Clone, Debug, PartialEq)]
pub struct Drive {
    /// Its id.
    pub id: DriveId,
    /// The hail that it is offered for.
    pub hail: HailId,
    /// The customer's trip; none while only a cancellation is known.
    pub trip: Option<Trip>,
    /// Its state.
    pub state: State,
    /// The driver.
    pub driver: Option<String>,
    /// Drivers who declined it.
    pub declined: BTreeSet<String>,
    /// The fare, once it is finished.
    pub fare: Option<Fare>,
    /// When it was offered.
    pub created_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was finished.
    pub finished_at: Option<Timestamp>,
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

/// States of a drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Drivers may accept it until then.
    Offered {
        /// When it lapses.
        until: Timestamp,
    },
    /// A driver is on the way.
    Accepted,
    /// The customer is in the car.
    Started,
    /// The customer has arrived.
    Finished,
    /// The customer cancelled.
    Cancelled,
    /// No driver accepted it in time.
    Lapsed,
}

/// The price of a drive, and the state of its payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fare {
    /// The amount: fixed when the drive was finished.
    pub amount: Money,
    /// Its state.
    pub state: FareState,
}

/// States of a fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FareState {
    /// It is to be charged.
    Due {
        /// Failed attempts so far.
        attempt: u32,
        /// When the next attempt is due.
        at: Timestamp,
    },
    /// It was paid by this payment.
    Paid(PaymentId),
    /// The card was declined; the customer pays through `payment`.
    Refused,
    /// The last attempt failed.
    Uncollected,
}

/// Commands of a drive.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A customer hailed a taxi.
    Offer {
        /// The hail.
        hail: HailId,
        /// The customer's trip.
        trip: Trip,
        /// For how long drivers may accept it.
        open_for: Duration,
    },
    /// The customer cancelled the hail.
    CallOff(HailId),
    /// The timer is due: end the offer if nobody accepted it in time.
    Lapse,
    /// A driver accepts it.
    Accept(String),
    /// A driver declines it.
    Decline(String),
    /// The customer boarded this driver's car.
    Start(String),
    /// This driver has brought the customer there.
    Finish(String, Tariff),
    /// The fare was paid.
    Paid(PaymentId),
    /// The card was declined.
    Refused,
    /// The fare could not be charged.
    Postpone {
        /// The attempt, counted from 0: two that ran at the same time count as one.
        attempt: u32,
        /// Attempts before it is given up.
        attempts: u32,
    },
    /// Try to charge a fare again that was given up.
    Retry,
    /// The timer is due: charge the fare. Decides nothing: `payment` is called first.
    Collect,
}

/// Events of a drive.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Drivers may accept it, until the second time.
    Offered(HailId, Trip, Timestamp, Timestamp),
    /// The cancellation arrived before the hail.
    Barred(HailId, Timestamp),
    /// A driver accepted it.
    Accepted(String, Timestamp),
    /// A driver declines it.
    Declined(String),
    /// The customer boarded.
    Started(Timestamp),
    /// The customer has arrived: it costs this; from the second time on the timer charges it.
    Finished(Money, Timestamp, Timestamp),
    /// The customer cancelled.
    Cancelled(Timestamp),
    /// The customer cancelled too late.
    CancellationRefused,
    /// No driver accepted it in time.
    Lapsed(Timestamp),
    /// The fare was paid.
    FarePaid(PaymentId, Timestamp),
    /// The card was declined.
    FareRefused(Timestamp),
    /// The next attempt to charge the fare is due at this time.
    FarePostponed(Timestamp),
    /// There are no more attempts to charge the fare.
    FareUncollected(Timestamp),
    /// The fare is charged again, from this time on.
    FareReopened(Timestamp),
}

/// Why a command of a drive is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such drive")]
    NoSuchDrive,
    #[error("a driver has taken it already")]
    DriveTaken,
    #[error("the customer is the driver: nobody drives themselves")]
    OwnHail,
    #[error("nobody has accepted it yet")]
    DriveNotAccepted,
    #[error("the customer cancelled it")]
    DriveCancelled,
    #[error("no driver took it in time, so it is no longer offered")]
    DriveLapsed,
    #[error("the drive has not started yet")]
    DriveNotStarted,
    #[error("the drive is not finished, so it has no fare yet")]
    DriveNotFinished,
    #[error("the drive is finished already")]
    DriveFinished,
    #[error("{MAX_DECLINED} drivers have declined it, which is the most that are noted")]
    TooManyDeclined,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchDrive => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchDrive => "DRIVE_NOT_FOUND",
            Refusal::DriveTaken => "DRIVE_TAKEN",
            Refusal::OwnHail => "OWN_HAIL",
            Refusal::DriveNotAccepted => "DRIVE_NOT_ACCEPTED",
            Refusal::DriveCancelled => "DRIVE_CANCELLED",
            Refusal::DriveLapsed => "DRIVE_LAPSED",
            Refusal::DriveNotStarted => "DRIVE_NOT_STARTED",
            Refusal::DriveNotFinished => "DRIVE_NOT_FINISHED",
            Refusal::DriveFinished => "DRIVE_FINISHED",
            Refusal::TooManyDeclined => "TOO_MANY_DECLINED",
        }
    }
}

impl Aggregate for Drive {
    const NAME: &'static str = "drive";
    type Id = DriveId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(drive: Option<&Drive>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(drive) = drive else {
            return match command {
                Command::Offer { hail, trip, open_for } => {
                    Ok(vec![Event::Offered(*hail, trip.clone(), now, now + *open_for)])
                }
                Command::CallOff(hail) => Ok(vec![Event::Barred(*hail, now)]),
                _ => Err(Refusal::NoSuchDrive),
            };
        };
        match command {
            Command::Offer { .. } | Command::Collect => Ok(vec![]),
            Command::CallOff(_) => Ok(match drive.state {
                State::Offered { .. } | State::Accepted => vec![Event::Cancelled(now)],
                State::Started | State::Finished => vec![Event::CancellationRefused],
                State::Cancelled | State::Lapsed => vec![],
            }),
            Command::Lapse => Ok(match drive.state {
                State::Offered { until } if until <= now => vec![Event::Lapsed(now)],
                _ => vec![],
            }),
            Command::Accept(driver) => drive.decide_accept(driver, now),
            Command::Decline(driver) => drive.decide_decline(driver),
            Command::Start(driver) | Command::Finish(driver, _) if drive.is_anothers(driver) => {
                Err(Refusal::NoSuchDrive)
            }
            Command::Start(_) => match drive.state {
                State::Accepted => Ok(vec![Event::Started(now)]),
                State::Started => Ok(vec![]),
                State::Finished => Err(Refusal::DriveFinished),
                _ => Err(drive.not_mine()),
            },
            Command::Finish(_, tariff) => match (drive.state, drive.started_at) {
                (State::Started, Some(start)) => {
                    Ok(vec![Event::Finished(tariff.fare(start, now), now, now + COLLECT_FIRST)])
                }
                (State::Finished, _) => Ok(vec![]),
                (State::Accepted, _) => Err(Refusal::DriveNotStarted),
                _ => Err(drive.not_mine()),
            },
            Command::Paid(_) | Command::Refused | Command::Postpone { .. } | Command::Retry => {
                let fare = drive.fare.ok_or(Refusal::DriveNotFinished)?;
                Ok(fare.state.decide(command, now))
            }
        }
    }

    fn evolve(drive: Option<Drive>, event: &Event) -> Drive {
        let first = |hail: HailId, trip: Option<Trip>, state: State, now: Timestamp| Drive {
            id: drive_of(hail),
            hail,
            trip,
            state,
            driver: None,
            declined: BTreeSet::new(),
            fare: None,
            created_at: now,
            accepted_at: None,
            started_at: None,
            finished_at: None,
            updated_at: now,
        };
        match (drive, event) {
            (_, Event::Offered(hail, trip, now, until)) => {
                first(*hail, Some(trip.clone()), State::Offered { until: *until }, *now)
            }
            (_, Event::Barred(hail, now)) => first(*hail, None, State::Cancelled, *now),
            (Some(mut drive), event) => {
                drive.apply(event);
                drive
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a drive"),
        }
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        match (self.state, self.fare) {
            (State::Offered { until }, _) => Some((until, Command::Lapse)),
            (State::Finished, Some(Fare { state: FareState::Due { at, .. }, .. })) => Some((at, Command::Collect)),
            _ => None,
        }
    }
}

impl Drive {
    /// Whether another driver has it, or had it: then it is hidden from this one.
    fn is_anothers(&self, driver: &str) -> bool {
        self.driver.as_deref().is_some_and(|owner| owner != driver)
    }

    /// The refusal for a step of a drive that has no driver.
    fn not_mine(&self) -> Refusal {
        match self.state {
            State::Cancelled => Refusal::DriveCancelled,
            State::Lapsed => Refusal::DriveLapsed,
            State::Offered { .. } => Refusal::DriveNotAccepted,
            State::Accepted | State::Started | State::Finished => Refusal::DriveTaken,
        }
    }

    fn decide_accept(&self, driver: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.state {
            State::Offered { until } if until <= now => Err(Refusal::DriveLapsed),
            State::Offered { .. } if self.trip.as_ref().is_some_and(|trip| trip.customer == driver) => {
                Err(Refusal::OwnHail)
            }
            State::Offered { .. } => Ok(vec![Event::Accepted(driver.to_owned(), now)]),
            State::Accepted | State::Started | State::Finished if self.driver.as_deref() == Some(driver) => Ok(vec![]),
            _ => Err(self.not_mine()),
        }
    }

    fn decide_decline(&self, driver: &str) -> Result<Vec<Event>, Refusal> {
        match self.state {
            State::Offered { .. } if self.declined.contains(driver) => Ok(vec![]),
            State::Offered { .. } if self.declined.len() >= MAX_DECLINED => Err(Refusal::TooManyDeclined),
            State::Offered { .. } => Ok(vec![Event::Declined(driver.to_owned())]),
            _ => Err(self.not_mine()),
        }
    }

    fn apply(&mut self, event: &Event) {
        match event {
            Event::Offered(..) | Event::Barred(..) | Event::CancellationRefused => {}
            Event::Declined(driver) => {
                self.declined.insert(driver.clone());
            }
            Event::Accepted(driver, now) => {
                self.driver = Some(driver.clone());
                (self.state, self.accepted_at) = (State::Accepted, Some(*now));
            }
            Event::Started(now) => (self.state, self.started_at) = (State::Started, Some(*now)),
            Event::Finished(amount, now, at) => {
                let state = FareState::Due { attempt: 0, at: *at };
                self.fare = Some(Fare { amount: *amount, state });
                (self.state, self.finished_at) = (State::Finished, Some(*now));
            }
            Event::Cancelled(_) => self.state = State::Cancelled,
            Event::Lapsed(_) => self.state = State::Lapsed,
            Event::FarePaid(..)
            | Event::FareRefused(_)
            | Event::FarePostponed(_)
            | Event::FareUncollected(_)
            | Event::FareReopened(_) => {
                if let Some(fare) = &mut self.fare {
                    fare.state = fare.state.after(event);
                }
            }
        }
        if !matches!(self.state, State::Offered { .. }) {
            // The list of those who declined is needed only while it is offered.
            self.declined.clear();
        }
        if let Some(now) = event.time() {
            self.updated_at = now;
        }
    }
}

impl FareState {
    /// Failed attempts, while it is due.
    pub fn attempt(self) -> u32 {
        if let FareState::Due { attempt, .. } = self { attempt } else { 0 }
    }

    /// The payment that paid it.
    pub fn payment(self) -> Option<PaymentId> {
        if let FareState::Paid(payment) = self { Some(payment) } else { None }
    }

    /// Decides about the fare. A late answer, or that of a concurrent attempt, decides nothing.
    fn decide(self, command: &Command, now: Timestamp) -> Vec<Event> {
        match (self, command) {
            (FareState::Paid(_), _) => vec![],
            (_, Command::Paid(payment)) => vec![Event::FarePaid(*payment, now)],
            (FareState::Due { .. }, Command::Refused) => vec![Event::FareRefused(now)],
            (FareState::Due { attempt, .. }, Command::Postpone { attempt: failed, attempts }) if attempt == *failed => {
                let is_last = attempt + 1 >= *attempts;
                vec![if is_last { Event::FareUncollected(now) } else { Event::FarePostponed(now + pause(attempt)) }]
            }
            (FareState::Uncollected, Command::Retry) => vec![Event::FareReopened(now + COLLECT_FIRST)],
            _ => vec![],
        }
    }

    fn after(self, event: &Event) -> FareState {
        match (self, event) {
            (_, Event::FarePaid(payment, _)) => FareState::Paid(*payment),
            (_, Event::FareRefused(_)) => FareState::Refused,
            (_, Event::FareUncollected(_)) => FareState::Uncollected,
            (_, Event::FareReopened(at)) => FareState::Due { attempt: 0, at: *at },
            (FareState::Due { attempt, .. }, Event::FarePostponed(at)) => {
                FareState::Due { attempt: attempt + 1, at: *at }
            }
            (state, _) => state,
        }
    }
}

impl Event {
    fn time(&self) -> Option<Timestamp> {
        match self {
            Event::Offered(_, _, now, _)
            | Event::Barred(_, now)
            | Event::Accepted(_, now)
            | Event::Started(now)
            | Event::Finished(_, now, _)
            | Event::Cancelled(now)
            | Event::Lapsed(now)
            | Event::FarePaid(_, now)
            | Event::FareRefused(now)
            | Event::FareUncollected(now) => Some(*now),
            Event::Declined(_) | Event::CancellationRefused | Event::FarePostponed(_) | Event::FareReopened(_) => None,
        }
    }
}
