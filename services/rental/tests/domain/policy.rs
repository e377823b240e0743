//! Each row of the policy's table, events about other sellers, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::fleet::v1::{Car, CarRegistered, CarTransferred};
use contracts::money::v1::Money as MoneyMessage;
use contracts::payment::v1::{
    Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled, PaymentRequested,
};
use prost::{Message, Name};
use rental::policy::{late_fee_reference, policy, reference};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: reservation_id(90).uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: reservation_id(7).uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn registered(car_id: &str, currency_code: &str) -> CarRegistered {
    let daily_rate = Some(MoneyMessage { currency_code: currency_code.to_owned(), amount_minor: RATE_MINOR });
    CarRegistered {
        car: Some(Car {
            car_id: car_id.to_owned(),
            daily_rate,
            model: name().model,
            plate: name().plate,
            owner_id: "sol".to_owned(),
            ..Car::default()
        }),
    }
}

fn paid(seller_reference: &str) -> Option<Payment> {
    Some(Payment {
        payment_id: payment().to_string(),
        purchase_id: reservation_id(7).to_string(),
        seller_reference: seller_reference.to_owned(),
        ..Payment::default()
    })
}

fn sold_by(seller: &str) -> Option<Payment> {
    paid(&reference(car())).map(|payment| Payment { seller: seller.to_owned(), ..payment })
}

#[track_caller]
fn check(event: &Envelope, then: &[Command]) {
    let commands = policy(TERMS).react(event).expect("the event is right");
    assert_eq!(commands, then.iter().map(|command| (car(), command.clone())).collect::<Vec<_>>());
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy(TERMS).react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn c10_a_registered_car_gets_a_calendar() {
    let registered = registered(&car().to_string(), "KRW");
    check(&event(&registered), &[register(won(RATE_MINOR))]);
}

#[test]
fn c5_an_approved_payment_rents() {
    let ours = reference(car());
    check(&event(&PaymentApproved { payment: sold_by("rental") }), &[Command::Rent(id(7), payment())]);
    // Events from before the field `seller` existed are recognized by the reference alone.
    check(&event(&PaymentApproved { payment: paid(&ours) }), &[Command::Rent(id(7), payment())]);
}

#[test]
fn c6_a_payment_that_is_to_be_cancelled_takes_the_rental_back() {
    let ours = reference(car());
    check(&event(&PaymentCancellationRequested { payment: paid(&ours) }), &[take_back(7)]);
}

#[test]
fn a_cancelled_payment_drops_the_reservation() {
    check(&event(&PaymentCancelled { payment: paid(&reference(car())) }), &[Command::Drop(id(7))]);
}

#[test]
fn payments_of_other_sellers_are_not_ours() {
    check(&event(&PaymentApproved { payment: sold_by("market") }), &[]);
    for other in ["ride/7", "stay/00000000-0000-4000-8000-000000000001", "", "cars/7"] {
        check(&event(&PaymentApproved { payment: paid(other) }), &[]);
        check(&event(&PaymentCancellationRequested { payment: paid(other) }), &[]);
        check(&event(&PaymentCancelled { payment: paid(other) }), &[]);
    }
}

#[test]
fn an_event_that_no_rule_is_about_leads_to_nothing() {
    check(&event(&PaymentRequested { payment: paid(&reference(car())) }), &[]);
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&CarRegistered { car: None }), "no car");
    check_malformed(&event(&CarRegistered { car: Some(Car::default()) }), "no daily_rate");
    check_malformed(&event(&registered("K5", "KRW")), "car_id");
    check_malformed(&event(&registered(&car().to_string(), "won")), "currency_code");
    check_malformed(&event(&PaymentApproved { payment: None }), "no payment");
    check_malformed(&event(&PaymentCancelled { payment: paid("car/K5") }), "seller_reference");
    let nothing = Payment { seller_reference: reference(car()), ..Payment::default() };
    check_malformed(&event(&PaymentApproved { payment: Some(nothing.clone()) }), "purchase_id");
    let unpaid = Payment { purchase_id: reservation_id(7).to_string(), ..nothing };
    check_malformed(&event(&PaymentApproved { payment: Some(unpaid) }), "payment_id");
    let garbage = Envelope { body: vec![0xff], ..event(&PaymentApproved { payment: None }) };
    check_malformed(&garbage, "");
}

#[test]
fn x12_a_transferred_car_has_its_new_owner() {
    let car = Some(Car { car_id: car().to_string(), owner_id: "hana".to_owned(), ..Car::default() });
    check(&event(&CarTransferred { car }), &[Command::Transfer(super::car(), "hana".to_owned())]);
}

#[test]
fn c14_a_payment_of_a_late_fee_pays_it_and_rents_nothing() {
    let fee = paid(&late_fee_reference(car(), id(7))).map(|payment| Payment { seller: "rental".to_owned(), ..payment });
    check(&event(&PaymentApproved { payment: fee.clone() }), &[Command::PayLateFee(id(7))]);
    check(&event(&PaymentCancelled { payment: fee }), &[]);
}
