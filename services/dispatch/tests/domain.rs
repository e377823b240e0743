//! The rules of hails: as tables of given, when and then; what holds in whatever order `driving`'s events arrive; and
//! the reactions of the policy.

use chassis::values::Place;
use chassis::{Aggregate, Envelope, Timestamp};
use contracts::driving::v1::{
    Drive, DriveAccepted, DriveCancellationRefused, DriveCancelled, DriveFinished, DriveLapsed, DriveStarted,
};
use dispatch::domain::{Allocation, Cause, Command, Event, Hail, HailId, Refusal, State, Trip};
use dispatch::policy::policy;
use prost::{Message, Name};

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

fn id() -> HailId {
    "00000000-0000-4000-8000-000000000007".parse().expect("the test gives a UUID")
}

fn trip() -> Trip {
    let place = |name: &str| Place { name: name.to_owned(), position: Some((37.5, 127.0)) };
    let (pickup, destination) = (place("City Hall"), place("Gimpo Airport"));
    Trip { customer: "ann".to_owned(), pickup, destination, payment_method: "card".to_owned() }
}

fn kim() -> Allocation {
    let drive = "00000000-0000-4000-8000-000000000008".parse().expect("the test gives a UUID");
    Allocation { drive, driver: "kim".to_owned() }
}

fn requested() -> Vec<Event> {
    vec![Event::Requested(id(), trip(), NOW)]
}

fn allocated() -> Vec<Event> {
    [requested(), vec![Event::Allocated(kim(), NOW)]].concat()
}

fn cancelling() -> Vec<Event> {
    [allocated(), vec![Event::CancellationRequested(NOW)]].concat()
}

fn under_way() -> Vec<Event> {
    [allocated(), vec![Event::Departed(kim(), NOW)]].concat()
}

fn finished() -> Vec<Event> {
    [under_way(), vec![Event::Arrived(NOW)]].concat()
}

fn cancelled() -> Vec<Event> {
    [cancelling(), vec![Event::Cancelled(Cause::Customer, NOW)]].concat()
}

fn hail(given: &[Event]) -> Option<Hail> {
    given.iter().fold(None, |hail, event| Some(Hail::evolve(hail, event)))
}

#[track_caller]
fn check(given: &[Event], when: Command, then: Result<&[Event], Refusal>) {
    let decided = Hail::decide(hail(given).as_ref(), &when, NOW);
    assert_eq!(decided, then.map(<[Event]>::to_vec), "given {given:?}, when {when:?}");
}

#[test]
fn t1_a_hail_is_requested_once() {
    check(&[], Command::Request(id(), trip()), Ok(&requested()));
    check(&requested(), Command::Request(id(), trip()), Ok(&[]));
    check(&[], Command::Cancel, Err(Refusal::NoSuchHail));
}

#[test]
fn t5_a_customer_cancels_before_the_start() {
    for given in [requested(), allocated()] {
        check(&given, Command::Cancel, Ok(&[Event::CancellationRequested(NOW)]));
    }
    for given in [cancelling(), cancelled()] {
        check(&given, Command::Cancel, Ok(&[]));
    }
    check(&under_way(), Command::Cancel, Err(Refusal::DriveStarted));
    check(&finished(), Command::Cancel, Err(Refusal::DriveFinished));
}

#[test]
fn t5_driving_decides_about_a_cancellation() {
    check(&cancelling(), Command::Withdraw(Cause::Customer), Ok(&[Event::Cancelled(Cause::Customer, NOW)]));
    check(&cancelling(), Command::Withdraw(Cause::NoDriver), Ok(&[Event::Cancelled(Cause::Customer, NOW)]));
    let departed = Event::Departed(kim(), NOW);
    check(&cancelling(), Command::Depart(kim()), Ok(&[departed.clone(), Event::CancellationRefused]));
    check(&cancelling(), Command::Insist(kim()), Ok(&[departed.clone(), Event::CancellationRefused]));
    check(&cancelling(), Command::Arrive(kim()), Ok(&[departed, Event::CancellationRefused, Event::Arrived(NOW)]));
    check(&under_way(), Command::Insist(kim()), Ok(&[]));
    for given in [under_way(), finished(), cancelled()] {
        check(&given, Command::Withdraw(Cause::Customer), Ok(&[]));
    }
}

#[test]
fn t6_an_acceptance_that_crosses_a_cancellation_is_not_published() {
    check(&requested(), Command::Allocate(kim()), Ok(&[Event::Allocated(kim(), NOW)]));
    for given in [allocated(), cancelling(), cancelled(), under_way(), finished()] {
        check(&given, Command::Allocate(kim()), Ok(&[]));
    }
}

#[test]
fn the_events_of_a_drive_end_in_the_same_state_in_any_order() {
    let commands = [Command::Allocate(kim()), Command::Depart(kim()), Command::Arrive(kim())];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut events = requested();
        for index in order {
            events.extend(Hail::decide(hail(&events).as_ref(), &commands[index], NOW).expect("it is not refused"));
        }
        let hail = hail(&events).expect("there is one");
        assert_eq!((hail.state, hail.allocation), (State::Finished, Some(kim())), "{order:?}");
        let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
        assert_eq!(count(|event| matches!(event, Event::Allocated(..))), 1, "{order:?}");
    }
}

#[test]
fn each_event_of_a_drive_has_its_command() {
    fn check<M: Message + Name>(message: &M, then: Command) {
        let event = Envelope {
            event_id: id().uuid(),
            kind: M::full_name(),
            source: String::new(),
            subject: String::new(),
            at: NOW,
            correlation_id: id().uuid(),
            causation_id: None,
            sequence: 1,
            traceparent: None,
            body: message.encode_to_vec(),
        };
        assert_eq!(policy().react(&event).expect("the event is right"), [(id(), then)]);
    }
    let drive = || {
        let (drive_id, hail_id) = (kim().drive.to_string(), id().to_string());
        Some(Drive { drive_id, hail_id, driver_id: "kim".to_owned(), ..Drive::default() })
    };
    check(&DriveAccepted { drive: drive() }, Command::Allocate(kim()));
    check(&DriveStarted { drive: drive() }, Command::Depart(kim()));
    check(&DriveFinished { drive: drive() }, Command::Arrive(kim()));
    check(&DriveCancelled { drive: drive() }, Command::Withdraw(Cause::Customer));
    check(&DriveCancellationRefused { drive: drive() }, Command::Insist(kim()));
    check(&DriveLapsed { drive: drive() }, Command::Withdraw(Cause::NoDriver));
}
