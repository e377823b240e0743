//! Every transition of an order, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

fn lapsed() -> Vec<Event> {
    vec![drafted(), Event::Lapsed(NOW)]
}

fn placed() -> Vec<Event> {
    vec![drafted(), Event::Placed(payment(), NOW)]
}

fn confirmed() -> Vec<Event> {
    [placed(), vec![Event::Confirmed(NOW)]].concat()
}

fn cancelling(cause: Cause) -> Vec<Event> {
    [confirmed(), vec![Event::CancellationRequested(cause, NOW)]].concat()
}

fn delivering() -> Vec<Event> {
    [confirmed(), vec![Event::Dispatched(NOW)]].concat()
}

fn delivered() -> Vec<Event> {
    [delivering(), vec![Event::Delivered(NOW)]].concat()
}

fn cancelled() -> Vec<Event> {
    [placed(), vec![Event::Cancelled(Cause::Customer, NOW)]].concat()
}

/// Checks what each state decides.
#[track_caller]
fn check_all(when: &Command, then: [Result<&[Event], Refusal>; 8]) {
    let states = [
        vec![drafted()],
        lapsed(),
        placed(),
        confirmed(),
        cancelling(Cause::Customer),
        delivering(),
        delivered(),
        cancelled(),
    ];
    for (given, then) in states.iter().zip(then) {
        check(given, when.clone(), then);
    }
}

const NOTHING: Result<&[Event], Refusal> = Ok(&[]);

#[test]
fn o2_a_draft_is_written_once_and_placed_by_its_payment() {
    check(&[], draft(), Ok(&[drafted()]));
    check_all(&draft(), [NOTHING; 8]);
    let placed = [Event::Placed(payment(), NOW)];
    let mut then = [NOTHING; 8];
    then[0] = Ok(&placed);
    check_all(&Command::Place(payment()), then);
}

#[test]
fn o2_an_unpaid_draft_lapses_and_never_is_an_order() {
    let late = NOW + PAY_WITHIN;
    check_at(&[drafted()], Command::Lapse, late, Ok(&[Event::Lapsed(late)]));
    check(&[drafted()], Command::Lapse, Ok(&[]));
    check_at(&placed(), Command::Lapse, late, Ok(&[]));
    check(&lapsed(), Command::Place(payment()), Ok(&[]));
    for (given, is_order) in [(vec![drafted()], false), (lapsed(), false), (placed(), true), (cancelled(), true)] {
        assert_eq!(order(&given).map(|order| order.is_order()), Some(is_order));
    }
}

#[test]
fn o2_only_a_draft_has_a_timer() {
    let wake = |given: &[Event]| order(given).and_then(|order| order.due_at());
    assert_eq!(wake(&[drafted()]), Some((NOW + PAY_WITHIN, Command::Lapse)));
    for given in [lapsed(), placed(), confirmed(), delivered(), cancelled()] {
        assert_eq!(wake(&given), None);
    }
}

#[test]
fn o3_stock_confirms_and_its_lack_cancels() {
    let confirmed = [Event::Confirmed(NOW)];
    check_all(&Command::Confirm, [NOTHING, NOTHING, Ok(&confirmed), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]);
    let cancelled = [Event::Cancelled(Cause::OutOfStock, NOW)];
    check_all(&Command::Reject, [NOTHING, NOTHING, Ok(&cancelled), NOTHING, NOTHING, NOTHING, NOTHING, NOTHING]);
}

#[test]
fn o4_a_delivery_is_followed_to_its_end() {
    let late = [Event::Dispatched(NOW), Event::CancellationRefused];
    let started = [Event::Dispatched(NOW)];
    check_all(&Command::Dispatch, [NOTHING, NOTHING, NOTHING, Ok(&started), Ok(&late), NOTHING, NOTHING, NOTHING]);
    let both = [Event::Dispatched(NOW), Event::Delivered(NOW)];
    let late = [Event::Dispatched(NOW), Event::CancellationRefused, Event::Delivered(NOW)];
    let done = [Event::Delivered(NOW)];
    check_all(&Command::Complete, [NOTHING, NOTHING, NOTHING, Ok(&both), Ok(&late), Ok(&done), NOTHING, NOTHING]);
}

#[test]
fn o5_an_order_is_cancelled_until_its_delivery_starts() {
    let at_once = [Event::Cancelled(Cause::Customer, NOW)];
    let asked = [Event::CancellationRequested(Cause::Customer, NOW)];
    let none = Err(Refusal::NoSuchOrder);
    let then = [
        none,
        none,
        Ok(&at_once[..]),
        Ok(&asked[..]),
        NOTHING,
        Err(Refusal::DeliveryStarted),
        Err(Refusal::OrderDelivered),
        NOTHING,
    ];
    check_all(&Command::Cancel(None), then);
    for cause in [Cause::Customer, Cause::Payment] {
        check(&cancelling(cause), Command::Withdraw, Ok(&[Event::Cancelled(cause, NOW)]));
    }
    for given in [placed(), confirmed(), delivering(), delivered(), cancelled()] {
        check(&given, Command::Withdraw, Ok(&[]));
    }
}

#[test]
fn x11_staff_cancel_an_order_like_its_customer_and_say_why() {
    let said = Event::Intervened(by_staff());
    let at_once = [said.clone(), Event::Cancelled(Cause::Staff, NOW)];
    let asked = [said, Event::CancellationRequested(Cause::Staff, NOW)];
    let none = Err(Refusal::NoSuchOrder);
    let (started, over) = (Err(Refusal::DeliveryStarted), Err(Refusal::OrderDelivered));
    let then = [none, none, Ok(&at_once[..]), Ok(&asked[..]), NOTHING, started, over, NOTHING];
    check_all(&Command::Cancel(Some(by_staff())), then);
    let given = [placed(), at_once.to_vec()].concat();
    assert_eq!(order(&given).and_then(|order| order.intervention), Some(by_staff()));
}

#[test]
fn o7_a_request_for_a_refund_is_answered() {
    let (at_once, asked) =
        ([Event::Cancelled(Cause::Payment, NOW)], [Event::CancellationRequested(Cause::Payment, NOW)]);
    let (lapses, refused) = ([Event::Lapsed(NOW)], [Event::CancellationRefused]);
    let then: [Result<&[Event], Refusal>; 8] =
        [Ok(&lapses), NOTHING, Ok(&at_once), Ok(&asked), NOTHING, Ok(&refused), Ok(&refused), NOTHING];
    check_all(&Command::TakeBack, then);
    let mut then = [NOTHING; 8];
    then[0] = Ok(&lapses);
    check_all(&Command::Drop, then);
}

#[test]
fn an_order_that_was_not_drafted_is_not_found() {
    for command in
        [Command::Place(payment()), Command::Confirm, Command::Cancel(None), Command::Dispatch, Command::Lapse]
    {
        check(&[], command, Err(Refusal::NoSuchOrder));
    }
}

#[test]
fn every_refusal_has_its_reason() {
    for (refusal, code, reason) in [
        (Refusal::NoSuchOrder, RefusalCode::NotFound, "ORDER_NOT_FOUND"),
        (Refusal::DeliveryStarted, RefusalCode::Precondition, "DELIVERY_STARTED"),
        (Refusal::OrderDelivered, RefusalCode::Precondition, "ORDER_DELIVERED"),
    ] {
        assert_eq!((refusal.code(), refusal.reason()), (code, reason));
    }
}
