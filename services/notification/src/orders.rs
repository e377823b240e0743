//! What customers are told about their orders, and the deliveries of these.

use chassis::Malformed;
use contracts::delivery::v1::{Delivery, DeliveryCompleted, DeliveryStarted};
use contracts::order::v1::{
    CancellationCause, Order, OrderCancellationRefused, OrderCancelled, OrderConfirmed, OrderPlaced, OrderState,
};

use crate::policy::{Told, Words};
use crate::text;

/// Tells the customer something that begins with how many of what they ordered, for how much.
fn about(order: Option<Order>, tell: impl FnOnce(&Order, String, String) -> String) -> Told {
    let order = order.ok_or_else(|| Malformed("no order".into()))?;
    let price = text::amount(order.price.as_ref())?;
    let text = tell(&order, what(order.quantity, &order.product_name), price);
    Ok(Some(Words { customer: order.customer_id, text }))
}

fn about_delivery(delivery: Option<Delivery>, tell: impl FnOnce(&Delivery, String) -> String) -> Told {
    let delivery = delivery.ok_or_else(|| Malformed("no delivery".into()))?;
    let text = tell(&delivery, what(delivery.quantity, &delivery.product_name));
    Ok(Some(Words { customer: delivery.customer_id, text }))
}

fn what(quantity: i32, product: &str) -> String {
    format!("{quantity} × {product}")
}

/// It is paid.
pub fn placed(event: OrderPlaced) -> Told {
    about(event.order, |_, what, price| format!("You ordered {what}, and we received {price}. Thank you!"))
}

/// It has its stock.
pub fn confirmed(event: OrderConfirmed) -> Told {
    about(event.order, |_, what, _| format!("{what} is in stock. We prepare the delivery."))
}

/// It is off.
pub fn cancelled(event: OrderCancelled) -> Told {
    about(event.order, |order, what, price| {
        let why = match order.cancellation_cause() {
            CancellationCause::Customer => "was cancelled by you",
            CancellationCause::Payment => "was cancelled because you cancelled its payment",
            CancellationCause::OutOfStock => "had to be cancelled by us: there is not enough left",
            CancellationCause::Unspecified => "was cancelled",
        };
        format!("Your order of {what} {why}. We give {price} back to you.")
    })
}

/// It can't be taken back.
pub fn cancellation_refused(event: OrderCancellationRefused) -> Told {
    about(event.order, |order, what, _| {
        let why = if order.state() == OrderState::Delivered { "was delivered" } else { "is on its way to you" };
        format!("Your order of {what} can't be cancelled any more: it {why}.")
    })
}

/// A courier is on the way.
pub fn started(event: DeliveryStarted) -> Told {
    about_delivery(event.delivery, |delivery, what| format!("{what} is on its way to {}.", delivery.address))
}

/// The customer has it.
pub fn completed(event: DeliveryCompleted) -> Told {
    about_delivery(event.delivery, |delivery, what| {
        format!("{what} was delivered to {}. Thank you for ordering!", delivery.address)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[track_caller]
    fn check(told: Told, says: &str) {
        assert_eq!(told.expect("it is right"), Some(Words { customer: "ann".into(), text: says.into() }));
    }

    #[test]
    fn o6_each_change_is_told_with_what_was_ordered() {
        let says = "You ordered 2 × Tent, and we received KRW 240,000. Thank you!";
        check(placed(OrderPlaced { order: order() }), says);
        check(confirmed(OrderConfirmed { order: order() }), "2 × Tent is in stock. We prepare the delivery.");
        check(started(DeliveryStarted { delivery: delivery() }), "2 × Tent is on its way to 1 Sejong-daero.");
        let says = "2 × Tent was delivered to 1 Sejong-daero. Thank you for ordering!";
        check(completed(DeliveryCompleted { delivery: delivery() }), says);
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
            check(cancelled(OrderCancelled { order }), &says);
        }
    }

    #[test]
    fn o5_who_cancels_too_late_is_told_why_not() {
        for (state, why) in [(OrderState::Delivering, "is on its way to you"), (OrderState::Delivered, "was delivered")]
        {
            let order = order().map(|order| Order { state: state.into(), ..order });
            let says = format!("Your order of 2 × Tent can't be cancelled any more: it {why}.");
            check(cancellation_refused(OrderCancellationRefused { order }), &says);
        }
    }

    #[test]
    fn an_event_that_breaks_its_contract_is_malformed() {
        assert!(placed(OrderPlaced { order: None }).is_err());
        assert!(confirmed(OrderConfirmed { order: Some(Order::default()) }).is_err());
        assert!(started(DeliveryStarted { delivery: None }).is_err());
    }
}
