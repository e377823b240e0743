//! The policy of orders: their reactions to other contexts' events.
//!
//! | whenever                                    | then                                                            |
//! |---------------------------------------------|-----------------------------------------------------------------|
//! | `product.v1.ProductCreated`                 | store its name and price                                        |
//! | `product.v1.ProductRepriced`                | the same                                                        |
//! | `payment.v1.PaymentApproved`                | place the order; one that lapsed stays so, and the money goes back |
//! | `payment.v1.PaymentCancellationRequested`   | cancel; if it is on its way, refuse                             |
//! | `payment.v1.PaymentCancelled`               | drop what it was for, if that is unpaid                         |
//! | `product.v1.StockTaken`                     | confirm                                                         |
//! | `product.v1.StockRefused`                   | cancel: it is out of stock                                      |
//! | `delivery.v1.DeliveryStarted`               | it is on its way; a cancellation came too late                  |
//! | `delivery.v1.DeliveryCompleted`             | it is delivered                                                 |
//! | `delivery.v1.DeliveryCancelled`             | it is cancelled                                                 |
//! | `delivery.v1.DeliveryCancellationRefused`   | it is on its way, for the delivery had started                  |
//!
//! Payments of other sellers are ignored: a payment names its seller.

use chassis::{Envelope, Malformed, Policy, decode};
use contracts::delivery::v1::{
    Delivery, DeliveryCancellationRefused, DeliveryCancelled, DeliveryCompleted, DeliveryStarted,
};
use contracts::payment::v1::{Payment, PaymentApproved, PaymentCancellationRequested, PaymentCancelled};
use contracts::product::v1::{Product, ProductCreated, ProductRepriced, StockRefused, StockTaken, Taking};

use crate::CONTEXT;
use crate::domain::{Command, Order, OrderId, PaymentId, ProductId};
use crate::offer::{Learn, Offer};

type Reaction = Result<Vec<(OrderId, Command)>, Malformed>;

/// The rows of the table about orders.
pub fn orders() -> Policy<Order> {
    Policy::new()
        .on(|event: PaymentApproved, _| paid(event.payment, Command::Place))
        .on(|event: PaymentCancellationRequested, _| paid(event.payment, |_| Command::TakeBack))
        .on(|event: PaymentCancelled, _| paid(event.payment, |_| Command::Drop))
        .on(|event: StockTaken, _| stocked(event.taking, Command::Confirm))
        .on(|event: StockRefused, _| stocked(event.taking, Command::Reject))
        .on(|event: DeliveryStarted, _| delivered(event.delivery, Command::Dispatch))
        .on(|event: DeliveryCompleted, _| delivered(event.delivery, Command::Complete))
        .on(|event: DeliveryCancelled, _| delivered(event.delivery, Command::Withdraw))
        .on(|event: DeliveryCancellationRefused, _| delivered(event.delivery, Command::Dispatch))
}

/// The rows of the table about offers.
pub fn offers() -> Policy<Offer> {
    Policy::new()
        .on(|event: ProductCreated, envelope| offered(event.product, envelope))
        .on(|event: ProductRepriced, envelope| offered(event.product, envelope))
}

/// The seller's reference in a payment, as in the contract of `OrderDrafted`: the order.
pub fn reference(order: OrderId) -> String {
    format!("order/{order}")
}

fn paid(payment: Option<Payment>, command: impl FnOnce(PaymentId) -> Command) -> Reaction {
    let payment = decode::present("payment", payment)?;
    if payment.sold_by() != CONTEXT.name {
        return Ok(vec![]);
    }
    let order = decode::parsed("purchase_id", &payment.purchase_id)?;
    Ok(vec![(order, command(decode::parsed("payment_id", &payment.payment_id)?))])
}

fn stocked(taking: Option<Taking>, command: Command) -> Reaction {
    Ok(vec![(decode::parsed("order_id", &decode::present("taking", taking)?.order_id)?, command)])
}

fn delivered(delivery: Option<Delivery>, command: Command) -> Reaction {
    Ok(vec![(decode::parsed("order_id", &decode::present("delivery", delivery)?.order_id)?, command)])
}

fn offered(product: Option<Product>, envelope: &Envelope) -> Result<Vec<(ProductId, Learn)>, Malformed> {
    let product = decode::present("product", product)?;
    let (id, price) = (decode::parsed("product_id", &product.product_id)?, decode::money("price", product.price)?);
    Ok(vec![(id, Learn(Offer { product_id: id, name: product.name, price, sequence: envelope.sequence }))])
}
