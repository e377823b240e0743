//! The rules of managers: as tables of given, when and then; as properties of random histories; and the reactions of
//! the policy.

use std::collections::BTreeMap;

use chassis::{Aggregate, Envelope, Malformed, Timestamp};
use contracts::bike::v1::{Bike, BikeInspected, BikeRemoved};
use contracts::wallet::v1::{PointsConverted, PointsEarned, Wallet};
use proptest::prelude::*;
use prost::{Message, Name};
use upkeep::domain::{Command, Event, Finding, Manager, Report, ReportId, manager_of};
use upkeep::policy::policy;

/// 2026-07-01T00:00:00Z.
const NOW: Timestamp = Timestamp::from_micros(1_782_864_000_000_000);

/// The id with this number at its end.
fn id<K>(number: u64) -> chassis::Id<K> {
    let uuid = format!("00000000-0000-4000-8000-{number:012}");
    uuid.parse().expect("the test gives a UUID")
}

fn finding() -> Finding {
    Finding { bike: id(7), battery_percent: 60, usable: false }
}

fn record(number: u64) -> Command {
    Command::Record("boss".to_owned(), id(number), finding(), 1_000)
}

fn note(points: i64, sequence: i64) -> Command {
    Command::Note { subject: "boss".to_owned(), points, sequence }
}

fn report(number: u64) -> Event {
    Event::ReportTaken(Report { id: id(number), finding: finding(), points: 1_000, created_at: NOW })
}

fn created() -> Event {
    Event::Created("boss".to_owned())
}

fn play(commands: &[Command]) -> Option<Manager> {
    commands.iter().fold(None, |manager: Option<Manager>, command| {
        let Ok(events) = Manager::decide(manager.as_ref(), command, NOW);
        events.iter().fold(manager, |manager, event| Some(Manager::evolve(manager, event)))
    })
}

#[track_caller]
fn check(given: &[Command], when: Command, then: &[Event]) {
    let decided = Manager::decide(play(given).as_ref(), &when, NOW);
    assert_eq!(decided, Ok(then.to_vec()), "given {given:?}, when {when:?}");
}

#[test]
fn b8_a_report_that_a_bike_took_is_recorded_once() {
    check(&[], record(1), &[created(), report(1)]);
    check(&[record(1)], record(2), &[report(2)]);
    check(&[record(1), record(2)], record(1), &[]);
    let manager = play(&[record(1), record(2), record(1)]).expect("it was created");
    assert_eq!((manager.reports, manager.points_earned, manager.points), (2, 2_000, 0));
}

#[test]
fn b10_the_newest_event_of_the_wallet_counts() {
    check(&[], note(1_000, 2), &[created(), Event::PointsNoted(1_000, 2)]);
    check(&[note(1_000, 2)], note(400, 3), &[Event::PointsNoted(400, 3)]);
    check(&[note(400, 3)], note(1_000, 2), &[]);
    check(&[note(400, 3)], note(400, 3), &[]);
}

fn event<M: Message + Name>(message: &M, sequence: i64) -> Envelope {
    Envelope {
        event_id: id::<()>(99).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: id::<()>(98).uuid(),
        causation_id: None,
        sequence,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

#[track_caller]
fn check_policy(event: &Envelope, then: &[Command]) {
    let commands = policy(1_000).react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (manager_of("boss"), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy(1_000).react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

fn inspected() -> BikeInspected {
    let bike = Bike { bike_id: id::<()>(7).to_string(), battery_percent: 60, usable: false, ..Bike::default() };
    BikeInspected { bike: Some(bike), report_id: id::<()>(1).to_string(), manager_id: "boss".to_owned() }
}

#[test]
fn each_row_of_the_policy() {
    check_policy(&event(&inspected(), 1), &[record(1)]);
    let wallet = || Some(Wallet { owner_id: "boss".to_owned(), points: 400, ..Wallet::default() });
    check_policy(&event(&PointsEarned { wallet: wallet(), entry: None }, 3), &[note(400, 3)]);
    check_policy(&event(&PointsConverted { wallet: wallet(), entry: None }, 4), &[note(400, 4)]);
    check_policy(&event(&BikeRemoved { bike: None }, 1), &[]);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&BikeInspected { bike: None, ..inspected() }, 1), "no bike");
    check_malformed(&event(&BikeInspected { report_id: "7".to_owned(), ..inspected() }, 1), "report_id");
    check_malformed(&event(&BikeInspected { manager_id: String::new(), ..inspected() }, 1), "nobody");
    check_malformed(&event(&PointsEarned { wallet: None, entry: None }, 1), "no wallet");
}

proptest! {
    #[test]
    fn every_report_counts_once_and_the_newest_event_of_the_wallet_stays(
        commands in prop::collection::vec(
            prop_oneof![(0..9_u64).prop_map(record), (0..500_i64).prop_map(|sequence| note(sequence * 3, sequence + 1))],
            0..40,
        ),
    ) {
        let manager = play(&commands);
        let reports: BTreeMap<ReportId, ()> =
            commands.iter().filter_map(Command::report).map(|report| (report, ())).collect();
        let newest = commands.iter().filter_map(|command| match command {
            Command::Note { points, sequence, .. } => Some((*sequence, *points)),
            Command::Record(..) => None,
        }).max().unwrap_or_default();
        let manager = manager.unwrap_or_else(|| Manager::new("boss"));
        prop_assert_eq!(manager.reports, reports.len() as i64);
        prop_assert_eq!(manager.points_earned, 1_000 * manager.reports);
        prop_assert_eq!((manager.told_sequence, manager.points), newest);
        for command in &commands {
            prop_assert_eq!(Manager::decide(Some(&manager), command, NOW), Ok(vec![]));
        }
    }
}
