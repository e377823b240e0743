//! The rules of bills: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

use std::time::Duration;

use billing::domain::{Bill, BilledRide, Command, Event, Fee, Refusal, RideId, State, Tariff, bill_of};
use billing::policy::policy;
use chassis::values::{Currency, Money};
use chassis::{Aggregate, Envelope, Timestamp};
use contracts::ride::v1::{Ride, RideReturned, RideStarted, RideVoided};
use contracts::wallet::v1::{BillPaid, BillUnpaid};
use proptest::prelude::*;
use prost::{Message, Name};

const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

fn ride() -> RideId {
    "00000000-0000-4000-8000-000000000001".parse().expect("the test gives a UUID")
}

fn won(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("KRW").expect("the test gives a currency") }
}

fn tariff() -> Tariff {
    Tariff { per_minute: won(100), least_minutes: 1 }
}

fn billed() -> BilledRide {
    BilledRide { ride: ride(), customer: "ann".to_owned(), start: NOW }
}

fn after(seconds: u64) -> Timestamp {
    NOW + Duration::from_secs(seconds)
}

fn charge(seconds: u64) -> Command {
    Command::Charge(billed(), after(seconds), tariff())
}

fn opened() -> Event {
    Event::Opened(billed(), NOW)
}

fn charged(seconds: u64, minutes: u32) -> Event {
    Event::Charged(Fee { end: after(seconds), minutes, amount: won(100 * i64::from(minutes)) }, NOW)
}

/// The bill that the events led to.
fn bill(given: &[Event]) -> Option<Bill> {
    given.iter().fold(None, |bill, event| Some(Bill::evolve(bill, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Bill::decide(bill(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

#[track_caller]
fn check_fee(tariff: Tariff, seconds: u64, minutes: u32, minor: i64) {
    assert_eq!(tariff.fee(NOW, after(seconds)), (minutes, won(minor)), "{seconds} s");
}

#[test]
fn b5_whole_minutes_are_billed_and_one_at_least() {
    for (seconds, minutes) in [(0, 1), (1, 1), (59, 1), (60, 1), (119, 1), (120, 2), (3_600, 60), (3_659, 60)] {
        check_fee(tariff(), seconds, minutes, 100 * i64::from(minutes));
    }
    let exact = Tariff { least_minutes: 0, ..tariff() };
    check_fee(exact, 59, 0, 0);
    check_fee(exact, 60, 1, 100);
    check_fee(Tariff { least_minutes: 10, ..tariff() }, 61, 10, 1_000);
    let dear = Tariff { per_minute: won(Money::MAX_MINOR), least_minutes: 1 };
    check_fee(dear, 600, 10, Money::MAX_MINOR);
    assert_eq!(tariff().fee(after(60), NOW), (1, won(100)), "clocks can differ");
}

#[test]
fn b3_a_ride_has_one_bill() {
    check(&[], Command::Open(billed()), Ok(&[opened()]));
    check(&[opened()], Command::Open(billed()), Ok(&[]));
    // A return that arrives first opens the bill.
    check(&[], charge(120), Ok(&[opened(), charged(120, 2)]));
    check(&[opened(), charged(120, 2)], Command::Open(billed()), Ok(&[]));
}

#[test]
fn b5_a_ride_is_billed_once() {
    check(&[opened()], charge(120), Ok(&[charged(120, 2)]));
    let due = [opened(), charged(120, 2)];
    check(&due, charge(240), Ok(&[]));
    check(&due, Command::Pay, Ok(&[Event::Closed(NOW)]));
    check(&due, Command::FallShort, Ok(&[Event::FellShort(NOW)]));
    let closed = [opened(), charged(120, 2), Event::Closed(NOW)];
    for command in [charge(240), Command::Pay, Command::FallShort] {
        check(&closed, command, Ok(&[]));
    }
    for command in [Command::Pay, Command::FallShort] {
        check(&[], command.clone(), Err(Refusal::NoSuchBill));
        check(&[opened()], command, Ok(&[]));
    }
}

#[test]
fn b5_arrears_are_settled_later() {
    let arrears = [opened(), charged(120, 2), Event::FellShort(NOW)];
    check(&arrears, Command::FallShort, Ok(&[]));
    check(&arrears, Command::Pay, Ok(&[Event::Closed(NOW)]));
}

#[test]
fn b5_what_costs_nothing_is_closed_at_once() {
    let free = Tariff { per_minute: won(0), least_minutes: 1 };
    let fee = Fee { end: after(120), minutes: 2, amount: won(0) };
    let command = Command::Charge(billed(), after(120), free);
    check(&[opened()], command, Ok(&[Event::Charged(fee, NOW), Event::Closed(NOW)]));
}

#[test]
fn b4_a_void_ride_costs_nothing_whenever_the_event_arrives() {
    let void = || Command::Void(billed());
    check(&[], void(), Ok(&[opened(), Event::Voided(NOW)]));
    let (due, short, closed) = (charged(120, 2), Event::FellShort(NOW), Event::Closed(NOW));
    for given in
        [vec![opened()], vec![opened(), due.clone()], vec![opened(), due.clone(), short], vec![opened(), due, closed]]
    {
        check(&given, void(), Ok(&[Event::Voided(NOW)]));
    }
    let voided = [opened(), Event::Voided(NOW)];
    for command in [void(), Command::Open(billed()), charge(120), Command::Pay, Command::FallShort] {
        check(&voided, command, Ok(&[]));
    }
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => Just(Command::Open(billed())),
        3 => (0u64..1_000).prop_map(charge),
        2 => Just(Command::Pay),
        2 => Just(Command::FallShort),
        1 => Just(Command::Void(billed())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_fee_never_changes_and_void_is_final(history in proptest::collection::vec(commands(), 1..20)) {
        let mut bill: Option<Bill> = None;
        for command in history {
            let Ok(events) = Bill::decide(bill.as_ref(), &command, NOW) else { continue };
            let before = bill.clone();
            bill = events.iter().fold(bill, |bill, event| Some(Bill::evolve(bill, event)));
            let after = bill.as_ref().expect("it is there now");
            if let Some(before) = before {
                prop_assert!(before.fee.is_none() || before.fee == after.fee);
                prop_assert!(before.state != State::Void || after.state == State::Void);
                let is_closed = matches!(after.state, State::Closed | State::Void);
                prop_assert!(before.state != State::Closed || is_closed);
            }
            prop_assert_eq!(Bill::decide(Some(after), &command, NOW), Ok(vec![]));
        }
    }
}

#[track_caller]
fn check_policy<M: Message + Name>(message: &M, then: Command) {
    let event = Envelope {
        event_id: ride().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: ride().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    };
    assert_eq!(policy(tariff()).react(&event).expect("the event is right"), [(bill_of(ride()), then)]);
}

#[test]
fn each_event_of_ride_and_wallet_has_its_command() {
    let message = || {
        let (start_time, end_time) = (Some(NOW.to_proto()), Some(after(120).to_proto()));
        Some(Ride {
            ride_id: ride().to_string(),
            customer_id: "ann".to_owned(),
            start_time,
            end_time,
            ..Ride::default()
        })
    };
    check_policy(&RideStarted { ride: message() }, Command::Open(billed()));
    check_policy(&RideReturned { ride: message() }, charge(120));
    check_policy(&RideVoided { ride: message() }, Command::Void(billed()));
    let bill_id = bill_of(ride()).to_string();
    check_policy(&BillPaid { bill_id: bill_id.clone(), ..BillPaid::default() }, Command::Pay);
    check_policy(&BillUnpaid { bill_id, wallet: None }, Command::FallShort);
}
