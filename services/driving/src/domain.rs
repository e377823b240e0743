//! A drive and its legal transitions. Pure: no clock, no database, no network.
//!
//! A hail is offered as one drive, so only one driver can get it.
//!
//! ```text
//! (none) --Offer--> Offered --Accept--> Accepted --Start--> Started --Finish--> Finished
//!                    |  | ^----Release-----+
//!                    |  |                  |
//!                    |  +--Lapse--> Lapsed |                fare: Due --Paid--> Paid
//!                    +--CallOff, Cancel----+--> Cancelled           +--Refused--> Refused --Paid--> Paid
//!                                                                   +--Postpone, the last--> Uncollected --> Due, Paid
//! ```
//! `Decline` hides an offered drive from a driver, and so does their own `Release`. A `CallOff` after the start is
//! refused, and the refusal is published. Staff act in a driver's place, and say why: their event comes before that of
//! what they did. A driver has one drive at a time.

mod messages;

use std::collections::BTreeSet;
use std::time::Duration;

use chassis::values::{Intervention, Money, Place};
use chassis::{Aggregate, Quota, Timestamp};

pub use self::messages::{Command, Event, Refusal};

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

/// Wrong start codes before only staff can start a drive.
pub const MAX_WRONG_CODES: u32 = 5;

/// The resource that a driver has one of: a drive that they accepted and did not end.
pub const DRIVING: &str = "drive under way";

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
    /// Start codes that the driver gave and that were wrong.
    pub wrong_codes: u32,
    /// The fare, once it is finished.
    pub fare: Option<Fare>,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// When it is overdue, while a driver has it.
    pub overdue_at: Option<Timestamp>,
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
    /// The code that the customer tells the driver; empty in hails from before there were codes.
    pub start_code: String,
}

/// Who takes a step of a drive.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// This driver.
    Driver(String),
    /// Staff, in the driver's place.
    Staff(Intervention),
}

/// Why a drive was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The customer cancelled the hail.
    Customer,
    /// The customer did not come.
    NoShow,
    /// Staff cancelled it.
    Staff,
}

/// How long the parts of a drive may take, from the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long drivers may accept it.
    pub offered: Duration,
    /// From the acceptance until it is overdue.
    pub accepted: Duration,
    /// From the start until it is overdue.
    pub started: Duration,
    /// From the acceptance until the driver may say that the customer did not come.
    pub no_show: Duration,
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
    /// It was cancelled.
    Cancelled(Cause),
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
                State::Offered { .. } | State::Accepted => vec![Event::Cancelled(Cause::Customer, now)],
                State::Started | State::Finished => vec![Event::CancellationRefused],
                State::Cancelled(_) | State::Lapsed => vec![],
            }),
            Command::Lapse => Ok(match drive.state {
                State::Offered { until } if until <= now => vec![Event::Lapsed(now)],
                _ => vec![],
            }),
            Command::Accept(driver, limits) => drive.decide_accept(driver, limits, now),
            Command::Decline(driver) => drive.decide_decline(driver),
            Command::Release(by, _) | Command::Cancel(by, _) | Command::Start(by, ..) | Command::Finish { by, .. } => {
                if matches!(by, By::Driver(driver) if drive.is_anothers(driver)) {
                    return Err(Refusal::NoSuchDrive);
                }
                let decided = drive.decide_step(command, now)?;
                Ok(match by {
                    By::Staff(intervention) if !decided.is_empty() => {
                        [vec![Event::Intervened(intervention.clone())], decided].concat()
                    }
                    _ => decided,
                })
            }
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
            wrong_codes: 0,
            fare: None,
            intervention: None,
            overdue_at: None,
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
            (_, Event::Barred(hail, now)) => first(*hail, None, State::Cancelled(Cause::Customer), *now),
            (Some(mut drive), event) => {
                drive.apply(event);
                drive
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a drive"),
        }
    }

    fn quotas(command: &Command) -> Vec<Quota<Refusal>> {
        let Command::Accept(driver, _) = command else { return vec![] };
        let (subject, refusal) = (driver.clone(), Refusal::AlreadyDriving);
        vec![Quota { resource: DRIVING, subject, limit: 1, takes: true, refusal }]
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
            State::Cancelled(_) => Refusal::DriveCancelled,
            State::Lapsed => Refusal::DriveLapsed,
            State::Offered { .. } => Refusal::DriveNotAccepted,
            State::Accepted | State::Started | State::Finished => Refusal::DriveTaken,
        }
    }

    /// Decides a step that the driver of the drive takes, or staff in their place.
    fn decide_step(&self, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match (command, self.state) {
            (Command::Release(_, limits), State::Accepted) => {
                Ok(vec![Event::Released(self.driver.clone().unwrap_or_default(), now, now + limits.offered)])
            }
            (Command::Release(..) | Command::Cancel(..), State::Started) => Err(Refusal::DriveStarted),
            (Command::Release(..) | Command::Cancel(..) | Command::Start(..), State::Finished) => {
                Err(Refusal::DriveFinished)
            }
            (Command::Cancel(_, _), State::Cancelled(_)) => Ok(vec![]),
            (Command::Cancel(By::Staff(_), _), State::Offered { .. } | State::Accepted) => {
                Ok(vec![Event::Cancelled(Cause::Staff, now)])
            }
            (Command::Cancel(By::Driver(_), limits), State::Accepted) => {
                let since = self.accepted_at.unwrap_or(now);
                if now < since + limits.no_show {
                    return Err(Refusal::CustomerMayCome((since + limits.no_show).since(now)));
                }
                Ok(vec![Event::Cancelled(Cause::NoShow, now)])
            }
            (Command::Start(by, code, limits), State::Accepted) => self.decide_start(by, code, limits, now),
            (Command::Start(..), State::Started) | (Command::Finish { .. }, State::Finished) => Ok(vec![]),
            (Command::Finish { by, tariff, fare }, State::Started) => {
                let set = fare.filter(|_| matches!(by, By::Staff(_)));
                if set.is_some_and(|fare| fare.currency != tariff.per_minute.currency) {
                    return Err(Refusal::OtherCurrency(tariff.per_minute.currency));
                }
                let fare = set.unwrap_or_else(|| tariff.fare(self.started_at.unwrap_or(now), now));
                Ok(vec![Event::Finished(fare, now, now + COLLECT_FIRST)])
            }
            (Command::Finish { .. }, State::Accepted) => Err(Refusal::DriveNotStarted),
            _ => Err(self.not_mine()),
        }
    }

    fn decide_start(&self, by: &By, code: &str, limits: &Limits, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let right = self.trip.as_ref().map_or("", |trip| &trip.start_code);
        match by {
            By::Driver(_) if !right.is_empty() && self.wrong_codes >= MAX_WRONG_CODES => {
                Err(Refusal::TooManyStartCodes)
            }
            By::Driver(_) if !right.is_empty() && code != right => Ok(vec![Event::CodeRefused]),
            _ => Ok(vec![Event::Started(now, now + limits.started)]),
        }
    }

    fn decide_accept(&self, driver: &str, limits: &Limits, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.state {
            State::Offered { until } if until <= now => Err(Refusal::DriveLapsed),
            State::Offered { .. } if self.trip.as_ref().is_some_and(|trip| trip.customer == driver) => {
                Err(Refusal::OwnHail)
            }
            State::Offered { .. } => Ok(vec![Event::Accepted(driver.to_owned(), now, now + limits.accepted)]),
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
            Event::Intervened(intervention) => self.intervention = Some(intervention.clone()),
            Event::Declined(driver) => {
                self.declined.insert(driver.clone());
            }
            Event::Accepted(driver, now, overdue) => {
                self.driver = Some(driver.clone());
                (self.state, self.accepted_at) = (State::Accepted, Some(*now));
                (self.overdue_at, self.wrong_codes) = (Some(*overdue), 0);
            }
            Event::Released(driver, _, until) => {
                self.declined.insert(driver.clone());
                (self.state, self.driver) = (State::Offered { until: *until }, None);
                (self.accepted_at, self.overdue_at) = (None, None);
            }
            Event::CodeRefused => self.wrong_codes += 1,
            Event::Started(now, overdue) => {
                (self.state, self.started_at, self.overdue_at) = (State::Started, Some(*now), Some(*overdue));
            }
            Event::Finished(amount, now, at) => {
                let state = FareState::Due { attempt: 0, at: *at };
                self.fare = Some(Fare { amount: *amount, state });
                (self.state, self.finished_at, self.overdue_at) = (State::Finished, Some(*now), None);
            }
            Event::Cancelled(cause, _) => (self.state, self.overdue_at) = (State::Cancelled(*cause), None),
            Event::Lapsed(_) => self.state = State::Lapsed,
            Event::FarePaid(..)
            | Event::ArrearsPaid(..)
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
            (FareState::Refused | FareState::Uncollected, Command::Paid(payment)) => {
                vec![Event::ArrearsPaid(*payment, now)]
            }
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
            (_, Event::FarePaid(payment, _) | Event::ArrearsPaid(payment, _)) => FareState::Paid(*payment),
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
