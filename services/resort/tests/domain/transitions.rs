//! Every transition of a resort, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;
use resort::domain::{MAX_OFFERED, MAX_OPEN};

use super::*;

fn dates() -> Dates {
    july(10, 12)
}

fn given_held() -> Vec<Event> {
    vec![registered(), held(7, dates())]
}

fn given_reserved() -> Vec<Event> {
    [given_held(), vec![reserved(7, dates())]].concat()
}

fn given_booked() -> Vec<Event> {
    [given_reserved(), vec![booked(7, dates())]].concat()
}

fn given_lapsed() -> Vec<Event> {
    [given_held(), vec![Event::Lapsed(stay(7))]].concat()
}

fn given_freed() -> Vec<Event> {
    [given_booked(), vec![freed(7, dates())]].concat()
}

/// Its hold had lapsed, and another holds a night of it.
fn given_taken_by_another() -> Vec<Event> {
    [given_lapsed(), vec![held(8, july(11, 14))]].concat()
}

#[test]
fn r1_a_resort_is_registered_once() {
    let register = || Command::Register(resort_id(), listing_in("Asia/Seoul"), vec![july(1, 32)], "hana".to_owned());
    check(&[], register(), NOW, Ok(&[registered()]));
    check(&[registered()], register(), NOW, Ok(&[]));
}

#[test]
fn x12_a_resort_has_another_owner() {
    let transferred = Event::Transferred("sol".to_owned(), NOW);
    check(&[registered()], Command::Transfer("sol".to_owned()), NOW, Ok(std::slice::from_ref(&transferred)));
    check(&[registered(), transferred.clone()], Command::Transfer("sol".to_owned()), NOW, Ok(&[]));
    assert_eq!(resort(&[registered(), transferred]).map(|resort| resort.owner).as_deref(), Some("sol"));
}

#[test]
fn an_unregistered_resort_is_not_found() {
    for command in [
        Command::Offer(dates()),
        hold(7, dates()),
        keep(7, dates()),
        book(7, dates()),
        free(7, dates()),
        Command::Lapse,
    ] {
        check(&[], command, NOW, Err(Refusal::NoSuchResort));
    }
}

#[test]
fn r1_dates_that_overlap_or_touch_are_offered_as_one() {
    let offered = |spans: &[Dates]| {
        let command = Command::Register(resort_id(), listing_in("Asia/Seoul"), spans.to_vec(), "hana".to_owned());
        let events = Resort::decide(None, &command, NOW).expect("it is registered");
        resort(&events).expect("there is one").offered
    };
    assert_eq!(offered(&[july(10, 12), july(1, 3), july(3, 5), july(11, 14)]), [july(1, 5), july(10, 14)]);
    let given = [registered(), Event::Offered(july(40, 45), NOW), Event::Offered(july(32, 40), NOW)];
    assert_eq!(resort(&given).expect("there is one").offered, [july(1, 45)]);
}

#[test]
fn r1_what_is_offered_already_stays_as_it_is() {
    check(&[registered()], Command::Offer(july(3, 9)), after(1), Ok(&[]));
    let more = Command::Offer(july(30, 40));
    check(&[registered()], more, after(1), Ok(&[Event::Offered(july(30, 40), after(1))]));
}

#[test]
fn a_resort_has_a_limit_of_offered_spans() {
    let apart = (0..MAX_OFFERED).map(|index| {
        let start = jiff::civil::date(2026, 7, 1) + jiff::Span::new().days(2 * index as i64);
        Dates { start, end: start.tomorrow().expect("it is no far future") }
    });
    let apart: Vec<Dates> = apart.collect();
    let given = [Event::Registered(resort_id(), listing_in("Asia/Seoul"), apart.clone(), "hana".to_owned(), NOW)];
    let beyond = Dates { start: jiff::civil::date(2028, 1, 1), end: jiff::civil::date(2028, 1, 2) };
    check(&given, Command::Offer(beyond), NOW, Err(Refusal::TooManyOffers));
    let between = Dates { start: apart[0].end, end: apart[1].start };
    check(&given, Command::Offer(between), NOW, Ok(&[Event::Offered(between, NOW)]));
}

#[test]
fn r2_a_hold_costs_the_rate_for_each_night() {
    check(&[registered()], hold(7, july(10, 13)), NOW, Ok(&[held(7, july(10, 13))]));
    assert_eq!(price(july(10, 13)), won(270_000));
}

#[test]
fn r2_a_hold_at_another_price_than_the_customer_saw_is_refused() {
    let (dates, price) = (july(10, 13), price(july(10, 13)));
    let seen = |price: Money| Command::Hold(stay(7), claim(dates), LIMITS, Some(price));
    check(&[registered()], seen(price), NOW, Ok(&[held(7, dates)]));
    let dollars = Money { currency: Currency::parse("USD").expect("the test gives a currency"), ..price };
    for other in [won(price.minor - 1), won(price.minor + 1), dollars] {
        check(&[registered()], seen(other), NOW, Err(Refusal::PriceChanged(price)));
        check(&[registered(), held(7, dates)], seen(other), NOW, Ok(&[]));
    }
}

#[test]
fn r16_a_hold_makes_way_for_the_next_try_of_its_own_customer() {
    let (given, retry) = (given_held(), |number| hold(number, july(11, 13)));
    let abandoned = NOW + ABANDONED_AFTER;
    let held_later = |number: u64| {
        Event::Held(stay(number), kept(july(11, 13), State::Held { expires: abandoned + LIMITS.hold_for }))
    };
    check(&given, retry(8), NOW + (ABANDONED_AFTER - Duration::from_micros(1)), Err(Refusal::DatesTaken));
    check(&given, retry(8), abandoned, Ok(&[Event::Lapsed(stay(7)), held_later(8)]));
    let of_another = Claim { customer: "ben".to_owned(), dates: july(11, 13) };
    check(&given, Command::Hold(stay(8), of_another, LIMITS, None), abandoned, Err(Refusal::DatesTaken));
    // What is reserved or paid is no try.
    for given in [given_reserved(), given_booked()] {
        check(&given, retry(8), abandoned, Err(Refusal::DatesTaken));
    }
    // The reservation of the first try comes late: one of them has the nights.
    let given = [given, vec![Event::Lapsed(stay(7)), held_later(8)]].concat();
    let lost = Event::Lost(stay(7), kept(july(10, 12), State::Lost));
    check(&given, keep(7, july(10, 12)), abandoned, Ok(&[lost]));
}

#[test]
fn r2_a_night_is_held_once() {
    for given in [given_held(), given_reserved(), given_booked()] {
        for taken in [july(10, 12), july(11, 13), july(9, 11), july(1, 31), july(11, 12)] {
            check(&given, hold(8, taken), NOW, Err(Refusal::DatesTaken));
        }
        for next in [july(8, 10), july(12, 13)] {
            check(&given, hold(8, next), NOW, Ok(&[held(8, next)]));
        }
    }
}

#[test]
fn r9_what_lapsed_or_was_freed_is_free_again() {
    for given in [given_lapsed(), given_freed()] {
        check(&given, hold(8, dates()), NOW, Ok(&[held(8, dates())]));
    }
}

#[test]
fn a_hold_is_made_once_and_for_the_same_dates_and_customer() {
    for given in [given_held(), given_reserved(), given_booked()] {
        check(&given, hold(7, dates()), after(60), Ok(&[]));
    }
    let other = Claim { customer: "bob".to_owned(), dates: dates() };
    for given in [given_held(), given_lapsed(), given_freed()] {
        check(&given, hold(7, july(20, 22)), NOW, Err(Refusal::DatesDiffer));
        check(&given, Command::Hold(stay(7), other.clone(), LIMITS, None), NOW, Err(Refusal::DatesDiffer));
    }
}

#[test]
fn a_hold_that_lapsed_may_be_taken_again_and_one_that_ended_may_not() {
    check(&given_lapsed(), hold(7, dates()), NOW, Ok(&[held(7, dates())]));
    check(&given_freed(), hold(7, dates()), NOW, Err(Refusal::HoldEnded));
    let lost = [given_taken_by_another(), vec![lost(7, dates())]].concat();
    check(&lost, hold(7, dates()), NOW, Err(Refusal::HoldEnded));
}

#[test]
fn only_what_is_offered_is_held() {
    for dates in [july(31, 33), july(40, 41)] {
        check(&[registered()], hold(7, dates), NOW, Err(Refusal::DatesNotOffered));
    }
    let gap = [registered(), Event::Offered(july(33, 40), NOW)];
    check(&gap, hold(7, july(31, 34)), NOW, Err(Refusal::DatesNotOffered));
    check(&[registered()], hold(7, july(31, 32)), NOW, Ok(&[held(7, july(31, 32))]));
}

#[test]
fn the_first_night_is_not_over_where_the_resort_is() {
    // It is 1 July in Seoul, from 15:00Z of 30 June to 15:00Z of 1 July.
    let evening = after(15 * 3_600 - 1);
    let kept = Hold { state: State::Held { expires: evening + LIMITS.hold_for }, ..kept(july(1, 2), State::Lapsed) };
    check(&[registered()], hold(7, july(1, 2)), evening, Ok(&[Event::Held(stay(7), kept)]));
    check(&[registered()], hold(7, july(1, 2)), after(15 * 3_600), Err(Refusal::DatesPast));
    // In Honolulu it is still 30 June.
    let honolulu =
        Event::Registered(resort_id(), listing_in("Pacific/Honolulu"), vec![july(0, 32)], "hana".to_owned(), NOW);
    check(&[honolulu], hold(7, july(0, 1)), NOW, Ok(&[held(7, july(0, 1))]));
}

#[test]
fn a_stay_is_no_longer_and_no_later_than_the_settings_say() {
    let wide = Dates { start: jiff::civil::date(2026, 1, 1), end: jiff::civil::date(2030, 1, 1) };
    let given = [Event::Registered(resort_id(), listing_in("Asia/Seoul"), vec![wide], "hana".to_owned(), NOW)];
    check(&given, hold(7, july(1, 31)), NOW, Ok(&[held(7, july(1, 31))]));
    check(&given, hold(7, july(1, 32)), NOW, Err(Refusal::StayTooLong(30)));
    let ahead = |days: i64| {
        let end = jiff::civil::date(2026, 7, 1) + jiff::Span::new().days(days);
        Dates { start: end.yesterday().expect("it is no far past"), end }
    };
    check(&given, hold(7, ahead(730)), NOW, Ok(&[held(7, ahead(730))]));
    check(&given, hold(7, ahead(731)), NOW, Err(Refusal::DatesTooFar(730)));
}

#[test]
fn a_price_has_a_limit() {
    let listing = Listing { nightly_rate: won(Money::MAX_MINOR), ..listing_in("Asia/Seoul") };
    let given = [Event::Registered(resort_id(), listing, vec![july(1, 32)], "hana".to_owned(), NOW)];
    check(&given, hold(7, july(1, 3)), NOW, Err(Refusal::PriceTooHigh));
}

#[test]
fn a_resort_has_a_limit_of_open_holds() {
    let first = jiff::civil::date(2026, 7, 1);
    let night = |number: usize| {
        let start = first + jiff::Span::new().days(number as i64);
        Dates { start, end: start.tomorrow().expect("it is no far future") }
    };
    let wide = Dates { start: first, end: jiff::civil::date(2040, 1, 1) };
    let mut given = vec![Event::Registered(resort_id(), listing_in("Asia/Seoul"), vec![wide], "hana".to_owned(), NOW)];
    given.extend((0..MAX_OPEN).map(|number| booked(100 + number as u64, night(number))));
    let limits = Limits { horizon_days: u32::MAX, ..LIMITS };
    let next = Command::Hold(stay(7), claim(night(MAX_OPEN)), limits, None);
    check(&given, next, NOW, Err(Refusal::CalendarFull));
}

#[test]
fn r2_a_hold_whose_reservation_never_came_lapses() {
    check(&given_held(), Command::Lapse, after(119), Ok(&[]));
    check(&given_held(), Command::Lapse, after(120), Ok(&[Event::Lapsed(stay(7))]));
    for given in [given_reserved(), given_booked(), given_lapsed(), given_freed()] {
        check(&given, Command::Lapse, after(100_000), Ok(&[]));
    }
}

#[test]
fn the_timer_of_a_resort_is_due_when_its_first_hold_lapses() {
    let due = |given: &[Event]| resort(given).and_then(|resort| resort.due_at());
    assert_eq!(due(&[registered()]), None);
    assert_eq!(due(&given_held()), Some((after(120), Command::Lapse)));
    for given in [given_reserved(), given_booked(), given_lapsed(), given_freed()] {
        assert_eq!(due(&given), None);
    }
}

#[test]
fn what_is_reserved_keeps_its_hold() {
    check(&given_held(), keep(7, dates()), NOW, Ok(&[reserved(7, dates())]));
    for given in [given_reserved(), given_booked(), given_freed()] {
        check(&given, keep(7, dates()), NOW, Ok(&[]));
    }
}

#[test]
fn a_reservation_that_comes_after_its_hold_lapsed_takes_the_nights_again() {
    check(&given_lapsed(), keep(7, dates()), NOW, Ok(&[reserved(7, dates())]));
    check(&given_lapsed(), book(7, dates()), NOW, Ok(&[booked(7, dates())]));
    check(&[registered()], keep(7, dates()), NOW, Ok(&[reserved(7, dates())]));
}

#[test]
fn a_reservation_that_comes_when_others_have_the_nights_is_lost_for_good() {
    let given = given_taken_by_another();
    check(&given, keep(7, dates()), NOW, Ok(&[lost(7, dates())]));
    check(&given, book(7, dates()), NOW, Ok(&[lost(7, dates())]));
    let given = [given, vec![lost(7, dates())]].concat();
    for command in [keep(7, dates()), book(7, dates()), free(7, dates())] {
        check(&given, command, NOW, Ok(&[]));
    }
}

#[test]
fn r4_what_is_paid_is_booked_once() {
    check(&given_reserved(), book(7, dates()), NOW, Ok(&[booked(7, dates())]));
    check(&given_held(), book(7, dates()), NOW, Ok(&[booked(7, dates())]));
    for given in [given_booked(), given_freed()] {
        check(&given, book(7, dates()), NOW, Ok(&[]));
    }
}

#[test]
fn r9_what_is_cancelled_or_over_is_freed_once() {
    for given in [given_held(), given_reserved(), given_booked()] {
        check(&given, free(7, dates()), NOW, Ok(&[freed(7, dates())]));
    }
    check(&given_freed(), free(7, dates()), NOW, Ok(&[]));
}

#[test]
fn a_cancellation_that_arrives_first_bars_late_events() {
    for given in [vec![registered()], given_lapsed()] {
        check(&given, free(7, dates()), NOW, Ok(&[barred(7, dates())]));
        let given = [given, vec![barred(7, dates())]].concat();
        for command in [keep(7, dates()), book(7, dates()), free(7, dates())] {
            check(&given, command, NOW, Ok(&[]));
        }
        check(&given, hold(7, dates()), NOW, Err(Refusal::HoldEnded));
        check(&given, hold(8, dates()), NOW, Ok(&[held(8, dates())]));
    }
}

#[test]
fn a_stay_lasts_from_the_begin_of_its_first_date_to_the_end_of_the_day_of_departure() {
    let time = |text: &str| {
        let time: jiff::Timestamp = text.parse().expect("the test gives a time");
        Timestamp::from_micros(time.as_microsecond())
    };
    let span = |zone: &str, start: &str, end: &str| {
        listing_in(zone).span(Dates::from_iso(start, end).expect("the test gives dates"))
    };
    let seoul = (time("2026-07-09T15:00:00Z"), time("2026-07-12T15:00:00Z"));
    assert_eq!(span("Asia/Seoul", "2026-07-10", "2026-07-12"), seoul);
    // Clocks in Berlin go forward on 29 March 2026.
    let berlin = (time("2026-03-27T23:00:00Z"), time("2026-03-29T22:00:00Z"));
    assert_eq!(span("Europe/Berlin", "2026-03-28", "2026-03-29"), berlin);
    // In Cairo 24 April 2026 begins at one o'clock: there is no midnight.
    let cairo = (time("2026-04-23T22:00:00Z"), time("2026-04-25T21:00:00Z"));
    assert_eq!(span("Africa/Cairo", "2026-04-24", "2026-04-25"), cairo);
}

#[test]
fn a_refusal_has_a_code_and_a_reason_that_clients_can_tell_apart() {
    let refusals = [
        Refusal::NoSuchResort,
        Refusal::TooManyOffers,
        Refusal::DatesPast,
        Refusal::StayTooLong(1),
        Refusal::DatesTooFar(1),
        Refusal::DatesNotOffered,
        Refusal::DatesTaken,
        Refusal::CalendarFull,
        Refusal::PriceTooHigh,
        Refusal::PriceChanged(won(1)),
        Refusal::DatesDiffer,
        Refusal::HoldEnded,
    ];
    let reasons: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.reason()).collect();
    assert_eq!(reasons.len(), refusals.len());
    for refusal in refusals {
        assert_eq!(refusal.code() == RefusalCode::NotFound, refusal == Refusal::NoSuchResort, "{refusal}");
    }
}
