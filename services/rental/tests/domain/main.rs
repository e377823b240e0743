//! The rules of calendars: as tables of given, when and then; as properties of random histories; at the limits of
//! periods; and the reactions of the policy.

mod calendar;
mod days;
mod histories;
mod policy;

use std::time::Duration;

use chassis::values::{Currency, Intervention, Money, Period};
use chassis::{Aggregate, Timestamp};
use rental::domain::{
    Calendar, CarId, CarName, Cause, Command, Event, LateFee, PaymentId, Refusal, Reservation, ReservationId, State,
    Terms,
};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const PAY_WITHIN: Duration = Duration::from_secs(3_600);
const RATE_MINOR: i64 = 50_000;

fn hour(hours: u64) -> Timestamp {
    NOW + Duration::from_secs(3_600 * hours)
}

fn hours(start: u64, end: u64) -> Period {
    Period { start: hour(start), end: hour(end) }
}

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn car() -> CarId {
    id(1)
}

fn payment() -> PaymentId {
    id(2)
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn registered() -> Event {
    Event::Registered(car(), won(RATE_MINOR), name(), "sol".to_owned())
}

fn register(rate: Money) -> Command {
    Command::Register { car: car(), rate, name: name(), owner: "sol".to_owned() }
}

fn name() -> CarName {
    CarName { model: "K5".to_owned(), plate: "12가 3456".to_owned() }
}

/// Free until 12 hours before, then a half; 7,000 won for each hour late.
const TERMS: Terms = Terms {
    free_until: Duration::from_secs(12 * 3_600),
    kept_percent: 50,
    late_fee: Money { minor: 7_000, currency: Currency::WON },
};

fn intervention() -> Intervention {
    Intervention { staff: "sol".to_owned(), reason: "the customer is away".to_owned(), at: NOW }
}

fn cancel(number: u64) -> Command {
    Command::Cancel(id(number), None)
}

fn bring_back(number: u64) -> Command {
    Command::Return(id(number), None, TERMS)
}

fn take_back(number: u64) -> Command {
    Command::TakeBack(id(number), TERMS)
}

fn reserve(number: u64, period: Period, days: u32) -> Command {
    let (customer, currency) = ("ann".to_owned(), won(0).currency);
    let (id, time_zone) = (id(number), "Asia/Seoul".to_owned());
    let pay_within = PAY_WITHIN;
    Command::Reserve { id, customer, period, days, currency, expected_price: None, pay_within, time_zone, unpaid: 3 }
}

fn reserved(number: u64, period: Period, days: u32) -> Event {
    let reservation = Reservation {
        customer: "ann".to_owned(),
        owner: "sol".to_owned(),
        period,
        days,
        car: name(),
        time_zone: "Asia/Seoul".to_owned(),
        kept: None,
        overdue: false,
        late_fee: None,
        intervention: None,
        price: won(RATE_MINOR * i64::from(days)),
        state: State::Reserved { expires: NOW + PAY_WITHIN },
        stars: None,
        payment: None,
        created_at: NOW,
        updated_at: NOW,
        last_event: None,
    };
    Event::Reserved(id(number), Box::new(reservation))
}

/// The calendar that the events led to.
fn calendar(given: &[Event]) -> Option<Calendar> {
    given.iter().fold(None, |calendar, event| Some(Calendar::evolve(calendar, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, now: Timestamp, then: Result<&[Event], Refusal>) {
    let decided = Calendar::decide(calendar(given).as_ref(), &when, now);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

fn cancelled(number: u64, cause: Cause, now: Timestamp) -> Event {
    Event::Cancelled(id(number), cause, None, now)
}

fn reservation_id(number: u64) -> ReservationId {
    id(number)
}
