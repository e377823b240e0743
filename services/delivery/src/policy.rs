//! The policy of deliveries: their reactions to other contexts' events.
//!
//! | whenever                              | then                                                                 |
//! |---------------------------------------|----------------------------------------------------------------------|
//! | `order.v1.OrderConfirmed`             | prepare the delivery                                                 |
//! | `order.v1.OrderCancellationRequested` | cancel it; if it has started, refuse; if it is not there yet, bar it |

use chassis::{Malformed, Policy, decode};
use contracts::order::v1::{Order, OrderCancellationRequested, OrderConfirmed};

use crate::domain::{Command, Delivery, DeliveryId, OrderId, Parcel, delivery_of};

type Reaction = Result<Vec<(DeliveryId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Delivery> {
    Policy::new()
        .on(|event: OrderConfirmed, _| about(event.order, Command::Prepare))
        .on(|event: OrderCancellationRequested, _| about(event.order, Command::CallOff))
}

fn about(order: Option<Order>, command: impl FnOnce(OrderId, Parcel) -> Command) -> Reaction {
    let order = decode::present("order", order)?;
    let id: OrderId = decode::parsed("order_id", &order.order_id)?;
    let parcel = Parcel {
        customer: order.customer_id,
        product_name: order.product_name,
        quantity: u32::try_from(order.quantity).map_err(|_| Malformed("a bad quantity".into()))?,
        address: order.address,
    };
    Ok(vec![(delivery_of(id), command(id, parcel))])
}
