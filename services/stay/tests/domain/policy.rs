//! Each row of the policy's table, events about other sellers, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::payment::v1::{
    Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled, PaymentRequested,
};
use contracts::resort::v1::{Hold, HoldLost};
use prost::{Message, Name};
use stay::policy::policy;

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: stay_id().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: stay_id().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn paid(seller: &str, seller_reference: &str) -> Option<Payment> {
    let (payment_id, purchase_id) = (payment().to_string(), stay_id().to_string());
    let (seller, seller_reference) = (seller.to_owned(), seller_reference.to_owned());
    Some(Payment { payment_id, purchase_id, seller, seller_reference, ..Payment::default() })
}

fn ours() -> Option<Payment> {
    paid("stay", "")
}

#[track_caller]
fn check(event: &Envelope, then: &[Command]) {
    let commands = policy().react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (stay_id(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy().react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn each_event_of_a_payment_leads_to_its_command() {
    check(&event(&PaymentApproved { payment: ours() }), &[Command::Confirm(payment())]);
    check(&event(&PaymentCancellationRequested { payment: ours() }), &[Command::TakeBack]);
    check(&event(&PaymentCancelled { payment: ours() }), &[Command::Drop]);
    check(&event(&PaymentRequested { payment: ours() }), &[]);
}

#[test]
fn a_lost_hold_loses_the_stay() {
    let hold = Some(Hold { stay_id: stay_id().to_string(), ..Hold::default() });
    check(&event(&HoldLost { hold }), &[Command::Lose]);
}

#[test]
fn a_payment_from_before_the_seller_field_is_recognized_by_its_reference() {
    let ours = paid("", &format!("stay/{}", stay_id()));
    check(&event(&PaymentApproved { payment: ours }), &[Command::Confirm(payment())]);
}

#[test]
fn payments_of_other_sellers_are_not_ours() {
    let own = format!("stay/{}", stay_id());
    let sold_by = [("rental", ""), ("market", &*own), ("stays", "")];
    // Events from before the field `seller` existed are recognized by the reference alone.
    let known_by_reference =
        ["car/00000000-0000-4000-8000-000000000007", "ride/7", "", "stays/7"].map(|reference| ("", reference));
    for (seller, reference) in sold_by.into_iter().chain(known_by_reference) {
        check(&event(&PaymentApproved { payment: paid(seller, reference) }), &[]);
        check(&event(&PaymentCancellationRequested { payment: paid(seller, reference) }), &[]);
        check(&event(&PaymentCancelled { payment: paid(seller, reference) }), &[]);
    }
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&PaymentApproved { payment: None }), "no payment");
    let unknown = ours().map(|payment| Payment { purchase_id: "villa".to_owned(), ..payment });
    check_malformed(&event(&PaymentApproved { payment: unknown }), "purchase_id");
    let nameless = ours().map(|payment| Payment { payment_id: String::new(), ..payment });
    check_malformed(&event(&PaymentCancelled { payment: nameless }), "payment_id");
    check_malformed(&event(&HoldLost { hold: None }), "no hold");
    check_malformed(&event(&HoldLost { hold: Some(Hold::default()) }), "stay_id");
}
