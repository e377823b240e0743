//! Orders with their payment and delivery, made from the events of `order`, `payment` and `delivery`.

mod table;

use std::sync::LazyLock;

use chassis::{Envelope, Malformed, Timestamp, decode};
use contracts::delivery::v1::{
    Delivery, DeliveryCancellationRefused, DeliveryCancelled, DeliveryCompleted, DeliveryPrepared, DeliveryStarted,
};
use contracts::order::v1::{
    OrderCancellationRefused, OrderCancellationRequested, OrderCancelled, OrderConfirmed, OrderDelivered,
    OrderDispatched, OrderPlaced,
};
use contracts::{money, order};

pub use self::table::Order;
use crate::pages::{News, Rules};

/// The events that the page is made from. What is not paid is no order, so what was only drafted has no page.
pub static RULES: LazyLock<Rules<Order>> = LazyLock::new(|| {
    Rules::new()
        .on(|event: OrderPlaced, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderConfirmed, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancellationRequested, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancellationRefused, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderCancelled, e| order(event.order, e, |page, at| page.cancelled_at = Some(at)))
        .on(|event: OrderDispatched, e| order(event.order, e, |_, _| {}))
        .on(|event: OrderDelivered, e| order(event.order, e, |_, _| {}))
        .on(|event: DeliveryPrepared, e| delivery(event.delivery, e, |_, _| {}))
        .on(|event: DeliveryStarted, e| delivery(event.delivery, e, |page, at| page.started_at = Some(at)))
        .on(|event: DeliveryCompleted, e| delivery(event.delivery, e, |page, at| page.completed_at = Some(at)))
        .on(|event: DeliveryCancelled, e| delivery(event.delivery, e, |_, _| {}))
        .on(|event: DeliveryCancellationRefused, e| delivery(event.delivery, e, |_, _| {}))
        .payments_of("order")
});

/// What every event of `order` says.
struct Told {
    order: order::v1::Order,
    price: money::v1::Money,
    ordered_at: Timestamp,
}

fn order(
    order: Option<order::v1::Order>,
    event: &Envelope,
    note_time: fn(&mut Order, Timestamp),
) -> Result<News<Order>, Malformed> {
    let mut order = decode::present("order", order)?;
    let flow = decode::parsed("order_id", &order.order_id)?;
    let ordered_at = decode::time("create_time", order.create_time)?;
    let told = Told { price: decode::present("price", order.price.take())?, ordered_at, order };
    let (sequence, at) = (event.sequence, event.at);
    Ok(News::of(flow, move |page: &mut Order| {
        page.fold(&told, sequence);
        note_time(page, at);
    }))
}

fn delivery(
    delivery: Option<Delivery>,
    event: &Envelope,
    note_time: fn(&mut Order, Timestamp),
) -> Result<News<Order>, Malformed> {
    let delivery = decode::present("delivery", delivery)?;
    let flow = decode::parsed("order_id", &delivery.order_id)?;
    let (sequence, at) = (event.sequence, event.at);
    Ok(News::of(flow, move |page: &mut Order| {
        page.delivery = Some(delivery.delivery_id.clone());
        if sequence > page.delivery_sequence {
            page.delivery_sequence = sequence;
            page.delivery_state = delivery.state;
        }
        note_time(page, at);
    }))
}

impl Order {
    fn fold(&mut self, told: &Told, sequence: i64) {
        self.customer = Some(told.order.customer_id.clone());
        self.product = Some(told.order.product_id.clone());
        self.product_name = Some(told.order.product_name.clone());
        self.quantity = told.order.quantity;
        self.price_minor = Some(told.price.amount_minor);
        self.currency = Some(told.price.currency_code.clone());
        self.address = Some(told.order.address.clone());
        self.ordered_at = Some(told.ordered_at);
        if sequence > self.order_sequence {
            self.order_sequence = sequence;
            self.order_state = told.order.state;
            self.cause = told.order.cancellation_cause;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::testing::{FLOW, check_every_order, envelope, page, paid};
    use contracts::delivery::v1::DeliveryState;
    use contracts::order::v1::{CancellationCause, OrderState};
    use contracts::payment::v1::{
        PaymentApproved, PaymentCancelled, PaymentRefused, PaymentRequested, PaymentSettled, PaymentState,
    };

    fn told(state: OrderState, cause: CancellationCause) -> Option<order::v1::Order> {
        Some(order::v1::Order {
            order_id: FLOW.into(),
            customer_id: "ann".into(),
            product_id: "tent".into(),
            product_name: "Tent".into(),
            quantity: 2,
            address: "1 Sejong-daero".into(),
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 240_000 }),
            create_time: Some(prost_types::Timestamp { seconds: 7, nanos: 0 }),
            state: state.into(),
            cancellation_cause: cause.into(),
            ..order::v1::Order::default()
        })
    }

    fn so(state: OrderState) -> Option<order::v1::Order> {
        told(state, CancellationCause::Unspecified)
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
        let by_customer = |state| told(state, CancellationCause::Customer);
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
    fn o6_a_page_is_the_same_in_whatever_order_the_events_come() {
        check_every_order::<Order>(delivered());
        check_every_order::<Order>(refunded());
    }

    #[test]
    fn o6_a_page_shows_order_payment_and_delivery() {
        let at = |seconds: i64| Some(Timestamp::from_micros(seconds * 1_000_000));
        let page: Order = page(&delivered());
        assert_eq!(page.order_state, i32::from(OrderState::Delivered));
        assert_eq!(page.payment_state, i32::from(PaymentState::Settled));
        assert_eq!(page.delivery_state, i32::from(DeliveryState::Completed));
        assert_eq!((page.ordered_at, page.started_at, page.completed_at), (at(7), at(2), at(3)));
        assert_eq!((page.customer.as_deref(), page.cancelled_at), (Some("ann"), None));
    }

    #[test]
    fn what_is_not_paid_has_no_customer_that_could_see_it() {
        let page: Order = page(&refunded()[..1]);
        assert_eq!(page.customer, None);
    }
}
