//! The messages about orders and their deliveries.

use contracts::delivery::v1::{Delivery, DeliveryCompleted, DeliveryStarted};
use contracts::order::v1::{
    CancellationCause, Order, OrderCancellationRefused, OrderCancelled, OrderConfirmed, OrderPlaced, OrderState,
};

use crate::template::{Rendered, Templates, render};
use crate::text::{self, because};

/// Registers the templates.
pub fn register(templates: Templates) -> Templates {
    templates
        .on("ORDER_PLACED", |event: OrderPlaced| about(event.order, placed))
        .on("ORDER_CONFIRMED", |event: OrderConfirmed| about(event.order, confirmed))
        .on("ORDER_CANCELLED", |event: OrderCancelled| about(event.order, cancelled))
        .on("ORDER_CANCELLATION_REFUSED", |event: OrderCancellationRefused| about(event.order, cancellation_refused))
        .on("DELIVERY_STARTED", |event: DeliveryStarted| about_delivery(event.delivery, started))
        .on("DELIVERY_COMPLETED", |event: DeliveryCompleted| about_delivery(event.delivery, completed))
}

/// The texts say what was ordered, and for how much.
fn about(order: Option<Order>, text: fn(&Order, String, String) -> String) -> Rendered {
    render(
        "order",
        order,
        |order| order.customer_id,
        |order| Ok(text(order, what(order.quantity, &order.product_name), text::amount(&order.price)?)),
    )
}

fn about_delivery(delivery: Option<Delivery>, text: fn(&Delivery, String) -> String) -> Rendered {
    render(
        "delivery",
        delivery,
        |delivery| delivery.customer_id,
        |delivery| Ok(text(delivery, what(delivery.quantity, &delivery.product_name))),
    )
}

fn what(quantity: i32, product: &str) -> String {
    format!("{quantity} × {product}")
}

fn placed(_: &Order, what: String, price: String) -> String {
    format!("You ordered {what}, and we received {price}. Thank you!")
}

fn confirmed(_: &Order, what: String, _: String) -> String {
    format!("{what} is in stock. We prepare the delivery.")
}

fn cancelled(order: &Order, what: String, price: String) -> String {
    let why = match order.cancellation_cause() {
        CancellationCause::Customer => "was cancelled by you",
        CancellationCause::Payment => "was cancelled because you cancelled its payment",
        CancellationCause::OutOfStock => "had to be cancelled by us: there is not enough left",
        CancellationCause::Staff | CancellationCause::Unspecified => "was cancelled",
    };
    let because = because(order.intervention.as_ref());
    format!("Your order of {what} {why}. We give {price} back to you.{because}")
}

fn cancellation_refused(order: &Order, what: String, _: String) -> String {
    let why = if order.state() == OrderState::Delivered { "was delivered" } else { "is on its way to you" };
    format!("Your order of {what} can't be cancelled any more: it {why}.")
}

fn started(delivery: &Delivery, what: String) -> String {
    format!("{what} is on its way to {}.", delivery.address)
}

fn completed(delivery: &Delivery, what: String) -> String {
    format!("{what} was delivered to {}. Thank you for ordering!", delivery.address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::testing::{check, check_malformed};
    use contracts::money;

    fn order() -> Option<Order> {
        Some(Order {
            customer_id: "ann".into(),
            product_name: "Tent".into(),
            quantity: 2,
            price: Some(money::v1::Money { currency_code: "KRW".into(), amount_minor: 240_000 }),
            ..Order::default()
        })
    }

    fn delivery() -> Option<Delivery> {
        let (customer_id, product_name, address) = ("ann".into(), "Tent".into(), "1 Sejong-daero".into());
        Some(Delivery { customer_id, product_name, quantity: 2, address, ..Delivery::default() })
    }

    #[test]
    fn o6_each_change_leads_to_a_message_with_the_ordered_product() {
        let says = "You ordered 2 × Tent, and we received KRW 240,000. Thank you!";
        check(register, &OrderPlaced { order: order() }, "ORDER_PLACED", says);
        check(
            register,
            &OrderConfirmed { order: order() },
            "ORDER_CONFIRMED",
            "2 × Tent is in stock. We prepare the delivery.",
        );
        check(
            register,
            &DeliveryStarted { delivery: delivery() },
            "DELIVERY_STARTED",
            "2 × Tent is on its way to 1 Sejong-daero.",
        );
        let says = "2 × Tent was delivered to 1 Sejong-daero. Thank you for ordering!";
        check(register, &DeliveryCompleted { delivery: delivery() }, "DELIVERY_COMPLETED", says);
    }

    #[test]
    fn o6_a_cancellation_tells_its_cause_and_what_goes_back() {
        for (cause, why) in [
            (CancellationCause::Customer, "was cancelled by you"),
            (CancellationCause::Payment, "was cancelled because you cancelled its payment"),
            (CancellationCause::OutOfStock, "had to be cancelled by us: there is not enough left"),
            (CancellationCause::Unspecified, "was cancelled"),
        ] {
            let order = order().map(|order| Order { cancellation_cause: cause.into(), ..order });
            let says = format!("Your order of 2 × Tent {why}. We give KRW 240,000 back to you.");
            check(register, &OrderCancelled { order }, "ORDER_CANCELLED", &says);
        }
    }

    #[test]
    fn o5_a_late_cancellation_is_answered_with_its_reason() {
        for (state, why) in [(OrderState::Delivering, "is on its way to you"), (OrderState::Delivered, "was delivered")]
        {
            let order = order().map(|order| Order { state: state.into(), ..order });
            let says = format!("Your order of 2 × Tent can't be cancelled any more: it {why}.");
            check(register, &OrderCancellationRefused { order }, "ORDER_CANCELLATION_REFUSED", &says);
        }
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        check_malformed(register, &OrderPlaced { order: None }, "no order");
        check_malformed(register, &OrderConfirmed { order: Some(Order::default()) }, "no amount");
        check_malformed(register, &DeliveryStarted { delivery: None }, "no delivery");
    }
}
