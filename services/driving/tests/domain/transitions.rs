//! Each command in each state.

use super::*;

fn start() -> Command {
    Command::Start(driver("kim"), CODE.to_owned(), LIMITS)
}

fn finish() -> Command {
    Command::Finish { by: driver("kim"), tariff: tariff(), fare: None }
}

fn by(driver: &str) -> Command {
    Command::Accept(driver.to_owned(), LIMITS)
}

#[test]
fn t2_an_offer_goes_to_the_first_driver_who_accepts() {
    check(&[offered()], by("kim"), NOW, Ok(&[Event::Accepted("kim".to_owned(), NOW, NOW + LIMITS.accepted)]));
    for given in [accepted(), started(), finished()] {
        check(&given, by("kim"), NOW, Ok(&[]));
        check(&given, by("lee"), NOW, Err(Refusal::DriveTaken));
    }
    check(&[], by("kim"), NOW, Err(Refusal::NoSuchDrive));
    check(&[offered(), Event::Cancelled(Cause::Customer, NOW)], by("kim"), NOW, Err(Refusal::DriveCancelled));
    check(&[offered(), Event::Lapsed(NOW)], by("kim"), NOW, Err(Refusal::DriveLapsed));
    check(&[offered()], by("kim"), NOW + OPEN_FOR, Err(Refusal::DriveLapsed));
}

#[test]
fn t2_the_customer_is_not_the_driver() {
    let customer = trip().customer;
    check(&[offered()], by(&customer), NOW, Err(Refusal::OwnHail));
    check(&accepted(), by(&customer), NOW, Err(Refusal::DriveTaken));
    check(&[offered(), Event::Lapsed(NOW)], by(&customer), NOW, Err(Refusal::DriveLapsed));
}

#[test]
fn t2_a_driver_who_declines_is_recorded_and_others_may_accept() {
    let decline = || Command::Decline("kim".to_owned());
    let declined = Event::Declined("kim".to_owned());
    check(&[offered()], decline(), NOW, Ok(std::slice::from_ref(&declined)));
    let given = [offered(), declined];
    check(&given, decline(), NOW, Ok(&[]));
    check(&given, by("lee"), NOW, Ok(&[Event::Accepted("lee".to_owned(), NOW, NOW + LIMITS.accepted)]));
    // A driver who declined may still accept.
    check(&given, by("kim"), NOW, Ok(&[Event::Accepted("kim".to_owned(), NOW, NOW + LIMITS.accepted)]));
    check(&accepted(), decline(), NOW, Err(Refusal::DriveTaken));
    let many: Vec<Event> = (0..MAX_DECLINED).map(|number| Event::Declined(number.to_string())).collect();
    check(&[vec![offered()], many].concat(), decline(), NOW, Err(Refusal::TooManyDeclined));
    assert!(drive(&accepted()).expect("there is one").declined.is_empty());
}

#[test]
fn t3_only_an_accepted_drive_starts() {
    check(&accepted(), start(), seconds(120), Ok(&[Event::Started(seconds(120), seconds(120) + LIMITS.started)]));
    check(&started(), start(), seconds(180), Ok(&[]));
    check(&[offered()], start(), NOW, Err(Refusal::DriveNotAccepted));
    check(&finished(), start(), NOW, Err(Refusal::DriveFinished));
    check(
        &[accepted(), vec![Event::Cancelled(Cause::Customer, NOW)]].concat(),
        start(),
        NOW,
        Err(Refusal::DriveCancelled),
    );
}

#[test]
fn t3_a_drive_is_started_and_finished_by_its_driver_only() {
    let lee = || driver("lee");
    for given in [accepted(), started(), finished()] {
        check(&given, Command::Start(lee(), CODE.to_owned(), LIMITS), NOW, Err(Refusal::NoSuchDrive));
        check(&given, Command::Release(lee(), LIMITS), NOW, Err(Refusal::NoSuchDrive));
        check(&given, Command::Cancel(lee(), LIMITS), NOW, Err(Refusal::NoSuchDrive));
        let finish = Command::Finish { by: lee(), tariff: tariff(), fare: None };
        check(&given, finish, NOW, Err(Refusal::NoSuchDrive));
    }
}

#[test]
fn t4_a_fare_is_that_of_the_whole_minutes_and_of_one_at_least() {
    let fare = |took: u64| tariff().fare(NOW, seconds(took));
    for (took, minor) in [(0, 1_000), (59, 1_000), (60, 1_000), (119, 1_000), (120, 2_000), (3_599, 59_000)] {
        assert_eq!(fare(took), won(minor), "{took} seconds");
    }
    assert_eq!(fare(u64::from(u32::MAX)), won(71_582_788_000));
    let dear = Tariff { per_minute: won(Money::MAX_MINOR) };
    assert_eq!(dear.fare(NOW, seconds(600)), won(Money::MAX_MINOR), "it is no more than an amount can be");
    assert_eq!(tariff().fare(seconds(600), NOW), won(1_000), "clocks that differ cost nobody anything");
}

#[test]
fn t4_a_finished_drive_has_its_fare_for_good() {
    let end = seconds(120 + 600);
    let then = Event::Finished(won(10_000), end, end + COLLECT_FIRST);
    check(&started(), finish(), end, Ok(&[then]));
    check(&finished(), finish(), seconds(9_000), Ok(&[]));
    check(&accepted(), finish(), end, Err(Refusal::DriveNotStarted));
}

#[test]
fn t5_a_drive_is_called_off_before_its_start_only() {
    for given in [vec![offered()], accepted()] {
        check(&given, Command::CallOff(hail()), NOW, Ok(&[Event::Cancelled(Cause::Customer, NOW)]));
    }
    for given in [started(), finished()] {
        check(&given, Command::CallOff(hail()), NOW, Ok(&[Event::CancellationRefused]));
    }
    check(&[offered(), Event::Cancelled(Cause::Customer, NOW)], Command::CallOff(hail()), NOW, Ok(&[]));
}

#[test]
fn t5_a_cancellation_that_arrives_before_its_hail_bars_it() {
    let barred = Event::Barred(hail(), NOW);
    check(&[], Command::CallOff(hail()), NOW, Ok(std::slice::from_ref(&barred)));
    check(std::slice::from_ref(&barred), offer(), NOW, Ok(&[]));
    check(&[barred], by("kim"), NOW, Err(Refusal::DriveCancelled));
}

#[test]
fn t8_a_fare_is_tried_again_with_growing_pauses_up_to_a_limit() {
    let mut given = finished();
    let postpone = |attempt: u32| Command::Postpone { attempt, attempts: 36 };
    let mut pauses = Vec::new();
    for attempt in 0..35 {
        let events = Drive::decide(drive(&given).as_ref(), &postpone(attempt), NOW).expect("it may fail");
        let [Event::FarePostponed(at)] = events[..] else { panic!("{events:?}") };
        pauses.push(at.since(NOW).as_secs());
        given.extend(events);
        check(&given, postpone(attempt), NOW, Ok(&[]));
        let due = drive(&given).and_then(|drive| drive.due_at());
        assert_eq!(due, Some((at, Command::Collect)));
    }
    assert_eq!(pauses[..6], [2, 4, 8, 16, 32, 64]);
    assert_eq!(pauses[7..10], [256, 300, 300]);
    check(&given, postpone(35), NOW, Ok(&[Event::FareUncollected(NOW)]));
    given.push(Event::FareUncollected(NOW));
    assert_eq!(drive(&given).and_then(|drive| drive.due_at()), None);
    check(&given, Command::Retry, NOW, Ok(&[Event::FareReopened(NOW + COLLECT_FIRST)]));
    check(&given, Command::Paid(payment()), NOW, Ok(&[Event::ArrearsPaid(payment(), NOW)]));
}

#[test]
fn t8_a_declined_card_waits_for_the_customer() {
    let refused = [finished(), vec![Event::FareRefused(NOW)]].concat();
    check(&finished(), Command::Refused, NOW, Ok(&[Event::FareRefused(NOW)]));
    check(&refused, Command::Refused, NOW, Ok(&[]));
    check(&refused, Command::Retry, NOW, Ok(&[]));
    check(&refused, Command::Paid(payment()), NOW, Ok(&[Event::ArrearsPaid(payment(), NOW)]));
    check(&finished(), Command::Paid(payment()), NOW, Ok(&[Event::FarePaid(payment(), NOW)]));
    assert_eq!(drive(&refused).and_then(|drive| drive.due_at()), None);
    check(&started(), Command::Paid(payment()), NOW, Err(Refusal::DriveNotFinished));
}

#[test]
fn an_offer_that_nobody_accepts_lapses() {
    check(&[offered()], Command::Lapse, NOW, Ok(&[]));
    check(&[offered()], Command::Lapse, NOW + OPEN_FOR, Ok(&[Event::Lapsed(NOW + OPEN_FOR)]));
    check(&accepted(), Command::Lapse, NOW + OPEN_FOR, Ok(&[]));
    check(&[offered(), Event::Lapsed(NOW)], Command::CallOff(hail()), NOW, Ok(&[]));
}

#[test]
fn t10_a_released_drive_is_offered_again_and_hidden_from_its_driver() {
    let release = || Command::Release(driver("kim"), LIMITS);
    let released = Event::Released("kim".to_owned(), seconds(120), seconds(120) + OPEN_FOR);
    check(&accepted(), release(), seconds(120), Ok(std::slice::from_ref(&released)));
    let given = [accepted(), vec![released]].concat();
    let offered_again = drive(&given).expect("there is one");
    assert_eq!(offered_again.state, State::Offered { until: seconds(120) + OPEN_FOR });
    assert!(offered_again.declined.contains("kim") && offered_again.driver.is_none());
    check(&given, by("lee"), NOW, Ok(&[Event::Accepted("lee".to_owned(), NOW, NOW + LIMITS.accepted)]));
    check(&given, release(), NOW, Err(Refusal::DriveNotAccepted));
    check(&started(), release(), NOW, Err(Refusal::DriveStarted));
    check(&finished(), release(), NOW, Err(Refusal::DriveFinished));
}

#[test]
fn t10_an_acceptance_takes_the_one_drive_of_its_driver() {
    let quotas = Drive::quotas(&by("kim"));
    assert!(matches!(&*quotas, [quota] if quota.subject == "kim" && quota.limit == 1), "{quotas:?}");
    assert_eq!(Drive::quotas(&start()), []);
}

#[test]
fn t14_a_drive_starts_with_the_code_of_its_customer() {
    let with = |code: &str| Command::Start(driver("kim"), code.to_owned(), LIMITS);
    check(&accepted(), with("1234"), NOW, Ok(&[Event::CodeRefused]));
    check(&accepted(), with(""), NOW, Ok(&[Event::CodeRefused]));
    let mut given = accepted();
    given.extend((0..MAX_WRONG_CODES).map(|_| Event::CodeRefused));
    check(&given, with(CODE), NOW, Err(Refusal::TooManyStartCodes));
    let started = Event::Started(NOW, NOW + LIMITS.started);
    let by_staff = Command::Start(staff(), String::new(), LIMITS);
    check(&given, by_staff, NOW, Ok(&[Event::Intervened(intervention()), started.clone()]));
    // The next driver may try again.
    given.push(Event::Released("kim".to_owned(), NOW, NOW + OPEN_FOR));
    given.push(Event::Accepted("lee".to_owned(), NOW, NOW));
    check(&given, Command::Start(driver("lee"), CODE.to_owned(), LIMITS), NOW, Ok(&[started]));
}

#[test]
fn t14_a_hail_from_before_there_were_codes_needs_none() {
    let old = Event::Offered(hail(), Trip { start_code: String::new(), ..trip() }, NOW, NOW + OPEN_FOR);
    let given = [old, Event::Accepted("kim".to_owned(), NOW, NOW)];
    let start = Command::Start(driver("kim"), String::new(), LIMITS);
    check(&given, start, NOW, Ok(&[Event::Started(NOW, NOW + LIMITS.started)]));
}

#[test]
fn t14_a_driver_cancels_when_the_customer_did_not_come() {
    let cancel = || Command::Cancel(driver("kim"), LIMITS);
    let wait = LIMITS.no_show.checked_sub(Duration::from_secs(1)).expect("it is longer");
    check(&accepted(), cancel(), seconds(61), Err(Refusal::CustomerMayCome(wait)));
    let late = seconds(60) + LIMITS.no_show;
    check(&accepted(), cancel(), late, Ok(&[Event::Cancelled(Cause::NoShow, late)]));
    check(&[offered()], cancel(), late, Err(Refusal::DriveNotAccepted));
    check(&started(), cancel(), late, Err(Refusal::DriveStarted));
}

#[test]
fn x11_staff_end_a_drive_at_every_stage_and_say_why() {
    let cancel = || Command::Cancel(staff(), LIMITS);
    let cancelled = [Event::Intervened(intervention()), Event::Cancelled(Cause::Staff, NOW)];
    check(&[offered()], cancel(), NOW, Ok(&cancelled));
    check(&accepted(), cancel(), NOW, Ok(&cancelled));
    check(&started(), cancel(), NOW, Err(Refusal::DriveStarted));
    let finish = |fare| Command::Finish { by: staff(), tariff: tariff(), fare };
    let end = seconds(120 + 600);
    let finished_for = |fare| [Event::Intervened(intervention()), Event::Finished(fare, end, end + COLLECT_FIRST)];
    check(&started(), finish(None), end, Ok(&finished_for(won(10_000))));
    check(&started(), finish(Some(won(0))), end, Ok(&finished_for(won(0))));
    let dollars = Money { minor: 1, currency: Currency::parse("USD").expect("it is one") };
    check(&started(), finish(Some(dollars)), end, Err(Refusal::OtherCurrency(Currency::WON)));
    check(&finished(), finish(None), end, Ok(&[]));
    let given = [accepted(), cancelled.to_vec()].concat();
    assert_eq!(drive(&given).and_then(|drive| drive.intervention), Some(intervention()));
}
