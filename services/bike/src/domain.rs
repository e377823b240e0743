//! A bike and its legal transitions. Pure: no clock, no database, no network.
//!
//! A bike has one rider at a time: one command checks and takes it. Each ride takes it once, so late and repeated
//! commands take nothing. The aggregate holds the ride under way and those that a command is about, not its history.
//!
//! ```text
//! (none) --Register--> Free --Take--> WithRide --GiveBack--> Free
//!                       |                |
//!                       +----Remove------+--written off--> Removed
//! ```
//! Whether it is usable is a separate state: a ride with a broken bike can be finished, then the bike is out of order.

use std::collections::BTreeMap;

use chassis::error::RefusalCode;
use chassis::values::Place;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a bike.
    BikeId = "bike";
    /// The id of a ride, assigned by `ride`. It is the id of the flow.
    RideId = "ride";
    /// The id of a manager's report, assigned by `upkeep`. It is the id of the flow.
    ReportId = "report";
}

/// A bike.
#[derive(Clone, Debug, PartialEq)]
pub struct Bike {
    /// Its id.
    pub id: BikeId,
    /// The name painted on it.
    pub name: String,
    /// The subject of its owner; empty if it is older than owners.
    pub owner: String,
    /// Where it is, or where it was taken; its position is known.
    pub place: Place,
    /// Its state.
    pub state: State,
    /// Its condition at the last inspection.
    pub condition: Condition,
    /// The ride that has it, and those that a command is about.
    pub takings: BTreeMap<RideId, Taking>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// States of a bike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody has it.
    Free,
    /// This ride has it.
    WithRide(RideId),
    /// It was removed.
    Removed,
}

/// The condition of a bike, as a manager reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The charge of its battery, 0 to 100.
    pub battery_percent: u8,
    /// Whether it can be ridden.
    pub usable: bool,
}

/// A ride that took a bike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The subject of the customer.
    pub customer: String,
    /// The ride is over; it can't take the bike again.
    pub is_over: bool,
}

/// Commands of a bike.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Register a bike of this name, of an owner, at a place.
    Register(BikeId, String, String, Place, Condition),
    /// It has another owner.
    Transfer(String),
    /// Remove it; if it is written off, also while a ride has it.
    Remove {
        /// The bike is lost.
        written_off: bool,
    },
    /// A ride of a customer takes it.
    Take(RideId, String),
    /// The ride is over, or never started: the bike is at this place, or where it was taken.
    GiveBack(RideId, String, Option<Place>),
    /// A manager inspected it.
    Inspect(ReportId, String, Condition),
}

/// Events of a bike.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It was registered.
    Registered(BikeId, String, String, Place, Condition, Timestamp),
    /// It has another owner.
    Transferred(String, Timestamp),
    /// It was removed.
    Removed(Timestamp),
    /// It was removed while a ride had it.
    WrittenOff(RideId, Timestamp),
    /// A ride took it.
    Taken(RideId, String, Timestamp),
    /// A ride gave it back.
    GivenBack(RideId, Option<Place>, Timestamp),
    /// A ride could not give it back: it was written off meanwhile, or the ride never had it.
    GiveBackRefused(RideId, String),
    /// A ride that never took it is over: it can't take it any more.
    Barred(RideId, String),
    /// A manager inspected it.
    Inspected(ReportId, String, Condition, Timestamp),
}

/// Why a command of a bike is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum Refusal {
    #[error("there is no such bike")]
    NoSuchBike,
    #[error("someone rides the bike")]
    BikeInUse,
    #[error("the bike is broken")]
    BikeOutOfOrder,
    #[error("the ride is over: a new one takes a new request")]
    RideOver,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        match self {
            Refusal::NoSuchBike => RefusalCode::NotFound,
            _ => RefusalCode::Precondition,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Refusal::NoSuchBike => "BIKE_NOT_FOUND",
            Refusal::BikeInUse => "BIKE_IN_USE",
            Refusal::BikeOutOfOrder => "BIKE_OUT_OF_ORDER",
            Refusal::RideOver => "RIDE_OVER",
        }
    }
}

impl Aggregate for Bike {
    const NAME: &'static str = "bike";
    type Id = BikeId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(bike: Option<&Bike>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(bike) = bike else {
            return match command {
                Command::Register(id, name, owner, place, condition) => {
                    let (name, owner) = (name.clone(), owner.clone());
                    Ok(vec![Event::Registered(*id, name, owner, place.clone(), *condition, now)])
                }
                _ => Err(Refusal::NoSuchBike),
            };
        };
        match command {
            Command::Register(..) => Ok(vec![]),
            Command::Transfer(owner) if *owner == bike.owner => Ok(vec![]),
            Command::Transfer(owner) => Ok(vec![Event::Transferred(owner.clone(), now)]),
            Command::Remove { written_off } => match bike.state {
                State::Free => Ok(vec![Event::Removed(now)]),
                State::WithRide(ride) if *written_off => Ok(vec![Event::WrittenOff(ride, now)]),
                State::WithRide(_) => Err(Refusal::BikeInUse),
                State::Removed => Ok(vec![]),
            },
            Command::Take(ride, customer) => bike.decide_take(*ride, customer, now),
            Command::GiveBack(ride, customer, place) => {
                Ok(bike.decide_give_back(*ride, customer, place.as_ref(), now).into_iter().collect())
            }
            Command::Inspect(..) if bike.state == State::Removed => Err(Refusal::NoSuchBike),
            Command::Inspect(report, manager, condition) => {
                Ok(vec![Event::Inspected(*report, manager.clone(), *condition, now)])
            }
        }
    }

    fn evolve(bike: Option<Bike>, event: &Event) -> Bike {
        match (bike, event) {
            (_, Event::Registered(id, name, owner, place, condition, now)) => Bike {
                id: *id,
                name: name.clone(),
                owner: owner.clone(),
                place: place.clone(),
                state: State::Free,
                condition: *condition,
                takings: BTreeMap::new(),
                created_at: *now,
                updated_at: *now,
            },
            (Some(mut bike), event) => {
                bike.apply(event);
                bike
            }
            (None, event) => unreachable!("{event:?} can't be the first event of a bike"),
        }
    }
}

impl Bike {
    /// The ride that has it.
    pub fn ride(&self) -> Option<RideId> {
        if let State::WithRide(ride) = self.state { Some(ride) } else { None }
    }

    fn decide_take(&self, ride: RideId, customer: &str, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match self.state {
            _ if self.takings.get(&ride).is_some_and(|taking| taking.is_over) => Err(Refusal::RideOver),
            State::WithRide(current) if current == ride => Ok(vec![]),
            State::WithRide(_) => Err(Refusal::BikeInUse),
            State::Removed => Err(Refusal::NoSuchBike),
            State::Free if !self.condition.usable => Err(Refusal::BikeOutOfOrder),
            State::Free => Ok(vec![Event::Taken(ride, customer.to_owned(), now)]),
        }
    }

    fn decide_give_back(&self, ride: RideId, customer: &str, at: Option<&Place>, now: Timestamp) -> Option<Event> {
        match self.takings.get(&ride) {
            Some(taking) if taking.is_over => None,
            Some(_) if self.state == State::WithRide(ride) => Some(Event::GivenBack(ride, at.cloned(), now)),
            // A bike that was removed, or never taken, can't be given back: that ride must not be billed.
            _ if at.is_some() => Some(Event::GiveBackRefused(ride, customer.to_owned())),
            _ => Some(Event::Barred(ride, customer.to_owned())),
        }
    }

    fn apply(&mut self, event: &Event) {
        let end = |taking: Option<&mut Taking>| taking.into_iter().for_each(|taking| taking.is_over = true);
        match event {
            Event::Registered(..) => {}
            Event::Transferred(owner, _) => self.owner.clone_from(owner),
            Event::Removed(_) | Event::WrittenOff(..) => self.state = State::Removed,
            Event::Taken(ride, customer, _) => {
                self.takings.insert(*ride, Taking { customer: customer.clone(), is_over: false });
                self.state = State::WithRide(*ride);
            }
            Event::GivenBack(ride, at, _) => {
                end(self.takings.get_mut(ride));
                self.state = State::Free;
                if let Some(at) = at {
                    self.place = at.clone();
                }
            }
            Event::GiveBackRefused(ride, customer) | Event::Barred(ride, customer) => {
                self.takings.insert(*ride, Taking { customer: customer.clone(), is_over: true });
            }
            Event::Inspected(_, _, condition, _) => self.condition = *condition,
        }
        if let Event::Removed(now)
        | Event::Transferred(_, now)
        | Event::WrittenOff(_, now)
        | Event::Taken(_, _, now)
        | Event::GivenBack(_, _, now)
        | Event::Inspected(_, _, _, now) = event
        {
            self.updated_at = *now;
        }
    }
}

impl Event {
    /// The ride that the command or event is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Event::WrittenOff(ride, _)
            | Event::Taken(ride, ..)
            | Event::GivenBack(ride, ..)
            | Event::GiveBackRefused(ride, _)
            | Event::Barred(ride, _) => Some(*ride),
            Event::Registered(..) | Event::Transferred(..) | Event::Removed(_) | Event::Inspected(..) => None,
        }
    }
}

impl Command {
    /// The ride that the command or event is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Command::Take(ride, _) | Command::GiveBack(ride, ..) => Some(*ride),
            Command::Register(..) | Command::Transfer(_) | Command::Remove { .. } | Command::Inspect(..) => None,
        }
    }
}
