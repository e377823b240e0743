//! The rules of resorts: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

mod histories;
mod policy;
mod transitions;

use std::time::Duration;

use chassis::values::{Currency, Dates, Money};
use chassis::{Aggregate, Timestamp};
use jiff::tz::TimeZone;
use resort::domain::{
    ABANDONED_AFTER, Claim, Command, Event, Hold, Limits, Listing, Refusal, Resort, ResortId, State, StayId,
};

/// 2026-07-01T00:00:00Z: in Seoul it is nine in the morning.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const RATE_MINOR: i64 = 90_000;
const LIMITS: Limits = Limits { hold_for: Duration::from_secs(120), longest_nights: 30, horizon_days: 730 };

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

/// From one day of July 2026 to another; the 32nd is the first of August.
fn july(start: i8, end: i8) -> Dates {
    let first = jiff::civil::date(2026, 7, 1);
    let day = |day: i8| first + jiff::Span::new().days(day - 1);
    Dates { start: day(start), end: day(end) }
}

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn resort_id() -> ResortId {
    id(1)
}

fn stay(number: u64) -> StayId {
    id(number)
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn listing_in(zone: &str) -> Listing {
    let zone = TimeZone::get(zone).expect("the test gives a zone");
    Listing { name: "Sea View".to_owned(), kind: "villa".to_owned(), nightly_rate: won(RATE_MINOR), zone }
}

/// Offers all of July.
fn registered() -> Event {
    Event::Registered(resort_id(), listing_in("Asia/Seoul"), vec![july(1, 32)], "hana".to_owned(), NOW)
}

fn claim(dates: Dates) -> Claim {
    Claim { customer: "ann".to_owned(), dates }
}

fn price(dates: Dates) -> Money {
    won(RATE_MINOR * i64::from(dates.nights()))
}

fn hold(number: u64, dates: Dates) -> Command {
    Command::Hold(stay(number), claim(dates), LIMITS, None)
}

fn keep(number: u64, dates: Dates) -> Command {
    Command::Keep(stay(number), claim(dates), price(dates))
}

fn book(number: u64, dates: Dates) -> Command {
    Command::Book(stay(number), claim(dates), price(dates))
}

fn free(number: u64, dates: Dates) -> Command {
    Command::Free(stay(number), claim(dates), price(dates))
}

fn kept(dates: Dates, state: State) -> Hold {
    Hold { claim: claim(dates), price: price(dates), state, last_event: None }
}

fn held(number: u64, dates: Dates) -> Event {
    Event::Held(stay(number), kept(dates, State::Held { expires: NOW + LIMITS.hold_for }))
}

fn reserved(number: u64, dates: Dates) -> Event {
    Event::Reserved(stay(number), kept(dates, State::Reserved))
}

fn booked(number: u64, dates: Dates) -> Event {
    Event::Booked(stay(number), kept(dates, State::Booked))
}

fn freed(number: u64, dates: Dates) -> Event {
    Event::Freed(stay(number), kept(dates, State::Over))
}

fn barred(number: u64, dates: Dates) -> Event {
    Event::Barred(stay(number), kept(dates, State::Over))
}

fn lost(number: u64, dates: Dates) -> Event {
    Event::Lost(stay(number), kept(dates, State::Lost))
}

/// The resort that the events led to.
fn resort(given: &[Event]) -> Option<Resort> {
    given.iter().fold(None, |resort, event| Some(Resort::evolve(resort, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Resort::decide(resort(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}
