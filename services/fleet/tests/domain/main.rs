//! The rules of cars: as tables of given, when and then; as properties under late, repeated and reordered events; and
//! the reactions of the policy.

mod histories;
mod policy;
mod transitions;

use chassis::values::{Currency, Money, Period, Place};
use chassis::{Aggregate, Timestamp};
use fleet::domain::{Car, CarId, Command, Engagement, Event, Listing, Refusal, ReservationId, Stage, Status};

const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn car_id() -> CarId {
    id(1)
}

fn listing() -> Listing {
    let currency = Currency::parse("KRW").expect("the test gives a currency");
    let place = Place { name: "town".to_owned(), position: None };
    Listing {
        model: "K5".to_owned(),
        plate: "12가 3456".to_owned(),
        place,
        daily_rate: Money { minor: 50_000, currency },
    }
}

fn register(listing: Listing) -> Command {
    Command::Register(car_id(), listing, "sol".to_owned())
}

fn registered() -> Event {
    Event::Registered(car_id(), listing(), "sol".to_owned(), NOW)
}

/// The engagement in `rental`'s event of this sequence.
fn engagement(stage: Stage, sequence: i64) -> Engagement {
    let period = Period { start: NOW, end: Timestamp::from_micros(NOW.micros() + 1) };
    Engagement { period, stage, sequence, rated: false }
}

fn observe(number: u64, stage: Stage, sequence: i64) -> Command {
    Command::Observe(id(number), engagement(stage, sequence))
}

fn engaged(number: u64, stage: Stage, sequence: i64) -> Event {
    Event::Engaged(id(number), engagement(stage, sequence))
}

fn changed(status: Status) -> Event {
    Event::StatusChanged(status, NOW)
}

/// The car that the events led to.
fn car(given: &[Event]) -> Option<Car> {
    given.iter().fold(None, |car, event| Some(Car::evolve(car, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Car::decide(car(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
