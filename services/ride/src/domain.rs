//! A rider: the rides and the bills in arrears of a customer, and the legal transitions. Pure: no clock, no database,
//! no network.
//!
//! Whether a customer may rent depends on all of their rides and bills, so the rider is the aggregate. It holds the
//! rides in progress, the bills in arrears, and those that a command is about, not its history.
//!
//! ```text
//! (none) --Start--> Started --Return--> Returned
//!   |  ^               |                   |
//!   |  |Start          +-------Void--------+--> Voided
//!   |  |
//!   +--Expect--> Expected --too long--> Abandoned
//!   +--Abandon---------------------------^
//! ```
//! A bike is taken before its ride starts. The event of the bike leads to `Expect`: if the call that took the bike
//! ended early, the ride is abandoned after a while, and the bike is free again.

use std::collections::BTreeMap;
use std::time::Duration;

use chassis::error::RefusalCode;
use chassis::values::{Intervention, Place};
use chassis::{Aggregate, EventId, Id, Timestamp};

chassis::ids! {
    /// The id of a rider, made from the customer.
    RiderId = "rider";
    /// The id of a ride. It is the id of the flow.
    RideId = "ride";
    /// The id of a bike, assigned by `bike`.
    BikeId = "bike";
    /// The id of a bill, assigned by `billing`.
    BillId = "bill";
}

/// The rider of a customer.
pub fn rider_of(customer: &str) -> RiderId {
    Id::derived_from(chassis::ids::hash(&[customer.as_bytes()]))
}

/// How long after its bike was taken a ride must start: much longer than any call takes.
pub const EXPECTED_FOR: Duration = Duration::from_secs(30);

/// A customer as a rider.
#[derive(Clone, Debug, PartialEq)]
pub struct Rider {
    /// The subject of the customer.
    pub customer: String,
    /// The rides in progress, and those that a command is about.
    pub rides: BTreeMap<RideId, Ride>,
    /// The bills in arrears, and those that a command is about.
    pub bills: BTreeMap<BillId, Standing>,
}

/// A ride.
#[derive(Clone, Debug, PartialEq)]
pub struct Ride {
    /// The bike.
    pub bike: Taken,
    /// Its state.
    pub state: State,
    /// When it started; for a ride that never did, when its first event was processed.
    pub started_at: Timestamp,
    /// What staff did about it last.
    pub intervention: Option<Intervention>,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its last published event: the cause of what its timer does.
    pub last_event: Option<EventId>,
}

/// A bike that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// The id of the bike.
    pub bike: BikeId,
    /// The name painted on it.
    pub name: String,
    /// Where it was taken.
    pub from: Place,
}

/// States of a ride.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// The bike was taken; the ride has not started yet.
    Expected {
        /// When the ride is abandoned.
        until: Timestamp,
    },
    /// In progress.
    Started,
    /// The bike was left there.
    Returned(Place, Timestamp),
    /// The bike could not be given back: the ride costs nothing.
    Voided(Timestamp),
    /// It never started.
    Abandoned,
}

impl State {
    /// When it is abandoned, unless it starts before.
    pub fn until(&self) -> Option<Timestamp> {
        if let State::Expected { until } = self { Some(*until) } else { None }
    }

    /// Where the bike was left.
    pub fn to(&self) -> Option<&Place> {
        if let State::Returned(place, _) = self { Some(place) } else { None }
    }

    /// When it ended.
    pub fn ended_at(&self) -> Option<Timestamp> {
        if let State::Returned(_, at) | State::Voided(at) = self { Some(*at) } else { None }
    }

    /// Whether it is in progress or may still start.
    pub fn is_open(&self) -> bool {
        matches!(self, State::Expected { .. } | State::Started)
    }

    /// Whether it ever started: only then it is visible and published.
    pub fn is_known(&self) -> bool {
        !matches!(self, State::Expected { .. } | State::Abandoned)
    }
}

/// The state of a bill, by its newest event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The deposit did not suffice.
    pub in_arrears: bool,
    /// The sequence of that event.
    pub sequence: i64,
}

/// Commands of a rider.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The customer starts a ride with a bike.
    Start {
        /// The subject of the customer.
        customer: String,
        /// The ride.
        ride: RideId,
        /// The bike.
        bike: Taken,
        /// How many bikes a customer may ride at once.
        at_once: usize,
    },
    /// A bike was taken for a ride: it must start soon.
    Expect(String, RideId, Taken),
    /// The ride can't start, or its bike is gone before it did.
    Abandon(String, RideId, Taken),
    /// The timer is due: abandon the rides that did not start in time.
    GiveUp,
    /// The customer left the bike there; they say so, or staff in their place.
    Return(RideId, Place, Option<Intervention>),
    /// The bike was written off, or could not be given back.
    Void(RideId),
    /// The state of a bill of the customer.
    Note(String, BillId, Standing),
}

/// Events of a rider.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A ride started.
    Started(String, RideId, Taken, Timestamp),
    /// A ride should start until the second time.
    Expected(String, RideId, Taken, Timestamp, Timestamp),
    /// A ride never started.
    Abandoned(String, RideId, Taken, Timestamp),
    /// Staff act in the customer's place: what they did follows.
    Intervened(RideId, Intervention),
    /// A bike was left there.
    Returned(RideId, Place, Timestamp),
    /// A ride costs nothing.
    Voided(RideId, Timestamp),
    /// The state of a bill changed.
    Noted(String, BillId, Standing),
}

/// Why a command of a rider is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such ride")]
    NoSuchRide,
    #[error("the deposit did not suffice for the last bill: top it up, which settles the bill, then rent")]
    BillInArrears,
    #[error("one customer can ride {0} bikes at once")]
    TooManyRides(usize),
    #[error("the ride is over: a new one takes a new request")]
    RideOver,
    #[error("the bike was written off meanwhile: the ride costs nothing")]
    RideVoided,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchRide => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchRide => "RIDE_NOT_FOUND",
            Refusal::BillInArrears => "BILL_IN_ARREARS",
            Refusal::TooManyRides(_) => "TOO_MANY_RIDES",
            Refusal::RideOver => "RIDE_OVER",
            Refusal::RideVoided => "RIDE_VOIDED",
        }
    }
}

impl Aggregate for Rider {
    const NAME: &'static str = "rider";
    type Id = RiderId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(rider: Option<&Rider>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let known = |ride: &RideId| rider.and_then(|rider| rider.rides.get(ride));
        match command {
            Command::Start { customer, ride, bike, at_once } => match known(ride).map(|ride| &ride.state) {
                None | Some(State::Expected { .. }) => {
                    rider.map_or(Ok(()), |rider| rider.may_ride(Some(*ride), *at_once))?;
                    Ok(vec![Event::Started(customer.clone(), *ride, bike.clone(), now)])
                }
                Some(State::Started) => Ok(vec![]),
                Some(_) => Err(Refusal::RideOver),
            },
            Command::Expect(customer, ride, bike) => Ok(match known(ride) {
                None => vec![Event::Expected(customer.clone(), *ride, bike.clone(), now, now + EXPECTED_FOR)],
                Some(_) => vec![],
            }),
            Command::Abandon(customer, ride, bike) => Ok(match known(ride).map(|ride| &ride.state) {
                None | Some(State::Expected { .. }) => {
                    vec![Event::Abandoned(customer.clone(), *ride, bike.clone(), now)]
                }
                Some(_) => vec![],
            }),
            Command::GiveUp => Ok(rider.into_iter().flat_map(|rider| rider.given_up(now)).collect()),
            Command::Return(id, place, by) => match known(id).map(|ride| &ride.state) {
                None | Some(State::Expected { .. } | State::Abandoned) => Err(Refusal::NoSuchRide),
                Some(State::Started) => {
                    let intervened = by.iter().map(|by| Event::Intervened(*id, by.clone()));
                    Ok(intervened.chain([Event::Returned(*id, place.clone(), now)]).collect())
                }
                Some(State::Returned(..)) => Ok(vec![]),
                Some(State::Voided(_)) => Err(Refusal::RideVoided),
            },
            Command::Void(id) => Ok(match known(id).map(|ride| &ride.state) {
                Some(State::Started | State::Returned(..)) => vec![Event::Voided(*id, now)],
                _ => vec![],
            }),
            Command::Note(customer, bill, standing) => {
                let newest = rider.and_then(|rider| rider.bills.get(bill)).map_or(0, |known| known.sequence);
                let is_news = standing.sequence > newest;
                Ok(is_news.then(|| Event::Noted(customer.clone(), *bill, *standing)).into_iter().collect())
            }
        }
    }

    fn evolve(rider: Option<Rider>, event: &Event) -> Rider {
        let mut rider = match (rider, event) {
            (Some(rider), _) => rider,
            (
                None,
                Event::Started(customer, ..)
                | Event::Expected(customer, ..)
                | Event::Abandoned(customer, ..)
                | Event::Noted(customer, ..),
            ) => Rider { customer: customer.clone(), rides: BTreeMap::new(), bills: BTreeMap::new() },
            (None, event) => unreachable!("{event:?} can't be the first event of a rider"),
        };
        rider.apply(event);
        rider
    }

    fn due_at(&self) -> Option<(Timestamp, Command)> {
        self.rides.values().filter_map(|ride| ride.state.until()).min().map(|at| (at, Command::GiveUp))
    }
}

impl Rider {
    /// Whether the customer may ride one more bike: this one, if it is expected already. Bikes that were taken for rides
    /// that have not started yet count, too: others can't take them.
    pub fn may_ride(&self, this: Option<RideId>, at_once: usize) -> Result<(), Refusal> {
        if self.bills.values().any(|bill| bill.in_arrears) {
            return Err(Refusal::BillInArrears);
        }
        let others = self.rides.iter().filter(|(id, ride)| Some(**id) != this && ride.state.is_open());
        let under_way = others.count();
        if under_way >= at_once { Err(Refusal::TooManyRides(at_once)) } else { Ok(()) }
    }

    fn given_up(&self, now: Timestamp) -> impl Iterator<Item = Event> + '_ {
        let is_over = move |ride: &Ride| matches!(ride.state, State::Expected { until } if until <= now);
        let over = self.rides.iter().filter(move |(_, ride)| is_over(ride));
        over.map(move |(id, ride)| Event::Abandoned(self.customer.clone(), *id, ride.bike.clone(), now))
    }

    fn apply(&mut self, event: &Event) {
        let ride = |bike: &Taken, state: State, now: Timestamp, last_event: Option<EventId>| Ride {
            bike: bike.clone(),
            state,
            started_at: now,
            intervention: None,
            updated_at: now,
            last_event,
        };
        match event {
            Event::Started(_, id, bike, now) => {
                let last_event = self.rides.get(id).and_then(|known| known.last_event);
                self.rides.insert(*id, ride(bike, State::Started, *now, last_event));
            }
            Event::Expected(_, id, bike, now, until) => {
                self.rides.insert(*id, ride(bike, State::Expected { until: *until }, *now, None));
            }
            Event::Abandoned(_, id, bike, now) => {
                let last_event = self.rides.get(id).and_then(|known| known.last_event);
                self.rides.insert(*id, ride(bike, State::Abandoned, *now, last_event));
            }
            Event::Intervened(id, intervention) => {
                if let Some(ride) = self.rides.get_mut(id) {
                    ride.intervention = Some(intervention.clone());
                }
            }
            Event::Returned(id, place, now) => self.end(*id, State::Returned(place.clone(), *now), *now),
            Event::Voided(id, now) => self.end(*id, State::Voided(*now), *now),
            Event::Noted(_, bill, standing) => {
                self.bills.insert(*bill, *standing);
            }
        }
    }

    fn end(&mut self, id: RideId, state: State, now: Timestamp) {
        if let Some(ride) = self.rides.get_mut(&id) {
            (ride.state, ride.updated_at) = (state, now);
        }
    }
}

impl Event {
    /// The ride that the command or event is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Event::Started(_, ride, ..)
            | Event::Expected(_, ride, ..)
            | Event::Abandoned(_, ride, ..)
            | Event::Intervened(ride, _)
            | Event::Returned(ride, ..)
            | Event::Voided(ride, _) => Some(*ride),
            Event::Noted(..) => None,
        }
    }

    /// The bill that the command or event is about.
    pub fn bill(&self) -> Option<BillId> {
        if let Event::Noted(_, bill, _) = self { Some(*bill) } else { None }
    }
}

impl Command {
    /// The ride that the command or event is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Command::Start { ride, .. }
            | Command::Expect(_, ride, _)
            | Command::Abandon(_, ride, _)
            | Command::Return(ride, ..)
            | Command::Void(ride) => Some(*ride),
            Command::GiveUp | Command::Note(..) => None,
        }
    }

    /// The bill that the command or event is about.
    pub fn bill(&self) -> Option<BillId> {
        if let Command::Note(_, bill, _) = self { Some(*bill) } else { None }
    }
}
