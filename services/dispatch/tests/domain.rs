//! The rules of hails: as tables of given, when and then; what holds in whatever order `driving`'s events arrive; and
//! the reactions of the policy.

use chassis::values::{Intervention, Place};
use chassis::{Aggregate, Envelope, Timestamp};
use contracts::driving::v1::{
    Drive, DriveAccepted, DriveCancellationCause, DriveCancellationRefused, DriveCancelled, DriveFinished, DriveLapsed,
    DriveReleased, DriveStarted, FarePaid, FareRefused, FareReopened, FareUncollected,
};
use dispatch::domain::{Allocation, Cause, Command, Event, Hail, HailId, OPEN_HAILS, OWED_FARES, Refusal, State, Trip};
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
    Trip {
        customer: "ann".to_owned(),
        pickup,
        destination,
        payment_method: "card".to_owned(),
        start_code: "0417".to_owned(),
    }
}

fn kim() -> Allocation {
    let drive = "00000000-0000-4000-8000-000000000008".parse().expect("the test gives a UUID");
    Allocation { drive, driver: "kim".to_owned() }
}

fn requested() -> Vec<Event> {
    vec![Event::Requested(id(), trip(), NOW)]
}

fn allocated() -> Vec<Event> {
    [requested(), vec![Event::Allocated(kim(), 2, NOW)]].concat()
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
    check(&[], Command::Request(id(), trip(), 1), Ok(&requested()));
    check(&requested(), Command::Request(id(), trip(), 1), Ok(&[]));
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
    check(&requested(), Command::Allocate(kim(), 2), Ok(&[Event::Allocated(kim(), 2, NOW)]));
    for given in [allocated(), under_way(), finished()] {
        check(&given, Command::Allocate(kim(), 2), Ok(&[]));
    }
    // The customer sees who would have come, and gets no message.
    let unaccepted = [requested(), vec![Event::CancellationRequested(NOW)]].concat();
    check(&unaccepted, Command::Allocate(kim(), 2), Ok(&[Event::DriverNoted(kim(), 2)]));
}

#[test]
fn the_events_of_a_drive_end_in_the_same_state_in_any_order() {
    let commands = [Command::Allocate(kim(), 2), Command::Depart(kim()), Command::Arrive(kim())];
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
            sequence: 2,
            traceparent: None,
            body: message.encode_to_vec(),
        };
        assert_eq!(policy().react(&event).expect("the event is right"), [(id(), then)]);
    }
    let drive = || {
        let (drive_id, hail_id) = (kim().drive.to_string(), id().to_string());
        Some(Drive { drive_id, hail_id, driver_id: "kim".to_owned(), ..Drive::default() })
    };
    check(&DriveAccepted { drive: drive() }, Command::Allocate(kim(), 2));
    check(&DriveStarted { drive: drive() }, Command::Depart(kim()));
    check(&DriveFinished { drive: drive() }, Command::Arrive(kim()));
    check(&DriveReleased { drive: drive() }, Command::Release(2));
    check(&DriveCancelled { drive: drive() }, Command::Withdraw(Cause::Customer));
    for (cause, then) in
        [(DriveCancellationCause::NoShow, Cause::NoShow), (DriveCancellationCause::Staff, Cause::Staff)]
    {
        let drive = drive().map(|drive| Drive { cancellation_cause: cause.into(), ..drive });
        check(&DriveCancelled { drive }, Command::Withdraw(then));
    }
    check(&FareRefused { drive: drive() }, Command::NoteFare(true, 2));
    check(&FareUncollected { drive: drive() }, Command::NoteFare(true, 2));
    check(&FareReopened { drive: drive() }, Command::NoteFare(false, 2));
    check(&FarePaid { drive: drive() }, Command::NoteFare(false, 2));
    check(&DriveCancellationRefused { drive: drive() }, Command::Insist(kim()));
    check(&DriveLapsed { drive: drive() }, Command::Withdraw(Cause::NoDriver));
}

fn lee() -> Allocation {
    Allocation { driver: "lee".to_owned(), ..kim() }
}

#[test]
fn t10_a_released_hail_is_requested_again() {
    check(&allocated(), Command::Release(3), Ok(&[Event::Released(3, NOW)]));
    let released = [allocated(), vec![Event::Released(3, NOW)]].concat();
    check(&released, Command::Allocate(lee(), 5), Ok(&[Event::Allocated(lee(), 5, NOW)]));
    check(&cancelling(), Command::Release(3), Ok(&[Event::ReleaseNoted(3)]));
}

#[test]
fn t10_an_acceptance_that_comes_after_its_release_counts_no_more() {
    check(&requested(), Command::Release(3), Ok(&[Event::ReleaseNoted(3)]));
    let released = [requested(), vec![Event::ReleaseNoted(3)]].concat();
    check(&released, Command::Allocate(kim(), 2), Ok(&[]));
    // The acceptance of the next driver comes before the release.
    check(&allocated(), Command::Allocate(lee(), 5), Ok(&[Event::Allocated(lee(), 5, NOW)]));
    let reallocated = [allocated(), vec![Event::Allocated(lee(), 5, NOW)]].concat();
    check(&reallocated, Command::Release(3), Ok(&[]));
}

#[test]
fn t11_a_hail_takes_from_the_quotas_of_its_customer() {
    let quotas = Hail::quotas(&Command::Request(id(), trip(), 2));
    let limits: Vec<_> = quotas.iter().map(|quota| (quota.resource, quota.subject.as_str(), quota.limit)).collect();
    assert_eq!(limits, [(OWED_FARES, "ann", 1), (OPEN_HAILS, "ann", 2)]);
    assert_eq!(Hail::quotas(&Command::Cancel), []);
}

#[test]
fn t11_a_fare_is_owed_by_its_newest_event() {
    let owed = Event::FareNoted(true, 6);
    check(&finished(), Command::NoteFare(true, 6), Ok(std::slice::from_ref(&owed)));
    let given = [finished(), vec![owed]].concat();
    check(&given, Command::NoteFare(true, 6), Ok(&[]));
    check(&given, Command::NoteFare(false, 7), Ok(&[Event::FareNoted(false, 7)]));
    let paid = [given, vec![Event::FareNoted(false, 7)]].concat();
    check(&paid, Command::NoteFare(true, 6), Ok(&[]));
    assert!(!hail(&paid).expect("there is one").fare_owed);
}

#[test]
fn x11_what_staff_did_about_the_drive_is_noted() {
    let intervention = Intervention { staff: "sol".to_owned(), reason: "the driver is ill".to_owned(), at: NOW };
    let noted = Event::Intervened(intervention.clone());
    check(&allocated(), Command::NoteIntervention(intervention.clone()), Ok(std::slice::from_ref(&noted)));
    let given = [allocated(), vec![noted]].concat();
    check(&given, Command::NoteIntervention(intervention), Ok(&[]));
}
