//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::order::v1::{Order, OrderCancellationRequested, OrderConfirmed};
use delivery::policy::policy;
use prost::{Message, Name};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: order().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: order().uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn ordered() -> Option<Order> {
    Some(Order {
        order_id: order().to_string(),
        customer_id: "ann".to_owned(),
        product_name: "Tent".to_owned(),
        quantity: 2,
        address: "1 Sejong-daero".to_owned(),
        ..Order::default()
    })
}

#[track_caller]
fn check_policy(event: &Envelope, then: Command) {
    let id: DeliveryId = delivery_of(order());
    assert_eq!(policy().react(event).expect("the event is right"), [(id, then)]);
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy().react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn o3_o5_orders_prepare_deliveries_and_call_them_off() {
    check_policy(&event(&OrderConfirmed { order: ordered() }), prepare());
    check_policy(&event(&OrderCancellationRequested { order: ordered() }), call_off());
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&OrderConfirmed { order: None }), "no order");
    check_malformed(&event(&OrderConfirmed { order: Some(Order::default()) }), "order_id");
    let fewer_than_none = ordered().map(|order| Order { quantity: -1, ..order });
    check_malformed(&event(&OrderCancellationRequested { order: fewer_than_none }), "quantity");
}
