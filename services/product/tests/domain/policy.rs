//! Each row of the policy's table, and malformed events.

use chassis::{Envelope, Malformed};
use contracts::order::v1::{Order, OrderCancelled, OrderPlaced};
use product::policy::policy;
use prost::{Message, Name};

use super::*;

fn event<M: Message + Name>(message: &M) -> Envelope {
    Envelope {
        event_id: product_id().uuid(),
        kind: M::full_name(),
        source: String::new(),
        subject: String::new(),
        at: NOW,
        correlation_id: order(1).uuid(),
        causation_id: None,
        sequence: 1,
        traceparent: None,
        body: message.encode_to_vec(),
    }
}

fn ordered(quantity: i32) -> Option<Order> {
    let (order_id, product_id) = (order(1).to_string(), product_id().to_string());
    Some(Order { order_id, product_id, quantity, ..Order::default() })
}

#[track_caller]
fn check(event: &Envelope, then: Command) {
    assert_eq!(policy().react(event).expect("the event is right"), [(product_id(), then)]);
}

#[track_caller]
fn check_malformed(event: &Envelope, then: &str) {
    let reaction = policy().react(event).map_err(|Malformed(what)| what);
    assert!(reaction.as_ref().is_err_and(|what| what.contains(then)), "{reaction:?}");
}

#[test]
fn o3_o5_orders_take_and_restore_stock() {
    check(&event(&OrderPlaced { order: ordered(3) }), Command::Take(order(1), 3));
    check(&event(&OrderCancelled { order: ordered(3) }), Command::Restore(order(1), 3));
}

#[test]
fn an_event_that_breaks_its_contract_is_malformed() {
    check_malformed(&event(&OrderPlaced { order: None }), "no order");
    check_malformed(&event(&OrderPlaced { order: Some(Order::default()) }), "order_id");
    check_malformed(&event(&OrderPlaced { order: ordered(-1) }), "quantity");
    let of_nothing = ordered(1).map(|order| Order { product_id: String::new(), ..order });
    check_malformed(&event(&OrderCancelled { order: of_nothing }), "product_id");
}
