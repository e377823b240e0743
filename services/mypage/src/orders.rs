//! Orders with their payment and delivery, made from the events of `order`, `payment` and `delivery`.

use chassis::db::prelude::*;
use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::delivery::v1::{
    Delivery, DeliveryCancellationRefused, DeliveryCancelled, DeliveryCompleted, DeliveryPrepared, DeliveryStarted,
};
use contracts::mypage::v1 as proto;
use contracts::order::v1::{
    self as contract, OrderCancellationRefused, OrderCancellationRequested, OrderCancelled, OrderConfirmed,
    OrderDelivered, OrderDispatched, OrderPlaced, OrderState,
};

use crate::summary::{Rules, Update, is_owed, money, summary, time};

summary! {
    /// An order, from the events so far.
    orders as Order, "order" of a "order", newest by ordered_at, paid {
        product: Option<String> as Nullable<Text>,
        product_name: Option<String> as Nullable<Text>,
        quantity: i32 as Integer,
        price_minor: Option<i64> as Nullable<BigInt>,
        currency: Option<String> as Nullable<Text>,
        address: Option<String> as Nullable<Text>,
        order_sequence: i64 as BigInt,
        order_state: i32 as Integer,
        cause: i32 as Integer,
        delivery: Option<String> as Nullable<Text>,
        delivery_sequence: i64 as BigInt,
        delivery_state: i32 as Integer,
        ordered_at: Option<Timestamp> as Nullable<SqlTime>,
        started_at: Option<Timestamp> as Nullable<SqlTime>,
        completed_at: Option<Timestamp> as Nullable<SqlTime>,
        cancelled_at: Option<Timestamp> as Nullable<SqlTime>,
    }
}

fn is_open(order: &Order) -> bool {
    use OrderState::{Cancelling, Confirmed, Delivering, Placed};
    let is_under_way =
        matches!(OrderState::try_from(order.order_state), Ok(Placed | Confirmed | Delivering | Cancelling));
    is_under_way || is_owed(order.payment_state)
}

/// A draft is not an order yet, so it has no summary.
fn rules() -> Rules<Order> {
    Rules::new()
        .on(|event: OrderPlaced, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderConfirmed, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancellationRequested, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancellationRefused, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancelled, e| order(event.order, e, |order, at| order.cancelled_at = Some(at)))
        .on(|event: OrderDispatched, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderDelivered, e| order(event.order, e, |_, _| {}))
        .on(|event: DeliveryPrepared, e| delivery(event.delivery, e, |_, _| {}))
        .on(|event: DeliveryStarted, e| delivery(event.delivery, e, |order, at| order.started_at = Some(at)))
        .on(|event: DeliveryCompleted, e| delivery(event.delivery, e, |order, at| order.completed_at = Some(at)))
        .on(|event: DeliveryCancelled, e| delivery(event.delivery, e, |_, _| {}))
        .on(|event: DeliveryCancellationRefused, e| delivery(event.delivery, e, |_, _| {}))
        .payments_of("order")
}

fn order(
    decoded: Option<contract::Order>,
    event: &Envelope,
    set_time: fn(&mut Order, Timestamp),
) -> Result<Update<Order>, Malformed> {
    let decoded = decode::present("order", decoded)?;
    let id = decode::parsed("order_id", &decoded.order_id)?;
    let ordered_at = decode::time("create_time", decoded.create_time)?;
    let price = decode::present("price", decoded.price)?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(Update::of(id, move |order: &mut Order| {
        order.customer = Some(decoded.customer_id);
        (order.product, order.product_name) = (Some(decoded.product_id), Some(decoded.product_name));
        order.quantity = decoded.quantity;
        (order.price_minor, order.currency) = (Some(price.amount_minor), Some(price.currency_code));
        order.address = Some(decoded.address);
        order.ordered_at = Some(ordered_at);
        if sequence > order.order_sequence {
            order.order_sequence = sequence;
            (order.order_state, order.cause) = (decoded.state, decoded.cancellation_cause);
        }
        set_time(order, at);
    }))
}

fn delivery(
    delivery: Option<Delivery>,
    event: &Envelope,
    set_time: fn(&mut Order, Timestamp),
) -> Result<Update<Order>, Malformed> {
    let delivery = decode::present("delivery", delivery)?;
    let id = decode::parsed("order_id", &delivery.order_id)?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(Update::of(id, move |order: &mut Order| {
        order.delivery = Some(delivery.delivery_id);
        if sequence > order.delivery_sequence {
            (order.delivery_sequence, order.delivery_state) = (sequence, delivery.state);
        }
        set_time(order, at);
    }))
}

impl From<Order> for proto::Order {
    fn from(row: Order) -> Self {
        proto::Order {
            order_id: row.id.to_string(),
            customer_id: row.customer.unwrap_or_default(),
            product_id: row.product.unwrap_or_default(),
            product_name: row.product_name.unwrap_or_default(),
            quantity: row.quantity,
            price: money(row.currency, row.price_minor),
            address: row.address.unwrap_or_default(),
            order_state: row.order_state,
            cancellation_cause: row.cause,
            payment_id: row.payment.unwrap_or_default(),
            payment_state: row.payment_state,
            delivery_id: row.delivery.unwrap_or_default(),
            delivery_state: row.delivery_state,
            create_time: time(row.ordered_at),
            start_time: time(row.started_at),
            complete_time: time(row.completed_at),
            cancel_time: time(row.cancelled_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::testing::{FLOW, check_every_order, envelope, paid, summary};
    use contracts::delivery::v1::DeliveryState;
    use contracts::money::v1::Money;
    use contracts::order::v1::CancellationCause;
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancelled, PaymentRefused, PaymentRequested, PaymentSettled, PaymentState,
    };

    fn changed(state: OrderState, cause: CancellationCause) -> Option<contract::Order> {
        Some(contract::Order {
            order_id: FLOW.into(),
            customer_id: "ann".into(),
            product_id: "tent".into(),
            product_name: "Tent".into(),
            quantity: 2,
            address: "1 Sejong-daero".into(),
            price: Some(Money { currency_code: "KRW".into(), amount_minor: 240_000 }),
            create_time: Some(prost_types::Timestamp { seconds: 7, nanos: 0 }),
            state: state.into(),
            cancellation_cause: cause.into(),
            ..contract::Order::default()
        })
    }

    fn so(state: OrderState) -> Option<contract::Order> {
        changed(state, CancellationCause::Unspecified)
    }

    fn delivery(state: DeliveryState) -> Option<Delivery> {
        let (delivery_id, order_id) = ("delivery".into(), FLOW.into());
        Some(Delivery { delivery_id, order_id, state: state.into(), ..Delivery::default() })
    }

    /// Refused, paid with another card, confirmed and delivered.
    fn delivered() -> Vec<Envelope> {
        use {DeliveryState as D, OrderState as O, PaymentState as P};
        vec![
            envelope(&PaymentRefused { payment: paid("order", P::Refused) }, 3),
            envelope(&PaymentApproved { payment: paid("order", P::Approved) }, 5),
            envelope(&OrderPlaced { order: so(O::Placed) }, 2),
            envelope(&DeliveryPrepared { delivery: delivery(D::Prepared) }, 1),
            envelope(&DeliveryStarted { delivery: delivery(D::Started) }, 2),
            envelope(&DeliveryCompleted { delivery: delivery(D::Completed) }, 3),
            envelope(&OrderDelivered { order: so(O::Delivered) }, 5),
            envelope(&PaymentSettled { payment: paid("order", P::Settled) }, 6),
        ]
    }

    /// Paid, confirmed and taken back.
    fn refunded() -> Vec<Envelope> {
        use {DeliveryState as D, OrderState as O, PaymentState as P};
        let by_customer = |state| changed(state, CancellationCause::Customer);
        vec![
            envelope(&PaymentRequested { payment: paid("order", P::Requested) }, 1),
            envelope(&OrderPlaced { order: so(O::Placed) }, 2),
            envelope(&OrderConfirmed { order: so(O::Confirmed) }, 3),
            envelope(&DeliveryPrepared { delivery: delivery(D::Prepared) }, 1),
            envelope(&OrderCancellationRequested { order: by_customer(O::Cancelling) }, 4),
            envelope(&DeliveryCancelled { delivery: delivery(D::Cancelled) }, 2),
            envelope(&OrderCancelled { order: by_customer(O::Cancelled) }, 5),
            envelope(&PaymentCancelled { payment: paid("order", P::Cancelled) }, 8),
        ]
    }

    #[test]
    fn o6_a_summary_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<Order>(delivered());
        check_every_order::<Order>(refunded());
    }

    #[test]
    fn o6_a_summary_shows_order_payment_and_delivery() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let summary: Order = summary(&delivered());
        assert_eq!(summary.order_state, i32::from(OrderState::Delivered));
        assert_eq!(summary.payment_state, i32::from(PaymentState::Settled));
        assert_eq!(summary.delivery_state, i32::from(DeliveryState::Completed));
        assert_eq!((summary.ordered_at, summary.started_at, summary.completed_at), (at(7), at(2), at(3)));
        assert_eq!((summary.customer.as_deref(), summary.cancelled_at), (Some("ann"), None));
    }

    #[test]
    fn what_is_not_paid_has_no_customer_that_could_see_it() {
        let summary: Order = summary(&refunded()[..1]);
        assert_eq!(summary.customer, None);
    }
}
