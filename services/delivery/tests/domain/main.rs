//! The rules of deliveries: as tables of given, when and then; as properties of random histories; and the reactions of
//! the policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::{Aggregate, Timestamp};
use delivery::domain::{Command, Delivery, DeliveryId, Event, OrderId, Parcel, Refusal, State, delivery_of};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

fn order() -> OrderId {
    "00000000-0000-4000-8000-000000000007".parse().expect("the test gives a UUID")
}

fn parcel() -> Parcel {
    Parcel {
        customer: "ann".to_owned(),
        product_name: "Tent".to_owned(),
        quantity: 2,
        address: "1 Sejong-daero".to_owned(),
    }
}

fn prepare() -> Command {
    Command::Prepare(order(), parcel())
}

fn call_off() -> Command {
    Command::CallOff(order(), parcel())
}

fn prepared() -> Event {
    Event::Prepared(order(), parcel(), NOW)
}

/// The delivery that the events led to.
fn delivery(given: &[Event]) -> Option<Delivery> {
    given.iter().fold(None, |delivery, event| Some(Delivery::evolve(delivery, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Delivery::decide(delivery(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
