//! Every transition of a delivery, and every refusal, once.

use chassis::Refusal as _;
use chassis::error::RefusalCode;

use super::*;

fn started() -> Vec<Event> {
    vec![prepared(), Event::Started("kim".to_owned(), NOW)]
}

fn completed() -> Vec<Event> {
    [started(), vec![Event::Completed(NOW)]].concat()
}

fn cancelled() -> Vec<Event> {
    vec![prepared(), Event::Cancelled(NOW)]
}

fn barred() -> Vec<Event> {
    vec![Event::Barred(order(), parcel(), NOW)]
}

fn start(courier: &str) -> Command {
    Command::Start(courier.to_owned())
}

fn complete(courier: &str) -> Command {
    Command::Complete(courier.to_owned())
}

#[test]
fn o3_a_delivery_is_prepared_once() {
    check(&[], prepare(), Ok(&[prepared()]));
    for given in [vec![prepared()], started(), completed(), cancelled(), barred()] {
        check(&given, prepare(), Ok(&[]));
    }
}

#[test]
fn o4_one_courier_starts_and_completes_it() {
    check(&[prepared()], start("kim"), Ok(&[Event::Started("kim".to_owned(), NOW)]));
    check(&started(), complete("kim"), Ok(&[Event::Completed(NOW)]));
    for given in [started(), completed()] {
        check(&given, start("kim"), Ok(&[]));
        check(&given, start("lee"), Err(Refusal::DeliveryTaken));
        check(&given, complete("lee"), Err(Refusal::NoSuchDelivery));
    }
    check(&completed(), complete("kim"), Ok(&[]));
    check(&[prepared()], complete("kim"), Err(Refusal::DeliveryNotStarted));
    for given in [cancelled(), barred()] {
        check(&given, start("kim"), Err(Refusal::DeliveryCancelled));
        check(&given, complete("kim"), Err(Refusal::DeliveryCancelled));
    }
    check(&[], start("kim"), Err(Refusal::NoSuchDelivery));
    check(&[], complete("kim"), Err(Refusal::NoSuchDelivery));
}

#[test]
fn o5_a_delivery_is_called_off_until_it_starts() {
    check(&[prepared()], call_off(), Ok(&[Event::Cancelled(NOW)]));
    check(&[], call_off(), Ok(&[Event::Barred(order(), parcel(), NOW)]));
    for given in [started(), completed()] {
        check(&given, call_off(), Ok(&[Event::CancellationRefused]));
    }
    for given in [cancelled(), barred()] {
        check(&given, call_off(), Ok(&[]));
    }
}

#[test]
fn every_refusal_has_its_reason() {
    for (refusal, code, reason) in [
        (Refusal::NoSuchDelivery, RefusalCode::NotFound, "DELIVERY_NOT_FOUND"),
        (Refusal::DeliveryTaken, RefusalCode::Precondition, "DELIVERY_TAKEN"),
        (Refusal::DeliveryNotStarted, RefusalCode::Precondition, "DELIVERY_NOT_STARTED"),
        (Refusal::DeliveryCancelled, RefusalCode::Precondition, "DELIVERY_CANCELLED"),
    ] {
        assert_eq!((refusal.code(), refusal.reason()), (code, reason));
    }
}
