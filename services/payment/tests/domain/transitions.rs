//! Every transition of a payment, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

/// A payment in each of its states.
mod given {
    use super::*;

    fn after(given: Vec<Event>, events: &[Event]) -> Vec<Event> {
        [&given[..], events].concat()
    }

    pub fn barred() -> Vec<Event> {
        vec![Event::Barred(purchase(), SELLER.to_owned(), NOW)]
    }
    pub fn requested() -> Vec<Event> {
        vec![super::requested()]
    }
    pub fn charging() -> Vec<Event> {
        after(requested(), &[charge_started(NOW)])
    }
    pub fn charging_for_the(attempt: u32) -> Vec<Event> {
        after(charging(), &vec![Event::Postponed(NOW); attempt as usize])
    }
    pub fn voided() -> Vec<Event> {
        after(charging(), &[Event::VoidNoted(0)])
    }
    pub fn refused() -> Vec<Event> {
        after(charging(), &[Event::Refused("no".to_owned(), NOW)])
    }
    pub fn approved() -> Vec<Event> {
        after(charging(), &[Event::Approved(NOW)])
    }
    pub fn cancelling() -> Vec<Event> {
        after(approved(), &[Event::CancellationRequested(NOW)])
    }
    pub fn refunding() -> Vec<Event> {
        after(approved(), &[refund_started(100)])
    }
    pub fn cancelled() -> Vec<Event> {
        after(requested(), &[Event::Cancelled(NOW)])
    }
    pub fn refunded() -> Vec<Event> {
        after(refunding(), &[Event::Cancelled(NOW)])
    }
    pub fn settled() -> Vec<Event> {
        after(approved(), &[Event::Settled(NOW)])
    }

    /// Every state, but that of a payment that was only barred.
    pub fn any() -> Vec<Vec<Event>> {
        let open = vec![requested(), charging(), voided(), refused(), approved(), cancelling(), refunding()];
        [open, vec![cancelled(), refunded(), settled()]].concat()
    }
}

/// The refund of a purchase that was voided.
fn refund_started(amount: i64) -> Event {
    Event::RefundStarted(amount, Then::Void { kept: 0 }, NOW)
}

fn state(given: &[Event]) -> State {
    payment(given).expect("the payment is known").state
}

#[test]
fn a_payment_is_requested_once() {
    check(&[], Command::Request(purchase(), owed(100)), NOW, Ok(&[requested()]));
    for given in given::any() {
        check(&given, Command::Request(purchase(), owed(100)), NOW, Ok(&[]));
        check(&given, Command::Request(purchase(), owed(200)), NOW, Err(Refusal::PurchaseDiffers));
    }
}

#[test]
fn a_payment_from_before_the_seller_field_is_the_same_as_that_of_its_seller() {
    let noted = |seller: &str| Owed { seller: seller.to_owned(), ..owed(100) };
    let given = [Event::Requested(purchase(), noted(""), NOW)];
    check(&given, Command::Request(purchase(), noted("rental")), NOW, Ok(&[]));
    check(&[requested()], Command::Request(purchase(), noted("market")), NOW, Err(Refusal::PurchaseDiffers));
}

#[test]
fn a_purchase_that_was_voided_before_its_request_is_never_charged() {
    check(&[], void(), NOW, Ok(&[Event::Barred(purchase(), SELLER.to_owned(), NOW)]));
    check(&given::barred(), void(), NOW, Ok(&[]));
    check(&given::barred(), Command::Cancel, NOW, Err(Refusal::NoSuchPayment));
    let collect = Command::Charge { method: CARD.to_owned(), collect: Some((purchase(), owed(100))) };
    check(&given::barred(), collect, NOW, Err(Refusal::PaymentCancelled));
    check(&given::barred(), Command::Request(purchase(), owed(100)), NOW, Ok(&[requested(), Event::Cancelled(NOW)]));
    let requested = [given::barred(), vec![requested(), Event::Cancelled(NOW)]].concat();
    check(&requested, charge(), NOW, Err(Refusal::PaymentCancelled));
    assert_eq!(state(&requested), State::Cancelled { refunded: false });
}

#[test]
fn a_payment_is_its_sellers_alone() {
    let other = || "market".to_owned();
    for command in [
        Command::Void { purchase: purchase(), seller: other(), kept: 0 },
        Command::Keep(other()),
        Command::Settle(other()),
    ] {
        for given in given::any() {
            check(&given, command.clone(), NOW, Err(Refusal::PurchaseDiffers));
        }
        let unknown = Event::Requested(purchase(), Owed { seller: String::new(), ..owed(100) }, NOW);
        let decided = Payment::decide(payment(&[unknown]).as_ref(), &command, NOW);
        assert!(decided.is_ok(), "a payment from before the seller field: {decided:?}");
    }
}

#[test]
fn what_another_context_voided_is_requested_and_charged() {
    let barred = [Event::Barred(purchase(), "market".to_owned(), NOW)];
    check(&barred, Command::Request(purchase(), owed(100)), NOW, Ok(&[requested()]));
    let collect = Command::Charge { method: CARD.to_owned(), collect: Some((purchase(), owed(100))) };
    check(&barred, collect, NOW, Ok(&[requested(), charge_started(NOW)]));
    assert_eq!(state(&[barred.clone(), [requested()]].concat()), State::Requested);
    check(&barred, keep(), NOW, Err(Refusal::NoSuchPayment));

    check(&barred, void(), NOW, Ok(&given::barred()));
    let both = [barred.to_vec(), given::barred()].concat();
    check(&both, Command::Request(purchase(), owed(100)), NOW, Ok(&[requested(), Event::Cancelled(NOW)]));
}

#[test]
fn only_a_request_or_a_void_makes_a_payment() {
    let commands = [charge(), Command::Approve(1), Command::Refuse(1, "no".to_owned()), Command::Refunded(1)];
    let rest = [Command::NoAnswer(0), Command::Cancel, keep(), settle(), Command::Ask];
    for command in commands.into_iter().chain(rest) {
        check(&[], command, NOW, Err(Refusal::NoSuchPayment));
    }
}

#[test]
fn c5_a_seller_collects_what_was_not_requested_yet() {
    let collect = |minor| Command::Charge { method: CARD.to_owned(), collect: Some((purchase(), owed(minor))) };
    check(&[], collect(100), NOW, Ok(&[requested(), charge_started(NOW)]));
    check(&given::requested(), collect(100), NOW, Ok(&[charge_started(NOW)]));
    check(&given::requested(), collect(200), NOW, Err(Refusal::PurchaseDiffers));
}

#[test]
fn a_charge_starts_once_and_again_only_after_a_refusal() {
    check(&given::requested(), charge(), seconds(9), Ok(&[charge_started(seconds(9))]));
    check(&given::refused(), charge(), seconds(9), Ok(&[charge_started(seconds(9))]));
    for given in [given::charging(), given::voided(), given::approved(), given::settled()] {
        check(&given, charge(), NOW, Ok(&[]));
    }
    let other = Command::Charge { method: "another card".to_owned(), collect: None };
    check(&given::charging(), other, NOW, Err(Refusal::PaymentProcessing));
}

#[test]
fn what_is_cancelled_is_not_charged() {
    for given in [given::cancelling(), given::refunding(), given::cancelled(), given::refunded()] {
        check(&given, charge(), NOW, Err(Refusal::PaymentCancelled));
    }
}

#[test]
fn an_answer_of_the_processor_counts_for_its_own_charge() {
    check(&given::charging(), Command::Approve(1), NOW, Ok(&[Event::Approved(NOW)]));
    check(&given::charging(), Command::Refuse(1, "no".to_owned()), NOW, Ok(&[Event::Refused("no".to_owned(), NOW)]));
    check(&given::charging(), Command::Approve(2), NOW, Ok(&[]));
    check(&given::charging(), Command::Refuse(0, "no".to_owned()), NOW, Ok(&[]));
    let second_charge = [given::refused(), vec![charge_started(NOW)]].concat();
    check(&second_charge, Command::Approve(1), NOW, Ok(&[]));
    check(&second_charge, Command::Approve(2), NOW, Ok(&[Event::Approved(NOW)]));
}

#[test]
fn a_late_answer_changes_nothing() {
    let answers =
        [Command::Approve(1), Command::Refuse(1, "no".to_owned()), Command::Refunded(1), Command::NoAnswer(0)];
    for answer in &answers {
        for given in [given::barred(), given::requested(), given::refused(), given::approved(), given::cancelling()] {
            check(&given, answer.clone(), NOW, Ok(&[]));
        }
        for given in [given::cancelled(), given::refunded(), given::settled()] {
            check(&given, answer.clone(), NOW, Ok(&[]));
        }
    }
    check(&given::charging(), Command::Refunded(1), NOW, Ok(&[]));
    check(&given::refunding(), Command::Approve(1), NOW, Ok(&[]));
}

#[test]
fn a_processor_without_an_answer_is_called_again_with_growing_pauses() {
    for (attempt, pause_seconds) in [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (7, 256), (8, 300), (50, 300)] {
        let given = given::charging_for_the(attempt);
        check(&given, Command::NoAnswer(attempt), NOW, Ok(&[Event::Postponed(seconds(pause_seconds))]));
        // A concurrent attempt.
        check(&given, Command::NoAnswer(attempt + 1), NOW, Ok(&[]));
    }
    check(&given::refunding(), Command::NoAnswer(0), NOW, Ok(&[Event::Postponed(seconds(2))]));
}

#[test]
fn a_charge_that_is_not_answered_in_time_is_voided_at_the_processor() {
    let step = |attempt| payment(&given::charging_for_the(attempt)).and_then(|payment| payment.next_step());
    let charge = Step::Charge { charge: 1, method: CARD.to_owned(), amount: owed(100).amount };
    assert_eq!(step(CHARGE_ATTEMPTS - 1), Some(charge));
    assert_eq!(step(CHARGE_ATTEMPTS), Some(Step::GiveUp(1)));
    // It may be voided already: an approval from before that no longer counts.
    check(&given::charging_for_the(CHARGE_ATTEMPTS), Command::Approve(1), NOW, Ok(&[]));
}

#[test]
fn the_processor_is_called_for_charges_and_refunds_only() {
    let step = |given: &[Event]| payment(given).and_then(|payment| payment.next_step());
    assert_eq!(step(&given::refunding()), Some(Step::Refund { charge: 1, refund: 1, amount: owed(100).amount }));
    for given in [given::barred(), given::requested(), given::refused(), given::approved(), given::cancelling()] {
        assert_eq!(step(&given), None);
    }
    for given in [given::cancelled(), given::refunded(), given::settled()] {
        assert_eq!(step(&given), None);
    }
}

#[test]
fn c6_only_the_seller_has_a_paid_purchase_refunded() {
    let asked = Event::CancellationRequested(NOW);
    check(&given::approved(), Command::Cancel, NOW, Ok(&[asked]));
    check(&given::cancelling(), void(), NOW, Ok(&[refund_started(100)]));
    check(&given::cancelling(), keep(), NOW, Ok(&[Event::CancellationRefused(NOW)]));
    assert_eq!(state(&[given::cancelling(), vec![Event::CancellationRefused(NOW)]].concat()), State::Approved);
}

#[test]
fn what_was_not_paid_is_cancelled_at_once() {
    for given in [given::requested(), given::refused()] {
        check(&given, Command::Cancel, NOW, Ok(&[Event::Cancelled(NOW)]));
        check(&given, void(), NOW, Ok(&[Event::Cancelled(NOW)]));
    }
}

#[test]
fn c6_a_payment_is_not_cancelled_after_the_purchase_was_used_up() {
    check(&given::settled(), Command::Cancel, NOW, Err(Refusal::PaymentSettled));
    check(&given::settled(), void(), NOW, Ok(&[]));
}

#[test]
fn a_cancellation_is_requested_once_and_not_during_a_charge() {
    check(&given::charging(), Command::Cancel, NOW, Err(Refusal::PaymentProcessing));
    for given in [given::cancelling(), given::refunding(), given::cancelled(), given::refunded()] {
        check(&given, Command::Cancel, NOW, Ok(&[]));
    }
}

#[test]
fn a_purchase_voided_during_a_charge_is_refunded_when_the_processor_answers() {
    check(&given::charging(), void(), NOW, Ok(&[Event::VoidNoted(0)]));
    check(&given::voided(), void(), NOW, Ok(&[]));
    check(&given::voided(), Command::Approve(1), NOW, Ok(&[Event::Approved(NOW), refund_started(100)]));
    check(&given::voided(), Command::Refuse(1, "no".to_owned()), NOW, Ok(&[Event::Cancelled(NOW)]));
}

#[test]
fn c4_a_paid_purchase_that_was_taken_back_is_refunded_once() {
    check(&given::approved(), void(), NOW, Ok(&[refund_started(100)]));
    check(&given::refunding(), Command::Refunded(1), NOW, Ok(&[Event::Cancelled(NOW)]));
    for given in [given::refunding(), given::cancelled(), given::refunded()] {
        check(&given, void(), NOW, Ok(&[]));
    }
    assert_eq!(state(&given::refunded()), State::Cancelled { refunded: true });
    assert_eq!(state(&given::cancelled()), State::Cancelled { refunded: false });
}

#[test]
fn a_purchase_that_was_used_up_is_settled_once() {
    check(&given::approved(), settle(), NOW, Ok(&[Event::Settled(NOW)]));
    let refused = Event::CancellationRefused(NOW);
    check(&given::cancelling(), settle(), NOW, Ok(&[refused, Event::Settled(NOW)]));
    check(&given::settled(), settle(), NOW, Ok(&[]));
    for given in [given::requested(), given::charging(), given::refused(), given::refunding(), given::refunded()] {
        check(&given, settle(), NOW, Ok(&[]));
    }
}

#[test]
fn only_a_requested_refund_is_refused() {
    for given in given::any().into_iter().filter(|given| state(given) != State::Cancelling) {
        check(&given, keep(), NOW, Ok(&[]));
    }
}

#[test]
fn a_payment_has_a_timer_while_the_processor_is_to_be_called() {
    let due = |given: &[Event]| payment(given).and_then(|payment| payment.due_at());
    assert_eq!(due(&given::charging()), Some((seconds(2), Command::Ask)));
    assert_eq!(due(&given::refunding()), Some((NOW, Command::Ask)));
    for given in given::any() {
        let is_asked = matches!(state(&given), State::Charging { .. } | State::Refunding { .. });
        assert_eq!(due(&given).is_some(), is_asked);
        check(&given, Command::Ask, NOW, Ok(&[]));
    }
}

#[test]
fn a_refusal_has_a_code_and_a_reason_that_clients_can_tell_apart() {
    let refusals = [
        Refusal::NoSuchPayment,
        Refusal::PurchaseDiffers,
        Refusal::PaymentCancelled,
        Refusal::PaymentSettled,
        Refusal::PaymentProcessing,
        Refusal::NothingPaid,
        Refusal::RefundTooHigh(owed(1).amount),
    ];
    let reasons: std::collections::BTreeSet<_> = refusals.iter().map(|refusal| refusal.reason()).collect();
    assert_eq!(reasons.len(), refusals.len());
    for refusal in refusals {
        assert_eq!(refusal.code() == RefusalCode::NotFound, refusal == Refusal::NoSuchPayment);
        assert_eq!(refusal.retry_after().is_some(), refusal == Refusal::PaymentProcessing);
    }
}

#[test]
fn what_was_used_is_settled_as_soon_as_it_is_paid_and_never_cancelled() {
    let used = Event::Requested(purchase(), Owed { used: true, ..owed(100) }, NOW);
    let charging = [used.clone(), charge_started(NOW)];
    check(&charging, Command::Approve(1), NOW, Ok(&[Event::Approved(NOW), Event::Settled(NOW)]));
    let refused = [used.clone(), charge_started(NOW), Event::Refused("no".to_owned(), NOW)];
    let paid = [used.clone(), charge_started(NOW), Event::Approved(NOW), Event::Settled(NOW)];
    for given in [&[used][..], &charging, &refused, &paid] {
        check(given, Command::Cancel, NOW, Err(Refusal::PaymentSettled));
    }
    check(&refused, charge(), NOW, Ok(&[charge_started(NOW)]));
}

#[test]
fn t8_a_charge_for_what_was_used_is_never_given_up() {
    let used = Event::Requested(purchase(), Owed { used: true, ..owed(100) }, NOW);
    let silent = std::iter::repeat_n(Event::Postponed(NOW), CHARGE_ATTEMPTS as usize * 3);
    let given: Vec<Event> = [used, charge_started(NOW)].into_iter().chain(silent).collect();
    let charge = Step::Charge { charge: 1, method: CARD.to_owned(), amount: owed(100).amount };
    assert_eq!(payment(&given).and_then(|payment| payment.next_step()), Some(charge));
    check(&given, Command::Approve(1), NOW, Ok(&[Event::Approved(NOW), Event::Settled(NOW)]));
}

#[test]
fn c13_a_seller_keeps_a_share_of_a_purchase_that_it_voids() {
    let started = Event::RefundStarted(70, Then::Void { kept: 30 }, NOW);
    check(&given::approved(), void_keeping(30), NOW, Ok(std::slice::from_ref(&started)));
    let given = [given::approved(), vec![started]].concat();
    check(&given, Command::Refunded(1), NOW, Ok(&[Event::Cancelled(NOW)]));
    let cancelled = payment(&[given, vec![Event::Cancelled(NOW)]].concat()).expect("it is known");
    assert_eq!((cancelled.state, cancelled.refunded), (State::Cancelled { refunded: true }, 70));
    check(&given::approved(), void_keeping(100), NOW, Ok(&[Event::Cancelled(NOW)]));
    // Nothing was paid: there is nothing to keep.
    check(&given::requested(), void_keeping(30), NOW, Ok(&[Event::Cancelled(NOW)]));
    let voided = [given::charging(), vec![Event::VoidNoted(30)]].concat();
    let started = Event::RefundStarted(70, Then::Void { kept: 30 }, NOW);
    check(&voided, Command::Approve(1), NOW, Ok(&[Event::Approved(NOW), started]));
}

#[test]
fn x14_staff_refund_a_part_and_the_payment_is_what_it_was() {
    for (given, then, after) in
        [(given::approved(), Then::Approved, State::Approved), (given::settled(), Then::Settled, State::Settled)]
    {
        let started = [Event::Intervened(intervention()), Event::RefundStarted(40, then, NOW)];
        check(&given, refund(40), NOW, Ok(&started));
        let given = [given, started.to_vec()].concat();
        check(&given, refund(40), NOW, Err(Refusal::PaymentProcessing));
        check(&given, Command::Refunded(1), NOW, Ok(&[Event::PartRefunded(NOW)]));
        let given = [given, vec![Event::PartRefunded(NOW)]].concat();
        let refunded = payment(&given).expect("it is known");
        assert_eq!((refunded.state, refunded.refunded), (after, 40));
        check(&given, Command::Refunded(1), NOW, Ok(&[]));
        check(&given, refund(61), NOW, Err(Refusal::RefundTooHigh(owed(60).amount)));
        let next = [Event::Intervened(intervention()), Event::RefundStarted(60, then, NOW)];
        check(&given, refund(60), NOW, Ok(&next));
    }
    for given in [given::requested(), given::refused(), given::cancelled(), given::refunded()] {
        check(&given, refund(1), NOW, Err(Refusal::NothingPaid));
    }
    let dollars = Money { minor: 1, currency: Currency::parse("USD").expect("it is one") };
    let refund = Command::Refund(intervention(), dollars);
    check(&given::approved(), refund, NOW, Err(Refusal::RefundTooHigh(owed(100).amount)));
}

#[test]
fn x14_a_purchase_that_is_voided_or_used_during_a_refund_ends_so() {
    let refunding = [given::approved(), vec![Event::RefundStarted(40, Then::Approved, NOW)]].concat();
    check(&refunding, void_keeping(30), NOW, Ok(&[Event::VoidNoted(30)]));
    let voided = [refunding.clone(), vec![Event::VoidNoted(30)]].concat();
    let rest = Event::RefundStarted(30, Then::Void { kept: 30 }, NOW);
    check(&voided, Command::Refunded(1), NOW, Ok(&[Event::PartRefunded(NOW), rest]));
    check(&refunding, settle(), NOW, Ok(&[Event::Settled(NOW)]));
    let settled = [refunding.clone(), vec![Event::Settled(NOW), Event::PartRefunded(NOW)]].concat();
    assert_eq!(state(&settled), State::Settled);
    check(&refunding, Command::Cancel, NOW, Err(Refusal::PaymentProcessing));
    check(&refunding, charge(), NOW, Ok(&[]));
}

#[test]
fn x14_a_customer_whose_card_is_silent_pays_with_another_one() {
    let with = |method: &str| Command::Charge { method: method.to_owned(), collect: None };
    check(&given::charging(), with("other"), NOW, Err(Refusal::PaymentProcessing));
    let silent = given::charging_for_the(1);
    let replaced = Event::MethodReplaced("other".to_owned());
    check(&silent, with("other"), NOW, Ok(std::slice::from_ref(&replaced)));
    let given = [silent, vec![replaced]].concat();
    check(&given, with("other"), NOW, Ok(&[]));
    assert_eq!(
        payment(&given).and_then(|payment| payment.next_step()),
        Some(Step::GiveUp(1)),
        "before the next charge"
    );
    // The answer of the first card came too late: it is being voided.
    check(&given, Command::Approve(1), NOW, Ok(&[]));
    let next = Event::ChargeStarted("other".to_owned(), seconds(2));
    check(&given, Command::Refuse(1, "voided".to_owned()), NOW, Ok(std::slice::from_ref(&next)));
    let given = [given, vec![next]].concat();
    let charge = Step::Charge { charge: 2, method: "other".to_owned(), amount: owed(100).amount };
    assert_eq!(payment(&given).and_then(|payment| payment.next_step()), Some(charge));
    check(&given, Command::Approve(1), NOW, Ok(&[]));
    check(&given, Command::Approve(2), NOW, Ok(&[Event::Approved(NOW)]));
}
