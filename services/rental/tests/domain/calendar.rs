//! Every transition of a calendar, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;
use rental::domain::MAX_OPEN;

use super::*;

/// A registered car, reserved as number 7 for the first day.
fn given_reserved() -> Vec<Event> {
    vec![registered(), reserved(7, hours(24, 48), 1)]
}

fn given_rented() -> Vec<Event> {
    [given_reserved(), vec![Event::Rented(id(7), payment(), NOW)]].concat()
}

fn given_returned() -> Vec<Event> {
    [given_rented(), vec![Event::Returned(id(7), NOW)]].concat()
}

fn given_cancelled() -> Vec<Event> {
    [given_reserved(), vec![cancelled(7, Cause::Customer, NOW)]].concat()
}

#[test]
fn a_car_is_registered_once_and_keeps_its_rate() {
    check(&[], register(won(RATE_MINOR)), NOW, Ok(&[registered()]));
    check(&[registered()], register(won(1)), NOW, Ok(&[]));
}

#[test]
fn an_unregistered_car_can_only_be_registered_or_retired() {
    check(&[], Command::Retire(car()), NOW, Ok(&[Event::Retired(car())]));
    let rest = [
        reserve(7, hours(24, 48), 1),
        cancel(7),
        Command::Rent(id(7), payment()),
        bring_back(7),
        Command::Rate(id(7), 5),
        take_back(7),
        Command::Drop(id(7)),
        Command::Lapse,
    ];
    for command in rest {
        check(&[], command, NOW, Err(Refusal::NoSuchCar));
    }
}

#[test]
fn a_car_that_is_retired_before_it_is_registered_is_never_rented_out() {
    let given = [Event::Retired(car())];
    check(&given, register(won(RATE_MINOR)), NOW, Ok(&[registered()]));
    check(&given, reserve(7, hours(24, 48), 1), NOW, Err(Refusal::CarRetired));
    check(&[&given[..], &[registered()]].concat(), reserve(7, hours(24, 48), 1), NOW, Err(Refusal::CarRetired));
}

#[test]
fn c1_a_car_with_an_open_reservation_or_rental_is_not_retired() {
    check(&given_reserved(), Command::Retire(car()), NOW, Err(Refusal::CarInUse));
    check(&given_rented(), Command::Retire(car()), NOW, Err(Refusal::CarInUse));
}

#[test]
fn c1_a_car_on_which_nothing_is_open_is_retired_once() {
    for given in [vec![registered()], given_cancelled(), given_returned()] {
        check(&given, Command::Retire(car()), NOW, Ok(&[Event::Retired(car())]));
        check(&[given, vec![Event::Retired(car())]].concat(), Command::Retire(car()), NOW, Ok(&[]));
    }
}

#[test]
fn c3_a_reservation_costs_the_rate_for_each_day() {
    let Event::Reserved(_, reservation) = reserved(7, hours(24, 90), 3) else { unreachable!("it is reserved") };
    assert_eq!(reservation.price, won(150_000));
    check(&[registered()], reserve(7, hours(24, 90), 3), NOW, Ok(&[reserved(7, hours(24, 90), 3)]));
}

#[test]
fn c3_periods_that_overlap_clash() {
    for (start, end) in [(24, 48), (23, 25), (47, 49), (30, 31), (0, 100)] {
        check(&given_reserved(), reserve(8, hours(start, end), 1), NOW, Err(Refusal::PeriodTaken));
        check(&given_rented(), reserve(8, hours(start, end), 1), NOW, Err(Refusal::PeriodTaken));
    }
}

#[test]
fn c3_periods_that_touch_do_not_clash() {
    for period in [hours(0, 24), hours(48, 72)] {
        check(&given_reserved(), reserve(8, period, 1), NOW, Ok(&[reserved(8, period, 1)]));
    }
}

#[test]
fn c4_a_cancelled_period_is_free_again() {
    check(&given_cancelled(), reserve(8, hours(24, 48), 1), NOW, Ok(&[reserved(8, hours(24, 48), 1)]));
    check(&given_returned(), reserve(8, hours(24, 48), 1), NOW, Ok(&[reserved(8, hours(24, 48), 1)]));
}

#[test]
fn a_reservation_is_made_once() {
    for given in [given_reserved(), given_rented(), given_returned(), given_cancelled()] {
        check(&given, reserve(7, hours(24, 48), 1), NOW, Ok(&[]));
    }
}

#[test]
fn c12_a_car_is_rented_out_in_the_currency_of_its_region() {
    let dollar = Currency::parse("USD").expect("the test gives a currency");
    let mut command = reserve(7, hours(24, 48), 1);
    if let Command::Reserve { currency, .. } = &mut command {
        *currency = dollar;
    }
    check(&[registered()], command, NOW, Err(Refusal::CurrencyNotServed(won(0).currency, dollar)));
}

#[test]
fn a_price_has_a_limit() {
    let given = [Event::Registered(car(), won(Money::MAX_MINOR), name(), String::new())];
    check(&given, reserve(7, hours(24, 72), 2), NOW, Err(Refusal::PriceTooHigh));
}

#[test]
fn c3_a_reservation_at_another_price_than_the_customer_saw_is_refused() {
    let (period, price) = (hours(24, 72), won(2 * RATE_MINOR));
    let seen = |expected: Money| {
        let mut command = reserve(7, period, 2);
        if let Command::Reserve { expected_price, .. } = &mut command {
            *expected_price = Some(expected);
        }
        command
    };
    check(&[registered()], seen(price), NOW, Ok(&[reserved(7, period, 2)]));
    let dollars = Money { currency: Currency::parse("USD").expect("the test gives a currency"), ..price };
    for other in [won(price.minor - 1), won(price.minor + 1), dollars] {
        check(&[registered()], seen(other), NOW, Err(Refusal::PriceChanged(price)));
        check(&[registered(), reserved(7, period, 2)], seen(other), NOW, Ok(&[]));
    }
}

#[test]
fn a_calendar_has_a_limit() {
    let mut given = vec![registered()];
    given.extend((0..MAX_OPEN as u64).map(|number| reserved(number, hours(number, number + 1), 1)));
    let end = MAX_OPEN as u64;
    check(&given, reserve(end, hours(end, end + 1), 1), NOW, Err(Refusal::CalendarFull));
    given.push(cancelled(3, Cause::Customer, NOW));
    check(&given, reserve(end, hours(3, 4), 1), NOW, Ok(&[reserved(end, hours(3, 4), 1)]));
}

#[test]
fn c4_a_customer_cancels_what_is_not_rented_yet() {
    check(&given_reserved(), cancel(7), hour(1), Ok(&[cancelled(7, Cause::Customer, hour(1))]));
    check(&given_cancelled(), cancel(7), NOW, Ok(&[]));
    check(&given_rented(), cancel(7), NOW, Err(Refusal::AlreadyRented));
    check(&given_returned(), cancel(7), NOW, Err(Refusal::AlreadyReturned));
}

#[test]
fn c5_a_paid_reservation_is_rented_once() {
    let rent = || Command::Rent(id(7), payment());
    check(&given_reserved(), rent(), hour(1), Ok(&[Event::Rented(id(7), payment(), hour(1))]));
    check(&given_rented(), rent(), NOW, Ok(&[]));
    check(&given_returned(), rent(), NOW, Ok(&[]));
}

#[test]
fn c4_the_rent_of_a_cancelled_reservation_is_refused_so_that_the_money_goes_back() {
    check(&given_cancelled(), Command::Rent(id(7), payment()), NOW, Ok(&[Event::RentRefused(id(7))]));
}

#[test]
fn only_a_rented_car_is_returned_and_only_once() {
    check(&given_rented(), bring_back(7), hour(30), Ok(&[Event::Returned(id(7), hour(30))]));
    check(&given_returned(), bring_back(7), NOW, Ok(&[]));
    check(&given_reserved(), bring_back(7), NOW, Err(Refusal::NotRented));
    check(&given_cancelled(), bring_back(7), NOW, Err(Refusal::ReservationCancelled));
}

#[test]
fn c6_a_cancelled_payment_takes_reservation_and_rental_back() {
    for given in [given_reserved(), given_rented()] {
        check(&given, take_back(7), hour(1), Ok(&[cancelled(7, Cause::Payment, hour(1))]));
    }
    check(&given_cancelled(), take_back(7), NOW, Ok(&[]));
}

#[test]
fn c6_a_payment_is_not_taken_back_after_the_return() {
    check(&given_returned(), take_back(7), NOW, Ok(&[Event::CancellationRefused(id(7))]));
}

#[test]
fn a_payment_cancelled_before_it_was_paid_cancels_only_what_is_not_rented() {
    check(&given_reserved(), Command::Drop(id(7)), hour(1), Ok(&[cancelled(7, Cause::Payment, hour(1))]));
    for given in [given_rented(), given_returned(), given_cancelled()] {
        check(&given, Command::Drop(id(7)), NOW, Ok(&[]));
    }
}

#[test]
fn c9_stars_are_given_after_the_return_and_once() {
    let rated = Event::Rated(id(7), 5, hour(1));
    check(&given_returned(), Command::Rate(id(7), 5), hour(1), Ok(std::slice::from_ref(&rated)));
    check(&[given_returned(), vec![rated]].concat(), Command::Rate(id(7), 1), NOW, Err(Refusal::AlreadyRated));
    for given in [given_reserved(), given_rented(), given_cancelled()] {
        check(&given, Command::Rate(id(7), 5), NOW, Err(Refusal::NotReturned));
    }
}

#[test]
fn an_unpaid_reservation_lapses_at_its_expiry_and_not_earlier() {
    let expiry = NOW + PAY_WITHIN;
    let before = Timestamp::from_micros(expiry.micros() - 1);
    check(&given_reserved(), Command::Lapse, before, Ok(&[]));
    check(&given_reserved(), Command::Lapse, expiry, Ok(&[cancelled(7, Cause::Unpaid, expiry)]));
    for given in [given_returned(), given_cancelled()] {
        check(&given, Command::Lapse, hour(100), Ok(&[]));
    }
}

#[test]
fn the_timer_of_a_calendar_is_due_when_its_first_reservation_lapses() {
    let due = |given: &[Event]| calendar(given).and_then(|calendar| calendar.due_at());
    assert_eq!(due(&[registered()]), None);
    assert_eq!(due(&given_reserved()), Some((NOW + PAY_WITHIN, Command::Lapse)));
    for given in [given_returned(), given_cancelled()] {
        assert_eq!(due(&given), None);
    }
    assert_eq!(due(&given_rented()), Some((hour(48), Command::Lapse)));
}

#[test]
fn a_reservation_that_does_not_exist_is_refused() {
    let commands = [
        cancel(9),
        Command::Rent(id(9), payment()),
        bring_back(9),
        Command::Rate(id(9), 5),
        take_back(9),
        Command::Drop(id(9)),
    ];
    for command in commands {
        check(&given_reserved(), command, NOW, Err(Refusal::NoSuchReservation));
    }
}

#[test]
fn a_refusal_has_a_code_and_a_reason_that_clients_can_tell_apart() {
    let currency = won(0).currency;
    let refusals = [
        Refusal::NoSuchCar,
        Refusal::NoSuchReservation,
        Refusal::CarRetired,
        Refusal::CarInUse,
        Refusal::PeriodTaken,
        Refusal::CurrencyNotServed(currency, currency),
        Refusal::TooManyReservations,
        Refusal::LateFeeOwed,
        Refusal::CarOverdue,
        Refusal::NotBegun,
        Refusal::CalendarFull,
        Refusal::PriceTooHigh,
        Refusal::PriceChanged(won(1)),
        Refusal::ReservationCancelled,
        Refusal::AlreadyRented,
        Refusal::AlreadyReturned,
        Refusal::NotRented,
        Refusal::NotReturned,
        Refusal::AlreadyRated,
    ];
    let reasons: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.reason()).collect();
    assert_eq!(reasons.len(), refusals.len());
    for refusal in refusals {
        let is_missing = matches!(refusal, Refusal::NoSuchCar | Refusal::NoSuchReservation);
        assert_eq!(refusal.code() == RefusalCode::NotFound, is_missing, "{refusal}");
    }
}

/// The rental of number 7, which was to end at hour 48, and a reservation and a rental behind it.
fn given_others_behind() -> Vec<Event> {
    let others = [reserved(8, hours(60, 84), 1), reserved(9, hours(90, 114), 1), Event::Rented(id(9), payment(), NOW)];
    [given_rented(), others.to_vec()].concat()
}

fn given_overdue() -> Vec<Event> {
    [given_others_behind(), vec![Event::Overdue(id(7), hour(48)), Event::Delayed(id(8))]].concat()
}

#[test]
fn c13_a_paid_rental_is_cancelled_at_no_cost_until_some_hours_before_it() {
    let kept = |minor| Event::Cancelled(id(7), Cause::Payment, Some(won(minor)), hour(13));
    check(&given_rented(), take_back(7), hour(12), Ok(&[cancelled(7, Cause::Payment, hour(12))]));
    check(&given_rented(), take_back(7), hour(13), Ok(&[kept(RATE_MINOR / 2)]));
    check(&given_rented(), take_back(7), hour(24), Ok(&[Event::CancellationRefused(id(7))]));
    check(&given_rented(), take_back(7), hour(47), Ok(&[Event::CancellationRefused(id(7))]));
    check(&given_reserved(), take_back(7), hour(13), Ok(&[cancelled(7, Cause::Payment, hour(13))]));
}

#[test]
fn c14_a_return_before_the_period_is_refused() {
    check(&given_rented(), bring_back(7), hour(23), Err(Refusal::NotBegun));
    check(&given_rented(), bring_back(7), hour(24), Ok(&[Event::Returned(id(7), hour(24))]));
}

#[test]
fn c14_a_late_return_costs_a_fee_for_each_hour_begun() {
    let late = |minutes: u64| hour(48) + Duration::from_secs(60 * minutes);
    check(&given_rented(), bring_back(7), late(0), Ok(&[Event::Returned(id(7), late(0))]));
    for (minutes, fee) in [(1, 7_000), (60, 7_000), (61, 14_000), (24 * 60, 168_000)] {
        let now = late(minutes);
        let charged = Event::LateFeeCharged(id(7), won(fee), now);
        check(&given_rented(), bring_back(7), now, Ok(&[Event::Returned(id(7), now), charged]));
    }
    let given = [given_rented(), vec![Event::Returned(id(7), late(1)), Event::LateFeeCharged(id(7), won(7_000), NOW)]];
    let given = given.concat();
    let fee = calendar(&given).and_then(|calendar| calendar.reservations[&id(7)].late_fee);
    assert_eq!(fee, Some(LateFee { amount: won(7_000), paid: false }));
    let paid = Event::LateFeePaid(id(7), NOW);
    check(&given, Command::PayLateFee(id(7)), NOW, Ok(std::slice::from_ref(&paid)));
    check(&[given, vec![paid]].concat(), Command::PayLateFee(id(7)), NOW, Ok(&[]));
}

#[test]
fn c14_a_car_that_is_not_back_is_overdue_and_reserved_for_nobody() {
    check(&given_rented(), Command::Lapse, hour(47), Ok(&[]));
    check(&given_rented(), Command::Lapse, hour(48), Ok(&[Event::Overdue(id(7), hour(48))]));
    // Also before the timer fires.
    check(&given_rented(), reserve(8, hours(300, 324), 1), hour(48), Err(Refusal::CarOverdue));
    check(&given_overdue(), reserve(10, hours(300, 324), 1), hour(49), Err(Refusal::CarOverdue));
    let returned = [given_overdue(), vec![Event::Returned(id(7), hour(50))]].concat();
    assert!(Calendar::decide(calendar(&returned).as_ref(), &reserve(10, hours(300, 324), 1), hour(50)).is_ok());
}

#[test]
fn c14_who_has_the_car_next_is_told_and_gets_the_money_back() {
    let given = [given_others_behind(), vec![Event::Rented(id(8), payment(), NOW)]].concat();
    let noted = [Event::Overdue(id(7), hour(48)), Event::Delayed(id(8))];
    check(&given, Command::Lapse, hour(48), Ok(&noted));
    let given = [given, noted.to_vec()].concat();
    let due = |given: &[Event]| calendar(given).and_then(|calendar| calendar.due_at()).map(|(at, _)| at);
    assert_eq!(due(&given), Some(hour(60)));
    check(&given, Command::Lapse, hour(59), Ok(&[]));
    let gone = cancelled(8, Cause::CarNotBack, hour(60));
    check(&given, Command::Lapse, hour(60), Ok(std::slice::from_ref(&gone)));
    let given = [given, vec![gone]].concat();
    assert_eq!(due(&given), Some(hour(90)), "and so on");
    let returned = [given, vec![Event::Returned(id(7), hour(61))]].concat();
    check(&returned, Command::Lapse, hour(90), Ok(&[]));
}

#[test]
fn x11_staff_cancel_and_return_in_the_customers_place() {
    let intervened = || Event::Intervened(id(7), intervention());
    let cancel = || Command::Cancel(id(7), Some(intervention()));
    for given in [given_reserved(), given_rented()] {
        check(&given, cancel(), hour(30), Ok(&[intervened(), cancelled(7, Cause::Staff, hour(30))]));
    }
    check(&given_returned(), cancel(), NOW, Err(Refusal::AlreadyReturned));
    check(&given_cancelled(), cancel(), NOW, Ok(&[]));
    let bring_back = Command::Return(id(7), Some(intervention()), TERMS);
    check(&given_rented(), bring_back, hour(30), Ok(&[intervened(), Event::Returned(id(7), hour(30))]));
}

#[test]
fn x12_a_car_changes_its_owner() {
    let transfer = |owner: &str| Command::Transfer(car(), owner.to_owned());
    check(&[registered()], transfer("hana"), NOW, Ok(&[Event::Transferred("hana".to_owned())]));
    check(&[registered()], transfer("sol"), NOW, Ok(&[]));
    let open = [Event::Transferred("hana".to_owned()), Event::HandedOver(id(7), "hana".to_owned())];
    check(&given_reserved(), transfer("hana"), NOW, Ok(&open));
    let handed_over = calendar(&[&given_reserved()[..], &open].concat()).expect("it is known");
    assert_eq!(handed_over.reservations[&id(7)].owner, "hana");
    check(&given_cancelled(), transfer("hana"), NOW, Ok(&open[..1]));
    check(&[], transfer("hana"), NOW, Err(Refusal::NoSuchCar));
}

#[test]
fn x13_a_reservation_takes_from_the_quotas_of_its_customer() {
    let quotas = Calendar::quotas(&reserve(7, hours(24, 48), 1));
    let limits: Vec<_> = quotas.iter().map(|quota| (quota.subject.as_str(), quota.limit, quota.takes)).collect();
    assert_eq!(limits, [("ann", 1, false), ("ann", 3, true)]);
    assert_eq!(Calendar::quotas(&cancel(7)), []);
}
