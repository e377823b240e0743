//! The rules of drives: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Currency, Intervention, Money, Place};
use chassis::{Aggregate, Timestamp};
use driving::domain::{
    By, COLLECT_FIRST, Cause, Command, Drive, DriveId, Event, FareState, HailId, Limits, MAX_DECLINED, MAX_WRONG_CODES,
    PaymentId, Refusal, State, Tariff, Trip, drive_of,
};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const OPEN_FOR: Duration = Duration::from_secs(1_800);
const LIMITS: Limits = Limits {
    offered: OPEN_FOR,
    accepted: Duration::from_secs(3_600),
    started: Duration::from_secs(7_200),
    no_show: Duration::from_secs(600),
};
/// The start code of the trip.
const CODE: &str = "0417";

fn seconds(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn hail() -> HailId {
    "00000000-0000-4000-8000-000000000007".parse().expect("the test gives a UUID")
}

fn id() -> DriveId {
    drive_of(hail())
}

fn payment() -> PaymentId {
    "00000000-0000-4000-8000-000000000008".parse().expect("the test gives a UUID")
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn tariff() -> Tariff {
    Tariff { per_minute: won(1_000) }
}

fn trip() -> Trip {
    Trip {
        customer: "ann".to_owned(),
        pickup: Place { name: "City Hall".to_owned(), position: Some((37.5663, 126.9779)) },
        destination: Place { name: "Gimpo Airport".to_owned(), position: None },
        payment_method: "card".to_owned(),
        start_code: CODE.to_owned(),
    }
}

fn driver(name: &str) -> By {
    By::Driver(name.to_owned())
}

fn intervention() -> Intervention {
    Intervention { staff: "sol".to_owned(), reason: "the driver is ill".to_owned(), at: NOW }
}

fn staff() -> By {
    By::Staff(intervention())
}

fn offer() -> Command {
    Command::Offer { hail: hail(), trip: trip(), open_for: OPEN_FOR }
}

fn offered() -> Event {
    Event::Offered(hail(), trip(), NOW, NOW + OPEN_FOR)
}

fn accepted() -> Vec<Event> {
    vec![offered(), Event::Accepted("kim".to_owned(), seconds(60), seconds(60) + LIMITS.accepted)]
}

fn started() -> Vec<Event> {
    [accepted(), vec![Event::Started(seconds(120), seconds(120) + LIMITS.started)]].concat()
}

fn finished() -> Vec<Event> {
    let end = seconds(120 + 600);
    [started(), vec![Event::Finished(won(10_000), end, end + COLLECT_FIRST)]].concat()
}

/// The drive that the events led to.
fn drive(given: &[Event]) -> Option<Drive> {
    given.iter().fold(None, |drive, event| Some(Drive::evolve(drive, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Drive::decide(drive(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
