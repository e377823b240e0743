//! The rules of vouchers: as tables of given, when and then; as properties of random histories; and the reactions of
//! the policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Dates, Period};
use chassis::{Aggregate, Timestamp};
use voucher::code::Code;
use voucher::domain::{Command, Event, Grant, Refusal, State, StayId, Voucher, voucher_of};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

fn hour(hours: u64) -> Timestamp {
    NOW + Duration::from_secs(3_600 * hours)
}

/// The start of the voucher's validity.
fn begin() -> Timestamp {
    hour(72)
}

/// The end of the voucher's validity.
fn end() -> Timestamp {
    hour(144)
}

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn stay() -> StayId {
    id(7)
}

fn grant() -> Grant {
    Grant {
        code: Code::new([7; 10]),
        customer: "ann".to_owned(),
        resort: id(1),
        resort_name: "Sea View".to_owned(),
        dates: Dates::from_iso("2026-07-04", "2026-07-06").expect("the test gives dates"),
        period: Period { start: begin(), end: end() },
    }
}

fn issued() -> Event {
    Event::Issued(stay(), grant(), NOW)
}

/// The voucher that the events led to.
fn voucher(given: &[Event]) -> Option<Voucher> {
    given.iter().fold(None, |voucher, event| Some(Voucher::evolve(voucher, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Voucher::decide(voucher(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
