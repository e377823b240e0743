//! Each row of the policy's table, and what is not ours or not right.

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

fn paid(seller_reference: &str) -> Option<Payment> {
    let (payment_id, seller_reference) = (payment().to_string(), seller_reference.to_owned());
    Some(Payment { payment_id, seller_reference, ..Payment::default() })
}

fn ours() -> Option<Payment> {
    paid(&format!("stay/{}", stay_id()))
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
fn payments_of_other_lines_of_business_are_not_ours() {
    for other in ["car/00000000-0000-4000-8000-000000000007", "ride/7", "", "stays/7"] {
        check(&event(&PaymentApproved { payment: paid(other) }), &[]);
        check(&event(&PaymentCancellationRequested { payment: paid(other) }), &[]);
        check(&event(&PaymentCancelled { payment: paid(other) }), &[]);
    }
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&PaymentApproved { payment: None }), "no payment");
    check_malformed(&event(&PaymentApproved { payment: paid("stay/villa") }), "seller_reference");
    let nameless = ours().map(|payment| Payment { payment_id: String::new(), ..payment });
    check_malformed(&event(&PaymentCancelled { payment: nameless }), "payment_id");
    check_malformed(&event(&HoldLost { hold: None }), "no hold");
    check_malformed(&event(&HoldLost { hold: Some(Hold::default()) }), "stay_id");
}
