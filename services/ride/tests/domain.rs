//! The rules of riders: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

use std::time::Duration;

use chassis::values::{Intervention, Place};
use chassis::{Aggregate, Envelope, Timestamp};
use contracts::bike::v1::{Bike, BikeReturnRefused, BikeTaken, BikeWrittenOff};
use contracts::billing::v1::{Bill, BillClosed, BillInArrears, BillVoided};
use proptest::prelude::*;
use prost::{Message, Name};
use ride::domain::{BillId, Command, EXPECTED_FOR, Event, Refusal, RideId, Rider, Standing, State, Taken, rider_of};
use ride::policy::policy;

const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const AT_ONCE: usize = 2;

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn ann() -> String {
    "ann".to_owned()
}

fn place(name: &str) -> Place {
    Place { name: name.to_owned(), position: Some((37.5, 127.0)) }
}

fn bike() -> Taken {
    Taken { bike: id(7), name: "S-7".to_owned(), from: place("City Hall") }
}

fn start(ride: u64) -> Command {
    Command::Start { customer: ann(), ride: id(ride), bike: bike(), at_once: AT_ONCE }
}

fn started(ride: u64) -> Event {
    Event::Started(ann(), id(ride), bike(), NOW)
}

fn expect(ride: u64) -> Command {
    Command::Expect(ann(), id(ride), bike())
}

fn expected(ride: u64) -> Event {
    Event::Expected(ann(), id(ride), bike(), NOW, NOW + EXPECTED_FOR)
}

fn abandon(ride: u64) -> Command {
    Command::Abandon(ann(), id(ride), bike())
}

fn abandoned(ride: u64) -> Event {
    Event::Abandoned(ann(), id(ride), bike(), NOW)
}

fn give_back(ride: u64) -> Command {
    Command::Return(id(ride), place("Seoul Forest"), None)
}

fn returned(ride: u64) -> Event {
    Event::Returned(id(ride), place("Seoul Forest"), NOW)
}

fn voided(ride: u64) -> Event {
    Event::Voided(id(ride), NOW)
}

fn note(bill: u64, in_arrears: bool, sequence: i64) -> Command {
    Command::Note(ann(), id(bill), Standing { in_arrears, sequence })
}

fn noted(bill: u64, in_arrears: bool, sequence: i64) -> Event {
    Event::Noted(ann(), id(bill), Standing { in_arrears, sequence })
}

/// The rider that the events led to.
fn rider(given: &[Event]) -> Option<Rider> {
    given.iter().fold(None, |rider, event| Some(Rider::evolve(rider, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Rider::decide(rider(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

#[test]
fn b3_a_ride_starts_once() {
    check(&[], start(1), Ok(&[started(1)]));
    check(&[started(1)], start(1), Ok(&[]));
    check(&[expected(1)], start(1), Ok(&[started(1)]));
    check(&[started(1)], expect(1), Ok(&[]));
    for over in [vec![abandoned(1)], vec![started(1), returned(1)], vec![started(1), voided(1)]] {
        check(&over, start(1), Err(Refusal::RideOver));
        check(&over, expect(1), Ok(&[]));
        check(&over, abandon(1), Ok(&[]));
    }
}

#[test]
fn x11_staff_end_a_ride_and_say_why() {
    let by = Intervention { staff: "hana".to_owned(), reason: "it stood in the rain".to_owned(), at: NOW };
    let end = || Command::Return(id(1), place("Seoul Forest"), Some(by.clone()));
    let said = Event::Intervened(id(1), by.clone());
    check(&[started(1)], end(), Ok(&[said.clone(), returned(1)]));
    check(&[started(1), returned(1)], end(), Ok(&[]));
    let rider = rider(&[started(1), said, returned(1)]).expect("there is one");
    assert_eq!(rider.rides[&id(1)].intervention, Some(by));
}

#[test]
fn x13_bikes_that_were_taken_count_before_their_rides_start() {
    check(&[expected(1), expected(2)], start(3), Err(Refusal::TooManyRides(AT_ONCE)));
    check(&[expected(1), expected(2)], start(2), Ok(&[started(2)]));
    check(&[expected(1), abandoned(2)], start(3), Ok(&[started(3)]));
}

#[test]
fn b2_a_bike_whose_ride_does_not_start_is_given_back() {
    check(&[], expect(1), Ok(&[expected(1)]));
    let waiting = rider(&[expected(1)]).expect("there is one");
    assert_eq!(waiting.due_at(), Some((NOW + EXPECTED_FOR, Command::GiveUp)));
    check(&[expected(1)], Command::GiveUp, Ok(&[]));
    let late = NOW + EXPECTED_FOR;
    let gone = Event::Abandoned(ann(), id(1), bike(), late);
    assert_eq!(Rider::decide(Some(&waiting), &Command::GiveUp, late), Ok(vec![gone]));
    check(&[expected(1)], abandon(1), Ok(&[abandoned(1)]));
    check(&[], abandon(1), Ok(&[abandoned(1)]));
    check(&[started(1)], abandon(1), Ok(&[]));
}

#[test]
fn b4_a_ride_is_returned_once() {
    check(&[started(1)], give_back(1), Ok(&[returned(1)]));
    check(&[started(1), returned(1)], give_back(1), Ok(&[]));
    check(&[started(1), voided(1)], give_back(1), Err(Refusal::RideVoided));
    for unknown in [vec![], vec![expected(1)], vec![abandoned(1)], vec![started(2)]] {
        check(&unknown, give_back(1), Err(Refusal::NoSuchRide));
    }
}

#[test]
fn b4_a_ride_whose_bike_was_written_off_is_void_also_after_its_return() {
    check(&[started(1)], Command::Void(id(1)), Ok(&[voided(1)]));
    check(&[started(1), returned(1)], Command::Void(id(1)), Ok(&[voided(1)]));
    for nothing in [vec![], vec![started(1), voided(1)], vec![expected(1)], vec![abandoned(1)]] {
        check(&nothing, Command::Void(id(1)), Ok(&[]));
    }
}

#[test]
fn b5_a_bill_in_arrears_blocks_the_next_rent() {
    check(&[noted(9, true, 3)], start(1), Err(Refusal::BillInArrears));
    check(&[noted(9, true, 3), noted(9, false, 4)], start(1), Ok(&[started(1)]));
    // A ride in progress can be returned all the same.
    check(&[started(1), noted(9, true, 3)], give_back(1), Ok(&[returned(1)]));
    check(&[started(1), noted(9, true, 3)], start(1), Ok(&[]));
}

#[test]
fn b5_the_newest_event_decides_the_state_of_a_bill() {
    check(&[], note(9, true, 3), Ok(&[noted(9, true, 3)]));
    check(&[noted(9, true, 3)], note(9, true, 3), Ok(&[]));
    check(&[noted(9, true, 3)], note(9, false, 4), Ok(&[noted(9, false, 4)]));
    check(&[noted(9, false, 4)], note(9, true, 3), Ok(&[]));
}

#[test]
fn a_customer_rides_as_many_bikes_as_one_may() {
    check(&[started(1)], start(2), Ok(&[started(2)]));
    check(&[started(1), started(2)], start(3), Err(Refusal::TooManyRides(AT_ONCE)));
    check(&[started(1), started(2), returned(1)], start(3), Ok(&[started(3)]));
}

fn commands() -> impl Strategy<Value = Command> {
    let ride = || 1u64..4;
    prop_oneof![
        4 => ride().prop_map(start),
        2 => ride().prop_map(expect),
        1 => ride().prop_map(abandon),
        1 => Just(Command::GiveUp),
        3 => ride().prop_map(give_back),
        1 => ride().prop_map(|ride| Command::Void(id(ride))),
        1 => (any::<bool>(), 1i64..9).prop_map(|(in_arrears, sequence)| note(9, in_arrears, sequence)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_over_stays_over_and_nobody_rides_in_arrears(
        history in proptest::collection::vec((0u64..20, commands()), 1..30)
    ) {
        let (mut rider, mut now) = (None, NOW);
        for (seconds, command) in history {
            now = now + Duration::from_secs(seconds);
            let Ok(events) = Rider::decide(rider.as_ref(), &command, now) else { continue };
            let before = rider.clone();
            for event in &events {
                if let (Event::Started(..), Some(known)) = (event, &rider) {
                    let known: &Rider = known;
                    prop_assert!(known.bills.values().all(|bill| !bill.in_arrears));
                }
                rider = Some(Rider::evolve(rider, event));
            }
            let after = rider.as_ref();
            for (ride, was) in before.iter().flat_map(|rider| &rider.rides) {
                let is = after.and_then(|rider| rider.rides.get(ride)).map(|ride| &ride.state);
                match &was.state {
                    State::Abandoned | State::Voided(_) => prop_assert_eq!(is, Some(&was.state)),
                    State::Returned(..) => {
                        let is_over = matches!(is, Some(State::Returned(..) | State::Voided(_)));
                        prop_assert!(is_over);
                    }
                    State::Started => {
                        let goes_back = matches!(is, Some(State::Expected { .. } | State::Abandoned));
                        prop_assert!(!goes_back);
                    }
                    State::Expected { .. } => {}
                }
            }
            let under_way = after.map_or(0, |rider| {
                rider.rides.values().filter(|ride| ride.state == State::Started).count()
            });
            prop_assert!(under_way <= AT_ONCE);
            if let Ok(again) = Rider::decide(after, &command, now) {
                prop_assert_eq!(again, vec![], "{:?} again", command);
            }
        }
    }
}

#[track_caller]
fn check_policy<M: Message + Name>(message: &M, then: &[Command]) {
    let event = Envelope {
        event_id: id::<RideId>(1).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: id::<RideId>(1).uuid(),
        causation_id: None,
        sequence: 5,
        traceparent: None,
        body: message.encode_to_vec(),
    };
    let then: Vec<_> = then.iter().map(|command| (rider_of("ann"), command.clone())).collect();
    assert_eq!(policy().react(&event).expect("the event is right"), then);
}

#[test]
fn each_event_of_a_bike_has_its_commands() {
    let (ride_id, customer_id) = (id::<RideId>(1).to_string(), ann());
    let bike = || {
        let (bike_id, name) = (text_id(7), "S-7".to_owned());
        Some(Bike { bike_id, name, place: Some(place("City Hall").into()), ..Bike::default() })
    };
    check_policy(&BikeTaken { bike: bike(), ride_id: ride_id.clone(), customer_id: customer_id.clone() }, &[expect(1)]);
    let gone = BikeWrittenOff { bike: bike(), ride_id: ride_id.clone(), customer_id: customer_id.clone() };
    check_policy(&gone, &[Command::Void(id(1)), abandon(1)]);
    check_policy(&BikeReturnRefused { bike_id: text_id(7), ride_id, customer_id }, &[Command::Void(id(1))]);
}

fn text_id(number: u64) -> String {
    id::<BillId>(number).to_string()
}

#[test]
fn b5_only_bills_that_were_in_arrears_are_stored() {
    let bill = |arrears: bool| {
        let arrears_time = arrears.then(|| NOW.to_proto());
        Some(Bill { bill_id: text_id(9), customer_id: ann(), arrears_time, ..Bill::default() })
    };
    check_policy(&BillInArrears { bill: bill(true) }, &[note(9, true, 5)]);
    check_policy(&BillClosed { bill: bill(true) }, &[note(9, false, 5)]);
    check_policy(&BillVoided { bill: bill(true) }, &[note(9, false, 5)]);
    check_policy(&BillClosed { bill: bill(false) }, &[]);
    check_policy(&BillVoided { bill: bill(false) }, &[]);
}
