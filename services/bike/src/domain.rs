//! What a bike is, and which moves are legal. Pure: no clock, no database, no network.
//!
//! A bike has one rider at a time: it is checked and taken in one step, here. Each ride takes it once, so what comes late
//! or twice takes nothing. The aggregate holds the ride under way and those that a command is about, not its history.
//!
//! ```text
//! (none) --Register--> Free --Take--> WithRide --GiveBack--> Free
//!                       |                |
//!                       +----Remove------+--written off--> Removed
//! ```
//! Whether it is usable is another matter: a broken bike is ridden to its place, and is out of order there.

use std::collections::BTreeMap;

use chassis::error::RefusalCode;
use chassis::values::Place;
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a bike.
    BikeId = "bike";
    /// The id of a ride, which `ride` gave it. It is the id of the flow.
    RideId = "ride";
    /// The id of a manager's report, which `upkeep` gave it. It is the id of the flow.
    ReportId = "report";
}

/// A bike.
#[derive(Clone, Debug, PartialEq)]
pub struct Bike {
    /// Its id.
    pub id: BikeId,
    /// What is painted on it.
    pub name: String,
    /// Where it is, or was taken; its position is known.
    pub place: Place,
    /// Who has it.
    pub state: State,
    /// What was last seen of it.
    pub condition: Condition,
    /// Who took it: the ride under way, and those that a command is about.
    pub takings: BTreeMap<RideId, Taking>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Who has a bike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody.
    Free,
    /// This ride.
    WithRide(RideId),
    /// It is gone.
    Removed,
}

/// What a manager sees of a bike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How much its battery holds, 0 to 100.
    pub battery_percent: u8,
    /// Whether it can be ridden.
    pub usable: bool,
}

/// A ride took a bike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The subject of the customer.
    pub customer: String,
    /// The ride does not have it any more, and never will again.
    pub is_over: bool,
}

/// What a bike is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// There is a new bike of this name at a place.
    Register(BikeId, String, Place, Condition),
    /// It is taken away; if it is written off, also from whoever rides it.
    Remove {
        /// It is lost.
        written_off: bool,
    },
    /// A customer rides it.
    Take(RideId, String),
    /// The ride is over, or never began: the bike is left here, or where it was taken.
    GiveBack(RideId, String, Option<Place>),
    /// A manager looked at it.
    Inspect(ReportId, String, Condition),
}

/// What happened to a bike.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It is there.
    Registered(BikeId, String, Place, Condition, Timestamp),
    /// It is gone.
    Removed(Timestamp),
    /// It is gone, though a ride has it.
    WrittenOff(RideId, Timestamp),
    /// A ride took it.
    Taken(RideId, String, Timestamp),
    /// A ride gave it back.
    GivenBack(RideId, Option<Place>, Timestamp),
    /// A ride could not give it back: it was written off meanwhile, or never was with that ride.
    GiveBackRefused(RideId, String),
    /// A ride that does not have it can't take it any more.
    Barred(RideId, String),
    /// A manager looked at it.
    Inspected(ReportId, String, Condition, Timestamp),
}

/// Why a bike said no.
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
                Command::Register(id, name, place, condition) => {
                    Ok(vec![Event::Registered(*id, name.clone(), place.clone(), *condition, now)])
                }
                _ => Err(Refusal::NoSuchBike),
            };
        };
        match command {
            Command::Register(..) => Ok(vec![]),
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
            (_, Event::Registered(id, name, place, condition, now)) => Bike {
                id: *id,
                name: name.clone(),
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
            // What is gone, or was never given out, can't be brought back: that ride must not be billed.
            _ if at.is_some() => Some(Event::GiveBackRefused(ride, customer.to_owned())),
            _ => Some(Event::Barred(ride, customer.to_owned())),
        }
    }

    fn apply(&mut self, event: &Event) {
        let end = |taking: Option<&mut Taking>| taking.into_iter().for_each(|taking| taking.is_over = true);
        match event {
            Event::Registered(..) => {}
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
    /// The ride that it is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Event::WrittenOff(ride, _)
            | Event::Taken(ride, ..)
            | Event::GivenBack(ride, ..)
            | Event::GiveBackRefused(ride, _)
            | Event::Barred(ride, _) => Some(*ride),
            Event::Registered(..) | Event::Removed(_) | Event::Inspected(..) => None,
        }
    }
}

impl Command {
    /// The ride that it is about.
    pub fn ride(&self) -> Option<RideId> {
        match self {
            Command::Take(ride, _) | Command::GiveBack(ride, ..) => Some(*ride),
            Command::Register(..) | Command::Remove { .. } | Command::Inspect(..) => None,
        }
    }
}
