//! The policy of products: their reactions to other contexts' events.
//!
//! | whenever                  | then                                                                     |
//! |---------------------------|--------------------------------------------------------------------------|
//! | `order.v1.OrderPlaced`    | take its stock; if there is not enough, refuse it                        |
//! | `order.v1.OrderCancelled` | restore what it took; if it comes before the order, the order takes none |

use chassis::{Malformed, Policy, decode};
use contracts::order::v1::{Order, OrderCancelled, OrderPlaced};

use crate::domain::{Command, OrderId, Product, ProductId};

type Reaction = Result<Vec<(ProductId, Command)>, Malformed>;

/// The table above.
pub fn policy() -> Policy<Product> {
    Policy::new()
        .on(|event: OrderPlaced, _| about(event.order, Command::Take))
        .on(|event: OrderCancelled, _| about(event.order, Command::Restore))
}

fn about(order: Option<Order>, command: impl FnOnce(OrderId, u32) -> Command) -> Reaction {
    let order = decode::present("order", order)?;
    let quantity = u32::try_from(order.quantity).map_err(|_| Malformed("a bad quantity".into()))?;
    let command = command(decode::parsed("order_id", &order.order_id)?, quantity);
    Ok(vec![(decode::parsed("product_id", &order.product_id)?, command)])
}
