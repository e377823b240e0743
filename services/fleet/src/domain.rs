//! A car and its legal transitions. Pure: no clock, no database, no network.
//!
//! A car's status follows `rental`'s events about its reservations: `Rented` if one is a rental, else `Reserved` if one
//! is open, else `Available`. Events about one reservation may arrive late, twice, or in another order: each has a
//! sequence, and an older one changes nothing.

use std::collections::BTreeMap;

use chassis::error::RefusalCode;
use chassis::values::{Money, Period, Place};
use chassis::{Aggregate, Timestamp};

chassis::ids! {
    /// The id of a car.
    CarId = "car";
    /// The id of a reservation, assigned by `rental`.
    ReservationId = "reservation";
}

/// A car that can be rented.
#[derive(Clone, Debug, PartialEq)]
pub struct Car {
    /// Its id.
    pub id: CarId,
    /// Model, plate, place and daily rate.
    pub listing: Listing,
    /// The subject of its owner; empty if it is older than owners.
    pub owner: String,
    /// Its availability.
    pub status: Status,
    /// The sum of its stars.
    pub stars_sum: i64,
    /// How many rentals gave stars.
    pub rating_count: i64,
    /// Its reservations and rentals: all open ones, and those that a command is about.
    pub engagements: BTreeMap<ReservationId, Engagement>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What the company publishes about a car.
#[derive(Clone, Debug, PartialEq)]
pub struct Listing {
    /// The model, for people to read.
    pub model: String,
    /// The number plate; empty if none was given.
    pub plate: String,
    /// Where it is picked up and brought back.
    pub place: Place,
    /// The price of a day.
    pub daily_rate: Money,
}

/// The availability of a car.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has reserved or rented it.
    Available,
    /// A customer has reserved it.
    Reserved,
    /// A customer has it.
    Rented,
    /// The company no longer has it.
    Removed,
}

/// A reservation or rental of the car, as `rental` published it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engagement {
    /// The period.
    pub period: Period,
    /// Its stage.
    pub stage: Stage,
    /// The sequence of the `rental` event that it was read from.
    pub sequence: i64,
    /// Whether it was rated.
    pub rated: bool,
}

/// Stages of a reservation or rental.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The car is reserved for it.
    Reserved,
    /// The car is out.
    Rented,
    /// It was cancelled, or the car is back.
    Over,
}

/// Commands of a car.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The company has a new car, of this owner.
    Register(CarId, Listing, String),
    /// It has another owner.
    Transfer(String),
    /// Nothing is open on it any more: remove it.
    Remove,
    /// `rental` published the state of a reservation.
    Observe(ReservationId, Engagement),
    /// A rental was rated with stars; with its engagement.
    Rate(ReservationId, Engagement, i64),
}

/// Events of a car.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The company has it.
    Registered(CarId, Listing, String, Timestamp),
    /// It has another owner.
    Transferred(String, Timestamp),
    /// A reservation or rental changed its stage.
    Engaged(ReservationId, Engagement),
    /// Its availability changed.
    StatusChanged(Status, Timestamp),
    /// It was rated with stars.
    Rated(ReservationId, i64, Timestamp),
    /// The company no longer has it.
    Removed(Timestamp),
}

/// Why a command of a car is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It was never registered.
    #[error("there is no such car")]
    NoSuchCar,
}

impl chassis::Refusal for Refusal {
    fn code(&self) -> RefusalCode {
        RefusalCode::NotFound
    }
    fn reason(&self) -> &'static str {
        "CAR_NOT_FOUND"
    }
}

impl Aggregate for Car {
    const NAME: &'static str = "car";
    type Id = CarId;
    type Command = Command;
    type Event = Event;
    type Refusal = Refusal;

    fn decide(car: Option<&Car>, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        let Some(car) = car else {
            let Command::Register(id, listing, owner) = command else { return Err(Refusal::NoSuchCar) };
            return Ok(vec![Event::Registered(*id, listing.clone(), owner.clone(), now)]);
        };
        Ok(match command {
            Command::Register(..) => vec![],
            Command::Transfer(owner) if *owner == car.owner => vec![],
            Command::Transfer(owner) => vec![Event::Transferred(owner.clone(), now)],
            Command::Remove if car.status == Status::Removed => vec![],
            Command::Remove => vec![Event::Removed(now)],
            Command::Observe(reservation, engagement) => car.decide_observe(*reservation, *engagement, now),
            Command::Rate(reservation, engagement, stars) => {
                let known = car.engagements.get(reservation);
                if known.is_some_and(|known| known.rated) {
                    return Ok(vec![]);
                }
                let rated = Event::Rated(*reservation, *stars, now);
                // The first event about this rental: its sequence is 0, so that late events still count.
                let first = Event::Engaged(*reservation, Engagement { sequence: 0, ..*engagement });
                known.is_none().then_some(first).into_iter().chain([rated]).collect()
            }
        })
    }

    fn evolve(car: Option<Car>, event: &Event) -> Car {
        let mut car = match (car, event) {
            (_, Event::Registered(id, listing, owner, now)) => {
                let (id, listing, engagements) = (*id, listing.clone(), BTreeMap::new());
                let (created_at, updated_at) = (*now, *now);
                Car {
                    id,
                    listing,
                    owner: owner.clone(),
                    status: Status::Available,
                    stars_sum: 0,
                    rating_count: 0,
                    engagements,
                    created_at,
                    updated_at,
                }
            }
            (Some(car), _) => car,
            (None, event) => unreachable!("{event:?} can't be the first event of a car"),
        };
        match event {
            Event::Registered(..) => {}
            Event::Engaged(reservation, engagement) => {
                let rated = car.engagements.get(reservation).is_some_and(|known| known.rated);
                car.engagements.insert(*reservation, Engagement { rated, ..*engagement });
            }
            Event::StatusChanged(status, now) => (car.status, car.updated_at) = (*status, *now),
            Event::Rated(reservation, stars, now) => {
                car.stars_sum += stars;
                car.rating_count += 1;
                car.updated_at = *now;
                if let Some(engagement) = car.engagements.get_mut(reservation) {
                    engagement.rated = true;
                }
            }
            Event::Transferred(owner, now) => (car.owner, car.updated_at) = (owner.clone(), *now),
            Event::Removed(now) => (car.status, car.updated_at) = (Status::Removed, *now),
        }
        car
    }
}

impl Command {
    /// The reservation that the command or event is about.
    pub fn reservation(&self) -> Option<ReservationId> {
        match self {
            Command::Observe(reservation, _) | Command::Rate(reservation, ..) => Some(*reservation),
            Command::Register(..) | Command::Transfer(_) | Command::Remove => None,
        }
    }
}

impl Event {
    /// The reservation that the command or event is about.
    pub fn reservation(&self) -> Option<ReservationId> {
        match self {
            Event::Engaged(reservation, _) | Event::Rated(reservation, ..) => Some(*reservation),
            Event::Registered(..) | Event::Transferred(..) | Event::StatusChanged(..) | Event::Removed(_) => None,
        }
    }
}

impl Car {
    /// The mean of its stars; 0 while it has none.
    pub fn average_stars(&self) -> f64 {
        if self.rating_count == 0 { 0.0 } else { self.stars_sum as f64 / self.rating_count as f64 }
    }

    fn decide_observe(&self, reservation: ReservationId, engagement: Engagement, now: Timestamp) -> Vec<Event> {
        if self.engagements.get(&reservation).is_some_and(|known| known.sequence >= engagement.sequence) {
            return vec![];
        }
        let others = self.engagements.iter().filter(|(id, _)| **id != reservation).map(|(_, other)| other.stage);
        let status = status_of(others.chain([engagement.stage]));
        let changed = self.status != Status::Removed && self.status != status;
        let changed = changed.then_some(Event::StatusChanged(status, now));
        std::iter::once(Event::Engaged(reservation, engagement)).chain(changed).collect()
    }
}

fn status_of(stages: impl Iterator<Item = Stage>) -> Status {
    stages.fold(Status::Available, |status, stage| match (status, stage) {
        (Status::Rented, _) | (_, Stage::Rented) => Status::Rented,
        (Status::Reserved, _) | (_, Stage::Reserved) => Status::Reserved,
        (status, Stage::Over) => status,
    })
}
