//! Every transition of a stay, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

fn given_reserved() -> Vec<Event> {
    vec![reserved()]
}

fn given_confirmed() -> Vec<Event> {
    vec![reserved(), Event::Confirmed(payment(), NOW)]
}

fn given_completed() -> Vec<Event> {
    [given_confirmed(), vec![Event::Completed(end())]].concat()
}

fn given_cancelled() -> Vec<Event> {
    vec![reserved(), Event::Cancelled(Cause::Customer, NOW)]
}

fn a_moment_before(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.micros() - 1)
}

#[test]
fn r2_a_stay_is_reserved_once() {
    check(&[], reserve(), NOW, Ok(&[reserved()]));
    for given in [given_reserved(), given_confirmed(), given_completed(), given_cancelled()] {
        check(&given, reserve(), NOW, Ok(&[]));
    }
}

#[test]
fn a_stay_that_was_not_reserved_is_not_found() {
    let commands = [
        Command::Cancel(None),
        Command::Confirm(payment()),
        Command::TakeBack,
        Command::Drop,
        Command::Lose,
        Command::Lapse,
        Command::Complete,
    ];
    for command in commands {
        check(&[], command, NOW, Err(Refusal::NoSuchStay));
    }
}

#[test]
fn r3_a_paid_stay_is_confirmed_once() {
    let confirm = || Command::Confirm(payment());
    check(&given_reserved(), confirm(), hour(1), Ok(&[Event::Confirmed(payment(), hour(1))]));
    for given in [given_confirmed(), given_completed()] {
        check(&given, confirm(), NOW, Ok(&[]));
    }
}

#[test]
fn r8_a_payment_that_comes_after_the_cancellation_changes_nothing() {
    for cause in [Cause::Customer, Cause::Payment, Cause::Unpaid, Cause::Resort] {
        let given = [reserved(), Event::Cancelled(cause, NOW)];
        check(&given, Command::Confirm(payment()), NOW, Ok(&[]));
    }
}

#[test]
fn r3_an_unpaid_stay_lapses_at_its_expiry_and_not_earlier() {
    let expiry = NOW + TERMS.pay_within;
    check(&given_reserved(), Command::Lapse, a_moment_before(expiry), Ok(&[]));
    check(&given_reserved(), Command::Lapse, expiry, Ok(&[Event::Cancelled(Cause::Unpaid, expiry)]));
    for given in [given_confirmed(), given_completed(), given_cancelled()] {
        check(&given, Command::Lapse, expiry, Ok(&[]));
    }
}

#[test]
fn r16_nobody_pays_after_the_day_of_arrival() {
    let terms = Terms { pay_within: Duration::from_secs(30 * 24 * 3_600), ..TERMS };
    let expires = |time_zone: &str, now: Timestamp| {
        let booking = Booking { time_zone: time_zone.to_owned(), ..booking() };
        let decided = Stay::decide(None, &Command::Reserve(stay_id(), booking, terms), now).unwrap();
        decided.iter().fold(None, |stay, event| Some(Stay::evolve(stay, event))).and_then(|stay| stay.expires_at())
    };
    // The night of 2026-07-04: until midnight at the resort.
    assert_eq!(expires("UTC", NOW), Some(hour(96)));
    assert_eq!(expires("UTC", hour(90)), Some(hour(96)), "reserved on the day of arrival");
    assert_eq!(expires("Asia/Seoul", NOW), Some(hour(96 - 9)));
    assert_eq!(expires("Mars/Olympus", NOW), Some(end()), "of an unknown zone, the end is known");
}

#[test]
fn a_paid_stay_is_completed_at_its_end_and_not_earlier() {
    check(&given_confirmed(), Command::Complete, a_moment_before(end()), Ok(&[]));
    check(&given_confirmed(), Command::Complete, end(), Ok(&[Event::Completed(end())]));
    for given in [given_reserved(), given_completed(), given_cancelled()] {
        check(&given, Command::Complete, end(), Ok(&[]));
    }
}

#[test]
fn the_timer_of_a_stay_is_due_when_it_lapses_and_when_it_is_over() {
    let due = |given: &[Event]| stay(given).and_then(|stay| stay.due_at());
    assert_eq!(due(&given_reserved()), Some((NOW + TERMS.pay_within, Command::Lapse)));
    assert_eq!(due(&given_confirmed()), Some((end(), Command::Complete)));
    for given in [given_completed(), given_cancelled()] {
        assert_eq!(due(&given), None);
    }
}

#[test]
fn r6_a_customer_cancels_an_unpaid_stay_at_any_time() {
    for now in [NOW, near(), begin()] {
        check(&given_reserved(), Command::Cancel(None), now, Ok(&[Event::Cancelled(Cause::Customer, now)]));
    }
    check(&given_cancelled(), Command::Cancel(None), NOW, Ok(&[]));
}

#[test]
fn r6_a_customer_cancels_a_paid_stay_until_shortly_before_it_begins() {
    let last = a_moment_before(near());
    check(&given_confirmed(), Command::Cancel(None), last, Ok(&[Event::Cancelled(Cause::Customer, last)]));
    for now in [near(), begin(), end()] {
        check(&given_confirmed(), Command::Cancel(None), now, Err(Refusal::StayTooNear(near())));
    }
    check(&given_completed(), Command::Cancel(None), end(), Err(Refusal::StayCompleted));
}

#[test]
fn x11_staff_cancel_a_stay_that_is_not_over_and_say_why() {
    let events = |now| [Event::Intervened(by_staff()), Event::Cancelled(Cause::Staff, now)];
    for now in [NOW, near(), begin()] {
        check(&given_reserved(), Command::Cancel(Some(by_staff())), now, Ok(&events(now)));
        check(&given_confirmed(), Command::Cancel(Some(by_staff())), now, Ok(&events(now)));
    }
    check(&given_cancelled(), Command::Cancel(Some(by_staff())), NOW, Ok(&[]));
    check(&given_completed(), Command::Cancel(Some(by_staff())), end(), Err(Refusal::StayCompleted));
    let given = [&given_confirmed()[..], &events(near())].concat();
    assert_eq!(stay(&given).and_then(|stay| stay.intervention), Some(by_staff()));
}

#[test]
fn x13_a_reservation_takes_one_of_the_unpaid_stays_of_its_customer() {
    let quotas = Stay::quotas(&reserve());
    let [quota] = &quotas[..] else { panic!("there is one: {quotas:?}") };
    assert_eq!((quota.subject.as_str(), quota.limit, quota.takes), ("ann", TERMS.unpaid, true));
    assert_eq!(quota.refusal, Refusal::TooManyStays);
    assert!(Stay::quotas(&Command::Cancel(None)).is_empty());
}

#[test]
fn r8_a_refund_that_is_requested_in_time_cancels_the_stay() {
    let last = a_moment_before(near());
    for given in [given_reserved(), given_confirmed()] {
        check(&given, Command::TakeBack, last, Ok(&[Event::Cancelled(Cause::Payment, last)]));
    }
    check(&given_cancelled(), Command::TakeBack, NOW, Ok(&[]));
}

#[test]
fn a_stay_that_is_near_or_over_is_not_refunded() {
    check(&given_confirmed(), Command::TakeBack, near(), Ok(&[Event::CancellationRefused]));
    check(&given_completed(), Command::TakeBack, end(), Ok(&[Event::CancellationRefused]));
}

#[test]
fn a_payment_cancelled_before_it_was_paid_cancels_only_what_is_unpaid() {
    check(&given_reserved(), Command::Drop, hour(1), Ok(&[Event::Cancelled(Cause::Payment, hour(1))]));
    for given in [given_confirmed(), given_completed(), given_cancelled()] {
        check(&given, Command::Drop, NOW, Ok(&[]));
    }
}

#[test]
fn r2_a_stay_whose_nights_are_lost_is_cancelled_paid_or_not() {
    for given in [given_reserved(), given_confirmed()] {
        check(&given, Command::Lose, hour(1), Ok(&[Event::Cancelled(Cause::Resort, hour(1))]));
    }
    for given in [given_completed(), given_cancelled()] {
        check(&given, Command::Lose, end(), Ok(&[]));
    }
}

#[test]
fn a_refusal_has_a_code_and_a_reason_that_clients_can_tell_apart() {
    let refusals = [Refusal::NoSuchStay, Refusal::StayTooNear(NOW), Refusal::StayCompleted];
    let reasons: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.reason()).collect();
    assert_eq!(reasons.len(), refusals.len());
    for refusal in refusals {
        assert_eq!(refusal.code() == RefusalCode::NotFound, refusal == Refusal::NoSuchStay, "{refusal}");
    }
}
