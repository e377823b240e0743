//! Each row of the policy's table, events about other sellers, and malformed events.

use chassis::Envelope;
use contracts::dispatch::v1::{Hail, HailCancellationRequested, TaxiHailed};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentRefused};
use contracts::place;
use driving::policy::{policy, reference};
use prost::{Message, Name};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: hail().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: hail().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn a_hail() -> Hail {
    let place = |place: Place| Some(place::v1::Place::from(place));
    Hail {
        hail_id: hail().to_string(),
        customer_id: "ann".to_owned(),
        pickup: place(trip().pickup),
        destination: place(trip().destination),
        payment_method: "card".to_owned(),
        start_code: CODE.to_owned(),
        ..Hail::default()
    }
}

fn paid(seller: &str, seller_reference: &str) -> Option<Payment> {
    let (payment_id, purchase_id) = (payment().to_string(), hail().to_string());
    let (seller, seller_reference) = (seller.to_owned(), seller_reference.to_owned());
    Some(Payment { payment_id, purchase_id, seller, seller_reference, ..Payment::default() })
}

#[track_caller]
fn check_reaction(event: &Envelope, then: &[Command]) {
    let commands = policy(LIMITS).react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (id(), command.clone())).collect::<Vec<_>>());
}

#[test]
fn t7_a_hail_is_offered_as_a_drive() {
    check_reaction(&event(&TaxiHailed { hail: Some(a_hail()) }), &[offer()]);
}

#[test]
fn t5_a_cancelled_hail_calls_its_drive_off() {
    check_reaction(&event(&HailCancellationRequested { hail: Some(a_hail()) }), &[Command::CallOff(hail())]);
}

#[test]
fn t8_a_payment_for_a_drive_decides_about_its_fare_and_others_do_not() {
    check_reaction(&event(&PaymentApproved { payment: paid("driving", "") }), &[Command::Paid(payment())]);
    check_reaction(&event(&PaymentRefused { payment: paid("driving", "") }), &[Command::Refused]);
    check_reaction(&event(&PaymentApproved { payment: paid("market", &reference(id())) }), &[]);
    // Events from before the field `seller` existed are recognized by the reference alone.
    check_reaction(&event(&PaymentApproved { payment: paid("", &reference(id())) }), &[Command::Paid(payment())]);
    check_reaction(&event(&PaymentApproved { payment: paid("", "car/7") }), &[]);
}

#[test]
fn what_breaks_its_contract_is_malformed() {
    let is_malformed = |event: &Envelope| policy(LIMITS).react(event).is_err();
    assert!(is_malformed(&event(&TaxiHailed { hail: None })));
    assert!(is_malformed(&event(&TaxiHailed { hail: Some(Hail { pickup: None, ..a_hail() }) })));
    assert!(is_malformed(&event(&TaxiHailed { hail: Some(Hail { hail_id: "7".to_owned(), ..a_hail() }) })));
    let unknown = paid("driving", "").map(|payment| Payment { purchase_id: "7".to_owned(), ..payment });
    assert!(is_malformed(&event(&PaymentApproved { payment: unknown })));
}
