//! The rules of stays: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Currency, Dates, Intervention, Money, Period};
use chassis::{Aggregate, Timestamp};
use stay::domain::{Booking, Cause, Command, Event, PaymentId, Refusal, State, Stay, StayId, Terms};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const TERMS: Terms =
    Terms { pay_within: Duration::from_secs(1_800), cancel_until: Duration::from_secs(24 * 3_600), unpaid: 2 };

fn hour(hours: u64) -> Timestamp {
    NOW + Duration::from_secs(3_600 * hours)
}

/// When the stay begins.
fn begin() -> Timestamp {
    hour(72)
}

/// From then on the stay can't be cancelled.
fn near() -> Timestamp {
    hour(48)
}

/// When the stay is over.
fn end() -> Timestamp {
    hour(144)
}

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn stay_id() -> StayId {
    id(7)
}

fn payment() -> PaymentId {
    id(2)
}

fn booking() -> Booking {
    Booking {
        customer: "ann".to_owned(),
        resort: id(1),
        resort_name: "Sea View".to_owned(),
        dates: Dates::from_iso("2026-07-04", "2026-07-06").expect("the test gives dates"),
        period: Period { start: begin(), end: end() },
        time_zone: "UTC".to_owned(),
        price: Money { minor: 180_000, currency: Currency::parse("KRW").expect("the test gives a currency") },
    }
}

/// Staff act, and say why.
fn by_staff() -> Intervention {
    Intervention { staff: "hana".to_owned(), reason: "the boiler broke".to_owned(), at: NOW }
}

fn reserve() -> Command {
    Command::Reserve(stay_id(), booking(), TERMS)
}

fn reserved() -> Event {
    Event::Reserved(Box::new(Stay {
        id: stay_id(),
        booking: booking(),
        cancel_before: near(),
        state: State::Reserved { expires: NOW + TERMS.pay_within },
        payment_id: None,
        intervention: None,
        created_at: NOW,
        updated_at: NOW,
    }))
}

/// The stay that the events led to.
fn stay(given: &[Event]) -> Option<Stay> {
    given.iter().fold(None, |stay, event| Some(Stay::evolve(stay, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Stay::decide(stay(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
