//! The rules of bikes: as tables of given, when and then; as properties of random histories; and the reactions of the
//! policy.

use bike::domain::{Bike, BikeId, Command, Condition, Event, Refusal, RideId, State};
use bike::policy::policy;
use chassis::values::Place;
use chassis::{Aggregate, Envelope, Timestamp};
use contracts::ride::v1::{Ride, RideAbandoned, RideReturned};
use proptest::prelude::*;
use prost::{Message, Name};

const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);
const GOOD: Condition = Condition { battery_percent: 90, usable: true };
const BROKEN: Condition = Condition { battery_percent: 20, usable: false };

/// The id with this number at its end.
fn id<T: std::str::FromStr>(number: u64) -> T {
    format!("00000000-0000-4000-8000-{number:012}").parse().ok().expect("the test gives a UUID")
}

fn ride(number: u64) -> RideId {
    id(100 + number)
}

fn place(name: &str) -> Place {
    Place { name: name.to_owned(), position: Some((37.5, 127.0)) }
}

fn registered() -> Event {
    Event::Registered(id(1), "S-1".to_owned(), "hana".to_owned(), place("City Hall"), GOOD, NOW)
}

fn take(number: u64) -> Command {
    Command::Take(ride(number), "ann".to_owned())
}

fn taken(number: u64) -> Event {
    Event::Taken(ride(number), "ann".to_owned(), NOW)
}

fn leave(number: u64) -> Command {
    Command::GiveBack(ride(number), "ann".to_owned(), Some(place("Seoul Forest")))
}

fn left(number: u64) -> Event {
    Event::GivenBack(ride(number), Some(place("Seoul Forest")), NOW)
}

fn abandon(number: u64) -> Command {
    Command::GiveBack(ride(number), "ann".to_owned(), None)
}

fn inspect(condition: Condition) -> Command {
    Command::Inspect(id(9), "boss".to_owned(), condition)
}

fn inspected(condition: Condition) -> Event {
    Event::Inspected(id(9), "boss".to_owned(), condition, NOW)
}

/// The bike that the events led to.
fn bike(given: &[Event]) -> Option<Bike> {
    given.iter().fold(None, |bike, event| Some(Bike::evolve(bike, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Bike::decide(bike(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

#[test]
fn x12_a_bike_has_another_owner() {
    let transferred = Event::Transferred("sol".to_owned(), NOW);
    check(&[registered()], Command::Transfer("sol".to_owned()), Ok(std::slice::from_ref(&transferred)));
    check(&[registered(), transferred.clone()], Command::Transfer("sol".to_owned()), Ok(&[]));
    assert_eq!(bike(&[registered(), transferred]).map(|bike| bike.owner).as_deref(), Some("sol"));
}

#[test]
fn b2_only_a_bike_that_is_free_and_usable_is_taken() {
    check(&[], take(1), Err(Refusal::NoSuchBike));
    check(&[registered()], take(1), Ok(&[taken(1)]));
    check(&[registered(), taken(1)], take(1), Ok(&[]));
    check(&[registered(), taken(1)], take(2), Err(Refusal::BikeInUse));
    check(&[registered(), inspected(BROKEN)], take(1), Err(Refusal::BikeOutOfOrder));
    check(&[registered(), Event::Removed(NOW)], take(1), Err(Refusal::NoSuchBike));
    check(&[registered(), taken(1), left(1)], take(2), Ok(&[taken(2)]));
}

#[test]
fn b2_a_ride_takes_a_bike_once() {
    check(&[registered(), taken(1), left(1)], take(1), Err(Refusal::RideOver));
    check(&[registered(), taken(1), left(1), taken(2)], take(1), Err(Refusal::RideOver));
    check(&[registered(), Event::Barred(ride(1), "ann".to_owned())], take(1), Err(Refusal::RideOver));
}

#[test]
fn b4_a_bike_is_left_where_it_was_returned() {
    check(&[registered(), taken(1)], leave(1), Ok(&[left(1)]));
    check(&[registered(), taken(1), left(1)], leave(1), Ok(&[]));
    let after = bike(&[registered(), taken(1), left(1)]).expect("it is there");
    assert_eq!((after.state, after.place), (State::Free, place("Seoul Forest")));
}

#[test]
fn b2_a_bike_whose_ride_never_started_is_where_it_was() {
    check(&[registered(), taken(1)], abandon(1), Ok(&[Event::GivenBack(ride(1), None, NOW)]));
    check(&[registered()], abandon(1), Ok(&[Event::Barred(ride(1), "ann".to_owned())]));
    let after = bike(&[registered(), taken(1), Event::GivenBack(ride(1), None, NOW)]).expect("it is there");
    assert_eq!((after.state, after.place), (State::Free, place("City Hall")));
}

#[test]
fn b4_a_bike_that_was_never_taken_can_not_be_given_back() {
    let refused = Event::GiveBackRefused(ride(2), "ann".to_owned());
    check(&[registered(), taken(1)], leave(2), Ok(std::slice::from_ref(&refused)));
    check(&[registered(), taken(1), refused], leave(2), Ok(&[]));
}

#[test]
fn b4_a_bike_that_was_written_off_is_not_given_back() {
    let gone = [registered(), taken(1), Event::WrittenOff(ride(1), NOW)];
    let refused = Event::GiveBackRefused(ride(1), "ann".to_owned());
    check(&gone, leave(1), Ok(std::slice::from_ref(&refused)));
    check(&[&gone[..], &[refused]].concat(), leave(1), Ok(&[]));
    check(&gone, abandon(1), Ok(&[Event::Barred(ride(1), "ann".to_owned())]));
    check(&gone, take(1), Err(Refusal::NoSuchBike));
    assert_eq!(bike(&gone).map(|bike| bike.state), Some(State::Removed));
}

#[test]
fn b1_a_bike_in_use_is_removed_only_if_it_is_written_off() {
    let remove = |written_off| Command::Remove { written_off };
    for written_off in [false, true] {
        check(&[], remove(written_off), Err(Refusal::NoSuchBike));
        check(&[registered()], remove(written_off), Ok(&[Event::Removed(NOW)]));
        check(&[registered(), Event::Removed(NOW)], remove(written_off), Ok(&[]));
    }
    check(&[registered(), taken(1)], remove(false), Err(Refusal::BikeInUse));
    check(&[registered(), taken(1)], remove(true), Ok(&[Event::WrittenOff(ride(1), NOW)]));
}

#[test]
fn b7_a_report_is_applied_unless_the_bike_was_removed() {
    check(&[], inspect(BROKEN), Err(Refusal::NoSuchBike));
    check(&[registered()], inspect(BROKEN), Ok(&[inspected(BROKEN)]));
    check(&[registered(), taken(1)], inspect(BROKEN), Ok(&[inspected(BROKEN)]));
    check(&[registered(), Event::Removed(NOW)], inspect(BROKEN), Err(Refusal::NoSuchBike));
    // The ride can be finished; the bike can't be taken again.
    check(&[registered(), taken(1), inspected(BROKEN), left(1)], take(2), Err(Refusal::BikeOutOfOrder));
    check(&[registered(), inspected(BROKEN), inspected(GOOD)], take(2), Ok(&[taken(2)]));
}

fn commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (0u64..4).prop_map(take),
        3 => (0u64..4).prop_map(leave),
        2 => (0u64..4).prop_map(abandon),
        1 => any::<bool>().prop_map(|usable| inspect(Condition { usable, ..GOOD })),
        1 => any::<bool>().prop_map(|written_off| Command::Remove { written_off }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn b2_a_bike_has_one_rider_and_a_ride_one_bike(history in proptest::collection::vec(commands(), 1..30)) {
        let mut bike = Bike::evolve(None, &registered());
        let mut over = std::collections::BTreeSet::new();
        for command in history {
            let Ok(events) = Bike::decide(Some(&bike), &command, NOW) else { continue };
            for event in &events {
                if let Event::Taken(ride, ..) = event {
                    prop_assert_eq!(bike.state, State::Free);
                    prop_assert!(!over.contains(ride), "its ride is over");
                }
                bike = Bike::evolve(Some(bike), event);
            }
            over.extend(bike.takings.iter().filter(|(_, taking)| taking.is_over).map(|(ride, _)| *ride));
            let open: Vec<_> = bike.takings.iter().filter(|(_, taking)| !taking.is_over).map(|(ride, _)| *ride).collect();
            match bike.state {
                State::WithRide(ride) => prop_assert_eq!(open, vec![ride]),
                State::Free => prop_assert_eq!(open, vec![]),
                // The ride that had it when it was written off may still give it back.
                State::Removed => prop_assert!(open.len() <= 1),
            }
            if let Ok(again) = Bike::decide(Some(&bike), &command, NOW) {
                let changes_nothing = again.is_empty() || matches!(command, Command::Inspect(..));
                prop_assert!(changes_nothing, "{:?} again: {:?}", command, again);
            }
        }
    }
}

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: ride(1).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: ride(1).uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

#[test]
fn each_event_of_a_ride_has_its_command() {
    let bike_id = id::<BikeId>(1).to_string();
    let (ride_id, customer_id) = (ride(1).to_string(), "ann".to_owned());
    let abandoned =
        RideAbandoned { ride_id: ride_id.clone(), bike_id: bike_id.clone(), customer_id: customer_id.clone() };
    assert_eq!(policy().react(&event(&abandoned)).expect("the event is right"), [(id(1), abandon(1))]);
    let to = Some(place("Seoul Forest").into());
    let returned = RideReturned { ride: Some(Ride { ride_id, bike_id, customer_id, to, ..Ride::default() }) };
    assert_eq!(policy().react(&event(&returned)).expect("the event is right"), [(id(1), leave(1))]);
    let malformed = RideReturned { ride: Some(Ride::default()) };
    assert!(policy().react(&event(&malformed)).is_err(), "it breaks its contract");
}
