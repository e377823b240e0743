//! The invariants of the order contexts.

use std::collections::{BTreeMap, BTreeSet};

use contracts::chronicle::v1::Event;
use contracts::delivery::v1::{Delivery, DeliveryState, ListDeliveriesRequest};
use contracts::mypage::v1 as mypage;
use contracts::order::v1::{CancellationCause, ListOrdersRequest, Order, OrderCancelled, OrderState};
use contracts::payment::v1::PaymentState;
use contracts::product::v1::{ListProductsRequest, Product, ProductCreated, StockTaken, Taking, TakingState};
use prost::Message as _;

use super::{Outcome, Seen, all_pages, body};
use crate::harness::Harness;

/// The final state of these contexts.
pub struct Orders {
    orders: BTreeMap<String, Order>,
    products: BTreeMap<String, Product>,
    /// By order.
    deliveries: BTreeMap<String, Delivery>,
    pages: BTreeMap<String, mypage::Order>,
    /// The ids of all requested orders, paid or not.
    pub drafts: BTreeSet<String>,
    /// Orders with an event that their cancellation was refused.
    refused: BTreeSet<String>,
}

/// What a response guarantees for the end of the run.
#[derive(Clone, Copy)]
pub enum Guarantee {
    /// The order and its price are unchanged.
    AsPromised,
    /// It is cancelled, or an event says that the cancellation was refused.
    CancelledOrRefused,
}

impl Orders {
    pub async fn load(harness: &Harness, events: &[Event]) -> Result<Orders, String> {
        use mypage::ListOrdersRequest as ListPagesRequest;
        let of = |kind: &str| {
            let of_kind = events.iter().filter(|event| event.r#type.ends_with(kind));
            of_kind.map(|event| event.subject.clone()).collect()
        };
        let orders = all_pages::<ListOrdersRequest>(harness).await?.into_iter();
        let products = all_pages::<ListProductsRequest>(harness).await?.into_iter();
        let deliveries = all_pages::<ListDeliveriesRequest>(harness).await?.into_iter();
        let pages = all_pages::<ListPagesRequest>(harness).await?.into_iter();
        Ok(Orders {
            orders: orders.map(|order: Order| (order.order_id.clone(), order)).collect(),
            products: products.map(|product: Product| (product.product_id.clone(), product)).collect(),
            deliveries: deliveries.map(|delivery: Delivery| (delivery.order_id.clone(), delivery)).collect(),
            pages: pages.map(|page: mypage::Order| (page.order_id.clone(), page)).collect(),
            drafts: of(".OrderDrafted"),
            refused: of(".OrderCancellationRefused"),
        })
    }

    /// A description of pending work, if there is some.
    pub async fn pending_work(harness: &Harness) -> Result<Option<String>, String> {
        let is_moving = |order: &&Order| matches!(order.state(), OrderState::Placed | OrderState::Cancelling);
        let orders = all_pages::<ListOrdersRequest>(harness).await?;
        Ok(orders.iter().find(is_moving).map(|order| format!("{order:?} is pending")))
    }

    /// Checks a response that a customer got.
    pub fn keeps_order(&self, customer: &str, promised: &Order, guarantee: Guarantee) -> Outcome {
        let id = &promised.order_id;
        let kept = self.orders.get(id).ok_or_else(|| format!("{customer} ordered {id}: it is gone"))?;
        let same = (&kept.product_id, kept.quantity, &kept.price, &kept.address, kept.customer_id.as_str())
            == (&promised.product_id, promised.quantity, &promised.price, &promised.address, customer);
        let holds = match guarantee {
            Guarantee::AsPromised => true,
            Guarantee::CancelledOrRefused => kept.state() == OrderState::Cancelled || self.refused.contains(id),
        };
        if same && holds { Ok(()) } else { Err(format!("{customer} was promised {promised:?}, but it is {kept:?}")) }
    }

    /// Checks a response that a courier got: a started delivery is theirs and not cancelled, a completed one is
    /// completed.
    pub fn keeps_delivery(&self, courier: &str, promised: &Delivery) -> Outcome {
        let gone = || format!("{courier} has {}: it is gone", promised.delivery_id);
        let kept = self.deliveries.get(&promised.order_id).ok_or_else(gone)?;
        let holds = match promised.state() {
            DeliveryState::Started => matches!(kept.state(), DeliveryState::Started | DeliveryState::Completed),
            _ => kept.state() == promised.state(),
        };
        let is_theirs = kept.courier_id == courier;
        if holds && is_theirs {
            Ok(())
        } else {
            Err(format!("{courier} was promised {promised:?}, but it is {kept:?}"))
        }
    }
}

/// Checks all of them.
pub fn check(harness: &Harness, seen: &Seen) -> Outcome {
    stock_is_what_was_added_and_not_taken(seen)?;
    every_order_is_completed_or_compensated(harness, seen)?;
    an_unpaid_draft_costs_nothing(harness, seen)?;
    every_delivery_has_an_order(seen)?;
    the_read_model_shows_orders_payments_and_deliveries(seen)
}

/// Whether a call, and not only an event, can cause such an event; `None` for events of other contexts.
pub fn may_come_from_a_call(event: &Event) -> Result<Option<bool>, String> {
    Ok(match event.r#type.strip_prefix("nadeuri.").unwrap_or_default() {
        "product.v1.ProductCreated" | "product.v1.ProductRepriced" | "product.v1.StockAdded" => Some(true),
        "product.v1.ProductTransferred" => Some(true),
        "order.v1.OrderDrafted" | "order.v1.OrderPlaced" => Some(true),
        "delivery.v1.DeliveryStarted" | "delivery.v1.DeliveryCompleted" => Some(true),
        "order.v1.OrderCancelled" | "order.v1.OrderCancellationRequested" => {
            // The first field of each is the order.
            let cancelled = OrderCancelled::decode(body(event)).map_err(|error| error.to_string())?;
            Some(cancelled.order.unwrap_or_default().cancellation_cause() == CancellationCause::Customer)
        }
        kind if ["product.", "order.", "delivery."].iter().any(|line| kind.starts_with(line)) => Some(false),
        _ => None,
    })
}

/// The events that the final state requires, each with its subject.
pub fn required_events(seen: &Seen) -> Vec<(&'static str, &str)> {
    let mut required: Vec<_> = seen.orders.products.keys().map(|id| ("ProductCreated", id.as_str())).collect();
    for (id, order) in &seen.orders.orders {
        let names: &[&str] = match order.state() {
            OrderState::Confirmed => &["OrderDrafted", "OrderPlaced", "OrderConfirmed"],
            OrderState::Delivering => &["OrderPlaced", "OrderConfirmed", "OrderDispatched"],
            OrderState::Delivered => &["OrderPlaced", "OrderConfirmed", "OrderDispatched", "OrderDelivered"],
            _ => &["OrderDrafted", "OrderPlaced", "OrderCancelled"],
        };
        required.extend(names.iter().map(|name| (*name, id.as_str())));
    }
    for delivery in seen.orders.deliveries.values() {
        let names: &[&str] = match delivery.state() {
            DeliveryState::Prepared => &["DeliveryPrepared"],
            DeliveryState::Started => &["DeliveryPrepared", "DeliveryStarted"],
            DeliveryState::Completed => &["DeliveryPrepared", "DeliveryStarted", "DeliveryCompleted"],
            _ => &["DeliveryCancelled"],
        };
        required.extend(names.iter().map(|name| (*name, delivery.delivery_id.as_str())));
    }
    required
}

/// The events that customers are notified of.
pub const NOTIFIED: &[&str] = &[
    "OrderPlaced",
    "OrderConfirmed",
    "OrderCancelled",
    "OrderCancellationRefused",
    "DeliveryStarted",
    "DeliveryCompleted",
];

/// Replays the stock of the products from their events: added stock is available or taken, and never negative. At the
/// end, exactly the orders that were not cancelled have stock.
fn stock_is_what_was_added_and_not_taken(seen: &Seen) -> Outcome {
    let mut changes: Vec<&Event> = seen.events.iter().filter(|event| event.source == "product").collect();
    changes.sort_by_key(|event| event.sequence);
    let (mut stocks, mut takers): (BTreeMap<String, i64>, BTreeSet<String>) = Default::default();
    for event in changes {
        let stock = stocks.entry(event.subject.clone()).or_default();
        if event.r#type.contains(".Product") || event.r#type.ends_with(".StockAdded") {
            // The first field of each of these is the product.
            let product = ProductCreated::decode(body(event)).ok().and_then(|event| event.product);
            let now = product.ok_or_else(|| format!("{} without a product", event.r#type))?.stock;
            let may_change =
                ![".ProductRepriced", ".ProductTransferred"].iter().any(|kind| event.r#type.ends_with(kind));
            if now < *stock || now > *stock && !may_change {
                return Err(format!("{} of {} made {now} of {stock}", event.r#type, event.subject));
            }
            *stock = now;
            continue;
        }
        let taking = StockTaken::decode(body(event)).ok().and_then(|event| event.taking);
        let Taking { order_id, quantity, .. } =
            taking.as_ref().ok_or_else(|| format!("{} without a taking", event.r#type))?.clone();
        match taking.unwrap_or_default().state() {
            TakingState::Taken if takers.insert(order_id.clone()) => *stock -= i64::from(quantity),
            TakingState::Restored if takers.remove(&order_id) => *stock += i64::from(quantity),
            TakingState::Refused if !takers.contains(&order_id) => {}
            state => return Err(format!("{} by {order_id} came twice, or too early", state.as_str_name())),
        }
        if *stock < 0 {
            return Err(format!("{stock} of product {} are in stock", event.subject));
        }
    }
    for (id, product) in &seen.orders.products {
        if stocks.get(id) != Some(&product.stock) {
            return Err(format!("{product:?}, but {:?} should be in stock", stocks.get(id)));
        }
    }
    let open = seen.orders.orders.values().filter(|order| order.state() != OrderState::Cancelled);
    let open: BTreeSet<String> = open.map(|order| order.order_id.clone()).collect();
    if open == takers { Ok(()) } else { Err(format!("the orders {open:?} are open, but {takers:?} have stock")) }
}

fn every_order_is_completed_or_compensated(harness: &Harness, seen: &Seen) -> Outcome {
    for (id, order) in &seen.orders.orders {
        let payment = seen.payments.get(id).ok_or_else(|| format!("order {id} has no payment"))?;
        let price = order.price.as_ref().map_or(0, |price| price.amount_minor);
        let held = harness.processor.holds(&payment.payment_id);
        let delivery = seen.orders.deliveries.get(id).map(|delivery| delivery.state());
        use DeliveryState as D;
        // Without a courier, it stays paid and confirmed.
        let (right_payment, right_sum, right_delivery) = match order.state() {
            OrderState::Confirmed => (PaymentState::Approved, price, delivery == Some(D::Prepared)),
            OrderState::Delivering => (PaymentState::Approved, price, delivery == Some(D::Started)),
            OrderState::Delivered => (PaymentState::Settled, price, delivery == Some(D::Completed)),
            OrderState::Cancelled => (PaymentState::Cancelled, 0, matches!(delivery, None | Some(D::Cancelled))),
            state => return Err(format!("order {id} is still {}", state.as_str_name())),
        };
        if payment.state() != right_payment || held != right_sum || !right_delivery {
            return Err(format!(
                "order {id} is {}, its delivery {delivery:?}, its payment {} is {}, and the processor holds {held} of {price}",
                order.state().as_str_name(),
                payment.payment_id,
                payment.state().as_str_name(),
            ));
        }
        let of_flow = |kind: &str| {
            let is_it = |event: &&Event| event.flow_id == *id && event.r#type.ends_with(kind);
            seen.events.iter().filter(is_it).count()
        };
        if of_flow(".PaymentApproved") != 1 {
            return Err(format!("order {id} was paid {} times", of_flow(".PaymentApproved")));
        }
        let is_short = order.cancellation_cause() == CancellationCause::OutOfStock;
        if is_short && of_flow(".StockRefused") != 1 {
            return Err(format!("order {id} is out of stock, but there is no event"));
        }
    }
    Ok(())
}

/// An unpaid draft is no order, and a late payment for it was refunded.
fn an_unpaid_draft_costs_nothing(harness: &Harness, seen: &Seen) -> Outcome {
    for id in seen.orders.drafts.iter().filter(|id| !seen.orders.orders.contains_key(*id)) {
        let payment = seen.payments.get(id).ok_or_else(|| format!("draft {id} has no payment"))?;
        let held = harness.processor.holds(&payment.payment_id);
        if payment.state() != PaymentState::Cancelled || held != 0 {
            return Err(format!("{id} is no order, but its payment is {payment:?}, and the processor holds {held}"));
        }
    }
    match seen.orders.orders.keys().find(|id| !seen.orders.drafts.contains(*id)) {
        Some(id) => Err(format!("order {id} was never requested")),
        None => Ok(()),
    }
}

fn every_delivery_has_an_order(seen: &Seen) -> Outcome {
    for (id, delivery) in &seen.orders.deliveries {
        let order =
            seen.orders.orders.get(id).ok_or_else(|| format!("there is a delivery for {id}, which does not exist"))?;
        let is_it = (&delivery.customer_id, delivery.quantity, &delivery.address, &delivery.product_name)
            == (&order.customer_id, order.quantity, &order.address, &order.product_name);
        if !is_it {
            return Err(format!("{order:?} is delivered as {delivery:?}"));
        }
        let starts = seen
            .events
            .iter()
            .filter(|event| event.subject == delivery.delivery_id && event.r#type.ends_with(".DeliveryStarted"));
        let is_out = matches!(delivery.state(), DeliveryState::Started | DeliveryState::Completed);
        if starts.count() != usize::from(is_out) {
            return Err(format!("{delivery:?} was not started once"));
        }
    }
    Ok(())
}

fn the_read_model_shows_orders_payments_and_deliveries(seen: &Seen) -> Outcome {
    if seen.orders.pages.len() != seen.orders.orders.len() {
        return Err(format!("{} orders, but {} in the read model", seen.orders.orders.len(), seen.orders.pages.len()));
    }
    for (id, order) in &seen.orders.orders {
        let view = seen.orders.pages.get(id).ok_or_else(|| format!("order {id} is not in the read model"))?;
        let (payment, delivery) = (&seen.payments[id], seen.orders.deliveries.get(id));
        let shown = (
            (view.order_state, view.cancellation_cause, &view.customer_id, &view.price, view.quantity, &view.address),
            (view.payment_state, &view.payment_id),
            (view.delivery_state, view.delivery_id.as_str()),
            (&view.start_time, &view.complete_time),
        );
        let right = (
            (order.state, order.cancellation_cause, &order.customer_id, &order.price, order.quantity, &order.address),
            (payment.state, &payment.payment_id),
            delivery.map_or((0, ""), |delivery| (delivery.state, delivery.delivery_id.as_str())),
            delivery.map_or((&None, &None), |delivery| (&delivery.start_time, &delivery.complete_time)),
        );
        if shown != right {
            return Err(format!("the read model shows {shown:?}, expected {right:?}"));
        }
    }
    Ok(())
}
